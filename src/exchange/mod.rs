//! The machine of one client connection: what a request, its decision, its origin and its response mean for what is
//! read, sent and closed. Knows no socket, clock or configuration file; bytes come in buffers, time as an argument.
//!
//! Inputs are the `handle_*` methods and `advance`; after each, `poll` tells what the owner has to do. Interest is never
//! stored: `wants_input` and `wants_shutdown` compute it from the phase and the flows.

mod arrived;
mod beginning;
pub mod cached;
pub mod close;
mod current;
mod deadlines;
mod download;
mod ending;
pub mod flow;
mod icap;
pub mod identity;
pub mod ingress;
mod interest;
mod local;
mod movement;
mod moving;
mod notice;
pub mod opening;
mod parent;
pub mod phase;
mod proxy_header;
pub mod proxy_protocol;
mod remembering;
mod summary;
#[cfg(test)]
mod tests;
pub mod timers;
mod tunnel;
mod unspoken;
mod upload;
mod user;

use reactor::Millis;

use crate::counters::exchange::{ExchangeCounters, ResponseSource};
use crate::http::answer::Answer;
use crate::http::cause::Cause;
use crate::http::framing::Framing;
use crate::http::request::Request;
use crate::http::rules::Rules;
use crate::http::target::Target;
use crate::http::Method;
use crate::icap::transaction::Transaction;
use crate::icap::ServiceSettings;
use crate::policy::decision::Decision;
use crate::policy::networks::Networks;
use crate::policy::tunnels::TunnelRules;
use cached::HeadJudge;
use close::CloseReason;
use current::{Current, Persistence};
use ending::note_own_answer;
use flow::{Direction, Flow};
use identity::Identity;
use ingress::{Ingress, Onward, Provenance};
use phase::{AnswerState, Ending, Phase, PhaseKind, Relay, RelayStage};
pub use summary::moved::NewHome;
pub use summary::{Moved, Remembered, SpareSummaries, Summary};
use timers::Limits;

/// What exchanges are judged by. Shared by all of them and replaced on a reload.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long each timer runs.
    pub limits: Limits,
    /// Longest request body in bytes, 0 for any.
    pub body_size: u64,
    /// How heads are read and rewritten.
    pub rules: Rules,
    /// Who is believed what it says about its clients (`http.trusted`).
    pub trusted: Networks,
    /// Where diverted requests go.
    pub onward: Onward,
    /// What tunnels may begin with.
    pub tunnels: TunnelRules,
    /// Most bytes of a hello of TLS with its records.
    pub hello_size: usize,
    /// A connection of TLS goes to the name in its hello, also where it was diverted (`tls.destination`).
    pub tls_by_name: bool,
    /// Where connections of any protocol go that were not diverted (`passthrough.destination`).
    pub passthrough: Option<Target>,
    /// What ICAP is told and allowed.
    pub icap: ServiceSettings,
    /// Helpers read hellos, so that they are kept with their requests.
    pub keeps_hello: bool,
    /// Keep a [`Summary`] of each request, with this in it.
    pub summary: Option<Remembered>,
    /// The process is about to leave its clients to another: each answer is the last on its connection.
    pub leaving: bool,
}

/// What a step of the machine is given.
#[derive(Debug)]
pub struct Context<'a> {
    /// Limits and rules.
    pub settings: &'a Settings,
    /// The number of the connection, for log lines.
    pub session: u32,
    /// The time of this turn.
    pub now: Millis,
    /// What `now` leaves out of it, in microseconds, 0 to 999: for what is measured.
    pub fraction: u16,
    /// The time of this turn as a Date field value (RFC 9110 §6.6.1).
    pub date: &'a str,
    /// A place to write heads in before they go into a buffer.
    pub out: &'a mut Vec<u8>,
    /// What exchanges count.
    pub counters: &'a mut ExchangeCounters,
    /// What judges responses for a cache, where there is one.
    pub judge: Option<&'a mut dyn HeadJudge>,
    /// Where summaries come from.
    pub summaries: &'a mut SpareSummaries,
}

/// What the owner of an exchange has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Ask for a decision about [`Exchange::request`].
    Ask,
    /// No decision has come in time: do without, and tell with [`Exchange::handle_decision`].
    Overdue,
    /// Have lists judge [`Exchange::name_to_judge`], and tell with [`Exchange::handle_judged`].
    Judge,
    /// Find the addresses of the request's origin.
    Resolve,
    /// Judge the addresses of the request's host, which its client of ICAP connects to itself, and tell with
    /// [`Exchange::handle_vetted`].
    Vet,
    /// Compose the answer that tells this cause, for [`Exchange::request`] if there is one, and hand it in with
    /// [`Exchange::handle_explained`].
    Explain(Cause),
    /// A response head has come that is to be judged before the client gets it: say so with [`Exchange::set_caching`], or
    /// answer in its place.
    JudgeResponse,
    /// Put the origin's connection where others can use it.
    Release,
    /// Give up the origin's connection, or what is under way to get one.
    Hangup,
    /// Give up the origin's connection and find another, never used one for the same request.
    Redial,
    /// A request is over: take its summary with [`Exchange::take_summary`]. Comes before anything else that its end asks for.
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
    /// It is this client's alone, from an earlier request.
    pub exclusive: bool,
}

