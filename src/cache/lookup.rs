//! What becomes of a request (RFC 9111 section 4): it is answered from what is kept, shares a response that is on its way, or
//! goes on to its origin.

use std::hash::Hash;

use super::compose::{self, answer};
use super::control::Directives;
use super::fetches::{FetchId, Underway};
use super::filed::CacheKey;
use super::inflow::ComingHead;
use super::reuse::{self, Reuse};
use super::shards::Shard;
use super::status::CacheResult;
use super::storage::{StoredPlace, StoredPlaces};
use super::validate::Conditions;
use super::{invalidate, validate, Arriving, Cache, CacheFinding, CacheJob, Moment, Role};
use crate::http::answer::Answer;
use crate::http::cache_status::{CacheReport, Forwarded};
use crate::http::fields::{Expectation, FieldKind};
use crate::http::framing::Framing;
use crate::http::request::Request;
use crate::http::{Method, Version};

/// What there is for a request in the shard of its key.
enum ShardFinding {
    /// This answers it.
    Answer(Box<Answer>, CacheResult),
    /// This answers it, and a new response is wanted.
    Stale(Box<Answer>, Known),
    /// Nothing that may be used as it is.
    Miss(Known),
}

/// What is known of a request for which its origin is asked.
struct Known {
    forwarded: Forwarded,
    places: StoredPlaces,
    selected: Option<StoredPlace>,
    /// The head that asks about what is kept.
    validation: Option<Vec<u8>>,
    /// The last response was not to be shared.
    denied: bool,
}

impl<W: Copy + Eq + Hash> Cache<W> {
    /// Finds what is to become of a request (section 4).
    pub fn look_up(&mut self, request: &Request, who: W, coming: Arriving, moment: &Moment<'_>) -> CacheFinding {
        let directives = reuse::request_directives(request);
        let plain = matches!(request.method(), Method::Get | Method::Head);
        if invalidate::is_unsafe(request) {
            let job = CacheJob::new(request, Role::Invalidate, Forwarded::Method, directives, moment.millis);
            return CacheFinding::Forward(job, None);
        }
        // What may switch protocols, or waits for a word of the origin, is between the two.
        let alone = request.upgrade().is_some() || request.expectation() != Expectation::None;
        let empty = matches!(request.framing(), Framing::Empty);
        if !plain || !empty || alone || validate::is_for_origin(request) || request.wants_private_connection() {
            let why = if plain { Forwarded::Bypass } else { Forwarded::Method };
            return CacheFinding::Pass(CacheReport { forwarded: Some(why), ..CacheReport::default() });
        }
        // Its memory is kept from one request to the next.
        let mut key = std::mem::take(&mut self.key);
        invalidate::write_key(&mut key, request);
        let found = self.find(request, self.shards.key(&key), directives, who, coming, moment);
        self.key = key;
        found
    }

    /// The same for a request that may be answered from what is kept under this key.
    fn find(
        &mut self,
        request: &Request,
        mut key: CacheKey<'_>,
        directives: Directives,
        who: W,
        coming: Arriving,
        moment: &Moment<'_>,
    ) -> CacheFinding {
        let found = self.shards.with(key.hash, |shard| {
            let found = shard.look_up(request, key, &directives, moment);
            if !matches!(found, ShardFinding::Answer(..)) {
                (key.epoch, key.since) = (shard.forgotten.epoch(), shard.forgotten.since(key.hash));
            }
            found
        });
        let known = match found {
            ShardFinding::Answer(answer, result) => return CacheFinding::Answer(answer, result),
            ShardFinding::Stale(answer, known) => {
                let mut job = CacheJob::new(request, Role::Fill, Forwarded::Stale, directives, moment.millis);
                (job.validated, job.selected) = (known.places, known.selected);
                (job.hash, job.epoch) = (key.hash, key.epoch);
                return self.refresh(request, key, job, (answer, known.validation), moment);
            }
            ShardFinding::Miss(known) => known,
        };
        if directives.only_if_cached {
            return CacheFinding::Answer(compose::not_cached(known.forwarded), CacheResult::Miss);
        }
        let role = if request.method() == Method::Head { Role::Update } else { Role::Fill };
        let mut job = CacheJob::new(request, role, known.forwarded, directives, moment.millis);
        job.collapsed = coming != Arriving::First;
        (job.validated, job.selected) = (known.places, known.selected);
        (job.hash, job.epoch) = (key.hash, key.epoch);
        self.forward(request, key, job, (known.validation, known.denied), (who, coming), moment)
    }

    /// Answers with what is stale, and has a new one fetched unless that is under way.
    fn refresh(
        &mut self,
        request: &Request,
        key: CacheKey<'_>,
        mut job: Box<CacheJob>,
        (answer, validation): (Box<Answer>, Option<Vec<u8>>),
        moment: &Moment<'_>,
    ) -> CacheFinding {
        let underway =
            self.fetches.find(key, request).is_some() || self.find_elsewhere(key, true, moment.now).is_some();
        if underway {
            return CacheFinding::Answer(answer, CacheResult::Stale);
        }
        let head = validation.unwrap_or_else(|| validate::whole(request));
        job.fetch = Some(self.fetches.begin(key, true));
        CacheFinding::Refresh(answer, job, head)
    }

