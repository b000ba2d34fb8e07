//! Lines of the logs: what clients, origins, balancers and helpers say may neither end a line nor be taken for another field of it,
//! and can be read back.

use std::time::Duration;

use super::{outcome, rough};
use exaproxy::logs::access::{AccessLines, Format, Record};
use exaproxy::logs::usage::{self, Usage};
use exaproxy::logs::{Prefix, Word};
use exaproxy::peer::{ClientId, Uid};
use serde_json::Value;

/// Texts of a request with zeros between: method, target, agent, referrer, media type, list, name and protocols of a hello, what a
/// balancer says, user.
pub(super) const RECORDS: &[&[u8]] = &[
    b"GET\0http://a.example:81/p?q\0curl/8\0http://r/\0text/html\0/l:7\0\0\0id\0b.example\0jane",
    b"CONNECT\0[2001:db8::1]:443\0\" 200 1 \"\r\nx\0\\\0a/b\0\0a\0h2,http/1.1\0\0\0a b",
    b"\0/x\xff\xc3\xa9\xe2\x80\xa8\0\t\x1b[2J\0%h\0\0\0\0\0\0\0\xe2\x80\xae",
];

pub(super) const FORMATS: &[&[u8]] = &[
    b"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\"",
    b"%a|%{c}a|%{pid}x|%{sec}t%{msec}t %m %U %H %B %O %I %T %{ms}T %D %{content-type}o",
    b"ecs",
    b"%{origin}x %{decision}x %{failure}x %{list}x %{sni}x %{alpn}x %{cache}x %{trace-id}x \xc3\xa9 %%",
];

pub(super) const DECISIONS: &[&[u8]] =
    &[b"GET\0a.example:81/p?q=1\0a.example\0jane", b"GET\0a b\nc\0CONNECT NOT ALLOWED\0\xe2\x80\xae \x1b[2J"];

fn record<'a>(parts: &[&'a [u8]], user: &'a str, number: u64) -> Record<'a> {
    let part = |place: usize| parts.get(place).copied().unwrap_or_default();
    let odd = number % 2 == 1;
    let address: ClientId = "192.0.2.1".parse().expect("an address");
    Record {
        client: if odd { ClientId::Uid(Uid::new(1000)) } else { address },
        peer: address,
        pid: odd.then_some(7),
        user: Some(user).filter(|user| !user.is_empty()),
        method: part(0),
        target: part(1),
        version: Some("1.1").filter(|_| odd),
        status: Some(200).filter(|_| odd),
        media: part(4),
        to_client: number,
        to_origin: number.wrapping_mul(7),
        ended: number,
        duration: number.wrapping_mul(3),
        decide: Some(number).filter(|_| odd),
        resolve: None,
        connect: None,
        origin: odd.then(|| ([192, 0, 2, 7], number as u16).into()),
        parent: odd,
        decision: Some("DENY").filter(|_| odd),
        failure: Some("blocked").filter(|_| odd),
        list: part(5),
        unique_id: part(8),
        authority: part(9),
        sni: part(6),
        alpn: part(7),
        ech: odd,
        cache: None,
        cut: odd,
        user_agent: part(2),
        referer: part(3),
        trace: b"",
    }
}

fn line(format: &str, record: &Record<'_>) -> String {
    let mut out = b"before".to_vec();
    AccessLines::new(format.parse().expect("a format")).append(&mut out, record);
    let line = String::from_utf8(out).expect("a line is text");
    let line = line.strip_prefix("before").expect("what was there stays").to_owned();
    let misleads = |character: char| character.is_control() || "\u{2028}\u{2029}\u{202e}\u{2066}".contains(character);
    assert!(!line.contains(misleads), "{line}");
    line
}

/// The quoted texts of a line, as their sender wrote them.
fn quoted(line: &str) -> Vec<Vec<u8>> {
    let (mut texts, mut inside, mut bytes) = (Vec::new(), None::<Vec<u8>>, line.bytes());
    while let Some(byte) = bytes.next() {
        match (&mut inside, byte) {
            (None, b'"') => inside = Some(Vec::new()),
            // Between blanks a quote is text.
            (None, b'\\') => drop(bytes.next()),
            (None, _) => {}
            (Some(_), b'"') => texts.extend(inside.take()),
            (Some(text), b'\\') => match bytes.next() {
                Some(b'x') => {
                    let digits = [bytes.next(), bytes.next()].map(|digit| char::from(digit.expect("two digits")));
                    text.push(u8::from_str_radix(&digits.iter().collect::<String>(), 16).expect("hexadecimal"));
                }
                other => text.push(other.expect("a byte behind the backslash")),
            },
            (Some(text), other) => text.push(other),
        }
    }
    assert_eq!(inside, None, "{line}");
    texts
}

