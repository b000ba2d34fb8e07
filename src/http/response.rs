//! A response head, parsed and judged. Knows what an origin may send, and repairs what can be repaired in one way only:
//! folded values, and blanks before a colon (RFC 9112 sections 5.1 and 5.2). What only the parser refuses is read again.
//!
//! A [`Response`] borrows its head and allocates nothing, unless there are very many fields: it is written out at once.

use std::mem::MaybeUninit;

use super::chunked::{ChunkScan, ChunkSender, Mode};
use super::diagnose::diagnose_response;
use super::fault::OriginFault;
use super::fields::{is_private_scheme, Coding, Connection, FieldKind, Fields, LengthError, MAX_FIELDS};
use super::framing::Framing;
use super::head::MAX_HEAD;
use super::reread;
use super::syntax::elements;
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

/// How the body is framed as received; a client of HTTP/1.0 gets chunked content decoded.
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
        if head.len() > MAX_HEAD {
            return Err(OriginFault::HeadTooLarge);
        }
        match Response::read(head, head, 0, to, Strictness::Strict) {
            Err(fault) => Response::read_again(head, to, fault),
            strict => strict,
        }
    }

    /// Reads a head that has this fault with the liberties of an origin.
    fn read_again(head: &'h [u8], to: Method, fault: OriginFault) -> Result<Response<'h>, OriginFault> {
        let lenient = match fault {
            OriginFault::BadField => Response::read(head, head, 0, to, Strictness::Lenient),
            fault => Err(fault),
        };
        match lenient {
            Err(fault @ (OriginFault::NotHttp | OriginFault::BadByte)) => match reread::response(head) {
                Some((copy, longer)) => Response::read(head, &copy, longer, to, Strictness::Lenient),
                None => Err(fault),
            },
            result => result,
        }
    }

    /// Reads `text`, which is the head or a copy of it that is `longer` at its front, and takes what it says from the head.
    fn read(
        head: &'h [u8],
        text: &[u8],
        longer: usize,
        to: Method,
        strictness: Strictness,
    ) -> Result<Response<'h>, OriginFault> {
        let mut storage = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut parsed = httparse::Response::new(&mut []);
        let result = strictness.parser().parse_response_with_uninit_headers(&mut parsed, text, &mut storage);
        match result.map_err(|error| diagnose_response(text, error))? {
            httparse::Status::Complete(length) if length == text.len() && text.starts_with(b"HTTP/") => {}
            _ => return Err(OriginFault::NotHttp),
        }
        let (Some(status @ 100..), Some(minor)) = (parsed.code, parsed.version) else {
            return Err(OriginFault::NotHttp);
        };
        let lenient = strictness == Strictness::Lenient;
        let fields = Fields::of(text, parsed.headers, lenient).map_err(|_| OriginFault::TooManyFields)?;
        let fields = if longer > 0 { fields.moved_back(longer) } else { fields };
        let length = agreed_length(&fields, head)?;
        let body = frame(&fields, head, to, status, length)?;
        Ok(Response {
            head,
            status,
            reason: reason_of(head, longer),
            version: Version::from_minor(minor),
            connection: fields.connection(head).map_err(|_| OriginFault::TooManyFields)?,
            body,
            length,
            coded: fields.has(FieldKind::TransferEncoding),
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

    /// All fields in order, names as received, values without the blanks around them. A folded value still has its line
    /// ends within.
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
            Body::Chunked => {
                let chunks = ChunkScan::new(mode, ChunkSender::Origin);
                Framing::Chunked(match self.connection.nominates() && mode == Mode::Relay {
                    true => chunks.without(self.fields.nominated(self.head)),
                    false => chunks,
                })
            }
            Body::UntilClose => Framing::UntilClose,
        }
    }

    /// Whether the origin's connection may be used again once the body is complete (RFC 9112 section 9.3).
    ///
    /// Not after faulty framing either: Transfer-Encoding in HTTP/1.0 or together with Content-Length (section 6.1), or
    /// a 204 that announces content, which some origins then send: the next exchange would take it for its response.
    pub fn keep_alive(&self) -> bool {
        let asked = self.version == Version::Http11 || self.connection.keeps_alive();
        let faulty = self.coded && (self.version == Version::Http10 || self.fields.has(FieldKind::ContentLength));
        let announced = self.coded || self.length.is_some_and(|length| length > 0);
        let faulty = faulty || self.status == 204 && announced;
        asked && !self.connection.closes() && !faulty && self.body != Body::UntilClose && self.status != 101
    }

    /// Whether more responses to the same request follow: a 1xx other than 101.
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// The protocol that the origin switches to, if this is a complete 101 (RFC 9110 section 15.2.2).
    ///
    /// [`super::request::Request::offers`] says whether the client offered it.
    pub fn upgrade(&self) -> Option<&'h [u8]> {
        let switches = self.status == 101 && self.version == Version::Http11 && self.connection.upgrades();
        let mut protocols = self.fields.spans().iter().filter(|span| span.kind == FieldKind::Upgrade);
        match (switches, protocols.next(), protocols.next()) {
            (true, Some(span), None) => Some(span.value(self.head)),
            _ => None,
        }
    }

    /// Whether the origin ties its connection to a user: it challenges with NTLM or Negotiate (RFC 4559 section 6).
    pub fn wants_private_connection(&self) -> bool {
        self.fields.values(self.head, FieldKind::WwwAuthenticate).flat_map(elements).any(is_private_scheme)
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

/// How a head is parsed: by the letter, or with the two liberties that an origin has. Few need them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strictness {
    Strict,
    Lenient,
}

