//! How an exchange comes to its end, or to its next request: ends of either side, failures, timers, answers of our own.

use reactor::Millis;

use super::close::CloseReason;
use super::current::Persistence;
use super::flow::{Direction, Flow};
use super::ingress::Ingress;
use super::phase::{AnswerState, Ending, Phase, RelayStage};
use super::timers::Timer;
use super::{Action, Context, Exchange, Side};
use crate::counters::exchange::ResponseSource;
use crate::http::answer::Answer;
use crate::http::cause::Cause;
use crate::http::chunked::Mode;
use crate::http::fault::{Fault, OriginFault};
use crate::http::fields::Expectation;
use crate::http::framing::Framing;
use crate::http::head::HeadScan;
use crate::http::request::Request;
use crate::http::Method;

/// Bytes that a client may still send after the last response before the connection is cut (RFC 9112 §9.6). It covers
/// what was on its way when an upload was refused, on a long fat path.
pub(super) const DRAIN_BYTES: u32 = 4 << 20;

/// The status of an answer behind which the same request comes again, with credentials.
const ASKS_AGAIN: u16 = 407;

/// Most bytes of content that such an answer waits for: what a client sends without waiting for a window.
const LITTLE: u64 = 64 << 10;

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
            // What came before the reset is delivered first: see `wants_end`.
            (_, Phase::Tunnel { .. }) => {
                let (from, to) = match side {
                    Side::Client => (&mut self.upload, &mut self.download),
                    Side::Origin => (&mut self.download, &mut self.upload),
                };
                (from.eof, to.broken) = (true, true);
                *self.reset_mut(side) = true;
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
    pub fn handle_upload_refused(&mut self, reset: bool) {
        self.upload.broken = true;
        self.current.origin_reset |= reset;
        self.current.reusable = false;
    }

    /// The client takes no more, and what it sent before can still be read. True if that matters: only a tunnel goes on.
    pub fn handle_download_refused(&mut self) -> bool {
        let is_tunnel = matches!(self.phase, Phase::Tunnel { .. });
        self.download.broken |= is_tunnel;
        is_tunnel
    }

    /// `count` bytes left the source of this direction unseen, and no peer gets them.
    pub fn handle_dropped(&mut self, direction: Direction, count: usize) {
        self.flow_mut(direction).dropped(count);
    }

    /// The end that [`Exchange::wants_end`] asked for. `delivered` says that the peer has all that was sent to it, as far as
    /// the system tells. A reset would throw away what it has not (tcp(7)), so that it gets an ordinary end then.
    pub fn handle_end(&mut self, side: Side, delivered: bool, cx: &mut Context<'_>) {
        match (side, delivered) {
            (Side::Client, true) => self.abort_client = true,
            (Side::Origin, true) => self.abort_origin = true,
            // With the client's end read as well, a close is an ordinary end.
            (Side::Client, false) if self.upload.eof => {}
            (Side::Client, false) => {
                // Closing a socket with unread bytes is a reset too, so they are read first.
                self.finish_summary(CloseReason::TunnelReset, cx.now);
                let reason = CloseReason::TunnelReset;
                self.enter(Phase::Draining { budget: DRAIN_BYTES, reason }, cx.now);
                self.action = Some(Action::Hangup);
                return;
            }
            (Side::Origin, false) => {}
        }
        self.close(CloseReason::TunnelReset, cx.now);
    }

    /// Time has passed: closes or answers if a timer has run out.
    pub fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        let Some((timer, at)) = self.poll_timeout(&cx.settings.limits) else { return };
        if at > cx.now {
            return;
        }
        let begun = matches!(&self.phase, Phase::Relaying(relay) if matches!(relay.stage, RelayStage::Body | RelayStage::Switch));
        match (timer, &self.phase) {
            (Timer::Head | Timer::First, Phase::Head { .. }) => {
                self.open_summary(cx);
                self.explain(Timer::Head.cause(), CloseReason::Timeout(timer), cx);
            }
            (Timer::Head, Phase::Tunnel { .. }) => self.opening_late(cx),
            (Timer::Head | Timer::First, Phase::Hello(_)) => {
                self.open_summary(cx);
                self.close(CloseReason::Timeout(timer), cx.now);
            }
            (Timer::Decision, Phase::Deciding(_)) => self.action = Some(Action::Overdue),
            (Timer::Resolve | Timer::Connect | Timer::Inactive, _) if !begun && self.request().is_some() => {
                // With nothing left to pass on it is the client's content that did not come.
                let waits = timer == Timer::Inactive && !self.upload.done && self.upload.cleared == 0;
                let cause = if waits { Cause::Client(Fault::BodyTimeout) } else { timer.cause() };
                self.explain(cause, CloseReason::Timeout(timer), cx);
            }
            (Timer::Drain, Phase::Relaying(_)) => self.upload.broken = true,
            (Timer::Drain, Phase::Answering(_)) => self.await_no_more(),
            (_, Phase::Relaying(_)) => self.cut(CloseReason::Timeout(timer), cx.now),
            (_, Phase::Draining { reason, .. }) => self.close(*reason, cx.now),
            _ => self.close(CloseReason::Timeout(timer), cx.now),
        }
    }

    /// There is no memory for a head that is under way, the client's or its origin's. A response that has begun is cut off.
    /// False where no head is under way, and nothing has changed.
    pub fn handle_head_refused(&mut self, cx: &mut Context<'_>) -> bool {
        match &self.phase {
            Phase::Head { .. } | Phase::Hello(_) => self.open_summary(cx),
            Phase::Relaying(relay) if matches!(relay.stage, RelayStage::Body | RelayStage::Switch) => {
                self.close(CloseReason::Displaced, cx.now);
                return true;
            }
            Phase::Answering(_) if self.answer_size() > 0 => {
                self.close(CloseReason::Displaced, cx.now);
                return true;
            }
            Phase::Tunnel { .. } if self.opening().is_some() => {
                self.refuse_tunnel(Cause::TooManyHeads, None, cx);
                return true;
            }
            _ if self.request().is_none() || self.is_answering() => return false,
            _ => {}
        }
        self.explain(Cause::TooManyHeads, CloseReason::Answered, cx);
        true
    }

    /// Another client needs the place of this one, which is told so if its response has not begun. What is left then is for
    /// [`Exchange::handle_displaced`].
    pub fn handle_crowded(&mut self, cx: &mut Context<'_>) {
        let begun = matches!(&self.phase, Phase::Relaying(relay) if matches!(relay.stage, RelayStage::Body | RelayStage::Switch));
        if !begun && self.request().is_some() && !self.is_answering() {
            self.explain(Cause::Overloaded, CloseReason::Displaced, cx);
        }
    }

    /// Another client needs the place of this one.
    pub fn handle_displaced(&mut self, now: Millis) {
        self.abort_origin |= matches!(self.phase, Phase::Relaying(_)) && (self.upload.cleared > 0 || !self.upload.done);
        self.close(CloseReason::Displaced, now);
    }

    /// The client has too many connections, and this one has asked for nothing.
    pub fn handle_limited(&mut self, now: Millis) {
        self.close(CloseReason::ClientLimit, now);
    }

    /// The proxy is stopping: what is under way ends.
    pub fn handle_stop(&mut self, now: Millis) {
        self.close(CloseReason::Stopping, now);
    }

    /// Looks at joint conditions once both directions have been pumped. `stored` is what each buffer holds, and `unread` says
    /// that the client's socket has more. True when something has changed, so that another round is worth while.
    pub fn settle(&mut self, [upload_stored, download_stored]: [usize; 2], unread: bool, cx: &mut Context<'_>) -> bool {
        let more = upload_stored > 0 || unread;
        match &self.phase {
            Phase::Relaying(relay) if relay.stage == RelayStage::Switch && self.download.cleared == 0 => {
                self.note_served(cx);
                self.step(cx.now, |request| Phase::tunnel(false, *request, None));
                true
            }
            Phase::Relaying(_) if self.download.done && self.download.cleared == 0 && !self.upload_goes_on() => {
                self.note_served(cx);
                self.finish(more, download_stored, cx.now);
                true
            }
            // What was cleared for the origin is dropped first, or it would pass for the client's next request.
            Phase::Answering(ending)
                if ending.is_written()
                    && self.download.done
                    && !self.current.owes_end
                    && self.download.cleared == 0
                    && self.upload.cleared == 0 =>
            {
                let reason = ending.reason;
                if ending.whole {
                    self.note_served(cx);
                }
                self.end_exchange(reason, more, cx.now);
                true
            }
            // Closing tells both sides at once, so the second end needs no shutdown of its own.
            Phase::Tunnel { greet: false, .. }
                if self.upload.eof
                    && self.download.eof
                    && upload_stored == 0
                    && download_stored == 0
                    && !self.client_reset
                    && !self.origin_reset =>
            {
                self.close(CloseReason::TunnelEnd, cx.now);
                true
            }
            _ => false,
        }
    }

    /// Has the owner compose an answer that tells why the request is not served, and ends the exchange with it.
    pub(super) fn explain(&mut self, cause: Cause, reason: CloseReason, cx: &mut Context<'_>) {
        match self.ingress.speaks_http() {
            true => self.explain_in_http(cause, reason, cx),
            false => self.refuse_opaque(cause, cx),
        }
    }

    /// The same for a client that reads the answer, by any listener.
    pub(super) fn explain_in_http(&mut self, cause: Cause, reason: CloseReason, cx: &mut Context<'_>) {
        // No tunnel follows on a connection of ICAP.
        let (from, keep) = (self.phase.kind(), self.icap.is_some() || !self.asks_for_tunnel());
        let request = std::mem::replace(&mut self.phase, Phase::Idle).into_request();
        let reply = AnswerState::Unexplained(cause, request);
        // The origin takes nothing more of the request.
        self.upload.broken = true;
        self.change(from, Phase::Answering(Ending { reply, keep, whole: true, reason }), cx.now);
        self.action = Some(Action::Explain(cause));
    }

    /// Does the content go on after the response is complete? An origin that answers early and means to keep the connection
    /// reads on (RFC 9112 §9.3); a client that waits for a 100 may send its next request instead.
    fn upload_goes_on(&self) -> bool {
        let waits = self.request().is_some_and(|request| request.expectation() != Expectation::None);
        let complete = self.upload.done && self.upload.cleared == 0;
        !complete && !waits && !self.upload.broken && self.current.reusable
    }

    /// The answer that has waited for content waits no more.
    pub(super) fn await_no_more(&mut self) {
        let Phase::Answering(ending) = &mut self.phase else { return };
        if !ending.is_awaiting() {
            return;
        }
        ending.reply = match std::mem::replace(&mut ending.reply, AnswerState::Written) {
            AnswerState::Awaiting(answer) => AnswerState::Ready(answer),
            other => other,
        };
    }

    /// Says something of our own to the client, and ends the exchange with it.
    pub(super) fn answer(&mut self, answer: Box<Answer>, reason: CloseReason, cx: &mut Context<'_>) {
        if !self.ingress.speaks_http() {
            return self.refuse_opaque(answer.cause.unwrap_or(Cause::Denied), cx);
        }
        let tunnel = self.icap.is_none() && self.asks_for_tunnel();
        // What comes behind a CONNECT that asks for credentials needs some itself, so that it may be a request.
        let keep = self.icap.is_some() || !answer.close && (answer.status == ASKS_AGAIN || !tunnel);
        note_own_answer(&mut self.trouble, self.ingress, &answer, tunnel, cx);
        if let Some(summary) = &mut self.current.summary {
            summary.note_answer(&answer);
        }
        self.upload.broken = true;
        let awaits = keep && answer.status == ASKS_AGAIN && self.has_little_content();
        let reply = if awaits { AnswerState::Awaiting(answer) } else { self.ready(answer) };
        self.enter(Phase::Answering(Ending { reply, keep, whole: true, reason }), cx.now);
        self.action = Some(Action::Hangup);
    }

    /// An answer that is there, in the form that its client reads.
    pub(super) fn ready(&self, answer: Box<Answer>) -> AnswerState {
        match self.ingress {
            Ingress::Icap => self.reply_in_http(answer),
            _ => AnswerState::Ready(answer),
        }
    }

    /// Is the rest of the content so little that it is on its way, and will it come?
    fn has_little_content(&self) -> bool {
        let waits = self.request().is_some_and(|request| request.expectation() != Expectation::None);
        !waits && matches!(self.upload.framing, Framing::Sized(1..=LITTLE))
    }

    /// What follows a refused CONNECT may be meant for the tunnel, so it must not be taken for a request.
    pub(super) fn asks_for_tunnel(&self) -> bool {
        self.request().is_some_and(|request| request.method() == Method::Connect)
    }

    /// Ends a response that will not be complete. What is cleared still goes out, unless the client has to see a reset.
    pub(super) fn cut(&mut self, reason: CloseReason, now: Millis) {
        if self.would_look_complete() || self.download.cleared == 0 && !self.upload.done {
            return self.close(reason, now);
        }
        self.download.begin(Framing::Empty);
        self.enter(Phase::Answering(Ending { reply: AnswerState::Written, keep: false, whole: false, reason }), now);
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
        framed_by_close && !self.download.done && matches!(relay.stage, RelayStage::Body | RelayStage::Switch)
    }

    fn client_ended(&mut self, now: Millis) {
        match &self.phase {
            Phase::ProxyHeader { begun: false } | Phase::Idle => self.close(CloseReason::ClientLeft, now),
            Phase::ProxyHeader { .. } => self.close(CloseReason::ProxyHeader, now),
            Phase::Head { .. } | Phase::Hello(_) => self.close(CloseReason::ClientGone, now),
            Phase::Draining { reason, .. } => self.close(*reason, now),
            Phase::Answering(_) if self.icap.is_some() && !self.upload.done => {
                self.close(CloseReason::RequestCut, now);
            }
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
            // To a client of HTTP/1.0 the end of the connection would be that of the content.
            self.abort_client |=
                matches!(&self.download.framing, Framing::Chunked(chunks) if chunks.mode() == Mode::Decode);
            ending.reason = CloseReason::ContentCut;
            self.download.begin(Framing::Empty);
        }
    }

    /// The origin has ended, or its connection is broken.
    fn origin_ended(&mut self, broken: bool, cx: &mut Context<'_>) {
        let Phase::Relaying(relay) = &self.phase else { return };
        self.current.reusable = false;
        match relay.stage {
            RelayStage::Send | RelayStage::Await if self.can_ask_again() => self.ask_again(cx.now),
            RelayStage::Send | RelayStage::Await => {
                self.explain(Cause::Origin(OriginFault::ClosedEarly), CloseReason::ResponseCut, cx);
            }
            // A write that failed has taken the error that a read would have had, so that a reset reads as an end.
            RelayStage::Body
                if !broken && !self.current.origin_reset && matches!(self.download.framing, Framing::UntilClose) =>
            {
                self.download.done = true;
            }
            RelayStage::Body | RelayStage::Switch => self.cut(CloseReason::ResponseCut, cx.now),
        }
    }

    /// A kept connection may have died while the request was on its way to it: a request that can be repeated safely,
    /// and of which we still have every byte, is asked once more on a new connection (RFC 9110 §9.2.2).
    fn can_ask_again(&self) -> bool {
        let Phase::Relaying(relay) = &self.phase else { return false };
        let unanswered = relay.interims == 0 && relay.scan == HeadScan::default();
        let untouched = unanswered && matches!(self.upload.framing, Framing::Empty);
        relay.reused && untouched && relay.request.is_idempotent()
    }

    fn ask_again(&mut self, now: Millis) {
        self.step(now, Phase::Resolving);
        self.current.fresh = true;
        self.upload.broken = false;
        self.current.origin_reset = false;
        self.action = Some(Action::Redial);
    }

    /// The response is complete and sent. `more` says that the client has sent something behind its request.
    fn finish(&mut self, more: bool, download_stored: usize, now: Millis) {
        let sent = self.upload.done && self.upload.cleared == 0 && !self.upload.broken;
        let clean = sent && download_stored == 0 && !self.download.eof;
        // What an origin overlooked of such a request would come to whichever client has the connection next.
        self.exclusive |= self.request().is_some_and(Request::leaves_doubt);
        self.action = Some(if clean && self.current.reusable { Action::Release } else { Action::Hangup });
        self.end_exchange(CloseReason::Complete, more, now);
    }

    /// Goes on to the next request, or to the end of the client's connection (RFC 9112 §9.6).
    fn end_exchange(&mut self, reason: CloseReason, more: bool, now: Millis) {
        self.finish_summary(reason, now);
        let keeps = self.keeps_client();
        self.icap = None;
        if keeps {
            self.upload = Flow { moved: self.upload.moved, eof: self.upload.eof, ..Flow::new() };
            return self.enter(Phase::Idle, now);
        }
        // A client that announced its last request sends nothing that a close could answer with a reset, but for the line
        // end that old ones add to their content (RFC 9112 §2.2).
        let silent = self.current.client == Persistence::Last && self.upload.done && !more;
        if silent || self.upload.eof {
            return self.close(reason, now);
        }
        self.enter(Phase::Draining { budget: DRAIN_BYTES, reason }, now);
    }
}

/// Notes that the proxy answers for itself, and why. To clients of the monitor it is no proxy, so that no answer stands in
/// place of another.
pub(super) fn note_own_answer(
    trouble: &mut Option<Cause>,
    ingress: Ingress,
    answer: &Answer,
    tunnel: bool,
    cx: &mut Context<'_>,
) {
    if ingress.is_local() {
        return;
    }
    let kept = answer.stored.is_some();
    cx.counters.note_response(if kept { ResponseSource::Cache } else { ResponseSource::Proxy }, answer.status);
    let Some(cause) = answer.cause else { return };
    *trouble = Some(cause);
    cx.counters.note_answer(cause, tunnel);
}
