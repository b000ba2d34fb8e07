//! Connections that carry no HTTP: TLS by the name in its hello, and anything by where it was going.

use std::net::SocketAddr;

use super::*;
use crate::exchange::close::CloseReason;
use crate::exchange::timers::Timer;
use crate::http::request::{OpaqueKind, Request};
use crate::http::target::Target;
use crate::tls::tests::hello;

const UNRECOGNIZED: [u8; 7] = [21, 3, 1, 0, 2, 2, 112];
const DENIED: [u8; 7] = [21, 3, 1, 0, 2, 2, 49];

/// A client of this kind of listener that was going there, if anywhere.
fn client(ingress: Ingress, original: Option<&str>, change: impl FnOnce(&mut Settings)) -> Scenario {
    let original: Option<SocketAddr> = original.map(|original| original.parse().unwrap());
    let arrival = Arrival { original, ..Arrival::direct(ingress, CLIENT) };
    Scenario { exchange: Exchange::new(&arrival, 0), ..Scenario::with(change) }
}

fn tls(original: Option<&str>) -> Scenario {
    client(Ingress::Tls, original, |_| {})
}

/// What is asked for, and where it goes.
fn places(scenario: &Scenario) -> (String, String) {
    let request = scenario.exchange.request().expect("a request");
    (request.target().to_string(), request.destination().to_string())
}

fn bytes(lane: &mut Lane) -> Vec<u8> {
    std::mem::take(&mut lane.sent)
}

#[test]
fn a_hello_becomes_a_tunnel_to_its_name_and_goes_there_byte_for_byte() {
    let said = [&hello(Some("A.example"), true)[..], b"early"].concat();
    for cut in 1..said.len() {
        let mut scenario = tls(None);
        scenario.client(&said[..cut]);
        scenario.client(&said[cut..]);
        assert_eq!(places(&scenario), ("a.example:443".into(), "a.example:443".into()));
        let request = scenario.exchange.request().map(Request::method_name);
        assert_eq!((request, scenario.exchange.requests()), (Some(&b"TLS"[..]), 1));
        let mut scenario = scenario.into_relaying();
        assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Tunnel, vec![]));
        assert_eq!((bytes(&mut scenario.upload), bytes(&mut scenario.download)), (said.clone(), vec![]));
        scenario.origin("\u{1}answer");
        assert_eq!(scenario.client_got(), "\u{1}answer");
    }
}

#[test]
fn a_diverted_hello_goes_to_its_name_or_where_its_client_was_going() {
    const GOING: &str = "192.0.2.80:8443";
    let places = |original: Option<&str>, name: Option<&str>, by_name: bool| {
        let mut scenario = client(Ingress::Tls, original, |settings| settings.tls_by_name = by_name);
        scenario.client(hello(name, false));
        let request = scenario.exchange.request().expect("a request");
        (request.target().to_string(), request.destination().to_string(), request.original().is_some())
    };
    let named = |port: u16| format!("a.example:{port}");
    assert_eq!(places(Some(GOING), Some("a.example"), true), (named(8443), named(8443), false));
    assert_eq!(places(Some(GOING), Some("a.example"), false), (named(8443), GOING.into(), true));
    assert_eq!(places(None, Some("a.example"), false), (named(443), named(443), false));
    for by_name in [true, false] {
        assert_eq!(places(Some(GOING), None, by_name), (GOING.into(), GOING.into(), true));
        // An address is no name.
        assert_eq!(places(Some(GOING), Some("192.0.2.9"), by_name), (GOING.into(), GOING.into(), true));
        assert!(!places(None, None, by_name).2);
    }
    let mut scenario = tls(None);
    scenario.client(hello(None, false));
    assert!(scenario.exchange.request().expect("a request").leads_nowhere());
}

#[test]
fn refusals_are_alerts() {
    for (cause, alert) in
        [(Cause::NoDestination, UNRECOGNIZED), (Cause::NameFailed, UNRECOGNIZED), (Cause::Blocked, DENIED)]
    {
        let mut scenario = tls(None);
        scenario.client(hello(Some("a.example"), false));
        assert_eq!(scenario.actions(), [Action::Ask]);
        scenario.answer(Answer::of(cause, false));
        assert_eq!((bytes(&mut scenario.download), scenario.exchange.trouble()), (alert.to_vec(), Some(cause)));
        scenario.client_ends();
        assert_eq!(scenario.actions(), [Action::Hangup, Action::Done(CloseReason::Refused)]);
    }
    // What a helper wants to be shown cannot be.
    let mut scenario = tls(None);
    scenario.client(hello(Some("a.example"), false));
    scenario.answer(Answer::new(200, &b"a page"[..]));
    assert_eq!((bytes(&mut scenario.download), scenario.exchange.trouble()), (DENIED.to_vec(), Some(Cause::Denied)));
    // What is learned later is told in the same way.
    let mut scenario = tls(None);
    scenario.client(hello(Some("a.example"), false));
    let mut scenario = scenario.into_connecting();
    scenario.at(3_000);
    assert_eq!(bytes(&mut scenario.download), [21, 3, 1, 0, 2, 2, 80]);
    assert_eq!(scenario.exchange.trouble(), Some(Cause::ConnectTimeout));
}

