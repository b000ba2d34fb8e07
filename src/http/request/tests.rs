//! What a parsed request tells.

use super::*;
use crate::http::fields::MAX_FIELDS;
use crate::http::rules::Rules;

fn parse(text: &str) -> Result<Box<Request>, Fault> {
    Request::parse(text.as_bytes(), &Rules::default())
}

/// A request of HTTP/1.1 with these lines after its Host.
fn with(lines: &str) -> Box<Request> {
    parse(&format!("GET http://a.b/ HTTP/1.1\r\nHost: a.b\r\n{lines}\r\n")).unwrap()
}

#[test]
fn tells_what_it_was_given() {
    let text = "PROPFIND http://A.b:81?q=1 HTTP/1.1\r\nHost: a.b\r\nX-One:  1 \r\nx-two:\r\n\r\n";
    let request = parse(text).unwrap();
    assert_eq!((request.method(), request.method_name()), (Method::Extension, &b"PROPFIND"[..]));
    assert_eq!((request.target().to_string().as_str(), request.path()), ("a.b:81", &b"/?q=1"[..]));
    assert_eq!((request.version(), request.raw()), (Version::Http11, text.as_bytes()));
    assert_eq!((request.field(b"X-ONE"), request.field(b"x-two")), (Some(&b"1"[..]), Some(&b""[..])));
    assert_eq!((request.field(b"x-three"), request.fields().count()), (None, 3));
}

#[test]
fn lone_line_feeds_are_line_ends() {
    let request = parse("GET / HTTP/1.0\nHost: a.b:8080\n\r\n").unwrap();
    assert_eq!((request.target().port, request.path()), (8080, &b"/"[..]));
}

#[test]
fn paths_are_found_or_made_up() {
    let table = [
        ("GET http://a.b", "/"),
        ("GET http://a.b/", "/"),
        ("GET http://a.b/x?y#", ""),
        ("GET http://a.b/%7Ex/../y?z=|{}", "/%7Ex/../y?z=|{}"),
        ("GET http://a.b/\u{fc}", "/\u{fc}"),
        ("OPTIONS http://a.b", "*"),
        ("OPTIONS *", "*"),
        ("CONNECT a.b:443", "a.b:443"),
    ];
    for (line, want) in table {
        let request = parse(&format!("{line} HTTP/1.1\r\nHost: a.b\r\n\r\n"));
        let path = request.map(|request| request.path().to_vec()).unwrap_or_default();
        assert_eq!(path, want.as_bytes(), "{line}");
    }
}

#[test]
fn persistence_follows_version_and_options() {
    let table = [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: X, Close\r\n", false),
        ("1.1", "Proxy-Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: keep-alive, close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Proxy-Connection: keep-alive\r\n", true),
        ("1.0", "Connection: close\r\nProxy-Connection: keep-alive\r\n", false),
    ];
    for (version, lines, want) in table {
        let request = parse(&format!("GET http://a.b/ HTTP/{version}\r\n{lines}\r\n")).unwrap();
        assert_eq!(request.keep_alive(), want, "{version} {lines}");
    }
}

#[test]
fn expectations() {
    assert_eq!(with("").expectation(), Expectation::None);
    assert_eq!(with("Expect: 100-Continue\r\n").expectation(), Expectation::Continue);
    assert_eq!(with("Expect: foo\r\n").expectation(), Expectation::Other);
    assert_eq!(with("Expect: 100-continue, foo\r\n").expectation(), Expectation::Other);
    let old = parse("GET http://a.b/ HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").unwrap();
    assert_eq!(old.expectation(), Expectation::None);
}

#[test]
fn row_49_websocket_offers_survive_lists() {
    let request = with("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n");
    assert_eq!(request.upgrade(), Some(&b"WebSocket"[..]));
    assert!(request.offers(b"websocket") && !request.offers(b"h2c") && !request.offers(b""));
    assert!(!request.offers(b"websocket, other"));
    let request = with("Connection: upgrade\r\nUpgrade: TLS/1.2, IRC/6.9\r\nUpgrade: x\r\n");
    assert!(request.offers(b"irc/6.9") && request.offers(b"x"));
}

#[test]
fn some_upgrades_are_ignored() {
    for lines in [
        "Upgrade: websocket\r\n",
        "Connection: upgrade\r\n",
        "Connection: upgrade\r\nUpgrade:\r\n",
        "Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n",
        "Connection: upgrade\r\nUpgrade: websocket, H2C\r\n",
    ] {
        assert_eq!(with(lines).upgrade(), None, "{lines}");
    }
    let lines = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(parse(&format!("GET http://a.b/ HTTP/1.0\r\n{lines}\r\n")).unwrap().upgrade(), None);
    let rules = Rules { upgrades: vec!["tls".into()], ..Rules::default() };
    for (offer, allowed) in [("websocket", false), ("TLS/1.2", true), ("TLS/1.2, websocket", false)] {
        let text = format!("GET http://a.b/ HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: {offer}\r\n\r\n");
        assert_eq!(Request::parse(text.as_bytes(), &rules).unwrap().upgrade().is_some(), allowed, "{offer}");
    }
}

