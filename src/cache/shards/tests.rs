//! The room that all shards share: what goes for what, and that no sum exceeds it, however many ask.

use std::sync::Arc;
use std::thread;

use super::*;
use crate::cache::storage::tests::response;
use crate::http::response::Response;
use crate::http::stored::Keeping;
use crate::http::Method;

struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

fn shards(limit: usize) -> Shards {
    Shards::new(1, limit, Eviction::Lru, (1, 2))
}

/// A response with its place, and the hash of its key.
fn insert(all: &Shards, response: StoredResponse) -> Option<(u64, StoredPlace)> {
    let hash = all.key(response.filed.key()).hash;
    all.insert(response, (hash, epoch(all, hash)), 0).map(|place| (hash, place))
}

/// The present of keys with this hash.
fn epoch(all: &Shards, hash: u64) -> Epoch {
    all.with(hash, |shard| shard.forgotten.epoch())
}

/// The body at a place.
fn body(all: &Shards, (hash, place): (u64, StoredPlace)) -> Option<Arc<[u8]>> {
    all.with(hash, |shard| shard.storage.get(place).map(|kept| kept.body.clone()))
}

fn remove(all: &Shards, (hash, place): (u64, StoredPlace)) {
    all.with(hash, |shard| shard.storage.remove(place));
}

fn touch(all: &Shards, (hash, place): (u64, StoredPlace), now: u64) {
    all.with(hash, |shard| shard.storage.touch(place, now));
}

fn weight(all: &Shards) -> usize {
    all.all.iter().map(|locked| all.change(locked, 0, |shard| shard.storage.kept())).sum()
}

/// Bodies of every size against a budget that many of them exceed alone.
#[test]
fn the_sum_never_exceeds_the_budget() {
    for (policy, count) in [(Eviction::Lru, 1), (Eviction::Sieve, 1), (Eviction::Lru, SHARDS)] {
        let all = Shards::new(count, 300_000, policy, (3, 4));
        let (mut random, mut kept) = (Random(7), Vec::new());
        for number in 0..100_000_u64 {
            let size = random.below(if number % 100 == 0 { 400_000 } else { 3000 }) as usize;
            let place = insert(&all, response(&format!("h:80/{}", number % 700), "", size, number));
            // Key, head and overhead take less than the difference.
            assert!(place.is_some() || size > 299_000, "{size}");
            assert!(place.is_none() || size < 300_000, "{size}");
            kept.extend(place);
            if number % 3 == 0 && !kept.is_empty() {
                touch(&all, kept[random.below(kept.len() as u64) as usize], number * 1000);
            }
            if number % 100 == 0 {
                assert_eq!(weight(&all), all.used());
            }
            assert!(all.used() <= 300_000);
        }
        let (objects, evicted) = all.counts();
        assert!(evicted > 1000 && objects > 10);
    }
}

/// The same, by several threads at once that promise, take back, keep, read slowly, replace and purge.
#[test]
fn the_sum_never_exceeds_the_budget_of_many_threads() {
    const LIMIT: usize = 300_000;
    for policy in [Eviction::Lru, Eviction::Sieve] {
        let all = Shards::new(SHARDS, LIMIT, policy, (3, 4));
        thread::scope(|scope| {
            for seed in 0..4 {
                let all = &all;
                scope.spawn(move || {
                    let (mut random, mut readers) = (Random(seed), Vec::new());
                    for number in 0..12_500_u64 {
                        let size = random.below(if number % 100 == 0 { 400_000 } else { 3000 }) as usize;
                        let response = response(&format!("h:80/{}", random.below(700)), "", size, number);
                        let hash = all.key(response.filed.key()).hash;
                        let weight = response.weight();
                        match random.below(8) {
                            0 if all.promise(weight) => all.release(weight),
                            1..=3 if all.promise(weight) => {
                                readers.push(response.body.clone());
                                all.insert(response, (hash, epoch(all, hash)), weight);
                            }
                            4 if number % 500 == 0 => drop(all.purge_site(None)),
                            5 => drop(all.purge(response.filed.key())),
                            _ => drop(all.insert(response, (hash, epoch(all, hash)), 0)),
                        }
                        readers.truncate(random.below(5) as usize);
                        assert!(all.used() <= LIMIT);
                    }
                });
            }
        });
        all.sweep();
        assert_eq!(weight(&all), all.used());
        all.purge_site(None);
        assert_eq!((all.used(), all.room.firm.load(Ordering::Relaxed)), (0, 0));
    }
}

