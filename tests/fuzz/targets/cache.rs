//! What a cache reads: directives, dates, what Vary names, heads as they are kept.

use exaproxy::cache::control::{Directives, MOST_SECONDS};
use exaproxy::cache::select::{selects, Selecting};
use exaproxy::cache::{dates, ranges, validate};
use exaproxy::http::date::stamp;
use exaproxy::http::request::Request;
use exaproxy::http::response::Response;
use exaproxy::http::rules::Rules;
use exaproxy::http::stored::{Keeping, StoredHead};
use exaproxy::http::Method;

use super::{outcome, rough};

pub(super) const DIRECTIVES: &[&[u8]] = &[
    b"max-age=3600, s-maxage=\"7\", no-cache=\"a, b\", private, x=\"max-age=1\\\", y\"",
    b"max-stale, min-fresh=99999999999999999999, no-store, stale-if-error=-1",
];
pub(super) const DATES: &[&[u8]] =
    &[b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"];
pub(super) const VARY: &[&[u8]] =
    &[b"Accept-Language, Foo\nAccept-Language: de, EN;q=0.5\nFoo: \"a, b\"\nfoo: c", b"*\nA: b"];
pub(super) const STORED: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\nConnection: a\r\nA: 1\r\nB:  2 \r\nVia: 1.0 x\r\nAge: 7\r\nC: 1\r\n 2\r\n\r\n",
    b"HTTP/1.0 404 \xe4\r\nSet-Cookie: a\r\nETag: W/\"x\"\r\nContent-Length: 3\r\n\r\n",
];

/// One value reads as its parts in fields of their own, where no quote makes one of two.
pub(super) fn directives(data: &[u8]) -> u64 {
    let found = Directives::of([data].into_iter());
    if !data.contains(&b'"') {
        assert_eq!(found, Directives::of(data.split(|byte| *byte == b',')));
    }
    let seconds = [found.max_age, found.shared_max_age, found.max_stale, found.min_fresh, found.if_error];
    assert!(seconds.iter().flatten().all(|seconds| *seconds <= MOST_SECONDS));
    let flags = [found.no_cache, found.no_store, found.private, found.public, found.must_revalidate];
    outcome((flags, seconds.map(|seconds| seconds.is_some()), rough(found.unkept.len())))
}

/// What is read is written as a date that reads the same.
pub(super) fn date(data: &[u8]) -> u64 {
    let now = 1_800_000_000;
    let read = dates::parse(data, now);
    if let Some(seconds) = read {
        assert_eq!(dates::parse(stamp(seconds).as_bytes(), now), Some(seconds));
    }
    let part = ranges::part(data, 100);
    if let ranges::RangePart::Bytes(from, to) = part {
        assert!(from < to && to <= 100);
    }
    outcome((read.is_some(), std::mem::discriminant(&part)))
}

/// A request selects what it has brought.
pub(super) fn vary(data: &[u8]) -> u64 {
    let (vary, lines) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    let head = [b"GET http://a.b/ HTTP/1.1\r\nHost: a.b", lines, b"\r\n\r\n"].concat();
    let Ok(request) = Request::parse(&head, &Rules::default()) else { return 0 };
    let Some(selecting) = Selecting::of([vary].into_iter(), &request) else { return 1 };
    assert!(selects(selecting.bytes(), &request));
    for whole in [Some(validate::whole(&request)), validate::conditional(&request, None, &[])].into_iter().flatten() {
        let whole = Request::parse(&whole, &Rules::default()).expect("what was read can be asked again");
        assert!(!validate::is_conditional(&whole));
    }
    outcome((2, rough(selecting.bytes().len())))
}

/// What is kept of a head reads as it was written, and as one that updates itself to the same.
pub(super) fn stored(data: &[u8]) -> u64 {
    let Ok(response) = Response::parse(data, Method::Get) else { return 0 };
    let keeping = Keeping { unkept: b"set-cookie", via: Some("me"), date: "now" };
    let head = StoredHead::of(&response, &keeping, &[b"annex"]);
    let count = head.fields().count();
    assert_eq!(count, head.lines().iter().filter(|byte| **byte == b'\n').count());
    let text = [b"HTTP/1.1 200 OK\r\n", head.lines(), b"\r\n"].concat();
    let again = Response::parse(&text, Method::Get).expect("what is kept can be sent");
    assert_eq!(again.fields().count(), count);
    assert!(again.field(b"set-cookie").is_none() && again.field(b"connection").is_none());
    let updated = head.updated(&again, &Keeping { via: None, ..keeping });
    assert_eq!((updated.lines(), updated.annex()), (head.lines(), &b"annex"[..]));
    outcome((1, rough(count), response.status() / 100))
}
