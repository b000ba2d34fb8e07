//! Connections that serve more than one request: when they stay, when they end, and which requests may share one.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::origin::serve_site;
use crate::support::{client, Origin, Proxy, ONE_LOOP};

/// Head lines of a request with more fields.
fn request(url: &str, version: &str, fields: &str) -> String {
    format!("GET {url} HTTP/{version}\r\nHost: h\r\n{fields}\r\n")
}

#[test]
fn row_36_a_connection_serves_a_second_request_or_says_that_it_closes() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let cases = [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: foo, CLOSE\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: close\r\n", false),
    ];
    for (version, fields, stays) in cases {
        let mut client = proxy.client();
        client.send(request(&origin.url("/1"), version, fields));
        let reply = client.reply();
        assert_eq!(reply.text(), "/1");
        if stays {
            assert!(!reply.lists("Connection", "close"), "{version} {fields:?}: {reply:?}");
            assert_eq!(client.get(&origin.url("/2")).text(), "/2", "{version} {fields:?}");
        } else {
            assert!(reply.lists("Connection", "close"), "{version} {fields:?}: {reply:?}");
            client.expect_close();
        }
    }
}

#[test]
fn an_http_1_0_client_that_asks_is_told_what_it_gets() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    for field in ["Connection: keep-alive\r\n", "Proxy-Connection: keep-alive\r\n"] {
        let mut client = proxy.client();
        client.send(request(&origin.url("/1"), "1.0", field));
        let reply = client.reply();
        assert_eq!(reply.text(), "/1");
        if reply.lists("Connection", "keep-alive") || reply.lists("Proxy-Connection", "keep-alive") {
            client.send(request(&origin.url("/2"), "1.0", field));
            assert_eq!(client.reply().text(), "/2");
        } else {
            client.expect_close();
        }
    }
}

#[test]
fn row_39_each_request_has_its_own_client_address() {
    let proxy = Proxy::start(&[("http.forward", "X-Client")]);
    let mut client = proxy.client();
    for address in ["192.0.2.7", "192.0.2.8", "2001:db8::9"] {
        client.send(format!("GET http://nodot/ HTTP/1.1\r\nHost: nodot\r\nX-Client: {address}\r\n\r\n"));
        let page = client.reply().text();
        assert!(page.contains(address), "{address} is not on the page: {page}");
    }
    client.send("GET http://nodot/ HTTP/1.1\r\nHost: nodot\r\n\r\n");
    let page = client.reply().text();
    assert!(!page.contains("2001:db8::9") && page.contains("127.0.0.1"), "an address was kept: {page}");
}

