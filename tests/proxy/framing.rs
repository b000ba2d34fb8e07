//! Where messages end: lengths, chunks, closes, and all the ways to lie about them.

use crate::support::{client, pattern, Message, Origin, Proxy};

/// Sends a request head and body; gives the answer and all that the origin received.
fn exchange(proxy: &Proxy, request: &[u8]) -> (Message, Vec<u8>) {
    let origin = Origin::site();
    let text = String::from_utf8_lossy(request).replace("PORT", &origin.port().to_string());
    let mut client = proxy.client();
    client.try_send(text);
    let reply = client.reply();
    (reply, origin.received(0))
}

/// The same for a POST with this chunked body.
fn chunked(proxy: &Proxy, body: &str) -> (Message, Vec<u8>) {
    exchange(
        proxy,
        format!("POST http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
            .as_bytes(),
    )
}

#[test]
fn row_44_transfer_encoding_is_read_as_a_list() {
    let proxy = Proxy::start(&[]);
    let values =
        ["chunked,", "chunked ", "chunked, gzip", "gzip, chunked", "chunked, chunked", "\tchunked", ",chunked"];
    for value in values {
        let request = format!(
            "POST http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: {value}\r\nContent-Length: 5\r\n\r\n\
             0\r\n\r\n"
        );
        let (reply, seen) = exchange(&proxy, request.as_bytes());
        assert!([400, 501].contains(&reply.status()), "{value:?}: {reply:?}");
        assert!(seen.is_empty(), "{value:?} went on");
    }
}

#[test]
fn row_45_an_empty_content_length_is_refused() {
    let proxy = Proxy::start(&[]);
    for value in ["", " ", ",", "5,", "0x5", "5 5", "5;", "٥", "1e1", "5,6"] {
        let request =
            format!("POST http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nContent-Length: {value}\r\n\r\nhello");
        let (reply, seen) = exchange(&proxy, request.as_bytes());
        assert_eq!(reply.status(), 400, "{value:?}: {reply:?}");
        assert!(seen.is_empty(), "{value:?} went on");
    }
}

#[test]
fn row_46_what_goes_out_is_framed_from_what_was_parsed() {
    let proxy = Proxy::start(&[]);
    let (reply, seen) =
        exchange(&proxy, b"POST http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\ncontent-LENGTH:    005\r\n\r\nhello");
    assert_eq!((reply.status(), reply.text().as_str()), (200, "hello"));
    assert!(String::from_utf8_lossy(&seen).contains("Content-Length: 5\r\n"), "{}", crate::support::show(&seen));
    let (reply, seen) = exchange(&proxy, b"POST http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\ntransfer-encoding:\t CHUNKED \r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    assert_eq!((reply.status(), reply.text().as_str()), (200, "hello"));
    assert!(String::from_utf8_lossy(&seen).contains("Transfer-Encoding: chunked\r\n"));
}

#[test]
fn row_47_loose_chunks_of_a_client_are_not_passed_on() {
    let proxy = Proxy::start(&[]);
    let bodies = [
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhello0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "10000000000000000\r\nhello\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        "5;x=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
        "5;x=\ry\r\nhello\r\n0\r\n\r\n",
    ];
    for body in bodies {
        let (reply, seen) = chunked(&proxy, body);
        assert!([400, 408].contains(&reply.status()), "{body:?}: {reply:?}");
        let passed = String::from_utf8_lossy(&seen).into_owned();
        assert!(!passed.ends_with("0\r\n\r\n"), "{body:?} reached the origin as a whole message: {passed:?}");
    }
}

#[test]
fn row_47_chunk_extensions_do_not_go_on() {
    let (reply, seen) = chunked(&Proxy::start(&[]), "5;name=value;q=\"a\"\r\nhello\r\n0;last\r\n\r\n");
    assert_eq!((reply.status(), reply.text().as_str()), (200, "hello"));
    let passed = String::from_utf8_lossy(&seen).into_owned();
    assert!(!passed.contains("name") && !passed.contains("last"), "{passed:?}");
}

#[test]
fn row_48_blanks_after_a_chunk_size_of_an_origin_are_cleaned_up() {
    let origin = Origin::once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5  \r\nhello\r\n0 \r\n\r\n");
    let reply = Proxy::start(&[]).client().get(&origin.url("/"));
    assert_eq!(reply.text(), "hello");
    assert_eq!(reply.chunk_lines, ["5", "0"], "{reply:?}");
}

#[test]
fn chunks_of_any_size_pass_both_ways() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        while let Some(request) = peer.request()? {
            let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            answer.extend(chunks(&request.body, 1 << 21));
            peer.send(answer)?;
        }
        Ok(())
    });
    let body = pattern(3 << 20, 1);
    for size in [1 << 20, 3 << 20, 70_001, 16_384, 4095] {
        let mut client = proxy.client();
        let head = format!("PUT {} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", origin.url("/"));
        client.send(head);
        client.send(chunks(&body, size));
        let reply = client.reply();
        assert!(reply.body == body, "chunks of {size}: {} bytes came back", reply.body.len());
    }
}

