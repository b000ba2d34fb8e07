//! CONNECT: how a tunnel opens, what it refuses, and that it carries every byte, no other, and no longer than it must.

use std::thread;

use crate::support::{eventually, pattern, Origin, Proxy, Refusing};

#[test]
fn row_40_the_answer_to_connect_is_bare() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::echo();
    let expected = b"HTTP/1.1 200 Connection Established\r\n\r\n";
    for version in ["1.1", "1.0"] {
        let mut client = proxy.client();
        client.send(format!("CONNECT {0} HTTP/{version}\r\nHost: {0}\r\n\r\n", origin.address()));
        assert_eq!(client.read(expected.len()), expected);
        client.send("ping");
        assert_eq!(client.read(4), b"ping", "HTTP/{version}");
    }
}

#[test]
fn the_head_of_connect_does_not_reach_the_origin() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::echo();
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    client.send("only this");
    client.read(9);
    assert_eq!(origin.received(0), b"only this");
}

#[test]
fn bytes_sent_with_the_head_are_passed_on_at_once() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::echo();
    let mut client = proxy.client();
    client.send(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n\x16\x03\x01early", origin.address()));
    assert_eq!(client.reply_to("CONNECT").status(), 200);
    assert_eq!(client.read(8), b"\x16\x03\x01early");
}

#[test]
fn a_server_that_speaks_first_is_heard() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        peer.send("220 ready\r\n")?;
        peer.rest().map(|_| ())
    });
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    assert_eq!(client.read(11), b"220 ready\r\n");
}

#[test]
fn only_the_listed_ports_are_connected_to() {
    let origin = Origin::echo();
    let other = Origin::echo();
    let proxy = Proxy::start(&[("security.connect", &format!("443 {}", origin.port()))]);
    proxy.client().tunnel(&origin.address().to_string());
    let mut client = proxy.client();
    client.send(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", other.address()));
    let reply = client.reply();
    assert_eq!(reply.status(), 403, "{reply:?}");
    assert_eq!(other.connections(), 0);
}

#[test]
fn connect_can_be_switched_off() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&[("http.connect", "false")]);
    let mut client = proxy.client();
    client.send(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", origin.address()));
    let reply = client.reply();
    assert!([403, 405, 501].contains(&reply.status()), "{reply:?}");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn bad_authorities_are_refused() {
    let proxy = Proxy::start(&[]);
    let cases = [
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:4294967739",
        "127.0.0.1:-1",
        "127.0.0.1:+443",
        "127.0.0.1:https",
        ":443",
        "http://127.0.0.1:443/",
        "/",
        "*",
        "[::1]",
        "[::1:443",
        "::1:443",
        "[::1]x:443",
        "user@127.0.0.1:443",
        "a_b@c:1",
        "127.0.0.1:443/",
    ];
    for authority in cases {
        let mut client = proxy.client();
        client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let reply = client.reply();
        assert_eq!(reply.status(), 400, "{authority}: {reply:?}");
        client.expect_close();
    }
    proxy.assert_serves();
}

#[test]
fn a_refused_connection_is_an_answer_and_not_a_tunnel() {
    let proxy = Proxy::start(&[]);
    let refusing = Refusing::new();
    let mut client = proxy.client();
    client.send(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\nearly bytes", refusing.address()));
    assert_eq!(client.reply().status(), 502);
    // The early bytes were meant for the server: they are no request.
    client.expect_close();
}

#[test]
fn row_43_rules_for_destinations_hold_for_connect_too() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&[("security.deny", "127.0.0.0/8")]);
    let mut client = proxy.client();
    client.send(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", origin.address()));
    assert_eq!(client.reply().status(), 403);
    let local = Proxy::start(&[("security.local", "")]);
    let mut client = local.client();
    client.send(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", origin.address()));
    assert_eq!(client.reply().status(), 403);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn connect_follows_requests_on_the_same_connection() {
    let proxy = Proxy::start(&[]);
    let site = Origin::site();
    let echo = Origin::echo();
    let mut client = proxy.client();
    assert_eq!(client.get(&site.url("/first")).text(), "/first");
    client.tunnel(&echo.address().to_string());
    client.send("then a tunnel");
    assert_eq!(client.read(13), b"then a tunnel");
    let mut client = proxy.client();
    assert_eq!(client.get(&site.url("/first")).text(), "/first");
    client.tunnel(&site.address().to_string());
    client.send("GET /inside HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.reply().text(), "/inside");
}

#[test]
fn row_42_concurrent_tunnels_keep_every_byte() {
    const TUNNELS: u64 = 24;
    const BYTES: usize = 600_000;
    let proxy = Proxy::start(&[]);
    let origin = Origin::echo();
    let authority = origin.address().to_string();
    thread::scope(|scope| {
        for seed in 0..TUNNELS {
            let mut client = proxy.client();
            let authority = &authority;
            scope.spawn(move || {
                client.tunnel(authority);
                let sent = pattern(BYTES, seed);
                let sizes = [1, 17, 1460, 16_384, 70_000];
                let mut back = Vec::with_capacity(BYTES);
                for piece in sent.chunks(sizes[(seed % 5) as usize].max(BYTES / 64)) {
                    client.send(piece);
                    back.extend(client.read(piece.len()));
                }
                assert!(back == sent, "tunnel {seed} changed bytes");
            });
        }
    });
}

#[test]
fn a_tunnel_carries_bulk_both_ways_at_once() {
    const BYTES: usize = 8 << 20;
    let proxy = Proxy::start(&[]);
    let down = pattern(BYTES, 1);
    let origin = Origin::start(move |peer| {
        let mut writer = peer.second()?;
        let down = down.clone();
        let sender = thread::spawn(move || writer.send(down));
        let up = peer.exact(BYTES)?;
        let _ = sender.join();
        peer.send(if up == pattern(BYTES, 2) { "right" } else { "wrong" })
    });
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    let mut writer = client.wire().second().expect("a second handle");
    let sender = thread::spawn(move || writer.send(pattern(BYTES, 2)));
    assert!(client.read(BYTES) == pattern(BYTES, 1), "bytes from the origin differ");
    assert_eq!(client.read(5), b"right");
    sender.join().expect("no panic").expect("all sent");
}

#[test]
fn a_reset_of_the_client_is_seen_at_once() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::echo();
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    client.send("x");
    client.read(1);
    client.reset();
    origin.wait_ended(1);
    proxy.wait_counter("servers.established", 0);
}

#[test]
fn a_reset_of_the_origin_is_seen_at_once() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        peer.exact(1)?;
        peer.reset()
    });
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    client.send("x");
    client.expect_end();
    proxy.wait_counter("servers.established", 0);
}

