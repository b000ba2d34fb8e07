//! Decides about requests without a helper: what policy forbids, and what the proxy answers itself.

use std::net::IpAddr;

use crate::decision::Decision;
use crate::exchange::Settings;
use crate::http::answer::Answer;
use crate::http::cause::Cause;
use crate::http::fault::Fault;
use crate::http::request::Request;
use crate::http::target::Host;
use crate::http::Method;
use crate::monitor::Running;
use crate::policy::Policy;

/// Decides about a proxy client's request.
pub fn proxy(request: &Request, client: IpAddr, policy: &Policy, settings: &Settings) -> Decision {
    let answers = &settings.answers;
    let explain = |cause: Cause| Decision::Answer(answers.explain(cause, Some(request), client, ""));
    let target = request.target();
    if request.via_contains(settings.rules.via.as_bytes()) {
        return explain(Cause::Loop);
    }
    if request.method() == Method::Connect {
        if let Err(refused) = policy.connect_allowed(target.port) {
            return Decision::Answer(answers.refused(&refused, Some(request), client));
        }
    }
    if settings.rules.refuses(request.expectation()) {
        return explain(Cause::Client(Fault::Expectation));
    }
    match request.max_forwards() {
        Ok(Some(0)) => return final_recipient(request),
        Ok(_) => {}
        Err(fault) => return explain(Cause::Client(fault)),
    }
    if let Host::Name(name) = &target.host {
        if let Err(refused) = policy.name_allowed(name) {
            return Decision::Answer(answers.refused(&refused, Some(request), client));
        }
    }
    Decision::Forward
}

/// OPTIONS and TRACE that must go no further end here (RFC 9110 §7.6.2).
fn final_recipient(request: &Request) -> Decision {
    let answer = if request.method() == Method::Trace { Answer::trace(request) } else { Answer::options() };
    Decision::Answer(Box::new(answer))
}

/// Answers a request to the monitor.
pub fn web(request: &Request, running: &Running) -> Decision {
    let path = request.path().split(|byte| *byte == b'?').next().unwrap_or_default();
    let answer = match path {
        b"/json/running" => {
            let mut answer = Answer::new(200, running.to_json().into_bytes());
            answer.kind = "application/json";
            answer
        }
        _ => Answer::new(404, &b"only /json/running is served here\n"[..]),
    };
    Decision::Answer(Box::new(answer))
}
