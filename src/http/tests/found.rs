//! Faults that were found on the running program, as far as parsing and rewriting decide them; each has the number that it
//! has in the list of what was found.

use crate::http::fault::{Fault, OriginFault};
use crate::http::framing::Framing;
use crate::http::protocol::OtherProtocol;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::rewrite;
use crate::http::rules::{Rules, ToClient};
use crate::http::{Method, Version};

fn request(head: &[u8]) -> Result<Box<Request>, Fault> {
    Request::parse(head, &Rules::default())
}

fn response(head: &[u8]) -> Result<Response<'_>, OriginFault> {
    Response::parse(head, Method::Get)
}

/// What an origin gets for a request.
fn sent(head: &[u8]) -> Vec<u8> {
    let rules = Rules { transparent: true, ..Rules::default() };
    let mut out = Vec::new();
    rewrite::request(&mut out, &request(head).unwrap(), &rules, "192.0.2.7".parse().unwrap());
    out
}

/// What a client of HTTP/1.1 gets for a response.
fn returned(head: &[u8]) -> Vec<u8> {
    let rules = Rules { transparent: true, ..Rules::default() };
    let to = ToClient {
        version: Version::Http11,
        method: Method::Get,
        keep_alive: true,
        upgrade: false,
        date: "NOW",
        rules: &rules,
    };
    let mut out = Vec::new();
    rewrite::response(&mut out, &response(head).unwrap(), &to);
    out
}

