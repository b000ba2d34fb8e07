//! Answers of our own: to whom they go with a body, what becomes of the connection, how a slow client takes them.

use super::*;
use crate::exchange::close::CloseReason;
use crate::http::answer::AnswerBody;

fn asked(head: &str) -> Scenario {
    let mut scenario = Scenario::new().sending(head);
    assert_eq!(scenario.actions(), [Action::Ask]);
    scenario
}

#[test]
fn the_connection_goes_as_client_and_answer_want() {
    let closing = Answer { close: true, ..Answer::new(403, &b"no\n"[..]) };
    let keeping = Answer::new(403, &b"no\n"[..]);
    let table = [
        ("HTTP/1.1", "", &keeping, true),
        ("HTTP/1.1", "", &closing, false),
        ("HTTP/1.1", "Connection: close\r\n", &keeping, false),
        ("HTTP/1.0", "", &keeping, false),
        ("HTTP/1.0", "Proxy-Connection: keep-alive\r\n", &keeping, true),
    ];
    for (version, lines, answer, kept) in table {
        let mut scenario = asked(&format!("GET http://a.example/ {version}\r\nHost: a.example\r\n{lines}\r\n"));
        scenario.answer(answer.clone());
        let got = scenario.client_got();
        assert_eq!(got.contains("Connection: close"), !kept, "{version} {lines} {got}");
        assert_eq!(scenario.kind() == PhaseKind::Idle, kept, "{version} {lines}");
    }
}

/// Content that is there already is out of the way of the next request.
#[test]
fn a_refused_upload_costs_the_connection_only_if_some_of_it_is_still_to_come() {
    let post = |lines: &str| format!("POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n");
    let (sized, chunked) = (post("Content-Length: 5\r\n"), post("Transfer-Encoding: chunked\r\n"));
    let table = [
        (format!("{sized}hello"), true),
        (format!("{chunked}5\r\nhello\r\n0\r\n\r\n"), true),
        (format!("{chunked}2;a=b\r\nhe\r\n003\r\nllo\r\n0\r\nA: b\r\n\r\n"), true),
        (format!("{sized}hell"), false),
        (sized, false),
        (format!("{chunked}5\r\nhello\r\n0\r\n\r"), false),
        (format!("{chunked}x\r\nhello\r\n0\r\n\r\n"), false),
    ];
    for (request, kept) in table {
        let mut scenario = asked(&request);
        scenario.answer(Answer::new(403, &b"no\n"[..]));
        let got = scenario.client_got();
        assert_eq!(got.contains("Connection: close"), !kept, "{request:?} {got}");
        assert_eq!(
            (scenario.kind(), scenario.upload.held.len()),
            (if kept { PhaseKind::Idle } else { PhaseKind::Draining }, 0)
        );
        scenario.actions();
        if kept {
            assert_eq!(scenario.sending(GET).into_relaying().origin_got(), GET_SENT, "{request:?}");
        }
    }
}

/// A page that waits for content is its client's memory like one that waits to be written.
#[test]
fn an_answer_that_waits_for_content_counts_as_its_clients_memory() {
    let mut scenario = asked("POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nab");
    scenario.answer(Answer::new(407, vec![b'x'; 100_000]));
    assert_eq!((scenario.client_got().as_str(), scenario.kind()), ("", PhaseKind::Answering));
    assert!(scenario.exchange.answer_size() >= 100_000);
    scenario.actions();
    scenario.client(format!("cd{GET}"));
    assert!(scenario.client_got().ends_with(&"x".repeat(100_000)));
    assert_eq!((scenario.kind(), scenario.exchange.answer_size()), (PhaseKind::Deciding, 0));
    assert_eq!(scenario.actions(), [Action::Ask]);
}

#[test]
fn a_request_behind_a_refused_upload_is_served() {
    let post = "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello";
    let mut scenario = asked(&format!("{post}{GET}"));
    scenario.answer(Answer::new(403, &b"no\n"[..]));
    assert_eq!((scenario.statuses(), scenario.actions.remove(0)), (vec![403], Action::Hangup));
    assert_eq!(scenario.into_relaying().origin_got(), GET_SENT);
}

