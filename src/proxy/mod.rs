//! The hub: one loop that owns every socket and carries plain values between the components. It knows who needs what
//! from whom, and no protocol.
//!
//! A turn: wait for events, note facts, take what resolver and races have finished, advance each queued session within a
//! budget, then expire alarms.

mod access;
mod access_log;
mod acting;
mod autoconfig;
mod caching;
mod client;
mod clock;
mod connecting;
mod deciding;
mod events;
mod heads;
mod helpers;
mod icap;
mod lifecycle;
mod listening;
mod loading;
mod loops;
mod options;
mod pages;
mod parcels;
mod process;
mod report;
mod snapshot;
mod status;
mod trimming;
mod upgrading;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use reactor::alarm::Alarms;
use reactor::arena::{Arena, Key};
use reactor::poller::Poller;
use reactor::ready::Ready;
use reactor::Millis;

use crate::answers::Answers;
use crate::exchange::cached::HeadJudge;
use crate::exchange::phase::PhaseKind;
use crate::exchange::{Context, Exchange, Settings, SpareSummaries};
use crate::io::owner::Owner;
use crate::loader::names::Names;
use crate::logs::{AccessLog, Messages, UsageLog};
use crate::monitor::Counters;
use crate::policy::own_ends::OwnEnds;
use crate::policy::parents::Parents;
use crate::policy::shares::Shares;
use crate::policy::{LocalAddresses, Policy};
use crate::redirector::{self, Redirector};
use crate::resolver::{self, Resolver, ResolverEvent};
use crate::session::{Progress, Shared};
use crate::system::signals::Signals;
use crate::upstream::{DialContext, Upstream};
use caching::verdicts::DeskJudge;
use client::{Client, Waits};
use clock::Clock;
use listening::Listeners;
use loops::{Beats, Loops};

pub use access::limiting::ClientLimits;
pub use access::lists::ListSetup;
pub use access::logins::{Realm, UsersSetup};
pub use connecting::diverted::DivertOptions;
pub use listening::inherited::InheritedSockets;
pub use listening::place::ListenAddress;
pub use options::{Options, Readers, ServiceOptions};
pub use upgrading::MOST_DRAINERS;

/// Values that a session's actions may take in a row before others get their turn: requests that are all answered from
/// what is at hand, such as a long pipeline.
const ACTIONS: usize = 64;

/// The loop wakes at least this often, for what is done once a second.
const TICK: Millis = 1000;

/// The loop and all it owns.
#[derive(Debug)]
pub struct Proxy {
    poller: Poller<Owner>,
    events: Vec<(Owner, Ready)>,
    clock: Clock,
    listeners: Listeners,
    clients: Arena<Client>,
    alarms: Alarms,
    queue: VecDeque<Key>,
    shared: Shared,
    out: Vec<u8>,
    settings: Settings,
    answers: Answers,
    policy: Policy,
    divert: DivertOptions,
    parents: Parents,
    /// None where nothing is listed.
    lists: Option<access::lists::ActiveLists>,
    /// None as long as there were no users.
    logins: Option<Box<access::logins::Logins>>,
    local: LocalAddresses,
    /// Of connections without HTTP that lead on, by which one is known that comes back.
    own_ends: OwnEnds,
    addresses: connecting::addresses::OwnAddresses,
    upstream: Upstream,
    resolver: Resolver,
    /// What clients hold of what they share.
    shares: Shares,
    heads: heads::Heads,
    limiting: access::limiting::Limiting,
    trimming: trimming::Trimming,
    loading: loading::Loading,
    redirector: Option<Redirector>,
    /// None where nothing is kept.
    caching: Option<Box<caching::desk::CacheDesk>>,
    usage: Option<UsageLog>,
    access: Option<AccessLog>,
    messages: Option<&'static Messages>,
    /// None in a loop that is not the first.
    signals: Option<Signals>,
    /// None where there is one loop.
    loops: Option<Box<Loops>>,
    /// None where no other version of the program is there.
    versions: Option<Box<upgrading::Versions>>,
    /// None where no thread looks whether loops turn.
    beats: Option<Arc<Beats>>,
    counters: Counters,
    summaries: SpareSummaries,
    watch: snapshot::MonitorState,
    lifecycle: lifecycle::Lifecycle,
    /// Of this loop, where it is the only one.
    told: report::Told,
    /// Clients that ended their side in this turn.
    half_closed: Vec<Key>,
}

