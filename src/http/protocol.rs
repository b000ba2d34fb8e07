//! Protocols that clients speak by mistake to a port that expects HTTP/1.x, known by how they begin.

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherProtocol {
    /// A handshake record (RFC 8446 section 5.1).
    Tls,
    /// Version 4, and the command to connect or to bind.
    Socks4,
    /// Version 5, and how many methods follow (RFC 1928 section 3).
    Socks5,
    /// The line with the version (RFC 4253 section 4.2).
    Ssh,
    /// The preface of a client that takes HTTP/2 for granted (RFC 9113 section 3.4).
    Http2,
}

impl OtherProtocol {
    /// The protocol that begins with these bytes, which no request of HTTP/1.x does.
    pub fn of(bytes: &[u8]) -> Option<OtherProtocol> {
        match bytes {
            [0x16] | [0x16, 0x03, ..] => Some(OtherProtocol::Tls),
            [0x04] | [0x04, 0x01 | 0x02, ..] => Some(OtherProtocol::Socks4),
            [0x05, ..] => Some(OtherProtocol::Socks5),
            _ if bytes.starts_with(b"SSH-2.0-") || bytes.starts_with(b"SSH-1.") => Some(OtherProtocol::Ssh),
            _ if bytes.starts_with(b"PRI * HTTP/2.0\r\n") => Some(OtherProtocol::Http2),
            _ => None,
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            OtherProtocol::Tls => "this looks like TLS, where a request in HTTP was expected",
            OtherProtocol::Socks4 => "this looks like SOCKS 4, where a request in HTTP was expected",
            OtherProtocol::Socks5 => "this looks like SOCKS 5, where a request in HTTP was expected",
            OtherProtocol::Ssh => "this looks like SSH, where a request in HTTP was expected",
            OtherProtocol::Http2 => "this looks like HTTP/2, where a request in HTTP/1.1 was expected",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c2_other_protocols_are_known_by_their_first_bytes() {
        let table: &[(&[u8], Option<OtherProtocol>)] = &[
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Some(OtherProtocol::Tls)),
            (b"\x16", Some(OtherProtocol::Tls)),
            (b"\x16\x04", None),
            (b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", Some(OtherProtocol::Socks4)),
            (b"\x05\x01\x00", Some(OtherProtocol::Socks5)),
            (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", Some(OtherProtocol::Ssh)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(OtherProtocol::Http2)),
            (b"PRI * HTTP/2.0", None),
            (b"GET / HTTP/1.1\r\n", None),
            (b"", None),
        ];
        for (bytes, wanted) in table {
            assert_eq!(OtherProtocol::of(bytes), *wanted, "{}", bytes.escape_ascii());
        }
    }
}
