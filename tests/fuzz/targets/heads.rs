//! Heads of requests and responses: what is accepted goes out in a form that means the same and is accepted again.

use super::{outcome, rough};
use exaproxy::exchange::proxy_protocol;
use exaproxy::http::first_bytes::{may_be_response, request_fault};
use exaproxy::http::framing::Framing;
use exaproxy::http::head::{leading_blank, HeadScan};
use exaproxy::http::request::{Announce, Request};
use exaproxy::http::response::Response;
use exaproxy::http::rewrite;
use exaproxy::http::rules::{Rules, ToClient};
use exaproxy::http::target::{Host, Target};
use exaproxy::http::{Method, Version};
use std::mem::discriminant;
use std::net::{IpAddr, Ipv4Addr};

pub(super) const REQUESTS: &[&[u8]] = &[
    b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n",
    b"GET /path?query HTTP/1.1\r\nHost: example.com:8080\r\nConnection: close, x-a\r\nX-A: b\r\n\r\n",
    b"POST http://[::1]:81/a HTTP/1.1\r\nHost: [::1]:81\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n",
    b"PUT http://h/ HTTP/1.0\r\nContent-Length: 10\r\nProxy-Connection: keep-alive\r\n\r\n",
    b"CONNECT host.test:443 HTTP/1.1\r\nHost: host.test:443\r\nProxy-Authorization: Basic eA==\r\n\r\n",
    b"OPTIONS * HTTP/1.1\nHost: a\nMax-Forwards: 3\n\n",
    b"GET http://a/\xe9\xff?\xc3\xa9 HTTP/1.7\r\nHost: a\r\n\r\n",
    b"GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nExpect: 100-continue\r\nVia: 1.0 x\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n",
];

pub(super) const RESPONSES: &[&[u8]] = &[
    b"GHTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n",
    b"GHTTP/1.0 200\r\nServer: x\r\n\r\n",
    b"HHTTP/1.1 204 No Content\r\nVia: 1.1 other\r\n\r\n",
    b"PHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n",
    b"GHTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"GHTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\nX : folded\r\n  on\r\nContent-Length: 3, 3\r\n\r\n",
    b"GICY 200 OK\r\nicy-name: a\x01\r\nContent-Type: audio/mpeg\r\n\r\n",
    b"GHTTP/1.3 200 \x0bO\x7f\r\nSet-Cookie: a=\x01b\r\nX : c\x0c\r\n\x1bd\r\nContent-Length: 3\r\n\r\n",
    b"GHTTP/1.1 200 OK\r\nConnection: x-a\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n",
    b"CHTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 9\r\n\r\n",
];

pub(super) const BEGINNINGS: &[&[u8]] = &[
    b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n",
    b"ICY 200 OK\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x05\x01\x00",
    b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00",
    b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"220 mail.example ESMTP\r\n",
    b"\r\n\nGET /\r\n\r\n",
    b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n\r\n",
];

pub(super) const AUTHORITIES: &[&[u8]] = &[
    b"example.com:80",
    b"EXAMPLE.com.",
    b"[::1]:8080",
    b"[fe80::1%25eth0]",
    b"127.0.0.1",
    b"0x7f.1:1",
    b"a:",
    b"[::ffff:1.2.3.4]:5",
];

pub(super) const PROXY_LINES: &[&[u8]] = &[
    b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 3128\r\nGET http://a/ HTTP/1.1\r\n",
    b"PROXY TCP6 ::1 2001:db8::1 5000 3128\r\n",
    b"PROXY UNKNOWN\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x13\x88\x0c\x38rest",
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x18\xc0\0\x02\x01\xc0\0\x02\x02\x13\x88\x0c\x38\x05\0\x02id\x02\0\x04a.bcrest",
];

/// The client whose requests these are.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// A head that was written by us ends where it ends and nowhere before.
pub(super) fn assert_one_head(head: &[u8]) {
    let shown = || head.escape_ascii().to_string();
    assert_eq!(HeadScan::default().find(head), Some(head.len()), "not one head: {}", shown());
    let bare = head.iter().enumerate().any(|(at, byte)| *byte == b'\r' && head.get(at + 1) != Some(&b'\n'));
    assert!(!bare && !head.contains(&0), "a bare CR or a NUL goes out: {}", shown());
}

