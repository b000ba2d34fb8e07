//! What is counted of requests: how long they took, each once and only if its response came to its end, and why the proxy
//! answered for itself.

use super::*;
use crate::http::cause::Cause;
use crate::http::fault::Fault;

const CONNECT: &str = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n";
const UPGRADE: &str =
    "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching\r\nDate: D\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n";

/// What becomes of a request.
type Course = fn(Scenario) -> Scenario;

/// Number of requests that were timed, and their times together.
fn timed(scenario: &Scenario) -> (u64, u64) {
    (scenario.counters.request_time.count(), scenario.counters.request_time.sum())
}

/// The causes that were counted, with their numbers.
fn causes(scenario: &Scenario) -> Vec<(&'static str, u64)> {
    scenario.counters.answers().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn a_request_takes_from_its_first_byte_to_the_last_of_its_response() {
    let mut scenario = Scenario::new().sending(&GET[..5]);
    scenario.at(7);
    let mut scenario = scenario.sending(&GET[5..]).into_relaying();
    scenario.at(20);
    scenario.client_takes(0);
    scenario.origin(OK);
    assert_eq!(timed(&scenario), (0, 0), "nobody has it yet");
    scenario.at(50);
    scenario.client_takes(usize::MAX);
    assert_eq!((timed(&scenario), scenario.kind()), ((1, 50_000), PhaseKind::Idle));
    scenario.at(1000);
    let mut scenario = scenario.sending(format!("{GET}{GET}"));
    scenario.actions();
    for _ in 0..2 {
        scenario.decide(Decision::Forward);
        scenario.resolved();
        scenario.connect(true);
        scenario.origin(OK);
        scenario.at(scenario.now + 3);
    }
    assert_eq!(timed(&scenario), (3, 50_000 + 3_000), "the silence between requests belongs to none");
}

#[test]
fn a_tunnel_takes_until_it_stands() {
    let mut scenario = Scenario::new().sending(CONNECT).into_connecting();
    scenario.at(9);
    scenario.connect(false);
    assert_eq!((timed(&scenario), scenario.kind()), ((1, 9_000), PhaseKind::Tunnel));
    let mut scenario = Scenario::new().sending(UPGRADE).into_relaying();
    scenario.client_takes(0);
    scenario.origin(SWITCH);
    assert_eq!(timed(&scenario), (0, 0));
    scenario.at(4);
    scenario.client_takes(usize::MAX);
    assert_eq!((timed(&scenario), scenario.kind()), ((1, 4_000), PhaseKind::Tunnel));
    scenario.at(70);
    scenario.origin_ends();
    scenario.client_ends();
    assert_eq!(timed(&scenario), (1, 4_000), "its end is none of a request");
}

#[test]
fn what_is_not_given_to_its_end_is_not_timed() {
    let ends: [Event; 4] = [
        ("the client goes", Scenario::client_resets),
        ("the origin goes", Scenario::origin_resets),
        ("the origin ends", Scenario::origin_ends),
        ("nothing comes", |scenario| scenario.at(60_000)),
    ];
    for (name, end) in ends {
        let mut scenario = Scenario::get().into_relaying();
        scenario.origin("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nsome of it");
        end(&mut scenario);
        scenario.client_ends();
        assert_eq!((timed(&scenario), causes(&scenario)), ((0, 0), vec![]), "{name}");
    }
    let mut scenario = Scenario::get();
    scenario.answer(Answer { follows: 9, ..Answer::new(200, &b"start "[..]) });
    scenario.origin("12345678");
    scenario.origin_ends();
    assert_eq!((timed(&scenario), scenario.kind()), ((0, 0), PhaseKind::Draining));
}

#[test]
fn answers_of_our_own_are_timed_and_their_causes_counted_once() {
    let table: [(&str, &str, Course); 7] = [
        ("GET\r\n\r\n", "http_request_error", |scenario| scenario),
        ("GET http", "http_request_error", |mut scenario| {
            scenario.at(10_000);
            scenario
        }),
        (GET, "dns_error", |scenario| {
            let mut scenario = scenario.into_resolving();
            scenario.fails(Answer::of(Cause::NameFailed, false));
            scenario
        }),
        (CONNECT, "http_request_denied", |mut scenario| {
            scenario.answer(Answer::of(Cause::ConnectNotAllowed, false));
            scenario
        }),
        (GET, "connection_timeout", |scenario| {
            let mut scenario = scenario.into_connecting();
            scenario.at(3_000);
            scenario
        }),
        (GET, "connection_terminated", |scenario| {
            let mut scenario = scenario.into_relaying();
            scenario.origin_ends();
            scenario
        }),
        (GET, "http_protocol_error", |scenario| {
            let mut scenario = scenario.into_relaying();
            scenario.origin("nonsense\r\n\r\n");
            scenario
        }),
    ];
    for (bytes, cause, go_on) in table {
        let mut scenario = go_on(Scenario::new().sending(bytes));
        assert_eq!(scenario.statuses().len(), 1, "{cause}");
        scenario.client_ends();
        assert_eq!((timed(&scenario).0, causes(&scenario)), (1, vec![(cause, 1)]));
        assert_eq!(scenario.exchange.trouble().map(Cause::proxy_status), Some(cause));
    }
}

#[test]
fn an_answer_without_a_cause_is_timed_and_not_counted_as_a_failure() {
    let mut scenario = Scenario::get();
    scenario.answer(Answer::options("GET"));
    assert_eq!((timed(&scenario).0, causes(&scenario), scenario.exchange.trouble()), (1, vec![], None));
}

#[test]
fn trouble_stays_until_there_is_another() {
    let mut scenario = Scenario::get();
    scenario.answer(Answer::of(Cause::Denied, false));
    let mut scenario = scenario.sending(GET);
    scenario.actions();
    scenario.answer(Answer::new(200, &b""[..]));
    assert_eq!(scenario.exchange.trouble(), Some(Cause::Denied));
    scenario.client("x\r\n\r\n");
    assert_eq!(scenario.exchange.trouble(), Some(Cause::Client(Fault::BadLine)));
    assert_eq!(causes(&scenario), [("http_request_denied", 1), ("http_request_error", 1)]);
}

#[test]
fn requests_to_the_program_itself_are_not_counted() {
    let mut scenario = Scenario::own().sending("GET / HTTP/1.1\r\n\r\n");
    scenario.answer(Answer::new(200, &b""[..]));
    scenario.client("x\r\n\r\n");
    assert_eq!(scenario.statuses(), [200, 400]);
    assert_eq!((timed(&scenario), causes(&scenario)), ((0, 0), vec![]));
}

/// The moment of the beginning is kept in 32 bits, which milliseconds outgrow in 49 days.
#[test]
fn a_request_across_the_end_of_the_small_clock_is_not_long() {
    let mut scenario = Scenario::new();
    scenario.now = u64::from(u32::MAX) - 2;
    scenario.exchange = Exchange::new(&Arrival::direct(Ingress::Proxy, CLIENT), scenario.now);
    let mut scenario = scenario.sending(GET).into_relaying();
    scenario.at(u64::from(u32::MAX) + 5);
    scenario.origin(OK);
    assert_eq!(timed(&scenario), (1, 7_000));
}
