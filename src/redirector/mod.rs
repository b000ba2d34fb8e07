//! Helper programs that decide about requests. Knows how they are asked, understood, kept and replaced, and nothing of
//! sessions: a session is a key here, and the hub writes its question when a helper is free for it.
//!
//! `pool` decides, `helper` runs a program in a thread, `dialect` writes questions and reads replies; this is the shell
//! that holds the loop's ends of the buses.

pub mod dialect;
pub mod helper;
pub mod icap;
mod parking;
pub mod pool;
pub mod question;
pub mod url;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reactor::arena::Key;
use reactor::bus::{Near, Received};
use reactor::frame::Frame;
use reactor::parking::Parkable;
use reactor::poller::Poller;
use reactor::ready::Ready;
use reactor::Millis;

use crate::io::owner::Owner;
use crate::policy::shares::ClientKey;
use dialect::Dialect;
use helper::{kind, HelperThread, Program};
use pool::{Answered, HelperFault, HelperPool, PoolAction, PoolCounters, Ticket};

/// Reads from one bus in a turn. A helper owes a handful of replies at most.
const READS: usize = 16;

/// Milliseconds between two looks at threads that came too late to be parked.
const LATE: Millis = 10;

/// How long all helpers together may take to end when the proxy stops, and again when they are killed.
const FAREWELL: Duration = Duration::from_secs(1);

/// Pause between two looks at which helpers have ended.
const GLANCE: Duration = Duration::from_millis(2);

/// What happens to requests that no helper decided about (`redirector.on-failure`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnFailure {
    /// They get an error page.
    Error,
    /// They pass.
    Permit,
    /// They are refused.
    Deny,
}

impl OnFailure {
    /// All of them.
    pub const ALL: [OnFailure; 3] = [OnFailure::Error, OnFailure::Permit, OnFailure::Deny];

    /// The word in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            OnFailure::Error => "error",
            OnFailure::Permit => "permit",
            OnFailure::Deny => "deny",
        }
    }
}

/// What is configured about the helpers.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to run.
    pub program: Program,
    /// How many of it, and how long they may take.
    pub pool: pool::PoolSettings,
    /// What becomes of requests that no helper decided about.
    pub on_failure: OnFailure,
}

impl Options {
    /// What those who ask have to know.
    pub fn terms(&self) -> HelperTerms {
        HelperTerms::of(&self.program.dialect, self.on_failure)
    }
}

/// What those who ask have to know of the helpers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HelperTerms {
    /// What becomes of requests that no helper decided about.
    pub on_failure: OnFailure,
    /// They can be asked about a connection of which it is not known where it is to go.
    pub takes_nowhere: bool,
    /// They are told where a client has connected to.
    pub tells_local: bool,
}

impl HelperTerms {
    fn of(dialect: &Dialect, on_failure: OnFailure) -> HelperTerms {
        let takes_nowhere = matches!(dialect, Dialect::Icap(_));
        HelperTerms { on_failure, takes_nowhere, tells_local: dialect.tells_local() }
    }
}

/// What the helpers tell the hub.
#[derive(Debug)]
pub enum RedirectorEvent {
    /// A helper wants to be given this question with [`Redirector::put`].
    Wanted {
        /// The helper.
        helper: Key,
        /// The question's number with that helper.
        channel: u64,
        /// The question.
        ticket: Ticket,
        /// The session that waits for its reply.
        who: Key,
    },
    /// There is a reply.
    Replied {
        /// To which question.
        answered: Answered,
        /// The program that gave it, and its language.
        program: Arc<Program>,
        /// The reply.
        reply: Vec<u8>,
    },
    /// There will be no reply.
    Failed(Ticket, Key, HelperFault),
}

/// The helpers and the buses to them.
#[derive(Debug)]
pub struct Redirector {
    pool: HelperPool,
    program: Arc<Program>,
    on_failure: OnFailure,
    /// By the index of the helper's key.
    links: Vec<Option<HelperLink>>,
    replies: VecDeque<RedirectorEvent>,
    /// Helpers from whose bus not everything was read.
    behind: Vec<Key>,
    saturated: bool,
    /// When threads are looked at that came too late to be parked.
    late: Option<Millis>,
}

