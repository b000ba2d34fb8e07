//! From a record to its line, in each of the forms. Reads no clock, but the zone of this machine. A line has no end here.

use std::fmt::{Display, Write};
use std::net::IpAddr;

use chrono::{DateTime, Local, Utc};

use super::escape::{push, push_json, push_url, Place};
use super::format::{Code, Form, Format, Piece, Unit};
use super::Record;
use crate::logs::line::{head_within, LINE_BYTES_MAX};

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
pub(super) fn append(out: &mut String, format: &Format, record: &Record<'_>, stamps: &mut Stamps) {
    match &format.form {
        Form::Squid => squid(out, record),
        Form::Json => json(out, record, stamps),
        Form::Pieces(pieces) => {
            for piece in pieces {
                match piece {
                    Piece::Text(text) => out.push_str(text),
                    Piece::Code(code, place) => value(out, *code, *place, record, stamps),
                }
            }
            // Only formats that repeat codes come here.
            let kept = head_within(out, LINE_BYTES_MAX).len();
            out.truncate(kept);
        }
    }
}

fn value(out: &mut String, code: Code, place: Place, record: &Record<'_>, stamps: &mut Stamps) {
    match code {
        Code::Client => address(out, record.client),
        Code::Peer => address(out, record.peer),
        Code::Nobody => out.push('-'),
        Code::User => push(out, record.user.unwrap_or_default().as_bytes(), place),
        Code::Time => out.push_str(stamps.local(record.began() / 1000)),
        Code::Began(unit) => show(out, in_unit(record.began(), unit)),
        Code::Line => request_line(out, record),
        Code::Method => push(out, record.method, place),
        Code::Target => push(out, record.target, place),
        Code::Protocol => protocol(out, record),
        Code::Status => digits(out, u64::from(record.status.unwrap_or(GOT_NONE))),
        Code::ToClientOrDash if record.to_client == 0 => out.push('-'),
        Code::ToClientOrDash | Code::ToClient => digits(out, record.to_client),
        Code::ToOrigin => digits(out, record.to_origin),
        Code::Duration(unit) => digits(out, in_unit(record.duration, unit)),
        Code::UserAgent => push(out, record.user_agent, place),
        Code::Referer => push(out, record.referer, place),
        Code::Media => push(out, record.media, place),
        Code::Origin => show_or_dash(out, record.origin),
        Code::Decision => show_or_dash(out, record.decision),
        Code::Failure => show_or_dash(out, record.failure),
        Code::Decide => show_or_dash(out, record.decide),
        Code::Resolve => show_or_dash(out, record.resolve),
        Code::Connect => show_or_dash(out, record.connect),
    }
}

fn in_unit(milliseconds: u64, unit: Unit) -> u64 {
    match unit {
        Unit::Seconds => milliseconds / 1000,
        Unit::Milliseconds => milliseconds,
        Unit::Microseconds => milliseconds.saturating_mul(1000),
    }
}

/// The request line as it would be written to a proxy; a dash where there was none to be read.
fn request_line(out: &mut String, record: &Record<'_>) {
    if record.method.is_empty() {
        return out.push('-');
    }
    push(out, record.method, Place::Bare);
    out.push(' ');
    push(out, record.target, Place::Bare);
    out.push(' ');
    protocol(out, record);
}

fn protocol(out: &mut String, record: &Record<'_>) {
    match record.version {
        Some(version) => out.extend(["HTTP/", version]),
        None => out.push('-'),
    }
}