/// One client connection and the exchange that it is in.
#[derive(Debug)]
pub struct Exchange {
    phase: Phase,
    upload: Flow,
    download: Flow,
    action: Option<Action>,
    /// By which kind of listener the client came in.
    ingress: Ingress,
    /// The number of that listener.
    listener: u16,
    identity: Identity,
    /// What else is known of how the connection came about, where there is something.
    provenance: Option<Box<Provenance>>,
    requests: u32,
    /// The request under way, or the last one.
    current: Current,
    /// What a client of ICAP wants to know of it.
    icap: Option<Box<Transaction>>,
    /// Every origin connection belongs to this client alone: its authentication goes with the connection.
    private: bool,
    /// The present origin connection belongs to this client alone: it has carried a request that its origin may have
    /// understood as more than one.
    exclusive: bool,
    /// The last close of each side must be a reset.
    abort_client: bool,
    abort_origin: bool,
    /// Each side of a tunnel has ended by a reset. Here and not in the flows, where each would cost 8 bytes.
    client_reset: bool,
    origin_reset: bool,
    /// Why the proxy last answered for itself.
    trouble: Option<Cause>,
    entered: Millis,
    /// When bytes last moved; before the first request, when the client connected.
    touched: Millis,
}

impl Exchange {
    /// Where the exchange stands.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The request under way.
    pub fn request(&self) -> Option<&Request> {
        match &self.phase {
            Phase::Deciding(request) | Phase::Resolving(request) | Phase::Connecting(request) => Some(request),
            Phase::Relaying(relay) => Some(&relay.request),
            Phase::Answering(Ending { reply: AnswerState::Unexplained(_, request), .. }) => request.as_deref(),
            _ => None,
        }
    }

