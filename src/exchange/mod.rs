//! The machine of one client connection: what a request, its decision, its origin and its response mean for what is
//! read, sent and closed. Knows no socket, clock or configuration file; bytes come in buffers, time as an argument.
//!
//! Inputs are the `handle_*` methods and `advance`; after each, `poll` tells what the owner has to do. Interest is never
//! stored: `wants_input` and `wants_shutdown` compute it from the phase and the flows.

pub mod close;
mod download;
mod ending;
pub mod flow;
pub mod identity;
mod local;
pub mod phase;
mod proxy_header;
pub mod proxy_protocol;
mod summary;
#[cfg(test)]
mod tests;
pub mod timers;
mod upload;

use std::net::IpAddr;

use reactor::Millis;

use crate::answers::Answers;
use crate::counters::exchange::ExchangeCounters;
use crate::http::answer::Answer;
use crate::http::cause::Cause;
use crate::http::framing::Framing;
use crate::http::request::Request;
use crate::http::rules::Rules;
use crate::http::target::Target;
use crate::http::{Method, Version};
use crate::policy::decision::Decision;
use close::CloseReason;
use flow::{Direction, Flow};
use identity::Identity;
use phase::{Ending, Phase, Relay, Stage};
pub use summary::{Moved, Summary};
use timers::Limits;

/// What exchanges are judged by. Shared by all of them and replaced on a reload.
#[derive(Debug)]
pub struct Settings {
    /// How long each timer runs.
    pub limits: Limits,
    /// Longest request or response head in bytes.
    pub head_size: usize,
    /// Longest request body in bytes, 0 for any.
    pub body_size: u64,
    /// How heads are read and rewritten.
    pub rules: Rules,
    /// What the proxy says itself.
    pub answers: Answers,
    /// Keep an [`Summary`] of each request.
    pub summary: bool,
}

/// What a step of the machine is given.
#[derive(Debug)]
pub struct Context<'a> {
    /// Limits and rules.
    pub settings: &'a Settings,
    /// The time of this turn.
    pub now: Millis,
    /// The time of this turn as a Date field value (RFC 9110 §6.6.1).
    pub date: &'a str,
    /// A place to write heads in before they go into a buffer.
    pub out: &'a mut Vec<u8>,
    /// What exchanges count.
    pub counters: &'a mut ExchangeCounters,
}

/// What the owner of an exchange has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Ask for a decision about [`Exchange::request`].
    Ask,
    /// Nobody has decided in time: do without, and tell with [`Exchange::handle_decision`].
    Overdue,
    /// Find the addresses of the request's origin.
    Resolve,
    /// Connect to the origin.
    Dial,
    /// Put the origin's connection where others can use it.
    Release,
    /// Give up the origin's connection, or whatever is under way to get one.
    Hangup,
    /// Give up the origin's connection and find another, never used one for the same request.
    Redial,
    /// A request is over: take its summary with [`Exchange::take_summary`]. Any other action may come in its place, so that
    /// the summary has to be looked for then too.
    Record,
    /// Close the client's connection: the session is over.
    Done(CloseReason),
}

/// The two ends of an exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Who asked.
    Client,
    /// Who is asked.
    Origin,
}

/// How the request reached its origin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connected {
    /// The connection has carried an exchange before.
    pub reused: bool,
}

