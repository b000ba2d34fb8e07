//! How tunnels begin, where that is judged: hellos in every cut, other protocols, silence, timers, ends.

use super::*;
use crate::exchange::close::CloseReason;
use crate::http::target::Target;
use crate::policy::tunnels::SniMode;
use crate::tls::tests::hello;

const CONNECT: &str = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n";
const TO_ADDRESS: &str = "CONNECT 192.0.2.9:443 HTTP/1.1\r\nHost: 192.0.2.9:443\r\n\r\n";
const GREETING: &str = "HTTP/1.1 200 Connection Established\r\n\r\n";

/// The alert that says that no such name is known, and that something is not allowed.
const UNRECOGNIZED: [u8; 7] = [21, 3, 1, 0, 2, 2, 112];
const DENIED: [u8; 7] = [21, 3, 1, 0, 2, 2, 49];

fn with(sni: SniMode, change: impl FnOnce(&mut TunnelRules)) -> Scenario {
    let mut tunnels = TunnelRules { sni, ..TunnelRules::default() };
    change(&mut tunnels);
    Scenario::with(|settings| settings.tunnels = tunnels)
}

/// A tunnel that stands, under these rules, with its greeting taken.
fn tunnel(sni: SniMode, change: impl FnOnce(&mut TunnelRules)) -> Scenario {
    let mut scenario = with(sni, change).sending(CONNECT).into_relaying();
    assert_eq!(scenario.client_got(), GREETING);
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Tunnel, vec![]));
    scenario
}

fn enforced() -> Scenario {
    tunnel(SniMode::Enforce, |_| {})
}

fn origin_bytes(scenario: &mut Scenario) -> Vec<u8> {
    std::mem::take(&mut scenario.upload.sent)
}

fn client_bytes(scenario: &mut Scenario) -> Vec<u8> {
    std::mem::take(&mut scenario.download.sent)
}

/// How often tunnels began so.
fn count(scenario: &Scenario, finding: &str) -> u64 {
    scenario.counters.openings().find(|(name, _)| *name == finding).expect("a finding").1
}

/// The tunnel was closed for this cause; the client got this, and the origin nothing.
fn assert_refused(scenario: &mut Scenario, cause: Cause, got: &[u8]) {
    assert_eq!((client_bytes(scenario), origin_bytes(scenario)), (got.to_vec(), vec![]), "{cause}");
    assert_eq!(scenario.exchange.trouble(), Some(cause));
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Draining, vec![Action::Hangup]));
    scenario.client_ends();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::Refused)]);
    let counted = scenario.counters.answers().find(|(word, _)| *word == cause.word());
    assert_eq!(counted, Some((cause.word(), 1)));
}

#[test]
fn row_65_a_hello_that_names_the_host_passes_in_every_cut() {
    let bytes = [&hello(Some("A.example"), true)[..], b"more"].concat();
    for cut in 1..bytes.len() {
        let mut scenario = enforced();
        scenario.client(&bytes[..cut]);
        let whole = cut >= bytes.len() - 4;
        assert_eq!(origin_bytes(&mut scenario), if whole { &bytes[..cut] } else { b"" });
        assert_eq!(scenario.exchange.passable(Direction::Upload), if whole { u64::MAX } else { 0 });
        scenario.client(&bytes[cut..]);
        assert_eq!(origin_bytes(&mut scenario), if whole { &bytes[cut..] } else { &bytes[..] });
        assert_eq!((scenario.kind(), count(&scenario, "matched")), (PhaseKind::Tunnel, 1));
    }
}

#[test]
fn row_65_a_hello_that_names_another_host_is_refused_in_every_cut() {
    let bytes = hello(Some("b.example"), false);
    for cut in 0..bytes.len() {
        let mut scenario = enforced();
        scenario.client(&bytes[..cut]);
        scenario.client(&bytes[cut..]);
        assert_eq!(count(&scenario, "mismatch"), 1);
        assert_refused(&mut scenario, Cause::SniMismatch, &UNRECOGNIZED);
    }
}

