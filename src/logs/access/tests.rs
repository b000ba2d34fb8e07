//! Lines of every form, and formats that are none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::*;
use crate::peer::Uid;

const CLIENT: ClientId = ClientId::Address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));

fn record() -> Record<'static> {
    Record {
        client: CLIENT,
        peer: ClientId::Address(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        pid: None,
        user: None,
        method: b"GET",
        target: b"http://a.example/p?q=1",
        version: Some("1.1"),
        status: Some(200),
        media: b"text/html",
        to_client: 512,
        to_origin: 90,
        ended: 1_795_222_956_512,
        duration: 1_234_056,
        decide: Some(1),
        resolve: Some(20),
        connect: None,
        origin: Some("[2001:db8::1]:80".parse().unwrap()),
        parent: false,
        decision: Some("PERMIT"),
        failure: None,
        list: b"",
        unique_id: b"",
        authority: b"",
        sni: b"",
        alpn: b"",
        ech: false,
        cache: None,
        cut: false,
        user_agent: b"curl/8",
        referer: b"",
        trace: b"",
    }
}

fn tunnel() -> Record<'static> {
    Record { method: b"CONNECT", target: b"a.example:443", media: b"", ..record() }
}

/// A client that said nothing that could be read.
fn unread() -> Record<'static> {
    let blank = Record { method: b"", target: b"", version: None, origin: None, decision: None, ..record() };
    Record { status: Some(400), failure: Some("http_request_error"), media: b"text/html", user_agent: b"", ..blank }
}

/// What a client sends that wants to forge lines.
fn hostile() -> Record<'static> {
    Record {
        target: b"http://h/\"\n\\ \x1b\xff",
        user_agent: b"\" 200 1 \"\r\nx\x00\xc3\xa9\xe2\x80\xa8\xff \\",
        referer: b"%h %{x}",
        ..record()
    }
}

fn line(format: &str, record: &Record<'_>) -> String {
    let mut out = Vec::new();
    AccessLines::new(format.parse().unwrap()).append(&mut out, record);
    String::from_utf8(out).unwrap()
}

/// A line without the time, which depends on where this machine stands.
fn timeless(format: &str, record: &Record<'_>) -> String {
    let line = line(format, record);
    let (before, rest) = line.split_once('[').unwrap();
    let (time, after) = rest.split_once(']').unwrap();
    assert_eq!(time.len(), "21/Nov/2026:01:02:35 +0000".len(), "{time}");
    format!("{before}T{after}")
}

#[test]
fn common_and_combined_are_as_everybody_reads_them() {
    let common = "192.0.2.1 - - T \"GET http://a.example/p?q=1 HTTP/1.1\" 200 512";
    assert_eq!(timeless("common", &record()), common);
    assert_eq!(timeless("combined", &record()), format!("{common} \"-\" \"curl/8\""));
    let gone = Record { status: None, to_client: 0, ..tunnel() };
    assert_eq!(timeless("common", &gone), "192.0.2.1 - - T \"CONNECT a.example:443 HTTP/1.1\" 499 -");
    assert_eq!(timeless("combined", &unread()), "192.0.2.1 - - T \"-\" 400 512 \"-\" \"-\"");
    let named = Record { user: Some("jane doe"), ..record() };
    assert!(timeless("common", &named).starts_with("192.0.2.1 - jane\\x20doe T "));
}

#[test]
fn the_names_stand_for_codes() {
    let common = "%h %l %u %t \"%r\" %>s %b";
    let combined = format!("{common} \"%{{Referer}}i\" \"%{{User-Agent}}i\"");
    let silent = Record { to_client: 0, status: None, user: Some("j"), ..record() };
    for record in [record(), silent, tunnel(), unread(), hostile()] {
        assert_eq!(line("common", &record), line(common, &record));
        assert_eq!(line("combined", &record), line(&combined, &record));
    }
}

