//! What comes of passwords, and the files that they stand in.

use super::{ask, last_get, Books, Stage, Step};
use crate::auth::{field, Users};
use crate::support::{eventually, Client, Proxy, Refusing};

/// `secret`, by htpasswd: a check takes less than a millisecond.
const APR1: &str = "$apr1$LnBQzpBX$uQ6UC1NYInMFXJIaRn3.U.";

/// A port that refuses, and the file of the users.
pub struct Peers {
    refusing: Refusing,
    users: Users,
}

/// Asks with these credentials for what refuses; gives the status.
fn status(stage: &Stage<Peers>, credentials: &str) -> u16 {
    let url = format!("http://{}/", stage.peers.refusing.address());
    ask(&stage.proxy, &with(&url, credentials)).status()
}

fn with(url: &str, credentials: &str) -> String {
    last_get(url).replacen("\r\n", &format!("\r\n{}", field(credentials)), 1)
}

pub const STEPS: &[Step<Peers>] = &[
    Step {
        what: "a request has no credentials",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, auth.missing 1, answers.authentication_required 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| assert_eq!(status(stage, ""), 407),
    },
    Step {
        what: "a password is wrong",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, auth.failed 1, auth.checked 1, \
            answers.authentication_failed 1, exaproxy_request_seconds_count 1",
        act: |stage| assert_eq!(status(stage, "ann:wrong"), 407),
    },
    Step {
        what: "a password is right",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, auth.checked 1, auth.remembered 1, \
            exaproxy_auth_seconds_count 1, origins.failed 1, answers.connection_refused 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| assert_eq!(status(stage, "bob:secret"), 502),
    },
    Step {
        what: "it is known to be right",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, auth.kept 1, origins.failed 1, \
            answers.connection_refused 1, exaproxy_request_seconds_count 1",
        act: |stage| assert_eq!(status(stage, "bob:secret"), 502),
    },
    Step {
        what: "users change",
        moves: "users.proxy.count 1, users.proxy.generation 1, users.proxy.read ~, auth.remembered -1",
        act: |stage| {
            stage.peers.users.replace("ann:x\nbob:y\ncarl:z\n");
            eventually("new users", || (stage.books.number("users.proxy.generation") == 2.0).then_some(()));
        },
    },
    Step {
        what: "an address guesses",
        moves: "clients.accepted 30, clients.requests 30, ended.answered 30, auth.failed ~, auth.checked ~, auth.slowed ~, \
            answers.authentication_failed ~, answers.authentication_slowed ~, exaproxy_request_seconds_count 30",
        act: |stage| {
            let all: Vec<u16> = (0..30).map(|number| status(stage, &format!("ann:guess{number}"))).collect();
            assert!(all.contains(&429), "{all:?}");
        },
    },
];

pub const SLOW: &[Step<Peers>] = &[Step {
    what: "checks take too long",
    moves: "clients.accepted 5, clients.requests 5, ended.answered ~, ended.timeout-decision ~, auth.busy ~, auth.waiting ~, auth.checked ~, \
        auth.failed ~, exaproxy_auth_seconds_count ~, answers.authentication_busy ~, answers.authentication_failed ~, \
        exaproxy_request_seconds_count 5",
    act: |stage| {
        let request = |number| with(&format!("http://{}/", stage.peers.refusing.address()), &format!("ann:{number}"));
        let mut clients: Vec<Client> = (0..5).map(|_| stage.proxy.client()).collect();
        clients.iter_mut().enumerate().for_each(|(number, client)| client.send(request(number)));
        eventually("one that waits", || (stage.books.number("auth.waiting") > 0.0).then_some(()));
        let mut busy = 0;
        for mut client in clients {
            busy += usize::from(client.reply().status() == 503);
            client.expect_close();
        }
        assert!(busy > 0, "none was too late");
    },
}];

/// What the tests below move.
pub const KEYS: &[&str] = &[
    "users.monitor.count",
    "users.monitor.generation",
    "users.monitor.read",
    "exaproxy_auth_seconds_bucket",
    "exaproxy_auth_seconds_sum",
];

fn play(text: &str, more: &[(&str, &str)], steps: &[Step<Peers>]) {
    let users = Users::new(text);
    let proxy = users.proxy(more);
    Stage::new(proxy, Peers { refusing: Refusing::new(), users }).play(steps);
}

#[test]
fn what_comes_of_passwords_counts_once() {
    play(&format!("ann:secret\nbob:{APR1}\n"), &[], STEPS);
}

#[test]
fn checks_that_are_late_count_once() {
    play(&format!("ann:{}\n", crate::auth::SLOW), &[("http.decision-timeout", "1")], SLOW);
}

#[test]
fn every_class_of_checks_moves() {
    let users = Users::new(&format!("bob:{APR1}\n"));
    let (proxy, refusing) = (users.proxy(&[]), Refusing::new());
    let books = Books::open(&proxy);
    let mut number = 0;
    let moved = |key: &str, value: f64| value > 0.0 || !KEYS[3..].iter().any(|family| key.starts_with(family));
    eventually("every class to move", || {
        number += 1;
        // Other users each time, so that none is known.
        users.replace(&format!("bob:{APR1}\nuser{number}:x\n"));
        eventually("new users", || (books.number("users.proxy.generation") == f64::from(number) + 1.0).then_some(()));
        ask(&proxy, &with(&format!("http://{}/", refusing.address()), "bob:secret"));
        books.look().iter().all(|(key, value)| moved(key, *value)).then_some(())
    });
}

#[test]
fn the_users_of_the_monitor_have_numbers_of_their_own() {
    let users = Users::new("ann:secret\n");
    let proxy = Proxy::start(&[("web.users", &users.path())]);
    let metric = |name: &str| {
        let text = proxy.monitor_page("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("exaproxy_{name}{{file=\"monitor\"}} ")));
        line.and_then(|value| value.parse::<u64>().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
    };
    assert_eq!((metric("users"), metric("users_generation")), (1, 1));
    assert!(metric("users_read_timestamp_seconds") > 1_700_000_000);
    users.replace("ann:secret\nbob:x\n");
    eventually("new users", || (metric("users_generation") == 2).then_some(()));
    assert_eq!(metric("users"), 2);
}
