//! Bytes in flight: a linear buffer that borrows its memory from a pool only while it holds something.

/// Bytes of one pooled block. Two of them, one each way, stay far below the 64 KiB that a stalled connection may hold.
pub const BLOCK: usize = 16 * 1024;

/// Blocks that the pool keeps for the next borrower; more go back to the allocator (1 MiB in all).
const SPARE_BLOCKS: usize = 64;

/// What memory that holds nothing is filled with where debug assertions are on, so that tests see it should any of it get out.
pub const POISON: u8 = 0xDB;

/// Marks bytes that hold nothing as such. Costs nothing in a release.
pub fn poison(bytes: &mut [u8]) {
    if cfg!(debug_assertions) {
        bytes.fill(POISON);
    }
}

/// A linear buffer: bytes between `start` and `end` of its storage. Without storage it is empty and costs no memory.
#[derive(Debug, Default)]
pub struct Buf {
    storage: Box<[u8]>,
    start: u32,
    end: u32,
}

impl Buf {
    /// A buffer that owns `size` bytes outside any pool.
    pub fn private(size: usize) -> Buf {
        Buf { storage: vec![0; size].into_boxed_slice(), start: 0, end: 0 }
    }

    /// Number of bytes held.
    #[inline]
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// True when no byte is held.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// True while memory is borrowed or owned.
    pub fn has_storage(&self) -> bool {
        !self.storage.is_empty()
    }

    /// Bytes of storage beyond a block.
    #[inline]
    pub fn beyond(&self) -> usize {
        self.storage.len().saturating_sub(BLOCK)
    }

