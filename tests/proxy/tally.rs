//! What the monitor says of requests: how many were timed, and for which causes the proxy answered itself. Each request
//! moves one number by one.

use std::collections::BTreeMap;

use super::support::{Client, NameServer, Origin, Proxy};

const TIMED: &str = "exaproxy_request_seconds_count";
const ANSWERS: &str = "exaproxy_answers_total";

/// The metrics that count requests and answers, by name and label.
fn numbers(proxy: &Proxy) -> BTreeMap<String, u64> {
    let mut client = Client::connect(proxy.web());
    client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let text = client.reply().text();
    let rows = text.lines().filter(|line| line.starts_with(TIMED) || line.starts_with(ANSWERS));
    let pair =
        |line: &str| line.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value.parse().expect("a number")));
    rows.filter_map(pair).collect()
}

/// What has moved, by name or cause, and by how much.
fn moved(proxy: &Proxy, what: impl FnOnce()) -> Vec<(String, u64)> {
    let before = numbers(proxy);
    what();
    let after = numbers(proxy);
    assert_eq!(before.len(), after.len());
    let rows = after.into_iter().filter_map(|(name, value)| Some((value.checked_sub(*before.get(&name)?)?, name)));
    let cause = |name: &str| name.split('"').nth(1).unwrap_or(name).to_owned();
    rows.filter(|(count, _)| *count > 0).map(|(count, name)| (cause(&name), count)).collect()
}

fn timed(cause: Option<&str>) -> Vec<(String, u64)> {
    cause.into_iter().chain([TIMED]).map(|name| (name.to_owned(), 1)).collect()
}

#[test]
fn a_request_and_a_tunnel_are_timed_once() {
    let origin = Origin::site();
    let echo = Origin::echo();
    let proxy = Proxy::start(&[]);
    assert_eq!(moved(&proxy, || assert_eq!(proxy.client().get(&origin.url("/x")).status(), 200)), timed(None));
    let mut client = proxy.client();
    assert_eq!(moved(&proxy, || client.tunnel(&echo.address().to_string())), timed(None));
    client.send("through it");
    assert_eq!(client.read(10), b"through it");
    assert_eq!(moved(&proxy, || client.shut()), [], "a tunnel's end is none of a request");
    assert_eq!(moved(&proxy, || ()), [], "requests to the monitor are not counted");
}

#[test]
fn a_response_that_was_cut_is_not_timed() {
    let origin = Origin::once("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut");
    let proxy = Proxy::start(&[]);
    let ask = || {
        let mut client = proxy.client();
        client.send(super::support::client::get(&origin.url("/")));
        client.rest();
    };
    assert_eq!(moved(&proxy, ask), []);
}

#[test]
fn each_cause_counts_once() {
    let names = NameServer::zone(&[]);
    let resolver = names.as_ref().map(NameServer::resolv_conf);
    let mut options = vec![("security.connect", "443"), ("http.via", "edge.example")];
    options.extend(resolver.as_deref().map(|path| ("dns.resolver", path)));
    let proxy = Proxy::start(&options);
    let nobody = super::support::ports::next();
    let mute = Origin::once("");
    let get = |url: &str, lines: &str| format!("GET {url} HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    let mut table = vec![
        (get(&format!("http://127.0.0.1:{nobody}/"), ""), 502, "connection_refused"),
        ("CONNECT h.example:25 HTTP/1.1\r\nHost: h\r\n\r\n".into(), 403, "http_request_denied"),
        (get("http://h.example/", "Via: 1.1 edge.example\r\n"), 502, "proxy_loop_detected"),
        (get("http://h.example/", "A : b\r\n"), 400, "http_request_error"),
        (get(&mute.url("/"), ""), 502, "connection_terminated"),
    ];
    if names.is_some() {
        table.push((get("http://nowhere.test/", ""), 502, "dns_error"));
    }
    for (request, status, cause) in table {
        let ask = || {
            let mut client = proxy.client();
            client.send(&request);
            assert_eq!(client.reply().status(), status, "{request}");
        };
        assert_eq!(moved(&proxy, ask), timed(Some(cause)), "{request}");
    }
    let mut client = Client::connect(proxy.web());
    client.send("GET /json/errors HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(client.reply().text().contains("\"proxy_loop_detected\": 1"));
}

/// An answer of the proxy says that the connection is kept, and it is, when all content of its request was there.
#[test]
fn a_refused_upload_that_came_whole_keeps_its_connection() {
    let proxy = Proxy::start(&[("security.deny", "192.0.2.0/24")]);
    let mut client = proxy.client();
    for _ in 0..3 {
        client.send("POST http://192.0.2.9/ HTTP/1.1\r\nHost: 192.0.2.9\r\nContent-Length: 5\r\n\r\nhello");
        let reply = client.reply();
        assert_eq!((reply.status(), reply.value("Connection")), (403, None));
    }
}

/// What the live view says of the sessions to the proxy, as text.
fn sessions(proxy: &Proxy) -> String {
    let mut client = Client::connect(proxy.web());
    client.send("GET /json/sessions HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.reply().text()
}

#[test]
fn the_live_view_tells_where_a_tunnel_leads_and_what_went_wrong_before() {
    let echo = Origin::echo();
    let proxy = Proxy::start(&[]);
    let mut client = proxy.client();
    client.send("GET http://nodot/ HTTP/1.1\r\nHost: nodot\r\n\r\n");
    assert_eq!(client.reply().status(), 502);
    assert!(sessions(&proxy).contains("\"error\": \"dns_error\""), "{}", sessions(&proxy));
    client.tunnel(&echo.address().to_string());
    let text = sessions(&proxy);
    for part in ["\"phase\": \"tunnel\"", &format!("\"host\": \"{}\"", echo.address()), "\"error\": \"dns_error\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