/// Why the loop came back to its caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// Go on.
    Continue,
    /// The configuration is to be read again.
    Reload,
    /// Debug messages are to be switched on or off.
    ToggleDebug,
    /// The next version is to take over.
    Upgrade,
    /// The end.
    Stop,
}

/// A resolver, which the log is told of if it is to be.
fn new_resolver(Names { config, hosts }: Names, tells: bool) -> Resolver {
    if tells {
        resolver::tell_servers(&config);
    }
    Resolver::new(config, hosts)
}

impl Proxy {
    /// Opens the listeners and gets everything ready, in each loop.
    ///
    /// # Errors
    /// When a poll, the signal pair or a listener cannot be had; the text names the listener.
    pub fn new(options: Options, mut signals: Signals) -> io::Result<Proxy> {
        let count = options.threads.max(1);
        let mut pollers = (0..count).map(|_| Poller::new()).collect::<io::Result<Vec<_>>>()?;
        let loops = Loops::tie(&mut pollers)?;
        let terms = options.redirector.as_ref().map(redirector::Options::terms);
        let mut readers = Some(options.readers);
        let mut all = Vec::new();
        for (poller, loops) in pollers.into_iter().zip(loops) {
            all.push(Proxy::serving(options.service.clone(), poller, loops, readers.take())?);
        }
        let mut further = all.split_off(1);
        let mut first = all.remove(0);
        first.poller.register(signals.source(), Owner::Signal)?;
        first.signals = Some(signals);
        first.lifecycle.begin(options.drain_delay, options.drain, options.pid_saved);
        let keepalive = options.service.dial_options.keepalive;
        let places = first.lifecycle.hold_back(options.places, options.shut);
        let held_back = first.lifecycle.held_back();
        first.listeners.start(&places, held_back, options.inherited, keepalive, &mut first.poller)?;
        first.tell_listeners();
        first.redirector = options.redirector.map(|options| Redirector::new(options, first.clock.now()));
        further.iter_mut().for_each(|proxy| proxy.know_helpers(terms));
        first.watch_loops(&mut further, options.watchdog);
        first.hold(further);
        Ok(first)
    }

    /// A loop that serves clients, without listeners, helpers and signals.
    fn serving(
        options: ServiceOptions,
        mut poller: Poller<Owner>,
        loops: Option<Box<Loops>>,
        readers: Option<Readers>,
    ) -> io::Result<Proxy> {
        let count = loops.as_ref().map_or(1, |loops| loops.count());
        let options = options.divided(count);
        let (common, tells) = (|| loops.as_ref().map(|loops| Arc::clone(loops.common())), readers.is_some());
        let (mut shares, clock) = (Shares::default(), Clock::new());
        let watch = snapshot::MonitorState::new(options.facts, clock.since_epoch(clock.now()) / 1000)?;
        let loading = loading::Loading::new(readers, &mut poller, clock.now())?;
        let mut proxy = Proxy {
            addresses: connecting::addresses::OwnAddresses::new(options.poll_interfaces, &mut poller),
            poller,
            events: Vec::new(),
            clock,
            listeners: Listeners::new(options.limits, common().zip(loops.as_ref().map(|loops| loops.number()))),
            clients: loops.as_ref().map_or_else(Arena::new, |loops| loops.clients()),
            alarms: Alarms::new(),
            queue: VecDeque::new(),
            shared: Shared::new(lifecycle::pool_budget(options.limits), options.pipes),
            out: Vec::new(),
            settings: options.settings,
            answers: options.answers,
            policy: options.policy,
            divert: options.divert,
            parents: options.parents,
            lists: options.lists.map(access::lists::ActiveLists::new),
            logins: None,
            local: LocalAddresses::default(),
            own_ends: OwnEnds::default(),
            heads: heads::Heads::new(&mut shares, count),
            upstream: Upstream::new(options.dial_options, &mut shares, loops.as_ref().map(|loops| loops.offering())),
            resolver: new_resolver(options.names.divided(count), tells),
            shares,
            limiting: access::limiting::Limiting::new(options.client_limits, common()),
            trimming: trimming::Trimming::default(),
            loading,
            redirector: None,
            caching: options.cache.map(|cache| caching::desk::CacheDesk::new(cache, loops.as_deref())),
            usage: None,
            access: None,
            messages: None,
            signals: None,
            loops,
            versions: None,
            beats: None,
            counters: Counters::default(),
            summaries: SpareSummaries::default(),
            watch,
            lifecycle: lifecycle::Lifecycle::default(),
            told: report::Told::default(),
            half_closed: Vec::new(),
        };
        proxy.use_users(options.users);
        proxy.look_at_addresses();
        Ok(proxy)
    }

