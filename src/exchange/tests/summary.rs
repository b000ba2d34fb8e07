//! Summaries: one for each request, complete when it is over, with any end.

use super::*;
use crate::exchange::close::CloseReason;
use crate::exchange::{Moved, Summary};
use crate::http::cause::Cause;

const CONNECT: &str = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// A client whose requests are summed up.
fn keeping() -> Scenario {
    Scenario::with(|settings| settings.summary = Some(Remembered::ALL))
}

/// The stand-in for the pump polls until nothing is asked for, so that a summary has to be taken before it runs.
fn over(scenario: &mut Scenario, last: impl FnOnce(&mut Scenario)) -> Box<Summary> {
    scenario.stops_at_record = true;
    last(scenario);
    let summary = scenario.exchange.take_summary().expect("the request is over");
    scenario.stops_at_record = false;
    scenario.run();
    summary
}

#[test]
fn each_request_of_a_connection_has_its_own() {
    let mut scenario = keeping().sending(GET).into_relaying();
    assert!(scenario.exchange.take_summary().is_none(), "it is not over");
    let first = over(&mut scenario, |scenario| scenario.origin(OK));
    let (sent, got) = (GET_SENT.len() as u64, OK_SENT.len() as u64);
    assert_eq!((first.status, first.failure(), first.moved()), (Some(200), None, Moved { up: sent, down: got }));
    let post = "POST http://a.example/?x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\nUser-Agent: u a\r\n\
                Referer: r\r\n\r\nabc";
    scenario.actions();
    let mut scenario = scenario.sending(post).into_relaying();
    let second = over(&mut scenario, |scenario| {
        scenario.origin("HTTP/1.1 201 Made\r\nDate: D\r\nContent-Type: text/x; charset=y\r\nContent-Length: 0\r\n\r\n");
    });
    assert_eq!((second.method(), second.target()), (&b"POST"[..], &b"http://a.example/?x"[..]));
    assert_eq!((second.user_agent(), second.referer(), second.media()), (&b"u a"[..], &b"r"[..], &b"text/x"[..]));
    assert_eq!((second.status, second.failure(), second.is_cut()), (Some(201), None, false));
    assert!(second.moved().up > 3 && second.moved().down < 100, "{:?}", second.moved());
    assert!(scenario.exchange.take_summary().is_none(), "it is taken only once");
}

#[test]
fn only_what_lines_name_is_remembered() {
    let get = "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nUser-Agent: u\r\nReferer: r\r\n\
               traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Type: text/x\r\nContent-Length: 0\r\n\r\n";
    let kept = |wanted: Remembered| {
        let mut scenario = Scenario::with(|settings| settings.summary = Some(wanted)).sending(get).into_relaying();
        let summary = over(&mut scenario, |scenario| scenario.origin(ok));
        assert_eq!((summary.method(), summary.target()), (&b"GET"[..], &b"http://a.example/"[..]));
        [summary.user_agent(), summary.referer(), summary.trace(), summary.media()].map(|part| part.to_owned())
    };
    assert_eq!(kept(Remembered::default()), [const { Vec::<u8>::new() }; 4]);
    let trace = b"4bf92f3577b34da6a3ce929d0e0e4736".to_vec();
    assert_eq!(kept(Remembered::ALL), [b"u".to_vec(), b"r".to_vec(), trace.clone(), b"text/x".to_vec()]);
    let some = Remembered { referer: true, trace: true, ..Remembered::default() };
    assert_eq!(kept(some), [vec![], b"r".to_vec(), trace, vec![]]);
}

#[test]
fn a_spare_one_has_nothing_of_its_last_request() {
    let mut spare = SpareSummaries::default();
    let begin = |spare: &mut SpareSummaries| spare.begin((0, 0), Moved { up: 0, down: 0 }, Remembered::ALL);
    let mut used = begin(&mut spare);
    used.note_line(b"GET http://a.example/ HTTP/1.1\r\n");
    (used.user, used.status, used.list) = (Some("jane".into()), Some(200), Some("/a:1".into()));
    used.finish(CloseReason::Complete, 7, Moved { up: 1, down: 1 });
    spare.put(used);
    let next = begin(&mut spare);
    assert_eq!(format!("{next:?}"), format!("{:?}", begin(&mut SpareSummaries::default())));
}

#[test]
fn its_moments_are_those_of_the_phases() {
    let mut scenario = keeping();
    scenario.now = 5;
    scenario.client("GET ");
    for (now, step) in [
        (10, (|scenario| scenario.client(&GET[4..])) as fn(&mut Scenario)),
        (20, |scenario| scenario.decide(Decision::Forward)),
        (40, Scenario::resolved),
        (80, |scenario| scenario.connect(false)),
    ] {
        scenario.now = now;
        step(&mut scenario);
    }
    scenario.now = 160;
    let summary = over(&mut scenario, |scenario| scenario.origin(OK));
    assert_eq!(summary.began, 5, "it begins with its first byte");
    assert_eq!((summary.decided, summary.resolved, summary.connected), (Some(20), Some(40), Some(80)));
    assert_eq!(summary.end(), Some((160, CloseReason::Complete)));
}

