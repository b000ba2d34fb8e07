//! How an exchange comes to its end, or to its next request: ends of either side, failures, timers, answers of our own.

use reactor::Millis;

use super::close::CloseReason;
use super::flow::{Direction, Flow};
use super::phase::{Ending, Phase, Stage};
use super::timers::Timer;
use super::{Action, Context, Exchange, Side};
use crate::http::answer::Answer;
use crate::http::chunked::Mode;
use crate::http::fault::{Fault, OriginFault};
use crate::http::framing::Framing;
use crate::http::head::HeadScan;
use crate::http::Method;

/// Bytes that a client may still send after the last response before the connection is cut (RFC 9112 §9.6). It covers
/// what was on its way when an upload was refused, on a long fat path.
pub(super) const DRAIN_BYTES: u32 = 4 << 20;

impl Exchange {
    /// The source of this direction has ended.
    pub fn handle_eof(&mut self, direction: Direction, cx: &mut Context<'_>) {
        self.flow_mut(direction).eof = true;
        match direction {
            Direction::Upload => self.client_ended(cx.now),
            Direction::Download if self.is_answering() => self.content_ended(),
            Direction::Download => self.origin_ended(false, cx),
        }
    }

    /// The connection of this side is broken.
    pub fn handle_broken(&mut self, side: Side, cx: &mut Context<'_>) {
        match (side, &self.phase) {
            (_, Phase::Closed(_)) => {}
            (Side::Client, Phase::Tunnel { .. }) => {
                self.abort_origin = true;
                self.close(CloseReason::TunnelReset, cx.now);
            }
            (Side::Origin, Phase::Tunnel { .. }) => {
                self.abort_client = true;
                self.close(CloseReason::TunnelReset, cx.now);
            }
            (Side::Client, Phase::Draining { reason, .. }) => self.close(*reason, cx.now),
            (Side::Client, Phase::Idle | Phase::ProxyHeader { begun: false }) => self.client_ended(cx.now),
            (Side::Client, _) => {
                self.abort_origin = self.upload.cleared > 0 || !self.upload.done;
                self.close(CloseReason::ClientGone, cx.now);
            }
            (Side::Origin, _) => self.origin_ended(true, cx),
        }
    }

    /// The origin takes no more of the request. It may have said why: its response is still read. `reset` says that its
    /// connection was reset, not closed in good order before our bytes reached it.
    pub fn handle_upload_refused(&mut self, reset: bool, cx: &mut Context<'_>) {
        if matches!(self.phase, Phase::Tunnel { .. }) {
            return self.handle_broken(Side::Origin, cx);
        }
        self.upload.broken = true;
        self.origin_reset |= reset;
        self.reusable = false;
    }

