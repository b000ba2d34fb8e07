//! What lists have done, file by file and entry by entry. Knows no list.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// Files of each list that have numbers of their own among all others: those that stand first in its option.
pub const NUMBERED: usize = 32;

/// Different entries whose refusals are counted. Those that come later count as others.
const MOST_ENTRIES: usize = 256;

/// A file of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListFileRow {
    /// The list: `block` or `allow`.
    pub list: &'static str,
    /// Its path.
    pub file: Box<str>,
    /// What there is to say in numbers.
    pub numbers: ListFileNumbers,
    /// Its lines.
    pub lines: u64,
    /// Lines that mean something else, in formats of others.
    pub others: u64,
    /// The first of these lines, from 1; 0 without one.
    pub first_other: u64,
}

/// The numbers of a file of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListFileNumbers {
    /// Names, networks, and hosts with a path.
    pub entries: u64,
    /// Seconds since it was changed, when it was read.
    pub age: u64,
    /// Which one it is that was read under its name, from 1.
    pub generation: u64,
    /// Requests that it allowed.
    pub allowed: u64,
    /// Requests that it refused.
    pub blocked: u64,
    /// Requests that it would have refused (`acl.mode = report`).
    pub reported: u64,
}

impl ListFileNumbers {
    /// The numbers by name.
    pub fn rows(&self) -> [(&'static str, u64); 6] {
        [
            ("entries", self.entries),
            ("age", self.age),
            ("generation", self.generation),
            ("allowed", self.allowed),
            ("blocked", self.blocked),
            ("reported", self.reported),
        ]
    }
}

/// Refusals by the entry that they rest on, those of the report mode included. Bounded: no client chooses entries, and of
/// more than 256 of them the later ones are counted together.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    counts: HashMap<Box<str>, u64, RandomState>,
    others: u64,
}

impl Refusals {
    /// A request was refused, or would have been, by the entry at `FILE:LINE`.
    pub fn note(&mut self, place: &str) {
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        } else if self.counts.len() < MOST_ENTRIES {
            self.counts.insert(place.into(), 1);
        } else {
            self.others += 1;
        }
    }

    /// Entries with their refusals, most first, and all others at the end.
    pub fn rows(&self) -> Vec<(&str, u64)> {
        let mut rows: Vec<(&str, u64)> = self.counts.iter().map(|(place, count)| (&**place, *count)).collect();
        rows.sort_unstable_by_key(|(place, count)| (std::cmp::Reverse(*count), *place));
        if self.others > 0 {
            rows.push(("(others)", self.others));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_entry_and_bounded() {
        let mut refusals = Refusals::default();
        (0..MOST_ENTRIES + 40).for_each(|line| refusals.note(&format!("/f:{line}")));
        refusals.note("/f:7");
        let rows = refusals.rows();
        assert_eq!((rows.len(), rows[0], rows.last()), (MOST_ENTRIES + 1, ("/f:7", 2), Some(&("(others)", 40))));
        assert!(Refusals::default().rows().is_empty());
    }
}
