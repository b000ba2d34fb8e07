//! The last messages, newest first, and those of them that a filter picks.

use std::collections::BTreeSet;

use maud::{html, Markup};

use super::{units, LogMessage, MessageKind, Source};
use crate::http::date::stamp;

/// Messages that are looked at, as many as are kept.
const MESSAGES: usize = 1000;

/// Messages of a page unless it is asked for more.
const ROWS: usize = 200;

/// Names of levels, the gravest first.
const LEVELS: [&str; 5] = ["CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG"];

/// Which messages are wanted.
#[derive(Default)]
struct LogFilter {
    /// A part of the text, in lower case.
    text: String,
    /// The part of the program, empty for any.
    part: String,
    /// The least grave level, empty for any.
    level: String,
    limit: usize,
}

impl LogFilter {
    /// Reads a filter from the query of an address. What makes no sense counts as not said.
    fn read(query: &[u8]) -> LogFilter {
        let mut filter = LogFilter { limit: ROWS, ..LogFilter::default() };
        for (name, value) in form_urlencoded::parse(query) {
            match &*name {
                "text" => filter.text = value.trim().to_lowercase(),
                "part" => filter.part = value.into_owned(),
                "level" => filter.level = value.into_owned(),
                "limit" => filter.limit = value.parse().map_or(ROWS, |limit: usize| limit.clamp(1, MESSAGES)),
                _ => {}
            }
        }
        filter
    }

    fn takes(&self, message: &LogMessage) -> bool {
        let place = |level: &str| LEVELS.iter().position(|own| own.eq_ignore_ascii_case(level));
        let grave = place(&self.level).is_none_or(|least| place(message.severity).is_none_or(|own| own <= least));
        let part = self.part.is_empty() || *message.subsystem == *self.part;
        grave && part && (self.text.is_empty() || message.text.to_lowercase().contains(&self.text))
    }
}

pub(super) fn page(which: MessageKind, query: &[u8], source: &dyn Source) -> Markup {
    let filter = LogFilter::read(query);
    let messages = source.messages(which, MESSAGES);
    let picked: Vec<&LogMessage> = messages.iter().rev().filter(|message| filter.takes(message)).collect();
    let (title, action) = match which {
        MessageKind::Proxy => ("Log", "/information/logs.html"),
        MessageKind::Helpers => ("Log of the helpers", "/information/errs.html"),
    };
    html! {
        h1 { (title) }
        (form(action, &filter, &messages))
        @if messages.is_empty() { p .empty { "None so far." } }
        @else {
            p {
                (units::count(picked.len().min(filter.limit) as u64)) " of " (units::count(picked.len() as u64)) " that match, newest first, of the last "
                (units::counted(messages.len() as u64, "message", "messages")) ". Times are GMT."
            }
            table .log {
                tr { th scope="col" { "Time" } th scope="col" { "Level" } th scope="col" { "Part" } th scope="col" { "Message" } }
                @for message in picked.iter().take(filter.limit) { (row(message)) }
            }
        }
    }
}

fn row(message: &LogMessage) -> Markup {
    let time = stamp(message.at);
    let time = time.strip_suffix(" GMT").and_then(|time| time.split_once(", ")).map_or(&*time, |(_, time)| time);
    html! {
        tr {
            td { (time) }
            td { (message.severity) }
            td { (message.subsystem) }
            td { (message.text) }
        }
    }
}

fn form(action: &str, filter: &LogFilter, messages: &[LogMessage]) -> Markup {
    let parts: BTreeSet<&str> = messages.iter().map(|message| &*message.subsystem).collect();
    html! {
        form method="get" action=(action) {
            label { "Text contains" input name="text" value=(filter.text) autocomplete="off"; }
            label {
                "Level"
                select name="level" {
                    option value="" { "any" }
                    @for level in LEVELS { option value=(level) selected[level.eq_ignore_ascii_case(&filter.level)] { (level) @if level != LEVELS[0] { " or graver" } } }
                }
            }
            label {
                "Part of the program"
                select name="part" {
                    option value="" { "any" }
                    @for part in parts { option selected[part == filter.part] { (part) } }
                }
            }
            label { "Messages" input name="limit" type="number" min="1" max=(MESSAGES) value=(filter.limit); }
            button { "Show" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_picks_by_text_part_and_level() {
        let message = |severity, subsystem: &str, text: &str| LogMessage {
            at: 0,
            severity,
            subsystem: subsystem.into(),
            text: text.into(),
        };
        let all = [
            message("INFO", "server", "found Address"),
            message("ERROR", "client", "refused"),
            message("DEBUG", "client", "closed"),
        ];
        let taken = |query: &str| {
            let filter = LogFilter::read(query.as_bytes());
            all.iter()
                .filter(|message| filter.takes(message))
                .map(|message| &*message.text)
                .collect::<Vec<_>>()
                .join(" ")
        };
        for (query, texts) in [
            ("", "found Address refused closed"),
            ("text=+aDDress", "found Address"),
            ("level=error", "refused"),
            ("level=INFO", "found Address refused"),
            ("level=none&limit=x", "found Address refused closed"),
            ("part=client&level=WARNING", "refused"),
            ("part=clien", ""),
        ] {
            assert_eq!(taken(query), texts, "{query}");
        }
        assert_eq!((LogFilter::read(b"limit=0").limit, LogFilter::read(b"limit=99999").limit), (1, MESSAGES));
    }
}
