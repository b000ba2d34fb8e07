//! The door of a kind of listeners: how many clients are in, how many may be, and who waits outside. Knows no socket but those
//! that wait.

use std::collections::VecDeque;

use mio::net::TcpStream;
use reactor::listener::Gate;
use reactor::Millis;

use crate::exchange::ingress::Arrival;

/// How many are in, and how many may be.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) gate: Gate,
    pub(super) inside: usize,
    /// Accepted, and without a place yet; the oldest first.
    pub(super) outside: VecDeque<Outside>,
    pub(super) report_at: Millis,
    /// When connections may be looked for again that give way: at this time, and before that where another one comes.
    pub(super) look_at: Millis,
    pub(super) look_early_at: Millis,
}

/// A connection that waits for a place.
#[derive(Debug)]
pub(super) struct Outside {
    pub(super) stream: TcpStream,
    pub(super) arrival: Arrival,
    /// When it was accepted.
    pub(super) since: Millis,
}

impl Door {
    pub(super) fn new(limit: usize) -> Door {
        let outside = VecDeque::new();
        Door { gate: Gate::new(limit), inside: 0, outside, report_at: 0, look_at: 0, look_early_at: 0 }
    }
}
