//! Requests that wait for a helper: their order, their number, and that a client that has left holds no place.

use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use super::{assert_failed, get, send_get};
use crate::support::{client, Client, Gate, Helpers, Origin, Proxy, Wire};

/// The paths that helpers were asked about, in order.
fn paths(helpers: &Helpers) -> Vec<String> {
    let path = |line: &String| line.split(['/', ' ']).nth(1).unwrap_or_default().to_owned();
    helpers.asked().iter().map(path).collect()
}

/// Sends a request and waits until it stands in the queue, so that the order of arrival is certain.
fn queue_up(proxy: &Proxy, origin: &Origin, number: i64) -> Client {
    let client = send_get(proxy, origin, &format!("/{number}"));
    proxy.wait_counter("queue.size", number);
    client
}

#[test]
fn requests_are_asked_about_in_the_order_of_their_arrival() {
    let gate = Gate::default();
    let helpers = Helpers::gated(&gate);
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    let clients: Vec<_> = (0..12).map(|number| queue_up(&proxy, &origin, number)).collect();
    gate.open_for(12);
    for (number, mut client) in clients.into_iter().enumerate() {
        assert_eq!(client.reply().text(), format!("/{number}"));
    }
    let expected: Vec<String> = (0..12).map(|number| number.to_string()).collect();
    assert_eq!(paths(&helpers), expected);
}

/// Sends a request of this client and waits until it stands in the queue.
fn queue_up_as(proxy: &Proxy, origin: &Origin, who: &str, path: &str, number: i64) -> Client {
    let mut client = proxy.client();
    client.send(format!("GET {} HTTP/1.1\r\nHost: h\r\nX-Client: {who}\r\n\r\n", origin.url(path)));
    proxy.wait_counter("queue.size", number);
    client
}

/// A client with thousands of requests held all others up for as long as its own took.
#[test]
fn b2_clients_take_turns_at_the_helpers() {
    let gate = Gate::default();
    let helpers = Helpers::gated(&gate);
    let proxy = helpers.proxy(&[("http.forward", "x-client"), ("redirector.queue", "10")]);
    let origin = Origin::site();
    let mut clients = vec![queue_up_as(&proxy, &origin, "192.0.2.1", "/a0", 0)];
    helpers.wait_asked(1);
    clients.extend((1..11).map(|number| queue_up_as(&proxy, &origin, "192.0.2.1", &format!("/a{number}"), number)));
    // The queue is full, and the newest question of the client that has most gives way.
    for (path, displaced) in [("/b0", 10), ("/b1", 9)] {
        clients.push(queue_up_as(&proxy, &origin, "192.0.2.2", path, 10));
        assert_eq!(clients[displaced].reply().status(), 503, "{path}");
    }
    gate.open_for(11);
    for client in &mut clients[..9] {
        assert_eq!(client.reply().status(), 200);
    }
    assert_eq!(paths(&helpers)[..6], ["a0", "b0", "a1", "b1", "a2", "a3"]);
}

/// All helpers were busy with one client's requests, so that each of another's waited for the end of one of them.
#[test]
fn b2_a_helper_is_kept_free_for_who_asked_lately() {
    let gate = Gate::default();
    let helpers = Helpers::start({
        let gate = gate.clone();
        move |desk| {
            while let Some(line) = desk.line()? {
                if line.contains("/a") {
                    gate.pass()?;
                }
                desk.say("\n")?;
            }
            Ok(())
        }
    });
    let bounds = [("redirector.minimum", "5"), ("redirector.maximum", "5"), ("http.forward", "x-client")];
    let proxy = helpers.proxy(&bounds);
    let origin = Origin::site();
    helpers.wait_started(5);
    proxy.wait_counter("processes.forked", 5);
    let ask = |who: &str, path: &str| {
        let mut client = proxy.client();
        client.send(format!("GET {} HTTP/1.1\r\nHost: h\r\nX-Client: {who}\r\n\r\n", origin.url(path)));
        client
    };
    let mut greedy: Vec<Client> = (0..12).map(|number| ask("192.0.2.1", &format!("/a{number}"))).collect();
    helpers.wait_asked(5);
    proxy.wait_counter("queue.size", 7);
    let mut first = ask("192.0.2.2", "/b0");
    proxy.wait_counter("queue.size", 8);
    gate.open();
    assert_eq!(first.reply().text(), "/b0");
    for number in 1..=20 {
        assert_eq!(ask("192.0.2.2", &format!("/b{number}")).reply().text(), format!("/b{number}"));
        assert_eq!(proxy.counter("queue.size"), 7, "four helpers think about what the greedy one asked");
    }
    gate.open_for(11);
    greedy.iter_mut().for_each(|client| assert_eq!(client.reply().status(), 200));
}

