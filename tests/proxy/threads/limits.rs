//! Limits hold for the process, whichever loop a client is in.

use super::{clients, proxy};
use crate::support::{client, Client, Origin, Proxy};

/// Clients from another address of this machine.
fn others(proxy: &Proxy, last: u8, count: usize) -> Vec<Client> {
    (0..count).map(|_| Client::connect_from([127, 0, 0, last], proxy.address())).collect()
}

/// An origin that never answers.
fn silent() -> Origin {
    Origin::start(|peer| {
        peer.expect_request()?;
        peer.hold()
    })
}

/// Clients that wait for an answer that does not come.
fn waiting(proxy: &Proxy, origin: &Origin, count: usize) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..count).map(|_| proxy.client()).collect();
    clients.iter_mut().for_each(|client| client.send(client::get(&origin.url("/"))));
    origin.wait_connections(count);
    clients
}

#[test]
fn so_many_clients_and_no_more_are_let_in() {
    let (proxy, origin, silent) = (proxy("3", &[("http.connections", "6")]), Origin::site(), silent());
    let mut there = waiting(&proxy, &silent, 6);
    let mut late: Vec<Client> = (0..3).map(|_| proxy.client()).collect();
    late.iter_mut().for_each(|client| client.send(client::get(&origin.url("/late"))));
    proxy.wait_log("is full: 6 clients, the limit is 6");
    assert_eq!(proxy.clients(), 6);
    // Whichever leaves, its place is the next one's.
    for (number, mut next) in [4, 3, 1].into_iter().zip(late) {
        drop(there.remove(number));
        assert_eq!(next.reply().text(), "/late");
        there.push(next);
    }
    proxy.wait_clients(6);
}

#[test]
fn a_client_with_many_places_gives_some_up_whichever_loops_they_are_in() {
    let (proxy, origin, silent) = (proxy("2", &[("http.connections", "8")]), Origin::site(), silent());
    let _greedy = waiting(&proxy, &silent, 8);
    for mut other in others(&proxy, 9, 3) {
        assert_eq!(other.get(&origin.url("/fair")).text(), "/fair");
    }
    proxy.wait_log("127.0.0.1 has 8 connections to http proxy, more than others");
}

#[test]
fn connections_of_one_client_are_counted_over_all_loops() {
    let (proxy, origin) = (proxy("3", &[("http.client-connections", "5")]), Origin::site());
    let there = clients(&proxy, &origin, 5);
    for _ in 0..4 {
        let mut more = proxy.client();
        more.send(client::get(&origin.url("/")));
        assert_eq!(more.reply().status(), 503);
    }
    assert_eq!(others(&proxy, 2, 1)[0].get(&origin.url("/other")).text(), "/other");
    // The log hears of it from one loop.
    proxy.wait_log("a request of 127.0.0.1 was refused");
    assert_eq!(proxy.log().matches("a request of 127.0.0.1 was refused").count(), 1, "{}", proxy.log());
    drop(there);
    proxy.wait_clients(0);
    clients(&proxy, &origin, 5);
}

#[test]
fn requests_of_one_client_are_counted_over_all_loops() {
    let (proxy, origin) = (proxy("2", &[("http.client-requests", "1/h")]), Origin::site());
    let mut there: Vec<Client> = (0..4).map(|_| proxy.client()).collect();
    // A rate of one an hour lets one pass.
    let mut passed = 0;
    for client in &mut there {
        passed += usize::from(client.get(&origin.url("/")).status() == 200);
    }
    assert_eq!(passed, 1);
    assert_eq!(others(&proxy, 2, 1)[0].get(&origin.url("/")).status(), 200);
}
