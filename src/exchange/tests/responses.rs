//! Responses that are not just a head and a body: to HEAD, without a body, interim ones, faulty ones, early ones.

use super::*;
use crate::exchange::close::CloseReason;

fn asked(method: &str, version: &str) -> Scenario {
    let head = format!("{method} http://a.example/ {version}\r\nHost: a.example\r\nConnection: keep-alive\r\n\r\n");
    Scenario::new().sending(head).into_relaying()
}

#[test]
fn some_responses_have_no_body_whatever_they_say() {
    let table = [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", true),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false),
        ("HEAD", "HTTP/1.1 200 OK\r\n\r\n", false),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", false),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", false),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", true),
        ("GET", "HTTP/1.1 304 Not Modified\r\n\r\n", false),
    ];
    for (method, response, length) in table {
        let mut scenario = asked(method, "HTTP/1.1");
        scenario.origin(response);
        let got = scenario.client_got();
        assert_eq!(got.contains("Content-Length: 7"), length, "{method} {response}: {got}");
        // An origin that says 204 and yet announces content may send it.
        let stray = response.contains(" 204 ") && response.contains("Length");
        let end = if stray { Action::Hangup } else { Action::Release };
        assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Idle, vec![end]), "{method} {response}");
    }
}

/// What an origin overlooks stays in its connection, which others must not get then.
#[test]
fn content_without_a_meaning_costs_the_origin_connection() {
    for (method, length, end) in [
        ("GET", 2, Action::Hangup),
        ("DELETE", 2, Action::Hangup),
        ("HEAD", 2, Action::Hangup),
        ("GET", 0, Action::Release),
        ("POST", 2, Action::Release),
    ] {
        let head =
            format!("{method} http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: {length}\r\n\r\n");
        let mut scenario = Scenario::new().sending(head + &"x".repeat(length)).into_relaying();
        scenario.origin("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Idle, vec![end]), "{method} {length}");
    }
}

#[test]
fn interim_responses_go_on_to_those_who_know_them() {
    let interims = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    for (version, statuses) in [("HTTP/1.1", vec![100, 103, 200]), ("HTTP/1.0", vec![200])] {
        for piece in [1, 30, 1000] {
            let mut scenario = asked("GET", version);
            scenario.download.piece = piece;
            scenario.origin(format!("{interims}{OK}"));
            assert_eq!(scenario.statuses(), statuses, "{version} in pieces of {piece}");
            assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Idle, vec![Action::Release]));
        }
    }
}

/// All of it came at once, the end too: an interim response that is left out must not hide the one behind it.
#[test]
fn a_response_behind_an_interim_one_is_seen_before_the_end() {
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let mut scenario = asked("GET", version);
        scenario.download.ended = true;
        scenario.origin(format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Wait\r\n\r\n{OK}"));
        assert_eq!(scenario.statuses().last(), Some(&200), "{version}");
    }
}

#[test]
fn a_client_that_waits_for_continue_gets_it_from_the_origin() {
    let head =
        "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let mut scenario = Scenario::new().sending(head).into_relaying();
    assert!(scenario.origin_got().contains("Expect: 100-continue"));
    scenario.origin("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(scenario.statuses(), [100]);
    scenario.client("ok");
    assert_eq!(scenario.origin_got(), "ok");
    scenario.origin(OK);
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Idle, vec![Action::Release]));
}

#[test]
fn interim_responses_without_end_are_a_fault() {
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let mut scenario = asked("GET", version);
        scenario.origin("HTTP/1.1 102 Wait\r\n\r\n".repeat(32));
        assert_eq!(scenario.kind(), PhaseKind::Relaying, "{version}");
        scenario.origin("HTTP/1.1 102 Wait\r\n\r\n");
        assert_eq!(scenario.statuses().last(), Some(&502), "{version}");
    }
}

