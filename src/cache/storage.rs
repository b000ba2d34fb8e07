//! Where responses are kept: by key and by what selects them, within a budget of bytes that counts all they take. Knows no
//! rule of HTTP.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher13};
use smallvec::SmallVec;

use super::evict::{Eviction, EvictionOrder, Linked, Links, NONE};
use super::fresh::Freshness;
use super::invalidate::site;
use super::select::Selecting;
use crate::http::request::Request;
use crate::http::stored::StoredHead;

/// Most responses for one key that are kept for different requests: with more of them the one used least recently goes.
pub const MOST_VARIANTS: usize = 32;

/// Bytes that a response takes beside its key, its head, what selects it and its body: its slot, its place in the index with
/// the room that a hash table leaves free, and what the allocator and shared memory add to four pieces.
pub const OVERHEAD: usize = size_of::<Slot>() + 32 + 4 * 16;

/// A response that is kept.
#[derive(Clone, Debug)]
pub struct StoredResponse {
    /// What it answers: see [`super::invalidate::key`].
    pub key: Box<[u8]>,
    /// Its head.
    pub head: StoredHead,
    /// Its body, complete.
    pub body: Arc<[u8]>,
    /// Which requests it answers.
    pub selecting: Selecting,
    /// How old it is and how long it lasts.
    pub freshness: Freshness,
}

impl StoredResponse {
    /// Bytes that it takes in all.
    pub fn weight(&self) -> usize {
        self.key.len() + self.head.size() + self.selecting.size() + self.body.len() + OVERHEAD
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
    hash: u64,
    links: Links,
    /// The next with the same hash.
    next: u32,
}

#[derive(Debug, Default)]
struct Slots(Vec<(u32, Option<Slot>)>);

impl Linked for Slots {
    fn links(&mut self, place: u32) -> &mut Links {
        // The order holds only places that are taken.
        &mut self.0[place as usize].1.as_mut().expect("a place in the order is taken").links
    }
}

/// A hash that is one already.
#[derive(Debug, Default)]
struct ReadyHash(u64);

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
}

