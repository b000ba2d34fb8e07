//! The lines between the data of chunks: sizes, extensions and trailers (RFC 9112 sections 7.1.1 and 7.1.2).

use memchr::memchr;

use super::{ChunkFault, ChunkSender};
use crate::http::fields::FieldKind;
use crate::http::syntax::{is_token, is_value, trim};

/// Trailer fields that say how to frame, route, judge or read the content, and so must not come after it
/// (RFC 9110 section 6.5.1). The fields that a proxy knows by [`FieldKind`] are left out too.
const NOT_TRAILERS: [&[u8]; 14] = [
    b"age",
    b"cache-control",
    b"content-encoding",
    b"content-location",
    b"content-range",
    b"content-type",
    b"cookie",
    b"expires",
    b"location",
    b"pragma",
    b"range",
    b"retry-after",
    b"set-cookie",
    b"vary",
];

/// A line with a chunk's size, taken apart.
pub(super) struct SizeLine {
    pub(super) value: u64,
    /// Leading zeros, the last digit not counted.
    pub(super) zeros: usize,
    /// All digits, leading zeros included.
    pub(super) digits: usize,
}

impl SizeLine {
    pub(super) fn parse(line: &[u8], side: ChunkSender) -> Result<SizeLine, ChunkFault> {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (number, rest) = line.split_at(digits);
        let rest = match side {
            ChunkSender::Client => rest,
            ChunkSender::Origin => trim(rest),
        };
        match rest {
            [] => {}
            [b';', extension @ ..] => check_extension(extension)?,
            _ => return Err(ChunkFault::BadSize),
        }
        let zeros = number.iter().take_while(|byte| **byte == b'0').count().min(digits.saturating_sub(1));
        Ok(SizeLine { value: parse_hex(number)?, zeros, digits })
    }
}

fn parse_hex(digits: &[u8]) -> Result<u64, ChunkFault> {
    if digits.is_empty() {
        return Err(ChunkFault::BadSize);
    }
    digits.iter().try_fold(0u64, |value, byte| {
        let digit = (*byte as char).to_digit(16).ok_or(ChunkFault::BadSize)?;
        Ok(value.checked_mul(16).ok_or(ChunkFault::TooLarge)? | u64::from(digit))
    })
}

/// Extensions are dropped. One whose quote is still open at the line's end is a fault: a reader that lets quotes span
/// lines would find the chunk's data elsewhere.
fn check_extension(extension: &[u8]) -> Result<(), ChunkFault> {
    let mut quoted = false;
    let mut bytes = extension.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => drop(bytes.next()),
            _ => {}
        }
    }
    if quoted || !is_value(extension) {
        return Err(ChunkFault::BadExtension);
    }
    Ok(())
}

/// The name of the field that a trailer line is.
pub(super) fn trailer_name(line: &[u8]) -> Result<&[u8], ChunkFault> {
    let colon = memchr(b':', line).ok_or(ChunkFault::BadTrailer)?;
    let (name, value) = line.split_at(colon);
    if !is_token(name) || !is_value(value) {
        return Err(ChunkFault::BadTrailer);
    }
    Ok(name)
}

/// Whether a field of this name may come after the content.
pub(super) fn may_be_trailer(name: &[u8]) -> bool {
    FieldKind::of(name) == FieldKind::Other && !NOT_TRAILERS.iter().any(|other| name.eq_ignore_ascii_case(other))
}
