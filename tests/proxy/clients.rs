//! Who may use the proxy and see its monitor, and who is believed what it says of its clients.

use crate::support::{client, Client, Origin, Proxy};

const LINE: &str = "PROXY TCP4 203.0.113.7 192.0.2.1 56324 3128\r\n";

#[test]
fn clients_that_no_network_names_get_403_and_a_close() {
    let origin = Origin::site();
    let proxy = Proxy::start(&[("acl.clients", "127.0.0.2 2001:db8::/32")]);
    let tunnel = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", origin.address());
    for request in [client::get(&origin.url("/no")), tunnel, client::get("http://unknown.invalid/")] {
        let mut client = proxy.client();
        client.send(&request);
        let reply = client.reply();
        assert_eq!(reply.status(), 403, "{request}: {reply:?}");
        let told = reply.value("Proxy-Status").expect("the field");
        assert!(told.contains("error=http_request_denied") && told.contains("client_denied"), "{told}");
        assert!(reply.text().contains("127.0.0.1 may not use this proxy"), "{reply:?}");
        client.expect_close();
    }
    assert_eq!(origin.connections(), 0);
    let mut welcome = Client::connect_from([127, 0, 0, 2], proxy.address());
    assert_eq!(welcome.get(&origin.url("/yes")).text(), "/yes");
    assert_eq!(proxy.counter("clients.requests"), 4);
}

#[test]
fn the_client_is_who_the_balancer_says_it_is() {
    let origin = Origin::site();
    let options = [("acl.clients", "203.0.113.0/24"), ("http.forward", "X-Client"), ("http.trusted", "127.0.0.1")];
    let proxy = Proxy::start(&options);
    let with = |noted: &str| client::get(&origin.url("/")).replacen("\r\n", &format!("\r\nX-Client: {noted}\r\n"), 1);
    for (from, noted, status) in [
        (1, "203.0.113.9", 200),
        (1, "198.51.100.9", 403),
        // What another address says of itself is passed over.
        (3, "203.0.113.9", 403),
    ] {
        let mut client = Client::connect_from([127, 0, 0, from], proxy.address());
        client.send(with(noted));
        assert_eq!(client.reply().status(), status, "127.0.0.{from} for {noted}");
    }
    let told = "127.0.0.3 sends a field of http.forward and is not believed";
    proxy.wait_log(told);
    let mut again = Client::connect_from([127, 0, 0, 3], proxy.address());
    again.send(with("203.0.113.9"));
    assert_eq!(again.reply().status(), 403);
    assert_eq!(proxy.log().matches(told).count(), 1, "once a minute for an address");
}

#[test]
fn a_proxy_header_from_an_address_that_is_not_trusted_ends_the_connection() {
    let origin = Origin::site();
    let proxy = Proxy::start(&[("http.proxied", "true"), ("http.trusted", "127.0.0.1 ::1")]);
    let mut balancer = proxy.client();
    balancer.send(LINE);
    assert_eq!(balancer.get(&origin.url("/")).status(), 200);
    for _ in 0..3 {
        let mut other = Client::connect_from([127, 0, 0, 3], proxy.address());
        other.try_send(format!("{LINE}{}", client::get(&origin.url("/"))));
        other.expect_end();
    }
    proxy.wait_counter("ended.proxy-untrusted", 3);
    assert_eq!(origin.connections(), 1);
    proxy.wait_log("127.0.0.3 sends a PROXY");
    assert_eq!(proxy.log().matches("127.0.0.3 sends a PROXY protocol header and is not believed").count(), 1);
}

#[test]
fn the_monitor_shows_itself_to_those_who_are_named() {
    let proxy = Proxy::start(&[("web.clients", "127.0.0.1")]);
    for path in ["/", "/health", "/metrics", "/json/running", "/control"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut other = Client::connect_from([127, 0, 0, 3], proxy.web());
        other.send(&request);
        let reply = other.reply();
        assert_eq!(reply.status(), 403, "{path}");
        assert!(reply.text().contains("web.clients"), "{reply:?}");
        other.expect_close();
    }
    let mut named = Client::connect(proxy.web());
    named.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(named.reply().status(), 200);
}

#[test]
fn a_reload_changes_who_may_use_the_proxy_at_the_next_request() {
    let origin = Origin::site();
    let proxy = Proxy::start_with(&[], "[acl]\nclients = 127.0.0.1\n");
    let mut client = proxy.client();
    assert_eq!(client.get(&origin.url("/1")).status(), 200);
    std::fs::write(proxy.file(), "[acl]\nclients = 192.0.2.0/24\n").expect("an ini file");
    proxy.signal(nix::sys::signal::Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    assert_eq!(client.get(&origin.url("/2")).status(), 403);
    client.expect_close();
}

/// The destination in a PROXY header is where a connection without HTTP goes, by any port.
#[test]
fn ways_2_a_listener_where_anybody_may_say_the_destination_is_told_at_the_start() {
    let port = crate::support::ports::next().to_string();
    for kind in ["intercept", "tls", "passthrough"] {
        let [enable, number, host, proxied] =
            ["enable", "port", "host", "proxied"].map(|name| format!("{kind}.{name}"));
        let here = [(&enable[..], "true"), (&number, &port)];
        for (options, told) in [
            (&[(&host[..], "0.0.0.0"), (&proxied, "true")][..], true),
            (&[(&host, "0.0.0.0"), (&proxied, "true"), ("http.trusted", "127.0.0.1")], false),
            (&[(&host, "127.0.0.1"), (&proxied, "true")], false),
            (&[(&host, "0.0.0.0"), (&proxied, "false")], false),
        ] {
            let proxy = Proxy::start(&[&here[..], options].concat());
            proxy.signal(nix::sys::signal::Signal::SIGHUP);
            proxy.wait_log("configuration reloaded");
            let line = format!("everybody who reaches 0.0.0.0:{port} may go to any port of any server");
            assert_eq!(proxy.log().contains(&line), told, "{options:?}: {}", proxy.log());
        }
    }
}

#[test]
fn listeners_that_others_reach_and_rules_that_can_be_forged_are_told_at_the_start() {
    let (open, monitor) = ("may use the proxy: acl.clients names", "may see the monitor: web.clients names");
    let forged = "can be forged: http.trusted";
    for (options, told) in [
        (&[][..], [false, false, false]),
        (&[("tcp4.host", "0.0.0.0")], [true, false, false]),
        (&[("tcp4.host", "0.0.0.0"), ("acl.clients", "10.0.0.0/8 127.0.0.1")], [false, false, false]),
        (&[("web.host", "0.0.0.0")], [false, false, true]),
        (&[("web.host", "0.0.0.0"), ("web.clients", "127.0.0.0/8")], [false, false, false]),
        (&[("acl.clients", "10.0.0.0/8"), ("http.forward", "X-Client")], [false, true, false]),
        (&[("http.client-requests", "9/s"), ("http.forward", "X-Client")], [false, true, false]),
        (&[("http.client-connections", "9"), ("http.proxied", "true")], [false, true, false]),
        (&[("http.client-requests", "9/s")], [false, false, false]),
        (
            &[("acl.clients", "10.0.0.0/8"), ("http.forward", "X-Client"), ("http.trusted", "127.0.0.1")],
            [false, false, false],
        ),
    ] {
        let proxy = Proxy::start(options);
        // It is told again at a reload, before this line.
        proxy.signal(nix::sys::signal::Signal::SIGHUP);
        proxy.wait_log("configuration reloaded");
        let log = proxy.log();
        assert_eq!([open, forged, monitor].map(|line| log.contains(line)), told, "{options:?}: {log}");
    }
}
