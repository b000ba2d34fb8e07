//! What one client may have: connections and requests, by its identity.

use nix::sys::signal::Signal;

use crate::support::{client, eventually, Client, Message, Origin, Proxy, ONE_LOOP};

const FIELD: (&str, &str) = ("http.forward", "X-Client");

fn from(last: u8, proxy: &Proxy) -> Client {
    Client::connect_from([127, 0, 0, last], proxy.address())
}

/// The request of a client whose balancer names it.
fn named(origin: &Origin, client: &str) -> String {
    client::get(&origin.url("/")).replacen("\r\n", &format!("\r\nX-Client: {client}\r\n"), 1)
}

fn connect(authority: &str) -> String {
    format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n")
}

/// A refusal because of connections: who asks may try again, on another one.
fn assert_too_many(reply: &Message) {
    assert_eq!((reply.status(), reply.value("Retry-After").as_deref()), (503, Some("5")), "{reply:?}");
    let told = reply.value("Proxy-Status").expect("the field");
    assert!(told.contains("error=connection_limit_reached; details=\"too_many_connections: "), "{told}");
}

#[test]
fn more_connections_than_one_client_may_have_get_503() {
    let (origin, echo) = (Origin::site(), Origin::echo());
    let proxy = Proxy::start(&[("http.client-connections", "2")]);
    let mut tunnel = proxy.client();
    tunnel.tunnel(&echo.address().to_string());
    let mut kept = proxy.client();
    assert_eq!(kept.get(&origin.url("/kept")).status(), 200);
    for request in [client::get(&origin.url("/")), connect(&echo.address().to_string())] {
        let mut third = proxy.client();
        third.send(&request);
        let method = request.split(' ').next().expect("a method");
        assert_too_many(&third.reply_to(method));
        third.expect_close();
    }
    proxy.wait_log("127.0.0.1 has 2 connections, as many as it may (http.client-connections)");
    assert_eq!(proxy.counter("limits.connections.requests"), 1);
    assert_eq!(proxy.counter("limits.connections.tunnels"), 1);
    // Those that have a place keep it, and others are not concerned.
    assert_eq!(kept.get(&origin.url("/again")).text(), "/again");
    tunnel.send("through");
    assert_eq!(tunnel.read(7), b"through");
    assert_eq!(from(2, &proxy).get(&origin.url("/other")).text(), "/other");
    drop(tunnel);
    proxy.wait_clients(1);
    assert_eq!(proxy.client().get(&origin.url("/room")).text(), "/room");
}

#[test]
fn connections_that_ask_for_nothing_count_and_are_closed_beyond_twice_the_limit() {
    let origin = Origin::site();
    let proxy = Proxy::start(&[ONE_LOOP, ("http.client-connections", "2")]);
    let mut silent: Vec<Client> = (0..4).map(|_| proxy.client()).collect();
    proxy.wait_clients(4);
    proxy.client().expect_close();
    proxy.wait_counter("ended.client-limit", 1);
    assert_eq!(silent[0].get(&origin.url("/placed")).text(), "/placed");
    silent[2].send(client::get(&origin.url("/")));
    assert_too_many(&silent[2].reply());
    // One without a place has one as soon as there is one.
    drop(silent.remove(1));
    drop(silent.remove(1));
    proxy.wait_clients(2);
    assert_eq!(silent[1].get(&origin.url("/now")).text(), "/now");
    for _ in 0..20 {
        assert_too_many(&proxy.client().get(&origin.url("/")));
    }
    eventually("the end of those that were refused", || (proxy.clients() == 2).then_some(()));
    assert_eq!(from(2, &proxy).get(&origin.url("/other")).text(), "/other");
}

#[test]
fn behind_a_proxy_header_clients_are_told_apart_and_a_64_is_one() {
    let origin = Origin::site();
    let proxy = Proxy::start(&[("http.client-connections", "1"), ("http.proxied", "true")]);
    let announced = |source: &str| {
        let family = if source.contains(':') { "TCP6" } else { "TCP4" };
        let mut client = proxy.client();
        client.send(format!("PROXY {family} {source} {source} 1 2\r\n{}", client::get(&origin.url("/"))));
        let status = client.reply().status();
        (client, status)
    };
    let held = ["203.0.113.7", "2001:db8:0:1::7"].map(announced);
    for (source, status) in
        [("203.0.113.7", 503), ("203.0.113.8", 200), ("2001:db8:0:1:ffff::1", 503), ("2001:db8:0:2::7", 200)]
    {
        assert_eq!(announced(source).1, status, "{source}");
    }
    proxy.wait_log("2001:db8:0:1::/64 has 1 connections");
    drop(held);
    eventually("a place", || (announced("203.0.113.7").1 == 200).then_some(()));
}

#[test]
fn a_balancers_connection_counts_for_whom_its_request_comes_from() {
    let (origin, gate) = (
        Origin::site(),
        Origin::start(|peer| {
            peer.expect_request()?;
            peer.hold()
        }),
    );
    let proxy = Proxy::start(&[ONE_LOOP, ("http.client-connections", "1"), FIELD, ("http.trusted", "127.0.0.1")]);
    // Many connections of the balancer that have nothing to do are not counted.
    let mut lines: Vec<Client> = (0..6).map(|_| proxy.client()).collect();
    for (number, line) in lines.iter_mut().enumerate() {
        line.send(named(&origin, "203.0.113.7"));
        assert_eq!(line.reply().status(), 200, "connection {number}");
    }
    lines[0].send(named(&gate, "203.0.113.7"));
    gate.wait_connections(1);
    lines[1].send(named(&origin, "203.0.113.8"));
    assert_eq!(lines[1].reply().status(), 200, "another client");
    lines[2].send(named(&origin, "203.0.113.7"));
    assert_too_many(&lines[2].reply());
    lines[3].send(client::get(&origin.url("/")));
    assert_eq!(lines[3].reply().status(), 200, "the balancer itself");
    // An address that is not believed counts for itself.
    let mut other = from(3, &proxy);
    other.send(named(&origin, "203.0.113.7"));
    assert_eq!(other.reply().status(), 200);
    let mut second = from(3, &proxy);
    second.send(named(&origin, "203.0.113.9"));
    assert_too_many(&second.reply());
    lines.remove(0).reset();
    eventually("the end of the first request", || {
        lines[3].send(named(&origin, "203.0.113.7"));
        let status = lines[3].reply().status();
        if status != 200 {
            lines[3] = proxy.client();
        }
        (status == 200).then_some(())
    });
}

