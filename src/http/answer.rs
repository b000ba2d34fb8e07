//! Answers that the proxy gives for itself: pages, refusals, redirects, the echo of TRACE. Knows how they are written,
//! and neither why they are given ([`super::cause`]) nor where pages come from.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use super::cache_status::{self, CacheReport};
use super::cause::{Cause, RETRY_AFTER};
use super::media::{self, PLAIN};
use super::request::{is_alike, Request};
use super::rewrite::connection;
use super::rules::ToClient;
use super::stored::StoredHead;
use super::write::push;
use super::{Method, Version};
use crate::decimal::{push_number, push_three};

/// The answer to CONNECT once the tunnel stands. It has no fields at all: some clients trip over them.
pub const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection Established\r\n\r\n";

/// The methods named in an Allow field; others are forwarded too.
pub const ALLOWED_ONWARD: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";

/// The methods of a proxy's Allow field.
pub const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE, CONNECT";

/// Fields of a request that the echo of TRACE leaves out (RFC 9110 section 9.3.8).
const SECRETS: [&[u8]; 4] = [b"authorization", b"proxy-authorization", b"cookie", b"cookie2"];

/// An answer that no origin gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status, 200 to 599.
    pub status: u16,
    /// Why the request cannot be served, if that is what it says.
    pub cause: Option<Cause>,
    /// Fields besides Date, Server, Content-Length, Content-Type, Cache-Control, Pragma and Connection; of a head that a
    /// helper has written, all but Content-Length and Connection.
    pub fields: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    /// The reason phrase of a head that a helper has written; it gets none of our fields but those of framing.
    pub foreign: Option<String>,
    /// The reason phrase of a head of ours, where that of its status does not say enough; of visible ASCII and blanks.
    pub phrase: Option<String>,
    /// The head of a response that is kept, whose fields stand in place of all of ours but Content-Length, Connection and
    /// those of `fields`.
    pub stored: Option<StoredHead>,
    /// Seconds for which it has been kept, and was on its way before (RFC 9111 section 5.1).
    pub age: Option<u64>,
    /// What a cache did with the request; it is told unless the proxy does not show itself.
    pub cached: Option<CacheReport>,
    /// The media type of the body.
    pub kind: &'static str,
    /// The body, or its start.
    pub body: AnswerBody,
    /// Bytes of the body that come from elsewhere, behind those of `body`.
    pub follows: u64,
    /// How many bytes follow is not known: they come as chunks, and to a client of HTTP/1.0 until the end.
    pub unsized_body: bool,
    /// Whether the client's connection is closed afterwards, even if the client asked to keep it.
    pub close: bool,
}

/// The body of an answer: bytes of the program, of this answer alone, or of a page that stays what it is.
#[derive(Clone, Debug)]
pub enum AnswerBody {
    /// Built in.
    Static(&'static [u8]),
    /// Made for this answer.
    Own(Vec<u8>),
    /// Of a page that is kept in memory, up to 1 MiB, so that it is not copied.
    Shared(Arc<[u8]>),
    /// A part of such bytes: from the first place to the second, both within them.
    Part(Arc<[u8]>, usize, usize),
}

impl AnswerBody {
    /// Bytes of memory that are held for this answer alone.
    pub fn own_size(&self) -> usize {
        match self {
            AnswerBody::Own(bytes) => bytes.capacity(),
            AnswerBody::Static(_) | AnswerBody::Shared(_) | AnswerBody::Part(..) => 0,
        }
    }
}

impl Default for AnswerBody {
    fn default() -> AnswerBody {
        AnswerBody::Static(b"")
    }
}

impl Deref for AnswerBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            AnswerBody::Static(bytes) => bytes,
            AnswerBody::Own(bytes) => bytes,
            AnswerBody::Shared(bytes) => bytes,
            AnswerBody::Part(bytes, from, to) => &bytes[*from..*to],
        }
    }
}

impl PartialEq for AnswerBody {
    fn eq(&self, other: &AnswerBody) -> bool {
        **self == **other
    }
}

impl Eq for AnswerBody {}

impl From<&'static [u8]> for AnswerBody {
    fn from(bytes: &'static [u8]) -> AnswerBody {
        AnswerBody::Static(bytes)
    }
}

