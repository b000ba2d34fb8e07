//! Where responses are kept: by key and by what selects them, within a budget of bytes that counts all they take. Knows no
//! rule of HTTP.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher13};
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
fn mark(key: CacheKey<'_>) -> u32 {
    // The other half chooses nothing here.
    (key.hash >> 32) as u32
}

/// The responses that are kept.
#[derive(Debug)]
pub struct Storage {
    slots: Slots,
    free: Vec<u32>,
    /// The first place of each mark. What is not of one key is told apart by its key, so that half a hash does.
    index: HashMap<u32, u32, BuildHasherDefault<ReadyHash>>,
    order: EvictionOrder,
    secret: (u64, u64),
    limit: usize,
    used: usize,
    /// Bytes promised to responses that are on their way.
    promised: usize,
    /// Bodies that went while others had them, which count until these have done. Variants may share one, so that each is known
    /// by where it is: held twice, it would never be let go.
    held: HashMap<usize, Arc<[u8]>>,
    held_bytes: usize,
    evictions: u64,
}

impl Storage {
    /// An empty one for that many bytes. Keys are hashed with the secret, so that no client can choose ones that collide.
    pub fn new(limit: usize, policy: Eviction, secret: (u64, u64)) -> Storage {
        Storage {
            slots: Slots::default(),
            free: Vec::new(),
            index: HashMap::default(),
            order: EvictionOrder::new(policy),
            secret,
            limit,
            used: 0,
            promised: 0,
            held: HashMap::new(),
            held_bytes: 0,
            evictions: 0,
        }
    }

    /// Changes budget and policy; what is too much goes at once.
    pub fn set_limit(&mut self, limit: usize, policy: Eviction) {
        self.limit = limit;
        self.order.set_policy(policy);
        self.make_room(0);
    }

    /// Bytes that are taken: responses, promises, and bodies that are still being read though they went.
    pub fn used(&self) -> usize {
        self.used + self.promised + self.held_bytes
    }

    /// The budget in bytes.
    pub fn limit(&self) -> usize {
        self.limit
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

    /// A key with its secret hash.
    pub fn key<'a>(&self, text: &'a [u8]) -> CacheKey<'a> {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        hasher.write(text);
        CacheKey { text, hash: hasher.finish128().h1 }
    }

    /// All that is kept for a key.
    pub fn variants(&self, key: CacheKey<'_>) -> StoredPlaces {
        let mut found = StoredPlaces::new();
        let mut at = self.index.get(&mark(key)).copied().unwrap_or(NONE);
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

    /// The response at a place has been used.
    pub fn touch(&mut self, place: StoredPlace) {
        if self.get(place).is_some() {
            self.order.touch(place.index, &mut self.slots);
        }
    }

    /// Keeps a response in place of one for the same requests. None if it is larger than all the room there is; its body counts for
    /// as long as readers have it then.
    pub fn insert(&mut self, response: StoredResponse) -> Option<StoredPlace> {
        let key = self.key(response.filed.key());
        let (mark, variants) = (mark(key), self.variants(key));
        let selecting = response.filed.selecting();
        let same = |place: &&StoredPlace| self.get(**place).is_some_and(|kept| kept.filed.selecting() == selecting);
        let replaced = variants.iter().find(same).copied();
        // The newest is the first of its chain, so that the last is the oldest.
        let surplus = variants.last().copied().filter(|_| variants.len() >= MOST_VARIANTS);
        replaced.or(surplus).into_iter().for_each(|place| self.remove(place));
        let weight = response.weight();
        if !self.make_room(weight) {
            self.hold(response.body);
            return None;
        }
        self.used += weight;
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
        at.slot = Some(Slot { response, mark, next });
        let place = StoredPlace { index, generation: at.generation };
        self.order.add(index, &mut self.slots);
        Some(place)
    }

    /// Gives a response a new head and a new age, as a validation does.
    pub fn update(&mut self, place: StoredPlace, head: StoredHead, freshness: Freshness) {
        let Some(kept) = self.get(place) else { return };
        let (old, new) = (kept.head().size(), head.size());
        // What is used last is not what goes.
        self.touch(place);
        if new > old && !self.make_room(new - old) {
            return self.remove(place);
        }
        // Making room may have taken it.
        let here = self.get(place).is_some();
        let Some(slot) = self.slots.taken_mut(place.index).filter(|_| here) else { return };
        slot.response.filed = slot.response.filed.with_head(head);
        slot.response.freshness = freshness;
        self.used = self.used + new - old;
    }

    /// Forgets a response.
    pub fn remove(&mut self, place: StoredPlace) {
        if self.get(place).is_some() {
            self.take_out(place.index);
        }
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
        self.used -= slot.response.weight();
        self.hold(slot.response.body);
        true
    }

    /// A body went: it counts for as long as others have it.
    fn hold(&mut self, body: Arc<[u8]>) {
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
    pub fn purge(&mut self, key: &[u8]) -> usize {
        let places = self.variants(self.key(key));
        places.iter().for_each(|place| self.remove(*place));
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

    /// Promises room to a response that is on its way. False if there is none.
    pub fn promise(&mut self, bytes: usize) -> bool {
        let room = self.make_room(bytes);
        if room {
            self.promised += bytes;
        }
        room
    }

    /// Takes a promise back.
    pub fn release(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.promised);
        self.promised = self.promised.saturating_sub(bytes);
    }

    /// Looks which bodies that went are not read any more. To be called now and then.
    pub fn sweep(&mut self) {
        self.held.retain(|_, body| Arc::strong_count(body) > 1);
        self.held_bytes = self.held.values().map(|body| body.len()).sum();
    }

    /// Evicts until there are so many bytes free. False if that cannot be.
    fn make_room(&mut self, bytes: usize) -> bool {
        if self.used().saturating_add(bytes) > self.limit && !self.held.is_empty() {
            self.sweep();
        }
        // What cannot be evicted leaves no room that eviction would bring.
        if (self.promised + self.held_bytes).saturating_add(bytes) > self.limit && bytes > 0 {
            return false;
        }
        while self.used().saturating_add(bytes) > self.limit {
            let victim = self.order.victim(&mut self.slots);
            if !victim.is_some_and(|victim| self.take_out(victim)) {
                return false;
            }
            self.evictions += 1;
        }
        true
    }
}
