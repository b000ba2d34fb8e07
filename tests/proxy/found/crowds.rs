//! Faults in what one client can take from all others.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use crate::support::{client, eventually, patiently, Client, Origin, Proxy};

/// Who takes more than others, and one of the others.
const GREEDY: [u8; 4] = [127, 0, 0, 2];
const MODEST: [u8; 4] = [127, 0, 0, 3];

/// An origin whose connections come about, and to which nothing more happens: the kernel takes what is sent to it.
struct Hanging(#[allow(dead_code)] TcpListener, SocketAddr);

impl Hanging {
    fn start() -> Hanging {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a port");
        socket.listen(4096).expect("a listener");
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().expect("an address");
        Hanging(listener, address)
    }

    fn url(&self) -> String {
        format!("http://{}/", self.1)
    }
}

/// Clients that are gone kept their places until their origins answered.
#[test]
fn a6_clients_that_are_gone_keep_nobody_out() {
    let hanging = Origin::start(|peer| {
        peer.until(b"\r\n\r\n")?;
        peer.hold()
    });
    let (proxy, origin) = (Proxy::start(&[("http.connections", "8")]), Origin::site());
    for round in 0..40 {
        let mut gone = proxy.client();
        gone.send(client::get(&hanging.url("/")));
        drop(gone);
        if round % 8 == 7 {
            assert_eq!(proxy.client().get(&origin.url("/")).text(), "/");
        }
    }
}

/// A client that has ended its side keeps its answer while there is room.
#[test]
fn a6_a_client_that_has_ended_its_side_gets_its_answer_where_there_is_room() {
    let (proxy, origin) = (Proxy::start(&[("http.connections", "2")]), Origin::site());
    let mut client = proxy.client();
    client.send(client::get(&origin.url("/half")));
    client.shut();
    assert_eq!(client.reply().text(), "/half");
}

/// One address filled all places with requests whose sockets stay open, and kept everybody out until its origin answered.
#[test]
fn a6_an_address_with_most_places_gives_way_to_others() {
    const OTHER: [u8; 4] = [127, 0, 0, 4];
    let hanging = Hanging::start();
    let slow = Origin::start(|peer| {
        peer.expect_request()?;
        peer.hold()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
    });
    let (proxy, origin) = (Proxy::start(&[("http.connections", "8")]), Origin::site());
    let from = |who| Client::connect_from(who, proxy.address());
    // Many more than there is room for, so that some of them stand before all others.
    let mut greedy: Vec<_> = (0..60).map(|_| from(GREEDY)).collect();
    greedy.iter_mut().for_each(|client| client.try_send(client::get(&hanging.url())));
    proxy.wait_clients(8);
    for _ in 0..3 {
        assert_eq!(from(MODEST).get(&origin.url("/")).text(), "/");
    }
    // Those that hold no more than their share keep what they have.
    let mut waiting: Vec<_> = (0..3).map(|_| from(MODEST)).collect();
    waiting.iter_mut().for_each(|client| client.send(client::get(&slow.url("/"))));
    slow.wait_connections(3);
    for _ in 0..10 {
        assert_eq!(from(OTHER).get(&origin.url("/")).text(), "/");
    }
    slow.release();
    for client in &mut waiting {
        assert_eq!(client.reply().text(), "late");
    }
    // The one that waited longest is told why.
    let reply = greedy[0].reply();
    assert_eq!((reply.status(), reply.value("Retry-After").as_deref()), (503, Some("5")), "{reply:?}");
    let counters = proxy.counters();
    assert!(counters["ended.displaced"] >= 4 && counters["clients.refused"] > 0, "{counters:?}");
    proxy.wait_log("127.0.0.2 has 8 connections to http proxy, more than others, and gives up some for them");
}

#[test]
fn b1_idle_clients_of_the_monitor_leave_room_for_health_checks() {
    let proxy = Proxy::start(&[("web.connections", "5")]);
    let idle: Vec<_> = (0..50).map(|_| client::Client::connect(proxy.web())).collect();
    for _ in 0..10 {
        let mut check = client::Client::connect(proxy.web());
        check.send("GET /health HTTP/1.0\r\n\r\n");
        assert_eq!(check.reply().status(), 200);
    }
    drop(idle);
}

#[test]
fn connections_without_a_request_give_way_to_requests() {
    let (proxy, origin) = (Proxy::start(&[("http.connections", "4")]), Origin::site());
    let idle: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    for _ in 0..4 {
        assert_eq!(proxy.client().get(&origin.url("/")).text(), "/");
    }
    drop(idle);
}

/// A GET with a head of so many bytes.
fn large_get(url: &str, size: usize) -> String {
    let plain = client::get(url);
    let mut head = plain.trim_end().to_owned();
    while head.len() + 4 < size {
        let fill = (size - head.len()).min(4_000);
        head.push_str(&format!("\r\nX-Fill: {}", "x".repeat(fill.saturating_sub(14).max(1))));
    }
    head + "\r\n\r\n"
}

/// Waits until the proxy has less memory than that. It gives some back every ten seconds at most, by a clock that stands still
/// while it is kept from running.
fn wait_memory(proxy: &Proxy, most: u64) {
    let back = || (proxy.rss() < most).then_some(());
    patiently(back).unwrap_or_else(|| eventually("memory to go back", back));
}

/// Heads of 65,000 bytes, two of them one behind the other, took 130 KiB for each client.
#[test]
fn b4_large_heads_of_one_client_are_bounded_and_others_are_served() {
    const CLIENTS: usize = 1_000;
    const MIB: u64 = 1 << 20;
    let (hanging, origin) = (Hanging::start(), Origin::site());
    let proxy = Proxy::start(&[]);
    let before = proxy.rss();
    let pair = large_get(&hanging.url(), 65_000).repeat(2);
    let mut held: Vec<_> = (0..CLIENTS).map(|_| Client::connect_from(GREEDY, proxy.address())).collect();
    for client in &mut held {
        // Those that are refused may be closed while they send.
        client.try_send(&pair);
    }
    let seen = || {
        let counters = proxy.counters();
        let refused = counters.get("heads.refused").copied().unwrap_or_default();
        (counters["clients.requests"] + refused >= CLIENTS as i64).then_some(counters)
    };
    let counters = eventually("each first head to be taken or refused", seen);
    let grown = proxy.rss().saturating_sub(before);
    // Half of 64 MiB beyond the blocks, and for each client a block for its request and one for what comes behind it.
    let most = 32 * MIB + CLIENTS as u64 * 2 * 16_384;
    assert!(grown <= most + most / 10, "{} MiB where docs say {} MiB", grown / MIB, most / MIB);
    proxy.wait_log("127.0.0.2 has large heads or pages of ");
    let (refused, bytes) = (counters["heads.refused"], counters["memory.heads"]);
    // A third of the clients, some of them with both of their requests.
    assert!(refused > 200 && refused < CLIENTS as i64, "{refused} refused");
    assert!((30 * MIB as i64..=32 * MIB as i64).contains(&bytes), "{bytes} bytes");

    let mut modest = Client::connect_from(MODEST, proxy.address());
    modest.send(large_get(&origin.url("/large"), 65_000));
    assert_eq!(modest.reply().text(), "/large");
    let mut greedy = Client::connect_from(GREEDY, proxy.address());
    assert_eq!(greedy.get(&origin.url("/small")).text(), "/small", "what fits in a block is for all");
    greedy.send(large_get(&origin.url("/large"), 65_000));
    let reply = greedy.reply();
    assert_eq!((reply.status(), reply.value("Retry-After").as_deref()), (503, Some("5")), "{reply:?}");
    let why = reply.value("Proxy-Status").unwrap_or_default();
    assert!(why.contains("error=connection_limit_reached"), "{why}");

    // A mere end of their side would leave them waiting for their answers.
    held.into_iter().for_each(Client::reset);
    wait_memory(&proxy, before + 16 * MIB);
    assert_eq!(proxy.counter("memory.heads"), 0);
    assert_eq!(Client::connect_from(GREEDY, proxy.address()).get(&origin.url("/again")).text(), "/again");
}

/// A page with the address of the request in it, as long as the client likes, was held for each client that did not read it.
#[test]
fn b4_pages_that_nobody_reads_are_bounded_and_others_are_served() {
    const CLIENTS: usize = 16;
    const MIB: u64 = 1 << 20;
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("dns.html"), "%(url)s\n".repeat(12)).expect("a page in the temporary folder");
    let proxy = Proxy::start(&[("web.html", folder.path().to_str().expect("a path of text"))]);
    let before = proxy.rss();
    // Each `&` becomes five bytes.
    let large = format!("http://nodot/{}", "&".repeat(60_000));
    // With a small window, or the kernel would take it all.
    let connect = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a socket option");
        socket.set_linger(Some(std::time::Duration::ZERO)).expect("a socket option");
        socket.bind(&SocketAddr::from((GREEDY, 0)).into()).expect("an address of the loopback");
        socket.connect(&proxy.address().into()).expect("the proxy listens");
        let mut stream = TcpStream::from(socket);
        stream.write_all(client::get(&large).as_bytes()).expect("the proxy reads");
        stream
    };
    let held: Vec<TcpStream> = (0..CLIENTS).map(|_| connect()).collect();
    proxy.wait_counter_reaches("clients.requests", CLIENTS as i64);
    proxy.wait_log("127.0.0.2 has large heads or pages of ");
    let counters = proxy.counters();
    assert!(counters["memory.heads"] > MIB as i64 && counters["memory.heads"] <= 32 * MIB as i64, "{counters:?}");
    assert!(counters["heads.refused"] > 0 && counters["ended.displaced"] == counters["heads.refused"], "{counters:?}");
    let grown = proxy.rss().saturating_sub(before);
    assert!(grown < 48 * MIB, "{} MiB", grown / MIB);
    let mut modest = Client::connect_from(MODEST, proxy.address());
    assert_eq!(modest.get(&large).text().len(), 12 * (5 * 60_000 + "nodot/".len() + 1));
    drop(held);
    eventually("memory to go back", || (proxy.counter("memory.heads") == 0).then_some(()));
    wait_memory(&proxy, before + 16 * MIB);
}