/// The responses that are kept.
#[derive(Debug)]
pub struct Storage {
    slots: Slots,
    free: Vec<u32>,
    index: HashMap<u64, u32, BuildHasherDefault<ReadyHash>>,
    order: EvictionOrder,
    secret: (u64, u64),
    limit: usize,
    used: usize,
    /// Bytes promised to responses that are on their way.
    promised: usize,
    /// Bodies that went while readers had them, which count until these have done.
    held: Vec<Arc<[u8]>>,
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
            held: Vec::new(),
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
        self.slots.0.len() - self.free.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Responses that went to make room for others, so far.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// The secret hash of a key.
    pub fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        hasher.write(key);
        hasher.finish128().h1
    }

    /// All that is kept for a key.
    pub fn variants(&self, key: &[u8]) -> StoredPlaces {
        let mut found = StoredPlaces::new();
        let mut at = self.index.get(&self.hash(key)).copied().unwrap_or(NONE);
        while at != NONE {
            let (generation, slot) = &self.slots.0[at as usize];
            let Some(slot) = slot else { break };
            if *slot.response.key == *key {
                found.push(StoredPlace { index: at, generation: *generation });
            }
            at = slot.next;
        }
        found
    }

    /// The response at a place, if it is still there.
    pub fn get(&self, place: StoredPlace) -> Option<&StoredResponse> {
        let (generation, slot) = self.slots.0.get(place.index as usize)?;
        slot.as_ref().filter(|_| *generation == place.generation).map(|slot| &slot.response)
    }

    /// The newest of these that answers the request (section 4: by its Date, here by when it came).
    pub fn select(&self, places: &[StoredPlace], request: &Request) -> Option<StoredPlace> {
        let matching = places.iter().filter_map(|place| Some((*place, self.get(*place)?)));
        let matching = matching.filter(|(_, kept)| kept.selecting.matches(request));
        matching.max_by_key(|(_, kept)| kept.freshness.received).map(|(place, _)| place)
    }

    /// The response at a place has been used.
    pub fn touch(&mut self, place: StoredPlace) {
        if self.get(place).is_some() {
            self.order.touch(place.index, &mut self.slots);
        }
    }

    /// Keeps a response in place of one for the same requests. None if it is larger than all the room there is.
    pub fn insert(&mut self, response: StoredResponse) -> Option<StoredPlace> {
        let variants = self.variants(&response.key);
        let same = |place: &&StoredPlace| self.get(**place).is_some_and(|kept| kept.selecting == response.selecting);
        let replaced = variants.iter().find(same).copied();
        // The newest is the first of its chain, so that the last is the oldest.
        let surplus = variants.last().copied().filter(|_| variants.len() >= MOST_VARIANTS);
        replaced.or(surplus).into_iter().for_each(|place| self.remove(place));
        let weight = response.weight();
        if !self.make_room(weight) {
            return None;
        }
        self.used += weight;
        let hash = self.hash(&response.key);
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.0.push((0, None));
            // Each takes hundreds of bytes, so that 32 bits count more than any memory holds.
            (self.slots.0.len() - 1) as u32
        });
        let next = self.index.insert(hash, index).unwrap_or(NONE);
        let (generation, slot) = &mut self.slots.0[index as usize];
        *slot = Some(Slot { response, hash, links: Links::default(), next });
        let place = StoredPlace { index, generation: *generation };
        self.order.add(index, &mut self.slots);
        Some(place)
    }

    /// Gives a response a new head and a new age, as a validation does.
    pub fn update(&mut self, place: StoredPlace, head: StoredHead, freshness: Freshness) {
        let Some(kept) = self.get(place) else { return };
        let (old, new) = (kept.head.size(), head.size());
        // What is used last is not what goes.
        self.touch(place);
        if new > old && !self.make_room(new - old) {
            return self.remove(place);
        }
        // Making room may have taken it.
        let Some(slot) = self.get(place).map(|_| place.index).and_then(|index| self.slots.0[index as usize].1.as_mut())
        else {
            return;
        };
        (slot.response.head, slot.response.freshness) = (head, freshness);
        self.used = self.used + new - old;
    }

    /// Forgets a response.
    pub fn remove(&mut self, place: StoredPlace) {
        if self.get(place).is_none() {
            return;
        }
        self.order.remove(place.index, &mut self.slots);
        let (generation, slot) = &mut self.slots.0[place.index as usize];
        let Some(slot) = slot.take() else { return };
        *generation = generation.wrapping_add(1);
        self.free.push(place.index);
        self.unlink(slot.hash, place.index, slot.next);
        self.used -= slot.response.weight();
        let body = slot.response.body;
        if Arc::strong_count(&body) > 1 {
            self.held_bytes += body.len();
            self.held.push(body);
        }
    }

    fn unlink(&mut self, hash: u64, gone: u32, next: u32) {
        let Some(first) = self.index.get_mut(&hash) else { return };
        if *first == gone {
            match next {
                NONE => drop(self.index.remove(&hash)),
                next => *first = next,
            }
            return;
        }
        let mut at = *first;
        while let Some(slot) = self.slots.0.get_mut(at as usize).and_then(|(_, slot)| slot.as_mut()) {
            if slot.next == gone {
                slot.next = next;
                return;
            }
            at = slot.next;
        }
    }

    /// Forgets all that is kept for a key. Gives how many there were.
    pub fn purge(&mut self, key: &[u8]) -> usize {
        let places = self.variants(key);
        places.iter().for_each(|place| self.remove(*place));
        places.len()
    }

    /// Forgets all of a host with its port, `name:port`, or all there is. Looks at each response.
    pub fn purge_site(&mut self, wanted: Option<&[u8]>) -> usize {
        let matches = |slot: &Slot| wanted.is_none_or(|wanted| site(&slot.response.key) == wanted);
        let taken = self.slots.0.iter().enumerate().filter_map(|(at, (generation, slot))| {
            let place = StoredPlace { index: at as u32, generation: *generation };
            slot.as_ref().filter(|slot| matches(slot)).map(|_| place)
        });
        let places: Vec<StoredPlace> = taken.collect();
        places.iter().for_each(|place| self.remove(*place));
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
        self.held.retain(|body| Arc::strong_count(body) > 1);
        self.held_bytes = self.held.iter().map(|body| body.len()).sum();
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
            let Some(victim) = self.order.victim(&mut self.slots) else { return false };
            let generation = self.slots.0[victim as usize].0;
            self.evictions += 1;
            self.remove(StoredPlace { index: victim, generation });
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::fresh::Exchanged;
    use super::*;
    use crate::cache::control::Directives;
    use crate::http::response::Response;
    use crate::http::rules::Rules;
    use crate::http::stored::Keeping;
    use crate::http::Method;

    fn response(key: &str, vary: &str, length: usize, received: u64) -> StoredResponse {
        let text = b"HTTP/1.1 200 OK\r\nA: 1\r\n\r\n";
        let head = Response::parse(text, Method::Get).unwrap();
        let head = StoredHead::of(&head, &Keeping { unkept: b"", via: None, date: "now" });
        let times = Exchanged { asked: received, received };
        StoredResponse {
            key: key.as_bytes().into(),
            freshness: Freshness::of(&head, &Directives::default(), None, times),
            head,
            body: vec![b'x'; length].into(),
            selecting: Selecting::of([&b"foo"[..]].into_iter(), &request(vary)).unwrap(),
        }
    }

    fn request(foo: &str) -> Request {
        let text = format!("GET http://a.b/ HTTP/1.1\r\nHost: a.b\r\nFoo: {foo}\r\n\r\n");
        *Request::parse(text.as_bytes(), &Rules::default()).unwrap()
    }

    fn storage(limit: usize) -> Storage {
        Storage::new(limit, Eviction::Lru, (1, 2))
    }

    #[test]
    fn what_is_kept_is_found_by_key_and_request() {
        let mut all = storage(1 << 20);
        for (key, vary) in [("a.b:80/", "1"), ("a.b:80/", "2"), ("a.b:80/x", "1")] {
            all.insert(response(key, vary, 10, 5)).unwrap();
        }
        let both = all.variants(b"a.b:80/");
        assert_eq!((both.len(), all.variants(b"a.b:80/x").len(), all.variants(b"a.b:81/").len()), (2, 1, 0));
        let two = all.select(&both, &request("2")).unwrap();
        assert!(all.get(two).unwrap().selecting.matches(&request("2")));
        assert_eq!(all.select(&both, &request("3")), None);
        let newer = all.insert(response("a.b:80/", "2", 20, 6)).unwrap();
        assert_eq!((all.get(two).map(|_| ()), all.len()), (None, 3));
        assert_eq!(all.get(newer).unwrap().body.len(), 20);
    }

    #[test]
    fn purges_take_what_they_name() {
        let mut all = storage(1 << 20);
        for key in ["a.b:80/", "a.b:80/x", "a.b:81/", "a.bc:80/"] {
            all.insert(response(key, "", 10, 5)).unwrap();
        }
        assert_eq!((all.purge(b"a.b:80/x"), all.purge(b"a.b:80/x"), all.len()), (1, 0, 3));
        assert_eq!((all.purge_site(Some(b"a.b:80")), all.len()), (1, 2));
        assert_eq!((all.purge_site(None), all.len(), all.used()), (2, 0, 0));
    }

    #[test]
    fn no_key_has_more_variants_than_it_may() {
        let mut all = storage(1 << 20);
        for vary in 0..MOST_VARIANTS + 5 {
            all.insert(response("a.b:80/", &vary.to_string(), 1, 5)).unwrap();
        }
        assert_eq!(all.len(), MOST_VARIANTS);
    }

    /// Bodies of every size against a budget that many of them exceed alone.
    #[test]
    fn the_sum_never_exceeds_the_budget() {
        for policy in [Eviction::Lru, Eviction::Sieve] {
            let mut all = Storage::new(300_000, policy, (3, 4));
            let (mut random, mut kept) = (7_u64, Vec::new());
            for number in 0..100_000_u64 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let size = (random >> 33) as usize % if number % 100 == 0 { 400_000 } else { 3000 };
                let place = all.insert(response(&format!("h:80/{}", number % 700), "", size, number));
                // Key, head and overhead take less than the difference.
                assert!(place.is_some() || size > 299_000, "{size}");
                assert!(place.is_none() || size < 300_000, "{size}");
                kept.extend(place);
                if number % 3 == 0 && !kept.is_empty() {
                    all.touch(kept[(random >> 20) as usize % kept.len()]);
                }
                let sum: usize =
                    all.slots.0.iter().filter_map(|(_, slot)| slot.as_ref()).map(|slot| slot.response.weight()).sum();
                if number % 100 == 0 {
                    assert_eq!(sum, all.used());
                }
                assert!(all.used() <= 300_000);
            }
            assert!(all.evictions() > 1000 && all.len() > 10);
        }
    }

    #[test]
    fn a_body_that_is_read_counts_until_it_is_not() {
        let mut all = storage(20_000);
        let place = all.insert(response("a:80/", "", 10_000, 5)).unwrap();
        let reader = all.get(place).unwrap().body.clone();
        all.remove(place);
        assert_eq!((all.len(), all.used()), (0, 10_000));
        assert!(all.insert(response("a:80/", "", 10_000, 5)).is_none() && !all.promise(10_001));
        drop(reader);
        assert!(all.promise(10_001));
        assert_eq!(all.used(), 10_001);
        all.release(10_001);
        assert_eq!(all.used(), 0);
    }

    #[test]
    fn a_smaller_budget_evicts_and_an_update_is_weighed() {
        let mut all = storage(50_000);
        let places: Vec<StoredPlace> =
            (0..4).map(|number| all.insert(response(&format!("a:80/{number}"), "", 10_000, 5)).unwrap()).collect();
        all.touch(places[0]);
        all.set_limit(25_000, Eviction::Lru);
        assert_eq!((all.len(), all.get(places[0]).is_some(), all.get(places[3]).is_some()), (2, true, true));
        let text = format!("HTTP/1.1 304 X\r\nLong: {}\r\n\r\n", "y".repeat(8000));
        let update = Response::parse(text.as_bytes(), Method::Get).unwrap();
        let kept = all.get(places[0]).unwrap();
        let head = kept.head.updated(&update, &Keeping { unkept: b"", via: None, date: "now" });
        all.update(places[0], head, kept.freshness);
        assert!(all.used() <= 25_000 && all.get(places[3]).is_none());
        assert!(all.get(places[0]).unwrap().head.field("long").is_some());
        assert_eq!(all.used(), all.get(places[0]).unwrap().weight());
    }

    #[test]
    fn an_object_costs_little_beside_its_body() {
        const { assert!(OVERHEAD <= 300) };
    }
}
