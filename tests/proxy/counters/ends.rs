//! Why connections end, one by one.

use super::{ask, last_get, Stage, Step};
use crate::support::{eventually, Client, Origin, Proxy};

/// Origins of many characters.
pub struct Peers {
    site: Origin,
    echo: Origin,
    mute: Origin,
    cut: Origin,
    short: Origin,
    broken: Origin,
    late: Origin,
    early: Origin,
}

impl Peers {
    fn start() -> Peers {
        Peers {
            site: Origin::site(),
            echo: Origin::echo(),
            mute: Origin::start(|peer| {
                peer.until(b"\r\n\r\n")?;
                peer.hold()
            }),
            cut: Origin::once(""),
            short: Origin::once("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"),
            broken: Origin::once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfive\r\n"),
            late: Origin::once({
                let chunk = "x".repeat(0xfffff);
                format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n{chunk}\r\nfive\r\n")
            }),
            early: Origin::start(|peer| {
                peer.until(b"\r\n\r\n")?;
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
                peer.hold()
            }),
        }
    }
}

fn post(origin: &Origin, rest: &str) -> String {
    format!("POST {} HTTP/1.1\r\nHost: h\r\n{rest}", origin.url("/"))
}

pub const STEPS: &[Step<Peers>] = &[
    Step {
        what: "a client connects and leaves",
        moves: "clients.accepted 1, ended.client-left 1",
        act: |stage| drop(stage.proxy.client()),
    },
    Step {
        what: "a client announces its last request",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| assert_eq!(ask(&stage.proxy, &last_get(&stage.peers.site.url("/x"))).text(), "/x"),
    },
    Step {
        what: "a client leaves after its second request",
        moves: "clients.accepted 1, clients.requests 2, ended.client-left 1, exaproxy_connect_seconds_count 2, families.ipv4.ipv4 2, \
            exaproxy_request_seconds_count 2",
        act: |stage| {
            let mut client = stage.proxy.client();
            for path in ["/1", "/2"] {
                assert_eq!(client.get(&stage.peers.site.url(path)).text(), path);
            }
        },
    },
    Step {
        what: "a request that is none is answered",
        moves: "clients.accepted 1, ended.answered 1, answers.http_request_error 1, exaproxy_request_seconds_count 1",
        act: |stage| assert_eq!(ask(&stage.proxy, "GET\r\n\r\n").status(), 400),
    },
    Step {
        what: "a tunnel ends",
        moves: "clients.accepted 1, clients.requests 1, ended.tunnel-end 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| {
            let mut client = stage.proxy.client();
            client.tunnel(&stage.peers.echo.address().to_string());
            client.shut();
            client.expect_close();
        },
    },
    Step {
        what: "a client resets its tunnel",
        moves: "clients.accepted 1, clients.requests 1, ended.tunnel-reset 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| {
            let mut client = stage.proxy.client();
            client.tunnel(&stage.peers.echo.address().to_string());
            client.reset();
        },
    },
    Step {
        what: "an origin resets its tunnel",
        moves: "clients.accepted 1, clients.requests 1, ended.tunnel-reset 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| {
            let origin = Origin::start(|peer| {
                peer.exact(1)?;
                peer.reset()
            });
            let mut client = stage.proxy.client();
            client.tunnel(&origin.address().to_string());
            client.send("x");
            client.expect_reset();
        },
    },
    Step {
        what: "a client leaves in its head",
        moves: "clients.accepted 1, ended.client-gone 1",
        act: |stage| stage.proxy.client().send("GET http://h.test/ HT"),
    },
    Step {
        what: "a client is reset before it has its response",
        moves: "clients.accepted 1, clients.requests 1, ended.client-gone 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1",
        act: |stage| send(stage, &last_get(&stage.peers.mute.url("/"))).reset(),
    },
    Step {
        what: "a client leaves in its content",
        moves: "clients.accepted 1, clients.requests 1, ended.request-cut 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1",
        act: |stage| drop(send(stage, &post(&stage.peers.mute, "Content-Length: 9\r\n\r\nhalf"))),
    },
    Step {
        what: "content breaks its coding before there is a response",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, answers.http_request_error 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| {
            let request = post(&stage.peers.mute, "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\nx\r\n");
            assert_eq!(ask(&stage.proxy, &request).status(), 400);
        },
    },
    Step {
        what: "content breaks its coding when the response has begun",
        moves: "clients.accepted 1, clients.requests 1, ended.request-fault 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1",
        act: |stage| {
            let mut client = stage.proxy.client();
            client.send(post(&stage.peers.early, "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"));
            client.wire().until(b"\r\n\r\nhalf").expect("the start of a response");
            client.send("x\r\n");
            client.expect_end();
        },
    },
    Step {
        what: "an origin ends before its response",
        moves: "clients.accepted 1, clients.requests 1, ended.response-cut 1, answers.connection_terminated 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| assert_eq!(ask(&stage.proxy, &last_get(&stage.peers.cut.url("/"))).status(), 502),
    },
    Step {
        what: "an origin ends in its response",
        moves: "clients.accepted 1, clients.requests 1, ended.response-cut 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1",
        act: |stage| cut(stage, &stage.peers.short),
    },
    Step {
        what: "a response breaks its coding",
        moves: "clients.accepted 1, clients.requests 1, ended.response-fault 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1",
        act: |stage| cut(stage, &stage.peers.late),
    },
    Step {
        what: "a response breaks its coding before any of it was passed on",
        moves: "clients.accepted 1, clients.requests 1, ended.response-fault 1, answers.http_protocol_error 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| assert_eq!(ask(&stage.proxy, &last_get(&stage.peers.broken.url("/"))).status(), 502),
    },
];

