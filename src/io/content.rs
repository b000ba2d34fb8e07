//! What follows an answer from a file that is too large to be kept: the bytes that the loader has read and the client has
//! not taken yet. Knows no file, and neither who reads it nor who gets it.

/// Bytes that are read from a file in one go, and that a session holds at most.
pub const CONTENT_BLOCK: usize = 64 << 10;

/// A file that is sent in pieces: at most one block of it is here or on its way.
#[derive(Debug)]
pub struct Content {
    id: u64,
    block: Vec<u8>,
    /// Where in the block the next bytes are.
    at: usize,
    source: Supply,
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
}

/// What a session needs of the file behind its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContentRequest {
    /// Its next block.
    Block(u64),
    /// Nothing more: it can be closed.
    Close(u64),
}

impl Content {
    /// The bytes of the file that is known by this number.
    pub fn new(id: u64) -> Content {
        Content { id, block: Vec::new(), at: 0, source: Supply::Open }
    }

    /// The number of the file.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Is the next block to be asked for? True once for each of them.
    pub fn poll(&mut self) -> bool {
        let wanted = self.at == self.block.len() && self.source == Supply::Open;
        if wanted {
            self.source = Supply::Asked;
        }
        wanted
    }

    /// The block that was asked for; an empty one is the end of the file.
    pub fn handle_block(&mut self, block: Vec<u8>) {
        debug_assert!(self.source == Supply::Asked && block.len() <= CONTENT_BLOCK);
        self.source = if block.is_empty() { Supply::Ended } else { Supply::Open };
        (self.block, self.at) = (block, 0);
    }

    /// Is there something to read, be it the end?
    pub fn is_ready(&self) -> bool {
        self.at < self.block.len() || self.source == Supply::Ended
    }

    /// Takes the next bytes; 0 is the end of the file. None while they are not there yet.
    pub fn read(&mut self, into: &mut [u8]) -> Option<usize> {
        if !self.is_ready() {
            return None;
        }
        let rest = &self.block[self.at..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_asked_for_when_the_one_before_it_is_gone() {
        let mut content = Content::new(7);
        let mut bytes = [0; 4];
        assert!(content.poll() && !content.poll(), "once");
        assert!(!content.is_ready() && content.read(&mut bytes).is_none());
        content.handle_block(b"123456".to_vec());
        assert_eq!((content.read(&mut bytes), bytes, content.poll()), (Some(4), *b"1234", false));
        assert_eq!((content.read(&mut bytes), &bytes[..2], content.poll()), (Some(2), &b"56"[..], true));
        assert_eq!(content.read(&mut bytes), None);
        content.handle_block(Vec::new());
        assert_eq!((content.read(&mut bytes), content.read(&mut bytes), content.poll()), (Some(0), Some(0), false));
    }
}