#[test]
fn what_is_no_hello_ends_at_once() {
    let table: [(&[u8], Cause, &[u8]); 4] = [
        (b"\x80\x2e\x01\x03", Cause::BadHello, &[21, 3, 1, 0, 2, 2, 70]),
        (b"\x16\x03\x01\x00\x00", Cause::BadHello, &[21, 3, 1, 0, 2, 2, 10]),
        (b"SSH-2.0-x\r\n", Cause::NotTls, b""),
        (b"\x05\x01\x00", Cause::NotTls, b""),
    ];
    for (said, cause, got) in table {
        let mut scenario = tls(None);
        scenario.client(said);
        assert_eq!((bytes(&mut scenario.download), scenario.exchange.trouble()), (got.to_vec(), Some(cause)));
        assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Draining, vec![Action::Hangup]));
    }
    let mut scenario = tls(None);
    scenario.client("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!((scenario.statuses(), scenario.exchange.trouble()), (vec![400], Some(Cause::NotTls)));
    let mut scenario = tls(None);
    scenario.client([&b"\x16\x03\x01\x10\x00\x01\x00\x0f\xfc"[..], &[0; 4096]].concat());
    assert_eq!(scenario.exchange.trouble(), Some(Cause::BadHello));
}

#[test]
fn a_hello_has_its_timers() {
    let mut scenario = tls(None);
    scenario.at(24_999);
    assert_eq!(scenario.kind(), PhaseKind::Idle);
    scenario.at(25_000);
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::Timeout(Timer::First))]);
    let mut scenario = tls(None);
    scenario.at(1_000);
    scenario.client(&hello(Some("a.example"), false)[..9]);
    assert_eq!(scenario.kind(), PhaseKind::Hello);
    scenario.at(11_000);
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::Timeout(Timer::Head))]);
    let mut scenario = tls(None);
    scenario.client(&hello(Some("a.example"), false)[..9]);
    scenario.client_ends();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::ClientGone)]);
    let mut scenario = tls(None);
    scenario.client_ends();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::ClientLeft)]);
    let mut scenario = tls(None);
    scenario.client(&hello(Some("a.example"), false)[..9]);
    scenario.tell(|exchange, cx| assert!(exchange.handle_head_refused(cx)));
    assert_eq!(scenario.exchange.trouble(), Some(Cause::TooManyHeads));
}

#[test]
fn anything_goes_where_it_was_going_before_it_says_a_word() {
    let mut scenario = client(Ingress::Passthrough, Some("192.0.2.80:22"), |_| {});
    scenario.run();
    assert_eq!(places(&scenario), ("192.0.2.80:22".into(), "192.0.2.80:22".into()));
    assert_eq!(scenario.exchange.request().and_then(Request::opaque_kind), Some(OpaqueKind::Tcp));
    scenario.client("early");
    let mut scenario = scenario.into_relaying();
    assert_eq!((scenario.client_got(), scenario.origin_got()), (String::new(), "early".into()));
    scenario.origin("220 ready\r\n");
    assert_eq!(scenario.client_got(), "220 ready\r\n");
    let configured = Target::from_authority(b"a.example:25", None).ok();
    let mut scenario = client(Ingress::Passthrough, None, |settings| settings.passthrough = configured.clone());
    scenario.run();
    assert_eq!(places(&scenario).1, "a.example:25");
    let mut scenario =
        client(Ingress::Passthrough, Some("192.0.2.80:22"), |settings| settings.passthrough = configured);
    scenario.run();
    assert_eq!(places(&scenario).1, "192.0.2.80:22");
}

#[test]
fn without_a_destination_anything_ends_without_a_byte() {
    let mut scenario = client(Ingress::Passthrough, None, |_| {});
    scenario.run();
    assert!(scenario.exchange.request().expect("a request").leads_nowhere());
    assert_eq!(scenario.actions(), [Action::Ask]);
    scenario.answer(Answer::of(Cause::NoDestination, false));
    assert_eq!((scenario.client_got(), scenario.exchange.trouble()), (String::new(), Some(Cause::NoDestination)));
    scenario.client_ends();
    assert_eq!(scenario.actions(), [Action::Hangup, Action::Done(CloseReason::Refused)]);
}

#[test]
fn a_silent_connection_of_any_protocol_ends() {
    let mut scenario = client(Ingress::Passthrough, Some("192.0.2.80:22"), |_| {});
    scenario.run();
    let mut scenario = scenario.into_relaying();
    scenario.at(15_000);
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::Timeout(Timer::First))]);
    let mut scenario = client(Ingress::Passthrough, Some("192.0.2.80:22"), |_| {});
    scenario.run();
    let mut scenario = scenario.into_relaying();
    scenario.origin("x");
    scenario.at(80_000);
    assert_eq!(scenario.kind(), PhaseKind::Tunnel);
}

#[test]
fn security_of_tunnels_is_for_connect_alone() {
    let mut scenario = client(Ingress::Passthrough, Some("192.0.2.80:22"), |settings| {
        settings.tunnels = TunnelRules { tls_alone: true, ..TunnelRules::default() };
    });
    scenario.run();
    scenario.client("SSH-2.0-x\r\n");
    let mut scenario = scenario.into_relaying();
    assert_eq!(scenario.origin_got(), "SSH-2.0-x\r\n");
}

#[test]
fn the_access_log_has_a_line_for_each_connection() {
    let mut scenario = client(Ingress::Tls, None, |settings| settings.summary = Some(Remembered::ALL));
    scenario.stops_at_record = true;
    scenario.client(hello(Some("a.example"), false));
    assert_eq!(scenario.actions(), [Action::Ask]);
    scenario.answer(Answer::of(Cause::Blocked, false));
    scenario.client_ends();
    let summary = scenario.exchange.take_summary().expect("it is over");
    assert_eq!((summary.method(), summary.target(), summary.version()), (&b"TLS"[..], &b"a.example:443"[..], None));
    assert_eq!((summary.status, summary.failure()), (Some(403), Some("blocked")));
    assert!(summary.hello.is_some());
}
