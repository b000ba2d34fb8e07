//! Which module may know which: the arrows of docs/architecture.md, held by reading the paths that each file names,
//! in `use` lines and in place. Code in `#[cfg(test)]` is free.

use crate::source::{self, is_word, Source};

/// Modules of the program that know no sockets, files, threads, clocks or globals: all that they get is an argument.
const PURE: &[&str] = &["http", "exchange", "policy", "counters", "monitor", "web"];

/// What reads a clock; a moment as an argument is fine.
const CLOCKS: &[&str] = &["Instant::now", "SystemTime::now"];

/// What reaches outside the process, or makes two runs differ.
const OUTSIDE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::thread",
    "std::process",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::os",
    "mio",
    "socket2",
    "libc",
    "nix",
];

/// Components that exchange plain values through the hub and never see one another.
const APART: &[&str] = &["session", "upstream", "redirector", "resolver", "loader"];

/// Who may see the whole configuration; the others get a small struct of what they need.
const SEE_CONFIG: &[&str] = &["main", "cli", "supervisor", "proxy", "config"];

/// What may be named by whom: a module of the program, and all the modules of the program that it may name.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("http", &["http"]),
    ("policy", &["policy", "http", "exchange"]),
    ("exchange", &["exchange", "http", "policy", "answers", "counters"]),
    ("counters", &["counters", "http"]),
    ("logs", &["logs"]),
    ("io", &["io"]),
];

/// A path that a file names, resolved from the root of its crate or from an outer crate.
struct Named {
    line: usize,
    path: String,
}

impl Named {
    fn is_below(&self, prefix: &str) -> bool {
        self.path == prefix || self.path.starts_with(&format!("{prefix}::"))
    }

    fn leads_outside(&self) -> bool {
        OUTSIDE.iter().any(|prefix| self.is_below(prefix)) || CLOCKS.iter().any(|clock| self.path.ends_with(clock))
    }

    /// Module of the program that the path leads into.
    fn module(&self) -> Option<&str> {
        self.path.strip_prefix("crate::").and_then(|rest| rest.split("::").next())
    }
}

/// Module of the program that a file belongs to: `src/http/head.rs` is in `http`.
fn module_of(file: &Source) -> Option<&str> {
    let below = file.path.strip_prefix("src/")?;
    below.split('/').next().map(|first| first.trim_end_matches(".rs"))
}

/// Modules that enclose the file's own, itself included: `["http", "head"]`.
fn position(file: &Source) -> Vec<String> {
    let below = file.path.split_once("src/").map_or("", |(_, below)| below);
    let names = below.trim_end_matches(".rs").split('/').map(str::to_string);
    names.filter(|name| !["mod", "lib", "main"].contains(&name.as_str())).collect()
}

/// All paths that the shipped code of a file names.
fn named(file: &Source) -> Vec<Named> {
    let here = position(file);
    let mut found = Vec::new();
    for (line, spelled) in spelled(&file.shipped) {
        found.extend(expand(&spelled).into_iter().map(|path| Named { line, path: resolve(&path, &here) }));
    }
    found
}

/// Stretches of code that are a path of at least two parts, groups in braces included, with their lines.
fn spelled(code: &str) -> Vec<(usize, String)> {
    let bytes = code.as_bytes();
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
    while at < bytes.len() {
        let start = at;
        while at < bytes.len() && is_word(bytes[at] as char) {
            at += 1;
        }
        if at > start && bytes[at..].starts_with(b"::") {
            let end = at + path_length(&bytes[at..]);
            let path: String = code[start..end].split_whitespace().collect();
            found.push((line, path));
            line += code[at..end].matches('\n').count();
            at = end;
        } else if at == start {
            line += usize::from(bytes[at] == b'\n');
            at += 1;
        }
    }
    found
}

/// How far a path goes on from its first `::`; a group in braces ends with its closing one.
fn path_length(bytes: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'{' if bytes[..at].ends_with(b"::") || depth > 0 => depth += 1,
            b'}' if depth > 1 => depth -= 1,
            b'}' if depth == 1 => return at + 1,
            b':' => {}
            c if depth > 0 || is_word(c as char) => {}
            _ => return at,
        }
        at += 1;
    }
    at
}

/// `a::{b, c::{d}}` is `a::b` and `a::c::d`.
fn expand(path: &str) -> Vec<String> {
    let Some((head, group)) = path.split_once('{') else { return vec![path.trim_end_matches("::").to_string()] };
    let group = group.strip_suffix('}').unwrap_or(group);
    let parts = members(group).into_iter().flat_map(expand);
    parts.map(|part| format!("{head}{part}").trim_end_matches("::self").to_string()).collect()
}

