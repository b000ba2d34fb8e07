//! Chunked content (RFC 9112 section 7.1), observed and made canonical in place. Knows nothing of the message around it.
//!
//! What goes out is a subset of what came in, so that editing only ever shrinks: a chunk's size without leading zeros,
//! blanks and extensions, its data, and those trailer fields that may be trailers. Anything that two readers could read
//! differently is a fault. An origin has a few liberties: blanks after a size, extensions of any form, and control
//! characters in trailers, which real servers send.

mod lines;

use std::fmt;

use memchr::memchr;

use super::syntax::elements;
use lines::{ends_all, may_be_trailer, trailer_name, SizeLine};

/// The longest line, in bytes with its line end: a buffer of this size always holds a complete one.
pub const MAX_LINE: usize = 8192;

/// The longest line with a chunk's size, in bytes with its line end: 16 digits and some extensions, which are dropped.
const MAX_SIZE_LINE: usize = 1024;

/// All trailer lines of one body together, in bytes.
const MAX_TRAILERS: usize = 8192;

/// What becomes of the chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They go on as chunks.
    Relay,
    /// Only their data goes on, to a client of HTTP/1.0, which does not know chunks.
    Decode,
}

/// Who sends the chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkSender {
    /// A client, which gets no liberties.
    Client,
    /// An origin, which gets a few.
    Origin,
}

/// What is wrong with chunked content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkFault {
    /// A size that is not hexadecimal digits.
    BadSize,
    /// A size beyond 64 bits.
    TooLarge,
    /// An extension without a name, or with a value that is neither a token nor a quoted text.
    BadExtension,
    /// A line longer than its limit.
    LineTooLong,
    /// A line that ends with LF alone, or has a CR within.
    BadLineEnd,
    /// The data of a chunk goes on where its line end should be.
    MissingEnd,
    /// A trailer line that is not a field.
    BadTrailer,
    /// The trailers are too many.
    TrailersTooLong,
}

impl ChunkFault {
    pub(crate) fn text(self) -> &'static str {
        match self {
            ChunkFault::BadSize => "a chunk size is malformed",
            ChunkFault::TooLarge => "a chunk size is too large",
            ChunkFault::BadExtension => "a chunk extension is malformed",
            ChunkFault::LineTooLong => "a chunk line is too long",
            ChunkFault::BadLineEnd => "a chunk line does not end with CR LF",
            ChunkFault::MissingEnd => "a chunk is longer than its size",
            ChunkFault::BadTrailer => "a trailer is malformed",
            ChunkFault::TrailersTooLong => "the trailers are too large",
        }
    }
}

impl fmt::Display for ChunkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for ChunkFault {}

/// What [`ChunkScan::scan`] or [`super::framing::Framing::scan`] made of a buffer: its first `kept` bytes go out in place
/// of its first `taken` bytes.
///
/// Bytes from `kept` to `taken` are garbage, bytes from `taken` on are untouched: the next message, or the start of a
/// chunk line that is not complete yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Bytes of input that are used up.
    pub taken: usize,
    /// Bytes at the front that go out, at most `taken`.
    pub kept: usize,
    /// The body is complete.
    pub done: bool,
}

/// Where in the content the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScanState {
    Size,
    Data,
    DataEnd,
    Trailer,
    Done,
    Broken(ChunkFault),
}

/// An observer of one chunked body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkScan {
    mode: Mode,
    side: ChunkSender,
    state: ScanState,
    /// Bytes of trailers seen so far.
    trailers: u16,
    /// Bytes left of the current chunk's data.
    left: u64,
    content: u64,
    /// The last chunk bears the extension `ieof`.
    whole: bool,
    /// Nearly always none; a connection has two of these observers, so it is a single word.
    nominated: Option<Box<Nominated>>,
}

/// Names of fields that the message's Connection field gives, with commas between them: they are for one hop only, as
/// trailers too (RFC 9110 section 7.6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Nominated(Vec<u8>);

impl ChunkScan {
    /// An observer that stands before the first chunk.
    pub fn new(mode: Mode, side: ChunkSender) -> ChunkScan {
        ChunkScan {
            mode,
            side,
            state: ScanState::Size,
            trailers: 0,
            left: 0,
            content: 0,
            whole: false,
            nominated: None,
        }
    }

    /// The same, without trailers of these names, which have commas between them.
    pub fn without(self, names: Vec<u8>) -> ChunkScan {
        ChunkScan { nominated: Some(Box::new(Nominated(names))), ..self }
    }

    /// As [`super::framing::Framing::scan`].
    pub fn scan(&mut self, bytes: &mut [u8]) -> Result<Scan, ChunkFault> {
        let mut edit = Edit { bytes, taken: 0, kept: 0 };
        // Each step but the last uses up a byte at least.
        while self.step(&mut edit).inspect_err(|fault| self.state = ScanState::Broken(*fault))? {}
        Ok(Scan { taken: edit.taken, kept: edit.kept, done: self.is_done() })
    }

    /// Bytes left of the current chunk's data.
    pub fn data_left(&self) -> u64 {
        self.left
    }

    /// Bytes of content that the chunks seen so far have announced.
    pub fn content(&self) -> u64 {
        self.content
    }

