//! The files behind answers as a loader holds them: read block by block when they are asked for, in their own time, and
//! closed when they are not wanted any more.

use std::collections::BTreeMap;

use exaproxy::io::content::{Content, ContentRequest, CONTENT_BLOCK};
use reactor::arena::Key;

use crate::random::Random;

/// The files that are open.
#[derive(Debug, Default)]
pub(crate) struct Files {
    last: u64,
    /// By number, how many bytes are left.
    open: BTreeMap<u64, usize>,
    wanted: Vec<(Key, u64)>,
}

impl Files {
    /// A file of so many bytes.
    pub(crate) fn open(&mut self, length: usize) -> Content {
        self.last += 1;
        self.open.insert(self.last, length);
        Content::new(self.last)
    }

    /// A session needs something of its file.
    pub(crate) fn serve(&mut self, session: Key, request: ContentRequest) {
        match request {
            ContentRequest::Block(id) => self.wanted.push((session, id)),
            ContentRequest::Close(id) => assert!(self.open.remove(&id).is_some(), "a file is closed once"),
            ContentRequest::Read(..) | ContentRequest::Leave(_) => unreachable!("nothing is shared here"),
        }
    }

    /// Blocks that come in this turn, for whom and of which file; an empty one at its end.
    pub(crate) fn read(&mut self, random: &mut Random) -> Vec<(Key, u64, Vec<u8>)> {
        let (now, later) = std::mem::take(&mut self.wanted).into_iter().partition(|_| random.chance(60));
        self.wanted = later;
        let now: Vec<(Key, u64)> = now;
        now.into_iter()
            .filter_map(|(session, id)| {
                let left = self.open.get_mut(&id)?;
                let count = CONTENT_BLOCK.min(*left);
                *left -= count;
                Some((session, id, vec![0; count]))
            })
            .collect()
    }

    /// Is anything waited for?
    pub(crate) fn is_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Number of files that are open.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}
