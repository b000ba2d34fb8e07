//! From the bytes of a head to a [`Request`]: what the parser found, judged by the rules of RFC 9112.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::Request;
use crate::http::caching::Caching;
use crate::http::chunked::{ChunkScan, ChunkSender, Mode};
use crate::http::diagnose::diagnose_request;
use crate::http::fault::Fault;
use crate::http::fields::{Coding, Connection, FieldKind, Fields, LengthError, MAX_FIELDS};
use crate::http::first_bytes::MAX_METHOD;
use crate::http::framing::Framing;
use crate::http::head::oversized;
use crate::http::protocol::OtherProtocol;
use crate::http::reread;
use crate::http::rules::Rules;
use crate::http::syntax::{decimal, elements, offset_in};
use crate::http::target::{locate, Path, Schemes};
use crate::http::{Method, Version};

impl Request {
    /// Parses a whole head, from the first byte of the request line to the blank line, as [`super::head::HeadScan`]
    /// finds it.
    pub fn parse(head: &[u8], rules: &Rules) -> Result<Box<Request>, Fault> {
        Request::parse_for(None, head, rules, Schemes::Http)
    }

    /// The same for a request that came within ICAP, whose target may be of any scheme: its client connects to the server.
    pub fn parse_encapsulated(head: &[u8], rules: &Rules) -> Result<Box<Request>, Fault> {
        Request::parse_for(None, head, rules, Schemes::Any)
    }

    /// The same for what is to stand in place of this request.
    pub fn parse_like(&self, head: &[u8], rules: &Rules) -> Result<Box<Request>, Fault> {
        Request::parse_for(None, head, rules, if self.encapsulated { Schemes::Any } else { Schemes::Http })
    }

    /// The same for a request to this program itself, which need not say so in a Host field: the monitor of the original
    /// is asked without one.
    pub fn parse_own(head: &[u8], rules: &Rules) -> Result<Box<Request>, Fault> {
        Request::parse_for(Some(b"localhost"), head, rules, Schemes::Http)
    }

    /// The same for a request that names no host, on a connection that was going to this `host:port`, which is its target then.
    /// One of HTTP/1.1 has to name its host (RFC 9112 section 3.2).
    pub fn parse_diverted(host: &[u8], head: &[u8], rules: &Rules) -> Result<Box<Request>, Fault> {
        let request = Request::parse_for(Some(host), head, rules, Schemes::Http)?;
        match request.version {
            Version::Http10 => Ok(request),
            Version::Http11 => Err(Fault::NoHost),
        }
    }

    fn parse_for<'h>(
        host: Option<&'h [u8]>,
        head: &'h [u8],
        rules: &Rules,
        schemes: Schemes,
    ) -> Result<Box<Request>, Fault> {
        let limit = rules.max_head();
        if head.len() > limit {
            return Err(oversized(head, limit));
        }
        match Request::read(host, schemes, head, head, rules) {
            Err(Unread::Refused(error)) => match reread::request(head) {
                Some(copy) => Request::read(host, schemes, head, &copy, rules).map_err(|unread| unread.fault(head)),
                None => Err(diagnose_request(head, error)),
            },
            result => result.map_err(|unread| unread.fault(head)),
        }
    }

    /// Reads `text`, which is the head or a copy of it, and takes what it says from the head.
    fn read(
        host: Option<&[u8]>,
        schemes: Schemes,
        head: &[u8],
        text: &[u8],
        rules: &Rules,
    ) -> Result<Box<Request>, Unread> {
        let mut storage = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(text, &mut storage) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Ok(_) => return Err(Unread::Fault(Fault::BadLine)),
            Err(error) => return Err(Unread::Refused(error)),
        }
        let httparse::Request { method: Some(method), path: Some(target), version: Some(minor), headers } = parsed
        else {
            return Err(Unread::Fault(Fault::BadLine));
        };
        // The parser skips blank lines in front; the caller should have, and these places rely on it.
        let target_at = method.len() + 1;
        let found = text.starts_with(method.as_bytes()) && offset_in(text, target.as_bytes()) == target_at;
        let Some(target) = head.get(target_at..target_at + target.len()).filter(|_| found) else {
            return Err(Unread::Fault(Fault::BadLine));
        };
        let fields = Fields::of(text, headers, false).map_err(|_| Unread::Fault(Fault::TooManyFields))?;
        let method = &head[..method.len()];
        Parts { head, method, target, version: Version::from_minor(minor), host, schemes }
            .judge(fields, rules)
            .map_err(Unread::Fault)
    }
}

