//! Heads as they go out. Knows what a proxy must remove, replace and add (RFC 9110 section 7.6), and decides nothing.
//!
//! Each head is written from its parsed form: our version, our Host, our framing, our Connection. A field that nobody has
//! to touch and that stands as we would write it is copied together with its neighbours; all others are written anew.

use std::net::IpAddr;

use memchr::memchr2;

use super::fields::{Kind, Span};
use super::framing::Framing;
use super::request::{Expectation, Request};
use super::response::Response;
use super::target::Form;
use super::{Method, Version};

/// Bytes that a rewritten head may be longer than the one received, for one reservation in place of several.
const ADDED: usize = 256;

/// How messages are to be treated; the options of the `http` section that concern them.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Add no Via and no X-Forwarded-For, and leave those that are there (`http.transparent`).
    pub transparent: bool,
    /// Name of the field in which a balancer notes the client's address (`http.forward`), in any letter case.
    pub forward: Option<Box<str>>,
    /// Do not pass that field on (`http.mask`).
    pub mask: bool,
    /// Answer 417 to any expectation (`http.expect`).
    pub expect: bool,
    /// Longest request head, in bytes (`http.header-size`); 0 stands for `head::MAX_HEAD`, which none exceeds.
    pub head_limit: usize,
    /// Our name in Via fields: a token such as `ExaProxy-2.0.0-id-4711`.
    pub via: Box<str>,
    /// Our product and version, as X-Proxy-Version has it: `ExaProxy version 2.0.0`.
    pub version: Box<str>,
    /// Our product and version, as the Server field of an answer has it: `exaproxy/2.0.0`.
    pub server: Box<str>,
    /// Protocols that may be switched to, without their versions; none means any. `h2c` is never allowed.
    pub upgrades: Vec<Box<str>>,
}

impl Default for Rules {
    /// The rules of a proxy without configuration.
    fn default() -> Rules {
        let version = env!("CARGO_PKG_VERSION");
        Rules {
            transparent: false,
            forward: None,
            mask: false,
            expect: false,
            head_limit: 65_536,
            via: format!("ExaProxy-{version}").into(),
            version: format!("ExaProxy version {version}").into(),
            server: format!("exaproxy/{version}").into(),
            upgrades: Vec::new(),
        }
    }
}

impl Rules {
    /// Whether the request is to be answered 417: it expects something unknown, or anything where that is not wanted.
    pub fn refuses(&self, expectation: Expectation) -> bool {
        match expectation {
            Expectation::None => false,
            Expectation::Continue => self.expect && !self.transparent,
            Expectation::Other => true,
        }
    }

    fn masks(&self, name: &[u8]) -> bool {
        let forward = self.forward.as_deref().unwrap_or_default();
        self.mask && name.eq_ignore_ascii_case(forward.as_bytes())
    }
}

/// The client that a head is written for, and what is known when it is.
#[derive(Clone, Copy, Debug)]
pub struct ToClient<'a> {
    /// The client's version.
    pub version: Version,
    /// The method of its request.
    pub method: Method,
    /// Whether its connection is meant to stay open.
    pub keep_alive: bool,
    /// Whether it may be switched to another protocol by this response.
    pub upgrade: bool,
    /// The time, as [`super::date::stamp`] writes it.
    pub date: &'a str,
    /// How messages are treated.
    pub rules: &'a Rules,
}

impl ToClient<'_> {
    /// Whether the client's connection can really stay open after a body that is framed so: not when the end of the
    /// connection has to show the end of the body, as it does for chunks that an HTTP/1.0 client gets without their lines.
    pub fn persists(&self, framing: &Framing) -> bool {
        let decoded = self.version == Version::Http10 && matches!(framing, Framing::Chunked(_));
        self.keep_alive && !framing.ends_with_close() && !decoded
    }
}

/// Appends the head that goes to an origin. `client` is the peer's address, for X-Forwarded-For.
pub fn request(out: &mut Vec<u8>, request: &Request, rules: &Rules, client: IpAddr) {
    out.reserve(request.raw().len() + request.path().len() + ADDED);
    push(out, &[request.method_name(), b" "]);
    match request.target().form {
        Form::Authority => request.target().write_authority(out),
        _ => out.extend_from_slice(request.path()),
    }
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    request.target().write_authority(out);
    out.extend_from_slice(b"\r\n");
    request_fields(out, request, rules);
    if request.upgrade().is_some() {
        out.extend_from_slice(b"Connection: upgrade\r\n");
    }
    framing(out, &request.framing());
    if !rules.transparent {
        via(out, request.section().values(request.raw(), Kind::Via), request.version(), rules);
        forwarded_for(out, request, rules, client);
    }
    out.extend_from_slice(b"\r\n");
}

