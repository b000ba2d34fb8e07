//! The monitor over a made-up proxy.

mod addresses;
mod lists;
mod shown;

use std::net::IpAddr;

use super::*;
use crate::http::media::HTML;
use crate::http::rules::Rules;
use crate::monitor::drainers::DrainerNumbers;
use crate::monitor::episodes::{EpisodeOptions, Episodes};
use crate::monitor::lists::ListFileNumbers;
use crate::monitor::observed::{HostVerdict, ObservedHost};
use crate::monitor::sessions::Row;
use crate::monitor::Helpers;
use addresses::PAGES;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A text that must not get into a page as it stands.
const EVIL: &str = "<script>alert(1)</script>\"'&";

/// A made-up proxy.
struct Fake {
    running: Running,
    history: History,
    hosts: Top,
    facts: Facts,
    process: Process,
}

impl Fake {
    fn new() -> Fake {
        let configuration = vec![
            OptionFact { name: "web.host".into(), text: "1.2.3.4\"".into(), ..OptionFact::default() },
            OptionFact { name: "a.b".into(), text: "7".into(), is_json: true, ..OptionFact::default() },
            OptionFact {
                name: "exaproxy.evil.x".into(),
                text: EVIL.into(),
                about: "does harm",
                default: Some("<b>"),
                place: Some(EVIL.into()),
                ..OptionFact::default()
            },
        ];
        let helpers = Helpers { forked: 5, minimum: 5, maximum: 25, ..Helpers::default() };
        let running = Running { listening: true, helpers: Some(helpers), limit: 9, ..Running::default() };
        let mut history = History::default();
        history.push(0, running.clone());
        history.push(1000, running.clone());
        Fake {
            running,
            history,
            hosts: Top { hosts: vec![(EVIL.into(), 1)], others: 3 },
            facts: Facts { configuration, control: true, ..Facts::default() },
            process: Process { pid: 7, started: 1_000_000, token: TOKEN.into() },
        }
    }

    fn reply(&self, method: &str, path: &str, fields: &str, content: &str) -> Reply {
        let head = format!("{method} {path} HTTP/1.1\r\n{fields}\r\n");
        let mut request = Request::parse_own(head.as_bytes(), &Rules::default()).expect(&head);
        request.hold_content(content.as_bytes());
        answer(&request, self)
    }

    fn get(&self, path: &str) -> (u16, String, &'static str) {
        text_of(self.reply("GET", path, "Host: 127.0.0.1:8080\r\n", ""))
    }

    fn post(&self, path: &str, content: &str) -> Reply {
        self.reply("POST", path, "Host: 127.0.0.1:8080\r\n", &format!("token={TOKEN}&{content}"))
    }
}

fn text_of(reply: Reply) -> (u16, String, &'static str) {
    let Reply::Answer(answer) = reply else { panic!("{reply:?}") };
    (answer.status, String::from_utf8(answer.body.to_vec()).unwrap(), answer.kind)
}

impl Source for Fake {
    fn running(&self) -> Running {
        self.running.clone()
    }

    fn history(&self) -> &History {
        &self.history
    }

    fn hosts(&self) -> &Top {
        &self.hosts
    }

    fn list_files(&self) -> Vec<ListFileRow> {
        let numbers = ListFileNumbers { entries: 2, age: 90, generation: 3, blocked: 7, ..ListFileNumbers::default() };
        vec![ListFileRow { list: "block", file: EVIL.into(), numbers, lines: 9, others: 4, first_other: 5 }]
    }

    fn observed(&self) -> ObservedHosts {
        let last = HostVerdict::Blocked(EVIL.into());
        let entry = last.place().into();
        let row = ObservedHost { host: EVIL.into(), port: 443, requests: 8, refused: 6, last, entry };
        ObservedHosts { reporting: true, hosts: vec![row], others: 2, allowlist: vec![EVIL.into()] }
    }

