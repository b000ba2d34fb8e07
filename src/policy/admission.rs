//! Decides about requests without a helper: what policy forbids, and what the proxy answers itself.

use std::net::IpAddr;

use crate::exchange::Settings;
use crate::http::answer::Answer;
use crate::http::cause::Cause;
use crate::http::fault::Fault;
use crate::http::request::Request;
use crate::http::target::Host;
use crate::http::Method;
use crate::policy::Policy;

/// The answer to a proxy client's request that may not pass, whatever helpers might say about it.
pub fn refusal(request: &Request, client: IpAddr, policy: &Policy, settings: &Settings) -> Option<Box<Answer>> {
    let answers = &settings.answers;
    let explain = |cause: Cause| Some(answers.explain(cause, Some(request), client, ""));
    let target = request.target();
    if request.via_contains(settings.rules.via.as_bytes()) {
        return explain(Cause::Loop);
    }
    if request.method() == Method::Connect {
        if let Err(refused) = policy.connect_allowed(target.port) {
            return Some(answers.refused(&refused, Some(request), client));
        }
    }
    if settings.rules.refuses(request.expectation()) {
        return explain(Cause::Client(Fault::Expectation));
    }
    if let Err(fault) = request.max_forwards() {
        return explain(Cause::Client(fault));
    }
    match &target.host {
        Host::Name(name) => match policy.name_allowed(name) {
            Ok(()) => None,
            Err(refused) => Some(answers.refused(&refused, Some(request), client)),
        },
        Host::V4(_) | Host::V6(..) => None,
    }
}

/// The answer to an OPTIONS or TRACE that must go no further (RFC 9110 §7.6.2).
pub fn final_recipient(request: &Request) -> Option<Box<Answer>> {
    let last = matches!(request.max_forwards(), Ok(Some(0)));
    last.then(|| Box::new(if request.method() == Method::Trace { Answer::trace(request) } else { Answer::options() }))
}
