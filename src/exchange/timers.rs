//! The one table of timers: which one runs in which phase, and from when it counts.

use reactor::Millis;

use super::phase::Phase;
use super::Exchange;

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
}

/// How long each timer runs, in milliseconds; 0 is for ever, but for [`Timer::Drain`], where it is not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// [`Timer::First`]
    pub first: Millis,
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
    fn of(&self, timer: Timer) -> Millis {
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

impl Exchange {
    /// The timer that will run out first, and when; None while every timer of the phase is off.
    pub fn poll_timeout(&self, limits: &Limits) -> Option<(Timer, Millis)> {
        let (one, two) = self.running();
        [Some(one), two]
            .into_iter()
            .flatten()
            // No time at all for draining means none; elsewhere it means for ever.
            .filter(|(timer, _)| limits.of(*timer) > 0 || *timer == Timer::Drain)
            .map(|(timer, from)| (timer, from + limits.of(timer)))
            .min_by_key(|(_, at)| *at)
    }

    /// The timers of the present phase, each with the time from which it counts.
    fn running(&self) -> ((Timer, Millis), Option<(Timer, Millis)>) {
        let (entered, touched) = (self.entered, self.touched.max(self.entered));
        let first = (Timer::First, self.touched);
        match &self.phase {
            Phase::ProxyHeader { .. } => ((Timer::Head, entered), Some(first)),
            Phase::Idle if self.requests == 0 => (first, None),
            Phase::Idle => ((Timer::Idle, entered), None),
            Phase::Head { .. } if self.requests == 0 => ((Timer::Head, entered), Some(first)),
            Phase::Head { .. } => ((Timer::Head, entered), None),
            Phase::Deciding(_) => ((Timer::Decision, entered), None),
            Phase::Resolving(_) => ((Timer::Resolve, entered), None),
            Phase::Connecting(_) => ((Timer::Connect, entered), None),
            Phase::Relaying(_) | Phase::Answering(_) => ((Timer::Inactive, touched), None),
            Phase::Tunnel { .. } if self.upload.eof || self.download.eof => ((Timer::HalfClose, touched), None),
            Phase::Tunnel { .. } => ((Timer::Tunnel, touched), None),
            Phase::Draining { .. } | Phase::Closed(_) => ((Timer::Drain, entered), None),
        }
    }
}