#[test]
fn a_chunked_body_may_come_byte_by_byte() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    client.send(format!("PUT {} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", origin.url("/")));
    client.send_pieces("00005;ext=1\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n", 1);
    assert_eq!(client.reply().text(), "hello0123456789");
}

#[test]
fn trailers_pass_but_not_those_that_could_frame_or_route() {
    let origin = Origin::once(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\
         Transfer-Encoding: gzip\r\n\r\n",
    );
    let reply = Proxy::start(&[]).client().get(&origin.url("/"));
    assert_eq!(reply.trailers, ["X-Sum: 1"], "{reply:?}");
}

#[test]
fn bodies_of_five_mebibytes_keep_their_bytes() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    for seed in 0..2 {
        let body = pattern(5 << 20, seed);
        client.send(format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", origin.url("/"), body.len()));
        // The origin answers only once it has everything, so sending first cannot stall.
        client.send(&body);
        assert!(client.reply().body == body, "round {seed}: bytes differ");
    }
}

#[test]
fn a_body_that_ends_with_the_connection_is_whole() {
    let body = pattern(700_000, 3);
    let mut answer = b"HTTP/1.0 200 OK\r\n\r\n".to_vec();
    answer.extend_from_slice(&body);
    let origin = Origin::once(answer);
    let proxy = Proxy::start(&[]);
    let mut client = proxy.client();
    let reply = client.get(&origin.url("/"));
    assert!(reply.body == body, "{} bytes", reply.body.len());
}

#[test]
fn answers_without_a_body_end_at_once() {
    let proxy = Proxy::start(&[]);
    let cases = [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 200),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"a\"\r\n\r\n", 304),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200),
    ];
    for (method, answer, status) in cases {
        let origin = Origin::fixed(answer);
        let mut client = proxy.client();
        for _ in 0..2 {
            client.send(format!("{method} {} HTTP/1.1\r\nHost: h\r\n\r\n", origin.url("/")));
            let reply = client.reply_to(method);
            assert_eq!((reply.status(), reply.body.len()), (status, 0), "{method} {answer:?}");
        }
    }
}

#[test]
fn the_length_told_to_head_is_passed_on() {
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    let proxy = Proxy::start(&[]);
    let mut client = proxy.client();
    client.send(format!("HEAD {} HTTP/1.1\r\nHost: h\r\n\r\n", origin.url("/")));
    assert_eq!(client.reply_to("HEAD").value("Content-Length").unwrap(), "1000");
}

#[test]
fn an_http_1_0_client_gets_no_chunks() {
    let origin = Origin::once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    let proxy = Proxy::start(&[]);
    let mut client = proxy.client();
    client.send(format!("GET {} HTTP/1.0\r\n\r\n", origin.url("/")));
    let reply = client.reply();
    assert!(!reply.has("Transfer-Encoding"), "{reply:?}");
    assert_eq!(reply.text(), "abcde");
    client.expect_close();
}

#[test]
fn a_cut_answer_is_never_passed_on_as_complete() {
    let proxy = Proxy::start(&[]);
    let cut = [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonly\r\nzz\r\nthis\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonlythis\r\n0\r\n\r\n",
    ];
    for answer in cut {
        let origin = Origin::once(answer);
        let mut client = proxy.client();
        client.send(client::get(&origin.url("/")));
        if let Some(reply) = client.reply_unless_cut("GET") {
            // Where nothing of the answer was passed on yet, it may still be replaced as a whole.
            assert_eq!(reply.status(), 502, "{answer:?} looks complete: {reply:?}");
        }
    }
    proxy.assert_serves();
}

#[test]
fn an_answer_broken_by_a_reset_is_never_passed_on_as_complete() {
    let proxy = Proxy::start(&[]);
    for answer in
        ["Content-Length: 100\r\n\r\nonly this", "Transfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n", "\r\nonly"]
    {
        let origin = Origin::start(move |peer| {
            peer.expect_request()?;
            peer.send(format!("HTTP/1.1 200 OK\r\n{answer}"))?;
            peer.reset()
        });
        let mut client = proxy.client();
        client.send(client::get(&origin.url("/")));
        if let Some(reply) = client.reply_unless_cut("GET") {
            assert_eq!(reply.status(), 502, "{answer:?} looks complete: {reply:?}");
        }
    }
}

#[test]
fn a_cut_answer_in_chunks_is_not_ended_for_an_http_1_0_client() {
    let origin = Origin::once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n64\r\nthis");
    let proxy = Proxy::start(&[]);
    let mut client = proxy.client();
    client.send(format!("GET {} HTTP/1.0\r\n\r\n", origin.url("/")));
    // Only a reset can tell such a client that something is missing.
    client.expect_reset();
}

#[test]
fn bytes_after_a_sized_answer_are_not_the_next_answer() {
    let origin = Origin::start(|peer| {
        while peer.request()?.is_some() {
            peer.send(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            )?;
        }
        Ok(())
    });
    let proxy = Proxy::start(&[]);
    for _ in 0..3 {
        let mut client = proxy.client();
        assert_eq!(client.get(&origin.url("/")).text(), "ok");
        assert_eq!(client.get(&origin.url("/")).text(), "ok");
    }
}

