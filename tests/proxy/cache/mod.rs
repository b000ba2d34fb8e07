//! The cache on real sockets: what is answered without an origin, who shares whose response, what is never kept.

mod chaos;
mod gaps;
mod loops;
mod rules;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;

use crate::support::{client, eventually, loops, pattern, Client, Helpers, Message, Origin, Proxy, Refusing};

const ON: (&str, &str) = ("cache.enable", "true");

/// An origin that answers each request by its path, and counts them.
fn counting(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> (Origin, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let origin = Origin::start(move |peer| {
        while let Some(request) = peer.request()? {
            counted.fetch_add(1, Ordering::SeqCst);
            peer.send(answer(&request))?;
        }
        Ok(())
    });
    (origin, count)
}

fn ok(fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn ask(client: &mut Client, url: &str, fields: &str) -> Message {
    let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).expect("a URL");
    client.send(format!("GET {url} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
    client.reply()
}

fn told(reply: &Message) -> String {
    let value = reply.value("Cache-Status").unwrap_or_else(|| panic!("no Cache-Status: {reply:?}"));
    value.split_once("; ").map_or(value.clone(), |(_, rest)| rest.to_owned())
}

/// An interim response that a client of HTTP/1.0 does not get was told of the cache all the same, in front of the final head.
#[test]
fn an_interim_response_to_a_client_of_http10_stays_away() {
    let origin = Origin::start(|peer| {
        while peer.request()?.is_some() {
            peer.send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")?;
        }
        Ok(())
    });
    let proxy = Proxy::start(&[ON]);
    for fields in ["", "Range: bytes=0-0\r\n"] {
        let mut client = proxy.client();
        client.send(format!("GET {} HTTP/1.0\r\n{fields}\r\n", origin.url("/x")));
        let reply = client.reply();
        assert_eq!((reply.status(), reply.text().as_str(), reply.has("Link")), (200, "x", false), "{fields}");
    }
}

/// RFC 9211 section 2: also where the proxy answers for an origin that could not, and where nothing was to be kept.
#[test]
fn errors_of_the_proxy_tell_what_the_cache_did() {
    let origin = Origin::start(|peer| {
        while let Some(request) = peer.request()? {
            let broken = if request.start().contains("/login") { 407 } else { 9 };
            peer.send(format!("HTTP/1.1 {broken} X\r\nContent-Length: 0\r\n\r\n"))?;
        }
        Ok(())
    });
    let refusing = Refusing::new();
    let nothing = format!("http://{}/x", refusing.address());
    let proxy = Proxy::start(&[ON]);
    for (url, fields, status, want) in [
        (nothing.as_str(), "", 502, "fwd=uri-miss"),
        (nothing.as_str(), "Range: bytes=0-1\r\n", 502, "fwd=uri-miss"),
        (origin.url("/x").as_str(), "", 502, "fwd=uri-miss"),
        (origin.url("/login").as_str(), "", 407, "fwd=uri-miss"),
    ] {
        let reply = ask(&mut proxy.client(), url, fields);
        assert_eq!((reply.status(), told(&reply).as_str()), (status, want), "{url} {fields}");
    }
}

#[test]
fn a_hit_asks_no_origin() {
    let fields = "Cache-Control: max-age=600\r\nETag: \"1\"\r\nContent-Type: text/plain\r\nX-Own: a\r\n";
    let (origin, count) = counting(move |_| ok(fields, b"0123456789"));
    let proxy = Proxy::start(&[ON]);
    let mut client = proxy.client();
    let url = origin.url("/x");
    let first = ask(&mut client, &url, "");
    assert_eq!(
        (first.status(), first.text().as_str(), told(&first).as_str()),
        (200, "0123456789", "fwd=uri-miss; stored")
    );
    let hit = ask(&mut client, &url, "");
    assert_eq!((hit.status(), hit.text().as_str(), hit.value("X-Own").as_deref()), (200, "0123456789", Some("a")));
    assert!(told(&hit).starts_with("hit; ttl=") && hit.has("Age") && hit.has("Date") && hit.has("Via"), "{hit:?}");
    let held = ask(&mut client, &url, "If-None-Match: \"1\"\r\n");
    assert_eq!((held.status(), held.value("ETag").as_deref(), held.has("Content-Length")), (304, Some("\"1\""), false));
    let part = ask(&mut client, &url, "Range: bytes=2-4\r\n");
    assert_eq!((part.status(), part.text().as_str()), (206, "234"));
    assert_eq!(part.value("Content-Range").as_deref(), Some("bytes 2-4/10"));
    assert_eq!(ask(&mut client, &url, "Range: bytes=10-\r\n").status(), 416);
    client.send(format!("HEAD {url} HTTP/1.1\r\nHost: {}\r\n\r\n", origin.address()));
    let head = client.reply_to("HEAD");
    assert_eq!((head.status(), head.value("Content-Length").as_deref()), (200, Some("10")));
    assert_eq!(ask(&mut client, &url, "Cache-Control: only-if-cached\r\n").status(), 200);
    assert_eq!(ask(&mut client, &origin.url("/y"), "Cache-Control: only-if-cached\r\n").status(), 504);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    client.send(format!("POST {url} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", origin.address()));
    client.reply_to("POST");
    assert_eq!(told(&ask(&mut client, &url, "")), "fwd=uri-miss; stored");
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[test]
fn without_a_cache_nothing_is_kept_or_told() {
    let (origin, count) = counting(|_| ok("Cache-Control: max-age=600\r\n", b"x"));
    let proxy = Proxy::start(&[]);
    let mut client = proxy.client();
    for _ in 0..2 {
        assert!(!ask(&mut client, &origin.url("/x"), "").has("Cache-Status"));
    }
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn a_stale_response_is_validated() {
    let (origin, count) = counting(|request| match request.value("If-None-Match") {
        Some(tag) if tag == "\"1\"" => b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nX-New: b\r\n\r\n".to_vec(),
        _ => ok("Cache-Control: no-cache\r\nETag: \"1\"\r\n", b"body"),
    });
    let proxy = Proxy::start(&[ON]);
    let mut client = proxy.client();
    let url = origin.url("/x");
    assert_eq!(told(&ask(&mut client, &url, "")), "fwd=uri-miss; stored");
    let validated = ask(&mut client, &url, "");
    assert_eq!((validated.status(), validated.text().as_str()), (200, "body"));
    assert_eq!(validated.value("X-New").as_deref(), Some("b"));
    assert!(told(&validated).starts_with("fwd=stale; fwd-status=304"), "{validated:?}");
    assert_eq!(ask(&mut client, &url, "If-None-Match: \"1\"\r\n").status(), 304);
    assert_eq!((count.load(Ordering::SeqCst), origin.connections()), (3, 1), "the connection is kept");
}

/// What came of the first response must not pass for the second.
#[test]
fn a_304_about_something_else_is_asked_again() {
    let (origin, count) = counting(|request| match request.has("If-None-Match") {
        true => b"HTTP/1.1 304 Not Modified\r\nETag: \"2\"\r\n\r\n".to_vec(),
        false => ok("Cache-Control: no-cache\r\nETag: \"1\"\r\n", b"body"),
    });
    let proxy = Proxy::start(&[ON]);
    let mut client = proxy.client();
    for _ in 0..2 {
        let reply = ask(&mut client, &origin.url("/x"), "");
        assert_eq!((reply.status(), reply.text().as_str()), (200, "body"));
    }
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

/// The origin sends nothing before all have asked. They are more than are told of its response in one turn.
#[test]
fn many_who_ask_at_once_share_one_request() {
    const CLIENTS: usize = 300;
    let body = pattern(100_000, 7);
    let sent = body.clone();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let origin = Origin::start(move |peer| {
        peer.expect_request()?;
        counted.fetch_add(1, Ordering::SeqCst);
        peer.hold()?;
        peer.send(ok("Cache-Control: max-age=600\r\n", &sent))
    });
    let proxy = Proxy::start(&[ON]);
    let url = origin.url("/x");
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| proxy.client()).collect();
    clients.iter_mut().for_each(|client| client.send(client::get(&url)));
    eventually("all wait", || (proxy.counter("cache.waiting") + 1 >= CLIENTS as i64).then_some(()));
    origin.release();
    let readers: Vec<_> = clients.into_iter().map(|mut client| thread::spawn(move || client.reply())).collect();
    for reader in readers {
        let reply = reader.join().expect("a reply");
        assert!(reply.status() == 200 && reply.body == body, "{}", reply.body.len());
    }
    // Its body takes time, so that loops do not wait for one another's.
    let loops = loops().map_or(1, |threads| threads.parse().expect("a number of loops"));
    assert!((1..=loops).contains(&count.load(Ordering::SeqCst)));
    assert!(told(&ask(&mut proxy.client(), &url, "")).starts_with("hit"));
}

#[test]
fn a_first_client_that_stalls_holds_no_other() {
    let body = pattern(900_000, 3);
    let sent = body.clone();
    let (origin, count) = counting(move |_| ok("Cache-Control: max-age=600\r\n", &sent));
    let proxy = Proxy::start(&[ON]);
    let url = origin.url("/x");
    let mut stalled = Client::connect_small(proxy.address());
    stalled.send(client::get(&url));
    eventually("it is kept", || (proxy.counter("cache.objects") == 1).then_some(()));
    let reply = ask(&mut proxy.client(), &url, "");
    assert!(reply.body == body && told(&reply).starts_with("hit"));
    assert!(stalled.reply().body == body);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn chunks_are_kept_and_old_clients_get_them_plain() {
    let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: chunked\r\n\r\n";
    let origin = Origin::start(move |peer| {
        while peer.request()?.is_some() {
            // The rest comes later, so that it is no part of what comes with the head.
            peer.send(answer)?;
            thread::yield_now();
            for part in ["5;x=y\r\nhello\r\n", "06\r\n world\r\n", "0\r\nTrailer: x\r\n\r\n"] {
                peer.send(part)?;
            }
        }
        Ok(())
    });
    let proxy = Proxy::start(&[ON]);
    for path in ["/a", "/b", "/c"] {
        let mut old = proxy.client();
        old.send(format!("GET {} HTTP/1.0\r\n\r\n", origin.url(path)));
        assert!(old.rest().ends_with(b"\r\n\r\nhello world"), "{path}");
        let mut new = proxy.client();
        let reply = ask(&mut new, &origin.url(path), "");
        assert_eq!((reply.text().as_str(), reply.value("Content-Length").as_deref()), ("hello world", Some("11")));
        assert_eq!(ask(&mut new, &origin.url(&format!("{path}2")), "").text(), "hello world");
    }
}

#[test]
fn what_is_for_one_is_given_to_none_else() {
    let (origin, _) = counting(|request| {
        let user = request.value("Authorization").or(request.value("Cookie")).unwrap_or_default();
        let path = request.start();
        let fields = match () {
            () if path.contains("/private") => "Cache-Control: private, max-age=600\r\n",
            () if path.contains("/no-store") => "Cache-Control: no-store, max-age=600\r\n",
            () if path.contains("/cookie") => "ETag: \"1\"\r\nSet-Cookie: a\r\n",
            () => "Cache-Control: max-age=600\r\n",
        };
        ok(fields, user.as_bytes())
    });
    let proxy = Proxy::start(&[ON]);
    for path in ["/private", "/no-store", "/cookie", "/auth"] {
        for user in ["one", "two"] {
            let name = if path == "/auth" { "Authorization" } else { "Cookie" };
            let reply = ask(&mut proxy.client(), &origin.url(path), &format!("{name}: {user}\r\n"));
            assert_eq!(reply.text(), user, "{path}");
        }
    }
    assert_eq!(proxy.counter("cache.objects"), 0);
}

/// NTLM logs a connection in: what comes by it is for that client, and what it changes is changed for all (RFC 9111 section 4.4).
#[test]
fn what_a_client_changes_on_a_connection_of_its_own_is_changed_for_all() {
    let (origin, count) = counting(|_| ok("Cache-Control: max-age=600\r\n", b"x"));
    let proxy = Proxy::start(&[ON]);
    let url = origin.url("/x");
    let (mut own, mut other) = (proxy.client(), proxy.client());
    ask(&mut other, &url, "");
    assert_eq!(told(&ask(&mut own, &url, "Authorization: NTLM a\r\n")), "fwd=bypass");
    assert_eq!(told(&ask(&mut own, &url, "")), "fwd=bypass", "the connection is logged in");
    assert!(told(&ask(&mut other, &url, "")).starts_with("hit"));
    own.send(format!("PUT {url} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", origin.address()));
    own.reply_to("PUT");
    assert_eq!(told(&ask(&mut other, &url, "")), "fwd=uri-miss; stored");
    assert_eq!(count.load(Ordering::SeqCst), 5);
}

/// What an origin overlooked of a client's content would answer its next request, and then everybody's.
#[test]
fn what_is_kept_comes_by_no_connection_that_carried_content() {
    let (origin, _) = counting(|_| ok("Cache-Control: max-age=600\r\n", b"x"));
    let proxy = Proxy::start(&[ON]);
    let mut client = proxy.client();
    client.send(format!("PUT {} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\ny", origin.url("/other")));
    client.reply_to("PUT");
    assert_eq!(told(&ask(&mut client, &origin.url("/x"), "")), "fwd=uri-miss; stored");
    assert_eq!(origin.connections(), 2);
}

#[test]
fn what_breaks_off_is_not_kept_and_is_seen_to_break() {
    let origin = Origin::start(|peer| {
        let request = peer.expect_request()?;
        let chunked = request.start().contains("/chunked");
        let framing = if chunked { "Transfer-Encoding: chunked\r\n" } else { "Content-Length: 900000\r\n" };
        peer.send(format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n{framing}\r\n"))?;
        if chunked {
            peer.send("30d40\r\n")?;
        }
        peer.send(pattern(200_000, 1))
    });
    let proxy = Proxy::start(&[ON]);
    for path in ["/sized", "/chunked"] {
        let mut client = proxy.client();
        client.send(client::get(&origin.url(path)));
        let got = client.rest();
        assert!(got.len() > 100 && !got.ends_with(b"0\r\n\r\n"), "{path}: {}", got.len());
    }
    assert_eq!((proxy.counter("cache.objects"), proxy.counter("cache.bytes")), (0, 0));
}

/// An HTTP/1.0 client gets no chunks, though a helper has put a request of HTTP/1.1 in place of its own and the cache one that
/// validates in place of that.
#[test]
fn a_validation_is_answered_in_the_version_of_its_client() {
    let origin = Origin::start(move |peer| {
        while peer.request()?.is_some() {
            peer.send("HTTP/1.1 200 OK\r\nCache-Control: no-cache, no-transform\r\nETag: \"1\"\r\n")?;
            peer.send("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")?;
        }
        Ok(())
    });
    let head = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", origin.url("/x"), origin.address());
    let reply = format!("ICAP/1.0 200 OK\nEncapsulated: req-hdr=0, null-body={}\n\n{head}", head.len());
    let helpers = Helpers::answering_icap(move |_| reply.clone().into_bytes());
    let proxy = helpers.proxy(&[ON, ("redirector.protocol", "icap://filter/x")]);
    for _ in 0..2 {
        let mut old = proxy.client();
        old.send(format!("GET {} HTTP/1.0\r\n\r\n", origin.url("/")));
        assert!(old.rest().ends_with(b"\r\n\r\nhello"));
    }
    assert!(origin.received(0).windows(13).any(|part| part == b"If-None-Match"), "nothing was validated");
}

/// As without a cache: the client is told, and not cut off in the middle.
#[test]
fn content_that_is_at_fault_from_its_start_is_a_fault_of_its_origin() {
    let (origin, _) = counting(|request| {
        let stale = request.start().contains("/kept") && !request.has("If-None-Match");
        match stale {
            true => ok("Cache-Control: max-age=0\r\nETag: \"1\"\r\n", b"kept"),
            false => {
                b"HTTP/1.1 200 OK\r\nCache-Control: max-age=9\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n".to_vec()
            }
        }
    });
    let proxy = Proxy::start(&[ON]);
    assert_eq!(ask(&mut proxy.client(), &origin.url("/x"), "").status(), 502);
    assert_eq!(ask(&mut proxy.client(), &origin.url("/kept"), "").text(), "kept");
    assert_eq!(ask(&mut proxy.client(), &origin.url("/kept"), "").text(), "kept", "what is kept stands in");
    assert_eq!(proxy.counter("cache.objects"), 1);
}

/// Its client has as many connections as it may: the request behind its answer is none of them.
#[test]
fn what_is_stale_is_fetched_anew_behind_its_answer() {
    let (origin, count) =
        counting(|_| ok("Cache-Control: max-age=0, stale-while-revalidate=600\r\nETag: \"1\"\r\n", b"x"));
    let proxy = Proxy::start(&[ON, ("http.client-connections", "1")]);
    let (url, mut client) = (origin.url("/x"), proxy.client());
    ask(&mut client, &url, "");
    let stale = ask(&mut client, &url, "");
    assert!(stale.status() == 200 && told(&stale).starts_with("hit; ttl="), "{stale:?}");
    eventually("it is fetched", || (count.load(Ordering::SeqCst) == 2).then_some(()));
    eventually("it is kept", || (proxy.counter("cache.stored") == 2).then_some(()));
    assert_eq!((origin.connections(), ask(&mut client, &url, "").status()), (1, 200), "the connection is kept");
}

#[test]
fn a_stale_response_stands_in_for_an_origin_that_is_gone() {
    let answered = AtomicUsize::new(0);
    let origin = Origin::start(move |peer| {
        peer.expect_request()?;
        let first = answered.fetch_add(1, Ordering::SeqCst) == 0;
        let strict = "Connection: close\r\n";
        match first {
            true => peer.send(ok(&format!("Cache-Control: max-age=1\r\nAge: 0\r\nETag: \"1\"\r\n{strict}"), b"kept")),
            false => Ok(()),
        }
    });
    let proxy = Proxy::start(&[ON]);
    let url = origin.url("/x");
    ask(&mut proxy.client(), &url, "");
    let reply = eventually("it is stale", || {
        let reply = ask(&mut proxy.client(), &url, "");
        (!told(&reply).starts_with("hit; ttl=1")).then_some(reply)
    });
    assert_eq!((reply.status(), reply.text().as_str()), (200, "kept"), "{reply:?}");
}

/// A body of unknown length that turns out too long goes by, whole.
#[test]
fn what_is_too_long_passes_by() {
    let body = pattern(3_000_000, 5);
    let sent = body.clone();
    let origin = Origin::start(move |peer| {
        let request = peer.expect_request()?;
        match request.start().contains("/sized") {
            true => peer.send(ok("Cache-Control: max-age=600\r\nConnection: close\r\n", &sent)),
            false => {
                peer.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n\r\n")?;
                peer.send(&sent)
            }
        }
    });
    let proxy = Proxy::start(&[ON]);
    for path in ["/sized", "/until-close"] {
        let reply = ask(&mut proxy.client(), &origin.url(path), "");
        assert!(reply.body == body, "{path}: {}", reply.body.len());
    }
    assert_eq!((proxy.counter("cache.objects"), proxy.counter("cache.bytes")), (0, 0));
}
