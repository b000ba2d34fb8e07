//! Helpers for sessions of all loops: the first loop has them, and the others ask it. In its pool such a session has a key that no
//! session of its own has.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use reactor::arena::{Arena, Key};

use super::letters::{FarQuestion, FarReply, News, Task};
use super::LoopRole;
use crate::policy::shares::ClientKey;
use crate::proxy::client::{Waits, FAR};
use crate::proxy::helpers::{question_of, Heeded};
use crate::proxy::Proxy;
use crate::redirector::helper::Program;
use crate::redirector::pool::{Answered, HelperFault, Ticket};
use crate::redirector::question::Question;
use crate::redirector::HelperTerms;

/// What a loop without helpers knows of them, and what it has asked.
#[derive(Debug, Default)]
pub(super) struct Asking {
    pub(super) terms: Option<HelperTerms>,
    last: u64,
    /// Whether helpers have taken the questions that are waited for.
    taken: HashMap<Ticket, Arc<AtomicBool>>,
}

/// A question of a session of another loop.
#[derive(Debug)]
struct Stranger {
    from: usize,
    who: Key,
    ticket: Ticket,
    /// The name of the question in the pool.
    pooled: Option<Ticket>,
    question: Box<FarQuestion>,
}

/// The questions of other loops.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    asked: Arena<Stranger>,
    by_ticket: HashMap<(usize, Ticket), Key>,
}

impl Strangers {
    /// Gives the key that stands for the session in the pool.
    fn enter(&mut self, stranger: Stranger) -> Key {
        let name = (stranger.from, stranger.ticket);
        let key = self.asked.insert(stranger);
        let far = Key { index: key.index | FAR, ..key };
        self.by_ticket.insert(name, far);
        far
    }

    fn get(&self, far: Key) -> Option<&Stranger> {
        self.asked.get(Key { index: far.index & !FAR, ..far })
    }

    fn get_mut(&mut self, far: Key) -> Option<&mut Stranger> {
        self.asked.get_mut(Key { index: far.index & !FAR, ..far })
    }

    fn leave(&mut self, far: Key) -> Option<Stranger> {
        let stranger = self.asked.remove(Key { index: far.index & !FAR, ..far })?;
        self.by_ticket.remove(&(stranger.from, stranger.ticket));
        Some(stranger)
    }
}

impl Proxy {
    /// Has the first loop ask helpers about the request of a session of this one.
    pub(in crate::proxy) fn consult_afar(&mut self, key: Key) {
        if self.first_hangs() {
            return self.undecided(key, &HelperFault::QueueFull.to_string());
        }
        let Some(question) = self.far_question(key) else { return };
        let Some(loops) = self.loops.as_mut() else { return };
        let number = loops.number;
        let Some(further) = loops.further() else { return };
        further.asking.last += 1;
        let ticket = Ticket::numbered(further.asking.last);
        further.asking.taken.insert(ticket, Arc::clone(&question.taken));
        loops.post.first.post(News::Ask(number, key, ticket, Box::new(question)));
        self.set_waits(key, Waits::Reply(ticket));
        self.note_asked(key);
    }

    /// Whether the first loop is not to be waited for. A long box alone says nothing: it may come of one long turn of that loop, and how
    /// many questions wait is for `redirector.queue` to bound, as with one loop. Until then there is one for each session.
    fn first_hangs(&self) -> bool {
        let is_long = self.loops.as_ref().is_some_and(|loops| loops.post.first.is_long());
        is_long && self.beats.as_ref().is_some_and(|beats| beats.hanging().any(|(number, _)| number == 0))
    }

    /// What helpers are asked about it.
    fn far_question(&self, key: Key) -> Option<FarQuestion> {
        let tells = self.helper_terms()?.tells_local;
        let question = question_of(self.clients.get(key)?, tells)?;
        Some(FarQuestion {
            request: question.request.clone(),
            client: question.client,
            local: question.local,
            lines: question.lines.into(),
            taken: Arc::default(),
        })
    }

    /// Helpers have these terms from now on, or there are none any more. Requests that wait for a reply of those pass.
    pub(super) fn use_helpers(&mut self, terms: Option<HelperTerms>) {
        let Some(further) = self.further_loop() else { return };
        further.asking.terms = terms;
        if terms.is_none() {
            further.asking.taken.clear();
            self.permit_waiting();
        }
    }

    /// The first loop has helpers of these terms when this one begins.
    pub(in crate::proxy) fn know_helpers(&mut self, terms: Option<HelperTerms>) {
        if let Some(further) = self.further_loop() {
            further.asking.terms = terms;
        }
    }

    /// A reply is not wanted any more.
    pub(in crate::proxy) fn cancel_question(&mut self, ticket: Ticket) {
        if let Some(redirector) = &mut self.redirector {
            return redirector.cancel(ticket, self.clock.now());
        }
        let Some(loops) = &mut self.loops else { return };
        let number = loops.number;
        let was_asked = loops.further().is_some_and(|further| further.asking.taken.remove(&ticket).is_some());
        if was_asked {
            loops.post.first.post(News::Cancel(number, ticket));
        }
    }

    /// Does a question wait for a helper?
    pub(in crate::proxy) fn is_unheard(&self, ticket: Ticket) -> bool {
        if let Some(redirector) = &self.redirector {
            return redirector.pool().is_waiting(ticket);
        }
        match self.loops.as_ref().map(|loops| &loops.role) {
            Some(LoopRole::Further(further)) => {
                further.asking.taken.get(&ticket).is_some_and(|taken| !taken.load(Ordering::Relaxed))
            }
            _ => false,
        }
    }

