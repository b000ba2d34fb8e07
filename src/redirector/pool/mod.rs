//! The pool of helpers as accounting: which questions wait, which helper has which before it, and which helpers are
//! started, let go, replaced and given up. Pure: it knows neither processes nor sockets nor what a question says, and
//! time is an argument.
//!
//! Each question has a ticket, and tickets rise: clients take turns, the questions of one client go in their order, and one
//! that has to be asked again comes first. A client's first question goes to any helper; its further ones leave as many free
//! as others lately needed. After every input, `poll` tells what the owner has to do.

mod helper;
mod queue;
mod reserve;
mod scaling;
#[cfg(test)]
mod sharing;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;

use reactor::alarm::Alarms;
use reactor::arena::{Arena, Key};
use reactor::Millis;

use crate::policy::shares::ClientKey;
use helper::{Flight, Helper, HelperState};
use queue::FairQueue;
use reserve::Reserve;
use scaling::Scaling;

/// How many helpers there are and how long they may take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolSettings {
    /// Helpers that always run (`redirector.minimum`).
    pub minimum: usize,
    /// Most helpers (`redirector.maximum`).
    pub maximum: usize,
    /// Milliseconds for one reply (`redirector.timeout`).
    pub timeout: Millis,
    /// Questions that may wait for a helper (`redirector.queue`).
    pub queue: usize,
    /// Questions that one helper may have before it ([`super::dialect::Dialect::concurrency`]).
    pub concurrency: usize,
}

/// Names one question for as long as the program runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(u64);

impl Ticket {
    /// A name for a question of an asker that has no pool, by a number of its own.
    pub fn numbered(number: u64) -> Ticket {
        Ticket(number)
    }
}

/// What the owner of the pool has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PoolAction {
    /// Start a helper, the `number`th, in this place.
    Start(Key, u32),
    /// Put the question before this helper. `channel` names it among those that the helper has.
    Ask {
        /// The helper.
        helper: Key,
        /// What the reply will be known by: how many questions the helper has been asked, this one included.
        channel: u64,
        /// The question.
        ticket: Ticket,
        /// The session that waits for the reply.
        who: Key,
    },
    /// Tell this helper that no further question comes. It has none before it.
    Retire(Key),
    /// Kill this helper; why.
    Kill(Key, &'static str),
    /// There will be no reply to this question.
    Fail(Ticket, Key, HelperFault),
}

/// Why there is no reply to a question.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HelperFault {
    /// Two helpers in a row ended, hung, or said that they are broken, instead of giving a reply.
    Helper,
    /// As many questions wait as may.
    QueueFull,
    /// No helper runs, and none can be started at the moment.
    NoHelper,
}

impl fmt::Display for HelperFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            HelperFault::Helper => "two helpers in a row gave no reply",
            HelperFault::QueueFull => "too many requests wait for a helper",
            HelperFault::NoHelper => "no helper is running",
        })
    }
}

/// A question that has its reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answered {
    /// The question.
    pub ticket: Ticket,
    /// The session that waits for the reply.
    pub who: Key,
    /// The client that the question is about.
    pub client: ClientKey,
    /// It had been asked before, in vain.
    pub again: bool,
    /// Milliseconds that the helper took.
    pub took: Millis,
}

/// What happened since the start.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct PoolCounters {
    /// Questions put before a helper, repeated ones included.
    pub asked: u64,
    /// Replies to them.
    pub answered: u64,
    /// Questions that were asked a second time.
    pub again: u64,
    /// Questions that got no reply.
    pub failed: u64,
    /// Those of them for which there was no room in the queue.
    pub refused: u64,
    /// Questions that had to wait for a helper.
    pub waited: u64,
    /// Helpers started.
    pub started: u64,
    /// Helpers that ended without being told to.
    pub lost: u64,
    /// Helpers killed because a reply took too long.
    pub hung: u64,
    /// Helpers killed because they wrote a reply without a question.
    pub unasked: u64,
}

impl PoolCounters {
    /// What both pools have counted.
    pub fn plus(self, other: PoolCounters) -> PoolCounters {
        PoolCounters {
            asked: self.asked + other.asked,
            answered: self.answered + other.answered,
            again: self.again + other.again,
            failed: self.failed + other.failed,
            refused: self.refused + other.refused,
            waited: self.waited + other.waited,
            started: self.started + other.started,
            lost: self.lost + other.lost,
            hung: self.hung + other.hung,
            unasked: self.unasked + other.unasked,
        }
    }
}

/// The pool.
#[derive(Debug)]
pub struct HelperPool {
    settings: PoolSettings,
    helpers: Arena<Helper>,
    /// Helpers with room, the one to ask next first.
    free: VecDeque<Key>,
    waiting: FairQueue,
    reserve: Reserve,
    tickets: u64,
    alarms: Alarms,
    actions: VecDeque<PoolAction>,
    scaling: Scaling,
    counters: PoolCounters,
}

/// A question that no helper has before it.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    who: Key,
    client: ClientKey,
    since: Millis,
    again: bool,
}