/// One client connection and the exchange that it is in.
#[derive(Debug)]
pub struct Exchange {
    phase: Phase,
    upload: Flow,
    download: Flow,
    action: Option<Action>,
    identity: Identity,
    requests: u32,
    /// The client connection outlives this exchange.
    keep_alive: bool,
    /// The client will send no further request, whatever we do.
    last_request: bool,
    /// The request is a HEAD, or there is none: an answer to it has no body.
    head_only: bool,
    /// What the client speaks.
    version: Version,
    /// The origin connection can carry another exchange.
    reusable: bool,
    /// The origin connection belongs to this client alone: its authentication goes with the connection.
    private: bool,
    /// The request must go out on a connection that was never used.
    fresh: bool,
    /// The client talks to this program itself, not to an origin.
    own: bool,
    /// The origin's connection was reset while it was sent to, so an end that is read from it may be none.
    origin_reset: bool,
    /// What is remembered of the request for whoever wants to know in the end.
    summary: Option<Box<Summary>>,
    /// The last close of each side must be a reset.
    abort_client: bool,
    abort_origin: bool,
    /// Why the proxy last answered for itself.
    trouble: Option<Cause>,
    /// When the request under way began: the low bits of the time, which tell 49 days apart. A request that takes longer is
    /// counted as too short by that, and an idle session saves what the others would cost it.
    began: u32,
    entered: Millis,
    /// When bytes last moved; before the first request, when the client connected.
    touched: Millis,
}

impl Exchange {
    /// A client has connected from the address `peer`.
    pub fn new(peer: IpAddr, now: Millis) -> Exchange {
        Exchange {
            phase: Phase::Idle,
            upload: Flow::new(),
            download: Flow::new(),
            action: None,
            identity: Identity::new(peer),
            requests: 0,
            keep_alive: false,
            last_request: false,
            head_only: false,
            version: Version::Http11,
            reusable: false,
            private: false,
            fresh: false,
            own: false,
            origin_reset: false,
            summary: None,
            abort_client: false,
            abort_origin: false,
            trouble: None,
            began: 0,
            entered: now,
            touched: now,
        }
    }

    /// A balancer has connected from the address `peer`: the connection starts with a PROXY protocol header, and nothing
    /// is done with it before that is complete.
    pub fn proxied(peer: IpAddr, now: Millis) -> Exchange {
        Exchange { phase: Phase::ProxyHeader { begun: false }, ..Exchange::new(peer, now) }
    }

    /// A client of this program itself has connected from the address `peer`: it need not name a host.
    pub fn own(peer: IpAddr, now: Millis) -> Exchange {
        Exchange { own: true, ..Exchange::new(peer, now) }
    }

    /// Where the exchange stands.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The request under way.
    pub fn request(&self) -> Option<&Request> {
        match &self.phase {
            Phase::Deciding(request) | Phase::Resolving(request) | Phase::Connecting(request) => Some(request),
            Phase::Relaying(relay) => Some(&relay.request),
            _ => None,
        }
    }

    /// Where the request under way is sent, or was sent that became a tunnel.
    pub fn target(&self) -> Option<&Target> {
        match &self.phase {
            Phase::Tunnel { target, .. } => Some(target),
            _ => self.request().map(Request::destination),
        }
    }

    /// Why the proxy answered for itself on this connection, the last time it did.
    pub fn trouble(&self) -> Option<Cause> {
        self.trouble
    }

    /// Number of complete request heads seen on this connection.
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// Who the client is for decisions, logs and pages: see [`Identity::client`].
    pub fn client(&self) -> IpAddr {
        self.identity.client()
    }

    /// Who opened the connection, which is what X-Forwarded-For gets: see [`Identity::peer`].
    pub fn peer(&self) -> IpAddr {
        self.identity.peer()
    }

    /// The accounting of one direction.
    pub fn flow(&self, direction: Direction) -> &Flow {
        match direction {
            Direction::Upload => &self.upload,
            Direction::Download => &self.download,
        }
    }

    /// The request must not go out on a connection that was used before.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// The origin's connection must stay with this client.
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// The close of this side has to be a reset, so that what it got cannot be taken for complete.
    pub fn aborts(&self, side: Side) -> bool {
        match side {
            Side::Client => self.abort_client,
            Side::Origin => self.abort_origin,
        }
    }

    /// What has to be done next; None when the machine waits. After `Done` the exchange is not to be used any more.
    pub fn poll(&mut self) -> Option<Action> {
        self.action.take().or(match self.phase {
            Phase::Closed(reason) => Some(Action::Done(reason)),
            _ if self.summary.as_ref().is_some_and(|summary| summary.end().is_some()) => Some(Action::Record),
            _ => None,
        })
    }

