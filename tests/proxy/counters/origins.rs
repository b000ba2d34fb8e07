//! Connections to origins: new ones, kept ones, those that are used again, and those that do not come about.

use std::net::SocketAddr;

use super::{ask, last_get, Stage, Step};
use crate::support::origin::serve_site;
use crate::support::{client, ports, Blackhole, Origin, Peer, Proxy};

pub struct Peers {
    site: Origin,
    echo: Origin,
    black: SocketAddr,
    _blackhole: Blackhole,
}

impl Peers {
    fn start() -> Peers {
        let black = SocketAddr::from(([127, 0, 0, 2], ports::next()));
        Peers { site: Origin::start(serve), echo: Origin::echo(), black, _blackhole: Blackhole::at(black) }
    }
}

/// Serves as ever, until a target says how the connection is to end.
fn serve(peer: &mut Peer) -> std::io::Result<()> {
    while let Some(request) = peer.request()? {
        let start = request.start();
        let end = if start.contains("/close ") { "Connection: close\r\n" } else { "" };
        peer.send(format!("HTTP/1.1 200 OK\r\n{end}Content-Length: 2\r\n\r\nok"))?;
        if start.contains("/leave ") || !end.is_empty() {
            return Ok(());
        }
    }
    Ok(())
}

fn see(stage: &Stage<Peers>, path: &str) {
    assert_eq!(ask(&stage.proxy, &last_get(&stage.peers.site.url(path))).text(), "ok");
}

pub const STEPS: &[Step<Peers>] = &[
    Step {
        what: "a connection is kept",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, servers.established 1, servers.idle 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "/"),
    },
    Step {
        what: "it is used again",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, origins.reused 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "/"),
    },
    Step {
        what: "it is used once more, and ends with that",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, origins.reused 1, servers.established -1, \
            servers.idle -1, exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "/close"),
    },
    Step {
        what: "an origin ends a connection that is kept",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "/leave"),
    },
    Step {
        what: "a connection that logs its user in stays with its client",
        moves: "clients.accepted 1, clients.requests 3, ended.client-left 1, origins.reused 2, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 3",
        act: |stage| {
            let mut client = stage.proxy.client();
            let url = stage.peers.site.url("/");
            let request = client::get(&url).replacen("\r\n", "\r\nAuthorization: NTLM TlRMTVNTUAAB\r\n", 1);
            for _ in 0..3 {
                client.send(&request);
                assert_eq!(client.reply().text(), "ok");
            }
        },
    },
    Step {
        what: "a tunnel has a connection",
        moves: "clients.accepted 1, clients.requests 1, clients.speaking 1, servers.established 1, \
            exaproxy_origin_connections{state=\"used\"} 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| {
            let mut client = stage.proxy.client();
            client.tunnel(&stage.peers.echo.address().to_string());
            stage.hold(client);
        },
    },
    Step {
        what: "a tunnel ends",
        moves: "ended.tunnel-reset 1, clients.speaking -1, servers.established -1, \
            exaproxy_origin_connections{state=\"used\"} -1",
        act: |stage| stage.held().reset(),
    },
    Step {
        what: "an origin is slow to answer",
        moves: "clients.accepted 1, clients.requests 1, clients.speaking 1, servers.opening 1",
        act: |stage| {
            let mut client = stage.proxy.client();
            client.send(client::get(&format!("http://{}/", stage.peers.black)));
            stage.hold(client);
        },
    },
    Step {
        what: "its client does not wait for it",
        moves: "ended.client-gone 1, clients.speaking -1, servers.opening -1",
        act: |stage| stage.held().reset(),
    },
    Step {
        what: "a kept connection is dead, and its request goes out on a new one",
        moves: "clients.accepted 2, clients.requests 2, ended.complete 2, origins.reused 1, \
            servers.established 1, servers.idle 1, \
            exaproxy_connect_seconds_count 2, families.ipv4.ipv4 2, exaproxy_request_seconds_count 2",
        act: |stage| {
            let origin = Origin::start(|peer| {
                let first = peer.number == 0;
                if first && peer.request()?.is_some() {
                    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
                    peer.request()?;
                    return Ok(());
                }
                serve_site(peer)
            });
            for _ in 0..2 {
                assert_eq!(ask(&stage.proxy, &last_get(&origin.url("/"))).status(), 200);
            }
        },
    },
];

#[test]
fn what_becomes_of_connections_counts_once() {
    Stage::new(Proxy::start(&[]), Peers::start()).play(STEPS);
}
