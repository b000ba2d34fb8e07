//! Which file names which other, across the crates of the repository, and the circles among them: files that cannot be
//! read one after another, because each needs the others to be understood.
//!
//! A file names another when a path in its shipped code leads into that file's module. Two rules make this what a reader
//! means by it:
//!
//! - A name that a module file only re-exports counts for the file that defines it.
//! - What a module file (`mod.rs`, `lib.rs`) defines itself belongs to all the files below it, as Rust has it: a file
//!   that names its parent forms no circle with it. The other direction counts, and so does every arrow between
//!   siblings.

use crate::paths::{imports, named, position, Named};
use crate::source::{self, Source};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

/// The crates of the repository that ship, with the folders of their sources.
const CRATES: &[(&str, &str)] = &[("exaproxy", "src/"), ("dns", "dns/src/"), ("reactor", "reactor/src/")];

/// Most steps from a re-export to what it stands for.
const STEPS: usize = 8;

/// The repository as it is.
pub(crate) static GRAPH: LazyLock<Graph> = LazyLock::new(|| Graph::new(source::all().to_vec()));

/// The shipped files, and who names whom.
pub(crate) struct Graph {
    pub(crate) files: Vec<Source>,
    /// Module path of each file, from the name of its crate on.
    pub(crate) modules: Vec<String>,
    /// What each file names, within the repository and beyond.
    pub(crate) named: Vec<Vec<Named>>,
    /// For each file those that it names, each with the line.
    pub(crate) arrows: Vec<BTreeMap<usize, usize>>,
    by_module: HashMap<String, usize>,
}

/// The module of a shipped file, from the name of its crate on.
fn module(file: &Source) -> Option<String> {
    let (name, _) = CRATES.iter().find(|(_, folder)| file.path.starts_with(folder))?;
    let inner = position(file);
    Some(std::iter::once(name.to_string()).chain(inner).collect::<Vec<_>>().join("::"))
}

/// Modules that a file declares for tests only.
fn test_modules(file: &Source) -> Vec<String> {
    let Some(here) = module(file) else { return Vec::new() };
    let lines: Vec<&str> = file.code.lines().map(str::trim).collect();
    let declared = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]").map(|pair| pair[1]);
    let names = declared.filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';'));
    names.map(|name| format!("{here}::{name}")).collect()
}

impl Graph {
    /// The graph of those of the files that ship.
    pub(crate) fn new(files: Vec<Source>) -> Graph {
        let tests: BTreeSet<String> = files.iter().flat_map(test_modules).collect();
        let shipped = files.into_iter().filter(|file| !file.is_test());
        let shipped = shipped.filter_map(|file| module(&file).map(|module| (file, module)));
        let (files, modules): (Vec<_>, Vec<_>) = shipped.filter(|(_, module)| !tests.contains(module)).unzip();
        let mut graph = Graph {
            named: files.iter().map(named).collect(),
            arrows: vec![BTreeMap::new(); files.len()],
            by_module: HashMap::new(),
            files,
            modules,
        };
        for (at, file) in graph.files.iter().enumerate().filter(|(_, file)| !file.path.ends_with("src/main.rs")) {
            let before = graph.by_module.insert(graph.modules[at].clone(), at);
            assert!(before.is_none(), "{}: another file is the same module", file.path);
        }
        graph.draw();
        graph
    }

    fn draw(&mut self) {
        let imported: Vec<_> = self.files.iter().map(imports).collect();
        for from in 0..self.files.len() {
            for path in &self.named[from] {
                let to = self.lead(from, &path.path, &imported).filter(|to| *to != from);
                if let Some(to) = to {
                    self.arrows[from].entry(to).or_insert(path.line);
                }
            }
        }
    }

    /// The file that defines what a path names, as seen from a file.
    fn lead(&self, from: usize, path: &str, imported: &[Vec<(String, String)>]) -> Option<usize> {
        let mut path = self.absolute(from, path)?;
        for _ in 0..STEPS {
            let (file, rest) = self.split(&path)?;
            let name = rest.split("::").next().filter(|name| !name.is_empty());
            let import = name.and_then(|name| imported[file].iter().find(|(known, _)| known == name));
            let Some((name, target)) = import else { return Some(file) };
            let Some(target) = self.absolute(file, target) else { return Some(file) };
            let onwards = format!("{target}{}", &rest[name.len()..]);
            if onwards == path {
                return Some(file);
            }
            path = onwards;
        }
        None
    }

