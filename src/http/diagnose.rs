//! Which rule a refused head breaks. Only looks at heads that the parser has refused, so that speed does not matter here, and
//! decides nothing but the wording and the status.

use memchr::memchr;

use super::fault::{Fault, OriginFault};
use super::protocol::OtherProtocol;
use super::syntax::{is_token, is_value, words};

/// Names the rule that a refused request head breaks.
pub(crate) fn diagnose_request(head: &[u8], error: httparse::Error) -> Fault {
    if let Some(protocol) = OtherProtocol::of(head) {
        return Fault::OtherProtocol(protocol);
    }
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    match error {
        httparse::Error::TooManyHeaders => Fault::TooManyFields,
        httparse::Error::Version => diagnose_version(lines.next().unwrap_or_default()),
        httparse::Error::HeaderName | httparse::Error::HeaderValue => diagnose_fields(lines.skip(1)),
        httparse::Error::Token => diagnose_line(lines.next().unwrap_or_default()),
        _ => Fault::BadLine,
    }
}

fn diagnose_line(line: &[u8]) -> Fault {
    let method_len = line.iter().take_while(|byte| **byte != b' ').count();
    match is_token(&line[..method_len]) && words(line).count() >= 3 {
        true => Fault::BadTarget,
        false => Fault::BadLine,
    }
}

/// Names the rule that a first line breaks whose version is none that is spoken.
pub(super) fn diagnose_version(line: &[u8]) -> Fault {
    let mut words = words(line).skip(2);
    match (words.next(), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None)
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Fault::BadVersion
        }
        (Some(_), Some(_)) => Fault::BadTarget,
        _ => Fault::BadLine,
    }
}

fn diagnose_fields<'h>(lines: impl Iterator<Item = &'h [u8]>) -> Fault {
    for (index, line) in lines.enumerate() {
        let Some(colon) = memchr(b':', line) else {
            return match line.first() {
                Some(b' ' | b'\t') if index == 0 => Fault::BlankFirst,
                Some(b' ' | b'\t') => Fault::Folded,
                _ => Fault::BadField,
            };
        };
        match &line[..colon] {
            [b' ' | b'\t', ..] if index == 0 => return Fault::BlankFirst,
            [b' ' | b'\t', ..] => return Fault::Folded,
            [.., b' ' | b'\t'] => return Fault::BlankBeforeColon,
            name if !is_token(name) => return Fault::BadField,
            _ if !is_value(&line[colon..]) => return Fault::BadByte,
            _ => {}
        }
    }
    Fault::BadField
}

/// Names the rule that a refused response head breaks.
pub(crate) fn diagnose_response(head: &[u8], error: httparse::Error) -> OriginFault {
    match error {
        httparse::Error::TooManyHeaders => OriginFault::TooManyFields,
        httparse::Error::HeaderName => OriginFault::BadField,
        httparse::Error::HeaderValue | httparse::Error::NewLine if head.starts_with(b"HTTP/") => OriginFault::BadByte,
        _ => OriginFault::NotHttp,
    }
}
