//! From the bytes of a head to a [`Request`]: what the parser found, judged by the rules of RFC 9112.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::Request;
use crate::http::chunked::{ChunkScan, ChunkSender, Mode};
use crate::http::diagnose::diagnose_request;
use crate::http::fault::Fault;
use crate::http::fields::{Coding, FieldKind, Fields, LengthError, MAX_FIELDS};
use crate::http::framing::Framing;
use crate::http::head::oversized;
use crate::http::rules::Rules;
use crate::http::syntax::{decimal, elements, offset_in};
use crate::http::target::{locate, Path};
use crate::http::{Method, Version};

/// Longest method, in bytes; the longest registered one has 17.
const MAX_METHOD: usize = 64;

impl Request {
    /// Parses a whole head, from the first byte of the request line to the blank line, as [`super::head::HeadScan`]
    /// finds it.
    pub fn parse(head: &[u8], rules: &Rules) -> Result<Request, Fault> {
        Request::parse_for(None, head, rules)
    }

    /// The same for a request to this program itself, which need not say so in a Host field: the monitor of the original
    /// is asked without one.
    pub fn parse_own(head: &[u8], rules: &Rules) -> Result<Request, Fault> {
        Request::parse_for(Some(b"localhost"), head, rules)
    }

    fn parse_for<'h>(host: Option<&'h [u8]>, head: &'h [u8], rules: &Rules) -> Result<Request, Fault> {
        let limit = rules.max_head();
        if head.len() > limit {
            return Err(oversized(head, limit));
        }
        let mut storage = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(head, &mut storage) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Ok(_) => return Err(Fault::BadLine),
            Err(error) => return Err(diagnose_request(head, error)),
        }
        match parsed {
            httparse::Request { method: Some(method), path: Some(target), version: Some(minor), headers } => {
                let parts = Parts { head, method, target, version: Version::from_minor(minor), host };
                parts.judge(headers, rules)
            }
            _ => Err(Fault::BadLine),
        }
    }
}

/// What the parser found in the request line.
struct Parts<'h> {
    head: &'h [u8],
    method: &'h str,
    target: &'h str,
    version: Version,
    /// The host where no field names one.
    host: Option<&'h [u8]>,
}

impl Parts<'_> {
    fn judge(&self, parsed: &[httparse::Header<'_>], rules: &Rules) -> Result<Request, Fault> {
        // The parser skips blank lines in front. The caller has skipped them already, and the offsets below rely on it.
        if !self.head.starts_with(self.method.as_bytes()) {
            return Err(Fault::BadLine);
        }
        if self.method.len() > MAX_METHOD {
            return Err(Fault::MethodTooLong);
        }
        let method = Method::of(self.method.as_bytes());
        let fields = Fields::of(self.head, parsed, false).map_err(|_| Fault::TooManyFields)?;
        let host = one_host(&fields, self.head)?.filter(|host| !host.is_empty()).or(self.host);
        let (target, path) = locate(method, self.target.as_bytes(), host)?;
        let (bytes, path) = self.own(path);
        let connection = fields.connection(self.head).map_err(|_| Fault::TooManyFields)?;
        let proxy_connection = fields.proxy_connection(self.head).map_err(|_| Fault::TooManyFields)?;
        Ok(Request {
            head_len: self.head.len(),
            method,
            method_len: self.method.len() as u16,
            version: self.version,
            target,
            path,
            connection: connection.joined(proxy_connection),
            framing: frame(&fields, self.head, method, self.version)?,
            upgrades: self.version == Version::Http11
                && connection.upgrades()
                && may_upgrade(&fields, self.head, rules),
            max_forwards: max_forwards(&fields, self.head, method),
            diverted: None,
            content: Box::default(),
            fields,
            bytes,
        })
    }

    /// Copies the head, and finds or makes up the path in the copy.
    fn own(&self, path: Path) -> (Vec<u8>, Range<usize>) {
        let target_at = offset_in(self.head, self.target.as_bytes());
        let made_up: &[&[u8]] = match &path {
            Path::Given(range) => {
                return (self.head.to_vec(), target_at + range.start..target_at + range.end);
            }
            Path::Slash(range) => &[b"/", &self.target.as_bytes()[range.clone()]],
            Path::Asterisk => &[b"*"],
        };
        let length = made_up.iter().map(|part| part.len()).sum::<usize>();
        let mut bytes = Vec::with_capacity(self.head.len() + length);
        bytes.extend_from_slice(self.head);
        made_up.iter().for_each(|part| bytes.extend_from_slice(part));
        (bytes, self.head.len()..self.head.len() + length)
    }
}

/// What Max-Forwards says, where it counts (RFC 9110 section 7.6.2).
fn max_forwards(fields: &Fields, head: &[u8], method: Method) -> Result<Option<u64>, Fault> {
    if !matches!(method, Method::Options | Method::Trace) {
        return Ok(None);
    }
    let mut values = fields.values(head, FieldKind::MaxForwards);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
            Ok(Some(decimal(value).unwrap_or(u64::MAX)))
        }
        _ => Err(Fault::BadMaxForwards),
    }
}

fn one_host<'h>(fields: &'h Fields, head: &'h [u8]) -> Result<Option<&'h [u8]>, Fault> {
    let mut hosts = fields.values(head, FieldKind::Host);
    let host = hosts.next();
    match hosts.next() {
        Some(_) => Err(Fault::ManyHosts),
        None => Ok(host),
    }
}

/// How the content is framed (RFC 9112 sections 6.1 and 6.3). A head that two readers could frame differently is refused:
/// the second would read a request out of the content of the first (RFC 9112 section 11.2).
fn frame(fields: &Fields, head: &[u8], method: Method, version: Version) -> Result<Framing, Fault> {
    let length = fields.length(head).map_err(|error| match error {
        LengthError::Bad => Fault::BadLength,
        LengthError::Differ => Fault::LengthsDiffer,
    })?;
    let framing = match (fields.coding(head), length) {
        (Coding::Absent, None) => Framing::Empty,
        (Coding::Absent, Some(length)) => Framing::Sized(length),
        (_, Some(_)) => return Err(Fault::LengthAndCoding),
        (_, None) if version == Version::Http10 => return Err(Fault::CodingTooOld),
        (Coding::Chunked, None) => Framing::Chunked(ChunkScan::new(Mode::Relay, ChunkSender::Client)),
        (Coding::Unknown | Coding::Identity, None) => return Err(Fault::UnknownCoding),
        (Coding::Malformed | Coding::ChunkedThenMore, None) => return Err(Fault::BadCoding),
    };
    if matches!(method, Method::Connect | Method::Trace) && !framing.is_done() {
        return Err(Fault::BodyForbidden);
    }
    Ok(framing)
}

/// Whether all the protocols offered are such that may be switched to.
///
/// `h2c` never is: a connection in HTTP/2 would carry requests past policy and helpers, and RFC 9113 section 3.1 has
/// dropped it.
fn may_upgrade(fields: &Fields, head: &[u8], rules: &Rules) -> bool {
    let allowed = |protocol: &[u8]| {
        let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
        let listed = rules.upgrades.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()));
        !name.eq_ignore_ascii_case(b"h2c") && (listed || rules.upgrades.is_empty())
    };
    let mut offers = fields.values(head, FieldKind::Upgrade).flat_map(elements).peekable();
    offers.peek().is_some() && offers.all(allowed)
}
