//! Fetches that clients share (RFC 9111 section 4, collapsed requests): who waits for whose response, and the bytes of a body
//! that is on its way, for all who read along. Knows no head's meaning, keeps nothing that is complete, and no socket.
//!
//! `W` names who waits or reads. A fetch is *asking* until its head has come. Then it has a body that grows, of which each
//! reader takes what it has not got yet; a reader that is slow holds the others only where the body is not to be kept.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash};
use std::sync::Arc;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::filed::{CacheKey, Epoch};
use super::inflow::{BodyProgress, ComingHead, Inflow, Portion};
use super::storage::{ReadyHash, StoredResponse};
use crate::http::request::Request;

/// Most who wait for heads, of all fetches together; others go to the origin themselves.
pub const MOST_WAITERS: usize = 16_384;

/// Bytes of a body that is not kept which may be there for the slowest reader.
pub const WINDOW: usize = 256 << 10;

/// Pieces that come in fewer bytes are put together, so that no body costs much more than its bytes.
const LEAST_BLOCK: usize = 16 << 10;

/// Names a fetch for as long as the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FetchId(pub u64);

#[derive(Debug)]
struct Fetch<W> {
    key: Box<[u8]>,
    hash: u64,
    epoch: Epoch,
    /// Others that ask for the same find it.
    listed: bool,
    /// Who waits for the head, and since when.
    waiters: Vec<(W, u64)>,
    coming: Option<Box<Inflow<W>>>,
}

/// What there is for one who asks for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Underway {
    /// A fetch that has no head yet: wait for it.
    Asking(FetchId),
    /// A response on its way that answers the request.
    Coming(FetchId),
    /// A fetch, but too many wait already.
    Full,
}

/// All fetches.
#[derive(Debug)]
pub struct Fetches<W> {
    all: HashMap<FetchId, Fetch<W>, RandomState>,
    /// Those that are listed, by the hash of their keys.
    listed: HashMap<u64, SmallVec<[FetchId; 1]>, BuildHasherDefault<ReadyHash>>,
    last: u64,
    waiting: usize,
}

impl<W: Copy + Eq + Hash> Default for Fetches<W> {
    fn default() -> Fetches<W> {
        Fetches { all: HashMap::default(), listed: HashMap::default(), last: 0, waiting: 0 }
    }
}

impl<W: Copy + Eq + Hash> Fetches<W> {
    /// What is on its way for a key that would answer this request, and is still true.
    pub fn find(&self, key: CacheKey<'_>, request: &Request) -> Option<Underway> {
        let mut asking = None;
        for id in self.listed.get(&key.hash)? {
            let same = |fetch: &&Fetch<W>| *fetch.key == *key.text && fetch.epoch >= key.since;
            match self.all.get(id).filter(same).map(|fetch| &fetch.coming) {
                Some(Some(coming)) if coming.response.filed.answers(request) && !coming.passing => {
                    return Some(Underway::Coming(*id));
                }
                Some(None) => asking = Some(*id),
                _ => {}
            }
        }
        let full = self.waiting >= MOST_WAITERS;
        asking.map(|id| if full { Underway::Full } else { Underway::Asking(id) })
    }

    /// Begins a fetch, which others find unless it is for one alone.
    pub fn begin(&mut self, key: CacheKey<'_>, listed: bool) -> FetchId {
        self.last += 1;
        let id = FetchId(self.last);
        if listed {
            self.listed.entry(key.hash).or_default().push(id);
        }
        let CacheKey { text, hash, epoch, .. } = key;
        let fetch = Fetch { key: text.into(), hash, epoch, listed, waiters: Vec::new(), coming: None };
        self.all.insert(id, fetch);
        id
    }

    /// Has one wait for the head that has waited since then, for this fetch or for others before it.
    pub fn wait(&mut self, id: FetchId, who: W, since: u64) {
        if let Some(fetch) = self.all.get_mut(&id) {
            fetch.waiters.push((who, since));
            self.waiting += 1;
        }
    }