impl From<Vec<u8>> for AnswerBody {
    fn from(bytes: Vec<u8>) -> AnswerBody {
        AnswerBody::Own(bytes)
    }
}

impl Answer {
    /// An answer with that body. Whether it is a page or a picture is seen by its start, else it is plain text.
    pub fn new(status: u16, body: impl Into<AnswerBody>) -> Answer {
        let body = body.into();
        Answer {
            status,
            cause: None,
            fields: Vec::new(),
            foreign: None,
            phrase: None,
            stored: None,
            age: None,
            cached: None,
            kind: media::by_content(&body).unwrap_or(PLAIN),
            body,
            follows: 0,
            unsized_body: false,
            close: false,
        }
    }

    /// The answer to a request that cannot be served, with a line of text for a body; [`Answer::body`] may be replaced
    /// by the page of the cause. With `compatible` the status is the original's.
    pub fn of(cause: Cause, compatible: bool) -> Answer {
        let mut answer = Answer::new(cause.status(compatible), format!("{cause}\n").into_bytes());
        answer.cause = Some(cause);
        match cause {
            // What follows a faulty message cannot be told from its content.
            Cause::Client(_) | Cause::ClientDenied => answer.close = true,
            Cause::Overloaded | Cause::TooManyConnections => {
                answer.close = true;
                answer = answer.with("Retry-After", RETRY_AFTER.to_string());
            }
            Cause::TooManyNames | Cause::TooManyHeads | Cause::AuthenticationBusy => {
                answer = answer.with("Retry-After", RETRY_AFTER.to_string());
            }
            Cause::AuthenticationSlowed => answer = answer.with("Retry-After", "1"),
            _ => {}
        }
        answer
    }

    /// The answer to an OPTIONS request that must go no further (RFC 9110 section 9.3.7), with the methods that are allowed.
    pub fn options(allowed: &'static str) -> Answer {
        Answer::new(200, &b""[..]).with("Allow", allowed)
    }

    /// The answer to a TRACE request that must go no further: its head, credentials left out (RFC 9110 section 9.3.8).
    pub fn trace(request: &Request) -> Answer {
        let head = request.raw();
        let line_end = head.iter().position(|byte| *byte == b'\n').map_or(head.len(), |end| end + 1);
        let mut body = head[..line_end].to_vec();
        for (name, value) in request.fields() {
            if !SECRETS.iter().any(|secret| is_alike(name, secret)) {
                push(&mut body, &[name, b": ", value, b"\r\n"]);
            }
        }
        body.extend_from_slice(b"\r\n");
        Answer { kind: "message/http", ..Answer::new(200, body) }
    }

    /// A redirect to `location` with this status (301, 302, 303, 307 or 308), or `None` if the location is empty or holds
    /// bytes that no field may hold.
    pub fn redirect(status: u16, location: String) -> Option<Answer> {
        let valid = !location.is_empty() && location.bytes().all(|byte| matches!(byte, b'!'..=b'~' | 0x80..));
        valid.then(|| Answer::new(status, &b""[..]).with("Location", location))
    }

    /// The same with one more field. Name and value must be ours or checked: they are written as they are.
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Answer {
        let (name, value) = (name.into(), value.into());
        debug_assert!(super::syntax::is_token(name.as_bytes()) && super::syntax::is_value(value.as_bytes()));
        self.fields.push((name, value));
        self
    }

    /// Whether the client's connection stays open after the answer.
    pub fn persists(&self, to: &ToClient<'_>) -> bool {
        to.keep_alive && !self.close && !(self.unsized_body && to.version == Version::Http10)
    }

