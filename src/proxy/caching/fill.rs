//! One body that is read for all who want it: what has come of it, and when it is complete.

use mio::net::TcpStream;
use reactor::arena::Key;
use reactor::buffer::poison;
use reactor::ready::Ready;
use reactor::Millis;

use crate::cache::fetches::FetchId;
use crate::cache::Cache;
use crate::http::framing::Framing;
use crate::io::origin::Origin;

/// Bytes of a body that are read in one go.
pub(super) const READ: usize = 64 << 10;

/// The cache, and where bodies are read to.
pub(super) struct Bodies<'a> {
    pub(super) cache: &'a mut Cache<Key>,
    pub(super) buffer: &'a mut [u8],
}

/// A response whose body is being read.
#[derive(Debug)]
pub(super) struct Fill {
    pub(super) origin: Box<Origin<TcpStream>>,
    pub(super) framing: Framing,
    /// The start of a line of chunked content that is not complete yet.
    pub(super) pending: Vec<u8>,
    pub(super) id: FetchId,
    /// The connection can carry another request afterwards.
    pub(super) keeps: bool,
    pub(super) touched: Millis,
    /// It stands in the queue of those that have something to do.
    pub(super) queued: bool,
}

/// What became of a step.
pub(super) enum FillStep {
    /// There may be more.
    More,
    /// Nothing is there, or nothing is wanted now.
    Wait,
    /// The body is complete; the connection can be used again or not.
    Complete(bool),
    /// It will not be complete.
    Broken,
}

impl Fill {
    /// Takes in what has come, at the front of the buffer.
    pub(super) fn absorb(&mut self, length: usize, caching: &mut Bodies<'_>) -> FillStep {
        let bytes = &mut caching.buffer[..length];
        let Ok(scan) = self.framing.scan(bytes) else { return FillStep::Broken };
        caching.cache.append(self.id, &bytes[..scan.kept]);
        let rest = &bytes[scan.taken..];
        if scan.done {
            return FillStep::Complete(self.keeps && rest.is_empty());
        }
        self.pending.clear();
        self.pending.extend_from_slice(rest);
        FillStep::More
    }

    /// Reads what is there, if it is wanted now.
    pub(super) fn step(&mut self, now: Millis, caching: &mut Bodies<'_>) -> FillStep {
        if !caching.cache.is_wanted(self.id) {
            return FillStep::Broken;
        }
        if self.origin.stream.ready.has(Ready::ERROR) {
            self.origin.stream.ready |= Ready::READ | Ready::READ_CLOSED;
        }
        if !caching.cache.wants_more(self.id) || !self.origin.stream.ready.has(Ready::READ) {
            return FillStep::Wait;
        }
        let kept = self.pending.len();
        poison(caching.buffer);
        caching.buffer[..kept].copy_from_slice(&self.pending);
        match self.origin.stream.receive(&mut caching.buffer[kept..]) {
            Ok(Some(0)) if matches!(self.framing, Framing::UntilClose) => FillStep::Complete(false),
            Ok(Some(0)) | Err(_) => FillStep::Broken,
            Ok(Some(count)) => {
                self.touched = now;
                self.absorb(kept + count, caching)
            }
            Ok(None) if self.origin.stream.ready.has(Ready::READ) => FillStep::More,
            Ok(None) => FillStep::Wait,
        }
    }
}
