//! A shared cache by RFC 9111: what of a request may be answered from what is kept, who waits for whose response, and what of
//! a response is kept. One file for each section of the standard, `shards` and `fetches` behind them: what is kept, which all loops
//! share, and what is on its way, which is of one.
//!
//! Knows no socket and no clock. `W` names who asks.

pub mod compose;
pub mod control;
pub mod dates;
pub mod denied;
pub mod evict;
pub mod facts;
pub mod far;
pub mod fetches;
pub mod filed;
pub mod filling;
pub mod forgotten;
pub mod fresh;
pub mod heads;
pub mod inflow;
pub mod invalidate;
mod lookup;
pub mod ranges;
mod renew;
pub mod reuse;
pub mod select;
pub mod shards;
pub mod status;
pub mod storage;
pub mod store;
#[cfg(test)]
mod tests;
pub mod validate;

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::Arc;

use compose::answer;
use control::Directives;
use evict::Eviction;
use far::Far;
use fetches::{FetchId, Fetches};
use filed::Epoch;
use inflow::Portion;
use reuse::Failure;
use shards::Shards;
use status::CacheResult;
use storage::{StoredPlace, StoredPlaces};
use store::{AskedFor, Unstorable};
use validate::Conditions;

use crate::http::answer::Answer;
use crate::http::cache_status::{CacheReport, Forwarded};
use crate::http::request::Request;
use crate::http::rules::Rules;

/// Longest time in seconds that a request waits for the head of another client's response; then it goes on by itself.
pub const MOST_WAITING: u64 = 10;

/// What the operator decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// Bytes that all that is kept may take, of all loops together (`cache.size`).
    pub size: usize,
    /// Longest body in bytes that is kept (`cache.object-size`).
    pub object_size: usize,
    /// What goes first (`cache.eviction`).
    pub policy: Eviction,
    /// Fields that stand in place of Cache-Control and Expires, the first that is there (RFC 9213; `cache.targeted`).
    pub targeted: Vec<Box<str>>,
}

impl CacheSettings {
    /// Nothing is kept.
    pub fn none() -> CacheSettings {
        CacheSettings { size: 0, object_size: 0, policy: Eviction::Lru, targeted: Vec::new() }
    }
}

/// What is known of the moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// Seconds since 1970.
    pub now: u64,
    /// The same in milliseconds: what is fresh for a second is so for a whole one.
    pub millis: u64,
    /// The same as a Date field value.
    pub date: &'a str,
    /// Names, and how heads are read.
    pub rules: &'a Rules,
}

/// How a request comes to the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arriving {
    /// For the first time.
    First,
    /// It waited for another client's response, which has come: it waits for no other.
    Waited,
    /// It has waited since then for another client's response, which will not come. It may wait for that of the next.
    Again(u64),
    /// It waited for one that may not be shared: it goes to the origin without waiting for another.
    Alone,
}

/// Why those who wait for a response are freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freed {
    /// It has come, and may be what they want.
    Come,
    /// It will not come.
    Failed,
    /// It is not to be shared, and neither is the next.
    Unshared,
}

impl Freed {
    /// How one looks again who has waited since then.
    fn coming(self, since: u64) -> Arriving {
        match self {
            Freed::Come => Arriving::Waited,
            Freed::Failed => Arriving::Again(since),
            Freed::Unshared => Arriving::Alone,
        }
    }
}

/// What is to become of a request.
#[derive(Debug)]
pub enum CacheFinding {
    /// It goes to its origin, whose response is nothing to the cache.
    Pass(CacheReport),
    /// It goes to its origin, with this head in place of its own if there is one.
    Forward(Box<CacheJob>, Option<Vec<u8>>),
    /// It is answered.
    Answer(Box<Answer>, CacheResult),
    /// It is answered, and a new response is fetched behind it: a request with this head, under this job.
    Refresh(Box<Answer>, Box<CacheJob>, Vec<u8>),
    /// It waits for the head that this fetch brings.
    Wait(FetchId),
    /// It is answered by a response that is on its way: the body comes by [`Cache::read`].
    Join(FetchId, Box<Answer>),
}

/// What the cache does with the response to a request that went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It makes what is kept untrue (section 4.4).
    Invalidate,
    /// It is to HEAD and may update what is kept (section 4.3.5).
    Update,
    /// It may be kept.
    Fill,
}

