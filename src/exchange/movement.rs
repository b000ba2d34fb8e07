//! What an exchange is told of bytes that have moved, each way.

use reactor::Millis;

use super::flow::Direction;
use super::phase::Phase;
use super::Exchange;

impl Exchange {
    /// Bytes have moved on either side.
    pub fn handle_activity(&mut self, now: Millis) {
        if self.requests > 0 {
            self.touched = now;
        }
    }

    /// `count` cleared bytes have been sent.
    pub fn handle_sent(&mut self, direction: Direction, count: usize) {
        self.flow_mut(direction).sent(count);
    }

    /// The cleared bytes have been taken from the buffer, and no peer got them.
    pub fn handle_lost(&mut self, direction: Direction) {
        self.flow_mut(direction).cleared = 0;
    }

    /// `count` bytes went from socket to socket unseen.
    pub fn handle_passed(&mut self, direction: Direction, count: usize) {
        let tunnel = matches!(self.phase, Phase::Tunnel { .. });
        let flow = self.flow_mut(direction);
        if tunnel {
            flow.moved += count as u64;
        } else {
            flow.passed(count);
        }
    }

    /// The destination of this direction has been shut down.
    pub fn handle_shut(&mut self, direction: Direction) {
        self.flow_mut(direction).shut = true;
    }
}
