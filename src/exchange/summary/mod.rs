//! What is remembered of a request until the line about it can be written: its words, its moments and how it ended. Knows
//! no form of a line and no place where lines go.

pub(super) mod moved;

use std::net::SocketAddr;
use std::sync::Arc;

use memchr::{memchr, memmem, memrchr};
use reactor::Millis;

use super::close::CloseReason;
use super::ingress::Provenance;
use crate::http::answer::Answer;
use crate::http::cause::Cause;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::syntax::is_token;
use crate::http::trace::trace_id;
use crate::http::{Method, Version};
use crate::tls::hello::ClientHello;

/// Most bytes that are remembered of a target: what Squid remembers of one, and many times what people type.
const MAX_TARGET: usize = 8 * 1024;

/// Most bytes that are remembered of a field.
const MAX_FIELD: usize = 1024;

/// Most bytes that are remembered of a media type (RFC 6838 section 4.2 allows two names of 127).
const MAX_MEDIA: usize = 255;

/// Bytes of text that a summary has room for at first: a browser's name has 110.
const USUAL_TEXT: usize = 256;

/// The places of the parts in the text.
const METHOD: usize = 0;
const TARGET: usize = 1;
const AGENT: usize = 2;
const REFERER: usize = 3;
const TRACE: usize = 4;
const MEDIA: usize = 5;

/// Most summaries that are kept for the next requests, and most room for text in one of them.
const MAX_SPARE: usize = 64;
const MAX_SPARE_TEXT: usize = 1024;

/// What is remembered only where a line of the log has a place for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// The User-Agent field.
    pub user_agent: bool,
    /// The Referer field.
    pub referer: bool,
    /// The media type of the response.
    pub media: bool,
    /// The trace id of the traceparent field.
    pub trace: bool,
}

impl Remembered {
    /// All of it.
    pub const ALL: Remembered = Remembered { user_agent: true, referer: true, media: true, trace: true };
}

/// What a balancer calls its connection, and the host that its client asked the balancer for; either may be empty.
pub(super) type AnnouncedNames = (Box<[u8]>, Box<[u8]>);

/// A request from its first byte to the last of its response.
#[derive(Debug)]
pub struct Summary {
    /// Method, target, user agent, referrer, trace id and the response's media type, one behind the other, each with the
    /// place where it ends.
    text: Vec<u8>,
    ends: [u32; 6],
    wanted: Remembered,
    version: Option<Version>,
    /// The status that the client got; none if it got no response.
    pub status: Option<u16>,
    /// Why the proxy answered for itself, when that was because of a failure.
    pub cause: Option<Cause>,
    /// File and line of the list that refused it, or would have.
    pub list: Option<Box<str>>,
    /// What a balancer calls its connection, and the host that its client asked the balancer for.
    pub announced: Option<Box<AnnouncedNames>>,
    /// Who has proved to have sent it.
    pub user: Option<Arc<str>>,
    /// What the hello says with which its client or its tunnel began, where one was read.
    pub hello: Option<Box<ClientHello>>,
    /// The word for what was decided about it.
    pub decision: Option<&'static str>,
    /// What a cache did with it: the word of our own logs, and Squid's.
    pub cache: Option<(&'static str, &'static str)>,
    /// Where it went.
    pub origin: Option<SocketAddr>,
    /// That is a parent.
    pub parent: bool,
    /// When its first byte came.
    pub began: Millis,
    /// What `began` leaves out of that time, in microseconds.
    fraction: u16,
    /// When it was decided about.
    pub decided: Option<Millis>,
    /// When its addresses were known.
    pub resolved: Option<Millis>,
    /// When there was a connection for it.
    pub connected: Option<Millis>,
    /// What both directions had moved when it began; from its end on, what they moved for it.
    moved: Moved,
    /// Microseconds that it took in another process before.
    age_before: u64,
    /// Bytes that were moved for it before its tunnel moved.
    moved_before: Moved,
    end: Option<(Millis, CloseReason)>,
}

/// Bytes that were sent for a request, heads included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// To the origin.
    pub up: u64,
    /// To the client.
    pub down: u64,
}

