//! What belongs to the request under way and to nothing else: one value that is replaced whole when a request begins, so
//! that no flag of one request holds for the next. Knows nothing of what is on its way.

use reactor::Millis;

use super::summary::Summary;
use crate::http::Version;

/// What the client has said about a request behind the present one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Persistence {
    /// No request was understood, so that what follows cannot be told from its content.
    Unknown,
    /// This request is its last (RFC 9112 §9.6).
    Last,
    /// Another one may follow.
    More,
}

/// The request under way.
#[derive(Debug)]
pub(super) struct Current {
    /// What the client speaks.
    pub(super) version: Version,
    /// The request is a HEAD: an answer to it has no body.
    pub(super) head_only: bool,
    /// Whether the client sends another request behind this one.
    pub(super) client: Persistence,
    /// The head that the client got says that its connection stays.
    pub(super) announced: bool,
    /// The origin connection can carry another exchange.
    pub(super) reusable: bool,
    /// The request must go out on a connection that was never used.
    pub(super) fresh: bool,
    /// The origin's connection was reset while it was sent to, so an end that is read from it may be none.
    pub(super) origin_reset: bool,
    /// A helper has put another in its place, or sends it elsewhere.
    pub(super) replaced: bool,
    /// The response within ICAP lacks the end of its content.
    pub(super) owes_end: bool,
    /// When its first byte came: the low bits of the time, which tell 49 days apart. A request that takes longer is counted
    /// as too short by that, and an idle session saves what the others would cost it.
    pub(super) began: u32,
    /// What `began` leaves out of that time, in microseconds.
    pub(super) fraction: u16,
    /// What is remembered of it for the access log.
    pub(super) summary: Option<Box<Summary>>,
}

impl Current {
    /// A request whose first byte came now.
    pub(super) fn begun(now: Millis, fraction: u16) -> Current {
        Current {
            version: Version::Http11,
            head_only: false,
            client: Persistence::Unknown,
            announced: false,
            reusable: false,
            fresh: false,
            origin_reset: false,
            replaced: false,
            owes_end: false,
            began: now as u32,
            fraction,
            summary: None,
        }
    }

    /// Microseconds since it began.
    pub(super) fn age(&self, now: Millis, fraction: u16) -> u64 {
        let millis = u64::from((now as u32).wrapping_sub(self.began));
        (millis * 1000 + u64::from(fraction)).saturating_sub(self.fraction.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_microseconds() {
        for (now, fraction, age) in [(5, 900, 0), (5, 901, 1), (6, 0, 100), (7, 100, 1200), (6, 950, 1050)] {
            assert_eq!(Current::begun(5, 900).age(now, fraction), age, "{now} {fraction}");
        }
    }
}
