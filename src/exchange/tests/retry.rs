//! Kept origin connections that turn out dead: which requests are asked once more, and only once.

use super::*;
use crate::exchange::close::CloseReason;

fn reusing(method: &str, rest: &str) -> Scenario {
    let head = format!("{method} http://a.example/ HTTP/1.1\r\nHost: a.example\r\n{rest}");
    Scenario::new().sending(head).into_reusing()
}

/// How a kept connection can turn out dead.
const DEATHS: [Event; 3] = [
    ("closed", Scenario::origin_ends),
    ("reset", Scenario::origin_resets),
    ("refused", |scenario| {
        scenario.origin_refuses();
        scenario.origin_resets();
    }),
];

#[test]
fn a_harmless_request_is_asked_once_more() {
    for (how, die) in DEATHS {
        for method in ["GET", "HEAD", "OPTIONS", "DELETE"] {
            let mut scenario = reusing(method, "\r\n");
            let sent = scenario.origin_got();
            die(&mut scenario);
            assert_eq!(
                (scenario.kind(), scenario.actions()),
                (PhaseKind::Resolving, vec![Action::Redial]),
                "{method} {how}"
            );
            assert!(scenario.exchange.is_fresh());
            scenario.resolved();
            assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Connecting, vec![]));
            scenario.connect(false);
            assert_eq!(scenario.origin_got(), sent, "{method} {how}");
            scenario.origin("HTTP/1.1 204 OK\r\n\r\n");
            assert_eq!((scenario.statuses(), scenario.actions()), (vec![204], vec![Action::Release]));
            scenario.client(GET);
            assert!(!scenario.exchange.is_fresh(), "the next request may use any connection");
        }
    }
}

/// QUERY (RFC 10008) only reads. Its content has come with its head, so that it is there for a second time.
#[test]
fn a_query_is_asked_once_more_with_its_content() {
    for (how, die) in DEATHS {
        let mut scenario = reusing("QUERY", "Content-Length: 6\r\n\r\nselect");
        let sent = scenario.origin_got();
        assert!(sent.starts_with("QUERY / HTTP/1.1\r\n") && sent.ends_with("\r\n\r\nselect"), "{sent}");
        assert!(scenario.exchange.request().unwrap().is_repeatable());
        die(&mut scenario);
        assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Resolving, vec![Action::Redial]), "{how}");
        scenario.resolved();
        scenario.connect(false);
        assert_eq!(scenario.origin_got(), sent, "{how}");
        scenario.origin("HTTP/1.1 204 OK\r\n\r\n");
        assert_eq!((scenario.statuses(), scenario.actions()), (vec![204], vec![Action::Release]));
        assert_eq!(scenario.sending(GET).into_relaying().origin_got(), GET_SENT, "and the next request is served");
    }
    // Of this one the rest is still to come, and what has come is gone once it was sent.
    for (rest, more) in
        [("Content-Length: 6\r\n\r\nsel", "ect"), ("Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n0\r\n\r\n")]
    {
        let mut scenario = reusing("QUERY", rest);
        scenario.client(more);
        assert!(scenario.origin_got().ends_with(more) && !scenario.exchange.request().unwrap().is_repeatable());
        scenario.origin_ends();
        assert_eq!((scenario.statuses(), scenario.actions()), (vec![502], vec![Action::Hangup]), "{rest}");
    }
}

#[test]
fn it_is_asked_only_once_more() {
    for (how, die) in DEATHS {
        let mut scenario = reusing("GET", "\r\n");
        die(&mut scenario);
        scenario.resolved();
        scenario.connect(false);
        scenario.actions();
        die(&mut scenario);
        assert_eq!((scenario.statuses(), scenario.actions()), (vec![502], vec![Action::Hangup]), "{how}");
    }
}

#[test]
fn a_connection_that_was_never_used_is_not_tried_again() {
    let mut scenario = Scenario::get().into_relaying();
    scenario.origin_ends();
    assert_eq!((scenario.statuses(), scenario.actions()), (vec![502], vec![Action::Hangup]));
}

#[test]
fn what_may_have_had_an_effect_is_not_repeated() {
    for (method, rest) in
        [("POST", "\r\n"), ("PATCH", "\r\n"), ("BREW", "\r\n"), ("PUT", "Content-Length: 2\r\n\r\nok")]
    {
        let mut scenario = reusing(method, rest);
        scenario.origin_ends();
        assert_eq!((scenario.statuses(), scenario.actions()), (vec![502], vec![Action::Hangup]), "{method}");
    }
}

#[test]
fn what_has_begun_to_be_answered_is_not_repeated() {
    for begun in ["HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 20", "H"] {
        let mut scenario = reusing("GET", "\r\n");
        scenario.origin(begun);
        scenario.client_got();
        scenario.origin_ends();
        assert_eq!((scenario.statuses(), scenario.actions()), (vec![502], vec![Action::Hangup]), "{begun}");
        assert_eq!(scenario.download.held.len(), 0);
    }
}

#[test]
fn a_request_that_was_not_sent_to_its_end_is_repeated_from_its_start() {
    let mut scenario = Scenario::new().sending(format!("{GET}{GET}"));
    scenario.origin_takes(10);
    let mut scenario = scenario.into_reusing();
    scenario.origin_ends();
    scenario.origin_takes(usize::MAX);
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Resolving, vec![Action::Redial]));
    scenario.resolved();
    scenario.connect(false);
    assert_eq!(scenario.origin_got(), GET_SENT);
    scenario.origin(OK);
    assert_eq!(scenario.client_got(), OK_SENT);
    assert_eq!(scenario.kind(), PhaseKind::Deciding, "and the pipelined one behind it is still there");
}

#[test]
fn a_client_that_leaves_meanwhile_ends_it() {
    let mut scenario = reusing("GET", "\r\n");
    scenario.origin_ends();
    scenario.client_resets();
    assert_eq!(scenario.actions(), [Action::Redial, Action::Done(CloseReason::ClientGone)]);
}
