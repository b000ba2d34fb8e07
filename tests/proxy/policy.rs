//! Where the proxy will not connect to, by any name or spelling that leads there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::origin::serve_site;
use crate::support::{Answer, NameServer, Origin, Proxy, Query, A};

const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// Statuses of a refusal: by rule, or because no such target is accepted at all.
const REFUSED: [u16; 2] = [403, 400];

#[test]
fn this_machine_is_out_of_reach_by_default() {
    let proxy = Proxy::start(&[("security.local", "")]);
    let origin = Origin::start(serve_site);
    let other = Origin::at((V6, origin.port()).into(), serve_site);
    let own = own_address();
    let spellings = [
        "127.0.0.1",
        "127.0.0.2",
        "127.255.255.254",
        "0.0.0.0",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "0177.0.0.1",
        "127.0.0.1.",
        own.as_str(),
    ];
    for host in spellings {
        let reply = proxy.client().get(&format!("http://{host}:{}/", origin.port()));
        assert!(REFUSED.contains(&reply.status()), "{host}: {reply:?}");
        let mut client = proxy.client();
        client.send(format!("CONNECT {host}:{} HTTP/1.1\r\nHost: h\r\n\r\n", origin.port()));
        let reply = client.reply();
        assert!(REFUSED.contains(&reply.status()), "CONNECT {host}: {reply:?}");
    }
    assert_eq!((origin.connections(), other.connections()), (0, 0));
}

/// Address of an interface other than loopback, or loopback where there is none.
fn own_address() -> String {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
    // Connecting a datagram socket sends nothing; it only makes the kernel choose our address.
    match socket.connect("192.0.2.77:9").and_then(|()| socket.local_addr()) {
        Ok(address) => address.ip().to_string(),
        Err(_) => "127.0.0.1".to_owned(),
    }
}

#[test]
fn listed_services_of_this_machine_are_reached_and_no_others() {
    let open = Origin::site();
    let shut = Origin::site();
    for list in [format!("127.0.0.1:{}", open.port()), format!("192.0.2.1:1 *:{}", open.port())] {
        let proxy = Proxy::start(&[("security.local", &list)]);
        assert_eq!(proxy.client().get(&open.url("/here")).text(), "/here", "{list}");
        assert_eq!(proxy.client().get(&shut.url("/here")).status(), 403, "{list}");
    }
    let proxy = Proxy::start(&[("security.local", "127.0.0.1:*")]);
    assert_eq!(proxy.client().get(&open.url("/here")).text(), "/here");
    let v6 = Origin::on(V6, serve_site);
    assert_eq!(proxy.client().get(&v6.url("/here")).status(), 403);
}

#[test]
fn row_23_rules_know_ipv6() {
    let v6 = Origin::on(V6, serve_site);
    let listed = Proxy::start(&[("security.local", &format!("[::1]:{}", v6.port()))]);
    assert_eq!(listed.client().get(&v6.url("/here")).text(), "/here");
    for range in ["::1/128", "::/64", "::/0", "::ffff:0:0/96 ::/127"] {
        let denied = Proxy::start(&[("security.deny", range)]);
        assert_eq!(denied.client().get(&v6.url("/here")).status(), 403, "{range}");
    }
}

#[test]
fn denied_ranges_are_masked_and_hold_for_every_spelling() {
    let origin = Origin::site();
    for range in ["127.0.0.1/32", "127.0.0.77/24", "127.9.9.9/8", "0.0.0.0/0", "192.0.2.0/24 127.0.0.0/8"] {
        let proxy = Proxy::start(&[("security.deny", range)]);
        for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]"] {
            let reply = proxy.client().get(&format!("http://{host}:{}/", origin.port()));
            assert!(REFUSED.contains(&reply.status()), "{range} {host}: {reply:?}");
        }
    }
    assert_eq!(origin.connections(), 0);
    let proxy = Proxy::start(&[("security.deny", "127.0.0.77/32 10.0.0.5/8 100.64.0.0/10")]);
    assert_eq!(proxy.client().get(&origin.url("/here")).text(), "/here");
}

