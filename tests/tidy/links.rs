//! Documents that point to files: every relative link in a Markdown file leads to something.

use crate::source;
use std::path::Path;

/// Folders that hold documents; the root's own are added by name.
const FOLDERS: &[&str] = &["docs", "tests", "helpers", "conf"];
const AT_ROOT: &[&str] = &["README.md", "CHANGELOG.md"];

/// Targets of `[text](target)` in a text, without the part after `#`.
fn targets(text: &str) -> Vec<&str> {
    let ends = text.match_indices("](").map(|(at, _)| &text[at + 2..]);
    let targets = ends.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets.map(|target| target.split('#').next().unwrap_or(target)).collect()
}

fn is_local(target: &str) -> bool {
    !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:")
}

#[test]
fn links_lead_somewhere() {
    let root = source::root();
    let mut documents = source::files(FOLDERS, ".md");
    for name in AT_ROOT {
        let text = std::fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        documents.push((name.to_string(), text));
    }
    let mut dead = Vec::new();
    for (path, text) in &documents {
        let folder = root.join(Path::new(path).parent().unwrap_or(Path::new("")));
        let missing = targets(text).into_iter().filter(|target| is_local(target) && !folder.join(target).exists());
        dead.extend(missing.map(|target| format!("{path} -> {target}")));
    }
    crate::report("every relative link leads to a file", dead);
}
