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
use lines::{may_be_trailer, trailer_name, SizeLine};

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
    /// Only their data goes on, for a reader who does not know chunks.
    Decode,
}

/// Who sends the chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkSender {
    /// A client, who gets no liberties.
    Client,
    /// An origin, who gets a few.
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
        ChunkScan { mode, side, state: ScanState::Size, trailers: 0, left: 0, content: 0, nominated: None }
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
mod tests {
    use super::*;

    /// Feeds the content in pieces that end where `cuts` says, with one buffer that is refilled as the loop would do.
    fn feed(mut scan: ChunkScan, content: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, usize, bool), ChunkFault> {
        let (mut out, mut buffer, mut start, mut taken) = (Vec::new(), Vec::new(), 0, 0);
        for cut in cuts.iter().copied().chain([content.len()]) {
            buffer.extend_from_slice(&content[start..cut]);
            start = cut;
            let result = scan.scan(&mut buffer)?;
            assert!(result.kept <= result.taken && result.taken <= buffer.len());
            assert_eq!(buffer[result.taken..], content[taken + result.taken..cut], "untouched behind what was taken");
            out.extend_from_slice(&buffer[..result.kept]);
            buffer.drain(..result.taken);
            taken += result.taken;
        }
        Ok((out, taken, scan.is_done()))
    }

    fn relay(side: ChunkSender, content: &[u8]) -> Result<(Vec<u8>, usize, bool), ChunkFault> {
        feed(ChunkScan::new(Mode::Relay, side), content, &[])
    }

    const RICH: &[u8] = b"5;a=b;c=\"d;\\\"e\"\r\nhello\r\n00001\r\n!\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n\
        00;last\r\nX-Sum: 1\r\nContent-Length: 5\r\nx-end:\r\n\r\nGET / HTTP/1.1\r\n";
    const RICH_RELAYED: &[u8] =
        b"5\r\nhello\r\n1\r\n!\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nX-Sum: 1\r\nx-end:\r\n\r\n";

    #[test]
    fn canonical_chunks_pass_as_they_stand() {
        let content = b"5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(relay(ChunkSender::Client, content), Ok((content.to_vec(), content.len(), true)));
    }

    #[test]
    fn row_47_chunks_are_made_canonical() {
        for side in [ChunkSender::Client, ChunkSender::Origin] {
            let (out, taken, done) = relay(side, RICH).unwrap();
            assert_eq!(out.escape_ascii().to_string(), RICH_RELAYED.escape_ascii().to_string());
            assert!(done && RICH[taken..].starts_with(b"GET"));
        }
    }

    #[test]
    fn decoding_leaves_the_data() {
        let (out, _, done) = feed(ChunkScan::new(Mode::Decode, ChunkSender::Origin), RICH, &[]).unwrap();
        assert_eq!(out, b"hello!abcdefghijklmnopqrstuvwxyz");
        assert!(done);
    }

    #[test]
    fn every_split_gives_the_same() {
        for mode in [Mode::Relay, Mode::Decode] {
            let scan = ChunkScan::new(mode, ChunkSender::Client);
            let whole = feed(scan.clone(), RICH, &[]).unwrap();
            for first in 0..=RICH.len() {
                for second in first..=RICH.len() {
                    let split = feed(scan.clone(), RICH, &[first, second]).unwrap();
                    assert_eq!(split.0, whole.0, "cut at {first} and {second}");
                    assert_eq!((split.1, split.2), (whole.1, true));
                }
            }
            let every_byte: Vec<usize> = (0..RICH.len()).collect();
            assert_eq!(feed(scan, RICH, &every_byte).unwrap(), whole);
        }
    }

    #[test]
    fn data_may_pass_unseen() {
        let mut scan = ChunkScan::new(Mode::Relay, ChunkSender::Origin);
        let mut head = b"ffff\r\nab".to_vec();
        assert_eq!(scan.scan(&mut head), Ok(Scan { taken: 8, kept: 8, done: false }));
        assert_eq!(scan.data_left(), 0xfffd);
        scan.pass(0xfffd);
        assert_eq!(scan.data_left(), 0);
        assert_eq!(scan.scan(&mut b"\r\n0\r\n\r\n".to_vec()), Ok(Scan { taken: 7, kept: 7, done: true }));
    }

    #[test]
    fn row_47_what_two_readers_could_read_differently_is_refused() {
        let table: &[(&[u8], ChunkFault)] = &[
            (b"\r\n", ChunkFault::BadSize),
            (b" 5\r\nhello\r\n", ChunkFault::BadSize),
            (b"5 \r\nhello\r\n", ChunkFault::BadSize),
            (b"+5\r\nhello\r\n", ChunkFault::BadSize),
            (b"-5\r\nhello\r\n", ChunkFault::BadSize),
            (b"0x5\r\nhello\r\n", ChunkFault::BadSize),
            (b"5,5\r\nhello\r\n", ChunkFault::BadSize),
            (b";a\r\nhello\r\n", ChunkFault::BadSize),
            (b"5\nhello\n", ChunkFault::BadLineEnd),
            (b"5\r\r\nhello\r\n", ChunkFault::BadLineEnd),
            (b"5;a\rb\r\nhello\r\n", ChunkFault::BadLineEnd),
            (b"5;a\nb\r\nhello\r\n", ChunkFault::BadLineEnd),
            (b"5;a=\"\r\nhello\r\n", ChunkFault::BadExtension),
            (b"5;bad[=x\r\nhello\r\n", ChunkFault::BadExtension),
            (b"0;\r\n\r\n", ChunkFault::BadExtension),
            (b"5\r\nhelloworld", ChunkFault::MissingEnd),
            (b"5\r\nhello\n0\r\n\r\n", ChunkFault::MissingEnd),
            (b"5\r\nhello\rX", ChunkFault::MissingEnd),
            (b"10000000000000000\r\n", ChunkFault::TooLarge),
            (b"0\r\nnocolon\r\n\r\n", ChunkFault::BadTrailer),
            (b"0\r\n: x\r\n\r\n", ChunkFault::BadTrailer),
            (b"0\r\nA : x\r\n\r\n", ChunkFault::BadTrailer),
            (b"0\r\nA: b\r\n c\r\n\r\n", ChunkFault::BadTrailer),
            (b"0\r\nA: b\0\r\n\r\n", ChunkFault::BadTrailer),
            (b"0\r\nA: b\n\r\n", ChunkFault::BadLineEnd),
            (b"0\r\n\n", ChunkFault::BadLineEnd),
        ];
        for (content, want) in table {
            let got = relay(ChunkSender::Client, content);
            assert_eq!(got, Err(*want), "{}", content.escape_ascii());
        }
    }