impl HelperPool {
    /// A pool without helpers; the first are started by [`HelperPool::settle`].
    pub fn new(settings: PoolSettings, now: Millis) -> HelperPool {
        HelperPool {
            scaling: Scaling::new(now),
            settings,
            helpers: Arena::new(),
            free: VecDeque::new(),
            waiting: FairQueue::default(),
            reserve: Reserve::new(now),
            tickets: 0,
            alarms: Alarms::new(),
            actions: VecDeque::new(),
            counters: PoolCounters::default(),
        }
    }

    /// The settings that hold.
    pub fn settings(&self) -> &PoolSettings {
        &self.settings
    }

    /// What happened so far.
    pub fn counters(&self) -> PoolCounters {
        self.counters
    }

    /// Number of questions that wait for a helper.
    pub fn queue_len(&self) -> usize {
        self.waiting.len()
    }

    /// Does this question wait for a helper?
    pub fn is_waiting(&self, ticket: Ticket) -> bool {
        self.waiting.contains(ticket)
    }

    /// Takes a question of the session `who` for this client.
    ///
    /// # Errors
    /// When as many questions wait as may, and no client has more of them than this one.
    pub fn ask(&mut self, who: Key, client: ClientKey, now: Millis) -> Result<Ticket, HelperFault> {
        // With a helper free the question does not wait, so that a queue of 0 still lets the helpers work.
        let full = self.waiting.len() >= self.settings.queue;
        if full && (self.first_free().is_none() || self.waiting.is_served(client) && !self.has_spare()) {
            self.counters.refused += 1;
            self.counters.failed += 1;
            let displaced = self.waiting.displaced_by(client).ok_or(HelperFault::QueueFull)?;
            if let Some(other) = self.waiting.remove(displaced) {
                self.actions.push_back(PoolAction::Fail(displaced, other.who, HelperFault::QueueFull));
            }
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.waiting.insert(ticket, Waiting { who, client, since: now, again: false });
        self.settle(now);
        self.counters.waited += u64::from(self.is_waiting(ticket));
        Ok(ticket)
    }

    /// The session of this question has gone.
    pub fn cancel(&mut self, ticket: Ticket, now: Millis) {
        if self.waiting.remove(ticket).is_some() {
            return;
        }
        // The helper still owes the reply: the flight stays, so that the reply is not taken for that to the next
        // question.
        let found = self.helpers.iter_mut().find_map(|(key, helper)| {
            let flight = helper.flights.iter_mut().find(|flight| flight.ticket == ticket)?;
            flight.who = None;
            Some((key, flight.channel))
        });
        let Some((key, number)) = found else { return };
        let puts = |action: &PoolAction| matches!(action, PoolAction::Ask { helper, channel, .. } if (*helper, *channel) == (key, number));
        // Unless it has not got the question yet: then it will get none, and owes nothing.
        if let Some(place) = self.actions.iter().position(puts) {
            self.actions.remove(place);
            self.take_back(key, number);
            self.settle(now);
        }
    }

    /// A question that a helper was to get is not put before it.
    fn take_back(&mut self, key: Key, channel: u64) {
        let Some(helper) = self.helpers.get_mut(key) else { return };
        let Some(flight) = helper.land(channel) else { return };
        // What its thread counts are the questions that it got. Where more than one is before it, replies say their numbers.
        helper.asked -= u64::from(helper.asked == channel);
        self.counters.asked -= 1;
        self.waiting.give_back(flight.client);
        self.offer(key);
    }

    /// A helper has written a reply, under the number of a question or, with None, without a readable number. Gives the
    /// question that it belongs to, unless its session has gone. Call [`HelperPool::settle`] once all that has come is
    /// handed over: a second reply must not pass for that to the next question.
    pub fn handle_reply(&mut self, key: Key, channel: Option<u64>, now: Millis) -> Option<Answered> {
        let helper = self.helpers.get_mut(key)?;
        let Some(flight) = channel.and_then(|channel| helper.land(channel)) else {
            // After a reply without a question each further one could belong to the wrong request, and one that forbids
            // could be taken for one that permits. Such a helper is not asked again.
            if helper.state != HelperState::Leaving {
                self.counters.unasked += 1;
                self.kill(key, "it wrote a reply without a question", now);
            }
            return None;
        };
        helper.answered += 1;
        self.waiting.give_back(flight.client);
        self.counters.answered += 1;
        self.scaling.note_reply(helper.generation);
        self.offer(key);
        let took = now.saturating_sub(flight.sent);
        let Flight { ticket, client, again, .. } = flight;
        flight.who.map(|who| Answered { ticket, who, client, again, took })
    }

    /// The reply to a question was of no use: asks another helper. False when that was done before.
    pub fn ask_again(&mut self, answered: &Answered, now: Millis) -> bool {
        if answered.again {
            self.counters.failed += 1;
            return false;
        }
        self.counters.again += 1;
        let Answered { ticket, who, client, .. } = *answered;
        self.waiting.insert(ticket, Waiting { who, client, since: now, again: true });
        true
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Millis) {
        while let Some(slot) = self.alarms.pop_due(now) {
            let Some(key) = self.helpers.key_at(slot) else { continue };
            let Some(oldest) = self.helpers.get(key).and_then(|helper| helper.flights.first()) else { continue };
            // One alarm for each helper: its oldest question is the first to be late. The alarm may have been set for an
            // older one that was answered since.
            let due = oldest.sent.saturating_add(self.settings.timeout);
            if due > now {
                self.alarms.arm(slot, due);
                continue;
            }
            self.counters.hung += 1;
            self.kill(key, "its reply takes too long (redirector.timeout)", now);
        }
        self.keep_pace(now);
        self.settle(now);
    }

    /// When [`HelperPool::handle_timeout`] is to be called next, if nothing else happens.
    pub fn poll_timeout(&self) -> Option<Millis> {
        [self.alarms.next(), self.next_pace()].into_iter().flatten().min()
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<PoolAction> {
        self.actions.pop_front()
    }

    /// Starts the helpers that are missing, and puts waiting questions before those that are free. Called after every
    /// input.
    pub fn settle(&mut self, now: Millis) {
        self.fill(now);
        // `fill` has started none: helpers end as soon as they are started, and the next start may be 30 seconds away.
        // Clients get their error now and not when they have waited.
        if self.scaling.alive == 0 {
            self.give_up();
        }
        self.reserve.note(self.waiting.clients(), now);
        while !self.waiting.is_empty() {
            let Some(key) = self.first_free() else { break };
            if !self.waiting.is_first() && !self.has_spare() {
                break;
            }
            let Some((ticket, waiting)) = self.waiting.pop() else { break };
            self.send(key, ticket, waiting, now);
        }
    }

    /// Fails all waiting questions, because no helper runs and none may be started yet.
    fn give_up(&mut self) {
        for (ticket, waiting) in self.waiting.drain() {
            self.counters.failed += 1;
            self.actions.push_back(PoolAction::Fail(ticket, waiting.who, HelperFault::NoHelper));
        }
    }

    fn send(&mut self, key: Key, ticket: Ticket, waiting: Waiting, now: Millis) {
        let Some(helper) = self.helpers.get_mut(key) else { return };
        helper.asked += 1;
        let channel = helper.asked;
        let Waiting { who, client, again, .. } = waiting;
        helper.flights.push(Flight { channel, ticket, who: Some(who), client, again, sent: now });
        // Idle helpers stand in front, the one used last first: its memory is still in the processor's cache, and the
        // others can be let go. Busy ones take turns behind them.
        self.free.pop_front();
        helper.listed = helper.has_room();
        if helper.listed {
            self.free.push_back(key);
        }
        self.alarms.arm(key.index, now.saturating_add(self.settings.timeout));
        self.counters.asked += 1;
        self.scaling.note_wait(now.saturating_sub(waiting.since));
        self.actions.push_back(PoolAction::Ask { helper: key, channel, ticket, who: waiting.who });
    }

    /// Is there room before helpers beyond what is kept for clients that have no question?
    fn has_spare(&self) -> bool {
        let serving =
            self.helpers.iter().map(|(_, helper)| helper).filter(|helper| helper.state == HelperState::Serving);
        let (places, busy) =
            serving.fold((0, 0), |(places, busy), helper| (places + helper.capacity, busy + helper.flights.len()));
        let kept = self.reserve.kept(self.waiting.clients(), places);
        places.saturating_sub(busy) > kept
    }

    /// The helper to ask next. Helpers that have left since they were listed are dropped from the list.
    fn first_free(&mut self) -> Option<Key> {
        loop {
            let key = *self.free.front()?;
            match self.helpers.get(key) {
                Some(helper) if helper.has_room() => return Some(key),
                _ => self.free.pop_front(),
            };
        }
    }

    /// A helper has become able to take a question, or has none left before it ends.
    fn offer(&mut self, key: Key) {
        let Some(helper) = self.helpers.get_mut(key) else { return };
        let idle = helper.flights.is_empty();
        if helper.state == HelperState::Leaving && idle {
            return self.actions.push_back(PoolAction::Retire(key));
        }
        if !helper.has_room() || helper.listed {
            return;
        }
        helper.listed = true;
        match idle {
            true => self.free.push_front(key),
            false => self.free.push_back(key),
        }
    }

    /// A question has lost its helper: it is asked once more elsewhere.
    fn rescue(&mut self, flight: Flight, now: Millis) {
        self.waiting.give_back(flight.client);
        let Some(who) = flight.who else { return };
        if flight.again {
            self.counters.failed += 1;
            return self.actions.push_back(PoolAction::Fail(flight.ticket, who, HelperFault::Helper));
        }
        self.counters.again += 1;
        let Flight { ticket, client, .. } = flight;
        self.waiting.insert(ticket, Waiting { who, client, since: now, again: true });
    }
}
