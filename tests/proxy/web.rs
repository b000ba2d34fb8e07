//! The web port, which serves the counters alone until its pages are built.

use crate::support::{client, ports, Client, Origin, Proxy};

fn ask(proxy: &Proxy, request: &str) -> crate::support::Message {
    let mut client = Client::connect(proxy.web());
    client.send(request);
    client.reply()
}

#[test]
fn the_counters_have_the_names_of_the_original() {
    let proxy = Proxy::start(&[]);
    let counters = proxy.counters();
    let names =
        "clients.requests clients.silent clients.speaking load.events load.loops processes.forked processes.max \
                 processes.min queue.size servers.established servers.opening transfer.client transfer.client4 \
                 transfer.client6 transfer.content transfer.content4 transfer.content6";
    for name in names.split_whitespace() {
        assert!(counters.contains_key(name), "{name} is missing: {counters:?}");
    }
    let reply = ask(&proxy, "GET /json/running HTTP/1.1\r\nHost: web\r\n\r\n");
    assert!(reply.value("Content-Type").unwrap().starts_with("application/json"), "{reply:?}");
    assert!(reply.text().lines().any(|line| line.trim().starts_with("\"pid.saved\": ")), "{}", reply.text());
}

#[test]
fn the_counters_can_be_asked_for_again_on_one_connection() {
    let proxy = Proxy::start(&[]);
    let mut client = Client::connect(proxy.web());
    for _ in 0..3 {
        client.send("GET /json/running?x HTTP/1.1\r\nHost: web\r\n\r\n");
        assert_eq!(client.reply().status(), 200);
    }
}

#[test]
fn the_counters_need_no_host() {
    let proxy = Proxy::start(&[]);
    for head in ["HTTP/1.0\r\n", "HTTP/1.1\r\n", "HTTP/1.1\r\nHost:\r\n", "HTTP/1.1\r\nHost: a b\r\n"] {
        let status = ask(&proxy, &format!("GET /json/running {head}\r\n")).status();
        assert_eq!(status, if head.contains("a b") { 400 } else { 200 }, "{head:?}");
    }
}

#[test]
fn other_pages_are_not_there() {
    let proxy = Proxy::start(&[]);
    for target in ["/", "/../etc/passwd", "/json", "/json/running/x", "//json/running"] {
        let reply = ask(&proxy, &format!("GET {target} HTTP/1.1\r\nHost: web\r\n\r\n"));
        assert_eq!(reply.status(), 404, "{target}");
    }
}

#[test]
fn the_web_port_is_no_proxy() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    for request in [
        client::get(&origin.url("/through-the-back-door")),
        format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", origin.address()),
        format!("GET /through-the-back-door HTTP/1.1\r\nHost: {}\r\n\r\n", origin.address()),
    ] {
        let reply = ask(&proxy, &request);
        assert!((400..500).contains(&reply.status()), "{request:?}: {reply:?}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn bad_requests_to_the_web_port_do_no_harm() {
    let proxy = Proxy::start(&[]);
    for request in
        ["\x16\x03\x01\r\n\r\n", "GET /json/running\r\n\r\n", "GET /json/running HTTP/9.9\r\nHost: w\r\n\r\n"]
    {
        let status = ask(&proxy, request).status();
        assert!([400, 505].contains(&status), "{request:?}: {status}");
    }
    proxy.assert_serves();
}

#[test]
fn the_web_port_can_be_left_shut() {
    let proxy = Proxy::start(&[("web.enable", "false")]);
    proxy.assert_serves();
}

#[test]
fn clients_of_the_web_port_have_a_maximum_of_their_own() {
    let proxy = Proxy::start(&[("web.connections", "2")]);
    let mut inside: Vec<_> = (0..2).map(|_| Client::connect(proxy.web())).collect();
    for client in &mut inside {
        client.send("GET /json/running HTTP/1.1\r\nHost: web\r\n\r\n");
        assert_eq!(client.reply().status(), 200);
    }
    let mut waiting = Client::connect(proxy.web());
    waiting.send("GET /json/running HTTP/1.1\r\nHost: web\r\n\r\n");
    proxy.assert_serves();
    drop(inside);
    assert_eq!(waiting.reply().status(), 200);
}

#[test]
fn the_proxy_itself_can_be_left_shut() {
    let port = ports::next().to_string();
    let proxy = Proxy::start(&[("http.enable", "false"), ("tcp4.port", &port)]);
    assert_eq!(proxy.clients(), 0);
    assert!(std::net::TcpStream::connect(proxy.address()).is_err(), "it listens all the same");
}
