//! What other loops have asked for, so that clients of several loops share one request. The loop that has asked reads the response.
//! The others wait until its head has come, and look it up again: a small response is kept by then; for a large one each loop asks
//! itself.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash};

use smallvec::SmallVec;

use super::fetches::{FetchId, MOST_WAITERS};
use super::filed::{CacheKey, Epoch};
use super::storage::ReadyHash;
use super::{Cache, Freed, MOST_WAITING};

/// Loops by their numbers.
type LoopNumbers = SmallVec<[usize; 4]>;

/// A response that a loop has asked for.
#[derive(Debug)]
struct LoopAsking {
    by: usize,
    epoch: Epoch,
    since: u64,
    /// The loops that wait for it.
    others: LoopNumbers,
}

/// Which loops ask for what, in one shard, by the hashes of keys.
#[derive(Debug, Default)]
pub struct Askings(HashMap<u64, LoopAsking, BuildHasherDefault<ReadyHash>>);

impl Askings {
    /// Whether the loop of this number is to ask the origin: another has not asked yet, or `waits` is false. If not, it is told when
    /// that one has the head.
    fn ask(&mut self, key: CacheKey<'_>, number: usize, now: u64, waits: bool) -> bool {
        let mut others = LoopNumbers::new();
        if let Some(asking) = self.0.get_mut(&key.hash) {
            if asking.by != number && asking.epoch >= key.since && now < asking.since + MOST_WAITING {
                if waits && !asking.others.contains(&number) {
                    asking.others.push(number);
                }
                return !waits;
            }
            others = std::mem::take(&mut asking.others);
        }
        self.0.insert(key.hash, LoopAsking { by: number, epoch: key.epoch, since: now, others });
        true
    }

    /// This loop asks no more. Gives the loops that waited for it.
    fn end(&mut self, hash: u64, number: usize) -> LoopNumbers {
        match self.0.get(&hash) {
            Some(asking) if asking.by == number => self.0.remove(&hash).map(|asking| asking.others).unwrap_or_default(),
            _ => LoopNumbers::new(),
        }
    }
}

/// What one loop tells others that wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FarWord {
    hash: u64,
    why: Freed,
}

/// What a loop waits for from others, and what it has to tell them.
#[derive(Debug)]
pub(super) struct Far {
    number: usize,
    /// Fetches of others for which clients of this loop wait, and since when, by the hashes of their keys.
    waits: HashMap<u64, (FetchId, u64)>,
    words: Vec<(usize, FarWord)>,
}

impl Far {
    pub(super) fn new(number: usize) -> Far {
        Far { number, waits: HashMap::new(), words: Vec::new() }
    }

    /// Whether something is to be told to others.
    pub(super) fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    /// Number of fetches that are another loop's.
    pub(super) fn len(&self) -> usize {
        self.waits.len()
    }
}

impl<W: Copy + Eq + Hash> Cache<W> {
    /// A response that another loop has asked for, if one has and there is room to wait. Else this one is known to ask.
    pub(super) fn find_elsewhere(&mut self, key: CacheKey<'_>, may_wait: bool, now: u64) -> Option<FetchId> {
        let far = self.far.as_mut()?;
        let waits = may_wait && self.fetches.counts().1 < MOST_WAITERS;
        if self.shards.with(key.hash, |shard| shard.askings.ask(key, far.number, now, waits)) {
            return None;
        }
        let id = self.fetches.begin(key, true);
        if let Some((before, _)) = far.waits.insert(key.hash, (id, now)) {
            // All was forgotten since then.
            self.free(before, Freed::Failed);
        }
        Some(id)
    }

    /// Those in other loops who wait for what this one has asked for are to be told.
    pub(super) fn tell_others(&mut self, hash: u64, why: Freed) {
        let Some(far) = &mut self.far else { return };
        let others = self.shards.with(hash, |shard| shard.askings.end(hash, far.number));
        far.words.extend(others.into_iter().map(|number| (number, FarWord { hash, why })));
    }

    /// What is to be told to the loop of this number; to be asked until there is nothing.
    pub fn poll_word(&mut self) -> Option<(usize, FarWord)> {
        self.far.as_mut()?.words.pop()
    }

    /// Another loop has told something.
    pub fn handle_word(&mut self, word: FarWord) {
        if let Some((id, _)) = self.far.as_mut().and_then(|far| far.waits.remove(&word.hash)) {
            self.free(id, word.why);
        }
    }

    /// A loop that tells nothing is not waited for for ever.
    pub(super) fn tick_far(&mut self, now: u64) {
        let Some(far) = &mut self.far else { return };
        let mut late = Vec::new();
        far.waits.retain(|_, (id, since)| {
            let keeps = now < *since + MOST_WAITING;
            if !keeps {
                late.push(*id);
            }
            keeps
        });
        late.into_iter().for_each(|id| self.free(id, Freed::Failed));
    }
}
