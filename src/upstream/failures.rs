//! Addresses that could not be reached lately. They are tried last, not never.

use std::collections::HashMap;
use std::net::IpAddr;

use reactor::Millis;

/// How long a failure is remembered: RFC 8305 §7 leaves it open, a minute spares a page's worth of requests.
const MEMORY: Millis = 60_000;

/// Most addresses remembered; when full, the memory starts anew, which costs a slow connect or two.
const MAX_ADDRESSES: usize = 4096;

/// The memory.
#[derive(Debug, Default)]
pub(super) struct Failures(HashMap<IpAddr, Millis>);

impl Failures {
    /// This address has failed now.
    pub(super) fn note(&mut self, address: IpAddr, now: Millis) {
        if self.0.len() >= MAX_ADDRESSES {
            self.0.clear();
        }
        self.0.insert(address, now + MEMORY);
    }

    /// This address works.
    pub(super) fn forget(&mut self, address: IpAddr) {
        if !self.0.is_empty() {
            self.0.remove(&address);
        }
    }

    /// Has this address failed lately?
    pub(super) fn holds(&self, address: IpAddr, now: Millis) -> bool {
        !self.0.is_empty() && self.0.get(&address).is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_forgotten_after_a_minute_or_a_success() {
        let address = IpAddr::from([192, 0, 2, 1]);
        let mut failures = Failures::default();
        failures.note(address, 1000);
        assert!(failures.holds(address, 60_999) && !failures.holds(address, 61_000));
        failures.note(address, 1000);
        failures.forget(address);
        assert!(!failures.holds(address, 1001));
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut failures = Failures::default();
        for n in 0..100_000u32 {
            failures.note(IpAddr::from(n.to_be_bytes()), 0);
        }
        assert!(failures.0.len() <= MAX_ADDRESSES);
    }
}