#[test]
fn a_hello_behind_its_connect_is_judged_behind_the_greeting() {
    let early = [CONNECT.as_bytes(), &hello(Some("b.example"), false)].concat();
    let mut scenario = with(SniMode::Enforce, |_| {}).sending(early).into_relaying();
    assert_refused(&mut scenario, Cause::SniMismatch, &[GREETING.as_bytes(), &UNRECOGNIZED].concat());
    let early = [CONNECT.as_bytes(), &hello(Some("a.example"), false)].concat();
    let mut scenario = with(SniMode::Enforce, |_| {}).sending(early).into_relaying();
    assert_eq!(client_bytes(&mut scenario), GREETING.as_bytes());
    assert_eq!(origin_bytes(&mut scenario), hello(Some("a.example"), false));
}

#[test]
fn a_hello_without_a_name_is_refused() {
    for ech in [false, true] {
        let mut scenario = enforced();
        scenario.client(hello(None, ech));
        assert_eq!(count(&scenario, "missing"), 1);
        assert_refused(&mut scenario, Cause::SniMissing, &UNRECOGNIZED);
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    for bytes in [&b"\x80\x2e\x01\x03\x01"[..], b"\x15\x03\x01\x00\x02\x01\x5a", b"\x16\x03\x01\x00\x04\x02\0\0\0"] {
        let mut scenario = enforced();
        scenario.client(bytes);
        let got = client_bytes(&mut scenario);
        assert_eq!((got.len(), got[0], count(&scenario, "unread")), (7, 21, 1));
        assert_refused(&mut scenario, Cause::BadHello, b"");
    }
    let mut scenario = enforced();
    scenario.client([&b"\x16\x03\x01\x10\x00\x01\x00\x0f\xfc"[..], &[0; 4096]].concat());
    assert_eq!(scenario.exchange.trouble(), Some(Cause::BadHello), "above the limit");
}

#[test]
fn in_the_mode_log_all_of_it_passes_and_is_counted() {
    let table: [(&str, Vec<u8>); 5] = [
        ("mismatch", hello(Some("b.example"), false)),
        ("ech", hello(Some("b.example"), true)),
        ("missing", hello(None, false)),
        ("unread", b"\x15\x03\x01\x00\x02\x01\x5a".to_vec()),
        ("other", b"SSH-2.0-x\r\n".to_vec()),
    ];
    for (finding, bytes) in table {
        let mut scenario = tunnel(SniMode::Log, |rules| rules.refuses_ech = true);
        scenario.client(&bytes);
        assert_eq!((origin_bytes(&mut scenario), count(&scenario, finding)), (bytes, 1), "{finding}");
        assert_eq!((scenario.kind(), scenario.exchange.trouble()), (PhaseKind::Tunnel, None));
    }
}

#[test]
fn a_name_in_front_of_a_hidden_one_is_judged_by_lists_or_refused() {
    let mut scenario = enforced();
    scenario.client(hello(Some("public.example"), true));
    assert_eq!((origin_bytes(&mut scenario), scenario.actions()), (vec![], vec![Action::Judge]));
    let name = scenario.exchange.name_to_judge().map(|(host, port)| (host.to_string(), port));
    assert_eq!((name, scenario.reads(Direction::Upload)), (Some(("public.example".into(), 443)), false));
    scenario.tell(|exchange, cx| exchange.handle_judged(None, cx));
    assert_eq!(origin_bytes(&mut scenario), hello(Some("public.example"), true));
    assert_eq!((scenario.exchange.name_to_judge(), count(&scenario, "ech")), (None, 1));
    let mut scenario = enforced();
    scenario.client(hello(Some("public.example"), true));
    assert_eq!(scenario.actions(), [Action::Judge]);
    scenario.tell(|exchange, cx| exchange.handle_judged(Some(Cause::Blocked), cx));
    assert_refused(&mut scenario, Cause::Blocked, &DENIED);
    let mut scenario = tunnel(SniMode::Enforce, |rules| rules.refuses_ech = true);
    scenario.client(hello(Some("public.example"), true));
    assert_refused(&mut scenario, Cause::SniEch, &DENIED);
}

#[test]
fn behind_an_address_a_name_is_judged_by_lists_in_both_modes() {
    for mode in [SniMode::Log, SniMode::Enforce] {
        let mut scenario = with(mode, |_| {}).sending(TO_ADDRESS).into_relaying();
        scenario.client(hello(Some("b.example"), false));
        assert_eq!(scenario.actions(), [Action::Judge]);
        scenario.tell(|exchange, cx| exchange.handle_judged(Some(Cause::Blocked), cx));
        assert_eq!((scenario.exchange.trouble(), scenario.kind()), (Some(Cause::Blocked), PhaseKind::Draining));
        let mut scenario = with(mode, |_| {}).sending(TO_ADDRESS).into_relaying();
        scenario.client(hello(None, false));
        assert_eq!(origin_bytes(&mut scenario), hello(None, false));
    }
}

#[test]
fn the_name_is_compared_with_what_the_client_asked_for() {
    let to = Target::from_authority(b"inner.example:8443", None).unwrap();
    let mut scenario = with(SniMode::Enforce, |_| {}).sending(CONNECT);
    scenario.decide(Decision::Intercept(Box::new(to), None));
    scenario.resolved();
    scenario.connect(false);
    scenario.client(hello(Some("a.example"), false));
    assert_eq!(count(&scenario, "matched"), 1);
    let mut scenario = with(SniMode::Enforce, |_| {}).sending(CONNECT);
    let other = scenario.exchange.request().unwrap().with_target(b"inner.example:8443", &Rules::default()).unwrap();
    scenario.decide(Decision::Rewrite(other));
    scenario.resolved();
    scenario.connect(false);
    scenario.client(hello(Some("a.example"), false));
    assert_eq!(count(&scenario, "matched"), 1);
}

#[test]
fn a_server_that_speaks_first_is_not_held_up() {
    let mut scenario = enforced();
    scenario.origin("SSH-2.0-server\r\n");
    assert_eq!(scenario.client_got(), "SSH-2.0-server\r\n");
    assert_eq!(scenario.exchange.passable(Direction::Download), u64::MAX);
    scenario.client("SSH-2.0-client\r\n");
    assert_eq!((scenario.origin_got(), count(&scenario, "other")), ("SSH-2.0-client\r\n".into(), 1));
    // Behind what the origin has said an alert would be a part of that.
    let mut scenario = enforced();
    scenario.origin("220 ready\r\n");
    assert_eq!(scenario.client_got(), "220 ready\r\n");
    scenario.client(hello(Some("b.example"), false));
    assert_refused(&mut scenario, Cause::SniMismatch, b"");
}

#[test]
fn nothing_but_tls_may_come_where_it_alone_is_allowed() {
    for mode in [SniMode::Off, SniMode::Log, SniMode::Enforce] {
        let mut scenario = tunnel(mode, |rules| rules.tls_alone = true);
        scenario.client("SSH-2.0-client\r\n");
        assert_refused(&mut scenario, Cause::NotTls, b"");
        let mut scenario = tunnel(mode, |rules| rules.tls_alone = true);
        scenario.at(10_000);
        assert_refused(&mut scenario, Cause::NotTls, b"");
    }
    let mut scenario = tunnel(SniMode::Off, |rules| rules.tls_alone = true);
    scenario.client(hello(Some("b.example"), false));
    assert_eq!(origin_bytes(&mut scenario), hello(Some("b.example"), false));
}

#[test]
fn a_hello_that_is_cut_across_the_timer_is_no_way_round() {
    let bytes = hello(Some("b.example"), false);
    let mut scenario = enforced();
    scenario.at(9_000);
    scenario.client(&bytes[..20]);
    scenario.at(18_999);
    assert_eq!((scenario.kind(), origin_bytes(&mut scenario)), (PhaseKind::Tunnel, vec![]));
    scenario.at(19_000);
    assert_eq!(count(&scenario, "unread"), 1);
    assert_refused(&mut scenario, Cause::BadHello, &[21, 3, 1, 0, 2, 2, 50]);
    let mut scenario = tunnel(SniMode::Log, |_| {});
    scenario.client(&bytes[..20]);
    scenario.at(10_000);
    scenario.client(&bytes[20..]);
    assert_eq!(origin_bytes(&mut scenario), bytes);
}

#[test]
fn silence_is_told_once_and_what_comes_late_is_judged_all_the_same() {
    let mut scenario = enforced();
    scenario.at(10_000);
    assert_eq!((count(&scenario, "other"), scenario.kind()), (1, PhaseKind::Tunnel));
    scenario.at(60_000);
    assert_eq!(count(&scenario, "other"), 1);
    scenario.client(hello(Some("b.example"), false));
    assert_refused(&mut scenario, Cause::SniMismatch, &UNRECOGNIZED);
    // The timer of tunnels goes on.
    let mut scenario = enforced();
    scenario.at(10_000);
    scenario.at(90_000);
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::Timeout(crate::exchange::timers::Timer::Tunnel))]);
}

