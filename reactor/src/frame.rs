//! Messages on a byte stream between two threads of this process: a length, a kind, a key and a payload. What they mean
//! is the business of the two ends.

use std::fmt;

/// Bytes of a frame before its payload: u32 length of the payload, u8 kind, u64 key, in the machine's own order.
pub const HEADER: usize = 13;

/// Longest payload in bytes: twice the longest message between the loop and a thread, so that a greater length can only
/// mean that the two ends have lost step.
pub const MAX_PAYLOAD: usize = 8 << 20;

/// A message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: u8,
    /// What it is about.
    pub key: u64,
    /// What it says.
    pub payload: &'a [u8],
}

/// The stream is no sequence of frames, or a payload is longer than [`MAX_PAYLOAD`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong(pub usize);

impl fmt::Display for TooLong {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a frame of {} bytes", self.0)
    }
}

/// Appends a frame.
///
/// # Errors
/// When the payload is too long; nothing is appended then.
pub fn append(out: &mut Vec<u8>, frame: Frame<'_>) -> Result<(), TooLong> {
    let length = frame.payload.len();
    if length > MAX_PAYLOAD {
        return Err(TooLong(length));
    }
    out.reserve(HEADER + length);
    out.extend_from_slice(&(length as u32).to_ne_bytes());
    out.push(frame.kind);
    out.extend_from_slice(&frame.key.to_ne_bytes());
    out.extend_from_slice(frame.payload);
    Ok(())
}

/// Splits the first frame off, if it is complete, and gives its length with it.
///
/// # Errors
/// When the stream cannot be a sequence of frames.
pub fn first(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, TooLong> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    let [a, b, c, d, kind, key @ ..] = *header;
    let length = u32::from_ne_bytes([a, b, c, d]) as usize;
    if length > MAX_PAYLOAD {
        return Err(TooLong(length));
    }
    let frame = |payload| (Frame { kind, key: u64::from_ne_bytes(key), payload }, HEADER + length);
    Ok(rest.get(..length).map(frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_however_the_bytes_are_cut() {
        let frames = [
            Frame { kind: 1, key: 7, payload: b"" },
            Frame { kind: 2, key: u64::MAX, payload: b"a question\n" },
            Frame { kind: 255, key: 0, payload: &[0; 70_000] },
        ];
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| append(&mut bytes, *frame).unwrap());
        let mut rest = &bytes[..];
        for frame in frames {
            for cut in [0, 1, HEADER - 1, HEADER + frame.payload.len() - 1] {
                assert_eq!(first(&rest[..cut]), Ok(None), "{cut}");
            }
            let (found, length) = first(rest).unwrap().unwrap();
            assert_eq!(found, frame);
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn what_is_too_long_is_refused_on_both_sides() {
        let mut out = Vec::new();
        let payload = vec![0; MAX_PAYLOAD + 1];
        assert_eq!(append(&mut out, Frame { kind: 1, key: 1, payload: &payload }), Err(TooLong(MAX_PAYLOAD + 1)));
        assert!(out.is_empty());
        assert!(first(&[0xff; HEADER]).is_err());
    }
}
