//! Faults in how tunnels and transfers end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use crate::support::{eventually, pattern, Client, Origin, Proxy};

/// Bytes of a tunnel, more than a socket and the proxy hold together.
const BYTES: usize = 400_000;

#[test]
fn a4_what_an_origin_sent_before_its_reset_is_delivered() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        peer.send(pattern(BYTES, 4))?;
        // A reset takes back what the proxy's system has not acknowledged.
        eventually("all is taken", || (peer.unsent() == 0).then_some(()));
        peer.reset()
    });
    let mut client = Client::connect_small(proxy.address());
    client.tunnel(&origin.address().to_string());
    let first = client.read(1000);
    origin.wait_ended(1);
    assert!([first, client.read(BYTES - 1000)].concat() == pattern(BYTES, 4));
}

#[test]
fn a4_what_an_origin_sent_before_it_closed_is_delivered_while_the_client_still_sends() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        peer.send(pattern(BYTES, 5))?;
        eventually("all is taken", || (peer.unsent() == 0).then_some(()));
        Ok(())
    });
    let mut client = Client::connect_small(proxy.address());
    client.tunnel(&origin.address().to_string());
    let mut writer = client.wire().second().expect("a second handle");
    let sender = std::thread::spawn(move || {
        // Until the proxy closes: the origin is gone and reads none of it.
        for _ in 0..2_000 {
            if writer.send(pattern(1000, 6)).is_err() {
                break;
            }
        }
        let _ = writer.shut();
    });
    assert!(client.read(BYTES) == pattern(BYTES, 5));
    sender.join().expect("no panic");
}

#[test]
fn a9_urgent_bytes_do_not_stall_a_tunnel() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| peer.exact(11).map(|_| ()));
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    client.send("AAAAA");
    client.wire().urgent(b"!").expect("sent");
    client.send("BBBBB");
    origin.wait_ended(1);
    assert_eq!(origin.received(0), b"AAAAA!BBBBB");
}

#[test]
fn a9_urgent_bytes_do_not_stall_an_upload() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    let head = format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n", origin.url("/urgent"));
    client.send(format!("{head}AAAAA"));
    client.wire().urgent(b"!").expect("sent");
    client.send("BBBBB");
    assert_eq!(client.reply().text(), "AAAAA!BBBBB");
}

#[test]
fn a9_urgent_bytes_of_an_origin_do_not_stall_its_response() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        peer.until(b"\r\n\r\n")?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nAAAAA")?;
        peer.urgent(b"B")?;
        peer.send("CCCC")
    });
    assert_eq!(proxy.client().get(&origin.url("/")).text(), "AAAAABCCCC");
}

#[test]
fn b6_an_upload_goes_on_behind_an_early_response() {
    const BODY: usize = 8 << 20;
    let proxy = Proxy::start(&[]);
    let whole = Arc::new(AtomicUsize::new(0));
    let seen = whole.clone();
    let origin = Origin::start(move |peer| loop {
        peer.until(b"\r\n\r\n")?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")?;
        seen.fetch_add(usize::from(peer.exact(BODY)? == pattern(BODY, 7)), Ordering::SeqCst);
    });
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send(format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: {BODY}\r\n\r\n", origin.url("/")));
        let reply = client.reply();
        assert_eq!((reply.status(), reply.text().as_str(), reply.value("Connection")), (200, "early", None));
        client.send(pattern(BODY, 7));
    }
    eventually("both uploads", || (whole.load(Ordering::SeqCst) == 2).then_some(()));
}

/// Old clients add a line end to the content of a POST (RFC 9112 section 2.2). A socket that is closed with bytes unread
/// is reset, and what the client does not have yet is lost.
#[test]
fn a_response_survives_the_line_end_behind_the_content_of_a_last_request() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        peer.until(b"hello")?;
        peer.hold()?;
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n"))?;
        peer.send(pattern(BYTES, 8))
    });
    let mut client = Client::connect_small(proxy.address());
    client.send(format!("POST {} HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", origin.url("/")));
    eventually("the request is there", || origin.received(0).ends_with(b"hello").then_some(()));
    client.send("\r\n");
    eventually("the line end is there", || (client.wire().unsent() == 0).then_some(()));
    origin.release();
    origin.wait_ended(1);
    assert!(client.reply().body == pattern(BYTES, 8));
    client.expect_close();
}
