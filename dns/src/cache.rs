//! What is known of names, and until when. Knows neither how it was learned nor which lookup asks.
//!
//! One entry per name holds both families, so that a hit costs one search and no allocation. When the cache is full, a
//! hand goes round the entries and takes the first that is over or was not used since it last came by.

use std::collections::HashMap;
use std::sync::Arc;

use crate::hash::Seeded;
use crate::outcome::{combine, Answer, Stored, UNTOLD};
use crate::{Addresses, Failure, Families, Family, Millis};

/// Entries that the hand passes at most for one insertion; after that it takes the entry under it, used or not.
const MAX_STEPS: usize = 64;
/// First and longest time for which a failure is remembered, in milliseconds; it doubles from one failure to the next.
/// RFC 9520 section 3.2 asks for one second at least. After five, users would see a failure that is mended already.
const FAILURE_FIRST: Millis = 1_000;
const FAILURE_LAST: Millis = 5_000;
/// The same where the other family has addresses: this one is not missed, and each new try would cost its time limit. A
/// "no" without an SOA is kept for as long there, and only there: without it each request for such a name would ask.
const FAILURE_BESIDE: Millis = 30_000;
/// Least time between two times that a name is forgotten, in milliseconds. A client brings that about by asking for a
/// port that refuses connections; without the pause it could take the name from all other clients as often as it likes.
const FORGET_PAUSE: Millis = 60_000;

/// The names that were looked up.
#[derive(Debug)]
pub struct Cache {
    index: HashMap<Arc<str>, usize, Seeded>,
    entries: Vec<Entry>,
    capacity: usize,
    hand: usize,
}

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    parts: [FamilyRecord; 2],
    used: bool,
    /// Before this moment it is not forgotten again.
    forget_at: Millis,
}

#[derive(Clone, Debug, Default)]
struct FamilyRecord {
    stored: Option<Stored>,
    learned: Millis,
    failures: u8,
}

impl Cache {
    /// A cache of at most `capacity` names; zero keeps nothing. `seed` must be hard to guess.
    pub fn new(capacity: usize, seed: u64) -> Cache {
        Cache { index: HashMap::with_hasher(Seeded(seed)), entries: Vec::new(), capacity, hand: 0 }
    }

    /// How many names are kept, those whose time is over included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The result of a name in normal form, if every wanted family is known now.
    pub fn get(&mut self, name: &str, wants: Families, now: Millis) -> Option<Result<Addresses, Failure>> {
        let &at = self.index.get(name)?;
        let entry = self.entries.get_mut(at)?;
        entry.used = true;
        let v6 = entry.fresh(Family::V6, now);
        let v4 = entry.fresh(Family::V4, now);
        let known = (v6.is_some() || !wants.v6) && (v4.is_some() || !wants.v4);
        known.then(|| combine(v6.filter(|_| wants.v6), v4.filter(|_| wants.v4)))
    }

    /// What is known of one family.
    pub(crate) fn part(&mut self, name: &str, family: Family, now: Millis) -> Option<Stored> {
        let &at = self.index.get(name)?;
        self.entries.get(at)?.fresh(family, now).cloned()
    }

    /// Keeps an answer until its time is over.
    pub(crate) fn put(&mut self, name: &Arc<str>, family: Family, stored: Stored, now: Millis) {
        if self.capacity == 0 {
            return;
        }
        let at = match self.index.get(name) {
            Some(&at) => at,
            None if stored.expires == UNTOLD && stored.is_no() => return,
            None => self.insert(name, now),
        };
        if let Some(entry) = self.entries.get_mut(at) {
            entry.put(family, stored, now);
        }
    }

    /// Drops what is known of a name, unless it was learned less than `age` milliseconds ago. The same name is dropped
    /// once a minute at most.
    pub fn forget(&mut self, name: &str, age: Millis, now: Millis) {
        let Some(&at) = self.index.get(name) else { return };
        let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.forget_at <= now) else { return };
        for part in &mut entry.parts {
            if now.saturating_sub(part.learned) >= age && part.stored.take().is_some() {
                entry.forget_at = now + FORGET_PAUSE;
            }
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.index.clear();
        self.entries.clear();
        self.hand = 0;
    }

    fn insert(&mut self, name: &Arc<str>, now: Millis) -> usize {
        let entry = Entry { name: Arc::clone(name), parts: Default::default(), used: true, forget_at: 0 };
        let at = if self.entries.len() < self.capacity {
            self.entries.push(entry);
            self.entries.len() - 1
        } else {
            let at = self.victim(now);
            self.index.remove(&self.entries[at].name);
            self.entries[at] = entry;
            at
        };
        self.index.insert(Arc::clone(name), at);
        at
    }

    /// The entry that makes room. Called only when there are entries, so that the remainder is defined.
    fn victim(&mut self, now: Millis) -> usize {
        for _ in 0..MAX_STEPS {
            let entry = &mut self.entries[self.hand];
            if !entry.used || entry.is_over(now) {
                break;
            }
            // It was used since the hand came by last, and is spared until it comes by again (the clock algorithm).
            entry.used = false;
            self.hand = (self.hand + 1) % self.entries.len();
        }
        let at = self.hand;
        self.hand = (at + 1) % self.entries.len();
        at
    }
}

impl Entry {
    fn fresh(&self, family: Family, now: Millis) -> Option<&Stored> {
        self.parts[family.index()].stored.as_ref().filter(|stored| stored.expires > now)
    }

    fn is_over(&self, now: Millis) -> bool {
        Family::BOTH.into_iter().all(|family| self.fresh(family, now).is_none())
    }

