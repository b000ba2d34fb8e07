//! Connections of ICAP: what clients are told of their requests, content with and without a preview, one request behind another.

use super::*;
use crate::exchange::close::CloseReason;
use crate::http::request::Request;
use crate::http::target::Target;
use crate::icap::Respmod;

const TAG: &str = "ISTag: \"exa-00000000-00000000\"\r\n";
const POST: &str = "POST http://a.example/p HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\n";
const PREVIEW: &str = "Preview: 4\r\n";
const ALLOW: &str = "Allow: 204\r\n";

fn client() -> Scenario {
    with(|_| {})
}

fn with(change: impl FnOnce(&mut Settings)) -> Scenario {
    Scenario { exchange: Exchange::new(&Arrival::direct(Ingress::Icap, CLIENT), 0), ..Scenario::with(change) }
}

/// A REQMOD with this head, and with content where there is some, in its chunks.
fn reqmod(fields: &str, head: &str, content: Option<&str>) -> String {
    let body = if content.is_some() { "req" } else { "null" };
    let encapsulated = format!("Encapsulated: req-hdr=0, {body}-body={}\r\n", head.len());
    let content = content.unwrap_or_default();
    format!("REQMOD icap://h/s ICAP/1.0\r\nHost: h\r\n{encapsulated}{fields}\r\n{head}{content}")
}

fn no_content() -> String {
    format!("ICAP/1.0 204 No Content\r\n{TAG}Encapsulated: null-body=0\r\n\r\n")
}

/// The head and the content of a message that goes back, without its chunks.
fn message(got: &str, kind: &str) -> (String, Option<String>) {
    let (icap, within) = got.split_once("\r\n\r\n").expect("a head of ICAP");
    assert!(icap.starts_with("ICAP/1.0 200 OK\r\n"), "{got}");
    let line = icap.lines().find_map(|line| line.strip_prefix("Encapsulated: ")).expect("Encapsulated");
    let (head, body) = line.split_once(", ").expect("two parts");
    assert_eq!(head, format!("{kind}-hdr=0"), "{got}");
    let (body, length) = body.split_once('=').expect("a place");
    let (head, mut rest) = within.split_at(length.parse().unwrap());
    if body == "null-body" {
        assert_eq!(rest, "");
        return (head.to_owned(), None);
    }
    assert_eq!(body, format!("{kind}-body"));
    let mut content = String::new();
    loop {
        let (size, behind) = rest.split_once("\r\n").expect("a size");
        let size = usize::from_str_radix(size, 16).unwrap();
        content.push_str(&behind[..size]);
        assert_eq!(&behind[size..size + 2], "\r\n");
        rest = &behind[size + 2..];
        if size == 0 {
            assert_eq!(rest, "");
            return (head.to_owned(), Some(content));
        }
    }
}

impl Scenario {
    /// The request is decided about, and its address is fine.
    fn pass(&mut self, decision: Decision) {
        assert_eq!(self.actions(), [Action::Ask]);
        self.decide(decision);
        assert_eq!(self.actions(), [Action::Vet]);
        self.tell(|exchange, cx| exchange.handle_vetted(cx));
    }

    fn permit(&mut self) {
        self.pass(Decision::Forward);
    }
}

#[test]
fn what_the_service_can_do_is_told_at_once() {
    for head in ["OPTIONS icap://h/s ICAP/1.0\r\nHost: h\r\n\r\n", "options * icap/1.0\nEncapsulated: null-body=0\n\n"]
    {
        let mut scenario = client().sending(head);
        let got = scenario.client_got();
        assert!(got.starts_with("ICAP/1.0 200 OK\r\nDate: NOW\r\nMethods: REQMOD\r\n"), "{got}");
        assert!(got.contains(TAG) && got.contains("\r\nMax-Connections: 100\r\n"), "{got}");
        assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Idle, vec![]));
    }
}

