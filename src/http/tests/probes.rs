//! The probes that were run against other proxies, as far as parsing and rewriting decide them, one row each; what the
//! standards want is what is asserted. Rows of complaints about framing are here too, named by their number.

use crate::http::answer::Answer;
use crate::http::cause::Cause;
use crate::http::fault::{Fault, OriginFault};
use crate::http::framing::Framing;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::rewrite;
use crate::http::rules::{Rules, ToClient};
use crate::http::{Method, Version};

const GET: &str = "GET http://a.b/ HTTP/1.1\r\nHost: a.b\r\n";
const POST: &str = "POST http://a.b/ HTTP/1.1\r\nHost: a.b\r\n";

fn rules() -> Rules {
    Rules { via: "proxy".into(), version: "ExaProxy version 2".into(), server: "exaproxy/2".into(), ..Rules::default() }
}

fn fault_of(head: &str) -> Option<Fault> {
    Request::parse(head.as_bytes(), &rules()).err()
}

/// What an origin gets for a request.
fn sent(head: &str) -> String {
    let request = Request::parse(head.as_bytes(), &rules()).unwrap();
    let mut out = Vec::new();
    rewrite::request(&mut out, &request, &rules(), "192.0.2.7".parse().unwrap());
    String::from_utf8(out).unwrap()
}

/// What a client of HTTP/1.1 that sent GET gets for a response.
fn returned(head: &str) -> String {
    let rules = rules();
    let response = Response::parse(head.as_bytes(), Method::Get).unwrap();
    let date = "Thu, 01 Jan 1970 00:00:00 GMT";
    let to = ToClient {
        version: Version::Http11,
        method: Method::Get,
        keep_alive: true,
        upgrade: false,
        date,
        rules: &rules,
    };
    let mut out = Vec::new();
    rewrite::response(&mut out, &response, &to);
    String::from_utf8(out).unwrap()
}

fn origin_fault_of(head: &str) -> Option<OriginFault> {
    Response::parse(head.as_bytes(), Method::Get).err()
}

/// Each head is refused for its fault, with its status, and the connection is closed.
fn are_refused(table: &[(&str, String, Fault, u16)]) {
    for (name, head, want, status) in table {
        assert_eq!(fault_of(head), Some(*want), "{name}");
        assert_eq!(want.status(), *status, "{name}");
        assert!(Answer::of(Cause::Client(*want), false).close, "{name}");
    }
}