#[test]
fn surplus_of_one_origin_is_not_the_answer_of_another() {
    let surplus =
        Origin::once("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    let honest = Origin::site();
    let proxy = Proxy::start(&[]);
    for body in ["", "Content-Length: 4\r\n"] {
        let mut client = proxy.client();
        assert_eq!(client.get(&surplus.url("/")).text(), "ok");
        client.send(format!("POST {} HTTP/1.1\r\nHost: h\r\n{body}\r\n", honest.url("/mine")));
        if !body.is_empty() {
            client.send("mine");
        }
        let reply = client.reply().text();
        assert!(reply.ends_with("mine"), "{reply}");
    }
}

#[test]
fn a_body_where_none_may_be_is_nobodys_answer() {
    let proxy = Proxy::start(&[]);
    let cases = [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil"),
    ];
    let honest = Origin::site();
    for (method, answer) in cases {
        let origin = Origin::fixed(answer);
        let mut client = proxy.client();
        for _ in 0..2 {
            client.send(format!("{method} {} HTTP/1.1\r\nHost: h\r\n\r\n", origin.url("/")));
            let reply = client.reply_to(method);
            assert!([200, 204, 304].contains(&reply.status()) && reply.body.is_empty(), "{answer:?}: {reply:?}");
            assert_eq!(client.get(&honest.url("/mine")).text(), "/mine", "{answer:?}");
        }
    }
}

#[test]
fn answers_that_cannot_be_read_are_a_502() {
    let proxy = Proxy::start(&[]);
    let heads = [
        "HTTP/1.1 2000 OK\r\nContent-Length: 0",
        "HTTP/1.1 20 OK\r\nContent-Length: 0",
        "HTTP/1.1 abc OK\r\nContent-Length: 0",
        "HTTP/1.1  200 OK\r\nContent-Length: 0",
        "HTTP/2 200\r\nContent-Length: 0",
        "HTTP/0.9 200 OK\r\nContent-Length: 0",
        "ICY/1.0 200 OK\r\nContent-Length: 0",
        "HTTP/1.1 200 OK\r\nContent-Length: -1",
        "HTTP/1.1 200 OK\r\nContent-Length: 1x",
        "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616",
        "HTTP/1.1 200 OK\r\nno colon",
        "HTTP/1.1 200 OK\r\n: no name",
        "HTTP/1.1 200 OK\r\nna me: x",
        "HTTP/1.1 200 OK\r\nX-A: b\rX-B: c",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked",
        "GET / HTTP/1.1\r\nHost: h",
    ];
    for head in heads {
        let origin = Origin::once(format!("{head}\r\n\r\n"));
        let reply = proxy.client().get(&origin.url("/"));
        assert_eq!(reply.status(), 502, "{head:?}: {reply:?}");
    }
    proxy.assert_serves();
}

#[test]
fn odd_answers_that_can_be_read_are_passed_on() {
    let proxy = Proxy::start(&[]);
    let answers = [
        ("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200),
        ("HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", 200),
        ("HTTP/1.1 299 Caf\u{e9}\r\nContent-Length: 2\r\n\r\nok", 299),
        ("HTTP/1.1 599 Odd\r\nContent-Length: 2\r\n\r\nok", 599),
        ("HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", 200),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n002\r\nok\r\n000\r\n\r\n", 200),
    ];
    for (answer, status) in answers {
        let origin = Origin::once(answer);
        let reply = proxy.client().get(&origin.url("/"));
        assert_eq!((reply.status(), reply.text().as_str()), (status, "ok"), "{answer:?}: {reply:?}");
    }
}

#[test]
fn a_get_may_have_a_body() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    for method in ["GET", "DELETE", "OPTIONS", "FOOBAR"] {
        client.send(format!("{method} {} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody", origin.url("/")));
        assert_eq!(client.reply().text(), "body", "{method}");
    }
}

#[test]
fn an_endless_answer_head_is_cut_off() {
    let origin = Origin::start(|peer| {
        peer.expect_request()?;
        peer.send("HTTP/1.1 200 OK\r\n")?;
        loop {
            peer.send("X-More: of the same\r\n".repeat(500))?;
        }
    });
    let reply = Proxy::start(&[]).client().get(&origin.url("/"));
    assert_eq!(reply.status(), 502, "{reply:?}");
}

#[test]
fn endless_interim_answers_are_cut_off() {
    let origin = Origin::start(|peer| {
        peer.expect_request()?;
        loop {
            peer.send("HTTP/1.1 103 Early Hints\r\nX-More: of the same\r\n\r\n".repeat(100))?;
        }
    });
    let proxy = Proxy::start(&[]);
    let mut client = proxy.client();
    client.send(client::get(&origin.url("/")));
    let mut interim = 0;
    while let Ok(reply) = client.wire().response("GET") {
        if reply.status() == 502 {
            break;
        }
        interim += 1;
        assert!(interim < 5000, "no end of interim answers");
    }
}

/// A body in chunks of `size`, the last one smaller.
fn chunks(body: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + body.len() / size * 16 + 64);
    for chunk in body.chunks(size) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}