#[test]
fn squids_form_has_ten_fields_whatever_happened() {
    let url = "GET http://a.example/p?q=1 - HIER_DIRECT/2001:db8::1 text/html";
    let table = [
        (record(), format!("1795222956.512   1234 192.0.2.1 TCP_MISS/200 512 {url}")),
        (
            Record { cut: true, status: None, ..record() },
            format!("1795222956.512   1234 192.0.2.1 TCP_MISS_ABORTED/000 512 {url}"),
        ),
        (
            Record { decision: Some("DENY"), status: Some(403), ..record() },
            format!("1795222956.512   1234 192.0.2.1 TCP_DENIED/403 512 {url}"),
        ),
        (
            Record { decision: Some("DENY"), status: Some(403), list: b"/a b:7", ..record() },
            format!("1795222956.512   1234 192.0.2.1 TCP_DENIED/403 512 {url} /a%20b:7"),
        ),
        (
            Record { decision: Some("REDIRECT"), ..record() },
            format!("1795222956.512   1234 192.0.2.1 TCP_REDIRECT/200 512 {url}"),
        ),
        (
            Record { parent: true, ..record() },
            format!(
                "1795222956.512   1234 192.0.2.1 TCP_MISS/200 512 {}",
                url.replace("HIER_DIRECT", "FIRSTUP_PARENT")
            ),
        ),
        (
            Record { decision: Some("FILE"), duration: 1_234_567_999, ..record() },
            format!("1795222956.512 1234567 192.0.2.1 NONE_NONE/200 512 {url}"),
        ),
        (
            tunnel(),
            "1795222956.512   1234 192.0.2.1 TCP_TUNNEL/200 512 CONNECT a.example:443 - HIER_DIRECT/2001:db8::1 -"
                .into(),
        ),
        (
            unread(),
            "1795222956.512   1234 192.0.2.1 NONE_NONE/400 512 NONE error:invalid-request - HIER_NONE/- text/html"
                .into(),
        ),
    ];
    for (record, wanted) in table {
        assert_eq!(line("squid", &record), wanted);
        assert_eq!(wanted.split_whitespace().count(), 10 + usize::from(!record.list.is_empty()));
    }
}

#[test]
fn json_is_an_object_in_one_line() {
    let wanted = "{\"schema\":1,\"time\":\"2026-11-21T01:02:35.278Z\",\"client\":\"192.0.2.1\",\"peer\":\"::1\",\"user\":null,\
        \"method\":\"GET\",\"target\":\"http://a.example/p?q=1\",\"version\":\"1.1\",\"status\":200,\
        \"media\":\"text/html\",\"to_client\":512,\"to_origin\":90,\"duration_ms\":1234,\"decide_ms\":1,\
        \"resolve_ms\":20,\"connect_ms\":null,\"origin\":\"[2001:db8::1]:80\",\"decision\":\"PERMIT\",\
        \"failure\":null,\"list\":null,\"sni\":null,\"alpn\":null,\"ech\":false,\"user_agent\":\"curl/8\",\"referer\":null}";
    assert_eq!(line("json", &record()), wanted);
}

