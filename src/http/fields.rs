//! The field section of a head: where each name and value stands, which fields matter to a proxy, and what the lists in
//! them say. Knows syntax; `request` and `response` judge which combination is an error.

use std::ops::Range;

use smallvec::SmallVec;

pub(crate) use super::field_kind::FieldKind;
use super::syntax::{decimal, elements, is_word, offset_in, trim, words};

/// Most fields in one head. Browsers send about 20, origins up to 50; each costs 16 bytes while its head is kept.
pub const MAX_FIELDS: usize = 256;

/// Longest field name, in bytes; the longest registered one has 44.
pub const MAX_NAME: usize = 1024;

/// Longest Connection fields of one head together, in bytes: each field's name is looked for in all of them.
pub const MAX_CONNECTION: usize = 512;

/// Fields that are kept without an allocation; most heads have fewer.
const INLINE_FIELDS: usize = 16;

/// Where one field stands in its head. Offsets fit, as no head is longer than `head::MAX_HEAD`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    name_at: u32,
    value_at: u32,
    value_len: u32,
    name_len: u16,
    pub(crate) kind: FieldKind,
    /// The line is exactly `name: value CRLF`, so that it equals what would be written for it.
    canonical: bool,
}

impl Span {
    fn name_range(&self) -> Range<usize> {
        self.name_at as usize..self.name_at as usize + usize::from(self.name_len)
    }

    fn value_range(&self) -> Range<usize> {
        self.value_at as usize..self.value_at as usize + self.value_len as usize
    }

    /// The whole line with its line end, if writing it anew would give the same bytes.
    pub(crate) fn verbatim(&self) -> Option<Range<usize>> {
        self.canonical.then(|| self.name_at as usize..self.value_range().end + 2)
    }

    pub(crate) fn name<'h>(&self, head: &'h [u8]) -> &'h [u8] {
        &head[self.name_range()]
    }

    pub(crate) fn value<'h>(&self, head: &'h [u8]) -> &'h [u8] {
        &head[self.value_range()]
    }
}

/// The fields of one head, in order. Every accessor needs the head that they were taken from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    spans: SmallVec<[Span; INLINE_FIELDS]>,
    present: u64,
}

/// The name of a field is longer than [`MAX_NAME`].
#[derive(Debug)]
pub(crate) struct NameTooLong;

impl Fields {
    /// Notes the fields that the parser found in `head`; their names and values must be slices of it.
    ///
    /// With `lenient` values may be folded, so that no line counts as being in its written form.
    pub(crate) fn of(head: &[u8], parsed: &[httparse::Header<'_>], lenient: bool) -> Result<Fields, NameTooLong> {
        let mut fields = Fields::default();
        fields.spans.reserve(parsed.len());
        for field in parsed {
            fields.push(head, field.name.as_bytes(), field.value, lenient)?;
        }
        Ok(fields)
    }

    /// Moves all places towards the front: they were found in a copy that is so many bytes longer there.
    pub(super) fn moved_back(mut self, by: usize) -> Fields {
        for span in &mut self.spans {
            (span.name_at, span.value_at) = (span.name_at - by as u32, span.value_at - by as u32);
        }
        self
    }

    fn push(&mut self, head: &[u8], name: &[u8], value: &[u8], lenient: bool) -> Result<(), NameTooLong> {
        if name.len() > MAX_NAME {
            return Err(NameTooLong);
        }
        let (name_at, value_at) = (offset_in(head, name), offset_in(head, value));
        let (name_end, value_end) = (name_at + name.len(), value_at + value.len());
        let kind = FieldKind::of(name);
        self.present |= kind.bit();
        self.spans.push(Span {
            name_at: name_at as u32,
            value_at: value_at as u32,
            value_len: value.len() as u32,
            name_len: name.len() as u16,
            kind,
            canonical: !lenient
                && head.get(name_end..value_at) == Some(b": ")
                && head.get(value_end..value_end + 2) == Some(b"\r\n"),
        });
        Ok(())
    }

    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    pub(crate) fn has(&self, kind: FieldKind) -> bool {
        self.present & kind.bit() != 0
    }

    /// The values of all fields of one kind, in order; costs nothing when there are none.
    pub(crate) fn values<'a>(&'a self, head: &'a [u8], kind: FieldKind) -> impl Iterator<Item = &'a [u8]> {
        let spans = if self.has(kind) { &self.spans[..] } else { &[] };
        spans.iter().filter(move |span| span.kind == kind).map(move |span| span.value(head))
    }

    /// The value of the first field of that name, in any letter case; fastest where `name` is spelt as senders spell it.
    pub(crate) fn first<'h>(&self, head: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
        let is_it = |found: &[u8]| found == name || found.eq_ignore_ascii_case(name);
        let mut alike = self.spans.iter().filter(|span| usize::from(span.name_len) == name.len());
        alike.find(|span| is_it(span.name(head))).map(|span| span.value(head))
    }

