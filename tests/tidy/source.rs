//! Source files as text with comments and string contents blanked, so that a rule sees code only. Line numbers stay.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Folders below the root that hold Rust source of ours.
const FOLDERS: &[&str] = &["src", "reactor", "dns", "tests", "helpers"];

/// Folders below those that hold none of ours.
const SKIPPED: &[&str] = &["target", "corpus", "artifacts", "output"];

/// How the tests at the end of a file begin.
const TESTS: &str = "#[cfg(test)]\nmod tests {";

/// One file.
#[derive(Clone)]
pub(crate) struct Source {
    /// Path from the root of the repository, with `/`.
    pub(crate) path: String,
    /// The file as it is.
    pub(crate) text: String,
    /// The code: comments, strings and characters are blank.
    pub(crate) code: String,
    /// The comments: all else is blank.
    pub(crate) comments: String,
    /// The code up to the tests at the end of the file.
    pub(crate) shipped: String,
}

impl Source {
    pub(crate) fn new(path: String, text: String) -> Source {
        let (code, comments) = split(&text);
        let shipped = code[..code.find(TESTS).unwrap_or(code.len())].to_string();
        Source { path, text, code, comments, shipped }
    }

    /// Whether the file is part of the tests and not of the program.
    pub(crate) fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// Places where the code has one of the texts.
    pub(crate) fn lines_with(&self, texts: &[&str]) -> Vec<String> {
        self.places(|line| texts.iter().any(|text| line.contains(text)))
    }

    /// Places where the code has the word.
    pub(crate) fn lines_with_word(&self, word: &str) -> Vec<String> {
        self.places(|line| line.split(|c: char| !is_word(c)).any(|found| found == word))
    }

    fn places(&self, hit: impl Fn(&str) -> bool) -> Vec<String> {
        let hits = self.code.lines().enumerate().filter(|(_, line)| hit(line));
        hits.map(|(at, line)| format!("{}:{}: {}", self.path, at + 1, line.trim())).collect()
    }
}

/// Whether a character may stand in a Rust name.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below the root with one of the endings, sorted by path.
pub(crate) fn files(folders: &[&str], ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in folders {
        walk(&root().join(folder), ending, &mut found);
    }
    found.sort();
    found.into_iter().map(|path| (relative(&path), read(&path))).collect()
}

/// Every Rust file of the repository.
pub(crate) fn all() -> &'static [Source] {
    static ALL: LazyLock<Vec<Source>> =
        LazyLock::new(|| files(FOLDERS, ".rs").into_iter().map(|(path, text)| Source::new(path, text)).collect());
    &ALL
}

fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() && !SKIPPED.contains(&name.as_str()) {
            walk(&path, ending, found);
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}

fn relative(path: &Path) -> String {
    let below = path.strip_prefix(root()).expect("every file was found below the root");
    below.to_string_lossy().replace('\\', "/")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The code and the comments of a text, each with blanks for all else, strings and characters included. Lines stay.
fn split(text: &str) -> (String, String) {
    let (mut code, mut comments) = (String::with_capacity(text.len()), String::with_capacity(text.len()));
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let length = hidden(rest, code.chars().next_back());
        let is_comment = length > 0 && (rest.starts_with("//") || rest.starts_with("/*"));
        let end = if length > 0 { length } else { rest.chars().next().map_or(1, char::len_utf8) };
        let part = &rest[..end];
        code.push_str(&if length > 0 { blank(part) } else { part.to_string() });
        comments.push_str(&if is_comment { part.to_string() } else { blank(part) });
        at += end;
    }
    (code, comments)
}

fn blank(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect()
}

/// Length of the comment, string or character that `rest` begins with; 0 where it begins with code.
fn hidden(rest: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(is_word);
    if rest.starts_with("//") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        rest.find("*/").map_or(rest.len(), |end| end + 2)
    } else if rest.starts_with('"') {
        quoted(rest, '"')
    } else if !in_word && (rest.starts_with("r\"") || rest.starts_with("r#") || rest.starts_with("br")) {
        raw_string(rest)
    } else if rest.starts_with('\'') {
        character(rest)
    } else {
        0
    }
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> usize {
    let after = rest.trim_start_matches('b').trim_start_matches('r');
    let hashes = after.len() - after.trim_start_matches('#').len();
    if !after[hashes..].starts_with('"') {
        return 0;
    }
    let head = rest.len() - after.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    rest[head..].find(&end).map_or(rest.len(), |at| head + at + end.len())
}

/// A lifetime is a quote too, but no second one follows after one character.
fn character(rest: &str) -> usize {
    let mut inside = rest[1..].chars();
    match (inside.next(), inside.next()) {
        (Some('\\'), _) => quoted(rest, '\''),
        (Some(c), Some('\'')) => c.len_utf8() + 2,
        _ => 0,
    }
}

#[test]
fn code_is_told_from_comments() {
    assert_eq!(split("a \"// b\" // c\nd").1, "         // c\n ");
    let cases = [
        ("a // unsafe\nb", "a          \nb"),
        ("a /* x\ny */ b", "a     \n     b"),
        ("f(\"un\\\"safe\") x", "f(          ) x"),
        ("r#\"un\"safe\"# x", "             x"),
        ("br\"un\" x", "       x"),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
        ("['\\'', '\"', 'x']", "[    ,    ,    ]"),
        ("for r#try in attr", "for r#try in attr"),
    ];
    for (text, code) in cases {
        assert_eq!(split(text).0, code, "{text}");
    }
}
