//! Where responses are kept: by key and by what selects them, with the bytes that they take and which of them goes first. Knows
//! no rule of HTTP, and not how much room there is.

#[cfg(test)]
pub(super) mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use smallvec::SmallVec;

use super::evict::{Eviction, EvictionOrder, Linked, Links, NONE};
use super::filed::{CacheKey, FiledHead};
use super::fresh::Freshness;
use super::invalidate::site;
use crate::http::request::Request;
use crate::http::stored::StoredHead;

/// Most responses for one key that are kept for different requests: with more of them the one used least recently goes.
pub const MOST_VARIANTS: usize = 32;

/// Bytes that a response takes beside its head, what it is filed under and its body: its slot, its place in the index with the room
/// that a hash table leaves free, and what the allocator and shared memory add to two pieces.
pub const OVERHEAD: usize = size_of::<SlotPlace>() + 16 + 2 * 24;

/// A response that is kept.
#[derive(Clone, Debug)]
pub struct StoredResponse {
    /// Its head, and what it answers.
    pub filed: FiledHead,
    /// Its body, complete.
    pub body: Arc<[u8]>,
    /// How old it is and how long it lasts.
    pub freshness: Freshness,
}

impl StoredResponse {
    /// Bytes that it takes in all.
    pub fn weight(&self) -> usize {
        self.filed.head.size() + self.body.len() + OVERHEAD
    }

    /// Its head.
    pub fn head(&self) -> &StoredHead {
        &self.filed.head
    }
}

/// Where a response is kept. One that is gone is not found by its place any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredPlace {
    index: u32,
    generation: u32,
}

/// All places of one key.
pub type StoredPlaces = SmallVec<[StoredPlace; 4]>;

#[derive(Debug)]
struct Slot {
    response: StoredResponse,
    mark: u32,
    /// The next with the same mark.
    next: u32,
}

/// A place, taken or free.
#[derive(Debug, Default)]
struct SlotPlace {
    /// How often it was freed.
    generation: u32,
    links: Links,
    /// When its response was used last, in milliseconds since 1970.
    used_at: u64,
    slot: Option<Slot>,
}

#[derive(Debug, Default)]
struct Slots {
    places: Vec<SlotPlace>,
    /// The links of a place that is none.
    nowhere: Links,
}

impl Slots {
    fn at(&self, index: u32) -> Option<&SlotPlace> {
        self.places.get(index as usize)
    }

    fn at_mut(&mut self, index: u32) -> Option<&mut SlotPlace> {
        self.places.get_mut(index as usize)
    }

    fn taken_mut(&mut self, index: u32) -> Option<&mut Slot> {
        self.at_mut(index)?.slot.as_mut()
    }
}

impl Linked for Slots {
    fn links(&mut self, place: u32) -> &mut Links {
        match self.places.get_mut(place as usize) {
            Some(place) => &mut place.links,
            None => &mut self.nowhere,
        }
    }
}

/// A hash that is one already.
#[derive(Debug, Default)]
pub(super) struct ReadyHash(u64);

impl Hasher for ReadyHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = (self.0 << 8) | u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write_u32(&mut self, mark: u32) {
        // A table looks at both ends of a hash.
        self.0 = u64::from(mark) << 32 | u64::from(mark);
    }
}

/// What the index knows of a key.
fn mark(hash: u64) -> u32 {
    // The other half chooses nothing here.
    (hash >> 32) as u32
}

/// The [`Storage::rank`] of one that is empty.
pub const EMPTY: u64 = u64::MAX;

/// The responses that are kept.
#[derive(Debug)]
pub struct Storage {
    slots: Slots,
    free: Vec<u32>,
    /// The first place of each mark. What is not of one key is told apart by its key, so that half a hash does.
    index: HashMap<u32, u32, BuildHasherDefault<ReadyHash>>,
    order: EvictionOrder,
    /// Bytes that the responses take.
    kept: usize,
    /// Bodies that went while others had them, which count until these have done. Variants may share one, so that each is known
    /// by where it is: held twice, it would never be let go.
    held: HashMap<usize, Arc<[u8]>>,
    held_bytes: usize,
    evictions: u64,
}

