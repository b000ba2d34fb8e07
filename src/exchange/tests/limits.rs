//! The limit of request bodies, and broken chunks from either side.

use super::*;
use crate::exchange::close::CloseReason;
use crate::http::Version;

fn post(lines: &str) -> String {
    format!("POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n")
}

fn limited() -> Scenario {
    Scenario::with(|settings| settings.body_size = 10)
}

#[test]
fn a_body_that_says_it_is_too_large_is_refused_at_once() {
    let mut scenario = limited().sending(post("Content-Length: 11\r\n"));
    assert_eq!((scenario.statuses(), scenario.kind()), (vec![413], PhaseKind::Draining));
    assert_eq!(scenario.actions(), [Action::Hangup], "nobody is asked about it");
    assert_eq!(limited().sending(post("Content-Length: 10\r\n")).kind(), PhaseKind::Deciding);
}

#[test]
fn who_is_refused_for_a_body_gets_an_answer_of_his_kind() {
    let (head, post) = (post("Content-Length: 11\r\n").replacen("POST", "HEAD", 1), post("Content-Length: 11\r\n"));
    let body =
        |request: String| limited().sending(request).client_got().split_once("\r\n\r\n").map(|(_, body)| body.len());
    assert_eq!(body(head), Some(0), "nothing follows the head of an answer to HEAD");
    assert!(body(post.clone()) > Some(0));
    let mut old = limited().sending(post.replacen("HTTP/1.1", "HTTP/1.0", 1));
    assert!(old.client_got().starts_with("HTTP/1.1 413 "));
    assert_eq!(old.exchange.current.version, Version::Http10);
}

#[test]
fn a_body_that_turns_out_too_large_is_refused_then() {
    let mut scenario = limited().sending(post("Transfer-Encoding: chunked\r\n")).into_relaying();
    for _ in 0..100 {
        scenario.client("10\r\n0123456789abcdef\r\n");
    }
    assert_eq!(scenario.statuses(), [413]);
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Draining, vec![Action::Hangup]));
    assert!(scenario.exchange.aborts(Side::Origin), "the origin must not take it for complete");
    assert!(!scenario.origin_got().ends_with("0\r\n\r\n"));
}

#[test]
fn the_second_body_is_measured_by_itself() {
    let mut scenario = limited();
    for _ in 0..500 {
        scenario = scenario.sending(post("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n").into_relaying();
        scenario.origin(OK);
        assert_eq!((scenario.statuses(), scenario.actions()), (vec![200], vec![Action::Release]));
    }
}

#[test]
fn broken_chunks_of_a_client_are_answered() {
    for broken in ["x\r\n", "5\r\nhelloX", "0x5\r\n", "5 \r\nhello\r\n", "5\nhello", "fffffffffffffffff\r\n"] {
        let mut scenario = Scenario::new().sending(post("Transfer-Encoding: chunked\r\n")).into_relaying();
        scenario.client("2\r\nok\r\n");
        scenario.client(broken);
        assert_eq!((scenario.statuses(), scenario.kind()), (vec![400], PhaseKind::Draining), "{broken:?}");
        assert_eq!(scenario.actions(), [Action::Hangup]);
        assert!(scenario.exchange.aborts(Side::Origin));
    }
}

#[test]
fn broken_chunks_of_a_client_end_a_response_that_has_begun() {
    let mut scenario = Scenario::new().sending(post("Transfer-Encoding: chunked\r\n")).into_relaying();
    scenario.origin("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok");
    scenario.client("x\r\n");
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::RequestFault)]);
    assert!(scenario.exchange.aborts(Side::Origin));
}

#[test]
fn extensions_are_left_out_and_trailers_go_on() {
    let mut scenario = Scenario::new().sending(post("Transfer-Encoding: chunked\r\n")).into_relaying();
    scenario.origin_got();
    scenario.client("005;a=b\r\nhello\r\n0;c\r\nX-Sum: 1\r\nHost: b\r\n\r\n");
    assert_eq!(scenario.origin_got(), "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n");
    scenario.origin(OK);
    assert_eq!((scenario.actions(), scenario.kind()), (vec![Action::Release], PhaseKind::Idle));
}

#[test]
fn broken_chunks_of_an_origin_cut_the_response() {
    for broken in ["x\r\n", "5\r\nhelloX", "5\nhello", "fffffffffffffffff\r\n"] {
        let mut scenario = Scenario::get().into_relaying();
        scenario.origin("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
        scenario.origin(broken);
        let got = scenario.client_got();
        assert!(!got.contains("\r\n0\r\n"), "the client must not take it for complete: {got}");
        assert_eq!(scenario.kind(), PhaseKind::Draining, "{broken:?}");
        assert_eq!(scenario.actions(), [Action::Hangup]);
        scenario.client_ends();
        assert_eq!(scenario.actions(), [Action::Done(CloseReason::ResponseFault)]);
    }
}

#[test]
fn broken_chunks_are_cut_by_a_reset_where_the_end_of_the_connection_ends_the_body() {
    let mut scenario = Scenario::new().sending("GET http://a.example/ HTTP/1.0\r\n\r\n").into_relaying();
    scenario.origin("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
    scenario.origin("x\r\n");
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::ResponseFault)]);
    assert!(scenario.exchange.aborts(Side::Client));
}