    /// A helper has replied to a question of this loop, which is not the first.
    pub(super) fn far_reply(&mut self, reply: FarReply) {
        let (key, ticket) = (reply.who, reply.ticket);
        if !self.stop_waiting(key, ticket) {
            return;
        }
        if self.heed(key, &reply.program, &reply.reply) == Heeded::Broken {
            self.set_waits(key, Waits::Reply(ticket));
            if let Some(loops) = &self.loops {
                reply.question.taken.store(false, Ordering::Relaxed);
                loops.post.first.post(News::AskAgain(loops.number, ticket, Box::new(reply)));
            }
        } else if let Some(further) = self.further_loop() {
            further.asking.taken.remove(&ticket);
        }
        self.enqueue(key);
    }

    /// No helper will reply to a question of this loop; without a fault because there are none any more.
    pub(super) fn far_fault(&mut self, key: Key, ticket: Ticket, fault: Option<HelperFault>) {
        if let Some(further) = self.further_loop() {
            further.asking.taken.remove(&ticket);
        }
        if !self.stop_waiting(key, ticket) {
            return;
        }
        match fault {
            Some(fault) => self.undecided(key, &fault.to_string()),
            None => self.permit(key),
        }
        self.enqueue(key);
    }

    /// A session of another loop asks helpers.
    pub(super) fn stranger_asks(&mut self, from: usize, who: Key, ticket: Ticket, question: Box<FarQuestion>) {
        let now = self.clock.now();
        let Some(loops) = &mut self.loops else { return };
        let Some(redirector) = &mut self.redirector else {
            if let Some(mailbox) = loops.post.mailbox(from) {
                mailbox.post(Task::Unasked(who, ticket));
            }
            return;
        };
        let client = ClientKey::from(question.client);
        let Some(first) = loops.first() else { return };
        let far = first.strangers.enter(Stranger { from, who, ticket, pooled: None, question });
        match redirector.ask(far, client, now) {
            Ok(pooled) => {
                if let Some(stranger) = first.strangers.get_mut(far) {
                    stranger.pooled = Some(pooled);
                }
            }
            Err(fault) => self.stranger_fails(far, fault),
        }
    }

    /// A reply was of no use to a session of another loop.
    pub(super) fn stranger_asks_again(&mut self, from: usize, ticket: Ticket, reply: FarReply) {
        let now = self.clock.now();
        let FarReply { who, answered, question, .. } = reply;
        let Some(first) = self.first_loop() else { return };
        let far = first.strangers.enter(Stranger { from, who, ticket, pooled: Some(answered.ticket), question });
        let again = self.redirector.as_mut().map(|helpers| helpers.ask_again(&Answered { who: far, ..answered }, now));
        if again != Some(true) {
            self.stranger_fails(far, HelperFault::Helper);
        }
    }

    /// A session of another loop does not wait any more.
    pub(super) fn stranger_leaves(&mut self, from: usize, ticket: Ticket) {
        let now = self.clock.now();
        let Some(first) = self.first_loop() else { return };
        let far = first.strangers.by_ticket.get(&(from, ticket)).copied();
        let pooled = far.and_then(|far| first.strangers.leave(far)?.pooled);
        if let (Some(pooled), Some(redirector)) = (pooled, &mut self.redirector) {
            redirector.cancel(pooled, now);
        }
    }

    /// Writes the question of a session of another loop for a helper.
    pub(in crate::proxy) fn put_far(&mut self, helper: Key, channel: u64, far: Key) {
        let Some(LoopRole::First(first)) = self.loops.as_ref().map(|loops| &loops.role) else { return };
        let (Some(stranger), Some(redirector)) = (first.strangers.get(far), &mut self.redirector) else { return };
        let FarQuestion { request, client, local, lines, taken } = &*stranger.question;
        taken.store(true, Ordering::Relaxed);
        let question = Question { request, client: *client, local: *local, lines };
        redirector.put(helper, &mut self.out, |dialect, out| dialect.encode(out, &question, channel));
    }

    /// A helper has replied to a session of another loop.
    pub(in crate::proxy) fn stranger_replied(&mut self, answered: Answered, program: Arc<Program>, reply: Vec<u8>) {
        self.counters.helper_time.note(self.clock.since(answered.took, 0));
        let Some(loops) = &mut self.loops else { return };
        let Some(stranger) = loops.first().and_then(|first| first.strangers.leave(answered.who)) else { return };
        let Stranger { from, who, ticket, question, .. } = stranger;
        let reply = FarReply { who, ticket, answered, program, reply, question };
        if let Some(mailbox) = loops.post.mailbox(from) {
            mailbox.post(Task::Replied(Box::new(reply)));
        }
    }

    /// No helper will reply to a session of another loop.
    pub(in crate::proxy) fn stranger_fails(&mut self, far: Key, fault: HelperFault) {
        let Some(loops) = &mut self.loops else { return };
        let Some(stranger) = loops.first().and_then(|first| first.strangers.leave(far)) else { return };
        if let Some(mailbox) = loops.post.mailbox(stranger.from) {
            mailbox.post(Task::Undecided(stranger.who, stranger.ticket, fault));
        }
    }

    /// There are no helpers any more: questions of other loops, which hear of it themselves, are forgotten.
    pub(in crate::proxy) fn forget_strangers(&mut self) {
        if let Some(first) = self.first_loop() {
            first.strangers = Strangers::default();
        }
    }
}
