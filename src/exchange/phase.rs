//! The phases of an exchange, and the table of moves between them.

use std::fmt;
use std::sync::Arc;

use reactor::Millis;

use super::close::CloseReason;
use super::opening::Opening;
use super::summary::Moved;
use crate::http::answer::{Answer, AnswerBody};
use crate::http::cause::Cause;
use crate::http::head::HeadScan;
use crate::http::request::Request;
use crate::http::target::Target;
use crate::icap::reply::IcapReply;
use crate::tls::alert::Alert;
use crate::tls::record::HelloScan;

/// Where an exchange stands. Each phase carries what only it needs.
#[derive(Debug)]
pub enum Phase {
    /// The PROXY protocol header that must come first is not complete.
    ProxyHeader {
        /// A part of it has come.
        begun: bool,
    },
    /// Nothing of a request has come yet.
    Idle,
    /// A request head has begun.
    Head {
        /// How far its end was looked for.
        scan: HeadScan,
        /// How many bytes the head and the content have together that are waited for; 0 while that is not known.
        whole: u32,
    },
    /// A hello of TLS has begun; how far its end was looked for.
    Hello(HelloScan),
    /// The request waits for a decision.
    Deciding(Box<Request>),
    /// The request waits for the addresses of its origin.
    Resolving(Box<Request>),
    /// The request waits for a connection to its origin.
    Connecting(Box<Request>),
    /// Request and response are on their way.
    Relaying(Relay),
    /// The last bytes that the client will get in this exchange are on their way: an answer of our own, or what is
    /// left of a response that was cut.
    Answering(Ending),
    /// Bytes go both ways unseen.
    Tunnel {
        /// The answer to CONNECT is still to be put before what the origin sends.
        greet: bool,
        /// What is remembered of the request.
        of: Box<TunnelOrigin>,
    },
    /// All is said; what the client still sends is thrown away until it closes.
    Draining {
        /// Bytes that may still be thrown away.
        budget: u32,
        /// Why the session will end.
        reason: CloseReason,
    },
    /// The end.
    Closed(CloseReason),
}

/// What is remembered of a request that has become a tunnel.
#[derive(Debug)]
pub struct TunnelOrigin {
    /// Where it leads, as the request had it.
    pub target: Target,
    /// Who has asked for it, where users prove that.
    pub user: Option<Arc<str>>,
    /// A parent has opened it.
    pub through_parent: bool,
    /// The client's first bytes are still to be judged, and wait for that.
    pub opening: Option<Box<Opening>>,
    /// What was moved for the connection before it came to its loop from another one, or another process.
    pub before: Moved,
    /// For how long nothing had moved when the clock of the loop began.
    pub still_before: Millis,
    /// No other process takes it.
    pub stays: bool,
}

/// What relaying needs to know of the request and of the response so far.
#[derive(Debug)]
pub struct Relay {
    /// The request. Its head is kept for as long as it might have to be sent again.
    pub request: Box<Request>,
    /// How far the exchange has come.
    pub stage: RelayStage,
    /// How far the end of the response head was looked for.
    pub scan: HeadScan,
    /// Interim responses seen so far.
    pub interims: u16,
    /// The connection had carried an exchange before, so that it may turn out dead.
    pub reused: bool,
}

/// The stages of relaying.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RelayStage {
    /// The request head is still to be written.
    Send,
    /// The final response head has not come.
    Await,
    /// The response body is on its way.
    Body,
    /// A 101 is on its way; when it is out, the exchange becomes a tunnel.
    Switch,
}

/// How an answer of our own ends.
#[derive(Debug)]
pub struct Ending {
    /// How far the answer has come.
    pub reply: AnswerState,
    /// The answer leaves the client connection open, if the client and its content do.
    pub keep: bool,
    /// The client gets all that it is to get; not so if a response was cut.
    pub whole: bool,
    /// Why the session ends, if it does.
    pub reason: CloseReason,
}

/// How far an answer of our own has come.
#[derive(Debug)]
pub enum AnswerState {
    /// The owner is to compose the answer that tells this cause, for this request if there was one.
    Unexplained(Cause, Option<Box<Request>>),
    /// It is there, and waits for the rest of the request's content, so that the connection can stay.
    Awaiting(Box<Answer>),
    /// It is there, and will be put into the buffer.
    Ready(Box<Answer>),
    /// In its place comes a reply of ICAP, as soon as the request's content lets it.
    Icap(Box<IcapReply>),
    /// Its head is in the buffer or sent, and its body goes out from where it stands, as the client takes it.
    Flowing(Box<BodyRest>),
    /// In its place comes what a client gets that does not read HTTP.
    Notice(LastNotice),
    /// All of it is in the buffer or sent, but for content that comes from elsewhere, or there is none.
    Written,
}

/// The last that a client gets that reads no answer in HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastNotice {
    /// The answer to CONNECT is still to be put before it.
    pub greet: bool,
    /// The alert, if any.
    pub alert: Option<Alert>,
}

/// What is left of the body of an answer.
#[derive(Debug)]
pub struct BodyRest {
    body: AnswerBody,
    /// Where the next bytes are.
    at: usize,
}

