//! What parents count.

use super::{ask, last_get, Stage, Step};
use crate::support::{Origin, Proxy, Refusing};

/// Two parents: one refuses connections, the other knows none of our credentials.
pub struct Peers {
    _refusing: Refusing,
    _asking: Origin,
}

/// A refusal that only a client of TLS sees, shown beside the code and in `tests/proxy/parents.rs`.
pub const KEYS: &[&str] = &["answers.parent_refused"];

pub const STEPS: &[Step<Peers>] = &[Step {
    what: "a parent refuses the connection, and the next wants other credentials",
    moves: "clients.accepted 1, clients.requests 1, ended.response-fault 1, parents.failed 1, parents.down 1, \
            parents.requests 1, families.ipv4.ipv4 1, answers.parent_login 1, exaproxy_connect_seconds_count 1, \
            exaproxy_request_seconds_count 1",
    act: |stage| assert_eq!(ask(&stage.proxy, &last_get("http://192.0.2.1/")).status(), 502),
}];

/// What happens where the only parent refuses connections.
pub const FAILED: &[Step<Refusing>] = &[Step {
    what: "no parent can be connected to",
    moves:
        "clients.accepted 1, clients.requests 1, ended.answered 1, parents.failed 1, parents.down 1, origins.failed 1, \
        answers.parent_failed 1, exaproxy_request_seconds_count 1",
    act: |stage| assert_eq!(ask(&stage.proxy, &last_get("http://192.0.2.1/")).status(), 502),
}];

#[test]
fn what_parents_do_counts_once() {
    let refusing = Refusing::new();
    let asking = Origin::fixed("HTTP/1.1 407 x\r\nContent-Length: 0\r\n\r\n");
    let parents = format!("{} {}", refusing.address(), asking.address());
    let peers = Peers { _refusing: refusing, _asking: asking };
    Stage::new(Proxy::start(&[("parent.proxy", &parents)]), peers).play(STEPS);
}

#[test]
fn a_parent_that_fails_counts_once() {
    let refusing = Refusing::new();
    let parents = refusing.address().to_string();
    Stage::new(Proxy::start(&[("parent.proxy", &parents)]), refusing).play(FAILED);
}
