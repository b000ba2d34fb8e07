//! The body of a response that is to be kept, as it comes. Knows what room was promised to it.

use std::hash::Hash;

use super::fetches::{FetchId, Fetches};
use super::store::Unstorable;
use super::Cache;

impl<W: Copy + Eq + Hash> Cache<W> {
    /// Whether more of a body is to be read now: not while the slowest reader of one that is not kept has too much before it.
    pub fn wants_more(&self, id: FetchId) -> bool {
        self.fetches.wants_more(id)
    }

    /// Whether a body is to be read to its end at all.
    pub fn is_wanted(&self, id: FetchId) -> bool {
        self.fetches.is_wanted(id)
    }

    /// More of a body has come. One that turns out too long, or for which there is no room, is passed on and not kept.
    pub fn append(&mut self, id: FetchId, bytes: &[u8]) {
        if self.fetches.is_kept(id) {
            let length = self.fetches.length(id) + bytes.len() as u64;
            let announced = self.fetches.response(id).is_some_and(|response| response.announced.is_some());
            let refusal = match () {
                () if length > self.settings.object_size as u64 => Some(Unstorable::TooLarge),
                () if !announced && !self.shards.promise(bytes.len()) => Some(Unstorable::NoRoom),
                () => None,
            };
            match refusal {
                Some(why) => {
                    self.counts.unstorable[why.index()] += 1;
                    self.settling(id, |fetches| fetches.give_up(id));
                }
                None if !announced => {
                    if let Some(response) = self.fetches.response_mut(id) {
                        response.promised += bytes.len();
                    }
                }
                None => {}
            }
        }
        let waiting = self.fetches.append(id, bytes);
        self.fed.extend(waiting);
    }

    /// A body is complete: it is kept if it may be.
    pub fn finish(&mut self, id: FetchId) {
        let promised = if self.fetches.is_kept(id) { self.take_promise(id) } else { 0 };
        let asked = self.fetches.asked(id);
        let (kept, waiting) = self.settling(id, |fetches| fetches.finish(id));
        self.fed.extend(waiting);
        match kept {
            Some(response) => self.add(response, asked, promised),
            None => self.shards.release(promised),
        }
    }

    /// A body will never be complete: nothing of it is kept (RFC 9111 section 3.3).
    pub fn fail(&mut self, id: FetchId) {
        let promised = self.take_promise(id);
        self.shards.release(promised);
        if self.fetches.is_kept(id) {
            self.counts.unstorable[Unstorable::Incomplete.index()] += 1;
        }
        let waiting = self.fetches.fail(id);
        self.fed.extend(waiting);
    }

    /// Takes back the room that a fetch needs no more once this is done: what its readers hold counts until they have it.
    pub(super) fn settling<R>(&mut self, id: FetchId, change: impl FnOnce(&mut Fetches<W>) -> R) -> R {
        let before = self.fetches.promised(id);
        let result = change(&mut self.fetches);
        self.shards.release(before.saturating_sub(self.fetches.promised(id)));
        result
    }

    /// The room that was promised to a fetch is of its caller from now on.
    fn take_promise(&mut self, id: FetchId) -> usize {
        self.fetches.response_mut(id).map_or(0, |response| std::mem::take(&mut response.promised))
    }
}
