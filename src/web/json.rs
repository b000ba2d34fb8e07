//! JSON for scripts, with the original's words where it had any.

use serde::Serialize;
use serde_json::{json, Map, Value};

use super::OptionFact;
use crate::exchange::close::CloseReason;
use crate::monitor::drainers::DrainerRow;
use crate::monitor::listeners::ListenerRow;
use crate::monitor::lists::ListFileRow;
use crate::monitor::observed::{ObservedHost, ObservedHosts};
use crate::monitor::Running;

/// Addresses that exist, with the original's own spelling of the key.
pub(super) fn index() -> String {
    const PATHS: [&str; 8] = [
        "/json/running",
        "/json/configuration",
        "/json/errors",
        "/json/sessions",
        "/json/listeners",
        "/json/drainers",
        "/json/acl/lists",
        "/json/acl/observed",
    ];
    text(&json!({ "errror": "invalid url", "valid-paths": PATHS }))
}

/// Every option with its value.
pub(super) fn configuration(options: &[OptionFact]) -> String {
    let value = |fact: &OptionFact| match fact.is_json.then(|| serde_json::from_str(&fact.text)) {
        Some(Ok(value)) => value,
        _ if fact.name == "exaproxy.security.local" => tuples(&fact.text).into(),
        _ => Value::from(fact.text.as_str()),
    };
    let rows = options.iter().map(|fact| (fact.name.clone(), value(fact)));
    text(&Value::Object(rows.collect::<Map<String, Value>>()))
}

/// `host:port` as the original wrote it, which was as Python writes a tuple.
fn tuples(text: &str) -> String {
    let tuple = |word: &str| match word.rsplit_once(':') {
        Some((host, port)) => format!("('{host}', {port})"),
        None => word.to_owned(),
    };
    text.split_whitespace().map(tuple).collect::<Vec<_>>().join(" ")
}

/// The listeners that are open.
pub(super) fn listeners(rows: &[ListenerRow]) -> String {
    text(&rows.iter().map(ListenerRow::to_json).collect::<Value>())
}

/// Processes with clients of former versions.
pub(super) fn drainers(rows: &[DrainerRow]) -> String {
    text(&rows.iter().map(DrainerRow::to_json).collect::<Value>())
}

/// What went wrong, by the side at fault; refusals of lists by `FILE:LINE`.
pub(super) fn errors(running: &Running, refusals: &[(&str, u64)]) -> Value {
    let counters = &running.counters;
    let ended = CloseReason::COUNTED.iter().zip(counters.ended);
    let sessions: Map<String, Value> = ended.map(|(reason, count)| (reason.name().to_owned(), count.into())).collect();
    let (helpers, dns) = (&running.helped, &running.dns);
    let answers: Map<String, Value> =
        counters.exchange.answers().map(|(cause, count)| (cause.to_owned(), count.into())).collect();
    let lists: Map<String, Value> =
        refusals.iter().map(|(place, count)| ((*place).to_owned(), (*count).into())).collect();
    json!({
        "sessions": sessions,
        "answers": answers,
        "lists": lists,
        "origins": { "failed": counters.dial_failures, "refused": counters.refused },
        "parents": { "failed": counters.parent_failures },
        "names": {
            "failed": counters.name_failures,
            "timeouts": dns.timeouts,
            "dropped": dns.dropped(),
            "servers-failed": dns.failed,
        },
        "helpers": {
            "failed": helpers.failed,
            "refused": helpers.refused,
            "lost": helpers.lost,
            "hung": helpers.hung,
            "unasked": helpers.unasked,
            "unreadable": counters.unreadable,
            "undecided": counters.undecided,
        },
    })
}

/// The files of lists.
pub(super) fn lists(files: &[ListFileRow]) -> Value {
    let object = |row: &ListFileRow| {
        let mut object = json!({
            "list": row.list,
            "file": row.file,
            "lines": row.lines,
            "others": row.others,
            "first-other": row.first_other,
        });
        row.numbers.rows().into_iter().for_each(|(name, value)| object[name] = value.into());
        object
    };
    files.iter().map(object).collect()
}

/// The hosts that were asked for while lists only report.
pub(super) fn observed(observed: &ObservedHosts) -> Value {
    let host = |row: &ObservedHost| {
        json!({
            "host": row.host,
            "port": row.port,
            "requests": row.requests,
            "refused": row.refused,
            "verdict": row.last.word(),
            "entry": row.entry,
        })
    };
    json!({
        "reporting": observed.reporting,
        "hosts": observed.hosts.iter().map(host).collect::<Vec<_>>(),
        "others": observed.others,
        "allowlist": observed.allowlist,
    })
}

/// Indented by two, keys in order, as the original had it.
pub(super) fn text(value: &impl Serialize) -> String {
    // A value that was made here has no key that is no text, which is all that could fail.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_written_as_tuples() {
        assert_eq!(tuples("*:27900 *:27901"), "('*', 27900) ('*', 27901)");
        assert_eq!(tuples(""), "");
    }
}