/// Why a head was not read.
enum Unread {
    /// The parser refuses it.
    Refused(httparse::Error),
    /// It breaks a rule that the parser does not know.
    Fault(Fault),
}

impl Unread {
    fn fault(self, head: &[u8]) -> Fault {
        match self {
            Unread::Refused(error) => diagnose_request(head, error),
            Unread::Fault(fault) => fault,
        }
    }
}

/// What the parser found in the request line.
struct Parts<'h> {
    head: &'h [u8],
    method: &'h [u8],
    target: &'h [u8],
    version: Version,
    /// The host where no field names one.
    host: Option<&'h [u8]>,
    /// Those that its target may have.
    schemes: Schemes,
}

impl Parts<'_> {
    fn judge(&self, fields: Fields, rules: &Rules) -> Result<Box<Request>, Fault> {
        if self.method.len() > MAX_METHOD {
            return Err(Fault::MethodTooLong);
        }
        let method = Method::of(self.method);
        if method == Method::Extension {
            // A banner may have the form of a method.
            OtherProtocol::of(self.head).map_or(Ok(()), |protocol| Err(Fault::OtherProtocol(protocol)))?;
        }
        let host = one_host(&fields, self.head)?.filter(|host| !host.is_empty()).or(self.host);
        let (target, path) = locate(method, self.target, host, self.schemes)?;
        let (bytes, path) = self.own(path);
        let connection = fields.connection(self.head).map_err(|_| Fault::TooManyFields)?;
        let proxy_connection = fields.proxy_connection(self.head).map_err(|_| Fault::TooManyFields)?;
        Ok(Box::new(Request {
            head_len: self.head.len(),
            method,
            method_len: self.method.len() as u16,
            version: self.version,
            target,
            path,
            connection: connection.joined(proxy_connection),
            framing: self.frame(&fields, method, connection)?,
            upgrades: self.version == Version::Http11
                && connection.upgrades()
                && may_upgrade(&fields, self.head, rules),
            max_forwards: max_forwards(&fields, self.head, method),
            detour: None,
            content: Box::default(),
            user: None,
            renamed: false,
            asked: None,
            opaque: None,
            encapsulated: self.schemes == Schemes::Any,
            caching: Caching::default(),
            hop: None,
            fields,
            bytes,
        }))
    }

    /// How the content is framed (RFC 9112 sections 6.1 and 6.3). A head that two readers could frame differently is
    /// refused: the second would read a request out of the content of the first (RFC 9112 section 11.2).
    fn frame(&self, fields: &Fields, method: Method, connection: Connection) -> Result<Framing, Fault> {
        let length = fields.length(self.head).map_err(|error| match error {
            LengthError::Bad => Fault::BadLength,
            LengthError::Differ => Fault::LengthsDiffer,
        })?;
        let chunks = ChunkScan::new(Mode::Relay, ChunkSender::Client);
        let framing = match (fields.coding(self.head), length) {
            (Coding::Absent, None) => Framing::Empty,
            (Coding::Absent, Some(length)) => Framing::Sized(length),
            (_, Some(_)) => return Err(Fault::LengthAndCoding),
            (_, None) if self.version == Version::Http10 => return Err(Fault::CodingTooOld),
            (Coding::Chunked, None) if connection.nominates() => {
                Framing::Chunked(chunks.without(fields.nominated(self.head)))
            }
            (Coding::Chunked, None) => Framing::Chunked(chunks),
            (Coding::UnknownThenChunked, None) => return Err(Fault::UnknownCoding),
            (_, None) => return Err(Fault::BadCoding),
        };
        if matches!(method, Method::Connect | Method::Trace) && !framing.is_done() {
            return Err(Fault::BodyForbidden);
        }
        Ok(framing)
    }

    /// Copies the head, and finds or makes up the path in the copy.
    fn own(&self, path: Path) -> (Vec<u8>, Range<usize>) {
        let target_at = self.method.len() + 1;
        let made_up: &[&[u8]] = match &path {
            Path::Given(range) => {
                return (self.head.to_vec(), target_at + range.start..target_at + range.end);
            }
            Path::Slash(range) => &[b"/", &self.target[range.clone()]],
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