#[test]
fn helpers_say_what_it_can_do_where_they_can() {
    let mut scenario = with(|settings| settings.icap.asks_helpers = true);
    scenario.client("OPTIONS icap://h/s ICAP/1.0\r\n\r\n");
    assert_eq!((scenario.actions(), scenario.exchange.asks_options()), (vec![Action::Ask], true));
    scenario.tell(|exchange, cx| exchange.handle_options(b"Preview: 7\r\n".to_vec(), cx));
    let got = scenario.client_got();
    assert!(got.starts_with("ICAP/1.0 200 OK\r\nPreview: 7\r\n") && got.contains("\r\nMethods: REQMOD\r\n"), "{got}");
    // A second is all they have.
    scenario.client("OPTIONS icap://h/s ICAP/1.0\r\n\r\n");
    scenario.actions();
    let limits = Limits { decision: 60_000, ..scenario.settings.limits.clone() };
    assert_eq!(scenario.exchange.poll_timeout(&limits).map(|(_, at)| at), Some(1_000));
}

#[test]
fn a_permitted_request_is_told_so_at_every_cut() {
    for (fields, content) in [
        (ALLOW, None),
        ("Preview: 0\r\n", None),
        ("Preview: 0\r\n", Some("0\r\n\r\n")),
        (PREVIEW, Some("4\r\nhell\r\n0\r\n\r\n")),
        (PREVIEW, Some("4\r\nhell\r\n0; ieof\r\n\r\n")),
        (ALLOW, Some("5\r\nhello\r\n0\r\n\r\n")),
    ] {
        let bytes = reqmod(fields, POST, content);
        for cut in 1..bytes.len() {
            let mut scenario = client().sending(&bytes[..cut]);
            if scenario.kind() == PhaseKind::Deciding {
                scenario.permit();
                scenario.client(&bytes[cut..]);
            } else {
                assert_eq!(scenario.client_got(), "", "{cut}");
                scenario.client(&bytes[cut..]);
                scenario.permit();
            }
            assert_eq!(scenario.client_got(), no_content(), "{cut} {bytes}");
            assert_eq!((scenario.kind(), scenario.exchange.requests()), (PhaseKind::Idle, 1));
        }
    }
}

#[test]
fn a_client_that_takes_no_204_gets_its_message_back() {
    for (content, wanted) in [
        (None, None),
        (Some("5\r\nhello\r\n0\r\n\r\n"), Some("hello")),
        (Some("1;x=y\r\nh\r\n04\r\nello\r\n0\r\nA: b\r\n\r\n"), Some("hello")),
    ] {
        let bytes = reqmod("", POST, content);
        for cut in 1..bytes.len() {
            let mut scenario = client().sending(&bytes[..cut]);
            let begun = scenario.kind() == PhaseKind::Deciding;
            if begun {
                scenario.permit();
            }
            scenario.client(&bytes[cut..]);
            if !begun {
                scenario.permit();
            }
            let got = scenario.client_got();
            assert_eq!(message(&got, "req"), (POST.to_owned(), wanted.map(str::to_owned)), "{cut}");
            assert_eq!(scenario.kind(), PhaseKind::Idle);
        }
    }
}

#[test]
fn content_goes_back_no_faster_than_its_client_takes_it() {
    let mut scenario = client();
    scenario.client(reqmod("", &POST.replace('5', "50000"), Some("")));
    scenario.client_takes(0);
    scenario.permit();
    scenario.client(format!("c350\r\n{}\r\n0\r\n\r\n", "x".repeat(50_000)));
    assert!(scenario.exchange.answer_size() <= 1 << 17 && !scenario.reads(Direction::Upload));
    assert_eq!(scenario.kind(), PhaseKind::Answering);
    scenario.client_takes(usize::MAX);
    let (_, content) = message(&scenario.client_got(), "req");
    assert_eq!((content.map(|content| content.len()), scenario.kind()), (Some(50_000), PhaseKind::Idle));
}

