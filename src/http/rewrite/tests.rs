//! Heads as origins, parents and clients get them.

use std::sync::Arc;

use super::super::request::{Announce, Parent};
use super::super::target::Host;
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
    let text =
        "GET http://A.b:8080/x?y HTTP/1.1\r\nA:1\r\nhost: c\r\nB: 2\r\nProxy-Connection: x\r\nC: 3\r\nD:  4\r\n\r\n";
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
    let text = "GET http://a.b/ HTTP/1.1\r\nVia: 1.0 a\r\nX-Forwarded-For: 1.1.1.1\r\nProxy-Authorization: x\r\n\r\n";
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
    let want =
        "POST / HTTP/1.1\r\nHost: a.b\r\nContent-Length: 3\r\nVia: 1.1 x, 1.1 me\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
    assert_eq!(out, want);
}

#[test]
fn a_relayed_connect_names_the_port() {
    let out = sent("CONNECT A.b:0443 HTTP/1.1\r\nContent-Length: 0\r\n\r\n", &rules());
    assert!(out.starts_with("CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n"), "{out}");
}

#[test]
fn a_parent_gets_whole_urls_and_its_own_credentials() {
    let to_parent = |text: &str, credentials: Option<&str>| {
        let mut parsed = Request::parse(text.as_bytes(), &rules()).unwrap();
        let (host, credentials) = (Host::parse(b"parent.b").unwrap(), credentials.map(Into::into));
        let parent = Parent { host, port: 3128, credentials, announce: Announce::Off };
        parsed.hop_mut().parent = Some(Arc::new(parent));
        let mut out = Vec::new();
        request(&mut out, &parsed, &Rules { transparent: true, ..rules() }, PEER.parse().unwrap());
        String::from_utf8(out).unwrap()
    };
    let own = "Proxy-Authorization: Basic b3Ro\r\n";
    for (line, want) in [
        ("GET /x?y", "GET http://a.b/x?y HTTP/1.1\r\nHost: a.b\r\n"),
        ("GET http://A.b:8080", "GET http://a.b:8080/ HTTP/1.1\r\nHost: a.b:8080\r\n"),
        ("OPTIONS *", "OPTIONS http://a.b HTTP/1.1\r\nHost: a.b\r\n"),
        ("OPTIONS http://a.b/", "OPTIONS http://a.b/ HTTP/1.1\r\nHost: a.b\r\n"),
        ("CONNECT A.b:0443", "CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n"),
    ] {
        let text = format!("{line} HTTP/1.1\r\nHost: a.b\r\n{own}\r\n");
        assert_eq!(to_parent(&text, None), format!("{want}\r\n"));
        let with = format!("{want}Proxy-Authorization: Basic eDp5\r\n\r\n");
        assert_eq!(to_parent(&text, Some("Basic eDp5")), with);
    }
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