/// A request that lost its helper takes its old place: it is older than all that wait.
#[test]
fn a_request_that_is_asked_again_is_first() {
    let gate = Gate::default();
    let helpers = Helpers::start({
        let gate = gate.clone();
        move |desk| {
            if desk.number == 0 {
                desk.line()?;
                gate.pass()?;
                return desk.exit(1);
            }
            desk.permit_through(&gate)
        }
    });
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    let clients: Vec<_> = (0..4).map(|number| queue_up(&proxy, &origin, number)).collect();
    gate.open_for(5);
    for (number, mut client) in clients.into_iter().enumerate() {
        assert_eq!(client.reply().text(), format!("/{number}"));
    }
    assert_eq!(paths(&helpers), ["0", "0", "1", "2", "3"]);
}

#[test]
fn row_3_a_full_queue_sheds_by_policy() {
    for (policy, status) in [("error", 503), ("deny", 403), ("permit", 200)] {
        let gate = Gate::default();
        let helpers = Helpers::gated(&gate);
        let proxy = helpers.proxy(&[("redirector.queue", "2"), ("redirector.on-failure", policy)]);
        let origin = Origin::site();
        let waiting: Vec<_> = (0..3).map(|number| queue_up(&proxy, &origin, number)).collect();
        for _ in 0..5 {
            let reply = get(&proxy, &origin, "/shed");
            assert_eq!(reply.status(), status, "{policy}: {reply:?}");
        }
        assert_eq!(proxy.counter("helpers.refused"), 5);
        assert_eq!(proxy.counter("queue.size"), 2);
        gate.open_for(3);
        for (number, mut client) in waiting.into_iter().enumerate() {
            assert_eq!(client.reply().text(), format!("/{number}"), "{policy}");
        }
        assert!(!helpers.asked().iter().any(|line| line.contains("/shed")), "{policy}");
        gate.open();
        assert_eq!(get(&proxy, &origin, "/later").text(), "/later", "{policy}");
    }
}

#[test]
fn a_queue_of_none_asks_whoever_is_free() {
    let gate = Gate::default();
    let helpers = Helpers::gated(&gate);
    let proxy = helpers.proxy(&[("redirector.queue", "0")]);
    let origin = Origin::site();
    helpers.wait_started(1);
    proxy.wait_counter("processes.forked", 1);
    gate.open();
    crate::support::eventually("a free helper", || (get(&proxy, &origin, "/x").status() == 200).then_some(()));
    let mut first = send_get(&proxy, &origin, "/first");
    proxy.wait_counter("helpers.asked", 2);
    assert_failed(&get(&proxy, &origin, "/second"));
    gate.open();
    assert_eq!(first.reply().text(), "/first");
}

/// How clients leave: with a reset, with a close, or with both directions shut down.
#[test]
fn a_client_that_leaves_the_queue_frees_its_place() {
    let gate = Gate::default();
    let helpers = Helpers::gated(&gate);
    let proxy = helpers.proxy(&[("redirector.queue", "3")]);
    let origin = Origin::site();
    let leave: [fn(Client); 3] = [Client::reset, drop, |mut client| client.shut()];
    let mut first = queue_up(&proxy, &origin, 0);
    for round in leave {
        let waiting: Vec<_> = (1..4).map(|number| queue_up(&proxy, &origin, number)).collect();
        for (left, client) in waiting.into_iter().enumerate() {
            round(client);
            proxy.wait_counter("queue.size", 2 - i64::try_from(left).expect("a small number"));
        }
    }
    proxy.wait_clients(1);
    gate.open_for(2);
    assert_eq!(first.reply().text(), "/0");
    assert_eq!(get(&proxy, &origin, "/last").text(), "/last");
    // No helper was asked about the clients that left.
    assert_eq!(paths(&helpers), ["0", "last"]);
}

#[test]
fn a_client_that_leaves_while_its_helper_thinks_is_gone() {
    let gate = Gate::default();
    let helpers = Helpers::gated(&gate);
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    helpers.wait_started(1);
    let before = proxy.descriptors();
    for round in 1..=5 {
        let client = send_get(&proxy, &origin, "/gone");
        helpers.wait_asked(round);
        client.reset();
        proxy.wait_clients(0);
        gate.open();
        proxy.wait_counter("helpers.answered", i64::try_from(round).expect("a small number"));
    }
    assert_eq!(helpers.pids().len(), 1, "the helper is not to blame");
    assert_eq!(origin.connections(), 0, "nobody asked for a connection any more");
    crate::support::eventually("descriptors back", || (proxy.descriptors() <= before).then_some(()));
}