    /// Appends the answer, without what follows from elsewhere; its body only if the request was not HEAD, and only if it is
    /// no longer than `most` bytes. Gives the length of a body that is still to come.
    pub fn write(&self, out: &mut Vec<u8>, to: &ToClient<'_>, most: usize) -> usize {
        // These have no content, and a length would be that of something else (RFC 9110 section 8.6).
        let bare = matches!(self.status, 204 | 304);
        match &self.stored {
            Some(head) => self.write_stored(head, out),
            None => self.write_own(out, to),
        }
        match (bare, self.unsized_body, to.version) {
            (true, ..) | (_, true, Version::Http10) => {}
            (_, true, Version::Http11) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            (false, false, _) => {
                out.extend_from_slice(b"Content-Length: ");
                push_number(out, (self.body.len() as u64).saturating_add(self.follows));
                out.extend_from_slice(b"\r\n");
            }
        }
        if self.foreign.is_none() && self.stored.is_none() {
            push(out, &[b"Content-Type: ", self.kind.as_bytes()]);
            out.extend_from_slice(b"\r\nCache-Control: no-store\r\nPragma: no-cache\r\n");
        }
        if let Some(age) = self.age {
            out.extend_from_slice(b"Age: ");
            push_number(out, age);
            out.extend_from_slice(b"\r\n");
        }
        for (name, value) in &self.fields {
            push(out, &[name.as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
        }
        if let Some(report) = self.cached.filter(|_| !to.rules.transparent) {
            cache_status::push_line(out, &to.rules.via, &report);
        }
        connection(out, to.version, self.persists(to), false);
        out.extend_from_slice(b"\r\n");
        match self.body.len() {
            _ if to.method == Method::Head || bare => 0,
            length if length > most => length,
            _ => {
                out.extend_from_slice(&self.body);
                0
            }
        }
    }

    /// The start of a head that is kept. A 304 leaves out what is about a content that it has not (RFC 9110 section 15.4.5).
    fn write_stored(&self, head: &StoredHead, out: &mut Vec<u8>) {
        const OF_CONTENT: [&[u8]; 4] = [b"content-type", b"content-encoding", b"content-language", b"content-range"];
        out.reserve(head.lines().len() + 256);
        out.extend_from_slice(b"HTTP/1.1 ");
        push_three(out, self.status);
        let phrase = if self.status == head.status() { head.phrase() } else { reason(self.status).as_bytes() };
        push(out, &[b" ", phrase, b"\r\n"]);
        if self.status == head.status() {
            return out.extend_from_slice(head.lines());
        }
        let left_out = |name: &[u8]| match self.status {
            304 => OF_CONTENT.iter().any(|one| name.eq_ignore_ascii_case(one)),
            _ => name.eq_ignore_ascii_case(b"content-range"),
        };
        for (name, value) in head.fields().filter(|(name, _)| !left_out(name)) {
            push(out, &[name, b": ", value, b"\r\n"]);
        }
    }

    /// The start of a head of our own, or of one that a helper has written.
    fn write_own(&self, out: &mut Vec<u8>, to: &ToClient<'_>) {
        out.extend_from_slice(b"HTTP/1.1 ");
        push_three(out, self.status);
        let phrase = self.foreign.as_deref().or(self.phrase.as_deref()).unwrap_or_else(|| reason(self.status));
        push(out, &[b" ", phrase.as_bytes(), b"\r\n"]);
        let dated = self.foreign.is_some() && self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("date"));
        if !dated {
            push(out, &[b"Date: ", to.date.as_bytes(), b"\r\n"]);
        }
        if self.foreign.is_none() {
            push(out, &[b"Server: ", to.rules.server.as_bytes(), b"\r\n"]);
        }
    }
}

/// The phrase of a status (RFC 9110 section 15 and RFC 6585).
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fault::Fault;
    use crate::http::media::HTML;
    use crate::http::rules::Rules;
    use crate::http::Version;

    const DATE: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