    /// The bytes held.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.storage[self.start as usize..self.end as usize]
    }

    /// The bytes held, to be changed in place.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.storage[self.start as usize..self.end as usize]
    }

    /// Free bytes at the end, after moving what is held to the front where that makes room.
    pub fn space(&mut self) -> &mut [u8] {
        // Bytes are moved when the end is reached, not at every read.
        if self.end as usize == self.storage.len() && self.start > 0 {
            self.storage.copy_within(self.start as usize..self.end as usize, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.storage[self.end as usize..]
    }

    /// Says that `count` bytes were written into [`Buf::space`].
    ///
    /// # Panics
    /// When that is more than there was room for.
    #[inline]
    pub fn filled(&mut self, count: usize) {
        assert!(count <= self.storage.len() - self.end as usize, "filled more than the room");
        self.end += count as u32;
    }

    /// Drops `count` bytes from the front.
    ///
    /// # Panics
    /// When fewer are held.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "consumed more than is held");
        self.start += count as u32;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Drops all bytes and leaves `headroom` free bytes in front, so that something can be put before what comes.
    pub fn reset(&mut self, headroom: usize) {
        debug_assert!(headroom <= self.storage.len());
        poison(&mut self.storage);
        self.start = headroom as u32;
        self.end = headroom as u32;
    }

    /// Takes `count` bytes out that begin `at` bytes from the front.
    ///
    /// # Panics
    /// When they reach past the end.
    pub fn remove(&mut self, at: usize, count: usize) {
        assert!(at + count <= self.len(), "removed more than is held");
        let from = self.start as usize + at;
        self.storage.copy_within(from + count..self.end as usize, from);
        self.end -= count as u32;
    }

    /// Puts `bytes` in the place of the first `count` bytes; grows outside the pool where there is no room.
    ///
    /// # Panics
    /// When fewer than `count` are held.
    pub fn replace_front(&mut self, count: usize, bytes: &[u8]) {
        assert!(count <= self.len(), "replaced more than is held");
        let body = self.start as usize + count;
        if bytes.len() <= body {
            self.start = (body - bytes.len()) as u32;
        } else {
            self.make_headroom(body, bytes.len());
        }
        self.storage[self.start as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Adds `bytes` at the end, growing outside the pool where there is no room.
    pub fn append(&mut self, bytes: &[u8]) {
        if self.space().len() < bytes.len() {
            self.grow(self.len() + bytes.len());
        }
        self.space()[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
    }

    /// Gives the buffer storage of at least `size` bytes, and never less than it had, keeping what it holds.
    pub fn grow(&mut self, size: usize) {
        let mut storage = vec![0; size.max(self.storage.len())].into_boxed_slice();
        storage[..self.len()].copy_from_slice(self.bytes());
        self.end = self.len() as u32;
        self.start = 0;
        self.storage = storage;
    }

    /// Moves what starts at `body` so that `wanted` bytes fit before it.
    fn make_headroom(&mut self, body: usize, wanted: usize) {
        let rest = self.end as usize - body;
        if wanted + rest <= self.storage.len() {
            self.storage.copy_within(body..self.end as usize, wanted);
        } else {
            let mut storage = vec![0; wanted + rest].into_boxed_slice();
            storage[wanted..wanted + rest].copy_from_slice(&self.storage[body..self.end as usize]);
            self.storage = storage;
        }
        self.start = 0;
        self.end = (wanted + rest) as u32;
    }
}

/// Lends buffers, up to a budget. Most are blocks; one that has to hold more gets memory of its own and counts the
/// same.
#[derive(Debug)]
pub struct Pool {
    spare: Vec<Box<[u8]>>,
    lent: usize,
    budget: usize,
}

impl Pool {
    /// A pool that lends at most `budget` buffers at a time.
    pub fn new(budget: usize) -> Pool {
        Pool { spare: Vec::new(), lent: 0, budget }
    }

    /// Buffers lent now.
    pub fn lent(&self) -> usize {
        self.lent
    }

    /// How many it lends at most.
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// False when the budget is used up: then nothing more may be read that would need a block.
    pub fn has_room(&self) -> bool {
        self.lent < self.budget
    }

    /// Changes the budget. Blocks that are lent stay lent.
    pub fn set_budget(&mut self, budget: usize) {
        self.budget = budget;
    }

    /// Gives an empty buffer a block. The caller asked [`Pool::has_room`] before it read; what was already read is
    /// kept even when the budget is used up, so that nothing is lost.
    pub fn lend(&mut self, buf: &mut Buf) {
        debug_assert!(!buf.has_storage());
        self.lent += 1;
        buf.storage = self.spare.pop().unwrap_or_else(|| vec![0; BLOCK].into_boxed_slice());
        poison(&mut buf.storage);
        buf.start = 0;
        buf.end = 0;
    }

    /// A buffer that holds a copy of `bytes`: in a block if they fit, else in memory of its own.
    pub fn store(&mut self, bytes: &[u8]) -> Buf {
        let mut buf = Buf::default();
        self.lend(&mut buf);
        if bytes.len() > BLOCK {
            self.outgrow(&mut buf, bytes.len());
        }
        buf.append(bytes);
        buf
    }

    /// Takes a buffer back that was lent, also one that has outgrown its block. What it held is gone.
    pub fn reclaim(&mut self, buf: &mut Buf) {
        let storage = std::mem::take(buf).storage;
        if !storage.is_empty() {
            self.lent = self.lent.saturating_sub(1);
            self.keep(storage);
        }
    }

    /// Replaces a block by `size` bytes of memory of its own, for a head that outgrows a block. The buffer stays lent.
    pub fn outgrow(&mut self, buf: &mut Buf, size: usize) {
        let mut grown = Buf::private(size.max(BLOCK + 1));
        grown.append(buf.bytes());
        let block = std::mem::replace(buf, grown);
        self.keep(block.storage);
    }

    /// Gives a buffer that has outgrown its block a block again as soon as what it holds leaves room in one.
    #[inline]
    pub fn shrink(&mut self, buf: &mut Buf) {
        if buf.beyond() > 0 && buf.len() < BLOCK {
            let grown = std::mem::take(buf);
            self.lent = self.lent.saturating_sub(1);
            *buf = self.store(grown.bytes());
        }
    }

    fn keep(&mut self, storage: Box<[u8]>) {
        if storage.len() == BLOCK && self.spare.len() < SPARE_BLOCKS {
            self.spare.push(storage);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_borrowed_and_given_back() {
        let mut pool = Pool::new(1);
        let mut buf = pool.store(b"some bytes");
        assert_eq!((pool.lent(), pool.has_room()), (1, false));
        buf.consume(5);
        assert_eq!(buf.bytes(), b"bytes");
        pool.reclaim(&mut buf);
        assert_eq!((pool.lent(), buf.has_storage(), buf.is_empty()), (0, false, true));
        pool.reclaim(&mut buf);
        assert_eq!(pool.lent(), 0, "giving nothing back changes nothing");
    }

    #[test]
    fn the_front_is_replaced_in_headroom_by_moving_or_by_growing() {
        let mut buf = Buf::private(32);
        buf.reset(8);
        buf.append(b"headbody");
        buf.replace_front(4, b"longer head ");
        assert_eq!(buf.bytes(), b"longer head body");
        let mut full = Buf::private(8);
        full.append(b"headbody");
        full.replace_front(4, b"HEADER:");
        assert_eq!(full.bytes(), b"HEADER:body");
        let mut moved = Buf::private(16);
        moved.append(b"headbody");
        moved.replace_front(4, b"HEADER:");
        assert_eq!(moved.bytes(), b"HEADER:body");
        moved.replace_front(7, b"");
        assert_eq!(moved.bytes(), b"body");
    }

    /// What is lent again holds nothing of who had it before, and is marked.
    #[test]
    fn memory_that_holds_nothing_is_marked() {
        let mut pool = Pool::new(1);
        let mut buf = pool.store(b"of one client");
        pool.reclaim(&mut buf);
        pool.lend(&mut buf);
        assert!(buf.space().iter().all(|byte| *byte == POISON));
        buf.append(b"of another");
        buf.reset(4);
        assert!(buf.storage.iter().all(|byte| *byte == POISON));
    }

    #[test]
    fn space_moves_what_is_held_to_the_front() {
        let mut buf = Buf::private(8);
        buf.append(b"12345678");
        buf.consume(6);
        assert_eq!(buf.space().len(), 6);
        buf.append(b"9");
        assert_eq!(buf.bytes(), b"789");
        buf.remove(1, 1);
        assert_eq!(buf.bytes(), b"79");
    }

    #[test]
    fn a_head_outgrows_its_block_without_losing_a_byte() {
        let mut pool = Pool::new(4);
        let mut buf = pool.store(&[7; BLOCK]);
        pool.outgrow(&mut buf, 2 * BLOCK);
        assert_eq!((pool.lent(), buf.len(), buf.space().len()), (1, BLOCK, BLOCK));
        pool.reclaim(&mut buf);
        assert_eq!(pool.lent(), 0);
    }

    #[test]
    fn b4_a_head_that_is_taken_leaves_no_more_than_a_block() {
        let mut pool = Pool::new(4);
        let mut buf = pool.store(&[7; 3 * BLOCK]);
        for (taken, beyond) in [(BLOCK, 2 * BLOCK), (BLOCK, 2 * BLOCK), (1, 0)] {
            buf.consume(taken);
            pool.shrink(&mut buf);
            assert_eq!((buf.beyond(), pool.lent()), (beyond, 1), "{} left", buf.len());
        }
        assert_eq!((buf.len(), buf.space().len()), (BLOCK - 1, 1));
        pool.shrink(&mut buf);
        pool.reclaim(&mut buf);
        assert_eq!(pool.lent(), 0);
    }

    #[test]
    fn a_block_that_grew_is_still_counted_back() {
        let mut pool = Pool::new(4);
        let mut buf = pool.store(&[7; BLOCK]);
        buf.replace_front(0, b"a head in front");
        assert_eq!((pool.lent(), buf.len()), (1, BLOCK + 15));
        pool.reclaim(&mut buf);
        assert_eq!(pool.lent(), 0);
    }

    #[test]
    fn growing_never_makes_the_storage_smaller() {
        let mut buf = Buf::private(100);
        buf.reset(60);
        buf.append(&[1; 50]);
        assert_eq!((buf.len(), buf.space().len()), (50, 50));
        buf.consume(50);
        buf.reset(60);
    }

    #[test]
    #[should_panic(expected = "consumed more")]
    fn consuming_more_than_is_held_is_a_broken_invariant() {
        Buf::private(4).consume(1);
    }
}
