//! Many clients that read, stall and go, before an origin that changes, breaks off and divides: each whole response is one that
//! the origin sent for that path, nothing waits for ever, and in the end no byte of the cache's room is lost.

use std::thread;

use super::ON;
use crate::support::{eventually, pattern, Client, Message, Origin, Peer, Proxy};

const SIZES: [usize; 7] = [0, 1, 900, 9000, 70_000, 300_000, 1_200_000];
const CLIENTS: u64 = 24;
const REQUESTS: usize = 40;

/// Of each kind of response, how it may be kept.
const KINDS: [&str; 5] = [
    "Cache-Control: max-age=1\r\n",
    "Cache-Control: max-age=1, stale-while-revalidate=1\r\nVary: Foo\r\n",
    "Cache-Control: no-cache\r\nVary: Foo\r\n",
    "Cache-Control: max-age=60\r\n",
    "Cache-Control: private\r\n",
];

struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }

    fn one_in(&mut self, most: usize) -> bool {
        self.below(most) == 0
    }
}

/// The body of a version of a path.
fn body(number: usize, version: usize) -> Vec<u8> {
    pattern(SIZES[number % SIZES.len()], (number * 10 + version) as u64)
}

fn serve(peer: &mut Peer) -> std::io::Result<()> {
    let mut random = Random(peer.number as u64 + 1);
    while let Some(request) = peer.request()? {
        let number: usize = request.start().split(['/', ' ']).nth(2).and_then(|text| text.parse().ok()).unwrap_or(0);
        let (version, kind) = (random.below(2), KINDS[number / SIZES.len() % KINDS.len()]);
        let tag = format!("\"{number}-{version}\"");
        if request.value("If-None-Match").is_some_and(|tags| tags.contains(&tag)) && !random.one_in(4) {
            peer.send(format!("HTTP/1.1 304 X\r\nETag: {tag}\r\n{kind}\r\n"))?;
            continue;
        }
        let body = body(number, version);
        let head = format!("HTTP/1.1 200 OK\r\nETag: {tag}\r\nX-Version: {version}\r\n{kind}");
        let breaks = random.one_in(20) && !body.is_empty();
        let sent = if breaks { &body[..random.below(body.len())] } else { &body[..] };
        match random.below(3) {
            0 => {
                peer.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n"))?;
                for part in sent.chunks(1 + random.below(40_000)) {
                    peer.send([format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat())?;
                }
                if !breaks {
                    peer.send("0\r\n\r\n")?;
                }
            }
            1 if !breaks => {
                peer.send(format!("{head}Connection: close\r\n\r\n"))?;
                return peer.send(sent);
            }
            _ => {
                peer.send(format!("{head}Content-Length: {}\r\n\r\n", body.len()))?;
                peer.send(sent)?;
            }
        }
        if breaks {
            return Ok(());
        }
    }
    Ok(())
}

/// Asks and goes, by a seed of its own. Gives how many whole responses it got.
fn ask_around(proxy: &Proxy, origin: &Origin, seed: u64) -> usize {
    const WISHES: [&str; 6] =
        ["", "", "", "Cache-Control: no-cache\r\n", "Range: bytes=3-9\r\n", "Authorization: x\r\n"];
    let (mut random, mut whole) = (Random(seed), 0);
    let mut client = Client::connect(proxy.address());
    for _ in 0..REQUESTS {
        // A few of all paths are asked for most of the time.
        let most = if random.one_in(3) { SIZES.len() * KINDS.len() } else { 12 };
        let (number, version) = (random.below(most), if random.one_in(5) { "1.0" } else { "1.1" });
        let (wish, variant) = (WISHES[random.below(WISHES.len())], random.below(3));
        client.try_send(format!(
            "GET {} HTTP/{version}\r\nHost: {}\r\nFoo: {variant}\r\n{wish}\r\n",
            origin.url(&format!("/{number}")),
            origin.address()
        ));
        if random.one_in(10) {
            // It goes without having read it, or with a part of it.
            let _ = client.wire().fill();
            client = Client::connect(proxy.address());
            continue;
        }
        match client.reply_unless_cut("GET") {
            Some(reply) => whole += usize::from(check(&reply, number)),
            None => client = Client::connect(proxy.address()),
        }
        if version == "1.0" {
            client = Client::connect(proxy.address());
        }
    }
    whole
}

/// Whether it is a whole response, which then is one that the origin has sent for this path.
fn check(reply: &Message, number: usize) -> bool {
    let Some(version) = reply.value("X-Version").filter(|_| reply.status() == 200) else { return false };
    let wanted = body(number, version.parse().expect("a number"));
    assert!(reply.body == wanted, "/{number}: {} bytes of {}: {reply:?}", reply.body.len(), wanted.len());
    true
}

#[test]
fn nothing_is_mixed_up_or_lost_among_many() {
    among_many("1");
}

#[test]
fn nothing_is_mixed_up_or_lost_among_many_in_two_loops() {
    among_many("2");
}

#[test]
fn nothing_is_mixed_up_or_lost_among_many_in_three_loops() {
    among_many("3");
}

fn among_many(threads: &str) {
    let origin = Origin::start(serve);
    let options = [ON, ("daemon.threads", threads), ("cache.size", "2000000"), ("web.debug", "true")];
    let proxy = Proxy::start(&options);
    let whole: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|seed| {
                scope.spawn({
                    let (proxy, origin) = (&proxy, &origin);
                    move || ask_around(proxy, origin, seed)
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("no client finds a fault")).sum()
    });
    assert!(whole > CLIENTS as usize * REQUESTS / 3, "{whole}");
    for (name, least) in [("cache.hit", 20), ("cache.evicted", 20), ("cache.revalidated", 5)] {
        assert!(proxy.counter(name) >= least, "{name}: {}", proxy.counter(name));
    }
    eventually("all is over", || {
        let left = proxy.counter("cache.fetching") + proxy.counter("cache.waiting");
        (left == 0).then_some(())
    });
    let mut web = Client::connect(proxy.web());
    web.send(format!("GET /control/token HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.web()));
    let content = format!("token={}&all=true", web.reply().text().trim());
    web.send(format!(
        "POST /control/cache/purge HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{content}",
        proxy.web(),
        content.len()
    ));
    assert_eq!(web.reply().status(), 200);
    eventually("all room is free", || (proxy.counter("cache.bytes") == 0).then_some(()));
}
