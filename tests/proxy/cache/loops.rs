//! One cache for several loops: what one keeps answers in all, what one changes is changed for all, and the room is one.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use nix::sys::signal::Signal;

use super::{ask, counting, ok, told, ON};
use crate::support::{client, eventually, pattern, Client, Message, Origin, Proxy};
use crate::threads::spread;

const THREADS: (&str, &str) = ("daemon.threads", "3");

/// An origin each of whose responses to GET has its number for a body.
fn numbering() -> (Origin, Arc<AtomicUsize>) {
    let number = AtomicUsize::new(0);
    counting(move |request| match request.start().starts_with("GET") {
        true => {
            let number = number.fetch_add(1, Ordering::SeqCst).to_string();
            ok("Cache-Control: max-age=600\r\n", number.as_bytes())
        }
        false => ok("", b""),
    })
}

/// A client in each of three loops.
fn three(proxy: &Proxy) -> [Client; 3] {
    eventually("a client in each loop", || {
        let clients = [(); 3].map(|()| proxy.client());
        (spread(proxy).len() == 3).then_some(clients)
    })
}

/// What the clients get, the last first.
fn all(clients: &mut [Client], url: &str) -> Vec<String> {
    clients.iter_mut().rev().map(|client| ask(client, url, "").text()).collect()
}

/// Has the monitor remove something.
fn purge(proxy: &Proxy, what: &str) -> Message {
    let token = proxy.monitor_page("/control/token");
    let mut monitor = Client::connect(proxy.web());
    let content = format!("token={}&{what}", token.trim());
    let host = proxy.web();
    let length = content.len();
    monitor.send(format!(
        "POST /control/cache/purge HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{content}"
    ));
    monitor.reply()
}