#[test]
fn whoever_asks_too_often_gets_429_and_may_go_on_later() {
    let (origin, echo) = (Origin::site(), Origin::echo());
    let proxy = Proxy::start(&[("http.client-requests", "1/h")]);
    let mut client = proxy.client();
    assert_eq!(client.get(&origin.url("/first")).text(), "/first");
    let reply = client.get(&origin.url("/second"));
    assert_eq!(reply.status(), 429, "{reply:?}");
    let wait: u32 = reply.value("Retry-After").and_then(|value| value.parse().ok()).expect("seconds");
    assert!((3000..=3600).contains(&wait), "{wait}");
    let told = reply.value("Proxy-Status").expect("the field");
    assert!(told.contains("error=http_request_denied; details=\"too_many_requests: "), "{told}");
    assert!(reply.text().contains("1/h are allowed (http.client-requests)"), "{reply:?}");
    assert!(!reply.lists("Connection", "close"), "a connection costs more than an answer");
    assert_eq!(client.get(&origin.url("/third")).status(), 429);
    // Tunnels are counted apart.
    let mut tunnel = proxy.client();
    tunnel.tunnel(&echo.address().to_string());
    let mut second = proxy.client();
    second.send(connect(&echo.address().to_string()));
    assert_eq!(second.reply_to("CONNECT").status(), 429);
    assert_eq!(proxy.counter("limits.rate.requests"), 2);
    assert_eq!(proxy.counter("limits.rate.tunnels"), 1);
    assert_eq!(from(2, &proxy).get(&origin.url("/other")).text(), "/other");
    proxy.wait_log("127.0.0.1 asks too often, 1/h are allowed");
    assert_eq!(proxy.log().matches("asks too often").count(), 1, "once a minute for an address");
}

#[test]
fn the_rate_is_that_of_the_client_behind_a_balancer() {
    let origin = Origin::site();
    let proxy = Proxy::start(&[("http.client-requests", "1/h"), FIELD, ("http.trusted", "127.0.0.1")]);
    let mut line = proxy.client();
    for (client, status) in [
        ("203.0.113.7", 200),
        ("203.0.113.7", 429),
        ("203.0.113.8", 200),
        ("2001:db8::1", 200),
        ("2001:db8::2", 429),
        ("2001:db8:0:1::1", 200),
    ] {
        line.send(named(&origin, client));
        assert_eq!(line.reply().status(), status, "{client}");
    }
}

#[test]
fn clients_that_may_not_use_the_proxy_take_nothing_of_the_limits() {
    let origin = Origin::site();
    let proxy = Proxy::start(&[("http.client-requests", "1/h"), ("acl.clients", "127.0.0.2")]);
    for _ in 0..3 {
        assert_eq!(proxy.client().get(&origin.url("/")).status(), 403);
    }
    assert_eq!((proxy.counter("limits.rate.requests"), from(2, &proxy).get(&origin.url("/")).status()), (0, 200));
}

#[test]
fn a_reload_changes_the_limits_and_cuts_nothing() {
    let (origin, echo) = (Origin::site(), Origin::echo());
    let proxy = Proxy::start_with(&[], "");
    let reload = |text: &str, times: usize| {
        std::fs::write(proxy.file(), format!("[http]\n{text}\n")).expect("an ini file");
        proxy.signal(Signal::SIGHUP);
        proxy.wait_log_times("configuration reloaded", times);
    };
    let mut tunnels: Vec<Client> = (0..3).map(|_| proxy.client()).collect();
    tunnels.iter_mut().for_each(|tunnel| tunnel.tunnel(&echo.address().to_string()));
    reload("client-connections = 1\nclient-requests = 1/h", 1);
    for tunnel in &mut tunnels {
        tunnel.send("through");
        assert_eq!(tunnel.read(7), b"through");
    }
    assert_too_many(&proxy.client().get(&origin.url("/")));
    reload("client-connections = 9\nclient-requests = 1/h", 2);
    assert_eq!(proxy.client().get(&origin.url("/1")).text(), "/1");
    assert_eq!(proxy.client().get(&origin.url("/2")).status(), 429);
    reload("client-connections = 1\nclient-requests = 0", 3);
    assert_too_many(&proxy.client().get(&origin.url("/")));
    reload("", 4);
    assert_eq!(proxy.client().get(&origin.url("/3")).text(), "/3");
    drop(tunnels);
    proxy.assert_serves();
}

#[test]
fn a_rate_that_cannot_be_read_stops_the_start() {
    for (value, said) in [
        ("100", "expected 100/s, 100/m or 100/h: a rate says what it is counted in"),
        ("fast", "expected a number of requests up to 1000000 and what it is counted in, such as 100/s"),
        ("2000000/s", "expected a number of requests up to 1000000"),
    ] {
        let run = Proxy::run(&["--check"], &[("http.client-requests", value)]);
        assert_eq!(run.code, Some(1), "{value}");
        assert!(run.stderr.contains(&format!("http.client-requests : {value} ")), "{}", run.stderr);
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
}
