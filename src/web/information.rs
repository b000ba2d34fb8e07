//! What there is to know and where, the listeners, and the drainers.

use maud::{html, Markup};

use super::{units, Source};
use crate::monitor::drainers::DrainerRow;

/// What there is to know, and where.
pub(super) fn overview() -> Markup {
    const PAGES: [(&str, &str, &str); 10] = [
        ("sessions", "Sessions", "connected clients, what they ask for, and for how long they are here"),
        ("listeners", "Listeners", "where clients come in, how many are here, and how many may be"),
        ("drainers", "Drainers", "processes that keep the clients of former versions after an upgrade"),
        ("statistics", "Statistics", "all numbers with what they count, and the highest since the start"),
        ("errors", "Errors", "what went wrong since the start, how often, and what it means"),
        ("lists", "Lists", "the files of lists, and what they have allowed and refused"),
        ("observed", "Observed hosts", "what clients ask for while lists only report, and an allow list made of it"),
        (
            "configuration",
            "Configuration",
            "every option with its value, what it does, and what differs from the default",
        ),
        ("logs", "Log", "the last messages of the proxy, newest first"),
        ("errs", "Log of the helpers", "what helpers have written to their standard error"),
    ];
    html! {
        h1 { "Information" }
        ul { @for (name, title, text) in PAGES { li { a href={ "/information/" (name) ".html" } { (title) } ": " (text) } } }
    }
}

/// The listeners, as `/json/listeners` has them.
pub(super) fn listeners(source: &dyn Source) -> Markup {
    let rows = source.listeners();
    html! {
        h1 { "Listeners" }
        @if rows.is_empty() { p .empty { "None is open." } }
        @else {
            div .scroll {
                table .cards {
                    tr {
                        th scope="col" { "Kind" } th scope="col" { "Address" } th scope="col" { "Diverted by" }
                        th scope="col" { "PROXY header" } th scope="col" .number { "Clients" }
                        th scope="col" .number { "Of this kind" } th scope="col" .number { "At most" }
                        th scope="col" .number { "Accepted" }
                    }
                    @for row in &rows {
                        tr {
                            td data-label="Kind" { (row.kind) } td data-label="Address" { (row.address) }
                            td data-label="Diverted by" { (row.diversion.unwrap_or_default()) }
                            td data-label="PROXY header" { (if row.proxied { "required" } else { "" }) }
                            td .number data-label="Clients" { (row.clients) } td .number data-label="Of this kind" { (row.of_kind) }
                            td .number data-label="At most" { (row.limit) } td .number data-label="Accepted" { (row.accepted) }
                        }
                    }
                }
            }
        }
    }
}

/// The processes with clients of former versions, as `/json/drainers` has them.
pub(super) fn drainers(source: &dyn Source) -> Markup {
    let (rows, now) = (source.drainers(), source.now());
    html! {
        h1 { "Drainers" }
        p { "Processes that keep the clients of former versions after an upgrade. Their clients are in no other number." }
        @if rows.is_empty() { p .empty { "There is none." } }
        @else {
            div .scroll {
                table .cards {
                    tr {
                        th scope="col" .number { "Process" } th scope="col" .number { "Since" }
                        th scope="col" .number { "Clients" } th scope="col" .number { "In tunnels" }
                        th scope="col" .number { "To clients" } th scope="col" .number { "To servers" }
                        th scope="col" { "Time left" }
                    }
                    @for row in &rows { (drainer(row, now)) }
                }
            }
        }
    }
}

fn drainer(row: &DrainerRow, now: u64) -> Markup {
    let Some(told) = &row.told else {
        return html! { tr { td .number data-label="Process" { (row.pid) } td colspan="6" { "tells nothing of itself" } } };
    };
    let left = match told.until {
        0 => "as long as it needs".to_owned(),
        until => units::seconds(until.saturating_sub(now)),
    };
    let rate = |bytes: u64| units::bits(8.0 * bytes as f64);
    html! {
        tr {
            td .number data-label="Process" { (row.pid) }
            td .number data-label="Since" { (units::seconds(now.saturating_sub(told.since))) }
            td .number data-label="Clients" { (units::count(told.clients)) }
            td .number data-label="In tunnels" { (units::count(told.tunnels)) }
            td .number data-label="To clients" { (rate(row.rates[0])) }
            td .number data-label="To servers" { (rate(row.rates[1])) }
            td data-label="Time left" { (left) }
        }
    }
}
