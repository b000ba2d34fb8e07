//! Pages of plain facts: configuration, numbers, errors, logs.

use maud::{html, Markup};

use super::{MessageKind, Source};

/// Messages that are shown, as the original showed them.
const MESSAGES: usize = 1000;

/// What there is to know, and where.
pub(super) fn overview() -> Markup {
    const PAGES: [(&str, &str, &str); 9] = [
        ("sessions", "Sessions", "connected clients, what they ask for, and for how long they are here"),
        ("listeners", "Listeners", "where clients come in, how many are here, and how many may be"),
        ("statistics", "Statistics", "all numbers of this moment"),
        ("errors", "Errors", "what went wrong since the start, by the side at fault"),
        ("lists", "Lists", "the files of lists, and what they have allowed and refused"),
        ("observed", "Observed hosts", "what clients ask for while lists only report, and an allow list made of it"),
        ("configuration", "Configuration", "every option with its value"),
        ("logs", "Log", "the last messages of the proxy"),
        ("errs", "Log of the helpers", "what helpers have written to their standard error"),
    ];
    html! {
        h1 { "Information" }
        ul { @for (name, title, text) in PAGES { li { a href={ "/information/" (name) ".html" } { (title) } ": " (text) } } }
    }
}

/// The configuration, as `/json/configuration` has it.
pub(super) fn configuration(source: &dyn Source) -> Markup {
    let rows = source.facts().configuration.iter().map(|(name, text, _)| (name.as_str(), text.as_str()));
    html! { h1 { "Configuration" } (pairs("Option", "Value", rows)) }
}

/// The listeners, as `/json/listeners` has them.
pub(super) fn listeners(source: &dyn Source) -> Markup {
    let rows = source.listeners();
    html! {
        h1 { "Listeners" }
        @if rows.is_empty() { p .empty { "None is open." } }
        @else {
            div .scroll {
                table {
                    tr {
                        th scope="col" { "Kind" } th scope="col" { "Address" } th scope="col" { "Diverted by" }
                        th scope="col" { "PROXY header" } th scope="col" .number { "Clients" }
                        th scope="col" .number { "Of this kind" } th scope="col" .number { "At most" }
                        th scope="col" .number { "Accepted" }
                    }
                    @for row in &rows {
                        tr {
                            td { (row.kind) } td { (row.address) } td { (row.diversion.unwrap_or_default()) }
                            td { (if row.proxied { "required" } else { "" }) } td .number { (row.clients) }
                            td .number { (row.of_kind) } td .number { (row.limit) } td .number { (row.accepted) }
                        }
                    }
                }
            }
        }
    }
}

/// The numbers, as `/json/running` has them.
pub(super) fn statistics(source: &dyn Source) -> Markup {
    let rows = source.running().rows();
    html! {
        h1 { "Statistics" }
        (pairs("Number", "Value", rows.iter().map(|(name, text)| (name.as_str(), text.as_str()))))
    }
}

/// What went wrong, as `/json/errors` has it.
pub(super) fn errors(source: &dyn Source) -> Markup {
    let errors = super::json::errors(&source.running(), &source.refusals());
    html! {
        h1 { "Errors since the start" }
        @for (group, counts) in errors.as_object().into_iter().flatten() {
            @if counts.as_object().is_some_and(|counts| !counts.is_empty()) { h2 { (title(group)) } }
            div .scroll {
                table {
                    @for (name, count) in counts.as_object().into_iter().flatten() {
                        tr { th scope="row" .wrap { (name) } td .number { (count) } }
                    }
                }
            }
        }
    }
}

/// What a group of errors is about.
fn title(group: &str) -> &str {
    match group {
        "answers" => "Requests that the proxy answered itself, by cause (RFC 9209)",
        "sessions" => "Connections of clients, by why they ended",
        "lists" => "Refusals of lists by file and line, those that were only reported included",
        "origins" => "Connections to servers",
        "names" => "Names",
        "helpers" => "Helpers",
        other => other,
    }
}

/// The last messages, newest at the end as in the log itself.
pub(super) fn logs(which: MessageKind, source: &dyn Source) -> Markup {
    let messages = source.messages(which, MESSAGES);
    html! {
        h1 { @match which { MessageKind::Proxy => "Log", MessageKind::Helpers => "Log of the helpers" } }
        p { "The last messages that were written, at most " (MESSAGES) ". Times are GMT." }
        @if messages.is_empty() { p .empty { "None so far." } }
        @else {
            div .scroll {
                table .log {
                    tr { th scope="col" { "Time" } th scope="col" { "Subsystem" } th scope="col" { "Level" } th scope="col" { "Message" } }
                    @for message in &messages {
                        tr {
                            td { (crate::http::date::stamp(message.at)) }
                            td { (message.subsystem) }
                            td { (message.severity) }
                            td { (message.text) }
                        }
                    }
                }
            }
        }
    }
}

fn pairs<'a>(left: &str, right: &str, rows: impl Iterator<Item = (&'a str, &'a str)>) -> Markup {
    html! {
        div .scroll {
            table {
                tr { th scope="col" { (left) } th scope="col" { (right) } }
                @for (name, text) in rows { tr { th scope="row" { (name) } td .wrap { (text) } } }
            }
        }
    }
}
