//! What a cache makes of an exchange: a request answered from what is kept, and a response that is judged before its client
//! gets it. Knows no cache.

use std::fmt;

use super::close::CloseReason;
use super::ingress::Arrival;
use super::phase::Phase;
use super::{Action, Context, Exchange};
use crate::http::answer::Answer;
use crate::http::cache_status::CacheReport;
use crate::http::caching::Caching;
use crate::http::framing::Framing;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::Method;
use reactor::Millis;

/// Judges responses for a cache.
pub trait HeadJudge: fmt::Debug {
    /// Judges the head of a final response to a request with [`Caching::Judge`], of which the client has got nothing. `rest` is what
    /// has come behind it; `private` says that the connection is the client's own.
    ///
    /// None if the client gets something else in its place: [`Action::JudgeResponse`] follows.
    fn judge(&mut self, request: &Request, response: &Response<'_>, rest: &[u8], private: bool) -> Option<Judged>;
}

/// A response that goes to its client as it came.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// What the client is told of the cache.
    pub report: CacheReport,
    /// What logs say of it: a word of our own, and Squid's.
    pub words: (&'static str, &'static str),
}

impl Exchange {
    /// A request that no client has sent, to be judged like one of that client: its response is for a cache.
    pub fn fetching(arrival: &Arrival, request: Box<Request>, now: Millis) -> Exchange {
        let mut exchange = Exchange::new(arrival, now);
        exchange.current.head_only = request.method() == Method::Head;
        exchange.current.version = request.version();
        exchange.upload.begin(Framing::Empty);
        exchange.phase = Phase::Resolving(request);
        exchange.action = Some(Action::Resolve);
        exchange
    }

    /// Has the head of the response judged before the client gets it, or told what a cache did.
    pub fn set_caching(&mut self, caching: Caching) {
        if let Phase::Resolving(request) | Phase::Connecting(request) = &mut self.phase {
            request.set_caching(caching);
        } else if let Phase::Relaying(relay) = &mut self.phase {
            relay.request.set_caching(caching);
        }
    }

    /// Sends the request in this form, which agrees with the client's in all that the exchange rests on.
    pub fn replace_request(&mut self, mut other: Box<Request>) {
        debug_assert_eq!(other.method(), self.request().map_or(Method::Get, Request::method));
        if let Phase::Resolving(request) = &mut self.phase {
            other.set_user(request.user().cloned());
            other.follow_hop(request);
            *request = other;
        }
    }

    /// The client gets this in place of its origin's response, from a cache.
    pub fn handle_cached(&mut self, answer: Box<Answer>, cx: &mut Context<'_>) {
        if matches!(self.phase, Phase::Resolving(_) | Phase::Connecting(_) | Phase::Relaying(_)) {
            self.answer(answer, CloseReason::Complete, cx);
        }
    }

    /// The request is sent once more, in another form. What came of the response is dropped.
    pub fn handle_again(&mut self, mut other: Box<Request>, cx: &mut Context<'_>) {
        if let Phase::Relaying(relay) = &self.phase {
            other.set_user(relay.request.user().cloned());
            other.follow_hop(&relay.request);
            self.step(cx.now, |_| Phase::Resolving(other));
            self.action = Some(Action::Redial);
        }
    }

    /// It has waited long enough for another client's response: the time for its own begins now.
    pub fn handle_waited(&mut self, now: Millis) {
        if matches!(self.phase, Phase::Resolving(_)) {
            self.entered = now;
        }
    }
}