#[test]
fn ecs_is_an_object_of_what_is_known() {
    let observer = "\"observer\":{\"product\":\"exaproxy\",\"type\":\"proxy\"}";
    let event = |sort: &str, outcome: &str, more: &str| {
        format!(
            "\"event\":{{\"kind\":\"event\",\"category\":[\"network\",\"web\"],\"dataset\":\"exaproxy.access\",\
             \"type\":[\"access\"{sort}],\"outcome\":\"{outcome}\",\"duration\":1234056000,\
             \"end\":\"2026-11-21T01:02:36.512Z\"{more}}}"
        )
    };
    let begin = format!("{{\"@timestamp\":\"2026-11-21T01:02:35.278Z\",\"ecs\":{{\"version\":\"8.11.0\"}},{observer}");
    let peers =
        "\"client\":{\"address\":\"192.0.2.1\",\"ip\":\"192.0.2.1\"},\"source\":{\"address\":\"::1\",\"ip\":\"::1\"}";
    let there = "\"destination\":{\"address\":\"2001:db8::1\",\"ip\":\"2001:db8::1\",\"port\":80}";
    let wanted = format!(
        "{begin},{},{peers},{there},\"user\":{{\"name\":\"jane\"}},\
         \"url\":{{\"original\":\"http://a.example/p?q=1\",\"scheme\":\"http\",\"domain\":\"a.example\",\"path\":\"/p\",\
         \"query\":\"q=1\"}},\"http\":{{\"version\":\"1.1\",\"request\":{{\"method\":\"GET\",\"referrer\":\"http://r/\",\
         \"bytes\":90}},\"response\":{{\"status_code\":200,\"mime_type\":\"text/html\",\"bytes\":512}}}},\
         \"user_agent\":{{\"original\":\"curl/8\"}},\"rule\":{{\"name\":\"/a:7\"}},\"trace\":{{\"id\":\"4bf9\"}},\
         \"exaproxy\":{{\"decide_ms\":1,\"resolve_ms\":20}}}}",
        event(",\"allowed\"", "success", ",\"action\":\"PERMIT\"")
    );
    let full = Record { user: Some("jane"), referer: b"http://r/", list: b"/a:7", trace: b"4bf9", ..record() };
    assert_eq!(line("ecs", &full), wanted);
    let refused = Record { decide: None, resolve: None, to_origin: 0, to_client: 0, media: b"", ..unread() };
    let wanted = format!(
        "{begin},{},{peers},\"http\":{{\"request\":{{\"bytes\":0}},\"response\":{{\"status_code\":400,\"bytes\":0}}}}}}",
        event("", "failure", ",\"reason\":\"http_request_error\"")
    );
    assert_eq!(line("ecs", &refused), wanted);
    let hello = Record { method: b"TLS", target: b"[2001:db8::1]:443", sni: b"a", ech: true, cut: true, ..record() };
    let hello = line("ecs", &Record { pid: Some(7), client: ClientId::Uid(Uid::new(1000)), ..hello });
    for part in [
        "\"client\":{\"address\":\"uid:1000\"},",
        "\"url\":{\"original\":\"[2001:db8::1]:443\",\"domain\":\"[2001:db8::1]\",\"port\":443},",
        "\"network\":{\"protocol\":\"tls\"},\"user_agent\"",
        "\"tls\":{\"client\":{\"server_name\":\"a\"}},",
        "\"outcome\":\"failure\"",
        "\"exaproxy\":{\"pid\":7,\"decide_ms\":1,\"resolve_ms\":20,\"ech\":true,\"cut\":true}}",
    ] {
        assert!(hello.contains(part), "{part}\n{hello}");
    }
}

#[test]
fn ecs_parts_any_target() {
    let table = [
        ("http://h:8080", "\"scheme\":\"http\",\"domain\":\"h\",\"port\":8080"),
        ("http://h?q", "\"scheme\":\"http\",\"domain\":\"h\",\"query\":\"q\""),
        ("ftp://[::1]:21/x??", "\"scheme\":\"ftp\",\"domain\":\"[::1]\",\"port\":21,\"path\":\"/x\",\"query\":\"?\""),
        ("h:443", "\"domain\":\"h\",\"port\":443"),
        ("h:99999", "\"domain\":\"h\""),
        ("/p://q", "\"path\":\"/p://q\""),
        ("[::1", "\"domain\":\"[::1\""),
        ("://", "\"original\":\"://\""),
        (":", "\"original\":\":\""),
        ("?", "\"original\":\"?\""),
    ];
    for (target, parts) in table {
        let line = line("ecs", &Record { target: target.as_bytes(), ..record() });
        assert!(line.contains(&format!("{parts}}},\"http\"")), "{target}: {line}");
    }
}

