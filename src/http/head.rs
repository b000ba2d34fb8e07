//! Where a head ends. Knows line ends and nothing of what the lines say.
//!
//! Lines end with CRLF or a lone LF (RFC 9112 section 2.2 lets a recipient accept both), in any mixture, so the first
//! blank line of either form ends the head. Looking for one form first, as some do, lets a body pass for part of a head.

use memchr::memchr;

use super::fault::Fault;
use super::first_bytes::request_fault;

/// Ceiling of a head, in bytes, when no limit is configured.
pub const MAX_HEAD: usize = 1 << 20;

/// A search for the end of a head that goes on where it stopped when more bytes have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadScan(u32);

impl HeadScan {
    /// The length of the head at the front of `bytes`, blank line included, or `None` while it is unfinished.
    ///
    /// `bytes` must start with the same bytes at each call; what was searched is not searched again. Start anew with
    /// `HeadScan::default()` for the next head.
    pub fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = skipped(bytes, self.0 as usize);
        while let Some(offset) = memchr(b'\n', bytes.get(at..)?) {
            let end = at + offset;
            match bytes.get(end + 1..) {
                Some([b'\n', ..]) => return Some(end + 2),
                Some([b'\r', b'\n', ..]) => return Some(end + 3),
                // What follows decides, so this line end is the one byte looked at again.
                Some([] | [b'\r']) => {
                    self.stop_at(end);
                    return None;
                }
                _ => at = end + 1,
            }
        }
        self.stop_at(bytes.len());
        None
    }

    fn stop_at(&mut self, position: usize) {
        self.0 = u32::try_from(position).unwrap_or(u32::MAX);
    }
}

/// Where to go on from there: behind as many pieces as there are in which no line end has the start of a blank line behind it. To look
/// at all bytes of a piece at once takes a third of what it takes to look for each line end.
fn skipped(bytes: &[u8], mut at: usize) -> usize {
    const PIECE: usize = 64;
    let piece = |at: usize| bytes.get(at..)?.first_chunk::<PIECE>();
    while let (Some(these), Some(next)) = (piece(at), piece(at + 1)) {
        let begins = |(byte, next): (&u8, &u8)| (*byte == b'\n') & ((*next == b'\n') | (*next == b'\r'));
        if these.iter().zip(next).map(begins).fold(0, |any, begins| any | u8::from(begins)) != 0 {
            break;
        }
        at += PIECE;
    }
    at
}

/// How many bytes of empty lines stand before a message; RFC 9112 section 2.2 wants at least one ignored. A CR without its
/// LF is no line.
///
/// The caller bounds how many it is willing to skip.
pub fn leading_blank(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        at += match bytes[at..] {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return at,
        };
    }
}

/// The fault of a request head that outgrew its limit: that of its first bytes if these can be no request, else 414 while
/// the request line is unfinished and 431 behind it.
///
/// `bytes` is what has come of the head, `limit` the number of bytes allowed.
pub fn oversized(bytes: &[u8], limit: usize) -> Fault {
    request_fault(bytes).unwrap_or_else(|| match memchr(b'\n', bytes) {
        Some(end) if end < limit => Fault::HeadTooLarge,
        _ => Fault::TargetTooLarge,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_form_of_blank_line() {
        let table: &[(&[u8], Option<usize>)] = &[
            (b"", None),
            (b"G", None),
            (b"G\r\n\r", None),
            (b"G\r\n\r\n", Some(5)),
            (b"G\n\n", Some(3)),
            (b"G\n\r\n", Some(4)),
            (b"G\r\n\n", Some(4)),
            (b"G\r\nA: b\r\n\r\nbody\r\n\r\n", Some(11)),
            (b"G\nA: b\n\nbody\r\n\r\n", Some(8)),
            (b"G\r\r\n\r", None),
            (b"G\n\rX\n\n", Some(6)),
        ];
        for (bytes, want) in table {
            assert_eq!(HeadScan::default().find(bytes), *want, "{:?}", bytes.escape_ascii().to_string());
        }
    }

    /// Behind line ends of all kinds, and as many of them as there may be.
    #[test]
    fn finds_a_blank_line_at_every_place() {
        for length in 0..300 {
            for (end, filler) in [("\r\n\r\n", "a"), ("\n\n", "a\n"), ("\r\n\n", "\ra"), ("\n\r\n", "b\n\r\rb")] {
                let head = filler.repeat(length) + "G" + end;
                let bytes = head.clone() + &end.repeat(length % 90);
                assert_eq!(HeadScan::default().find(bytes.as_bytes()), Some(head.len()), "{head:?}");
                assert_eq!(HeadScan::default().find(&head.as_bytes()[..head.len() - 1]), None, "{head:?}");
            }
        }
    }

    #[test]
    fn gives_the_same_end_however_the_bytes_arrive() {
        for head in [&b"GET / HTTP/1.1\r\nA: b\r\n\r\nrest"[..], b"GET /\nA: b\n\nrest", b"GET /\r\nA: b\n\r\nrest"] {
            let whole = HeadScan::default().find(head);
            let mut scan = HeadScan::default();
            let found = (0..=head.len()).find_map(|length| scan.find(&head[..length]));
            assert_eq!(found, whole);
        }
    }

    #[test]
    fn the_quote_balance_of_the_original_is_gone() {
        let head = b"GET / HTTP/1.1\r\nUser-Agent: a\"b\r\n\r\n";
        assert_eq!(HeadScan::default().find(head), Some(head.len()));
    }

    #[test]
    fn counts_the_blank_in_front() {
        assert_eq!(leading_blank(b"\r\n\n\r\nGET"), 5);
        assert_eq!(leading_blank(b"\r\n\rGET"), 2);
        assert_eq!(leading_blank(b"\r"), 0);
        assert_eq!(leading_blank(b"GET"), 0);
    }

    #[test]
    fn oversized_names_the_part_that_is_too_large() {
        assert_eq!(oversized(b"GET /aaaaaaaaaaaaaaaa", 10), Fault::TargetTooLarge);
        assert_eq!(oversized(b"GET /aaaaaaaaaaaa HTTP/1.1\r\nA: b", 10), Fault::TargetTooLarge);
        assert_eq!(oversized(b"GET / HTTP/1.1\r\nAaaaaaaaaaaaaaa", 20), Fault::HeadTooLarge);
        assert_eq!(oversized(&[b'A'; 100], 10), Fault::MethodTooLong);
    }
}