/// It goes where it is least missed, in whichever shard that is, and one object may be larger than what a shard has on average.
#[test]
fn what_was_used_least_recently_of_all_shards_goes_first() {
    let all = Shards::new(SHARDS, 100_000, Eviction::Lru, (5, 6));
    let places: Vec<_> =
        (0..9).map(|at| insert(&all, response(&format!("h:80/{at}"), "", 10_000, at)).unwrap()).collect();
    touch(&all, places[0], 9000);
    insert(&all, response("h:80/large", "", 55_000, 10)).unwrap();
    let left: Vec<usize> = (0..9).filter(|at| body(&all, places[*at]).is_some()).collect();
    assert_eq!(left, [0, 6, 7, 8]);
    let all = Shards::new(SHARDS, 100_000, Eviction::Sieve, (5, 6));
    for at in 0..500 {
        insert(&all, response(&format!("h:80/{at}"), "", 1000, at)).unwrap();
    }
    let of = |locked: &Locked| all.change(locked, 0, |shard| shard.storage.len());
    let counts: Vec<usize> = all.all.iter().map(of).collect();
    assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 2, "{counts:?}");
}

#[test]
fn a_body_that_is_read_counts_until_it_is_not() {
    let all = shards(20_000);
    let place = insert(&all, response("a:80/", "", 10_000, 5)).unwrap();
    let reader = body(&all, place).unwrap();
    remove(&all, place);
    assert_eq!((all.counts().0, all.used()), (0, 10_000));
    assert!(insert(&all, response("a:80/", "", 10_000, 5)).is_none() && !all.promise(10_001));
    drop(reader);
    assert!(all.promise(10_001));
    assert_eq!(all.used(), 10_001);
    all.release(10_001);
    assert_eq!(all.used(), 0);
}

/// A validation may show that the response of one variant is that of another, too. The room came back for none of them.
#[test]
fn a_body_that_variants_share_counts_until_the_last_has_gone() {
    let all = shards(100_000);
    let first = response("a:80/", "1", 10_000, 5);
    let body = first.body.clone();
    let second = StoredResponse { body: body.clone(), ..response("a:80/", "2", 0, 5) };
    drop(body);
    let places = [first, second].map(|response| insert(&all, response).unwrap());
    remove(&all, places[0]);
    all.sweep();
    assert!(all.used() >= 10_000, "the other has it");
    remove(&all, places[1]);
    all.sweep();
    assert_eq!((all.used(), all.counts().0), (0, 0));
}

#[test]
fn a_smaller_budget_evicts_and_an_update_is_weighed() {
    let all = shards(50_000);
    let places: Vec<_> =
        (0..4).map(|number| insert(&all, response(&format!("a:80/{number}"), "", 10_000, 5)).unwrap()).collect();
    let is_there = |at: usize| body(&all, places[at]).is_some();
    touch(&all, places[0], 6000);
    all.set_limit(25_000, Eviction::Lru);
    assert_eq!((all.counts().0, is_there(0), is_there(3)), (2, true, true));
    let text = format!("HTTP/1.1 304 X\r\nLong: {}\r\n\r\n", "y".repeat(8000));
    let update = Response::parse(text.as_bytes(), Method::Get).unwrap();
    let (hash, place) = places[0];
    let kept = all.with(hash, |shard| shard.storage.get(place).cloned()).unwrap();
    let head = kept.head().updated(&update, &Keeping { unkept: b"", via: None, date: "now" });
    all.update(hash, place, head.clone(), kept.freshness);
    assert!(all.used() <= 25_000 && !is_there(3) && is_there(0));
    assert_eq!(all.used(), StoredResponse { filed: kept.filed.with_head(head.clone()), ..kept.clone() }.weight());
    // Another loop has put a newer one in its place.
    insert(&all, response("a:80/0", "", 10_000, 7)).unwrap();
    let used = all.used();
    all.update(hash, place, head, kept.freshness);
    assert_eq!((all.used(), all.counts().0), (used, 1));
}

/// Loops share it.
#[test]
fn it_can_be_shared() {
    fn can_share<T: Send + Sync>() {}
    can_share::<Shards>();
}