#[derive(Debug)]
struct HelperLink {
    key: Key,
    number: u32,
    pid: u32,
    bus: Near,
    route: Key,
    program: Arc<Program>,
    /// Told to go, so that its end is nothing to worry about.
    leaving: bool,
    thread: Parkable<Box<HelperThread>>,
    /// Its thread was told to end, and none was started again since.
    parking: bool,
}

impl Redirector {
    /// Helpers of which none runs yet: the first turn starts them.
    pub fn new(options: Options, now: Millis) -> Redirector {
        Redirector {
            pool: HelperPool::new(options.pool, now),
            program: Arc::new(options.program),
            on_failure: options.on_failure,
            links: Vec::new(),
            replies: VecDeque::new(),
            behind: Vec::new(),
            saturated: false,
            late: None,
        }
    }

    /// What those who ask have to know.
    pub fn terms(&self) -> HelperTerms {
        HelperTerms::of(&self.program.dialect, self.on_failure)
    }

    /// What becomes of requests that no helper decided about.
    pub fn on_failure(&self) -> OnFailure {
        self.on_failure
    }

    /// The pool, to be looked at.
    pub fn pool(&self) -> &HelperPool {
        &self.pool
    }

    /// What happened so far.
    pub fn counters(&self) -> PoolCounters {
        self.pool.counters()
    }

    /// A session asks for a decision and gets a ticket for it; [`RedirectorEvent`] tells the rest.
    ///
    /// # Errors
    /// When as many questions wait as may.
    pub fn ask(&mut self, who: Key, client: ClientKey, now: Millis) -> Result<Ticket, HelperFault> {
        self.pool.ask(who, client, now)
    }

    /// The reply is not wanted any more.
    pub fn cancel(&mut self, ticket: Ticket, now: Millis) {
        self.pool.cancel(ticket, now);
    }

    /// A reply was of no use because the helper is in trouble: the question goes to another. False when that was done
    /// before.
    pub fn ask_again(&mut self, answered: &Answered, now: Millis) -> bool {
        let again = self.pool.ask_again(answered, now);
        self.pool.settle(now);
        again
    }

    /// Takes a changed configuration over, and replaces the helpers one by one even if nothing has changed.
    pub fn reload(&mut self, options: Options, now: Millis) {
        self.program = Arc::new(options.program);
        self.on_failure = options.on_failure;
        self.pool.configure(options.pool, now);
        self.pool.renew(now);
    }

    /// One helper more or less (SIGUSR2, SIGUSR1).
    pub fn adjust(&mut self, more: bool, now: Millis) {
        match more {
            true => self.pool.more(now),
            false => self.pool.fewer(now),
        }
    }

    /// As few and as many helpers as there may be, until the configuration is read again.
    pub fn set_bounds(&mut self, minimum: usize, maximum: usize, now: Millis) {
        self.pool.set_bounds(minimum, maximum, now);
    }

    /// A bus has something to tell.
    pub fn handle_event(&mut self, key: Key, ready: Ready, poller: &mut Poller<Owner>, now: Millis) {
        if ready.has(Ready::WRITE) {
            if let Some(error) = self.link(key).and_then(|link| link.bus.flush().err()) {
                // How it has ended was said before it took no more.
                self.read(key, poller, now);
                return self.lose(key, &error.to_string(), poller, now);
            }
        }
        if ready.has(Ready::READ | Ready::READ_CLOSED | Ready::ERROR) {
            self.read(key, poller, now);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, poller: &mut Poller<Owner>, now: Millis) {
        for key in std::mem::take(&mut self.behind) {
            self.read(key, poller, now);
        }
        if self.late.is_some_and(|at| at <= now) {
            self.late = self.resume().then_some(now + LATE);
        }
        self.pool.handle_timeout(now);
        self.note_saturation(now);
    }

    /// When [`Redirector::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<Millis> {
        match self.behind.is_empty() {
            true => [self.pool.poll_timeout(), self.late].into_iter().flatten().min(),
            false => Some(0),
        }
    }