    /// One waits or reads no more.
    pub fn leave(&mut self, id: FetchId, who: W) {
        let Some(fetch) = self.all.get_mut(&id) else { return };
        let before = fetch.waiters.len();
        fetch.waiters.retain(|(one, _)| *one != who);
        self.waiting -= before - fetch.waiters.len();
        if let Some(coming) = &mut fetch.coming {
            coming.readers.remove(&who);
            coming.drop_read();
        }
        self.drop_if_over(id);
    }

    /// The head has come. Gives those who waited for it: each looks again.
    pub fn handle_head(&mut self, id: FetchId, response: ComingHead, reader: Option<W>) -> Vec<(W, u64)> {
        let Some(fetch) = self.all.get_mut(&id) else { return Vec::new() };
        fetch.coming = Some(Box::new(Inflow {
            response,
            blocks: Vec::new(),
            length: 0,
            progress: BodyProgress::Open,
            passing: false,
            detached: reader.is_none(),
            readers: reader.into_iter().map(|reader| (reader, (0, false))).collect(),
        }));
        let waiters = std::mem::take(&mut fetch.waiters);
        self.waiting -= waiters.len();
        waiters
    }

    /// The fetch will bring nothing that others may have. Gives those who waited, and since when.
    pub fn end(&mut self, id: FetchId) -> Vec<(W, u64)> {
        let Some(fetch) = self.all.get_mut(&id) else { return Vec::new() };
        let waiters = std::mem::take(&mut fetch.waiters);
        self.waiting -= waiters.len();
        self.unlist(id);
        self.drop_if_over(id);
        waiters
    }

    /// Those who have waited for a head since then or before, which they are not to do any more.
    pub fn overdue(&mut self, since: u64) -> Vec<W> {
        let mut found = Vec::new();
        for fetch in self.all.values_mut() {
            let (late, others): (Vec<_>, _) = fetch.waiters.drain(..).partition(|(_, at)| *at <= since);
            fetch.waiters = others;
            found.extend(late.into_iter().map(|(who, _)| who));
        }
        self.waiting -= found.len();
        found
    }

    /// The response that is on its way.
    pub fn response(&self, id: FetchId) -> Option<&ComingHead> {
        self.all.get(&id)?.coming.as_ref().map(|coming| &coming.response)
    }

    /// Bytes of room that are promised to it; none once it is over.
    pub fn promised(&self, id: FetchId) -> usize {
        self.response(id).map_or(0, |response| response.promised)
    }

    /// The same, to note what it was promised.
    pub fn response_mut(&mut self, id: FetchId) -> Option<&mut ComingHead> {
        self.coming(id).map(|coming| &mut coming.response)
    }

    /// Whether the body is to be kept.
    pub fn is_kept(&self, id: FetchId) -> bool {
        self.all.get(&id).and_then(|fetch| fetch.coming.as_ref()).is_some_and(|coming| !coming.passing)
    }

    /// One more reads along.
    pub fn join(&mut self, id: FetchId, reader: W) {
        if let Some(coming) = self.coming(id) {
            coming.readers.insert(reader, (0, false));
        }
    }

    /// What comes behind the first `offset` bytes of the body.
    pub fn read(&mut self, id: FetchId, reader: W, offset: u64) -> Portion {
        let Some(coming) = self.coming(id) else { return Portion::Broken };
        let portion = coming.portion(offset);
        let waits = matches!(portion, Portion::Later);
        coming.readers.insert(reader, (offset, waits));
        coming.drop_read();
        portion
    }

    /// Whether more of the body is wanted now.
    pub fn wants_more(&self, id: FetchId) -> bool {
        let coming = self.all.get(&id).and_then(|fetch| fetch.coming.as_ref());
        coming.is_some_and(|coming| !coming.passing || coming.here() < WINDOW as u64)
    }

