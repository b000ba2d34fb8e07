//! What can be wrong with a message, one variant per rule, and who is to blame for it: [`Fault`] is a client's,
//! [`OriginFault`] an origin's. Knows the statuses that answer them, and nothing of how an answer looks.

use std::fmt;

use super::chunked::ChunkFault;
use super::protocol::OtherProtocol;

/// What a client did wrong. After the answer its connection is closed: what follows cannot be trusted to be a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first line is not `METHOD SP TARGET SP VERSION` (RFC 9112 section 3).
    BadLine,
    /// The first bytes are those of another protocol.
    OtherProtocol(OtherProtocol),
    /// The method is a token longer than any that is known (RFC 9112 section 3).
    MethodTooLong,
    /// The target has none of the four forms, or not the one its method needs (RFC 9112 section 3.2).
    BadTarget,
    /// The target carries `user@`, which RFC 9110 section 4.2.4 wants treated as an error: it misleads about the host.
    Userinfo,
    /// The scheme is not `http`.
    BadScheme,
    /// The host is neither a name nor an address in its usual form.
    BadHost,
    /// The port is missing where it is needed, not a number, or not within 1 to 65535.
    BadPort,
    /// Neither the target nor a Host field names a host.
    NoHost,
    /// More than one Host field (RFC 9112 section 3.2).
    ManyHosts,
    /// A version that is not 1.0 and not 1.1 to 1.9.
    BadVersion,
    /// White space between the request line and the first field (RFC 9112 section 2.2).
    BlankFirst,
    /// White space between a field's name and its colon (RFC 9112 section 5.1).
    BlankBeforeColon,
    /// A field folded over several lines (RFC 9112 section 5.2).
    Folded,
    /// A line that has no colon, starts with it, or whose name is not a token.
    BadField,
    /// A byte that no field may hold: NUL, a bare CR, another control character (RFC 9110 section 5.5).
    BadByte,
    /// More fields than [`super::fields::MAX_FIELDS`], or a name or the Connection fields too long.
    TooManyFields,
    /// The head is larger than the limit.
    HeadTooLarge,
    /// The request line alone is larger than the limit.
    TargetTooLarge,
    /// A Content-Length that is not a number, or too large a one (RFC 9112 section 6.3).
    BadLength,
    /// Content-Length given several times with different numbers.
    LengthsDiffer,
    /// Content-Length together with Transfer-Encoding.
    LengthAndCoding,
    /// Transfer-Encoding that does not end with `chunked`, so that no end of the content is known (RFC 9112 section 6.3), or
    /// has it twice.
    BadCoding,
    /// A transfer coding that is not known, within `chunked`.
    UnknownCoding,
    /// Transfer-Encoding in a message of HTTP/1.0 (RFC 9112 section 6.1).
    CodingTooOld,
    /// Content where there can be none: CONNECT and TRACE (RFC 9110 sections 9.3.6 and 9.3.8).
    BodyForbidden,
    /// CONNECT on a connection that was diverted, whose client knows of no proxy.
    TunnelHere,
    /// Max-Forwards of OPTIONS or TRACE is not a number (RFC 9110 section 7.6.2).
    BadMaxForwards,
    /// An expectation that is not met (RFC 9110 section 10.1.1).
    Expectation,
    /// The chunked content is broken.
    Chunk(ChunkFault),
    /// The head did not arrive in time.
    HeadTimeout,
    /// The content stopped arriving.
    BodyTimeout,
    /// The content is larger than allowed.
    BodyTooLarge,
    /// How long the content is has to be known beforehand, and is not (RFC 9110 section 15.5.12).
    LengthMissing,
}

