//! What clients get by a Unix socket, who they are for rules, limits, logs, helpers and pages, and what origins learn of them.

use super::{own, Place};
use crate::support::{client, eventually, pattern, ports, Helpers, Origin, Proxy};

#[test]
fn requests_of_both_forms_and_tunnels_go_through() {
    let (place, site, echo) = (Place::new(), Origin::site(), Origin::echo());
    let _proxy = place.proxy(&[]);
    let mut client = place.client();
    assert_eq!(client.get(&site.url("/absolute")).text(), "/absolute");
    let at = site.address();
    client.send(format!(
        "GET /origin HTTP/1.1\r\nHost: {at}\r\n\r\nGET http://{at}/piped HTTP/1.1\r\nHost: {at}\r\n\r\n"
    ));
    assert_eq!((client.reply().text(), client.reply().text()), ("/origin".into(), "/piped".into()));
    client.tunnel(&echo.address().to_string());
    client.send("through it");
    assert_eq!(client.read(10), b"through it");
    client.shut();
    client.expect_close();
}

#[test]
fn origins_learn_of_no_user() {
    let (place, site) = (Place::new(), Origin::site());
    let _proxy = place.proxy(&[]);
    let mut client = place.client();
    client.send(format!("GET {} HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n", site.url("/")));
    assert_eq!(client.reply().status(), 200);
    let head = site.head(0);
    assert_eq!(head.value("X-Forwarded-For").as_deref(), Some("192.0.2.1, unknown"));
    assert!(!format!("{head:?}").contains("uid"), "{head:?}");
}

/// Both ways of bytes that are not looked at, and a client that reads slowly.
#[test]
fn large_bodies_arrive_whole() {
    let place = Place::new();
    let body = pattern(6 << 20, 7);
    let site = Origin::fixed([b"HTTP/1.1 200 OK\r\nContent-Length: 6291456\r\n\r\n", body.as_slice()].concat());
    let echo = Origin::echo();
    let _proxy = place.proxy(&[]);
    let mut slow = place.client();
    slow.send(client::get(&site.url("/")));
    slow.wire().until(b"\r\n\r\n").expect("a head");
    let mut seen = slow.read(1 << 20);
    let mut tunnel = place.client();
    tunnel.tunnel(&echo.address().to_string());
    let mut writer = tunnel.wire().second().expect("another handle");
    let sent = body.clone();
    let thread = std::thread::spawn(move || writer.send(&sent).expect("the proxy takes it"));
    assert!(tunnel.read(body.len()) == body, "what came back is what was sent");
    thread.join().expect("all was sent");
    while seen.len() < body.len() {
        seen.extend(slow.read((64 << 10).min(body.len() - seen.len())));
    }
    assert!(seen == body);
}

/// The socket of ICAP asks the same, and nothing was said of it.
#[test]
fn a_socket_of_icap_that_lets_no_client_through_is_told_of() {
    let (place, told) = (Place::new(), "no client gets through at icap.path: acl.clients names networks and no user");
    for (clients, closed) in [("127.0.0.1", true), ("127.0.0.1 uid:*", false)] {
        let proxy = Proxy::start(&[
            ("icap.enable", "true"),
            ("icap.path", place.text()),
            ("icap.port", &ports::next().to_string()),
            ("acl.clients", clients),
        ]);
        match closed {
            true => proxy.wait_log(told),
            // It serves already, and what is said at a start has been said.
            false => assert!(!proxy.log().contains(told), "{}", proxy.log()),
        }
    }
}

#[test]
fn where_clients_are_named_a_user_needs_a_rule() {
    let (place, site) = (Place::new(), Origin::site());
    let rules = [("0.0.0.0/0 ::/0", 403, 200), ("uid:4000000000", 403, 403), (&own(), 200, 403), ("uid:*", 200, 403)];
    for (clients, unix, tcp) in rules {
        let proxy = place.proxy(&[("acl.clients", clients)]);
        let reply = place.client().get(&site.url("/"));
        assert_eq!(reply.status(), unix, "{clients}: {reply:?}");
        assert!(unix == 200 || reply.text().contains(&format!("{} may not use this proxy", own())), "{reply:?}");
        assert_eq!(proxy.client().get(&site.url("/")).status(), tcp, "{clients}");
        let told = "no client gets through at unix.path: acl.clients names networks and no user";
        match clients.starts_with('0') {
            true => proxy.wait_log(told),
            false => assert!(!proxy.log().contains(told), "{clients}"),
        }
    }
}

#[test]
fn limits_count_a_user_as_one_client() {
    let (place, site) = (Place::new(), Origin::site());
    let proxy = place.proxy(&[("http.client-connections", "2")]);
    let mut held: Vec<_> = (0..2).map(|_| place.client()).collect();
    held.iter_mut().for_each(|client| assert_eq!(client.get(&site.url("/")).status(), 200));
    let refused = place.client().get(&site.url("/"));
    assert_eq!(refused.status(), 503);
    assert!(refused.text().contains(&format!("{} has 2 connections", own())), "{refused:?}");
    assert_eq!(proxy.client().get(&site.url("/")).status(), 200, "an address is another client");
}

#[test]
fn helpers_get_the_user_in_the_place_of_the_address() {
    let (place, site) = (Place::new(), Origin::site());
    let squid = format!(" {}/- - GET myip=- myport=-", own());
    for (line, wanted) in [("exaproxy", format!(" {} - GET -", own())), ("squid", squid)] {
        let helpers = Helpers::permitting();
        let _proxy = helpers.proxy(&[("unix.path", place.text()), ("redirector.line", line)]);
        assert_eq!(place.client().get(&site.url("/")).status(), 200);
        let asked = helpers.asked();
        assert!(asked[0].ends_with(&wanted), "{asked:?}");
    }
    let helpers = Helpers::answering_icap(|_| b"ICAP/1.0 204 No Content\n\n".to_vec());
    let options = [("unix.path", place.text()), ("redirector.protocol", "icap://filter/x")];
    let _proxy = helpers.proxy(&options);
    assert_eq!(place.client().get(&site.url("/")).status(), 200);
    let asked = helpers.asked();
    assert!(asked[0].contains(&format!("\nPragma: client={}\n", own())), "{asked:?}");
}

