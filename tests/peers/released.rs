//! What `make dist` makes: an archive that holds the sources, and a bill of the materials of the program, by what cargo locked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::programs::{have, run};
use crate::support::skip;

/// The archive's own folder, and its bill of materials.
fn released(target: &Path) -> (String, Value) {
    let target = format!("CARGO_TARGET_DIR={}", target.display());
    let words = ["--no-print-directory", "--directory", env!("CARGO_MANIFEST_DIR"), "dist", &target];
    let said = run("make", &words).content().text();
    let file = |end: &str| said.lines().rev().find(|line| line.ends_with(end)).unwrap_or_else(|| panic!("{said}"));
    let (bill, sums, archive) = (file(".cdx.json"), file(".sha256"), file(".tar.gz"));
    let folder = Path::new(sums).parent().expect("it is in a folder").display().to_string();
    run("env", &["--chdir", &folder, "sha256sum", "--check", sums]).content();
    let names = run("tar", &["-tzf", archive]).content().text();
    let top = names.lines().next().expect("a first name").to_owned();
    for wanted in ["Cargo.toml", "Cargo.lock", "Makefile", "src/main.rs", "tools/sbom", "conf/html/deny.html"] {
        assert!(names.lines().any(|name| name.strip_prefix(&top) == Some(wanted)), "{wanted}");
    }
    if let Some(schemas) = std::env::var_os("EXAPROXY_BILL_SCHEMAS") {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/bill_by_schema.py");
        run("/usr/bin/python3", &[script, &schemas.to_string_lossy(), bill]).content();
    } else {
        skip("the schemas of CycloneDX are not in a folder that EXAPROXY_BILL_SCHEMAS names");
    }
    let text = std::fs::read_to_string(bill).expect("a bill");
    (top, serde_json::from_str(&text).expect("it is JSON"))
}

/// Name and version of each package of Cargo.lock, with its checksum; those of this tree have none.
fn locked() -> BTreeMap<(String, String), Option<String>> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).expect("it is there");
    let value = |part: &str, key: &str| {
        let line = part.lines().find_map(|line| line.strip_prefix(&format!("{key} = \"")))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let parts = text.split("[[package]]").skip(1);
    parts
        .map(|part| {
            ((value(part, "name").expect("a name"), value(part, "version").expect("one")), value(part, "checksum"))
        })
        .collect()
}

#[test]
fn a_release_is_an_archive_with_a_bill_of_what_is_in_the_program() {
    if !have(&["make", "timeout", "git", "tar", "sha256sum", "/usr/bin/python3"]) {
        return;
    }
    let target = tempfile::tempdir().expect("a folder");
    let (top, bill) = released(target.path());
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    assert_eq!(top, format!("exaproxy-{}/", text(&bill["metadata"]["component"], "version")));
    let locked = locked();
    let parts = bill["components"].as_array().expect("components");
    let (mut named, mut refs) = (BTreeSet::new(), BTreeSet::from([text(&bill["metadata"]["component"], "bom-ref")]));
    for part in parts {
        let (name, version) = (text(part, "name"), text(part, "version"));
        let checksum = locked.get(&(name.clone(), version)).unwrap_or_else(|| panic!("{name} is not locked"));
        assert_eq!(part["hashes"][0]["content"].as_str(), checksum.as_deref(), "{name}");
        assert!(part["licenses"][0]["expression"].is_string() && refs.insert(text(part, "bom-ref")), "{part}");
        named.insert((name, text(part, "scope")));
    }
    let has = |name: &str, scope: &str| named.contains(&(name.to_owned(), scope.to_owned()));
    assert!(["reactor", "dns", "mio", "serde_json"].iter().all(|name| has(name, "required")), "{named:?}");
    assert!(["syn", "maud_macros"].iter().all(|name| has(name, "excluded")), "they run while it is built: {named:?}");
    assert!(
        ["tempfile", "roff"].iter().all(|name| !has(name, "required") && !has(name, "excluded")),
        "for tests alone"
    );
    for need in bill["dependencies"].as_array().expect("dependencies") {
        let on = need["dependsOn"].as_array().expect("a list").iter().filter_map(Value::as_str);
        assert!(refs.contains(&text(need, "ref")) && on.into_iter().all(|name| refs.contains(name)), "{need}");
    }
}
