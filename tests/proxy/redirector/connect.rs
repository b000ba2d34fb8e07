//! CONNECT and the replies of helpers: which tunnel is opened, and how the client hears that none is.

use std::net::SocketAddr;

use super::{assert_failed, assert_unreadable, connect};
use crate::support::{origin, Client, Gate, Helpers, Origin};

/// An echo that sends its own name first.
fn named(address: SocketAddr, name: &'static str) -> Origin {
    Origin::at(address, move |peer| {
        peer.send(name)?;
        peer.echo()
    })
}

/// Fails the test unless the tunnel leads to the one of this name.
fn assert_tunnel(client: &mut Client, name: &str) {
    assert_eq!(client.read(name.len()), name.as_bytes());
    client.send("to and fro");
    assert_eq!(client.read(10), b"to and fro");
}

#[test]
fn replies_that_open_the_tunnel() {
    let target = named(([127, 0, 0, 1], 0).into(), "target");
    let table = ["", "OK", "ERR", "http://127.0.0.1/", "OK tag=x"];
    for reply in table {
        let helpers = Helpers::answering(move |_| reply.to_owned());
        let proxy = helpers.proxy(&[]);
        let mut client = proxy.client();
        let answer = connect(&mut client, &target.address().to_string());
        assert_eq!(answer.start(), "HTTP/1.1 200 Connection Established", "{reply:?}");
        assert_tunnel(&mut client, "target");
        assert_eq!(helpers.asked(), ["127.0.0.1/ 127.0.0.1 - CONNECT -"]);
    }
}

#[test]
fn replies_that_open_the_tunnel_to_somebody_else() {
    let target = named(([127, 0, 0, 1], crate::support::ports::next()).into(), "target");
    let twin = named(([127, 0, 0, 2], target.port()).into(), "twin");
    let other = named(([127, 0, 0, 1], 0).into(), "other");
    let six = named(([0, 0, 0, 0, 0, 0, 0, 1], target.port()).into(), "six");
    for (reply, name) in [
        (format!("intercept://{}", other.address()), "other"),
        ("intercept://127.0.0.2".to_owned(), "twin"),
        ("intercept://[::1]".to_owned(), "six"),
        (format!("intercept://{}", six.address()), "six"),
        (format!("OK rewrite-url=\"{}\"", other.address()), "other"),
        (format!("OK rewrite-url={}", twin.address()), "twin"),
    ] {
        let said = reply.clone();
        let helpers = Helpers::answering(move |_| said.clone());
        let proxy = helpers.proxy(&[]);
        let mut client = proxy.client();
        let answer = connect(&mut client, &target.address().to_string());
        assert_eq!(answer.start(), "HTTP/1.1 200 Connection Established", "{reply:?}: {answer:?}");
        assert_tunnel(&mut client, name);
    }
    assert_eq!(target.connections(), 0);
}

/// No reply may look like an open tunnel where there is none, and the connection serves on or is closed.
#[test]
fn row_11_replies_that_answer_the_client() {
    let target = Origin::site();
    for (reply, status, location) in [
        ("redirect://http://elsewhere.test/x", 302, Some("http://elsewhere.test/x")),
        ("301:http://elsewhere.test/x", 301, Some("http://elsewhere.test/x")),
        ("OK status=307 url=\"http://elsewhere.test/x\"", 307, Some("http://elsewhere.test/x")),
        ("OK rewrite-url=\"http://elsewhere.test/x\"", 302, Some("http://elsewhere.test/x")),
        ("http://elsewhere.test/x", 302, Some("http://elsewhere.test/x")),
        ("file://success.html", 403, None),
        ("file://deny.html", 403, None),
    ] {
        for compatible in ["false", "true"] {
            let helpers = Helpers::answering(move |line| match line.contains(" CONNECT ") {
                true => reply.to_owned(),
                false => String::new(),
            });
            let proxy = helpers.proxy(&[("http.compatible-status", compatible)]);
            let mut client = proxy.client();
            let answer = connect(&mut client, &target.address().to_string());
            assert_eq!(answer.status(), status, "{reply}: {answer:?}");
            assert_eq!(answer.value("Location").as_deref(), location, "{reply}: {answer:?}");
            if answer.lists("Connection", "close") {
                client.expect_close();
            } else {
                assert_eq!(client.get(&target.url("/next")).text(), "/next", "after {reply}");
            }
        }
    }
}

#[test]
fn replies_of_no_use_open_no_tunnel() {
    let target = Origin::echo();
    for compatible in ["false", "true"] {
        for (reply, judge) in [
            ("nonsense", assert_unreadable as fn(&_)),
            ("file://missing.html", |answer: &crate::support::Message| assert!(answer.status() >= 400, "{answer:?}")),
            ("intercept://", assert_unreadable),
            ("OK rewrite-url=\"127.0.0.1\"", assert_unreadable),
            ("OK rewrite-url=\"/x\"", assert_unreadable),
            ("BH", assert_failed),
        ] {
            let helpers = Helpers::answering(move |_| reply.to_owned());
            let proxy = helpers.proxy(&[("http.compatible-status", compatible)]);
            let answer = connect(&mut proxy.client(), &target.address().to_string());
            eprintln!("{reply}: {answer:?}");
            judge(&answer);
        }
    }
    assert_eq!(target.connections(), 0);
}

#[test]
fn bytes_that_come_before_the_decision_are_kept_for_the_tunnel() {
    let gate = Gate::default();
    let helpers = Helpers::gated(&gate);
    let proxy = helpers.proxy(&[]);
    let target = Origin::echo();
    let mut client = proxy.client();
    let authority = target.address();
    client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\nsome "));
    helpers.wait_asked(1);
    client.send("early bytes");
    gate.open();
    assert_eq!(client.reply_to("CONNECT").status(), 200);
    assert_eq!(client.read(16), b"some early bytes");
}

/// The list of ports holds for what the client asks; what a helper says is held to the rules for addresses.
#[test]
fn a_port_that_is_not_allowed_needs_no_helper() {
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&[("security.connect", "443")]);
    let target = Origin::start(origin::serve_site);
    let answer = connect(&mut proxy.client(), &target.address().to_string());
    assert_eq!(answer.status(), 403, "{answer:?}");
    assert_eq!(target.connections(), 0);
}
