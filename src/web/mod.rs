//! What the monitor says at its addresses, made from snapshots only. Knows no socket, clock or session.

mod json;
mod metrics;

use std::borrow::Cow;

use crate::http::answer::Answer;
use crate::http::media::PLAIN;
use crate::http::request::Request;
use crate::monitor::Running;

/// The media type of JSON (RFC 8259 section 11).
const JSON: &str = "application/json";

/// What there is to show besides the numbers of the moment.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Every option with its value, as `/json/configuration` has it: name, text, whether the text is JSON already.
    pub configuration: Vec<(String, String, bool)>,
}

/// The answer to a request to the monitor.
pub fn answer(request: &Request, running: &Running, facts: &Facts) -> Answer {
    let path = request.path().split(|byte| *byte == b'?').next().unwrap_or_default();
    match path {
        b"/json/running" => of_kind(JSON, running.to_json()),
        b"/json/configuration" => of_kind(JSON, json::configuration(&facts.configuration)),
        b"/json/errors" => of_kind(JSON, json::errors(running)),
        b"/metrics" => of_kind(metrics::KIND, metrics::render(running)),
        b"/health" => health(running),
        _ if path == b"/json" || path.starts_with(b"/json/") => of_kind(JSON, json::index()),
        _ => Answer::new(404, &b"see /json, /metrics and /health\n"[..]),
    }
}

/// For balancers: may new clients be sent here?
fn health(running: &Running) -> Answer {
    let (status, text) = match running {
        _ if running.draining => (503, "draining\n"),
        _ if !running.listening => (503, "not listening\n"),
        _ if running.helpers_fail() => (503, "helpers are failing\n"),
        _ => (200, "ok\n"),
    };
    Answer { kind: PLAIN, ..Answer::new(status, text.as_bytes()) }
}

fn of_kind(kind: &'static str, text: String) -> Answer {
    let body: Cow<'static, [u8]> = text.into_bytes().into();
    Answer { kind, ..Answer::new(200, body) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::rules::Rules;
    use crate::monitor::Helpers;

    fn get(path: &str, running: &Running) -> (u16, String, &'static str) {
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let request = Request::parse(head.as_bytes(), &Rules::default()).unwrap();
        let facts = Facts {
            configuration: vec![("web.host".into(), "1.2.3.4\"".into(), false), ("a.b".into(), "7".into(), true)],
        };
        let answer = answer(&request, running, &facts);
        (answer.status, String::from_utf8(answer.body.into_owned()).unwrap(), answer.kind)
    }

    #[test]
    fn health_tells_whether_clients_may_be_sent_here() {
        let well = Running { listening: true, ..Running::default() };
        assert_eq!(get("/health", &well).0, 200);
        assert_eq!(get("/health?x", &well).1, "ok\n");
        assert_eq!(get("/health", &Running { draining: true, ..well.clone() }).0, 503);
        assert_eq!(get("/health", &Running { listening: false, ..well.clone() }).0, 503);
        let failing = Helpers { failing: true, forked: 0, ..Helpers::default() };
        let with = |judged: bool| Running { helpers: Some(failing.clone()), judged_by_error: judged, ..well.clone() };
        assert_eq!((get("/health", &with(true)).0, get("/health", &with(false)).0), (503, 200));
    }

    #[test]
    fn unknown_addresses_below_json_list_the_known_ones() {
        for path in ["/json", "/json/", "/json/x"] {
            let (status, text, kind) = get(path, &Running::default());
            assert!(status == 200 && kind == JSON && text.contains("\"/json/running\""), "{text}");
        }
        assert_eq!(get("/nothing", &Running::default()).0, 404);
    }

    #[test]
    fn configuration_keeps_its_types() {
        let text = get("/json/configuration", &Running::default()).1;
        assert_eq!(text, "{\n  \"a.b\": 7,\n  \"web.host\": \"1.2.3.4\\\"\"\n}\n");
    }

    #[test]
    fn errors_are_by_cause() {
        let (_, text, kind) = get("/json/errors", &Running::default());
        assert_eq!(kind, JSON);
        for key in ["\"client-gone\": 0", "\"origins\": {", "\"names\": {", "\"helpers\": {"] {
            assert!(text.contains(key), "{key}\n{text}");
        }
    }
}
