//! The page of all numbers, each with what it counts. The words are those of docs/monitor.md, whose tables a test holds to
//! the numbers that there are.

use maud::{html, Markup};

use super::facts::{facts, sentence, Fact};
use super::{units, Source};
use crate::monitor::peaks::{Peak, PeakOf};

const DOCUMENT: &str = include_str!("../../docs/monitor.md");

/// What the keys of the second table begin with.
const ENDED: &str = "ended.";

/// Keys that are explained together, by their whole names.
pub(super) struct Explained {
    pub(super) keys: Vec<String>,
    text: &'static str,
}

impl Explained {
    /// The keys with the values that `value` has for them; None if it has none.
    pub(super) fn fact(&self, value: impl Fn(&str) -> Option<Markup>) -> Option<Fact> {
        let pairs: Vec<_> = self.keys.iter().filter_map(|key| Some((key.clone(), value(key)?))).collect();
        (!pairs.is_empty()).then(|| Fact { pairs, about: html! { p { (prose(self.text)) "." } }, marked: false })
    }
}

/// What numbers mean, in the order of the document.
pub(super) fn explained() -> Vec<Explained> {
    let (_, section) = DOCUMENT.split_once("\n## Numbers\n").unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let (counters, ended) = section.split_once("`ended.*` counts").unwrap_or((section, ""));
    rows(counters, "").chain(rows(ended, ENDED)).collect()
}

/// The rows of a table of keys and their meaning. A key that starts with a dot or a dash goes on from the one before it.
fn rows(table: &'static str, prefix: &'static str) -> impl Iterator<Item = Explained> {
    let lines = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    lines.map(move |(names, text)| {
        let mut whole = "";
        let names = names.split('`').step_by(2).map(|name| match name.starts_with(['.', '-']) {
            true => format!("{prefix}{}{name}", whole.split(['.', '-']).next().unwrap_or_default()),
            false => {
                whole = name;
                format!("{prefix}{name}")
            }
        });
        Explained { keys: names.collect(), text: text.trim_end_matches([' ', '|']) }
    })
}

/// A text of the document: code as code, of a link its words.
fn prose(text: &'static str) -> Markup {
    let mut parts = Vec::new();
    for (place, part) in text.split('`').enumerate() {
        let is_code = place % 2 == 1;
        let mut words = String::new();
        let mut rest = part;
        while let Some((before, link)) = rest.split_once('[') {
            let Some((name, behind)) = link.split_once("](") else { break };
            words.push_str(before);
            words.push_str(name);
            rest = behind.split_once(')').map_or("", |(_, behind)| behind);
        }
        words.push_str(rest);
        parts.push((is_code, words));
    }
    if let Some((_, first)) = parts.first_mut() {
        *first = sentence(first);
    }
    html! { @for (is_code, words) in &parts { @if *is_code { code { (words) } } @else { (words) } } }
}

pub(super) fn page(source: &dyn Source) -> Markup {
    let rows = source.running().rows();
    let value = |key: &str| {
        let place = rows.binary_search_by(|(name, _)| name.as_str().cmp(key)).ok()?;
        Some(html! { (written_number(key, &rows[place].1)) })
    };
    let (ended, counters): (Vec<_>, Vec<_>) =
        explained().into_iter().partition(|row| row.keys.iter().any(|key| key.starts_with(ENDED)));
    let shown = |rows: &[Explained]| facts(&rows.iter().filter_map(|row| row.fact(value)).collect::<Vec<_>>());
    let of_lists = rows.iter().filter(|(name, _)| is_of_a_list(name));
    let of_lists: Vec<_> =
        of_lists.map(|(name, text)| (name.clone(), html! { (written_number(name, text)) })).collect();
    html! {
        h1 { "Statistics" }
        p { "Numbers count from the start of the process, but for those whose text begins with “now”. Programs find the same at " a href="/json/running" { "/json/running" } "." }
        (peaks(source))
        h2 { "All numbers" }
        (shown(&counters))
        @if !of_lists.is_empty() {
            h2 { "Files of lists" }
            (facts(&[Fact { pairs: of_lists, about: html! { p { "Each file by its place in its option. " a href="/information/lists.html" { "Lists" } " has them with their names." } }, marked: false }]))
        }
        h2 { "Connections of clients, by why they ended" }
        (shown(&ended))
    }
}

/// A value for people to read. A time since 1970 is no count.
fn written_number(key: &str, text: &str) -> String {
    match text.parse() {
        Ok(number) if !key.ends_with(".read") => units::count(number),
        _ => text.to_owned(),
    }
}

/// `lists.block.1.entries` and the like.
fn is_of_a_list(name: &str) -> bool {
    name.starts_with("lists.block.") || name.starts_with("lists.allow.")
}

/// The highest values beside those of now.
fn peaks(source: &dyn Source) -> Markup {
    let history = source.history();
    html! {
        h2 { "Highest values since the start" }
        div .scroll {
            table {
                tr { th scope="col" { "What" } th scope="col" .number { "Now" } th scope="col" .number { "Highest" } th scope="col" .number { "That was" } }
                @for of in PeakOf::ALL {
                    @let (now, highest) = history.peak(of);
                    tr {
                        th scope="row" .wrap { (title(of)) }
                        td .number { (written(of, now)) }
                        td .number { (written(of, highest)) }
                        td .number { @if highest.value > 0.0 { (units::seconds(now.at.saturating_sub(highest.at) / 1000)) " ago" } }
                    }
                }
            }
        }
    }
}

fn title(of: PeakOf) -> &'static str {
    match of {
        PeakOf::Clients => "Clients",
        PeakOf::Tunnels => "Clients in tunnels",
        PeakOf::Servers => "Connections to servers",
        PeakOf::Requests => "Requests in a second",
        PeakOf::ToClients => "Sent to clients",
        PeakOf::ToServers => "Sent to servers",
        PeakOf::Names => "Names looked up in a second",
        PeakOf::Queue => "Requests that wait for a helper",
        PeakOf::Buffers => "Buffers lent to sessions",
        PeakOf::Cache => "Memory of the cache",
    }
}

fn written(of: PeakOf, peak: Peak) -> String {
    match of {
        PeakOf::ToClients | PeakOf::ToServers => units::bits(8.0 * peak.value),
        PeakOf::Cache => units::bytes(peak.value as u64),
        _ => units::rate(peak.value),
    }
}

/// The highest value of its kind, as a tile shows it below the one of now.
pub(super) fn highest(of: PeakOf, source: &dyn Source) -> Markup {
    let (_, highest) = source.history().peak(of);
    html! { p { "highest since the start: " (written(of, highest)) @if of == PeakOf::Requests { " /s" } } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::Running;
    use std::collections::BTreeSet;

    #[test]
    fn every_number_is_explained() {
        let explained: BTreeSet<String> = explained().into_iter().flat_map(|row| row.keys).collect();
        let own: BTreeSet<String> = Running::default().rows().into_iter().map(|(name, _)| name).collect();
        assert_eq!(explained, own);
    }

    #[test]
    fn words_of_the_document_are_shown_without_its_marks() {
        assert_eq!(prose("requests by [the cache](cache.md) of `a.b`").0, "Requests by the cache of <code>a.b</code>");
        assert_eq!(prose("`a` < [b").0, "<code>a</code> &lt; [b");
    }
}