#[test]
fn max_forwards_counts_for_two_methods() {
    let ask = |method: &str, lines: &str| {
        parse(&format!("{method} http://a.b/ HTTP/1.1\r\n{lines}\r\n")).unwrap().max_forwards()
    };
    assert_eq!(ask("OPTIONS", ""), Ok(None));
    assert_eq!(ask("OPTIONS", "Max-Forwards: 0\r\n"), Ok(Some(0)));
    assert_eq!(ask("TRACE", "max-forwards: 12\r\n"), Ok(Some(12)));
    assert_eq!(ask("TRACE", "max-forwards: 99999999999999999999\r\n"), Ok(Some(u64::MAX)));
    for wrong in ["x", "-1", "1, 0", "", "1\r\nMax-Forwards: 1"] {
        assert_eq!(ask("OPTIONS", &format!("Max-Forwards: {wrong}\r\n")), Err(Fault::BadMaxForwards), "{wrong}");
    }
    assert_eq!(ask("GET", "Max-Forwards: x\r\n"), Ok(None));
}

#[test]
fn row_60_our_own_name_in_via_is_a_loop() {
    assert!(with("Via: 1.1 other, 1.0 EXAproxy-1 (x)\r\n").via_contains(b"exaproxy-1"));
    assert!(with("Via: 1.1 other\r\nVia: HTTP/1.1  exaproxy-1\r\n").via_contains(b"exaproxy-1"));
    assert!(!with("Via: 1.1 exaproxy-12, 1.1 x (1.1 exaproxy-1)\r\n").via_contains(b"exaproxy-1"));
    assert!(!with("").via_contains(b"exaproxy-1"));
}

#[test]
fn logged_in_connections_are_private() {
    assert!(with("Authorization: Negotiate YII=\r\n").wants_private_connection());
    assert!(with("Authorization: NTLM\r\n").wants_private_connection());
    assert!(!with("Authorization: Basic YTpi\r\n").wants_private_connection());
    assert!(!with("").wants_private_connection());
}

#[test]
fn row_39_a_balancer_may_note_the_client() {
    let noted = |value: &str| with(&format!("X-Client: {value}\r\n")).noted_client(b"x-client");
    assert_eq!(noted("192.0.2.1"), "192.0.2.1".parse().ok());
    assert_eq!(noted("192.0.2.1, 2001:db8::9"), "2001:db8::9".parse().ok());
    assert_eq!(noted("192.0.2.1:4711"), "192.0.2.1".parse().ok());
    assert_eq!(noted("[2001:db8::9]:4711"), "2001:db8::9".parse().ok());
    assert_eq!(noted("[2001:db8::9]"), "2001:db8::9".parse().ok());
    assert_eq!(noted("1.1.1.1\r\nX-Client: 2.2.2.2"), "2.2.2.2".parse().ok());
    assert_eq!(noted("unknown"), None);
    assert_eq!(noted(""), None);
    assert_eq!(with("").noted_client(b"x-client"), None);
}

#[test]
fn fields_are_bounded() {
    let many = |count: usize| parse(&format!("GET http://a.b/ HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(count)));
    assert_eq!(many(MAX_FIELDS).unwrap().fields().count(), MAX_FIELDS);
    assert_eq!(many(MAX_FIELDS + 1).unwrap_err(), Fault::TooManyFields);
    let name = "a".repeat(super::super::fields::MAX_NAME + 1);
    let long = parse(&format!("GET http://a.b/ HTTP/1.1\r\n{name}: b\r\n\r\n"));
    assert_eq!(long.unwrap_err(), Fault::TooManyFields);
}

#[test]
fn a_request_can_be_sent_to_another_thread() {
    fn is_send<T: Send + 'static>() {}
    is_send::<Request>();
}

#[test]
fn a_target_as_received_is_taken_only_where_writing_it_would_give_the_same() {
    let table = [
        ("http://a.example/p?q", true),
        ("http://a.example:8080/", true),
        ("http://192.0.2.1:8080/x/http://y/", true),
        ("http://192.0.2.1/", true),
        ("http://A.example/", false),
        ("HTTP://a.example/", false),
        ("http://a.example./", false),
        ("http://192.0.2.1./", false),
        ("http://192.0.2.1.:8080/", false),
        ("http://a.example:80/", false),
        ("http://a.example:08080/", false),
        ("http://a.example:/", false),
        ("http://192.0.2.1:/", false),
        ("http://a.example?q", false),
        ("http://a.example", false),
        ("http://[2001:db8::1]/", false),
        ("/p", false),
    ];
    for (target, as_received) in table {
        let request = parse(&format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n")).unwrap();
        let mut written = Vec::new();
        request.push_origin(&mut written);
        written.extend_from_slice(request.path());
        assert_eq!(request.target_as_written().is_some(), as_received, "{target}");
        assert!(request.target_as_written().is_none_or(|text| text == written), "{target}");
    }
    let request = parse("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
    assert_eq!(request.target_as_written(), None);
}
