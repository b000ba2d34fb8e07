//! Fatal alerts (RFC 8446 section 6.2): what a client of TLS understands where a page cannot be sent.

/// Why a handshake goes no further. The numbers are those of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the names are those of RFC 8446
pub enum Alert {
    UnexpectedMessage = 10,
    RecordOverflow = 22,
    HandshakeFailure = 40,
    IllegalParameter = 47,
    AccessDenied = 49,
    DecodeError = 50,
    ProtocolVersion = 70,
    InternalError = 80,
    UnrecognizedName = 112,
}

/// Bytes of a record with an alert.
pub const ALERT_RECORD: usize = 7;

/// The content type of alerts, and their level.
const ALERT: u8 = 21;
const FATAL: u8 = 2;

impl Alert {
    /// The alert in a record, as it stands before any version was agreed on.
    pub fn record(self) -> [u8; ALERT_RECORD] {
        [ALERT, 3, 1, 0, 2, FATAL, self as u8]
    }
}
