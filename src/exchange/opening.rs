//! The beginning of a tunnel, while it is judged. Knows no exchange.

use reactor::Millis;

use super::timers::Timer;
use crate::http::target::{Host, Target};
use crate::tls::record::HelloScan;

/// The beginning of a tunnel whose first bytes are still to be judged.
#[derive(Debug)]
pub struct Opening {
    /// What the client's CONNECT named.
    pub(super) named: Target,
    pub(super) scan: HelloScan,
    /// When the client's first byte came.
    pub(super) begun: Option<Millis>,
    /// It was told that the client is silent.
    pub(super) told: bool,
    /// What the client had got when the tunnel began.
    pub(super) before: u64,
    /// The name in the hello, while lists judge it.
    pub(super) name: Option<Host>,
}

impl Opening {
    /// Of a tunnel that CONNECT asked for so; `before` is what the client had got by then.
    pub(super) fn new(named: Target, before: u64) -> Opening {
        Opening { named, scan: HelloScan::default(), begun: None, told: false, before, name: None }
    }

    /// The timer for the hello, and from when it counts: a silent client is told of once, and what it says later is judged
    /// like any other beginning.
    pub(super) fn timer(&self, entered: Millis) -> Option<(Timer, Millis)> {
        match self.begun {
            Some(begun) => Some((Timer::Head, begun)),
            None => (!self.told).then_some((Timer::Head, entered)),
        }
    }

    /// Whether more of the client's bytes are wanted.
    pub(super) fn wants_input(&self) -> bool {
        self.name.is_none()
    }
}
