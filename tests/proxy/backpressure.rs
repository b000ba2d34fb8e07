//! Peers that stop reading or read slowly: nothing is read that cannot be kept, nothing is lost, no other client waits.

use std::sync::mpsc;
use std::time::Duration;

use crate::support::{client, eventually, pattern, Client, Origin, Proxy};

/// More than all kernel buffers on the way can hold together.
const MUCH: usize = 128 << 20;

/// What one stalled exchange may hold in the proxy, in bytes, both directions together.
const STALLED: u64 = 64 << 10;

/// What a few exchanges may add to a process besides, in bytes: pages touched for the first time.
const SLACK: u64 = 1 << 20;

/// A pause after which a peer that takes nothing counts as stuck.
const QUIET: Duration = Duration::from_millis(300);

/// Reads a request head and then nothing more.
fn deaf() -> Origin {
    Origin::start(|peer| {
        peer.until(b"\r\n\r\n")?;
        peer.hold()
    })
}

fn start_upload(client: &mut Client, origin: &Origin) {
    client.send(format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: {MUCH}\r\n\r\n", origin.url("/")));
}

#[test]
fn uploads_to_an_origin_that_never_reads_stop_and_cost_little() {
    let proxy = Proxy::start(&[]);
    let origin = deaf();
    let piece = pattern(64 << 10, 1);
    let mut warm = proxy.client();
    start_upload(&mut warm, &origin);
    warm.wire().send_until_stuck(&piece, MUCH, QUIET).expect("no reset");
    let before = proxy.rss();
    let mut clients: Vec<Client> = (0..8).map(|_| proxy.client()).collect();
    for client in &mut clients {
        start_upload(client, &origin);
        let sent = client.wire().send_until_stuck(&piece, MUCH, QUIET).expect("no reset");
        assert!(sent < MUCH, "all of {MUCH} bytes were taken");
    }
    let grown = proxy.rss().saturating_sub(before);
    assert!(grown <= 8 * STALLED + SLACK, "8 stalled uploads hold {grown} bytes");
    proxy.assert_serves();
}

#[test]
fn downloads_to_clients_that_never_read_stop_and_cost_little() {
    let proxy = Proxy::start(&[]);
    let (report, stuck) = mpsc::channel();
    let report = std::sync::Mutex::new(report);
    let origin = Origin::start(move |peer| {
        peer.expect_request()?;
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH}\r\n\r\n"))?;
        let sent = peer.send_until_stuck(&pattern(64 << 10, 1), MUCH, QUIET)?;
        let _ = report.lock().expect("no holder panics").send(sent);
        peer.hold()
    });
    let mut clients: Vec<Client> = Vec::new();
    let mut before = 0;
    for number in 0..9 {
        let mut client = Client::connect_small(proxy.address());
        client.send(client::get(&origin.url("/")));
        let sent = stuck.recv_timeout(crate::support::PATIENCE).expect("the origin gets stuck");
        assert!(sent < MUCH, "all of {MUCH} bytes were taken");
        clients.push(client);
        if number == 0 {
            before = proxy.rss();
        }
    }
    let grown = proxy.rss().saturating_sub(before);
    assert!(grown <= 8 * STALLED + SLACK, "8 stalled downloads hold {grown} bytes");
    proxy.assert_serves();
}

#[test]
fn thirty_two_uploads_to_a_slow_origin_cost_at_most_four_mebibytes() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        peer.until(b"\r\n\r\n")?;
        loop {
            peer.exact(4096)?;
            std::thread::sleep(Duration::from_millis(4));
        }
    });
    let before = proxy.rss();
    let piece = pattern(64 << 10, 1);
    let mut clients: Vec<Client> = (0..32).map(|_| proxy.client()).collect();
    for client in &mut clients {
        start_upload(client, &origin);
        // A slow origin never looks quite stuck, so a fixed amount fills what lies between.
        client.wire().send_until_stuck(&piece, 12 << 20, Duration::from_millis(20)).expect("no reset");
    }
    let grown = proxy.rss().saturating_sub(before);
    assert!(grown <= 4 << 20, "32 slow uploads hold {grown} bytes");
}

