//! What exchanges count: how long requests took, and why the proxy answered for itself. Knows neither the form in which
//! numbers are shown nor the time.

use crate::counters::histogram::Histogram;
use crate::http::cause::Cause;
use crate::policy::tunnels::Finding;

/// Who made a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseSource {
    /// An origin.
    Origin,
    /// The cache.
    Cache,
    /// The proxy itself, or a helper by its page.
    Proxy,
    /// The proxy, to CONNECT, with a tunnel behind it.
    Tunnel,
}

impl ResponseSource {
    /// All of them, in their order.
    const WORDS: [&'static str; 4] = ["origin", "cache", "proxy", "tunnel"];
}

/// Classes of a status, by its first digit; the last is for those beyond 599, which some origins send.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/// What exchanges have counted since the start, those with the monitor not included.
#[derive(Clone, Debug, Default)]
pub struct ExchangeCounters {
    /// From the first byte of a request to the last of its response, or until its tunnel stood. Only of requests whose
    /// response was sent to its end, be it an origin's or the proxy's own.
    pub request_time: Histogram,
    /// Requests, and tunnels, whose destination may be connected to.
    pub allowed: [u64; 2],
    /// Requests, and tunnels, that a rule has refused.
    pub blocked: [u64; 2],
    statuses: [[u64; CLASSES.len()]; ResponseSource::WORDS.len()],
    causes: CauseCounts,
    failures: CauseCounts,
    openings: [u64; Finding::ALL.len()],
}

/// By cause, in the order of [`Cause::WORDS`].
#[derive(Clone, Copy, Debug)]
pub struct CauseCounts([u64; Cause::WORDS.len()]);

impl CauseCounts {
    /// How many there were since other numbers, which are older.
    #[must_use]
    pub fn since(&self, older: &CauseCounts) -> CauseCounts {
        let mut counts = self.0;
        counts.iter_mut().zip(older.0).for_each(|(count, before)| *count = count.saturating_sub(before));
        CauseCounts(counts)
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// How many of each word.
    pub fn by_word(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Cause::WORDS.into_iter().zip(self.0)
    }
}

impl Default for CauseCounts {
    fn default() -> CauseCounts {
        CauseCounts([0; Cause::WORDS.len()])
    }
}

/// Adds numbers to numbers, place by place.
pub fn add_all(sums: &mut [u64], more: &[u64]) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

impl ExchangeCounters {
    /// Adds what the exchanges of another loop have counted.
    pub fn add(&mut self, other: &ExchangeCounters) {
        let ExchangeCounters { request_time, allowed, blocked, statuses, causes, failures, openings } = other;
        self.request_time.add(request_time);
        add_all(&mut self.allowed, allowed);
        add_all(&mut self.blocked, blocked);
        add_all(self.statuses.as_flattened_mut(), statuses.as_flattened());
        add_all(&mut self.causes.0, &causes.0);
        add_all(&mut self.failures.0, &failures.0);
        add_all(&mut self.openings, openings);
    }

    /// The proxy answers for itself, to one that asked for a tunnel or for something else.
    pub fn note_answer(&mut self, cause: Cause, tunnel: bool) {
        self.blocked[usize::from(tunnel)] += u64::from(cause.is_refusal());
        let place = Cause::WORDS.iter().position(|name| *name == cause.word());
        debug_assert!(place.is_some(), "{} is not in the list", cause.word());
        if let Some(place) = place {
            self.causes.0[place] += 1;
            self.failures.0[place] += u64::from(cause.is_failure());
        }
    }

    /// A client gets a response with this status, which is no interim one.
    pub fn note_response(&mut self, source: ResponseSource, status: u16) {
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        self.statuses[source as usize][class] += 1;
    }

    /// Responses by who made them and by the class of their status.
    pub fn statuses(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> + '_ {
        let rows = ResponseSource::WORDS.into_iter().zip(self.statuses);
        rows.flat_map(|(word, row)| CLASSES.into_iter().zip(row).map(move |(class, count)| (word, class, count)))
    }

    /// Those answers for which neither a rule nor the client is the reason.
    pub fn failures(&self) -> CauseCounts {
        self.failures
    }

    /// A tunnel has begun so.
    pub fn note_opening(&mut self, finding: Finding) {
        self.openings[finding as usize] += 1;
    }

    /// How tunnels have begun, where that was looked at.
    pub fn openings(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Finding::ALL.into_iter().map(Finding::name).zip(self.openings)
    }

    /// Answers of our own that a cause was given for, by its [word](Cause::word): all of them, also those that did
    /// not occur.
    pub fn answers(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Cause::WORDS.into_iter().zip(self.causes.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fault::Fault;

    #[test]
    fn a_status_counts_in_its_class() {
        let mut counters = ExchangeCounters::default();
        for status in [101, 200, 206, 304, 404, 599, 600, 999] {
            counters.note_response(ResponseSource::Origin, status);
        }
        counters.note_response(ResponseSource::Tunnel, 200);
        let counted: Vec<_> = counters.statuses().filter(|(.., count)| *count > 0).collect();
        let origin = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"].into_iter().zip([1, 2, 1, 1, 1, 2]);
        let origin = origin.map(|(class, count)| ("origin", class, count));
        assert_eq!(counted, origin.chain([("tunnel", "2xx", 1)]).collect::<Vec<_>>());
    }

    #[test]
    fn causes_of_one_word_count_together() {
        let mut counters = ExchangeCounters::default();
        assert!(counters.answers().all(|(_, count)| count == 0));
        for cause in [Cause::NameFailed, Cause::NameShort, Cause::Loop, Cause::Client(Fault::BadLine)] {
            counters.note_answer(cause, cause == Cause::Loop);
        }
        let counted: Vec<_> = counters.answers().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("dns_error", 2), ("http_request_error", 1), ("proxy_loop_detected", 1)]);
        assert_eq!((counters.blocked, counters.answers().count()), ([0, 1], Cause::WORDS.len()));
    }
}
