//! How often each client may ask: a rate, and who has used how much of it. Knows neither what is asked for nor what becomes
//! of it. Pure.
//!
//! The rule is the generic cell rate algorithm (ITU-T I.371): of each client one moment is kept, that at which all it asked
//! for would have been asked if it had come evenly. So a client that has asked for nothing lately costs nothing, and there is
//! no second at whose begin everything is allowed anew.

use std::collections::HashMap;
use std::fmt;

use reactor::Millis;

use super::shares::ClientKey;

/// So many in a second, a minute or an hour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    count: u32,
    span: RateSpan,
}

/// What a [`Rate`] is counted in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RateSpan {
    /// `/s`
    Second,
    /// `/m`
    Minute,
    /// `/h`
    Hour,
}

const NANOS: u64 = 1_000_000_000;
const NANOS_PER_MILLI: u64 = 1_000_000;

impl RateSpan {
    fn seconds(self) -> u64 {
        match self {
            RateSpan::Second => 1,
            RateSpan::Minute => 60,
            RateSpan::Hour => 3600,
        }
    }

    fn letter(self) -> &'static str {
        match self {
            RateSpan::Second => "s",
            RateSpan::Minute => "m",
            RateSpan::Hour => "h",
        }
    }
}

impl Rate {
    /// Largest count: a client that is allowed more is not limited in truth.
    pub const MOST: u32 = 1_000_000;

    /// A rate of 1 to [`Rate::MOST`] in that span; `None` for others.
    pub fn new(count: u32, span: RateSpan) -> Option<Rate> {
        (1..=Rate::MOST).contains(&count).then_some(Rate { count, span })
    }

    /// Nanoseconds from one to the next.
    fn interval(self) -> u64 {
        self.span.seconds() * NANOS / u64::from(self.count)
    }

    /// What may come at once: what one second allows, and one at the least.
    fn burst(self) -> u64 {
        (u64::from(self.count) / self.span.seconds()).max(1)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.span.letter())
    }
}

/// What is counted apart: a browser whose tunnels are many is not stopped by what its scripts ask for, nor the other way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestKind {
    /// A request that is relayed.
    Request,
    /// A tunnel.
    Tunnel,
}

/// Kinds of [`RequestKind`].
pub const REQUEST_KINDS: usize = 2;

/// Clients that are remembered at a time, in a table of some 5 MiB. Only those are that have asked within about a second (with
/// a rate per minute or hour: within the time until they may ask again).
const CLIENTS: usize = 65_536;

/// Milliseconds between two searches for clients that need not be remembered any more. One takes some 0.2 ms.
const SWEEP: Millis = 1000;

/// Who has used how much of a rate.
#[derive(Debug)]
pub struct Meter {
    rate: Rate,
    clients: HashMap<ClientKey, [u64; REQUEST_KINDS]>,
    /// What those have used together for whom the table had no place.
    others: [u64; REQUEST_KINDS],
    swept: Option<Millis>,
    most: usize,
}

impl Meter {
    /// No client has asked for anything.
    pub fn new(rate: Rate) -> Meter {
        Meter::of_size(rate, CLIENTS)
    }

    /// The same for one of so many parts of all clients.
    pub fn part(rate: Rate, parts: usize) -> Meter {
        Meter::of_size(rate, CLIENTS / parts.max(1))
    }

    /// The table never grows, since moving it would hold the loop.
    fn of_size(rate: Rate, most: usize) -> Meter {
        Meter { rate, clients: HashMap::with_capacity(most), others: [0; REQUEST_KINDS], swept: None, most }
    }

    /// What each client may have.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Another rate holds from now on. What clients have used stays used.
    pub fn set_rate(&mut self, rate: Rate) {
        self.rate = rate;
    }

    /// A client asks. Where the table is full of clients that have just asked, all others share what one may have.
    ///
    /// # Errors
    /// It has asked too often: whole seconds until it may ask again, at least 1.
    pub fn take(&mut self, client: ClientKey, asked: RequestKind, now: Millis) -> Result<(), u32> {
        let nanos = now.saturating_mul(NANOS_PER_MILLI);
        if self.clients.len() >= self.most && !self.clients.contains_key(&client) {
            self.sweep(now);
        }
        let full = self.clients.len() >= self.most;
        let used = match full && !self.clients.contains_key(&client) {
            true => &mut self.others,
            false => self.clients.entry(client).or_default(),
        };
        let (interval, due) = (self.rate.interval(), &mut used[asked as usize]);
        // With another rate than before, what was used may reach further than all that this one allows.
        let ahead = (*due).saturating_sub(nanos).min(interval * self.rate.burst());
        *due = nanos + ahead;
        let wait = (ahead + interval).saturating_sub(interval * self.rate.burst());
        if wait > 0 {
            return Err(u32::try_from(wait.div_ceil(NANOS)).unwrap_or(u32::MAX).max(1));
        }
        *due += interval;
        Ok(())
    }

