//! The table of timers: which runs when, from when it counts, and that 0 switches each off.

use super::*;
use crate::exchange::close::CloseReason;
use crate::exchange::timers::Timer;

fn next(scenario: &Scenario) -> Option<(Timer, Millis)> {
    scenario.exchange.poll_timeout(&scenario.settings.limits)
}

/// A scenario at time 0 in each phase, and the timer that runs in it with the time at which it runs out.
fn table() -> Vec<(&'static str, Scenario, Timer, Millis)> {
    let tunnel = || Scenario::new().sending("CONNECT a.example:443 HTTP/1.1\r\n\r\n").into_relaying();
    let mut half = tunnel();
    half.client_ends();
    let mut idle = Scenario::get().into_relaying();
    idle.origin(OK);
    let mut second = Scenario::get().into_relaying();
    second.origin(OK);
    let mut answering = Scenario::get();
    answering.client_takes(0);
    answering.answer(Answer::new(200, &b"x"[..]));
    let draining = Scenario::new().sending("nonsense\r\n\r\n");
    vec![
        ("proxy-header", Scenario::proxied(), Timer::Head, 10_000),
        ("part of a PROXY header", Scenario::proxied().sending("PROXY "), Timer::Head, 10_000),
        ("behind a PROXY header", Scenario::proxied().sending("PROXY UNKNOWN\r\n"), Timer::First, 30_000),
        ("new", Scenario::new(), Timer::First, 30_000),
        ("head", Scenario::new().sending("GET "), Timer::Head, 10_000),
        ("idle", idle, Timer::Idle, 20_000),
        ("second head", second.sending("GET "), Timer::Head, 10_000),
        ("deciding", Scenario::get(), Timer::Decision, 1_000),
        ("resolving", Scenario::get().into_resolving(), Timer::Resolve, 2_000),
        ("connecting", Scenario::get().into_connecting(), Timer::Connect, 3_000),
        ("relaying", Scenario::get().into_relaying(), Timer::Inactive, 60_000),
        ("answering", answering, Timer::Inactive, 60_000),
        ("tunnel", tunnel(), Timer::Tunnel, 90_000),
        ("half-closed tunnel", half, Timer::HalfClose, 5_000),
        ("draining", draining, Timer::Drain, 4_000),
    ]
}

#[test]
fn each_phase_has_its_timer() {
    for (name, scenario, timer, at) in table() {
        assert_eq!(next(&scenario), Some((timer, at)), "{name}");
    }
}

#[test]
fn a_timer_that_has_not_run_out_changes_nothing() {
    for (name, mut scenario, _, at) in table() {
        let kind = scenario.kind();
        scenario.actions();
        scenario.at(at - 1);
        assert_eq!((scenario.kind(), scenario.actions()), (kind, vec![]), "{name}");
    }
}

#[test]
fn a_timer_that_has_run_out_leads_on() {
    for (name, mut scenario, timer, at) in table() {
        let kind = scenario.kind();
        scenario.at(at);
        assert_ne!(scenario.kind(), kind, "{name}");
        if let Some(Action::Done(reason)) = scenario.actions().last() {
            let wanted = if timer == Timer::Drain { CloseReason::Answered } else { CloseReason::Timeout(timer) };
            assert_eq!(*reason, wanted, "{name}");
        }
    }
}

#[test]
fn nothing_runs_for_ever_when_its_peers_are_silent() {
    const STEPS: usize = 10;
    for (name, mut scenario, _, _) in table() {
        for _ in 0..STEPS {
            match next(&scenario) {
                Some((_, at)) if scenario.kind() != PhaseKind::Closed => scenario.at(at.max(scenario.now)),
                _ => break,
            }
        }
        assert_eq!(scenario.kind(), PhaseKind::Closed, "{name}");
    }
}

#[test]
fn zero_is_for_ever() {
    for (name, mut scenario, timer, _) in table() {
        let limits = &mut scenario.settings.limits;
        let limit = match timer {
            Timer::First => &mut limits.first,
            Timer::Idle => &mut limits.idle,
            Timer::Head => &mut limits.head,
            Timer::Decision => &mut limits.decision,
            Timer::Resolve => &mut limits.resolve,
            Timer::Connect => &mut limits.connect,
            Timer::Inactive => &mut limits.inactive,
            Timer::Tunnel => &mut limits.tunnel,
            Timer::HalfClose => &mut limits.half_close,
            Timer::Drain => &mut limits.drain,
        };
        *limit = 0;
        let kind = scenario.kind();
        if timer == Timer::Drain {
            // Here no time is no time: a test of its own shows it.
            continue;
        }
        let first = ["head", "proxy-header", "part of a PROXY header"].contains(&name);
        let other = first.then_some((Timer::First, 30_000));
        assert_eq!(next(&scenario), other, "{name}");
        if other.is_none() {
            scenario.at(1_000_000_000);
            assert_eq!(scenario.kind(), kind, "{name}");
        }
    }
}

#[test]
fn the_first_request_has_to_come_in_time_however_slowly_it_drips() {
    let mut scenario = Scenario::new();
    scenario.now = 25_000;
    scenario.client("GET ");
    assert_eq!(next(&scenario), Some((Timer::First, 30_000)), "the earlier of two timers counts");
    scenario.at(30_000);
    assert_eq!((scenario.statuses(), scenario.kind()), (vec![408], PhaseKind::Draining));
}

#[test]
fn bytes_put_off_only_what_counts_from_them() {
    let mut head = Scenario::new().sending("GET ");
    head.now = 9_000;
    head.client("http");
    assert_eq!(next(&head), Some((Timer::Head, 10_000)), "a drip does not prolong a head");
    let mut idle = Scenario::new();
    idle.now = 9_000;
    idle.client("\r\n");
    assert_eq!(next(&idle), Some((Timer::First, 30_000)), "nor do blank lines");
    let mut tunnel = Scenario::new().sending("CONNECT a.example:443 HTTP/1.1\r\n\r\n").into_relaying();
    tunnel.now = 9_000;
    tunnel.client("x");
    assert_eq!(next(&tunnel), Some((Timer::Tunnel, 99_000)));
}
