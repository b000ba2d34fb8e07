//! Deciding, resolving, connecting: what comes back from others, and what happens meanwhile.

use super::*;
use crate::exchange::close::CloseReason;
use crate::http::request::Request;

const PHASES: [PhaseKind; 3] = [PhaseKind::Deciding, PhaseKind::Resolving, PhaseKind::Connecting];

fn waiting_in(kind: PhaseKind) -> Scenario {
    let mut scenario = match kind {
        PhaseKind::Deciding => Scenario::get(),
        PhaseKind::Resolving => Scenario::get().into_resolving(),
        PhaseKind::Connecting => Scenario::get().into_connecting(),
        _ => unreachable!("not a phase that waits"),
    };
    assert_eq!(scenario.kind(), kind);
    scenario.actions();
    scenario
}

#[test]
fn each_step_asks_for_the_next() {
    let mut scenario = Scenario::get();
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Deciding, vec![Action::Ask]));
    scenario.decide(Decision::Forward);
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Resolving, vec![Action::Resolve]));
    scenario.resolved();
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Connecting, vec![]));
    scenario.connect(false);
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Relaying, vec![]));
    assert_eq!(scenario.origin_got(), GET_SENT);
}

#[test]
fn nothing_is_read_and_nothing_sent_while_others_work() {
    for kind in PHASES {
        let mut scenario = waiting_in(kind);
        scenario.client(GET);
        assert!(!scenario.reads(Direction::Upload) && !scenario.reads(Direction::Download), "{kind}");
        assert_eq!((scenario.upload.waiting.len(), scenario.client_got()), (GET.len(), String::new()), "{kind}");
    }
}

#[test]
fn an_answer_of_our_own_keeps_the_connection() {
    for kind in PHASES {
        let mut scenario = waiting_in(kind);
        match kind {
            PhaseKind::Deciding => scenario.answer(Answer::new(404, &b"no\n"[..])),
            _ => scenario.fails(Answer::new(404, &b"no\n"[..])),
        }
        assert_eq!(scenario.actions(), [Action::Hangup], "{kind}");
        let got = scenario.client_got();
        assert!(got.starts_with("HTTP/1.1 404 Not Found\r\n") && got.ends_with("\r\n\r\nno\n"), "{got}");
        assert!(!got.contains("Connection"), "{got}");
        assert_eq!(scenario.kind(), PhaseKind::Idle, "{kind}");
        assert_eq!(scenario.sending(GET).into_relaying().origin_got(), GET_SENT);
    }
}

#[test]
fn whoever_comes_back_too_late_is_not_listened_to() {
    let late = |mut scenario: Scenario, kind: PhaseKind| {
        scenario.decide(Decision::Forward);
        scenario.resolved();
        scenario.connect(false);
        scenario.fails(Answer::new(502, &b"late"[..]));
        scenario.answer(Answer::new(502, &b"late"[..]));
        assert_eq!((scenario.kind(), scenario.actions()), (kind, vec![]));
        assert_eq!(scenario.client_got(), "");
    };
    late(Scenario::new(), PhaseKind::Idle);
    late(Scenario::new().sending("GET "), PhaseKind::Head);
    late(Scenario::get().into_relaying(), PhaseKind::Relaying);
    let mut done = Scenario::get().into_relaying();
    done.origin(OK);
    done.actions();
    done.client_got();
    late(done, PhaseKind::Idle);
}

#[test]
fn each_wait_has_a_timer_and_an_answer() {
    for (kind, wait, status) in
        [(PhaseKind::Deciding, 1_000, 503), (PhaseKind::Resolving, 2_000, 504), (PhaseKind::Connecting, 3_000, 504)]
    {
        let mut scenario = waiting_in(kind);
        scenario.at(wait - 1);
        assert_eq!(scenario.kind(), kind);
        scenario.at(wait);
        assert_eq!((scenario.statuses(), scenario.actions()), (vec![status], vec![Action::Hangup]), "{kind}");
        assert_eq!(scenario.kind(), PhaseKind::Idle, "a request that was read to its end costs nobody a connection");
    }
}

#[test]
fn a_client_that_breaks_off_ends_everything() {
    for kind in PHASES {
        let mut scenario = waiting_in(kind);
        scenario.client_resets();
        assert_eq!(scenario.actions(), [Action::Done(CloseReason::ClientGone)], "{kind}");
        assert!(!scenario.exchange.aborts(Side::Origin));
    }
}

#[test]
fn a_client_that_only_stops_sending_is_still_served() {
    let mut scenario = Scenario::get();
    scenario.client_ends();
    let mut scenario = scenario.into_relaying();
    scenario.origin(OK);
    assert_eq!(scenario.client_got(), OK_SENT);
    assert_eq!(scenario.actions(), [Action::Release, Action::Done(CloseReason::ClientLeft)]);
}

#[test]
fn an_unread_body_ends_the_connection_after_the_answer() {
    let head = "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5000\r\n\r\n";
    let mut scenario = Scenario::new().sending(format!("{head}{}", "x".repeat(2000))).into_connecting();
    scenario.fails(Answer::new(502, &b"no\n"[..]));
    let got = scenario.client_got();
    assert!(got.contains("\r\nConnection: close\r\n"), "{got}");
    assert_eq!((scenario.kind(), scenario.download.shut), (PhaseKind::Draining, true));
    scenario.client("x".repeat(3000));
    assert_eq!((scenario.upload.held.len(), scenario.upload.waiting.len()), (0, 0), "thrown away");
    scenario.client_ends();
    assert_eq!(scenario.actions(), [Action::Hangup, Action::Done(CloseReason::Answered)]);
}

#[test]
fn a_stop_ends_every_phase() {
    for kind in PHASES {
        let mut scenario = waiting_in(kind);
        scenario.tell(|exchange, cx| exchange.handle_stop(cx.now));
        assert_eq!(scenario.actions(), [Action::Done(CloseReason::Stopping)], "{kind}");
    }
}

#[test]
fn credentials_that_a_helper_adds_make_the_connection_private_too() {
    let mut scenario = Scenario::get();
    let head = "GET http://b.example/ HTTP/1.1\r\nHost: b.example\r\nAuthorization: NTLM TlRMTQ==\r\n\r\n";
    let other = Request::parse(head.as_bytes(), &scenario.settings.rules).unwrap();
    assert!(!scenario.exchange.is_private());
    scenario.decide(Decision::Rewrite(other));
    assert!(scenario.exchange.is_private());
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Resolving, vec![Action::Ask, Action::Resolve]));
}
