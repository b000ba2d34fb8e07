//! Names: what is asked, what is answered, and what is thrown away. Only IPv4 addresses are asked for, so that it does not
//! depend on the machine how many questions a name makes.

use super::{ask, last_get, Stage, Step};
use crate::support::{eventually, Answer, Gate, NameServer, Origin, Proxy, Query, ONE_LOOP};

pub struct Peers {
    site: Origin,
    names: NameServer,
    gate: Gate,
}

impl Peers {
    /// A name server that does with a name what the name says.
    fn start() -> Option<Peers> {
        let gate = Gate::default();
        let names = NameServer::start({
            let gate = gate.clone();
            move |query| answer(query, &gate)
        })?;
        Some(Peers { site: Origin::site(), names, gate })
    }
}

fn answer(query: &Query, gate: &Gate) -> Answer {
    let here = || query.addresses(&["127.0.0.1".parse().expect("an address")]);
    match query.plain().as_str() {
        "gone.test" => Answer::Reply(query.reply().code(3).negative(60)),
        "silent.test" => Answer::Silence,
        "broken.test" => Answer::Reply(query.reply().code(2)),
        "large.test" if !query.tcp => Answer::Reply(here().truncated()),
        "forged.test" => Answer::Several(vec![here().id(query.id ^ 0x5555).bytes(), here().bytes()]),
        "lost.test" if gate.try_pass() => Answer::Silence,
        "slow.test" => {
            // An error only says that the test has failed meanwhile.
            let _ = gate.pass();
            Answer::Reply(here())
        }
        _ => Answer::Reply(here()),
    }
}

/// Asks for a name, and sees this status.
fn see(stage: &Stage<Peers>, name: &str, status: u16) {
    let url = format!("http://{name}:{}/", stage.peers.site.port());
    assert_eq!(ask(&stage.proxy, &last_get(&url)).status(), status, "{name}");
}

pub const STEPS: &[Step<Peers>] = &[
    Step {
        what: "a name is asked for",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, dns.lookups 1, dns.queries 1, dns.sent 1, \
            dns.answers 1, exaproxy_dns_seconds_count 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "plain.test", 200),
    },
    Step {
        what: "it is known the next time",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, dns.lookups 1, dns.cached 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "plain.test", 200),
    },
    Step {
        what: "a name does not exist",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, answers.dns_error 1, names.failed 1, \
            dns.lookups 1, dns.queries 1, dns.sent 1, dns.answers 1, exaproxy_dns_seconds_count 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "gone.test", 502),
    },
    Step {
        what: "that is known the next time",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, answers.dns_error 1, names.failed 1, \
            dns.lookups 1, dns.cached 1, exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "gone.test", 502),
    },
    Step {
        what: "a name server is broken",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, answers.dns_error 1, names.failed 1, \
            dns.lookups 1, dns.queries 1, dns.sent 2, dns.retries 1, dns.answers 2, dns.failed 1, \
            exaproxy_dns_seconds_count 1, exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "broken.test", 502),
    },
    Step {
        what: "an answer is cut, and asked for over TCP",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, dns.lookups 1, dns.queries 1, dns.sent 2, \
            dns.tcp 1, dns.answers 2, dns.truncated 1, exaproxy_dns_seconds_count 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "large.test", 200),
    },
    Step {
        what: "somebody guesses an answer, with a wrong number",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, dns.lookups 1, dns.queries 1, dns.sent 1, \
            dns.dropped 1, dns.answers 1, exaproxy_dns_seconds_count 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "forged.test", 200),
    },
    Step {
        what: "a question is lost, and asked again",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, dns.lookups 1, dns.queries 1, dns.sent 2, \
            dns.timeouts 1, dns.retries 1, dns.answers 1, exaproxy_dns_seconds_count 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| {
            stage.peers.gate.open();
            see(stage, "lost.test", 200);
        },
    },
    Step {
        what: "a name server is silent",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, answers.dns_timeout 1, names.failed 1, \
            dns.lookups 1, dns.queries 1, dns.sent ~, dns.timeouts ~, dns.retries ~, dns.failed 1, \
            exaproxy_dns_seconds_count 1, exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "silent.test", 504),
    },
    Step {
        // On a busy machine the second one may come so late that the question was repeated.
        what: "two ask for one name at a time",
        moves: "clients.accepted 2, clients.requests 2, ended.complete 2, dns.lookups 2, dns.joined 1, dns.queries 1, \
            dns.sent ~, dns.timeouts ~, dns.retries ~, dns.answers 1, exaproxy_dns_seconds_count 2, exaproxy_connect_seconds_count 2, \
            families.ipv4.ipv4 2, exaproxy_request_seconds_count 2",
        act: |stage| {
            let before = stage.books.number("dns.joined");
            let url = format!("http://slow.test:{}/", stage.peers.site.port());
            let mut clients = [stage.proxy.client(), stage.proxy.client()];
            clients.iter_mut().for_each(|client| client.send(last_get(&url)));
            eventually("a second one to join", || (stage.books.number("dns.joined") > before).then_some(()));
            stage.peers.gate.open();
            for client in &mut clients {
                assert_eq!(client.reply().status(), 200);
                client.expect_close();
            }
        },
    },
];

#[test]
fn what_becomes_of_names_counts_once() {
    let Some(peers) = Peers::start() else { return };
    let resolver = peers.names.resolv_conf();
    let options = [ONE_LOOP, ("dns.resolver", resolver.as_str()), ("tcp6.out", "false"), ("http.pool", "0")];
    Stage::new(Proxy::start(&options), peers).play(STEPS);
}
