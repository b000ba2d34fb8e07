//! Answers that come before the request is complete: they reach the client, which is not reset while it still sends.

use std::thread;

use crate::support::client::silent;
use crate::support::{pattern, Origin, Proxy};

const BODY: usize = 6 << 20;

/// Uploads while reading the answer; gives its status and text.
fn upload(proxy: &Proxy, origin: &Origin, version: &str) -> (u16, String) {
    let mut client = proxy.client();
    client.send(format!("POST {} HTTP/{version}\r\nHost: h\r\nContent-Length: {BODY}\r\n\r\n", origin.url("/")));
    let mut writer = client.wire().second().expect("a second handle");
    // It may fail once the proxy has seen enough; what counts is that the answer was there before.
    let sender = thread::spawn(move || drop(writer.send(pattern(BODY, 6))));
    let reply = client.reply();
    sender.join().expect("no panic");
    (reply.status(), reply.text())
}

#[test]
fn row_38_an_early_refusal_reaches_a_client_that_still_uploads() {
    let proxy = Proxy::start(&[]);
    for version in ["1.1", "1.0"] {
        let origin = Origin::start(|peer| {
            peer.until(b"\r\n\r\n")?;
            peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        });
        assert_eq!(upload(&proxy, &origin, version), (403, "no".to_owned()), "HTTP/{version}");
    }
    proxy.assert_serves();
}

#[test]
fn an_early_answer_of_an_origin_that_stops_reading_reaches_the_client() {
    let proxy = Proxy::start(&[("http.drain-timeout", "1")]);
    let origin = Origin::start(|peer| {
        peer.until(b"\r\n\r\n")?;
        peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")?;
        peer.hold()
    });
    assert_eq!(upload(&proxy, &origin, "1.1"), (403, "no".to_owned()));
}

#[test]
fn an_early_answer_of_an_origin_that_reads_on_keeps_the_upload_going() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        peer.until(b"\r\n\r\n")?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        peer.exact(BODY).map(|_| ())
    });
    assert_eq!(upload(&proxy, &origin, "1.1"), (200, "ok".to_owned()));
}

#[test]
fn an_answer_that_streams_while_the_request_does_is_not_held_back() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        peer.until(b"\r\n\r\n")?;
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for _ in 0..3 {
            let part = peer.exact(10)?;
            peer.send(b"a\r\n")?;
            peer.send(part)?;
            peer.send("\r\n")?;
        }
        peer.send("0\r\n\r\n")
    });
    let mut client = proxy.client();
    client.send(format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: 30\r\n\r\n", origin.url("/")));
    client.send("0123456789");
    client.wire().until(b"0123456789").expect("the first part comes back before the second is sent");
    client.send("abcdefghij");
    client.wire().until(b"abcdefghij").expect("the second part comes back before the third is sent");
    client.send("ABCDEFGHIJ");
    client.wire().until(b"0\r\n\r\n").expect("the end");
}

#[test]
fn a_refusal_by_the_proxy_reaches_a_client_that_still_uploads() {
    let origin = Origin::site();
    let proxy = Proxy::start(&[("security.deny", "127.0.0.0/8")]);
    let (status, _) = upload(&proxy, &origin, "1.1");
    assert_eq!(status, 403);
}

#[test]
fn a_reset_origin_is_a_502_for_a_client_that_still_uploads() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        peer.until(b"\r\n\r\n")?;
        peer.reset()
    });
    assert_eq!(upload(&proxy, &origin, "1.1").0, 502);
}

/// A peer that closes with bytes unread resets the connection behind its FIN: the write that fails then must not spoil
/// the answer that came before.
#[test]
fn an_early_refusal_that_ends_with_the_connection_is_complete() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        peer.until(b"\r\n\r\n")?;
        peer.send("HTTP/1.1 413 Content Too Large\r\n\r\nenough")?;
        peer.shut()
    });
    for version in ["1.1", "1.0"] {
        assert_eq!(upload(&proxy, &origin, version), (413, "enough".to_owned()), "HTTP/{version}");
    }
}

/// The failed write learns of the reset first, after which the socket reads as if it had ended in good order.
#[test]
fn a_reset_is_no_end_of_a_body_for_a_client_that_still_uploads() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        peer.until(b"\r\n\r\n")?;
        peer.send("HTTP/1.1 200 OK\r\n\r\nhalf")?;
        peer.until(b"now")?;
        peer.reset()
    });
    for version in ["1.1", "1.0"] {
        let mut client = proxy.client();
        client.send(format!("POST {} HTTP/{version}\r\nHost: h\r\nContent-Length: {BODY}\r\n\r\n", origin.url("/")));
        client.wire().until(b"half").expect("the response begins");
        let mut writer = client.wire().second().expect("a second handle");
        let sender = thread::spawn(move || {
            let _ = writer.send("now");
            let _ = writer.send(pattern(BODY - 3, 6));
        });
        let got = client.wire().rest();
        sender.join().expect("no panic");
        match (version, got) {
            // Sent on in chunks, it lacks the last one; otherwise only a reset tells.
            ("1.1", Ok(rest)) => assert!(!rest.ends_with(b"0\r\n\r\n"), "passed on as complete"),
            (_, Ok(rest)) => panic!("HTTP/{version}: an orderly end: {rest:?}"),
            (_, Err(error)) => assert!(!silent(&error), "HTTP/{version}: no end: {error}"),
        }
    }
}