    /// Whether the fetch is to go on: one that was begun for a client ends with its last reader, so that those who come and go
    /// leave nothing under way behind them.
    pub fn is_wanted(&self, id: FetchId) -> bool {
        let coming = self.all.get(&id).and_then(|fetch| fetch.coming.as_ref());
        coming.is_some_and(|coming| coming.detached && !coming.passing || !coming.readers.is_empty())
    }

    /// More of the body has come. Gives the readers that wait for it.
    pub fn append(&mut self, id: FetchId, bytes: &[u8]) -> Vec<W> {
        let Some(coming) = self.coming(id).filter(|_| !bytes.is_empty()) else { return Vec::new() };
        coming.blocks.push((coming.length, bytes.into()));
        // Each is put to one before it that is no longer, so that no byte is copied more often than its block doubles: an origin that
        // sends byte by byte costs no more than a few copies of each.
        while let [.., (_, before), (_, last)] = &coming.blocks[..] {
            if before.len() > last.len() || before.len() + last.len() > LEAST_BLOCK {
                break;
            }
            let both: Arc<[u8]> = [&before[..], &last[..]].concat().into();
            coming.blocks.pop();
            if let Some((_, block)) = coming.blocks.last_mut() {
                *block = both;
            }
        }
        coming.length += bytes.len() as u64;
        coming.wake()
    }

    /// The body will not be kept after all: others do not find it any more, and what its readers have got goes.
    pub fn give_up(&mut self, id: FetchId) {
        self.unlist(id);
        if let Some(coming) = self.coming(id) {
            coming.passing = true;
            coming.drop_read();
        }
    }

    /// Bytes of the body that are here.
    #[cfg(test)]
    pub(super) fn here(&self, id: FetchId) -> usize {
        self.all.get(&id).and_then(|fetch| fetch.coming.as_ref()).map_or(0, |coming| coming.here() as usize)
    }

    /// The hash of its key, and when it was asked for.
    pub fn asked(&self, id: FetchId) -> (u64, Epoch) {
        self.all.get(&id).map_or((0, 0), |fetch| (fetch.hash, fetch.epoch))
    }

    /// Bytes of the body so far.
    pub fn length(&self, id: FetchId) -> u64 {
        self.all.get(&id).and_then(|fetch| fetch.coming.as_ref()).map_or(0, |coming| coming.length)
    }

    /// The body is complete: gives it in one piece, if it is to be kept, and the readers that wait.
    pub fn finish(&mut self, id: FetchId) -> (Option<StoredResponse>, Vec<W>) {
        let Some(fetch) = self.all.get_mut(&id) else { return (None, Vec::new()) };
        let Some(coming) = &mut fetch.coming else { return (None, Vec::new()) };
        let kept = if coming.passing {
            coming.progress = BodyProgress::Ended;
            None
        } else {
            let body = coming.joined();
            coming.blocks = Vec::new();
            coming.progress = BodyProgress::Whole(body.clone());
            let ComingHead { filed, freshness, .. } = coming.response.clone();
            Some(StoredResponse { filed, body, freshness })
        };
        let waiting = coming.wake();
        self.unlist(id);
        self.drop_if_over(id);
        (kept, waiting)
    }

    /// The body will never be complete. Gives the readers that wait.
    pub fn fail(&mut self, id: FetchId) -> Vec<W> {
        self.unlist(id);
        let Some(coming) = self.coming(id) else { return Vec::new() };
        coming.progress = BodyProgress::Broken;
        // What came of it was promised room that goes back now.
        coming.blocks = Vec::new();
        let waiting = coming.wake();
        self.drop_if_over(id);
        waiting
    }

    /// Number of fetches, and of those who wait for a head.
    pub fn counts(&self) -> (usize, usize) {
        (self.all.len(), self.waiting)
    }

    fn coming(&mut self, id: FetchId) -> Option<&mut Inflow<W>> {
        self.all.get_mut(&id)?.coming.as_deref_mut()
    }