#[test]
fn logs_and_pages_name_the_user_and_the_process() {
    let (place, site) = (Place::new(), Origin::site());
    let log = place.folder.path().join("access");
    let proxy = place.proxy(&[
        ("usage.enable", "true"),
        ("access.enable", "true"),
        ("access.destination", log.to_str().expect("a path in UTF-8")),
        ("access.format", "%h %{c}a %{pid}x %>s"),
    ]);
    let mut client = place.client();
    assert_eq!(client.get(&site.url("/")).status(), 200);
    let (own, pid) = (own(), std::process::id());
    let line = format!("{own} {own} {pid} 200\n");
    eventually("the line of the request", || (std::fs::read_to_string(&log).ok()? == line).then_some(()));
    proxy.wait_line(&format!(" 0 {own} GET {}/ PERMIT/127.0.0.1", site.address()));
    let sessions = proxy.monitor_page(&format!("/json/sessions?client={own}"));
    assert!(
        sessions.contains(&format!("\"client\": \"{own}\"")) && sessions.contains(&format!("\"pid\": {pid}")),
        "{sessions}"
    );
    let page = proxy.monitor_page("/information/sessions.html");
    assert!(page.contains(&format!("{own} process {pid}")), "{page}");
    let clients = proxy.monitor_page("/end-point/clients.html");
    assert!(clients.contains(&format!("client={own}\"")), "{clients}");
    let listeners = proxy.monitor_page("/json/listeners");
    assert!(listeners.contains(&format!("\"address\": \"{}\"", place.text())), "{listeners}");
    assert!(proxy.monitor_page("/metrics").contains(&format!("kind=\"http proxy\",address=\"{}\"", place.text())));
}

#[test]
fn a_balancer_at_the_socket_names_its_clients_where_it_is_trusted() {
    let (place, site) = (Place::new(), Origin::site());
    for (trusted, believed) in [("0.0.0.0/0 ::/0 uid:*", true), (&own(), true), ("0.0.0.0/0 ::/0", false)] {
        let options = [("http.forward", "x-client"), ("acl.clients", "203.0.113.0/24"), ("http.trusted", trusted)];
        let proxy = place.proxy(&options);
        let mut client = place.client();
        client.send(client::get(&site.url("/")).replacen("\r\n", "\r\nX-Client: 203.0.113.9\r\n", 1));
        assert_eq!(client.reply().status(), if believed { 200 } else { 403 }, "{trusted}");
        if !believed {
            proxy.wait_log(&format!("{} sends a field of http.forward and is not believed", own()));
        }
    }
    let proxied = place.proxy(&[("http.proxied", "true"), ("acl.clients", "203.0.113.0/24")]);
    for (line, status) in [("PROXY TCP4 203.0.113.7 192.0.2.1 56324 3128\r\n", 200), ("PROXY UNKNOWN\r\n", 403)] {
        let mut client = place.client();
        client.send(line);
        assert_eq!(client.get(&site.url("/")).status(), status, "{line}");
    }
    drop(proxied);
}

/// A helper that sends connections elsewhere may have their client announced there, and this one has no address.
#[test]
fn a_client_without_an_address_is_announced_as_unknown() {
    let place = Place::new();
    let site = Origin::start(|peer| {
        assert_eq!(peer.until(b"\r\n")?, b"PROXY UNKNOWN\r\n");
        crate::support::origin::serve_site(peer)
    });
    let at = site.address();
    let helpers = Helpers::answering(move |_| format!("intercept://{at}"));
    let _proxy = helpers.proxy(&[("unix.path", place.text()), ("tcp4.proxy-protocol", "v1")]);
    assert_eq!(place.client().get("http://elsewhere.example/x").text(), "/x");
}

#[test]
fn the_proxy_may_serve_by_the_socket_alone() {
    let (place, site) = (Place::new(), Origin::site());
    let proxy = place.proxy(&[("tcp4.listen", "false")]);
    assert!(std::net::TcpStream::connect(proxy.address()).is_err());
    assert_eq!(place.client().get(&site.url("/only")).text(), "/only");
    assert!(proxy.monitor_page("/health").contains("ok"));
}

#[test]
fn clients_that_leave_are_seen_to_have_left() {
    let place = Place::new();
    let site = Origin::start(|peer| {
        peer.expect_request()?;
        peer.hold()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let echo = Origin::echo();
    let proxy = place.proxy(&[]);
    let mut waiting = place.client();
    waiting.send(client::get(&site.url("/")));
    site.wait_connections(1);
    drop(waiting);
    site.release();
    proxy.wait_counter("ended.client-gone", 1);
    let mut tunnel = place.client();
    tunnel.tunnel(&echo.address().to_string());
    drop(tunnel);
    proxy.wait_counter("ended.tunnel-end", 1);
    // What is not read is lost with the socket, which the other side learns as a reset.
    let mut unread = place.client();
    unread.tunnel(&echo.address().to_string());
    unread.send("an echo that is not read");
    proxy.wait_clients(1);
    echo.wait_connections(2);
    eventually("the echo", || (echo.received(1).len() == 24).then_some(()));
    drop(unread);
    proxy.wait_clients(0);
    proxy.assert_serves();
}
