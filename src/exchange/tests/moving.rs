//! Tunnels that move to another process: what they are there, and which of them do not.

use serde_json::Value;

use super::*;
use crate::exchange::close::CloseReason;
use crate::exchange::phase::Phase;
use crate::exchange::timers::Timer;
use crate::exchange::{Moved, NewHome};

const CONNECT: &str = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nUser-Agent: a\u{e9}\r\n\r\n";

fn tunnel() -> Scenario {
    let scenario = Scenario::with(|settings| settings.summary = Some(Remembered::ALL));
    let scenario = scenario.sending(CONNECT).into_relaying();
    assert_eq!(scenario.kind(), PhaseKind::Tunnel);
    scenario
}

/// The exchange as another process has it, whose clock has another begin.
fn moved(exchange: &Exchange, at: Millis, now: Millis) -> Option<Exchange> {
    let words = exchange.to_words(at, 0)?.to_string();
    read(&serde_json::from_str(&words).unwrap(), now)
}

fn read(words: &Value, now: Millis) -> Option<Exchange> {
    let cache_words = |word: &str| (word == "MISS").then_some(("MISS", "TCP_MISS"));
    let remembers = Some(Remembered::ALL);
    Exchange::from_words(words, NewHome { now, fraction: 0, remembers, cache_words: &cache_words })
}

#[test]
fn a_tunnel_is_the_same_in_another_process() {
    let mut scenario = tunnel();
    scenario.exchange.identity.note("2001:db8::7".parse().ok());
    scenario.client("some");
    scenario.origin("more of it");
    scenario.now += 5000;
    assert!(scenario.exchange.may_move());
    let down = scenario.exchange.flow(Direction::Download).moved;
    let (before, there) = (scenario.now, 1_000_000);
    scenario.exchange = moved(&scenario.exchange, before, there).unwrap();
    scenario.now = there;
    let exchange = &scenario.exchange;
    assert_eq!(exchange.moved_before(), Moved { up: 4, down });
    assert_eq!(exchange.target().map(ToString::to_string).as_deref(), Some("a.example:443"));
    assert_eq!((exchange.client(), exchange.peer()), ("2001:db8::7".parse().unwrap(), CLIENT.into()));
    assert_eq!((exchange.requests(), exchange.still(there)), (1, 5000));
    scenario.client("and ");
    scenario.now += 1000;
    // Once more, by way of a process that has just begun.
    let at = scenario.now;
    scenario.exchange = moved(&scenario.exchange, at, 10).unwrap();
    scenario.now = 10;
    let limits = &scenario.settings.limits;
    assert_eq!(scenario.exchange.still(10), 1000, "longer than this process is there");
    assert_eq!(scenario.exchange.poll_timeout(limits), Some((Timer::Tunnel, limits.tunnel - 990)));
    scenario.origin("end");
    scenario.client_ends();
    scenario.stops_at_record = true;
    scenario.origin_ends();
    assert_eq!((scenario.kind(), scenario.exchange.still(10)), (PhaseKind::Closed, 0));
    let summary = scenario.exchange.take_summary().unwrap();
    assert_eq!(summary.moved(), Moved { up: 8, down: down + 3 });
    assert_eq!(
        (summary.method(), summary.target(), summary.user_agent()),
        (&b"CONNECT"[..], &b"a.example:443"[..], "a\u{e9}".as_bytes())
    );
    assert_eq!((summary.status, summary.age_before()), (Some(200), 6_000_000));
    assert_eq!(summary.end(), Some((10, CloseReason::TunnelEnd)));
}

#[test]
fn an_end_of_one_side_goes_along() {
    let mut scenario = tunnel();
    scenario.client_ends();
    assert!(scenario.exchange.may_move());
    let exchange = moved(&scenario.exchange, scenario.now, 500).unwrap();
    assert!(!exchange.wants_input(Direction::Upload) && exchange.wants_input(Direction::Download));
    assert!(!exchange.wants_shutdown(Direction::Upload, 0), "the origin knows already");
}

#[test]
fn what_is_no_open_tunnel_does_not_move() {
    assert!(!Scenario::new().exchange.may_move());
    let relaying = Scenario::new().sending(GET).into_relaying();
    assert!(!relaying.exchange.may_move() && relaying.exchange.to_words(0, 0).is_none());
    let mut broken = tunnel();
    broken.origin_takes(0);
    broken.client("some");
    broken.client_resets();
    assert!(broken.kind() == PhaseKind::Tunnel && !broken.exchange.may_move());
    let mut refused = tunnel();
    refused.exchange.stay();
    assert!(!refused.exchange.may_move());
    let mut ended = tunnel();
    ended.client_ends();
    ended.origin_ends();
    assert!(!ended.exchange.may_move());
}

/// What another version does not say, or says otherwise, is not guessed.
#[test]
fn what_is_missing_or_wrong_is_refused_and_what_is_new_is_passed_over() {
    let scenario = tunnel();
    let mut words = scenario.exchange.to_words(scenario.now, 0).unwrap();
    words["kitchen"] = "sink".into();
    assert!(read(&words, 0).is_some());
    for name in ["ingress", "requests", "target", "parent", "eof", "shut", "moved", "waited", "still", "peer"] {
        let mut less = words.clone();
        less.as_object_mut().unwrap().remove(name);
        assert!(read(&less, 0).is_none(), "{name}");
        less[name] = serde_json::json!({ "a": 1 });
        assert!(read(&less, 0).is_none(), "{name}");
    }
    for name in ["text", "ends", "parent", "age", "moved"] {
        let mut less = words.clone();
        less["summary"].as_object_mut().unwrap().remove(name);
        assert!(read(&less, 0).is_none(), "summary {name}");
    }
    for (name, wrong) in [
        ("text", "\u{100}".into()),
        ("ends", serde_json::json!([9, 1, 1, 1, 1, 1])),
        ("version", "2".into()),
        ("moved", serde_json::json!([1, u64::MAX])),
    ] {
        let mut other = words.clone();
        other["summary"][name] = wrong;
        assert!(read(&other, 0).is_none(), "{name}");
    }
    for (name, wrong) in [("ingress", "web server"), ("ingress", "icap server"), ("target", "a b:1"), ("original", "x")]
    {
        let mut other = words.clone();
        other[name] = wrong.into();
        assert!(read(&other, 0).is_none(), "{name}");
    }
}

#[test]
fn a_user_of_this_machine_and_what_a_balancer_has_said_go_along() {
    let mut scenario = tunnel();
    let peer = crate::peer::Peer::process(1000, 77);
    scenario.exchange.identity = super::super::identity::Identity::new(peer);
    scenario.exchange.provenance = Some(Box::new(super::super::ingress::Provenance {
        original: "192.0.2.9:443".parse().ok(),
        unique_id: vec![0, 255, 7].into(),
        authority: b"b.example"[..].into(),
    }));
    let Phase::Tunnel { of, .. } = &mut scenario.exchange.phase else { panic!("it is a tunnel") };
    of.user = Some("an".into());
    scenario.exchange.summary_mut().unwrap().user = Some("an".into());
    let mut exchange = moved(&scenario.exchange, scenario.now, 0).unwrap();
    assert_eq!((exchange.identity.opener(), &exchange.provenance), (peer, &scenario.exchange.provenance));
    assert_eq!(exchange.user().map(|user| &**user), Some("an"));
    let summary = exchange.summary_mut().unwrap();
    assert_eq!(summary.user.as_deref(), Some("an"));
    assert_eq!(
        summary.announced.as_deref().map(|(id, host)| (&id[..], &host[..])),
        Some((&[0, 255, 7][..], &b"b.example"[..]))
    );
}