/// Longest input that is looked at, in bytes. What is longer was cut before it comes to a line.
const LONGEST: usize = 4 * 1024;

pub(super) fn access(bytes: &[u8]) -> u64 {
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    let parts: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    let number = bytes.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    let user = String::from_utf8_lossy(parts.get(10).copied().unwrap_or_default());
    let record = record(&parts, &user, number);
    let or_dash = |text: &[u8]| if text.is_empty() { b"-".to_vec() } else { text.to_vec() };
    let combined = line("combined", &record);
    let [request, referer, agent] = quoted(&combined).try_into().expect("three quoted texts");
    assert_eq!((referer, agent), (or_dash(record.referer), or_dash(record.user_agent)), "{combined}");
    if !record.method.is_empty() {
        assert!(request.starts_with(record.method), "{combined}");
    }
    assert!(combined.starts_with(&line("common", &record)), "{combined}");
    let squid = line("squid", &record);
    let fields = squid.split(' ').filter(|field| !field.is_empty()).count();
    assert_eq!(fields, 10 + usize::from(!record.list.is_empty()), "{squid}");
    let said = |value: &Value, text: &[u8], what: &str| {
        let wanted = Some(String::from_utf8_lossy(text)).filter(|text| !text.is_empty());
        assert_eq!(value.as_str(), wanted.as_deref(), "{what}");
    };
    let json = line("json", &record);
    let value: Value = serde_json::from_str(&json).expect("JSON");
    let texts = [("method", record.method), ("target", record.target), ("user_agent", record.user_agent)];
    let more = [("referer", record.referer), ("media", record.media), ("list", record.list), ("sni", record.sni)];
    texts.into_iter().chain(more).for_each(|(key, text)| said(&value[key], text, &json));
    let ecs = line("ecs", &record);
    let value: Value = serde_json::from_str(&ecs).expect("JSON");
    said(&value["url"]["original"], record.target, &ecs);
    said(&value["user_agent"]["original"], record.user_agent, &ecs);
    said(&value["rule"]["name"], record.list, &ecs);
    said(&value["user"]["name"], user.as_bytes(), &ecs);
    assert_eq!(value["ecs"]["version"], "8.11.0");
    outcome((rough(combined.len()), rough(ecs.len()), value["url"].as_object().map(|parts| parts.len())))
}

pub(super) fn format(bytes: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(&bytes[..bytes.len().min(LONGEST)]) else { return 0 };
    let Ok(format) = text.parse::<Format>() else { return 1 };
    assert_eq!(format.to_string(), text);
    let mut lengths = Vec::new();
    for (seed, number) in RECORDS.iter().zip(0..) {
        let parts: Vec<&[u8]> = seed.split(|byte| *byte == 0).collect();
        let mut out = Vec::new();
        AccessLines::new(format.clone()).append(&mut out, &record(&parts, "jane", number));
        assert!(out.len() <= 64 * 1024 && std::str::from_utf8(&out).is_ok());
        // What the format itself says stands there as it is.
        assert!(text.contains('\n') || !out.contains(&b'\n'));
        lengths.push(rough(out.len()));
    }
    outcome((format.named().referer, format.named().trace, lengths))
}

pub(super) fn decision(bytes: &[u8]) -> u64 {
    let texts: Vec<_> = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    let text = |place: usize| texts.get(place).map_or("", |text| text);
    let usage = Usage {
        connection: 2,
        port: 3128,
        client: "192.0.2.1".parse().expect("an address"),
        user: Some(text(3)).filter(|user| !user.is_empty()),
        method: "GET",
        url: text(1),
        word: Word::Deny,
        detail: text(2),
    };
    let mut line = String::new();
    let since = Duration::from_millis(1_795_222_955_519);
    usage::append(&mut line, &Prefix::new("ExaProxy", 7), ("2026-11-21 01:02:35", since), &usage);
    let line = line.strip_suffix('\n').expect("an end");
    let misleads = |character: char| character.is_control() || "\u{2028}\u{2029}\u{202e}\u{2066}".contains(character);
    assert!(!line.contains(misleads), "{line}");
    let fields: Vec<&str> = line.split_whitespace().collect();
    let begin = ["ExaProxy", "7", "usage", "2026-11-21", "01:02:35", "1795222955.51", "2", "3128", "192.0.2.1", "GET"];
    assert_eq!(fields[..begin.len()], begin);
    // Neither URL nor user makes two fields of one, but for a line that was cut.
    let whole = !line.ends_with("...") && !usage.url.is_empty();
    if whole {
        assert!(fields[begin.len() + 1].starts_with("DENY/"), "{line}");
    }
    outcome((whole, usage.user.is_some(), rough(line.len())))
}