    /// Time has passed: closes or answers if a timer has run out.
    pub fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        let Some((timer, at)) = self.poll_timeout(&cx.settings.limits) else { return };
        if at > cx.now {
            return;
        }
        let answers = &cx.settings.answers;
        let begun = matches!(&self.phase, Phase::Relaying(relay) if matches!(relay.stage, Stage::Body | Stage::Switch));
        match (timer, &self.phase) {
            (Timer::Head | Timer::First, Phase::Head { .. }) => {
                let answer = answers.timeout(Timer::Head, None, self.client());
                self.keep_alive = false;
                self.begin_request(cx);
                self.answer(answer, CloseReason::Timeout(timer), cx);
            }
            (Timer::Decision, Phase::Deciding(_)) => self.action = Some(Action::Overdue),
            (Timer::Resolve | Timer::Connect | Timer::Inactive, _) if !begun && self.request().is_some() => {
                // With nothing left to pass on it is the client's content that did not come.
                let waits = timer == Timer::Inactive && !self.upload.done && self.upload.cleared == 0;
                let answer = match waits {
                    true => answers.fault(Fault::BodyTimeout, self.client()),
                    false => answers.timeout(timer, self.request(), self.client()),
                };
                self.answer(answer, CloseReason::Timeout(timer), cx);
            }
            (_, Phase::Relaying(_)) => self.cut(CloseReason::Timeout(timer), cx.now),
            (_, Phase::Draining { reason, .. }) => self.close(*reason, cx.now),
            _ => self.close(CloseReason::Timeout(timer), cx.now),
        }
    }

    /// The proxy is stopping: the end, whatever is under way.
    pub fn handle_stop(&mut self, now: Millis) {
        self.close(CloseReason::Stopping, now);
    }

    /// Looks at joint conditions once both directions have been pumped. `stored` is what each buffer holds.
    /// True when something has changed, so that another round is worth while.
    pub fn settle(&mut self, upload_stored: usize, download_stored: usize, cx: &mut Context<'_>) -> bool {
        match &self.phase {
            Phase::Relaying(relay) if relay.stage == Stage::Switch && self.download.cleared == 0 => {
                self.note_served(cx);
                self.step(cx.now, |request| Phase::tunnel(false, *request));
                true
            }
            Phase::Relaying(_) if self.download.done && self.download.cleared == 0 => {
                self.note_served(cx);
                self.finish(upload_stored, download_stored, cx.now);
                true
            }
            // What was cleared for the origin is dropped first, or it would pass for the client's next request.
            Phase::Answering(ending)
                if ending.answer.is_none()
                    && self.download.done
                    && self.download.cleared == 0
                    && self.upload.cleared == 0 =>
            {
                let (keep, reason) = (ending.keep, ending.reason);
                if ending.whole {
                    self.note_served(cx);
                }
                self.end_exchange(keep, reason, upload_stored, cx.now);
                true
            }
            // Closing tells both sides at once, so the second end needs no shutdown of its own.
            Phase::Tunnel { greet: false, .. }
                if self.upload.eof && self.download.eof && upload_stored == 0 && download_stored == 0 =>
            {
                self.close(CloseReason::TunnelEnd, cx.now);
                true
            }
            _ => false,
        }
    }

    /// Says something of our own to the client, and ends the exchange with it.
    pub(super) fn answer(&mut self, answer: Box<Answer>, reason: CloseReason, cx: &mut Context<'_>) {
        // What follows a refused CONNECT may be meant for the tunnel, so it must not be taken for a request.
        let tunnel = self.request().is_some_and(|request| request.method() == Method::Connect);
        let keep = self.keep_alive && !answer.close && !tunnel;
        self.note_cause(&answer, cx);
        if let Some(summary) = &mut self.summary {
            summary.note_answer(&answer);
        }
        // Nobody takes what is left of the request.
        self.upload.broken = true;
        self.enter(Phase::Answering(Ending { answer: Some(answer), keep, whole: true, reason }), cx.now);
        self.action = Some(Action::Hangup);
    }

    /// To clients of the monitor it is no proxy, so that no answer stands in place of another.
    fn note_cause(&mut self, answer: &Answer, cx: &mut Context<'_>) {
        let Some(cause) = answer.cause.filter(|_| !self.own) else { return };
        self.trouble = Some(cause);
        cx.counters.note_answer(cause);
    }

    /// Ends a response that will not be complete. What is cleared still goes out, unless the client has to see a reset.
    pub(super) fn cut(&mut self, reason: CloseReason, now: Millis) {
        if self.would_look_complete() || self.download.cleared == 0 && !self.upload.done {
            return self.close(reason, now);
        }
        self.download.begin(Framing::Empty);
        self.enter(Phase::Answering(Ending { answer: None, keep: false, whole: false, reason }), now);
        self.action = Some(Action::Hangup);
    }

    pub(super) fn close(&mut self, reason: CloseReason, now: Millis) {
        if matches!(self.phase, Phase::Closed(_)) {
            return;
        }
        self.finish_summary(reason, now);
        self.abort_client |= self.would_look_complete();
        self.action = self.action.filter(|action| *action == Action::Release);
        self.enter(Phase::Closed(reason), now);
    }

    /// Would the client take an end of its connection for the end of a body that is not complete?
    fn would_look_complete(&self) -> bool {
        let Phase::Relaying(relay) = &self.phase else { return false };
        let framed_by_close = match &self.download.framing {
            Framing::UntilClose => true,
            Framing::Chunked(chunks) => chunks.mode() == Mode::Decode,
            Framing::Empty | Framing::Sized(_) => false,
        };
        framed_by_close && !self.download.done && matches!(relay.stage, Stage::Body | Stage::Switch)
    }

    fn client_ended(&mut self, now: Millis) {
        match &self.phase {
            Phase::ProxyHeader { begun: false } | Phase::Idle => self.close(CloseReason::ClientLeft, now),
            Phase::ProxyHeader { .. } => self.close(CloseReason::ProxyHeader, now),
            Phase::Head { .. } => self.close(CloseReason::ClientGone, now),
            Phase::Draining { reason, .. } => self.close(*reason, now),
            Phase::Relaying(_) if !self.upload.done => {
                self.abort_origin = true;
                self.close(CloseReason::RequestCut, now);
            }
            _ => {}
        }
    }

    /// There is no more of an answer's content though more was announced. The client has to see that: nothing takes the
    /// place of what is missing, and the connection ends.
    fn content_ended(&mut self) {
        if let Phase::Answering(ending) = &mut self.phase {
            (ending.keep, ending.whole) = (false, false);
            ending.reason = CloseReason::ContentCut;
            self.download.begin(Framing::Empty);
        }
    }

    /// The origin has ended, or its connection is broken.
    fn origin_ended(&mut self, broken: bool, cx: &mut Context<'_>) {
        let Phase::Relaying(relay) = &self.phase else { return };
        self.reusable = false;
        match relay.stage {
            Stage::Send | Stage::Await if self.can_ask_again() => self.ask_again(cx.now),
            Stage::Send | Stage::Await => {
                let answer = cx.settings.answers.origin_fault(OriginFault::ClosedEarly, self.request(), self.client());
                self.answer(answer, CloseReason::ResponseCut, cx);
            }
            // A write that failed has taken the error that a read would have had, so that a reset reads as an end.
            Stage::Body if !broken && !self.origin_reset && matches!(self.download.framing, Framing::UntilClose) => {
                self.download.done = true;
            }
            Stage::Body | Stage::Switch => self.cut(CloseReason::ResponseCut, cx.now),
        }
    }

    /// A kept connection may have died while the request was on its way to it: a request that can be repeated safely,
    /// and of which we still have every byte, is asked once more on a new connection (RFC 9110 §9.2.2).
    fn can_ask_again(&self) -> bool {
        let Phase::Relaying(relay) = &self.phase else { return false };
        let unanswered = relay.interims == 0 && relay.scan == HeadScan::default();
        let untouched = unanswered && matches!(self.upload.framing, Framing::Empty);
        relay.reused && untouched && relay.request.method().is_idempotent()
    }

    fn ask_again(&mut self, now: Millis) {
        self.step(now, Phase::Resolving);
        self.fresh = true;
        self.upload.broken = false;
        self.origin_reset = false;
        self.action = Some(Action::Redial);
    }

    /// The response is complete and sent.
    fn finish(&mut self, upload_stored: usize, download_stored: usize, now: Millis) {
        let sent = self.upload.done && self.upload.cleared == 0 && !self.upload.broken;
        let clean = sent && download_stored == 0 && !self.download.eof;
        self.action = Some(if clean && self.reusable { Action::Release } else { Action::Hangup });
        self.end_exchange(self.keep_alive && sent, CloseReason::Complete, upload_stored, now);
    }

    /// Goes on to the next request, or to the end of the client's connection (RFC 9112 §9.6).
    fn end_exchange(&mut self, keep: bool, reason: CloseReason, upload_stored: usize, now: Millis) {
        self.finish_summary(reason, now);
        if keep {
            self.upload = Flow { moved: self.upload.moved, eof: self.upload.eof, ..Flow::new() };
            self.fresh = false;
            self.origin_reset = false;
            self.head_only = false;
            return self.enter(Phase::Idle, now);
        }
        // A client that announced its last request sends nothing that a close could answer with a reset.
        let silent = self.last_request && self.upload.done && upload_stored == 0;
        if silent || self.upload.eof {
            return self.close(reason, now);
        }
        self.enter(Phase::Draining { budget: DRAIN_BYTES, reason }, now);
    }
}
