//! From a record to its line, in each of the forms. Reads no clock, but the zone of this machine. A line has no end here.

use std::fmt::Display;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use chrono::{DateTime, Local, Utc};

use super::escape::{push, push_json, push_url, Escaping};
use super::format::{Code, Format, LineLayout, Piece, TimeUnit};
use super::Record;
use crate::logs::line::LINE_BYTES_MAX;
use crate::peer::ClientId;

/// Stands for the status of a client that got none, as in the logs of nginx: analysers know it.
const GOT_NONE: u16 = 499;

/// Times as text, made anew only when the second is another one.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    local: Option<(u64, String)>,
    utc: Option<(u64, String)>,
}

impl Stamps {
    /// `[21/Nov/2026:01:02:35 +0100]`
    fn local(&mut self, seconds: u64) -> &str {
        stamp(&mut self.local, seconds, |time| time.with_timezone(&Local).format("[%d/%b/%Y:%H:%M:%S %z]").to_string())
    }

    /// `2026-11-21T00:02:35`
    fn utc(&mut self, seconds: u64) -> &str {
        stamp(&mut self.utc, seconds, |time| time.format("%Y-%m-%dT%H:%M:%S").to_string())
    }
}

fn stamp(cached: &mut Option<(u64, String)>, seconds: u64, format: impl Fn(DateTime<Utc>) -> String) -> &str {
    if cached.as_ref().is_none_or(|(cached, _)| *cached != seconds) {
        *cached = None;
    }
    let (_, text) = cached.get_or_insert_with(|| {
        let time = i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        (seconds, format(time.unwrap_or_default()))
    });
    text
}

/// Appends the line of a record.
pub(super) fn append(out: &mut Vec<u8>, format: &Format, record: &Record<'_>, stamps: &mut Stamps) {
    match &format.form {
        LineLayout::Squid => squid(out, record),
        LineLayout::Json => json(out, record, stamps),
        LineLayout::Pieces(pieces) => {
            for piece in pieces {
                match piece {
                    Piece::Text(text) => put(out, &[text]),
                    Piece::Code(code, place) => value(out, *code, *place, record, stamps),
                }
            }
            cut(out);
        }
    }
}

/// Cuts what is too long, as only a format can make it that repeats codes, and leaves no half of a character of its texts.
fn cut(line: &mut Vec<u8>) {
    let continues = |at: usize| line.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    if line.len() > LINE_BYTES_MAX {
        let end = (0..=LINE_BYTES_MAX).rev().find(|at| !continues(*at));
        line.truncate(end.unwrap_or(0));
    }
}

fn value(out: &mut Vec<u8>, code: Code, place: Escaping, record: &Record<'_>, stamps: &mut Stamps) {
    match code {
        Code::Client => client(out, record.client),
        Code::Peer => client(out, record.peer),
        Code::Pid => or_dash(out, record.pid.map(u64::from), digits),
        Code::Nobody => out.push(b'-'),
        Code::User => push(out, record.user.unwrap_or_default().as_bytes(), place),
        Code::Time => put(out, &[stamps.local(record.began() / 1000)]),
        Code::Began(unit) => digits(out, in_unit(record.began().saturating_mul(1000), unit)),
        Code::Line => request_line(out, record),
        Code::Method => push(out, record.method, place),
        Code::Target => push(out, record.target, place),
        Code::Protocol => protocol(out, record),
        Code::Status => digits(out, u64::from(record.status.unwrap_or(GOT_NONE))),
        Code::ToClientOrDash if record.to_client == 0 => out.push(b'-'),
        Code::ToClientOrDash | Code::ToClient => digits(out, record.to_client),
        Code::ToOrigin => digits(out, record.to_origin),
        Code::Duration(unit) => digits(out, in_unit(record.duration, unit)),
        Code::UserAgent => push(out, record.user_agent, place),
        Code::Referer => push(out, record.referer, place),
        Code::Media => push(out, record.media, place),
        Code::Origin => or_dash(out, record.origin, socket),
        Code::Decision => put(out, &[record.decision.unwrap_or("-")]),
        Code::Failure => put(out, &[record.failure.unwrap_or("-")]),
        Code::List => push(out, record.list, place),
        Code::Sni => push(out, record.sni, place),
        Code::Alpn => push(out, record.alpn, place),
        Code::Cache => put(out, &[record.cache.map_or("-", |(own, _)| own)]),
        Code::Decide => or_dash(out, record.decide, digits),
        Code::Resolve => or_dash(out, record.resolve, digits),
        Code::Connect => or_dash(out, record.connect, digits),
    }
}