/// Five helpers that take their time, five hundred requests: each is answered, in the order of arrival, while a tunnel
/// and the monitor are used as if nothing was.
#[test]
fn row_3_many_requests_wait_for_few_helpers() {
    const REQUESTS: usize = 500;
    const BATCH: usize = 50;
    let (gate, read) = (Gate::default(), Arc::new(Mutex::new(Vec::new())));
    let helpers = Helpers::start({
        let (gate, read) = (gate.clone(), Arc::clone(&read));
        move |desk| {
            while let Some(line) = desk.line()? {
                let number = line.split(['/', ' ']).nth(1).and_then(|word| word.parse::<usize>().ok());
                read.lock().expect("no holder panics").extend(number.map(|number| (desk.number, number)));
                gate.pass()?;
                desk.say("\n")?;
            }
            Ok(())
        }
    });
    let proxy = helpers.proxy(&[("redirector.minimum", "5"), ("redirector.maximum", "5")]);
    let origin = Origin::site();
    let echo = Origin::echo();
    gate.open();
    let mut tunnel = proxy.client();
    tunnel.tunnel(&echo.address().to_string());
    helpers.wait_started(5);
    let memory = proxy.rss();
    let mut clients = Vec::new();
    for number in 0..REQUESTS {
        clients.push(send_get(&proxy, &origin, &format!("/{number}")));
        if number % BATCH == BATCH - 1 {
            // Those sent together arrive in any order; each batch is there before the next is sent.
            crate::support::eventually("a batch in the queue", || {
                let there = proxy.counter("queue.size") + 5;
                (there >= i64::try_from(number + 1).expect("a small number")).then_some(())
            });
        }
    }
    assert_eq!(proxy.counter("queue.size"), 495);
    assert!(proxy.rss() - memory < 16 << 20, "{} bytes for {REQUESTS} requests", proxy.rss() - memory);
    gate.open_for(REQUESTS);
    for (number, mut client) in clients.into_iter().enumerate() {
        tunnel.send("still there");
        assert_eq!(tunnel.read(11), b"still there");
        assert_eq!(client.reply().text(), format!("/{number}"));
        if number % 100 == 0 {
            proxy.counters();
        }
    }
    proxy.wait_counter("queue.size", 0);
    // And one for the tunnel.
    assert_eq!(helpers.asked().len(), REQUESTS + 1);
    let read = read.lock().expect("no holder panics").clone();
    // A helper that gets no processor notes its question late, so only what one and the same has read can be compared.
    for one in 0..5 {
        let numbers: Vec<usize> = read.iter().filter(|(who, _)| *who == one).map(|(_, number)| *number).collect();
        let turned = numbers.windows(2).find(|pair| pair[1] + BATCH < pair[0]);
        assert!(turned.is_none(), "{turned:?} were asked about in this order");
    }
}

/// Thousands of clients that come and go while helpers decide nothing leave nothing behind.
#[test]
fn a_stampede_of_clients_that_give_up_leaves_nothing() {
    let gate = Gate::default();
    let helpers = Helpers::gated(&gate);
    let proxy = helpers.proxy(&[("redirector.queue", "100")]);
    let origin = Origin::site();
    let mut first = queue_up(&proxy, &origin, 0);
    let descriptors = proxy.descriptors();
    for _ in 0..20 {
        // A plain close that comes with the request may be the half close of a client that listens on; a reset is not.
        let wave: Vec<Wire> = (0..60).map(|_| leaver(&proxy, &origin)).collect();
        wave.into_iter().for_each(|client| client.reset().expect("linger of zero"));
    }
    proxy.wait_counter("queue.size", 0);
    proxy.wait_clients(1);
    crate::support::eventually("descriptors back", || (proxy.descriptors() <= descriptors).then_some(()));
    gate.open();
    assert_eq!(first.reply().text(), "/0");
}

fn leaver(proxy: &Proxy, origin: &Origin) -> Wire {
    let stream = TcpStream::connect(proxy.address()).expect("a connection");
    let mut wire = Wire::new(stream).expect("socket options");
    wire.send(client::get(&origin.url("/given-up"))).expect("the proxy takes it");
    wire
}

/// The question of a client that is gone before a helper has got it is put before none. A helper that was to get it would
/// owe a reply for ever, and be killed for that.
#[test]
fn clients_that_leave_at_once_keep_no_helper_busy() {
    let origin = Origin::site();
    for threads in ["1", "3"] {
        let helpers = Helpers::permitting();
        let few = [("redirector.minimum", "2"), ("redirector.maximum", "2"), ("daemon.threads", threads)];
        let proxy = helpers.proxy(&few);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        let mut client = proxy.client();
                        client.get(&origin.url("/stayed"));
                        client.send(client::get(&origin.url("/left")));
                        client.reset();
                    }
                });
            }
        });
        proxy.wait_clients(0);
        proxy.assert_serves();
        crate::support::eventually("a reply to each question", || {
            let counters = proxy.counters();
            (counters["helpers.asked"] == counters["helpers.answered"]).then_some(())
        });
        assert_eq!((proxy.counter("helpers.hung"), proxy.counter("helpers.lost")), (0, 0));
        assert!(proxy.counter("helpers.asked") > 1, "helpers were asked");
    }
}