    /// Does what the pool wants to have done, up to the next thing that the hub has to deal with.
    pub fn poll(&mut self, poller: &mut Poller<Owner>, now: Millis) -> Option<RedirectorEvent> {
        while let Some(action) = self.pool.poll() {
            match action {
                PoolAction::Start(key, number) => self.start(key, number, poller, now),
                PoolAction::Ask { helper, channel, ticket, who } => {
                    return Some(RedirectorEvent::Wanted { helper, channel, ticket, who })
                }
                PoolAction::Retire(key) => self.retire(key),
                PoolAction::Kill(key, why) => self.kill(key, why),
                PoolAction::Fail(ticket, who, fault) => return Some(RedirectorEvent::Failed(ticket, who, fault)),
            }
        }
        self.replies.pop_front()
    }

    /// Puts a question before a helper; `write` appends it in the helper's language.
    pub fn put(&mut self, helper: Key, out: &mut Vec<u8>, write: impl FnOnce(&Dialect, &mut Vec<u8>)) {
        let Some(link) = self.links.get_mut(helper.index as usize).and_then(Option::as_mut) else { return };
        if link.key != helper {
            return;
        }
        out.clear();
        write(&link.program.dialect, out);
        if let Err(error) = link.bus.send(Frame { kind: kind::ASK, key: 0, payload: out }) {
            // Its end is on its way, and brings the question back.
            log::debug!(target: "worker", "worker {} ({}) cannot be asked: {error}", link.number, link.pid);
        }
    }

    /// The language of a helper.
    pub fn dialect(&self, helper: Key) -> Option<&Dialect> {
        let link = self.links.get(helper.index as usize)?.as_ref()?;
        (link.key == helper).then_some(&link.program.dialect)
    }

    /// Lets go of all helpers: their threads end them, and the loop does not wait for that.
    pub fn release(self, poller: &mut Poller<Owner>) {
        self.links.iter().flatten().for_each(|link| poller.forget(link.route));
    }

    /// Ends all helpers, which get a moment to do so.
    pub fn end(mut self, poller: &mut Poller<Owner>) {
        self.say(kind::RETIRE);
        self.await_ends(poller);
        for link in self.links.iter().flatten() {
            log::warn!(target: "worker", "worker {} ({}) does not end and is killed", link.number, link.pid);
        }
        self.say(kind::KILL);
        // Else the process would be gone before its threads have killed their helpers.
        self.await_ends(poller);
        self.release(poller);
    }

    /// Says the same to all helpers that are left.
    fn say(&mut self, kind: u8) {
        for link in self.links.iter_mut().flatten() {
            // Where that fails its end is on its way already.
            let _ = link.bus.send(Frame { kind, key: 0, payload: b"" });
        }
    }

    /// Waits until all helpers have ended, but not for long.
    fn await_ends(&mut self, poller: &mut Poller<Owner>) {
        let deadline = Instant::now() + FAREWELL;
        while Instant::now() < deadline && self.links.iter().any(Option::is_some) {
            for place in &mut self.links {
                let Some(link) = place else { continue };
                let lost = link.bus.flush().is_err();
                let mut gone = false;
                let received = link.bus.receive(|frame| gone |= frame.kind == kind::GONE);
                if lost || gone || !matches!(received, Ok(Received::Drained | Received::More)) {
                    poller.forget(link.route);
                    *place = None;
                }
            }
            std::thread::sleep(GLANCE);
        }
    }

    fn link(&mut self, key: Key) -> Option<&mut HelperLink> {
        self.links.get_mut(key.index as usize)?.as_mut().filter(|link| link.key == key)
    }

    fn start(&mut self, key: Key, number: u32, poller: &mut Poller<Owner>, now: Millis) {
        let program = Arc::clone(&self.program);
        let started = helper::start(number, Arc::clone(&program)).and_then(|(mut bus, thread)| {
            let route = poller.register(bus.source(), Owner::Helper(key))?;
            let thread = Parkable::Running(thread);
            Ok(HelperLink { key, number, pid: 0, bus, route, program, leaving: false, thread, parking: false })
        });
        let index = key.index as usize;
        if self.links.len() <= index {
            self.links.resize_with(index + 1, || None);
        }
        match started {
            Ok(link) => self.links[index] = Some(link),
            Err(error) => {
                log::error!(target: "manager", "worker {number} cannot be started: {error}");
                self.pool.handle_gone(key, now);
            }
        }
    }