fn in_unit(micros: u64, unit: TimeUnit) -> u64 {
    match unit {
        TimeUnit::Seconds => micros / 1_000_000,
        TimeUnit::Milliseconds => micros / 1000,
        TimeUnit::Microseconds => micros,
    }
}

/// The request line as it would be written to a proxy; a dash where there was none to be read.
fn request_line(out: &mut Vec<u8>, record: &Record<'_>) {
    if record.method.is_empty() {
        return out.push(b'-');
    }
    push(out, record.method, Escaping::Bare);
    out.push(b' ');
    push(out, record.target, Escaping::Bare);
    out.push(b' ');
    protocol(out, record);
}

fn protocol(out: &mut Vec<u8>, record: &Record<'_>) {
    match record.version {
        Some(version) => put(out, &["HTTP/", version]),
        None => out.push(b'-'),
    }
}

/// Squid's own form: end of the request, milliseconds, client, result and status, bytes, method, URL, user, way and
/// origin, media type; behind it what Squid does not know, the entry of a list, as it puts heads there by `log_mime_hdrs`.
fn squid(out: &mut Vec<u8>, record: &Record<'_>) {
    digits(out, record.ended / 1000);
    out.push(b'.');
    padded(out, record.ended % 1000, 3, b'0');
    out.push(b' ');
    padded(out, record.duration / 1000, 6, b' ');
    out.push(b' ');
    client(out, record.client);
    put(out, &[" ", result(record), if record.cut { "_ABORTED/" } else { "/" }]);
    padded(out, u64::from(record.status.unwrap_or(0)), 3, b'0');
    out.push(b' ');
    digits(out, record.to_client);
    out.push(b' ');
    match record.method.is_empty() {
        true => put(out, &["NONE error:invalid-request"]),
        false => {
            push_url(out, record.method);
            out.push(b' ');
            push_url(out, record.target);
        }
    }
    out.push(b' ');
    push_url(out, record.user.unwrap_or_default().as_bytes());
    match record.origin {
        Some(origin) => {
            put(out, &[if record.parent { " FIRSTUP_PARENT/" } else { " HIER_DIRECT/" }]);
            address(out, origin.ip());
        }
        None => put(out, &[" HIER_NONE/-"]),
    }
    out.push(b' ');
    push_url(out, record.media);
    if !record.list.is_empty() {
        out.push(b' ');
        push_url(out, record.list);
    }
}