/// Sends a request to the origin that is mute, and waits until it is there.
fn send(stage: &Stage<Peers>, request: &str) -> Client {
    let mute = &stage.peers.mute;
    let number = mute.connections();
    let mut client = stage.proxy.client();
    client.send(request);
    eventually("a request at the origin", || (!mute.received(number).is_empty()).then_some(()));
    client
}

/// Gets less than was announced.
fn cut(stage: &Stage<Peers>, origin: &Origin) {
    let mut client = stage.proxy.client();
    client.send(last_get(&origin.url("/")));
    assert!(client.reply_unless_cut("GET").is_none(), "a cut response looks whole");
}

/// What happens where the PROXY protocol is expected.
pub const PROXIED: &[Step<()>] = &[
    Step {
        what: "a connection starts with something else",
        moves: "clients.accepted 1, ended.proxy-header 1",
        act: |stage| {
            let mut client = stage.proxy.client();
            client.send("GET http://h.test/ HTTP/1.1\r\n\r\n");
            client.expect_end();
        },
    },
    Step {
        what: "a connection ends in its announcement",
        moves: "clients.accepted 1, ended.proxy-header 1",
        act: |stage| stage.proxy.client().send("PROXY TCP4 203.0"),
    },
    Step {
        what: "a health check that only connects",
        moves: "clients.accepted 1, ended.client-left 1",
        act: |stage| drop(stage.proxy.client()),
    },
];

/// What happens where PROXY headers of others than the balancer are not believed.
pub const UNTRUSTED: &[Step<()>] = &[Step {
    what: "an address that is not trusted announces a client",
    moves: "clients.accepted 1, ended.proxy-untrusted 1",
    act: |stage| {
        let mut client = stage.proxy.client();
        client.send("PROXY TCP4 203.0.113.7 192.0.2.1 56324 3128\r\n");
        client.expect_end();
    },
}];

/// What happens where there is one place.
pub const CROWDED: &[Step<()>] = &[Step {
    what: "a client that says nothing gives its place to one that does",
    moves:
        "clients.accepted 2, clients.requests 1, ended.displaced 1, ended.answered 1, exaproxy_request_seconds_count 1",
    act: |stage| {
        let mut idle = stage.proxy.client();
        let mut other = stage.proxy.client();
        other.send("OPTIONS * HTTP/1.1\r\nHost: h.test\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n");
        other.reply();
        idle.expect_close();
    },
}];

#[test]
fn a_place_that_is_given_away_counts_once() {
    Stage::new(Proxy::start(&[("http.connections", "1")]), ()).play(CROWDED);
}

#[test]
fn each_end_counts_once() {
    Stage::new(Proxy::start(&[("http.pool", "0")]), Peers::start()).play(STEPS);
}

#[test]
fn announcements_that_are_none_count_once() {
    Stage::new(Proxy::start(&[("http.proxied", "true")]), ()).play(PROXIED);
}

#[test]
fn announcements_that_are_not_believed_count_once() {
    let options = [("http.proxied", "true"), ("http.trusted", "192.0.2.1")];
    Stage::new(Proxy::start(&options), ()).play(UNTRUSTED);
}
