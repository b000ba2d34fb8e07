//! How long turns of the loop take: for so long nothing else is done for any client.

use reactor::Millis;

use super::histogram::Histogram;

/// How long the longest turn is remembered, at least; twice as long at most.
const MINUTE: Millis = 60_000;

/// Turns since the start, and the longest of late.
#[derive(Clone, Debug, Default)]
pub struct TurnTimes {
    /// How long they took, without the wait for events.
    pub times: Histogram,
    /// The longest of this minute and of the one before it, in microseconds.
    longest: [u64; 2],
    minute: u64,
}

impl TurnTimes {
    /// A turn that began then took so many microseconds.
    pub fn note(&mut self, now: Millis, micros: u64) {
        self.times.note(micros);
        let minute = now / MINUTE;
        if minute != self.minute {
            let last = if minute == self.minute + 1 { self.longest[0] } else { 0 };
            (self.longest, self.minute) = ([0, last], minute);
        }
        self.longest[0] = self.longest[0].max(micros);
    }

    /// Adds the turns of another loop.
    pub fn add(&mut self, other: &TurnTimes) {
        self.times.add(&other.times);
        self.longest[0] = self.longest[0].max(other.longest());
    }

    /// Microseconds of the longest turn of this minute and the one before it.
    pub fn longest(&self) -> u64 {
        self.longest[0].max(self.longest[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_turn_is_remembered_for_a_minute_and_not_for_three() {
        let mut turns = TurnTimes::default();
        let table =
            [(0, 5, 5), (59_999, 900, 900), (60_000, 7, 900), (119_999, 8, 900), (120_000, 6, 8), (300_000, 1, 1)];
        for (now, micros, longest) in table {
            turns.note(now, micros);
            assert_eq!(turns.longest(), longest, "{now}");
        }
        assert_eq!((turns.times.count(), turns.times.sum()), (6, 927));
    }
}
