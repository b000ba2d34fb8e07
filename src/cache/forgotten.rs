//! What was forgotten of a shard while responses to it may have been on their way: what was asked for before that is not kept, and
//! none who asks afterwards shares it. Knows hashes of keys alone, and the order of events.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;

use super::filed::Epoch;
use super::storage::ReadyHash;

/// Most keys that are remembered in all. What was asked for before the oldest of more went is taken to be untrue.
pub const MOST: usize = 8192;

/// What was forgotten, and in which epoch.
#[derive(Debug)]
pub struct Forgotten {
    /// So many keys are remembered at most.
    most: usize,
    epoch: Epoch,
    /// When all keys were forgotten, or what is as good.
    all: Epoch,
    keys: HashMap<u64, Epoch, BuildHasherDefault<ReadyHash>>,
    order: VecDeque<(u64, Epoch)>,
}

impl Forgotten {
    /// Remembers so many keys.
    pub fn new(most: usize) -> Forgotten {
        Forgotten { most, epoch: 0, all: 0, keys: HashMap::default(), order: VecDeque::new() }
    }

    /// The present.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The epoch since which what is asked for under a key is true.
    pub fn since(&self, hash: u64) -> Epoch {
        self.keys.get(&hash).copied().unwrap_or(self.all)
    }

    /// What is kept for a key is forgotten.
    pub fn note(&mut self, hash: u64) {
        self.epoch += 1;
        self.keys.insert(hash, self.epoch);
        self.order.push_back((hash, self.epoch));
        while self.keys.len() > self.most || self.order.len() > 2 * self.most {
            self.drop_oldest();
        }
    }

    /// What is kept for many keys is forgotten.
    pub fn note_all(&mut self) {
        self.epoch += 1;
        self.all = self.epoch;
        self.keys = HashMap::default();
        self.order = VecDeque::new();
    }

    fn drop_oldest(&mut self) {
        let Some((hash, at)) = self.order.pop_front() else { return };
        if self.keys.get(&hash) == Some(&at) {
            self.keys.remove(&hash);
            self.all = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_before_is_untrue_and_what_is_asked_for_afterwards_is_not() {
        let mut forgotten = Forgotten::new(9);
        let holds = |forgotten: &Forgotten, hash, asked| asked >= forgotten.since(hash);
        let first = forgotten.epoch();
        assert!(holds(&forgotten, 1, first));
        forgotten.note(1);
        let second = forgotten.epoch();
        assert_eq!([1, 2].map(|hash| holds(&forgotten, hash, first)), [false, true], "of one key alone");
        assert!(holds(&forgotten, 1, second));
        forgotten.note(2);
        forgotten.note(1);
        assert_eq!([1, 2, 3].map(|hash| holds(&forgotten, hash, second)), [false, false, true]);
        forgotten.note_all();
        let third = forgotten.epoch();
        assert_eq!([1, 3].map(|hash| holds(&forgotten, hash, third - 1)), [false; 2]);
        assert_eq!([1, 3].map(|hash| holds(&forgotten, hash, third)), [true; 2]);
    }

    /// What is not remembered any more is never taken for true.
    #[test]
    fn its_memory_has_a_bound() {
        let mut forgotten = Forgotten::new(100);
        let begun = forgotten.epoch();
        for hash in 0..1000 {
            let before = forgotten.epoch();
            forgotten.note(hash % 150);
            assert!(before < forgotten.since(hash % 150) && forgotten.epoch() >= forgotten.since(hash % 150));
            assert!(forgotten.keys.len() <= 100 && forgotten.order.len() <= 200);
            assert!((0..150).filter(|one| *one <= hash).all(|one| begun < forgotten.since(one)));
            // Others go on as long as less was forgotten meanwhile than is remembered.
            assert!(forgotten.epoch() - forgotten.since(999) >= 99.min(hash + 1));
        }
        // One key again and again takes the place of no other.
        let mut forgotten = Forgotten::new(100);
        forgotten.note(1);
        (0..1000).for_each(|_| forgotten.note(2));
        assert!(forgotten.order.len() <= 200 && forgotten.keys.len() <= 2);
    }
}
