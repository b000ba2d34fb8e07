//! Large pages that are being sent: files that the thread holds open for sessions, and reads block by block. Knows neither
//! their names nor how they are sent.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use reactor::arena::Key;
use reactor::bus::Far;
use reactor::frame::Frame;

use super::kind;
use crate::io::content::CONTENT_BLOCK;

/// Bytes of a block's frame before the file's: the number of the file.
const NUMBER: usize = 8;

/// A block of a file, on the loop's side.
#[derive(Debug)]
pub struct Block {
    /// The session that the file is for.
    pub session: Key,
    /// The number of the file.
    pub id: u64,
    /// The bytes; none at the end of the file.
    pub bytes: Vec<u8>,
}

impl Block {
    /// The block in a frame that [`OpenFiles::send`] has sent.
    pub(super) fn of(frame: Frame<'_>) -> Option<Block> {
        let (number, bytes) = frame.payload.split_first_chunk::<NUMBER>()?;
        Some(Block { session: Key::from_bits(frame.key), id: u64::from_ne_bytes(*number), bytes: bytes.to_vec() })
    }
}

/// The files that are open, by number. As many as there are sessions at most, since each has one.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    files: BTreeMap<u64, (Key, File, Arc<str>)>,
    payload: Vec<u8>,
}

impl OpenFiles {
    /// Holds a file open for a session.
    pub(super) fn keep(&mut self, id: u64, session: Key, file: File, what: Arc<str>) {
        self.files.insert(id, (session, file, what));
    }

    /// What a read of a file is called in the log, if it is open.
    pub(super) fn what(&self, id: u64) -> Option<Arc<str>> {
        self.files.get(&id).map(|(_, _, what)| Arc::clone(what))
    }

    pub(super) fn close(&mut self, id: u64) {
        self.files.remove(&id);
    }

    /// Sends the next block of a file, which is empty at its end. Nothing if the file was closed.
    ///
    /// # Errors
    /// When the loop is gone.
    pub(super) fn send(&mut self, id: u64, bus: &mut Far) -> io::Result<()> {
        let Some((session, file, what)) = self.files.get_mut(&id) else { return Ok(()) };
        self.payload.clear();
        self.payload.extend_from_slice(&id.to_ne_bytes());
        if let Err(error) = file.take(CONTENT_BLOCK as u64).read_to_end(&mut self.payload) {
            log::warn!(target: "client", "{what} failed: {error}");
            self.payload.truncate(NUMBER);
        }
        bus.send(Frame { kind: kind::BLOCK, key: session.to_bits(), payload: &self.payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reactor::bus::{self, Near};

    fn received(near: &mut Near) -> Vec<Block> {
        let mut blocks = Vec::new();
        while near.receive(|frame| blocks.extend(Block::of(frame))).unwrap() == bus::Received::More {}
        blocks
    }

    #[test]
    fn a_file_comes_in_blocks_up_to_its_end() {
        let (mut near, mut far) = bus::pair().unwrap();
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("a"), vec![b'x'; CONTENT_BLOCK + 9]).unwrap();
        let session = Key { index: 3, generation: 4 };
        let mut open = OpenFiles::default();
        open.keep(7, session, File::open(place.path().join("a")).unwrap(), "reading a".into());
        open.keep(8, session, File::open(place.path()).unwrap(), "reading a folder".into());
        for (id, count) in [(7, CONTENT_BLOCK), (7, 9), (7, 0), (7, 0), (8, 0)] {
            open.send(id, &mut far).unwrap();
            let blocks = received(&mut near);
            assert_eq!((blocks.len(), blocks[0].session, blocks[0].id, blocks[0].bytes.len()), (1, session, id, count));
        }
        open.close(7);
        open.send(7, &mut far).unwrap();
        assert!(received(&mut near).is_empty() && open.files.len() == 1);
    }
}
