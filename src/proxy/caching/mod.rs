//! Between requests and the cache: a request is looked up before its origin is, and a response judged before its client gets
//! it.

mod at_hand;
mod background;
pub(super) mod desk;
mod fill;
mod filling;
pub(super) mod verdicts;

use reactor::arena::Key;

use self::desk::CacheDesk;
use super::client::Waits;
use super::Proxy;
use crate::cache::far::FarWord;
use crate::cache::fetches::FetchId;
use crate::cache::inflow::Portion;
use crate::cache::reuse::Failure;
use crate::cache::status::CacheResult;
use crate::cache::{invalidate, Arriving, CacheFinding, CacheJob, CacheSettings, Freed, Role};
use crate::exchange::phase::PhaseKind;
use crate::http::answer::Answer;
use crate::http::cache_status::CacheReport;
use crate::http::caching::Caching;
use crate::http::cause::Cause;
use crate::http::request::Request;
use crate::http::Method;
use crate::io::content::{Content, ContentRequest};
use crate::web::Purge;

/// Clients that waited for a head and look again in one turn: ten thousand of them would hold all others for tens of
/// milliseconds.
const WAKES: usize = 256;

impl Proxy {
    /// Takes over what a reload says of the cache. What is kept stays, unless it was kept under rules that are others now.
    pub(super) fn use_cache(&mut self, settings: Option<CacheSettings>, other_rules: bool) {
        match (&mut self.caching, settings.filter(|_| !self.settings.leaving)) {
            (Some(caching), Some(settings)) => {
                if other_rules {
                    caching.cache.purge_site(None);
                }
                caching.cache.set(settings);
                caching.open = true;
            }
            (None, Some(settings)) => self.caching = Some(CacheDesk::new(settings, self.loops.as_deref())),
            // What is under way is brought to its end; nothing is looked up or kept any more.
            (Some(caching), None) => {
                caching.cache.purge_site(None);
                caching.cache.set(CacheSettings::none());
                caching.open = false;
            }
            (None, None) => {}
        }
    }

    /// The next version keeps what is to be kept: orders and unsafe requests come to that one, so that nothing is looked up here any
    /// more.
    pub(super) fn close_cache(&mut self) {
        if let Some(caching) = &mut self.caching {
            caching.open = false;
        }
    }

    /// Other addresses may be connected to than before: what is kept has come from some that may be none of them, and no answer
    /// from the cache looks at one.
    pub(super) fn forget_cached(&mut self) {
        if let Some(caching) = &mut self.caching {
            caching.cache.purge_site(None);
        }
    }

    /// Forgets what an order names.
    pub(super) fn purge(&mut self, what: &Purge) -> Result<(), String> {
        let caching = self.caching.as_mut().filter(|caching| caching.open);
        let caching = caching.ok_or("there is no cache: cache.enable is false")?;
        let count = match what {
            Purge::All => caching.cache.purge_site(None),
            Purge::Site(site) => caching.cache.purge_site(Some(site.as_bytes())),
            Purge::Url(url) => {
                let head = format!("GET {url} HTTP/1.1\r\nHost: localhost\r\n\r\n");
                let request = Request::parse(head.as_bytes(), &self.settings.rules);
                let request = request.map_err(|fault| format!("{url} is no URL: {fault}"))?;
                caching.cache.purge(&invalidate::key(&request))
            }
        };
        log::info!(target: "web", "{count} responses were removed from the cache");
        Ok(())
    }