/// A request that went on to its origin.
#[derive(Debug)]
pub struct CacheJob {
    /// What is done with its response.
    pub role: Role,
    /// The fetch that others may find.
    pub fetch: Option<FetchId>,
    /// Why it went on.
    pub forwarded: Forwarded,
    /// It waited for another's response first.
    collapsed: bool,
    asked: AskedFor,
    /// The hash of its key, and when it was looked up.
    hash: u64,
    epoch: Epoch,
    /// In milliseconds since 1970.
    asked_at: u64,
    directives: Directives,
    conditions: Conditions,
    /// What is kept for its URI and was asked about; empty if nothing was.
    validated: StoredPlaces,
    /// What the request selects of it.
    selected: Option<StoredPlace>,
}

impl CacheJob {
    fn new(request: &Request, role: Role, forwarded: Forwarded, directives: Directives, millis: u64) -> Box<CacheJob> {
        Box::new(CacheJob {
            role,
            fetch: None,
            forwarded,
            collapsed: false,
            asked: AskedFor::of(request, &directives),
            hash: 0,
            epoch: 0,
            asked_at: millis,
            directives,
            conditions: Conditions::of(request),
            validated: StoredPlaces::new(),
            selected: None,
        })
    }

    /// Its request goes on with what its client says: a 304 is about what that one holds.
    pub fn ask_plainly(&mut self) {
        self.validated.clear();
    }

    /// What Cache-Status says of a response that is passed on as it came.
    pub fn report(&self, detail: Option<Unstorable>, stored: bool) -> CacheReport {
        CacheReport {
            forwarded: Some(self.forwarded),
            collapsed: self.collapsed,
            stored,
            detail: detail.map(Unstorable::word),
            ..CacheReport::default()
        }
    }

    /// What logs say of it.
    pub fn result(&self) -> CacheResult {
        match self.role {
            Role::Fill | Role::Update => CacheResult::Miss,
            Role::Invalidate => CacheResult::Bypass,
        }
    }
}

/// Numbers of the cache since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Requests by [`CacheResult::index`].
    pub results: [u64; CacheResult::ALL.len()],
    /// Responses that were not kept, by [`Unstorable::index`].
    pub unstorable: [u64; Unstorable::ALL.len()],
    /// Responses that were kept.
    pub stored: u64,
    /// Responses that an unsafe request or an order has removed.
    pub purged: u64,
}

impl CacheCounts {
    /// Requests that the cache has looked at.
    pub fn looked_at(&self) -> u64 {
        let all: u64 = self.results.iter().sum();
        all - self.results[CacheResult::Bypass.index()]
    }

    /// Those of them whose origin has said that what is kept holds.
    pub fn revalidated(&self) -> u64 {
        self.results[CacheResult::Revalidated.index()]
    }

    /// Those of them that were answered from what is kept, or by another client's response.
    pub fn answered(&self) -> u64 {
        self.looked_at() - self.results[CacheResult::Miss.index()]
    }
}

impl CacheCounts {
    fn add(&mut self, other: &CacheCounts) {
        let CacheCounts { results, unstorable, stored, purged } = other;
        add_all(&mut self.results, results);
        add_all(&mut self.unstorable, unstorable);
        self.stored += stored;
        self.purged += purged;
    }
}

/// What a cache is at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheNumbers {
    /// What it has done.
    pub counts: CacheCounts,
    /// Responses that are kept.
    pub objects: u64,
    /// Bytes that these take, with those promised to what is on its way.
    pub bytes: u64,
    /// Bytes that they may take; none where there is no cache.
    pub limit: u64,
    /// Responses that went to make room, since the start.
    pub evicted: u64,
    /// Responses on their way that are shared.
    pub fetching: u64,
    /// Clients that wait for heads.
    pub waiting: u64,
}

impl CacheNumbers {
    /// Adds those of another loop; what is kept is one for all.
    pub fn add(&mut self, other: &CacheNumbers) {
        let CacheNumbers { counts, fetching, waiting, .. } = other;
        self.counts.add(counts);
        self.fetching += fetching;
        self.waiting += waiting;
    }
}

fn add_all(sums: &mut [u64], more: &[u64]) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// The cache, as one loop has it.
#[derive(Debug)]
pub struct Cache<W> {
    settings: CacheSettings,
    shards: Arc<Shards>,
    fetches: Fetches<W>,
    /// None where there is one loop.
    far: Option<Far>,
    /// What it has done.
    pub counts: CacheCounts,
    /// Those who have waited for a head and are to look again.
    woken: VecDeque<(W, Arriving)>,
    /// Readers for whom there is more.
    fed: Vec<W>,
    /// Where the key of a request is written.
    key: Vec<u8>,
}

