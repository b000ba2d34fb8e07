//! Code that decides is pure: it knows no sockets, files, threads, clocks or environment, and neither does anything that
//! it names, however far away. All that it gets is an argument.

use crate::graph::{planted, Graph, GRAPH};
use crate::source;
use std::collections::BTreeMap;

/// What is pure: a module with all that is below it.
const PURE: &[&str] = &[
    "exaproxy::http",
    "exaproxy::tls",
    "exaproxy::icap",
    "exaproxy::cache",
    "exaproxy::exchange",
    "exaproxy::peer",
    "exaproxy::decimal",
    "exaproxy::policy",
    "exaproxy::counters",
    "exaproxy::monitor",
    "exaproxy::web",
    "exaproxy::answers",
    "exaproxy::redirector::pool",
    "exaproxy::redirector::question",
    "exaproxy::redirector::dialect",
    "exaproxy::redirector::url",
    "exaproxy::redirector::icap",
    "exaproxy::upstream::dial",
    "exaproxy::upstream::failures",
    "reactor::arena",
    "reactor::ready",
    "reactor::buffer",
    "reactor::alarm",
    "reactor::frame",
    "dns",
];

/// Paths that reach outside the process, or make two runs differ. A moment as an argument is fine.
const OUTSIDE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::thread",
    "std::process",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::os",
    "mio",
    "socket2",
    "libc",
    "nix",
    "signal_hook",
    "getrandom",
];

/// The same, wherever they are imported from.
const CLOCKS: &[&str] = &["Instant::now", "SystemTime::now", "Local::now", "Utc::now"];

/// Methods of the standard library's plain values that ask a file system or a name server.
const METHODS: &[&str] = &[
    ".metadata()",
    ".symlink_metadata()",
    ".exists()",
    ".try_exists()",
    ".is_file()",
    ".is_dir()",
    ".is_symlink()",
    ".canonicalize()",
    ".read_dir()",
    ".read_link()",
    ".to_socket_addrs()",
    ".elapsed()",
];

fn is_pure(module: &str) -> bool {
    PURE.iter().any(|pure| module == *pure || module.starts_with(&format!("{pure}::")))
}

/// The numbers of errors are constants, though they stand beside the system's calls.
fn is_number(path: &str) -> bool {
    path.strip_prefix("libc::E")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()))
}

/// What in a file reaches outside, each with its line.
fn outside(graph: &Graph, file: usize) -> Vec<(usize, String)> {
    let leads = |path: &str| CLOCKS.iter().any(|clock| path.ends_with(clock));
    let named = graph.named[file].iter().filter(|path| !is_number(&path.path));
    let named = named.filter(|path| OUTSIDE.iter().any(|prefix| path.is_below(prefix)) || leads(&path.path));
    let mut found: Vec<(usize, String)> = named.map(|path| (path.line, path.path.clone())).collect();
    for (at, line) in graph.files[file].shipped.lines().enumerate() {
        found.extend(METHODS.iter().filter(|method| line.contains(*method)).map(|method| (at + 1, method.to_string())));
    }
    found
}

/// Where pure files reach outside: themselves, or by a chain of names that leaves what is pure with its first step. A
/// longer way through pure files is told of once, where it leaves them.
fn leaks(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for pure in (0..graph.files.len()).filter(|file| is_pure(&graph.modules[*file])) {
        let path = &graph.files[pure].path;
        found.extend(outside(graph, pure).into_iter().map(|(line, what)| format!("{path}:{line} names {what}")));
        let leaving = graph.arrows[pure].keys().filter(|to| !is_pure(&graph.modules[**to]));
        found.extend(leaving.filter_map(|to| chain(graph, pure, *to)));
    }
    found
}

/// The shortest chain of names from a file by way of another to something outside.
fn chain(graph: &Graph, from: usize, first: usize) -> Option<String> {
    let mut before = BTreeMap::from([(first, from)]);
    let mut open = vec![first];
    while !open.is_empty() {
        if let Some((file, (line, what))) = open.iter().find_map(|file| Some((*file, outside(graph, *file).pop()?))) {
            let mut steps = vec![format!("{}:{line} names {what}", graph.files[file].path)];
            let mut at = file;
            while at != from {
                steps.push(graph.arrow(before[&at], at));
                at = before[&at];
            }
            steps.reverse();
            return Some(steps.join(",\n    "));
        }
        let mut next = Vec::new();
        for file in open {
            let news: Vec<usize> = graph.arrows[file].keys().copied().filter(|to| !before.contains_key(to)).collect();
            before.extend(news.iter().map(|to| (*to, file)));
            next.extend(news);
        }
        open = next;
    }
    None
}

#[test]
fn what_is_pure_reaches_nothing_outside() {
    crate::report("pure code knows no sockets, files, threads or clocks", leaks(&GRAPH));
}

#[test]
fn every_row_of_the_pure_stands_for_a_module() {
    let dead = PURE.iter().filter(|pure| !GRAPH.modules.iter().any(|module| module == *pure));
    crate::report("PURE names modules that exist", dead.map(ToString::to_string).collect());
}

#[test]
fn dns_needs_the_standard_library_only() {
    let manifest = std::fs::read_to_string(source::root().join("dns/Cargo.toml")).expect("dns has a manifest");
    let after = manifest.split_once("[dependencies]").map_or("", |(_, after)| after);
    let own = after.split("\n[").next().unwrap_or("").lines().map(str::trim).filter(|line| line.contains('='));
    crate::report("dns depends on no crate", own.map(str::to_string).collect());
}

/// The fault that this is for: an exchange asked for an answer, the answer for a page, and the page for the date of its
/// file, three calls away.
#[test]
fn a_file_read_three_calls_deep_is_found() {
    let graph = planted(&[
        ("src/exchange/upload.rs", "use crate::loader;\nfn refuse() { loader::explain() }"),
        ("src/loader/mod.rs", "mod pages;\nmod folder;\npub fn explain() { pages::find() }"),
        ("src/loader/pages.rs", "use super::folder::Folder;\npub(super) fn find() { Folder.look() }"),
        ("src/loader/folder.rs", "pub(super) struct Folder;\nimpl Folder { fn look(&self) { path.metadata(); } }"),
    ]);
    let steps = [
        "src/exchange/upload.rs:1 names src/loader/mod.rs",
        "src/loader/mod.rs:3 names src/loader/pages.rs",
        "src/loader/pages.rs:1 names src/loader/folder.rs",
        "src/loader/folder.rs:2 names .metadata()",
    ];
    assert_eq!(leaks(&graph), [steps.join(",\n    ")]);
}
