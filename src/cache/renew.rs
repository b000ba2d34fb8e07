//! What a 304, or a response to HEAD, makes of what is kept (RFC 9111 sections 3.2, 4.3.4 and 4.3.5). It is judged like a response
//! of its own: what it adds may be for one user, and what is kept may not be kept any more.

use std::hash::Hash;

use super::compose::answer;
use super::facts::HeadFacts;
use super::fresh::Freshness;
use super::heads::{keeping, HeadVerdict};
use super::select::Selecting;
use super::shards::Shard;
use super::status::CacheResult;
use super::storage::{StoredPlace, StoredResponse};
use super::store::{self, Unstorable};
use super::{validate, Cache, CacheJob, Freed, Moment};
use crate::http::cache_status::CacheReport;
use crate::http::fields::FieldKind;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::stored::{Keeping, StoredHead};

/// What becomes of a stored response.
enum Renewal {
    /// It has this head from now on, and answers these requests if they are others than before.
    Kept(StoredHead, Freshness, Option<Selecting>),
    /// It stays as it was: the update is for its client alone.
    Untouched,
    /// It may not be kept any more.
    Gone,
}

impl<W: Copy + Eq + Hash> Cache<W> {
    /// Section 4.3.4: a 304 to our own question updates what it is about.
    pub(super) fn handle_not_modified(
        &mut self,
        job: &mut CacheJob,
        request: &Request,
        response: &Response<'_>,
        moment: &Moment<'_>,
    ) -> HeadVerdict {
        let tag = response.field(b"etag");
        let Some((place, kept)) = self.shards.with(job.hash, |shard| {
            let places = job.validated.iter().filter_map(|place| Some((*place, shard.storage.get(*place)?)));
            let kept: Vec<(StoredPlace, &StoredResponse)> = places.collect();
            let heads: Vec<&StoredHead> = kept.iter().map(|(_, kept)| kept.head()).collect();
            let selected = job.selected.and_then(|place| kept.iter().position(|(one, _)| *one == place));
            let at = validate::validated(tag, &heads, selected)?;
            kept.get(at).map(|(place, kept)| (*place, (*kept).clone()))
        }) else {
            // Nothing may be updated by it, and what was asked about is not what the origin holds.
            if let Some(place) = job.selected.take() {
                self.shards.with(job.hash, |shard| shard.storage.remove(place));
            }
            job.validated.clear();
            return HeadVerdict::Again(validate::whole(request));
        };
        let told = self.updated(&kept, job, response, moment);
        let renewal = self.renewal(&kept, &told, job, request, response, moment);
        let ttl = Some(told.freshness.left(moment.millis));
        let report = CacheReport { origin_status: Some(304), ttl, ..job.report(None, false) };
        let answer = answer(&told, &job.conditions, &report, moment);
        self.renew(job, place, told.clone(), renewal, request);
        self.note_shared(job, &told.freshness, moment);
        self.give_up(job, Freed::Come);
        HeadVerdict::Answer(answer, CacheResult::Revalidated)
    }

    /// Section 4.3.5: a response to HEAD updates what it is about, or shows that it is not what its origin holds any more.
    pub(super) fn update_by_head(
        &mut self,
        job: &CacheJob,
        request: &Request,
        response: &Response<'_>,
        moment: &Moment<'_>,
    ) {
        let Some(place) = job.selected else { return };
        let kept = self.shards.with(job.hash, |shard| shard.storage.get(place).cloned());
        let Some(kept) = kept else { return };
        if response.status() != kept.head().status() {
            return;
        }
        let same = |name: &'static str| match response.field(name.as_bytes()) {
            Some(told) => kept.head().field(name) == Some(told),
            None => true,
        };
        let length = response.length().is_none_or(|length| length == kept.body.len() as u64);
        if !same("etag") || !same("last-modified") || !length {
            drop(kept);
            self.shards.with(job.hash, |shard| shard.storage.remove(place));
            return;
        }
        let told = self.updated(&kept, job, response, moment);
        let renewal = self.renewal(&kept, &told, job, request, response, moment);
        self.renew(job, place, told, renewal, request);
    }

    /// What is kept with what a response says of it: what this client gets. What is not said stays as it was (section 3.2).
    fn updated(
        &self,
        kept: &StoredResponse,
        job: &CacheJob,
        response: &Response<'_>,
        moment: &Moment<'_>,
    ) -> StoredResponse {
        let told = self.directives(response);
        let head = kept.head().updated(response, &Keeping { unkept: b"", ..keeping(&told, moment) });
        let directives = self.kept_directives(&head);
        let freshness = self.freshness(&HeadFacts::of_stored(&head), &directives, response, job, moment);
        StoredResponse { filed: kept.filed.with_head(head), body: kept.body.clone(), freshness }
    }

    /// Judges whether `told` may be kept in place of what is, and what of it.
    fn renewal(
        &self,
        kept: &StoredResponse,
        told: &StoredResponse,
        job: &CacheJob,
        request: &Request,
        response: &Response<'_>,
        moment: &Moment<'_>,
    ) -> Renewal {
        let directives = self.kept_directives(told.head());
        match store::judge_update(job.asked, response, kept.head().status(), &directives) {
            Err(Unstorable::Private | Unstorable::Status) => return Renewal::Gone,
            Err(Unstorable::NoStore) if !job.asked.no_store => return Renewal::Gone,
            Err(_) => return Renewal::Untouched,
            Ok(()) => {}
        }
        // What comes for one user with the update is not kept, and neither is a cookie that the update does not say to be for all.
        let mut unkept = directives.unkept.clone();
        let explicit = self.directives(response).has_lifetime() || response.section().has(FieldKind::Expires);
        if !explicit || !store::may_share_cookie(&HeadFacts::of_stored(told.head()), &directives, &told.freshness) {
            unkept.extend_from_slice(b"set-cookie,");
        }
        let head = match unkept.is_empty() {
            true => told.head().clone(),
            false => kept.head().updated(response, &Keeping { unkept: &unkept, ..keeping(&directives, moment) }),
        };
        if head.values("vary").eq(kept.head().values("vary")) {
            return Renewal::Kept(head, told.freshness, None);
        }
        let selecting = Selecting::of(head.values("vary"), request);
        selecting.map_or(Renewal::Gone, |selecting| Renewal::Kept(head, told.freshness, Some(selecting)))
    }

    /// Carries a renewal out of what a job has asked about. What another loop has put in its place meanwhile stays.
    fn renew(&mut self, job: &CacheJob, place: StoredPlace, told: StoredResponse, renewal: Renewal, request: &Request) {
        // The request has selected it by its fields.
        let (hash, selected) = (job.hash, job.selected == Some(place));
        let remove = |shard: &mut Shard| shard.storage.remove(place);
        let Renewal::Kept(head, freshness, selecting) = renewal else {
            if matches!(renewal, Renewal::Gone) {
                self.shards.with(hash, remove);
            }
            return;
        };
        let same = selecting.as_ref().is_none_or(|selecting| selecting.bytes() == told.filed.selecting());
        let moved = !same && self.shards.with(hash, remove);
        if same {
            self.shards.update(hash, place, head.clone(), freshness);
        }
        if moved || !selected {
            // It answers this request too, as its origin says: it is found by what this one says from now on.
            let other = if selected { selecting } else { Selecting::of(head.values("vary"), request) };
            if other.is_none() && !selected {
                return;
            }
            let mut filed = told.filed.with_head(head);
            other.iter().for_each(|selecting| filed = filed.with_selecting(selecting));
            self.add(StoredResponse { filed, freshness, ..told }, (hash, job.epoch), 0);
        }
    }
}
