//! Where a ClientHello ends on the wire: records (RFC 8446 section 5.1), however they are cut and however many carry the one
//! message. Knows nothing of what the message says.

use std::borrow::Cow;

use super::fault::HelloFault;

/// Bytes of a record in front of its content: type, version, length.
const RECORD_HEAD: usize = 5;

/// Bytes of a handshake message in front of its content: type, length.
pub(super) const MESSAGE_HEAD: usize = 4;

/// Most content of a record, in bytes.
const MAX_RECORD: usize = 1 << 14;

/// The content type of handshakes, and the type of the one message that may come first.
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

/// A search for the end of a hello that goes on where it stopped when more bytes have come.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct HelloScan {
    /// Where the first record begins that was not complete.
    at: u32,
    /// Bytes of the message in the records before it.
    gathered: u32,
}

impl HelloScan {
    /// The length of the hello at the front of `bytes`, its records included; None while it is unfinished.
    ///
    /// `bytes` must start with the same bytes at each call. `limit` is how many bytes it may have with its records.
    ///
    /// # Errors
    /// As soon as the bytes cannot become a hello with any bytes behind them.
    pub fn find(&mut self, bytes: &[u8], limit: usize) -> Result<Option<usize>, HelloFault> {
        if !begins(bytes)? {
            return Ok(None);
        }
        let message = message_length(bytes)?;
        if message.is_some_and(|length| length > limit) {
            return Err(HelloFault::TooLarge);
        }
        while let Some((content, length)) = record(bytes, self.at as usize)? {
            let gathered = self.gathered as usize + length;
            match message {
                Some(message) if gathered > message => return Err(HelloFault::Message),
                Some(message) if gathered == message && content.len() == length => {
                    let end = self.at as usize + RECORD_HEAD + length;
                    return if end <= limit { Ok(Some(end)) } else { Err(HelloFault::TooLarge) };
                }
                _ if content.len() < length => break,
                _ => {}
            }
            // Both are below the limit, or all ends here.
            self.at += (RECORD_HEAD + length) as u32;
            self.gathered = gathered as u32;
        }
        if bytes.len() < limit {
            Ok(None)
        } else {
            Err(HelloFault::TooLarge)
        }
    }
}

/// Whether the first bytes are those of TLS; false while that cannot be told.
///
/// What some server might take for TLS must not pass for another protocol: OpenSSL reads alerts in front of a hello, and
/// hellos in the form of SSL 2.0; Go reads records of any version below 16.
fn begins(bytes: &[u8]) -> Result<bool, HelloFault> {
    match bytes {
        [] | [20..=24] => Ok(false),
        [HANDSHAKE, 3, ..] => Ok(true),
        [HANDSHAKE, 0..=15, ..] | [20..=24, 3, ..] => Err(HelloFault::Record),
        // The length, the message's type, and the highest version that is offered (RFC 5246 section E.2).
        [128..=255, _, CLIENT_HELLO, 0 | 3, ..] => Err(HelloFault::Ssl2),
        [128..=255] | [128..=255, _] | [128..=255, _, CLIENT_HELLO] => Ok(false),
        _ => Err(HelloFault::NotTls),
    }
}

/// Content and announced length of the record that begins there, if its head is complete. The content may be cut.
fn record(bytes: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, HelloFault> {
    let rest = &bytes[at.min(bytes.len())..];
    match rest {
        [] | [HANDSHAKE] | [HANDSHAKE, 3] | [HANDSHAKE, 3, _] | [HANDSHAKE, 3, _, _] => Ok(None),
        [HANDSHAKE, 3, _, high, low, content @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            match length {
                0 => Err(HelloFault::Record),
                1..=MAX_RECORD => Ok(Some((&content[..length.min(content.len())], length))),
                _ => Err(HelloFault::TooLarge),
            }
        }
        _ => Err(HelloFault::Record),
    }
}

/// The length of the message with its head, once that is there: its four bytes may stand in as many records.
fn message_length(bytes: &[u8]) -> Result<Option<usize>, HelloFault> {
    let (mut head, mut have, mut at) = ([0; MESSAGE_HEAD], 0, 0);
    while let Some((content, length)) = record(bytes, at)? {
        let taken = content.len().min(MESSAGE_HEAD - have);
        head[have..have + taken].copy_from_slice(&content[..taken]);
        have += taken;
        if have > 0 && head[0] != CLIENT_HELLO {
            return Err(HelloFault::Message);
        }
        if have == MESSAGE_HEAD {
            let [_, high, middle, low] = head;
            return Ok(Some(MESSAGE_HEAD + u32::from_be_bytes([0, high, middle, low]) as usize));
        }
        if content.len() < length {
            break;
        }
        at += RECORD_HEAD + length;
    }
    Ok(None)
}

/// The message within the records of a hello that [`HelloScan::find`] has found.
pub(super) fn message(records: &[u8]) -> Result<Cow<'_, [u8]>, HelloFault> {
    let mut all = Vec::new();
    let mut at = 0;
    while let Some((content, length)) = record(records, at)? {
        if at == 0 && content.len() == length && RECORD_HEAD + length == records.len() {
            return Ok(Cow::Borrowed(content));
        }
        all.extend_from_slice(content);
        at += RECORD_HEAD + length;
    }
    Ok(Cow::Owned(all))
}
