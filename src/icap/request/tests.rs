//! Heads of clients of ICAP: those of real ones, those that lie, and what is said in them of others.

use super::*;

fn parse(text: &str) -> Result<IcapRequest, IcapFault> {
    IcapRequest::parse(text.as_bytes())
}

fn with(fields: &str) -> Result<IcapRequest, IcapFault> {
    parse(&format!("REQMOD icap://h/s ICAP/1.0\r\nHost: h\r\nEncapsulated: req-hdr=0, req-body=9\r\n{fields}\r\n"))
}

#[test]
fn heads_of_real_clients() {
    let squid = "REQMOD icap://127.0.0.1:1344/reqmod ICAP/1.0\r\nHost: 127.0.0.1:1344\r\n\
        Date: Sat, 28 Nov 2026 00:00:00 GMT\r\nEncapsulated: req-hdr=0, null-body=170\r\nPreview: 0\r\nAllow: 204\r\n\
        X-Client-IP: 192.0.2.7\r\nX-Client-Username: ann\r\n\r\n";
    let head = parse(squid).expect("what Squid sends");
    assert_eq!((head.method, head.preview, head.allows_204, head.closes), (IcapMethod::Reqmod, Some(0), true, false));
    assert_eq!((head.parts.request, head.parts.body), (Some(0..170), false));
    assert_eq!(head.said.address, "192.0.2.7".parse().ok());
    assert_eq!(head.said.user.as_deref(), Some("ann"));
    let options = parse("options icap://h/s icap/1.0\nconnection: Close\n\n").expect("lenient");
    assert_eq!((options.method, options.closes, options.parts), (IcapMethod::Options, true, Encapsulated::default()));
    let respmod = "RESPMOD icap://h/s ICAP/1.0\r\nEncapsulated: req-hdr=0, res-hdr=5, res-body=9\r\n\r\n";
    assert_eq!(parse(respmod).expect("a response").method, IcapMethod::Respmod);
}

#[test]
fn what_cannot_be_followed_is_refused() {
    for (text, fault) in [
        ("GET / HTTP/1.1\r\n\r\n", IcapFault::NotIcap),
        ("REQMOD icap://h/s\r\n\r\n", IcapFault::NotIcap),
        ("REQMOD icap://h/s ICAP/1.0 x\r\n\r\n", IcapFault::NotIcap),
        ("REQMOD icap://h/s ICAP/1.1\r\n\r\n", IcapFault::Version),
        ("REQMOD icap://h/s ICAP/\r\n\r\n", IcapFault::Version),
        ("FILEMOD icap://h/s ICAP/1.0\r\n\r\n", IcapFault::Method),
        ("REQMOD icap://h/s ICAP/1.0\r\n\r\n", IcapFault::BadParts),
        ("REQMOD icap://h/s ICAP/1.0\r\nEncapsulated: null-body=0\r\n\r\n", IcapFault::BadParts),
        ("REQMOD icap://h/s ICAP/1.0\r\nEncapsulated: res-hdr=0, null-body=5\r\n\r\n", IcapFault::BadParts),
        ("RESPMOD icap://h/s ICAP/1.0\r\nEncapsulated: req-hdr=0, null-body=5\r\n\r\n", IcapFault::BadParts),
        ("OPTIONS icap://h/s ICAP/1.0\r\nEncapsulated: req-hdr=0, null-body=5\r\n\r\n", IcapFault::BadParts),
        ("OPTIONS icap://h/s ICAP/1.0\r\nno field\r\n\r\n", IcapFault::BadField),
    ] {
        assert_eq!(parse(text), Err(fault), "{text}");
    }
    for (fields, fault) in [
        ("Encapsulated: req-hdr=0, req-body=9\r\n", IcapFault::BadField),
        ("Preview: x\r\n", IcapFault::BadField),
        ("Preview: 0\r\nPreview: 0\r\n", IcapFault::BadField),
        ("Preview: 65537\r\n", IcapFault::LongPreview),
    ] {
        assert_eq!(with(fields), Err(fault), "{fields}");
    }
}

#[test]
fn a_beginning_that_can_become_nothing_is_known_at_once() {
    for (bytes, fault) in [
        (&b""[..], None),
        (b"R", None),
        (b"REQMOD icap://h/s ICAP/1.0", None),
        (b"REQMOD icap://h/s ICAP/1.0\r\nHo", None),
        (b"GET / HTTP/1.1\r\n", Some(IcapFault::NotIcap)),
        (b"\x16\x03\x01", Some(IcapFault::NotIcap)),
        (b" REQMOD", Some(IcapFault::NotIcap)),
        (b"REQMOD \xff", Some(IcapFault::NotIcap)),
        (b"REQMOD icap://h/s ICAP/2.0\r\n", Some(IcapFault::Version)),
        (b"LOGMOD icap://h/s ICAP/1.0\r\n", Some(IcapFault::Method)),
    ] {
        assert_eq!(first_fault(bytes), fault, "{}", bytes.escape_ascii());
    }
}

#[test]
fn users_stand_in_several_forms() {
    let user = |fields: &str| with(fields).expect("a head").said.user.map(String::from);
    for (fields, name) in [
        ("", None),
        ("X-Client-Username: ann\r\n", Some("ann")),
        ("X-Authenticated-User: TG9jYWw6Ly9hbm4=\r\n", Some("ann")),
        ("X-Authenticated-User: V2luTlQ6Ly9kb20vYW5u\r\n", Some("ann")),
        ("X-Authenticated-User: ann\r\n", Some("ann")),
        ("X-Authenticated-User: LDAP://server/cn=ann\r\n", Some("cn=ann")),
        ("X-Client-Username: \r\nX-Authenticated-User: bob\r\n", Some("bob")),
        ("X-Authenticated-User: Local://\r\n", None),
    ] {
        assert_eq!(user(fields).as_deref(), name, "{fields}");
    }
    let long = format!("X-Client-Username: {}\r\n", "x".repeat(300));
    assert_eq!(user(&long), None);
    let server = with("X-Server-IP: ::ffff:192.0.2.9\r\nX-Client-IP: unknown\r\n").expect("a head").said;
    assert_eq!((server.server, server.address), ("192.0.2.9".parse().ok(), None));
}

#[test]
fn credentials_stand_in_the_head_of_icap() {
    let head = with("proxy-authorization: Basic YQ==\r\n").expect("a head");
    assert_eq!(head.credentials.as_deref(), Some(&b"Basic YQ=="[..]));
    assert_eq!(with("Proxy-Authorization: a\r\nProxy-Authorization: b\r\n"), Err(IcapFault::BadField));
}

#[test]
fn helpers_get_the_lines_of_the_original() {
    let head = "REQMOD icap://h/s,ann-and-co ICAP/1.0\r\nAllow: 204\r\nX-Customer-Name: x\r\nX-Other: y\r\n\
        X-Authenticated-Groups: a, b\r\nX-Client-IP: 192.0.2.7\r\n\r\n";
    let lines = |head: &str, trusted| String::from_utf8(lines_for_helpers(head.as_bytes(), trusted)).unwrap();
    assert_eq!(
        lines(head, true),
        "X-Client-IP: 192.0.2.7\nX-Authenticated-Groups: a, b\nX-Customer-Name: ann-and-co\nAllow: 204\n"
    );
    assert_eq!(lines(head, false), "X-Customer-Name: ann-and-co\nAllow: 204\n");
    assert_eq!(lines("REQMOD icap://h/s ICAP/1.0\r\n\r\n", true), "X-Customer-Name: default\n");
}
