//! How many places before helpers are kept for clients that have none: room for as many clients as lately had questions at the
//! same time. Knows neither clients nor helpers. Pure.

use reactor::Millis;

/// Milliseconds for which a number of clients counts in full, at least; behind each further ones it counts half.
const PERIOD: Millis = 10_000;

/// The most clients that had questions at a time, lately.
#[derive(Debug)]
pub(super) struct Reserve {
    /// What is left of the periods before.
    before: usize,
    /// The most in this period.
    most: usize,
    until: Millis,
}

impl Reserve {
    /// No client has asked yet.
    pub(super) fn new(now: Millis) -> Reserve {
        Reserve { before: 0, most: 0, until: now.saturating_add(PERIOD) }
    }

    /// So many clients have questions at the moment, before helpers or in the queue.
    pub(super) fn note(&mut self, clients: usize, now: Millis) {
        while now >= self.until {
            self.before = self.most.max(self.before / 2);
            self.most = 0;
            self.until = match self.before {
                0 => now.saturating_add(PERIOD),
                _ => self.until.saturating_add(PERIOD),
            };
        }
        self.most = self.most.max(clients);
    }

    /// Of `places` those that are kept for clients that have no question, while `clients` have some: four fifths at most, so
    /// that many who came together once do not leave the helpers idle.
    pub(super) fn kept(&self, clients: usize, places: usize) -> usize {
        self.before.max(self.most).saturating_sub(clients).min(places * 4 / 5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_alone_keeps_nothing_for_anybody() {
        let mut reserve = Reserve::new(1);
        assert_eq!(reserve.kept(0, 25), 0);
        for now in (1..100_000).step_by(77) {
            reserve.note(1, now);
            assert_eq!(reserve.kept(1, 25), 0);
        }
    }

    #[test]
    fn those_that_came_together_find_room_again_and_are_forgotten() {
        let mut reserve = Reserve::new(0);
        reserve.note(9, 5);
        for (now, kept) in [(6, 8), (9_999, 8), (19_999, 8), (20_000, 3), (30_000, 1), (40_000, 0), (90_000, 0)] {
            reserve.note(1, now);
            assert_eq!(reserve.kept(1, 25), kept, "after {now} ms");
        }
        reserve.note(3, 90_001);
        assert_eq!((reserve.kept(3, 25), reserve.kept(2, 25), reserve.kept(1, 25)), (0, 1, 2));
        reserve.note(1, Millis::MAX - 1);
        assert_eq!(reserve.kept(1, 25), 0, "and a long silence takes no time");
    }

    #[test]
    fn four_fifths_are_kept_at_most() {
        let mut reserve = Reserve::new(0);
        reserve.note(1_000, 0);
        for (places, kept) in [(0, 0), (1, 0), (2, 1), (5, 4), (25, 20)] {
            assert_eq!(reserve.kept(1, places), kept, "{places}");
        }
    }
}
