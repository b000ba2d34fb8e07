//! What is kept and found, what goes, and what all of it takes.

use super::*;
use crate::cache::control::Directives;
use crate::cache::facts::HeadFacts;
use crate::cache::fresh::Exchanged;
use crate::cache::select::Selecting;
use crate::http::response::Response;
use crate::http::rules::Rules;
use crate::http::stored::Keeping;
use crate::http::Method;

fn response(key: &str, vary: &str, length: usize, received: u64) -> StoredResponse {
    let text = b"HTTP/1.1 200 OK\r\nA: 1\r\n\r\n";
    let head = Response::parse(text, Method::Get).unwrap();
    let times = Exchanged { asked: received * 1000, received: received * 1000 };
    let directives = Directives::default();
    let selecting = Selecting::of([&b"foo"[..]].into_iter(), &request(vary)).unwrap();
    let keeping = Keeping { unkept: b"", via: None, date: "now" };
    StoredResponse {
        freshness: Freshness::of(&HeadFacts::of(&head, &directives), &directives, None, times),
        filed: FiledHead::of(&head, &keeping, key.as_bytes(), &selecting),
        body: vec![b'x'; length].into(),
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
    let both = all.variants(all.key(b"a.b:80/"));
    assert_eq!(
        (both.len(), all.variants(all.key(b"a.b:80/x")).len(), all.variants(all.key(b"a.b:81/")).len()),
        (2, 1, 0)
    );
    let two = all.select(&both, &request("2")).unwrap();
    assert!(all.get(two).unwrap().filed.answers(&request("2")));
    assert_eq!(all.select(&both, &request("3")), None);
    let newer = all.insert(response("a.b:80/", "2", 20, 6)).unwrap();
    assert_eq!((all.get(two).map(|_| ()), all.len()), (None, 3));
    assert_eq!(all.get(newer).unwrap().body.len(), 20);
}

/// What an order says of a place that does not exist, or that is free, takes nothing down.
#[test]
fn a_place_that_is_none_is_no_panic() {
    let mut all = storage(1 << 20);
    all.slots.links(7);
    assert!(!all.take_out(7));
    all.insert(response("a.b:80/", "", 10, 5)).unwrap();
    all.remove(StoredPlace { index: 0, generation: 9 });
    all.remove(StoredPlace { index: 0, generation: 0 });
    assert!(!all.take_out(0) && all.is_empty() && all.used() == 0);
    // An order that names what has gone makes no room, and comes to an end.
    all.order.add(0, &mut all.slots);
    (all.used, all.limit) = (5, 4);
    assert!(!all.make_room(0));
}

/// A response that Vary does not divide and one that it does may answer the same request.
#[test]
fn of_several_that_answer_the_newest_does() {
    let all_requests = |length, received, age| {
        let mut response = response("a.b:80/", "1", length, received);
        response.filed = response.filed.with_selecting(&Selecting::default());
        response.freshness.initial_age = age;
        response
    };
    // Those that come first and last, and the length of the one that answers.
    let table = [
        (response("a.b:80/", "1", 1, 5), all_requests(2, 5, 0), 2),
        (all_requests(2, 5, 0), response("a.b:80/", "1", 1, 5), 1),
        (response("a.b:80/", "1", 1, 5), all_requests(2, 9, 6), 1),
    ];
    for (first, last, want) in table {
        let mut all = storage(1 << 20);
        all.insert(first);
        all.insert(last);
        let place = all.select(&all.variants(all.key(b"a.b:80/")), &request("1")).unwrap();
        assert_eq!(all.get(place).unwrap().body.len(), want);
    }
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
                all.slots.places.iter().filter_map(|at| at.slot.as_ref()).map(|slot| slot.response.weight()).sum();
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

/// A validation may show that the response of one variant is that of another, too. The room came back for none of them.
#[test]
fn a_body_that_variants_share_counts_until_the_last_has_gone() {
    let mut all = storage(100_000);
    let first = response("a:80/", "1", 10_000, 5);
    let body = first.body.clone();
    let second = StoredResponse { body: body.clone(), ..response("a:80/", "2", 0, 5) };
    drop(body);
    let places = [first, second].map(|response| all.insert(response).unwrap());
    all.remove(places[0]);
    all.sweep();
    assert!(all.used() >= 10_000, "the other has it");
    all.remove(places[1]);
    all.sweep();
    assert_eq!((all.used(), all.len()), (0, 0));
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
    let head = kept.head().updated(&update, &Keeping { unkept: b"", via: None, date: "now" });
    all.update(places[0], head, kept.freshness);
    assert!(all.used() <= 25_000 && all.get(places[3]).is_none());
    assert!(all.get(places[0]).unwrap().head().field("long").is_some());
    assert_eq!(all.used(), all.get(places[0]).unwrap().weight());
}

#[test]
fn an_object_costs_little_beside_its_body() {
    const { assert!(OVERHEAD <= 300) };
}