    fn refusals(&self) -> Vec<(&str, u64)> {
        vec![(EVIL, 7)]
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn process(&self) -> &Process {
        &self.process
    }

    fn now(&self) -> u64 {
        self.process.started + 90_061
    }

    fn listeners(&self) -> Vec<ListenerRow> {
        vec![ListenerRow {
            kind: "http interception",
            address: "192.0.2.1:3129".into(),
            diversion: Some("tproxy"),
            proxied: true,
            clients: 3,
            of_kind: 5,
            limit: 7,
            accepted: 11,
        }]
    }

    fn drainers(&self) -> Vec<DrainerRow> {
        let numbers = |clients, until| DrainerNumbers {
            since: 1_090_000,
            until,
            clients,
            tunnels: 2,
            ..DrainerNumbers::default()
        };
        let mut rows = [4711, 4712, 4713].map(DrainerRow::new);
        rows[0].note(numbers(17, 1_090_121), 1000);
        rows[1].note(numbers(1, 0), 1000);
        rows.into()
    }

    fn sessions(&self, filter: &Filter) -> Sessions {
        let row = Row {
            thread: None,
            id: 1,
            client: IpAddr::from([192, 0, 2, 1]).into(),
            pid: None,
            user: Some("an<n".into()),
            web: false,
            phase: "tunnel",
            age: 60,
            still: 59,
            requests: 1,
            host: format!("{EVIL}:443"),
            origin: None,
            to_client: 1 << 20,
            to_origin: 10,
            trouble: Some("dns_error"),
        };
        Sessions { total: 10, matched: 5, rows: vec![row; filter.limit.min(2)] }
    }

    fn ends(&self, _: EndPointKind) -> EndPoints {
        let mut ends = EndPoints::default();
        ends.add(IpAddr::from([192, 0, 2, 7]).into(), 1, 2);
        ends
    }

    fn messages(&self, which: MessageKind, _: usize) -> Vec<LogMessage> {
        let subsystem = if which == MessageKind::Proxy { "supervisor" } else { "worker 3" };
        vec![LogMessage { at: 0, severity: "error", subsystem: subsystem.into(), text: EVIL.into() }]
    }

    fn is_debug(&self) -> bool {
        false
    }
}

#[test]
fn the_menu_leads_to_pages_that_are_there() {
    let fake = Fake::new();
    let (_, text, _) = fake.get("/");
    let links: Vec<&str> = text.split(" href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(links.len() > 30, "{links:?}");
    for link in links.into_iter().filter(|link| link.starts_with('/')) {
        assert_eq!(fake.get(link).0, 200, "{link}");
    }
    assert_eq!(text.matches("aria-current=\"page\"").count(), 1);
}

#[test]
fn a_browser_is_told_to_load_nothing_from_elsewhere() {
    let Reply::Answer(answer) = Fake::new().reply("GET", "/", "", "") else { panic!("an order") };
    let policy = answer.fields.iter().find(|(name, _)| name == "Content-Security-Policy").expect("a policy");
    assert!(policy.1.starts_with("default-src 'none'; script-src 'self';"), "{policy:?}");
}

#[test]
fn nothing_passes_for_a_script_that_is_none() {
    for path in PAGES.iter().chain(&["/control/token", "/nothing", "/json"]) {
        let Reply::Answer(answer) = Fake::new().reply("GET", path, "Host: 127.0.0.1\r\n", "") else { panic!("{path}") };
        let field = ("X-Content-Type-Options".into(), "nosniff".into());
        assert_eq!(answer.fields.iter().filter(|own| **own == field).count(), 1, "{path}");
    }
}

#[test]
fn what_is_not_there_says_so() {
    let fake = Fake::new();
    for path in ["/nothing", "/x.html", "/graph/x.html", "/graph/requests", "/control/x", "/control", "/%00", "/é"] {
        assert_eq!(fake.get(path).0, 404, "{path}");
    }
    let (status, text, _) = fake.get(&format!("/{}", "x".repeat(MAX_PATH)));
    assert!(status == 414 && text.contains("path is too long"), "{text}");
    for path in ["/json", "/json/", "/json/x"] {
        let (status, text, kind) = fake.get(path);
        assert!(status == 200 && kind == JSON && text.contains("\"/json/running\""), "{text}");
    }
}

#[test]
fn health_tells_whether_clients_may_be_sent_here() {
    let mut fake = Fake::new();
    let well = Running { listening: true, ..Running::default() };
    let mut health = |running: Running| {
        fake.running = running;
        fake.get("/health?x").0
    };
    assert_eq!(health(well.clone()), 200);
    assert_eq!(health(Running { draining: true, ..well.clone() }), 503);
    assert_eq!(health(Running { listening: false, ..well.clone() }), 503);
    let with = |judged_by_error: bool, failing: bool, served: bool| {
        // Those that are started in vain run for a while.
        let helpers = Some(Helpers { failing, served, forked: 1, ..Helpers::default() });
        Running { helpers, judged_by_error, ..well.clone() }
    };
    assert_eq!((health(with(true, true, false)), health(with(false, true, false))), (503, 200));
    assert_eq!((health(with(true, true, true)), health(with(true, false, false))), (200, 200));
}

#[test]
fn health_is_strict_where_that_is_asked_for() {
    let mut fake = Fake::new();
    let mut episodes = Episodes::default();
    let full = Running { listening: true, limit: 9, clients: 9, ..Running::default() };
    episodes.look(1_000, &full, &EpisodeOptions::default());
    fake.running = Running { episodes: episodes.current().to_vec(), ..full };
    assert_eq!(fake.get("/health").0, 200);
    assert_eq!((fake.get("/health?strict").0, fake.get("/health?strict").1), (503, "limit_reached\n".into()));
    fake.running.episodes.clear();
    assert_eq!(fake.get("/health?strict").0, 200);
}

#[test]
fn the_front_page_tells_the_state() {
    let mut fake = Fake::new();
    let well = Running { listening: true, limit: 9, ..Running::default() };
    let failing = Helpers { failing: true, ..Helpers::default() };
    for (running, word) in [
        (well.clone(), "Nothing to worry about"),
        (Running { draining: true, ..well.clone() }, "Draining"),
        (Running { listening: false, ..well.clone() }, "Not listening"),
        (Running { helpers: Some(failing.clone()), judged_by_error: true, ..well.clone() }, "Helpers fail"),
        (Running { helpers: Some(failing), ..well.clone() }, "helpers end as soon as they are started"),
        (Running { clients: 9, ..well.clone() }, "the limit of clients is reached, 9"),
    ] {
        let mut episodes = Episodes::default();
        episodes.look(1_000, &running, &EpisodeOptions::default());
        fake.running = Running { episodes: episodes.current().to_vec(), ..running };
        let text = fake.get("/").1;
        assert!(text.contains(word), "{word}: {text}");
    }
}

/// Pages said "1 addresses are connected".
#[test]
fn one_is_counted_in_the_singular() {
    let mut fake = Fake::new();
    assert!(fake.get("/end-point/clients.html").1.contains("1 address is connected."));
    let helpers = Some(Helpers { forked: 1, queue: 1, ..Helpers::default() });
    fake.running = Running { helpers, draining: true, clients: 1, ..Running::default() };
    for (path, text) in [
        ("/", "a soft stop waits for 1 client"),
        ("/control/workers.html", "1 helper runs, 1 request waits for one."),
        ("/control.html", "1 client is left."),
    ] {
        let page = fake.get(path).1;
        assert!(page.contains(text), "{path}: {page}");
    }
}

#[test]
fn configuration_keeps_its_types() {
    let text = Fake::new().get("/json/configuration").1;
    assert!(text.starts_with("{\n  \"a.b\": 7,\n") && text.contains("  \"web.host\": \"1.2.3.4\\\"\"\n"), "{text}");
}

#[test]
fn errors_are_by_cause() {
    let (_, text, kind) = Fake::new().get("/json/errors");
    assert_eq!(kind, JSON);
    for key in ["\"client-gone\": 0", "\"origins\": {", "\"names\": {", "\"helpers\": {"] {
        assert!(text.contains(key), "{key}\n{text}");
    }
}

#[test]
fn changes_need_the_token() {
    let fake = Fake::new();
    let order = |reply: Reply| match reply {
        Reply::Order(order) => order,
        Reply::Answer(answer) => panic!("{}", String::from_utf8_lossy(&answer.body)),
    };
    let workers = "/control/workers/commit";
    assert_eq!(
        order(fake.post(workers, "exaproxy.redirector.minimum=25")),
        Order::Helpers { minimum: 25, maximum: 25 }
    );
    assert_eq!(order(fake.post(workers, "exaproxy.redirector.maximum=5")), Order::Helpers { minimum: 5, maximum: 5 });
    assert_eq!(order(fake.post("/control/debug/commit", "debug=on")), Order::Debug(true));
    assert_eq!(order(fake.post("/control/listen/commit", "listen=off")), Order::Listen(false));
    assert_eq!(order(fake.post("/control/stop/commit", "")), Order::SoftStop);
}

/// A name that the configuration lists is good for pages; control is for addresses and `localhost` alone.
#[test]
fn b16_names_of_others_get_no_page_and_no_name_gets_control() {
    let mut fake = Fake::new();
    fake.facts.names = vec!["gate.example".into()];
    let content = format!("token={TOKEN}&debug=on");
    for (host, pages) in [("gate.example:8080", true), ("evil.example", false)] {
        let fields = format!("Host: {host}\r\n");
        for path in PAGES {
            let (status, text, _) = text_of(fake.reply("GET", path, &fields, ""));
            let open = pages || ["/health", "/metrics"].contains(&path);
            assert_eq!(status == 421, !open, "{host}{path}: {status}");
            assert!(open || !text.contains("version"), "{text}");
        }
        let (status, ..) = text_of(fake.reply("POST", "/control/debug/commit", &fields, &content));
        assert_eq!(status, if pages { 403 } else { 421 });
    }
}

/// Programs need not read a page to know what became of an order.
#[test]
fn control_answers_those_who_do_not_ask_for_a_page_in_one_line() {
    let fake = Fake::new();
    let content = format!("token={TOKEN}&debug=on");
    for (fields, page) in
        [("Accept: */*\r\n", false), ("", false), ("Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\n", true)]
    {
        let fields = format!("Host: 127.0.0.1\r\n{fields}");
        let head = format!("POST /control/debug/commit HTTP/1.1\r\n{fields}\r\n");
        let request = Request::parse_own(head.as_bytes(), &Rules::default()).expect("a request");
        for (outcome, status, line) in
            [(Ok(()), 200, "changed successfully\n"), (Err("there is no log".to_owned()), 503, "there is no log\n")]
        {
            let answer = done(Order::Debug(true), &outcome, &request, &fake);
            let text = String::from_utf8_lossy(&answer.body);
            assert_eq!((answer.status, text == line, text.contains("<h1>")), (status, !page, page), "{fields}: {text}");
        }
        let (status, text, _) =
            text_of(fake.reply("POST", "/control/debug/commit", &fields, &content.replace("=0", "=1")));
        assert_eq!((status, text.starts_with("The token"), text.contains("<h1>")), (403, !page, page), "{text}");
        let (status, text, _) = text_of(fake.reply("GET", "/control.html", &fields, ""));
        assert!(status == 200 && text.contains("<h1>"), "what is asked for as a page is one");
    }
}

#[test]
fn changes_that_make_no_sense_are_refused_in_the_words_of_the_original() {
    let fake = Fake::new();
    for (content, why) in [
        ("exaproxy.redirector.minimum=26", "value is higher than exaproxy.redirector.maximum"),
        ("exaproxy.redirector.maximum=4", "value is lower than exaproxy.redirector.minimum"),
        ("exaproxy.redirector.minimum=x", "invalid request"),
        ("exaproxy.redirector.minimum=0", "invalid request"),
        ("exaproxy.redirector.minimum=-1", "invalid request"),
        ("exaproxy.redirector.minimum=99999999999999999999", "invalid request"),
        ("exaproxy.redirector.maximum=10001", "invalid request"),
        ("exaproxy.redirector.minimum=1&exaproxy.redirector.maximum=9", "invalid request"),
        ("", "invalid request"),
        ("other=1", "invalid request"),
    ] {
        let (status, text, _) = text_of(fake.post("/control/workers/commit", content));
        assert!(status == 403 && text.contains(why), "{content}: {text}");
    }
    assert!(text_of(fake.post("/control/debug/commit", "debug=maybe")).1.contains("must be on or off"));
}

#[test]
fn row_68_nobody_else_can_change_anything() {
    let mut fake = Fake::new();
    let content = format!("token={TOKEN}&exaproxy.redirector.minimum=6");
    let workers = "/control/workers/commit";
    let own = "Host: 127.0.0.1:8080\r\n";
    let refused = |fake: &Fake, method: &str, path: &str, fields: &str, content: &str, why: &str| {
        let (status, text, _) = text_of(fake.reply(method, path, fields, content));
        assert!(status == 403 && text.contains(why), "{method} {path} {fields}: {status} {text}");
    };
    refused(&fake, "GET", "/control/workers/commit?exaproxy.redirector.minimum=6", own, "", "by POST");
    refused(&fake, "PUT", workers, own, &content, "by POST");
    refused(&fake, "GET", "/control/debug/eval?python=1", own, "", "runs no code");
    refused(&fake, "POST", "/control/debug/exec", own, &content, "runs no code");
    refused(&fake, "POST", workers, own, "exaproxy.redirector.minimum=6", "token");
    refused(&fake, "POST", workers, own, "token=&exaproxy.redirector.minimum=6", "token");
    refused(&fake, "POST", workers, own, &content.replace("token=0", "token=1"), "token");
    for host in ["Host: evil.example:8080\r\n", "", "Host: 127.0.0.1.evil.example\r\n", "Host: x@127.0.0.1\r\n"] {
        if Request::parse_own(format!("GET / HTTP/1.1\r\n{host}\r\n").as_bytes(), &Rules::default()).is_ok() {
            let status = if host.is_empty() { 403 } else { 421 };
            for (method, path, content) in [("POST", workers, content.as_str()), ("GET", "/control/token", "")] {
                let (own, text, _) = text_of(fake.reply(method, path, host, content));
                assert!(own == status && text.contains("by its address"), "{method} {path} {host}: {own} {text}");
            }
            assert!(!text_of(fake.reply("GET", "/control/workers.html", host, "")).1.contains(TOKEN), "{host}");
        }
    }
    for elsewhere in [
        "Origin: http://evil.example",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Origin: http://127.0.0.1:81",
    ] {
        refused(&fake, "POST", workers, &format!("{own}{elsewhere}\r\n"), &content, "of another site");
    }
    for proxied in ["Via: 1.1 x", "X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1"] {
        refused(&fake, "POST", workers, &format!("{own}{proxied}\r\n"), &content, "through a proxy");
        refused(&fake, "GET", "/control/token", &format!("{own}{proxied}\r\n"), "", "through a proxy");
    }
    for fine in ["Origin: http://127.0.0.1:8080", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none"] {
        assert!(
            matches!(fake.reply("POST", workers, &format!("{own}{fine}\r\n"), &content), Reply::Order(_)),
            "{fine}"
        );
    }
    for host in ["localhost", "LocalHost:8080", "[::1]:8080", "10.1.2.3"] {
        assert!(
            matches!(fake.reply("POST", workers, &format!("Host: {host}\r\n"), &content), Reply::Order(_)),
            "{host}"
        );
    }
    refused(&fake, "GET", "/control/token", &format!("{own}Sec-Fetch-Site: cross-site\r\n"), "", "of another site");
    assert_eq!(fake.get("/control/token").1, format!("{TOKEN}\n"));
    fake.facts.control = false;
    refused(&fake, "POST", workers, own, &content, "read-only");
    refused(&fake, "GET", "/control/token", own, "", "read-only");
    assert!(!fake.get("/control/workers.html").1.contains(TOKEN));
}

#[test]
fn after_a_change_its_page_says_what_became_of_it() {
    let fake = Fake::new();
    let head = b"POST /control/workers/commit HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let request = Request::parse_own(head, &Rules::default()).unwrap();
    let fine = done(Order::Helpers { minimum: 3, maximum: 3 }, &Ok(()), &request, &fake);
    assert!(fine.status == 200 && String::from_utf8_lossy(&fine.body).contains("changed successfully"));
    let failed = done(Order::Listen(true), &Err("address in use".into()), &request, &fake);
    assert!(failed.status == 503 && String::from_utf8_lossy(&failed.body).contains("address in use"));
}

#[test]
fn each_listener_is_told_with_its_kind_clients_and_limit() {
    let fake = Fake::new();
    let text = |path: &str| fake.get(path).1;
    let page = text("/information/listeners.html");
    for cell in ["http interception", "192.0.2.1:3129", "tproxy", "required", ">3<", ">5<", ">7<", ">11<"] {
        assert!(page.contains(cell), "{cell}: {page}");
    }
    let json: serde_json::Value = serde_json::from_str(&text("/json/listeners")).unwrap();
    assert_eq!((&json[0]["mode"], &json[0]["limit"], &json[0]["proxied"]), (&"tproxy".into(), &7.into(), &true.into()));
    let metrics = text("/metrics");
    let label = "{kind=\"http interception\",address=\"192.0.2.1:3129\"}";
    for line in [
        format!("exaproxy_listener_clients{label} 3\n"),
        format!("exaproxy_listener_connections_total{label} 11\n"),
        "exaproxy_listener_clients_limit{kind=\"http interception\"} 7\n".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line} is missing in {metrics}");
    }
}
