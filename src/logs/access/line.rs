//! From a record to its line, in each of the forms. A line has no end here.

use super::escape::{push, push_url, Escaping};
use super::format::{Code, Format, LineLayout, Piece, TimeUnit};
use super::stamps::Stamps;
use super::values::{address, client, padded, put, socket};
use super::{ecs, json, Record};
use crate::decimal::{push_first, push_number, push_three};
use crate::logs::line::LINE_BYTES_MAX;

/// Stands for the status of a client that got none, as in the logs of nginx: analysers know it.
const GOT_NONE: u16 = 499;

/// Appends the line of a record to what is there.
pub(super) fn append(out: &mut Vec<u8>, format: &Format, record: &Record<'_>, stamps: &mut Stamps) {
    match &format.form {
        LineLayout::Common => common(out, record, stamps),
        LineLayout::Combined => {
            common(out, record, stamps);
            out.extend_from_slice(b" \"");
            push(out, record.referer, Escaping::Quoted);
            out.extend_from_slice(b"\" \"");
            push(out, record.user_agent, Escaping::Quoted);
            out.push(b'"');
        }
        LineLayout::Squid => squid(out, record),
        LineLayout::Json => json::append(out, record, stamps),
        LineLayout::Ecs => ecs::append(out, record, stamps),
        LineLayout::Pieces(pieces) => {
            let start = out.len();
            for piece in pieces {
                match piece {
                    Piece::Short(text, length) => push_first(out, text, *length),
                    Piece::Text(text) => put(out, &[text]),
                    Piece::Code(code, place) => value(out, *code, *place, record, stamps),
                }
            }
            cut(out, start);
        }
    }
}

/// Cuts what is too long, as only a format can make it that repeats codes, and leaves no half of a character of its texts.
fn cut(out: &mut Vec<u8>, start: usize) {
    let most = start + LINE_BYTES_MAX;
    let continues = |at: usize| out.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    if out.len() > most {
        let end = (start..=most).rev().find(|at| !continues(*at));
        out.truncate(end.unwrap_or(start));
    }
}

fn value(out: &mut Vec<u8>, code: Code, place: Escaping, record: &Record<'_>, stamps: &mut Stamps) {
    match code {
        Code::Client => client(out, record.client),
        Code::Peer => client(out, record.peer),
        Code::Pid => or_dash(out, record.pid.map(u64::from), push_number),
        Code::User => push(out, record.user.unwrap_or_default().as_bytes(), place),
        Code::Time => put(out, &[stamps.local(record.began() / 1000)]),
        Code::Began(unit) => push_number(out, in_unit(record.began().saturating_mul(1000), unit)),
        Code::Line => request_line(out, record),
        Code::Method => method(out, record.method, |out, text| push(out, text, place)),
        Code::Target => push(out, record.target, place),
        Code::Protocol => protocol(out, record),
        Code::Status => push_three(out, record.status.unwrap_or(GOT_NONE)),
        Code::ToClientOrDash if record.to_client == 0 => out.push(b'-'),
        Code::ToClientOrDash | Code::ToClient => push_number(out, record.to_client),
        Code::ToOrigin => push_number(out, record.to_origin),
        Code::Duration(unit) => push_number(out, in_unit(record.duration, unit)),
        Code::UserAgent => push(out, record.user_agent, place),
        Code::Referer => push(out, record.referer, place),
        Code::Media => push(out, record.media, place),
        Code::Origin => or_dash(out, record.origin, socket),
        Code::Decision => put(out, &[record.decision.unwrap_or("-")]),
        Code::Failure => put(out, &[record.failure.unwrap_or("-")]),
        Code::List => push(out, record.list, place),
        Code::Sni => push(out, record.sni, place),
        Code::Alpn => push(out, record.alpn, place),
        Code::Trace => push(out, record.trace, place),
        Code::Cache => put(out, &[record.cache.map_or("-", |(own, _)| own)]),
        Code::Decide => or_dash(out, record.decide, push_number),
        Code::Resolve => or_dash(out, record.resolve, push_number),
        Code::Connect => or_dash(out, record.connect, push_number),
    }
}

fn in_unit(micros: u64, unit: TimeUnit) -> u64 {
    match unit {
        TimeUnit::Seconds => micros / 1_000_000,
        TimeUnit::Milliseconds => micros / 1000,
        TimeUnit::Microseconds => micros,
    }
}

/// `%h %l %u %t "%r" %>s %b`, without going through these codes one by one: it is the usual form.
fn common(out: &mut Vec<u8>, record: &Record<'_>, stamps: &mut Stamps) {
    client(out, record.client);
    out.extend_from_slice(b" - ");
    push(out, record.user.unwrap_or_default().as_bytes(), Escaping::Bare);
    out.push(b' ');
    out.extend_from_slice(stamps.local(record.began() / 1000).as_bytes());
    out.extend_from_slice(b" \"");
    request_line(out, record);
    out.extend_from_slice(b"\" ");
    push_three(out, record.status.unwrap_or(GOT_NONE));
    out.push(b' ');
    match record.to_client {
        0 => out.push(b'-'),
        bytes => push_number(out, bytes),
    }
}

/// The request line as it would be written to a proxy; a dash where there was none to be read.
fn request_line(out: &mut Vec<u8>, record: &Record<'_>) {
    if record.method.is_empty() {
        return out.push(b'-');
    }
    method(out, record.method, |out, text| push(out, text, Escaping::Bare));
    out.push(b' ');
    push(out, record.target, Escaping::Bare);
    out.push(b' ');
    protocol(out, record);
}

/// Nearly all are one of these, which need not be looked at byte by byte.
fn method(out: &mut Vec<u8>, method: &[u8], push: impl Fn(&mut Vec<u8>, &[u8])) {
    match method {
        b"GET" => out.extend_from_slice(b"GET"),
        b"POST" => out.extend_from_slice(b"POST"),
        b"CONNECT" => out.extend_from_slice(b"CONNECT"),
        other => push(out, other),
    }
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
    push_number(out, record.ended / 1000);
    out.push(b'.');
    padded(out, record.ended % 1000, 3, b'0');
    out.push(b' ');
    padded(out, record.duration / 1000, 6, b' ');
    out.push(b' ');
    client(out, record.client);
    put(out, &[" ", result(record), if record.cut { "_ABORTED/" } else { "/" }]);
    push_three(out, record.status.unwrap_or(0));
    out.push(b' ');
    push_number(out, record.to_client);
    out.push(b' ');
    match record.method.is_empty() {
        true => put(out, &["NONE error:invalid-request"]),
        false => {
            method(out, record.method, push_url);
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

fn or_dash<T>(out: &mut Vec<u8>, value: Option<T>, show: impl Fn(&mut Vec<u8>, T)) {
    match value {
        Some(value) => show(out, value),
        None => out.push(b'-'),
    }
}
