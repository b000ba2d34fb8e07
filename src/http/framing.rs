//! How long a body is, and how much of it has gone by (RFC 9112 section 6.3). Sees bytes, keeps none.
//!
//! A body is observed, not copied: [`Framing::scan`] looks at the bytes at the front of a buffer, edits them in place
//! where they must not go out as they came, and says how many may. Where bytes need not be looked at at all,
//! [`Framing::passable`] says how many may go by unseen and [`Framing::pass`] counts those that did.

use super::chunked::{ChunkFault, ChunkScan, Scan};

/// The rest of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    Empty,
    /// So many bytes are still to come.
    Sized(u64),
    /// Chunks, up to the last one and its trailers.
    Chunked(ChunkScan),
    /// Everything until the peer closes; only a response can be so.
    UntilClose,
}

impl Framing {
    /// Observes the body bytes at the front of `bytes`. When not all are taken and the body is not done, more input is
    /// needed; a buffer of [`super::chunked::MAX_LINE`] bytes is always enough to go on.
    ///
    /// Only chunked content can be at fault, and it stays at fault: no later call succeeds.
    pub fn scan(&mut self, bytes: &mut [u8]) -> Result<Scan, ChunkFault> {
        if let Framing::Chunked(chunks) = self {
            return chunks.scan(bytes);
        }
        let here = usize::try_from(self.passable()).map_or(bytes.len(), |passable| passable.min(bytes.len()));
        self.pass(here as u64);
        Ok(Scan { taken: here, kept: here, done: self.is_done() })
    }

    /// Bytes that may go by unseen: the rest of a sized body, the rest of the current chunk's data, and `u64::MAX` for a
    /// body that ends with the connection.
    pub fn passable(&self) -> u64 {
        match self {
            Framing::Empty => 0,
            Framing::Sized(left) => *left,
            Framing::Chunked(chunks) => chunks.data_left(),
            Framing::UntilClose => u64::MAX,
        }
    }

    /// Counts bytes that went by unseen, at most [`Framing::passable`].
    pub fn pass(&mut self, count: u64) {
        debug_assert!(count <= self.passable());
        match self {
            Framing::Empty | Framing::UntilClose => {}
            Framing::Sized(left) => *left = left.saturating_sub(count),
            Framing::Chunked(chunks) => chunks.pass(count),
        }
    }

    /// Whether the body is complete. One that ends with the connection never is: its end is not in its bytes.
    pub fn is_done(&self) -> bool {
        match self {
            Framing::Empty => true,
            Framing::Sized(left) => *left == 0,
            Framing::Chunked(chunks) => chunks.is_done(),
            Framing::UntilClose => false,
        }
    }

    /// Whether only the end of the connection ends the body.
    pub fn ends_with_close(&self) -> bool {
        matches!(self, Framing::UntilClose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_body_takes_nothing() {
        let mut framing = Framing::Empty;
        assert!(framing.is_done() && framing.passable() == 0);
        assert_eq!(framing.scan(&mut b"next".to_vec()), Ok(Scan { taken: 0, kept: 0, done: true }));
    }

    #[test]
    fn a_sized_body_leaves_what_follows() {
        let mut framing = Framing::Sized(6);
        assert_eq!(framing.scan(&mut b"abcd".to_vec()), Ok(Scan { taken: 4, kept: 4, done: false }));
        assert_eq!(framing.passable(), 2);
        assert_eq!(framing.scan(&mut b"efGET".to_vec()), Ok(Scan { taken: 2, kept: 2, done: true }));
        assert!(framing.is_done());
    }

    #[test]
    fn a_sized_body_may_pass_unseen() {
        let mut framing = Framing::Sized(u64::MAX);
        framing.pass(u64::MAX - 1);
        assert!(!framing.is_done());
        framing.pass(1);
        assert!(framing.is_done());
    }

    #[test]
    fn nothing_but_the_end_ends_the_rest() {
        let mut framing = Framing::UntilClose;
        assert_eq!(framing.scan(&mut b"abcd".to_vec()), Ok(Scan { taken: 4, kept: 4, done: false }));
        framing.pass(1 << 40);
        assert!(framing.passable() == u64::MAX && !framing.is_done() && framing.ends_with_close());
    }
}