    /// Looks a request up that has been decided about: it is answered, waits, or goes on.
    pub(super) fn look_up(&mut self, key: Key, coming: Arriving) {
        let (Some(caching), Some(client)) = (&mut self.caching, self.clients.get(key)) else { return };
        let exchange = &client.session.exchange;
        let Some(request) = exchange.request() else { return };
        if !caching.open || caching.background.contains(&key) || request.method() == Method::Connect {
            return self.resolve(key);
        }
        // A host that the request does not name has responses of its own. A diverted client says itself which host it means, and
        // may name one that is not where it was going. On a connection that is one client's own all is for that one, but what
        // it changes is changed for all.
        // What comes through a parent that a helper has named for one client may be another than what others get.
        let named = request.hop().is_some_and(|hop| hop.named.is_some());
        let foreign = request.detour().is_some() || exchange.ingress().is_diverted() || named;
        let own = exchange.is_authenticated() && !invalidate::is_unsafe(request);
        if foreign || own {
            return self.pass_by(key, CacheReport::BYPASS);
        }
        let moment = self.clock.moment(&self.settings.rules);
        match caching.cache.look_up(request, key, coming, &moment) {
            CacheFinding::Answer(answer, result) => self.answer_cached(key, answer, result),
            CacheFinding::Refresh(answer, job, head) => {
                self.refresh(key, job, &head);
                self.answer_cached(key, answer, CacheResult::Stale);
            }
            CacheFinding::Wait(id) => self.set_waits(key, Waits::Fetch(id)),
            CacheFinding::Join(id, answer) => self.read_along(key, id, answer, CacheResult::Collapsed),
            CacheFinding::Pass(report) => self.pass_by(key, report),
            CacheFinding::Forward(job, head) => self.forward(key, job, head.as_deref()),
        }
    }

    /// Sends a request on that the cache has nothing to do with.
    fn pass_by(&mut self, key: Key, report: CacheReport) {
        self.note_result(key, CacheResult::Bypass);
        self.with_exchange(key, |exchange, _| exchange.set_caching(Caching::Told(report)));
        self.resolve(key);
    }

    /// Sends a request on, with this head in place of its own if there is one.
    fn forward(&mut self, key: Key, mut job: Box<CacheJob>, head: Option<&[u8]>) {
        let client = self.clients.get(key).and_then(|client| client.session.exchange.request());
        let other = head.zip(client).and_then(|(head, client)| {
            // What a helper put in place of the client's request may be of another version than the client.
            Request::parse(head, &self.settings.rules).ok()?.in_place_of(client).ok()
        });
        if head.is_some() && other.is_none() {
            job.ask_plainly();
        }
        self.with_exchange(key, |exchange, _| {
            if let Some(other) = other {
                exchange.replace_request(other);
            }
            exchange.set_caching(Caching::Judge);
        });
        if let Some(caching) = &mut self.caching {
            caching.begin(key, job);
        }
        self.resolve(key);
    }

    fn note_result(&mut self, key: Key, result: CacheResult) {
        if let Some(caching) = &mut self.caching {
            caching.cache.counts.results[result.index()] += 1;
        }
        if let Some(summary) = self.clients.get_mut(key).and_then(|client| client.session.exchange.summary_mut()) {
            summary.cache = Some((result.word(), result.squid()));
        }
    }

    pub(super) fn answer_cached(&mut self, key: Key, answer: Box<Answer>, result: CacheResult) {
        self.note_result(key, result);
        self.with_exchange(key, |exchange, cx| exchange.handle_cached(answer, cx));
    }

    /// Answers a client by a response whose body is on its way.
    pub(super) fn read_along(&mut self, key: Key, id: FetchId, answer: Box<Answer>, result: CacheResult) {
        let chunked = answer.unsized_body;
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.session.exchange.request().is_some_and(|request| request.method() != Method::Head) {
            client.session.provide(Content::shared(id.0, chunked));
        }
        self.answer_cached(key, answer, result);
    }

    /// What is kept stands in for an origin that failed, if it may; else the job of this request is over.
    pub(super) fn stand_in(&mut self, key: Key, cause: Cause) -> Option<Box<Answer>> {
        let caching = self.caching.as_mut()?;
        let mut job = caching.jobs.remove(&key)?;
        let moment = self.clock.moment(&self.settings.rules);
        let failed = matches!(
            cause,
            Cause::Origin(_)
                | Cause::ConnectFailed
                | Cause::ConnectTimeout
                | Cause::NameFailed
                | Cause::NameTimeout
                | Cause::ParentFailed
        );
        let answer = if failed { caching.cache.stand_in(&mut job, Failure::Disconnected, &moment) } else { None };
        caching.cache.give_up(&mut job, Freed::Failed);
        let result = if answer.is_some() { CacheResult::Stale } else { job.result() };
        self.note_result(key, result);
        answer
    }

