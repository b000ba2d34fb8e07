//! Requests to the monitor. For every request, a page has no script but its own, JSON is JSON, and a request without the
//! token changes nothing.

use super::{outcome, rough};
use exaproxy::http::request::Request;
use exaproxy::http::rules::{Rules, ToClient};
use exaproxy::http::{Method, Version};
use exaproxy::monitor::drainers::DrainerRow;
use exaproxy::monitor::history::History;
use exaproxy::monitor::hosts::Top;
use exaproxy::monitor::listeners::ListenerRow;
use exaproxy::monitor::lists::ListFileRow;
use exaproxy::monitor::observed::ObservedHosts;
use exaproxy::monitor::sessions::{EndPointKind, EndPoints, Filter, Row, Sessions};
use exaproxy::monitor::{Helpers, Running};
use exaproxy::web::{self, Facts, LogMessage, MessageKind, Process, Reply, Source};
use std::net::IpAddr;

pub(super) const REQUESTS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
    b"GET /information/sessions.html?client=1&host=%3Cb%3E&phase=idle&sort=sent&limit=9 HTTP/1.1\r\n\r\n",
    b"GET /information/observed.html HTTP/1.1\r\n\r\n",
    b"GET /json/acl/lists HTTP/1.1\r\n\r\n",
    b"GET /graph/latency.html HTTP/1.0\r\n\r\n",
    b"GET /json/sessions?limit=%ff&host=+ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://a/json/errors HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /control/workers/commit?exaproxy.redirector.minimum=2 HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
    b"POST /control/workers/commit HTTP/1.1\r\nHost: [::1]:8080\r\n\r\ntoken=TOKEN&exaproxy.redirector.minimum=2",
    b"POST /control/debug/commit HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n\r\ndebug=on&token=TOKEN",
    b"POST /control/listen/commit HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: none\r\n\r\ntoken=TOKEN&listen=off",
    b"POST /control/stop/commit HTTP/1.1\r\nHost: 127.0.0.1\r\nVia: 1.1 a\r\n\r\ntoken=TOKEN",
    b"GET /control/token HTTP/1.1\r\nHost: x.example\r\n\r\n",
];

const TOKEN: &str = "TOKEN";

/// A proxy that is not there, with a history of nothing.
struct Nobody {
    history: History,
    top: Top,
    facts: Facts,
    process: Process,
}

impl Source for Nobody {
    fn running(&self) -> Running {
        Running {
            helpers: Some(Helpers { minimum: 1, maximum: 3, ..Helpers::default() }),
            listening: true,
            ..Running::default()
        }
    }

    fn listeners(&self) -> Vec<ListenerRow> {
        Vec::new()
    }

    fn history(&self) -> &History {
        &self.history
    }

    fn hosts(&self) -> &Top {
        &self.top
    }

    fn list_files(&self) -> Vec<ListFileRow> {
        Vec::new()
    }

    fn observed(&self) -> ObservedHosts {
        ObservedHosts::default()
    }

    fn refusals(&self) -> Vec<(&str, u64)> {
        Vec::new()
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn process(&self) -> &Process {
        &self.process
    }

    fn now(&self) -> u64 {
        0
    }

    fn sessions(&self, filter: &Filter) -> Sessions {
        let row = Row {
            thread: None,
            id: 1,
            client: IpAddr::from([127, 0, 0, 1]).into(),
            pid: None,
            user: Some(filter.host.as_str().into()),
            web: true,
            phase: "idle",
            age: 1,
            still: 1,
            requests: 1,
            host: filter.host.clone(),
            origin: None,
            to_client: 1,
            to_origin: 1,
            trouble: None,
        };
        Sessions { total: 1, matched: 1, rows: vec![row; filter.limit.min(2)] }
    }

    fn drainers(&self) -> Vec<DrainerRow> {
        Vec::new()
    }

    fn ends(&self, _: EndPointKind) -> EndPoints {
        EndPoints::default()
    }

    fn messages(&self, _: MessageKind, _: usize) -> Vec<LogMessage> {
        Vec::new()
    }

    fn is_debug(&self) -> bool {
        false
    }
}

pub(super) fn request(bytes: &[u8]) -> u64 {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let (head, content) = bytes.split_at(end);
    let Ok(mut request) = Request::parse_own(head, &Rules::default()) else { return 0 };
    request.hold_content(content);
    let nobody = Nobody {
        history: History::default(),
        top: Top::default(),
        facts: Facts { configuration: Vec::new(), control: true, ..Facts::default() },
        process: Process { token: TOKEN.into(), ..Process::default() },
    };
    let answer = match web::answer(&request, &nobody) {
        Reply::Answer(answer) => *answer,
        Reply::Order(order) => {
            assert_eq!(request.method(), Method::Post);
            let told = String::from_utf8_lossy(content).contains(TOKEN) || content.contains(&b'%');
            assert!(told && request.field(b"via").is_none(), "{order:?} for a stranger: {}", bytes.escape_ascii());
            web::done(order, &Ok(()), &request, &nobody)
        }
    };
    let text = String::from_utf8(answer.body.to_vec()).expect("an answer is text");
    if answer.kind.starts_with("text/html") {
        let own = text.matches("<script src=\"/refresh.js\" defer>").count();
        assert_eq!(text.to_ascii_lowercase().matches("<script").count(), own, "{text}");
    }
    if answer.kind == "application/json" {
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
    }
    let rules = Rules::default();
    let to = ToClient {
        version: Version::Http11,
        method: Method::Head,
        keep_alive: true,
        upgrade: false,
        date: "NOW",
        rules: &rules,
    };
    let mut written = Vec::new();
    answer.write(&mut written, &to, usize::MAX);
    super::heads::assert_one_head(&written);
    outcome((answer.status, answer.kind, rough(text.len())))
}