#[test]
fn a_stalled_upload_goes_on_when_the_origin_reads_again() {
    // More than all buffers on the way take: since Linux 6.17 a receiver's grows to 32 MiB (tcp(7), tcp_rmem) where its reader is
    // fast, a sender's to 4, and the pipe has 1.
    const BYTES: usize = 64 << 20;
    let proxy = Proxy::start(&[]);
    let (release, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::start(move |peer| {
        peer.until(b"\r\n\r\n")?;
        let _ = wait.lock().expect("no holder panics").recv();
        let body = peer.exact(BYTES)?;
        let right = body == pattern(BYTES, 8);
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{right:5}"))
    });
    let mut client = proxy.client();
    client.send(format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: {BYTES}\r\n\r\n", origin.url("/")));
    let body = pattern(BYTES, 8);
    let mut sent = 0;
    while sent < BYTES {
        // One piece at a time, so that the count of what was taken stays exact.
        let end = (sent + (64 << 10)).min(BYTES);
        let taken = client.wire().send_until_stuck(&body[sent..end], 1, QUIET).expect("no reset");
        sent += taken;
        if taken == 0 {
            break;
        }
    }
    assert!(sent < BYTES, "nothing got stuck");
    release.send(()).expect("the origin waits");
    client.send(&body[sent..]);
    assert_eq!(client.reply().text().trim(), "true");
}

#[test]
fn a_slow_reader_gets_every_byte() {
    const BYTES: usize = 12 << 20;
    let proxy = Proxy::start(&[]);
    let body = pattern(BYTES, 3);
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n").into_bytes();
    answer.extend_from_slice(&body);
    let origin = Origin::fixed(answer);
    let mut client = Client::connect_small(proxy.address());
    client.send(client::get(&origin.url("/")));
    client.wire().until(b"\r\n\r\n").expect("a head");
    let mut seen = Vec::with_capacity(BYTES);
    for size in [1, 100, 5000, 65_536, 1 << 20] {
        std::thread::sleep(Duration::from_millis(50));
        seen.extend(client.read(size));
    }
    seen.extend(client.read(BYTES - seen.len()));
    assert!(seen == body);
}

#[test]
fn a_tunnel_stalls_in_one_direction_only() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        // Sends without ever reading, until told that the client has seen enough.
        loop {
            peer.send("tick")?;
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    let sent = client.wire().send_until_stuck(&pattern(64 << 10, 1), MUCH, QUIET).expect("no reset");
    assert!(sent < MUCH);
    assert_eq!(client.read(400), b"tick".repeat(100));
}

#[test]
fn stalled_peers_cost_no_processor_time() {
    let proxy = Proxy::start(&[]);
    let origin = deaf();
    let mut client = proxy.client();
    start_upload(&mut client, &origin);
    client.wire().send_until_stuck(&pattern(64 << 10, 1), MUCH, QUIET).expect("no reset");
    let mut tunnel = proxy.client();
    tunnel.tunnel(&origin.address().to_string());
    tunnel.wire().send_until_stuck(&b"no blank line in here".repeat(1000), MUCH, QUIET).expect("no reset");
    let share = proxy.share(Duration::from_secs(1));
    assert!(share < 30.0, "{share} % of a core for nothing");
}

#[test]
fn a_stalled_exchange_ends_after_its_time() {
    let proxy = Proxy::start(&[("http.inactive-timeout", "1")]);
    let origin = deaf();
    let mut client = proxy.client();
    start_upload(&mut client, &origin);
    let _ = client.wire().send_until_stuck(&pattern(64 << 10, 1), MUCH, QUIET);
    proxy.wait_counter("servers.established", 0);
    proxy.wait_clients(0);
}

#[test]
fn a_reset_is_seen_while_nothing_is_read() {
    let proxy = Proxy::start(&[]);
    let origin = deaf();
    let before = proxy.descriptors();
    for _ in 0..3 {
        let mut clients: Vec<Client> = (0..8).map(|_| proxy.client()).collect();
        for client in &mut clients {
            start_upload(client, &origin);
            client.wire().send_until_stuck(&pattern(64 << 10, 1), MUCH, QUIET / 3).expect("no reset");
        }
        clients.into_iter().for_each(Client::reset);
    }
    let most = before + proxy.spare_pipes();
    eventually("descriptors back at the start", || (proxy.descriptors() <= most).then_some(()));
    proxy.wait_clients(0);
}
