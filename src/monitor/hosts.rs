//! Which hosts are asked for most: the first of the last full minute by name, the rest of them together. Bounded in
//! memory: a client that makes names up fills the table for a minute at most, and later hosts count as others.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use reactor::Millis;

use super::sessions::first;

/// Different hosts that are counted in a minute. Those that come later count as others.
const MOST_HOSTS: usize = 4096;

/// Hosts that are named.
pub const NAMED: usize = 10;

/// Milliseconds that are looked at.
const MINUTE: Millis = 60_000;

/// Requests by host.
#[derive(Clone, Debug)]
pub struct Hosts {
    /// By the host as a Host field has it.
    counts: HashMap<Box<[u8]>, u64, RandomState>,
    others: u64,
    top: Top,
    until: Millis,
}

/// Requests by host, of the minute of a loop that shows none itself.
#[derive(Debug)]
pub struct HostCounts {
    counts: Vec<(Box<[u8]>, u64)>,
    others: u64,
}

/// How much earlier than another loop's a minute ends whose counts are added to that one.
const EARLIER: Millis = 1_000;

/// The hosts that were asked for most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Top {
    /// Host and number of requests, most first; of as many in the order of their names.
    pub hosts: Vec<(Box<str>, u64)>,
    /// Requests to all other hosts.
    pub others: u64,
}

impl Default for Hosts {
    /// The first minute starts at 0.
    fn default() -> Hosts {
        Hosts { counts: HashMap::default(), others: 0, top: Top::default(), until: MINUTE }
    }
}

impl Hosts {
    /// A request to this host.
    pub fn note(&mut self, host: &[u8]) {
        self.add(host, 1);
    }

    fn add(&mut self, host: &[u8], requests: u64) {
        if let Some(count) = self.counts.get_mut(host) {
            *count += requests;
        } else if self.counts.len() < MOST_HOSTS {
            self.counts.insert(host.into(), requests);
        } else {
            self.others += requests;
        }
    }

    /// Adds what another loop has counted.
    pub fn absorb(&mut self, counts: HostCounts) {
        counts.counts.iter().for_each(|(host, count)| self.add(host, *count));
        self.others += counts.others;
    }

    /// Gives up what was counted, once a minute, for the loop that shows it.
    pub fn hand_over(&mut self, now: Millis) -> Option<HostCounts> {
        if now + EARLIER < self.until {
            return None;
        }
        self.until += MINUTE;
        let counts = self.counts.drain().collect();
        self.counts.shrink_to(2 * NAMED);
        Some(HostCounts { counts, others: std::mem::take(&mut self.others) })
    }

    /// Closes a minute that is over. Called about once a second.
    pub fn tick(&mut self, now: Millis) {
        if now < self.until {
            return;
        }
        self.until = now + MINUTE;
        let all: u64 = self.counts.values().sum();
        let order = |(host, count): &(Box<[u8]>, u64)| (std::cmp::Reverse(*count), host.clone());
        let text = |(host, count): (Box<[u8]>, u64)| (String::from_utf8_lossy(&host).into(), count);
        let hosts: Vec<(Box<str>, u64)> =
            first(self.counts.drain().collect(), NAMED, order).into_iter().map(text).collect();
        let named: u64 = hosts.iter().map(|(_, count)| count).sum();
        self.top = Top { hosts, others: std::mem::take(&mut self.others) + all - named };
        self.counts.shrink_to(2 * NAMED);
    }

    /// Those of the last full minute.
    pub fn top(&self) -> &Top {
        &self.top
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_wanted_of_a_full_minute_are_named_and_the_others_counted() {
        let mut hosts = Hosts::default();
        for number in 0..20_u64 {
            (0..=number).for_each(|_| hosts.note(format!("h{number:02}.example").as_bytes()));
        }
        hosts.tick(59_999);
        assert_eq!(*hosts.top(), Top::default());
        hosts.tick(60_000);
        let top = hosts.top();
        assert_eq!((top.hosts.len(), &top.hosts[0]), (NAMED, &("h19.example".into(), 20)));
        assert_eq!(top.others, (1..=10).sum::<u64>());
        hosts.tick(120_000);
        assert_eq!(*hosts.top(), Top::default());
    }

    #[test]
    fn what_another_loop_has_counted_comes_in_time_for_the_minute() {
        let (mut first, mut further) = (Hosts::default(), Hosts::default());
        first.note(b"a.example");
        (0..3).for_each(|_| further.note(b"b.example"));
        further.note(b"a.example");
        assert!(further.hand_over(58_999).is_none());
        first.absorb(further.hand_over(59_000).unwrap());
        first.tick(60_000);
        assert_eq!(first.top().hosts, [("b.example".into(), 3), ("a.example".into(), 2)]);
        assert!(further.hand_over(118_000).is_none() && further.hand_over(119_500).is_some());
    }

    /// The first second was shown for a minute as if it were one.
    #[test]
    fn the_first_second_is_no_minute() {
        let mut hosts = Hosts::default();
        hosts.note(b"h.example");
        hosts.tick(1000);
        assert_eq!(*hosts.top(), Top::default());
        hosts.tick(60_000);
        assert_eq!(hosts.top().hosts, [("h.example".into(), 1)]);
    }

    #[test]
    fn names_that_are_made_up_take_no_memory_without_bound() {
        let mut hosts = Hosts::default();
        (0..MOST_HOSTS + 500).for_each(|number| hosts.note(number.to_string().as_bytes()));
        assert_eq!((hosts.counts.len(), hosts.others), (MOST_HOSTS, 500));
        hosts.note(b"7");
        hosts.tick(60_000);
        let top = hosts.top();
        assert_eq!(top.hosts[0], ("7".into(), 2));
        assert_eq!(top.others as usize, MOST_HOSTS + 500 - (NAMED - 1) - 1);
    }
}
