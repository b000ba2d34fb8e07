//! Who has given wrong credentials lately, so that no address can try many. Knows addresses and times.

use std::collections::{HashMap, VecDeque};

use reactor::Millis;

use crate::policy::shares::ClientKey;

/// Failures of an address within [`WINDOW`] that slow it.
pub const MOST_FAILURES: usize = 20;

/// Milliseconds for which a failure counts.
pub const WINDOW: Millis = 60_000;

/// Milliseconds between two checks for an address that is slowed.
pub const PAUSE: Millis = 500;

/// Addresses that are remembered; where there are more, the one that has failed longest ago is forgotten.
const MOST_ADDRESSES: usize = 4_096;

/// What is known of addresses. An address is what counts as one client elsewhere.
#[derive(Debug, Default)]
pub struct LoginFailures(HashMap<ClientKey, AddressFailures>);

#[derive(Debug, Default)]
struct AddressFailures {
    /// The times of the last ones, oldest first.
    times: VecDeque<Millis>,
    /// When the next check may be, while it is slowed.
    next: Millis,
}

impl AddressFailures {
    fn is_slowed(&self, now: Millis) -> bool {
        self.times.len() >= MOST_FAILURES && self.times.front().is_some_and(|first| now < first + WINDOW)
    }

    fn is_over(&self, now: Millis) -> bool {
        self.times.back().is_none_or(|last| now >= last + WINDOW)
    }
}

impl LoginFailures {
    /// May credentials from this address be checked now? A check that may be counts as made.
    pub fn may_check(&mut self, client: ClientKey, now: Millis) -> bool {
        let Some(known) = self.0.get_mut(&client) else { return true };
        if !known.is_slowed(now) {
            return true;
        }
        let may = now >= known.next;
        if may {
            known.next = now + PAUSE;
        }
        may
    }

    /// Has this address failed too often lately?
    pub fn is_slowed(&self, client: ClientKey, now: Millis) -> bool {
        self.0.get(&client).is_some_and(|known| known.is_slowed(now))
    }

    /// Credentials from this address were wrong.
    pub fn note(&mut self, client: ClientKey, now: Millis) {
        if self.0.len() >= MOST_ADDRESSES && !self.0.contains_key(&client) {
            self.make_room(now);
        }
        let known = self.0.entry(client).or_default();
        if known.times.len() >= MOST_FAILURES {
            known.times.pop_front();
        }
        known.times.push_back(now);
    }

    /// Addresses that are remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True without addresses.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn make_room(&mut self, now: Millis) {
        self.0.retain(|_, known| !known.is_over(now));
        if self.0.len() < MOST_ADDRESSES {
            return;
        }
        let oldest = self.0.iter().min_by_key(|(_, known)| known.times.back().copied()).map(|(client, _)| *client);
        if let Some(client) = oldest {
            self.0.remove(&client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn client(number: u32) -> ClientKey {
        ClientKey::from(IpAddr::from(number.to_be_bytes()))
    }

    #[test]
    fn after_twenty_failures_within_a_minute_two_checks_a_second_are_left() {
        let mut failures = LoginFailures::default();
        for time in 0..MOST_FAILURES as Millis {
            assert!(failures.may_check(client(1), time));
            failures.note(client(1), time);
        }
        assert!(failures.may_check(client(2), 20), "others are not slowed");
        let allowed = (20..5_020).filter(|now| failures.may_check(client(1), *now)).count();
        assert_eq!(allowed, 10);
        // None of these failed: the first twenty still count, until the first of them is a minute old.
        assert!(failures.may_check(client(1), 59_000) && !failures.may_check(client(1), 59_499));
        assert!(failures.may_check(client(1), 60_000) && failures.may_check(client(1), 60_001));
    }

    #[test]
    fn who_goes_on_failing_stays_slow() {
        let mut failures = LoginFailures::default();
        let mut checked = 0;
        for now in (0..600_000).step_by(5) {
            if failures.may_check(client(1), now) {
                checked += 1;
                failures.note(client(1), now);
            }
        }
        assert!((1200..1240).contains(&checked), "{checked}");
    }

    #[test]
    fn so_many_addresses_are_remembered() {
        let mut failures = LoginFailures::default();
        for number in 0..3 * MOST_ADDRESSES as u32 {
            failures.note(client(number), number.into());
        }
        assert_eq!(failures.len(), MOST_ADDRESSES);
        assert!(failures.0.contains_key(&client(3 * MOST_ADDRESSES as u32 - 1)));
        failures.note(client(0), 10 * WINDOW);
        assert_eq!(failures.len(), 1, "those that are over go at once");
    }
}
