//! Connections that start with a PROXY protocol header: whose they are, and that nothing happens before it is complete.

use super::*;
use crate::exchange::close::CloseReason;

const LINE: &str = "PROXY TCP4 203.0.113.7 192.0.2.1 56324 3128\r\n";

/// The same in version 2, with an addition behind the addresses.
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xcb\0\x71\x07\xc0\0\x02\x01\xdc\x04\x0c\x38\x04\0\0";

fn announced() -> ClientId {
    ClientId::Address(Ipv4Addr::new(203, 0, 113, 7).into())
}

fn socket() -> ClientId {
    ClientId::Address(Ipv4Addr::new(192, 0, 2, 1).into())
}

/// Everything before the last bytes of `stream` leads to no phase but the PROXY header, the head and the wait between them.
fn in_two(stream: &[u8], cut: usize) -> Scenario {
    let mut scenario = Scenario::proxied();
    scenario.client(&stream[..cut]);
    assert_eq!(scenario.actions(), [], "cut at {cut}");
    assert_eq!((scenario.client_got(), scenario.exchange.requests()), (String::new(), 0), "cut at {cut}");
    scenario.client(&stream[cut..]);
    scenario
}

#[test]
fn row_66_header_and_request_may_be_split_anywhere() {
    for header in [LINE.as_bytes(), BINARY] {
        let stream = [header, GET.as_bytes()].concat();
        for cut in 0..stream.len() {
            let mut scenario = in_two(&stream, cut);
            assert_eq!((scenario.kind(), scenario.exchange.peer()), (PhaseKind::Deciding, announced()), "cut at {cut}");
            assert_eq!(scenario.actions(), [Action::Ask]);
        }
    }
}

#[test]
fn headers_of_the_balancer_itself_keep_the_address_of_the_socket() {
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"PROXY UNKNOWN a b c d\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let scenario = Scenario::proxied().sending([header, GET.as_bytes()].concat());
        assert_eq!((scenario.kind(), scenario.exchange.peer()), (PhaseKind::Deciding, socket()));
    }
}

#[test]
fn the_header_holds_for_every_request_and_comes_once() {
    let mut scenario = Scenario::proxied().sending(format!("{LINE}{GET}{GET}"));
    for _ in 0..2 {
        scenario = scenario.into_relaying();
        assert_eq!(scenario.exchange.peer(), announced());
        scenario.origin(OK);
        assert_eq!(scenario.client_got(), OK_SENT);
        assert_eq!(scenario.actions.remove(0), Action::Release);
    }
    scenario.client(LINE);
    scenario.client("\r\n");
    assert_eq!(scenario.statuses(), [400], "a second header is no request");
}

#[test]
fn what_is_no_header_ends_the_connection_without_a_byte() {
    let long = format!("PROXY UNKNOWN {}", "x".repeat(200));
    for stream in [GET, "\r\n", "\0", "PROXY TCP4 203.0.113.7\r\n", "PROXY UNKNOWN\n", "PROXY tcp4 ", &long] {
        let mut scenario = Scenario::proxied().sending(stream);
        if stream == "\r\n" || stream == "PROXY tcp4 " {
            assert_eq!(scenario.actions(), [], "{stream:?} may go on");
            scenario.client("x\r\n");
        }
        assert_eq!(scenario.actions(), [Action::Done(CloseReason::ProxyHeader)], "{stream:?}");
        assert_eq!(scenario.client_got(), "", "{stream:?}");
    }
}

#[test]
fn a_health_check_that_only_connects_is_no_fault() {
    let mut scenario = Scenario::proxied();
    scenario.client_ends();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::ClientLeft)]);
    let mut scenario = Scenario::proxied();
    scenario.client_resets();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::ClientLeft)]);
    let mut scenario = Scenario::proxied().sending("PROXY UNKNOWN\r\n");
    scenario.client_ends();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::ClientLeft)]);
}

#[test]
fn a_header_that_is_cut_is_none() {
    let mut scenario = Scenario::proxied().sending(&LINE[..20]);
    scenario.client_ends();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::ProxyHeader)]);
    let mut scenario = Scenario::proxied().sending(&LINE[..20]);
    scenario.client_resets();
    assert_eq!(scenario.actions(), [Action::Done(CloseReason::ClientGone)]);
}

#[test]
fn a_header_that_does_not_come_is_not_answered() {
    for stream in ["", "PROXY TCP4"] {
        let mut scenario = Scenario::proxied().sending(stream);
        scenario.at(10_000);
        assert_eq!(scenario.actions(), [Action::Done(CloseReason::Timeout(crate::exchange::timers::Timer::Head))]);
        assert_eq!(scenario.client_got(), "");
    }
}