#[test]
fn clients_share_kept_origin_connections() {
    let proxy = Proxy::start(&[ONE_LOOP]);
    let origin = Origin::site();
    for number in 0..5 {
        let path = format!("/{number}");
        assert_eq!(proxy.client().get(&origin.url(&path)).text(), path);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn without_a_pool_nothing_outlives_its_client() {
    let proxy = Proxy::start(&[("http.pool", "0")]);
    let origin = Origin::site();
    for number in 0..3 {
        let path = format!("/{number}");
        assert_eq!(proxy.client().get(&origin.url(&path)).text(), path);
    }
    origin.wait_ended(3);
    assert_eq!(origin.connections(), 3);
}

#[test]
fn kept_origin_connections_end_after_their_time() {
    let proxy = Proxy::start(&[("http.pool-timeout", "1")]);
    let origin = Origin::site();
    assert_eq!(proxy.client().get(&origin.url("/")).text(), "/");
    origin.wait_ended(1);
}

#[test]
fn an_origin_that_says_close_is_not_used_again() {
    let proxy = Proxy::start(&[]);
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |peer| {
        count.fetch_add(1, Ordering::Relaxed);
        while peer.request()?.is_some() {
            peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")?;
        }
        Ok(())
    });
    let mut client = proxy.client();
    for _ in 0..3 {
        assert_eq!(client.get(&origin.url("/")).text(), "ok");
    }
    assert_eq!(origin.connections(), 3);
}

#[test]
fn an_http_1_0_origin_is_not_used_again_unless_it_offers() {
    let proxy = Proxy::start(&[]);
    for (field, connections) in [("", 2), ("Connection: keep-alive\r\n", 1)] {
        let origin = Origin::start(move |peer| {
            while peer.request()?.is_some() {
                peer.send(format!("HTTP/1.0 200 OK\r\n{field}Content-Length: 2\r\n\r\nok"))?;
            }
            Ok(())
        });
        let mut client = proxy.client();
        for _ in 0..2 {
            assert_eq!(client.get(&origin.url("/")).text(), "ok");
        }
        assert_eq!(origin.connections(), connections, "{field:?}");
    }
}

/// Serves one request on the first connection, then lets `die` end it when the second arrives.
fn dies_on_second(die: fn(&mut crate::support::Peer) -> io::Result<()>) -> Origin {
    Origin::start(move |peer| {
        if peer.number > 0 {
            return serve_site(peer);
        }
        peer.expect_request()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst")?;
        peer.expect_request()?;
        die(peer)
    })
}

#[test]
fn an_idempotent_request_is_asked_again_when_a_kept_connection_turns_out_dead() {
    let proxy = Proxy::start(&[]);
    for die in [(|peer| peer.reset()) as fn(&mut crate::support::Peer) -> io::Result<()>, |_| Ok(())] {
        let origin = dies_on_second(die);
        assert_eq!(proxy.client().get(&origin.url("/")).text(), "first");
        assert_eq!(proxy.client().get(&origin.url("/again")).text(), "/again");
        assert_eq!(origin.connections(), 2);
    }
}

#[test]
fn a_request_that_may_have_acted_is_not_asked_again() {
    let proxy = Proxy::start(&[]);
    let origin = dies_on_second(|_| Ok(()));
    assert_eq!(proxy.client().get(&origin.url("/")).text(), "first");
    let mut client = proxy.client();
    client.send(format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nbuy", origin.url("/")));
    let reply = client.reply();
    let asked = (0..origin.connections()).filter(|&number| origin.received(number).ends_with(b"buy")).count();
    assert_eq!(asked, 1, "asked {asked} times");
    // A connection of its own for such a request is as good an answer to the danger as a 502.
    assert!(reply.status() == 502 || reply.text() == "buy", "{reply:?}");
}

#[test]
fn what_cannot_be_asked_again_does_not_go_out_on_an_old_connection() {
    let proxy = Proxy::start(&[]);
    for method in ["POST", "PUT"] {
        let origin = dies_on_second(|peer| peer.reset());
        assert_eq!(proxy.client().get(&origin.url("/")).text(), "first");
        // Not to wait for something: only a connection that has rested for a while counts as old.
        std::thread::sleep(std::time::Duration::from_millis(1500));
        let mut client = proxy.client();
        client.send(format!("{method} {} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody", origin.url("/")));
        assert_eq!(client.reply().text(), "body", "{method}");
    }
}

#[test]
fn a_request_is_not_asked_again_for_ever() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        if peer.number == 0 {
            peer.expect_request()?;
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst")?;
        }
        peer.expect_request().map(|_| ())
    });
    assert_eq!(proxy.client().get(&origin.url("/")).text(), "first");
    assert_eq!(proxy.client().get(&origin.url("/")).status(), 502);
    assert!(origin.connections() <= 3, "{} connections", origin.connections());
}

#[test]
fn an_origin_that_closes_while_idle_costs_no_error() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::once("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let mut client = proxy.client();
    for _ in 0..5 {
        assert_eq!(client.get(&origin.url("/")).text(), "ok");
    }
}