impl Storage {
    /// An empty one.
    pub fn new(policy: Eviction) -> Storage {
        Storage {
            slots: Slots::default(),
            free: Vec::new(),
            index: HashMap::default(),
            order: EvictionOrder::new(policy),
            kept: 0,
            held: HashMap::new(),
            held_bytes: 0,
            evictions: 0,
        }
    }

    /// Has responses go by this rule from now on.
    pub fn set_policy(&mut self, policy: Eviction) {
        self.order.set_policy(policy);
    }

    /// Bytes of responses, which eviction brings back.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Bytes of bodies that are still being read though they went.
    pub fn held(&self) -> usize {
        self.held_bytes
    }

    /// Of several storages the one with the least rank gives what goes next: what was used least recently of all, or with SIEVE,
    /// which looks at its own alone, one of where most are.
    pub fn rank(&self) -> u64 {
        let oldest = self.order.oldest().and_then(|oldest| self.slots.at(oldest)).filter(|at| at.slot.is_some());
        oldest.map_or(EMPTY, |at| match self.order.policy() {
            Eviction::Lru => at.used_at,
            // Of as many the oldest, to a quarter of a second.
            Eviction::Sieve => u64::from(!(self.len() as u32)) << 32 | (at.used_at >> 8) & u64::from(u32::MAX),
        })
    }

