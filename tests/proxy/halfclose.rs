//! One side has said all it has to say: the other may go on, within its time.

use std::time::Duration;

use crate::support::{client, pattern, Origin, Proxy};

#[test]
fn a_client_that_half_closes_after_its_request_gets_the_answer() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    client.send(client::get(&origin.url("/answer")));
    client.shut();
    assert_eq!(client.reply().text(), "/answer");
    client.expect_close();
}

#[test]
fn a_half_close_while_the_answer_is_relayed_does_not_cut_it() {
    let body = pattern(4 << 20, 5);
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(&body);
    let origin = Origin::fixed(answer);
    let proxy = Proxy::start(&[]);
    let mut client = proxy.client();
    client.send(client::get(&origin.url("/")));
    client.wire().fill().expect("the answer begins");
    client.shut();
    assert!(client.reply().body == body, "the answer was cut");
}

#[test]
fn all_pipelined_requests_before_a_half_close_are_answered() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    client.send((0..10).map(|number| client::get(&origin.url(&format!("/{number}")))).collect::<String>());
    client.shut();
    for number in 0..10 {
        assert_eq!(client.reply().text(), format!("/{number}"));
    }
    client.expect_close();
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_body_is_not_taken_at_its_word() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let cut = ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n5\r\nhalf"];
    for rest in cut {
        let mut client = proxy.client();
        client.send(format!("POST {} HTTP/1.1\r\nHost: h\r\n{rest}", origin.url("/")));
        client.shut();
        if let Some(reply) = client.reply_unless_cut("POST") {
            assert!(reply.status() >= 400, "{rest:?} was taken as complete: {reply:?}");
        }
    }
    proxy.assert_serves();
}

#[test]
fn row_41_a_fin_goes_through_a_tunnel_and_the_other_side_may_go_on() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        let all = peer.rest()?;
        peer.send(format!("got {} bytes, then the end", all.len()))
    });
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    client.send(pattern(100_000, 1));
    client.shut();
    assert_eq!(client.rest(), b"got 100000 bytes, then the end");
}

#[test]
fn row_41_an_origin_that_half_closes_a_tunnel_still_gets_what_comes() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        peer.send("said all")?;
        peer.shut()?;
        peer.rest().map(|_| ())
    });
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    assert_eq!(client.rest(), b"said all");
    client.send(pattern(100_000, 1));
    client.shut();
    origin.wait_ended(1);
    assert_eq!(origin.received(0).len(), 100_000);
}

#[test]
fn row_41_bulk_before_a_fin_is_not_cut() {
    const BYTES: usize = 3 << 20;
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| peer.send(pattern(BYTES, 9)));
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    // Long enough for the origin's close to arrive while its bytes still wait in the proxy.
    client.wire().fill().expect("the first bytes");
    let ended = || proxy.counters().contains_key("servers.established").then_some(());
    crate::support::eventually("counters", ended);
    let mut all = client.wire().rest().expect("an orderly close");
    assert_eq!(all.len(), BYTES);
    assert!(all == pattern(BYTES, 9));
    all.clear();
}

#[test]
fn a_half_closed_tunnel_ends_after_its_time() {
    let proxy = Proxy::start(&[("http.half-close-timeout", "1")]);
    let origin = Origin::start(|peer| {
        peer.rest()?;
        peer.hold()
    });
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    client.send("x");
    client.shut();
    client.expect_end();
}

#[test]
fn a_half_closed_tunnel_that_still_carries_bytes_does_not_end() {
    let proxy = Proxy::start(&[("http.half-close-timeout", "1")]);
    let origin = Origin::start(|peer| {
        peer.rest()?;
        // Spread over more than twice the timer, with no pause as long as it.
        for number in 0..12 {
            peer.send(format!("{number:02}"))?;
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    });
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    client.shut();
    assert_eq!(client.rest(), b"000102030405060708091011");
}

#[test]
fn a_download_ends_when_its_client_has_gone() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        peer.expect_request()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")?;
        loop {
            peer.send([0; 10_000])?;
        }
    });
    for reset in [true, false] {
        let mut client = proxy.client();
        client.send(client::get(&origin.url("/")));
        client.read(100_000);
        if reset {
            client.reset();
        }
    }
    origin.wait_ended(2);
    proxy.wait_clients(0);
}

#[test]
fn an_origin_that_half_closes_after_its_answer_does_no_harm() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        peer.expect_request()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        peer.shut()?;
        peer.rest().map(|_| ())
    });
    let mut client = proxy.client();
    for _ in 0..3 {
        assert_eq!(client.get(&origin.url("/")).text(), "ok");
    }
    // A half-closed origin connection is of no further use, so the proxy must have closed its half.
    origin.wait_ended(2);
}

#[test]
fn clients_that_connect_and_leave_cost_nothing() {
    let proxy = Proxy::start(&[]);
    let before = proxy.descriptors();
    for round in 0..60 {
        let mut client = proxy.client();
        match round % 4 {
            0 => drop(client),
            1 => client.reset(),
            2 => {
                client.send("GET http://127.0.0.1:1/ HT");
                client.shut();
            }
            _ => {
                client.shut();
                client.expect_close();
            }
        }
    }
    crate::support::eventually("descriptors back at the start", || (proxy.descriptors() <= before).then_some(()));
    proxy.wait_clients(0);
}
