//! One alarm per slot of an arena, kept in a heap and armed lazily.
//!
//! A holder that wants to be woken later than its armed time does nothing at all: when the alarm surfaces early, the
//! loop asks the holder for its deadline and arms again. The heap knows where each slot stands, so that an earlier
//! deadline moves the one entry of the slot instead of adding another: the heap is never longer than the arena.

use crate::Millis;

/// Alarms by slot index.
#[derive(Debug, Default)]
pub struct Alarms {
    heap: Vec<Entry>,
    /// Where in the heap a slot stands, plus one; 0 is "not armed".
    places: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Millis,
    slot: u32,
}

impl Alarms {
    /// No alarms.
    pub fn new() -> Alarms {
        Alarms::default()
    }

    /// Makes sure that `slot` surfaces at `at` or before.
    #[inline]
    pub fn arm(&mut self, slot: u32, at: Millis) {
        match self.place(slot) {
            // Most calls end here: a deadline moves away with each byte, and the alarm that is armed surfaces first.
            Some(place) if self.heap[place].at <= at => {}
            Some(place) => {
                self.heap[place].at = at;
                self.rise(place);
            }
            None => self.push(Entry { at, slot }),
        }
    }

    /// The next slot whose alarm is due. It is disarmed: ask its holder for a deadline and arm it again.
    pub fn pop_due(&mut self, now: Millis) -> Option<u32> {
        let first = *self.heap.first().filter(|first| first.at <= now)?;
        self.places[first.slot as usize] = 0;
        let last = self.heap.pop()?;
        if !self.heap.is_empty() {
            self.put(0, last);
            self.sink(0);
        }
        Some(first.slot)
    }

    /// When the earliest alarm is due.
    pub fn next(&self) -> Option<Millis> {
        self.heap.first().map(|first| first.at)
    }

    /// Number of armed slots.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// True when nothing is armed.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    fn place(&self, slot: u32) -> Option<usize> {
        match self.places.get(slot as usize) {
            Some(&place) if place > 0 => Some(place as usize - 1),
            _ => None,
        }
    }

    fn push(&mut self, entry: Entry) {
        if self.places.len() <= entry.slot as usize {
            self.places.resize(entry.slot as usize + 1, 0);
        }
        self.heap.push(entry);
        let place = self.heap.len() - 1;
        self.put(place, entry);
        self.rise(place);
    }

    fn put(&mut self, place: usize, entry: Entry) {
        self.heap[place] = entry;
        self.places[entry.slot as usize] = place as u32 + 1;
    }

    fn rise(&mut self, mut place: usize) {
        let entry = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent].at <= entry.at {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, entry);
    }

    fn sink(&mut self, mut place: usize) {
        let entry = self.heap[place];
        loop {
            let left = 2 * place + 1;
            let Some(mut child) = (left < self.heap.len()).then_some(left) else { break };
            if left + 1 < self.heap.len() && self.heap[left + 1].at < self.heap[left].at {
                child = left + 1;
            }
            if self.heap[child].at >= entry.at {
                break;
            }
            self.put(place, self.heap[child]);
            place = child;
        }
        self.put(place, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(alarms: &mut Alarms, now: Millis) -> Vec<u32> {
        std::iter::from_fn(|| alarms.pop_due(now)).collect()
    }

    #[test]
    fn a_later_deadline_changes_nothing_and_an_earlier_one_moves_the_entry() {
        let mut alarms = Alarms::new();
        alarms.arm(3, 100);
        alarms.arm(3, 500);
        assert_eq!((alarms.len(), alarms.next()), (1, Some(100)));
        alarms.arm(3, 40);
        assert_eq!((alarms.len(), alarms.next()), (1, Some(40)));
        assert_eq!(drain(&mut alarms, 39), vec![]);
        assert_eq!(drain(&mut alarms, 40), vec![3]);
        assert!(alarms.is_empty());
    }

    #[test]
    fn alarms_surface_in_order_whatever_the_order_of_arming() {
        let mut alarms = Alarms::new();
        let mut seed = 9u64;
        let mut wanted = Vec::new();
        for slot in 0..2000u32 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let at = (seed >> 33) % 10_000;
            alarms.arm(slot, at + 1000);
            alarms.arm(slot, at);
            wanted.push(at);
        }
        wanted.sort_unstable();
        let mut seen = Vec::new();
        while let Some(at) = alarms.next() {
            assert!(alarms.pop_due(at).is_some());
            seen.push(at);
        }
        assert_eq!(seen, wanted);
    }
}