    /// Where the request under way is sent, or was sent that became a tunnel.
    pub fn target(&self) -> Option<&Target> {
        match &self.phase {
            Phase::Tunnel { of, .. } => Some(&of.target),
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

    /// The accounting of one direction.
    pub fn flow(&self, direction: Direction) -> &Flow {
        match direction {
            Direction::Upload => &self.upload,
            Direction::Download => &self.download,
        }
    }

    /// The request must not go out on a connection that was used before.
    pub fn is_fresh(&self) -> bool {
        self.current.fresh
    }

    /// The origin's connection must stay with this client, or end.
    pub fn is_private(&self) -> bool {
        self.private || self.exclusive
    }

    /// The origin's connection stays with this client because its authentication goes with it, so that every request has
    /// to take it (RFC 4559 §6).
    pub fn is_authenticated(&self) -> bool {
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
        if self.current.summary.as_ref().is_some_and(|summary| summary.end().is_some()) {
            return Some(Action::Record);
        }
        self.action.take().or(match self.phase {
            Phase::Closed(reason) => Some(Action::Done(reason)),
            _ => None,
        })
    }

    /// What is remembered of the request under way, or of one that is over and was not asked for yet.
    pub fn summary_mut(&mut self) -> Option<&mut Summary> {
        self.current.summary.as_deref_mut()
    }

    /// The summary of a request that is over, once.
    pub fn take_summary(&mut self) -> Option<Box<Summary>> {
        self.current.summary.take_if(|summary| summary.end().is_some())
    }

    /// Milliseconds since the present phase began.
    pub fn waited(&self, now: Millis) -> Millis {
        now.saturating_sub(self.entered)
    }

    /// The request was decided about.
    pub fn handle_decision(&mut self, decision: Decision, cx: &mut Context<'_>) {
        let Phase::Deciding(request) = &mut self.phase else { return };
        if let Some(summary) = &mut self.current.summary {
            summary.decided = Some(cx.now);
        }
        self.current.replaced = matches!(decision, Decision::Rewrite(_) | Decision::Intercept(..));
        match decision {
            Decision::Forward => {}
            Decision::Rewrite(other) => {
                self.private |= other.wants_private_connection();
                *request = other;
            }
            Decision::Intercept(to, header) => request.intercept(*to, header),
            Decision::Answer(answer) => {
                let late = self.poll_timeout(&cx.settings.limits).filter(|(_, at)| *at <= cx.now);
                let reason = late.map_or(CloseReason::Answered, |(timer, _)| CloseReason::Timeout(timer));
                return self.answer(answer, reason, cx);
            }
        }
        self.step(cx.now, Phase::Resolving);
        self.action = Some(if self.icap.is_some() { Action::Vet } else { Action::Resolve });
    }

    /// The original destination that the request goes to is an address of the host that it names.
    pub fn handle_proven(&mut self) {
        if let Phase::Resolving(request) = &mut self.phase {
            request.prove();
        }
    }

    /// The addresses of the origin are known to the owner. True if a connection to one of them is wanted now.
    pub fn handle_resolved(&mut self, cx: &mut Context<'_>) -> bool {
        let wanted = matches!(self.phase, Phase::Resolving(_));
        if wanted {
            if let Some(summary) = &mut self.current.summary {
                summary.resolved = Some(cx.now);
            }
            // Asked once more on a new connection it is the same request.
            if !self.current.fresh {
                cx.counters.allowed[usize::from(self.asks_for_tunnel())] += 1;
            }
            self.step(cx.now, Phase::Connecting);
        }
        wanted
    }

    /// The owner has composed the answer that [`Action::Explain`] asked for.
    pub fn handle_explained(&mut self, answer: Box<Answer>, cx: &mut Context<'_>) {
        if let Phase::Answering(ending) = &mut self.phase {
            ending.keep &= !answer.close || self.icap.is_some();
            note_own_answer(&mut self.trouble, self.ingress, &answer, false, cx);
            if let Some(summary) = &mut self.current.summary {
                summary.note_answer(&answer);
            }
            let reply = self.ready(answer);
            if let Phase::Answering(ending) = &mut self.phase {
                ending.reply = reply;
            }
            self.action = Some(Action::Hangup);
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
        if let Some(summary) = &mut self.current.summary {
            summary.note_connected(request, cx.now);
        }
        if parent::asks_parent_for_tunnel(request) {
            return self.ask_for_tunnel(cx);
        }
        if request.method() == Method::Connect {
            self.upload.begin(Framing::UntilClose);
            self.note_served(cx);
            let opening = self.begin_opening(request, cx);
            let greet = self.ingress.speaks_http();
            if greet {
                cx.counters.note_response(ResponseSource::Tunnel, 200);
            }
            return self.step(cx.now, |request| Phase::tunnel(greet, *request, opening));
        }
        self.exclusive = connected.exclusive;
        self.current.reusable = !request.has_stray_content();
        self.step(cx.now, |request| Phase::Relaying(Relay::new(request, connected.reused)));
    }

    /// Whether the client's connection stays for another request behind the present one: what the client asked for, what is
    /// left of its content, and what its head says or will say, taken together (RFC 9112 §9.3).
    fn keeps_client(&self) -> bool {
        // What goes back is complete when the reply is.
        let complete = self.upload.done || self.echoes();
        self.current.client == Persistence::More
            && match &self.phase {
                // Whether the content goes on behind the response, its head decides.
                Phase::Relaying(Relay { stage: RelayStage::Send | RelayStage::Await, .. }) => true,
                // Content that the origin did not take would stand in front of the next request.
                Phase::Relaying(_) => {
                    complete && self.current.announced && self.upload.cleared == 0 && !self.upload.broken
                }
                Phase::Answering(ending) => complete && ending.keep && (self.current.announced || !ending.is_written()),
                _ => false,
            }
    }

    /// Most bytes that are collected before they can be understood.
    pub fn most_held(&self, settings: &Settings) -> usize {
        match self.ingress {
            Ingress::Icap => settings.icap.header_size + 2 * settings.rules.max_head(),
            Ingress::Tls => settings.hello_size,
            _ if self.opening().is_some() => settings.hello_size,
            _ => settings.rules.max_head(),
        }
    }

    fn moved(&self) -> Moved {
        Moved { up: self.upload.moved, down: self.download.moved }
    }

    /// Whether the source of this direction has ended by a reset.
    fn is_reset(&self, direction: Direction) -> bool {
        match direction {
            Direction::Upload => self.client_reset,
            Direction::Download => self.origin_reset,
        }
    }

    fn reset_mut(&mut self, side: Side) -> &mut bool {
        match side {
            Side::Client => &mut self.client_reset,
            Side::Origin => &mut self.origin_reset,
        }
    }

    fn flow_mut(&mut self, direction: Direction) -> &mut Flow {
        match direction {
            Direction::Upload => &mut self.upload,
            Direction::Download => &mut self.download,
        }
    }

    /// Enters a phase that has nothing to do with the request of the present one.
    fn enter(&mut self, next: Phase, now: Millis) {
        self.change(self.phase.kind(), next, now);
    }

    /// Enters a phase that goes on with the request of the present one.
    fn step(&mut self, now: Millis, next: impl FnOnce(Box<Request>) -> Phase) {
        let kind = self.phase.kind();
        // Idle for the moment between the two, which no reader of the phase can see.
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Deciding(request)
            | Phase::Resolving(request)
            | Phase::Connecting(request)
            | Phase::Relaying(Relay { request, .. }) => self.change(kind, next(request), now),
            other => self.phase = other,
        }
    }

    /// The one place where the phase changes.
    fn change(&mut self, from: PhaseKind, next: Phase, now: Millis) {
        debug_assert!(from.leads_to(next.kind()), "no way from {from} to {next}");
        log::trace!(target: "client", "{}: {from} -> {next}", self.client());
        self.phase = next;
        self.entered = now;
        self.handle_activity(now);
    }
}
