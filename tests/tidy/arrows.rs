//! Which room of the program may know which: the arrows of docs/architecture.md, held by reading the paths that each file
//! names, in `use` lines and in place. A room is a folder, or a file, right below `src`. Code in `#[cfg(test)]` is free.

use crate::graph::GRAPH;
use crate::paths::Named;
use std::collections::{BTreeMap, BTreeSet};

/// Components that exchange plain values through the hub and never see one another.
const APART: &[&str] = &["session", "upstream", "redirector", "resolver", "loader"];

/// Who may see the whole configuration; the others get a small struct of what they need.
const SEE_CONFIG: &[&str] = &["main", "cli", "supervisor", "proxy", "config"];

/// What may be named by whom: a room, and all the rooms that it may name.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("peer", &[]),
    ("decimal", &[]),
    ("http", &["decimal", "peer"]),
    ("logs", &["decimal", "peer"]),
    ("io", &[]),
    ("cache", &["http"]),
    ("tls", &["http"]),
    ("icap", &["decimal", "http"]),
    ("counters", &["http", "policy"]),
    ("policy", &["http", "peer", "tls"]),
    ("exchange", &["http", "peer", "tls", "icap", "policy", "counters"]),
];

/// Room that a file belongs to: `src/http/head.rs` is in `http`; nothing for files of other crates.
fn room(file: usize) -> Option<&'static str> {
    let below = GRAPH.files[file].path.strip_prefix("src/")?;
    below.split('/').next().map(|first| first.trim_end_matches(".rs"))
}

/// Arrows from one room to another, each with a place where it starts.
fn arrows() -> BTreeMap<(&'static str, &'static str), String> {
    let mut found = BTreeMap::new();
    for (from, arrows) in GRAPH.arrows.iter().enumerate() {
        for to in arrows.keys() {
            let (Some(own), Some(other)) = (room(from), room(*to)) else { continue };
            if own != other && other != "lib" {
                found.entry((own, other)).or_insert_with(|| GRAPH.arrow(from, *to));
            }
        }
    }
    found
}

/// Places in the chosen rooms where a file names a path that is forbidden to it.
fn places(chosen: impl Fn(&str) -> bool, forbidden: impl Fn(&Named) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for file in (0..GRAPH.files.len()).filter(|file| room(*file).is_some_and(&chosen)) {
        let hits = GRAPH.named[file].iter().filter(|path| forbidden(path));
        found.extend(hits.map(|path| format!("{}:{} names {}", GRAPH.files[file].path, path.line, path.path)));
    }
    found
}

/// Arrows of rooms that are forbidden, each as its place.
fn forbidden(is_forbidden: impl Fn(&str, &str) -> bool) -> Vec<String> {
    arrows().into_iter().filter(|((from, to), _)| is_forbidden(from, to)).map(|(_, place)| place).collect()
}

#[test]
fn rooms_form_no_circle() {
    let arrows = arrows();
    let reach = |from: &'static str| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(room) = open.pop() {
            open.extend(arrows.keys().filter(|(own, to)| *own == room && reached.insert(*to)).map(|(_, to)| *to));
        }
        reached
    };
    let circular = arrows.iter().filter(|((from, to), _)| reach(to).contains(from));
    crate::report("rooms name one another in no circle", circular.map(|(_, place)| place.clone()).collect());
}

#[test]
fn exchange_knows_only_the_buffers_of_the_reactor() {
    let allowed = ["reactor::buffer", "reactor::Millis"];
    let other = |path: &Named| path.is_below("reactor") && !allowed.iter().any(|inner| path.is_below(inner));
    crate::report("exchange may use reactor::buffer, and its unit of time", places(|room| room == "exchange", other));
}

#[test]
fn components_meet_in_the_hub_only() {
    let found = forbidden(|from, to| APART.contains(&from) && APART.contains(&to));
    crate::report("session, upstream, redirector, resolver and loader never name one another", found);
}

#[test]
fn few_see_the_configuration() {
    let config = |path: &Named| path.is_below("crate::config::Config") || path.is_below("crate::config::load");
    let found = places(|room| !SEE_CONFIG.contains(&room), config);
    crate::report("only main, cli, supervisor, proxy and config see Config", found);
}

#[test]
fn arrows_point_inwards() {
    let allowed = |from: &str| MAY_NAME.iter().find(|(room, _)| *room == from).map(|(_, allowed)| *allowed);
    let found = forbidden(|from, to| allowed(from).is_some_and(|allowed| !allowed.contains(&to)));
    crate::report("a room names only those below it", found);
}

#[test]
fn every_row_of_the_tables_is_needed() {
    let arrows = arrows();
    let rooms: BTreeSet<&str> = (0..GRAPH.files.len()).filter_map(room).collect();
    let allowed = MAY_NAME.iter().flat_map(|(from, allowed)| allowed.iter().map(move |to| (*from, *to)));
    let mut dead: Vec<String> =
        allowed.filter(|pair| !arrows.contains_key(pair)).map(|(from, to)| format!("{from} names no {to}")).collect();
    let listed = APART.iter().chain(SEE_CONFIG).chain(MAY_NAME.iter().map(|(from, _)| from));
    dead.extend(listed.filter(|room| !rooms.contains(**room)).map(|room| format!("there is no {room}")));
    crate::report("no row of a table is left over", dead);
}

#[test]
fn no_room_reaches_up_to_the_hub() {
    let found =
        forbidden(|from, to| matches!(to, "proxy" | "supervisor") && !["main", "supervisor", "proxy"].contains(&from));
    crate::report("only main and supervisor know the hub", found);
}
