//! The resolver's lookups: from a name to its candidates, from answers to results, from results to waiters. How questions
//! travel is the matter of `asking`.

use std::sync::Arc;

use super::asking::Outcome;
use super::config::millis;
use super::lookup::FamilyState;
use super::table::Key;
use super::verdict::MAX_ALIASES;
use super::{some, Event, LookupId, Resolver};
use crate::outcome::{Answer, Stored, UNTOLD};
use crate::{Addresses, Failure, Family, Millis};

impl Resolver {
    /// Starts with the first candidate.
    pub(super) fn begin(&mut self, key: Key, now: Millis) {
        if self.next_candidate(key, now) {
            self.settle(key, now);
        } else {
            self.finish(key, Err(Failure::BadName));
        }
    }

    /// Asks for the next candidate; `false` if there is none.
    fn next_candidate(&mut self, key: Key, now: Millis) -> bool {
        let Some(lookup) = self.lookups.get_mut(key) else { return false };
        if !lookup.next_candidate(&self.config) {
            return false;
        }
        let name = Arc::clone(&lookup.name);
        lookup.parts = [FamilyState::Off, FamilyState::Off];
        if let Some(addresses) = self.hosts.get(&name) {
            let result = some(addresses.only(self.config.families));
            self.finish(key, result);
            return true;
        }
        for family in Family::BOTH {
            if self.asked.has(family) {
                self.ask_part(key, family, &name, Millis::MAX, 0, now);
            }
        }
        true
    }

    /// Asks for one family, of the candidate itself or of a name that it is an alias for.
    fn ask_part(&mut self, key: Key, family: Family, name: &Arc<str>, expires: Millis, hops: u8, now: Millis) {
        let part = match self.cache.part(name, family, now) {
            Some(mut stored) => {
                stored.expires = stored.expires.min(expires);
                FamilyState::Known(stored)
            }
            None => match self.ask(name, family, key, now) {
                Ok(query) => FamilyState::Asking { query, expires, hops },
                Err(failure) => FamilyState::Known(Stored { answer: Answer::Failed(failure), expires: now }),
            },
        };
        let Some(lookup) = self.lookups.get_mut(key) else { return };
        lookup.parts[family.index()] = part;
        let alias = (hops > 0).then(|| (Arc::clone(&lookup.name), lookup.known(family).cloned()));
        if let Some((name, Some(stored))) = alias {
            self.remember(&name, family, stored, now);
        }
    }

    /// Keeps an answer, unless the hosts file has the name or the failure is ours and tells nothing of the name.
    pub(super) fn remember(&mut self, name: &Arc<str>, family: Family, stored: Stored, now: Millis) {
        let ours = matches!(stored.answer, Answer::Failed(Failure::Overloaded | Failure::NoServers));
        if !ours && !self.hosts.has(name) {
            self.cache.put(name, family, stored, now);
        }
    }

    /// A question that a lookup waits for has ended.
    pub(super) fn take_outcome(&mut self, key: Key, query: Key, family: Family, outcome: &Outcome, now: Millis) {
        let Some(lookup) = self.lookups.get_mut(key) else { return };
        let (expires, hops) = match lookup.parts[family.index()] {
            FamilyState::Asking { query: own, expires, hops } if own == query => (expires, hops),
            _ => return,
        };
        let name = Arc::clone(&lookup.name);
        match outcome {
            Outcome::Answer(stored) => {
                let stored = Stored { expires: stored.expires.min(expires), ..stored.clone() };
                self.know(key, family, stored, hops > 0, now);
            }
            Outcome::Alias { target, expires: own, hops: more } => {
                let hops = hops.saturating_add(*more);
                if hops > MAX_ALIASES || *target == name {
                    let stored = Stored { answer: Answer::Failed(Failure::Loop), expires: now };
                    self.know(key, family, stored, true, now);
                } else {
                    self.ask_part(key, family, target, expires.min(*own), hops, now);
                }
            }
        }
        self.settle(key, now);
    }

    /// Notes an answer; `cache` says that it was learned under another name and has to be kept under this one too.
    fn know(&mut self, key: Key, family: Family, stored: Stored, cache: bool, now: Millis) {
        let Some(lookup) = self.lookups.get_mut(key) else { return };
        lookup.parts[family.index()] = FamilyState::Known(stored.clone());
        if cache {
            let name = Arc::clone(&lookup.name);
            self.remember(&name, family, stored, now);
        }
    }

    /// Draws the conclusion from what is known: wait, announce one family, try the next candidate, or end. Each turn
    /// uses up a candidate.
    fn settle(&mut self, key: Key, now: Millis) {
        while let Some(lookup) = self.lookups.get_mut(key).filter(|lookup| lookup.result.is_none()) {
            // A question is open. What came so far is enough to begin with, if there are addresses in it (RFC 8305).
            if !lookup.is_complete() {
                return self.settle_early(key, now);
            }
            // Both families are in. One with addresses makes the name a success, even if the other failed: the connection
            // race can use what there is.
            let failure = match lookup.combined() {
                Ok(addresses) => {
                    self.keep_missing(key, now);
                    return self.finish(key, Ok(addresses));
                }
                Err(failure) => failure,
            };
            // As resolv.conf(5) has it, "no such name" leads on through the search list. The failure that is told in the
            // end is the gravest of all candidates: a server's failure is not hidden behind the NXDOMAIN of the last.
            let goes_on = lookup.note_failure(failure);
            let worst = lookup.failure();
            if !goes_on || !self.next_candidate(key, now) {
                return self.finish(key, Err(worst));
            }
        }
    }

