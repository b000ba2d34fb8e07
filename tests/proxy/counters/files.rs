//! A local file that becomes shorter while it is sent.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;

use super::{of, Stage, Step};
use crate::support::{client, Client, Helpers};

/// Bytes that no socket buffer holds.
const LARGE: u64 = 24 << 20;

const STEPS: &[Step<PathBuf>] = &[Step {
    what: "a file becomes shorter while it is sent",
    moves: "clients.accepted 1, clients.requests 1, ended.content-cut 1, helpers.asked 1, helpers.answered 1, \
        exaproxy_helper_seconds_count 1",
    act: |stage| {
        let file = File::create(&stage.peers).expect("a file in our own folder");
        file.set_len(LARGE).expect("a long file");
        let mut client = Client::connect_small(stage.proxy.address());
        client.send(client::get("http://h.test/"));
        client.wire().until(b"\r\n\r\n").expect("a head");
        file.set_len(LARGE - 1).expect("a shorter file");
        assert_eq!(client.rest().len() as u64, LARGE - 1);
    },
}];

pub fn claimed() -> BTreeSet<String> {
    of(STEPS)
}

#[test]
fn a_cut_file_counts_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let helpers = Helpers::answering(|_| "file://large.bin".to_owned());
    let proxy = helpers.proxy(&[("web.html", folder.path().to_str().expect("a path of text"))]);
    helpers.wait_started(1);
    Stage::new(proxy, folder.path().join("large.bin")).play(STEPS);
}