#[test]
fn row_32_a_tunnel_that_only_the_origin_closed_does_not_stay() {
    let proxy = Proxy::start(&[("http.half-close-timeout", "1")]);
    let origin = Origin::start(|peer| peer.exact(1).map(|_| ()));
    let before = proxy.descriptors();
    let mut clients: Vec<_> = (0..10).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.tunnel(&origin.address().to_string());
        client.send("x");
    }
    // The clients never close: the proxy alone has to end these tunnels.
    for client in &mut clients {
        client.expect_end();
    }
    eventually("descriptors back at the start", || (proxy.descriptors() <= before).then_some(()));
}

#[test]
fn row_33_both_legs_of_a_tunnel_have_keep_alive() {
    let proxy = Proxy::start(&[("http.keepalive", "60")]);
    let origin = Origin::echo();
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    client.send("x");
    client.read(1);
    // Field 6 of /proc/net/tcp is the running timer: 02 is keep-alive. A timer of unacknowledged bytes may run first.
    let ends = [(proxy.port(), client.local().port()), (0, origin.port())];
    for (local, remote) in ends {
        eventually("a keep-alive timer", || timer(local, remote).filter(|kind| *kind == 2));
    }
}

/// Kind of the running timer of the proxy's socket between these ports; local 0 stands for any.
fn timer(local: u16, remote: u16) -> Option<u8> {
    let port = |text: &str| u16::from_str_radix(text.rsplit(':').next()?, 16).ok();
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let matches = port(fields[2])? == remote && (local == 0 || port(fields[1])? == local) && fields[3] == "01";
        matches.then(|| u8::from_str_radix(&fields[5][..2], 16).ok())?
    })
}

#[test]
fn row_34_an_idle_tunnel_ends_after_its_time() {
    let proxy = Proxy::start(&[("http.tunnel-timeout", "1")]);
    let origin = Origin::echo();
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    client.send("x");
    client.read(1);
    client.expect_end();
    origin.wait_ended(1);
}

#[test]
fn row_35_idle_tunnels_give_their_buffers_back() {
    const TUNNELS: usize = 400;
    let proxy = Proxy::start(&[]);
    let origin = Origin::echo();
    let authority = origin.address().to_string();
    let mut warm = proxy.client();
    warm.tunnel(&authority);
    let busy = pattern(300_000, 1);
    let carry = |client: &mut crate::support::Client| {
        for piece in busy.chunks(30_000) {
            client.send(piece);
            client.read(piece.len());
        }
    };
    carry(&mut warm);
    let before = proxy.rss();
    let mut clients: Vec<_> = (0..TUNNELS).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.tunnel(&authority);
        carry(client);
    }
    let grown = proxy.rss().saturating_sub(before);
    // 4 KiB each leaves room for the allocator and the debug build, and none for a kept block of 16 KiB.
    assert!(grown < TUNNELS as u64 * 4096, "{TUNNELS} idle tunnels hold {grown} bytes");
}
