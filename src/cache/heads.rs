//! What becomes of a response whose head has come (RFC 9111 sections 3, 4.3.3 to 4.3.5 and 4.4): it is kept, it updates what
//! is kept, it makes it untrue, or it passes by.

use std::hash::Hash;
use std::sync::Arc;

use super::compose;
use super::control::Directives;
use super::facts::HeadFacts;
use super::filed::{CacheKey, Epoch, FiledHead};
use super::fresh::{age_value, Exchanged, Freshness};
use super::inflow::ComingHead;
use super::reuse::{self, Failure};
use super::select::Selecting;
use super::status::CacheResult;
use super::storage::{StoredResponse, OVERHEAD};
use super::store::{self, Unstorable};
use super::{invalidate, Arriving, Cache, CacheJob, Freed, Moment, Role};
use crate::http::answer::Answer;
use crate::http::cache_status::CacheReport;
use crate::http::fields::FieldKind;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::stored::{Keeping, StoredHead};

/// What there is of a body when its head has come.
#[derive(Clone, Copy, Debug)]
pub enum AtHand<'a> {
    /// All of it.
    Complete(&'a [u8]),
    /// Less; its length, if the head says it.
    Partial(Option<u64>),
}

/// What is known of a response that may be kept.
struct Storable {
    directives: Directives,
    selecting: Selecting,
    freshness: Freshness,
}

/// What is to become of a response.
#[derive(Debug)]
pub enum HeadVerdict {
    /// It goes to the client as it came, with this in Cache-Status.
    Pass(CacheReport),
    /// Its body is read for all who want it, [`CacheJob::fetch`] tells for which fetch; the client is answered like one who joined.
    Fill(Box<Answer>),
    /// The client gets this in place of it; the origin's connection can carry another request if it was complete.
    Answer(Box<Answer>, CacheResult),
    /// It was about nothing that is kept: the request is to be sent again, with this head.
    Again(Vec<u8>),
}

impl<W: Copy + Eq + Hash> Cache<W> {
    /// Judges a final response to a job's request. `reader` is the client, if there is one; `private` says that the connection
    /// belongs to it alone.
    pub fn handle_head(
        &mut self,
        job: &mut CacheJob,
        request: &Request,
        response: &Response<'_>,
        at_hand: AtHand<'_>,
        (reader, private): (Option<W>, bool),
        moment: &Moment<'_>,
    ) -> HeadVerdict {
        job.asked.private |= private;
        match job.role {
            Role::Invalidate => {
                for key in invalidate::targets(request, response, moment.rules) {
                    self.purge(&key);
                }
                return HeadVerdict::Pass(job.report(None, false));
            }
            Role::Update => {
                self.update_by_head(job, request, response, moment);
                return HeadVerdict::Pass(job.report(None, false));
            }
            Role::Fill => {}
        }
        if response.status() == 304 && !job.validated.is_empty() {
            return self.handle_not_modified(job, request, response, moment);
        }
        if matches!(response.status(), 500 | 502 | 503 | 504) {
            // Section 4.3.3: a server error may be answered from what is kept, where that is allowed.
            if let Some(answer) = self.stand_in(job, Failure::Status, moment) {
                return HeadVerdict::Answer(answer, CacheResult::Stale);
            }
        }
        match self.judge(job, request, response, moment) {
            Ok(_) if self.is_forgotten(job) => {
                self.give_up(job, Freed::Failed);
                HeadVerdict::Pass(job.report(None, false))
            }
            Ok(storable) => match self.keep(job, request, response, storable, (at_hand, reader), moment) {
                HeadVerdict::Fill(answer) => HeadVerdict::Fill(self.told_in_full(answer, response, moment)),
                verdict => verdict,
            },
            Err(why) => self.pass(job, response, why, moment),
        }
    }

    /// Whether an unsafe request or an order came between this request and its response, which may tell how it was before.
    fn is_forgotten(&self, job: &CacheJob) -> bool {
        self.shards.with(job.hash, |shard| job.epoch < shard.forgotten.since(job.hash))
    }

