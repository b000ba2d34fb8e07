//! What comes of passwords, and the files that they stand in.

use super::{ask, last_get, Books, Stage, Step};
use crate::auth::{field, Users};
use crate::support::{eventually, Client, Refusing};

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
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, auth.missing 1, answers.authentication_required 1, requests.blocked 0, \
            exaproxy_request_seconds_count 1",
        act: |stage| assert_eq!(status(stage, ""), 407),
    },
    Step {
        what: "a password is wrong",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, auth.failed 1, auth.checked 1, \
            answers.authentication_failed 1, requests.blocked 1, exaproxy_request_seconds_count 1",
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
    play(&format!("ann:{}\n", crate::auth::SLOWER), &[("http.decision-timeout", "1")], SLOW);
}

#[test]
fn every_class_of_checks_moves() {
    // Each user is checked once, by the cheapest hash that there is. It takes less than a millisecond unless another process has
    // the processor, so that there are users for many tries.
    let hash = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$+RsCrdHrAKGEJIDLM0Esow";
    let names: Vec<String> = (0..4_000).map(|number| format!("bob{number}")).collect();
    let users = Users::new(&names.iter().map(|name| format!("{name}:{hash}\n")).collect::<String>());
    let (proxy, refusing) = (users.proxy(&[]), Refusing::new());
    let books = Books::open(&proxy);
    let moved = |key: &str, value: f64| value > 0.0 || !KEYS[3..].iter().any(|family| key.starts_with(family));
    let mut untried = names.iter();
    eventually("every class to move", || {
        let name = untried.next()?;
        ask(&proxy, &with(&format!("http://{}/", refusing.address()), &format!("{name}:secret")));
        books.look().iter().all(|(key, value)| moved(key, *value)).then_some(())
    });
}
