//! The door of a kind of listeners: how many clients are in, how many may be, and who waits outside. Knows no socket but those
//! that wait.

use std::collections::VecDeque;

use mio::net::TcpStream;
use reactor::listener::Gate;
use reactor::Millis;

use crate::exchange::ingress::Arrival;

/// How many are in, and how many may be.
#[derive(Debug)]
pub(in crate::proxy) struct Door {
    pub(in crate::proxy) gate: Gate,
    pub(in crate::proxy) inside: usize,
    /// Accepted, and without a place yet; the oldest first.
    pub(in crate::proxy) outside: VecDeque<Outside>,
    pub(in crate::proxy) report_at: Millis,
    /// When connections may be looked for again that give way: at this time, and before that where another one comes.
    pub(in crate::proxy) look_at: Millis,
    pub(in crate::proxy) look_early_at: Millis,
}

/// A connection that waits for a place.
#[derive(Debug)]
pub(in crate::proxy) struct Outside {
    pub(in crate::proxy) stream: TcpStream,
    pub(in crate::proxy) arrival: Arrival,
    /// When it was accepted.
    pub(in crate::proxy) since: Millis,
}

impl Door {
    pub(in crate::proxy) fn new(limit: usize) -> Door {
        let outside = VecDeque::new();
        Door { gate: Gate::new(limit), inside: 0, outside, report_at: 0, look_at: 0, look_early_at: 0 }
    }
}