    fn put(&mut self, family: Family, mut stored: Stored, now: Millis) {
        let others = Family::BOTH.into_iter().filter(|other| *other != family);
        let beside = others.filter_map(|other| self.fresh(other, now)).find(|other| other.is_found());
        let beside = beside.map(|other| other.expires);
        let part = &mut self.parts[family.index()];
        if let Answer::Failed(_) = stored.answer {
            let time = FAILURE_LAST.min(FAILURE_FIRST << part.failures.min(8));
            stored.expires = now + if beside.is_some() { FAILURE_BESIDE } else { time };
            part.failures = part.failures.saturating_add(1);
        } else {
            part.failures = 0;
        }
        if stored.expires == UNTOLD && stored.is_no() {
            stored.expires = beside.map_or(UNTOLD, |other| other.min(now + FAILURE_BESIDE));
        }
        part.learned = now;
        part.stored = Some(stored).filter(|stored| stored.expires != UNTOLD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    const BOTH: Families = Families { v4: true, v6: true };

    fn found(expires: Millis) -> Stored {
        Stored { answer: Answer::Found([IpAddr::from([192, 0, 2, 1])].into()), expires }
    }

    fn answer(answer: Answer, expires: Millis) -> Stored {
        Stored { answer, expires }
    }

    fn name(text: &str) -> Arc<str> {
        text.into()
    }

    #[test]
    fn both_families_must_be_known() {
        let mut cache = Cache::new(10, 1);
        let a = name("a.test");
        cache.put(&a, Family::V4, found(1_000), 0);
        assert_eq!(cache.get("a.test", BOTH, 0), None);
        assert!(cache.get("a.test", Families { v4: true, v6: false }, 0).unwrap().is_ok());
        cache.put(&a, Family::V6, answer(Answer::NoAddress, 500), 0);
        assert!(cache.get("a.test", BOTH, 499).unwrap().is_ok());
        assert_eq!(cache.get("a.test", BOTH, 500), None, "its time is over");
        assert!(cache.part("a.test", Family::V4, 999).is_some() && cache.part("a.test", Family::V4, 1_000).is_none());
    }

    #[test]
    fn failures_are_remembered_longer_each_time_up_to_five_seconds() {
        let mut cache = Cache::new(10, 1);
        let a = name("a.test");
        let mut now = 0;
        for expected in [1_000, 2_000, 4_000, 5_000, 5_000] {
            cache.put(&a, Family::V4, answer(Answer::Failed(Failure::Timeout), 0), now);
            assert_eq!(cache.part("a.test", Family::V4, now).unwrap().expires, now + expected);
            now += 10_000;
        }
        cache.put(&a, Family::V4, found(now + 1), now);
        cache.put(&a, Family::V4, answer(Answer::Failed(Failure::Timeout), 0), now);
        assert_eq!(cache.part("a.test", Family::V4, now).unwrap().expires, now + 1_000);
    }

    #[test]
    fn a_failed_family_beside_a_good_one_is_left_alone_for_longer() {
        let mut cache = Cache::new(10, 1);
        let a = name("a.test");
        cache.put(&a, Family::V4, found(100_000), 0);
        cache.put(&a, Family::V6, answer(Answer::Failed(Failure::Timeout), 0), 0);
        assert!(cache.get("a.test", BOTH, 29_999).unwrap().is_ok());
        assert_eq!(cache.get("a.test", BOTH, 30_000), None);
    }

    #[test]
    fn it_never_grows_beyond_its_capacity_and_keeps_what_is_used() {
        let mut cache = Cache::new(100, 7);
        for i in 0..10_000 {
            cache.put(&name(&format!("n{i}.test")), Family::V4, found(1 << 40), 0);
            cache.get("hot.test", BOTH, 0).or_else(|| {
                cache.put(&name("hot.test"), Family::V4, found(1 << 40), 0);
                cache.put(&name("hot.test"), Family::V6, found(1 << 40), 0);
                None
            });
        }
        assert_eq!((cache.len(), cache.index.len()), (100, 100));
        assert!(cache.get("hot.test", BOTH, 0).is_some());
        assert!(cache.part("n9999.test", Family::V4, 0).is_some() && cache.part("n1.test", Family::V4, 0).is_none());
    }

    #[test]
    fn what_is_over_goes_first() {
        let mut cache = Cache::new(3, 7);
        for (text, expires) in [("a.test", 1_000), ("b.test", 10), ("c.test", 1_000)] {
            cache.put(&name(text), Family::V4, found(expires), 0);
        }
        cache.hand = 1;
        cache.put(&name("d.test"), Family::V4, found(1_000), 20);
        assert!(["a.test", "c.test", "d.test"].iter().all(|name| cache.part(name, Family::V4, 20).is_some()));
    }

    #[test]
    fn forgetting_spares_what_is_new() {
        let mut cache = Cache::new(3, 7);
        cache.put(&name("a.test"), Family::V4, found(100_000), 1_000);
        cache.forget("a.test", 5_000, 2_000);
        assert!(cache.part("a.test", Family::V4, 2_000).is_some());
        cache.forget("a.test", 5_000, 6_000);
        assert!(cache.part("a.test", Family::V4, 6_000).is_none());
        cache.clear();
        assert!(cache.is_empty());
    }

    #[test]
    fn a_capacity_of_zero_keeps_nothing() {
        let mut cache = Cache::new(0, 7);
        cache.put(&name("a.test"), Family::V4, found(100_000), 0);
        assert!(cache.is_empty() && cache.get("a.test", BOTH, 0).is_none());
    }
}