    /// Whether a Connection field names this field, so that it must not be forwarded (RFC 9110 section 7.6.1).
    pub(crate) fn is_nominated(&self, head: &[u8], name: &[u8]) -> bool {
        self.values(head, FieldKind::Connection).flat_map(elements).any(|option| option.eq_ignore_ascii_case(name))
    }

    /// All names that Connection fields give, with commas between them.
    pub(crate) fn nominated(&self, head: &[u8]) -> Vec<u8> {
        self.values(head, FieldKind::Connection).collect::<Vec<_>>().join(&b","[..])
    }

    /// What the Connection fields ask for.
    pub(crate) fn connection(&self, head: &[u8]) -> Result<Connection, ConnectionTooLong> {
        Connection::of(self.values(head, FieldKind::Connection))
    }

    /// What the Proxy-Connection fields ask for: not standard, but browsers and curl send them to proxies.
    pub(crate) fn proxy_connection(&self, head: &[u8]) -> Result<Connection, ConnectionTooLong> {
        Connection::of(self.values(head, FieldKind::ProxyConnection))
    }

    /// The one length that the Content-Length fields agree on, or `None` without any (RFC 9112 section 6.3).
    pub(crate) fn length(&self, head: &[u8]) -> Result<Option<u64>, LengthError> {
        let mut agreed = None;
        for value in self.values(head, FieldKind::ContentLength) {
            // `5, 5` is what a recipient makes of two equal fields. It may be taken for one (RFC 9112 section 6.3 rule
            // 5).
            for element in value.split(|byte| *byte == b',') {
                let length = decimal(trim(element)).ok_or(LengthError::Bad)?;
                if agreed.is_some_and(|other| other != length) {
                    return Err(LengthError::Differ);
                }
                agreed = Some(length);
            }
        }
        Ok(agreed)
    }

    /// What the Transfer-Encoding fields amount to, taken together as one list.
    pub(crate) fn coding(&self, head: &[u8]) -> Coding {
        if !self.has(FieldKind::TransferEncoding) {
            return Coding::Absent;
        }
        let mut seen = Coding::Malformed;
        for element in self.values(head, FieldKind::TransferEncoding).flat_map(elements) {
            seen = match seen {
                // A coding after `chunked`: then `chunked` is not the last one, or it was applied twice, and RFC 9112
                // section 6.1 forbids both.
                Coding::Chunked | Coding::UnknownThenChunked | Coding::ChunkedThenMore => Coding::ChunkedThenMore,
                _ if element.eq_ignore_ascii_case(b"chunked") => match seen {
                    Coding::Malformed => Coding::Chunked,
                    _ => Coding::UnknownThenChunked,
                },
                Coding::Malformed if element.eq_ignore_ascii_case(b"identity") => Coding::Identity,
                _ => Coding::Unknown,
            };
        }
        seen
    }
}

/// What Connection options ask of a connection, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Connection(u8);

/// The Connection fields are longer than [`MAX_CONNECTION`].
#[derive(Debug)]
pub(crate) struct ConnectionTooLong;

impl Connection {
    const CLOSE: u8 = 1;
    const KEEP_ALIVE: u8 = 2;
    const UPGRADE: u8 = 4;
    const NOMINATES: u8 = 8;

