//! The body of a response that is on its way, with those who read it along. Knows no key and no one who only waits.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::filed::FiledHead;
use super::fresh::Freshness;

/// What a reader gets.
#[derive(Clone, Debug)]
pub enum Portion {
    /// These bytes, from that place in them on.
    Bytes(Arc<[u8]>, usize),
    /// Nothing yet: it is told when there is more.
    Later,
    /// The body is complete.
    End,
    /// It will never be.
    Broken,
}

/// How far the body of a fetch has come.
#[derive(Debug)]
pub(super) enum BodyProgress {
    Open,
    /// All of it, in one piece.
    Whole(Arc<[u8]>),
    /// All of it, of which only the last bytes are here.
    Ended,
    Broken,
}

/// What is known of a response before its body is complete.
#[derive(Clone, Debug)]
pub struct ComingHead {
    /// Its head, and what it answers.
    pub filed: FiledHead,
    /// How old it is and how long it lasts.
    pub freshness: Freshness,
    /// The length of its body, if its head says it.
    pub announced: Option<u64>,
    /// Bytes of room that it was promised.
    pub promised: usize,
}

/// The response that a fetch has got.
#[derive(Debug)]
pub(super) struct Inflow<W> {
    pub(super) response: ComingHead,
    /// Pieces, each with the place of its first byte in the body.
    pub(super) blocks: Vec<(u64, Arc<[u8]>)>,
    pub(super) length: u64,
    pub(super) progress: BodyProgress,
    /// The body is not to be kept: what all have read goes.
    pub(super) passing: bool,
    /// No client has asked for it: it is for those to come.
    pub(super) detached: bool,
    /// How far each reader has come, and whether it waits for more.
    pub(super) readers: HashMap<W, (u64, bool)>,
}

impl<W: Copy + Eq + Hash> Inflow<W> {
    /// Bytes of the body that are here.
    pub(super) fn here(&self) -> u64 {
        self.length - self.blocks.first().map_or(self.length, |(start, _)| *start)
    }

    pub(super) fn portion(&self, offset: u64) -> Portion {
        if offset < self.length {
            if let BodyProgress::Whole(body) = &self.progress {
                // Below the length of what is in memory.
                return Portion::Bytes(body.clone(), offset as usize);
            }
            let at = self.blocks.partition_point(|(start, _)| *start <= offset);
            let Some((start, block)) = at.checked_sub(1).and_then(|at| self.blocks.get(at)) else {
                return Portion::Broken;
            };
            return Portion::Bytes(block.clone(), (offset - start) as usize);
        }
        match self.progress {
            BodyProgress::Open => Portion::Later,
            BodyProgress::Whole(_) | BodyProgress::Ended => Portion::End,
            BodyProgress::Broken => Portion::Broken,
        }
    }

    pub(super) fn wake(&mut self) -> Vec<W> {
        let waiting = self.readers.iter_mut().filter(|(_, (_, waits))| *waits);
        let woken = waiting.map(|(reader, (_, waits))| {
            *waits = false;
            *reader
        });
        woken.collect()
    }

    /// All pieces in one.
    pub(super) fn joined(&self) -> Arc<[u8]> {
        match &self.blocks[..] {
            [(_, only)] => only.clone(),
            blocks => {
                // Its memory is had once: a vector would be copied once more.
                let mut body: Arc<[u8]> = std::iter::repeat_n(0, self.length as usize).collect();
                let mut rest = Arc::get_mut(&mut body).unwrap_or_default();
                for (_, block) in blocks {
                    let (here, behind) = rest.split_at_mut(block.len().min(rest.len()));
                    here.copy_from_slice(&block[..here.len()]);
                    rest = behind;
                }
                body
            }
        }
    }

    /// Drops what all readers of a body that is not kept have got. Of the room that it was promised it needs no more than for what
    /// is left.
    pub(super) fn drop_read(&mut self) {
        if self.passing {
            let read = self.readers.values().map(|(offset, _)| *offset).min().unwrap_or(self.length);
            self.blocks.retain(|(start, block)| start + block.len() as u64 > read);
            self.response.promised = self.response.promised.min(self.here() as usize);
        }
    }
}
