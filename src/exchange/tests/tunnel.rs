//! Tunnels: by CONNECT and by a switch of protocols; greeting, early bytes, half closes, breaks.

use super::*;
use crate::exchange::close::CloseReason;
use crate::http::target::Target;

const CONNECT: &str = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n";
const GREETING: &str = "HTTP/1.1 200 Connection Established\r\n\r\n";
const UPGRADE: &str =
    "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching\r\nDate: D\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n";

fn tunnel() -> Scenario {
    let mut scenario = Scenario::new().sending(CONNECT).into_relaying();
    assert_eq!((scenario.client_got(), scenario.origin_got()), (GREETING.to_string(), String::new()));
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Tunnel, vec![]));
    scenario
}

#[test]
fn bytes_go_both_ways_as_they_are() {
    let mut scenario = tunnel();
    scenario.client("GET / HTTP/1.1\r\n\r\n");
    scenario.origin("\u{0}\r\nany");
    assert_eq!(scenario.origin_got(), "GET / HTTP/1.1\r\n\r\n");
    assert_eq!(scenario.client_got(), "\u{0}\r\nany");
    assert_eq!(scenario.exchange.passable(Direction::Upload), u64::MAX);
    assert_eq!(scenario.exchange.passable(Direction::Download), u64::MAX);
}

#[test]
fn where_a_tunnel_leads_is_known_for_as_long_as_it_stands() {
    let target = |scenario: &Scenario| scenario.exchange.target().map(|target| (target.host.to_string(), target.port));
    let mut scenario = tunnel();
    assert_eq!(target(&scenario), Some(("a.example".into(), 443)));
    scenario.origin_ends();
    scenario.client_ends();
    assert_eq!((scenario.kind(), target(&scenario)), (PhaseKind::Closed, None));
    let mut scenario = Scenario::new().sending(UPGRADE);
    assert_eq!(target(&scenario), Some(("a.example".into(), 80)));
    let other = Target::from_authority(b"b.example:8080", None).unwrap();
    scenario.decide(Decision::Intercept(Box::new(other), None));
    scenario.resolved();
    scenario.connect(false);
    scenario.origin(SWITCH);
    assert_eq!((scenario.kind(), target(&scenario)), (PhaseKind::Tunnel, Some(("b.example".into(), 8080))));
    assert_eq!(target(&Scenario::new()), None);
}

#[test]
fn the_greeting_is_the_first_that_a_client_gets() {
    let mut scenario = Scenario::new().sending(CONNECT).into_connecting();
    scenario.client_takes(0);
    scenario.connect(false);
    scenario.origin("hello");
    scenario.client_takes(usize::MAX);
    assert_eq!(scenario.client_got(), format!("{GREETING}hello"));
}

#[test]
fn early_bytes_of_the_client_reach_the_origin() {
    for early in [1, 300, 5000] {
        let mut scenario = Scenario::new().sending(format!("{CONNECT}{}", "x".repeat(early))).into_relaying();
        assert_eq!(scenario.origin_got(), "x".repeat(early));
    }
}

#[test]
fn each_half_is_closed_by_itself() {
    let mut scenario = tunnel();
    scenario.client("last");
    scenario.client_ends();
    assert_eq!((scenario.origin_got(), scenario.upload.shut, scenario.download.shut), ("last".into(), true, false));
    scenario.origin("still here");
    assert_eq!(scenario.client_got(), "still here");
    scenario.origin_ends();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::TunnelEnd)]);
    let mut scenario = tunnel();
    scenario.origin_ends();
    assert_eq!((scenario.upload.shut, scenario.download.shut, scenario.kind()), (false, true, PhaseKind::Tunnel));
    scenario.client("still here");
    assert_eq!(scenario.origin_got(), "still here");
    scenario.client_ends();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::TunnelEnd)]);
    assert!(!scenario.exchange.aborts(Side::Client) && !scenario.exchange.aborts(Side::Origin));
}

#[test]
fn a_half_is_closed_only_behind_its_last_byte() {
    let mut scenario = tunnel();
    scenario.origin_takes(3);
    scenario.client("slowly");
    scenario.client_ends();
    assert!(!scenario.upload.shut);
    scenario.origin_takes(usize::MAX);
    assert_eq!((scenario.origin_got(), scenario.upload.shut), ("slowly".into(), true));
}