    /// A response that may be kept: what is known of it then.
    fn judge(
        &self,
        job: &CacheJob,
        request: &Request,
        response: &Response<'_>,
        moment: &Moment<'_>,
    ) -> Result<Storable, Unstorable> {
        let directives = self.directives(response);
        store::judge(job.asked, response, &directives)?;
        let facts = HeadFacts::of(response, &directives);
        let freshness = self.freshness(&facts, &directives, response, job, moment);
        store::judge_lifetime(&facts, &directives, &freshness)?;
        let vary = response.section().values(response.raw(), FieldKind::Vary);
        let selecting = Selecting::of(vary, request).ok_or(Unstorable::Vary)?;
        Ok(Storable { directives, selecting, freshness })
    }

    fn pass(
        &mut self,
        job: &mut CacheJob,
        response: &Response<'_>,
        why: Unstorable,
        moment: &Moment<'_>,
    ) -> HeadVerdict {
        self.counts.unstorable[why.index()] += 1;
        // A 304 is about what this client holds, a failure may be over at the next request, and what a client says of its own
        // request is said of no other's.
        let of_client = job.asked.no_store || why == Unstorable::Authorization;
        if !of_client && why.lasts() && response.status() != 304 && response.status() < 500 {
            // What was asked about is no more what its origin would send.
            let untrue = job.selected.filter(|_| !job.validated.is_empty());
            self.shards.with(job.hash, |shard| {
                shard.denied.note(job.hash, moment.now);
                untrue.is_some_and(|place| shard.storage.remove(place))
            });
        }
        self.give_up(job, Freed::Unshared);
        HeadVerdict::Pass(job.report(Some(why), false))
    }

