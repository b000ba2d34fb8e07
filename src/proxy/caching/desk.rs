//! The cache with what the loop does for it: requests whose responses it wants to see, bodies that are read, sessions without a
//! client.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use reactor::arena::{Arena, Key};
use reactor::ready::Ready;

use super::fill::{Bodies, Fill, READ};
use crate::cache::fetches::FetchId;
use crate::cache::heads::HeadVerdict;
use crate::cache::shards::{Shards, SHARDS};
use crate::cache::{Cache, CacheJob, CacheSettings, Freed};
use crate::http::framing::Framing;
use crate::proxy::loops::Loops;

/// A response that its client does not get as it came.
#[derive(Debug)]
pub(super) struct Withheld {
    pub(super) key: Key,
    pub(super) job: Box<CacheJob>,
    pub(super) verdict: HeadVerdict,
    pub(super) framing: Framing,
    /// The origin's connection can carry another request once the response is complete, which it may be.
    pub(super) keeps: bool,
    pub(super) complete: bool,
    /// What has come behind its head, if more is to come.
    pub(super) begun: Vec<u8>,
}

/// The cache with what the loop does for it.
#[derive(Debug)]
pub(in crate::proxy) struct CacheDesk {
    pub(in crate::proxy) cache: Cache<Key>,
    /// Requests are looked up; else what is under way is brought to its end.
    pub(in crate::proxy) open: bool,
    /// Requests that went on to their origins, whose responses the cache wants to see.
    pub(super) jobs: HashMap<Key, Box<CacheJob>, foldhash::fast::RandomState>,
    /// The response that is to be dealt with before its session goes on.
    pub(super) withheld: Option<Box<Withheld>>,
    /// Responses that are read for all who want them.
    pub(super) fills: Arena<Fill>,
    pub(super) by_fetch: HashMap<FetchId, Key>,
    /// Those of them that have something to do.
    pub(in crate::proxy) queue: VecDeque<Key>,
    /// Sessions without a client.
    pub(in crate::proxy) background: HashSet<Key>,
    /// Where bodies are read to.
    pub(in crate::proxy) buffer: Box<[u8]>,
}

impl CacheDesk {
    /// The bodies that are being read, and where they go.
    pub(super) fn bodies(&mut self) -> (&mut Arena<Fill>, Bodies<'_>) {
        (&mut self.fills, Bodies { cache: &mut self.cache, buffer: &mut self.buffer })
    }

    /// The desk of one loop, where there are several with what all of them share.
    pub(in crate::proxy) fn new(settings: CacheSettings, loops: Option<&Loops>) -> Box<CacheDesk> {
        let random = || RandomState::new().hash_one(0);
        let (size, policy) = (settings.size, settings.policy);
        let shards = |count: usize| Arc::new(Shards::new(count, size, policy, (random(), random())));
        let shards = loops.map_or_else(|| shards(1), |loops| loops.common().cached(|| shards(SHARDS)));
        Box::new(CacheDesk {
            cache: Cache::new(settings, shards, loops.map(Loops::number)),
            open: true,
            jobs: HashMap::default(),
            withheld: None,
            fills: Arena::new(),
            by_fetch: HashMap::new(),
            queue: VecDeque::new(),
            background: HashSet::new(),
            buffer: vec![0; READ + crate::http::chunked::MAX_LINE].into_boxed_slice(),
        })
    }

    /// A request goes on under this job. One that it had before, and that has seen no response, holds none up.
    pub(in crate::proxy) fn begin(&mut self, key: Key, job: Box<CacheJob>) {
        if let Some(mut before) = self.jobs.insert(key, job) {
            self.cache.give_up(&mut before, Freed::Failed);
        }
    }

    /// Notes what an event says of the origin of a response.
    pub(in crate::proxy) fn note(&mut self, key: Key, ready: Ready) {
        if let Some(fill) = self.fills.get_mut(key) {
            fill.origin.stream.note(ready);
            self.enqueue(key);
        }
    }

    /// Is there something to do before the next event?
    pub(in crate::proxy) fn is_busy(&self) -> bool {
        !self.queue.is_empty() || self.cache.is_waking()
    }

    /// What was withheld from this session's client.
    pub(super) fn take_withheld(&mut self, key: Key) -> Option<Box<Withheld>> {
        self.withheld.take_if(|withheld| withheld.key == key)
    }

    /// The session is over: none is to wait for what was withheld from its client.
    pub(super) fn drop_withheld(&mut self, key: Key) {
        if let Some(mut withheld) = self.take_withheld(key) {
            self.cache.give_up(&mut withheld.job, Freed::Failed);
        }
    }
}
