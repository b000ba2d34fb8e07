//! What can be wrong with the first bytes of a connection on which a ClientHello is expected.

use std::fmt;

use super::alert::Alert;

/// Why bytes are no ClientHello that can be judged. The client is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HelloFault {
    /// They are of another protocol.
    NotTls,
    /// A hello in the form of SSL 2.0, which names no host.
    Ssl2,
    /// A record that is none of a handshake, is empty, or has an impossible version (RFC 8446 section 5.1).
    Record,
    /// A record of more than 2^14 bytes, or a hello above the limit.
    TooLarge,
    /// A handshake that does not begin with a ClientHello, or that goes on in the record in which the hello ends.
    Message,
    /// Lengths that do not fit what they enclose.
    Length,
    /// An extension that is there twice (RFC 8446 section 4.2), or more of them than there are.
    Extensions,
    /// A server name that is none, or not exactly one (RFC 6066 section 3).
    Name,
}

impl HelloFault {
    /// Whether a server could take the bytes for TLS all the same.
    pub fn is_tls(self) -> bool {
        self != HelloFault::NotTls
    }

    /// The alert that a client of TLS gets; None for one that speaks something else.
    pub fn alert(self) -> Option<Alert> {
        match self {
            HelloFault::NotTls => None,
            HelloFault::Ssl2 => Some(Alert::ProtocolVersion),
            HelloFault::Record | HelloFault::Message => Some(Alert::UnexpectedMessage),
            HelloFault::TooLarge => Some(Alert::RecordOverflow),
            HelloFault::Length => Some(Alert::DecodeError),
            HelloFault::Extensions => Some(Alert::IllegalParameter),
            HelloFault::Name => Some(Alert::UnrecognizedName),
        }
    }
}

impl fmt::Display for HelloFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            HelloFault::NotTls => "the first bytes are not those of TLS",
            HelloFault::Ssl2 => "the hello is one of SSL 2.0",
            HelloFault::Record => "a record of TLS is none of a handshake",
            HelloFault::TooLarge => "the hello is too large",
            HelloFault::Message => "the handshake does not begin with one ClientHello",
            HelloFault::Length => "lengths in the hello do not fit",
            HelloFault::Extensions => "the hello has an extension twice, or too many",
            HelloFault::Name => "the server name in the hello is none",
        })
    }
}