impl Fault {
    /// The status that answers it.
    pub fn status(self) -> u16 {
        match self {
            Fault::TunnelHere => 405,
            Fault::HeadTimeout | Fault::BodyTimeout => 408,
            Fault::LengthMissing => 411,
            Fault::BodyTooLarge => 413,
            Fault::TargetTooLarge => 414,
            Fault::Expectation => 417,
            Fault::TooManyFields | Fault::HeadTooLarge => 431,
            Fault::MethodTooLong | Fault::BadScheme | Fault::UnknownCoding => 501,
            Fault::BadVersion => 505,
            _ => 400,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Fault::OtherProtocol(protocol) => protocol.text(),
            Fault::BadLine => "the first line is not a request line",
            Fault::MethodTooLong => "the method is too long",
            Fault::BadTarget => "the request target is malformed",
            Fault::Userinfo => "the request target carries user information",
            Fault::BadScheme => "only http targets are forwarded, use CONNECT for others",
            Fault::BadHost => "the host is malformed",
            Fault::BadPort => "the port is missing or malformed",
            Fault::NoHost => "can not forward the request, we have no host information",
            Fault::ManyHosts => "more than one Host header",
            Fault::BadVersion => "the HTTP version is not supported",
            Fault::BlankFirst => "malformed headers, headers starts with a white space",
            Fault::BlankBeforeColon => "malformed headers, white space before the colon",
            Fault::Folded => "malformed headers, a header is folded over several lines",
            Fault::BadField => "malformed headers, a line is not a name, a colon and a value",
            Fault::BadByte => "malformed headers, a control character in a value",
            Fault::TooManyFields => "too many headers, or a name too long",
            Fault::HeadTooLarge => "the headers are too large",
            Fault::TargetTooLarge => "the request target is too long",
            Fault::BadLength => "the Content-Length is malformed",
            Fault::LengthsDiffer => "the Content-Length is given twice with different values",
            Fault::LengthAndCoding => "both Content-Length and Transfer-Encoding",
            Fault::BadCoding => "the Transfer-Encoding does not end with one chunked",
            Fault::UnknownCoding => "the Transfer-Encoding is unknown",
            Fault::CodingTooOld => "a Transfer-Encoding in an HTTP/1.0 request",
            Fault::BodyForbidden => "the method does not allow content",
            Fault::TunnelHere => "CONNECT is for proxies, and this connection was going to a server",
            Fault::BadMaxForwards => "INVALID MAX FORWARDS",
            Fault::Expectation => "the expectation can not be met",
            Fault::Chunk(fault) => fault.text(),
            Fault::HeadTimeout => "the request did not arrive in time",
            Fault::BodyTimeout => "the content of the request did not arrive in time",
            Fault::BodyTooLarge => "the content is too large",
            Fault::LengthMissing => "the content needs a Content-Length",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Fault {}

impl From<ChunkFault> for Fault {
    fn from(fault: ChunkFault) -> Fault {
        Fault::Chunk(fault)
    }
}

/// What an origin did wrong. Its connection is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginFault {
    /// What it sent does not start with a status line of HTTP/1.0 or 1.1.
    NotHttp,
    /// A line that has no colon, starts with it, or whose name is not a token.
    BadField,
    /// A byte that no field may hold: NUL or a bare CR. Other control characters are relayed (RFC 9110 section 5.5).
    BadByte,
    /// More fields than [`super::fields::MAX_FIELDS`], or a name or the Connection fields too long.
    TooManyFields,
    /// The head is larger than the limit.
    HeadTooLarge,
    /// A Content-Length that is not a number, or too large a one (RFC 9112 section 6.3).
    BadLength,
    /// Content-Length given several times with different numbers.
    LengthsDiffer,
    /// A transfer coding that was not asked for, or a malformed list of them.
    BadCoding,
    /// The chunked content is broken.
    Chunk(ChunkFault),
    /// It closed or reset the connection before the head was complete.
    ClosedEarly,
    /// It switched to a protocol that was not offered (RFC 9110 section 7.8).
    UnaskedSwitch,
    /// More interim responses than are relayed for one request.
    TooManyInterims,
    /// The head did not arrive in time.
    HeadTimeout,
    /// A parent wants other credentials than it gets from us, or any (RFC 9110 section 11.7.1).
    ParentLogin,
    /// A parent does not open a tunnel for a client that reads no HTTP.
    ParentRefused,
}

impl OriginFault {
    /// The status that answers it.
    pub fn status(self) -> u16 {
        match self {
            OriginFault::HeadTimeout => 504,
            _ => 502,
        }
    }

    fn text(self) -> &'static str {
        match self {
            OriginFault::NotHttp => "the server did not answer in HTTP",
            OriginFault::BadField => "the server sent a malformed header",
            OriginFault::BadByte => "the server sent a NUL or a bare CR in a header",
            OriginFault::TooManyFields => "the server sent too many headers",
            OriginFault::HeadTooLarge => "the server sent headers that are too large",
            OriginFault::BadLength => "the server sent a malformed Content-Length",
            OriginFault::LengthsDiffer => "the server sent two different Content-Length values",
            OriginFault::BadCoding => "the server sent a Transfer-Encoding that was not asked for",
            OriginFault::Chunk(_) => "the server sent broken chunked content",
            OriginFault::ClosedEarly => "the server closed the connection without an answer",
            OriginFault::UnaskedSwitch => "the server switched to a protocol that was not offered",
            OriginFault::TooManyInterims => "the server sent too many interim responses",
            OriginFault::HeadTimeout => "the server did not answer in time",
            OriginFault::ParentLogin => "the next proxy does not take the credentials of this one",
            OriginFault::ParentRefused => "the next proxy did not open the tunnel",
        }
    }
}

impl fmt::Display for OriginFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for OriginFault {}

impl From<ChunkFault> for OriginFault {
    fn from(fault: ChunkFault) -> OriginFault {
        OriginFault::Chunk(fault)
    }
}
