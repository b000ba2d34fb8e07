//! The live view: sessions and addresses, filtered and bounded.

use maud::{html, Markup};

use super::{units, Source};
use crate::exchange::phase::PhaseKind;
use crate::monitor::hosts::Top;
use crate::monitor::sessions::{EndPointKind, Filter, Row, Sort, MOST_ROWS, ROWS};
use crate::monitor::Counters;
use crate::peer::Family;

/// Addresses of a table.
const ADDRESSES: usize = 100;

/// Reads a filter from the query of an address. What makes no sense counts as not said.
pub(super) fn filter(query: &[u8]) -> Filter {
    let mut filter = Filter { limit: ROWS, ..Filter::default() };
    for (name, value) in form_urlencoded::parse(query) {
        match &*name {
            "client" => filter.client = value.trim().to_owned(),
            "host" => filter.host = value.trim().to_ascii_lowercase(),
            "phase" => filter.phase = value.into_owned(),
            "sort" => {
                filter.sort = Sort::ALL.iter().find(|(_, word)| *word == value).map_or(filter.sort, |(sort, _)| *sort)
            }
            "limit" => filter.limit = value.parse().map_or(ROWS, |limit: usize| limit.clamp(1, MOST_ROWS)),
            _ => {}
        }
    }
    filter
}

/// The page of the live view.
pub(super) fn page(query: &[u8], source: &dyn Source) -> Markup {
    let filter = filter(query);
    let sessions = source.sessions(&filter);
    html! {
        h1 { "Sessions" }
        (form(&filter))
        p {
            (units::count(sessions.matched as u64)) " of " (units::counted(sessions.total as u64, "session", "sessions")) " match."
            @if sessions.rows.len() < sessions.matched { " The first " (units::count(sessions.rows.len() as u64)) " are shown." }
        }
        @if !sessions.rows.is_empty() { (table(&sessions.rows)) }
    }
}

fn form(filter: &Filter) -> Markup {
    let phases = PhaseKind::ALL.into_iter().filter(|phase| *phase != PhaseKind::Closed);
    html! {
        form method="get" action="/information/sessions.html" {
            label { "Client (address, or uid:1000) starts with" input name="client" value=(filter.client) autocomplete="off"; }
            label { "Host contains" input name="host" value=(filter.host) autocomplete="off"; }
            label {
                "Phase"
                select name="phase" {
                    option value="" { "any" }
                    @for phase in phases { option selected[phase.name() == filter.phase] { (phase.name()) } }
                }
            }
            label {
                "First by"
                select name="sort" { @for (sort, word) in Sort::ALL { option value=(word) selected[sort == filter.sort] { (title(sort)) } } }
            }
            label { "Rows" input name="limit" type="number" min="1" max=(MOST_ROWS) value=(filter.limit); }
            button { "Show" }
        }
    }
}

fn title(sort: Sort) -> &'static str {
    match sort {
        Sort::Age => "age",
        Sort::Still => "time in phase",
        Sort::Received => "bytes to client",
        Sort::Sent => "bytes to server",
    }
}

fn table(rows: &[Row]) -> Markup {
    let several = rows.iter().any(|row| row.thread.is_some());
    html! {
        div .scroll {
            table .cards.dense {
                tr {
                    th scope="col" .number { "Number" }
                    @if several { th scope="col" .number { "Loop" } }
                    th scope="col" { "Client" } th scope="col" { "User" } th scope="col" { "Phase" }
                    th scope="col" .number { "In phase" } th scope="col" .number { "Age" } th scope="col" .number { "Requests" }
                    th scope="col" { "Host" } th scope="col" { "Server" }
                    th scope="col" .number { "To client" } th scope="col" .number { "To server" } th scope="col" { "Last error" }
                }
                @for row in rows { (line(row)) }
            }
        }
    }
}