#[test]
fn bytes_sent_by_an_idle_origin_are_nobodys_answer() {
    let proxy = Proxy::start(&[]);
    let (report, sent) = std::sync::mpsc::channel();
    let report = std::sync::Mutex::new(report);
    let origin = Origin::start(move |peer| {
        if peer.number > 0 {
            return serve_site(peer);
        }
        peer.expect_request()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst")?;
        peer.send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nlate")?;
        let _ = report.lock().expect("no holder panics").send(());
        peer.hold()
    });
    assert_eq!(proxy.client().get(&origin.url("/")).text(), "first");
    // What comes after the next request was sent could not be told from its answer.
    sent.recv_timeout(crate::support::PATIENCE).expect("the origin goes on");
    assert_eq!(proxy.client().get(&origin.url("/second")).text(), "/second");
}

#[test]
fn connections_that_were_authenticated_are_never_shared() {
    let proxy = Proxy::start(&[]);
    for scheme in ["NTLM", "Negotiate"] {
        let origin = Origin::site();
        let fields = format!("Authorization: {scheme} TlRMTVNTUAAB\r\n");
        let mut owner = proxy.client();
        owner.send(request(&origin.url("/mine"), "1.1", &fields));
        assert_eq!(owner.reply().text(), "/mine");
        assert_eq!(proxy.client().get(&origin.url("/other")).text(), "/other");
        owner.send(request(&origin.url("/mine2"), "1.1", &fields));
        assert_eq!(owner.reply().text(), "/mine2");
        let first = String::from_utf8_lossy(&origin.received(0)).into_owned();
        assert!(first.contains("/mine2") && !first.contains("/other"), "{scheme}: {first}");
    }
}

#[test]
fn a_challenge_to_authenticate_the_connection_makes_it_private() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        while peer.request()?.is_some() {
            peer.send("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n")?;
        }
        Ok(())
    });
    let mut owner = proxy.client();
    assert_eq!(owner.get(&origin.url("/")).status(), 401);
    assert_eq!(owner.get(&origin.url("/")).status(), 401);
    assert_eq!(origin.connections(), 1, "a private connection stays with its client");
    assert_eq!(proxy.client().get(&origin.url("/")).status(), 401);
    assert_eq!(origin.connections(), 2, "a private connection was shared");
}

#[test]
fn requests_go_on_after_a_body_in_each_framing() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    for round in 0..3 {
        client.send(format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nsized", origin.url("/")));
        assert_eq!(client.reply().text(), "sized", "round {round}");
        client.send(format!("POST {} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", origin.url("/")));
        client.send("5\r\nchunk\r\n0\r\n\r\n");
        assert_eq!(client.reply().text(), "chunk", "round {round}");
        assert_eq!(client.get(&origin.url("/plain")).text(), "/plain");
    }
}

#[test]
fn descriptors_return_after_many_connections() {
    let proxy = Proxy::start(&[("http.pool", "0")]);
    let origin = Origin::site();
    proxy.client().get(&origin.url("/"));
    origin.wait_ended(1);
    let before = proxy.descriptors();
    for _ in 0..50 {
        proxy.client().send(client::get(&origin.url("/")));
    }
    crate::support::eventually("descriptors back at the start", || (proxy.descriptors() <= before).then_some(()));
}

/// Only those exchanges were counted after which the connection was given back.
#[test]
fn every_exchange_on_a_used_connection_counts_as_such() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        for end in ["", "Connection: close\r\n"] {
            peer.expect_request()?;
            peer.send(format!("HTTP/1.1 200 OK\r\n{end}Content-Length: 0\r\n\r\n"))?;
        }
        Ok(())
    });
    let mut client = proxy.client();
    client.get(&origin.url("/"));
    client.get(&origin.url("/the-last-on-its-connection"));
    assert_eq!(proxy.counter("origins.reused"), 1);
    let site = Origin::site();
    let login = request(&site.url("/"), "1.1", "Authorization: NTLM TlRMTVNTUAAB\r\n");
    for _ in 0..3 {
        client.send(&login);
        assert_eq!(client.reply().status(), 200);
    }
    assert_eq!((site.connections(), proxy.counter("origins.reused")), (1, 3), "a private connection");
}
