//! Connections from a balancer that announces its clients with the PROXY protocol, in both versions.

use crate::support::{client, Client, Origin, Proxy};

/// The announcement of 203.0.113.7, and of 2001:db8::7.
const LINE4: &str = "PROXY TCP4 203.0.113.7 192.0.2.1 56324 3128\r\n";
const LINE6: &str = "PROXY TCP6 2001:db8::7 2001:db8::1 56324 3128\r\n";

/// A header of version 2: command, family, addresses and what is added to them.
fn binary(command: u8, family: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u16::try_from(content.len()).expect("a short header");
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([command, family]);
    header.extend(length.to_be_bytes());
    header.extend(content);
    header
}

const ADDRESSES4: &[u8] = &[203, 0, 113, 7, 192, 0, 2, 1, 0xdc, 4, 0x0c, 0x38];

fn addresses6() -> Vec<u8> {
    let address = |last: u8| [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    [&address(7)[..], &address(1), &[0xdc, 4, 0x0c, 0x38]].concat()
}

fn proxied(options: &[(&str, &str)]) -> Proxy {
    let all: Vec<_> = [("http.proxied", "true")].iter().chain(options).copied().collect();
    Proxy::start(&all)
}

/// The X-Forwarded-For that an origin gets with the next request of this client.
fn forwarded_for(client: &mut Client, origin: &Origin, path: &str) -> String {
    client.send(client::get(&origin.url(path)));
    assert_eq!(client.reply().text(), path);
    let number = origin.connections() - 1;
    origin.head(number).value("X-Forwarded-For").expect("the field")
}

#[test]
fn row_66_both_versions_announce_the_client() {
    let proxy = proxied(&[("http.pool", "0")]);
    let origin = Origin::site();
    let table = [
        (LINE4.as_bytes().to_vec(), "203.0.113.7"),
        (LINE6.as_bytes().to_vec(), "2001:db8::7"),
        (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 1 2\r\n".to_vec(), "203.0.113.7"),
        (binary(0x21, 0x11, &[ADDRESSES4]), "203.0.113.7"),
        (binary(0x21, 0x21, &[&addresses6()]), "2001:db8::7"),
        (binary(0x21, 0x11, &[ADDRESSES4, &[5, 0, 3], b"id7", &[0xea, 0, 0]]), "203.0.113.7"),
    ];
    for (header, address) in table {
        // Alone, together with the head, and in pieces.
        let mut client = proxy.client();
        client.send(&header);
        assert_eq!(forwarded_for(&mut client, &origin, "/alone"), address);
        let mut client = proxy.client();
        client.send([header.as_slice(), client::get(&origin.url("/joined")).as_bytes()].concat());
        assert_eq!(client.reply().text(), "/joined");
        assert_eq!(origin.head(origin.connections() - 1).value("X-Forwarded-For").expect("the field"), address);
        let mut client = proxy.client();
        client.send_pieces(&header, 1);
        assert_eq!(forwarded_for(&mut client, &origin, "/pieces"), address);
    }
}

#[test]
fn headers_without_a_client_keep_the_address_of_the_socket() {
    let proxy = proxied(&[("http.pool", "0")]);
    let origin = Origin::site();
    let table = [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
        binary(0x20, 0, &[]),
        binary(0x20, 0x11, &[ADDRESSES4]),
        binary(0x21, 0, &[]),
        binary(0x21, 0x31, &[&[b'/'; 216]]),
    ];
    for header in table {
        let mut client = proxy.client();
        client.send(&header);
        assert_eq!(forwarded_for(&mut client, &origin, "/"), "127.0.0.1", "{}", header.escape_ascii());
    }
}

#[test]
fn the_announcement_holds_for_all_requests_of_its_connection_and_no_other() {
    let proxy = proxied(&[("http.pool", "0")]);
    let origin = Origin::site();
    let mut first = proxy.client();
    first.send(LINE4);
    let mut second = proxy.client();
    second.send(LINE6);
    for number in 0..3 {
        assert_eq!(forwarded_for(&mut first, &origin, &format!("/a{number}")), "203.0.113.7");
        assert_eq!(forwarded_for(&mut second, &origin, &format!("/b{number}")), "2001:db8::7");
    }
}

#[test]
fn pipelined_requests_may_follow_the_announcement_at_once() {
    let proxy = proxied(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    let requests: String = (0..5).map(|number| client::get(&origin.url(&format!("/{number}")))).collect();
    client.send(format!("{LINE4}{requests}"));
    for number in 0..5 {
        assert_eq!(client.reply().text(), format!("/{number}"));
    }
    let seen = String::from_utf8(origin.received(0)).expect("text");
    assert_eq!(seen.matches("X-Forwarded-For: 203.0.113.7\r\n").count(), 5, "{seen}");
}

#[test]
fn tunnels_can_be_announced() {
    let proxy = proxied(&[]);
    let origin = Origin::echo();
    let mut client = proxy.client();
    client.send(LINE4);
    client.tunnel(&origin.address().to_string());
    client.send("ping");
    assert_eq!(client.read(4), b"ping");
}

#[test]
fn a_second_announcement_is_no_request() {
    let proxy = proxied(&[]);
    let mut client = proxy.client();
    client.send(format!("{LINE4}{LINE4}\r\n"));
    assert_eq!(client.reply().status(), 400);
}

#[test]
fn without_an_announcement_the_connection_ends_without_a_byte() {
    let proxy = proxied(&[]);
    let origin = Origin::site();
    let garbage = [
        client::get(&origin.url("/never")).into_bytes(),
        format!("\r\n{LINE4}").into_bytes(),
        LINE4.to_ascii_lowercase().into_bytes(),
        LINE4.replace("\r\n", "\n").into_bytes(),
        LINE4.replace("TCP4 ", "TCP4  ").into_bytes(),
        LINE4.replace(" 3128", "").into_bytes(),
        LINE4.replace("203.0.113.7", "203.0.113").into_bytes(),
        LINE4.replace("TCP4", "TCP6").into_bytes(),
        format!("PROXY UNKNOWN {}\r\n", "x".repeat(100)).into_bytes(),
        binary(0x22, 0x11, &[ADDRESSES4]),
        binary(0x21, 0x51, &[ADDRESSES4]),
        binary(0x21, 0x21, &[ADDRESSES4]),
        binary(0x21, 0x11, &[&[0; 5000]]),
        vec![0x16, 3, 1, 0, 200],
    ];
    let count = garbage.len();
    for bytes in garbage {
        let mut client = proxy.client();
        client.try_send(&bytes);
        client.expect_end();
    }
    proxy.wait_counter("ended.proxy-header", count as i64);
    proxy.wait_log("http.proxied asks for one");
    assert_eq!(proxy.log().matches("http.proxied asks for one").count(), 1, "whoever can connect could fill the log");
    assert_eq!((origin.connections(), proxy.counter("clients.requests")), (0, 0));
    let mut client = proxy.client();
    client.send(LINE4);
    assert_eq!(client.get(&origin.url("/still")).text(), "/still");
}

#[test]
fn half_an_announcement_ends_by_its_timer_without_a_byte() {
    let proxy = proxied(&[("http.head-timeout", "1")]);
    for half in ["", "PROXY TCP4 203.0"] {
        let mut client = proxy.client();
        client.send(half);
        client.expect_end();
    }
    proxy.wait_counter("ended.timeout-head", 2);
}

#[test]
fn health_checks_that_only_connect_are_not_counted_as_faults() {
    let proxy = proxied(&[]);
    for check in ["", "PROXY UNKNOWN\r\n", "PROXY TCP4 203.0.113.7 192.0.2.1 56324 3128\r\n"] {
        let mut client = proxy.client();
        client.send(check);
        client.shut();
        client.expect_close();
        drop(client);
        let mut client = proxy.client();
        client.send(check);
        client.reset();
    }
    proxy.wait_counter_reaches("ended.client-left", 6);
    assert_eq!(proxy.counter("ended.proxy-header"), 0);
}

#[test]
fn the_monitor_is_asked_without_an_announcement() {
    let proxy = proxied(&[]);
    assert!(proxy.counter("clients.accepted") > 0);
}

#[test]
fn row_67_pages_show_who_is_noted_and_origins_who_is_announced() {
    let proxy = proxied(&[("http.forward", "X-Client"), ("http.pool", "0")]);
    let origin = Origin::site();
    let mut client = proxy.client();
    client.send(LINE4);
    let page = client.get("http://nodot/").text();
    assert!(page.contains("203.0.113.7"), "the announced client is not on the page: {page}");
    client.send("GET http://nodot/ HTTP/1.1\r\nHost: nodot\r\nX-Client: 10.1.1.1, 198.51.100.9\r\n\r\n");
    let page = client.reply().text();
    assert!(page.contains("198.51.100.9") && !page.contains("203.0.113.7"), "not the noted client: {page}");
    let url = origin.url("/x");
    client
        .send(format!("GET {url} HTTP/1.1\r\nHost: h\r\nX-Client: 198.51.100.9\r\nX-Forwarded-For: 10.1.1.1\r\n\r\n"));
    assert_eq!(client.reply().text(), "/x");
    assert_eq!(origin.head(0).value("X-Forwarded-For").expect("the field"), "10.1.1.1, 203.0.113.7");
}

#[test]
fn a_reload_changes_it_for_new_connections_only() {
    let proxy = Proxy::start_with(&[], "[http]\nproxied = true\n");
    let origin = Origin::site();
    let mut old = proxy.client();
    old.send(LINE4);
    assert_eq!(old.get(&origin.url("/1")).text(), "/1");
    std::fs::write(proxy.file(), "[http]\nproxied = false\n").expect("an ini file in the temporary folder");
    proxy.signal(nix::sys::signal::Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    assert_eq!(old.get(&origin.url("/2")).text(), "/2");
    proxy.assert_serves();
}