#[test]
fn credentials_come_with_icap_and_go_no_further() {
    let fields = "Proxy-Authorization: Basic YQ==\r\n";
    let mut scenario = client().sending(reqmod(fields, GET, None));
    let given: Vec<&[u8]> = scenario.exchange.request().unwrap().proxy_authorization().collect();
    assert_eq!(given, [b"Basic YQ=="]);
    scenario.permit();
    assert_eq!(message(&scenario.client_got(), "req"), (GET.to_owned(), None));
}

/// Another request in place of the client's.
fn other(scenario: &Scenario, target: &str) -> Box<Request> {
    let client = scenario.exchange.request().expect("a request");
    client.with_target(target.as_bytes(), &scenario.settings.rules).unwrap()
}

#[test]
fn another_request_comes_with_the_clients_content() {
    let head = "POST http://b.example:81/x HTTP/1.1\r\nHost: b.example:81\r\nContent-Length: 5\r\n\r\n";
    for (fields, content, asks) in [
        ("", "5\r\nhello\r\n0\r\n\r\n", false),
        (ALLOW, "5\r\nhello\r\n0\r\n\r\n", false),
        ("Preview: 9\r\n", "5\r\nhello\r\n0; ieof\r\n\r\n", false),
        (PREVIEW, "4\r\nhell\r\n0\r\n\r\n", true),
        ("Preview: 0\r\n", "0\r\n\r\n", true),
    ] {
        let mut scenario = client().sending(reqmod(fields, POST, Some(content)));
        let other = other(&scenario, "http://b.example:81/x");
        scenario.pass(Decision::Rewrite(other));
        let mut got = scenario.client_got();
        if asks {
            got = got.strip_prefix("ICAP/1.0 100 Continue\r\n\r\n").expect("it is asked for the rest").to_owned();
            scenario.client(if content.contains("hell") { "1\r\no\r\n0\r\n\r\n" } else { "5\r\nhello\r\n0\r\n\r\n" });
            got.push_str(&scenario.client_got());
        }
        assert_eq!(message(&got, "req"), (head.to_owned(), Some("hello".to_owned())), "{fields}");
        assert_eq!(scenario.kind(), PhaseKind::Idle);
    }
}

#[test]
fn an_interception_is_another_host_in_the_address() {
    for (first, wanted) in [
        ("GET http://a.example/x", "GET http://192.0.2.9:81/x HTTP/1.1\r\nHost: a.example\r\nA: b\r\n\r\n"),
        ("CONNECT a.example:443", "CONNECT 192.0.2.9:81 HTTP/1.1\r\nHost: a.example:443\r\nA: b\r\n\r\n"),
    ] {
        let head = format!("{first} HTTP/1.1\r\nHost: a.example\r\nConnection: x\r\nX: y\r\nA: b\r\n\r\n");
        let mut scenario = client().sending(reqmod(ALLOW, &head, None));
        let to = Target::from_authority(b"192.0.2.9:81", None).unwrap();
        scenario.pass(Decision::Intercept(Box::new(to), None));
        assert_eq!(message(&scenario.client_got(), "req"), (wanted.to_owned(), None));
    }
}

#[test]
fn refusals_are_responses_within() {
    for (method, content) in [("GET http://a.example/", Some("no\n")), ("HEAD http://a.example/", None)] {
        let head = format!("{method} HTTP/1.1\r\nHost: a.example\r\n\r\n");
        let mut scenario = client().sending(reqmod(ALLOW, &head, None));
        scenario.answer(Answer { close: true, ..Answer::new(403, &b"no\n"[..]) });
        let (head, body) = message(&scenario.client_got(), "res");
        assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n") && head.contains("\r\nContent-Length: 3\r\n"), "{head}");
        assert!(!head.to_lowercase().contains("connection:"), "{head}");
        assert_eq!((body.as_deref(), scenario.kind()), (content, PhaseKind::Idle));
    }
    // A tunnel that is refused leaves the connection of ICAP as it was.
    let head = "CONNECT a.example:22 HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let mut scenario = client().sending(reqmod(ALLOW, head, None));
    scenario.answer(Answer::of(Cause::ConnectNotAllowed, false));
    assert!(message(&scenario.client_got(), "res").0.starts_with("HTTP/1.1 403 "));
    assert_eq!(scenario.kind(), PhaseKind::Idle);
}