impl Strictness {
    fn parser(self) -> httparse::ParserConfig {
        let mut config = httparse::ParserConfig::default();
        config.allow_obsolete_multiline_headers_in_responses(self == Strictness::Lenient);
        config.allow_spaces_after_header_name_in_responses(self == Strictness::Lenient);
        config
    }
}

/// The text after the status; the parser hides phrases with bytes beyond ASCII.
fn reason_of(head: &[u8], longer: usize) -> &[u8] {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    line.get("HTTP/1.1 200 ".len() - longer..).unwrap_or_default()
}

/// The length, which counts for nothing beside a transfer coding (RFC 9112 section 6.3).
fn agreed_length(fields: &Fields, head: &[u8]) -> Result<Option<u64>, OriginFault> {
    if fields.has(FieldKind::TransferEncoding) {
        return Ok(None);
    }
    fields.length(head).map_err(|error| match error {
        LengthError::Bad => OriginFault::BadLength,
        LengthError::Differ => OriginFault::LengthsDiffer,
    })
}

/// How the body is framed, in the order of RFC 9112 section 6.3.
///
/// Chunks of an origin that calls itself HTTP/1.0 are read as chunks: that is what such origins send, and reading them
/// until the end of the connection would pass chunk lines on as content. `identity` is what old origins say for none.
fn frame(fields: &Fields, head: &[u8], to: Method, status: u16, length: Option<u64>) -> Result<Body, OriginFault> {
    let coding = fields.coding(head);
    if to == Method::Head || status < 200 || matches!(status, 204 | 304) {
        return Ok(Body::None);
    }
    match (coding, length) {
        (Coding::Absent, Some(length)) => Ok(Body::Sized(length)),
        (Coding::Absent | Coding::Identity, _) => Ok(Body::UntilClose),
        (Coding::Chunked, _) => Ok(Body::Chunked),
        _ => Err(OriginFault::BadCoding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Response<'_> {
        Response::parse(text.as_bytes(), Method::Get).unwrap()
    }

    #[test]
    fn tells_what_it_was_given() {
        let text = "HTTP/1.0 404 Not\u{e4} here\r\nA:  b \r\n\r\n";
        let response = parse(text);
        assert_eq!((response.status(), response.version()), (404, Version::Http10));
        assert_eq!((response.reason(), response.raw()), ("Not\u{e4} here".as_bytes(), text.as_bytes()));
        assert_eq!((response.field(b"a"), response.fields().count()), (Some(&b"b"[..]), 1));
    }

    #[test]
    fn reasons_may_be_missing() {
        for line in ["HTTP/1.1 200", "HTTP/1.1 200 "] {
            for end in ["\r\n\r\n", "\n\n"] {
                assert_eq!(parse(&format!("{line}{end}")).reason(), b"");
            }
        }
        assert_eq!(parse("HTTP/1.1 999 x\r\n\r\n").status(), 999);
    }

    #[test]
    fn some_responses_have_no_body() {
        let table = [
            (Method::Head, 200, Framing::Empty),
            (Method::Get, 103, Framing::Empty),
            (Method::Get, 204, Framing::Empty),
            (Method::Get, 304, Framing::Empty),
            (Method::Get, 200, Framing::Sized(5)),
            (Method::Post, 404, Framing::Sized(5)),
        ];
        for (method, status, want) in table {
            let text = format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\n");
            let response = Response::parse(text.as_bytes(), method).unwrap();
            assert_eq!(response.framing(Version::Http11), want, "{method:?} {status}");
            assert_eq!(response.length(), Some(5));
        }
    }

    #[test]
    fn an_unknown_length_ends_with_the_connection() {
        for lines in ["", "Transfer-Encoding: identity\r\n", "Transfer-Encoding: identity\r\nContent-Length: 5\r\n"] {
            let text = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
            let response = parse(&text);
            assert_eq!(response.framing(Version::Http11), Framing::UntilClose, "{lines}");
            assert!(!response.keep_alive());
        }
    }

    #[test]
    fn origins_are_kept_only_when_all_is_well() {
        let table = [
            ("HTTP/1.1", "Content-Length: 0\r\n", true),
            ("HTTP/1.1", "Content-Length: 0\r\nConnection: x, close\r\n", false),
            ("HTTP/1.1", "Transfer-Encoding: chunked\r\n", true),
            ("HTTP/1.1", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", false),
            ("HTTP/1.0", "Content-Length: 0\r\n", false),
            ("HTTP/1.0", "Content-Length: 0\r\nConnection: Keep-Alive\r\n", true),
            ("HTTP/1.0", "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n", false),
        ];
        for (version, lines, want) in table {
            assert_eq!(parse(&format!("{version} 200 OK\r\n{lines}\r\n")).keep_alive(), want, "{version} {lines}");
        }
    }

    #[test]
    fn row_49_a_switch_must_be_complete() {
        let table = [
            ("HTTP/1.1 101", "Connection: upgrade\r\nUpgrade: websocket\r\n", Some(&b"websocket"[..])),
            ("HTTP/1.1 101", "Upgrade: websocket\r\n", None),
            ("HTTP/1.1 101", "Connection: upgrade\r\n", None),
            ("HTTP/1.1 101", "Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n", None),
            ("HTTP/1.0 101", "Connection: upgrade\r\nUpgrade: websocket\r\n", None),
            ("HTTP/1.1 200", "Connection: upgrade\r\nUpgrade: websocket\r\n", None),
        ];
        for (line, lines, want) in table {
            let text = format!("{line} x\r\n{lines}\r\n");
            assert_eq!(parse(&text).upgrade(), want, "{line} {lines}");
            assert!(!parse(&text).is_interim());
        }
    }

    #[test]
    fn challenges_that_log_a_connection_in_are_seen() {
        for value in ["NTLM", "negotiate abc=", "Basic realm=x, NTLM", "Basic realm=x\r\nWWW-Authenticate: Negotiate"] {
            let text = format!("HTTP/1.1 401 x\r\nWWW-Authenticate: {value}\r\n\r\n");
            assert!(parse(&text).wants_private_connection(), "{value}");
        }
        assert!(!parse("HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=NTLM\r\n\r\n").wants_private_connection());
    }

    #[test]
    fn fields_are_bounded() {
        let text = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(MAX_FIELDS + 1));
        assert_eq!(Response::parse(text.as_bytes(), Method::Get).unwrap_err(), OriginFault::TooManyFields);
        let text = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(MAX_HEAD));
        assert_eq!(Response::parse(text.as_bytes(), Method::Get).unwrap_err(), OriginFault::HeadTooLarge);
    }
}
