//! Deadlines of the slots of a table. Knows nothing of what is due.
//!
//! A slot keeps its alarm when its value is removed. If the next value is due later, the alarm rings early, and the owner
//! looks and sets it again. Most questions are answered long before they are due and thus never touch the heap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::Millis;

/// No alarm is set.
const NONE: Millis = Millis::MAX;

/// One alarm per slot.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    heap: BinaryHeap<Reverse<(Millis, u32)>>,
    armed: Vec<Millis>,
}

impl Alarms {
    /// Makes the slot's alarm ring at `at` or before.
    pub(crate) fn arm(&mut self, slot: u32, at: Millis) {
        let index = slot as usize;
        if self.armed.len() <= index {
            self.armed.resize(index + 1, NONE);
        }
        if at < self.armed[index] {
            self.armed[index] = at;
            self.heap.push(Reverse((at, slot)));
        }
    }

    /// When the next alarm rings, perhaps for nothing.
    pub(crate) fn next(&self) -> Option<Millis> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes a slot whose alarm rings; its owner must look what is due, and arm it again if that is later.
    pub(crate) fn pop(&mut self, now: Millis) -> Option<u32> {
        while let Some(&Reverse((at, slot))) = self.heap.peek().filter(|Reverse((at, _))| *at <= now) {
            self.heap.pop();
            // An alarm that was moved forward leaves its old entry behind.
            if let Some(armed) = self.armed.get_mut(slot as usize).filter(|armed| **armed == at) {
                *armed = NONE;
                return Some(slot);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_time_of_a_slot_counts() {
        let mut alarms = Alarms::default();
        alarms.arm(3, 500);
        alarms.arm(3, 800);
        alarms.arm(1, 600);
        alarms.arm(3, 200);
        assert_eq!((alarms.next(), alarms.pop(199)), (Some(200), None));
        assert_eq!((alarms.pop(1_000), alarms.pop(1_000), alarms.pop(1_000)), (Some(3), Some(1), None));
        assert_eq!(alarms.next(), None);
    }

    #[test]
    fn a_slot_that_is_used_again_and_again_keeps_one_entry() {
        let mut alarms = Alarms::default();
        for now in 0..10_000 {
            while alarms.pop(now).is_some() {}
            alarms.arm(0, now + 400);
        }
        assert!(alarms.heap.len() <= 1);
    }
}