impl<W: Copy + Eq + Hash> Cache<W> {
    /// Nothing is on its way. `number` is that of the loop, where several share what is kept.
    pub fn new(settings: CacheSettings, shards: Arc<Shards>, number: Option<usize>) -> Cache<W> {
        Cache {
            settings,
            shards,
            fetches: Fetches::default(),
            far: number.map(Far::new),
            counts: CacheCounts::default(),
            woken: VecDeque::new(),
            fed: Vec::new(),
            key: Vec::new(),
        }
    }

    /// Takes over other settings. What is kept stays, as far as there is room.
    pub fn set(&mut self, settings: CacheSettings) {
        self.shards.set_limit(settings.size, settings.policy);
        self.settings = settings;
    }

    /// Its numbers now.
    pub fn numbers(&self) -> CacheNumbers {
        let (fetching, waiting) = self.fetches.counts();
        let (objects, evicted) = self.shards.counts();
        CacheNumbers {
            counts: self.counts,
            objects: objects as u64,
            bytes: self.shards.used() as u64,
            limit: self.shards.limit() as u64,
            evicted,
            // Those of other loops are counted there.
            fetching: (fetching - self.far.as_ref().map_or(0, Far::len)) as u64,
            waiting: waiting as u64,
        }
    }

    /// What may stand in for an origin that could not be reached (section 4.2.4). The job is over then.
    pub fn stand_in(&mut self, job: &mut CacheJob, failure: Failure, moment: &Moment<'_>) -> Option<Box<Answer>> {
        let selected = job.selected.filter(|_| job.role == Role::Fill)?;
        let answer = self.shards.with(job.hash, |shard| {
            let kept = shard.storage.get(selected)?;
            if !reuse::stands_in(&kept.freshness, &job.directives, failure, moment.millis) {
                return None;
            }
            let ttl = Some(kept.freshness.left(moment.millis));
            Some(answer(kept, &job.conditions, &CacheReport { ttl, ..job.report(None, false) }, moment))
        })?;
        self.give_up(job, Freed::Failed);
        Some(answer)
    }

    /// None is to wait for the response to a job any more. To be called for every job that ends before its response has a head.
    pub fn give_up(&mut self, job: &mut CacheJob, why: Freed) {
        if let Some(id) = job.fetch.take() {
            self.free(id, why);
            self.tell_others(job.hash, why);
        }
    }

    /// None waits for a fetch any more.
    fn free(&mut self, id: FetchId, why: Freed) {
        self.woken.extend(self.fetches.end(id).into_iter().map(|(who, since)| (who, why.coming(since))));
    }

    /// One waits or reads no more.
    pub fn leave(&mut self, id: FetchId, who: W) {
        self.settling(id, |fetches| fetches.leave(id, who));
    }

    /// What comes behind the first `offset` bytes of a body that is on its way.
    pub fn read(&mut self, id: FetchId, who: W, offset: u64) -> Portion {
        self.settling(id, |fetches| fetches.read(id, who, offset))
    }

    /// Who is to look again, and how; to be asked until there are none.
    pub fn poll_woken(&mut self) -> Option<(W, Arriving)> {
        self.woken.pop_front()
    }

    /// Whether there are such, or something is to be told to other loops.
    pub fn is_waking(&self) -> bool {
        !self.woken.is_empty() || self.far.as_ref().is_some_and(Far::has_words)
    }

    /// A reader for whom there is more; to be asked until there are none.
    pub fn poll_fed(&mut self) -> Option<W> {
        self.fed.pop()
    }

    /// What is done once a second: those who have waited too long are freed, and bodies counted that are read no more.
    pub fn tick(&mut self, now: u64) {
        let overdue = self.fetches.overdue(now.saturating_sub(MOST_WAITING));
        self.woken.extend(overdue.into_iter().map(|who| (who, Arriving::Alone)));
        self.tick_far(now);
        self.shards.sweep();
    }

    /// Forgets what is kept for the URI that has this key: see [`invalidate::key`].
    pub fn purge(&mut self, key: &[u8]) -> usize {
        let count = self.shards.purge(key);
        self.counts.purged += count as u64;
        count
    }

    /// Forgets all of a host, `name:port`, or all there is.
    pub fn purge_site(&mut self, site: Option<&[u8]>) -> usize {
        let count = self.shards.purge_site(site);
        self.counts.purged += count as u64;
        count
    }
}
