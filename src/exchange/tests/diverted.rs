//! Requests on connections that the network diverted: where they go, whichever host they name.

use super::*;
use crate::exchange::close::CloseReason;
use crate::http::request::{Announce, Request};
use crate::http::target::Target;
use std::net::SocketAddr;

/// Where the connection was going.
const ORIGINAL: &str = "198.51.100.7:80";

fn diverted(onward: Onward, original: Option<&str>) -> Scenario {
    let original = original.map(|original| original.parse().unwrap());
    let arrival = Arrival { original, ..Arrival::direct(Ingress::Intercept, CLIENT) };
    Scenario { exchange: Exchange::new(&arrival, 0), ..Scenario::with(|settings| settings.onward = onward) }
}

/// Host and destination of the request under way.
fn ways(scenario: &Scenario) -> (String, String, Option<SocketAddr>) {
    let request = scenario.exchange.request().expect("a request");
    (request.target().to_string(), request.destination().to_string(), request.original())
}

#[test]
fn a_request_goes_where_its_connection_was_going_or_to_the_name_that_it_says() {
    let original = ORIGINAL.parse().ok();
    for line in ["GET /x", "GET http://a.example/x"] {
        let text = format!("{line} HTTP/1.1\r\nHost: a.example\r\n\r\n");
        let scenario = diverted(Onward::Original, Some(ORIGINAL)).sending(&text);
        assert_eq!(ways(&scenario), ("a.example:80".into(), ORIGINAL.into(), original), "{line}");
        let scenario = diverted(Onward::Name, Some(ORIGINAL)).sending(&text);
        assert_eq!(ways(&scenario), ("a.example:80".into(), "a.example:80".into(), None), "{line}");
    }
    let mut scenario = diverted(Onward::Original, Some(ORIGINAL))
        .sending("GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n")
        .into_relaying();
    assert!(scenario.origin_got().starts_with("GET /x HTTP/1.1\r\nHost: a.example\r\n"));
}

#[test]
fn a_request_without_a_host_means_where_its_connection_was_going() {
    for onward in Onward::ALL {
        let scenario = diverted(onward, Some("[2001:db8::7]:80")).sending("GET /x HTTP/1.0\r\n\r\n");
        assert_eq!(ways(&scenario).0, "[2001:db8::7]:80");
    }
    // Nothing is known of where it was going: the hub refuses what names a host, and this names none.
    let mut scenario = diverted(Onward::Original, None).sending("GET /x HTTP/1.0\r\n\r\n");
    assert!(scenario.exchange.request().is_none());
    scenario.actions();
}

/// RFC 9112 section 3.2: a request of HTTP/1.1 without a Host field is answered with 400, and so is one whose field is empty.
#[test]
fn ways_14_a_request_of_http_1_1_names_its_host_here_too() {
    for onward in Onward::ALL {
        for field in ["", "Host:\r\n"] {
            let mut scenario = diverted(onward, Some(ORIGINAL)).sending(format!("GET /x HTTP/1.1\r\n{field}\r\n"));
            assert_eq!(scenario.statuses(), [400], "{field}");
        }
    }
}

