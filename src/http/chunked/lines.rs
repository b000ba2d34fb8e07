//! The lines between the data of chunks: sizes, extensions and trailers (RFC 9112 sections 7.1.1 and 7.1.2).

use memchr::memchr;

use super::{ChunkFault, ChunkSender};
use crate::http::extensions;
use crate::http::fields::FieldKind;
use crate::http::syntax::{is_relayable, is_token, is_value, trim};

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
        match (side, trim(rest)) {
            (ChunkSender::Client, _) if rest.is_empty() => {}
            (ChunkSender::Client, [b';', ..]) if extensions::are_formed(rest) => {}
            (ChunkSender::Origin, []) => {}
            (ChunkSender::Origin, [b';', ..]) if extensions::are_closed(rest) => {}
            (_, [b';', ..]) => return Err(ChunkFault::BadExtension),
            _ => return Err(ChunkFault::BadSize),
        }
        let zeros = number.iter().take_while(|byte| **byte == b'0').count().min(digits.saturating_sub(1));
        Ok(SizeLine { value: parse_hex(number)?, zeros, digits })
    }
}

/// Whether the extensions of a chunk are `ieof`.
pub(super) fn ends_all(extensions: &[u8]) -> bool {
    let mut parts = extensions.split(|byte| *byte == b';');
    parts.any(|part| trim(part).eq_ignore_ascii_case(b"ieof"))
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

/// The name of the field that a trailer line is.
pub(super) fn trailer_name(line: &[u8], side: ChunkSender) -> Result<&[u8], ChunkFault> {
    let colon = memchr(b':', line).ok_or(ChunkFault::BadTrailer)?;
    let (name, value) = line.split_at(colon);
    let passes = match side {
        ChunkSender::Client => is_value(value),
        ChunkSender::Origin => is_relayable(value),
    };
    if !is_token(name) || !passes {
        return Err(ChunkFault::BadTrailer);
    }
    Ok(name)
}

/// Whether a field of this name may come after the content.
pub(super) fn may_be_trailer(name: &[u8]) -> bool {
    let kind = FieldKind::of(name);
    (kind == FieldKind::Other || kind.concerns_caches())
        && !NOT_TRAILERS.iter().any(|other| name.eq_ignore_ascii_case(other))
}
