//! What the limits of single clients refuse.

use super::{ask, last_get, Stage, Step};
use crate::support::{client, eventually, Origin, Proxy};

pub const RATE: &[Step<()>] = &[
    Step {
        what: "a client asks for the first time",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, origins.failed 1, answers.connection_refused 1, \
            exaproxy_request_seconds_count 1, requests.allowed 1, requests.blocked 0, tunnels.allowed 0, tunnels.blocked 0",
        act: |stage| assert_eq!(ask(&stage.proxy, &last_get("http://127.0.0.1:2/")).status(), 502),
    },
    Step {
        what: "a client asks too often",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, answers.too_many_requests 1, \
            limits.rate.requests 1, exaproxy_request_seconds_count 1, requests.allowed 0, requests.blocked 1, \
            tunnels.allowed 0, tunnels.blocked 0",
        act: |stage| assert_eq!(ask(&stage.proxy, &last_get("http://127.0.0.1:2/")).status(), 429),
    },
    Step {
        what: "a client opens too many tunnels",
        moves: "clients.accepted 2, clients.requests 2, ended.answered 2, origins.failed 1, answers.connection_refused 1, \
            answers.too_many_requests 1, limits.rate.tunnels 1, exaproxy_request_seconds_count 2, \
            requests.allowed 0, requests.blocked 0, tunnels.allowed 1, tunnels.blocked 1",
        act: |stage| {
            for status in [502, 429] {
                assert_eq!(ask(&stage.proxy, "CONNECT 127.0.0.1:2 HTTP/1.1\r\nHost: 127.0.0.1:2\r\n\r\n").status(), status);
            }
        },
    },
];

pub const CONNECTIONS: &[Step<()>] = &[
    Step {
        what: "a client has a connection",
        moves: "clients.accepted 1, clients.speaking 1, clients.silent 1",
        act: |stage| stage.hold(stage.proxy.client()),
    },
    Step {
        what: "a client has too many connections",
        moves: "clients.accepted 2, clients.requests 2, ended.answered 2, answers.too_many_connections 2, \
            limits.connections.requests 1, limits.connections.tunnels 1, exaproxy_request_seconds_count 2, \
            requests.allowed 0, requests.blocked 1, tunnels.allowed 0, tunnels.blocked 1",
        act: |stage| {
            for request in [client::get("http://127.0.0.1:2/"), "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n".into()]
            {
                assert_eq!(ask(&stage.proxy, &request).status(), 503);
            }
        },
    },
    Step {
        what: "a client has too many that say nothing",
        moves: "clients.accepted 2, clients.speaking 1, clients.silent 1, ended.client-limit 1",
        act: |stage| {
            stage.hold(stage.proxy.client());
            eventually("two clients", || (stage.books.number("clients.speaking") == 2.0).then_some(()));
            stage.proxy.client().expect_close();
        },
    },
];

pub const TUNNEL: &[Step<Origin>] = &[Step {
    what: "a tunnel stands",
    moves: "clients.accepted 1, clients.requests 1, clients.speaking 1, clients.tunnels 1, tunnels.allowed 1, \
        requests.allowed 0, servers.established 1, exaproxy_origin_connections{state=\"used\"} 1, \
        exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
    act: |stage| {
        let mut client = stage.proxy.client();
        client.tunnel(&stage.peers.address().to_string());
        stage.hold(client);
    },
}];

#[test]
fn a_tunnel_is_counted_while_it_stands() {
    Stage::new(Proxy::start(&[]), Origin::echo()).play(TUNNEL);
}

#[test]
fn what_rates_refuse_counts_once() {
    Stage::new(Proxy::start(&[("http.client-requests", "1/h")]), ()).play(RATE);
}

#[test]
fn what_limits_of_connections_refuse_counts_once() {
    Stage::new(Proxy::start(&[("http.client-connections", "1")]), ()).play(CONNECTIONS);
}