#[test]
fn what_is_no_response_is_a_fault_of_the_origin() {
    let table = [
        "nonsense\r\n\r\n".to_string(),
        "HTTP/2.0 200 OK\r\n\r\n".to_string(),
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_string(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n".to_string(),
        format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(1024)),
        format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(1024)),
    ];
    for response in table {
        let mut scenario = asked("GET", "HTTP/1.1");
        scenario.origin(&response);
        let got = scenario.client_got();
        assert!(got.starts_with("HTTP/1.1 502 "), "{response}: {got}");
        assert_eq!(scenario.actions(), [Action::Hangup]);
        assert_eq!((scenario.kind(), scenario.download.held.len()), (PhaseKind::Idle, 0), "the client is not to blame");
    }
}

#[test]
fn an_origin_that_closes_without_a_word_is_reported() {
    for response in ["", "HTTP/1.1 200 OK\r\nContent-Le"] {
        let mut scenario = asked("GET", "HTTP/1.1");
        scenario.origin(response);
        scenario.origin_ends();
        assert_eq!((scenario.statuses(), scenario.actions()), (vec![502], vec![Action::Hangup]), "{response}");
        assert_eq!(scenario.kind(), PhaseKind::Idle);
    }
}

#[test]
fn b6_an_answer_before_the_end_of_the_upload_lets_it_go_on() {
    let head = "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\n";
    let mut scenario = Scenario::new().sending(head).into_relaying();
    scenario.client("bo");
    scenario.origin("HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nsorry");
    let got = scenario.client_got();
    assert!(got.ends_with("sorry") && !got.contains("Connection"), "{got}");
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Relaying, vec![]));
    scenario.client("dy");
    assert!(scenario.origin_got().ends_with("body"));
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Idle, vec![Action::Release]), "both can stay");
    assert!(scenario.exchange.is_private(), "but an origin that overlooked the content must not meet another client");
    scenario.client_ends();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::ClientLeft)]);
}

/// An origin that has answered and does not read on holds the client no longer than one that is drained.
#[test]
fn b6_an_upload_that_its_origin_does_not_take_any_more_ends() {
    let head = "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\n";
    let mut scenario = Scenario::new().sending(head).into_relaying();
    scenario.origin_takes(0);
    scenario.client("bo");
    scenario.origin(OK);
    scenario.at(3_999);
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Relaying, vec![]));
    scenario.at(4_000);
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Draining, vec![Action::Hangup]));
}

/// A client that waits for a 100 may send its next request in place of the content.
#[test]
fn b6_an_answer_instead_of_a_100_ends_the_connection() {
    let head =
        "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    let mut scenario = Scenario::new().sending(head).into_relaying();
    scenario.origin(OK);
    assert!(scenario.client_got().contains("\r\nConnection: close\r\n"));
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Draining, vec![Action::Hangup]));
}

#[test]
fn a3_what_leaves_doubt_leaves_the_connection_with_its_client() {
    let table = [
        ("GET", "", "", false),
        ("OPTIONS", "", "", false),
        ("POST", "Content-Length: 0\r\n", "", false),
        ("POST", "Content-Length: 1\r\n", "x", true),
        ("PUT", "Transfer-Encoding: chunked\r\n", "1\r\nx\r\n0\r\n\r\n", true),
        ("get", "Content-Length: 1\r\n", "x", true),
        ("POST", "Expect: 100-continue\r\nContent-Length: 1\r\n", "x", true),
        ("GET", "Connection: upgrade\r\nUpgrade: echo\r\n", "", true),
    ];
    for (method, fields, content, exclusive) in table {
        let head = format!("{method} http://a.example/ HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n{content}");
        let mut scenario = Scenario::new().sending(head).into_relaying();
        scenario.origin(OK);
        assert_eq!(scenario.actions(), [Action::Release], "{method} {fields}");
        assert_eq!(scenario.exchange.is_private(), exclusive, "{method} {fields}");
    }
}

#[test]
fn a_client_of_http_10_gets_chunks_without_their_lines() {
    let mut scenario = asked("GET", "HTTP/1.0");
    scenario.origin("HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let got = scenario.client_got();
    assert!(got.ends_with("Connection: close\r\n\r\nhello"), "{got}");
    assert_eq!((scenario.kind(), scenario.download.shut), (PhaseKind::Draining, true), "its end is the connection's");
    assert_eq!(scenario.actions(), [Action::Release], "the origin's connection is as good as before");
}
