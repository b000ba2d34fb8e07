//! The loop's two clocks: milliseconds in which it ran, and the time of day for Date fields.

use std::time::{Instant, SystemTime};

use reactor::Millis;

use crate::cache::Moment;
use crate::http::date;
use crate::http::rules::Rules;

/// A turn that begins this much later than it was to was kept from running: the process was stopped, or the machine was. What
/// came meanwhile waits in sockets and helpers' pipes, and no timer may end before it has been read.
const STALL: Millis = 1000;

/// Reads the time once a turn.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    /// Milliseconds since the start that do not count, since the loop was kept from running.
    lost: Millis,
    now: Millis,
    /// Microseconds beyond `now`, 0 to 999.
    fraction: u16,
    /// Microseconds from the start to the begin of this turn, those that do not count included.
    turned: u64,
    date: String,
    date_until: Millis,
    /// Milliseconds since 1970 when `now` was 0, as the system saw it last.
    epoch: u64,
}

impl Clock {
    /// Starts at 0.
    pub(super) fn new() -> Clock {
        let mut clock = Clock {
            start: Instant::now(),
            lost: 0,
            now: 0,
            fraction: 0,
            turned: 0,
            date: String::new(),
            date_until: 0,
            epoch: 0,
        };
        clock.write_date();
        clock
    }

    /// Reads the time, at the begin of a turn that was to come within `timeout` of the last. One that comes too late has the
    /// clock stand still since the last, and gives the milliseconds that do not count.
    pub(super) fn turn(&mut self, timeout: Millis) -> Option<Millis> {
        self.pass(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX), timeout)
    }

    fn pass(&mut self, micros: u64, timeout: Millis) -> Option<Millis> {
        let millis = (micros / 1000).saturating_sub(self.lost);
        self.turned = micros;
        // Below 1000, so that it fits.
        self.fraction = (micros % 1000) as u16;
        let late = millis.saturating_sub(self.now);
        if late > timeout.saturating_add(STALL) {
            self.lost += late;
            self.write_date();
            return Some(late);
        }
        self.now = millis;
        if self.now >= self.date_until {
            self.write_date();
        }
        None
    }

    /// Microseconds that this turn has taken so far.
    pub(super) fn spent(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX).saturating_sub(self.turned)
    }

    /// The time of this turn.
    pub(super) fn now(&self) -> Millis {
        self.now
    }

    /// The second of this turn, modulo 2^32.
    pub(super) fn second(&self) -> u32 {
        (self.now / 1000) as u32
    }

    /// What `now` leaves out of the time of this turn, in microseconds, for what is measured and not waited for.
    pub(super) fn fraction(&self) -> u16 {
        self.fraction
    }

    /// A time of this clock in microseconds: to the last one for a moment of this turn.
    pub(super) fn micros(&self, at: Millis) -> u64 {
        let fraction = if at == self.now { self.fraction } else { 0 };
        at.saturating_mul(1000).saturating_add(fraction.into())
    }

    /// Microseconds from a moment that is so many milliseconds away and had this fraction.
    pub(super) fn since(&self, waited: Millis, fraction: u16) -> u64 {
        (waited.saturating_mul(1000) + u64::from(self.fraction)).saturating_sub(fraction.into())
    }

    /// The time of this turn as a Date field value (RFC 9110 §5.6.7).
    pub(super) fn date(&self) -> &str {
        &self.date
    }

    /// The moment of this turn, as a cache has to know it.
    pub(super) fn moment<'a>(&'a self, rules: &'a Rules) -> Moment<'a> {
        let millis = self.since_epoch(self.now);
        Moment { now: millis / 1000, millis, date: &self.date, rules }
    }

    /// A time of this clock in milliseconds since 1970. A step of the system's time shows within a second.
    pub(super) fn since_epoch(&self, at: Millis) -> u64 {
        self.epoch.saturating_add(at)
    }

    fn write_date(&mut self) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.date = date::stamp(since.as_secs());
        self.epoch = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_sub(self.now);
        self.date_until = self.now + 1000 - Millis::from(since.subsec_millis());
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_time_in_which_the_loop_was_kept_from_running_does_not_count() {
        let mut clock = Clock::new();
        assert_eq!(clock.pass(400_500, 1000), None);
        assert_eq!((clock.now(), clock.fraction()), (400, 500));
        assert_eq!(clock.pass(2_400_999, 1000), None, "late, but not kept from running");
        assert_eq!(clock.pass(7_400_200, 1000), Some(5000));
        assert_eq!((clock.now(), clock.fraction()), (2400, 200));
        let until = clock.date_until;
        assert!(until > 2400 && until <= 3400, "the date was written anew: {until}");
        assert_eq!(clock.pass(7_500_000, 0), None);
        assert_eq!(clock.now(), 2500);
    }
}