#[test]
fn a_trace_is_named_where_the_client_has_one() {
    let traced = Record { trace: b"4bf92f3577b34da6a3ce929d0e0e4736", ..record() };
    assert!(line("json", &traced).contains(",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"user_agent\""));
    assert!(!line("json", &record()).contains("trace"), "most have none");
    assert_eq!(line("%{trace-id}x %{Trace-Id}x", &traced), "4bf92f3577b34da6a3ce929d0e0e4736 ".repeat(2).trim());
    assert_eq!(line("%{trace-id}x", &record()), "-");
}

#[test]
fn only_what_a_format_names_has_to_be_remembered() {
    let table = [
        ("common", [false, false, false, false]),
        ("combined", [true, true, false, false]),
        ("squid", [false, false, true, false]),
        ("json", [true; 4]),
        ("ecs", [true; 4]),
        ("%h %{content-type}o %{trace-id}x", [false, false, true, true]),
    ];
    for (format, wanted) in table {
        let NamedParts { user_agent, referer, media, trace } = format.parse::<Format>().unwrap().named();
        assert_eq!([user_agent, referer, media, trace], wanted, "{format}");
    }
}

#[test]
fn nothing_that_was_sent_can_break_a_line() {
    let quoted = timeless("combined", &hostile());
    let target = "http://h/\\\"\\x0a\\\\\\x20\\x1b\\xff";
    let agent = "\\\" 200 1 \\\"\\x0d\\x0ax\\x00\\xc3\\xa9\\xe2\\x80\\xa8\\xff \\\\";
    assert_eq!(quoted, format!("192.0.2.1 - - T \"GET {target} HTTP/1.1\" 200 512 \"%h %{{x}}\" \"{agent}\""));
    let squid = line("squid", &hostile());
    assert!(squid.contains(" http://h/\"%0a\\%20%1b%ff - "), "{squid}");
    assert_eq!(squid.split(' ').filter(|field| !field.is_empty()).count(), 10);
    let json = line("json", &hostile());
    assert!(json.contains("\"target\":\"http://h/\\\"\\u000a\\\\ \\u001b\u{fffd}\""), "{json}");
    assert!(json.contains("\\\" 200 1 \\\"\\u000d\\u000ax\\u0000é\\u2028\u{fffd} \\\\\""), "{json}");
    for format in ["common", "combined", "squid", "json", "ecs", "%U %{user-agent}i", "\"%m\" %{Referer}i"] {
        let line = line(format, &hostile());
        assert!(!line.contains(char::is_control), "{line}");
    }
    assert_eq!(line("%{User-Agent}i %m", &hostile()).split(' ').count(), 2, "blanks of a bare field are escaped");
}

#[test]
fn every_code_has_its_value() {
    let table = [
        ("%a %h %{c}a", "192.0.2.1 192.0.2.1 ::1"),
        ("%{sec}t %{msec}t", "1795222955 1795222955278"),
        ("%m %U %H", "GET http://a.example/p?q=1 HTTP/1.1"),
        ("%s %>s %b %B %O %I", "200 200 512 512 512 90"),
        ("%T %{s}T %{ms}T %{us}T %D", "1 1 1234 1234056 1234056"),
        ("%{User-agent}i %{REFERER}i %{Content-Type}o", "curl/8 - text/html"),
        ("%{origin}x %{decision}x %{failure}x", "[2001:db8::1]:80 PERMIT -"),
        ("%{decide}x|%{resolve}x|%{connect}x", "1|20|-"),
        ("100%% %l%u é", "100% -- é"),
    ];
    for (format, wanted) in table {
        assert_eq!(line(format, &record()), wanted, "{format}");
        assert_eq!(format.parse::<Format>().unwrap().to_string(), format);
    }
}

