//! What peers can bring about as often as they like, so that the log tells of it only now and then. Knows no text.

use reactor::Millis;

/// Milliseconds between two log lines about the same lasting trouble, such as a listener that is full.
pub(super) const REPORT: Millis = 20_000;

/// A trouble that lasts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    /// Nothing is left to connect to origins with.
    Exhausted,
    /// A client waits for too many names.
    TooManyNames,
    /// The heads of a client take too much memory.
    TooManyHeads,
    /// A client has more places than others, which need them.
    Crowded,
    /// A new client cannot be watched.
    Unwatched,
    /// A connection did not start with the PROXY protocol header that it must have.
    ProxyHeader,
}

impl Trouble {
    const KINDS: usize = 6;
}

/// When each kind of trouble may be written to the log again.
#[derive(Debug, Default)]
pub(super) struct Reports([Millis; Trouble::KINDS]);

impl Reports {
    /// May a trouble that every request runs into be written to the log again?
    pub(super) fn may_report(&mut self, trouble: Trouble, now: Millis) -> bool {
        let at = &mut self.0[trouble as usize];
        let may = now >= *at;
        if may {
            *at = now + REPORT;
        }
        may
    }
}