    /// Forgets those who may ask for as much as if they never had.
    fn sweep(&mut self, now: Millis) {
        if self.swept.is_some_and(|swept| now < swept + SWEEP) {
            return;
        }
        self.swept = Some(now);
        let nanos = now.saturating_mul(NANOS_PER_MILLI);
        self.clients.retain(|_, used| used.iter().any(|due| *due > nanos));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> ClientKey {
        ClientKey::V4(number.into())
    }

    fn rate(count: u32, span: RateSpan) -> Rate {
        Rate::new(count, span).unwrap()
    }

    /// How many get through that one client asks for at this time.
    fn at_once(meter: &mut Meter, now: Millis) -> usize {
        (0..10_000).take_while(|_| meter.take(client(1), RequestKind::Request, now).is_ok()).count()
    }

    #[test]
    fn a_second_s_worth_at_once_and_then_one_at_a_time() {
        let mut meter = Meter::new(rate(100, RateSpan::Second));
        assert_eq!(at_once(&mut meter, 5000), 100);
        assert_eq!(meter.take(client(1), RequestKind::Request, 5000), Err(1));
        assert_eq!(at_once(&mut meter, 5009), 0);
        assert_eq!(at_once(&mut meter, 5010), 1);
        assert_eq!(at_once(&mut meter, 5510), 50);
        assert_eq!(at_once(&mut meter, 900_000), 100, "what was not used is not saved up");
    }

    #[test]
    fn tunnels_requests_and_clients_are_apart() {
        let mut meter = Meter::new(rate(1, RateSpan::Second));
        let mut take = |number, asked| meter.take(client(number), asked, 0);
        assert_eq!((take(1, RequestKind::Request), take(1, RequestKind::Request)), (Ok(()), Err(1)));
        assert_eq!((take(1, RequestKind::Tunnel), take(1, RequestKind::Tunnel)), (Ok(()), Err(1)));
        assert_eq!((take(2, RequestKind::Request), take(2, RequestKind::Tunnel)), (Ok(()), Ok(())));
    }

    #[test]
    fn slow_rates_say_how_long_to_wait() {
        let mut meter = Meter::new(rate(6, RateSpan::Minute));
        assert_eq!(at_once(&mut meter, 0), 1);
        assert_eq!(meter.take(client(1), RequestKind::Request, 1), Err(10));
        assert_eq!(meter.take(client(1), RequestKind::Request, 9_000), Err(1));
        assert_eq!(at_once(&mut meter, 10_000), 1);
        let mut meter = Meter::new(rate(7200, RateSpan::Hour));
        assert_eq!((at_once(&mut meter, 0), at_once(&mut meter, 499), at_once(&mut meter, 500)), (2, 0, 1));
    }

    #[test]
    fn over_a_long_time_no_more_than_the_rate_passes() {
        let mut meter = Meter::new(rate(7, RateSpan::Second));
        let passed: usize = (0..60_000).step_by(3).map(|now| at_once(&mut meter, now)).sum();
        assert!((7 * 60..=7 * 61).contains(&passed), "{passed}");
    }

    #[test]
    fn another_rate_holds_at_once() {
        let mut meter = Meter::new(rate(1, RateSpan::Hour));
        assert_eq!(at_once(&mut meter, 0), 1);
        meter.set_rate(rate(10, RateSpan::Second));
        assert_eq!((at_once(&mut meter, 0), at_once(&mut meter, 100)), (0, 1));
        assert_eq!(at_once(&mut meter, 5_000), 10);
    }

    #[test]
    fn those_without_a_place_in_the_table_share_the_rate_of_one() {
        let mut meter = Meter::of_size(rate(2, RateSpan::Second), 3);
        for number in 0..3 {
            assert_eq!(meter.take(client(number), RequestKind::Request, 0), Ok(()));
        }
        let results: Vec<bool> =
            (3..7).map(|number| meter.take(client(number), RequestKind::Request, 1).is_ok()).collect();
        assert_eq!(results, [true, true, false, false]);
        assert_eq!(meter.take(client(0), RequestKind::Request, 1), Ok(()), "who has a place keeps it");
        assert_eq!((meter.take(client(9), RequestKind::Request, 2000), meter.clients.len()), (Ok(()), 1));
    }

    #[test]
    fn a_flood_of_clients_takes_no_more_than_the_table() {
        let mut meter = Meter::new(rate(1, RateSpan::Hour));
        let room = meter.clients.capacity();
        for number in 0..200_000 {
            let _ = meter.take(client(number), RequestKind::Request, u64::from(number));
        }
        assert_eq!((meter.clients.len(), meter.clients.capacity()), (CLIENTS, room));
    }

    #[test]
    fn rates_are_printed_as_they_are_written() {
        assert_eq!(rate(100, RateSpan::Second).to_string(), "100/s");
        assert_eq!(rate(5, RateSpan::Hour).to_string(), "5/h");
        assert_eq!((Rate::new(0, RateSpan::Minute), Rate::new(Rate::MOST + 1, RateSpan::Second)), (None, None));
    }
}
