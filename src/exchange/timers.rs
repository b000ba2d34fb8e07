//! The timers of a session by name, what each of them means, and how long it runs. Knows no exchange.

use reactor::Millis;

use crate::http::cause::Cause;
use crate::http::fault::{Fault, OriginFault};

/// The timers of a session, each an option of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Timer {
    /// A connection without a first complete request (`http.idle-connect`).
    First,
    /// A kept connection between two requests (`http.idle-timeout`).
    Idle,
    /// One request head, from its first byte to its last, or the PROXY protocol header from the connection's start to its
    /// last byte (`http.head-timeout`).
    Head,
    /// A decision about a request (`http.decision-timeout`).
    Decision,
    /// The address of the origin (`http.resolve-timeout`).
    Resolve,
    /// A connection to the origin, all its addresses together (`http.connect-timeout`).
    Connect,
    /// No byte either way while a request or response is on its way (`http.inactive-timeout`).
    Inactive,
    /// No byte either way in a tunnel (`http.tunnel-timeout`).
    Tunnel,
    /// No byte in a tunnel of which one side has ended (`http.half-close-timeout`).
    HalfClose,
    /// The time a client gets to take the last bytes and close (`http.drain-timeout`).
    Drain,
}

impl Timer {
    /// What it means when the timer runs out.
    pub fn explain(self) -> &'static str {
        match self {
            Timer::First => "no complete request came",
            Timer::Idle => "no further request came",
            Timer::Head => "the head, or the PROXY protocol header before it, took too long",
            Timer::Decision => "no decision came",
            Timer::Resolve => "no address was found in time",
            Timer::Connect => "no connection to the origin came about in time",
            Timer::Inactive => "nothing moved between client and origin",
            Timer::Tunnel => "nothing moved in the tunnel",
            Timer::HalfClose => "nothing moved in the tunnel after one side had ended",
            Timer::Drain => "the client did not close",
        }
    }

    /// What the client is told when the timer runs out before there was anything to answer with.
    pub fn cause(self) -> Cause {
        match self {
            Timer::Resolve => Cause::NameTimeout,
            Timer::Connect => Cause::ConnectTimeout,
            Timer::Head | Timer::First => Cause::Client(Fault::HeadTimeout),
            _ => Cause::Origin(OriginFault::HeadTimeout),
        }
    }
}

/// How long each timer runs, in milliseconds; 0 is for ever, but for [`Timer::Drain`], where it is not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// [`Timer::First`]
    pub first: Millis,
    /// The same where TLS is spoken (`tls.idle-connect`).
    pub first_tls: Millis,
    /// The same where anything is spoken: in a tunnel without a byte (`passthrough.idle-connect`).
    pub first_passthrough: Millis,
    /// The same where ICAP is spoken (`icap.idle-connect`).
    pub first_icap: Millis,
    /// [`Timer::Idle`]
    pub idle: Millis,
    /// [`Timer::Head`]
    pub head: Millis,
    /// [`Timer::Decision`]
    pub decision: Millis,
    /// [`Timer::Resolve`]
    pub resolve: Millis,
    /// [`Timer::Connect`]
    pub connect: Millis,
    /// [`Timer::Inactive`]
    pub inactive: Millis,
    /// [`Timer::Tunnel`]
    pub tunnel: Millis,
    /// [`Timer::HalfClose`]
    pub half_close: Millis,
    /// [`Timer::Drain`]
    pub drain: Millis,
}

impl Limits {
    pub(super) fn of(&self, timer: Timer) -> Millis {
        match timer {
            Timer::First => self.first,
            Timer::Idle => self.idle,
            Timer::Head => self.head,
            Timer::Decision => self.decision,
            Timer::Resolve => self.resolve,
            Timer::Connect => self.connect,
            Timer::Inactive => self.inactive,
            Timer::Tunnel => self.tunnel,
            Timer::HalfClose => self.half_close,
            Timer::Drain => self.drain,
        }
    }
}