    /// One turn of the loop.
    ///
    /// # Errors
    /// When the poll itself fails, which leaves nothing to go on with.
    pub fn turn(&mut self) -> io::Result<Turn> {
        let timeout = self.timeout();
        let mut events = std::mem::take(&mut self.events);
        self.poller.wait(Some(Duration::from_millis(timeout)), &mut events)?;
        if let Some(lost) = self.clock.turn(timeout) {
            self.tell_stall(lost);
        }
        self.counters.loops += 1;
        self.counters.events += events.len() as u64;
        for (owner, ready) in events.drain(..) {
            if owner == Owner::Signal {
                self.take_signals();
            } else {
                self.note(owner, ready);
            }
        }
        self.events = events;
        self.beat();
        self.take_letters();
        self.hear_versions();
        self.check_loops()?;
        self.look_at_addresses();
        self.take_loaded();
        self.take_checked();
        if self.loading.loader.has_ended() {
            return Err(io::Error::other("the loader's thread has ended"));
        }
        self.accept_waiting();
        self.take_half_closed();
        self.take_finished();
        // What has come is read before the time counts in which it was to come.
        self.run_queue();
        self.expire();
        self.tick();
        self.counters.turns.note(self.clock.now(), self.clock.spent());
        let empty = self.lifecycle.has_closed() && self.is_deserted() && self.drainer_pids().is_empty();
        Ok(self.lifecycle.outcome(empty, self.more_depart(), self.clock.now()))
    }

    /// Milliseconds until something is due.
    fn timeout(&self) -> Millis {
        let filling = self.caching.as_ref().is_some_and(|caching| caching.is_busy());
        if !self.queue.is_empty() || filling || self.loading.loader.is_behind() || self.has_unheard() {
            return 0;
        }
        let now = self.clock.now();
        let due = [
            self.alarms.next(),
            self.upstream.poll_timeout(),
            self.resolver.poll_timeout(),
            self.redirector.as_ref().and_then(Redirector::poll_timeout),
            self.listeners.poll_timeout(),
            self.addresses.poll_timeout(),
            Some(self.lifecycle.next()),
        ];
        due.into_iter().flatten().min().map_or(TICK, |at| at.saturating_sub(now)).min(TICK)
    }

    fn enqueue(&mut self, key: Key) {
        if let Some(client) = self.clients.get_mut(key).filter(|client| !client.queued) {
            client.queued = true;
            self.queue.push_back(key);
        }
    }

    /// Takes what the resolver and the races have finished.
    fn take_finished(&mut self) {
        let now = self.clock.now();
        self.resolver.flush(&mut self.poller, now);
        // Lost races first: news of more addresses for one must find it lost, not gone.
        while let Some((key, connect)) = self.upstream.poll() {
            match connect {
                Ok(origin) => self.connected(key, origin),
                Err(error) => {
                    let rest = match self.clients.get(key).map(|client| client.waits) {
                        Some(Waits::Dial(_, rest)) => rest,
                        _ => None,
                    };
                    self.dial_failed(key, error, rest);
                }
            }
            self.enqueue(key);
        }
        self.serve_helpers();
        while let Some(news) = self.resolver.poll(&mut self.shares) {
            match news {
                ResolverEvent::Found(key, found, more) => self.lookup_ended(key, found, more),
                ResolverEvent::More(key, lookup, addresses) => self.more_addresses(key, lookup, &addresses),
            }
        }
        if let Some(prefixes) = self.resolver.poll_gateways() {
            self.local.set_gateways(prefixes);
        }
    }