#[test]
fn ends_are_passed_on_where_nothing_is_held_back() {
    let mut scenario = enforced();
    scenario.client_ends();
    assert_eq!((scenario.upload.shut, scenario.kind()), (true, PhaseKind::Tunnel));
    scenario.origin("still here");
    scenario.origin_ends();
    assert_eq!(scenario.client_got(), "still here");
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::TunnelEnd)]);
    let mut scenario = enforced();
    scenario.client(&hello(Some("a.example"), false)[..9]);
    scenario.client_ends();
    assert_eq!(scenario.exchange.trouble(), Some(Cause::BadHello));
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::Refused)]);
    let mut scenario = enforced();
    scenario.client_resets();
    scenario.origin_ends();
    assert!(matches!(scenario.actions()[..], [Action::Done(_)]));
    let mut scenario = enforced();
    scenario.client(&hello(Some("a.example"), false)[..9]);
    scenario.origin_ends();
    scenario.client(&hello(Some("a.example"), false)[9..]);
    assert_eq!(origin_bytes(&mut scenario), hello(Some("a.example"), false));
}

#[test]
fn a_hello_may_be_refused_for_want_of_memory() {
    let mut scenario = enforced();
    scenario.client(&hello(Some("a.example"), false)[..9]);
    scenario.tell(|exchange, cx| assert!(exchange.handle_head_refused(cx)));
    assert_eq!((scenario.exchange.trouble(), origin_bytes(&mut scenario)), (Some(Cause::TooManyHeads), vec![]));
}

#[test]
fn the_access_log_has_what_the_hello_says() {
    let mut scenario = with(SniMode::Enforce, |_| {}).sending("");
    scenario.settings.summary = Some(Remembered::ALL);
    scenario.stops_at_record = true;
    scenario.client(CONNECT);
    let mut scenario = scenario.into_relaying();
    scenario.client(hello(Some("b.example"), true));
    scenario.tell(|exchange, cx| exchange.handle_judged(Some(Cause::Blocked), cx));
    scenario.client_ends();
    let summary = scenario.exchange.take_summary().expect("it is over");
    let hello = summary.hello.as_deref().expect("a hello was read");
    assert_eq!((hello.name.as_ref().map(ToString::to_string), hello.ech), (Some("b.example".into()), true));
    assert_eq!((summary.status, summary.failure(), summary.is_cut()), (Some(200), Some("blocked"), false));
}
