//! Names of types: one that stands for two things in one crate is written differently, or has its reason here.

use crate::graph::GRAPH;
use std::collections::BTreeMap;

/// Names that two types of one crate share, with the reason.
const SHARED: &[(&[&str], &str)] = &[
    (
        &["Extras", "Host", "Hosts", "OnFailure", "Pages", "Program", "Resolver"],
        "a kind of configuration value bears the name of its option, and stands in the table of options only",
    ),
    (&["AddressWatch", "Changed"], "one for Linux, one for the systems that have none"),
    (&["Options"], "always written with its module elsewhere: proxy::Options, redirector::Options, resolver::Options"),
];

/// Words that begin the definition of a type.
const WORDS: &[&str] = &["struct", "enum", "union", "trait", "type"];

/// The type that a line of code defines. What stands in an `impl` or a trait belongs to that and is none.
fn defined(line: &str) -> Option<&str> {
    let inner = line.starts_with(' ');
    let rest = line.trim_start();
    let rest = match rest.strip_prefix("pub") {
        Some(after) if after.starts_with('(') => after.split_once(')')?.1.trim_start(),
        Some(after) => after.trim_start(),
        None => rest,
    };
    let (word, rest) = rest.split_once(' ')?;
    let is_type = WORDS.contains(&word) && !(inner && word == "type");
    let name = rest.split(|c| !crate::source::is_word(c)).next()?;
    (is_type && !name.is_empty()).then_some(name)
}

/// Types by crate and name, each with the places of its definitions.
fn types() -> BTreeMap<(&'static str, &'static str), Vec<String>> {
    let mut found: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (at, file) in GRAPH.files.iter().enumerate() {
        let own = GRAPH.modules[at].split("::").next().unwrap_or_default();
        for (line, code) in file.shipped.lines().enumerate() {
            let Some(name) = defined(code) else { continue };
            found.entry((own, name)).or_default().push(format!("{}:{}", file.path, line + 1));
        }
    }
    found
}

#[test]
fn types_of_one_crate_have_names_of_their_own() {
    let shared = |name: &str| SHARED.iter().any(|(names, _)| names.contains(&name));
    let doubled = types().into_iter().filter(|((_, name), places)| places.len() > 1 && !shared(name));
    let found = doubled.map(|((_, name), places)| format!("{name}: {}", places.join(", ")));
    crate::report("a name stands for one type of a crate, or the list says why for two", found.collect());
}

#[test]
fn shared_names_are_shared() {
    let types = types();
    let doubled = |name: &str| types.iter().any(|((_, own), places)| *own == name && places.len() > 1);
    let listed = SHARED.iter().flat_map(|(names, _)| names.iter());
    let stale = listed.filter(|name| !doubled(name)).map(|name| format!("{name} is one type, its row goes"));
    crate::report("SHARED lists names that two types share", stale.collect());
}

#[test]
fn definitions_are_told_from_what_only_looks_like_one() {
    let found = |line| defined(line).unwrap_or("-");
    let lines =
        ["pub struct A<'a> {", "    pub(super) enum B {", "type C = D;", "    type Value = E;", "let trait_ = 1;"];
    assert_eq!(lines.map(found), ["A", "B", "C", "-", "-"]);
}