#[test]
fn a_tunnel_has_one_at_its_end() {
    let mut scenario = keeping().sending(CONNECT).into_relaying();
    scenario.client("up");
    scenario.origin("down down");
    assert!(scenario.exchange.take_summary().is_none(), "it is open");
    let summary = over(&mut scenario, |scenario| {
        scenario.client_ends();
        scenario.origin_ends();
    });
    assert_eq!((summary.method(), summary.target()), (&b"CONNECT"[..], &b"a.example:443"[..]));
    let greeting = crate::http::answer::ESTABLISHED.len() as u64;
    assert_eq!((summary.status, summary.moved()), (Some(200), Moved { up: 2, down: greeting + 9 }));
    assert_eq!((summary.failure(), summary.is_cut()), (None, false));
    for port in [80, 443] {
        let mut scenario = keeping().sending(format!("CONNECT h:{port} HTTP/1.1\r\nHost: h\r\n\r\n")).into_relaying();
        let summary = over(&mut scenario, Scenario::origin_resets);
        assert_eq!(summary.target(), format!("h:{port}").as_bytes());
        assert_eq!((summary.failure(), summary.is_cut()), (Some("tunnel-reset"), true));
    }
}

#[test]
fn what_could_not_be_read_has_one_too() {
    for (bytes, status) in [
        ("GET /\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("\x16\x03\x01\r\n\r\n".into(), 400),
        (format!("GET /{}", "x".repeat(2000)), 414),
    ] {
        let mut scenario = keeping();
        let summary = over(&mut scenario, |scenario| scenario.client(&bytes));
        assert_eq!((summary.method(), summary.target(), summary.status), (&b""[..], &b""[..], Some(status)));
        assert_eq!((summary.failure(), summary.is_cut()), (Some("http_request_error"), false));
    }
    let mut scenario = keeping();
    scenario.client("GET /");
    let summary = over(&mut scenario, |scenario| scenario.at(10_000));
    assert_eq!((summary.status, summary.failure(), summary.began), (Some(408), Some("http_request_error"), 0));
}

#[test]
fn c3_the_line_of_a_refused_request_is_kept() {
    let long = "x".repeat(2000);
    for (bytes, target, status) in [
        ("GET http://a/x HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), "http://a/x", 400),
        ("GET http://a/x HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(), "http://a/x", 505),
        (format!("GET http://a/x HTTP/1.1\r\nA: {long}"), "http://a/x", 431),
        (format!("GET /{long} HTTP/1.1\r\n"), &format!("/{long}"), 414),
    ] {
        let mut scenario = keeping();
        let summary = over(&mut scenario, |scenario| scenario.client(&bytes));
        assert_eq!((summary.method(), summary.status), (&b"GET"[..], Some(status)));
        assert_eq!(String::from_utf8_lossy(summary.target()), target);
        assert_eq!((summary.failure(), summary.is_cut()), (Some("http_request_error"), false));
    }
}

#[test]
fn a_failure_has_a_word() {
    type Row = (&'static str, fn(&mut Scenario), Option<u16>, Option<&'static str>, bool);
    let table: [Row; 6] = [
        (
            "cannot connect",
            |s| s.fails(Answer::of(Cause::ConnectFailed, false)),
            Some(502),
            Some("connection_refused"),
            false,
        ),
        ("no time", |s| s.at(3_000), Some(504), Some("connection_timeout"), false),
        ("client leaves", Scenario::client_resets, None, Some("client-gone"), true),
        (
            "stop",
            |s| {
                let now = s.now;
                s.tell(|exchange, _| exchange.handle_stop(now))
            },
            None,
            Some("stopping"),
            true,
        ),
        (
            "early end",
            |s| {
                s.connect(false);
                s.origin_ends()
            },
            Some(502),
            Some("connection_terminated"),
            false,
        ),
        (
            "cut",
            |s| {
                s.connect(false);
                s.origin("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx");
                s.origin_ends()
            },
            Some(200),
            Some("response-cut"),
            true,
        ),
    ];
    for (what, ending, status, failure, cut) in table {
        let mut scenario = keeping().sending(GET).into_connecting();
        let summary = over(&mut scenario, ending);
        assert_eq!((summary.status, summary.failure(), summary.is_cut()), (status, failure, cut), "{what}");
    }
}

#[test]
fn only_the_first_end_counts_and_later_bytes_do_not() {
    let mut scenario = keeping().sending("GET http://a.example/ HTTP/1.0\r\n\r\n").into_relaying();
    let summary = over(&mut scenario, |scenario| scenario.origin(OK));
    assert_eq!((summary.status, summary.failure()), (Some(200), None));
    scenario.client_resets();
    assert!(scenario.exchange.take_summary().is_none());
}

#[test]
fn nobody_accounts_for_what_nobody_asked_to() {
    let mut scenario = Scenario::get().into_relaying();
    scenario.origin(OK);
    assert!(scenario.exchange.take_summary().is_none() && scenario.exchange.summary_mut().is_none());
    let mut own = Scenario { exchange: Exchange::new(&Arrival::direct(Ingress::Web, CLIENT), 0), ..keeping() };
    own.client("GET / HTTP/1.1\r\n\r\n");
    own.answer(Answer::new(200, &b"ok"[..]));
    assert!(own.exchange.take_summary().is_none(), "the monitor's requests are no proxied ones");
    let mut silent = keeping();
    silent.client_ends();
    assert!(silent.exchange.take_summary().is_none(), "a connection without a request");
}

#[test]
fn what_is_remembered_is_bounded() {
    let long = "x".repeat(20_000);
    let head = format!("GET http://h/{long} HTTP/1.1\r\nUser-Agent: {long}\r\nReferer: {long}\r\n\r\n");
    let mut scenario = Scenario::with(|settings| {
        settings.summary = Some(Remembered::ALL);
        settings.rules.head_limit = 100_000;
    });
    let summary = over(&mut scenario, |scenario| {
        scenario.client(&head);
        scenario.answer(Answer::new(200, &b"ok"[..]));
    });
    assert_eq!((summary.target().len(), summary.user_agent().len(), summary.referer().len()), (8192, 1024, 1024));
}
