//! All that is kept, in shards by the hash of keys, each with a lock of its own, so that loops seldom meet at one. The room is one
//! for all shards: it is counted by atomics, promised before it is used, and made where what was used least recently is. No lock is
//! held while another is taken, nor while bytes are written: those who send a body share it.

#[cfg(test)]
mod tests;

use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use siphasher::sip128::{Hasher128, SipHasher13};

use super::denied::{self, Denied};
use super::evict::Eviction;
use super::far::Askings;
use super::filed::{CacheKey, Epoch};
use super::forgotten::{self, Forgotten};
use super::fresh::Freshness;
use super::storage::{Storage, StoredPlace, StoredResponse, EMPTY};
use crate::http::stored::StoredHead;

/// Shards where several loops share what is kept.
pub const SHARDS: usize = 16;

/// The bits of a hash that choose a shard: tables in a shard look at none of these.
const CHOOSING: u32 = 24;

/// What one lock is for.
#[derive(Debug)]
pub struct Shard {
    /// What is kept.
    pub storage: Storage,
    /// What was not to be shared.
    pub denied: Denied,
    /// What is not true any more.
    pub forgotten: Forgotten,
    /// What loops have asked for.
    pub askings: Askings,
}

/// A shard with its lock, in a cache line that is not another's.
#[derive(Debug)]
#[repr(align(64))]
struct Locked {
    shard: Mutex<Shard>,
    /// Its [`Storage::rank`].
    rank: AtomicU64,
}

/// What all loops keep.
#[derive(Debug)]
pub struct Shards {
    all: Box<[Locked]>,
    secret: (u64, u64),
    room: ShardBudget,
}

/// The budget, apart from what every hit reads.
#[derive(Debug)]
#[repr(align(64))]
struct ShardBudget {
    limit: AtomicUsize,
    /// Bytes that are taken: responses, promises, and bodies that are still being read though they went.
    used: AtomicUsize,
    /// Those of them that no eviction brings back.
    firm: AtomicUsize,
}

impl Shards {
    /// So many, a power of two, for that many bytes in all. Keys are hashed with the secret, so that no client can choose ones that
    /// collide.
    pub fn new(count: usize, limit: usize, policy: Eviction, secret: (u64, u64)) -> Shards {
        debug_assert!(count.is_power_of_two());
        let shard = || Shard {
            storage: Storage::new(policy),
            denied: Denied::new(denied::MOST / count),
            forgotten: Forgotten::new(forgotten::MOST / count),
            askings: Askings::default(),
        };
        let locked = || Locked { shard: Mutex::new(shard()), rank: AtomicU64::new(EMPTY) };
        Shards {
            all: (0..count).map(|_| locked()).collect(),
            secret,
            room: ShardBudget { limit: AtomicUsize::new(limit), used: AtomicUsize::new(0), firm: AtomicUsize::new(0) },
        }
    }