#[test]
fn a_long_page_comes_in_one_chunk() {
    let mut scenario = client().sending(reqmod(ALLOW, GET, None));
    scenario.answer(Answer::new(403, vec![b'x'; 30_000]));
    let (_, content) = message(&scenario.client_got(), "res");
    assert_eq!(content.map(|content| content.len()), Some(30_000));
    assert_eq!(scenario.kind(), PhaseKind::Idle);
}

#[test]
fn a_refusal_waits_for_the_preview_and_no_more() {
    let mut scenario = client().sending(reqmod(PREVIEW, POST, Some("4\r\nhe")));
    scenario.answer(Answer::new(403, &b"no"[..]));
    assert_eq!(scenario.client_got(), "");
    scenario.client("ll\r\n0\r\n\r\n");
    assert_eq!(message(&scenario.client_got(), "res").1.as_deref(), Some("no"));
    assert_eq!(scenario.kind(), PhaseKind::Idle);
}

#[test]
fn requests_in_a_row_are_answered_in_a_row() {
    let one = reqmod(ALLOW, POST, Some("5\r\nhello\r\n0\r\n\r\n"));
    let last = reqmod("Allow: 204\r\nConnection: close\r\n", GET, None);
    let mut scenario = client().sending([&one[..], &one, &last].concat());
    scenario.permit();
    assert_eq!(scenario.client_got(), no_content());
    scenario.permit();
    assert_eq!(scenario.client_got(), no_content());
    scenario.permit();
    let closing = no_content().replace("Encapsulated", "Connection: close\r\nEncapsulated");
    assert_eq!(scenario.client_got(), closing);
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::Complete)]);
}

#[test]
fn what_is_no_request_of_http_is_answered_within_icap() {
    for (line, status) in [("GET http://u@a/ HTTP/1.1", "400"), ("GET http://a.example:x/ HTTP/1.1", "400")] {
        let head = format!("{line}\r\nHost: a\r\n\r\n");
        let mut scenario = client().sending(reqmod(ALLOW, &head, Some("0\r\n\r\n")));
        let (head, _) = message(&scenario.client_got(), "res");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert_eq!(scenario.kind(), PhaseKind::Idle);
    }
    // Other schemes are for the client to go to.
    let head = "GET https://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let scenario = client().sending(reqmod(ALLOW, head, None));
    assert_eq!(scenario.exchange.target().map(ToString::to_string).as_deref(), Some("a.example:443"));
    let mut origin = Vec::new();
    scenario.exchange.request().unwrap().push_origin(&mut origin);
    assert_eq!(origin, b"https://a.example");
}

