//! Lists: their files, and the hosts that were observed while they only report.

use maud::{html, Markup};

use super::{units, Source};
use crate::monitor::observed::ObservedHosts;

/// Hosts of a table.
const HOSTS: usize = 500;

/// The files of lists, and what they have done.
pub(super) fn files(source: &dyn Source) -> Markup {
    let (files, counters) = (source.list_files(), source.running().counters);
    html! {
        h1 { "Lists" }
        @if files.is_empty() { p .empty { "There are none: " code { "acl.blocklist" } " and " code { "acl.allowlist" } " name them." } }
        @else {
            p {
                (units::counted(counters.listed_allowed, "request was", "requests were")) " allowed, "
                (units::count(counters.listed_blocked)) " refused, " (units::count(counters.listed_reported)) " would have been refused."
            }
            div .scroll {
                table .cards {
                    tr {
                        th scope="col" { "File" } th scope="col" { "List" } th scope="col" .number { "Entries" }
                        th scope="col" .number { "Age" } th scope="col" .number { "Generation" }
                        th scope="col" .number { "Allowed" } th scope="col" .number { "Refused" }
                        th scope="col" .number { "Reported" } th scope="col" .number { "Lines without effect" }
                    }
                    @for row in &files {
                        tr {
                            td .wrap data-label="File" { (row.file) }
                            td data-label="List" { (row.list) }
                            td .number data-label="Entries" { (units::count(row.numbers.entries)) }
                            td .number data-label="Age" { (units::seconds(row.numbers.age)) }
                            td .number data-label="Generation" { (row.numbers.generation) }
                            td .number data-label="Allowed" { (units::count(row.numbers.allowed)) }
                            td .number data-label="Refused" { (units::count(row.numbers.blocked)) }
                            td .number data-label="Reported" { (units::count(row.numbers.reported)) }
                            td .number data-label="Lines without effect" { (units::count(row.others)) @if row.others > 0 { ", first: line " (row.first_other) } }
                        }
                    }
                }
            }
        }
    }
}

/// The hosts that were asked for while lists only report.
pub(super) fn observed(source: &dyn Source) -> Markup {
    let observed = source.observed();
    html! {
        h1 { "Observed hosts" }
        @if !observed.reporting {
            p .empty { "Hosts are observed while " code { "acl.mode" } " is " code { "report" } " and there is a list." }
        } @else if observed.hosts.is_empty() { p .empty { "None so far." } }
        @else { (hosts(&observed)) (allowlist(&observed)) }
    }
}

fn hosts(observed: &ObservedHosts) -> Markup {
    html! {
        p {
            (units::counted(observed.hosts.len() as u64, "host was", "hosts were")) " asked for since lists report."
            @if observed.hosts.len() > HOSTS { " The table shows the " (HOSTS) " with most requests." }
            @if observed.others > 0 { " " (units::counted(observed.others, "request", "requests")) " to further hosts could not be told apart." }
        }
        div .scroll {
            table .cards {
                tr {
                    th scope="col" { "Host" } th scope="col" .number { "Port" } th scope="col" .number { "Requests" }
                    th scope="col" .number { "Would have been refused" } th scope="col" { "Now" } th scope="col" { "By" }
                }
                @for row in observed.hosts.iter().take(HOSTS) {
                    tr {
                        td .wrap data-label="Host" { (row.host) }
                        td .number data-label="Port" { (row.port) }
                        td .number data-label="Requests" { (units::count(row.requests)) }
                        td .number data-label="Would have been refused" { (units::count(row.refused)) }
                        td data-label="Now" { (row.last.word()) }
                        td .wrap data-label="By" { (row.entry) }
                    }
                }
            }
        }
    }
}

/// The lines of the allow list, each with its end.
pub(super) fn allowlist_text(observed: &ObservedHosts) -> String {
    observed.allowlist.iter().map(|line| format!("{line}\n")).collect()
}

fn allowlist(observed: &ObservedHosts) -> Markup {
    html! {
        h2 { "Allow list" }
        p {
            "Lines for " code { "acl.allowlist" } " that let through what no list names; hosts that a list refuses are not among them. "
            "The same " a href="/information/allowlist.txt" { "as text" } "."
        }
        @if observed.allowlist.is_empty() { p .empty { "Lists name all that was asked for." } }
        @else { pre { (allowlist_text(observed)) } }
    }
}