    fn retire(&mut self, key: Key) {
        if let Some(link) = self.link(key) {
            link.leaving = true;
            // Where that fails its end is on its way already.
            let _ = link.bus.send(Frame { kind: kind::RETIRE, key: 0, payload: b"" });
        }
    }

    fn kill(&mut self, key: Key, why: &str) {
        if let Some(link) = self.link(key) {
            link.leaving = true;
            log::error!(target: "manager", "worker {} ({}) is killed: {why}", link.number, link.pid);
            let _ = link.bus.send(Frame { kind: kind::KILL, key: 0, payload: b"" });
        }
    }

    /// Reads what a helper's thread has to say. What was asked for is settled only when all of it was read.
    fn read(&mut self, key: Key, poller: &mut Poller<Owner>, now: Millis) {
        let Redirector { pool, replies, links, .. } = self;
        let place = links.get_mut(key.index as usize).and_then(Option::as_mut);
        let Some(link) = place.filter(|link| link.key == key) else { return };
        let HelperLink { bus, program, pid, number, .. } = link;
        let mut gone = None;
        let mut take = |frame: Frame<'_>| match frame.kind {
            kind::RUNS => {
                *pid = frame.key as u32;
                log::info!(target: "manager", "worker {number} ({pid}) started");
                pool.handle_started(key, now);
            }
            kind::REPLY => {
                let channel = match program.dialect.is_numbered() {
                    true => program.dialect.channel(frame.payload),
                    false => Some(frame.key),
                };
                if let Some(answered) = pool.handle_reply(key, channel, now) {
                    let (program, reply) = (Arc::clone(program), frame.payload.to_vec());
                    replies.push_back(RedirectorEvent::Replied { answered, program, reply });
                }
            }
            _ => gone = Some(String::from_utf8_lossy(frame.payload).into_owned()),
        };
        let mut received = Ok(Received::More);
        for _ in 0..READS {
            received = bus.receive(&mut take);
            if !matches!(received, Ok(Received::More)) {
                break;
            }
        }
        match (gone, received) {
            (Some(how), _) => self.lose(key, &how, poller, now),
            (None, Ok(Received::Drained)) => self.pool.settle(now),
            (None, Ok(Received::More)) => self.behind.push(key),
            (None, Ok(Received::Ended)) => self.lose(key, "its thread has ended", poller, now),
            (None, Err(error)) => self.lose(key, &error.to_string(), poller, now),
        }
    }

    /// A helper has ended. Its bus is closed, and the pool asks its questions again elsewhere.
    fn lose(&mut self, key: Key, how: &str, poller: &mut Poller<Owner>, now: Millis) {
        let Some(link) = self.links.get_mut(key.index as usize).and_then(Option::take) else { return };
        poller.forget(link.route);
        let name = if link.pid == 0 { String::new() } else { format!(" ({})", link.pid) };
        match link.leaving {
            true => log::info!(target: "manager", "worker {}{name} {how}", link.number),
            false => log::error!(target: "manager", "worker {}{name} {how}", link.number),
        }
        self.pool.handle_gone(key, now);
    }

    /// Says once that all helpers are busy and no more may be started, and once that this is over.
    fn note_saturation(&mut self, now: Millis) {
        let saturated = self.pool.is_saturated(now);
        if saturated && !self.saturated {
            let (waiting, maximum) = (self.pool.queue_len(), self.pool.settings().maximum);
            let requests = if waiting == 1 { "request waits" } else { "requests wait" };
            let workers = if maximum == 1 { "worker" } else { "workers" };
            log::warn!(target: "manager", "{waiting} {requests} for one of {maximum} {workers} (redirector.maximum)");
        }
        self.saturated = saturated || self.saturated && self.pool.queue_len() > 0;
    }
}
