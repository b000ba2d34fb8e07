//! The head of a response before its client gets it: what the cache makes of it, and what is done where that is something else than
//! passing it on.

use reactor::arena::Key;

use super::at_hand::BodyAtHand;
use super::desk::{CacheDesk, Withheld};
use crate::cache::heads::HeadVerdict;
use crate::cache::status::CacheResult;
use crate::cache::{CacheJob, Freed};
use crate::exchange::cached::{HeadJudge, Judged};
use crate::http::cache_status::CacheReport;
use crate::http::caching::Caching;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::rules::Rules;
use crate::http::Version;
use crate::proxy::clock::Clock;
use crate::proxy::Proxy;

/// The status by which a proxy asks for credentials (RFC 9110 section 15.5.8).
const PROXY_LOGIN: u16 = 407;

/// The cache as a step of one session sees it.
#[derive(Debug)]
pub(in crate::proxy) struct DeskJudge<'a> {
    pub(in crate::proxy) desk: &'a mut CacheDesk,
    pub(in crate::proxy) key: Key,
    pub(in crate::proxy) clock: &'a Clock,
    pub(in crate::proxy) rules: &'a Rules,
}

impl HeadJudge for DeskJudge<'_> {
    fn judge(&mut self, request: &Request, response: &Response<'_>, rest: &[u8], private: bool) -> Option<Judged> {
        let (key, desk) = (self.key, &mut *self.desk);
        let Some(mut job) = desk.jobs.remove(&key) else {
            return Some(Judged { report: CacheReport::BYPASS, words: words(CacheResult::Bypass) });
        };
        // A parent that does not know us says nothing of what is asked for.
        let body = BodyAtHand::of(response, rest, job.role).filter(|_| response.status() != PROXY_LOGIN);
        let Some(body) = body else {
            // The exchange finds the same fault, and explains it or has what is kept stand in.
            desk.cache.give_up(&mut job, Freed::Failed);
            let judged = Judged { report: job.report(None, false), words: words(job.result()) };
            desk.jobs.insert(key, job);
            return Some(judged);
        };
        let reader = (!desk.background.contains(&key)).then_some(key);
        let (at_hand, moment) = (body.at_hand(), self.clock.moment(self.rules));
        let verdict = desk.cache.handle_head(&mut job, request, response, at_hand, (reader, private), &moment);
        if let (HeadVerdict::Pass(report), Some(_)) = (&verdict, reader) {
            let result = job.result();
            desk.cache.counts.results[result.index()] += 1;
            return Some(Judged { report: *report, words: words(result) });
        }
        let keeps = response.keep_alive();
        let complete = keeps && body.taken() == Some(rest.len());
        let begun = if matches!(verdict, HeadVerdict::Fill(_)) { rest.to_vec() } else { Vec::new() };
        let framing = response.framing(Version::Http10);
        desk.withheld = Some(Box::new(Withheld { key, job, verdict, framing, keeps, complete, begun }));
        None
    }
}

fn words(result: CacheResult) -> (&'static str, &'static str) {
    (result.word(), result.squid())
}

impl Proxy {
    /// Does what the cache wants done in place of passing a response on.
    pub(in crate::proxy) fn judge_head(&mut self, key: Key) {
        let withheld = self.caching.as_mut().and_then(|desk| desk.take_withheld(key));
        let Some(withheld) = withheld else { return self.dismiss(key) };
        let Withheld { job, verdict, framing, keeps, complete, begun, .. } = *withheld;
        let background = self.is_background(key);
        match verdict {
            HeadVerdict::Pass(_) => {
                self.let_go(key, complete);
                self.dismiss(key);
            }
            HeadVerdict::Answer(answer, result) => {
                self.let_go(key, complete);
                match background {
                    false => self.answer_cached(key, answer, result),
                    true => self.dismiss(key),
                }
            }
            HeadVerdict::Again(head) => self.send_again(key, job, &head, complete),
            HeadVerdict::Fill(answer) => {
                self.fill(key, &job, framing, keeps, begun);
                match job.fetch.filter(|_| !background) {
                    Some(id) => self.read_along(key, id, answer, CacheResult::Miss),
                    None => self.dismiss(key),
                }
            }
        }
    }

    /// The origin's connection can carry another request if the response was complete.
    fn let_go(&mut self, key: Key, complete: bool) {
        match complete {
            true => self.release(key),
            false => self.hang_up(key),
        }
    }

    /// Sends a request once more, in another form.
    fn send_again(&mut self, key: Key, job: Box<CacheJob>, head: &[u8], complete: bool) {
        self.let_go(key, complete);
        let client = self.clients.get(key).and_then(|client| client.session.exchange.request());
        let request =
            client.and_then(|client| Request::parse(head, &self.settings.rules).ok()?.in_place_of(client).ok());
        let Some(mut request) = request else { return self.dismiss(key) };
        request.set_caching(Caching::Judge);
        if let Some(client) = self.clients.get_mut(key) {
            client.session.drop_received(&mut self.shared);
        }
        self.with_exchange(key, |exchange, cx| exchange.handle_again(request, cx));
        if let Some(caching) = &mut self.caching {
            caching.begin(key, job);
        }
    }
}
