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
    /// When its first byte came: the low bits of the time, which tell 49 days apart. A request that takes longer is counted
    /// as too short by that, and an idle session saves what the others would cost it.
    pub(super) began: u32,
    /// What is remembered of it for the access log.
    pub(super) summary: Option<Box<Summary>>,
}

impl Current {
    /// A request whose first byte came now.
    pub(super) fn begun(now: Millis) -> Current {
        Current {
            version: Version::Http11,
            head_only: false,
            client: Persistence::Unknown,
            announced: false,
            reusable: false,
            fresh: false,
            origin_reset: false,
            began: now as u32,
            summary: None,
        }
    }

    /// Milliseconds since it began.
    pub(super) fn age(&self, now: Millis) -> Millis {
        (now as u32).wrapping_sub(self.began).into()
    }
}