/// Squid's word for what became of a request.
fn result(record: &Record<'_>) -> &'static str {
    match record.decision {
        _ if record.method.is_empty() => "NONE_NONE",
        Some("DENY") => "TCP_DENIED",
        Some("REDIRECT") => "TCP_REDIRECT",
        Some("ERROR" | "FILE" | "LOCAL") => "NONE_NONE",
        _ if matches!(record.method, b"CONNECT" | b"TLS" | b"TCP") => "TCP_TUNNEL",
        _ => record.cache.map_or("TCP_MISS", |(_, squid)| squid),
    }
}

/// An object in one line, as docs/access-log.schema.json has it; what is not known is null.
fn json(out: &mut Vec<u8>, record: &Record<'_>, stamps: &mut Stamps) {
    let began = record.began();
    put(out, &["{\"schema\":1,\"time\":\"", stamps.utc(began / 1000), "."]);
    padded(out, began % 1000, 3, b'0');
    put(out, &["Z\",\"client\":\""]);
    client(out, record.client);
    put(out, &["\",\"peer\":\""]);
    client(out, record.peer);
    out.push(b'"');
    // Only behind a Unix socket.
    if let Some(pid) = record.pid {
        number(out, "pid", Some(pid.into()));
    }
    text(out, "user", record.user.unwrap_or_default().as_bytes());
    text(out, "method", record.method);
    text(out, "target", record.target);
    text(out, "version", record.version.unwrap_or_default().as_bytes());
    number(out, "status", record.status.map(u64::from));
    text(out, "media", record.media);
    number(out, "to_client", Some(record.to_client));
    number(out, "to_origin", Some(record.to_origin));
    number(out, "duration_ms", Some(record.duration / 1000));
    number(out, "decide_ms", record.decide);
    number(out, "resolve_ms", record.resolve);
    number(out, "connect_ms", record.connect);
    key(out, "origin");
    or_null(out, record.origin, |out, origin| {
        out.push(b'"');
        socket(out, origin);
        out.push(b'"');
    });
    text(out, "decision", record.decision.unwrap_or_default().as_bytes());
    text(out, "failure", record.failure.unwrap_or_default().as_bytes());
    text(out, "list", record.list);
    // Only where a balancer has said something: most have none.
    if !record.unique_id.is_empty() || !record.authority.is_empty() {
        text(out, "unique_id", record.unique_id);
        text(out, "authority", record.authority);
    }
    text(out, "sni", record.sni);
    text(out, "alpn", record.alpn);
    key(out, "ech");
    put(out, &[if record.ech { "true" } else { "false" }]);
    if let Some((own, _)) = record.cache {
        text(out, "cache", own.as_bytes());
    }
    text(out, "user_agent", record.user_agent);
    text(out, "referer", record.referer);
    out.push(b'}');
}

fn key(out: &mut Vec<u8>, name: &str) {
    put(out, &[",\"", name, "\":"]);
}

fn text(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    key(out, name);
    or_null(out, Some(value).filter(|value| !value.is_empty()), push_json);
}

fn number(out: &mut Vec<u8>, name: &str, value: Option<u64>) {
    key(out, name);
    or_null(out, value, digits);
}

fn or_null<T>(out: &mut Vec<u8>, value: Option<T>, show: impl Fn(&mut Vec<u8>, T)) {
    match value {
        Some(value) => show(out, value),
        None => put(out, &["null"]),
    }
}

fn or_dash<T>(out: &mut Vec<u8>, value: Option<T>, show: impl Fn(&mut Vec<u8>, T)) {
    match value {
        Some(value) => show(out, value),
        None => out.push(b'-'),
    }
}

/// Numbers and IPv4 addresses are written without the formatter, which takes several times as long.
fn digits(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// At least `width` characters, filled up at the left.
fn padded(out: &mut Vec<u8>, value: u64, width: usize, fill: u8) {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(value).as_bytes();
    (text.len()..width).for_each(|_| out.push(fill));
    out.extend_from_slice(text);
}

fn client(out: &mut Vec<u8>, client: ClientId) {
    match client {
        ClientId::Address(ip) => address(out, ip),
        ClientId::Uid(uid) => show(out, uid),
    }
}

fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                digits(out, u64::from(octet));
            }
        }
        IpAddr::V6(address) => show(out, address),
    }
}

fn socket(out: &mut Vec<u8>, socket: SocketAddr) {
    match socket {
        SocketAddr::V4(_) => {
            address(out, socket.ip());
            out.push(b':');
            digits(out, u64::from(socket.port()));
        }
        SocketAddr::V6(socket) => show(out, socket),
    }
}

fn show(out: &mut Vec<u8>, value: impl Display) {
    // Writing into a Vec cannot fail.
    let _ = write!(out, "{value}");
}

fn put(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}