#[test]
fn an_origin_that_ends_at_once_does_not_swallow_the_greeting() {
    let mut scenario = Scenario::new().sending(CONNECT).into_connecting();
    scenario.client_takes(0);
    scenario.connect(false);
    scenario.origin_ends();
    assert!(!scenario.download.shut);
    scenario.client_takes(usize::MAX);
    assert_eq!((scenario.client_got(), scenario.download.shut), (GREETING.to_string(), true));
}

#[test]
fn a_reset_is_passed_on() {
    let mut scenario = tunnel();
    scenario.client_resets();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::TunnelReset)]);
    assert!(scenario.exchange.aborts(Side::Origin));
    for refuses in [false, true] {
        let mut scenario = tunnel();
        if refuses {
            scenario.origin_refuses();
            assert_eq!(
                (scenario.kind(), scenario.actions()),
                (PhaseKind::Tunnel, vec![]),
                "it may have said something"
            );
        }
        scenario.origin_resets();
        assert_eq!(scenario.actions(), [Action::Done(CloseReason::TunnelReset)]);
        assert!(scenario.exchange.aborts(Side::Client));
    }
}

#[test]
fn a4_what_came_before_a_reset_is_delivered_first() {
    let mut scenario = tunnel();
    scenario.client_takes(3);
    scenario.origin("origin");
    scenario.origin_resets();
    scenario.client("lost");
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Tunnel, vec![]));
    scenario.client_takes(usize::MAX);
    assert_eq!((scenario.client_got(), scenario.origin_got()), ("origin".into(), String::new()));
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::TunnelReset)]);
    assert!(scenario.exchange.aborts(Side::Client));
    let mut scenario = tunnel();
    scenario.origin_takes(3);
    scenario.client("client");
    scenario.client_resets();
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Tunnel, vec![]));
    scenario.origin_takes(usize::MAX);
    assert_eq!(
        (scenario.origin_got(), scenario.actions()),
        ("client".into(), vec![Action::Done(CloseReason::TunnelReset)])
    );
    assert!(scenario.exchange.aborts(Side::Origin));
}

/// A reset throws away what the peer has not got yet.
#[test]
fn a4_a_client_that_has_not_got_all_is_drained_and_not_reset() {
    let mut scenario = tunnel();
    scenario.delivers = false;
    scenario.origin("all");
    scenario.origin_resets();
    assert_eq!((scenario.kind(), scenario.download.shut), (PhaseKind::Draining, true));
    assert_eq!((scenario.client_got(), scenario.actions()), ("all".into(), vec![Action::Hangup]));
    scenario.client_ends();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::TunnelReset)]);
    assert!(!scenario.exchange.aborts(Side::Client));
}

/// There is nothing left to be drained, and the client would be waited for until a timer ends that.
#[test]
fn a4_a_client_that_had_ended_before_is_not_waited_for() {
    let mut scenario = tunnel();
    scenario.delivers = false;
    scenario.client_ends();
    scenario.origin("all");
    scenario.origin_resets();
    assert_eq!(scenario.client_got(), "all");
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::TunnelReset)]);
    assert!(!scenario.exchange.aborts(Side::Client));
}

/// The origin has closed in order and does not read any more.
#[test]
fn a4_an_origin_that_closed_in_order_ends_in_order() {
    let mut scenario = tunnel();
    scenario.client_takes(0);
    scenario.origin("all");
    scenario.origin_ends();
    scenario.client("more");
    scenario.upload_fails(false);
    scenario.client("and more");
    scenario.client_takes(usize::MAX);
    assert_eq!((scenario.client_got(), scenario.download.shut), ("all".into(), true));
    scenario.client_ends();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::TunnelEnd)]);
    assert!(!scenario.exchange.aborts(Side::Client));
}