#[test]
fn b8_controls_in_response_fields_are_relayed() {
    for control in (0x01..=0x1fu8).chain([0x7f]).filter(|byte| !b"\t\r\n".contains(byte)) {
        let head = |line: &str| {
            let text = format!("HTTP/1.1 200 O{line}\r\nDate: x\r\nSet-Cookie: a={line}b{line}\r\nX:{line}\r\nContent-Length: 0\r\n\r\n");
            text.into_bytes()
        };
        let controls = String::from(char::from(control));
        let wanted = head(&controls).escape_ascii().to_string().replace("X:", "X: ");
        assert_eq!(returned(&head(&controls)).escape_ascii().to_string(), wanted);
        for forbidden in ["\0", "\r", "\r\r"] {
            let fault = response(&head(&format!("{controls}{forbidden}"))).unwrap_err();
            assert!(matches!(fault, OriginFault::NotHttp | OriginFault::BadByte), "{fault}");
        }
    }
    let folded = b"HTTP/1.1 200 OK\r\nDate: x\r\nA : b\x01\r\n c\x0b\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(returned(folded), b"HTTP/1.1 200 OK\r\nDate: x\r\nA: b\x01 c\x0b\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn b8_controls_hide_nothing_that_frames() {
    let table: &[(&[u8], OriginFault)] = &[
        (b"Content-Length: 5\x0b\r\n", OriginFault::BadLength),
        (b"Content-Length: \x0c5\r\n", OriginFault::BadLength),
        (b"Content-Length\x0b: 5\r\n", OriginFault::BadField),
        (b"Transfer-Encoding: \x0bchunked\r\n", OriginFault::BadCoding),
        (b"Transfer-Encoding: chunked\x01\r\n", OriginFault::BadCoding),
        (b"Transfer-Encoding\x01: chunked\r\n", OriginFault::BadField),
        (b"\x01: x\r\n", OriginFault::BadField),
        (b"\x0b\r\n", OriginFault::BadField),
    ];
    for (lines, wanted) in table {
        let head = [b"HTTP/1.1 200 OK\r\n", *lines, b"\r\n"].concat();
        assert_eq!(response(&head).unwrap_err(), *wanted, "{}", lines.escape_ascii());
    }
    for line in ["HTTP/1.1\x0b200 OK", "HTTP/1.1 20\x01 OK", "\x01HTTP/1.1 200 OK", "HTTP/\x011 200 OK"] {
        assert_eq!(response(format!("{line}\r\n\r\n").as_bytes()).unwrap_err(), OriginFault::NotHttp, "{line:?}");
    }
}

#[test]
fn b9_any_byte_beyond_ascii_may_stand_in_a_target() {
    for path in [&b"/\xe9"[..], b"/\xc3\xa9", b"/\xff\x80?\xfe=\xe9", b"/\xe9\xc3\xa9\xf0"] {
        let head = [b"GET http://a.b", path, b" HTTP/1.1\r\nA: b\r\n\r\n"].concat();
        assert_eq!(request(&head).unwrap().path(), path, "{}", path.escape_ascii());
        let wanted = [b"GET ", path, b" HTTP/1.1\r\nHost: a.b\r\nA: b\r\n\r\n"].concat();
        assert_eq!(sent(&head).escape_ascii().to_string(), wanted.escape_ascii().to_string());
    }
    let made_up = request(b"GET http://a.b?\xe9 HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!((made_up.path(), made_up.raw()), (&b"/?\xe9"[..], &b"GET http://a.b?\xe9 HTTP/1.1\r\n\r\n"[..]));
    let table: &[(&[u8], Fault)] = &[
        (b"G\xe9T / HTTP/1.1", Fault::BadLine),
        (b"GET http://a\xe9.b/ HTTP/1.1", Fault::BadHost),
        (b"GET http\xe9://a.b/ HTTP/1.1", Fault::BadTarget),
        (b"CONNECT a\xe9:443 HTTP/1.1", Fault::BadHost),
        (b"GET /\xe9\x01 HTTP/1.1", Fault::BadTarget),
        (b"GET /\xe9#x HTTP/1.1", Fault::BadTarget),
        (b"GET /\xe9 x HTTP/1.1", Fault::BadTarget),
    ];
    for (line, wanted) in table {
        let head = [*line, b"\r\nHost: a.b\r\n\r\n"].concat();
        assert_eq!(request(&head).unwrap_err(), *wanted, "{}", line.escape_ascii());
    }
}

#[test]
fn b11_trailers_are_dropped_that_the_head_names() {
    let head =
        b"POST http://a.b/ HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nConnection: X-Hop\r\n\r\n";
    let mut framing = request(head).unwrap().framing();
    let mut content = b"0\r\nx-hop: 1\r\nX: 2\r\n\r\n".to_vec();
    let scan = framing.scan(&mut content).unwrap();
    assert_eq!((&content[..scan.kept], scan.done), (&b"0\r\nX: 2\r\n\r\n"[..], true));
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: x-hop\r\n\r\n";
    let mut framing = response(head).unwrap().framing(Version::Http11);
    let mut content = b"0\r\nX-Hop: 1\r\nX: 2\r\n\r\n".to_vec();
    let scan = framing.scan(&mut content).unwrap();
    assert_eq!((&content[..scan.kept], scan.done), (&b"0\r\nX: 2\r\n\r\n"[..], true));
}

#[test]
fn b12_icy_is_read_as_http_1_0() {
    let head = b"ICY 200 OK\r\nicy-name: radio\r\nContent-Type:audio/mpeg\r\n\r\n";
    let parsed = response(head).unwrap();
    assert_eq!((parsed.status(), parsed.version(), parsed.reason()), (200, Version::Http10, &b"OK"[..]));
    assert_eq!((parsed.raw(), parsed.field(b"ICY-Name")), (&head[..], Some(&b"radio"[..])));
    assert_eq!((parsed.framing(Version::Http11), parsed.keep_alive()), (Framing::UntilClose, false));
    let wanted =
        b"HTTP/1.1 200 OK\r\nicy-name: radio\r\nContent-Type: audio/mpeg\r\nConnection: close\r\nDate: NOW\r\n\r\n";
    assert_eq!(returned(head).escape_ascii().to_string(), wanted.escape_ascii().to_string());
    assert_eq!(response(b"ICY 200\r\n\r\n").unwrap().reason(), b"");
    assert_eq!(response(b"ICY 404 \x01\r\n\r\n").unwrap().reason(), b"\x01");
    for line in ["ICY", "ICY ", "ICY  200 OK", "ICY 200OK", "ICYY 200 OK", "icy 200 OK", "ICY/1.0 200 OK"] {
        assert_eq!(response(format!("{line}\r\n\r\n").as_bytes()).unwrap_err(), OriginFault::NotHttp, "{line}");
    }
}

#[test]
fn c1_minor_versions_above_1_1_are_read_as_1_1() {
    for minor in 2..=9 {
        let head = format!("GET http://a.b/\u{e9} HTTP/1.{minor}\r\nConnection: x\r\nX: 1\r\n\r\n");
        let parsed = request(head.as_bytes()).unwrap();
        assert_eq!((parsed.version(), parsed.keep_alive()), (Version::Http11, true));
        assert_eq!(sent(head.as_bytes()), "GET /\u{e9} HTTP/1.1\r\nHost: a.b\r\n\r\n".as_bytes());
        let head = format!("HTTP/1.{minor} 200 OK\r\nDate: x\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(response(head.as_bytes()).unwrap().version(), Version::Http11);
        assert_eq!(returned(head.as_bytes()), b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 0\r\n\r\n");
    }
    for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/3.1"] {
        assert_eq!(request(format!("GET / {version}\r\nHost: a\r\n\r\n").as_bytes()).unwrap_err(), Fault::BadVersion);
    }
    for version in ["HTTP/1.10", "HTTP/1.", "HTTP/1", "HTTP/1.x", "HTTP/11.1"] {
        assert_eq!(request(format!("GET / {version}\r\nHost: a\r\n\r\n").as_bytes()).unwrap_err(), Fault::BadLine);
        let head = format!("{version} 200 OK\r\n\r\n");
        assert_eq!(response(head.as_bytes()).unwrap_err(), OriginFault::NotHttp, "{version}");
    }
}

#[test]
fn c1_a_request_needs_a_coding_that_ends_with_chunked() {
    for (value, wanted, status) in [
        ("gzip", Fault::BadCoding, 400),
        ("identity", Fault::BadCoding, 400),
        ("chunked, identity", Fault::BadCoding, 400),
        ("gzip, chunked, gzip", Fault::BadCoding, 400),
        ("chunked;q=1", Fault::BadCoding, 400),
        ("gzip, chunked", Fault::UnknownCoding, 501),
        ("identity, chunked", Fault::UnknownCoding, 501),
    ] {
        let head = format!("POST http://a.b/ HTTP/1.1\r\nTransfer-Encoding: {value}\r\n\r\n");
        assert_eq!(request(head.as_bytes()).unwrap_err(), wanted, "{value}");
        assert_eq!(wanted.status(), status, "{value}");
    }
}

#[test]
fn c2_other_protocols_are_named() {
    let table: &[(&[u8], OtherProtocol)] = &[
        (b"\x16\x03\x01\x02\x00\x01\n\nrest", OtherProtocol::Tls),
        (b"\x05\x02\n\n", OtherProtocol::Socks5),
        (b"\x04\x01\n\n", OtherProtocol::Socks4),
        (b"SSH-2.0-x y HTTP/1.1\r\n\r\n", OtherProtocol::Ssh),
        (b"PRI * HTTP/2.0\r\n\r\n", OtherProtocol::Http2),
    ];
    for (head, protocol) in table {
        let fault = Fault::OtherProtocol(*protocol);
        assert_eq!((request(head).unwrap_err(), fault.status()), (fault, 400), "{}", head.escape_ascii());
    }
}
