//! What all sessions of a loop share: where bytes are read to first, where bodies are peeked at, the pool of blocks, and the
//! pipes. Knows no session.

use reactor::buffer::{Buf, Pool, BLOCK};
use reactor::pipe::Pipes;

use super::peek::MAX_PEEK;

/// Free bytes kept in front of what is read into the shared buffer, so that a head can grow where it stands.
pub(super) const HEADROOM: usize = 8 * 1024;

/// What sessions share: the loop has one of each.
#[derive(Debug)]
pub struct Shared {
    /// Where bytes are read to first; what the other side does not take at once goes into a block.
    pub(super) scratch: Buf,
    /// Where bodies are peeked at.
    pub(super) peek: Box<[u8]>,
    /// Lends the blocks.
    pub pool: Pool,
    /// What bodies go through without a copy.
    pub pipes: Pipes,
    /// A session did not read what is there, for want of a block. It will not be told again, so the owner has to run
    /// everybody once more when there are blocks, and clears this.
    pub starved: bool,
}

impl Shared {
    /// The shared buffers, a pool that lends at most `budget` blocks, and at most `pipes` pipes that hold bytes.
    pub fn new(budget: usize, pipes: usize) -> Shared {
        Shared {
            scratch: Buf::private(HEADROOM + BLOCK),
            peek: vec![0; MAX_PEEK].into_boxed_slice(),
            pool: Pool::new(budget),
            pipes: Pipes::new(pipes),
            starved: false,
        }
    }
}