    /// What is remembered of the request under way, or of one that is over and was not asked for yet.
    pub fn summary_mut(&mut self) -> Option<&mut Summary> {
        self.summary.as_deref_mut()
    }

    /// The summary of a request that is over, once.
    pub fn take_summary(&mut self) -> Option<Box<Summary>> {
        self.summary.take_if(|summary| summary.end().is_some())
    }

    /// Is more input wanted in this direction? Only asked when all that was cleared has been sent.
    pub fn wants_input(&self, direction: Direction) -> bool {
        let flow = self.flow(direction);
        if flow.eof {
            return false;
        }
        match (direction, &self.phase) {
            (Direction::Upload, Phase::ProxyHeader { .. } | Phase::Idle | Phase::Head { .. }) => true,
            (Direction::Upload, Phase::Draining { .. }) => true,
            (Direction::Download, Phase::Answering(ending)) => ending.answer.is_none() && !flow.done,
            // Behind a switch comes the tunnel's, and so does an end.
            (_, Phase::Relaying(relay)) => !flow.done && relay.stage != Stage::Switch,
            (_, Phase::Tunnel { greet, .. }) => !(*greet && direction == Direction::Download),
            _ => false,
        }
    }

    /// Does the download come from the content of an answer, and no more from the origin?
    pub fn is_answering(&self) -> bool {
        matches!(self.phase, Phase::Answering(_))
    }

    /// Will content of an answer still be asked for?
    pub fn needs_content(&self) -> bool {
        match &self.phase {
            Phase::Answering(Ending { answer: Some(answer), .. }) => answer.follows > 0 && !self.head_only,
            Phase::Answering(_) => !self.download.done,
            _ => false,
        }
    }

    /// Bytes that may go from socket to socket without being looked at.
    pub fn passable(&self, direction: Direction) -> u64 {
        let flow = self.flow(direction);
        if flow.broken {
            return 0;
        }
        match &self.phase {
            Phase::Tunnel { greet: false, .. } => u64::MAX,
            Phase::Relaying(relay) if direction == Direction::Upload && relay.stage != Stage::Send => {
                flow.framing.passable()
            }
            Phase::Relaying(relay) if relay.stage == Stage::Body => flow.framing.passable(),
            _ => 0,
        }
    }

    /// Should the destination of this direction now be told that nothing more comes? `stored` is what its buffer holds.
    pub fn wants_shutdown(&self, direction: Direction, stored: usize) -> bool {
        let flow = self.flow(direction);
        if flow.shut || flow.cleared > 0 {
            return false;
        }
        match &self.phase {
            Phase::Tunnel { greet, .. } => flow.eof && stored == 0 && !greet,
            Phase::Draining { .. } => direction == Direction::Download,
            _ => false,
        }
    }

    /// Milliseconds since the present phase began.
    pub fn waited(&self, now: Millis) -> Millis {
        now.saturating_sub(self.entered)
    }

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

    /// The cleared bytes have been taken from the buffer, and nobody got them.
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

    /// Somebody has decided about the request.
    pub fn handle_decision(&mut self, decision: Decision, cx: &mut Context<'_>) {
        let Phase::Deciding(request) = &mut self.phase else { return };
        if let Some(summary) = &mut self.summary {
            summary.decided = Some(cx.now);
        }
        match decision {
            Decision::Forward => {}
            Decision::Rewrite(other) => {
                self.private |= other.wants_private_connection();
                *request = other;
            }
            Decision::Intercept(to) => request.divert(to),
            Decision::Answer(answer) => {
                let late = self.poll_timeout(&cx.settings.limits).filter(|(_, at)| *at <= cx.now);
                let reason = late.map_or(CloseReason::Answered, |(timer, _)| CloseReason::Timeout(timer));
                return self.answer(answer, reason, cx);
            }
        }
        self.step(cx.now, Phase::Resolving);
        self.action = Some(Action::Resolve);
    }

