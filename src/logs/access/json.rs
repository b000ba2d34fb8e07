//! Lines of JSON: an object in each, as docs/access-log.schema.json has it. What is not known is null. Pure.

use super::escape::push_json;
use super::stamps::Stamps;
use super::values::{client, padded, put, socket};
use super::Record;
use crate::decimal::push_number;

/// A key behind another value: text that is known when this is compiled, so that it is appended at once.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

pub(super) fn append(out: &mut Vec<u8>, record: &Record<'_>, stamps: &mut Stamps) {
    put(out, &["{\"schema\":1,\"time\":\""]);
    time(out, record.began(), stamps);
    put(out, &["\",\"client\":\""]);
    client(out, record.client);
    put(out, &["\",\"peer\":\""]);
    client(out, record.peer);
    out.push(b'"');
    // Only behind a Unix socket.
    if let Some(pid) = record.pid {
        number(out, key!("pid"), Some(pid.into()));
    }
    text(out, key!("user"), record.user.unwrap_or_default().as_bytes());
    text(out, key!("method"), record.method);
    text(out, key!("target"), record.target);
    text(out, key!("version"), record.version.unwrap_or_default().as_bytes());
    number(out, key!("status"), record.status.map(u64::from));
    text(out, key!("media"), record.media);
    number(out, key!("to_client"), Some(record.to_client));
    number(out, key!("to_origin"), Some(record.to_origin));
    number(out, key!("duration_ms"), Some(record.duration / 1000));
    number(out, key!("decide_ms"), record.decide);
    number(out, key!("resolve_ms"), record.resolve);
    number(out, key!("connect_ms"), record.connect);
    or_null(out, key!("origin"), record.origin, |out, origin| {
        out.push(b'"');
        socket(out, origin);
        out.push(b'"');
    });
    text(out, key!("decision"), record.decision.unwrap_or_default().as_bytes());
    text(out, key!("failure"), record.failure.unwrap_or_default().as_bytes());
    text(out, key!("list"), record.list);
    // Only where a balancer has said something: most have none.
    if !record.unique_id.is_empty() || !record.authority.is_empty() {
        text(out, key!("unique_id"), record.unique_id);
        text(out, key!("authority"), record.authority);
    }
    text(out, key!("sni"), record.sni);
    text(out, key!("alpn"), record.alpn);
    put(out, &[key!("ech"), if record.ech { "true" } else { "false" }]);
    if let Some((own, _)) = record.cache {
        text(out, key!("cache"), own.as_bytes());
    }
    // Only where the client takes part in tracing.
    if !record.trace.is_empty() {
        text(out, key!("trace_id"), record.trace);
    }
    text(out, key!("user_agent"), record.user_agent);
    text(out, key!("referer"), record.referer);
    out.push(b'}');
}

/// A moment, in milliseconds since 1970, as RFC 3339 has it.
pub(super) fn time(out: &mut Vec<u8>, moment: u64, stamps: &mut Stamps) {
    put(out, &[stamps.utc(moment / 1000), "."]);
    padded(out, moment % 1000, 3, b'0');
    out.push(b'Z');
}

fn text(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    or_null(out, key, Some(value).filter(|value| !value.is_empty()), push_json);
}

fn number(out: &mut Vec<u8>, key: &str, value: Option<u64>) {
    or_null(out, key, value, push_number);
}

fn or_null<T>(out: &mut Vec<u8>, key: &str, value: Option<T>, show: impl Fn(&mut Vec<u8>, T)) {
    put(out, &[key]);
    match value {
        Some(value) => show(out, value),
        None => put(out, &["null"]),
    }
}
