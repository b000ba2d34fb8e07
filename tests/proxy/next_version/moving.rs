//! Tunnels go on in the next version: no byte is lost, and each has one line in the access log, with all of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::{drainers, upgrade, Installed, TIMES};
use crate::support::{client_hello, eventually, file_lines, pattern, ports, Client, Origin, Proxy, Wire};

pub(super) const GREETING: u64 = "HTTP/1.1 200 Connection Established\r\n\r\n".len() as u64;

/// What is sent again and again in one tunnel.
const PIECE: usize = 60_000;

/// A proxy with an access log in a file, with such lines.
pub(super) fn logging(installed: &Installed, format: &str, more: &[(&str, &str)]) -> (Proxy, std::path::PathBuf) {
    let path = installed.path().with_file_name("access");
    let file = path.to_str().expect("a path of text");
    let mut options = vec![("access.enable", "true"), ("access.destination", file), ("access.format", format)];
    options.extend(more);
    (installed.start(&options), path)
}

/// Waits until so many tunnels are those of the service, and no former version is left.
pub(super) fn all_moved(proxy: &Proxy, tunnels: i64) {
    eventually("the end of the drainers", || drainers(proxy).is_empty().then_some(()));
    proxy.wait_counter("clients.tunnels", tunnels);
}

#[test]
fn a_tunnel_lives_through_ten_upgrades() {
    through_upgrades("1");
}

#[test]
fn a_tunnel_of_several_loops_lives_through_ten_upgrades() {
    through_upgrades("2");
}

/// Reads pieces to the end, every byte right, and gives how many bytes came.
fn read_pieces(mut reader: Wire) -> u64 {
    let (piece, mut got) = (pattern(PIECE, 7), 0);
    loop {
        let count = reader.fill().expect("a tunnel that is open");
        if count == 0 {
            return got as u64;
        }
        let bytes = reader.exact(count).expect("bytes that are there");
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let place = got % PIECE;
            let (part, behind) = rest.split_at(rest.len().min(PIECE - place));
            assert!(*part == piece[place..place + part.len()], "behind byte {got}");
            (rest, got) = (behind, got + part.len());
        }
    }
}

/// Two tunnels with bytes on their way all the time, in both directions.
fn through_upgrades(loops: &str) {
    let installed = Installed::new();
    let options = [("daemon.threads", loops), ("daemon.drain-timeout", "10")];
    let (proxy, log) = logging(&installed, "%m %U %>s %I %O %{failure}x", &options);
    let echo = Origin::echo();
    let at = echo.address().to_string();
    let (ends, sent) = (AtomicBool::new(false), [AtomicU64::new(0), AtomicU64::new(0)]);
    std::thread::scope(|scope| {
        for sent in &sent {
            let mut client = proxy.client();
            client.tunnel(&at);
            let (reader, ends) = (client.wire().second().expect("the same connection"), &ends);
            scope.spawn(move || {
                let piece = pattern(PIECE, 7);
                while !ends.load(Relaxed) {
                    client.send(&piece);
                    sent.fetch_add(PIECE as u64, Relaxed);
                }
                client.shut();
            });
            scope.spawn(move || assert_eq!(read_pieces(reader), sent.load(Relaxed)));
        }
        for time in 1..=TIMES {
            let before = sent.each_ref().map(|sent| sent.load(Relaxed));
            eventually("bytes in both tunnels", || {
                sent.iter().zip(before).all(|(sent, before)| sent.load(Relaxed) > before).then_some(())
            });
            upgrade(&proxy, time);
        }
        all_moved(&proxy, 2);
        ends.store(true, Relaxed);
    });
    let mut wanted = sent.map(|sent| {
        let sent = sent.load(Relaxed);
        format!("CONNECT {at} 200 {sent} {} -", sent + GREETING)
    });
    let mut found = file_lines(&log, 2);
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
    proxy.wait_counter("clients.tunnels", 0);
    proxy.assert_serves();
}