fn request_fields(out: &mut Vec<u8>, request: &Request, rules: &Rules) {
    let head = request.raw();
    let nominates = request.connection().nominates;
    let max_forwards = request.max_forwards().ok().flatten();
    let mut run = Run::new(head);
    for span in request.section().spans() {
        let name = span.name(head);
        let unwanted = (nominates && request.section().is_nominated(head, name)) || rules.masks(name);
        match span.kind {
            _ if unwanted => {}
            Kind::XProxyVersion => run.replace(out, name, rules.version.as_bytes()),
            Kind::MaxForwards if max_forwards.is_some() => {
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
fn passes_on(kind: Kind, request: &Request, rules: &Rules) -> bool {
    match kind {
        Kind::Other | Kind::Authorization | Kind::Date | Kind::MaxForwards | Kind::Trailer | Kind::WwwAuthenticate => {
            true
        }
        // An expectation of HTTP/1.0 means nothing, and as HTTP/1.1 would suddenly mean something.
        Kind::Expect => request.version() == Version::Http11,
        Kind::Upgrade => request.upgrade().is_some(),
        Kind::Via | Kind::XForwardedFor => rules.transparent,
        _ => false,
    }
}

/// Appends the head that goes to a client.
pub fn response(out: &mut Vec<u8>, response: &Response<'_>, to: &ToClient<'_>) {
    out.reserve(response.raw().len() + ADDED);
    out.extend_from_slice(b"HTTP/1.1 ");
    push_number(out, u64::from(response.status()));
    push(out, &[b" ", response.reason(), b"\r\n"]);
    let switches = may_switch(response, to);
    response_fields(out, response, to, switches);
    response_framing(out, response, to);
    if response.status() >= 200 {
        let persists = to.persists(&response.framing(to.version));
        connection(out, to.version, persists, switches);
        if !response.section().has(Kind::Date) {
            push(out, &[b"Date: ", to.date.as_bytes(), b"\r\n"]);
        }
    } else if switches {
        out.extend_from_slice(b"Connection: upgrade\r\n");
    }
    if !to.rules.transparent {
        via(out, response.section().values(response.raw(), Kind::Via), response.version(), to.rules);
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether Upgrade goes to the client: with a 101 that may be passed on, and with a 426, which must have it
/// (RFC 9110 section 15.5.22). Elsewhere it is advertising for this hop.
fn may_switch(response: &Response<'_>, to: &ToClient<'_>) -> bool {
    let wanted = (response.status() == 101 && to.upgrade) || response.status() == 426;
    wanted && to.version == Version::Http11 && response.section().has(Kind::Upgrade)
}

fn response_fields(out: &mut Vec<u8>, response: &Response<'_>, to: &ToClient<'_>, switches: bool) {
    let head = response.raw();
    let nominates = response.connection().nominates;
    let decodes = response.is_chunked() && to.version == Version::Http10;
    let mut run = Run::new(head);
    for span in response.section().spans() {
        let passes = match span.kind {
            Kind::Upgrade => switches,
            Kind::Via => to.rules.transparent,
            Kind::Trailer => !decodes,
            Kind::Connection | Kind::ContentLength | Kind::KeepAlive | Kind::ProxyConnection | Kind::Te => false,
            Kind::TransferEncoding | Kind::ProxyAuthenticate | Kind::ProxyAuthorization => false,
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
        Framing::Empty => response.length().into_iter().for_each(|length| framing(out, &Framing::Sized(length))),
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

/// One X-Forwarded-For field with all addresses received and the peer's as the last.
fn forwarded_for(out: &mut Vec<u8>, request: &Request, rules: &Rules, client: IpAddr) {
    out.extend_from_slice(b"X-Forwarded-For: ");
    let nominated = request.connection().nominates && request.section().is_nominated(request.raw(), b"x-forwarded-for");
    if !nominated && !rules.masks(b"x-forwarded-for") {
        push_elements(out, request.section().values(request.raw(), Kind::XForwardedFor));
    }
    push_address(out, client);
    out.extend_from_slice(b"\r\n");
}

fn push_elements<'a>(out: &mut Vec<u8>, values: impl Iterator<Item = &'a [u8]>) {
    for value in values.filter(|value| !value.is_empty()) {
        push_unfolded(out, value);
        out.extend_from_slice(b", ");
    }
}

fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    use std::io::Write;
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            push_number(out, u64::from(first));
            for octet in rest {
                out.push(b'.');
                push_number(out, u64::from(octet));
            }
        }
        // Writing into a Vec cannot fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

/// Appends a number in decimal digits.
pub(crate) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

pub(crate) fn push(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Appends a value, each fold in it as one blank (RFC 9112 section 5.2).
fn push_unfolded(out: &mut Vec<u8>, mut value: &[u8]) {
    while let Some(fold) = memchr2(b'\r', b'\n', value) {
        out.extend_from_slice(value[..fold].trim_ascii_end());
        out.push(b' ');
        value = value[fold..].trim_ascii_start();
    }
    out.extend_from_slice(value);
}

/// Neighbouring lines that are copied at once.
struct Run<'h> {
    head: &'h [u8],
    start: usize,
    end: usize,
}

impl<'h> Run<'h> {
    fn new(head: &'h [u8]) -> Run<'h> {
        Run { head, start: 0, end: 0 }
    }

    fn add(&mut self, out: &mut Vec<u8>, span: &Span) {
        match span.verbatim() {
            Some(line) if line.start == self.end => self.end = line.end,
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

    fn flush(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head[self.start..self.end]);
        self.start = self.end;
    }
}
