//! Requests to the program itself: they wait for their content, up to a limit, and the connection goes on behind it.

use super::*;
use crate::exchange::close::CloseReason;
use crate::exchange::local::MAX_CONTENT;

const FORM: &str = "POST /control HTTP/1.1\r\nContent-Length: 9\r\n\r\na=b&c=d%2";
const NEXT: &str = "GET /health HTTP/1.1\r\n\r\n";

/// The content that the request under way is kept with.
fn held(scenario: &Scenario) -> &[u8] {
    scenario.exchange.request().map_or(b"none", |request| request.content())
}

/// The request is asked about with this content; its answer leaves the connection open.
fn answered(scenario: &mut Scenario, content: &str) {
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Deciding, vec![Action::Ask]));
    assert_eq!(held(scenario), content.as_bytes());
    scenario.answer(Answer::new(200, &b"ok"[..]));
    let got = scenario.client_got();
    assert!(got.starts_with("HTTP/1.1 200 ") && !got.contains("Connection: close"), "{got}");
    assert_eq!(scenario.actions.remove(0), Action::Hangup);
}

#[test]
fn a_form_may_be_split_anywhere_and_is_asked_about_once() {
    for cut in 1..FORM.len() {
        let mut scenario = Scenario::own().sending(&FORM[..cut]);
        assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Head, vec![]), "cut at {cut}");
        assert_eq!(scenario.exchange.requests(), 0);
        scenario.client(&FORM[cut..]);
        assert_eq!(scenario.exchange.requests(), 1);
        answered(&mut scenario, "a=b&c=d%2");
        assert_eq!(scenario.kind(), PhaseKind::Idle);
    }
}

#[test]
fn a_form_may_come_byte_by_byte_with_another_request_behind_it() {
    for piece in [1, 3, FORM.len() - 1, FORM.len() + 1, 1 << 16] {
        let mut scenario = Scenario::own();
        scenario.upload.piece = piece;
        scenario.client(format!("{FORM}{NEXT}{FORM}"));
        for content in ["a=b&c=d%2", "", "a=b&c=d%2"] {
            answered(&mut scenario, content);
        }
        assert_eq!((scenario.kind(), scenario.exchange.requests()), (PhaseKind::Idle, 3), "in pieces of {piece}");
    }
}

#[test]
fn the_longest_content_passes_below_the_largest_head() {
    let start = format!("POST / HTTP/1.1\r\nContent-Length: {MAX_CONTENT}\r\nA: ");
    let head = format!("{start}{}\r\n\r\n", "x".repeat(1024 - start.len() - 4));
    let content = "y".repeat(MAX_CONTENT as usize);
    for piece in [1, 1000, 1 << 16] {
        let mut scenario = Scenario::own();
        scenario.upload.piece = piece;
        scenario.client(format!("{head}{content}"));
        answered(&mut scenario, &content);
    }
}

#[test]
fn content_that_is_none_to_wait_for_is_refused_at_once() {
    let table = [
        ("POST", format!("Content-Length: {}\r\n", MAX_CONTENT + 1), 413),
        ("HEAD", "Content-Length: 18446744073709551615\r\n".into(), 413),
        ("POST", "Transfer-Encoding: chunked\r\n".into(), 411),
        ("POST", "Content-Length: 9\r\nExpect: 100-continue\r\n".into(), 417),
        ("POST", "Content-Length: x\r\n".into(), 400),
    ];
    for (method, lines, status) in table {
        let mut scenario = Scenario::own().sending(format!("{method} / HTTP/1.1\r\n{lines}\r\n"));
        let got = scenario.client_got();
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{lines} {got}");
        assert_eq!(got.ends_with("\r\n\r\n"), method == "HEAD", "{got}");
        assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Draining, vec![Action::Hangup]), "{lines}");
        scenario.client(NEXT);
        assert_eq!((scenario.statuses(), scenario.actions()), (vec![], vec![]), "nothing behind it is a request");
    }
}

#[test]
fn content_that_comes_with_its_head_needs_no_invitation() {
    let form = FORM.replacen("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n", 1);
    answered(&mut Scenario::own().sending(form), "a=b&c=d%2");
}

#[test]
fn a_form_that_is_cut_is_not_asked_about() {
    let ends: [Event; 2] = [("ends", Scenario::client_ends), ("resets", Scenario::client_resets)];
    for (name, end) in ends {
        let mut scenario = Scenario::own().sending(&FORM[..FORM.len() - 1]);
        end(&mut scenario);
        assert_eq!(scenario.actions(), [Action::Done(CloseReason::ClientGone)], "{name}");
    }
    let mut scenario = Scenario::own().sending(FORM);
    scenario.client_ends();
    assert_eq!(scenario.actions(), [Action::Ask], "whoever has ended behind a form still wants the answer");
}

/// The time for a head holds until the last byte of the content, however the bytes drip in.
#[test]
fn a_form_that_takes_too_long_is_given_up() {
    let mut scenario = Scenario::own();
    for (at, bytes) in [(0, &FORM[..30]), (5_000, &FORM[30..FORM.len() - 2]), (9_999, &FORM[FORM.len() - 2..][..1])] {
        scenario.at(at);
        scenario.client(bytes);
        assert_eq!(scenario.kind(), PhaseKind::Head);
    }
    scenario.at(10_000);
    assert_eq!((scenario.statuses(), scenario.kind()), (vec![408], PhaseKind::Draining));
    scenario.client(&FORM[FORM.len() - 1..]);
    assert_eq!(scenario.actions(), [Action::Hangup]);
}

/// Content for an origin is passed on, and none of it stays here.
#[test]
fn content_of_others_is_not_held() {
    let post = "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\none";
    let scenario = Scenario::new().sending(post);
    assert_eq!((scenario.kind(), held(&scenario)), (PhaseKind::Deciding, &b""[..]));
}
