//! The paths that a file names, in `use` lines and in place, resolved from the root of its crate. Reads text, and knows
//! nothing of modules that exist.

use crate::source::{is_word, Source};

/// A path that a file names, resolved from the root of its crate or from an outer crate.
pub(crate) struct Named {
    pub(crate) line: usize,
    pub(crate) path: String,
}

impl Named {
    pub(crate) fn is_below(&self, prefix: &str) -> bool {
        self.path == prefix || self.path.starts_with(&format!("{prefix}::"))
    }
}

/// Modules that enclose the file's own, itself included: `["http", "head"]`.
pub(crate) fn position(file: &Source) -> Vec<String> {
    let below = file.path.split_once("src/").map_or("", |(_, below)| below);
    let names = below.trim_end_matches(".rs").split('/').map(str::to_string);
    names.filter(|name| !["mod", "lib", "main"].contains(&name.as_str())).collect()
}

/// All paths that the shipped code of a file names.
pub(crate) fn named(file: &Source) -> Vec<Named> {
    let here = position(file);
    let mut found = Vec::new();
    for (line, spelled) in spelled(&file.shipped) {
        found.extend(expand(&spelled).into_iter().map(|path| Named { line, path: resolve(&path, &here) }));
    }
    found
}

/// Names that the `use` lines of a file bring in, with the paths that they stand for.
pub(crate) fn imports(file: &Source) -> Vec<(String, String)> {
    let here = position(file);
    let lines = file.shipped.split(';').filter_map(|statement| statement.rsplit_once("use ")).map(|(_, tree)| tree);
    let trees = lines.map(|tree| tree.split_whitespace().collect::<String>()).filter(|tree| tree.contains("::"));
    let paths = trees.flat_map(|tree| expand(&tree)).map(|path| resolve(&path, &here));
    paths.filter_map(|path| path.rsplit_once("::").map(|(_, name)| (name.to_string(), path.clone()))).collect()
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

#[test]
fn paths_are_read_as_rust_reads_them() {
    let code = "use a::{b, c::{d, self}};\nuse super::x;\nfn f() { std::fs::read(crate::y::Z); }\nmatch v { _ => {} }";
    let file = Source::new("src/http/head.rs".into(), code.into());
    let found: Vec<String> = named(&file).into_iter().map(|path| format!("{} {}", path.line, path.path)).collect();
    assert_eq!(found, ["1 a::b", "1 a::c::d", "1 a::c", "2 crate::http::x", "3 std::fs::read", "3 crate::y::Z"]);
}