/// Splits at the commas that stand in no inner group.
fn members(group: &str) -> Vec<&str> {
    let (mut found, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&group[start..]);
    found.into_iter().filter(|part| !part.is_empty()).collect()
}

/// Turns `self::` and `super::` into paths from the root of the crate, and the program's own name into `crate`.
fn resolve(path: &str, here: &[String]) -> String {
    let mut parts: Vec<&str> = path.split("::").collect();
    let mut base: Vec<String> = here.to_vec();
    match parts[0] {
        "exaproxy" => parts[0] = "crate",
        "self" => {
            parts.remove(0);
        }
        "super" => {
            while parts.first() == Some(&"super") {
                parts.remove(0);
                base.pop();
            }
        }
        _ => return parts.join("::"),
    }
    if parts.first() == Some(&"crate") {
        return parts.join("::");
    }
    base.insert(0, "crate".to_string());
    base.extend(parts.into_iter().map(str::to_string));
    base.join("::")
}

/// Places in files of the chosen modules where the path is forbidden.
fn places(chosen: impl Fn(&str) -> bool, forbidden: impl Fn(&str, &Named) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for file in source::all() {
        let Some(module) = module_of(&file).filter(|module| chosen(module)) else { continue };
        let hits = named(&file).into_iter().filter(|path| forbidden(module, path));
        found.extend(hits.map(|path| format!("{}:{} names {}", file.path, path.line, path.path)));
    }
    found
}

#[test]
fn pure_modules_reach_nothing_outside() {
    let found = places(|module| PURE.contains(&module), |_, path| path.leads_outside());
    crate::report("a pure module knows no sockets, files, threads or clocks", found);
}

#[test]
fn exchange_knows_only_the_buffers_of_the_reactor() {
    let allowed = ["reactor::buffer", "reactor::Millis"];
    let other = |_: &str, path: &Named| path.is_below("reactor") && !allowed.iter().any(|inner| path.is_below(inner));
    crate::report(
        "exchange may use reactor::buffer, and its unit of time",
        places(|module| module == "exchange", other),
    );
}

#[test]
fn components_meet_in_the_hub_only() {
    let another =
        |own: &str, path: &Named| path.module().is_some_and(|module| module != own && APART.contains(&module));
    let found = places(|module| APART.contains(&module), another);
    crate::report("session, upstream, redirector, resolver and loader never name one another", found);
}

#[test]
fn few_see_the_configuration() {
    let config = |_: &str, path: &Named| path.is_below("crate::config::Config") || path.is_below("crate::config::load");
    let found = places(|module| !SEE_CONFIG.contains(&module), config);
    crate::report("only main, cli, supervisor, proxy and config see Config", found);
}

#[test]
fn arrows_point_inwards() {
    let found = places(
        |module| MAY_NAME.iter().any(|(from, _)| *from == module),
        |own, path| {
            let (_, allowed) = MAY_NAME.iter().find(|(from, _)| *from == own).expect("chosen above");
            path.module().is_some_and(|module| !allowed.contains(&module))
        },
    );
    crate::report("a module names only those below it", found);
}

#[test]
fn nobody_reaches_up_to_the_hub() {
    let up = |_: &str, path: &Named| matches!(path.module(), Some("proxy" | "supervisor"));
    let found = places(|module| !["main", "lib", "supervisor", "proxy"].contains(&module), up);
    crate::report("only main and supervisor know the hub", found);
}

#[test]
fn dns_needs_the_standard_library_only() {
    let foreign =
        |path: &Named| ["mio", "socket2", "slab", "libc", "log", "nix"].iter().any(|name| path.is_below(name));
    let mut found = Vec::new();
    for file in source::all().iter().filter(|file| file.path.starts_with("dns/src/")) {
        let hits = named(file).into_iter().filter(|path| foreign(path) || path.leads_outside());
        found.extend(hits.map(|path| format!("{}:{} names {}", file.path, path.line, path.path)));
    }
    crate::report("dns is pure and uses std alone", found);
}

#[test]
fn paths_are_read_as_rust_reads_them() {
    let code = "use a::{b, c::{d, self}};\nuse super::x;\nfn f() { std::fs::read(crate::y::Z); }\nmatch v { _ => {} }";
    let file = Source { path: "src/http/head.rs".into(), text: String::new(), code: code.into(), shipped: code.into() };
    let found: Vec<String> = named(&file).into_iter().map(|path| format!("{} {}", path.line, path.path)).collect();
    assert_eq!(found, ["1 a::b", "1 a::c::d", "1 a::c", "2 crate::http::x", "3 std::fs::read", "3 crate::y::Z"]);
}
