//! Which way clients go: what they come by, and the family of the address that is connected to for them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::{last_get, Client, Stage, Step};
use crate::support::origin::serve_site;
use crate::support::{Origin, Proxy};

pub struct Peers {
    four: Origin,
    six: Origin,
    folder: tempfile::TempDir,
}

impl Peers {
    fn start() -> Peers {
        let six = Origin::on(IpAddr::V6(Ipv6Addr::LOCALHOST), serve_site);
        Peers { four: Origin::site(), six, folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("proxy")
    }
}

fn by_six(stage: &Stage<Peers>) -> Client {
    Client::connect(SocketAddr::from((Ipv6Addr::LOCALHOST, stage.proxy.port())))
}

fn by_unix(stage: &Stage<Peers>) -> Client {
    Client::connect_path(&stage.peers.path())
}

fn see(mut client: Client, origin: &Origin) {
    client.send(last_get(&origin.url("/x")));
    assert_eq!(client.reply().text(), "/x");
    client.expect_close();
}

pub const STEPS: &[Step<Peers>] = &[
    Step {
        what: "IPv4 to IPv4",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, exaproxy_request_seconds_count 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1",
        act: |stage| see(stage.proxy.client(), &stage.peers.four),
    },
    Step {
        what: "IPv4 to IPv6",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, exaproxy_request_seconds_count 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv6 1",
        act: |stage| see(stage.proxy.client(), &stage.peers.six),
    },
    Step {
        what: "IPv6 to IPv4",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, exaproxy_request_seconds_count 1, \
            exaproxy_connect_seconds_count 1, families.ipv6.ipv4 1",
        act: |stage| see(by_six(stage), &stage.peers.four),
    },
    Step {
        what: "IPv6 to IPv6",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, exaproxy_request_seconds_count 1, \
            exaproxy_connect_seconds_count 1, families.ipv6.ipv6 1",
        act: |stage| see(by_six(stage), &stage.peers.six),
    },
    Step {
        what: "Unix socket to IPv4",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, exaproxy_request_seconds_count 1, \
            exaproxy_connect_seconds_count 1, families.unix.ipv4 1",
        act: |stage| see(by_unix(stage), &stage.peers.four),
    },
    Step {
        what: "Unix socket to IPv6",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, exaproxy_request_seconds_count 1, \
            exaproxy_connect_seconds_count 1, families.unix.ipv6 1",
        act: |stage| see(by_unix(stage), &stage.peers.six),
    },
];

#[test]
fn each_connection_counts_for_the_way_that_it_is_on() {
    let peers = Peers::start();
    let path = peers.path();
    let unix = path.to_str().expect("a path in UTF-8");
    let proxy = Proxy::start(&[("tcp6.listen", "true"), ("http.pool", "0"), ("unix.path", unix)]);
    let stage = Stage::new(proxy, peers);
    stage.play(STEPS);
    let page = stage.proxy.monitor_page("/end-point/servers.html");
    let rows = ["IPv4", "IPv6", "Unix socket"]
        .map(|by| format!("<th scope=\"row\">{by}</th><td class=\"number\">1</td><td class=\"number\">1</td>"));
    rows.iter().for_each(|row| assert!(page.contains(row), "{row}: {page}"));
}
