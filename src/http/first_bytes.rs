//! What the first bytes of a message can be while its head is not complete: whether they may still become a head, and what
//! else they look like. Knows no field. Blank lines in front are for the caller to pass over.

use memchr::memchr;

use super::diagnose::diagnose_version;
use super::fault::Fault;
use super::protocol::OtherProtocol;
use super::syntax::is_token_byte;

/// Longest method, in bytes; the longest registered one has 17.
pub(crate) const MAX_METHOD: usize = 64;

/// Why these bytes cannot become the head of a request with any bytes behind them; None while they can.
///
/// A client that speaks something else waits for an answer in its own protocol, and often sends no more until it has one:
/// it is told at once, not when its time is over.
pub fn request_fault(bytes: &[u8]) -> Option<Fault> {
    if let Some(protocol) = OtherProtocol::of(bytes) {
        return Some(Fault::OtherProtocol(protocol));
    }
    let window = &bytes[..bytes.len().min(MAX_METHOD + 1)];
    match window.iter().position(|byte| !is_token_byte(*byte)) {
        None if window.len() > MAX_METHOD => Some(Fault::MethodTooLong),
        None => None,
        Some(1..) => line_fault(bytes),
        Some(0) if window == b"\r" => None,
        Some(0) => Some(Fault::BadLine),
    }
}

/// The fault of a first line that is complete and does not end with a version.
fn line_fault(bytes: &[u8]) -> Option<Fault> {
    let line = &bytes[..memchr(b'\n', bytes)?];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let last = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    (!last.starts_with(b"HTTP/")).then(|| diagnose_version(line))
}

/// Whether these bytes may become the head of a response.
pub fn may_be_response(bytes: &[u8]) -> bool {
    let begins = |start: &[u8]| bytes.iter().zip(start).all(|(byte, wanted)| byte == wanted);
    begins(b"HTTP/") || begins(b"ICY ") || bytes == b"\r"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c2_what_cannot_become_a_request_is_known_early() {
        let table: &[(&[u8], Option<Fault>)] = &[
            (b"", None),
            (b"\r", None),
            (b"G", None),
            (b"GET ", None),
            (b"GET / HTTP/1.1", None),
            (b"GET / HTTP/1.1\r", None),
            (b"GET / HTTP/1.1\r\nA", None),
            (b"GET / HTTP/9.9\r\nA", None),
            (b"GET /\r\n", Some(Fault::BadLine)),
            (b"GET / HTTX/1.1\r\n", Some(Fault::BadLine)),
            (b"HELO mail.example\r\n", Some(Fault::BadLine)),
            (b"QUIT\r\n", Some(Fault::BadLine)),
            (b"QUIT\r", None),
            (b"\rGET / HTTP/1.1\r\n", Some(Fault::BadLine)),
            (b" GET / HTTP/1.1\r\n", Some(Fault::BadLine)),
            (b"\x80", Some(Fault::BadLine)),
            (b"\x05", Some(Fault::OtherProtocol(OtherProtocol::Socks5))),
        ];
        for (bytes, wanted) in table {
            assert_eq!(request_fault(bytes), *wanted, "{}", bytes.escape_ascii());
        }
        assert_eq!(request_fault(&[b'A'; MAX_METHOD]), None);
        assert_eq!(request_fault(&[b'A'; MAX_METHOD + 1]), Some(Fault::MethodTooLong));
    }

    #[test]
    fn c2_banners_are_no_responses() {
        for start in ["", "H", "HTTP/", "HTTP/1.1 2", "ICY", "ICY 200 OK\r\n", "\r"] {
            assert!(may_be_response(start.as_bytes()), "{start:?}");
        }
        for start in ["220 mail", "SSH-2.0-x", "<html>", "HTTP 200", "\r\r", "\0", "IC ", "+OK"] {
            assert!(!may_be_response(start.as_bytes()), "{start:?}");
        }
    }
}