#[test]
fn row_67_the_client_is_who_is_noted_and_the_next_hop_gets_the_peer() {
    let rules = |settings: &mut Settings| {
        settings.rules = Rules { forward: Some("x-client".into()), head_limit: 1024, ..Rules::default() };
    };
    let noting = |noted: &str| format!("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n{noted}\r\n");
    let noted = |text: &str| -> ClientId { text.parse().unwrap() };
    let mut scenario = Scenario {
        exchange: Exchange::new(&Arrival { proxied: true, ..Arrival::direct(Ingress::Proxy, socket()) }, 0),
        ..Scenario::with(rules)
    };
    scenario.client(LINE);
    for (field, client) in [
        ("X-Client: 198.51.100.9\r\n", noted("198.51.100.9")),
        ("X-Client: 198.51.100.9, 2001:db8::8\r\n", noted("2001:db8::8")),
        ("X-Client: nobody\r\n", announced()),
        ("X-Client: ::ffff:198.51.100.9\r\n", noted("198.51.100.9")),
        ("", announced()),
    ] {
        scenario = scenario.sending(noting(field));
        assert_eq!((scenario.exchange.client(), scenario.exchange.peer()), (client, announced()), "{field}");
        scenario = scenario.into_relaying();
        assert!(scenario.origin_got().ends_with("X-Forwarded-For: 203.0.113.7\r\n\r\n"), "{field}");
        scenario.origin(OK);
        scenario.client_got();
        scenario.actions();
    }
}

#[test]
fn who_sent_the_last_request_need_not_have_sent_what_comes_next() {
    let noted = "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nX-Client: 198.51.100.9\r\n\r\n";
    type Step = fn(&mut Scenario);
    let next: [(&str, Step); 3] = [
        ("a head that does not come", |scenario| {
            scenario.client("GET /");
            scenario.at(scenario.now + 20_000);
        }),
        ("a head that is too large", |scenario| scenario.client(format!("GET /{}", "x".repeat(2000)))),
        ("a head that is none", |scenario| scenario.client("nonsense\r\n\r\n")),
    ];
    for (what, step) in next {
        let mut scenario = Scenario::with(|settings| {
            settings.rules = Rules { forward: Some("x-client".into()), head_limit: 1024, ..Rules::default() };
        });
        scenario.client(noted);
        assert_eq!(scenario.exchange.client(), ClientId::Address(Ipv4Addr::new(198, 51, 100, 9).into()), "{what}");
        scenario.answer(Answer::new(200, &b"ok"[..]));
        step(&mut scenario);
        assert_eq!(scenario.exchange.client(), scenario.exchange.peer(), "{what}");
        assert!(scenario.client_got().contains("HTTP/1.1 4"), "{what}");
    }
}

fn trusting(network: &str) -> impl FnOnce(&mut Settings) {
    let trusted = Networks::new(&[ClientRange::parse(network).unwrap()]);
    |settings| {
        settings.trusted = trusted;
        settings.rules = Rules { forward: Some("x-client".into()), head_limit: 1024, ..Rules::default() };
    }
}

#[test]
fn a_header_ends_the_connection_of_an_address_that_is_not_trusted() {
    for (network, reason) in [("198.51.100.0/24", true), (&format!("{}/32", socket()), false)] {
        let mut scenario = Scenario {
            exchange: Exchange::new(&Arrival { proxied: true, ..Arrival::direct(Ingress::Proxy, socket()) }, 0),
            ..Scenario::with(trusting(network))
        };
        scenario.client(&LINE[..1]);
        let ended = scenario.actions() == [Action::Done(CloseReason::ProxyUntrusted)];
        assert_eq!(ended, reason, "{network}");
    }
}

#[test]
fn a_field_is_believed_of_those_who_are_trusted_and_passed_over_of_others() {
    for (network, trusted) in [("198.51.100.0/24", false), (&format!("{}/32", socket()), true)] {
        let mut scenario = Scenario::with(trusting(network));
        scenario.client("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nX-Client: 10.1.1.1\r\n\r\n");
        let client = scenario.exchange.client();
        assert_eq!((client == scenario.exchange.peer(), scenario.exchange.is_doubted()), (!trusted, !trusted));
    }
    // The sender of the field is the one that a trusted balancer has announced, and not the balancer.
    let mut scenario = Scenario {
        exchange: Exchange::new(&Arrival { proxied: true, ..Arrival::direct(Ingress::Proxy, socket()) }, 0),
        ..Scenario::with(trusting(&format!("{}/32", socket())))
    };
    let request = "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nX-Client: 10.1.1.1\r\n\r\n";
    scenario.client(format!("{LINE}{request}"));
    assert_eq!((scenario.exchange.client(), scenario.exchange.is_doubted()), (announced(), true));
}

#[test]
fn where_a_balancers_client_was_going_counts_where_connections_are_diverted() {
    let network = "198.51.100.1:81".parse().ok();
    let announced = "192.0.2.1:3128".parse().ok();
    for (ingress, stream, original) in [
        (Ingress::Proxy, LINE, network),
        (Ingress::Intercept, LINE, announced),
        (Ingress::Tls, LINE, announced),
        (Ingress::Passthrough, LINE, announced),
        (Ingress::Intercept, "PROXY UNKNOWN\r\n", network),
    ] {
        let arrival = Arrival { proxied: true, original: network, ..Arrival::direct(ingress, socket()) };
        let mut scenario = Scenario { exchange: Exchange::new(&arrival, 0), ..Scenario::new() };
        scenario.client(stream);
        assert_eq!(scenario.exchange.original_destination(), original, "{ingress:?} {stream}");
    }
}
