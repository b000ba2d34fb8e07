//! Heads as they go out. Knows what a proxy must remove, replace and add (RFC 9110 section 7.6), and decides nothing.
//!
//! Each head is written from its parsed form: our version, our Host, our framing, our Connection. A field that stays as
//! it is and stands as we would write it is copied together with its neighbours; all others are written anew.

use memchr::memchr2;

use super::fields::{FieldKind, Span};
use super::framing::Framing;
use super::request::Request;
use super::response::Response;
use super::rules::{Rules, ToClient};
use super::target::TargetForm;
use super::write::{push, push_address, push_number};
use super::{Method, Version};
use crate::peer::ClientId;

/// Bytes that a rewritten head may be longer than the one received, for one reservation in place of several.
const ADDED: usize = 256;

/// Appends the head that goes to an origin. `peer` is for X-Forwarded-For.
pub fn request(out: &mut Vec<u8>, request: &Request, rules: &Rules, peer: ClientId) {
    out.reserve(request.raw().len() + request.path().len() + ADDED);
    push(out, &[request.method_name(), b" "]);
    match request.target().form {
        TargetForm::Authority => request.target().write_authority(out),
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
    push_number(out, u64::from(response.status()));
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

/// Puts one more field behind those of a head that is complete. Its name and value must be ours or checked; without a value it
/// is left out.
pub fn append(out: &mut Vec<u8>, name: &str, value: &str) {
    if !value.is_empty() {
        out.truncate(out.len() - b"\r\n".len());
        push(out, &[name.as_bytes(), b": ", value.as_bytes(), b"\r\n\r\n"]);
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

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "192.0.2.7";

    fn rules() -> Rules {
        Rules { via: "me".into(), ..Rules::default() }
    }

    fn sent(text: &str, rules: &Rules) -> String {
        let parsed = Request::parse(text.as_bytes(), rules).unwrap();
        let mut out = Vec::new();
        request(&mut out, &parsed, rules, PEER.parse().unwrap());
        String::from_utf8(out).unwrap()
    }

    fn returned(text: &str, to: &ToClient<'_>) -> String {
        let parsed = Response::parse(text.as_bytes(), to.method).unwrap();
        let mut out = Vec::new();
        response(&mut out, &parsed, to);
        String::from_utf8(out).unwrap()
    }

    fn to(rules: &Rules) -> ToClient<'_> {
        let date = "NOW";
        ToClient { version: Version::Http11, method: Method::Get, keep_alive: true, upgrade: false, date, rules }
    }

    #[test]
    fn a_request_goes_out_in_order_and_in_our_form() {
        let text = "GET http://A.b:8080/x?y HTTP/1.1\r\nA:1\r\nhost: c\r\nB: 2\r\nProxy-Connection: x\r\nC: 3\r\nD:  4\r\n\r\n";
        let want = "GET /x?y HTTP/1.1\r\nHost: a.b:8080\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\
            Via: 1.1 me\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
        assert_eq!(sent(text, &rules()), want);
    }

    #[test]
    fn lists_of_hops_are_continued() {
        let lines = "Via: 1.0 a, 1.1 b\r\nX-Forwarded-For: 1.1.1.1\r\nVia: 1.1 c\r\nX-Forwarded-For:\r\nX-FORWARDED-FOR: 2.2.2.2\r\n";
        let out = sent(&format!("GET http://a.b/ HTTP/1.0\r\n{lines}\r\n"), &rules());
        let want = "Via: 1.0 a, 1.1 b, 1.1 c, 1.0 me\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.7\r\n\r\n";
        assert!(out.ends_with(want), "{out}");
    }

    #[test]
    fn a_transparent_proxy_adds_nothing() {
        let rules = Rules { transparent: true, ..rules() };
        let text =
            "GET http://a.b/ HTTP/1.1\r\nVia: 1.0 a\r\nX-Forwarded-For: 1.1.1.1\r\nProxy-Authorization: x\r\n\r\n";
        let want = "GET / HTTP/1.1\r\nHost: a.b\r\nVia: 1.0 a\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n";
        assert_eq!(sent(text, &rules), want);
        let text = "HTTP/1.1 200 OK\r\nDate: x\r\nVia: 1.0 a\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(returned(text, &to(&rules)), text);
    }

    #[test]
    fn names_that_cgi_takes_for_ours_stay_behind() {
        let lines = "Content_Length: 99\r\nX_Forwarded_For: 1.1.1.1\r\ntransfer_encoding: chunked\r\nX_Own: 1\r\n";
        let text = format!("POST http://a.b/ HTTP/1.1\r\n{lines}Content-Length: 3\r\n\r\n");
        let want = "POST / HTTP/1.1\r\nHost: a.b\r\nX_Own: 1\r\nContent-Length: 3\r\n\
            Via: 1.1 me\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
        assert_eq!(sent(&text, &rules()), want);
        let text = "HTTP/1.1 200 OK\r\nContent_Length: 9\r\nDate: x\r\nContent-Length: 0\r\n\r\n";
        assert!(returned(text, &to(&rules())).contains("Content_Length: 9\r\n"));
    }

    #[test]
    fn the_field_of_a_balancer_can_be_masked() {
        let lines = "X-Client: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n";
        let text = format!("GET http://a.b/ HTTP/1.1\r\n{lines}\r\n");
        let with = |forward: &str, mask| sent(&text, &Rules { forward: Some(forward.into()), mask, ..rules() });
        assert!(with("x-client", false).contains("X-Client: 1.1.1.1\r\n"));
        assert!(!with("x-client", true).contains("X-Client"));
        assert!(with("x-client", true).contains("X-Forwarded-For: 2.2.2.2, 192.0.2.7\r\n"));
        assert!(with("x-forwarded-for", true).contains("X-Forwarded-For: 192.0.2.7\r\n"));
    }

    #[test]
    fn our_version_replaces_the_question() {
        let out = sent("GET http://a.b/ HTTP/1.1\r\nx-proxy-version: ?\r\n\r\n", &rules());
        assert!(out.contains(&format!("x-proxy-version: ExaProxy version {}\r\n", env!("CARGO_PKG_VERSION"))), "{out}");
    }

    #[test]
    fn hops_left_are_counted_down() {
        let ask = |method: &str| sent(&format!("{method} http://a.b/ HTTP/1.1\r\nMax-Forwards: 10\r\n\r\n"), &rules());
        assert!(ask("OPTIONS").contains("\r\nMax-Forwards: 9\r\n"));
        assert!(ask("GET").contains("\r\nMax-Forwards: 10\r\n"));
    }

    #[test]
    fn expectations_and_offers_go_on() {
        let lines = "Expect: 100-continue\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n";
        let out = sent(&format!("GET http://a.b/ HTTP/1.1\r\n{lines}\r\n"), &rules());
        assert!(out.contains("Expect: 100-continue\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"), "{out}");
        let lines = "Upgrade: h2c\r\nHTTP2-Settings: x\r\nConnection: Upgrade, HTTP2-Settings\r\n";
        let out = sent(&format!("GET http://a.b/ HTTP/1.1\r\n{lines}\r\n"), &rules());
        assert!(!out.contains("pgrade") && !out.contains("HTTP2"), "{out}");
    }

    #[test]
    fn nominated_fields_stay_behind_but_ours_do_not() {
        let lines = "Connection: Host, Content-Length, x-a, Via, X-Forwarded-For\r\nX-A: b\r\nContent-Length: 3\r\n\
            Via: 1.1 x\r\nX-Forwarded-For: 1.1.1.1\r\n";
        let out = sent(&format!("POST http://a.b/ HTTP/1.1\r\n{lines}\r\n"), &rules());
        let want = "POST / HTTP/1.1\r\nHost: a.b\r\nContent-Length: 3\r\nVia: 1.1 x, 1.1 me\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
        assert_eq!(out, want);
    }

    #[test]
    fn a_relayed_connect_names_the_port() {
        let out = sent("CONNECT A.b:0443 HTTP/1.1\r\nContent-Length: 0\r\n\r\n", &rules());
        assert!(out.starts_with("CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n"), "{out}");
    }

    #[test]
    fn a_response_tells_the_client_about_its_connection() {
        let rules = rules();
        let table = [
            (Version::Http11, true, "Content-Length: 0\r\n", ""),
            (Version::Http11, false, "Content-Length: 0\r\n", "Connection: close\r\n"),
            (Version::Http11, true, "", "Connection: close\r\n"),
            (Version::Http11, true, "Transfer-Encoding: chunked\r\n", ""),
            (Version::Http10, true, "Content-Length: 0\r\n", "Connection: keep-alive\r\n"),
            (Version::Http10, false, "Content-Length: 0\r\n", "Connection: close\r\n"),
        ];
        for (version, keep_alive, framing, want) in table {
            let text = format!("HTTP/1.1 200 OK\r\nA: b\r\nDate: x\r\n{framing}\r\n");
            let out = returned(&text, &ToClient { version, keep_alive, ..to(&rules) });
            let want = format!("HTTP/1.1 200 OK\r\nA: b\r\nDate: x\r\n{framing}{want}Via: 1.1 me\r\n\r\n");
            assert_eq!(out, want);
        }
    }

    #[test]
    fn chunks_are_not_announced_to_http_10() {
        let rules = rules();
        let to = ToClient { version: Version::Http10, ..to(&rules) };
        let text = "HTTP/1.1 200 OK\r\nDate: x\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(returned(text, &to), "HTTP/1.1 200 OK\r\nDate: x\r\nConnection: close\r\nVia: 1.1 me\r\n\r\n");
    }

    #[test]
    fn lengths_without_a_body_go_on_where_they_may() {
        let rules = rules();
        let table =
            [(Method::Head, 200, true), (Method::Get, 304, true), (Method::Get, 204, false), (Method::Get, 103, false)];
        for (method, status, told) in table {
            let text = format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\n");
            let out = returned(&text, &ToClient { method, ..to(&rules) });
            assert_eq!(out.contains("Content-Length: 5\r\n"), told, "{method:?} {status}");
            assert!(!out.contains("Connection"), "{out}");
        }
    }

    #[test]
    fn a_switch_is_passed_on_if_it_may_be() {
        let rules = rules();
        let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        let text = format!("HTTP/1.1 101 x\r\n{lines}\r\n");
        let out = returned(&text, &ToClient { upgrade: true, ..to(&rules) });
        assert_eq!(out, "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nVia: 1.1 me\r\n\r\n");
        assert!(!returned(&text, &to(&rules)).contains("pgrade"));
        let text = format!("HTTP/1.1 426 x\r\n{lines}Content-Length: 0\r\n\r\n");
        assert!(returned(&text, &to(&rules)).contains("Connection: upgrade\r\n"));
        let out = returned(&text, &ToClient { keep_alive: false, ..to(&rules) });
        assert!(out.contains("Upgrade: websocket\r\n") && out.contains("Connection: close, upgrade\r\n"));
    }
}
