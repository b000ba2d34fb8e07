//! Timers that run out: each on a proxy of its own, where only that one is short, and all at the same time.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use nix::sys::signal::Signal;

use super::{claims, last_get, names_or_skip, Stage, Step};
use crate::support::{eventually, ports, Answer, Blackhole, Helpers, NameServer, Origin, Proxy};

/// Peers that keep a proxy waiting.
pub struct Peers {
    site: Origin,
    mute: Origin,
    echo: Origin,
    black: SocketAddr,
    _blackhole: Blackhole,
}

/// A timer, its option, and what runs into it.
const TIMERS: &[(&str, Step<Peers>)] = &[
    (
        "http.idle-connect",
        Step {
            what: "a client says nothing",
            moves: "clients.accepted 1, ended.timeout-first 1",
            act: |stage| stage.proxy.client().expect_close(),
        },
    ),
    (
        "http.idle-timeout",
        Step {
            what: "a client has no second request",
            moves: "clients.accepted 1, clients.requests 1, ended.timeout-idle 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, \
                exaproxy_request_seconds_count 1",
            act: |stage| {
                let mut client = stage.proxy.client();
                assert_eq!(client.get(&stage.peers.site.url("/")).status(), 200);
                stage.hold(client);
            },
        },
    ),
    (
        "http.head-timeout",
        Step {
            what: "a head does not end",
            moves: "clients.accepted 1, ended.timeout-head 1, answers.http_request_error 1, \
                exaproxy_request_seconds_count 1",
            act: |stage| status(stage, "GET http://h.test/ HT", 408),
        },
    ),
    (
        "http.decision-timeout",
        Step {
            what: "no helper decides",
            moves: "clients.accepted 1, clients.requests 1, ended.timeout-decision 1, helpers.asked 1, \
                helpers.undecided 1, answers.proxy_internal_error 1, exaproxy_request_seconds_count 1",
            act: |stage| status(stage, &last_get(&stage.peers.site.url("/")), 503),
        },
    ),
    (
        "http.resolve-timeout",
        Step {
            what: "no name server answers, and a reload makes the time for that shorter than the resolver knew",
            moves: "clients.accepted 1, clients.requests 1, ended.timeout-resolve 1, names.failed 1, \
                answers.dns_timeout 1, dns.lookups 1, dns.queries 1, dns.sent ~, dns.timeouts ~, dns.retries ~, \
                exaproxy_dns_seconds_count 1, exaproxy_request_seconds_count 1",
            act: |stage| {
                let before = stage.books.number("dns.sent");
                let mut client = stage.proxy.client();
                client.send(last_get("http://silent.test/"));
                eventually("a question", || (stage.books.number("dns.sent") > before).then_some(()));
                std::fs::write(stage.proxy.file(), "[http]\nresolve-timeout = 1\n").expect("the ini file");
                stage.proxy.signal(Signal::SIGHUP);
                assert_eq!(client.reply().status(), 504);
                client.expect_close();
            },
        },
    ),
    (
        "http.connect-timeout",
        Step {
            what: "an origin does not answer",
            moves: "clients.accepted 1, clients.requests 1, ended.timeout-connect 1, origins.failed 1, \
                answers.connection_timeout 1, exaproxy_request_seconds_count 1",
            act: |stage| status(stage, &last_get(&format!("http://{}/", stage.peers.black)), 504),
        },
    ),
    (
        "http.inactive-timeout",
        Step {
            what: "an origin takes a request and says nothing",
            moves:
                "clients.accepted 1, clients.requests 1, ended.timeout-inactive 1, answers.http_response_timeout 1, \
                exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
            act: |stage| status(stage, &last_get(&stage.peers.mute.url("/")), 504),
        },
    ),
    (
        "http.tunnel-timeout",
        Step {
            what: "nothing moves in a tunnel",
            moves: "clients.accepted 1, clients.requests 1, ended.timeout-tunnel 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, \
                exaproxy_request_seconds_count 1",
            act: |stage| {
                let mut client = stage.proxy.client();
                client.tunnel(&stage.peers.echo.address().to_string());
                client.expect_end();
            },
        },
    ),
    (
        "http.half-close-timeout",
        Step {
            what: "nothing moves in half a tunnel",
            moves: "clients.accepted 1, clients.requests 1, ended.timeout-half-close 1, \
                exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
            act: |stage| {
                let mut client = stage.proxy.client();
                client.tunnel(&stage.peers.mute.address().to_string());
                client.shut();
                client.expect_end();
            },
        },
    ),
];

/// Asks on a connection that ends with the answer.
fn status(stage: &Stage<Peers>, request: &str, status: u16) {
    let mut client = stage.proxy.client();
    client.send(request);
    assert_eq!(client.reply().status(), status, "{request}");
    client.expect_close();
}

pub fn claimed() -> BTreeSet<String> {
    TIMERS.iter().flat_map(|(_, step)| claims(step.moves).into_keys()).collect()
}

fn peers() -> Peers {
    let black = SocketAddr::from(([127, 0, 0, 2], ports::next()));
    let mute = Origin::start(|peer| peer.hold());
    Peers { site: Origin::site(), mute, echo: Origin::echo(), black, _blackhole: Blackhole::at(black) }
}

/// A proxy on which one timer is short.
fn proxy(option: &str) -> (Proxy, Option<Helpers>, Option<NameServer>) {
    // The monitor's client is a kept client too, and must not be ended for a moment of rest.
    let seconds = if option == "http.idle-timeout" { "3" } else { "1" };
    let mut options = vec![(option, seconds), ("http.pool", "0"), ("tcp6.out", "false")];
    if option == "http.decision-timeout" {
        let helpers = Helpers::start(|desk| desk.hang());
        let proxy = helpers.proxy(&options);
        helpers.wait_started(1);
        return (proxy, Some(helpers), None);
    }
    if option != "http.resolve-timeout" {
        return (Proxy::start(&options), None, None);
    }
    let names = NameServer::start(|_| Answer::Silence).expect("names can be served here");
    let resolver = names.resolv_conf_with("options timeout:30 attempts:1\n");
    // It comes with a reload: what stands in the environment is there for good.
    options[0] = ("dns.resolver", &resolver);
    (Proxy::start(&options), None, Some(names))
}

#[test]
fn each_timer_counts_once() {
    let can_serve_names = names_or_skip();
    std::thread::scope(|scope| {
        for (option, step) in TIMERS.iter().filter(|(option, _)| can_serve_names || !option.contains("resolve")) {
            scope.spawn(move || {
                let (proxy, _helpers, _names) = proxy(option);
                Stage::new(proxy, peers()).play(std::slice::from_ref(step));
            });
        }
    });
}