#[test]
fn row_63_a_denied_address_is_denied_under_every_name() {
    let Some(names) = NameServer::zone(&[("evil.test", "127.0.0.1"), ("shared.test", "100.64.1.1")]) else { return };
    let resolver = names.resolv_conf();
    let options = [("dns.resolver", resolver.as_str()), ("security.deny", "127.0.0.0/8 100.64.0.0/10")];
    let proxy = Proxy::start(&options);
    let origin = Origin::site();
    let spellings =
        ["evil.test", "EVIL.test", "evil.test.", "[evil.test]", "e%76il.test", "evil.test..", "shared.test"];
    for host in spellings {
        let port = origin.port();
        for request in [
            format!("GET http://{host}:{port}/ HTTP/1.1\r\nHost: h\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"),
            format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: h\r\n\r\n"),
        ] {
            let mut client = proxy.client();
            client.send(&request);
            let reply = client.reply();
            assert!([403, 400].contains(&reply.status()), "{request:?}: {reply:?}");
        }
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn row_64_the_address_checked_is_the_address_connected() {
    let asked = AtomicUsize::new(0);
    // Rebinding: every other answer is an address that must not be reached, and none may be kept.
    let rebinding = move |query: &Query| {
        if query.kind != A {
            return Answer::Reply(query.reply());
        }
        let last = if asked.fetch_add(1, Ordering::Relaxed) % 2 == 0 { 2 } else { 3 };
        Answer::Reply(query.reply().ttl(0).a([127, 0, 0, last].into()))
    };
    let Some(names) = NameServer::start(rebinding) else { return };
    let resolver = names.resolv_conf();
    let proxy = Proxy::start(&[("dns.resolver", &resolver), ("security.deny", "127.0.0.3/32"), ("http.pool", "0")]);
    let good = Origin::on(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), serve_site);
    let bad = Origin::at(([127, 0, 0, 3], good.port()).into(), serve_site);
    for _ in 0..12 {
        let reply = proxy.client().get(&format!("http://rebinding.test:{}/here", good.port()));
        assert!(reply.status() == 403 || reply.text() == "/here", "{reply:?}");
    }
    assert!(good.connections() > 0);
    assert_eq!(bad.connections(), 0);
}

#[test]
fn row_64_a_name_with_one_denied_address_uses_the_others_only() {
    let Some(names) = NameServer::zone(&[("mixed.test", "127.0.0.3"), ("mixed.test", "127.0.0.2")]) else { return };
    let resolver = names.resolv_conf();
    let proxy = Proxy::start(&[("dns.resolver", &resolver), ("security.deny", "127.0.0.3/32"), ("http.pool", "0")]);
    let good = Origin::on(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), serve_site);
    let bad = Origin::at(([127, 0, 0, 3], good.port()).into(), serve_site);
    for _ in 0..5 {
        let reply = proxy.client().get(&format!("http://mixed.test:{}/here", good.port()));
        assert!(reply.status() == 403 || reply.text() == "/here", "{reply:?}");
    }
    assert_eq!(bad.connections(), 0);
}

#[test]
fn row_59_a_host_field_that_does_not_fit_is_no_error() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    client.send(format!("GET {} HTTP/1.1\r\nHost: cdn.example.test\r\n\r\n", origin.url("/here")));
    assert_eq!(client.reply().text(), "/here");
    assert_eq!(origin.head(0).value("Host").unwrap(), origin.address().to_string());
}

#[test]
fn row_60_a_request_to_the_proxy_itself_goes_round_once_at_most() {
    // Even where every service of the machine may be reached.
    let proxy = Proxy::start(&[]);
    for host in ["127.0.0.1", "127.0.0.9", "0.0.0.0", "[::ffff:127.0.0.1]"] {
        let reply = proxy.client().get(&format!("http://{host}:{}/", proxy.port()));
        assert!([400, 403, 502, 508].contains(&reply.status()), "{host}: {reply:?}");
    }
    assert!(proxy.counter("clients.requests") < 12, "{:?}", proxy.counters());
    proxy.assert_serves();
}

#[test]
fn row_60_tunnels_through_the_proxy_itself_end_with_their_client() {
    let proxy = Proxy::start(&[]);
    let before = proxy.descriptors();
    let own = proxy.address();
    let mut client = proxy.client();
    client.send(format!("CONNECT {own} HTTP/1.1\r\nHost: {own}\r\n\r\n"));
    let reply = client.reply_to("CONNECT");
    assert!([200, 403, 502, 508].contains(&reply.status()), "{reply:?}");
    drop(client);
    let back = || (proxy.descriptors() <= before).then_some(());
    crate::support::eventually("descriptors back at the start", back);
}

#[test]
fn row_61_what_is_not_built_is_refused_at_start() {
    let run = Proxy::run(&[], &[("profile.enable", "true"), ("daemon.user", "root")]);
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.lines().any(|line| line.contains("profile")), "it is not named: {}", run.stderr);
}

#[test]
fn row_62_outgoing_connections_come_from_the_bound_address() {
    let origin = Origin::start(|peer| {
        let from = peer.peer()?.ip().to_string();
        peer.expect_request()?;
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{from}", from.len()))
    });
    let proxy = Proxy::start(&[("tcp4.bind", "127.0.0.42")]);
    assert_eq!(proxy.client().get(&origin.url("/")).text(), "127.0.0.42");
}

#[test]
fn row_62_an_address_that_cannot_be_bound_is_named_in_the_log() {
    let origin = Origin::site();
    let proxy = Proxy::start(&[("tcp4.bind", "198.51.100.77")]);
    let status = proxy.client().get(&origin.url("/")).status();
    assert!([200, 502, 503].contains(&status), "{status}");
    proxy.wait_log("198.51.100.77");
    assert!(proxy.client().get(&origin.url("/")).status() == status);
}

#[test]
fn row_58_credentials_for_a_proxy_stay_on_their_hop() {
    let origin = Origin::fixed(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"o\"\r\nProxy-Authenticate: Basic realm=\"p\"\r\n\
         Content-Length: 0\r\n\r\n",
    );
    let proxy = Proxy::start(&[]);
    let mut client = proxy.client();
    client.send(format!(
        "GET {} HTTP/1.1\r\nHost: h\r\nAuthorization: Basic b3JpZ2luOm86\r\nProxy-Authorization: Basic cHJveHk6w7w=\r\n\r\n",
        origin.url("/")
    ));
    let reply = client.reply();
    assert!(reply.has("WWW-Authenticate") && !reply.has("Proxy-Authenticate"), "{reply:?}");
    let head = origin.head(0);
    assert!(head.has("Authorization") && !head.has("Proxy-Authorization"), "{head:?}");
}