#[test]
fn a_tunnel_of_which_one_side_has_ended_goes_on() {
    let installed = Installed::new();
    let (proxy, log) = logging(&installed, "%m %>s %I %O %{failure}x", &[]);
    let origin = Origin::start(|peer| {
        let all = peer.rest()?;
        peer.hold()?;
        peer.send(all)
    });
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    client.send("early");
    client.shut();
    eventually("what the client has said", || (origin.received(0) == b"early").then_some(()));
    upgrade(&proxy, 1);
    all_moved(&proxy, 1);
    origin.release();
    assert_eq!(client.rest(), b"early");
    assert_eq!(file_lines(&log, 1), [format!("CONNECT 200 5 {} -", GREETING + 5)]);
}

/// What its client does not take stands in buffers of the proxy, and in a pipe.
#[test]
fn a_tunnel_whose_client_does_not_read_keeps_what_is_in_it() {
    const LENGTH: usize = 24 << 20;
    let installed = Installed::new();
    let (proxy, log) = logging(&installed, "%m %>s %I %O %{failure}x", &[("daemon.drain-timeout", "10")]);
    let origin = Origin::start(|peer| peer.send(pattern(LENGTH, 9)));
    let mut slow = Client::connect_small(proxy.address());
    slow.tunnel(&origin.address().to_string());
    proxy.wait_counter_reaches("transfer.client", 1);
    for time in 1..=3 {
        upgrade(&proxy, time);
        all_moved(&proxy, 1);
    }
    assert!(slow.read(LENGTH) == pattern(LENGTH, 9), "bytes were lost or changed");
    slow.expect_close();
    drop(slow);
    assert_eq!(file_lines(&log, 1), [format!("CONNECT 200 0 {} -", GREETING + LENGTH as u64)]);
}