#[test]
fn requests_that_are_refused_for_their_host_or_framing() {
    are_refused(&[
        ("two Host lines", format!("{GET}Host: a.b\r\n\r\n"), Fault::ManyHosts, 400),
        ("invalid Host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n".into(), Fault::BadHost, 400),
        ("no Host", "GET / HTTP/1.1\r\n\r\n".into(), Fault::NoHost, 400),
        (
            "TE + CL",
            format!("{POST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
            Fault::LengthAndCoding,
            400,
        ),
        ("CL 5 + CL 6", format!("{POST}Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), Fault::LengthsDiffer, 400),
        ("CL +5", format!("{POST}Content-Length: +5\r\n\r\n"), Fault::BadLength, 400),
        ("empty CL", format!("{POST}Content-Length:\r\n\r\n"), Fault::BadLength, 400),
        ("TE foo", format!("{POST}Transfer-Encoding: foo\r\n\r\n"), Fault::BadCoding, 400),
        ("TE xchunked", format!("{POST}Transfer-Encoding: xchunked\r\n\r\n"), Fault::BadCoding, 400),
        (
            "chunked, + CL",
            format!("{POST}Transfer-Encoding: chunked,\r\nContent-Length: 5\r\n\r\n"),
            Fault::LengthAndCoding,
            400,
        ),
        ("chunked, gzip", format!("{POST}Transfer-Encoding: chunked, gzip\r\n\r\n"), Fault::BadCoding, 400),
        (
            "TE in 1.0",
            "POST http://a.b/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            Fault::CodingTooOld,
            400,
        ),
        (
            "CONNECT with a body",
            "CONNECT a.b:1 HTTP/1.1\r\nContent-Length: 5\r\n\r\n".into(),
            Fault::BodyForbidden,
            400,
        ),
        (
            "TRACE with a body",
            "TRACE http://a.b/ HTTP/1.1\r\nContent-Length: 5\r\n\r\n".into(),
            Fault::BodyForbidden,
            400,
        ),
    ]);
}

#[test]
fn requests_that_are_refused_for_their_fields() {
    let long = "a".repeat(80 << 10);
    are_refused(&[
        ("X-A : b", format!("{GET}X-A : b\r\n\r\n"), Fault::BlankBeforeColon, 400),
        ("obs-fold", format!("{GET}X-A: b\r\n c\r\n\r\n"), Fault::Folded, 400),
        ("obs-fold with a colon", format!("{GET}X-A: b\r\n\tc: d\r\n\r\n"), Fault::Folded, 400),
        (
            "blank after the request line",
            "GET http://a.b/ HTTP/1.1\r\n Host: a.b\r\n\r\n".into(),
            Fault::BlankFirst,
            400,
        ),
        (
            "blank line after the request line",
            "GET http://a.b/ HTTP/1.1\r\n \r\nA: b\r\n\r\n".into(),
            Fault::BlankFirst,
            400,
        ),
        ("bare CR in value", format!("{GET}X-A: b\rc\r\n\r\n"), Fault::BadByte, 400),
        ("NUL in value", format!("{GET}X-A: b\0c\r\n\r\n"), Fault::BadByte, 400),
        ("DEL in value", format!("{GET}X-A: b\x7fc\r\n\r\n"), Fault::BadByte, 400),
        ("no colon", format!("{GET}X-A\r\n\r\n"), Fault::BadField, 400),
        ("colon first", format!("{GET}: x\r\n\r\n"), Fault::BadField, 400),
        ("80 KiB header", format!("{GET}X-A: {long}\r\n\r\n"), Fault::HeadTooLarge, 431),
    ]);
}

#[test]
fn requests_that_are_refused_for_their_first_line_or_length() {
    let long = "a".repeat(80 << 10);
    are_refused(&[
        ("space in target", "GET http://a.b/c d HTTP/1.1\r\nHost: a.b\r\n\r\n".into(), Fault::BadTarget, 400),
        ("tab in target", "GET http://a.b/c\td HTTP/1.1\r\nHost: a.b\r\n\r\n".into(), Fault::BadTarget, 400),
        ("NUL in target", "GET http://a.b/c\0d HTTP/1.1\r\nHost: a.b\r\n\r\n".into(), Fault::BadTarget, 400),
        ("two spaces", "GET  http://a.b/ HTTP/1.1\r\nHost: a.b\r\n\r\n".into(), Fault::BadTarget, 400),
        ("space at the end", "GET http://a.b/ HTTP/1.1 \r\nHost: a.b\r\n\r\n".into(), Fault::BadLine, 400),
        ("two words", "GET http://a.b/\r\n\r\n".into(), Fault::BadLine, 400),
        ("not HTTP", "\u{1}\u{3}\u{1}\r\n\r\n".into(), Fault::BadLine, 400),
        ("HTTP/3.7", "GET http://a.b/ HTTP/3.7\r\nHost: a.b\r\n\r\n".into(), Fault::BadVersion, 505),
        ("HTTP/0.9", "GET http://a.b/ HTTP/0.9\r\nHost: a.b\r\n\r\n".into(), Fault::BadVersion, 505),
        ("HTTTP/1.1", "GET http://a.b/ HTTTP/1.1\r\nHost: a.b\r\n\r\n".into(), Fault::BadLine, 400),
        ("HTTP/01.01", "GET http://a.b/ HTTP/01.01\r\nHost: a.b\r\n\r\n".into(), Fault::BadLine, 400),
        ("http/1.1", "GET http://a.b/ http/1.1\r\nHost: a.b\r\n\r\n".into(), Fault::BadLine, 400),
        ("80 KiB URI", format!("GET http://a.b/{long} HTTP/1.1\r\nHost: a.b\r\n\r\n"), Fault::TargetTooLarge, 414),
        ("CONNECT without port", "CONNECT a.b HTTP/1.1\r\nHost: a.b\r\n\r\n".into(), Fault::BadPort, 400),
        ("port over 65535", "GET http://a.b:65536/ HTTP/1.1\r\n\r\n".into(), Fault::BadPort, 400),
        ("https", "GET https://a.b/ HTTP/1.1\r\n\r\n".into(), Fault::BadScheme, 501),
        ("long method", format!("{} http://a.b/ HTTP/1.1\r\n\r\n", "A".repeat(65)), Fault::MethodTooLong, 501),
        ("blank line in front", format!("\r\n{GET}\r\n"), Fault::BadLine, 400),
        ("more than a head", format!("{GET}\r\nrest"), Fault::BadLine, 400),
        ("less than a head", GET.into(), Fault::BadLine, 400),
        ("nothing", String::new(), Fault::BadLine, 400),
    ]);
}

#[test]
fn requests_that_are_forwarded() {
    let end = "Via: 1.1 proxy\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
    let get = format!("GET / HTTP/1.1\r\nHost: a.b\r\n{end}");
    let post = |lines: &str| format!("POST / HTTP/1.1\r\nHost: a.b\r\n{lines}{end}");
    let table = [
        ("absolute-form + other Host", "GET http://a.b/ HTTP/1.1\r\nHost: evil\r\n\r\n".into(), get.clone()),
        ("absolute-form without Host", "GET http://a.b/ HTTP/1.1\r\n\r\n".into(), get.clone()),
        ("origin form", "GET / HTTP/1.1\r\nHost: A.b.:80\r\n\r\n".into(), get.clone()),
        ("LF only", "GET / HTTP/1.1\nHost: a.b\n\n".into(), get.clone()),
        ("CL 5 + CL 5", format!("{POST}Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), post("Content-Length: 5\r\n")),
        ("CL 5, 05", format!("{POST}Content-Length: 5, 05\r\n\r\n"), post("Content-Length: 5\r\n")),
        ("CL 0", format!("{POST}Content-Length: 0\r\n\r\n"), post("Content-Length: 0\r\n")),
        ("TE", format!("{POST}Transfer-Encoding: \tChunked,\r\n\r\n"), post("Transfer-Encoding: chunked\r\n")),
        (
            "Connection: X-Secret",
            format!("{GET}Connection: X-Secret, TE\r\nX-Secret: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\n\r\n"),
            get.clone(),
        ),
        (
            "Proxy fields",
            format!("{GET}Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\n\r\n"),
            get.clone(),
        ),
        (
            "unknown method",
            "FOOBAR http://a.b/ HTTP/1.1\r\nHost: a.b\r\n\r\n".into(),
            format!("FOOBAR / HTTP/1.1\r\nHost: a.b\r\n{end}"),
        ),
        (
            "quote",
            format!("{GET}User-Agent: a\"b\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: a.b\r\nUser-Agent: a\"b\r\n{end}"),
        ),
        ("HTTP/1.0", "GET http://a.b/ HTTP/1.0\r\nExpect: x\r\n\r\n".into(), get.replace("Via: 1.1", "Via: 1.0")),
    ];
    for (name, head, want) in table {
        assert_eq!(sent(&head), want, "{name}");
    }
}

#[test]
fn responses_that_are_refused() {
    let table = [
        (
            "CL 5 + CL 6",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            OriginFault::LengthsDiffer,
        ),
        ("empty CL", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", OriginFault::BadLength),
        ("CL x", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", OriginFault::BadLength),
        ("TE gzip", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", OriginFault::BadCoding),
        ("TE chunked, gzip", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", OriginFault::BadCoding),
        ("garbage", "garbage\r\n\r\n", OriginFault::NotHttp),
        ("ICY", "ICY 20 OK\r\n\r\n", OriginFault::NotHttp),
        ("icy", "icy 200 OK\r\n\r\n", OriginFault::NotHttp),
        ("HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", OriginFault::NotHttp),
        ("status 099", "HTTP/1.1 099 OK\r\n\r\n", OriginFault::NotHttp),
        ("status 20", "HTTP/1.1 20 OK\r\n\r\n", OriginFault::NotHttp),
        ("blank line in front", "\r\nHTTP/1.1 200 OK\r\n\r\n", OriginFault::NotHttp),
        ("bare CR in value", "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", OriginFault::BadByte),
        ("NUL in value", "HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n", OriginFault::BadByte),
        ("no colon", "HTTP/1.1 200 OK\r\nA\r\n\r\n", OriginFault::BadField),
        ("blank before the first field", "HTTP/1.1 200 OK\r\n A: b\r\n\r\n", OriginFault::BadField),
        ("unfinished", "HTTP/1.1 200 OK\r\nA: b\r\n", OriginFault::NotHttp),
    ];
    for (name, head, want) in table {
        assert_eq!(origin_fault_of(head), Some(want), "{name}");
        assert_eq!(want.status(), 502, "{name}");
    }
}

#[test]
fn responses_that_are_returned() {
    let date = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    let ok = |lines: &str, rest: &str| format!("HTTP/1.1 200 OK\r\n{lines}{rest}{date}Via: 1.1 proxy\r\n\r\n");
    let table = [
        ("TE + CL", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", ok("", "Transfer-Encoding: chunked\r\n")),
        ("CL 5 + CL 5", "Content-Length: 5\r\nContent-Length: 5\r\n", ok("", "Content-Length: 5\r\n")),
        ("obs-fold", "A: b\r\n \tc\r\n\td\r\nContent-Length: 0\r\n", ok("A: b c d\r\n", "Content-Length: 0\r\n")),
        ("space before colon", "A : b\r\nContent-Length: 0\r\n", ok("A: b\r\n", "Content-Length: 0\r\n")),
        ("close-delimited", "A: b\r\n", ok("A: b\r\n", "Connection: close\r\n")),
        (
            "hop-by-hop",
            "Connection: A\r\nA: b\r\nKeep-Alive: 5\r\nContent-Length: 0\r\n",
            ok("", "Content-Length: 0\r\n"),
        ),
        ("Upgrade", "Upgrade: h2,h2c\r\nConnection: Upgrade\r\nContent-Length: 0\r\n", ok("", "Content-Length: 0\r\n")),
        ("folded TE", "Transfer-Encoding:\r\n chunked\r\n", ok("", "Transfer-Encoding: chunked\r\n")),
    ];
    for (name, lines, want) in table {
        assert_eq!(returned(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n")), want, "{name}");
    }
}

#[test]
fn response_te_on_http_10_closes_the_origin() {
    let response = Response::parse(
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
        Method::Get,
    );
    let response = response.unwrap();
    assert!(matches!(response.framing(Version::Http11), Framing::Chunked(_)));
    assert!(!response.keep_alive());
}

#[test]
fn response_103_is_relayed() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n";
    let response = format!("{early}\r\n");
    assert!(Response::parse(response.as_bytes(), Method::Get).unwrap().is_interim());
    assert_eq!(returned(&response), format!("{early}Via: 1.1 proxy\r\n\r\n"));
}

#[test]
fn row_45_an_empty_content_length_is_refused_both_ways() {
    for value in ["", " ", "\t", ",", "5,", ",5"] {
        assert_eq!(fault_of(&format!("{POST}Content-Length:{value}\r\n\r\n")), Some(Fault::BadLength), "{value:?}");
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length:{value}\r\n\r\n");
        assert_eq!(origin_fault_of(&response), Some(OriginFault::BadLength), "{value:?}");
    }
}

/// Ways to hide or to bend a length or a coding, each of which some reader falls for.
#[test]
fn framing_in_disguise_is_refused() {
    let lines = [
        "Content-Length: 5 5",
        "Content-Length: 5;",
        "Content-Length: 0x5",
        "Content-Length: 5.0",
        "Content-Length: -0",
        "Content-Length: 5\u{a0}",
        "Content-Length: \u{ff15}",
        "Content-Length: \"5\"",
        "Content-Length: 5, 6",
        "Content-Length: 99999999999999999999",
        "Content-Length : 5",
        "Content-Length\t: 5",
        "Content-Length\0: 5",
        "Content-Length: 5\r\n 6",
        " Content-Length: 5",
        "content-length: 5\r\nCONTENT-LENGTH: 4",
        "X: y\rContent-Length: 5",
        "Transfer-Encoding:",
        "Transfer-Encoding: ,",
        "Transfer-Encoding: chunked chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked\u{b}",
        "Transfer-Encoding: \u{a0}chunked",
        "Transfer-Encoding: chunked\r\n ",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "X: y\rTransfer-Encoding: chunked",
    ];
    for line in lines {
        let head = format!("{POST}{line}\r\n\r\n");
        assert!(fault_of(&head).is_some(), "{}", line.escape_default());
    }
}

/// No Connection field takes away what frames or routes a message (RFC 9110 section 7.6.1).
#[test]
fn connection_options_do_not_touch_framing_or_host() {
    let out = sent(&format!("{POST}Connection: close, content-length, host\r\nContent-Length: 5\r\n\r\n"));
    assert!(out.contains("\r\nContent-Length: 5\r\n") && out.contains("\r\nHost: a.b\r\n"), "{out}");
    let out = sent(&format!("{POST}Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n"));
    assert!(out.contains("\r\nTransfer-Encoding: chunked\r\n"), "{out}");
    let out = returned("HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\n");
    assert!(out.contains("\r\nContent-Length: 5\r\n"), "{out}");
}

/// Where an origin gets its liberties, they must not make a length out of what is none.
#[test]
fn responses_in_disguise_have_the_framing_that_is_written_or_none() {
    for (lines, want) in [
        ("Content-Length : 5", Some("Content-Length: 5")),
        ("Transfer-Encoding : chunked", Some("Transfer-Encoding: chunked")),
        ("Content-Length: 5\r\n 6", None),
        ("Content-Length: 5\r\n\t,6", None),
        ("Content-Length : 5\r\nContent-Length: 6", None),
        ("Transfer-Encoding: chunked\r\n ,gzip", None),
        ("Transfer-Encoding: xchunked", None),
        ("X: y\rContent-Length: 5", None),
        ("Content-Length: +5", None),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
        match want {
            Some(want) => assert!(returned(&head).contains(&format!("\r\n{want}\r\n")), "{}", lines.escape_default()),
            None => assert!(origin_fault_of(&head).is_some(), "{}", lines.escape_default()),
        }
    }
}

#[test]
fn row_46_what_goes_out_has_one_framing() {
    for coding in ["chunked", "Chunked", "chunked,", " ,chunked", "\tchunked\t"] {
        let out = sent(&format!("{POST}Transfer-Encoding: {coding}\r\n\r\n"));
        assert_eq!(out.matches("Transfer-Encoding: chunked\r\n").count(), 1, "{coding:?}");
        assert!(!out.contains("Content-Length"));
    }
    let out = returned("HTTP/1.1 200 OK\r\nContent-Length: 9\r\ntransfer-encoding: CHUNKED\r\n\r\n");
    assert!(
        out.contains("Transfer-Encoding: chunked\r\n") && !out.contains("CHUNKED") && !out.contains("Content-Length")
    );
}

/// No control character may slip through at any place of a head, on any way of the parser to that place.
#[test]
fn control_characters_are_refused_everywhere() {
    let head = format!("{GET}X-Long-Name-Of-A-Field: a value that is longer than one vector register\r\n\r\n");
    let place = head.find("value that").unwrap();
    for at in [1, 10, 14, 22, head.find("Name").unwrap(), place, place + 1, place + 20, place + 30] {
        for byte in (0u8..32).chain([127]).filter(|byte| !matches!(byte, b'\t' | b'\n')) {
            let mut bytes = head.clone().into_bytes();
            bytes[at] = byte;
            assert!(Request::parse(&bytes, &rules()).is_err(), "{byte} at {at}");
        }
    }
}

#[test]
fn mutated_heads_never_panic_and_never_smuggle() {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 8) as usize % bound
    };
    let request =
        format!("{POST}Connection: X-A, close\r\nX-A: b\r\nContent-Length: 5\r\nVia: 1.0 x\r\nExpect: y\r\n\r\n");
    let response =
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x\r\nX: y\r\n z\r\nTransfer-Encoding: chunked\r\n\r\n";
    let noise = b"\r\n :,;\0\t\x7f\xff/.@[]%HTTPchunked0159";
    for _ in 0..20_000 {
        for (text, is_request) in [(request.as_str(), true), (response, false)] {
            let mut bytes = text.as_bytes().to_vec();
            for _ in 0..1 + next(4) {
                let at = next(bytes.len());
                bytes[at] = noise[next(noise.len())];
            }
            bytes.truncate(bytes.len() - if next(4) == 0 { next(bytes.len()) } else { 0 });
            if is_request {
                check_request(&bytes);
            } else {
                check_response(&bytes);
            }
        }
    }
}

/// What we send must be parsed by ourselves, into the same framing and the same host.
fn check_request(bytes: &[u8]) {
    let Ok(request) = Request::parse(bytes, &rules()) else { return };
    let mut out = Vec::new();
    rewrite::request(&mut out, &request, &rules(), "2001:db8::1".parse().unwrap());
    let again = Request::parse(&out, &rules()).unwrap_or_else(|fault| panic!("{fault}: {}", out.escape_ascii()));
    assert!(alike(&again.framing(), &request.framing()), "{}", out.escape_ascii());
    assert_eq!((&again.target().host, again.target().port), (&request.target().host, request.target().port));
    let _ = (request.max_forwards(), request.noted_client(b"via"), Answer::trace(&request));
}

fn check_response(bytes: &[u8]) {
    let rules = rules();
    let Ok(response) = Response::parse(bytes, Method::Get) else { return };
    for version in [Version::Http10, Version::Http11] {
        let to = ToClient { version, method: Method::Get, keep_alive: true, upgrade: true, date: "x", rules: &rules };
        let mut out = Vec::new();
        rewrite::response(&mut out, &response, &to);
        let again =
            Response::parse(&out, Method::Get).unwrap_or_else(|fault| panic!("{fault}: {}", out.escape_ascii()));
        let decoded = version == Version::Http10 && matches!(response.framing(version), Framing::Chunked(_));
        let want = if decoded { Framing::UntilClose } else { response.framing(version) };
        assert!(alike(&again.framing(version), &want), "{}", out.escape_ascii());
    }
}

/// Whether both are the same but for trailers that one hop alone gets: what names them goes no further.
fn alike(one: &Framing, other: &Framing) -> bool {
    one == other || matches!((one, other), (Framing::Chunked(_), Framing::Chunked(_)))
}
