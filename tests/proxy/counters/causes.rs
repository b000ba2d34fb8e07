//! Why the proxy answers for itself: each cause once, by the error types of RFC 9209.

use std::process::Command;

use super::{ask, last_get, Stage, Step};
use crate::support::{client, eventually, skip, Origin, Proxy, Refusing};

/// A port that refuses.
pub struct Peers {
    refusing: Refusing,
}

/// What an origin says once, and the step that it makes.
fn says(stage: &Stage<Peers>, response: impl Into<Vec<u8>>) {
    let origin = Origin::once(response);
    let reply = ask(&stage.proxy, &last_get(&origin.url("/")));
    assert_eq!(reply.status(), 502, "{reply:?}");
}

pub const STEPS: &[Step<Peers>] = &[
    Step {
        what: "an origin refuses the connection",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, origins.failed 1, \
            answers.connection_refused 1, exaproxy_request_seconds_count 1",
        act: |stage| {
            let url = format!("http://{}/", stage.peers.refusing.address());
            assert_eq!(ask(&stage.proxy, &last_get(&url)).status(), 502);
        },
    },
    Step {
        what: "an address is forbidden",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, origins.refused 1, \
            answers.destination_ip_prohibited 1, exaproxy_request_seconds_count 1",
        act: |stage| assert_eq!(ask(&stage.proxy, &last_get("http://192.0.2.9/")).status(), 403),
    },
    Step {
        what: "a port is forbidden to CONNECT",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, answers.http_request_denied 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| {
            let request = "CONNECT h.test:25 HTTP/1.1\r\nHost: h.test:25\r\n\r\n";
            assert_eq!(ask(&stage.proxy, request).status(), 403);
        },
    },
    Step {
        what: "a port is forbidden to other requests",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, origins.refused 1, \
            answers.http_request_denied 1, exaproxy_request_seconds_count 1",
        act: |stage| assert_eq!(ask(&stage.proxy, &last_get("http://127.0.0.1:25/")).status(), 403),
    },
    Step {
        what: "a name has no domain",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, answers.dns_error 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| assert_eq!(ask(&stage.proxy, &last_get("http://short/")).status(), 502),
    },
    Step {
        what: "a request comes back",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, answers.proxy_loop_detected 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| {
            let request = last_get("http://h.test/").replacen("\r\n", "\r\nVia: 1.1 edge.test\r\n", 1);
            assert_eq!(ask(&stage.proxy, &request).status(), 502);
        },
    },
    Step {
        what: "a head is too large, and a name in it is none",
        moves: "clients.accepted 2, ended.answered 2, answers.http_request_error 2, exaproxy_request_seconds_count 2",
        act: |stage| {
            let large = client::get("http://h.test/").replacen("\r\n", &format!("\r\nX: {}\r\n", "x".repeat(4096)), 1);
            assert_eq!(ask(&stage.proxy, &large).status(), 431);
            assert_eq!(ask(&stage.proxy, "GET http://h.test/ HTTP/1.1\r\nHost : h\r\n\r\n").status(), 400);
        },
    },
    Step {
        what: "an origin says nothing",
        moves: "clients.accepted 1, clients.requests 1, ended.response-cut 1, answers.connection_terminated 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| says(stage, ""),
    },
    Step {
        what: "an origin does not speak HTTP",
        moves: "clients.accepted 1, clients.requests 1, ended.response-fault 1, answers.http_protocol_error 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| says(stage, "220 mail.test ESMTP\r\n\r\n"),
    },
    Step {
        what: "the head of a response is too large",
        moves: "clients.accepted 1, clients.requests 1, ended.response-fault 1, \
            answers.http_response_header_section_size 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| says(stage, format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(4096))),
    },
    Step {
        what: "a response has a transfer coding that nobody asked for",
        moves: "clients.accepted 1, clients.requests 1, ended.response-fault 1, \
            answers.http_response_transfer_coding 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| says(stage, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    },
    Step {
        what: "an origin switches though nobody asked it to",
        moves: "clients.accepted 1, clients.requests 1, ended.response-fault 1, answers.http_upgrade_failed 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| says(stage, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
    },
    Step {
        what: "there is no descriptor for a connection to an origin",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, origins.failed 1, \
            answers.connection_limit_reached 1, exaproxy_request_seconds_count 1",
        act: |stage| {
            let mut client = stage.proxy.client();
            eventually("a client inside", || (stage.books.number("clients.speaking") == 1.0).then_some(()));
            let limit = descriptors(&stage.proxy, "4");
            client.send(last_get("http://127.0.0.1:2/"));
            assert_eq!(client.reply().status(), 503);
            descriptors(&stage.proxy, &limit);
        },
    },
];

/// What happens to clients that may not use the proxy.
pub const CLIENTS: &[Step<()>] = &[Step {
    what: "a client may not use the proxy",
    moves: "clients.accepted 1, clients.requests 1, ended.answered 1, answers.client_denied 1, \
        exaproxy_request_seconds_count 1",
    act: |stage| assert_eq!(ask(&stage.proxy, &client::get("http://h.test/")).status(), 403),
}];

#[test]
fn a_refused_client_counts_once() {
    Stage::new(Proxy::start(&[("acl.clients", "192.0.2.1")]), ()).play(CLIENTS);
}

/// Gives a running proxy another soft limit of descriptors, and gives back the one that it had.
fn descriptors(proxy: &Proxy, limit: &str) -> String {
    let prlimit = |more: &[&str]| {
        let output = Command::new("prlimit").args(["--pid", &proxy.pid().to_string()]).args(more).output();
        let output = output.expect("prlimit runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    };
    let before = prlimit(&["--nofile", "--output", "SOFT", "--noheadings"]);
    prlimit(&[&format!("--nofile={limit}:")]);
    before
}

#[test]
fn each_cause_counts_once_and_moves_nothing_else() {
    if Command::new("prlimit").arg("--version").output().is_err() {
        return skip("the limit of another process needs prlimit");
    }
    let options = [
        ("http.pool", "0"),
        ("http.via", "edge.test"),
        ("http.header-size", "2048"),
        ("security.connect", "443"),
        ("security.deny", "192.0.2.0/24"),
    ];
    Stage::new(Proxy::start(&options), Peers { refusing: Refusing::new() }).play(STEPS);
}