    fn written(answer: &Answer, version: Version, method: Method, keep_alive: bool) -> String {
        let rules = Rules { server: "exaproxy/2".into(), ..Rules::default() };
        let mut out = Vec::new();
        answer.write(
            &mut out,
            &ToClient { version, method, keep_alive, upgrade: false, date: DATE, rules: &rules },
            usize::MAX,
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_answer_has_all_its_fields() {
        let answer = Answer::of(Cause::ConnectFailed, false);
        let want = format!(
            "HTTP/1.1 502 Bad Gateway\r\nDate: {DATE}\r\nServer: exaproxy/2\r\nContent-Length: 37\r\n\
             Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\nPragma: no-cache\r\n\r\n\
             the server could not be connected to\n"
        );
        assert_eq!(written(&answer, Version::Http11, Method::Get, true), want);
    }

    #[test]
    fn the_connection_follows_client_and_cause() {
        let fine = Answer::of(Cause::NameFailed, false);
        let faulty = Answer::of(Cause::Client(Fault::BadLine), false);
        let line = |answer, version, keep_alive| {
            let text = written(answer, version, Method::Get, keep_alive);
            text.lines().find(|line| line.starts_with("Connection")).map(str::to_owned)
        };
        assert_eq!(line(&fine, Version::Http11, true), None);
        assert_eq!(line(&fine, Version::Http11, false).as_deref(), Some("Connection: close"));
        assert_eq!(line(&fine, Version::Http10, true).as_deref(), Some("Connection: keep-alive"));
        assert_eq!(line(&faulty, Version::Http11, true).as_deref(), Some("Connection: close"));
    }

    #[test]
    fn head_gets_the_length_and_no_body() {
        let text = written(&Answer::new(200, &b"12345"[..]), Version::Http11, Method::Head, true);
        assert!(text.contains("Content-Length: 5\r\n") && text.ends_with("\r\n\r\n"));
    }

    #[test]
    fn bodies_are_recognised() {
        assert_eq!(Answer::new(200, &b"GIF89a"[..]).kind, "image/gif");
        assert_eq!(Answer::new(200, &b"<!DOCTYPE html>\n<html>"[..]).kind, HTML);
        assert_eq!(Answer::new(200, &b""[..]).kind, PLAIN);
    }

    #[test]
    fn what_follows_from_elsewhere_counts_as_body() {
        let answer = Answer { follows: 1 << 33, ..Answer::new(200, &b"12345"[..]) };
        let text = written(&answer, Version::Http11, Method::Get, true);
        assert!(text.contains("Content-Length: 8589934597\r\n") && text.ends_with("\r\n\r\n12345"), "{text}");
    }

    #[test]
    fn trace_hides_secrets() {
        let lines = "A: b\r\nCookie: c\r\nAUTHORIZATION: d\r\nProxy-Authorization: e\r\nProxy_Authorization: e\r\nMax-Forwards: 0\r\n";
        let head = format!("TRACE http://a.b/ HTTP/1.1\r\n{lines}\r\n");
        let answer = Answer::trace(&Request::parse(head.as_bytes(), &Rules::default()).unwrap());
        assert_eq!(answer.kind, "message/http");
        assert_eq!(answer.body.as_ref(), b"TRACE http://a.b/ HTTP/1.1\r\nA: b\r\nMax-Forwards: 0\r\n\r\n");
    }

    #[test]
    fn redirects_cannot_be_split() {
        let answer = Answer::redirect(302, "http://a.b/".into()).unwrap();
        assert!(written(&answer, Version::Http11, Method::Get, true).contains("\r\nLocation: http://a.b/\r\n"));
        assert_eq!(Answer::redirect(302, "http://a.b/\r\nX: y".into()), None);
    }

    #[test]
    fn row_58_a_407_names_its_scheme() {
        let answer = Answer::new(407, &b"log in\n"[..]).with("Proxy-Authenticate", "Basic realm=\"proxy\"");
        let text = written(&answer, Version::Http11, Method::Get, true);
        assert!(text.starts_with("HTTP/1.1 407 Proxy Authentication Required\r\n"));
        assert!(text.contains("\r\nProxy-Authenticate: Basic realm=\"proxy\"\r\n"));
    }

    #[test]
    fn options_tells_what_is_allowed_and_overload_when_to_come_again() {
        let options = written(&Answer::options(ALLOWED), Version::Http11, Method::Get, true);
        assert!(options.contains("\r\nAllow: GET, HEAD, "));
        assert!(
            written(&Answer::of(Cause::Overloaded, false), Version::Http11, Method::Get, true).contains("Retry-After")
        );
    }

    #[test]
    fn row_40_the_answer_to_connect_is_bare() {
        assert_eq!(ESTABLISHED, b"HTTP/1.1 200 Connection Established\r\n\r\n");
    }

    #[test]
    fn every_status_that_is_used_has_a_phrase() {
        for cause in [Cause::Loop, Cause::HelperFailed, Cause::Overloaded, Cause::NameTimeout, Cause::ConnectNotAllowed]
        {
            assert_ne!(reason(cause.status(false)), "Unknown");
            assert_ne!(reason(cause.status(true)), "Unknown");
        }
    }
}