#[test]
fn a_crowd_of_tunnels_moves_with_its_limits() {
    const CROWD: usize = 500;
    let installed = Installed::new();
    let most = CROWD.to_string();
    let proxy =
        installed.start(&[("daemon.drain-timeout", "10"), ("http.client-connections", &most), ("daemon.threads", "2")]);
    let echo = Origin::echo();
    let at = echo.address().to_string();
    let mut crowd: Vec<Client> = (0..CROWD).map(|_| proxy.client()).collect();
    crowd.iter_mut().for_each(|client| client.tunnel(&at));
    upgrade(&proxy, 1);
    all_moved(&proxy, CROWD as i64);
    proxy.wait_line(&format!("with {CROWD} tunnels moved on: its last client has gone"));
    for (number, client) in crowd.iter_mut().enumerate() {
        client.send(format!("{number:05}"));
    }
    for (number, client) in crowd.iter_mut().enumerate() {
        assert_eq!(client.read(5), format!("{number:05}").into_bytes());
    }
    let page = proxy.monitor_page("/json/sessions?phase=tunnel&limit=1000");
    let sessions: serde_json::Value = serde_json::from_str(&page).expect("JSON");
    let sessions = sessions["sessions"].as_array().expect("a list").clone();
    let of_loop = |number: u64| sessions.iter().filter(|row| row["loop"].as_u64() == Some(number)).count();
    assert_eq!((of_loop(0), of_loop(1)), (CROWD / 2, CROWD / 2));
    let mut more = proxy.client();
    more.send(format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n"));
    assert_eq!(more.reply().status(), 503, "all places of this client are taken");
}

/// Its client is a process, which has no address.
#[test]
fn a_tunnel_of_a_unix_socket_goes_on() {
    let installed = Installed::new();
    let socket = installed.path().with_file_name("socket");
    let unix = ("unix.path", socket.to_str().expect("a path of text"));
    let (proxy, log) = logging(&installed, "%{c}a %{User-Agent}i %I %O", &[unix]);
    let echo = Origin::echo();
    let at = echo.address();
    let mut client = Client::connect_path(&socket);
    client.send(format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\nUser-Agent: mine\r\n\r\n"));
    assert_eq!(client.reply_to("CONNECT").status(), 200);
    for time in 1..=2 {
        upgrade(&proxy, time);
        all_moved(&proxy, 1);
        client.send("still there");
        assert_eq!(client.read(11), b"still there");
    }
    let page = proxy.monitor_page("/json/sessions?phase=tunnel");
    let sessions: serde_json::Value = serde_json::from_str(&page).expect("JSON");
    let (row, uid) = (&sessions["sessions"][0], format!("uid:{}", nix::unistd::geteuid()));
    assert_eq!((row["client"].as_str(), row["pid"].as_u64()), (Some(&uid[..]), Some(std::process::id().into())));
    assert_eq!((row["to-server"].as_u64(), row["to-client"].as_u64()), (Some(22), Some(GREETING + 22)));
    client.shut();
    client.expect_close();
    assert_eq!(file_lines(&log, 1), [format!("{uid} mine 22 {}", GREETING + 22)]);
}

#[test]
fn a_websocket_goes_on() {
    let installed = Installed::new();
    let proxy = installed.start(&[]);
    let origin = Origin::start(|peer| {
        peer.expect_request()?;
        peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")?;
        peer.echo()
    });
    let mut client = proxy.client();
    client.send(format!("GET {} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", origin.url("/")));
    assert_eq!(client.reply().status(), 101);
    upgrade(&proxy, 1);
    all_moved(&proxy, 1);
    client.send("still there");
    assert_eq!(client.read(11), b"still there");
    client.shut();
    client.expect_close();
    origin.wait_ended(1);
}

/// Connections of TLS by their name and of anything else, which a parent opens as tunnels.
#[test]
fn what_is_no_http_and_goes_through_a_parent_goes_on() {
    let installed = Installed::new();
    let parent = Origin::start(|peer| {
        peer.expect_request()?;
        peer.send("HTTP/1.1 200 OK\r\n\r\n")?;
        peer.echo()
    });
    let (at, tls, passthrough) = (parent.address().to_string(), ports::next(), ports::next());
    let (tls_port, passthrough_port) = (tls.to_string(), passthrough.to_string());
    let options = [
        ("parent.proxy", &at[..]),
        ("tls.enable", "true"),
        ("tls.port", &tls_port),
        ("passthrough.enable", "true"),
        ("passthrough.port", &passthrough_port),
        ("passthrough.proxied", "true"),
    ];
    let (proxy, log) = logging(&installed, "%{c}a %O", &options);
    let hello = client_hello(Some("a.test"), true);
    let [mut named, mut other] =
        [tls, passthrough].map(|port| Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
    named.send(&hello);
    assert_eq!(named.read(hello.len()), hello);
    other.send("PROXY TCP4 203.0.113.7 192.0.2.9 56324 2222\r\nhello");
    assert_eq!(other.read(5), b"hello");
    for time in 1..=2 {
        upgrade(&proxy, time);
        all_moved(&proxy, 2);
        for client in [&mut named, &mut other] {
            client.send("still there");
            assert_eq!(client.read(11), b"still there");
        }
    }
    for (mut client, count) in [(named, 1), (other, 2)] {
        client.shut();
        client.expect_close();
        file_lines(&log, count);
    }
    assert_eq!(file_lines(&log, 2), [format!("127.0.0.1 {}", hello.len() + 22), "203.0.113.7 27".to_owned()]);
}

/// A tunnel whose beginning is judged stays until that is done, and goes then.
#[test]
fn a_tunnel_that_is_being_judged_goes_when_that_is_over() {
    let installed = Installed::new();
    let proxy = installed.start(&[("security.sni", "log"), ("http.head-timeout", "0")]);
    let echo = Origin::echo();
    let mut client = proxy.client();
    client.tunnel(&echo.address().to_string());
    client.send([0x16]);
    eventually("a tunnel", || (proxy.counter("clients.tunnels") == 1).then_some(()));
    upgrade(&proxy, 1);
    proxy.wait_line("keeps 1 client of a former version, 1 in tunnels");
    assert_eq!((drainers(&proxy).len(), proxy.counter("clients.tunnels")), (1, 0));
    client.send("no hello");
    assert_eq!(client.read(9), b"\x16no hello");
    all_moved(&proxy, 1);
    client.send("more");
    assert_eq!(client.read(4), b"more");
}