    /// Number of responses.
    pub fn len(&self) -> usize {
        self.slots.places.len() - self.free.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Responses that went to make room for others, so far.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// All that is kept for a key.
    pub fn variants(&self, key: CacheKey<'_>) -> StoredPlaces {
        let mut found = StoredPlaces::new();
        let mut at = self.index.get(&mark(key.hash)).copied().unwrap_or(NONE);
        while let Some(SlotPlace { generation, slot: Some(slot), .. }) = self.slots.at(at) {
            if slot.response.filed.key() == key.text {
                found.push(StoredPlace { index: at, generation: *generation });
            }
            at = slot.next;
        }
        found
    }

    /// The response at a place, if it is still there.
    pub fn get(&self, place: StoredPlace) -> Option<&StoredResponse> {
        let at = self.slots.at(place.index).filter(|at| at.generation == place.generation)?;
        at.slot.as_ref().map(|slot| &slot.response)
    }

    /// The newest of these that answers the request (section 4): by when its origin made it, and of those that it made in the same
    /// second the one that came last, which stands first.
    pub fn select(&self, places: &[StoredPlace], request: &Request) -> Option<StoredPlace> {
        let matching = places.iter().rev().filter_map(|place| Some((*place, self.get(*place)?)));
        let matching = matching.filter(|(_, kept)| kept.filed.answers(request));
        matching.max_by_key(|(_, kept)| kept.freshness.made()).map(|(place, _)| place)
    }

    /// The response at a place is used at this moment.
    pub fn touch(&mut self, place: StoredPlace, now: u64) {
        if let Some(at) = self.slots.at_mut(place.index).filter(|at| at.generation == place.generation) {
            at.used_at = now;
            self.order.touch(place.index, &mut self.slots);
        }
    }

    /// Keeps a response, of whose key this is the hash, in place of one for the same requests.
    pub fn insert(&mut self, response: StoredResponse, hash: u64) -> Option<StoredPlace> {
        let key = CacheKey { text: response.filed.key(), hash, epoch: 0, since: 0 };
        let (mark, variants) = (mark(hash), self.variants(key));
        let selecting = response.filed.selecting();
        let same = |place: &&StoredPlace| self.get(**place).is_some_and(|kept| kept.filed.selecting() == selecting);
        let replaced = variants.iter().find(same).copied();
        // The newest is the first of its chain, so that the last is the oldest.
        let surplus = variants.last().copied().filter(|_| variants.len() >= MOST_VARIANTS);
        if let Some(place) = replaced.or(surplus) {
            self.remove(place);
        }
        self.kept += response.weight();
        let used_at = response.freshness.received;
        let index = self.free.pop().unwrap_or_else(|| {
            let places = &mut self.slots.places;
            if places.len() == places.capacity() {
                // Twice as many would leave a third of this memory unused on average.
                places.reserve_exact(64 + places.len() / 8);
            }
            places.push(SlotPlace::default());
            // Each takes hundreds of bytes, so that 32 bits count more than any memory holds.
            (self.slots.places.len() - 1) as u32
        });
        let next = self.index.insert(mark, index).unwrap_or(NONE);
        let at = self.slots.at_mut(index)?;
        (at.slot, at.used_at) = (Some(Slot { response, mark, next }), used_at);
        let place = StoredPlace { index, generation: at.generation };
        self.order.add(index, &mut self.slots);
        Some(place)
    }

    /// Gives a response a new head and a new age, as a validation does.
    pub fn update(&mut self, place: StoredPlace, head: StoredHead, freshness: Freshness) {
        if self.get(place).is_none() {
            return;
        }
        let Some(slot) = self.slots.taken_mut(place.index) else { return };
        self.kept = self.kept + head.size() - slot.response.head().size();
        slot.response.filed = slot.response.filed.with_head(head);
        slot.response.freshness = freshness;
    }

    /// Forgets a response. False if it is not there any more.
    pub fn remove(&mut self, place: StoredPlace) -> bool {
        self.get(place).is_some() && self.take_out(place.index)
    }

    /// Takes out what is at a place. False if nothing is.
    fn take_out(&mut self, index: u32) -> bool {
        let Some((at, slot)) = self.slots.at_mut(index).and_then(|at| at.slot.take().map(|slot| (at, slot))) else {
            return false;
        };
        at.generation = at.generation.wrapping_add(1);
        self.order.remove(index, &mut self.slots);
        self.free.push(index);
        self.unlink(slot.mark, index, slot.next);
        self.kept -= slot.response.weight();
        self.hold(slot.response.body);
        true
    }

    /// A body is not kept, or not any more: it counts for as long as others have it.
    pub fn hold(&mut self, body: Arc<[u8]>) {
        let (place, length) = (body.as_ptr() as usize, body.len());
        if Arc::strong_count(&body) > 1 && self.held.insert(place, body).is_none() {
            self.held_bytes += length;
        }
    }

    fn unlink(&mut self, mark: u32, gone: u32, next: u32) {
        let Some(first) = self.index.get_mut(&mark) else { return };
        if *first == gone {
            match next {
                NONE => drop(self.index.remove(&mark)),
                next => *first = next,
            }
            return;
        }
        let mut at = *first;
        while let Some(slot) = self.slots.taken_mut(at) {
            if slot.next == gone {
                slot.next = next;
                return;
            }
            at = slot.next;
        }
    }

    /// Forgets all that is kept for a key. Gives how many there were.
    pub fn purge(&mut self, key: CacheKey<'_>) -> usize {
        let places = self.variants(key);
        for place in &places {
            self.remove(*place);
        }
        places.len()
    }

    /// Forgets all of a host with its port, `name:port`, or all there is. Looks at each response.
    pub fn purge_site(&mut self, wanted: Option<&[u8]>) -> usize {
        let matches = |slot: &Slot| wanted.is_none_or(|wanted| site(slot.response.filed.key()) == wanted);
        let taken = self.slots.places.iter().enumerate();
        let taken = taken.filter(|(_, at)| at.slot.as_ref().is_some_and(matches));
        let places: Vec<u32> = taken.map(|(index, _)| index as u32).collect();
        for index in &places {
            self.take_out(*index);
        }
        places.len()
    }

    /// Looks which bodies that went are not read any more. To be called now and then.
    pub fn sweep(&mut self) {
        self.held.retain(|_, body| Arc::strong_count(body) > 1);
        self.held_bytes = self.held.values().map(|body| body.len()).sum();
    }

    /// Takes out what goes next, to make room. False if nothing is left.
    pub fn evict(&mut self) -> bool {
        let victim = self.order.victim(&mut self.slots);
        let evicted = victim.is_some_and(|victim| self.take_out(victim));
        self.evictions += u64::from(evicted);
        evicted
    }
}
