//! What a client of ICAP does wrong, and the status that tells it so.

use std::fmt;

/// What is wrong with an ICAP request. Behind it the next one cannot be found, so that the connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IcapFault {
    /// It does not begin as one.
    NotIcap,
    /// It is of another version than 1.0.
    Version,
    /// A method that is none of ICAP's three.
    Method,
    /// The head does not fit into `icap.header-size`, or what is encapsulated not into `http.header-size`.
    TooLarge,
    /// A line of its head that is no field, or one that stands there twice.
    BadField,
    /// Encapsulated is missing, or does not fit the method or the bytes that follow.
    BadParts,
    /// A preview beyond [`super::request::MAX_PREVIEW`].
    LongPreview,
}

impl IcapFault {
    /// The status of the reply (RFC 3507 section 4.3.3).
    pub fn status(self) -> u16 {
        match self {
            IcapFault::Version => 505,
            IcapFault::Method => 501,
            _ => 400,
        }
    }
}

impl fmt::Display for IcapFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IcapFault::NotIcap => "it is not ICAP",
            IcapFault::Version => "its version is not ICAP/1.0",
            IcapFault::Method => "its method is none of ICAP",
            IcapFault::TooLarge => "its heads are too large (icap.header-size, http.header-size)",
            IcapFault::BadField => "its head has a line that is no field, or a field twice",
            IcapFault::BadParts => "its Encapsulated does not fit it",
            IcapFault::LongPreview => "its preview is too long",
        })
    }
}

impl std::error::Error for IcapFault {}
