//! Idle connections and request heads: where a head ends however it comes, and what is no head.

use super::*;
use crate::exchange::close::CloseReason;

const TWO: &str = "POST http://a.example/1 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\none";

#[test]
fn a_head_may_be_split_anywhere() {
    for cut in 1..GET.len() {
        let mut scenario = Scenario::new();
        scenario.client(&GET[..cut]);
        assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Head, vec![]), "cut at {cut}");
        scenario.client(&GET[cut..]);
        assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Deciding, vec![Action::Ask]), "cut at {cut}");
        assert_eq!(scenario.exchange.requests(), 1);
    }
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let mut scenario = Scenario::new();
    for byte in GET.as_bytes() {
        assert!(scenario.reads(Direction::Upload));
        scenario.client([*byte]);
    }
    let mut scenario = scenario.into_relaying();
    assert_eq!(scenario.origin_got(), GET_SENT);
}

#[test]
fn blank_lines_in_front_are_passed_over() {
    for blank in ["\r\n", "\n", "\r\n\r\n", "\n\r\n\n"] {
        let mut scenario = Scenario::new();
        scenario.client(blank);
        assert_eq!((scenario.kind(), scenario.upload.held.len()), (PhaseKind::Idle, 0), "{blank:?}");
        let mut scenario = scenario.sending(GET).into_relaying();
        assert_eq!(scenario.origin_got(), GET_SENT);
    }
}

#[test]
fn nothing_more_is_read_while_a_request_waits() {
    let next = "GET http://a.example/2 HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let mut scenario = Scenario::new();
    scenario.upload.piece = GET.len();
    scenario.client(format!("{GET}{next}"));
    assert!(!scenario.reads(Direction::Upload));
    let scenario = scenario.into_resolving();
    assert!(!scenario.reads(Direction::Upload));
    assert_eq!(scenario.upload.waiting, next.as_bytes());
}

#[test]
fn pipelined_requests_are_served_one_by_one() {
    let mut scenario = Scenario::new().sending(format!("{TWO}{GET}{TWO}"));
    for sent in [
        "POST /1 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\none",
        GET_SENT,
        "POST /1 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\none",
    ] {
        scenario = scenario.into_relaying();
        assert_eq!(scenario.origin_got(), sent);
        scenario.origin(OK);
        assert_eq!(scenario.client_got(), OK_SENT);
        assert_eq!(scenario.actions.remove(0), Action::Release);
    }
    assert_eq!((scenario.kind(), scenario.actions(), scenario.exchange.requests()), (PhaseKind::Idle, vec![], 3));
}

#[test]
fn a_pipeline_is_served_to_its_end_after_the_client_has_closed() {
    let mut scenario = Scenario::new();
    scenario.upload.ended = true;
    scenario = scenario.sending(format!("{GET}{GET}"));
    for _ in 0..2 {
        scenario = scenario.into_relaying();
        scenario.origin(OK);
        assert_eq!(scenario.client_got(), OK_SENT);
        assert_eq!(scenario.actions.remove(0), Action::Release);
    }
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::ClientLeft)]);
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let table = [
        (format!("GET http://a.example/{} HTTP/1.1\r\n\r\n", "x".repeat(1024)), 414),
        (format!("GET http://a.example/{}", "x".repeat(1024)), 414),
        (format!("{}A: {}\r\n\r\n", &GET[..GET.len() - 2], "x".repeat(1024)), 431),
        (format!("{}A: {}", &GET[..GET.len() - 2], "x".repeat(1024)), 431),
    ];
    for (head, status) in table {
        let mut scenario = Scenario::new().sending(&head);
        assert_eq!(scenario.statuses(), [status], "{head}");
        assert_eq!((scenario.kind(), scenario.download.shut), (PhaseKind::Draining, true));
        scenario.client_ends();
        assert_eq!(scenario.actions().last(), Some(&Action::Done(CloseReason::Answered)));
    }
}

#[test]
fn the_largest_head_still_passes() {
    let start = &GET[..GET.len() - 2];
    let head = format!("{start}A: {}\r\n\r\n", "x".repeat(1024 - start.len() - "A: \r\n\r\n".len()));
    assert_eq!(head.len(), 1024);
    for piece in [1, 7, 1024] {
        let mut scenario = Scenario::new();
        scenario.upload.piece = piece;
        assert_eq!(scenario.sending(&head).kind(), PhaseKind::Deciding, "in pieces of {piece}");
    }
}