impl Summary {
    /// Nothing could be read of the request that has begun then. Its text is written into `text`.
    fn unread((began, fraction): (Millis, u16), moved: Moved, wanted: Remembered, text: Vec<u8>) -> Summary {
        Summary {
            text,
            ends: [0; 6],
            wanted,
            version: None,
            status: None,
            cause: None,
            list: None,
            announced: None,
            user: None,
            hello: None,
            decision: None,
            cache: None,
            origin: None,
            parent: false,
            began,
            fraction,
            decided: None,
            resolved: None,
            connected: None,
            moved,
            age_before: 0,
            moved_before: Moved::default(),
            end: None,
        }
    }

    /// The request has been read. `scratch` is a place to write in.
    pub fn note_request(&mut self, request: &Request, scratch: &mut Vec<u8>) {
        self.version = request.opaque_kind().is_none().then_some(request.version());
        self.text.clear();
        self.note_part(METHOD, request.method_name());
        match request.target_as_written() {
            Some(target) => self.note_part(TARGET, &target[..target.len().min(MAX_TARGET)]),
            None => {
                write_target(request, scratch);
                self.note_part(TARGET, &scratch[..scratch.len().min(MAX_TARGET)]);
            }
        }
        let Remembered { user_agent, referer, trace, .. } = self.wanted;
        for (part, name, wanted) in [(AGENT, "User-Agent", user_agent), (REFERER, "Referer", referer)] {
            let value = if wanted { request.field(name.as_bytes()) } else { None }.unwrap_or_default();
            self.note_part(part, &value[..value.len().min(MAX_FIELD)]);
        }
        let trace = if trace { trace_id(request) } else { None };
        self.note_part(TRACE, trace.unwrap_or_default());
        self.ends[MEDIA] = self.ends[TRACE];
    }

    /// Appends a part behind the one before it. No part is longer than [`MAX_TARGET`].
    fn note_part(&mut self, part: usize, value: &[u8]) {
        self.text.extend_from_slice(value);
        self.ends[part] = self.text.len() as u32;
    }

    /// The request was refused, but its first line has the words of one. User information stays out: it is a password.
    pub fn note_line(&mut self, bytes: &[u8]) {
        let Some((method, target, version)) = words_of(bytes) else { return };
        self.version = version;
        self.text.clear();
        self.note_part(METHOD, method);
        let authority = memmem::find(target, b"://").map_or(0, |colon| colon + 3);
        let end = memchr(b'/', &target[authority..]).map_or(target.len(), |slash| authority + slash);
        let host = memrchr(b'@', &target[authority..end]).map_or(authority, |at| authority + at + 1);
        for part in [&target[..authority], &target[host..]] {
            let room = MAX_TARGET - (self.text.len() - method.len()).min(MAX_TARGET);
            self.text.extend_from_slice(&part[..part.len().min(room)]);
        }
        self.ends[TARGET..].fill(self.text.len() as u32);
    }

    /// Its connection came about so.
    pub fn note_provenance(&mut self, provenance: &Provenance) {
        let Provenance { unique_id, authority, .. } = provenance;
        if !unique_id.is_empty() || !authority.is_empty() {
            self.announced = Some(Box::new((unique_id.clone(), authority.clone())));
        }
    }

    /// There is a connection. A tunnel has its answer with that, unless a parent has to give it.
    pub fn note_connected(&mut self, request: &Request, now: Millis) {
        self.connected = Some(now);
        self.parent = request.parent().is_some();
        if request.method() == Method::Connect && !self.parent {
            self.status = Some(200);
        }
    }

    /// The client gets this response.
    pub fn note_response(&mut self, response: &Response<'_>) {
        self.status = Some(response.status());
        if self.wanted.media {
            self.note_media(response.field(b"Content-Type").unwrap_or_default());
        }
    }

    /// The client gets this answer of our own.
    pub fn note_answer(&mut self, answer: &Answer) {
        self.status = Some(answer.status);
        self.cause = answer.cause;
        if !self.wanted.media {
            return;
        }
        let kept = answer.stored.as_ref().and_then(|head| head.field("content-type"));
        self.note_media(kept.unwrap_or(match answer.stored {
            Some(_) => b"",
            None => answer.kind.as_bytes(),
        }));
    }

    /// The client reads no HTTP and gets no answer. A tunnel that stood had its answer with its connection.
    pub fn note_refused(&mut self, cause: Cause) {
        self.status = self.status.or(Some(cause.status(false)));
        self.cause = Some(cause);
    }

