//! What the proxy says itself: from a cause to an answer with its page. Knows no connection.

use std::net::IpAddr;

use crate::exchange::timers::Timer;
use crate::http::answer::{Answer, PLAIN};
use crate::http::cause::Cause;
use crate::http::fault::{Fault, OriginFault};
use crate::http::request::Request;
use crate::http::Method;
use crate::pages::{Pages, Values};
use crate::policy::Refused;
use crate::upstream::dial::DialError;

/// The pages, and whose statuses are used.
#[derive(Debug)]
pub struct Answers {
    /// Where the bodies come from.
    pub pages: Pages,
    /// Answer with the statuses of the original (`http.compatible-status`).
    pub compatible: bool,
}

impl Answers {
    /// Answers with the pages that are built in.
    pub fn built_in() -> Answers {
        Answers { pages: Pages::default(), compatible: false }
    }

    /// The answer to a request that cannot be served. `comment` is what is known beyond the cause.
    pub fn explain(&self, cause: Cause, request: Option<&Request>, client: IpAddr, comment: &str) -> Box<Answer> {
        let mut answer = Answer::of(cause, self.compatible);
        answer.status = self.unmistakable(answer.status, cause.status(false), request);
        let host = request.map(|request| request.target().host.to_string()).unwrap_or_default();
        let url = request.map(url).unwrap_or_default();
        let client_ip = client.to_string();
        let text = if comment.is_empty() { cause.to_string() } else { comment.to_string() };
        let values = Values { url: &url, host: &host, client_ip: &client_ip, protocol: "http", comment: &text };
        if let Some(page) = self.pages.render(cause.page(), &values) {
            answer.body = page.into();
            answer.kind = crate::http::answer::HTML;
        }
        Box::new(answer)
    }

    /// A 2xx would tell the client of a CONNECT that its tunnel is open (RFC 9110 §9.3.6).
    fn unmistakable(&self, wanted: u16, standard: u16, request: Option<&Request>) -> u16 {
        let connect = request.is_some_and(|request| request.method() == Method::Connect);
        if connect && wanted < 300 {
            standard
        } else {
            wanted
        }
    }

    /// The client is at fault.
    pub fn fault(&self, fault: Fault, client: IpAddr) -> Box<Answer> {
        self.explain(fault.into(), None, client, "")
    }

    /// The origin is at fault.
    pub fn origin_fault(&self, fault: OriginFault, request: Option<&Request>, client: IpAddr) -> Box<Answer> {
        self.explain(fault.into(), request, client, "")
    }

    /// A timer has run out before there was anything to answer with.
    pub fn timeout(&self, timer: Timer, request: Option<&Request>, client: IpAddr) -> Box<Answer> {
        let cause = match timer {
            Timer::Resolve => Cause::NameTimeout,
            Timer::Connect => Cause::ConnectTimeout,
            Timer::Head | Timer::First => Cause::Client(Fault::HeadTimeout),
            _ => Cause::Origin(OriginFault::HeadTimeout),
        };
        self.explain(cause, request, client, "")
    }

    /// The local page of that name. For a CONNECT it says that there is no tunnel.
    pub fn page(&self, name: &str, request: &Request, client: IpAddr) -> Box<Answer> {
        let connect = request.method() == Method::Connect;
        let (host, url, client_ip) = (request.target().host.to_string(), url(request), client.to_string());
        let values = Values { url: &url, host: &host, client_ip: &client_ip, protocol: "http", comment: "" };
        match self.pages.render(name, &values) {
            Some(page) => Box::new(Answer::new(if connect { 403 } else { 200 }, page)),
            None => {
                log::error!(target: "download", "there is no page {name:?} (web.html)");
                self.explain(Cause::PageMissing, Some(request), client, &format!("there is no page {name}"))
            }
        }
    }

    /// The name gave no address.
    pub fn name_failure(&self, failure: &dns::Failure, request: Option<&Request>, client: IpAddr) -> Box<Answer> {
        let cause = if failure.is_timeout() { Cause::NameTimeout } else { Cause::NameFailed };
        self.explain(cause, request, client, &failure.to_string())
    }

    /// No connection came about.
    pub fn dial_error(&self, error: DialError, request: Option<&Request>, client: IpAddr) -> Box<Answer> {
        let cause = match error {
            DialError::TimedOut => Cause::ConnectTimeout,
            DialError::Exhausted => Cause::Overloaded,
            _ => Cause::ConnectFailed,
        };
        self.explain(cause, request, client, &error.to_string())
    }

    /// The request may not go where it wants to.
    pub fn refused(&self, refused: &Refused, request: Option<&Request>, client: IpAddr) -> Box<Answer> {
        let cause = match refused {
            Refused::Connect | Refused::ConnectPort(_) => Cause::ConnectNotAllowed,
            Refused::Name => Cause::NameShort,
            Refused::Loop(..) => Cause::Loop,
            Refused::Family(_) | Refused::Denied(_) | Refused::Local(..) => Cause::AddressNotAllowed,
        };
        let mut answer = self.explain(cause, request, client, &refused.to_string());
        answer.status = self.unmistakable(refused.status(self.compatible), refused.status(false), request);
        if cause == Cause::ConnectNotAllowed && self.compatible {
            answer.body = (&b"CONNECT NOT ALLOWED\n"[..]).into();
            answer.kind = PLAIN;
        }
        answer
    }
}

/// `host[:port]/path`, as templates show it.
fn url(request: &Request) -> String {
    let mut text = Vec::new();
    request.target().write_authority(&mut text);
    text.extend_from_slice(request.path());
    String::from_utf8_lossy(&text).into_owned()
}