#[test]
fn what_is_no_icap_ends_with_a_status() {
    let long = format!("REQMOD icap://h/s ICAP/1.0\r\nA: {}\r\n\r\n", "x".repeat(5000));
    let huge = reqmod("", &format!("GET http://a.example/ HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(2000)), None);
    let lying = reqmod("", GET, None).replace("null-body=", "null-body=1");
    for (bytes, status) in [
        ("GET / HTTP/1.1\r\n", 400),
        ("\u{16}\u{3}\u{1}", 400),
        ("REQMOD icap://h/s ICAP/1.1\r\n", 505),
        ("LOGMOD icap://h/s ICAP/1.0\r\n", 501),
        ("REQMOD icap://h/s ICAP/1.0\r\n\r\n", 400),
        ("REQMOD icap://h/s ICAP/1.0\r\nEncapsulated: req-hdr=0, null-body=3\r\n\r\nabc", 400),
        (&long, 400),
        (&huge, 400),
        (&format!("{lying}{}", "x".repeat(200)), 400),
    ] {
        let mut scenario = client().sending(bytes);
        let got = scenario.client_got();
        assert!(got.starts_with(&format!("ICAP/1.0 {status} ")), "{bytes:?} {got}");
        assert!(got.contains("\r\nConnection: close\r\n") && got.contains(TAG), "{got}");
        assert_eq!(scenario.kind(), PhaseKind::Draining, "{bytes:?}");
    }
    let mut slow = client().sending("REQMOD icap://h/s ICAP/1.0\r\n");
    slow.at(10_000);
    assert!(slow.client_got().starts_with("ICAP/1.0 408 "));
}

#[test]
fn broken_content_ends_the_connection() {
    let mut scenario = client().sending(reqmod(ALLOW, POST, Some("x\r\n")));
    scenario.permit();
    assert!(scenario.client_got().starts_with("ICAP/1.0 400 "));
    assert_eq!(scenario.kind(), PhaseKind::Draining);
    // A head has gone out that promised more, or less.
    for content in ["4\r\nhell\r\n0\r\n\r\n", "6\r\nhello!\r\n0\r\n\r\n", "5\r\nhellox\r\n", "x\r\n"] {
        let mut scenario = client().sending(reqmod("", POST, Some("")));
        scenario.permit();
        scenario.client(content);
        assert!(!scenario.client_got().ends_with("0\r\n\r\n"), "{content}");
        assert_eq!(scenario.actions(), [Action::Done(CloseReason::RequestFault)]);
    }
    let mut cut = client().sending(reqmod(ALLOW, POST, Some("5\r\nhe")));
    cut.permit();
    cut.client_ends();
    assert_eq!(cut.actions(), [Action::Done(CloseReason::RequestCut)]);
}

#[test]
fn responses_are_refused_or_pass_unread() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let respmod = |fields: &str| {
        let parts = format!("req-hdr=0, res-hdr={}, res-body={}", GET.len(), GET.len() + head.len());
        format!(
            "RESPMOD icap://h/s ICAP/1.0\r\nEncapsulated: {parts}\r\n{fields}\r\n{GET}{head}5\r\nhello\r\n0\r\n\r\n"
        )
    };
    let mut scenario = client().sending(respmod(ALLOW));
    assert!(scenario.client_got().starts_with("ICAP/1.0 405 Method Not Allowed\r\n"));
    assert_eq!(scenario.kind(), PhaseKind::Idle);
    let allowing = || with(|settings| settings.icap.respmod = Respmod::Allow);
    let mut scenario = allowing().sending(respmod(ALLOW));
    assert_eq!(scenario.client_got(), no_content());
    let mut scenario = allowing().sending(respmod(""));
    assert_eq!(message(&scenario.client_got(), "res"), (head.to_owned(), Some("hello".to_owned())));
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Idle, vec![]));
}

#[test]
fn who_asks_is_believed_of_those_who_are_trusted() {
    let fields = "Allow: 204\r\nX-Client-IP: 198.51.100.7\r\nX-Client-Username: ann\r\n";
    let of = |scenario: &Scenario| {
        let exchange = &scenario.exchange;
        (exchange.client().to_string(), exchange.user().map(ToString::to_string), exchange.is_doubted())
    };
    let trusting = client().sending(reqmod(fields, GET, None));
    assert_eq!(of(&trusting), ("198.51.100.7".into(), Some("ann".into()), false));
    let doubting = with(|settings| settings.trusted = Networks::new(&[ClientRange::parse("203.0.113.0/24").unwrap()]));
    assert_eq!(of(&doubting.sending(reqmod(fields, GET, None))), (CLIENT.to_string(), None, true));
    // It holds for one request.
    let mut scenario = client().sending(reqmod(fields, GET, None));
    scenario.permit();
    scenario.client(reqmod(ALLOW, GET, None));
    assert_eq!(of(&scenario), (CLIENT.to_string(), None, false));
}