    fn expire(&mut self) {
        let now = self.clock.now();
        let mut cx = DialContext { poller: &mut self.poller, shares: &mut self.shares, now };
        self.upstream.handle_timeout(&mut cx);
        self.resolver.handle_timeout(&mut self.poller, now);
        if let Some(redirector) = &mut self.redirector {
            redirector.handle_timeout(&mut self.poller, now);
        }
        self.take_finished();
        while let Some(slot) = self.alarms.pop_due(now) {
            let Some(key) = self.clients.key_at(slot) else { continue };
            self.time_out(key);
        }
    }

    /// Advances each session that has had an event, once; then helpers and name servers get what sessions asked of them.
    fn run_queue(&mut self) {
        for _ in 0..self.queue.len() {
            let Some(key) = self.queue.pop_front() else { break };
            self.drive(key);
        }
        self.serve_cache();
        self.serve_helpers();
        let now = self.clock.now();
        self.resolver.flush(&mut self.poller, now);
    }

    /// Advances one session until it waits, ends, or has used up its budget.
    fn drive(&mut self, key: Key) {
        self.drop_ended_origin(key);
        for _ in 0..ACTIONS {
            let stepped = self.step(key, |client, shared, cx| {
                client.queued = false;
                let progress = client.session.run(shared, cx);
                (progress, client.session.poll_content(), heads::is_heavy(client))
            });
            let Some((progress, content, heavy)) = stepped else { return };
            let served = content.is_some_and(|request| self.serve_content(key, request));
            if self.limiting.counts_connections() && !self.seat(key) {
                continue;
            }
            if heavy && !self.weigh(key) {
                continue;
            }
            match progress {
                Progress::Act(action) => self.act(key, action),
                Progress::Again => break,
                Progress::Wait if served => continue,
                Progress::Wait => {
                    if let Some(client) = self.clients.get(key) {
                        client.session.arm(&mut self.alarms, key, &self.settings.limits);
                    }
                    return;
                }
            }
        }
        self.enqueue(key);
    }

    /// An origin that says something, or ends, while its connection waits for the client's next request is of no use to it.
    fn drop_ended_origin(&mut self, key: Key) {
        let Some(client) = self.clients.get(key) else { return };
        let Some(origin) = &client.session.origin else { return };
        let idle = matches!(client.session.exchange.phase().kind(), PhaseKind::Idle | PhaseKind::Head);
        if idle && origin.stream.ready.has(Ready::READ | Ready::READ_CLOSED | Ready::ERROR) {
            self.hang_up(key);
        }
    }

    /// Tells an exchange something. None if its session has ended.
    fn with_exchange<R>(&mut self, key: Key, tell: impl FnOnce(&mut Exchange, &mut Context<'_>) -> R) -> Option<R> {
        self.step(key, |client, _, cx| tell(&mut client.session.exchange, cx))
    }

    /// Lends a client what a step of its session needs. None if it has gone.
    fn step<R>(
        &mut self,
        key: Key,
        advance: impl FnOnce(&mut Client, &mut Shared, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let client = self.clients.get_mut(key)?;
        let (clock, rules) = (&self.clock, &self.settings.rules);
        let mut judge = self.caching.as_deref_mut().map(|desk| DeskJudge { desk, key, clock, rules });
        let mut cx = Context {
            settings: &self.settings,
            session: key.generation,
            now: self.clock.now(),
            fraction: self.clock.fraction(),
            date: self.clock.date(),
            out: &mut self.out,
            counters: &mut self.counters.exchange,
            judge: judge.as_mut().map(|judge| judge as &mut dyn HeadJudge),
            summaries: &mut self.summaries,
        };
        Some(advance(client, &mut self.shared, &mut cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Session;
    use mio::net::TcpStream;

    /// The table of docs/architecture.md, which operators size machines by.
    #[test]
    fn an_idle_client_takes_what_the_page_says() {
        let page = include_str!("../../docs/architecture.md");
        // The arena adds the generation of the slot.
        let (session, slot) = (size_of::<Session<TcpStream>>(), size_of::<Client>() + size_of::<u64>());
        let row = format!("| its slot: `Session` ({session}), what it waits for, key | {slot} |");
        assert!(page.contains(&row), "{row}");
        let together = format!("| together | {} |", slot + 16 + 20);
        assert!(page.contains(&together), "{together}");
    }
}