#[test]
fn what_one_loop_keeps_answers_in_all_until_one_changes_it() {
    let (origin, count) = numbering();
    let proxy = Proxy::start(&[ON, THREADS, ("web.debug", "true")]);
    let (url, mut there) = (origin.url("/x"), three(&proxy));
    assert_eq!(told(&ask(&mut there[0], &url, "")), "fwd=uri-miss; stored");
    let bytes = proxy.counter("cache.bytes");
    for client in &mut there {
        assert!(told(&ask(client, &url, "")).starts_with("hit"));
    }
    let counters = proxy.counters();
    let numbers = ["cache.objects", "cache.stored", "cache.hit", "cache.miss"].map(|name| counters[name]);
    assert_eq!((numbers, counters["cache.bytes"]), ([1, 1, 3, 1], bytes));
    assert!(proxy.monitor_page("/metrics").contains("\nexaproxy_cache_memory_limit 67108864\n"));
    // What follows the answer to an unsafe request meets its effect, in any loop.
    for round in 0..6 {
        let method = if round % 2 == 0 { "PUT" } else { "DELETE" };
        let one = &mut there[round % 3];
        one.send(format!("{method} {url} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(one.reply().status(), 200);
        let want = (round + 1).to_string();
        assert_eq!(all(&mut there, &url), [want.clone(), want.clone(), want]);
    }
    // And so does what follows an order.
    let address = origin.address();
    for (at, what) in ["all=true".to_owned(), format!("host={address}"), format!("url={url}")].iter().enumerate() {
        let answer = purge(&proxy, what);
        assert_eq!(answer.status(), 200, "{answer:?}");
        assert_eq!((proxy.counter("cache.objects"), proxy.counter("cache.bytes")), (0, 0), "{what}");
        assert_eq!(all(&mut there, &url)[0], (at + 7).to_string());
    }
    assert_eq!((proxy.counter("cache.purged"), count.load(Ordering::SeqCst)), (9, 16));
}

/// Neither an unsafe request nor an order misses what is on its way, in whichever loop.
#[test]
fn what_was_asked_for_before_it_changed_is_not_kept() {
    for (threads, what) in
        ["1", "3"].into_iter().flat_map(|threads| ["", "url", "host", "all"].map(|what| (threads, what)))
    {
        let origin = Origin::start(|peer| {
            while let Some(request) = peer.request()? {
                let slow = request.has("Slow");
                if slow {
                    peer.hold()?;
                }
                peer.send(ok("Cache-Control: max-age=600\r\n", if slow { b"old" } else { b"new" }))?;
            }
            Ok(())
        });
        let proxy = Proxy::start(&[ON, ("daemon.threads", threads), ("web.debug", "true")]);
        let (url, mut there) = (origin.url("/x"), [(); 3].map(|()| proxy.client()));
        there[0].send(client::get(&url).replacen("\r\n\r\n", "\r\nSlow: 1\r\n\r\n", 1));
        origin.wait_connections(1);
        match what {
            "" => {
                there[1].send(format!("PUT {url} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"));
                assert_eq!(there[1].reply().status(), 200);
            }
            "url" => assert_eq!(purge(&proxy, &format!("url={url}")).status(), 200),
            "host" => assert_eq!(purge(&proxy, &format!("host={}", origin.address())).status(), 200),
            _ => assert_eq!(purge(&proxy, "all=true").status(), 200),
        }
        origin.release();
        assert_eq!(there[0].reply().text(), "old");
        assert_eq!(all(&mut there, &url), ["new"; 3], "{threads} {what}");
        assert!(told(&ask(&mut there[0], &url, "")).starts_with("hit"));
    }
}

/// The origin sends nothing before all have asked.
#[test]
fn clients_of_all_loops_share_one_request_for_what_is_small() {
    const CLIENTS: usize = 300;
    let origin = Origin::start(|peer| {
        while peer.request()?.is_some() {
            peer.hold()?;
            peer.send(ok("Cache-Control: max-age=600\r\n", b"ours"))?;
        }
        Ok(())
    });
    let proxy = Proxy::start(&[ON, THREADS]);
    let url = origin.url("/x");
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| proxy.client()).collect();
    clients[0].send(client::get(&url));
    origin.wait_connections(1);
    clients[1..].iter_mut().for_each(|client| client.send(client::get(&url)));
    proxy.wait_counter("cache.waiting", CLIENTS as i64 - 1);
    origin.release();
    clients.iter_mut().for_each(|client| assert_eq!(client.reply().text(), "ours"));
    let counters = proxy.counters();
    assert_eq!(["cache.stored", "cache.waiting", "cache.fetching"].map(|name| counters[name]), [1, 0, 0]);
    assert_eq!(origin.connections(), 1);
}

/// A first client that goes leaves its place to others, in each loop.
#[test]
fn clients_of_other_loops_do_not_wait_for_one_that_has_gone() {
    let origin = Origin::start(|peer| {
        let request = peer.expect_request()?;
        if request.has("First") {
            peer.hold()?;
        }
        peer.send(ok("Cache-Control: max-age=600\r\n", b"ours"))
    });
    let proxy = Proxy::start(&[ON, THREADS]);
    let url = origin.url("/x");
    let [mut first, mut others @ ..] = three(&proxy);
    first.send(client::get(&url).replacen("\r\n\r\n", "\r\nFirst: 1\r\n\r\n", 1));
    origin.wait_connections(1);
    others.iter_mut().for_each(|client| client.send(client::get(&url)));
    proxy.wait_counter("cache.waiting", 2);
    drop(first);
    others.iter_mut().for_each(|client| assert_eq!(client.reply().text(), "ours"));
    origin.release();
}

/// So that no loop has its clients wait for what another knows to be for one alone.
#[test]
fn what_is_not_to_be_shared_is_remembered_for_all_loops() {
    let origin = Origin::start(|peer| {
        while let Some(request) = peer.request()? {
            if request.has("Slow") {
                peer.hold()?;
            }
            peer.send(ok("Cache-Control: private\r\n", b"mine"))?;
        }
        Ok(())
    });
    let proxy = Proxy::start(&[ON, THREADS]);
    let mut there = three(&proxy);
    let url = origin.url("/x");
    assert_eq!(told(&ask(&mut there[0], &url, "")), "fwd=uri-miss; detail=private");
    let mut all: Vec<Client> = three(&proxy).into_iter().chain(three(&proxy)).collect();
    all.iter_mut().for_each(|one| one.send(client::get(&url).replacen("\r\n\r\n", "\r\nSlow: 1\r\n\r\n", 1)));
    // One of them may have the connection that the first has left.
    eventually("all have asked", || (origin.connections() >= 6).then_some(()));
    assert_eq!(proxy.counter("cache.waiting"), 0);
    origin.release();
    all.iter_mut().for_each(|one| assert_eq!(one.reply().text(), "mine"));
}

/// The room is one: an object may take nearly all of it, whichever loop brings it, and no sum exceeds it.
#[test]
fn the_room_is_one_for_all_loops() {
    for policy in ["lru", "sieve"] {
        let (origin, _) = counting(|request| {
            let length = if request.start().contains("/large") { 900_000 } else { 40_000 };
            ok("Cache-Control: max-age=600\r\n", &pattern(length, 1))
        });
        let room = [("cache.size", "1000000"), ("cache.eviction", policy)];
        let proxy = Proxy::start(&[&[ON, THREADS], &room[..]].concat());
        let mut there = three(&proxy);
        for number in 0..60 {
            assert_eq!(ask(&mut there[number % 3], &origin.url(&format!("/{number}")), "").body.len(), 40_000);
            let bytes = proxy.counter("cache.bytes");
            assert!(bytes <= 1_000_000, "{bytes}");
        }
        let (bytes, objects) = (proxy.counter("cache.bytes"), proxy.counter("cache.objects"));
        assert!((bytes > 900_000) && (objects == 24), "{objects} of {bytes}");
        if policy == "lru" {
            // The clocks of loops may differ by a moment.
            for number in 40..60 {
                assert!(told(&ask(&mut there[number % 2], &origin.url(&format!("/{number}")), "")).starts_with("hit"));
            }
        }
        for client in &mut there {
            assert_eq!(ask(client, &origin.url("/large"), "").body.len(), 900_000);
        }
        assert!(told(&ask(&mut there[1], &origin.url("/large"), "")).starts_with("hit"));
        eventually("room within bounds", || (proxy.counter("cache.bytes") <= 1_000_000).then_some(()));
    }
}

#[test]
fn a_reload_makes_the_room_of_all_loops_smaller_or_takes_it_away() {
    let (origin, count) = counting(|_| ok("Cache-Control: max-age=600\r\n", &pattern(50_000, 1)));
    let ini = |size: &str| format!("[daemon]\nthreads = 3\n[cache]\nenable = true\nsize = {size}\n");
    let proxy = Proxy::start_with(&[("daemon.threads", "3")], &ini("1000000"));
    let mut there = three(&proxy);
    let reload = |text: &str| {
        let before = proxy.log().matches("configuration reloaded").count();
        fs::write(proxy.file(), text).expect("an ini file");
        proxy.signal(Signal::SIGHUP);
        proxy.wait_log_times("configuration reloaded", before + 1);
    };
    let urls: Vec<String> = (0..12).map(|number| origin.url(&format!("/{number}"))).collect();
    urls.iter().zip((0..3).cycle()).for_each(|(url, at)| drop(ask(&mut there[at], url, "")));
    assert_eq!(proxy.counter("cache.objects"), 12);
    reload(&ini("300000"));
    let (bytes, objects) = (proxy.counter("cache.bytes"), proxy.counter("cache.objects"));
    // Five have room, and fewer where a loop has not let go of what it has just sent.
    assert!(bytes <= 300_000 && (1..=5).contains(&objects), "{objects} of {bytes}");
    let kept = usize::try_from(objects).expect("a few");
    for (url, at) in urls[urls.len() - kept..].iter().zip((0..3).cycle()) {
        assert!(told(&ask(&mut there[at], url, "")).starts_with("hit"));
    }
    assert_eq!(count.load(Ordering::SeqCst), 12);
    reload("[daemon]\nthreads = 3\n");
    for client in &mut there {
        assert!(!ask(client, &urls[11], "").has("Cache-Status"), "it is off, and off is as if it had never been");
    }
    assert_eq!((proxy.counter("cache.objects"), proxy.counter("cache.bytes")), (0, 0));
    reload(&ini("300000"));
    assert_eq!(told(&ask(&mut there[0], &urls[11], "")), "fwd=uri-miss; stored");
    there.iter_mut().for_each(|client| assert!(told(&ask(client, &urls[11], "")).starts_with("hit")));
}

/// Off at the start, on by a reload.
#[test]
fn a_cache_that_a_reload_brings_is_one_for_all_loops() {
    let (origin, count) = numbering();
    let proxy = Proxy::start_with(&[THREADS], "");
    let mut there = three(&proxy);
    fs::write(proxy.file(), "[cache]\nenable = true\n").expect("an ini file");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    assert_eq!(all(&mut there, &origin.url("/x")), ["0", "0", "0"]);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

/// Clients that read nothing have a body that another loop has kept, and that goes meanwhile. It is larger than what the kernel takes.
#[test]
fn slow_clients_keep_what_they_read_and_it_counts_once() {
    let body = pattern(8_000_000, 3);
    let sent = body.clone();
    let (origin, _) = counting(move |request| match request.start().contains("/large") {
        true => ok("Cache-Control: max-age=600\r\n", &sent),
        false => ok("Cache-Control: max-age=600\r\n", &pattern(6_000_000, 1)),
    });
    let room = [("cache.size", "15000000"), ("cache.object-size", "8000000"), ("web.debug", "true")];
    let proxy = Proxy::start(&[&[ON, THREADS], &room[..]].concat());
    let (url, mut there) = (origin.url("/large"), three(&proxy));
    ask(&mut there[0], &url, "");
    let mut slow: Vec<Client> = (0..4).map(|_| Client::connect_small(proxy.address())).collect();
    slow.iter_mut().for_each(|client| client.send(client::get(&url)));
    proxy.wait_counter("cache.hit", 4);
    purge(&proxy, "all=true");
    assert_eq!((proxy.counter("cache.bytes"), proxy.counter("cache.objects")), (8_000_000, 0));
    for (client, number) in there.iter_mut().zip(0..) {
        ask(client, &origin.url(&format!("/{number}")), "");
        let (bytes, objects) = (proxy.counter("cache.bytes"), proxy.counter("cache.objects"));
        assert!(bytes <= 15_000_000 && objects == 1, "{objects} of {bytes}: there is room for one beside it");
    }
    let mut last = slow.pop().expect("one of them");
    drop(slow);
    assert!(last.reply().body == body);
    eventually("room is free again", || (proxy.counter("cache.bytes") < 7_000_000).then_some(()));
}