/// Squid's own form: end of the request, milliseconds, client, result and status, bytes, method, URL, user, way and
/// origin, media type.
fn squid(out: &mut String, record: &Record<'_>) {
    digits(out, record.ended / 1000);
    out.push('.');
    padded(out, record.ended % 1000, 3, '0');
    out.push(' ');
    padded(out, record.duration, 6, ' ');
    out.push(' ');
    address(out, record.client);
    out.extend([" ", result(record), if record.cut { "_ABORTED/" } else { "/" }]);
    padded(out, u64::from(record.status.unwrap_or(0)), 3, '0');
    out.push(' ');
    digits(out, record.to_client);
    out.push(' ');
    match record.method.is_empty() {
        true => out.push_str("NONE error:invalid-request"),
        false => {
            push_url(out, record.method);
            out.push(' ');
            push_url(out, record.target);
        }
    }
    out.push(' ');
    push_url(out, record.user.unwrap_or_default().as_bytes());
    match record.origin {
        Some(origin) => {
            out.push_str(" HIER_DIRECT/");
            address(out, origin.ip());
            out.push(' ');
        }
        None => out.push_str(" HIER_NONE/- "),
    }
    push_url(out, record.media);
}

/// Squid's word for what became of a request.
fn result(record: &Record<'_>) -> &'static str {
    match record.decision {
        _ if record.method.is_empty() => "NONE_NONE",
        Some("DENY") => "TCP_DENIED",
        Some("REDIRECT") => "TCP_REDIRECT",
        Some("ERROR" | "FILE" | "LOCAL") => "NONE_NONE",
        _ if record.method == b"CONNECT" => "TCP_TUNNEL",
        _ => "TCP_MISS",
    }
}

/// An object in one line; what is not known is null.
fn json(out: &mut String, record: &Record<'_>, stamps: &mut Stamps) {
    let began = record.began();
    out.extend(["{\"time\":\"", stamps.utc(began / 1000)]);
    show(out, format_args!(".{:03}Z\"", began % 1000));
    show(out, format_args!(",\"client\":\"{}\",\"peer\":\"{}\"", record.client, record.peer));
    text(out, "user", record.user.unwrap_or_default().as_bytes());
    text(out, "method", record.method);
    text(out, "target", record.target);
    text(out, "version", record.version.unwrap_or_default().as_bytes());
    number(out, "status", record.status.map(u64::from));
    text(out, "media", record.media);
    number(out, "to_client", Some(record.to_client));
    number(out, "to_origin", Some(record.to_origin));
    number(out, "duration_ms", Some(record.duration));
    number(out, "decide_ms", record.decide);
    number(out, "resolve_ms", record.resolve);
    number(out, "connect_ms", record.connect);
    text(out, "origin", record.origin.map(|origin| origin.to_string()).unwrap_or_default().as_bytes());
    text(out, "decision", record.decision.unwrap_or_default().as_bytes());
    text(out, "failure", record.failure.unwrap_or_default().as_bytes());
    text(out, "user_agent", record.user_agent);
    text(out, "referer", record.referer);
    out.push('}');
}

fn text(out: &mut String, key: &str, value: &[u8]) {
    show(out, format_args!(",\"{key}\":"));
    match value {
        b"" => out.push_str("null"),
        value => push_json(out, value),
    }
}

fn number(out: &mut String, key: &str, value: Option<u64>) {
    match value {
        Some(value) => show(out, format_args!(",\"{key}\":{value}")),
        None => show(out, format_args!(",\"{key}\":null")),
    }
}

/// The usual kinds of numbers and addresses, without the formatter: it takes several times as long.
fn digits(out: &mut String, value: u64) {
    let mut text = [b'0'; 20];
    let (mut at, mut rest) = (text.len(), value);
    while at > 0 && (rest > 0 || at == text.len()) {
        at -= 1;
        // A remainder of ten is one digit.
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    // They are all digits.
    out.push_str(std::str::from_utf8(&text[at..]).unwrap_or_default());
}

/// At least `width` characters, filled up at the left.
fn padded(out: &mut String, value: u64, width: usize, fill: char) {
    let length = value.checked_ilog10().map_or(1, |log| log as usize + 1);
    (length..width).for_each(|_| out.push(fill));
    digits(out, value);
}

fn address(out: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                out.push_str(if place > 0 { "." } else { "" });
                digits(out, u64::from(octet));
            }
        }
        IpAddr::V6(address) => show(out, address),
    }
}

fn show(out: &mut String, value: impl Display) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}

fn show_or_dash(out: &mut String, value: Option<impl Display>) {
    match value {
        Some(value) => show(out, value),
        None => out.push('-'),
    }
}
