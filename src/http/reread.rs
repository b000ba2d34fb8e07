//! Heads that the parser refuses though they may pass: read as copies in which the bytes that it does not know stand as
//! bytes that it does. A place in the copy is a place in the head, so that nothing of what goes on comes from a copy.
//!
//! Only heads that were refused come here; what may not pass stays as it is in the copy, and is refused again.

use std::ops::Range;

use memchr::{memchr, memrchr};

/// Stands for bytes that may pass: it may be a part of a value, a reason and a target, and of nothing else.
const STAND_IN: u8 = 0x80;

/// Stands for bytes of a target: one that is text.
const TARGET_STAND_IN: u8 = b'~';

/// A copy of the head of a request; None if it would be the same.
///
/// Bytes beyond ASCII may stand in a target in any order, and a version above 1.1 is read as 1.1 (RFC 9110 section 2.5).
pub(super) fn request(head: &[u8]) -> Option<Vec<u8>> {
    let line = &head[..memchr(b'\n', head)?];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (first, last) = (memchr(b' ', line)?, memrchr(b' ', line)?);
    let mut copy = head.to_vec();
    let target = &mut copy[first..last];
    target.iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = TARGET_STAND_IN);
    lower_version(&mut copy, last + 1..line.len());
    (copy != head).then_some(copy)
}

/// A copy of the head of a response, and by how many bytes it is longer at its front; None if it would be the same.
///
/// RFC 9110 section 5.5 lets a recipient keep all control characters but CR, LF and NUL. `ICY` is how SHOUTcast begins an
/// answer that is one of HTTP/1.0 in all else.
pub(super) fn response(head: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut copy, longer) = match head.strip_prefix(b"ICY ") {
        Some(rest) => ([b"HTTP/1.0 ", rest].concat(), "HTTP/1.0".len() - "ICY".len()),
        None => (head.to_vec(), 0),
    };
    lower_version(&mut copy, 0.."HTTP/1.1".len().min(head.len()));
    let passes = |byte: u8| matches!(byte, 0x01..=0x08 | 0x0b | 0x0c | 0x0e..=0x1f | 0x7f);
    copy.iter_mut().filter(|byte| passes(**byte)).for_each(|byte| *byte = STAND_IN);
    (copy != head).then_some((copy, longer))
}

/// Makes a version from 1.2 to 1.9 at that place one that the parser knows.
fn lower_version(copy: &mut [u8], place: Range<usize>) {
    if let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'2'..=b'9'] = &mut copy[place] {
        *minor = b'1';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_differ_only_where_bytes_may_pass() {
        let table: &[(&[u8], Option<&[u8]>)] = &[
            (b"GET /\xe9\xc3\xa9 HTTP/1.1\r\nA: \xe9\r\n\r\n", Some(b"GET /~~~ HTTP/1.1\r\nA: \xe9\r\n\r\n")),
            (b"GET / HTTP/1.7\r\n\r\n", Some(b"GET / HTTP/1.1\r\n\r\n")),
            (b"GET / HTTP/1.7\n\n", Some(b"GET / HTTP/1.1\n\n")),
            (b"GET / HTTP/2.7\r\n\r\n", None),
            (b"GET / HTTP/1.10\r\n\r\n", None),
            (b"G\xe9T / HTTP/1.1\r\n\r\n", None),
            (b"GET / HTTP/1.\xe9\r\n\r\n", None),
            (b"GET HTTP/1.7", None),
            (b"", None),
        ];
        for (head, wanted) in table {
            assert_eq!(request(head).as_deref(), *wanted, "{}", head.escape_ascii());
        }
        type Row = (&'static [u8], Option<(&'static [u8], usize)>);
        let table: &[Row] = &[
            (b"HTTP/1.1 200 \x01\r\nA: \x0b\x7f\t\r\n\r\n", Some((b"HTTP/1.1 200 \x80\r\nA: \x80\x80\t\r\n\r\n", 0))),
            (b"HTTP/1.3 200 OK\r\n\r\n", Some((b"HTTP/1.1 200 OK\r\n\r\n", 0))),
            (b"ICY 200 OK\r\n\r\n", Some((b"HTTP/1.0 200 OK\r\n\r\n", 5))),
            (b"HTTP/1.1 200 OK\r\nA: \0\rb\r\n\r\n", None),
            (b"HTTP", None),
        ];
        for (head, wanted) in table {
            let got = response(head);
            let got = got.as_ref().map(|(copy, longer)| (copy.as_slice(), *longer));
            assert_eq!(got, *wanted, "{}", head.escape_ascii());
        }
    }
}
