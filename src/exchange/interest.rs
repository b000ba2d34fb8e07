//! What an exchange wants of its two connections: input, content, a shutdown. Never stored, but computed from the phase and
//! the flows at the moment when it is asked, so that no wish can be lost.

use super::flow::{Direction, Flow};
use super::ingress::Ingress;
use super::phase::{AnswerState, Ending, Phase, RelayStage};
use super::{Action, Exchange, Side};
use crate::http::framing::Framing;
use crate::icap::transaction::Transaction;

impl Exchange {
    /// Is more input wanted in this direction? Only asked when all that was cleared has been sent.
    pub fn wants_input(&self, direction: Direction) -> bool {
        let flow = self.flow(direction);
        if flow.eof {
            return false;
        }
        match (direction, &self.phase) {
            (Direction::Upload, Phase::ProxyHeader { .. } | Phase::Idle | Phase::Head { .. } | Phase::Hello(_)) => true,
            (Direction::Upload, Phase::Draining { .. }) => true,
            (Direction::Upload, Phase::Answering(ending)) if self.icap.is_some() => self.wants_content(ending),
            (Direction::Upload, Phase::Answering(ending)) => ending.is_awaiting() && !flow.done,
            (Direction::Download, Phase::Answering(ending)) => {
                ending.is_written() && !flow.done && (!self.echoes() || !self.echo().is_empty())
            }
            // Behind a switch comes the tunnel's, and so does an end.
            // What comes behind a head that is being judged may be for others.
            (Direction::Download, Phase::Relaying(_)) if self.action == Some(Action::JudgeResponse) => false,
            (_, Phase::Relaying(relay)) => !flow.done && relay.stage != RelayStage::Switch,
            (Direction::Upload, Phase::Tunnel { of, .. }) => {
                of.opening.as_ref().is_none_or(|opening| opening.wants_input())
            }
            (Direction::Download, Phase::Tunnel { greet, .. }) => !greet,
            _ => false,
        }
    }

    /// Has the exchange something of its own to put before what it reads: a request's head, an answer, the greeting of a tunnel?
    pub fn has_own(&self, direction: Direction) -> bool {
        match (direction, &self.phase) {
            (Direction::Upload, Phase::Relaying(relay)) => relay.stage == RelayStage::Send,
            (Direction::Upload, Phase::Idle) => self.ingress == Ingress::Passthrough,
            // What is held back can be judged without more of it.
            (Direction::Upload, Phase::Tunnel { of, .. }) => of.opening.is_some() && self.upload.eof,
            (Direction::Download, Phase::Answering(Ending { reply: AnswerState::Icap(_), .. })) => self.may_reply(),
            (Direction::Download, Phase::Answering(_)) if self.current.owes_end => self.download.done,
            (Direction::Download, Phase::Answering(ending)) => {
                let complete = ending.is_awaiting() && (self.upload.done || self.upload.eof);
                complete || matches!(ending.reply, AnswerState::Ready(_) | AnswerState::Notice(_))
            }
            (Direction::Download, Phase::Tunnel { greet, .. }) => *greet,
            _ => false,
        }
    }

    /// Does the download come from the content of an answer, and no more from the origin?
    pub fn is_answering(&self) -> bool {
        matches!(self.phase, Phase::Answering(_))
    }

    /// Bytes of memory that a proxy client's answer holds for itself: a template that was filled, also while it waits for the rest of
    /// the content. The monitor's pages are bounded by their rows and by `web.connections`.
    pub fn answer_size(&self) -> usize {
        match &self.phase {
            Phase::Answering(_) if self.ingress.is_local() => 0,
            Phase::Answering(Ending { reply: AnswerState::Ready(answer) | AnswerState::Awaiting(answer), .. }) => {
                answer.body.own_size()
            }
            Phase::Answering(Ending { reply: AnswerState::Flowing(rest), .. }) => rest.own_size(),
            Phase::Answering(Ending { reply: AnswerState::Icap(reply), .. }) => reply.own_size() + self.held_content(),
            Phase::Answering(_) => self.held_content(),
            _ => 0,
        }
    }

    /// Will content of an answer still be asked for?
    pub fn needs_content(&self) -> bool {
        match &self.phase {
            Phase::Answering(Ending { reply: AnswerState::Ready(answer), .. }) => {
                (answer.follows > 0 || answer.unsized_body) && !self.current.head_only
            }
            Phase::Answering(Ending { reply: AnswerState::Icap(reply), .. }) => {
                reply.follows() && !self.current.head_only
            }
            Phase::Answering(ending) => ending.is_written() && !self.download.done,
            _ => false,
        }
    }

    /// Bytes of content that a client of ICAP is to get back.
    fn held_content(&self) -> usize {
        self.transaction().map_or(0, Transaction::held)
    }

    /// Bytes that may go from socket to socket without being looked at.
    pub fn passable(&self, direction: Direction) -> u64 {
        let flow = self.flow(direction);
        if flow.broken {
            return 0;
        }
        match &self.phase {
            Phase::Tunnel { of, .. } if direction == Direction::Upload && of.opening.is_some() => 0,
            Phase::Tunnel { greet: false, .. } => u64::MAX,
            // Behind a complete response it has to be seen whether the origin takes what comes.
            Phase::Relaying(_) if direction == Direction::Upload && self.download.done => 0,
            Phase::Relaying(relay) if direction == Direction::Upload && relay.stage != RelayStage::Send => {
                flow.framing.passable()
            }
            Phase::Relaying(relay) if relay.stage == RelayStage::Body => flow.framing.passable(),
            // What follows an answer of known length; chunks are made of the rest.
            Phase::Answering(ending) if direction == Direction::Download && ending.is_written() => {
                match &flow.framing {
                    _ if self.echoes() => self.echo().len() as u64,
                    Framing::Sized(left) => *left,
                    Framing::Empty | Framing::Chunked(_) | Framing::UntilClose => 0,
                }
            }
            _ => 0,
        }
    }

    /// Is what left the source of this direction, and is still on its way, wanted by its destination?
    pub fn delivers(&self, direction: Direction) -> bool {
        !self.flow(direction).broken && matches!(self.phase, Phase::Relaying(_) | Phase::Tunnel { .. })
    }

    /// The side whose connection has to end now because the other side of the tunnel was reset and all that came from there
    /// is through (RFC 9110 §9.3.6). `stored` is what each buffer holds, upload first.
    pub fn wants_end(&self, stored: [usize; 2]) -> Option<Side> {
        if !matches!(self.phase, Phase::Tunnel { greet: false, .. }) {
            return None;
        }
        let is_over = |reset, flow: &Flow, stored| reset && (flow.broken || stored == 0 && flow.cleared == 0);
        match (
            is_over(self.client_reset, &self.upload, stored[0]),
            is_over(self.origin_reset, &self.download, stored[1]),
        ) {
            (_, true) => Some(Side::Client),
            (true, false) => Some(Side::Origin),
            (false, false) => None,
        }
    }

    /// Should the destination of this direction now be told that nothing more comes? `stored` is what its buffer holds.
    pub fn wants_shutdown(&self, direction: Direction, stored: usize) -> bool {
        let flow = self.flow(direction);
        if flow.shut || flow.cleared > 0 {
            return false;
        }
        match &self.phase {
            Phase::Tunnel { greet, .. } => {
                flow.eof && stored == 0 && !greet && !self.is_reset(direction) && !flow.broken
            }
            Phase::Draining { .. } => direction == Direction::Download,
            _ => false,
        }
    }
}
