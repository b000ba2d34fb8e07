//! Heads as they go out. Knows what a proxy must remove, replace and add (RFC 9110 section 7.6), and decides nothing.
//!
//! Each head is written from its parsed form: our version, our Host, our framing, our Connection. A field that stays as
//! it is and stands as we would write it is copied together with its neighbours; all others are written anew.

use std::ops::Range;

use memchr::memchr2;

use super::cache_status::{self, CacheReport};
use super::fields::{FieldKind, Span};
use super::framing::Framing;
use super::request::Request;
use super::response::Response;
use super::rules::{Rules, ToClient};
use super::target::TargetForm;
use super::write::{push, push_address};
use super::{Method, Version};
use crate::decimal::{push_number, push_three};
use crate::peer::ClientId;

/// Bytes that a rewritten head may be longer than the one received, for one reservation in place of several.
const ADDED: usize = 256;

/// Appends the head that goes to an origin, or to a parent. `peer` is for X-Forwarded-For.
pub fn request(out: &mut Vec<u8>, request: &Request, rules: &Rules, peer: ClientId) {
    out.reserve(request.raw().len() + request.path().len() + ADDED);
    let parent = request.parent();
    match parent {
        Some(_) => line_to_parent(out, request),
        None => {
            push(out, &[request.method_name(), b" "]);
            match request.target().form {
                TargetForm::Authority => request.target().write_authority(out),
                _ => out.extend_from_slice(request.path()),
            }
        }
    }
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    if parent.is_some() { request.parent_target() } else { request.target() }.write_authority(out);
    out.extend_from_slice(b"\r\n");
    request_fields(out, request, rules);
    if let Some(credentials) = parent.and_then(|parent| parent.credentials.as_deref()) {
        push(out, &[b"Proxy-Authorization: ", credentials.as_bytes(), b"\r\n"]);
    }
    if request.upgrade().is_some() {
        out.extend_from_slice(b"Connection: upgrade\r\n");
    }
    framing(out, &request.framing());
    if !rules.transparent {
        via(out, request.section().values(request.raw(), FieldKind::Via), request.version(), rules);
        forwarded_for(out, request, rules, peer);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a request as it goes back to a client of ICAP, which will send it on: with its whole address, and without fields of
/// this hop (RFC 3507 section 4.4.2). One that goes to another host than it names has that in its address and keeps its Host.
pub fn encapsulated(out: &mut Vec<u8>, request: &Request) {
    out.reserve(request.raw().len() + request.path().len() + ADDED);
    push(out, &[request.method_name(), b" "]);
    match (request.method(), request.detour()) {
        (Method::Connect, _) => request.destination().write_authority(out),
        (_, None) => request.push_origin(out),
        (_, Some(detour)) => {
            push(out, &[request.scheme(), b"://"]);
            detour.to.write_authority(out);
        }
    }
    if request.method() != Method::Connect && request.path() != b"*" {
        out.extend_from_slice(request.path());
    }
    push(out, &[b" HTTP/", request.version().number().as_bytes(), b"\r\nHost: "]);
    request.target().write_authority(out);
    out.extend_from_slice(b"\r\n");
    let (head, nominates) = (request.raw(), request.connection().nominates());
    let mut run = Run::new(head);
    for span in request.section().spans() {
        let passes = match span.kind {
            FieldKind::Connection
            | FieldKind::ContentLength
            | FieldKind::Host
            | FieldKind::Http2Settings
            | FieldKind::KeepAlive
            | FieldKind::Lookalike
            | FieldKind::ProxyAuthorization
            | FieldKind::ProxyConnection
            | FieldKind::Te
            | FieldKind::TransferEncoding
            | FieldKind::Upgrade => false,
            _ => !nominates || !request.section().is_nominated(head, span.name(head)),
        };
        if passes {
            run.add(out, span);
        }
    }
    run.flush(out);
    // Chunks within ICAP are ICAP's.
    if let body @ Framing::Sized(_) = request.framing() {
        framing(out, &body);
    }
    out.extend_from_slice(b"\r\n");
}

/// Method and target as a proxy gets them: `host:port` for tunnels, else the whole URL (RFC 9112 section 3.2.2), which for OPTIONS
/// of a server has no path (section 3.2.4).
fn line_to_parent(out: &mut Vec<u8>, request: &Request) {
    if request.method() == Method::Connect {
        out.extend_from_slice(b"CONNECT ");
        return request.parent_target().write_authority(out);
    }
    push(out, &[request.method_name(), b" http://"]);
    request.target().write_authority(out);
    if request.path() != b"*" {
        out.extend_from_slice(request.path());
    }
}

fn request_fields(out: &mut Vec<u8>, request: &Request, rules: &Rules) {
    let head = request.raw();
    let nominates = request.connection().nominates();
    let max_forwards = request.max_forwards().ok().flatten();
    let mut run = Run::new(head);
    for span in request.section().spans() {
        let name = span.name(head);
        let unwanted = (nominates && request.section().is_nominated(head, name)) || rules.masks(name);
        match span.kind {
            _ if unwanted => {}
            FieldKind::XProxyVersion => run.replace(out, name, rules.version.as_bytes()),
            FieldKind::MaxForwards if max_forwards.is_some() => {
                run.flush(out);
                push(out, &[name, b": "]);
                push_number(out, max_forwards.unwrap_or(0).saturating_sub(1));
                out.extend_from_slice(b"\r\n");
            }
            kind if passes_on(kind, request, rules) => run.add(out, span),
            _ => {}
        }
    }
    run.flush(out);
}

/// Whether a field of a request goes on as it is.
fn passes_on(kind: FieldKind, request: &Request, rules: &Rules) -> bool {
    match kind {
        FieldKind::Other
        | FieldKind::Authorization
        | FieldKind::Date
        | FieldKind::MaxForwards
        | FieldKind::Trailer
        | FieldKind::WwwAuthenticate => true,
        kind if kind.concerns_caches() => true,
        // In HTTP/1.0 the field means nothing (RFC 9110 section 10.1.1). Ours goes out as HTTP/1.1, where it would.
        FieldKind::Expect => request.version() == Version::Http11,
        // Only an offer that is passed on; its Connection field is written with it.
        FieldKind::Upgrade => request.upgrade().is_some(),
        FieldKind::Via | FieldKind::XForwardedFor => rules.transparent,
        // Fields of this hop (RFC 9110 section 7.6.1), those that frame the message and Host: the head gets its own. An
        // origin that takes a lookalike for one of them would hear a client in place of us.
        _ => false,
    }
}

/// Appends the head that goes to a client.
pub fn response(out: &mut Vec<u8>, response: &Response<'_>, to: &ToClient<'_>) {
    out.reserve(response.raw().len() + ADDED);
    out.extend_from_slice(b"HTTP/1.1 ");
    push_three(out, response.status());
    push(out, &[b" ", response.reason(), b"\r\n"]);
    let switches = may_switch(response, to);
    response_fields(out, response, to, switches);
    response_framing(out, response, to);
    if response.status() >= 200 {
        let persists = to.persists(&response.framing(to.version));
        connection(out, to.version, persists, switches);
        if !response.section().has(FieldKind::Date) {
            push(out, &[b"Date: ", to.date.as_bytes(), b"\r\n"]);
        }
    } else if switches {
        out.extend_from_slice(b"Connection: upgrade\r\n");
    }
    if !to.rules.transparent {
        via(out, response.section().values(response.raw(), FieldKind::Via), response.version(), to.rules);
    }
    out.extend_from_slice(b"\r\n");
}

/// Puts Cache-Status behind the fields of a head that is complete (RFC 9211), unless the proxy does not show itself.
pub fn append_cache_status(out: &mut Vec<u8>, report: &CacheReport, rules: &Rules) {
    if !rules.transparent {
        out.truncate(out.len() - b"\r\n".len());
        cache_status::push_line(out, &rules.via, report);
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether Upgrade goes to the client: with a 101 that may be passed on, and with a 426, which must have it
/// (RFC 9110 section 15.5.22). In other responses the origin only offers protocols for its connection with us.
fn may_switch(response: &Response<'_>, to: &ToClient<'_>) -> bool {
    let wanted = (response.status() == 101 && to.upgrade) || response.status() == 426;
    wanted && to.version == Version::Http11 && response.section().has(FieldKind::Upgrade)
}

fn response_fields(out: &mut Vec<u8>, response: &Response<'_>, to: &ToClient<'_>, switches: bool) {
    let head = response.raw();
    let nominates = response.connection().nominates();
    let decodes = response.is_chunked() && to.version == Version::Http10;
    let mut run = Run::new(head);
    for span in response.section().spans() {
        let passes = match span.kind {
            FieldKind::Upgrade => switches,
            FieldKind::Via => to.rules.transparent,
            FieldKind::Trailer => !decodes,
            // Framing and Connection are written anew below.
            FieldKind::Connection
            | FieldKind::ContentLength
            | FieldKind::KeepAlive
            | FieldKind::ProxyConnection
            | FieldKind::Te => false,
            // Proxy-Authenticate asks the next client for credentials (RFC 9110 section 11.7.1). From an origin it would
            // make ours ask its user for a password.
            FieldKind::TransferEncoding | FieldKind::ProxyAuthenticate | FieldKind::ProxyAuthorization => false,
            _ => !nominates || !response.section().is_nominated(head, span.name(head)),
        };
        if passes {
            run.add(out, span);
        }
    }
    run.flush(out);
}

/// The length that an answer to HEAD or a 304 tells goes on, though there is no body.
fn response_framing(out: &mut Vec<u8>, response: &Response<'_>, to: &ToClient<'_>) {
    match response.framing(to.version) {
        Framing::Empty if response.status() < 200 || response.status() == 204 => {}
        Framing::Empty => {
            if let Some(length) = response.length() {
                framing(out, &Framing::Sized(length));
            }
        }
        Framing::Chunked(_) if to.version == Version::Http10 => {}
        body => framing(out, &body),
    }
}

fn framing(out: &mut Vec<u8>, framing: &Framing) {
    match framing {
        Framing::Empty | Framing::UntilClose => {}
        Framing::Sized(length) => {
            out.extend_from_slice(b"Content-Length: ");
            push_number(out, *length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked(_) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
}

/// Says what becomes of the client's connection, where its version does not say so already (RFC 9112 section 9.3).
pub(crate) fn connection(out: &mut Vec<u8>, version: Version, persists: bool, switches: bool) {
    let options: &[u8] = match (persists, version, switches) {
        (false, _, false) => b"Connection: close\r\n",
        (false, _, true) => b"Connection: close, upgrade\r\n",
        (true, Version::Http10, _) => b"Connection: keep-alive\r\n",
        (true, Version::Http11, true) => b"Connection: upgrade\r\n",
        (true, Version::Http11, false) => b"",
    };
    out.extend_from_slice(options);
}

/// One Via field with all elements received and ours, which tells the version received (RFC 9110 section 7.6.3).
fn via<'a>(out: &mut Vec<u8>, received: impl Iterator<Item = &'a [u8]>, version: Version, rules: &Rules) {
    out.extend_from_slice(b"Via: ");
    push_elements(out, received);
    push(out, &[version.number().as_bytes(), b" ", rules.via.as_bytes(), b"\r\n"]);
}

/// One X-Forwarded-For field with all addresses received and the peer's as the last; `unknown`, as in RFC 7239 section 6.2, where
/// it has none.
fn forwarded_for(out: &mut Vec<u8>, request: &Request, rules: &Rules, peer: ClientId) {
    out.extend_from_slice(b"X-Forwarded-For: ");
    let nominated =
        request.connection().nominates() && request.section().is_nominated(request.raw(), b"x-forwarded-for");
    if !nominated && !rules.masks(b"x-forwarded-for") {
        push_elements(out, request.section().values(request.raw(), FieldKind::XForwardedFor));
    }
    match peer {
        ClientId::Address(address) => push_address(out, address),
        ClientId::Uid(_) => out.extend_from_slice(b"unknown"),
    }
    out.extend_from_slice(b"\r\n");
}

pub(super) fn push_elements<'a>(out: &mut Vec<u8>, values: impl Iterator<Item = &'a [u8]>) {
    for value in values.filter(|value| !value.is_empty()) {
        push_unfolded(out, value);
        out.extend_from_slice(b", ");
    }
}

/// Appends a value, each fold in it as one blank (RFC 9112 section 5.2).
pub(super) fn push_unfolded(out: &mut Vec<u8>, mut value: &[u8]) {
    while let Some(fold) = memchr2(b'\r', b'\n', value) {
        out.extend_from_slice(value[..fold].trim_ascii_end());
        out.push(b' ');
        value = value[fold..].trim_ascii_start();
    }
    out.extend_from_slice(value);
}

/// Neighbouring lines that are copied at once.
pub(super) struct Run<'h> {
    head: &'h [u8],
    start: usize,
    end: usize,
}

impl<'h> Run<'h> {
    pub(super) fn new(head: &'h [u8]) -> Run<'h> {
        Run { head, start: 0, end: 0 }
    }

    #[inline]
    pub(super) fn add(&mut self, out: &mut Vec<u8>, span: &Span) {
        match span.verbatim() {
            Some(line) if line.start == self.end => self.end = line.end,
            line => self.add_apart(out, span, line),
        }
    }

    /// Adds a field that is not the next line of this run.
    fn add_apart(&mut self, out: &mut Vec<u8>, span: &Span, line: Option<Range<usize>>) {
        match line {
            Some(line) => {
                self.flush(out);
                (self.start, self.end) = (line.start, line.end);
            }
            None => {
                self.flush(out);
                push(out, &[span.name(self.head), b": "]);
                push_unfolded(out, span.value(self.head));
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    fn replace(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
        self.flush(out);
        push(out, &[name, b": ", value, b"\r\n"]);
    }

    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head[self.start..self.end]);
        self.start = self.end;
    }
}

#[cfg(test)]
mod tests;
