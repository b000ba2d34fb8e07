//! JSON for scripts, with the original's words where it had any.

use serde::Serialize;
use serde_json::{json, Map, Value};

use crate::exchange::close::CloseReason;
use crate::monitor::listeners::ListenerRow;
use crate::monitor::Running;

/// Addresses that exist, with the original's own spelling of the key.
pub(super) fn index() -> String {
    const PATHS: [&str; 5] =
        ["/json/running", "/json/configuration", "/json/errors", "/json/sessions", "/json/listeners"];
    text(&json!({ "errror": "invalid url", "valid-paths": PATHS }))
}

/// Every option with its value.
pub(super) fn configuration(options: &[(String, String, bool)]) -> String {
    let value = |text: &str, is_json: bool| match is_json.then(|| serde_json::from_str(text)) {
        Some(Ok(value)) => value,
        _ => Value::from(text),
    };
    let rows = options.iter().map(|(name, text, is_json)| (name.clone(), value(text, *is_json)));
    text(&Value::Object(rows.collect::<Map<String, Value>>()))
}

/// The listeners that are open.
pub(super) fn listeners(rows: &[ListenerRow]) -> String {
    text(&rows.iter().map(ListenerRow::to_json).collect::<Value>())
}

/// What went wrong, by the side at fault.
pub(super) fn errors(running: &Running) -> Value {
    let counters = &running.counters;
    let ended = CloseReason::COUNTED.iter().zip(counters.ended);
    let sessions: Map<String, Value> = ended.map(|(reason, count)| (reason.name().to_owned(), count.into())).collect();
    let (helpers, dns) = (&running.helped, &running.dns);
    let answers: Map<String, Value> =
        counters.exchange.answers().map(|(cause, count)| (cause.to_owned(), count.into())).collect();
    json!({
        "sessions": sessions,
        "answers": answers,
        "origins": { "failed": counters.dial_failures, "refused": counters.refused },
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

/// Indented by two, keys in order, as the original had it.
pub(super) fn text(value: &impl Serialize) -> String {
    // A value that was made here has no key that is no text, which is all that could fail.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
