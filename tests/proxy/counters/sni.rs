//! How tunnels begin, and why they are refused for it.

use std::net::{Ipv4Addr, SocketAddr};

use super::{Stage, Step};
use crate::support::{client_hello, ports, Client, Origin, Proxy};

pub struct Peers {
    echo: Origin,
    // The file is looked at while the proxy runs.
    _folder: tempfile::TempDir,
}

/// Sends a hello, or something else, in a tunnel that is refused.
fn refused(stage: &Stage<Peers>, bytes: &[u8]) {
    let mut client = stage.proxy.client();
    client.tunnel(&format!("a.test:{}", stage.peers.echo.port()));
    client.send(bytes);
    client.rest();
}

pub const STEPS: &[Step<Peers>] = &[
    Step {
        what: "a hello names the host of its tunnel",
        moves: "clients.accepted 1, clients.requests 1, tunnels.allowed 1, dns.lookups 1, dns.cached 1, ended.tunnel-end 1, sni.matched 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| {
            let (mut client, hello) = (stage.proxy.client(), client_hello(Some("a.test"), false));
            client.tunnel(&format!("a.test:{}", stage.peers.echo.port()));
            client.send(&hello);
            client.read(hello.len());
            client.shut();
            client.expect_close();
        },
    },
    Step {
        what: "a hello names another host",
        moves: "clients.accepted 1, clients.requests 1, tunnels.allowed 1, dns.lookups 1, dns.cached 1, ended.refused 1, sni.mismatch 1, answers.sni_mismatch 1, tunnels.blocked 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| refused(stage, &client_hello(Some("b.test"), false)),
    },
    Step {
        what: "a hello names no host",
        moves: "clients.accepted 1, clients.requests 1, tunnels.allowed 1, dns.lookups 1, dns.cached 1, ended.refused 1, sni.missing 1, answers.sni_missing 1, tunnels.blocked 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| refused(stage, &client_hello(None, true)),
    },
    Step {
        what: "a hello names another host and may hide one",
        moves: "clients.accepted 1, clients.requests 1, tunnels.allowed 1, dns.lookups 1, dns.cached 1, ended.refused 1, sni.ech 1, answers.sni_ech 1, tunnels.blocked 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| refused(stage, &client_hello(Some("b.test"), true)),
    },
    Step {
        what: "a hello cannot be read",
        moves: "clients.accepted 1, clients.requests 1, tunnels.allowed 1, dns.lookups 1, dns.cached 1, ended.refused 1, sni.unread 1, answers.bad_hello 1, tunnels.blocked 0, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| refused(stage, b"\x16\x03\x01\x00\x00"),
    },
    Step {
        what: "a tunnel begins with something else",
        moves: "clients.accepted 1, clients.requests 1, tunnels.allowed 1, dns.lookups 1, dns.cached 1, ended.refused 1, sni.other 1, answers.not_tls 1, tunnels.blocked 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| refused(stage, b"SSH-2.0-x\r\n"),
    },
];

#[test]
fn how_tunnels_begin_counts_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 a.test\n").expect("a file");
    let options = [
        ("dns.hosts", hosts.to_str().expect("a path of text")),
        ("security.sni", "enforce"),
        ("security.ech", "refuse"),
        ("security.tunnels", "tls"),
    ];
    Stage::new(Proxy::start(&options), Peers { echo: Origin::echo(), _folder: folder }).play(STEPS);
}

/// What happens where connections of TLS come in; the number is the port.
pub const NOWHERE: &[Step<u16>] = &[Step {
    what: "a connection of TLS names no host and was not diverted",
    moves: "clients.accepted 1, clients.requests 1, ended.refused 1, answers.no_destination 1",
    act: |stage| {
        let mut client = Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, stage.peers)));
        client.send(client_hello(None, false));
        client.rest();
    },
}];

#[test]
fn a_connection_that_leads_nowhere_counts_once() {
    let port = ports::next();
    Stage::new(Proxy::start(&[("tls.enable", "true"), ("tls.port", &port.to_string())]), port).play(NOWHERE);
}
