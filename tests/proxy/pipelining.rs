//! Several requests sent before the first answer: all are served, in the order in which they came.

use std::sync::mpsc;
use std::sync::Mutex;

use crate::support::{client, Origin, Proxy};

#[test]
fn row_37_a_second_request_in_the_same_segment_is_served() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    client.send(client::get(&origin.url("/1")) + &client::get(&origin.url("/2")));
    assert_eq!(client.reply().text(), "/1");
    assert_eq!(client.reply().text(), "/2");
}

#[test]
fn two_hundred_requests_at_once_are_answered_in_order() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    let all: String = (0..200).map(|number| client::get(&origin.url(&format!("/{number}")))).collect();
    client.send(all);
    for number in 0..200 {
        assert_eq!(client.reply().text(), format!("/{number}"));
    }
}

#[test]
fn requests_cut_anywhere_are_served() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let post = format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody", origin.url("/p"));
    let chunked = format!(
        "POST {} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        origin.url("/c")
    );
    let all = [client::get(&origin.url("/1")), post, chunked, client::get(&origin.url("/2"))].concat();
    for size in [7, 50, 64, 111, 1000] {
        let mut client = proxy.client();
        client.send_pieces(&all, size);
        let replies: Vec<String> = (0..4).map(|_| client.reply().text()).collect();
        assert_eq!(replies, ["/1", "body", "abc", "/2"], "pieces of {size}");
    }
}

#[test]
fn a_slow_first_answer_holds_the_others_back() {
    let proxy = Proxy::start(&[]);
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let slow = Origin::start(move |peer| {
        peer.expect_request()?;
        let _ = wait.lock().expect("no holder panics").recv();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")
    });
    let fast = Origin::site();
    let mut client = proxy.client();
    client.send(client::get(&slow.url("/")) + &client::get(&fast.url("/fast")));
    slow.wait_connections(1);
    release.send(()).expect("the origin waits");
    assert_eq!(client.reply().text(), "slow");
    assert_eq!(client.reply().text(), "/fast");
}

#[test]
fn requests_before_a_bad_one_are_answered_first() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    client.send(client::get(&origin.url("/good")) + "BAD\r\n\r\n" + &client::get(&origin.url("/never")));
    assert_eq!(client.reply().text(), "/good");
    assert_eq!(client.reply().status(), 400);
    client.expect_close();
}

#[test]
fn nothing_after_connection_close_is_served() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    let last = format!("GET {} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", origin.url("/last"));
    client.send(last + &client::get(&origin.url("/never")));
    assert_eq!(client.reply().text(), "/last");
    client.expect_end();
    assert!(!String::from_utf8_lossy(&origin.received(0)).contains("/never"));
}

#[test]
fn local_answers_keep_their_place_in_the_order() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let refused = "GET http://nodot/ HTTP/1.1\r\nHost: nodot\r\n\r\n";
    let mut client = proxy.client();
    client.send(client::get(&origin.url("/1")) + refused + &client::get(&origin.url("/2")));
    assert_eq!(client.reply().text(), "/1");
    assert!(client.reply().status() >= 400);
    assert_eq!(client.reply().text(), "/2");
}

#[test]
fn requests_that_wait_are_not_read_without_bound() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        peer.expect_request()?;
        peer.hold()
    });
    let mut client = proxy.client();
    let one = client::get(&origin.url("/x"));
    let before = proxy.rss();
    let limit = 64 << 20;
    let sent =
        client.wire().send_until_stuck(one.repeat(1000).as_bytes(), limit, std::time::Duration::from_millis(300));
    assert!(sent.expect("no reset") < limit, "64 MiB of waiting requests were taken");
    assert!(proxy.rss() < before + (2 << 20), "memory grew from {before} to {}", proxy.rss());
}