    /// The addresses of the origin are known to the owner.
    pub fn handle_resolved(&mut self, cx: &mut Context<'_>) {
        if matches!(self.phase, Phase::Resolving(_)) {
            if let Some(summary) = &mut self.summary {
                summary.resolved = Some(cx.now);
            }
            self.step(cx.now, Phase::Connecting);
            self.action = Some(Action::Dial);
        }
    }

    /// The request cannot be served; `answer` says why.
    pub fn handle_failure(&mut self, answer: Box<Answer>, cx: &mut Context<'_>) {
        if matches!(self.phase, Phase::Deciding(_) | Phase::Resolving(_) | Phase::Connecting(_)) {
            self.answer(answer, CloseReason::Answered, cx);
        }
    }

    /// There is a connection to the origin.
    pub fn handle_connected(&mut self, connected: Connected, cx: &mut Context<'_>) {
        let Phase::Connecting(request) = &self.phase else { return };
        self.download = Flow { moved: self.download.moved, ..Flow::new() };
        if let Some(summary) = &mut self.summary {
            summary.note_connected(request, cx.now);
        }
        if request.method() == Method::Connect {
            self.upload.begin(Framing::UntilClose);
            self.note_served(cx);
            return self.step(cx.now, |request| Phase::tunnel(true, *request));
        }
        self.reusable = !request.has_stray_content();
        self.step(cx.now, |request| Phase::Relaying(Relay::new(request, connected.reused)));
    }

    /// There is a request, whatever it is worth. It began with its first byte.
    fn begin_request(&mut self, cx: &Context<'_>) {
        let began = if self.phase.kind() == phase::PhaseKind::Head { self.entered } else { cx.now };
        self.began = began as u32;
        if cx.settings.summary && !self.own {
            self.summary = Some(Box::new(Summary::unread(began, self.moved())));
        }
    }

    /// The client has got all of its response, or its tunnel.
    fn note_served(&self, cx: &mut Context<'_>) {
        if !self.own {
            let took = (cx.now as u32).wrapping_sub(self.began);
            cx.counters.request_time.note(took.into());
        }
    }

    /// The request is over, whatever becomes of the connection.
    fn finish_summary(&mut self, reason: CloseReason, now: Millis) {
        let moved = self.moved();
        if let Some(summary) = &mut self.summary {
            summary.finish(reason, now, moved);
        }
    }

    fn moved(&self) -> Moved {
        Moved { up: self.upload.moved, down: self.download.moved }
    }

    fn flow_mut(&mut self, direction: Direction) -> &mut Flow {
        match direction {
            Direction::Upload => &mut self.upload,
            Direction::Download => &mut self.download,
        }
    }

    /// The one place where the phase changes.
    fn enter(&mut self, next: Phase, now: Millis) {
        debug_assert!(self.phase.kind().leads_to(next.kind()), "no way from {} to {}", self.phase, next);
        log::trace!(target: "client", "{} -> {}", self.phase, next);
        self.phase = next;
        self.entered = now;
        self.handle_activity(now);
    }

    /// Enters a phase that goes on with the request of the present one.
    fn step(&mut self, now: Millis, next: impl FnOnce(Box<Request>) -> Phase) {
        let from = std::mem::replace(&mut self.phase, Phase::Idle);
        let kind = from.kind();
        match from {
            Phase::Deciding(request)
            | Phase::Resolving(request)
            | Phase::Connecting(request)
            | Phase::Relaying(Relay { request, .. }) => {
                let next = next(request);
                debug_assert!(kind.leads_to(next.kind()), "no way from {kind} to {next}");
                log::trace!(target: "client", "{kind} -> {next}");
                self.phase = next;
                self.entered = now;
                self.handle_activity(now);
            }
            other => self.phase = other,
        }
    }
}