    fn note_media(&mut self, value: &[u8]) {
        let kind = value.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next().unwrap_or_default();
        self.text.truncate(self.ends[TRACE] as usize);
        self.note_part(MEDIA, &kind[..kind.len().min(MAX_MEDIA)]);
    }

    /// It is over. `moved` is what both directions have moved since the connection began. Only the first end counts.
    pub fn finish(&mut self, reason: CloseReason, now: Millis, moved: Moved) {
        if self.end.is_none() {
            self.moved = self.so_far(moved);
            self.end = Some((now, reason));
        }
    }

    /// What was moved for it so far, before included; `moved` is what both directions have moved since the connection began.
    fn so_far(&self, moved: Moved) -> Moved {
        let own = |now: u64, began: u64, before: u64| now.saturating_sub(began).saturating_add(before);
        let (Moved { up, down }, before) = (self.moved, self.moved_before);
        Moved { up: own(moved.up, up, before.up), down: own(moved.down, down, before.down) }
    }

    /// When its first byte came, in microseconds.
    pub fn began_micros(&self) -> u64 {
        self.began.saturating_mul(1000).saturating_add(self.fraction.into())
    }

    /// Microseconds that it took in another process before.
    pub fn age_before(&self) -> u64 {
        self.age_before
    }

    /// When it ended and why, if it has.
    pub fn end(&self) -> Option<(Millis, CloseReason)> {
        self.end
    }

    /// What was moved for it, once it has ended.
    pub fn moved(&self) -> Moved {
        self.moved
    }

    /// The method; empty if none could be read.
    pub fn method(&self) -> &[u8] {
        self.part(METHOD)
    }

    /// The target in full, `http://host/path` or for CONNECT `host:port`; empty if none could be read.
    pub fn target(&self) -> &[u8] {
        self.part(TARGET)
    }

    /// The User-Agent field, perhaps empty.
    pub fn user_agent(&self) -> &[u8] {
        self.part(AGENT)
    }

    /// The Referer field, perhaps empty.
    pub fn referer(&self) -> &[u8] {
        self.part(REFERER)
    }

    /// The id of the trace that it belongs to, perhaps empty.
    pub fn trace(&self) -> &[u8] {
        self.part(TRACE)
    }

    /// The media type of the response, as its sender put it; perhaps empty.
    pub fn media(&self) -> &[u8] {
        self.part(MEDIA)
    }

    /// The client's version, if it could be read.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    fn part(&self, number: usize) -> &[u8] {
        let start = if number == METHOD { 0 } else { self.ends[number - 1] };
        &self.text[start as usize..self.ends[number] as usize]
    }

    /// Why it did not end well, in a word: that of the [`Cause`] where the proxy answered for itself, else the reason for
    /// which its connection was closed.
    pub fn failure(&self) -> Option<&'static str> {
        let closed = || self.end.filter(|_| self.is_cut()).map(|(_, reason)| reason.name());
        self.cause.map(Cause::word).or_else(closed)
    }

    /// Did the client not get all that it was to get?
    pub fn is_cut(&self) -> bool {
        use CloseReason::{Answered, Complete, Refused, RequestFault, Timeout, TunnelEnd};
        self.end.is_some_and(|(_, reason)| match reason {
            Complete | Answered | Refused | TunnelEnd => false,
            // What could not be served was answered all the same.
            Timeout(_) | CloseReason::ResponseCut | CloseReason::ResponseFault | RequestFault => self.cause.is_none(),
            _ => true,
        })
    }
}