fn line(row: &Row) -> Markup {
    html! {
        tr {
            td .number data-label="Number" { (row.id) }
            @if let Some(thread) = row.thread { td .number data-label="Loop" { (thread) } }
            td data-label="Client" { (row.client) @if let Some(pid) = row.pid { " process " (pid) } @if row.web { " (monitor)" } }
            td .wrap data-label="User" { (row.user.as_deref().unwrap_or_default()) }
            td data-label="Phase" { (row.phase) }
            td .number data-label="In phase" { (units::seconds(row.still)) }
            td .number data-label="Age" { (units::seconds(row.age)) }
            td .number data-label="Requests" { (units::count(row.requests.into())) }
            td .wrap data-label="Host" { (row.host) }
            td data-label="Server" { @if let Some(origin) = row.origin { (origin) } }
            td .number data-label="To client" { (units::bytes(row.to_client)) }
            td .number data-label="To server" { (units::bytes(row.to_origin)) }
            td data-label="Last error" { (row.trouble.unwrap_or_default()) }
        }
    }
}

/// Connections by address, most first.
pub(super) fn ends(side: EndPointKind, source: &dyn Source) -> Markup {
    let ends = source.ends(side);
    let title = match side {
        EndPointKind::Clients => "Clients",
        EndPointKind::Origins => "Servers",
    };
    html! {
        h1 { (title) " by address" }
        p { (units::counted(ends.len() as u64, "address is connected", "addresses are connected")) "." @if ends.len() > ADDRESSES { " The table shows the " (ADDRESSES) " with most connections." } }
        @if !ends.is_empty() {
            div .scroll {
                table {
                    tr { th scope="col" { "Address" } th scope="col" .number { "Connections" } th scope="col" .number { "To clients" } th scope="col" .number { "To servers" } }
                    @for (address, end) in ends.top(ADDRESSES) {
                        tr {
                            td {
                                @if side == EndPointKind::Clients { a href={ "/information/sessions.html?client=" (address) } { (address) } }
                                @else { (address) }
                            }
                            td .number { (units::count(end.connections)) }
                            td .number { (units::bytes(end.to_clients)) }
                            td .number { (units::bytes(end.to_origins)) }
                        }
                    }
                }
            }
        }
        @if side == EndPointKind::Origins { (families(&source.running().counters)) (hosts(source.hosts())) }
    }
}

/// Which way clients go: what they come by, and the family of the address that was connected to for them.
fn families(counters: &Counters) -> Markup {
    let count = |client, origin| counters.ways().find(|way| (way.0, way.1) == (client, origin)).map_or(0, |way| way.2);
    html! {
        h2 { "Connections made since the start" }
        div .scroll {
            table {
                tr { th scope="col" { "Clients come by" } @for origin in Family::OUT { th scope="col" .number { "To " (origin.title()) } } }
                @for client in Family::ALL {
                    tr { th scope="row" { (client.title()) } @for origin in Family::OUT { td .number { (units::count(count(client, origin))) } } }
                }
            }
        }
    }
}

fn hosts(top: &Top) -> Markup {
    html! {
        h2 { "Hosts asked for most in the last full minute" }
        @if top.hosts.is_empty() { p .empty { "None." } }
        @else {
            div .scroll {
                table {
                    tr { th scope="col" { "Host" } th scope="col" .number { "Requests" } }
                    @for (host, count) in &top.hosts { tr { td .wrap { (host) } td .number { (units::count(*count)) } } }
                    tr { td { "all others" } td .number { (units::count(top.others)) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_takes_what_makes_sense() {
        let all = filter(b"client=+192.0.2.&host=A%2eExample&phase=tunnel&sort=sent&limit=7&x=y");
        let wanted = Filter {
            client: "192.0.2.".into(),
            host: "a.example".into(),
            phase: "tunnel".into(),
            sort: Sort::Sent,
            limit: 7,
        };
        assert_eq!(all, wanted);
        for (query, limit) in [("", ROWS), ("limit=0", 1), ("limit=99999999", MOST_ROWS), ("limit=-1&sort=%ff&%", ROWS)]
        {
            assert_eq!(filter(query.as_bytes()), Filter { limit, ..Filter::default() }, "{query}");
        }
    }
}
