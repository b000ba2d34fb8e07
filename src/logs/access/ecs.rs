//! Lines in the Elastic Common Schema, version 8.11: an object in each, as docs/access-log-ecs.schema.json has it. What is not
//! known is left out. What ECS has no name for stands under `exaproxy`. Pure.

use memchr::{memchr, memchr2, memmem};

use super::escape::push_json;
use super::json::time;
use super::stamps::Stamps;
use super::values::{address, client, put};
use super::Record;
use crate::decimal::push_number;
use crate::peer::ClientId;

/// What stands in each line, behind its time.
const CONSTANT: &str = "\",\"ecs\":{\"version\":\"8.11.0\"},\"observer\":{\"product\":\"exaproxy\",\"type\":\"proxy\"},\
    \"event\":{\"kind\":\"event\",\"category\":[\"network\",\"web\"],\"dataset\":\"exaproxy.access\",\"type\":[\"access\"";

/// Appends a line.
pub(super) fn append(out: &mut Vec<u8>, record: &Record<'_>, stamps: &mut Stamps) {
    put(out, &["{\"@timestamp\":\""]);
    time(out, record.began(), stamps);
    event(out, record, stamps);
    peers(out, record);
    object(out, "user", |out| text(out, "name", record.user.unwrap_or_default().as_bytes()));
    object(out, "url", |out| url(out, record.target));
    match record.method {
        b"TLS" => put(out, &["\"network\":{\"protocol\":\"tls\"},"]),
        b"TCP" => {}
        _ => object(out, "http", |out| http(out, record)),
    }
    object(out, "user_agent", |out| text(out, "original", record.user_agent));
    object(out, "tls", |out| object(out, "client", |out| text(out, "server_name", record.sni)));
    object(out, "rule", |out| text(out, "name", record.list));
    object(out, "trace", |out| text(out, "id", record.trace));
    object(out, "exaproxy", |out| own(out, record));
    out.pop();
    out.push(b'}');
}

fn event(out: &mut Vec<u8>, record: &Record<'_>, stamps: &mut Stamps) {
    let sort = match record.decision {
        Some("DENY") => ",\"denied\"",
        Some("PERMIT" | "REWRITE" | "INTERCEPT") => ",\"allowed\"",
        _ => "",
    };
    let served = !record.cut && record.failure.is_none() && record.status.is_some_and(|status| status < 400);
    let outcome = if served { "success" } else { "failure" };
    put(out, &[CONSTANT, sort, "],\"outcome\":\"", outcome, "\",\"duration\":"]);
    push_number(out, record.duration.saturating_mul(1000));
    put(out, &[",\"end\":\""]);
    time(out, record.ended, stamps);
    put(out, &["\","]);
    text(out, "action", record.decision.unwrap_or_default().as_bytes());
    text(out, "reason", record.failure.unwrap_or_default().as_bytes());
    close(out);
}

/// Who asked, by what connection, and where it went.
fn peers(out: &mut Vec<u8>, record: &Record<'_>) {
    for (name, peer) in [("client", record.client), ("source", record.peer)] {
        put(out, &["\"", name, "\":{\"address\":\""]);
        client(out, peer);
        put(out, &["\","]);
        if let ClientId::Address(ip) = peer {
            put(out, &["\"ip\":\""]);
            address(out, ip);
            put(out, &["\","]);
        }
        close(out);
    }
    if let Some(origin) = record.origin {
        put(out, &["\"destination\":{\"address\":\""]);
        address(out, origin.ip());
        put(out, &["\",\"ip\":\""]);
        address(out, origin.ip());
        put(out, &["\",\"port\":"]);
        push_number(out, origin.port().into());
        put(out, &["},"]);
    }
}

/// Most bytes that a target takes of a line that is repeated in parts: what has to be escaped is six times as long there.
const MOST_REPEATED: usize = 16 * 1024;

/// A URL, or the `host:port` of a tunnel, as it is and in parts.
fn url(out: &mut Vec<u8>, target: &[u8]) {
    let start = out.len();
    text(out, "original", target);
    if out.len() - start > MOST_REPEATED {
        return;
    }
    let (scheme, rest) = match memmem::find(target, b"://") {
        Some(colon) if memchr(b'/', target) == Some(colon + 1) => (&target[..colon], &target[colon + 3..]),
        _ => (&b""[..], target),
    };
    let (authority, rest) = rest.split_at(memchr2(b'/', b'?', rest).unwrap_or(rest.len()));
    let host = match authority {
        [b'[', ..] => memchr(b']', authority).map(|end| end + 1),
        _ => memchr(b':', authority),
    };
    let (host, port) = authority.split_at(host.unwrap_or(authority.len()));
    let port = port.strip_prefix(b":").and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u16>().ok());
    let (path, query) = rest.split_at(memchr(b'?', rest).unwrap_or(rest.len()));
    text(out, "scheme", scheme);
    text(out, "domain", host);
    number(out, "port", port.map(u64::from));
    text(out, "path", path);
    text(out, "query", query.get(1..).unwrap_or_default());
}

fn http(out: &mut Vec<u8>, record: &Record<'_>) {
    text(out, "version", record.version.unwrap_or_default().as_bytes());
    object(out, "request", |out| {
        text(out, "method", record.method);
        text(out, "referrer", record.referer);
        number(out, "bytes", Some(record.to_origin));
    });
    object(out, "response", |out| {
        number(out, "status_code", record.status.map(u64::from));
        text(out, "mime_type", record.media);
        number(out, "bytes", Some(record.to_client));
    });
}

fn own(out: &mut Vec<u8>, record: &Record<'_>) {
    number(out, "pid", record.pid.map(u64::from));
    number(out, "decide_ms", record.decide);
    number(out, "resolve_ms", record.resolve);
    number(out, "connect_ms", record.connect);
    text(out, "cache", record.cache.map_or("", |(own, _)| own).as_bytes());
    text(out, "alpn", record.alpn);
    text(out, "unique_id", record.unique_id);
    text(out, "authority", record.authority);
    for (name, holds) in [("ech", record.ech), ("parent", record.parent), ("cut", record.cut)] {
        if holds {
            put(out, &["\"", name, "\":true,"]);
        }
    }
}

/// An object with what `fill` puts there; none at all if that is nothing. Each member ends with a comma, that of the last one
/// makes room for the brace.
fn object(out: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Vec<u8>)) {
    let before = out.len();
    put(out, &["\"", name, "\":{"]);
    let empty = out.len();
    fill(out);
    match out.len() == empty {
        true => out.truncate(before),
        false => close(out),
    }
}

fn close(out: &mut Vec<u8>) {
    out.pop();
    put(out, &["},"]);
}

fn text(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    if !value.is_empty() {
        put(out, &["\"", name, "\":"]);
        push_json(out, value);
        out.push(b',');
    }
}

fn number(out: &mut Vec<u8>, name: &str, value: Option<u64>) {
    if let Some(value) = value {
        put(out, &["\"", name, "\":"]);
        push_number(out, value);
        out.push(b',');
    }
}
