//! Licences of everything that is linked or built in: each must be one that deny.toml allows. Asks cargo, offline;
//! knows nothing of advisories, whose database is not part of the repository.

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

#[test]
fn dependencies_come_under_allowed_licences() {
    let arguments = ["tree", "--workspace", "--offline", "--locked", "-e", "all", "--prefix", "none", "-f", "{p}|{l}"];
    let manifest = ["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")];
    let output = Command::new(env!("CARGO")).args(arguments).args(manifest).output().expect("cargo can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
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
