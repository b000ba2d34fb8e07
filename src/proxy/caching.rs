//! Between requests and the cache: a request is looked up before its origin is, and a response judged before its client gets
//! it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use reactor::arena::{Arena, Key};
use reactor::ready::Ready;

use super::at_hand::BodyAtHand;
use super::client::Waits;
use super::fill::{Bodies, Fill, READ};
use super::Proxy;
use crate::cache::fetches::FetchId;
use crate::cache::heads::HeadVerdict;
use crate::cache::inflow::Portion;
use crate::cache::reuse::Failure;
use crate::cache::status::{self, CacheReport, CacheResult, Forwarded};
use crate::cache::{invalidate, Arriving, Cache, CacheFinding, CacheJob, CacheSettings, Freed, Moment, Role};
use crate::exchange::phase::PhaseKind;
use crate::http::answer::Answer;
use crate::http::caching::Caching;
use crate::http::cause::Cause;
use crate::http::head::HeadScan;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::rules::Rules;
use crate::http::{Method, Version};
use crate::io::content::{Content, ContentRequest};
use crate::web::Purge;

/// The status by which a proxy asks for credentials (RFC 9110 section 15.5.8).
const PROXY_LOGIN: u16 = 407;

/// Clients that waited for a head and look again in one turn: ten thousand of them would hold all others for tens of
/// milliseconds.
const WAKES: usize = 256;

/// The cache with what the loop does for it.
#[derive(Debug)]
pub(super) struct CacheDesk {
    pub(super) cache: Cache<Key>,
    /// Requests are looked up; else what is under way is brought to its end.
    pub(super) open: bool,
    /// Requests that went on to their origins, whose responses the cache wants to see.
    pub(super) jobs: HashMap<Key, Box<CacheJob>>,
    /// Responses that are read for all who want them.
    pub(super) fills: Arena<Fill>,
    pub(super) by_fetch: HashMap<FetchId, Key>,
    /// Those of them that have something to do.
    pub(super) queue: VecDeque<Key>,
    /// Sessions without a client.
    pub(super) background: HashSet<Key>,
    /// Where bodies are read to.
    pub(super) buffer: Box<[u8]>,
}

impl CacheDesk {
    /// The bodies that are being read, and where they go.
    pub(super) fn bodies(&mut self) -> (&mut Arena<Fill>, Bodies<'_>) {
        (&mut self.fills, Bodies { cache: &mut self.cache, buffer: &mut self.buffer })
    }

    pub(super) fn new(settings: CacheSettings) -> Box<CacheDesk> {
        let random = || RandomState::new().hash_one(0);
        Box::new(CacheDesk {
            cache: Cache::new(settings, (random(), random())),
            open: true,
            jobs: HashMap::new(),
            fills: Arena::new(),
            by_fetch: HashMap::new(),
            queue: VecDeque::new(),
            background: HashSet::new(),
            buffer: vec![0; READ + crate::http::chunked::MAX_LINE].into_boxed_slice(),
        })
    }

    /// A request goes on under this job. One that it had before, and that has seen no response, holds none up.
    pub(super) fn begin(&mut self, key: Key, job: Box<CacheJob>) {
        if let Some(mut before) = self.jobs.insert(key, job) {
            self.cache.give_up(&mut before, Freed::Failed);
        }
    }

    /// Notes what an event says of the origin of a response.
    pub(super) fn note(&mut self, key: Key, ready: Ready) {
        if let Some(fill) = self.fills.get_mut(key) {
            fill.origin.stream.note(ready);
            self.enqueue(key);
        }
    }

    /// Is there something to do before the next event?
    pub(super) fn is_busy(&self) -> bool {
        !self.queue.is_empty() || self.cache.is_waking()
    }
}

impl Proxy {
    /// Takes over what a reload says of the cache. What is kept stays, unless it was kept under rules that are others now.
    pub(super) fn use_cache(&mut self, settings: Option<CacheSettings>, other_rules: bool) {
        match (&mut self.caching, settings) {
            (Some(caching), Some(settings)) => {
                if other_rules {
                    caching.cache.purge_site(None);
                }
                caching.cache.set(settings);
                caching.open = true;
            }
            (None, Some(settings)) => self.caching = Some(CacheDesk::new(settings)),
            // What is under way is brought to its end; nothing is looked up or kept any more.
            (Some(caching), None) => {
                caching.cache.purge_site(None);
                caching.cache.set(CacheSettings::none());
                caching.open = false;
            }
            (None, None) => {}
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
        let millis = self.clock.since_epoch(self.clock.now());
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
            return self.bypass(key);
        }
        let moment = Moment { now: millis / 1000, millis, date: self.clock.date(), rules: &self.settings.rules };
        match caching.cache.look_up(request, key, coming, &moment) {
            CacheFinding::Answer(answer, result) => self.answer_cached(key, answer, result),
            CacheFinding::Refresh(answer, job, head) => {
                self.refresh(key, job, &head);
                self.answer_cached(key, answer, CacheResult::Stale);
            }
            CacheFinding::Wait(id) => self.set_waits(key, Waits::Fetch(id)),
            CacheFinding::Join(id, answer) => self.read_along(key, id, answer, CacheResult::Collapsed),
            CacheFinding::Forward(job, head) => self.forward(key, job, head.as_deref()),
        }
    }

