//! The page of the configuration: every option with its value, what it does, and whether that is its default.

use maud::{html, Markup};

use super::facts::{facts, sentence, Fact};
use super::{units, OptionFact, Source};

/// The query with which only what differs from the default is shown.
const CHANGED: &[u8] = b"changed";

/// What stands before every name.
const PREFIX: &str = "exaproxy.";

pub(super) fn page(query: &[u8], source: &dyn Source) -> Markup {
    let options = || source.facts().configuration.iter().filter(|fact| !fact.renamed);
    let (all, changed) = (options().count() as u64, options().filter(|fact| fact.default.is_some()).count() as u64);
    let only = query == CHANGED;
    let shown: Vec<&OptionFact> = options().filter(|fact| !only || fact.default.is_some()).collect();
    let sections = shown.chunk_by(|left, right| section(left) == section(right));
    html! {
        h1 { "Configuration" }
        p {
            (units::count(changed)) " of " (units::counted(all, "option has", "options have")) " another value than the default. "
            @if only { a href="/information/configuration.html" { "Show all options" } "." }
            @else if changed > 0 { "They are marked; " a href="/information/configuration.html?changed" { "show only them" } "." }
        }
        @for options in sections {
            @if let Some(first) = options.first() { h2 { (section(first)) } p .empty { (first.section) } }
            (facts(&options.iter().map(|fact| shown_as(fact)).collect::<Vec<_>>()))
        }
    }
}

/// The section of an option, which is the first word of its name.
fn section(fact: &OptionFact) -> &str {
    bare(fact).split('.').next().unwrap_or_default()
}

fn bare(fact: &OptionFact) -> &str {
    fact.name.strip_prefix(PREFIX).unwrap_or(&fact.name)
}

fn shown_as(fact: &OptionFact) -> Fact {
    let value = if fact.text.is_empty() {
        html! { span .empty { "empty" } }
    } else {
        html! { (fact.text) }
    };
    let about = html! {
        p { (sentence(fact.about)) "." }
        @if let Some(default) = fact.default {
            p .mark { "Changed: the default is " @if default.is_empty() { "empty" } @else { code { (default) } } "." }
        }
        @if let Some(place) = &fact.place { p { "Set by " (place) "." } }
    };
    Fact { pairs: vec![(bare(fact).to_owned(), value)], about, marked: fact.default.is_some() }
}
