//! Sizes around those of buffers, and pieces of every length: what works for a small message must work for all.

use crate::support::{client, pattern, Origin, Proxy};

/// The proxy's blocks hold 16 KiB; heads grow on their way by a few fields, so a message may just fit before and not after.
const BLOCK: usize = 16 * 1024;

/// A small generator for sizes, so that a failing test fails again.
struct Sizes(u64);

impl Sizes {
    fn next(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1 + (self.0 >> 33) as usize % limit
    }
}

/// A body in chunks of sizes from the generator.
fn random_chunks(body: &[u8], sizes: &mut Sizes, largest: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(sizes.next(largest).min(rest.len()));
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        rest = after;
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// Pieces of sizes from the generator.
fn random_pieces<'a>(bytes: &'a [u8], sizes: &mut Sizes, largest: usize) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(sizes.next(largest).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[test]
fn request_heads_of_every_size_around_a_block_pass() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    for block in [1, 2] {
        for size in (block * BLOCK - 300..block * BLOCK + 20).step_by(3) {
            let head = format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nX-A: \r\n\r\n", origin.url("/"));
            let value = "v".repeat(size - head.len());
            let request = head.replace("X-A: ", &format!("X-A: {value}"));
            client.send(format!("{request}body{}", client::get(&origin.url("/next"))));
            assert_eq!(client.reply().text(), "body", "a head of {size} bytes");
            assert_eq!(client.reply().text(), "/next", "behind a head of {size} bytes");
        }
    }
}

#[test]
fn answer_heads_of_every_size_around_a_block_pass() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        while let Some(request) = peer.request()? {
            let size: usize = request.value("X-Size").and_then(|size| size.parse().ok()).unwrap_or(200);
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-A: \r\n\r\n";
            let answer = head.replace("X-A: ", &format!("X-A: {}", "v".repeat(size - head.len())));
            peer.send(format!("{answer}body"))?;
        }
        Ok(())
    });
    let mut client = proxy.client();
    for block in [1, 2] {
        for size in (block * BLOCK - 300..block * BLOCK + 20).step_by(3) {
            client.send(format!("GET {} HTTP/1.1\r\nHost: h\r\nX-Size: {size}\r\n\r\n", origin.url("/")));
            assert_eq!(client.reply().text(), "body", "a head of {size} bytes");
        }
    }
}

#[test]
fn requests_in_a_row_pass_wherever_a_block_ends() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    let mut sizes = Sizes(1);
    for round in 0..12 {
        let paths: Vec<String> = (0..60).map(|_| format!("/{}", "p".repeat(sizes.next(1500)))).collect();
        client.send(paths.iter().map(|path| client::get(&origin.url(path))).collect::<String>());
        for (number, path) in paths.iter().enumerate() {
            assert!(client.reply().text() == *path, "request {number} of round {round}");
        }
    }
}

#[test]
fn uploads_in_random_chunks_and_pieces_keep_their_bytes() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    for seed in 0..16 {
        let mut sizes = Sizes(seed);
        let body = pattern(150_000, seed);
        let largest = [7, 300, 20_000, 100_000][seed as usize % 4];
        let message = random_chunks(&body[..if largest == 7 { 20_000 } else { body.len() }], &mut sizes, largest);
        let mut client = proxy.client();
        client.send(format!("PUT {} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", origin.url("/")));
        for piece in random_pieces(&message, &mut sizes, 40_000) {
            client.send(piece);
        }
        let reply = client.reply();
        assert!(body.starts_with(&reply.body) && !reply.body.is_empty(), "seed {seed}: {} bytes", reply.body.len());
        assert!(reply.body.len() == body.len() || largest == 7, "seed {seed}: {} bytes", reply.body.len());
    }
}

#[test]
fn downloads_in_random_chunks_and_pieces_keep_their_bytes() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        while let Some(request) = peer.request()? {
            let seed: u64 = request.value("X-Seed").and_then(|seed| seed.parse().ok()).unwrap_or(0);
            let mut sizes = Sizes(seed);
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let largest = [300, 16_390, 60_000, 9][seed as usize % 4];
            let body = pattern(if largest == 9 { 20_000 } else { 200_000 }, seed);
            let message = [head, random_chunks(&body, &mut sizes, largest).as_slice()].concat();
            for piece in random_pieces(&message, &mut sizes, 30_000) {
                peer.send(piece)?;
            }
        }
        Ok(())
    });
    for version in ["1.1", "1.0"] {
        for seed in 0..16 {
            let mut client = proxy.client();
            client.send(format!("GET {} HTTP/{version}\r\nHost: h\r\nX-Seed: {seed}\r\n\r\n", origin.url("/")));
            let length = if seed % 4 == 3 { 20_000 } else { 200_000 };
            assert!(client.reply().body == pattern(length, seed), "HTTP/{version}, seed {seed}");
        }
    }
}

#[test]
fn much_may_be_sent_with_the_head_of_connect() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::echo();
    for size in [1, BLOCK - 80, BLOCK, 3 * BLOCK, 1 << 20] {
        let early = pattern(size, 1);
        let mut client = proxy.client();
        let head = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", origin.address());
        let mut writer = client.wire().second().expect("a second handle");
        let sent = [head.as_bytes(), &early].concat();
        let sender = std::thread::spawn(move || writer.send(sent));
        assert_eq!(client.reply_to("CONNECT").status(), 200);
        assert!(client.read(size) == early, "{size} bytes");
        sender.join().expect("no panic").expect("all sent");
    }
}

#[test]
fn a_slow_reader_gets_all_of_a_body_that_ends_with_the_connection() {
    let body = pattern(9 << 20, 2);
    let origin = Origin::once([b"HTTP/1.1 200 OK\r\n\r\n", body.as_slice()].concat());
    let proxy = Proxy::start(&[]);
    let mut client = crate::support::Client::connect_small(proxy.address());
    client.send(client::get(&origin.url("/")));
    client.wire().until(b"\r\n\r\n").expect("a head");
    // The origin is done long before this client is.
    let mut seen = client.read(1000);
    std::thread::sleep(std::time::Duration::from_millis(300));
    seen.extend(client.read(body.len() / 2));
    seen.extend(client.rest());
    assert!(seen == body, "{} of {} bytes", seen.len(), body.len());
}