    fn of<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Connection, ConnectionTooLong> {
        let (mut bits, mut length) = (0, 0);
        for value in values {
            length += value.len();
            if length > MAX_CONNECTION {
                return Err(ConnectionTooLong);
            }
            bits |= match Connection::bit(value) {
                Connection::NOMINATES => elements(value).map(Connection::bit).fold(0, |bits, bit| bits | bit),
                // Most often it is one word.
                alone => alone,
            };
        }
        Ok(Connection(bits))
    }

    fn bit(option: &[u8]) -> u8 {
        match option.len() {
            5 if is_word(option, b"close") => Connection::CLOSE,
            7 if is_word(option, b"upgrade") => Connection::UPGRADE,
            10 if is_word(option, b"keep-alive") => Connection::KEEP_ALIVE,
            _ => Connection::NOMINATES,
        }
    }

    /// The same, and what Proxy-Connection says about persistence, which is all that it may say.
    pub(crate) fn joined(self, proxy: Connection) -> Connection {
        Connection(self.0 | (proxy.0 & (Connection::CLOSE | Connection::KEEP_ALIVE)))
    }

    pub(crate) fn closes(self) -> bool {
        self.0 & Connection::CLOSE != 0
    }

    pub(crate) fn keeps_alive(self) -> bool {
        self.0 & Connection::KEEP_ALIVE != 0
    }

    pub(crate) fn upgrades(self) -> bool {
        self.0 & Connection::UPGRADE != 0
    }

    /// Whether there are options that name fields.
    pub(crate) fn nominates(self) -> bool {
        self.0 & Connection::NOMINATES != 0
    }
}

/// Why a Content-Length cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LengthError {
    Bad,
    Differ,
}

/// The transfer coding of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// No Transfer-Encoding field.
    Absent,
    /// A field, but no coding in it.
    Malformed,
    /// `chunked` alone.
    Chunked,
    /// `chunked`, and something after it.
    ChunkedThenMore,
    /// `identity` alone, which RFC 2616 knew and old origins still send.
    Identity,
    /// Codings that are not known, `chunked` with parameters included.
    Unknown,
    /// The same, and then `chunked`, so that the end is known and what is inside is not.
    UnknownThenChunked,
}

/// What the Expect field asks (RFC 9110 section 10.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Nothing, or the request is of HTTP/1.0, where the field means nothing.
    None,
    /// An interim response before the content is sent.
    Continue,
    /// Something that no standard defines: 417.
    Other,
}