#[test]
fn what_is_no_request_is_answered_and_what_follows_thrown_away() {
    let table = [
        ("GET\r\n\r\n", 400),
        ("\u{16}\u{3}\u{1}\u{2}\r\n\r\n", 400),
        ("GET http://a.example/ HTTP/2.0\r\n\r\n", 505),
        ("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nA : b\r\n\r\n", 400),
        ("POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: x\r\n\r\n", 400),
    ];
    for (head, status) in table {
        let mut scenario = Scenario::new().sending(format!("{head}{GET}"));
        assert_eq!(scenario.statuses(), [status], "{head:?}");
        assert_eq!(scenario.kind(), PhaseKind::Draining);
        assert_eq!(scenario.actions(), [Action::Hangup], "the request behind it is not asked about");
    }
}

#[test]
fn a_client_that_leaves_between_requests_is_no_fault() {
    let mut scenario = Scenario::new();
    scenario.client_ends();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::ClientLeft)]);
    let mut scenario = Scenario::new();
    scenario.client_resets();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::ClientLeft)]);
}

#[test]
fn a_client_that_leaves_within_a_head_is_gone() {
    let mut scenario = Scenario::new().sending(&GET[..20]);
    scenario.client_ends();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::ClientGone)]);
    let mut scenario = Scenario::new().sending(&GET[..20]);
    scenario.client_resets();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::ClientGone)]);
}

/// The answer to a HEAD has no body, but that to the broken head behind it has.
#[test]
fn a_fault_behind_a_head_request_is_explained() {
    let asked = "HEAD http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let oversized = format!("GET http://a.example/{}", "x".repeat(2000));
    for (broken, wait) in [(&oversized[..], 0), ("GET http", 30_000)] {
        let mut scenario = Scenario::new().sending(asked).into_relaying();
        scenario.origin("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
        scenario.client_got();
        assert_eq!(scenario.kind(), PhaseKind::Idle);
        scenario.client(broken);
        scenario.at(wait);
        let got = scenario.client_got();
        let (head, body) = got.split_once("\r\n\r\n").expect("an answer");
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{got}");
    }
}

/// Refuses the head that is under way; whether there is one.
fn refuse(scenario: &mut Scenario) -> bool {
    let mut done = false;
    scenario.tell(|exchange, cx| done = exchange.handle_head_refused(cx));
    scenario.run();
    done
}

#[test]
fn b4_a_head_without_memory_for_it_is_refused_wherever_it_waits() {
    let waiting: [(Scenario, PhaseKind); 4] = [
        (Scenario::new().sending("GET http://a.exa"), PhaseKind::Draining),
        (Scenario::get(), PhaseKind::Idle),
        (Scenario::get().into_connecting(), PhaseKind::Idle),
        (Scenario::get().into_relaying(), PhaseKind::Idle),
    ];
    for (mut scenario, then) in waiting {
        let kind = scenario.kind();
        assert!(refuse(&mut scenario), "{kind}");
        assert_eq!((scenario.statuses(), scenario.kind()), (vec![503], then), "{kind}");
        assert_eq!(scenario.actions().pop(), Some(Action::Hangup), "{kind}");
    }
}

#[test]
fn b4_a_response_that_has_begun_is_cut_and_what_has_no_head_goes_on() {
    let mut scenario = Scenario::get().into_relaying();
    scenario.client_takes(0);
    scenario.origin("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    scenario.actions();
    assert!(refuse(&mut scenario));
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::Displaced)]);
    let mut idle = Scenario::new();
    assert!(!refuse(&mut idle) && idle.kind() == PhaseKind::Idle);
    let mut refused = Scenario::new().sending("BAD\r\n\r\n");
    refused.actions();
    assert!(!refuse(&mut refused) && refused.statuses() == [400], "an answer is no head");
}

#[test]
fn a6_a_request_that_gives_its_place_away_is_told_so() {
    for mut scenario in [Scenario::get(), Scenario::get().into_relaying()] {
        scenario.tell(|exchange, cx| exchange.handle_crowded(cx));
        scenario.run();
        assert_eq!((scenario.statuses(), scenario.kind()), (vec![503], PhaseKind::Draining));
        scenario.tell(|exchange, cx| exchange.handle_displaced(cx.now));
        assert_eq!(scenario.actions().pop(), Some(Action::Done(CloseReason::Displaced)));
    }
    let mut idle = Scenario::new();
    idle.tell(|exchange, cx| exchange.handle_crowded(cx));
    assert_eq!((idle.kind(), idle.statuses()), (PhaseKind::Idle, vec![]));
}
