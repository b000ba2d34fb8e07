//! What comes from outside, held to deny.toml where cargo-deny is not at hand: licences, one version of each crate, and
//! crates.io as the only source. Asks cargo, offline; knows nothing of advisories, whose database is not part of the
//! repository.

use std::process::Command;

/// The list `allow` of the section `[licenses]` in deny.toml.
fn allowed() -> Vec<String> {
    let rules = include_str!("../deny.toml");
    let section = rules.split("[licenses]").nth(1).expect("deny.toml has a section for licences");
    let list = section.split_once("allow = [").and_then(|(_, rest)| rest.split_once(']')).expect("it has a list").0;
    list.split('"').skip(1).step_by(2).map(str::to_string).collect()
}

/// Whether an SPDX expression of `OR`, `AND`, `WITH` and brackets, or the older `A/B`, lets us use the crate.
fn permits(expression: &str, allowed: &[String]) -> bool {
    let flat = expression.replace(['(', ')'], " ").replace('/', " OR ");
    let one = |licence: &str| allowed.iter().any(|name| name == licence.trim().split(" WITH ").next().unwrap_or(""));
    if expression.contains('(') {
        // With brackets every licence named must do: stricter than the expression, and never wrong.
        return flat.replace(" OR ", " AND ").split(" AND ").all(one);
    }
    flat.split(" OR ").any(|choice| choice.split(" AND ").all(one))
}

/// What `cargo tree` says of the whole workspace, offline.
fn tree(arguments: &[&str]) -> String {
    let manifest = ["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")];
    let common = ["tree", "--workspace", "--offline", "--locked", "--prefix", "none"];
    let output = Command::new(env!("CARGO")).args(common).args(arguments).args(manifest).output();
    let output = output.expect("cargo can be run");
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn dependencies_come_under_allowed_licences() {
    let said = tree(&["-e", "all", "-f", "{p}|{l}"]);
    let allowed = allowed();
    let licensed = said.lines().filter_map(|line| line.trim_end_matches(" (*)").rsplit_once('|'));
    let mut refused: Vec<String> = licensed
        .filter(|(_, licence)| !permits(licence, &allowed))
        .map(|(package, licence)| format!("{package}: {}", if licence.is_empty() { "none stated" } else { licence }))
        .collect();
    refused.sort();
    refused.dedup();
    assert!(said.contains("mio "), "cargo tree names no dependencies:\n{said}");
    assert!(refused.is_empty(), "not in the list of deny.toml:\n  {}", refused.join("\n  "));
}

/// Two versions of a crate are twice the code to trust, and often one of them is the older, forgotten one.
#[test]
fn each_crate_is_there_once() {
    let doubled = tree(&["-e", "normal,build", "--duplicates", "--depth", "0"]);
    assert!(doubled.trim().is_empty(), "in more than one version:\n{doubled}");
}

#[test]
fn dependencies_come_from_the_registry() {
    let lock = include_str!("../Cargo.lock");
    let sources = lock.lines().filter_map(|line| line.strip_prefix("source = "));
    let foreign: Vec<&str> =
        sources.filter(|source| *source != "\"registry+https://github.com/rust-lang/crates.io-index\"").collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

#[test]
fn expressions_are_read() {
    let allowed = ["MIT".to_string(), "Apache-2.0".to_string()];
    for (expression, expected) in [
        ("MIT", true),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/Apache-2.0", true),
        ("MIT AND GPL-3.0", false),
        ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true),
        ("(MIT OR Apache-2.0) AND GPL-3.0", false),
        ("(MIT OR Apache-2.0) AND MIT", true),
        ("", false),
    ] {
        assert_eq!(permits(expression, &allowed), expected, "{expression}");
    }
}