#[test]
fn what_a_helper_says_counts_more_than_where_a_connection_was_going() {
    let mut scenario = diverted(Onward::Original, Some(ORIGINAL)).sending("GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let other = Target::from_authority(b"b.example:8080", None).unwrap();
    scenario.decide(Decision::Intercept(Box::new(other), Some(Announce::V2)));
    assert_eq!(ways(&scenario), ("a.example:80".into(), "b.example:8080".into(), None));
    assert!(scenario.exchange.request().is_some_and(Request::is_intercepted));
}

#[test]
fn what_takes_the_place_of_a_request_goes_its_way_where_it_names_the_same_host() {
    let rules = Rules::default();
    let parse =
        |url: &str| Request::parse(format!("GET {url} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(), &rules).unwrap();
    let mut client = parse("http://a.example/x");
    client.send_on(ORIGINAL.parse().unwrap());
    client.prove();
    for (url, follows) in
        [("http://a.example/y", true), ("http://a.example:81/x", false), ("http://b.example/x", false)]
    {
        let mut other = parse(url);
        other.follow(&client);
        assert_eq!((other.original().is_some(), other.is_renamed()), (follows, !follows), "{url}");
    }
}

#[test]
fn what_a_balancer_says_beyond_addresses_is_remembered_with_each_request() {
    let long = vec![b'x'; 300];
    let header = |additions: &[u8]| {
        let block = [&[192, 0, 2, 7, 192, 0, 2, 1, 0, 1, 0, 2][..], additions].concat();
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11"[..], &length, &block].concat()
    };
    let addition =
        |kind: u8, value: &[u8]| [&[kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat();
    for (additions, unique_id, authority) in [
        ([addition(5, b"id-7"), addition(2, b"a.example")].concat(), &b"id-7"[..], &b"a.example"[..]),
        ([addition(5, &long), addition(2, &long)].concat(), &long[..128], &long[..255]),
    ] {
        let arrival = Arrival { proxied: true, ..Arrival::direct(Ingress::Proxy, CLIENT) };
        let mut scenario = Scenario {
            exchange: Exchange::new(&arrival, 0),
            ..Scenario::with(|settings| settings.summary = Some(Remembered::ALL))
        };
        scenario.client([&header(&additions)[..], GET.as_bytes()].concat());
        let announced =
            scenario.exchange.summary_mut().and_then(|summary| summary.announced.clone()).expect("they are told");
        assert_eq!((&announced.0[..], &announced.1[..]), (unique_id, authority));
    }
}

/// A line of the access log had it for requests of HTTP alone.
#[test]
fn ways_8_what_a_balancer_says_is_remembered_on_every_kind_of_listener() {
    let block = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11\xcb\0\x71\x07\xc6\x33\x64\x07\x13\x88\0\x50\x05\0\x02id";
    for (ingress, bytes) in [
        (Ingress::Proxy, GET.as_bytes()),
        (Ingress::Intercept, b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        (Ingress::Passthrough, b""),
    ] {
        let arrival = Arrival { proxied: true, ..Arrival::direct(ingress, CLIENT) };
        let mut scenario = Scenario {
            exchange: Exchange::new(&arrival, 0),
            ..Scenario::with(|settings| settings.summary = Some(Remembered::ALL))
        };
        scenario.client([&block[..], bytes].concat());
        let announced = scenario.exchange.summary_mut().and_then(|summary| summary.announced.clone());
        assert_eq!(announced.map(|announced| announced.0.to_vec()), Some(b"id".to_vec()), "{ingress:?}");
    }
}

/// First bytes on a listener for diverted connections, with a balancer in front of it and without: the bytes, and the status
/// that answers them, or the end without a byte.
#[test]
fn hostile_first_bytes_end_at_once_in_one_of_two_ways() {
    const LINE: &str = "PROXY TCP4 203.0.113.7 198.51.100.7 5000 80\r\n";
    const OLD: &str = "GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let oversized = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"[..], &[0; 64]].concat();
    let foreign: [&[u8]; 5] =
        [b"\x16\x03\x01\x02\x00\x01", b"\x05\x01\x00", b"SSH-2.0-x\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0"];
    let table: Vec<(bool, Vec<u8>, Option<u16>)> = [
        (true, [LINE, LINE, "\r\n"].concat().into_bytes(), Some(400)),
        (true, [OLD, LINE].concat().into_bytes(), None),
        (true, LINE.replace("TCP4", "TCP6").into_bytes(), None),
        (true, LINE.replace('\r', "").into_bytes(), None),
        (true, oversized, None),
        (true, foreign[0].to_vec(), None),
        (false, [LINE, OLD].concat().into_bytes(), Some(400)),
    ]
    .into_iter()
    .chain(foreign.map(|bytes| (false, bytes.to_vec(), Some(400))))
    .collect();
    for (proxied, bytes, status) in table {
        for size in [1, 7, bytes.len()] {
            let arrival =
                Arrival { proxied, original: ORIGINAL.parse().ok(), ..Arrival::direct(Ingress::Intercept, CLIENT) };
            let mut scenario = Scenario { exchange: Exchange::new(&arrival, 0), ..Scenario::new() };
            bytes.chunks(size).for_each(|piece| scenario.client(piece));
            let shown = bytes.escape_ascii().to_string();
            match status {
                Some(status) => assert_eq!(scenario.statuses(), [status], "{shown} by {size}"),
                None => {
                    assert_eq!(scenario.client_got(), "", "{shown} by {size}");
                    assert_eq!(scenario.actions(), [Action::Done(CloseReason::ProxyHeader)], "{shown} by {size}");
                }
            }
        }
    }
}

#[test]
fn header_and_request_may_be_split_anywhere() {
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x07\xc6\x33\x64\x07\x13\x88\0\x50";
    let stream = [&header[..], b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n"].concat();
    for cut in 0..=stream.len() {
        let arrival = Arrival { proxied: true, ..Arrival::direct(Ingress::Intercept, CLIENT) };
        let mut scenario = Scenario { exchange: Exchange::new(&arrival, 0), ..Scenario::new() };
        scenario.client(&stream[..cut]);
        scenario.client(&stream[cut..]);
        assert_eq!(ways(&scenario), ("a.example:80".into(), ORIGINAL.into(), ORIGINAL.parse().ok()), "cut at {cut}");
    }
}