    /// Sends a request on, or has it wait for another that is under way for the same.
    fn forward(
        &mut self,
        request: &Request,
        key: CacheKey<'_>,
        mut job: Box<CacheJob>,
        (validation, denied): (Option<Vec<u8>>, bool),
        (who, coming): (W, Arriving),
        moment: &Moment<'_>,
    ) -> CacheFinding {
        if job.role == Role::Fill && request.section().has(FieldKind::Range) {
            // Section 3.3: parts are not kept.
            return CacheFinding::Pass(job.report(None, false));
        }
        if job.role == Role::Update {
            job.validated.clear();
            return CacheFinding::Forward(job, None);
        }
        if validation.is_none() {
            job.validated.clear();
        }
        // What a client wants new, or has conditions of its own for, answers no other; nor does what was not shared lately.
        let own = job.directives.no_cache || job.directives.max_age == Some(0) || job.directives.no_store;
        let conditional = validation.is_none() && validate::is_conditional(request);
        if own || conditional || denied || coming == Arriving::Alone {
            return CacheFinding::Forward(job, validation);
        }
        let since = match coming {
            Arriving::First => Some(moment.now),
            Arriving::Again(since) => Some(since),
            Arriving::Waited | Arriving::Alone => None,
        };
        match self.fetches.find(key, request) {
            Some(Underway::Coming(id)) if self.answers(id, &job, moment) => {
                return self.join(id, who, &job, request.version(), moment);
            }
            // What comes for credentials is likely to be for one: none waits for it, and it is not held up by others.
            _ if job.asked.authorization => {}
            Some(Underway::Asking(id)) => {
                if let Some(since) = since {
                    self.fetches.wait(id, who, since);
                    return CacheFinding::Wait(id);
                }
            }
            Some(Underway::Coming(_) | Underway::Full) => {}
            None => {
                if let Some(id) = self.find_elsewhere(key, coming == Arriving::First, moment.now) {
                    self.fetches.wait(id, who, moment.now);
                    return CacheFinding::Wait(id);
                }
                job.fetch = Some(self.fetches.begin(key, true));
            }
        }
        CacheFinding::Forward(job, validation)
    }

    /// Whether a response that is on its way may be used for this job's request as it is.
    fn answers(&self, id: FetchId, job: &CacheJob, moment: &Moment<'_>) -> bool {
        let reuse = |coming: &ComingHead| reuse::judge(&coming.freshness, &job.directives, moment.millis);
        self.fetches.response(id).is_some_and(|coming| reuse(coming) != Reuse::Validate)
    }

    /// Answers by a response that is on its way.
    fn join(&mut self, id: FetchId, who: W, job: &CacheJob, version: Version, moment: &Moment<'_>) -> CacheFinding {
        self.fetches.join(id, who);
        let report = CacheReport { collapsed: true, ..job.report(None, false) };
        let answer = self.fetches.response(id).map(|response| compose::coming(response, &report, version, moment));
        // It was found a moment ago.
        CacheFinding::Join(id, answer.unwrap_or_else(|| compose::not_cached(job.forwarded)))
    }
}

impl Shard {
    /// What there is for a request that may be answered from what is kept under this key.
    fn look_up(
        &mut self,
        request: &Request,
        key: CacheKey<'_>,
        directives: &Directives,
        moment: &Moment<'_>,
    ) -> ShardFinding {
        let storage = &mut self.storage;
        let places = storage.variants(key);
        let selected = storage.select(&places, request);
        let mut forwarded = if places.is_empty() { Forwarded::UriMiss } else { Forwarded::VaryMiss };
        let mut stale = None;
        if let Some((place, kept)) = selected.and_then(|place| Some((place, storage.get(place)?))) {
            let fresh = kept.freshness.is_fresh(moment.millis) && !kept.freshness.no_cache;
            match reuse::judge(&kept.freshness, directives, moment.millis) {
                Reuse::Validate => forwarded = if fresh { Forwarded::Request } else { Forwarded::Stale },
                reuse => {
                    let report =
                        CacheReport { ttl: Some(kept.freshness.left(moment.millis)), ..CacheReport::default() };
                    let answer = answer(kept, &Conditions::of(request), &report, moment);
                    storage.touch(place, moment.millis);
                    match reuse {
                        Reuse::Fresh => return ShardFinding::Answer(answer, CacheResult::Hit),
                        Reuse::WhileRevalidate if request.method() == Method::Get => stale = Some(answer),
                        _ => return ShardFinding::Answer(answer, CacheResult::Stale),
                    }
                }
            }
        }
        let validation = self.validation(request, &places, selected);
        let denied = self.denied.contains(key.hash, moment.now);
        let known = Known { forwarded, places, selected, validation, denied };
        match stale {
            Some(answer) => ShardFinding::Stale(answer, known),
            None => ShardFinding::Miss(known),
        }
    }

    /// The head that asks about what is kept, where that can be asked.
    fn validation(&self, request: &Request, places: &[StoredPlace], selected: Option<StoredPlace>) -> Option<Vec<u8>> {
        if places.is_empty() || request.method() != Method::Get {
            return None;
        }
        let heads: Vec<_> = places.iter().filter_map(|place| Some(self.storage.get(*place)?.head())).collect();
        let selected = selected.and_then(|place| Some(self.storage.get(place)?.head()));
        validate::conditional(request, selected, &heads)
    }
}
