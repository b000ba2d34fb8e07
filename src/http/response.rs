//! A response head, parsed and judged. Knows what an origin may send, and repairs what can be repaired in one way only:
//! folded values, and blanks before a colon (RFC 9112 sections 5.1 and 5.2).
//!
//! A [`Response`] borrows its head and allocates nothing, unless there are very many fields: it is written out at once.

use std::mem::MaybeUninit;

use super::chunked::{ChunkScan, Mode, Side};
use super::diagnose::diagnose_response;
use super::fault::OriginFault;
use super::fields::{elements, Coding, Connection, Fields, Kind, LengthError, MAX_FIELDS};
use super::framing::Framing;
use super::request::is_private_scheme;
use super::{Method, Version};

/// A response whose head is complete and without fault.
#[derive(Clone, Debug)]
pub struct Response<'h> {
    head: &'h [u8],
    status: u16,
    reason: &'h [u8],
    version: Version,
    fields: Fields,
    connection: Connection,
    body: Body,
    length: Option<u64>,
    coded: bool,
}

/// How the body is framed, before it is known who will read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    None,
    Sized(u64),
    Chunked,
    UntilClose,
}

impl<'h> Response<'h> {
    /// Parses a whole head, from the first byte of the status line to the blank line, as the answer to a request of the
    /// method `to`.
    pub fn parse(head: &'h [u8], to: Method) -> Result<Response<'h>, OriginFault> {
        let mut storage = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut parsed = httparse::Response::new(&mut []);
        let result = lenient().parse_response_with_uninit_headers(&mut parsed, head, &mut storage);
        match result.map_err(|error| diagnose_response(head, error))? {
            httparse::Status::Complete(length) if length == head.len() && head.starts_with(b"HTTP/") => {}
            _ => return Err(OriginFault::NotHttp),
        }
        let (Some(status @ 100..), Some(minor)) = (parsed.code, parsed.version) else {
            return Err(OriginFault::NotHttp);
        };
        let version = Version::from_minor(minor);
        let fields = Fields::of(head, parsed.headers).map_err(|_| OriginFault::TooManyFields)?;
        let length = agreed_length(&fields, head)?;
        let body = frame(&fields, head, to, status, length)?;
        Ok(Response {
            head,
            status,
            reason: reason_of(head),
            version,
            connection: fields.connection(head).map_err(|_| OriginFault::TooManyFields)?,
            body,
            length,
            coded: fields.has(Kind::TransferEncoding),
            fields,
        })
    }

    /// The status, 100 to 999.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase as received, perhaps empty.
    pub fn reason(&self) -> &'h [u8] {
        self.reason
    }

    /// The version of the origin.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The head as received.
    pub fn raw(&self) -> &'h [u8] {
        self.head
    }

    /// All fields in order, names as received, values without the blanks around them. A folded value still has its line ends
    /// within.
    pub fn fields(&self) -> impl Iterator<Item = (&'h [u8], &'h [u8])> + '_ {
        self.fields.spans().iter().map(|span| (span.name(self.head), span.value(self.head)))
    }

    /// The value of the first field of that name, in any letter case.
    pub fn field(&self, name: &[u8]) -> Option<&'h [u8]> {
        self.fields.first(self.head, name)
    }

    /// How the body is framed, from its first byte on, for a client of that version: chunks are taken out for HTTP/1.0.
    pub fn framing(&self, client: Version) -> Framing {
        let mode = match client {
            Version::Http10 => Mode::Decode,
            Version::Http11 => Mode::Relay,
        };
        match self.body {
            Body::None => Framing::Empty,
            Body::Sized(length) => Framing::Sized(length),
            Body::Chunked => Framing::Chunked(ChunkScan::new(mode, Side::Origin)),
            Body::UntilClose => Framing::UntilClose,
        }
    }

    /// Whether the origin's connection may be used again once the body is complete (RFC 9112 section 9.3).
    ///
    /// Not after faulty framing either: Transfer-Encoding in HTTP/1.0 or together with Content-Length (section 6.1).
    pub fn keep_alive(&self) -> bool {
        let asked = self.version == Version::Http11 || self.connection.keep_alive;
        let faulty = self.coded && (self.version == Version::Http10 || self.fields.has(Kind::ContentLength));
        asked && !self.connection.close && !faulty && self.body != Body::UntilClose && self.status != 101
    }

    /// Whether more responses to the same request follow: a 1xx other than 101.
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// The protocol that the origin switches to, if this is a complete 101 (RFC 9110 section 15.2.2).
    ///
    /// Whether it was offered, [`super::request::Request::offers`] knows.
    pub fn upgrade(&self) -> Option<&'h [u8]> {
        let switches = self.status == 101 && self.version == Version::Http11 && self.connection.upgrade;
        let mut protocols = self.fields.spans().iter().filter(|span| span.kind == Kind::Upgrade);
        match (switches, protocols.next(), protocols.next()) {
            (true, Some(span), None) => Some(span.value(self.head)),
            _ => None,
        }
    }

    /// Whether the origin ties its connection to a user: it challenges with NTLM or Negotiate (RFC 4559 section 6).
    pub fn wants_private_connection(&self) -> bool {
        self.fields.values(self.head, Kind::WwwAuthenticate).flat_map(elements).any(is_private_scheme)
    }

    /// The Content-Length that the fields agree on; that of an answer to HEAD too, and of a 304.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    pub(crate) fn section(&self) -> &Fields {
        &self.fields
    }

    pub(crate) fn connection(&self) -> Connection {
        self.connection
    }

    pub(crate) fn is_chunked(&self) -> bool {
        self.body == Body::Chunked
    }
}

/// The parser, with the two liberties that an origin has.
fn lenient() -> httparse::ParserConfig {
    let mut config = httparse::ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(true);
    config.allow_spaces_after_header_name_in_responses(true);
    config
}

/// The text after the status; the parser hides phrases with bytes beyond ASCII.
fn reason_of(head: &[u8]) -> &[u8] {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    line.get("HTTP/1.1 200 ".len()..).unwrap_or_default()
}

/// The length, which counts for nothing beside a transfer coding (RFC 9112 section 6.3).
fn agreed_length(fields: &Fields, head: &[u8]) -> Result<Option<u64>, OriginFault> {
    if fields.has(Kind::TransferEncoding) {
        return Ok(None);
    }
    fields.length(head).map_err(|error| match error {
        LengthError::Bad => OriginFault::BadLength,
        LengthError::Differ => OriginFault::LengthsDiffer,
    })
}

/// How the body is framed, in the order of RFC 9112 section 6.3.
///
/// Chunks of an origin that calls itself HTTP/1.0 are read as chunks: that is what such origins send, and reading them until
/// the end of the connection would pass chunk lines on as content. `identity` is what old origins say for none.
fn frame(fields: &Fields, head: &[u8], to: Method, status: u16, length: Option<u64>) -> Result<Body, OriginFault> {
    let coding = fields.coding(head);
    if to == Method::Head || status < 200 || matches!(status, 204 | 304) {
        return Ok(Body::None);
    }
    match (coding, length) {
        (Coding::Absent, Some(length)) => Ok(Body::Sized(length)),
        (Coding::Absent | Coding::Identity, _) => Ok(Body::UntilClose),
        (Coding::Chunked, _) => Ok(Body::Chunked),
        (Coding::Malformed | Coding::ChunkedThenMore | Coding::Unknown, _) => Err(OriginFault::BadCoding),
    }
}
