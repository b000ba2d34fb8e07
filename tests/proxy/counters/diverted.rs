//! What diverted connections count, and the numbers of each listener.

use std::net::SocketAddr;

use super::{Stage, Step};
use crate::support::{eventually, ports, Client, Proxy, Refusing};

/// A port that refuses, and the listener for diverted connections.
pub struct Peers {
    refusing: Refusing,
    at: SocketAddr,
}

/// The numbers of each listener, which move with those of all together.
pub const KEYS: &[&str] =
    &["exaproxy_listener_clients", "exaproxy_listener_connections_total", "exaproxy_listener_clients_limit"];

pub const STEPS: &[Step<Peers>] = &[Step {
    what: "a host is not where its connection was going",
    moves: "clients.accepted 1, clients.requests 1, ended.answered 1, host_mismatch 1, answers.host_mismatch 1, \
        exaproxy_request_seconds_count 1",
    act: |stage| {
        let to = stage.peers.refusing.address();
        let mut client = Client::connect(stage.peers.at);
        let header = format!("PROXY TCP4 203.0.113.7 {} 5000 {}\r\n", to.ip(), to.port());
        client.send(format!("{header}GET / HTTP/1.1\r\nHost: 127.0.0.9:{}\r\nConnection: close\r\n\r\n", to.port()));
        assert_eq!(client.reply().status(), 403);
        client.expect_close();
    },
}];

fn start() -> Stage<Peers> {
    let port = ports::next();
    let host = format!("127.0.0.1:{port} proxied");
    let options = [("intercept.enable", "true"), ("intercept.host", &host[..]), ("intercept.host-check", "refuse")];
    let at = SocketAddr::from(([127, 0, 0, 1], port));
    Stage::new(Proxy::start(&options), Peers { refusing: Refusing::new(), at })
}

#[test]
fn what_diverted_connections_do_counts_once() {
    start().play(STEPS);
}

#[test]
fn each_listener_counts_its_own_clients() {
    let stage = start();
    let number = |family: &str, kind: &str, at: SocketAddr| {
        stage.books.number(&format!("exaproxy_{family}{{kind=\"{kind}\",address=\"{at}\"}}"))
    };
    let counts = || {
        let (other, own) = (("http proxy", stage.proxy.address()), ("http interception", stage.peers.at));
        [other, own]
            .map(|(kind, at)| (number("listener_clients", kind, at), number("listener_connections_total", kind, at)))
    };
    let [(_, before), _] = counts();
    let _clients = [Client::connect(stage.peers.at), stage.proxy.client(), Client::connect(stage.peers.at)];
    eventually("clients at their listeners", || (counts() == [(1.0, before + 1.0), (2.0, 2.0)]).then_some(()));
    assert!(stage.books.number("exaproxy_listener_clients_limit{kind=\"http interception\"}") > 1.0);
}
