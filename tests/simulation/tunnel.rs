//! One peer of a tunnel: sends its pattern, checks the other's, closes its half when it is due.

use crate::plan::{bytes, check, Arrival, Plan, Plans, SharedPlans, Way, Weather};
use crate::random::Random;
use crate::wire::{End, SharedWire};

/// Which peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Client,
    Origin,
}

/// A peer of a tunnel.
#[derive(Debug)]
pub(crate) struct Tunnel {
    id: usize,
    /// What goes before the pattern.
    greeting: Vec<u8>,
    /// What came with the head before it.
    early: Vec<u8>,
    sends: Way,
    to_send: usize,
    sent: usize,
    to_get: usize,
    got: usize,
    /// Closes its half without waiting for the other's.
    first: bool,
    finished: bool,
    ended: bool,
    /// Where it breaks off, and whether by a reset.
    breaks: Option<(usize, bool)>,
    begun: bool,
}

impl Tunnel {
    pub(crate) fn new(plan: &Plan, side: Side) -> Tunnel {
        let (sends, to_send, to_get, first, breaks) = match side {
            Side::Client => (Way::Up, plan.up, plan.down, plan.client_first, plan.client_breaks),
            Side::Origin => (Way::Down, plan.down, plan.up, !plan.client_first, plan.origin_breaks),
        };
        let (greeting, early) = (Vec::new(), Vec::new());
        let (sent, got) = (0, 0);
        let (finished, ended, begun) = (false, false, false);
        let id = plan.id;
        Tunnel { id, greeting, early, sends, to_send, sent, to_get, got, first, finished, ended, breaks, begun }
    }

    /// Gives what is to be sent first, and what has come already.
    pub(crate) fn begin(&mut self, greeting: Vec<u8>, early: Vec<u8>) {
        self.greeting = greeting;
        self.early = early;
    }

    /// Both halves have come to their end.
    pub(crate) fn is_over(&self) -> bool {
        self.ended
    }

    /// Has everything come that the other side had to send?
    pub(crate) fn is_complete(&self) -> bool {
        self.got == self.to_get
    }

    pub(crate) fn step(&mut self, wire: &SharedWire, plans: &SharedPlans, random: &mut Random) -> bool {
        let mut wire = wire.borrow_mut();
        if !self.begun {
            self.begun = true;
            let arrival = Arrival { came: wire.came(), before: wire.sent() + self.greeting.len() };
            plans.borrow_mut().tunnels[self.id][self.sends as usize] = Some(arrival);
        }
        if let Some((_, reset)) = self.breaks.filter(|(at, _)| self.greeting.is_empty() && self.sent + self.got >= *at)
        {
            self.ended = true;
            wire.close(reset);
            return true;
        }
        let mut came = std::mem::take(&mut self.early);
        // What has arrived can be read behind a reset, too.
        let most = if wire.is_reset(End::Peer) { usize::MAX } else { random.size(1 << 16) };
        came.extend(wire.read(most));
        let gets = if self.sends == Way::Up { Way::Down } else { Way::Up };
        check(self.id, gets, self.got, &came);
        self.got += came.len();
        assert!(self.got <= self.to_get, "request {}: more came than was sent", self.id);
        let count = match self.greeting.is_empty() {
            false => {
                let count = wire.write(&self.greeting);
                self.greeting.drain(..count);
                count
            }
            true => {
                let most = random.size(self.to_send - self.sent);
                let count = wire.write(&bytes(self.id, self.sends, self.sent, self.sent + most));
                self.sent += count;
                count
            }
        };
        let ended = wire.is_at_end(End::Peer) || wire.is_reset(End::Peer);
        let all_sent = self.greeting.is_empty() && self.sent == self.to_send;
        if all_sent && !self.finished && (self.first || ended) {
            self.finished = true;
            wire.finish();
        }
        if ended && self.finished || wire.is_reset(End::Peer) {
            self.ended = true;
            wire.close(false);
            self.check_end(&plans.borrow(), gets);
        }
        count > 0 || !came.is_empty() || self.ended
    }

    /// What had come of the other side is here, before the end of this one.
    fn check_end(&self, plans: &Plans, gets: Way) {
        let came = plans.tunnels[self.id][gets as usize].as_ref().map_or(0, Arrival::count);
        let delivered = plans.weather == Weather::Storm || self.got == came;
        assert!(delivered, "tunnel {}: {came} bytes had come, {} were delivered, {gets:?}", self.id, self.got);
    }
}
