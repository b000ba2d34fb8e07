//! Answers from what is kept, or is on its way to be (RFC 9111 sections 4 and 4.3.2). Knows no storage.

use super::inflow::ComingHead;
use super::ranges::{self, RangePart};
use super::storage::StoredResponse;
use super::validate::Conditions;
use super::Moment;
use crate::http::answer::{Answer, AnswerBody};
use crate::http::cache_status::{CacheReport, Forwarded};
use crate::http::stored::StoredHead;
use crate::http::Version;

/// The answer of a stored response to a client with these conditions.
pub fn answer(
    kept: &StoredResponse,
    conditions: &Conditions,
    report: &CacheReport,
    moment: &Moment<'_>,
) -> Box<Answer> {
    let age = kept.freshness.age(moment.millis);
    let of = |status: u16, body: AnswerBody| from_head(kept.head(), status, body, Some(age), report);
    if !conditions.is_empty() {
        if conditions.hold(kept.head(), &kept.freshness, moment.now) {
            return Box::new(of(304, AnswerBody::default()));
        }
        let range = conditions.range.as_deref().filter(|_| kept.head().status() == 200);
        if let Some(range) = range.filter(|_| conditions.allow_range(kept.head())) {
            let length = kept.body.len();
            match ranges::part(range, length) {
                RangePart::Whole => {}
                RangePart::Bytes(from, to) => {
                    let told = format!("bytes {from}-{}/{length}", to - 1);
                    let body = AnswerBody::Part(kept.body.clone(), from, to);
                    return Box::new(of(206, body).with("Content-Range", told));
                }
                RangePart::Unsatisfiable => {
                    let told = format!("bytes */{length}");
                    return Box::new(of(416, AnswerBody::default()).with("Content-Range", told));
                }
            }
        }
    }
    Box::new(of(kept.head().status(), AnswerBody::Shared(kept.body.clone())))
}

/// The answer by a response whose body is still to come, to a client of that version.
pub fn coming(response: &ComingHead, report: &CacheReport, version: Version, moment: &Moment<'_>) -> Box<Answer> {
    // Section 5.1: Age is for what comes from a cache, and tells how long it was in those before us.
    let age = response.freshness.age(moment.millis);
    let age = (report.forwarded.is_none() || response.freshness.initial_age > 0).then_some(age);
    let head = &response.filed.head;
    let mut answer = from_head(head, head.status(), AnswerBody::default(), age, report);
    match response.announced {
        Some(length) => answer.follows = length,
        None => (answer.unsized_body, answer.close) = (true, version == Version::Http10),
    }
    Box::new(answer)
}

/// The answer to `only-if-cached` where nothing can be used (section 5.2.1.7).
pub fn not_cached(forwarded: Forwarded) -> Box<Answer> {
    let text = &b"the cache holds no response that this request may have, and it asks for no other\n"[..];
    let report = CacheReport { forwarded: Some(forwarded), ..CacheReport::default() };
    Box::new(Answer { cached: Some(report), ..Answer::new(504, text) })
}

fn from_head(head: &StoredHead, status: u16, body: AnswerBody, age: Option<u64>, report: &CacheReport) -> Answer {
    // What kind of thing it is, its head says: nothing is looked for in the body.
    let own = Answer::new(status, AnswerBody::default());
    Answer { body, age, stored: Some(head.clone()), cached: Some(*report), ..own }
}