    /// A "no" without an SOA that came first was not kept. Now that the other family has addresses it may be kept beside
    /// them, so that not every request for the name asks again.
    fn keep_missing(&mut self, key: Key, now: Millis) {
        let Some(lookup) = self.lookups.get(key) else { return };
        let untold = |family: &Family| lookup.known(*family).is_some_and(|stored| stored.expires == UNTOLD);
        let Some(family) = Family::BOTH.into_iter().find(untold) else { return };
        let (name, stored) = (Arc::clone(&lookup.name), lookup.known(family).cloned());
        if let Some(stored) = stored {
            self.remember(&name, family, stored, now);
        }
    }

    /// Announces the first family, if it has addresses. RFC 8305 section 3: IPv6 addresses are used at once; IPv4
    /// addresses wait 50 ms, so that the connection race can begin with IPv6 where both answers are on their way.
    fn settle_early(&mut self, key: Key, now: Millis) {
        let Some(lookup) = self.lookups.get_mut(key).filter(|lookup| !lookup.early) else { return };
        let delay = millis(self.config.resolution_delay);
        if lookup.has_found(Family::V6) || (lookup.has_found(Family::V4) && delay == 0) {
            lookup.early = true;
            self.announce(key);
        } else if lookup.has_found(Family::V4) && lookup.early_at.is_none() {
            lookup.early_at = Some(now + delay);
            self.lookup_alarms.arm(key.index, now + delay);
        }
    }

    fn finish(&mut self, key: Key, result: Result<Addresses, Failure>) {
        let Some(lookup) = self.lookups.get_mut(key) else { return };
        lookup.result = Some(result);
        // A lookup that ends within `begin` has no waiter yet and no entry in `by_name`: its caller takes the result
        // itself.
        if !lookup.waiters.is_empty() {
            self.by_name.remove(&lookup.asked);
            self.announce(key);
        }
    }

    /// Puts a lookup into the queue of lookups with something to tell, once.
    pub(super) fn announce(&mut self, key: Key) {
        let Some(lookup) = self.lookups.get_mut(key).filter(|lookup| !lookup.queued && !lookup.waiters.is_empty())
        else {
            return;
        };
        lookup.queued = true;
        self.ready.push_back(key);
    }

    /// The next thing to tell. What it is follows from the state now, so that two answers that came together make one
    /// event.
    pub(super) fn next_event(&mut self) -> Option<Event> {
        while let Some(&key) = self.ready.front() {
            if let Some(lookup) = self.lookups.get_mut(key) {
                if let Some(result) = &lookup.result {
                    if let Some(waiter) = lookup.waiters.pop_front() {
                        return Some(last_event(key, waiter, result, &mut lookup.told));
                    }
                    self.lookups.remove(key);
                } else if let Some(event) = lookup.early_event() {
                    return Some(event);
                } else {
                    lookup.queued = false;
                }
            }
            self.ready.pop_front();
        }
        None
    }

    /// The alarm of a lookup rings: its time is over, or its IPv4 addresses have waited long enough.
    pub(super) fn lookup_due(&mut self, slot: u32, now: Millis) {
        let Some(key) = self.lookups.key_at(slot) else { return };
        let Some(lookup) = self.lookups.get_mut(key).filter(|lookup| lookup.result.is_none()) else { return };
        if lookup.deadline <= now {
            return self.expire(key, now);
        }
        if lookup.early_at.is_some_and(|at| at <= now) {
            lookup.early_at = None;
            lookup.early = true;
        }
        let (early, due) = (lookup.early, lookup.due());
        self.lookup_alarms.arm(slot, due);
        if early {
            self.announce(key);
        }
    }

    /// The time for the whole name is over: the waiters get what is known.
    fn expire(&mut self, key: Key, now: Millis) {
        self.unsubscribe(key, now);
        let Some(lookup) = self.lookups.get(key) else { return };
        let result = lookup.combined().map_err(|_| Failure::Timeout);
        self.finish(key, result);
    }

    /// The last waiter of a lookup has gone.
    pub(super) fn abandon(&mut self, key: Key, now: Millis) {
        self.unsubscribe(key, now);
        let Some(lookup) = self.lookups.remove(key) else { return };
        if lookup.result.is_none() {
            self.by_name.remove(&lookup.asked);
        }
    }

    fn unsubscribe(&mut self, key: Key, now: Millis) {
        let Some(lookup) = self.lookups.get_mut(key) else { return };
        let asking = lookup.parts.each_mut().map(|part| match *part {
            FamilyState::Asking { query, .. } => {
                *part = FamilyState::Off;
                Some(query)
            }
            FamilyState::Off | FamilyState::Known(_) => None,
        });
        for query in asking.into_iter().flatten() {
            self.leave_query(query, key, now);
        }
    }
}

/// What a waiter is told at the end. Waiters that were told of one family stand in front and get the rest as `Late`,
/// which always has addresses.
fn last_event(key: Key, waiter: u64, result: &Result<Addresses, Failure>, told: &mut usize) -> Event {
    if *told > 0 {
        *told -= 1;
        let lookup = LookupId(key.to_bits());
        return Event::Late { lookup, waiter, addresses: result.clone().unwrap_or_default() };
    }
    Event::Resolved { waiter, result: result.clone(), more: false }
}

impl super::lookup::Lookup {
    /// The first family, for the next waiter that was not told of it yet.
    fn early_event(&mut self) -> Option<Event> {
        let waiter = *self.waiters.get(self.told).filter(|_| self.early)?;
        self.told += 1;
        Some(Event::Resolved { waiter, result: self.combined(), more: true })
    }
}
