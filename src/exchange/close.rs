//! Why a session ended. Each reason has a counter and a sentence.

use std::fmt;

/// Why a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CloseReason {
    /// The client closed between requests, or before its first.
    ClientLeft,
    /// The client closed or reset the connection while something was owed to it.
    ClientGone,
    /// The last response was complete and the connection is not to be kept.
    Complete,
    /// An answer of our own ended the connection.
    Answered,
    /// What a client that does not read HTTP wanted was refused.
    Refused,
    /// Both sides of a tunnel have ended.
    TunnelEnd,
    /// One side of a tunnel was reset.
    TunnelReset,
    /// The connection did not start with the PROXY protocol header that it must have.
    ProxyHeader,
    /// A PROXY protocol header must come first, and this address is not trusted to send one.
    ProxyUntrusted,
    /// The client ended in the middle of its request body.
    RequestCut,
    /// The origin ended in the middle of its response.
    ResponseCut,
    /// The content of an answer of our own ended too soon.
    ContentCut,
    /// The request body broke its coding after it had been passed on in part.
    RequestFault,
    /// The response broke its coding after it had been passed on in part.
    ResponseFault,
    /// A timer ran out; it is named.
    Timeout(super::timers::Timer),
    /// All places were taken, and another client needed this one; or heads took too much memory, and this response had begun.
    Displaced,
    /// The client had too many connections, and this one had asked for nothing.
    ClientLimit,
    /// The proxy is being stopped.
    Stopping,
}

impl CloseReason {
    /// The reasons that are counted, in the order of their counters. No page is left to show how many sessions a stop has
    /// ended, and one that runs out of [`Timer::Drain`](super::timers::Timer::Drain) counts for what it drained after.
    pub const COUNTED: [CloseReason; 25] = {
        use super::timers::Timer as T;
        use CloseReason as R;
        [
            R::ClientLeft,
            R::ClientGone,
            R::Complete,
            R::Answered,
            R::Refused,
            R::TunnelEnd,
            R::TunnelReset,
            R::ProxyHeader,
            R::ProxyUntrusted,
            R::RequestCut,
            R::ResponseCut,
            R::ContentCut,
            R::RequestFault,
            R::ResponseFault,
            R::Displaced,
            R::ClientLimit,
            R::Timeout(T::Connect),
            R::Timeout(T::First),
            R::Timeout(T::Idle),
            R::Timeout(T::Head),
            R::Timeout(T::Decision),
            R::Timeout(T::Resolve),
            R::Timeout(T::Inactive),
            R::Timeout(T::Tunnel),
            R::Timeout(T::HalfClose),
        ]
    };

    /// The place of the reason's counter, if it has one.
    pub fn index(self) -> Option<usize> {
        Self::COUNTED.iter().position(|reason| *reason == self)
    }

    /// Is this how connections are meant to end, or what a stop of the proxy brings about?
    pub fn is_peaceful(self) -> bool {
        use super::timers::Timer as T;
        use CloseReason as R;
        matches!(
            self,
            R::ClientLeft
                | R::Complete
                | R::Answered
                | R::Refused
                | R::TunnelEnd
                | R::Stopping
                | R::Timeout(T::First | T::Idle | T::Drain)
        )
    }

    /// The word used in counters and logs.
    pub fn name(self) -> &'static str {
        use super::timers::Timer as T;
        match self {
            CloseReason::ClientLeft => "client-left",
            CloseReason::ClientGone => "client-gone",
            CloseReason::Complete => "complete",
            CloseReason::Answered => "answered",
            CloseReason::Refused => "refused",
            CloseReason::TunnelEnd => "tunnel-end",
            CloseReason::TunnelReset => "tunnel-reset",
            CloseReason::ProxyHeader => "proxy-header",
            CloseReason::ProxyUntrusted => "proxy-untrusted",
            CloseReason::RequestCut => "request-cut",
            CloseReason::ResponseCut => "response-cut",
            CloseReason::ContentCut => "content-cut",
            CloseReason::RequestFault => "request-fault",
            CloseReason::ResponseFault => "response-fault",
            CloseReason::Timeout(T::First) => "timeout-first",
            CloseReason::Timeout(T::Idle) => "timeout-idle",
            CloseReason::Timeout(T::Head) => "timeout-head",
            CloseReason::Timeout(T::Decision) => "timeout-decision",
            CloseReason::Timeout(T::Resolve) => "timeout-resolve",
            CloseReason::Timeout(T::Connect) => "timeout-connect",
            CloseReason::Timeout(T::Inactive) => "timeout-inactive",
            CloseReason::Timeout(T::Tunnel) => "timeout-tunnel",
            CloseReason::Timeout(T::HalfClose) => "timeout-half-close",
            CloseReason::Timeout(T::Drain) => "timeout-drain",
            CloseReason::Displaced => "displaced",
            CloseReason::ClientLimit => "client-limit",
            CloseReason::Stopping => "stopping",
        }
    }

    /// What the word means.
    pub fn explain(self) -> &'static str {
        match self {
            CloseReason::ClientLeft => "the client closed its connection between requests",
            CloseReason::ClientGone => "the client went away before it had its response",
            CloseReason::Complete => "the response was complete and the connection was not to be kept",
            CloseReason::Answered => "the proxy answered and closed",
            CloseReason::Refused => "the proxy refused what was wanted, by an alert of TLS or by its close",
            CloseReason::TunnelEnd => "both sides of the tunnel ended",
            CloseReason::TunnelReset => "one side of the tunnel was reset",
            CloseReason::ProxyHeader => "the connection did not start with a PROXY protocol header",
            CloseReason::ProxyUntrusted => "its address may not announce clients by a PROXY protocol header",
            CloseReason::RequestCut => "the client ended in the middle of its request body",
            CloseReason::ResponseCut => "the origin ended in the middle of its response",
            CloseReason::ContentCut => "a local file became shorter while it was sent, or could not be read",
            CloseReason::RequestFault => "the request body broke its coding",
            CloseReason::ResponseFault => "the response broke its coding",
            CloseReason::Timeout(timer) => timer.explain(),
            CloseReason::ClientLimit => "its client had too many connections",
            CloseReason::Displaced => "others needed its place, or its memory",
            CloseReason::Stopping => "the proxy is stopping",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::timers::Timer;

    /// Two counters were shown that could never move.
    #[test]
    fn a_reason_is_counted_if_anybody_can_see_it() {
        for (place, reason) in CloseReason::COUNTED.into_iter().enumerate() {
            assert_eq!(reason.index(), Some(place), "{reason}");
        }
        for reason in [CloseReason::Stopping, CloseReason::Timeout(Timer::Drain)] {
            assert_eq!(reason.index(), None, "{reason}");
        }
    }
}
