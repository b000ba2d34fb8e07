//! The process and its clients as they are now, and lines that no log took.

use nix::sys::signal::Signal;

use super::{Books, Stage, Step};
use crate::support::{client, Client, Origin, Proxy};

pub const STEPS: &[Step<Origin>] = &[
    Step {
        what: "a client connects",
        moves: "clients.accepted 1, clients.speaking 1, clients.silent 1",
        act: |stage| stage.hold(stage.proxy.client()),
    },
    Step {
        what: "it begins to speak",
        moves: "memory.blocks 1",
        act: |stage| {
            let mut client = stage.held();
            client.send("GET http://127.");
            stage.hold(client);
        },
    },
    Step {
        what: "its head grows beyond a block, which doubles its memory",
        moves: "memory.heads 16384",
        act: |stage| {
            let mut client = stage.held();
            client.send(format!("0.0.1/ HTTP/1.1\r\nX: {}", "x".repeat(20_000)));
            stage.hold(client);
        },
    },
    Step {
        what: "another takes its place",
        moves: "clients.accepted 1, ended.client-gone 1, memory.heads -16384",
        act: |stage| {
            drop(stage.held());
            let mut client = stage.proxy.client();
            client.send("GET http://127.");
            stage.hold(client);
        },
    },
    Step {
        what: "it has asked and got its answer",
        moves: "memory.blocks -1, clients.silent -1, clients.requests 1, logs.lost.access 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| {
            let mut client = stage.held();
            client.send(&client::get(&stage.peers.url("/"))["GET http://127.".len()..]);
            assert_eq!(client.reply().status(), 200);
            stage.hold(client);
        },
    },
    Step { what: "it leaves", moves: "clients.speaking -1, ended.client-left 1", act: |stage| drop(stage.held()) },
    Step {
        what: "the monitor is asked",
        moves: "clients.accepted 1, monitor.accepted 1, monitor.requests 2, ended.answered 1",
        act: |stage| {
            let mut client = Client::connect(stage.proxy.web());
            client.send("GET /health HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n");
            assert_eq!((client.reply().status(), client.reply().status()), (200, 200));
            client.expect_close();
        },
    },
    Step { what: "nobody is let in", moves: "exaproxy_up -1", act: |stage| stage.proxy.signal(Signal::SIGTTOU) },
    Step { what: "clients are let in again", moves: "exaproxy_up 1", act: |stage| stage.proxy.signal(Signal::SIGTTIN) },
];

#[test]
fn what_is_now_goes_up_and_down() {
    let access = [("access.enable", "true"), ("access.destination", "/dev/full")];
    let proxy = Proxy::start(&[&access[..], &[("http.pool", "0")]].concat());
    Stage::new(proxy, Origin::site()).play(STEPS);
}

/// What no step moves by a number that could be told before. Of clients and heads that are refused tells `found/crowds.rs`.
pub const KEYS: &[&str] = &[
    "load.loops",
    "load.events",
    "exaproxy_loop_turn_seconds_count",
    "load.longest",
    "exaproxy_loop_turn_longest_seconds",
    "pid.saved",
    "logs.lost.usage",
    "logs.lost.messages",
    "heads.refused",
    "clients.refused",
];

#[test]
fn the_loop_turns_for_who_looks() {
    let proxy = Proxy::start(&[]);
    let books = Books::open(&proxy);
    let before = books.look();
    let now = books.look();
    for key in &KEYS[..3] {
        assert!(now[*key] > before[*key], "{key}: {} and {}", before[*key], now[*key]);
    }
    for key in &KEYS[3..5] {
        assert!(now[*key] > 0.0 && now[*key] >= before[*key], "{key}: {} and {}", before[*key], now[*key]);
    }
}

#[test]
fn a_pidfile_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pid");
    for (file, saved) in [("", 0.0), (file.to_str().expect("a path of text"), 1.0)] {
        let proxy = Proxy::start(&[("daemon.pidfile", file)]);
        assert_eq!(Books::open(&proxy).number("pid.saved"), saved, "{file:?}");
    }
}

#[test]
fn each_decision_that_the_usage_log_does_not_take_counts_once() {
    let site = Origin::site();
    let proxy = Proxy::start(&[("usage.enable", "true"), ("usage.destination", "/dev/full")]);
    let mut client = proxy.client();
    for _ in 0..3 {
        assert_eq!(client.get(&site.url("/")).status(), 200);
    }
    proxy.wait_counter("logs.lost.usage", 3);
    assert_eq!((proxy.counter("logs.lost.access"), proxy.counter("logs.lost.messages")), (0, 0));
}

#[test]
fn messages_that_the_log_does_not_take_count() {
    let proxy = Proxy::start(&[("log.enable", "true"), ("log.destination", "/dev/full")]);
    let before = proxy.counter("logs.lost.messages");
    proxy.signal(Signal::SIGUSR1);
    proxy.wait_counter_reaches("logs.lost.messages", before + 1);
    assert_eq!((proxy.counter("logs.lost.access"), proxy.counter("logs.lost.usage")), (0, 0));
}