    fn unlist(&mut self, id: FetchId) {
        let Some(fetch) = self.all.get_mut(&id).filter(|fetch| fetch.listed) else { return };
        fetch.listed = false;
        let hash = fetch.hash;
        let Some(ids) = self.listed.get_mut(&hash) else { return };
        ids.retain(|one| *one != id);
        if ids.is_empty() {
            self.listed.remove(&hash);
        }
    }

    /// A fetch that is over goes with its last reader.
    fn drop_if_over(&mut self, id: FetchId) {
        let over = |fetch: &Fetch<W>| match &fetch.coming {
            None => !fetch.listed && fetch.waiters.is_empty(),
            Some(coming) => coming.readers.is_empty() && !matches!(coming.progress, BodyProgress::Open),
        };
        if self.all.get(&id).is_some_and(over) {
            self.unlist(id);
            self.all.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::control::Directives;
    use super::super::facts::HeadFacts;
    use super::super::filed::FiledHead;
    use super::super::fresh::{Exchanged, Freshness};
    use super::super::select::Selecting;
    use super::*;
    use crate::http::response::Response;
    use crate::http::rules::Rules;
    use crate::http::stored::Keeping;
    use crate::http::Method;

    fn request(foo: &str) -> Request {
        let text = format!("GET http://a.b/ HTTP/1.1\r\nHost: a.b\r\nFoo: {foo}\r\n\r\n");
        *Request::parse(text.as_bytes(), &Rules::default()).unwrap()
    }

    /// All keys have the same hash.
    fn key(text: &str) -> CacheKey<'_> {
        CacheKey { text: text.as_bytes(), hash: 7, epoch: 0, since: 0 }
    }

    fn coming(foo: &str) -> ComingHead {
        let response = Response::parse(b"HTTP/1.1 200 OK\r\n\r\n", Method::Get).unwrap();
        let directives = Directives::default();
        let times = Exchanged { asked: 5, received: 5 };
        let freshness = Freshness::of(&HeadFacts::of(&response, &directives), &directives, None, times);
        let selecting = Selecting::of([&b"foo"[..]].into_iter(), &request(foo)).unwrap();
        let filed = FiledHead::of(&response, &Keeping { unkept: b"", via: None, date: "now" }, b"k", &selecting);
        ComingHead { filed, freshness, announced: None, promised: 0 }
    }

    fn text(portion: Portion) -> String {
        match portion {
            Portion::Bytes(bytes, at) => String::from_utf8(bytes[at..].to_vec()).unwrap(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn those_who_ask_for_the_same_share_one_fetch() {
        let mut all = Fetches::default();
        assert_eq!(all.find(key("k"), &request("1")), None);
        let id = all.begin(key("k"), true);
        assert_eq!(all.find(key("k"), &request("1")), Some(Underway::Asking(id)));
        all.wait(id, 1, 5);
        all.wait(id, 2, 5);
        assert_eq!((all.counts(), all.find(key("other"), &request("1"))), ((1, 2), None));
        assert_eq!(all.handle_head(id, coming("1"), Some(0)), [(1, 5), (2, 5)]);
        assert_eq!(all.find(key("k"), &request("1")), Some(Underway::Coming(id)));
        assert_eq!(all.find(key("k"), &request("2")), None, "it is not for that request");
        all.join(id, 1);
        assert_eq!(text(all.read(id, 1, 0)), "Later");
        assert_eq!(all.append(id, b"ab"), [1]);
        assert_eq!((text(all.read(id, 1, 0)), text(all.read(id, 1, 2))), ("ab".into(), "Later".into()));
        assert_eq!(all.append(id, b"c"), [1]);
        assert_eq!((text(all.read(id, 0, 1)), text(all.read(id, 1, 2))), ("b".into(), "c".into()));
        assert_eq!((text(all.read(id, 1, 3)), text(all.read(id, 0, 3))), ("Later".into(), "Later".into()));
        let (kept, mut waiting) = all.finish(id);
        waiting.sort_unstable();
        let kept = kept.unwrap();
        assert_eq!((kept.filed.key(), &kept.body[..], waiting), (&b"k"[..], &b"abc"[..], vec![0, 1]));
        assert_eq!((text(all.read(id, 0, 1)), text(all.read(id, 1, 3))), ("bc".into(), "End".into()));
        assert_eq!(all.find(key("k"), &request("1")), None, "it is in the storage now");
        all.leave(id, 0);
        all.leave(id, 1);
        assert_eq!(all.counts(), (0, 0));
    }

    #[test]
    fn all_who_wait_are_freed_at_once() {
        let mut all = Fetches::default();
        let id = all.begin(key("k"), true);
        [1, 2, 3].into_iter().for_each(|who| all.wait(id, who, 5));
        all.leave(id, 2);
        let freed = vec![(1, 5), (3, 5)];
        assert_eq!((all.end(id), all.counts(), all.find(key("k"), &request("1"))), (freed, (0, 0), None));
        let id = all.begin(key("k"), true);
        all.wait(id, 4, 5);
        all.wait(id, 5, 6);
        assert_eq!((all.overdue(4), all.overdue(5), all.overdue(6)), (vec![], vec![4], vec![5]));
        assert_eq!(all.find(key("k"), &request("1")), Some(Underway::Asking(id)));
        let alone = all.begin(key("m"), false);
        assert_eq!((all.find(key("m"), &request("1")), all.counts()), (None, (2, 0)));
        assert!(all.end(alone).is_empty() && all.counts() == (1, 0));
    }

    #[test]
    fn a_body_that_fails_is_no_body() {
        let mut all = Fetches::default();
        let id = all.begin(key("k"), true);
        all.handle_head(id, coming("1"), Some(0));
        all.append(id, b"ab");
        assert_eq!(text(all.read(id, 0, 2)), "Later");
        assert_eq!((all.fail(id), all.find(key("k"), &request("1"))), (vec![0], None));
        assert_eq!((text(all.read(id, 0, 0)), text(all.read(id, 0, 2))), ("Broken".into(), "Broken".into()));
        all.leave(id, 0);
        assert_eq!((all.counts(), text(all.read(id, 0, 0))), ((0, 0), "Broken".into()));
    }

    #[test]
    fn what_is_not_kept_takes_no_more_than_a_window() {
        let mut all = Fetches::default();
        let id = all.begin(key("k"), true);
        all.handle_head(id, coming("1"), Some(0));
        all.join(id, 1);
        let piece = vec![b'x'; 64 << 10];
        all.append(id, &piece);
        all.give_up(id);
        assert_eq!(all.find(key("k"), &request("1")), None);
        while all.wants_more(id) {
            all.append(id, &piece);
        }
        assert_eq!(all.length(id), WINDOW as u64);
        all.read(id, 0, WINDOW as u64);
        assert!(!all.wants_more(id), "the other has read nothing");
        all.read(id, 1, 128 << 10);
        assert!(all.wants_more(id) && all.is_wanted(id));
        assert!(matches!(all.read(id, 0, 0), Portion::Broken), "that is gone");
        all.leave(id, 1);
        all.leave(id, 0);
        assert!(!all.is_wanted(id));
        assert_eq!(all.finish(id).0.map(|_| ()), None);
        assert_eq!(all.counts(), (0, 0));
    }

    /// An origin that sends a byte at a time.
    #[test]
    fn small_pieces_are_put_together() {
        let mut all = Fetches::default();
        let id = all.begin(key("k"), true);
        all.handle_head(id, coming("1"), Some(0));
        (0..40_000).for_each(|_| drop(all.append(id, b"x")));
        let blocks: Vec<usize> = all.coming(id).unwrap().blocks.iter().map(|(_, block)| block.len()).collect();
        assert!(blocks.len() < 16 && blocks[..2] == [LEAST_BLOCK; 2], "{blocks:?}");
        assert_eq!(text(all.read(id, 0, 17_000)).len(), LEAST_BLOCK * 2 - 17_000);
        assert_eq!(all.finish(id).0.unwrap().body.len(), 40_000);
    }
}