#[test]
fn an_answer_to_head_has_no_body() {
    let mut scenario = asked("HEAD http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n");
    scenario.answer(Answer::new(403, &b"no\n"[..]));
    let got = scenario.client_got();
    assert!(got.contains("\r\nContent-Length: 3\r\n") && got.ends_with("\r\n\r\n"), "{got}");
    let mut scenario = scenario.sending(GET);
    scenario.answer(Answer::new(403, &b"no\n"[..]));
    assert!(scenario.client_got().ends_with("\r\n\r\nno\n"), "the next one has");
}

#[test]
fn a_client_that_announced_its_last_request_is_closed_without_waiting() {
    let mut scenario = asked("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
    scenario.answer(Answer::new(403, &b"no\n"[..]));
    assert_eq!(scenario.statuses(), [403]);
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::Answered)]);
}

#[test]
fn a_client_that_sent_more_behind_its_last_request_is_drained() {
    let mut scenario = asked("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
    scenario.client_takes(0);
    scenario.answer(Answer::new(403, vec![b'x'; 100_000]));
    scenario.client("\r\n");
    scenario.client_takes(usize::MAX);
    assert_eq!((scenario.kind(), scenario.client_got().ends_with('x')), (PhaseKind::Draining, true));
    assert!(scenario.download.shut);
    scenario.client_ends();
    assert_eq!(scenario.actions().last(), Some(&Action::Done(CloseReason::Answered)));
}

#[test]
fn a_slow_client_gets_it_all_and_reads_nothing_into_us_meanwhile() {
    let mut scenario = Scenario::get();
    scenario.client_takes(0);
    scenario.actions();
    scenario.answer(Answer::new(200, vec![b'x'; 100_000]));
    scenario.client(GET);
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Answering, vec![Action::Hangup]));
    assert!(!scenario.reads(Direction::Upload));
    while scenario.kind() == PhaseKind::Answering {
        scenario.client_takes(999);
    }
    assert!(scenario.client_got().ends_with(&"x".repeat(100_000)));
    assert_eq!(
        (scenario.kind(), scenario.actions()),
        (PhaseKind::Deciding, vec![Action::Ask]),
        "and then the next request"
    );
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let mut scenario = Scenario::get();
    scenario.client_takes(0);
    scenario.actions();
    scenario.answer(Answer::new(200, &b"x"[..]));
    scenario.at(59_999);
    assert_eq!(scenario.kind(), PhaseKind::Answering);
    scenario.at(60_000);
    let timer = crate::exchange::timers::Timer::Inactive;
    assert_eq!(scenario.actions(), [Action::Hangup, Action::Done(CloseReason::Timeout(timer))]);
}

#[test]
fn a_client_that_breaks_off_is_gone() {
    let mut scenario = Scenario::get();
    scenario.client_takes(0);
    scenario.answer(Answer::new(200, &b"x"[..]));
    scenario.client_resets();
    assert_eq!(scenario.actions().last(), Some(&Action::Done(CloseReason::ClientGone)));
}

/// What was rewritten for an origin must not be read as the client's next request.
#[test]
fn unsent_bytes_for_an_origin_do_not_outlive_it() {
    let mut scenario = Scenario::get();
    scenario.origin_takes(10);
    let mut scenario = scenario.into_relaying();
    assert_eq!(scenario.origin_got(), GET_SENT[..10]);
    scenario.origin_ends();
    assert_eq!(scenario.statuses(), [502]);
    assert_eq!((scenario.kind(), scenario.upload.held.len()), (PhaseKind::Idle, 0));
    scenario.actions();
    scenario.origin_takes(usize::MAX);
    assert_eq!(scenario.sending(GET).into_relaying().origin_got(), GET_SENT);
}

/// An answer that is followed by this many bytes from elsewhere.
fn followed(count: u64) -> Answer {
    Answer { follows: count, ..Answer::new(200, &b"start "[..]) }
}

