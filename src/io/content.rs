//! What follows an answer from elsewhere: from a file that is too large to be kept, whose bytes the loader reads, or from a
//! response that is on its way to others too. Holds what has come and the client has not taken yet. Knows no file and no cache,
//! and neither who reads nor who gets the bytes.

use std::sync::Arc;

/// Bytes that are read from a file in one go, and that a session holds at most.
pub const CONTENT_BLOCK: usize = 64 << 10;

/// Bytes beside the data of a chunk: its size in hexadecimal digits, and two line ends.
const CHUNK_FRAME: usize = 16 + 2 + 2;

/// What ends a body in chunks (RFC 9112 section 7.1).
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Content that is sent in pieces: at most one block of it is here or on its way.
#[derive(Debug)]
pub struct Content {
    id: u64,
    block: ContentBytes,
    /// Where in the block the next bytes are.
    at: usize,
    source: Supply,
    /// Bytes that have come in all.
    come: u64,
    /// It comes from a response that others read too, and not from the loader.
    shared: bool,
    /// It is sent as chunks, of which the last is still to come.
    chunked: bool,
}

/// A piece of content.
#[derive(Debug)]
enum ContentBytes {
    Own(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl ContentBytes {
    fn bytes(&self) -> &[u8] {
        match self {
            ContentBytes::Own(bytes) => bytes,
            ContentBytes::Shared(bytes) => bytes,
        }
    }
}

/// What is known of the bytes behind the block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Supply {
    /// There may be more.
    Open,
    /// They were asked for.
    Asked,
    /// There are none.
    Ended,
    /// There should be more, and will not.
    Broken,
}

/// What a session needs of the content behind its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContentRequest {
    /// The next block of a file.
    Block(u64),
    /// Nothing more of a file: it can be closed.
    Close(u64),
    /// What comes behind so many bytes of a response.
    Read(u64, u64),
    /// Nothing more of a response.
    Leave(u64),
}

impl Content {
    /// The bytes of the file that is known by this number.
    pub fn new(id: u64) -> Content {
        let block = ContentBytes::Own(Vec::new());
        Content { id, block, at: 0, source: Supply::Open, come: 0, shared: false, chunked: false }
    }

    /// The body of the response that is known by this number; as chunks if its length is not known.
    pub fn shared(id: u64, chunked: bool) -> Content {
        Content { shared: true, chunked, ..Content::new(id) }
    }

    /// The number of the file or of the response.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether it is the body of a response that others read too.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// What is to be asked for now, if anything: once for each block.
    pub fn poll(&mut self) -> Option<ContentRequest> {
        let wanted = self.at == self.block.bytes().len() && self.source == Supply::Open;
        if !wanted {
            return None;
        }
        self.source = Supply::Asked;
        Some(self.request())
    }

    /// What the block that is waited for is asked for by.
    pub fn request(&self) -> ContentRequest {
        match self.shared {
            true => ContentRequest::Read(self.id, self.come),
            false => ContentRequest::Block(self.id),
        }
    }

    /// What says that no more of it is wanted.
    pub fn farewell(&self) -> ContentRequest {
        match self.shared {
            true => ContentRequest::Leave(self.id),
            false => ContentRequest::Close(self.id),
        }
    }

    /// The block that was asked for; an empty one is the end of the file.
    pub fn handle_block(&mut self, block: Vec<u8>) {
        debug_assert!(self.source == Supply::Asked && block.len() <= CONTENT_BLOCK);
        self.source = if block.is_empty() { Supply::Ended } else { Supply::Open };
        self.come += block.len() as u64;
        (self.block, self.at) = (ContentBytes::Own(block), 0);
    }

    /// The bytes that were asked for, from that place in the block on.
    pub fn handle_shared(&mut self, block: Arc<[u8]>, at: usize) {
        debug_assert!(self.source == Supply::Asked && at < block.len());
        self.source = Supply::Open;
        self.come += (block.len() - at) as u64;
        (self.block, self.at) = (ContentBytes::Shared(block), at);
    }

    /// There is no more: it is `complete`, or will never be.
    pub fn handle_end(&mut self, complete: bool) {
        self.source = if complete { Supply::Ended } else { Supply::Broken };
        (self.block, self.at) = (ContentBytes::Own(Vec::new()), 0);
    }

    /// Is there something to read, be it the end?
    pub fn is_ready(&self) -> bool {
        self.at < self.block.bytes().len() || matches!(self.source, Supply::Ended | Supply::Broken)
    }