    #[test]
    fn b8_control_characters_in_trailers_of_an_origin_are_relayed() {
        let content = b"0\r\nA: b\x0b\x01\x7f\x1b\r\n\r\n";
        assert_eq!(relay(ChunkSender::Origin, content), Ok((content.to_vec(), content.len(), true)));
        assert_eq!(relay(ChunkSender::Client, content), Err(ChunkFault::BadTrailer));
        assert_eq!(relay(ChunkSender::Origin, b"0\r\nA: b\0\r\n\r\n"), Err(ChunkFault::BadTrailer));
        assert_eq!(relay(ChunkSender::Origin, b"0\r\nA\x01: b\r\n\r\n"), Err(ChunkFault::BadTrailer));
    }

    #[test]
    fn b11_trailers_that_the_connection_field_names_stay_behind() {
        let content = b"0\r\nX-HOP: secret\r\nX-Sum: 1\r\nx-hop2: 2\r\nX-Hop: again\r\n\r\n";
        for side in [ChunkSender::Client, ChunkSender::Origin] {
            let scan = ChunkScan::new(Mode::Relay, side).without(b"close, x-hop,, TE".to_vec());
            let (out, _, done) = feed(scan, content, &[]).unwrap();
            assert_eq!((out.as_slice(), done), (&b"0\r\nX-Sum: 1\r\nx-hop2: 2\r\n\r\n"[..], true));
        }
    }

    #[test]
    fn an_observer_is_small() {
        assert_eq!(std::mem::size_of::<ChunkScan>(), 32);
        assert_eq!(std::mem::size_of::<super::super::framing::Framing>(), 32);
    }

    #[test]
    fn row_48_origins_may_put_blanks_after_a_size() {
        let content = b"5 \r\nhello\r\n0\t \r\n\r\n";
        let (out, _, done) = relay(ChunkSender::Origin, content).unwrap();
        assert_eq!((out.as_slice(), done), (&b"5\r\nhello\r\n0\r\n\r\n"[..], true));
        assert_eq!(relay(ChunkSender::Client, content), Err(ChunkFault::BadSize));
        assert_eq!(relay(ChunkSender::Origin, b" 5\r\nhello\r\n"), Err(ChunkFault::BadSize));
        assert_eq!(relay(ChunkSender::Origin, b"5\nhello\r\n"), Err(ChunkFault::BadLineEnd));
    }

    #[test]
    fn lines_are_bounded() {
        let extension = [b"5;".as_slice(), &[b'a'; MAX_SIZE_LINE]].concat();
        assert_eq!(relay(ChunkSender::Client, &extension), Err(ChunkFault::LineTooLong));
        assert!(!relay(ChunkSender::Client, &extension[..MAX_SIZE_LINE - 1]).unwrap().2);
        let zeros = [b"0".repeat(MAX_SIZE_LINE - 3), b"5\r\n".to_vec()].concat();
        assert_eq!(relay(ChunkSender::Client, &zeros).unwrap().0, b"5\r\n");
        let trailer = [b"0\r\nA: ".as_slice(), &[b'a'; MAX_LINE]].concat();
        assert_eq!(relay(ChunkSender::Client, &trailer), Err(ChunkFault::LineTooLong));
        let trailers = [b"0\r\n".to_vec(), b"A: b\r\n".repeat(MAX_TRAILERS / 6 + 1)].concat();
        assert_eq!(relay(ChunkSender::Client, &trailers), Err(ChunkFault::TrailersTooLong));
    }

    #[test]
    fn a_fault_stays() {
        let mut scan = ChunkScan::new(Mode::Relay, ChunkSender::Client);
        assert!(scan.scan(&mut b"x\r\n".to_vec()).is_err());
        assert_eq!(scan.scan(&mut b"0\r\n\r\n".to_vec()), Err(ChunkFault::BadSize));
        assert!(!scan.is_done());
    }

    #[test]
    fn the_largest_size_is_counted() {
        let (_, _, done) = relay(ChunkSender::Origin, b"ffffffffffffffff\r\nabc").unwrap();
        assert!(!done);
    }

    #[test]
    fn mutated_content_never_panics() {
        let mut random = 0x2545_f491_4f6c_dd1du64;
        for _ in 0..20_000 {
            let mut content = RICH.to_vec();
            for _ in 0..3 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let at = random as usize % content.len();
                content[at] = b"\r\n 0f;:\"\\\0\xffA"[(random >> 32) as usize % 12];
            }
            let cut = (random >> 16) as usize % content.len();
            let whole = relay(ChunkSender::Client, &content);
            let split = feed(ChunkScan::new(Mode::Relay, ChunkSender::Client), &content, &[cut]);
            assert_eq!(whole, split, "{}", content.escape_ascii());
        }
    }
}
