//! The public suite for HTTP caches, as npm has it, against the real binary. `.ci/run` brings the package; elsewhere
//! `EXAPROXY_CACHE_SUITE` names the folder in which it was unpacked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::programs::{command, have};
use crate::support::{ports, skip, Proxy};

/// Tests that fail, each with the reason for which it stays so.
const FAILED: &[(&str, &str)] =
    &[("headers-store-Transfer-Encoding", "a coding that is not known is no response: 502 (RFC 9112 section 6.1)")];

/// Tests that the suite itself has changed since, so that they ask for what it does not ask for any more.
const CHANGED: &[&str] = &[
    "304-etag-update-response-Content-Encoding",
    "304-etag-update-response-Content-MD5",
    "304-etag-update-response-Content-Range",
    "304-etag-update-response-ETag",
    "age-parse-dup-0",
    "age-parse-dup-0-twoline",
    "age-parse-dup-old",
    "age-parse-float",
    "age-parse-negative",
    "age-parse-nonnumeric",
    "age-parse-numeric-parameter",
    "age-parse-parameter",
    "age-parse-prefix-twoline",
    "stale-close-must-revalidate",
    "stale-close-no-cache",
    "stale-close-proxy-revalidate",
    "stale-close-s-maxage=2",
];

/// What became of one test.
struct Outcome {
    kind: String,
    needs: Vec<String>,
    passed: bool,
    why: String,
}

fn outcomes(text: &str) -> BTreeMap<String, Outcome> {
    let told: Value = serde_json::from_str(text).expect("JSON");
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |test: &Value| {
        let needs = test["needs"].as_array().into_iter().flatten().map(word).collect();
        let passed = test["result"] == Value::Bool(true);
        (word(&test["id"]), Outcome { kind: word(&test["kind"]), needs, passed, why: test["result"].to_string() })
    };
    told.as_array().expect("a list of tests").iter().map(one).collect()
}

/// Whether a test passed together with all that it needs, as the suite counts.
fn passes(all: &BTreeMap<String, Outcome>, id: &str) -> bool {
    all.get(id).is_some_and(|outcome| outcome.passed && outcome.needs.iter().all(|other| passes(all, other)))
}

#[test]
fn the_public_suite_finds_what_the_standard_requires() {
    let Some(folder) = std::env::var_os("EXAPROXY_CACHE_SUITE").map(PathBuf::from) else {
        return skip("EXAPROXY_CACHE_SUITE names no folder with npm's http-cache-tests");
    };
    if !have(&["node"]) {
        return;
    }
    // Its tests count in seconds, so that a busy machine fails one now and then. What fails each time is meant.
    let mut failed = failures(&folder);
    for _ in 0..2 {
        if !failed.is_empty() {
            let again = failures(&folder);
            failed.retain(|id, _| again.contains_key(id));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// The required tests that fail and may not, with what the suite says of them.
fn failures(folder: &Path) -> BTreeMap<String, String> {
    let proxy = Proxy::start(&[("cache.enable", "true")]);
    let driver = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers/servers/cache_suite.mjs");
    let mut node = command("node");
    node.arg(driver).arg(folder).arg(proxy.port().to_string()).arg(ports::next().to_string());
    let output = node.output().expect("node runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all = outcomes(&String::from_utf8_lossy(&output.stdout));
    let asked = |id: &str, one: &Outcome| one.kind == "required" && !CHANGED.contains(&id);
    let required: BTreeSet<&String> = all.iter().filter(|(id, one)| asked(id, one)).map(|(id, _)| id).collect();
    assert!(required.len() > 100, "{} tests", required.len());
    let known: BTreeSet<&str> = FAILED.iter().map(|(id, _)| *id).collect();
    let fails = |id: &&&String| !passes(&all, id) && !known.contains(id.as_str());
    required.iter().filter(fails).map(|id| ((*id).clone(), all[*id].why.clone())).collect()
}