impl BodyRest {
    /// All of a body.
    pub fn new(body: AnswerBody) -> BodyRest {
        BodyRest { body, at: 0 }
    }

    /// Bytes of memory that are held for this body alone.
    pub fn own_size(&self) -> usize {
        self.body.own_size()
    }

    /// The next bytes; none when all have gone out.
    pub fn bytes(&self) -> &[u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    /// So many of them have gone out.
    pub fn skip(&mut self, count: usize) {
        self.at += count;
    }
}

impl Ending {
    /// Whether the head of the answer is in the buffer or sent.
    pub fn is_written(&self) -> bool {
        matches!(self.reply, AnswerState::Written | AnswerState::Flowing(_))
    }

    /// Whether the answer waits for the rest of the request's content.
    pub fn is_awaiting(&self) -> bool {
        matches!(self.reply, AnswerState::Awaiting(_))
    }
}

impl Phase {
    /// The tunnel that a request becomes; `greet` as in [`Phase::Tunnel`], `opening` as in [`TunnelOrigin`].
    pub fn tunnel(greet: bool, request: Request, opening: Option<Box<Opening>>) -> Phase {
        let (user, through_parent) = (request.user().cloned(), request.parent().is_some());
        let target = request.into_destination();
        let (before, still_before) = (Moved::default(), 0);
        let of = TunnelOrigin { user, target, through_parent, opening, before, still_before, stays: false };
        Phase::Tunnel { greet, of: Box::new(of) }
    }

    /// The request that the phase carries, when nothing else of the phase is wanted any more.
    pub(super) fn into_request(self) -> Option<Box<Request>> {
        match self {
            Phase::Deciding(request) | Phase::Resolving(request) | Phase::Connecting(request) => Some(request),
            Phase::Relaying(relay) => Some(relay.request),
            _ => None,
        }
    }

    /// Which phase this is, without what it carries.
    pub fn kind(&self) -> PhaseKind {
        match self {
            Phase::ProxyHeader { .. } => PhaseKind::ProxyHeader,
            Phase::Idle => PhaseKind::Idle,
            Phase::Head { .. } => PhaseKind::Head,
            Phase::Hello(_) => PhaseKind::Hello,
            Phase::Deciding(_) => PhaseKind::Deciding,
            Phase::Resolving(_) => PhaseKind::Resolving,
            Phase::Connecting(_) => PhaseKind::Connecting,
            Phase::Relaying(_) => PhaseKind::Relaying,
            Phase::Answering(_) => PhaseKind::Answering,
            Phase::Tunnel { .. } => PhaseKind::Tunnel,
            Phase::Draining { .. } => PhaseKind::Draining,
            Phase::Closed(_) => PhaseKind::Closed,
        }
    }
}

/// The phases by name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // they are those of `Phase`
pub enum PhaseKind {
    ProxyHeader,
    Idle,
    Head,
    Hello,
    Deciding,
    Resolving,
    Connecting,
    Relaying,
    Answering,
    Tunnel,
    Draining,
    Closed,
}

impl PhaseKind {
    /// All phases, in the order in which an exchange goes through them.
    pub const ALL: [PhaseKind; 12] = {
        use PhaseKind::*;
        [ProxyHeader, Idle, Head, Hello, Deciding, Resolving, Connecting, Relaying, Answering, Tunnel, Draining, Closed]
    };

    /// The name in logs and on pages.
    pub fn name(self) -> &'static str {
        match self {
            PhaseKind::ProxyHeader => "proxy-header",
            PhaseKind::Idle => "idle",
            PhaseKind::Head => "head",
            PhaseKind::Hello => "hello",
            PhaseKind::Deciding => "deciding",
            PhaseKind::Resolving => "resolving",
            PhaseKind::Connecting => "connecting",
            PhaseKind::Relaying => "relaying",
            PhaseKind::Answering => "answering",
            PhaseKind::Tunnel => "tunnel",
            PhaseKind::Draining => "draining",
            PhaseKind::Closed => "closed",
        }
    }

    /// The table of moves: may an exchange go from here to `next`?
    pub fn leads_to(self, next: PhaseKind) -> bool {
        use PhaseKind::*;
        match self {
            ProxyHeader => matches!(next, Idle | Closed),
            Idle => matches!(next, Head | Hello | Deciding | Answering | Closed),
            Head | Hello => matches!(next, Deciding | Answering | Closed),
            Deciding => matches!(next, Resolving | Answering | Closed),
            Resolving => matches!(next, Connecting | Answering | Closed),
            Connecting => matches!(next, Relaying | Tunnel | Answering | Closed),
            // Back to Resolving: a kept connection turned out dead before the response began.
            Relaying => matches!(next, Idle | Resolving | Answering | Tunnel | Draining | Closed),
            Answering => matches!(next, Idle | Draining | Closed),
            Tunnel => matches!(next, Answering | Draining | Closed),
            Draining => next == Closed,
            Closed => false,
        }
    }
}

impl fmt::Display for PhaseKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind().fmt(out)
    }
}

impl Relay {
    /// A request that is about to be sent.
    pub fn new(request: Box<Request>, reused: bool) -> Relay {
        Relay { request, stage: RelayStage::Send, scan: HeadScan::default(), interims: 0, reused }
    }
}
