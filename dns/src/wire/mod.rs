//! The message format of RFC 1035 section 4, as far as a stub resolver needs it. Knows neither time nor servers.
//!
//! Decoding borrows the bytes and allocates nothing, and it ends for all bytes there are: every length is checked, and
//! compression pointers only lead backwards.

pub mod message;
pub mod name;

use std::fmt;

use crate::Family;

/// The A record type (RFC 1035 section 3.4.1).
pub const TYPE_A: u16 = 1;
/// The NS record type (RFC 1035 section 3.3.11).
pub const TYPE_NS: u16 = 2;
/// The CNAME record type (RFC 1035 section 3.3.1).
pub const TYPE_CNAME: u16 = 5;
/// The SOA record type (RFC 1035 section 3.3.13).
pub const TYPE_SOA: u16 = 6;
/// The AAAA record type (RFC 3596 section 2.1).
pub const TYPE_AAAA: u16 = 28;
/// The OPT pseudo record type (RFC 6891 section 6.1.1).
pub const TYPE_OPT: u16 = 41;
/// The Internet class (RFC 1035 section 3.2.4).
pub const CLASS_IN: u16 = 1;

/// Response codes (RFC 1035 section 4.1.1, RFC 6891 section 9).
pub mod rcode {
    /// The question was understood and answered.
    pub const NOERROR: u16 = 0;
    /// The server could not read the question.
    pub const FORMERR: u16 = 1;
    /// The server failed.
    pub const SERVFAIL: u16 = 2;
    /// The name does not exist.
    pub const NXDOMAIN: u16 = 3;
    /// The server does not know this kind of question.
    pub const NOTIMP: u16 = 4;
    /// The server does not want to answer.
    pub const REFUSED: u16 = 5;
    /// The server does not know this version of EDNS.
    pub const BADVERS: u16 = 16;
}

impl Family {
    /// The record type that carries addresses of this family.
    pub fn record_type(self) -> u16 {
        match self {
            Family::V4 => TYPE_A,
            Family::V6 => TYPE_AAAA,
        }
    }
}

/// What is wrong with a message; always the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It ends before something that it announced.
    Short,
    /// A compression pointer leads forward, to itself, or through too many hops.
    Pointer,
    /// A label type that is not in use (RFC 6891 section 5), or a name of more than 255 bytes.
    Name,
    /// A record whose data has not the length that its type asks for.
    Data,
    /// More records than we are willing to look at.
    Records,
    /// It is not a response to a standard query.
    NotResponse,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Short => "the message ends too early",
            Malformed::Pointer => "a compression pointer does not lead backwards",
            Malformed::Name => "a name breaks the rules of its encoding",
            Malformed::Data => "a record has data of a wrong length",
            Malformed::Records => "the message has too many records",
            Malformed::NotResponse => "the message is not a response",
        })
    }
}

impl std::error::Error for Malformed {}

/// The 16-bit number at `at`.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    match bytes.get(at..) {
        Some(&[high, low, ..]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(Malformed::Short),
    }
}

/// The 32-bit number at `at`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Malformed> {
    match bytes.get(at..) {
        Some(&[a, b, c, d, ..]) => Ok(u32::from_be_bytes([a, b, c, d])),
        _ => Err(Malformed::Short),
    }
}