    /// What is told of the cache where a request that it has looked at is answered by an error of ours.
    pub(super) fn cache_report(&self, key: Key) -> Option<CacheReport> {
        let desk = self.caching.as_ref()?;
        match self.clients.get(key)?.session.exchange.request()?.caching() {
            Caching::Unasked => None,
            Caching::Judge => desk.jobs.get(&key).map(|job| job.report(None, false)),
            Caching::Told(report) => Some(*report),
        }
    }

    /// Whether the response to a request may be kept.
    pub(super) fn fills_cache(&self, key: Key) -> bool {
        let job = self.caching.as_ref().and_then(|caching| caching.jobs.get(&key));
        job.is_some_and(|job| job.role == Role::Fill)
    }

    /// A request is over before the head of its response has come.
    pub(super) fn drop_job(&mut self, key: Key) {
        let Some(caching) = &mut self.caching else { return };
        caching.drop_withheld(key);
        if let Some(mut job) = caching.jobs.remove(&key) {
            caching.cache.give_up(&mut job, Freed::Failed);
        }
    }

    /// Another loop has, or has not, got what clients of this one wait for.
    pub(super) fn fetched_elsewhere(&mut self, word: FarWord) {
        if let Some(caching) = &mut self.caching {
            caching.cache.handle_word(word);
        }
    }

    /// Gives a session what follows its answer. True if it can go on at once.
    pub(super) fn serve_content(&mut self, key: Key, request: ContentRequest) -> bool {
        match request {
            ContentRequest::Read(..) => self.feed(key),
            ContentRequest::Leave(id) => {
                if let Some(caching) = &mut self.caching {
                    caching.cache.leave(FetchId(id), key);
                    caching.wake(FetchId(id));
                }
                false
            }
            of_file => {
                self.loading.loader.serve(of_file);
                false
            }
        }
    }

    /// Gives a reader what has come for it. False if nothing has.
    fn feed(&mut self, key: Key) -> bool {
        let (Some(caching), Some(client)) = (&mut self.caching, self.clients.get_mut(key)) else { return false };
        let Some(content) = client.session.content_mut().filter(|content| content.is_shared()) else { return false };
        let ContentRequest::Read(id, at) = content.request() else { return false };
        match caching.cache.read(FetchId(id), key, at) {
            Portion::Bytes(bytes, from) => content.handle_shared(bytes, from),
            Portion::Later => return false,
            Portion::End => content.handle_end(true),
            Portion::Broken => content.handle_end(false),
        }
        caching.wake(FetchId(id));
        true
    }

    /// Does what the cache has to be done: bodies are read, and those told who wait for heads or bodies.
    pub(super) fn serve_cache(&mut self) {
        if self.caching.is_none() {
            return;
        }
        self.run_fills();
        for _ in 0..WAKES {
            let Some((key, coming)) = self.caching.as_mut().and_then(|caching| caching.cache.poll_woken()) else {
                break;
            };
            let waits = self.clients.get(key).map(|client| client.waits);
            let resolving = self.clients.get(key).map(|client| client.session.exchange.phase().kind())
                == Some(PhaseKind::Resolving);
            if let (Some(Waits::Fetch(_)), true) = (waits, resolving) {
                self.set_waits(key, Waits::Nothing);
                self.with_exchange(key, |exchange, cx| exchange.handle_waited(cx.now));
                self.look_up(key, coming);
                self.enqueue(key);
            }
        }
        while let Some(key) = self.caching.as_mut().and_then(|caching| caching.cache.poll_fed()) {
            if self.feed(key) {
                self.enqueue(key);
            }
        }
        if let (Some(caching), Some(loops)) = (&mut self.caching, &self.loops) {
            while let Some((number, word)) = caching.cache.poll_word() {
                loops.tell_fetched(number, word);
            }
        }
    }
}