pub(super) fn request(bytes: &[u8]) -> u64 {
    let Some(end) = HeadScan::default().find(bytes) else { return outcome("unfinished") };
    let rules = Rules::default();
    let request = match Request::parse(&bytes[..end], &rules) {
        Ok(request) => request,
        Err(fault) => return outcome((fault.status(), fault.to_string())),
    };
    let mut out = Vec::new();
    rewrite::request(&mut out, &request, &rules, CLIENT.into());
    assert_one_head(&out);
    // The limit on heads does not hold for what we add ourselves.
    let unlimited = Rules { head_limit: 0, ..Rules::default() };
    if let Ok(again) = Request::parse(&out, &unlimited) {
        assert_eq!(again.method_name(), request.method_name());
        assert!(alike(&again.framing(), &request.framing()), "framed anew: {}", out.escape_ascii());
        assert_eq!((&again.target().host, again.target().port), (&request.target().host, request.target().port));
        assert!(again.via_contains(rules.via.as_bytes()), "a loop could not be seen: {}", out.escape_ascii());
        assert!(again.field(b"proxy-authorization").is_none() && again.field(b"proxy-connection").is_none());
    } else {
        assert!(request.fields().count() > 100, "what we send would be refused by us: {}", out.escape_ascii());
    }
    let shape = (request.method() as u8, discriminant(&request.framing()), request.keep_alive());
    outcome((shape, request.upgrade().is_some(), request.expectation() as u8, rough(request.fields().count())))
}

/// Whether both are the same but for trailers that one hop alone gets: what names them goes no further.
fn alike(one: &Framing, other: &Framing) -> bool {
    one == other || matches!((one, other), (Framing::Chunked(_), Framing::Chunked(_)))
}

/// What is refused before its head is complete would be refused as a whole, with any bytes behind it.
pub(super) fn first_bytes(bytes: &[u8]) -> u64 {
    let bytes = &bytes[leading_blank(bytes)..];
    let ends = || (0..=bytes.len()).take(300).chain([bytes.len()]);
    let early = ends().find_map(|end| Some((end, request_fault(&bytes[..end])?)));
    let banner = ends().find(|end| !may_be_response(&bytes[..*end]));
    let rules = Rules { head_limit: 0, ..Rules::default() };
    for head in [bytes.to_vec(), [bytes, b"\r\n\r\n"].concat(), [bytes, b" / HTTP/1.1\r\nHost: a\r\n\r\n"].concat()] {
        let Some(end) = HeadScan::default().find(&head) else { continue };
        if let Some((at, fault)) = early.filter(|(at, _)| *at <= end) {
            let parsed = Request::parse(&head[..end], &rules);
            assert!(parsed.is_err(), "{fault} at {at} of a request: {}", head[..end].escape_ascii());
        }
        if let Some(at) = banner.filter(|at| *at <= end) {
            let parsed = Response::parse(&head[..end], Method::Get);
            assert!(parsed.is_err(), "refused at {at}, and a response: {}", head[..end].escape_ascii());
        }
    }
    outcome((early.map(|(at, fault)| (rough(at), fault.to_string())), banner))
}

