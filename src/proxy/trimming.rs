//! When memory that a burst has left behind is given back to the system. Knows how much sessions hold, not what frees it.

use reactor::buffer::BLOCK;
use reactor::Millis;

use super::Proxy;
use crate::policy::shares::Resource;

/// Bytes that sessions must hold less than before. What is left when a burst ends in two parts may stay behind, up to this.
const WORTH: usize = 4 << 20;

/// Socket events in a second up to which the loop is quiet: a busy one uses the memory again, and would wait for the allocator.
const QUIET: u64 = 200;

/// Milliseconds between two times.
const PAUSE: Millis = 10_000;

/// The most that sessions held since memory was last given back, and when that may be done again.
#[derive(Debug, Default)]
pub(super) struct Trimming {
    most: usize,
    events: u64,
    next: Millis,
}

impl Trimming {
    /// Sessions hold so many bytes at the end of a turn. A burst may come and go between two seconds.
    fn note(&mut self, held: usize) {
        self.most = self.most.max(held);
    }

    /// Asked once a second: sessions hold so many bytes, and so many events have come since the start.
    fn is_due(&mut self, held: usize, events: u64, now: Millis) -> bool {
        self.note(held);
        let quiet = events.saturating_sub(std::mem::replace(&mut self.events, events)) <= QUIET;
        let due = quiet && now >= self.next && self.most - held >= WORTH;
        if due {
            (self.most, self.next) = (held, now + PAUSE);
        }
        due
    }
}

impl Proxy {
    /// Notes what sessions hold at the end of a turn.
    pub(super) fn note_held(&mut self) {
        self.trimming.note(self.held());
    }

    fn held(&self) -> usize {
        // A client with a request under way takes about 1 KiB beside its buffers.
        self.shared.pool.lent() * BLOCK + self.shares.total(Resource::HeadBytes) + self.clients.len() * 1024
    }

    /// Has freed memory given back where that is worth while, by the loader, since it may take long.
    pub(super) fn trim(&mut self) {
        let held = self.held();
        if self.trimming.is_due(held, self.counters.events, self.clock.now()) {
            self.loading.loader.trim();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b4_a_burst_between_two_seconds_leaves_nothing() {
        let mut trimming = Trimming::default();
        assert!(!trimming.is_due(0, 0, 0));
        trimming.note(40 << 20);
        trimming.note(0);
        assert!(trimming.is_due(0, 100, 1_000) && !trimming.is_due(0, 100, 20_000));
    }

    #[test]
    fn memory_goes_back_after_a_burst_once_it_is_quiet() {
        let mut trimming = Trimming::default();
        let mut due = |mib: usize, events: u64, now: Millis| trimming.is_due(mib << 20, events, now);
        assert!(!due(100, 0, 0) && !due(97, 0, 1_000), "too little");
        assert!(!due(10, 1_000, 2_000), "a busy loop");
        assert!(due(10, 1_100, 3_000) && !due(10, 1_100, 4_000), "once");
        assert!(!due(50, 1_100, 5_000) && !due(10, 1_100, 6_000), "too soon");
        assert!(due(10, 1_100, 13_000));
    }
}