    fn keep(
        &mut self,
        job: &mut CacheJob,
        request: &Request,
        response: &Response<'_>,
        Storable { directives, selecting, freshness }: Storable,
        (at_hand, reader): (AtHand<'_>, Option<W>),
        moment: &Moment<'_>,
    ) -> HeadVerdict {
        let mut key = std::mem::take(&mut self.key);
        invalidate::write_key(&mut key, request);
        debug_assert_eq!(self.shards.key(&key).hash, job.hash, "a request keeps its key");
        let filed = FiledHead::of(response, &keeping(&directives, moment), &key, &selecting);
        self.key = key;
        let beside = filed.head.size() + OVERHEAD;
        let length = match at_hand {
            AtHand::Complete(body) => Some(body.len() as u64),
            AtHand::Partial(length) => length,
        };
        let refusal = match length {
            Some(length) if length > self.settings.object_size as u64 => Some(Unstorable::TooLarge),
            // A body that is announced fits in memory, as it is no longer than an object may be.
            Some(length) if !self.shards.promise(beside + length as usize) => Some(Unstorable::NoRoom),
            None if !self.shards.promise(beside) => Some(Unstorable::NoRoom),
            _ => None,
        };
        if let Some(why) = refusal {
            self.counts.unstorable[why.index()] += 1;
            if why.lasts() {
                self.shards.with(job.hash, |shard| shard.denied.note(job.hash, moment.now));
            }
            self.give_up(job, Freed::Unshared);
            return HeadVerdict::Pass(job.report(Some(why), false));
        }
        self.note_shared(job, &freshness, moment);
        let promised = beside + length.unwrap_or(0) as usize;
        if let AtHand::Complete(body) = at_hand {
            self.add(StoredResponse { filed, body: Arc::from(body), freshness }, (job.hash, job.epoch), promised);
            self.give_up(job, Freed::Come);
            return HeadVerdict::Pass(job.report(None, true));
        }
        let coming = ComingHead { filed, freshness, announced: length, promised };
        let report = job.report(None, true);
        let answer = compose::coming(&coming, &report, request.version(), moment);
        let key = CacheKey { text: coming.filed.key(), hash: job.hash, epoch: job.epoch, since: job.epoch };
        let asked = job.fetch;
        let id = *job.fetch.get_or_insert_with(|| self.fetches.begin(key, false));
        let waiters = self.fetches.handle_head(id, coming, reader);
        self.woken.extend(waiters.into_iter().map(|(who, _)| (who, Arriving::Waited)));
        if asked.is_some() {
            // Its body is read for the clients of this loop.
            self.tell_others(job.hash, Freed::Failed);
        }
        HeadVerdict::Fill(answer)
    }

    /// The answer to the client that asked, which gets also what is not kept for others.
    fn told_in_full(&self, mut answer: Box<Answer>, response: &Response<'_>, moment: &Moment<'_>) -> Box<Answer> {
        let directives = self.directives(response);
        if !directives.unkept.is_empty() {
            let all = Keeping { unkept: b"", ..keeping(&directives, moment) };
            answer.stored = Some(StoredHead::of(response, &all, &[]));
        }
        answer
    }

    /// A response to a job's request is kept, or still holds. Where each of those who wait would have to ask about it first, they are
    /// freed at once, and none waits for the next.
    pub(super) fn note_shared(&mut self, job: &mut CacheJob, response: &Freshness, moment: &Moment<'_>) {
        let shared = reuse::is_shared(response, moment.millis);
        self.shards.with(job.hash, |shard| match shared {
            true => shard.denied.forget(job.hash),
            false => shard.denied.note(job.hash, moment.now),
        });
        if !shared {
            self.give_up(job, Freed::Unshared);
        }
    }

    /// Keeps a response that was asked for then under a key with this hash, with so much room promised.
    pub(super) fn add(&mut self, response: StoredResponse, asked: (u64, Epoch), promised: usize) {
        if self.shards.insert(response, asked, promised).is_some() {
            self.counts.stored += 1;
        }
    }

    pub(super) fn freshness(
        &self,
        head: &HeadFacts<'_>,
        directives: &Directives,
        response: &Response<'_>,
        job: &CacheJob,
        moment: &Moment<'_>,
    ) -> Freshness {
        let times = Exchanged { asked: job.asked_at, received: moment.millis };
        let targeted = self.settings.targeted.iter().any(|name| response.field(name.as_bytes()).is_some());
        let age = age_value(response.section().values(response.raw(), FieldKind::Age));
        let mut freshness = Freshness::of(head, directives, age, times);
        if targeted && !directives.has_lifetime() {
            // RFC 9213 section 2.2: where a targeted field counts, Expires does not.
            freshness.lifetime = 0;
        }
        freshness
    }

    /// The directives that count for us: those of the first targeted field that is there (RFC 9213), or Cache-Control.
    pub(super) fn directives(&self, response: &Response<'_>) -> Directives {
        match self.settings.targeted.iter().find(|name| response.field(name.as_bytes()).is_some()) {
            Some(name) => Directives::of(values(response, name.as_bytes())),
            None => Directives::of(response.section().values(response.raw(), FieldKind::CacheControl)),
        }
    }

    pub(super) fn kept_directives(&self, head: &StoredHead) -> Directives {
        let of = |wanted: &[u8]| {
            Directives::of(head.fields().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value))
        };
        let has = |wanted: &str| head.fields().any(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
        let targeted = self.settings.targeted.iter().find(|name| has(name));
        of(targeted.map_or(b"cache-control", |name| name.as_bytes()))
    }
}

pub(super) fn keeping<'a>(directives: &'a Directives, moment: &Moment<'a>) -> Keeping<'a> {
    let via = (!moment.rules.transparent).then_some(&*moment.rules.via);
    Keeping { unkept: &directives.unkept, via, date: moment.date }
}

fn values<'h>(response: &'h Response<'_>, name: &'h [u8]) -> impl Iterator<Item = &'h [u8]> {
    response.fields().filter(move |(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}