    /// The next bytes, where they stand; none while none are there, nor where they go out as chunks.
    pub fn bytes(&self) -> &[u8] {
        if self.chunked {
            return b"";
        }
        self.block.bytes().get(self.at..).unwrap_or_default()
    }

    /// So many of these were sent.
    pub fn skip(&mut self, count: usize) {
        self.at += count;
    }

    /// Takes the next bytes, into at least 64; 0 is the end of the file. None while they are not there yet.
    pub fn read(&mut self, into: &mut [u8]) -> Option<usize> {
        if !self.is_ready() {
            return None;
        }
        let left = self.block.bytes().len() - self.at;
        if !self.chunked {
            return Some(self.copy(into, left));
        }
        debug_assert!(into.len() >= 64);
        if left == 0 {
            // A body that breaks off has no end that a client could take for one.
            let end = if self.source == Supply::Ended { LAST_CHUNK } else { b"" };
            self.chunked = false;
            into[..end.len()].copy_from_slice(end);
            return Some(end.len());
        }
        let count = left.min(into.len() - CHUNK_FRAME);
        let size = format!("{count:x}\r\n");
        into[..size.len()].copy_from_slice(size.as_bytes());
        let end = size.len() + self.copy(&mut into[size.len()..size.len() + count], left);
        into[end..end + 2].copy_from_slice(b"\r\n");
        Some(end + 2)
    }

    fn copy(&mut self, into: &mut [u8], left: usize) -> usize {
        let count = left.min(into.len());
        into[..count].copy_from_slice(&self.block.bytes()[self.at..self.at + count]);
        self.at += count;
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_asked_for_when_the_one_before_it_is_gone() {
        let mut content = Content::new(7);
        let mut bytes = [0; 4];
        assert_eq!((content.poll(), content.poll()), (Some(ContentRequest::Block(7)), None), "once");
        assert!(!content.is_ready() && content.read(&mut bytes).is_none());
        content.handle_block(b"123456".to_vec());
        assert_eq!((content.read(&mut bytes), bytes, content.poll()), (Some(4), *b"1234", None));
        assert_eq!((content.read(&mut bytes), &bytes[..2], content.poll().is_some()), (Some(2), &b"56"[..], true));
        assert_eq!(content.read(&mut bytes), None);
        content.handle_block(Vec::new());
        assert_eq!((content.read(&mut bytes), content.read(&mut bytes), content.poll()), (Some(0), Some(0), None));
    }

    #[test]
    fn what_others_read_too_is_told_by_its_place() {
        let mut content = Content::shared(7, false);
        let mut bytes = [0; 64];
        assert_eq!(content.poll(), Some(ContentRequest::Read(7, 0)));
        content.handle_shared(b"..abc".as_slice().into(), 2);
        assert_eq!((content.read(&mut bytes), &bytes[..3]), (Some(3), &b"abc"[..]));
        assert_eq!((content.poll(), content.farewell()), (Some(ContentRequest::Read(7, 3)), ContentRequest::Leave(7)));
        content.handle_shared(b"def".as_slice().into(), 0);
        content.skip(1);
        assert_eq!((content.bytes().to_vec(), content.poll()), (b"ef".to_vec(), None));
        content.skip(2);
        assert_eq!((content.bytes().to_vec(), content.poll()), (Vec::new(), Some(ContentRequest::Read(7, 6))));
        content.handle_end(true);
        assert_eq!((content.read(&mut bytes), content.poll()), (Some(0), None));
    }

    #[test]
    fn only_what_is_complete_has_a_last_chunk() {
        for (complete, wanted) in [(true, "3\r\nabc\r\n0\r\n\r\n"), (false, "3\r\nabc\r\n")] {
            let mut content = Content::shared(7, true);
            content.poll();
            content.handle_shared(b"abc".as_slice().into(), 0);
            let (mut bytes, mut got) = ([0; 64], Vec::new());
            got.extend_from_slice(&bytes[..0]);
            let count = content.read(&mut bytes).unwrap();
            got.extend_from_slice(&bytes[..count]);
            content.poll();
            content.handle_end(complete);
            let count = content.read(&mut bytes).unwrap();
            got.extend_from_slice(&bytes[..count]);
            assert_eq!((String::from_utf8(got).unwrap().as_str(), content.read(&mut bytes)), (wanted, Some(0)));
        }
    }
}