/// Summaries of requests that are over, for the next ones: to ask for their memory and to give it back with each request took a
/// tenth of what the log costs.
#[derive(Debug, Default)]
pub struct SpareSummaries(#[allow(clippy::vec_box)] Vec<Box<Summary>>);

impl SpareSummaries {
    /// One of a request that has begun then, of which nothing could be read yet.
    pub(super) fn begin(&mut self, began: (Millis, u16), moved: Moved, wanted: Remembered) -> Box<Summary> {
        match self.0.pop() {
            Some(mut spare) => {
                let mut text = std::mem::take(&mut spare.text);
                text.clear();
                *spare = Summary::unread(began, moved, wanted, text);
                spare
            }
            None => Box::new(Summary::unread(began, moved, wanted, Vec::with_capacity(USUAL_TEXT))),
        }
    }

    /// This one is not wanted any more.
    pub fn put(&mut self, mut summary: Box<Summary>) {
        // What few requests have is not kept for those that have none.
        (summary.list, summary.announced, summary.user, summary.hello) = (None, None, None, None);
        if self.0.len() < MAX_SPARE && summary.text.capacity() <= MAX_SPARE_TEXT {
            self.0.push(summary);
        }
    }
}

/// The target in full: `http://host/path`; for CONNECT `host:port`.
fn write_target(request: &Request, out: &mut Vec<u8>) {
    out.clear();
    if request.method() != Method::Connect {
        request.push_origin(out);
    } else if !request.leads_nowhere() {
        request.target().write_authority(out);
    }
    if request.method() != Method::Connect && request.path() != b"*" {
        out.extend_from_slice(request.path());
    }
}

/// Method, target and version, where a first line has these words and no more.
fn words_of(bytes: &[u8]) -> Option<(&[u8], &[u8], Option<Version>)> {
    let line = &bytes[..memchr(b'\n', bytes)?];
    let mut words = line.strip_suffix(b"\r").unwrap_or(line).split(|byte| *byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let version = match version.strip_prefix(b"HTTP/")? {
        [b'1', b'.', minor @ b'0'..=b'9'] => Some(Version::from_minor(minor - b'0')),
        _ => None,
    };
    let whole = words.next().is_none() && is_token(method) && method.len() <= MAX_FIELD && !target.is_empty();
    whole.then_some((method, target, version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::rules::Rules;

    fn unread() -> Box<Summary> {
        SpareSummaries::default().begin((0, 0), Moved { up: 0, down: 0 }, Remembered::ALL)
    }

    #[test]
    fn c3_the_line_of_a_refused_request_is_shown_without_a_password() {
        let table: &[(&str, &str, &str, Option<Version>)] = &[
            ("GET http://a.b/x?y HTTP/1.1\r\nA", "GET", "http://a.b/x?y", Some(Version::Http11)),
            ("get /x HTTP/1.0\nA", "get", "/x", Some(Version::Http10)),
            ("GET http://u:p@a.b/x@y HTTP/1.1\r\n", "GET", "http://a.b/x@y", Some(Version::Http11)),
            ("CONNECT u:p@a.b:443 HTTP/1.1\r\n", "CONNECT", "a.b:443", Some(Version::Http11)),
            ("GET http://u:p@a@b HTTP/1.1\r\n", "GET", "http://b", Some(Version::Http11)),
            ("GET /x HTTP/3.0\r\n", "GET", "/x", None),
            ("GET /x\r\n", "", "", None),
            ("GET /x y HTTP/1.1\r\n", "", "", None),
            ("GET  HTTP/1.1\r\n", "", "", None),
            ("G\x01T /x HTTP/1.1\r\n", "", "", None),
            ("GET /x HTTP/1.1", "", "", None),
        ];
        for (bytes, method, target, version) in table {
            let mut summary = unread();
            summary.note_line(bytes.as_bytes());
            assert_eq!((summary.method(), summary.target()), (method.as_bytes(), target.as_bytes()), "{bytes}");
            assert_eq!((summary.version(), summary.user_agent(), summary.media()), (*version, &b""[..], &b""[..]));
        }
        let mut summary = unread();
        summary.note_line(format!("GET http://a.b/{} HTTP/1.1\r\n", "x".repeat(MAX_TARGET)).as_bytes());
        assert_eq!(summary.target().len(), MAX_TARGET);
    }

    #[test]
    fn what_is_cut_off_takes_no_memory() {
        let long = "x".repeat(60_000);
        let head = format!("GET http://h/{long} HTTP/1.1\r\nHost: h\r\n\r\n");
        let mut summary = unread();
        summary.note_request(&Request::parse(head.as_bytes(), &Rules::default()).unwrap(), &mut Vec::new());
        assert_eq!(summary.target().len(), MAX_TARGET);
        assert!(summary.text.capacity() < 3 * MAX_TARGET, "{}", summary.text.capacity());
    }
}
