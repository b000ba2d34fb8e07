//! Names that look like options and are none: the warning or refusal for each. A name stops the start where a filter
//! would rely on it. Knows where names stand, and of values only whether they switch something on.

use super::error::{shown, Error};
use super::names::{environment_names, ini_sections, keys};
use super::options::{OptionEntry, OPTIONS};
use super::value::{unquote, Flag};
use std::collections::HashSet;

/// The name of the option that switches a part of the program on, in every section that has one.
pub(super) const SWITCH: &str = "enable";

/// Sections of rules. A rule under a name that means nothing is one that is not applied: what it was to forbid would
/// pass. Those that do not exist yet are among them, so that their options are not taken for those of another program.
const GUARDED: [&str; 3] = ["acl", "auth", "security"];

/// Most unknown names that are reported one by one: a file of another program has them on every line.
const MOST_WARNINGS: usize = 20;

/// Longest unknown name that is compared with the known ones, in bytes; comparing costs the product of both lengths.
const LONGEST_NAME: usize = 64;

/// All names that mean something, for telling which do not.
pub(super) struct KnownNames {
    pub(super) environment: HashSet<String>,
    pub(super) ini: HashSet<String>,
    pub(super) sections: HashSet<String>,
}

impl KnownNames {
    pub(super) fn of_table() -> KnownNames {
        let ini = |entry: &OptionEntry| {
            let pairs =
                ini_sections(entry).map(|section| keys(entry).into_iter().map(move |key| format!("{section}.{key}")));
            pairs.into_iter().flatten().collect::<Vec<_>>()
        };
        KnownNames {
            environment: OPTIONS.iter().flat_map(|entry| environment_names(entry)).collect(),
            ini: OPTIONS.iter().flat_map(|entry| ini(entry)).collect(),
            sections: OPTIONS.iter().flat_map(|entry| ini_sections(entry)).collect(),
        }
    }
}

/// A name that means nothing, and where it stands.
pub(super) struct Unknown {
    kind: UnknownKind,
    name: String,
    place: String,
    refused: bool,
}

/// What the name was to be the name of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UnknownKind {
    Option,
    /// An option but for its letters: no other name can be meant.
    Capitals,
    Section,
    /// The switch of a part that does not exist, and it is on.
    Switch,
}

impl Unknown {
    /// An option by its name with section, and its value.
    pub(super) fn option(name: String, value: &str, place: String) -> Unknown {
        let section = name.split('.').next().unwrap_or_default();
        let known = OPTIONS.iter().any(|entry| entry.section == section);
        let switch = !known && name.strip_prefix(section) == Some(".enable") && is_on(value);
        let kind = if switch { UnknownKind::Switch } else { UnknownKind::Option };
        let refused = switch || is_guarded(section);
        Unknown { kind, name, place, refused }
    }

    /// An option whose name would be right in small letters.
    pub(super) fn capitals(name: String, place: String) -> Unknown {
        let refused = is_guarded(name.split('.').next().unwrap_or_default());
        Unknown { kind: UnknownKind::Capitals, name, place, refused }
    }

    /// A section by its name, with and without the program's own in front, and the value of its switch.
    pub(super) fn section(bare: &str, whole: &str, switch: &str, place: String) -> Unknown {
        match is_on(switch) {
            true => Unknown { kind: UnknownKind::Switch, name: format!("{bare}.{SWITCH}"), place, refused: true },
            false => Unknown { kind: UnknownKind::Section, name: whole.to_owned(), place, refused: is_guarded(bare) },
        }
    }

    fn text(&self) -> String {
        let (name, place) = (shown(&self.name), &self.place);
        let why = if self.refused { ": what it is to forbid would pass " } else { "" };
        match self.kind {
            UnknownKind::Option => {
                let near = nearest(&self.name.replace('_', "-"), OPTIONS.iter().map(|entry| entry.name()));
                format!("unknown option {name} {why}({place}{})", hint(near))
            }
            UnknownKind::Capitals => format!("unknown option {name} {why}({place})"),
            UnknownKind::Section => {
                let near = nearest(&self.name, OPTIONS.iter().map(|entry| entry.section.to_owned()));
                format!("unknown section [{name}] {why}({place}{})", hint(near))
            }
            UnknownKind::Switch => format!("{name} is true : the program has no such part ({place})"),
        }
    }
}

/// What is told of the names that the program goes on with, one line each.
pub(super) fn warnings(all: &[Unknown]) -> Vec<String> {
    let told: Vec<&Unknown> = all.iter().filter(|unknown| !unknown.refused).collect();
    // Only those that are told of are compared with every option.
    let lines = told.iter().take(MOST_WARNINGS).map(|unknown| format!("configuration issue, {}", unknown.text()));
    let more = told.len().saturating_sub(MOST_WARNINGS);
    lines.chain((more > 0).then(|| format!("configuration issue, {more} more unknown names"))).collect()
}

/// The refusals of the names that the program does not go on with, as many as are told of.
pub(super) fn refusals(all: &[Unknown]) -> Vec<Error> {
    let refused = all.iter().filter(|unknown| unknown.refused).take(MOST_WARNINGS);
    refused.map(|unknown| Error::Unknown { text: unknown.text() }).collect()
}

/// Is this a section of rules, or what looks most like one?
fn is_guarded(section: &str) -> bool {
    let known = OPTIONS.iter().map(|entry| entry.section).chain(GUARDED);
    nearest(section, known.map(str::to_owned)).is_some_and(|near| GUARDED.contains(&near.as_str()))
}

fn is_on(value: &str) -> bool {
    Flag::word(unquote(value)) == Some(true)
}

fn hint(near: Option<String>) -> String {
    near.map(|name| format!(": the nearest is {name}")).unwrap_or_default()
}

/// The candidate that a mistyped name most likely means; nothing when none resembles it.
pub fn nearest(name: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    // Below this similarity (1 is equality) suggestions are guesses: "tcp4.port" and "dns.ttl" have 0.56.
    const LIKENESS: f64 = 0.8;
    let name: String = name.chars().take(LONGEST_NAME).collect();
    let name = name.to_ascii_lowercase();
    let rated = candidates.map(|candidate| (strsim::jaro_winkler(&name, &candidate), candidate));
    let best = rated.max_by(|(left, _), (right, _)| left.total_cmp(right));
    best.filter(|(likeness, _)| *likeness >= LIKENESS).map(|(_, candidate)| candidate)
}
