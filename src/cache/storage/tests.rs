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

pub(in crate::cache) fn response(key: &str, vary: &str, length: usize, received: u64) -> StoredResponse {
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

pub(in crate::cache) fn request(foo: &str) -> Request {
    let text = format!("GET http://a.b/ HTTP/1.1\r\nHost: a.b\r\nFoo: {foo}\r\n\r\n");
    *Request::parse(text.as_bytes(), &Rules::default()).unwrap()
}

/// All keys have the same hash.
fn key(text: &str) -> CacheKey<'_> {
    CacheKey { text: text.as_bytes(), hash: 7 << 32, epoch: 0, since: 0 }
}

fn storage() -> Storage {
    Storage::new(Eviction::Lru)
}

fn insert(all: &mut Storage, response: StoredResponse) -> StoredPlace {
    all.insert(response, 7 << 32).unwrap()
}

#[test]
fn what_is_kept_is_found_by_key_and_request() {
    let mut all = storage();
    for (key, vary) in [("a.b:80/", "1"), ("a.b:80/", "2"), ("a.b:80/x", "1")] {
        insert(&mut all, response(key, vary, 10, 5));
    }
    let both = all.variants(key("a.b:80/"));
    assert_eq!((both.len(), all.variants(key("a.b:80/x")).len(), all.variants(key("a.b:81/")).len()), (2, 1, 0));
    let two = all.select(&both, &request("2")).unwrap();
    assert!(all.get(two).unwrap().filed.answers(&request("2")));
    assert_eq!(all.select(&both, &request("3")), None);
    let newer = insert(&mut all, response("a.b:80/", "2", 20, 6));
    assert_eq!((all.get(two).map(|_| ()), all.len()), (None, 3));
    assert_eq!(all.get(newer).unwrap().body.len(), 20);
}

/// What an order says of a place that does not exist, or that is free, takes nothing down.
#[test]
fn a_place_that_is_none_is_no_panic() {
    let mut all = storage();
    all.slots.links(7);
    assert!(!all.take_out(7));
    insert(&mut all, response("a.b:80/", "", 10, 5));
    all.remove(StoredPlace { index: 0, generation: 9 });
    all.remove(StoredPlace { index: 0, generation: 0 });
    assert!(!all.take_out(0) && all.is_empty() && all.kept() == 0);
    // An order that names what has gone makes no room.
    all.order.add(0, &mut all.slots);
    assert!(!all.evict() && all.rank() == EMPTY);
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
        let mut all = storage();
        insert(&mut all, first);
        insert(&mut all, last);
        let place = all.select(&all.variants(key("a.b:80/")), &request("1")).unwrap();
        assert_eq!(all.get(place).unwrap().body.len(), want);
    }
}

#[test]
fn purges_take_what_they_name() {
    let mut all = storage();
    for key in ["a.b:80/", "a.b:80/x", "a.b:81/", "a.bc:80/"] {
        insert(&mut all, response(key, "", 10, 5));
    }
    assert_eq!((all.purge(key("a.b:80/x")), all.purge(key("a.b:80/x")), all.len()), (1, 0, 3));
    assert_eq!((all.purge_site(Some(b"a.b:80")), all.len()), (1, 2));
    assert_eq!((all.purge_site(None), all.len(), all.kept()), (2, 0, 0));
}

#[test]
fn no_key_has_more_variants_than_it_may() {
    let mut all = storage();
    for vary in 0..MOST_VARIANTS + 5 {
        insert(&mut all, response("a.b:80/", &vary.to_string(), 1, 5));
    }
    assert_eq!(all.len(), MOST_VARIANTS);
}

#[test]
fn an_object_costs_little_beside_its_body() {
    const { assert!(OVERHEAD <= 300) };
}