    /// A key with its secret hash.
    pub fn key<'a>(&self, text: &'a [u8]) -> CacheKey<'a> {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        hasher.write(text);
        CacheKey { text, hash: hasher.finish128().h1, epoch: 0, since: 0 }
    }

    /// Looks at the shard of keys with this hash, and changes it. What it takes then is no more than it took before, or was
    /// promised.
    pub fn with<R>(&self, hash: u64, look: impl FnOnce(&mut Shard) -> R) -> R {
        self.change(self.of(hash), 0, look)
    }

    fn of(&self, hash: u64) -> &Locked {
        // There are a power of two.
        &self.all[(hash >> CHOOSING) as usize & (self.all.len() - 1)]
    }

    /// Changes a shard, which uses up so many bytes that were promised.
    fn change<R>(&self, locked: &Locked, spent: usize, change: impl FnOnce(&mut Shard) -> R) -> R {
        // That a thread has panicked with a shard does no harm: none is ever left half changed.
        let mut shard = locked.shard.lock().unwrap_or_else(PoisonError::into_inner);
        let (kept, held) = (shard.storage.kept(), shard.storage.held());
        let result = change(&mut shard);
        let more_kept = shard.storage.kept().wrapping_sub(kept);
        let more_firm = shard.storage.held().wrapping_sub(held).wrapping_sub(spent);
        let rank = shard.storage.rank();
        if locked.rank.load(Ordering::Relaxed) != rank {
            locked.rank.store(rank, Ordering::Relaxed);
        }
        drop(shard);
        // Differences wrap around, and so does adding them: a large number stands for a negative one.
        add(&self.room.firm, more_firm);
        add(&self.room.used, more_kept.wrapping_add(more_firm));
        result
    }

    /// Changes budget and policy; what is too much goes at once.
    pub fn set_limit(&self, limit: usize, policy: Eviction) {
        self.room.limit.store(limit, Ordering::Relaxed);
        self.all.iter().for_each(|locked| self.change(locked, 0, |shard| shard.storage.set_policy(policy)));
        self.shrink();
    }

    /// Bytes that are taken: responses, promises, and bodies that are still being read though they went.
    pub fn used(&self) -> usize {
        self.room.used.load(Ordering::Relaxed)
    }

    /// The budget in bytes.
    pub fn limit(&self) -> usize {
        self.room.limit.load(Ordering::Relaxed)
    }

    /// Number of responses, and of those that went to make room for others so far.
    pub fn counts(&self) -> (usize, u64) {
        let of = |locked: &Locked| self.change(locked, 0, |shard| (shard.storage.len(), shard.storage.evictions()));
        self.all.iter().map(of).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// Promises room to a response that is on its way, for which others go. False if there is none.
    pub fn promise(&self, bytes: usize) -> bool {
        while !self.take(bytes) {
            // What no eviction brings back may be read no more.
            if self.is_blocked(bytes) {
                self.sweep();
                if self.is_blocked(bytes) {
                    return false;
                }
            } else if !self.evict() {
                return false;
            }
        }
        true
    }

    /// Whether eviction could not bring that much room.
    fn is_blocked(&self, bytes: usize) -> bool {
        self.room.firm.load(Ordering::Relaxed).saturating_add(bytes) > self.limit()
    }

    /// Takes room that is free, all or nothing.
    fn take(&self, bytes: usize) -> bool {
        let limit = self.limit();
        let more = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= limit);
        let taken = self.room.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if taken {
            add(&self.room.firm, bytes);
        }
        taken
    }

    /// Takes a promise back.
    pub fn release(&self, bytes: usize) {
        add(&self.room.firm, bytes.wrapping_neg());
        add(&self.room.used, bytes.wrapping_neg());
    }

    /// Keeps a response that was asked for then under a key with this hash, with so much room promised. None if it needs more and
    /// there is none, or if its key was forgotten since; its body counts for as long as readers have it then.
    pub fn insert(
        &self,
        response: StoredResponse,
        (hash, asked): (u64, Epoch),
        promised: usize,
    ) -> Option<StoredPlace> {
        let (shard, weight) = (self.of(hash), response.weight());
        if weight < promised {
            self.release(promised - weight);
        } else if weight > promised && !self.promise(weight - promised) {
            self.change(shard, promised, |shard| shard.storage.hold(response.body));
            return None;
        }
        let place = self.change(shard, weight, |shard| match asked >= shard.forgotten.since(hash) {
            true => shard.storage.insert(response, hash),
            false => {
                shard.storage.hold(response.body);
                None
            }
        });
        // The budget may have become smaller since the promise.
        self.shrink();
        place
    }

    /// Gives a response a new head and a new age, as a validation does.
    pub fn update(&self, hash: u64, place: StoredPlace, head: StoredHead, freshness: Freshness) {
        let size = |shard: &Shard| shard.storage.get(place).map(|kept| kept.head().size());
        let before = self.with(hash, |shard| {
            // What is used last is not what goes.
            shard.storage.touch(place, freshness.received);
            size(shard)
        });
        let Some(before) = before else { return };
        let more = head.size().saturating_sub(before);
        if more > 0 && !self.promise(more) {
            self.with(hash, |shard| shard.storage.remove(place));
            return;
        }
        self.change(self.of(hash), more, |shard| {
            // Making room may have taken it, and another loop may have been quicker.
            if size(shard) == Some(before) {
                shard.storage.update(place, head, freshness);
            }
        });
    }

    /// Forgets all that is kept for a key, or is on its way to be. Gives how many were kept.
    pub fn purge(&self, key: &[u8]) -> usize {
        let key = self.key(key);
        self.with(key.hash, |shard| {
            shard.forgotten.note(key.hash);
            shard.storage.purge(key)
        })
    }

    /// Forgets all of a host with its port, `name:port`, or all there is, and all that is on its way: whose that is does not show by
    /// its hash. Looks at each response.
    pub fn purge_site(&self, site: Option<&[u8]>) -> usize {
        let purge = |shard: &mut Shard| {
            shard.forgotten.note_all();
            shard.storage.purge_site(site)
        };
        self.all.iter().map(|locked| self.change(locked, 0, purge)).sum()
    }

    /// Looks which bodies that went are not read any more. To be called now and then.
    pub fn sweep(&self) {
        self.all.iter().for_each(|locked| self.change(locked, 0, |shard| shard.storage.sweep()));
    }

    /// Evicts what is beyond the budget.
    fn shrink(&self) {
        while self.used() > self.limit() && self.evict() {}
    }

    /// Takes out what goes next. False if nothing is left.
    fn evict(&self) -> bool {
        let rank = |locked: &&Locked| locked.rank.load(Ordering::Relaxed);
        while let Some(next) = self.all.iter().min_by_key(rank).filter(|next| rank(next) != EMPTY) {
            // Another loop may have been quicker there.
            if self.change(next, 0, |shard| shard.storage.evict()) {
                return true;
            }
        }
        false
    }
}

/// Adds to a sum, which costs something only where there is something to add.
fn add(sum: &AtomicUsize, more: usize) {
    if more != 0 {
        sum.fetch_add(more, Ordering::Relaxed);
    }
}
