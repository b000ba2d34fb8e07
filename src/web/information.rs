//! What there is to know and where, and the listeners.

use maud::{html, Markup};

use super::Source;

/// What there is to know, and where.
pub(super) fn overview() -> Markup {
    const PAGES: [(&str, &str, &str); 9] = [
        ("sessions", "Sessions", "connected clients, what they ask for, and for how long they are here"),
        ("listeners", "Listeners", "where clients come in, how many are here, and how many may be"),
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