    /// A path from the name of its crate on; nothing where the crate is none of ours.
    fn absolute(&self, from: usize, path: &str) -> Option<String> {
        let here = &self.modules[from];
        let own = here.split("::").next().unwrap_or(here);
        let first = path.split("::").next().unwrap_or(path);
        if let Some(rest) = path.strip_prefix("crate::") {
            Some(format!("{own}::{rest}"))
        } else if self.by_module.contains_key(&format!("{here}::{first}")) {
            Some(format!("{here}::{path}"))
        } else {
            CRATES.iter().any(|(name, _)| *name == first).then(|| path.to_string())
        }
    }

    /// The innermost file that the path leads into, and what follows its module.
    fn split<'p>(&self, path: &'p str) -> Option<(usize, &'p str)> {
        let mut ends: Vec<usize> = path.match_indices("::").map(|(at, _)| at).collect();
        ends.push(path.len());
        let inner = ends.iter().rev().find_map(|end| Some((*self.by_module.get(&path[..*end])?, *end)));
        inner.map(|(file, end)| (file, path[end..].trim_start_matches("::")))
    }

    fn is_below(&self, inner: usize, outer: usize) -> bool {
        self.modules[inner].starts_with(&format!("{}::", self.modules[outer]))
    }

    /// Arrows that may be part of a circle: all but those from a file to one that encloses it.
    fn sideways(&self, from: usize) -> impl Iterator<Item = usize> + '_ {
        self.arrows[from].keys().copied().filter(move |to| !self.is_below(from, *to))
    }

    /// Groups of files that all reach one another.
    fn circles(&self) -> Vec<Vec<usize>> {
        let reach: Vec<BTreeSet<usize>> = (0..self.files.len()).map(|from| self.reach(from)).collect();
        let mut found = Vec::new();
        for (from, reached) in reach.iter().enumerate().filter(|(from, reached)| reached.contains(from)) {
            let members: Vec<usize> = reached.iter().copied().filter(|to| reach[*to].contains(&from)).collect();
            if members[0] == from {
                found.push(members);
            }
        }
        found
    }

    fn reach(&self, from: usize) -> BTreeSet<usize> {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(file) = open.pop() {
            open.extend(self.sideways(file).filter(|to| reached.insert(*to)));
        }
        reached
    }

    /// A circle as text: its arrows.
    fn show(&self, circle: &[usize]) -> String {
        let mut lines = Vec::new();
        for from in circle {
            let inside = self.sideways(*from).filter(|to| circle.contains(to));
            lines.extend(inside.map(|to| self.arrow(*from, to)));
        }
        format!("a circle of {} files\n    {}", circle.len(), lines.join("\n    "))
    }

    /// An arrow as text.
    pub(crate) fn arrow(&self, from: usize, to: usize) -> String {
        format!("{}:{} names {}", self.files[from].path, self.arrows[from][&to], self.files[to].path)
    }
}

#[test]
fn files_form_no_circle() {
    let graph = &GRAPH;
    let found = graph.circles().iter().map(|circle| graph.show(circle)).collect();
    crate::report("files name one another in no circle", found);
}

/// A graph of these paths and texts.
#[cfg(test)]
pub(crate) fn planted(files: &[(&str, &str)]) -> Graph {
    Graph::new(files.iter().map(|(path, text)| Source::new((*path).into(), (*text).into())).collect())
}

#[test]
fn circles_are_found_through_re_exports_and_not_towards_parents() {
    let parent = ("src/a/mod.rs", "pub mod b;\npub mod c;\npub use c::C;\npub struct A(b::B);");
    let circle = planted(&[
        parent,
        ("src/a/b.rs", "use super::{A, C};\npub struct B(Box<A>, C);"),
        ("src/a/c.rs", "pub struct C(Option<super::b::B>);"),
    ]);
    let shown: Vec<String> = circle.circles().iter().map(|found| circle.show(found)).collect();
    let arrows = "src/a/b.rs:1 names src/a/c.rs\n    src/a/c.rs:1 names src/a/b.rs";
    assert_eq!(shown, [format!("a circle of 2 files\n    {arrows}")]);
    let child = ("src/a/b.rs", "use super::A;\npub struct B(Box<A>);");
    assert!(planted(&[parent, child, ("src/a/c.rs", "pub struct C;")]).circles().is_empty());
}
