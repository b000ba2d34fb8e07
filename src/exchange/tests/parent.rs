//! Requests that go through a parent: whole URLs, tunnels that it opens or does not, and its 407, which is ours to answer.

use std::sync::Arc;

use super::*;
use crate::exchange::close::CloseReason;
use crate::exchange::timers::Timer;
use crate::http::request::{Announce, Parent};
use crate::http::target::Host;
use crate::tls::tests::hello;

const CONNECT: &str = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nUser-Agent: x\r\n\r\n";
const ASKED: &str =
    "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nUser-Agent: x\r\nProxy-Authorization: Basic eDp5\r\n\r\n";
const GREETING: &str = "HTTP/1.1 200 Connection Established\r\n\r\n";

fn parent() -> Arc<Parent> {
    let host = Host::parse(b"parent.example").unwrap();
    Arc::new(Parent { host, port: 3128, credentials: Some("Basic eDp5".into()), announce: Announce::Off })
}

/// As far as a connection to the parent.
fn through_parent(scenario: Scenario) -> Scenario {
    let mut scenario = scenario.into_resolving();
    scenario.tell(|exchange, _| exchange.hop_mut().expect("a request on its way").parent = Some(parent()));
    scenario.resolved();
    scenario.connect(false);
    scenario
}

fn asking() -> Scenario {
    let mut scenario = through_parent(Scenario::new().sending(CONNECT));
    assert_eq!(
        (scenario.kind(), scenario.origin_got(), scenario.client_got()),
        (PhaseKind::Relaying, ASKED.into(), "".into())
    );
    scenario
}

#[test]
fn a_request_asks_for_its_whole_url() {
    let mut scenario = through_parent(Scenario::new().sending("GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n"));
    let head = "GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\nProxy-Authorization: Basic eDp5\r\n\r\n";
    assert_eq!(scenario.origin_got(), head);
    scenario.origin("HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(scenario.statuses(), [200]);
    assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Idle, vec![Action::Release]));
}

#[test]
fn a_tunnel_stands_when_the_parent_says_so() {
    for cut in 1..30 {
        let mut scenario = asking();
        let reply = "HTTP/1.1 299 fine\r\nVia: x\r\n\r\nfrom behind";
        scenario.client("early");
        assert_eq!(scenario.origin_got(), "", "the parent has not agreed yet");
        scenario.origin(&reply[..cut]);
        scenario.origin(&reply[cut..]);
        assert_eq!(scenario.client_got(), format!("{GREETING}from behind"));
        assert_eq!((scenario.kind(), scenario.origin_got()), (PhaseKind::Tunnel, "early".into()));
        assert!(scenario.exchange.tunnels_through_parent());
        scenario.client("more");
        scenario.origin("and more");
        assert_eq!((scenario.origin_got(), scenario.client_got()), ("more".into(), "and more".into()));
    }
}

#[test]
fn bytes_behind_a_connect_wait_for_the_parent() {
    let mut scenario = through_parent(Scenario::new().sending(format!("{CONNECT}early")));
    assert_eq!(scenario.origin_got(), ASKED);
    scenario.origin("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\n");
    assert_eq!((scenario.origin_got(), scenario.client_got()), ("early".into(), GREETING.into()));
}

#[test]
fn what_the_parent_says_against_a_tunnel_its_client_gets() {
    let mut scenario = asking();
    scenario.origin("HTTP/1.1 403 No\r\nDate: D\r\nContent-Length: 4\r\n\r\nstop");
    let wanted = "HTTP/1.1 403 No\r\nDate: D\r\nContent-Length: 4\r\nConnection: close\r\n\r\nstop";
    assert_eq!(scenario.client_got(), wanted);
    // What follows is no request.
    scenario.client("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!((scenario.kind(), scenario.origin_got()), (PhaseKind::Draining, String::new()));
}

#[test]
fn a_parent_that_asks_for_credentials_has_failed() {
    let reply = "HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"p\"\r\nContent-Length: 0\r\n\r\n";
    for request in [CONNECT, GET] {
        let mut scenario = through_parent(Scenario::new().sending(request));
        scenario.origin(reply);
        let got = scenario.client_got();
        assert!(got.starts_with("HTTP/1.1 502 ") && !got.contains("Proxy-Authenticate"), "{got}");
    }
    let mut scenario = Scenario::get().into_relaying();
    scenario.origin(reply);
    assert_eq!(scenario.statuses(), [407], "that of an origin is its own affair");
}

#[test]
fn a_parent_without_an_answer_is_told_of() {
    let mut scenario = asking();
    scenario.origin_ends();
    assert_eq!(scenario.statuses(), [502]);
    let mut scenario = asking();
    scenario.origin("220 mail ESMTP\r\n\r\n");
    assert_eq!(scenario.statuses(), [502]);
    let mut scenario = asking();
    let (timer, at) = scenario.exchange.poll_timeout(&scenario.settings.limits).expect("a timer");
    assert_eq!(timer, Timer::Connect);
    scenario.at(at);
    assert_eq!(scenario.statuses(), [504]);
}

#[test]
fn a_client_of_tls_gets_its_tunnel_or_an_alert() {
    let said = [&hello(Some("a.example"), true)[..], b"early"].concat();
    let tls = || {
        let arrival = Arrival::direct(Ingress::Tls, CLIENT);
        let scenario = Scenario { exchange: Exchange::new(&arrival, 0), ..Scenario::new() };
        through_parent(scenario.sending(&said))
    };
    let asked = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nProxy-Authorization: Basic eDp5\r\n\r\n";
    let mut scenario = tls();
    assert_eq!(scenario.origin_got(), asked);
    scenario.origin("HTTP/1.1 200 OK\r\n\r\n\u{1}answer");
    assert_eq!(std::mem::take(&mut scenario.upload.sent), said);
    assert_eq!((scenario.kind(), scenario.client_got()), (PhaseKind::Tunnel, "\u{1}answer".into()));
    for status in [403, 407, 503] {
        let mut scenario = tls();
        scenario.origin(format!("HTTP/1.1 {status} x\r\nContent-Length: 4\r\n\r\nstop"));
        let got = std::mem::take(&mut scenario.download.sent);
        assert_eq!((got.first(), got.len()), (Some(&21), 7), "{status}: {got:?}");
    }
}

#[test]
fn a_client_that_leaves_leaves_the_parent() {
    let mut scenario = asking();
    scenario.client_resets();
    assert_eq!(scenario.actions().last(), Some(&Action::Done(CloseReason::ClientGone)));
}