#[test]
fn a_half_closed_tunnel_has_less_time() {
    let mut scenario = tunnel();
    scenario.now = 1_000;
    scenario.client_ends();
    scenario.at(5_999);
    assert_eq!(scenario.kind(), PhaseKind::Tunnel);
    scenario.at(6_000);
    let timer = crate::exchange::timers::Timer::HalfClose;
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::Timeout(timer))]);
}

#[test]
fn a_tunnel_that_cannot_be_dug_is_refused() {
    let mut scenario = Scenario::new().sending(CONNECT).into_connecting();
    scenario.fails(Answer::new(502, &b"no\n"[..]));
    // What follows may be meant for the tunnel, so it is not taken for a request.
    assert_eq!((scenario.statuses(), scenario.kind()), (vec![502], PhaseKind::Draining));
}

#[test]
fn a_switch_that_was_offered_makes_a_tunnel() {
    for piece in [1, 10, 1000] {
        let mut scenario = Scenario::new().sending(UPGRADE).into_relaying();
        assert!(scenario.origin_got().contains("Connection: upgrade\r\n"));
        scenario.download.piece = piece;
        scenario.origin(format!("{SWITCH}first"));
        assert_eq!(scenario.client_got(), format!("{SWITCH}first"), "in pieces of {piece}");
        assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Tunnel, vec![]));
        scenario.client("second");
        assert_eq!(scenario.origin_got(), "second");
        scenario.client_ends();
        scenario.origin_ends();
        assert_eq!(scenario.actions(), [Action::Done(CloseReason::TunnelEnd)]);
    }
}

#[test]
fn bytes_behind_an_offer_wait_for_the_switch() {
    let mut scenario = Scenario::new().sending(format!("{UPGRADE}early")).into_relaying();
    assert!(!scenario.origin_got().contains("early"));
    scenario.origin(SWITCH);
    assert_eq!(scenario.origin_got(), "early");
}

#[test]
fn an_offer_may_be_declined() {
    let mut scenario = Scenario::new().sending(UPGRADE).into_relaying();
    scenario.origin(OK);
    assert_eq!((scenario.statuses(), scenario.actions()), (vec![200], vec![Action::Release]));
    assert_eq!(scenario.sending(GET).into_relaying().origin_got(), GET_SENT);
}

#[test]
fn a_switch_that_nobody_offered_is_a_fault() {
    for asked in [GET.to_string(), UPGRADE.replace("echo", "h2c"), UPGRADE.replace("echo", "other")] {
        let mut scenario = Scenario::new().sending(asked).into_relaying();
        scenario.origin(SWITCH);
        assert_eq!((scenario.statuses(), scenario.actions()), (vec![502], vec![Action::Hangup]));
        assert_eq!(scenario.kind(), PhaseKind::Idle);
    }
}

/// The whole talk came in one piece with its end, before the client had taken the first byte of it.
#[test]
fn an_end_right_behind_a_switch_is_the_tunnels() {
    for window in [0, 10, usize::MAX] {
        let mut scenario = Scenario::new().sending(UPGRADE).into_relaying();
        scenario.client_takes(window);
        scenario.download.ended = true;
        scenario.origin(format!("{SWITCH}all"));
        scenario.client_takes(usize::MAX);
        assert_eq!(scenario.client_got(), format!("{SWITCH}all"), "window {window}");
        assert_eq!((scenario.kind(), scenario.download.shut), (PhaseKind::Tunnel, true));
    }
}

#[test]
fn a_client_may_end_its_half_right_behind_an_offer() {
    let mut scenario = Scenario::new().sending(UPGRADE).into_relaying();
    scenario.client_ends();
    scenario.origin(format!("{SWITCH}all"));
    assert_eq!((scenario.kind(), scenario.upload.shut), (PhaseKind::Tunnel, true));
    assert_eq!(scenario.client_got(), format!("{SWITCH}all"));
}

#[test]
fn a_switch_before_the_content_is_complete_is_refused() {
    let head = UPGRADE.replace("\r\n\r\n", "\r\nContent-Length: 4\r\n\r\n").replace("GET", "POST");
    let mut scenario = Scenario::new().sending(head).into_relaying();
    scenario.origin(SWITCH);
    assert_eq!(scenario.statuses(), [502], "the rest of the content would end up in the tunnel");
}
