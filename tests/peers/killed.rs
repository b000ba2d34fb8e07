//! Three proxies behind HAProxy, with the example of `conf/haproxy` and its times; one is killed under load. What it had in
//! hand is lost, and nothing else: HAProxy takes each new connection that it cannot bring there to another.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::haproxy::{nodes, possible, Balancer};
use crate::support::{client, eventually, Origin, Peer, Proxy, Wire};

/// Clients that ask without a pause, and others that have a request, or a tunnel, open when the proxy is killed.
const CLIENTS: u8 = 24;
const HOLDING: u8 = 6;

/// Requests before the kill and after it.
const BEFORE: usize = 500;
const AFTER: usize = 3000;

/// Requests that a client sends on one connection.
const KEPT: usize = 7;

/// HAProxy says of each connection where it came from and which proxy got it, once it has ended.
const LINE: &str = "defaults\n    log stdout format raw local0\n    log-format \"took %ci:%cp %s\"\n";

/// The one that is killed, as the example names it.
const KILLED: &str = "exaproxy1";

/// A request without an answer.
#[derive(Debug)]
struct Failure {
    from: SocketAddr,
    sent: Instant,
    /// It was not the first on its connection, so that its client may ask once more on another (RFC 9112 section 9.3.1).
    repeatable: bool,
    error: io::Error,
}

/// Answers each request with its target, those for `/held` when they are released.
fn serve(peer: &mut Peer) -> io::Result<()> {
    while let Some(request) = peer.request()? {
        let start = request.start();
        let target = start.split(' ').nth(1).unwrap_or_default();
        if target == "/held" {
            peer.hold()?;
        }
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len()))?;
    }
    Ok(())
}

/// Asks one thing after the other until it is told to stop, several on each connection.
fn ask(balancer: &Balancer, number: u8, url: &str, asked: &AtomicUsize, stop: &AtomicBool) -> Vec<Failure> {
    let (mut failures, mut kept) = (Vec::new(), None);
    while !stop.load(Ordering::Acquire) {
        let (mut wire, count): (Wire, usize) = match kept.take() {
            Some(kept) => kept,
            None => (balancer.client(number).expect("HAProxy takes each connection"), 0),
        };
        let (from, sent) = (wire.local(), Instant::now());
        match wire.send(client::get(url)).and_then(|()| wire.response("GET")) {
            Ok(reply) => {
                assert_eq!((reply.status(), reply.text().as_str()), (200, "/asked"), "{reply:?}");
                asked.fetch_add(1, Ordering::Release);
                kept = Some((wire, count + 1)).filter(|(_, count)| *count < KEPT);
            }
            Err(error) => failures.push(Failure { from, sent, repeatable: count > 0, error }),
        }
    }
    failures
}

/// Which proxy got the connections that have ended, by where they came from.
fn takers(balancer: &Balancer) -> BTreeMap<String, String> {
    let lines = balancer.said();
    let pairs = lines.lines().filter_map(|line| line.strip_prefix("took ")?.split_once(' '));
    pairs.map(|(from, taker)| (from.to_owned(), taker.to_owned())).collect()
}

/// Kills a proxy, and gives the moment at which it has ended: until then the kernel takes connections for it, which are among what it
/// had in hand.
fn kill(node: &mut Proxy) -> Instant {
    node.signal(Signal::SIGKILL);
    node.wait_exit();
    Instant::now()
}

/// Waits until it is known which proxy had this connection.
fn taker(balancer: &Balancer, from: SocketAddr) -> String {
    eventually(&format!("what HAProxy says of {from}"), || takers(balancer).remove(&from.to_string()))
}

#[test]
fn a_killed_proxy_fails_only_the_requests_that_it_had_in_hand() {
    if !possible() {
        return;
    }
    let mut nodes = nodes(&[&[]; 3]);
    // With the example's own time between two checks: for seconds HAProxy does not know what has happened.
    let balancer = Balancer::start(&nodes, &[("inter 50ms", "inter 2s"), ("defaults\n", LINE)]);
    let (origin, echo) = (Origin::start(serve), Origin::echo());
    let mut tunnels: Vec<Wire> = (0..HOLDING).map(|_| balancer.tunnel(100, &echo.address().to_string())).collect();
    let mut held: Vec<Wire> = (0..HOLDING).map(|_| balancer.client(101).expect("a connection")).collect();
    held.iter_mut().for_each(|wire| wire.send(client::get(&origin.url("/held"))).expect("a request is taken"));
    origin.wait_connections(HOLDING.into());

    let (url, asked, stop) = (origin.url("/asked"), AtomicUsize::new(0), AtomicBool::new(false));
    let wait_asked = |count| eventually("requests", || (asked.load(Ordering::Acquire) >= count).then_some(()));
    let (killed, failures) = std::thread::scope(|scope| {
        let work = |number| (number, &balancer, &url, &asked, &stop);
        let clients: Vec<_> = (1..=CLIENTS)
            .map(work)
            .map(|(number, balancer, url, asked, stop)| scope.spawn(move || ask(balancer, number, url, asked, stop)))
            .collect();
        wait_asked(BEFORE);
        let killed = kill(&mut nodes[0]);
        wait_asked(asked.load(Ordering::Acquire) + AFTER);
        balancer.wait_status(0, "DOWN");
        wait_asked(asked.load(Ordering::Acquire) + AFTER);
        stop.store(true, Ordering::Release);
        let failures: Vec<Failure> = clients.into_iter().flat_map(|one| one.join().expect("a client")).collect();
        (killed, failures)
    });

    let (in_flight, later): (Vec<&Failure>, Vec<&Failure>) = failures.iter().partition(|one| one.sent < killed);
    for failure in &failures {
        assert_eq!(taker(&balancer, failure.from), KILLED, "{failure:?}");
        assert_ne!(failure.error.kind(), io::ErrorKind::TimedOut, "its client is told at once: {failure:?}");
    }
    // A request that a client sends on a connection of the killed proxy before it sees the end of it.
    assert!(later.iter().all(|failure| failure.repeatable), "{later:?}");
    assert!(failures.len() <= usize::from(CLIENTS), "one request of each client at most: {failures:?}");

    // Of those that were open then, each proxy has its third.
    origin.release();
    let answered = held.iter_mut().map(|wire| (wire.local(), wire.response("GET"))).filter(|(from, reply)| {
        let lost = reply.as_ref().map_or(true, |reply| reply.text() != "/held");
        assert!(!lost || taker(&balancer, *from) == KILLED, "{reply:?}");
        !lost
    });
    assert_eq!(answered.count(), usize::from(HOLDING) * 2 / 3);
    let going = tunnels.iter_mut().map(|wire| (wire.local(), wire.send("still there").and_then(|()| wire.exact(11))));
    let going = going.filter(|(from, echoed)| {
        let lost = echoed.as_ref().map_or(true, |bytes| bytes != b"still there");
        assert!(!lost || taker(&balancer, *from) == KILLED, "{echoed:?}");
        !lost
    });
    assert_eq!(going.count(), usize::from(HOLDING) * 2 / 3);
    let all = asked.load(Ordering::Acquire);
    println!("{all} requests answered, {} lost in flight, {} to be repeated", in_flight.len(), later.len());
}
