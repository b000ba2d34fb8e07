//! Connections to origins that one loop has kept and another uses: what loops offer one another.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use nix::sys::signal::Signal;

use super::hang::{thread, Held};
use super::{clients, proxy};
use crate::support::origin::serve_site;
use crate::support::{client, eventually, Client, Origin, Peer, Proxy};

/// So few kept connections that no loop has a place of its own for one, so that each is offered at once.
const FEW: (&str, &str) = ("http.pool", "3");

/// A client in each loop, in the order of the loops. None has asked for anything.
fn one_each(proxy: &Proxy, loops: usize) -> Vec<Client> {
    let mut there: BTreeMap<u64, Client> = BTreeMap::new();
    let mut spare = Vec::new();
    for number in 1..=20 {
        let client = Client::connect_from([127, 0, 1, number], proxy.address());
        let own = eventually("its loop", || {
            let page = proxy.monitor_page(&format!("/json/sessions?client=127.0.1.{number}"));
            let page: serde_json::Value = serde_json::from_str(&page).expect("JSON");
            page["sessions"][0]["loop"].as_u64()
        });
        spare.extend(there.insert(own, client));
        if there.len() == loops {
            return there.into_values().collect();
        }
    }
    panic!("clients in {} of {loops} loops", there.len());
}

#[test]
fn a_client_uses_the_connection_that_a_client_of_another_loop_has_left() {
    for threads in [2, 3] {
        let (proxy, origin) = (proxy(&threads.to_string(), &[FEW]), Origin::site());
        let mut there = one_each(&proxy, threads);
        for round in 0..4 {
            for client in &mut there {
                let path = format!("/{round}");
                assert_eq!(client.get(&origin.url(&path)).text(), path);
                // It is put back behind the response.
                proxy.wait_counter("servers.idle", 1);
            }
        }
        assert_eq!(origin.connections(), 1);
        let counters = proxy.counters();
        assert_eq!((counters["origins.reused"], counters["servers.established"]), (4 * threads as i64 - 1, 1));
        assert!(proxy.monitor_page("/end-point/servers.html").contains("127.0.0.1"));
    }
}

#[test]
fn what_a_loop_has_not_used_for_a_moment_is_for_all() {
    let (proxy, origin) = (proxy("2", &[("log.level", "DEBUG")]), Origin::site());
    let mut there = one_each(&proxy, 2);
    for (number, client) in there.iter_mut().enumerate() {
        assert_eq!(client.get(&origin.url("/")).text(), "/");
        proxy.wait_log_times("offering a connection to", number + 1);
    }
    // What it has offered itself it takes back.
    assert_eq!(there[1].get(&origin.url("/again")).text(), "/again");
    assert_eq!((origin.connections(), proxy.counter("origins.reused")), (1, 2));
    assert_eq!(proxy.log().matches("taking a connection to").count(), 1);
}

#[test]
fn together_they_keep_no_more_than_the_pool_has_places() {
    for (threads, pool) in [(2, 1), (2, 3), (3, 5), (3, 40), (2, 0)] {
        let pool_text = pool.to_string();
        // With fewer clients there are descriptors for all.
        let options = [("http.pool", pool_text.as_str()), ("http.connections", "100")];
        let proxy = proxy(&threads.to_string(), &options);
        assert!(proxy.monitor_page("/metrics").contains(&format!("\nexaproxy_origin_connections_idle_limit {pool}\n")));
        let origin = Origin::start(|peer| {
            peer.expect_request()?;
            peer.hold()?;
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
            serve_site(peer)
        });
        let count = 12;
        let mut there: Vec<Client> = (0..count).map(|_| proxy.client()).collect();
        there.iter_mut().for_each(|client| client.send(client::get(&origin.url("/"))));
        origin.wait_connections(count);
        origin.release();
        there.iter_mut().for_each(|client| assert_eq!(client.reply().text(), "ok"));
        origin.wait_ended(count.saturating_sub(pool));
        eventually("what is kept", || {
            let counters = proxy.counters();
            let kept = counters["servers.idle"];
            assert!(kept <= pool as i64, "{kept} of {pool} are kept");
            (counters["servers.established"] == kept).then_some(())
        });
    }
}

