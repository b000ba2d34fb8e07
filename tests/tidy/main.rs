//! Style as a test: the rules of the house that a reader would otherwise have to check by eye. Reads the source as
//! text, `source.rs` tells code from comments; it compiles nothing and knows no types.

mod arrows;
mod graph;
mod links;
mod names;
mod paths;
mod purity;
mod source;
mod words;

use source::{is_word, Source};

/// Longest file, in lines: beyond it a file has two subjects and is split.
const LONGEST: usize = 500;

/// Longest function, in lines: beyond it a reader loses its beginning.
const LONGEST_FUNCTION: usize = 60;

/// The only file that may hold `unsafe`: each system call that no crate wraps stands there with its reason.
const UNSAFE_ALLOWED: &str = "reactor/src/sys.rs";

/// Marks of unfinished work.
const UNFINISHED: &[&str] = &["todo!", "dbg!", "unimplemented!", "#[ignore"];

/// How many lines above an `unwrap` its reason may begin.
const REASON_WITHIN: usize = 3;

/// Fails with all the findings at once, one per line.
fn report(rule: &str, findings: Vec<String>) {
    assert!(findings.is_empty(), "{rule}:\n  {}\n", findings.join("\n  "));
}

fn each(check: impl Fn(&Source) -> Vec<String>) -> Vec<String> {
    source::all().iter().flat_map(check).collect()
}

#[test]
fn source_is_found() {
    let files = source::all();
    for expected in ["src/lib.rs", "src/main.rs", "reactor/src/lib.rs", "dns/src/lib.rs", "tests/tidy/main.rs"] {
        assert!(files.iter().any(|file| file.path == expected), "{expected} was not read: the other rules see nothing");
    }
}

#[test]
fn files_begin_with_their_subject() {
    let missing = |file: &Source| match file.text.lines().next() {
        Some(line) if line.starts_with("//! ") => vec![],
        _ => vec![file.path.clone()],
    };
    report("the first line of a file says its subject, as `//! ...`", each(missing));
}

#[test]
fn files_are_short() {
    let long = |file: &Source| match file.text.lines().count() {
        lines if lines > LONGEST => vec![format!("{}: {lines} lines", file.path)],
        _ => vec![],
    };
    report(&format!("a file has at most {LONGEST} lines"), each(long));
}

#[test]
fn functions_are_short() {
    let long = |file: &Source| {
        let all = functions(&file.code).into_iter().filter(|(_, _, lines)| *lines > LONGEST_FUNCTION);
        all.map(|(line, name, lines)| format!("{}:{line}: {name} has {lines} lines", file.path)).collect()
    };
    report(&format!("a function has at most {LONGEST_FUNCTION} lines"), each(long));
}

/// Functions of a code that have a body: the line where each begins, its name, and how many lines it has.
fn functions(code: &str) -> Vec<(usize, &str, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ").filter(|(at, _)| !code[..*at].ends_with(is_word)) {
        let name = code[at + 3..].split(|c| !is_word(c)).next().unwrap_or_default();
        let Some(length) = body_end(&code[at..]).filter(|_| !name.is_empty()) else { continue };
        found.push((code[..at].matches('\n').count() + 1, name, code[at..at + length].matches('\n').count() + 1));
    }
    found
}

/// Where the body of the function ends that the code begins with; nothing where it has none.
fn body_end(code: &str) -> Option<usize> {
    let (mut brackets, mut braces) = (0_usize, 0_usize);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if brackets == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' if braces <= 1 => return Some(at),
            '}' => braces -= 1,
            _ => {}
        }
    }
    None
}

#[test]
fn functions_are_measured_with_their_bodies() {
    let code = "trait T {\n    fn a(&self);\n    fn b(x: [u8; 2]) {\n        if x {}\n    }\n}\nfn c() {}\n";
    assert_eq!(functions(code), [(3, "b", 3), (7, "c", 1)]);
}

#[test]
fn unsafe_stays_in_one_file() {
    let unsafe_code = |file: &Source| match file.path == UNSAFE_ALLOWED {
        true => vec![],
        false => file.lines_with_word("unsafe"),
    };
    report(&format!("`unsafe` stands in {UNSAFE_ALLOWED} only"), each(unsafe_code));
}

#[test]
fn nothing_is_left_for_later() {
    report("no unfinished work", each(|file| file.lines_with(UNFINISHED)));
}

/// `expect` carries its reason in its text; `unwrap` needs a comment on its line or just above.
#[test]
fn unwraps_have_a_reason() {
    let bare = |file: &Source| {
        let lines: Vec<&str> = file.text.lines().collect();
        let commented = |at: usize| (at.saturating_sub(REASON_WITHIN)..=at).any(|line| lines[line].contains("//"));
        let unwraps = file.shipped.lines().enumerate().filter(|(_, code)| code.contains(".unwrap()"));
        unwraps.filter(|(at, _)| !commented(*at)).map(|(at, _)| format!("{}:{}", file.path, at + 1)).collect()
    };
    let shipped = each(|file| if file.is_test() { vec![] } else { bare(file) });
    report("an unwrap outside tests has a comment that says why it cannot fail", shipped);
}
