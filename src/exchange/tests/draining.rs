//! After the last response: what a client still sends is thrown away, within a budget and a time.

use super::*;
use crate::exchange::close::CloseReason;
use crate::exchange::ending::DRAIN_BYTES;

const UPLOAD: &str = "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000000\r\n\r\n";

/// A response of an origin that will not read on.
const LAST: &str = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// An upload that the origin has answered before its end.
fn answered() -> Scenario {
    let mut scenario = Scenario::new().sending(UPLOAD).into_relaying();
    scenario.origin(LAST);
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Draining, vec![Action::Hangup]));
    assert!(scenario.download.shut);
    scenario
}

#[test]
fn the_response_tells_that_the_connection_ends() {
    let got = answered().client_got();
    assert!(got.contains("\r\nConnection: close\r\n") && got.ends_with("\r\n\r\nok"), "{got}");
}

#[test]
fn what_still_comes_is_thrown_away_until_the_client_closes() {
    let mut scenario = answered();
    for _ in 0..100 {
        scenario.client("x".repeat(1000));
        assert_eq!((scenario.upload.held.len(), scenario.upload.waiting.len()), (0, 0));
    }
    scenario.client_ends();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::Complete)]);
}

#[test]
fn a_client_that_never_stops_is_cut_off() {
    let mut scenario = answered();
    scenario.client(vec![b'x'; DRAIN_BYTES as usize]);
    assert_eq!(scenario.kind(), PhaseKind::Draining);
    scenario.client("x");
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::Complete)]);
}

#[test]
fn a_client_that_never_closes_is_cut_off() {
    let mut scenario = answered();
    scenario.now = 3_000;
    scenario.client("x");
    scenario.at(3_999);
    assert_eq!(scenario.kind(), PhaseKind::Draining, "the time runs from the start, whatever comes");
    scenario.at(4_000);
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::Complete)]);
}

#[test]
fn a_reset_ends_it_with_the_reason_it_had() {
    let mut scenario = answered();
    scenario.client_resets();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::Complete)]);
}

/// The origin takes no more of what was meant for it, and it stood in the way of what the client sends.
#[test]
fn unsent_bytes_do_not_keep_a_client_from_being_drained() {
    let mut scenario = Scenario::new().sending(UPLOAD);
    scenario.origin_takes(50);
    let mut scenario = scenario.into_relaying();
    scenario.client("x".repeat(500));
    scenario.origin(LAST);
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Draining, vec![Action::Hangup]));
    scenario.client("x".repeat(500));
    assert_eq!((scenario.upload.held.len(), scenario.upload.waiting.len()), (0, 0));
    scenario.client_ends();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::Complete)]);
}

#[test]
fn no_time_for_draining_closes_at_once() {
    let mut scenario = Scenario::with(|settings| settings.limits.drain = 0).sending("nonsense\r\n\r\n");
    assert_eq!((scenario.statuses(), scenario.kind()), (vec![400], PhaseKind::Draining));
    scenario.at(scenario.now);
    assert_eq!(scenario.actions().last(), Some(&Action::Done(CloseReason::Answered)));
}