/// Whether credentials or a challenge are of a scheme that authenticates the connection.
pub(crate) fn is_private_scheme(value: &[u8]) -> bool {
    let scheme = words(value).next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(head: &[u8]) -> Fields {
        let mut parsed = [httparse::EMPTY_HEADER; 16];
        let httparse::Status::Complete((_, parsed)) = httparse::parse_headers(head, &mut parsed).unwrap() else {
            panic!("an unfinished example");
        };
        Fields::of(head, parsed, false).unwrap()
    }

    #[test]
    fn a_span_is_small() {
        assert_eq!(std::mem::size_of::<Span>(), 16);
    }

    #[test]
    fn only_lines_in_their_written_form_are_taken_verbatim() {
        let head = b"A: b\r\nC:d\r\nE:  f\r\nG: h \r\nI: j\nK:\r\n\r\n";
        let fields = fields(head);
        let verbatim: Vec<_> = fields.spans().iter().map(|span| span.verbatim()).collect();
        assert_eq!(verbatim, [Some(0..6), None, None, None, None, None]);
        assert_eq!(fields.spans()[5].value(head), b"");
    }

    #[test]
    fn lengths_must_agree() {
        type Want = Result<Option<u64>, LengthError>;
        let table: &[(&[u8], Want)] = &[
            (b"A: b\r\n\r\n", Ok(None)),
            (b"Content-Length: 5\r\n\r\n", Ok(Some(5))),
            (b"Content-Length: 5\r\ncontent-length: 5\r\n\r\n", Ok(Some(5))),
            (b"Content-Length: 5, 5\r\n\r\n", Ok(Some(5))),
            (b"Content-Length: 005\r\n\r\n", Ok(Some(5))),
            (b"Content-Length: 18446744073709551615\r\n\r\n", Ok(Some(u64::MAX))),
            (b"Content-Length: 18446744073709551616\r\n\r\n", Err(LengthError::Bad)),
            (b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", Err(LengthError::Differ)),
            (b"Content-Length: 5, 6\r\n\r\n", Err(LengthError::Differ)),
            (b"Content-Length: \r\n\r\n", Err(LengthError::Bad)),
            (b"Content-Length: 5,\r\n\r\n", Err(LengthError::Bad)),
            (b"Content-Length: +5\r\n\r\n", Err(LengthError::Bad)),
            (b"Content-Length: -5\r\n\r\n", Err(LengthError::Bad)),
            (b"Content-Length: 0x5\r\n\r\n", Err(LengthError::Bad)),
            (b"Content-Length: 5 5\r\n\r\n", Err(LengthError::Bad)),
            (b"Content-Length: 5.0\r\n\r\n", Err(LengthError::Bad)),
        ];
        for (head, want) in table {
            assert_eq!(fields(head).length(head), *want, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn row_44_te_list_parsed() {
        let table: &[(&[u8], Coding)] = &[
            (b"A: b\r\n\r\n", Coding::Absent),
            (b"Transfer-Encoding: chunked\r\n\r\n", Coding::Chunked),
            (b"Transfer-Encoding: \t Chunked \r\n\r\n", Coding::Chunked),
            (b"Transfer-Encoding: chunked,\r\n\r\n", Coding::Chunked),
            (b"Transfer-Encoding: , chunked\r\n\r\n", Coding::Chunked),
            (b"Transfer-Encoding:\r\n\r\n", Coding::Malformed),
            (b"Transfer-Encoding: ,\r\n\r\n", Coding::Malformed),
            (b"Transfer-Encoding: chunked, gzip\r\n\r\n", Coding::ChunkedThenMore),
            (b"Transfer-Encoding: chunked, chunked\r\n\r\n", Coding::ChunkedThenMore),
            (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", Coding::ChunkedThenMore),
            (b"Transfer-Encoding: gzip, chunked\r\n\r\n", Coding::UnknownThenChunked),
            (b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", Coding::UnknownThenChunked),
            (b"Transfer-Encoding: identity, chunked\r\n\r\n", Coding::UnknownThenChunked),
            (b"Transfer-Encoding: gzip, chunked, gzip\r\n\r\n", Coding::ChunkedThenMore),
            (b"Transfer-Encoding: gzip\r\n\r\n", Coding::Unknown),
            (b"Transfer-Encoding: identity\r\n\r\n", Coding::Identity),
            (b"Transfer-Encoding: xchunked\r\n\r\n", Coding::Unknown),
            (b"Transfer-Encoding: chunked;q=1\r\n\r\n", Coding::Unknown),
            (b"Transfer-Encoding: \"chunked\"\r\n\r\n", Coding::Unknown),
            (b"Transfer-Encoding: chunked chunked\r\n\r\n", Coding::Unknown),
        ];
        for (head, want) in table {
            assert_eq!(fields(head).coding(head), *want, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn connection_options_are_known_and_bounded() {
        let head = b"Connection: Keep-Alive, Upgrade\r\nConnection: X-Secret\r\n\r\n";
        let parsed = fields(head);
        let connection = parsed.connection(head).unwrap();
        assert!(connection.keeps_alive() && connection.upgrades() && connection.nominates() && !connection.closes());
        assert!(parsed.is_nominated(head, b"x-secret") && !parsed.is_nominated(head, b"x-secre"));
        for filler in ["a,", ",", " "] {
            let half = filler.repeat(MAX_CONNECTION / 2 / filler.len());
            let line = |text: &str| format!("Connection: x{text}x\r\n");
            let long = format!("{}{}\r\n", line(&half), line(&half));
            assert!(fields(long.as_bytes()).connection(long.as_bytes()).is_err(), "{filler:?}");
            let short = format!("{}\r\n", line(&half));
            assert!(fields(short.as_bytes()).connection(short.as_bytes()).is_ok(), "{filler:?}");
        }
    }

    #[test]
    fn proxy_connection_speaks_of_persistence_only() {
        let head = b"Proxy-Connection: close, upgrade, x\r\n\r\n";
        let joined = Connection::default().joined(fields(head).proxy_connection(head).unwrap());
        assert!(joined.closes() && !joined.upgrades() && !joined.nominates());
    }
}