#[test]
fn a_user_stands_in_the_place_of_an_address() {
    let user = ClientId::Uid(Uid::new(1000));
    let unix = Record { client: user, peer: user, pid: Some(4711), ..record() };
    assert!(timeless("combined", &unix).starts_with("uid:1000 - - T "));
    assert!(line("squid", &unix).contains(" uid:1000 TCP_MISS/200 "));
    assert!(line("json", &unix).contains("\"client\":\"uid:1000\",\"peer\":\"uid:1000\",\"pid\":4711,\"user\":"));
    assert_eq!(line("%a %{c}a %{pid}x", &unix), "uid:1000 uid:1000 4711");
    assert_eq!(line("%{pid}x", &record()), "-");
}

#[test]
fn numbers_and_addresses_are_whole() {
    for value in [0, 7, 10, 12_345_678_901, u64::MAX] {
        assert_eq!(line("%B", &Record { to_client: value, ..record() }), value.to_string());
    }
    for client in ["0.0.0.0", "10.200.3.255", "2001:db8::1"] {
        assert_eq!(line("%h", &Record { client: client.parse().unwrap(), ..record() }), client);
    }
}

#[test]
fn a_format_that_is_none_is_refused_with_its_place() {
    let unknown = |at, code: &str| FormatError::UnknownCode(at, code.into());
    let table = [
        ("", FormatError::NoFormat),
        ("Combined", FormatError::NoFormat),
        ("%h %", FormatError::Unfinished(4)),
        ("é%{origin", FormatError::Unfinished(2)),
        ("%{origin}", FormatError::Unfinished(1)),
        ("%h %z", unknown(4, "%z")),
        ("%S", unknown(1, "%S")),
        ("%>h", unknown(1, "%>h")),
        ("%{cookie}i", unknown(1, "%{cookie}i")),
        ("%é", unknown(1, "%é")),
        ("%{é}x", unknown(1, "%{é}x")),
    ];
    for (text, wanted) in table {
        assert_eq!(text.parse::<Format>(), Err(wanted), "{text}");
    }
    assert_eq!("%h".repeat(1000).parse::<Format>(), Err(FormatError::TooLong));
}

#[test]
fn a_line_is_bounded() {
    let target = vec![b'\n'; 8192];
    let long = Record { target: &target, ..record() };
    for format in [
        "combined".to_owned(),
        "json".into(),
        "ecs".into(),
        "squid".into(),
        "%U".repeat(100),
        "€".repeat(30_000) + "%m",
    ] {
        assert!(line(&format, &long).len() <= crate::logs::line::LINE_BYTES_MAX);
    }
}

#[test]
fn stamps_follow_the_second() {
    let (mut lines, mut out) = (AccessLines::new("json".parse().unwrap()), Vec::new());
    for ended in [1_234, 1_999, 2_000, 1_234] {
        lines.append(&mut out, &Record { ended, duration: 0, ..record() });
    }
    let out = String::from_utf8(out).unwrap();
    let times: Vec<&str> = out.split("\"time\":\"").skip(1).map(|rest| &rest[17..24]).collect();
    assert_eq!(times, ["01.234Z", "01.999Z", "02.000Z", "01.234Z"]);
}

#[test]
fn nothing_in_json_turns_the_text_around_that_is_shown_behind_it() {
    let user_agent = "a\u{202e}b\u{2066}c\u{200f}d\u{61c}\u{2027}".as_bytes();
    let json = line("json", &Record { user_agent, ..record() });
    assert!(json.contains("\"user_agent\":\"a\\u202eb\\u2066c\\u200fd\\u061c\u{2027}\""), "{json}");
}

#[test]
fn what_a_balancer_says_of_a_connection_stands_in_json() {
    let json = line("json", &Record { unique_id: b"id-\"7\xff", authority: b"a.example", ..record() });
    assert!(json.contains("\"unique_id\":\"id-\\\"7\u{fffd}\",\"authority\":\"a.example\","), "{json}");
    let json = line("json", &Record { authority: b"a.example", ..record() });
    assert!(json.contains("\"unique_id\":null,\"authority\":\"a.example\","), "{json}");
    assert!(!line("json", &record()).contains("unique_id"), "most have none");
}
