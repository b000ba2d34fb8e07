//! One direction of an exchange, as accounting: what of the bytes at hand may go out, and whether more are wanted.
//!
//! A buffer holds `cleared` bytes first, which may be sent as they stand, and then raw ones that were not looked at yet.

use reactor::buffer::Buf;

use crate::http::chunked::ChunkFault;
use crate::http::framing::Framing;

/// The way that bytes take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the client to the origin.
    Upload,
    /// From the origin, or from ourselves, to the client.
    Download,
}

impl Direction {
    /// Where its bytes come from, for log lines.
    pub fn source(self) -> &'static str {
        match self {
            Direction::Upload => "the client",
            Direction::Download => "the origin",
        }
    }

    /// Where they go.
    pub fn sink(self) -> &'static str {
        match self {
            Direction::Upload => "the origin",
            Direction::Download => "the client",
        }
    }
}

/// What one direction has done and has still to do.
#[derive(Debug)]
pub struct Flow {
    /// How the end of the present message is found.
    pub framing: Framing,
    /// Bytes at the front of the buffer that may be sent.
    pub cleared: u32,
    /// The source has ended.
    pub eof: bool,
    /// The destination has been told that nothing more comes.
    pub shut: bool,
    /// All of the present message has been cleared.
    pub done: bool,
    /// The destination takes no more; what still comes is thrown away.
    pub broken: bool,
    /// Payload bytes sent since the connection began.
    pub moved: u64,
}

impl Flow {
    /// A direction in which nothing is expected.
    pub fn new() -> Flow {
        Flow { framing: Framing::Empty, cleared: 0, eof: false, shut: false, done: false, broken: false, moved: 0 }
    }

    /// Starts on the body of a message whose head is out of the way.
    pub fn begin(&mut self, framing: Framing) {
        self.done = framing.is_done();
        self.framing = framing;
    }

    /// Number of cleared bytes.
    pub fn cleared(&self) -> usize {
        self.cleared as usize
    }

    /// Clears what belongs to the present body. Bytes behind its end stay raw.
    ///
    /// # Errors
    /// When the chunked coding is not to be understood.
    pub fn scan(&mut self, buf: &mut Buf) -> Result<(), ChunkFault> {
        let at = self.cleared();
        if self.done || buf.len() == at {
            return Ok(());
        }
        let scan = self.framing.scan(&mut buf.bytes_mut()[at..])?;
        debug_assert!(scan.kept <= scan.taken);
        self.done = scan.done;
        let kept = if self.broken { 0 } else { scan.kept };
        if kept < scan.taken {
            buf.remove(at + kept, scan.taken - kept);
        }
        self.cleared += kept as u32;
        Ok(())
    }

    /// Clears everything: a tunnel has no messages.
    pub fn clear_all(&mut self, buf: &mut Buf) {
        if self.broken {
            buf.consume(buf.len());
        }
        self.cleared = buf.len() as u32;
    }

    /// Drops what was cleared: its destination is gone.
    pub fn drop_cleared(&mut self, buf: &mut Buf) {
        buf.consume(self.cleared());
        self.cleared = 0;
    }

    /// Drops what was not cleared: its source is gone, and it must not pass for the start of the next message.
    pub fn drop_raw(&mut self, buf: &mut Buf) {
        let cleared = self.cleared();
        buf.remove(cleared, buf.len() - cleared);
    }

    /// `count` cleared bytes have been sent and taken from the buffer.
    pub fn sent(&mut self, count: usize) {
        debug_assert!(count <= self.cleared());
        self.cleared -= count as u32;
        self.moved += count as u64;
    }

    /// `count` bytes of the body left their source unseen and go nowhere. The next message begins behind them.
    pub fn dropped(&mut self, count: usize) {
        self.framing.pass(self.framing.passable().min(count as u64));
        self.done |= self.framing.is_done();
    }

    /// `count` bytes of the body went from socket to socket without entering a buffer.
    pub fn passed(&mut self, count: usize) {
        self.framing.pass(count as u64);
        self.done = self.framing.is_done();
        self.moved += count as u64;
    }
}

impl Default for Flow {
    fn default() -> Self {
        Flow::new()
    }
}
