//! What was not to be shared a moment ago, so that no request waits for another's response that it would not get. Knows hashes
//! of keys alone.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;

use super::storage::ReadyHash;

/// Seconds for which it is remembered.
pub const REMEMBERED: u64 = 120;

/// Most that are remembered in all.
pub const MOST: usize = 8192;

/// The keys whose responses may not be shared.
#[derive(Debug)]
pub struct Denied {
    /// So many are remembered at most; then the oldest goes.
    most: usize,
    until: HashMap<u64, u64, BuildHasherDefault<ReadyHash>>,
    order: VecDeque<(u64, u64)>,
}

impl Denied {
    /// Remembers so many.
    pub fn new(most: usize) -> Denied {
        Denied { most, until: HashMap::default(), order: VecDeque::new() }
    }

    /// The response to this key may not be shared.
    pub fn note(&mut self, hash: u64, now: u64) {
        self.expire(now);
        let until = now + REMEMBERED;
        if self.until.insert(hash, until) == Some(until) {
            return;
        }
        self.order.push_back((hash, until));
        while self.until.len() > self.most || self.order.len() > 2 * self.most {
            self.drop_oldest();
        }
    }

    /// It may after all.
    pub fn forget(&mut self, hash: u64) {
        self.until.remove(&hash);
    }

    /// Whether it was so lately.
    pub fn contains(&self, hash: u64, now: u64) -> bool {
        self.until.get(&hash).is_some_and(|until| *until > now)
    }

    fn expire(&mut self, now: u64) {
        while self.order.front().is_some_and(|(_, until)| *until <= now) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((hash, until)) = self.order.pop_front() {
            if self.until.get(&hash) == Some(&until) {
                self.until.remove(&hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_remembered_for_two_minutes() {
        let mut denied = Denied::new(MOST);
        denied.note(1, 1000);
        assert!(denied.contains(1, 1119) && !denied.contains(1, 1120) && !denied.contains(2, 1000));
        denied.note(1, 1100);
        denied.note(2, 1121);
        assert!(denied.contains(1, 1219));
        denied.forget(1);
        assert!(!denied.contains(1, 1122) && denied.contains(2, 1122));
    }

    #[test]
    fn its_memory_has_a_bound() {
        let mut denied = Denied::new(MOST);
        for hash in 0..3 * MOST as u64 {
            denied.note(hash % (2 * MOST as u64), 1000);
            denied.forget(hash / 2);
            assert!(denied.until.len() <= MOST && denied.order.len() <= 2 * MOST);
        }
    }
}
