//! The loop's two clocks: milliseconds since the start, and the time of day for Date fields.

use std::time::{Instant, SystemTime};

use reactor::Millis;

use crate::http::date;

/// Reads the time once a turn.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    now: Millis,
    date: String,
    date_until: Millis,
}

impl Clock {
    /// Starts at 0.
    pub fn new() -> Clock {
        let mut clock = Clock { start: Instant::now(), now: 0, date: String::new(), date_until: 0 };
        clock.write_date();
        clock
    }

    /// Reads the time.
    pub fn turn(&mut self) -> Millis {
        self.now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(Millis::MAX);
        if self.now >= self.date_until {
            self.write_date();
        }
        self.now
    }

    /// The time of this turn.
    pub fn now(&self) -> Millis {
        self.now
    }

    /// The time of this turn as a Date field value (RFC 9110 §5.6.7).
    pub fn date(&self) -> &str {
        &self.date
    }

    fn write_date(&mut self) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.date = date::stamp(since.as_secs());
        self.date_until = self.now + 1000 - Millis::from(since.subsec_millis());
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}