    /// Sends a request on that the cache has nothing to do with.
    fn bypass(&mut self, key: Key) {
        let report = CacheReport { forwarded: Some(Forwarded::Bypass), ..CacheReport::default() };
        self.note_result(key, CacheResult::Bypass);
        self.tell(key, &report);
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
        if job.role == Role::Pass {
            self.note_result(key, job.result());
            self.tell(key, &job.report(None, false));
            return self.resolve(key);
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

    /// Has the response name what the cache did.
    fn tell(&mut self, key: Key, report: &CacheReport) {
        let value = told(&self.settings.rules, report);
        self.with_exchange(key, |exchange, _| exchange.set_caching(Caching::Told(value)));
    }

    fn note_result(&mut self, key: Key, result: CacheResult) {
        if let Some(caching) = &mut self.caching {
            caching.cache.counts.results[result.index()] += 1;
        }
        if let Some(summary) = self.clients.get_mut(key).and_then(|client| client.session.exchange.summary_mut()) {
            summary.cache = Some((result.word(), result.squid()));
        }
    }

    fn answer_cached(&mut self, key: Key, answer: Box<Answer>, result: CacheResult) {
        self.note_result(key, result);
        self.with_exchange(key, |exchange, cx| exchange.handle_cached(answer, cx));
    }

    /// Answers a client by a response whose body is on its way.
    fn read_along(&mut self, key: Key, id: FetchId, answer: Box<Answer>, result: CacheResult) {
        let chunked = answer.unsized_body;
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.session.exchange.request().is_some_and(|request| request.method() != Method::Head) {
            client.session.provide(Content::shared(id.0, chunked));
        }
        self.answer_cached(key, answer, result);
    }

    /// Judges the head of a response.
    pub(super) fn judge_head(&mut self, key: Key) {
        let millis = self.clock.since_epoch(self.clock.now());
        let (Some(caching), Some(client)) = (&mut self.caching, self.clients.get(key)) else { return };
        let exchange = &client.session.exchange;
        let received = client.session.received();
        let length = HeadScan::default().find(received);
        let parts = length.and_then(|length| Some((length, exchange.request()?)));
        let parsed = parts.and_then(|(length, request)| {
            Some((length, request, Response::parse(&received[..length], request.method()).ok()?))
        });
        let (Some(mut job), Some((length, request, response))) = (caching.jobs.remove(&key), parsed) else {
            return self.tell(key, &CacheReport::default());
        };
        let rest = &received[length..];
        // A parent that does not know us says nothing of what is asked for.
        let body = BodyAtHand::of(&response, rest, job.role).filter(|_| response.status() != PROXY_LOGIN);
        let Some(body) = body else {
            // The exchange finds the same fault, and explains it or has what is kept stand in.
            caching.cache.give_up(&mut job, Freed::Failed);
            caching.jobs.insert(key, job);
            return self.tell(key, &CacheReport::default());
        };
        let reader = (!caching.background.contains(&key)).then_some(key);
        let moment = Moment { now: millis / 1000, millis, date: self.clock.date(), rules: &self.settings.rules };
        let private = exchange.is_private();
        let verdict =
            caching.cache.handle_head(&mut job, request, &response, body.at_hand(), (reader, private), &moment);
        let keeps = response.keep_alive();
        let complete = keeps && body.taken() == Some(rest.len());
        match verdict {
            HeadVerdict::Pass(_) if reader.is_none() => {
                self.let_go(key, complete);
                self.dismiss(key);
            }
            HeadVerdict::Pass(report) => {
                self.note_result(key, job.result());
                self.tell(key, &report);
            }
            HeadVerdict::Answer(answer, result) => {
                self.let_go(key, complete);
                match reader {
                    Some(_) => self.answer_cached(key, answer, result),
                    None => self.dismiss(key),
                }
            }
            HeadVerdict::Again(head) => self.send_again(key, job, &head, complete),
            HeadVerdict::Fill(answer) => {
                let (framing, begun) = (response.framing(Version::Http10), rest.to_vec());
                self.fill(key, job, (framing, keeps), begun);
                match (reader, self.caching.as_ref().and_then(|caching| caching.jobs.get(&key)?.fetch)) {
                    (Some(_), Some(id)) => self.read_along(key, id, answer, CacheResult::Miss),
                    _ => self.dismiss(key),
                }
                self.caching.iter_mut().for_each(|caching| drop(caching.jobs.remove(&key)));
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

    /// What is kept stands in for an origin that failed, if it may; else the job of this request is over.
    pub(super) fn stand_in(&mut self, key: Key, cause: Cause) -> Option<Box<Answer>> {
        let millis = self.clock.since_epoch(self.clock.now());
        let caching = self.caching.as_mut()?;
        let mut job = caching.jobs.remove(&key)?;
        let moment = Moment { now: millis / 1000, millis, date: self.clock.date(), rules: &self.settings.rules };
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

    /// Whether the response to a request may be kept.
    pub(super) fn fills_cache(&self, key: Key) -> bool {
        let job = self.caching.as_ref().and_then(|caching| caching.jobs.get(&key));
        job.is_some_and(|job| job.role == Role::Fill)
    }

    /// A request is over before the head of its response has come.
    pub(super) fn drop_job(&mut self, key: Key) {
        let Some(caching) = &mut self.caching else { return };
        if let Some(mut job) = caching.jobs.remove(&key) {
            caching.cache.give_up(&mut job, Freed::Failed);
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
    }
}

/// The value of Cache-Status, empty where the proxy does not show itself.
fn told(rules: &Rules, report: &CacheReport) -> Box<str> {
    match rules.transparent {
        true => Box::default(),
        false => status::value(&rules.via, report).into(),
    }
}
