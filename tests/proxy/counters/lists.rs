//! What lists refuse, let pass, or would refuse, and when they are read anew.

use super::{ask, last_get, Stage, Step};
use crate::support::{eventually, Proxy, Refusing};

/// A port that refuses, and the file of the list.
pub struct Peers {
    refusing: Refusing,
    folder: tempfile::TempDir,
}

fn refused(stage: &Stage<Peers>) {
    let url = format!("http://{}/", stage.peers.refusing.address());
    assert_eq!(ask(&stage.proxy, &last_get(&url)).status(), 502);
}

pub const STEPS: &[Step<Peers>] = &[
    Step {
        what: "a list refuses a name",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, lists.blocked 1, answers.blocked 1, lists.block.1.blocked 1, lists.line.1 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| assert_eq!(ask(&stage.proxy, &last_get("http://bad.test/")).status(), 403),
    },
    Step {
        what: "no list refuses a request",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, lists.allowed 1, origins.failed 1, \
            answers.connection_refused 1, exaproxy_request_seconds_count 1",
        act: refused,
    },
    Step {
        what: "a list allows a request by its path",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, lists.allowed 1, lists.allow.1.allowed 1, \
            origins.failed 1, answers.connection_refused 1, exaproxy_request_seconds_count 1",
        act: |stage| {
            let url = format!("http://{}/Yes/x", stage.peers.refusing.address());
            assert_eq!(ask(&stage.proxy, &last_get(&url)).status(), 502);
        },
    },
    Step {
        what: "a folder of squidGuard changes",
        moves: "lists.loaded 1, lists.urls 1, lists.allow.1.entries 1, lists.allow.1.generation 1",
        act: |stage| {
            std::fs::write(stage.peers.folder.path().join("urls"), "127.0.0.1/yes\n127.0.0.1/no\n").expect("a file");
            eventually("new lists", || (stage.books.number("lists.loaded") == 1.0).then_some(()));
        },
    },
    Step {
        what: "lists change",
        moves: "lists.loaded 1, lists.names 2, lists.networks 1, lists.block.1.entries 3, lists.block.1.generation 1",
        act: |stage| {
            let (path, other) = (stage.peers.folder.path().join("list"), stage.peers.folder.path().join("new"));
            std::fs::write(&other, "bad.test\na.test\nb.test\n192.0.2.0/24\n").expect("a file");
            std::fs::rename(other, path).expect("a file");
            eventually("new lists", || (stage.books.number("lists.loaded") == 2.0).then_some(()));
        },
    },
];

pub const REPORTING: &[Step<Peers>] = &[Step {
    what: "a list would refuse a request",
    moves: "clients.accepted 1, clients.requests 1, ended.answered 1, lists.reported 1, lists.block.1.reported 1, lists.line.1 1, origins.failed 1, \
        answers.connection_refused 1, exaproxy_request_seconds_count 1",
    act: refused,
}];

fn play(list: &str, mode: &str, steps: &[Step<Peers>]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("list");
    std::fs::write(&path, list).expect("a file");
    std::fs::write(folder.path().join("urls"), "127.0.0.1/yes\n").expect("a file");
    let text = |path: &std::path::Path| path.to_str().expect("a path of text").to_owned();
    let (block, allow) = (text(&path), text(folder.path()));
    let options = [("acl.blocklist", &block[..]), ("acl.allowlist", &allow), ("acl.mode", mode)];
    Stage::new(Proxy::start(&options), Peers { refusing: Refusing::new(), folder }).play(steps);
}

#[test]
fn what_lists_do_counts_once() {
    play("bad.test\n", "enforce", STEPS);
}

#[test]
fn what_lists_would_do_counts_once() {
    play("127.0.0.0/8\n", "report", REPORTING);
}
