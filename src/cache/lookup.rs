//! What becomes of a request (RFC 9111 section 4): it is answered from what is kept, shares a response that is on its way, or
//! goes on to its origin.

use std::hash::Hash;

use super::compose::{self, answer};
use super::control::Directives;
use super::fetches::{FetchId, Underway};
use super::filed::CacheKey;
use super::inflow::ComingHead;
use super::reuse::{self, Reuse};
use super::status::CacheResult;
use super::validate::Conditions;
use super::{invalidate, validate, Arriving, Cache, CacheFinding, CacheJob, Moment, Role};
use crate::http::answer::Answer;
use crate::http::cache_status::{CacheReport, Forwarded};
use crate::http::fields::{Expectation, FieldKind};
use crate::http::framing::Framing;
use crate::http::request::Request;
use crate::http::{Method, Version};

impl<W: Copy + Eq + Hash> Cache<W> {
    /// Finds what is to become of a request (section 4).
    pub fn look_up(&mut self, request: &Request, who: W, coming: Arriving, moment: &Moment<'_>) -> CacheFinding {
        let directives = reuse::request_directives(request);
        let plain = matches!(request.method(), Method::Get | Method::Head);
        if invalidate::is_unsafe(request) {
            let job = CacheJob::new(request, Role::Invalidate, Forwarded::Method, directives, moment.millis);
            return CacheFinding::Forward(Box::new(job), None);
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
        let found = self.find(request, self.storage.key(&key), directives, (who, coming), moment);
        self.key = key;
        found
    }

    /// The same for a request that may be answered from what is kept under this key.
    fn find(
        &mut self,
        request: &Request,
        key: CacheKey<'_>,
        directives: Directives,
        (who, coming): (W, Arriving),
        moment: &Moment<'_>,
    ) -> CacheFinding {
        let places = self.storage.variants(key);
        let selected = self.storage.select(&places, request);
        let mut forwarded = if places.is_empty() { Forwarded::UriMiss } else { Forwarded::VaryMiss };
        if let Some((place, kept)) = selected.and_then(|place| Some((place, self.storage.get(place)?))) {
            let fresh = kept.freshness.is_fresh(moment.millis) && !kept.freshness.no_cache;
            match reuse::judge(&kept.freshness, &directives, moment.millis) {
                Reuse::Validate => forwarded = if fresh { Forwarded::Request } else { Forwarded::Stale },
                reuse => {
                    let report =
                        CacheReport { ttl: Some(kept.freshness.left(moment.millis)), ..CacheReport::default() };
                    let answer = answer(kept, &Conditions::of(request), &report, moment);
                    self.storage.touch(place);
                    return match reuse {
                        Reuse::Fresh => CacheFinding::Answer(answer, CacheResult::Hit),
                        Reuse::WhileRevalidate if request.method() == Method::Get => {
                            let mut job =
                                CacheJob::new(request, Role::Fill, Forwarded::Stale, directives, moment.millis);
                            (job.validated, job.selected, job.hash) = (places, selected, key.hash);
                            self.refresh(request, key, job, answer)
                        }
                        _ => CacheFinding::Answer(answer, CacheResult::Stale),
                    };
                }
            }
        }
        if directives.only_if_cached {
            return CacheFinding::Answer(compose::not_cached(forwarded), CacheResult::Miss);
        }
        let role = if request.method() == Method::Head { Role::Update } else { Role::Fill };
        let mut job = CacheJob::new(request, role, forwarded, directives, moment.millis);
        job.collapsed = coming != Arriving::First;
        (job.validated, job.selected, job.hash) = (places, selected, key.hash);
        self.forward(request, key, job, (who, coming), moment)
    }

    /// Answers with what is stale, and has a new one fetched unless that is under way.
    fn refresh(
        &mut self,
        request: &Request,
        key: CacheKey<'_>,
        mut job: CacheJob,
        answer: Box<Answer>,
    ) -> CacheFinding {
        if self.fetches.find(key, request).is_some() {
            return CacheFinding::Answer(answer, CacheResult::Stale);
        }
        let head = self.validation(request, &job).unwrap_or_else(|| validate::whole(request));
        job.fetch = Some(self.fetches.begin(key, true));
        CacheFinding::Refresh(answer, Box::new(job), head)
    }

    /// Sends a request on, or has it wait for another that is under way for the same.
    fn forward(
        &mut self,
        request: &Request,
        key: CacheKey<'_>,
        mut job: CacheJob,
        (who, coming): (W, Arriving),
        moment: &Moment<'_>,
    ) -> CacheFinding {
        if job.role == Role::Fill && request.section().has(FieldKind::Range) {
            // Section 3.3: parts are not kept.
            return CacheFinding::Pass(job.report(None, false));
        }
        if job.role == Role::Update {
            job.validated.clear();
            return CacheFinding::Forward(Box::new(job), None);
        }
        let validation = self.validation(request, &job);
        if validation.is_none() {
            job.validated.clear();
        }
        // What a client wants new, or has conditions of its own for, answers no other; nor does what was not shared lately.
        let own = job.directives.no_cache || job.directives.max_age == Some(0) || job.directives.no_store;
        let conditional = validation.is_none() && validate::is_conditional(request);
        let denied = self.denied.contains(key.hash, moment.now);
        if own || conditional || denied || coming == Arriving::Alone {
            return CacheFinding::Forward(Box::new(job), validation);
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
            None => job.fetch = Some(self.fetches.begin(key, true)),
        }
        CacheFinding::Forward(Box::new(job), validation)
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

    fn validation(&self, request: &Request, job: &CacheJob) -> Option<Vec<u8>> {
        if job.validated.is_empty() {
            return None;
        }
        let heads: Vec<_> = job.validated.iter().filter_map(|place| Some(self.storage.get(*place)?.head())).collect();
        let selected = job.selected.and_then(|place| Some(self.storage.get(place)?.head()));
        validate::conditional(request, selected, &heads)
    }
}