/// The first byte chooses the method that was asked with, and the version of the client.
pub(super) fn response(bytes: &[u8]) -> u64 {
    let Some((choice, bytes)) = bytes.split_first() else { return outcome("empty") };
    let Some(end) = HeadScan::default().find(bytes) else { return outcome("unfinished") };
    let method = match choice {
        b'H' => Method::Head,
        b'P' => Method::Post,
        b'C' => Method::Connect,
        _ => Method::Get,
    };
    let version = if choice & 1 == 1 { Version::Http11 } else { Version::Http10 };
    let response = match Response::parse(&bytes[..end], method) {
        Ok(response) => response,
        Err(fault) => return outcome((fault.status(), fault.to_string())),
    };
    let rules = Rules::default();
    let to = ToClient {
        version,
        method,
        keep_alive: true,
        upgrade: true,
        date: "Thu, 01 Jan 2026 00:00:00 GMT",
        rules: &rules,
    };
    let mut out = Vec::new();
    rewrite::response(&mut out, &response, &to);
    assert_one_head(&out);
    let framing = response.framing(version);
    if let Ok(again) = Response::parse(&out, method) {
        assert_eq!(again.status(), response.status());
        // To a client of 1.0 chunks go as their content alone, up to the close.
        let decoded = version == Version::Http10 && matches!(framing, Framing::Chunked(_));
        let expected = if decoded { Framing::UntilClose } else { framing.clone() };
        assert!(alike(&again.framing(version), &expected), "framed anew: {}", out.escape_ascii());
        assert!(again.framing(version) != Framing::UntilClose || !again.keep_alive(), "an end that never comes");
    } else {
        assert!(response.fields().count() > 100, "what we send would be refused by us: {}", out.escape_ascii());
    }
    outcome((response.status() / 100, discriminant(&framing), response.keep_alive(), rough(response.fields().count())))
}

/// Bytes that come one by one or all at once hold the same head.
pub(super) fn head_end(bytes: &[u8]) -> u64 {
    let whole = HeadScan::default().find(bytes);
    let mut scan = HeadScan::default();
    let piecewise = (0..=bytes.len().min(2048)).find_map(|end| scan.find(&bytes[..end]));
    if bytes.len() <= 2048 {
        assert_eq!(piecewise.is_some(), whole.is_some());
    }
    if let (Some(piecewise), Some(whole)) = (piecewise, whole) {
        assert_eq!(piecewise, whole);
    }
    outcome((whole.map(rough), leading_blank(bytes).min(3)))
}

/// A target that was read is written so that it is read as the same.
pub(super) fn authority(bytes: &[u8]) -> u64 {
    match Target::from_authority(bytes, Some(80)) {
        Ok(target) => {
            let mut out = Vec::new();
            target.write_authority(&mut out);
            let again = Target::from_authority(&out, Some(80)).expect("what was written can be read");
            let zoned = matches!(target.host, Host::V6(_, Some(_)));
            assert!(again.port == target.port && (zoned || again.host == target.host), "{}", out.escape_ascii());
            outcome((discriminant(&target.host), target.port == 80))
        }
        Err(fault) => outcome(fault.to_string()),
    }
}

/// The header of a balancer is found at the same place however its bytes come, and is refused for the same bytes.
pub(super) fn proxy_line(bytes: &[u8]) -> u64 {
    let whole = proxy_protocol::find(bytes);
    let mut early = Ok(None);
    for end in 0..=bytes.len().min(proxy_protocol::MAX_HEADER) {
        early = proxy_protocol::find(&bytes[..end]);
        if early != Ok(None) {
            break;
        }
    }
    if bytes.len() <= proxy_protocol::MAX_HEADER {
        assert_eq!(early.is_err(), whole.is_err(), "{early:?} {whole:?}");
    }
    match whole {
        Ok(Some(header)) => {
            assert!(header.length <= bytes.len().min(proxy_protocol::MAX_HEADER), "{header:?}");
            assert_eq!(early.as_ref(), Ok(&Some(header.clone())), "the same header, found early");
            let additions = [proxy_protocol::UNIQUE_ID, proxy_protocol::AUTHORITY].map(|kind| {
                let value = header.addition(bytes, kind)?;
                assert!(value.len() < header.length, "within the header");
                Some(rough(value.len()))
            });
            if let Some(ends) = header.addresses {
                for version in Announce::ALL {
                    let mut out = Vec::new();
                    proxy_protocol::write(&mut out, version, &ends);
                    let again = proxy_protocol::find(&out).ok().flatten().and_then(|header| header.addresses);
                    let ports = |ends: proxy_protocol::Announced| (ends.source.port(), ends.destination.port());
                    assert!(version == Announce::Off || again.map(ports) == Some(ports(ends)), "{ends:?} {again:?}");
                }
            }
            outcome((header.length, header.addresses.map(|ends| ends.source.is_ipv6()), additions))
        }
        Ok(None) => outcome("unfinished"),
        Err(fault) => outcome(fault.to_string()),
    }
}
