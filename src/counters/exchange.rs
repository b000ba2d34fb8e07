//! What exchanges count: how long requests took, and why the proxy answered for itself. Knows neither the form in which
//! numbers are shown nor the time.

use crate::counters::histogram::Histogram;
use crate::http::cause::Cause;
use crate::policy::tunnels::Finding;

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
    causes: [u64; Cause::WORDS.len()],
    openings: [u64; Finding::ALL.len()],
}

impl ExchangeCounters {
    /// The proxy answers for itself, to one that asked for a tunnel or for something else.
    pub fn note_answer(&mut self, cause: Cause, tunnel: bool) {
        self.blocked[usize::from(tunnel)] += u64::from(cause.is_refusal());
        let place = Cause::WORDS.iter().position(|name| *name == cause.word());
        debug_assert!(place.is_some(), "{} is not in the list", cause.word());
        if let Some(place) = place {
            self.causes[place] += 1;
        }
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
        Cause::WORDS.into_iter().zip(self.causes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fault::Fault;

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