    /// Counts data bytes that went by unseen, at most [`ChunkScan::data_left`].
    pub fn pass(&mut self, count: u64) {
        if self.state == ScanState::Data {
            self.left = self.left.saturating_sub(count);
            if self.left == 0 {
                self.state = ScanState::DataEnd;
            }
        }
    }

    /// Whether the last chunk and the trailers have gone by.
    pub fn is_done(&self) -> bool {
        self.state == ScanState::Done
    }

    /// Whether the last chunk said `ieof`: a preview of ICAP that is all of the content (RFC 3507 section 4.5).
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether the content goes on without its chunks.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Goes one element further; false when that needs more bytes or the body is done.
    fn step(&mut self, edit: &mut Edit) -> Result<bool, ChunkFault> {
        match self.state {
            ScanState::Size => self.take_size(edit),
            ScanState::Data => Ok(self.take_data(edit)),
            ScanState::DataEnd => self.take_data_end(edit),
            ScanState::Trailer => self.take_trailer(edit),
            ScanState::Done => Ok(false),
            ScanState::Broken(fault) => Err(fault),
        }
    }

    fn take_size(&mut self, edit: &mut Edit) -> Result<bool, ChunkFault> {
        let Some(line) = edit.line(MAX_SIZE_LINE)? else { return Ok(false) };
        let size = SizeLine::parse(line, self.side)?;
        let end = line.len();
        self.whole = size.value == 0 && ends_all(&line[size.digits..]);
        self.content = self.content.saturating_add(size.value);
        self.left = size.value;
        // A size of 0 is the last chunk, which has no data and no line end of its own (RFC 9112 section 7.1).
        self.state = if size.value == 0 { ScanState::Trailer } else { ScanState::Data };
        if self.mode == Mode::Decode {
            edit.drop(end + 2);
            return Ok(true);
        }
        edit.drop(size.zeros);
        edit.keep(size.digits - size.zeros);
        edit.drop(end - size.digits);
        edit.keep(2);
        Ok(true)
    }

    fn take_data(&mut self, edit: &mut Edit) -> bool {
        let room = edit.rest().len();
        let here = usize::try_from(self.left).map_or(room, |left| left.min(room));
        edit.keep(here);
        self.pass(here as u64);
        here > 0
    }

    fn take_data_end(&mut self, edit: &mut Edit) -> Result<bool, ChunkFault> {
        match edit.rest() {
            [b'\r', b'\n', ..] => self.keep_unless_decoding(edit, 2),
            [] | [b'\r'] => return Ok(false),
            _ => return Err(ChunkFault::MissingEnd),
        }
        self.state = ScanState::Size;
        Ok(true)
    }

    fn take_trailer(&mut self, edit: &mut Edit) -> Result<bool, ChunkFault> {
        let Some(line) = edit.line(MAX_LINE)? else { return Ok(false) };
        let length = line.len() + 2;
        if line.is_empty() {
            self.state = ScanState::Done;
            self.keep_unless_decoding(edit, length);
            return Ok(true);
        }
        // A line is shorter than MAX_LINE and the sum is checked after each one, so it fits.
        self.trailers = self.trailers.saturating_add(length as u16);
        if usize::from(self.trailers) > MAX_TRAILERS {
            return Err(ChunkFault::TrailersTooLong);
        }
        // A dropped trailer is allowed (RFC 9110 section 6.5.1); one that is merged into the head could change its
        // meaning.
        let name = trailer_name(line, self.side)?;
        if may_be_trailer(name) && !self.is_nominated(name) {
            self.keep_unless_decoding(edit, length);
        } else {
            edit.drop(length);
        }
        Ok(true)
    }

    fn is_nominated(&self, name: &[u8]) -> bool {
        let is_it = |other: &[u8]| name.eq_ignore_ascii_case(other);
        self.nominated.as_ref().is_some_and(|names| elements(&names.0).any(is_it))
    }

    fn keep_unless_decoding(&self, edit: &mut Edit, count: usize) {
        match self.mode {
            Mode::Relay => edit.keep(count),
            Mode::Decode => edit.drop(count),
        }
    }
}

/// A buffer that is read and, never ahead of that, written.
struct Edit<'b> {
    bytes: &'b mut [u8],
    taken: usize,
    kept: usize,
}

impl Edit<'_> {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// The next line without its CRLF, if it is complete. `limit` counts the line end.
    fn line(&self, limit: usize) -> Result<Option<&[u8]>, ChunkFault> {
        let rest = self.rest();
        let window = &rest[..rest.len().min(limit)];
        let Some(end) = memchr(b'\n', window) else {
            return if rest.len() < limit { Ok(None) } else { Err(ChunkFault::LineTooLong) };
        };
        match &window[..end] {
            [line @ .., b'\r'] if memchr(b'\r', line).is_none() => Ok(Some(line)),
            _ => Err(ChunkFault::BadLineEnd),
        }
    }

    fn keep(&mut self, count: usize) {
        if self.kept != self.taken {
            self.bytes.copy_within(self.taken..self.taken + count, self.kept);
        }
        self.taken += count;
        self.kept += count;
    }

    fn drop(&mut self, count: usize) {
        self.taken += count;
    }
}

#[cfg(test)]
mod tests;