#[test]
fn content_from_elsewhere_follows_the_answer() {
    let mut scenario = Scenario::get();
    scenario.actions();
    scenario.answer(followed(100_000));
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Answering, vec![Action::Hangup]));
    assert!(scenario.client_got().ends_with("\r\nstart "));
    scenario.client_takes(0);
    scenario.origin(&"x".repeat(70_000)[..]);
    assert!(!scenario.reads(Direction::Upload), "no request before the end of the answer");
    while scenario.exchange.flow(Direction::Download).cleared() > 0 {
        scenario.client_takes(999);
    }
    scenario.client_takes(usize::MAX);
    scenario.client(GET);
    // A file that has grown meanwhile: what is beyond the length belongs to no answer.
    scenario.origin(&"y".repeat(30_001)[..]);
    let got = scenario.client_got();
    assert!(got.starts_with(&"x".repeat(70_000)) && got.ends_with(&"y".repeat(30_000)));
    assert_eq!((got.len(), scenario.kind()), (100_000, PhaseKind::Deciding), "and then the next request");
    assert!(!scenario.reads(Direction::Download));
    let mut scenario = scenario.into_relaying();
    scenario.origin(OK);
    assert_eq!((scenario.client_got().as_str(), scenario.kind()), (OK_SENT, PhaseKind::Idle));
}

#[test]
fn a_long_body_is_sent_from_where_it_stands() {
    for shared in [false, true] {
        let body: Vec<u8> = (0..20_001_u32).map(|number| b'a' + (number % 23) as u8).collect();
        let answer = match shared {
            false => Answer::new(200, body.clone()),
            true => Answer { body: AnswerBody::Shared(body.clone().into()), ..Answer::new(200, &b""[..]) },
        };
        let mut scenario = Scenario::get();
        scenario.actions();
        scenario.client_takes(0);
        scenario.answer(answer);
        assert!(scenario.download.held.len() < 1_000, "no more than the head is in the buffer");
        while scenario.kind() == PhaseKind::Answering {
            scenario.client_takes(777);
            assert!(scenario.download.held.len() < 1_000, "nothing of it goes into the buffer");
        }
        let got = scenario.client_got();
        let (head, rest) = got.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nContent-Length: 20001\r\n") && rest.as_bytes() == body, "{head}");
        assert_eq!(scenario.actions(), [Action::Hangup]);
        scenario.client_takes(usize::MAX);
        assert_eq!(scenario.sending(GET).into_relaying().origin_got(), GET_SENT);
    }
}

#[test]
fn a_long_body_is_not_sent_in_answer_to_head() {
    let mut scenario = asked("HEAD http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n");
    scenario.answer(Answer::new(200, vec![b'x'; 20_000]));
    assert!(scenario.client_got().ends_with("\r\n\r\n"));
    assert_eq!((scenario.kind(), scenario.exchange.body_rest()), (PhaseKind::Idle, &b""[..]));
}

#[test]
fn content_that_ends_too_soon_ends_the_connection() {
    for head in [GET, "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"] {
        let mut scenario = asked(head);
        scenario.answer(followed(9));
        scenario.origin("12345678");
        scenario.origin_ends();
        assert!(scenario.client_got().ends_with("\r\nstart 12345678"), "nothing takes the place of the last byte");
        assert!(scenario.download.shut || scenario.kind() == PhaseKind::Closed, "{}", scenario.kind());
        scenario.client_ends();
        assert_eq!(scenario.actions().last(), Some(&Action::Done(CloseReason::ContentCut)));
    }
}

#[test]
fn content_is_not_asked_for_in_answer_to_head() {
    let mut scenario = asked("HEAD http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n");
    scenario.answer(followed(9));
    let got = scenario.client_got();
    assert!(got.contains("\r\nContent-Length: 15\r\n") && got.ends_with("\r\n\r\n"), "{got}");
    assert_eq!((scenario.kind(), scenario.exchange.needs_content()), (PhaseKind::Idle, false));
}

/// What is left of a response that was cut goes out, and no content is waited for behind it.
#[test]
fn a_cut_response_wants_no_content() {
    let mut scenario = Scenario::get().into_relaying();
    scenario.client_takes(0);
    scenario.origin("HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 20\r\n\r\nsome of it");
    scenario.origin_resets();
    assert_eq!((scenario.kind(), scenario.exchange.needs_content()), (PhaseKind::Answering, false));
    assert!(!scenario.reads(Direction::Download));
    scenario.client_takes(usize::MAX);
    assert!(scenario.client_got().ends_with("some of it"));
    assert_eq!(scenario.kind(), PhaseKind::Draining);
}