/// Serves a request, and when it is told to, says what no request has asked for, or ends. It notes that it has.
fn forward(says: &'static str, said: &Arc<AtomicBool>) -> Origin {
    let said = Arc::clone(said);
    Origin::start(move |peer: &mut Peer| -> io::Result<()> {
        if peer.number > 0 {
            return serve_site(peer);
        }
        peer.expect_request()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst")?;
        peer.hold()?;
        match says {
            "" => peer.shut()?,
            _ => peer.send(says)?,
        }
        said.store(true, Ordering::SeqCst);
        peer.request().map(drop)
    })
}

#[test]
fn one_that_its_origin_has_ended_or_that_says_something_unasked_is_used_by_no_loop() {
    for says in ["", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse"] {
        for hangs in [false, true] {
            let said = Arc::default();
            let (proxy, origin) = (proxy("2", &[FEW]), forward(says, &said));
            let mut there = one_each(&proxy, 2);
            assert_eq!(there[1].get(&origin.url("/")).text(), "first");
            proxy.wait_counter("servers.idle", 1);
            // The loop that has offered it sees what its origin does, or hangs.
            let held = hangs.then(|| Held::new(thread(&proxy, "loop 1")));
            if matches!(held, Some(None)) {
                continue;
            }
            origin.release();
            eventually("what the origin does", || said.load(Ordering::SeqCst).then_some(()));
            if !hangs {
                proxy.wait_counter("servers.idle", 0);
            }
            assert_eq!(there[0].get(&origin.url("/second")).text(), "/second", "{says:?} {hangs}");
            assert_eq!(proxy.counter("origins.reused"), 0, "{says:?} {hangs}");
        }
    }
}

#[test]
fn what_is_offered_ends_with_its_time_and_with_a_reload_that_keeps_none() {
    let (proxy_a, origin) = (proxy("3", &[FEW, ("http.pool-timeout", "1")]), Origin::site());
    clients(&proxy_a, &origin, 3);
    origin.wait_ended(1);
    proxy_a.wait_counter("servers.established", 0);
    let proxy = Proxy::start_with(&[("daemon.threads", "3")], "[http]\npool = 3\n");
    let origin = Origin::site();
    let mut there = clients(&proxy, &origin, 3);
    std::fs::write(proxy.file(), "[http]\npool = 0\n").expect("an ini file");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    proxy.wait_counter("servers.established", 0);
    let made = origin.connections();
    origin.wait_ended(made);
    there.iter_mut().for_each(|client| assert_eq!(client.get(&origin.url("/")).text(), "/"));
    origin.wait_ended(made + 3);
}

#[test]
fn the_connection_of_one_client_alone_is_offered_to_none() {
    let (proxy, origin) = (proxy("2", &[FEW]), Origin::site());
    let mut there = one_each(&proxy, 2);
    let login = "Authorization: NTLM TlRMTVNTUAAB\r\n";
    there[0].send(format!("GET {} HTTP/1.1\r\nHost: h\r\n{login}\r\n", origin.url("/own")));
    assert_eq!(there[0].reply().text(), "/own");
    assert_eq!(there[1].get(&origin.url("/other")).text(), "/other");
    proxy.wait_counter("servers.idle", 1);
    assert_eq!((origin.connections(), proxy.counter("origins.reused")), (2, 0));
}

#[test]
fn a_request_that_cannot_be_repeated_goes_out_on_a_new_connection() {
    let (proxy, origin) = (proxy("2", &[FEW]), Origin::site());
    let mut there = one_each(&proxy, 2);
    assert_eq!(there[0].get(&origin.url("/")).text(), "/");
    proxy.wait_counter("servers.idle", 1);
    there[1].send(format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody", origin.url("/")));
    assert_eq!(there[1].reply().text(), "body");
    assert_eq!((origin.connections(), proxy.counter("origins.reused")), (2, 0));
}
