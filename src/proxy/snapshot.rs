//! The hub as the monitor sees it: snapshots of what it owns, the answers to the monitor's clients, and what they may
//! have changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use reactor::arena::Key;

use super::access::lists::ActiveLists;
use super::access::logins::{Login, Realm};
use super::heads::BUDGET;
use super::loops::letters::{LoopReport, Task};
use super::loops::Whole;
use super::process::ProcessWatch;
use super::{Client, Proxy};
use crate::exchange::flow::Direction;
use crate::exchange::ingress::Ingress;
use crate::exchange::phase::PhaseKind;
use crate::http::cause::Cause;
use crate::logs::{self, recent::RecentLine, AccessLog, UsageLog};
use crate::monitor::drainers::DrainerRow;
use crate::monitor::episodes::{EpisodeNews, Episodes};
use crate::monitor::history::History;
use crate::monitor::hosts::{Hosts, Top};
use crate::monitor::listeners::ListenerRow;
use crate::monitor::lists::ListFileRow;
use crate::monitor::observed::ObservedHosts;
use crate::monitor::process::Reloads;
use crate::monitor::sessions::{first, EndPointKind, EndPoints, Filter, Row, Sessions, Sort, MOST_ROWS};
use crate::monitor::{Counters, Helpers, Lost, Running};
use crate::policy::decision::Decision;
use crate::policy::shares::Resource;
use crate::redirector::{pool, OnFailure, Redirector};
use crate::web::{self, Facts, LogMessage, MessageKind, Order, Process, Reply, Source};

/// The subsystem of what helpers write to their standard error.
const HELPERS: &str = "worker";

/// What is kept for the monitor alone.
#[derive(Debug)]
pub(super) struct MonitorState {
    pub(super) history: History,
    pub(super) hosts: Hosts,
    /// Lines lost by writers that a reload has replaced.
    lost: Lost,
    /// What helpers have done that a reload has dismissed.
    helped: pool::PoolCounters,
    facts: Facts,
    process: Process,
    pub(super) process_watch: ProcessWatch,
    reloads: Reloads,
    /// Why the last reload has failed, where it has.
    unloaded: Option<Arc<str>>,
    episodes: Episodes,
}

impl MonitorState {
    /// Starts now, `started` in seconds since 1970.
    ///
    /// # Errors
    /// When the system has no random bytes for the token.
    pub(super) fn new(facts: Facts, started: u64) -> std::io::Result<MonitorState> {
        let mut random = [0; 16];
        let unlucky = |error| std::io::Error::other(format!("cannot have random bytes: {error}"));
        getrandom::fill(&mut random).map_err(unlucky)?;
        let token = format!("{:032x}", u128::from_ne_bytes(random));
        let process = Process { pid: std::process::id(), started, token };
        let (mut history, hosts) = (History::default(), Hosts::default());
        // At first nothing has happened, and what happens in the first second is seen by that.
        history.push(0, Running::default());
        Ok(MonitorState {
            history,
            hosts,
            lost: Lost::default(),
            helped: pool::PoolCounters::default(),
            facts,
            process,
            process_watch: ProcessWatch::new(started),
            reloads: Reloads { taken_over: started, ..Reloads::default() },
            unloaded: None,
            episodes: Episodes::default(),
        })
    }

    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The gravest of what is wrong, in words.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.episodes.current().first().map(|episode| &*episode.text)
    }

    pub(super) fn set_facts(&mut self, facts: Facts) {
        self.facts = facts;
    }
}

impl Proxy {
    /// Answers a client of the monitor, and does what it asks for if it may.
    pub(super) fn answer_monitor(&mut self, key: Key) {
        let Some(client) = self.clients.get(key) else { return };
        let exchange = &client.session.exchange;
        let Some(request) = exchange.request() else { return };
        let (peer, clients) = (exchange.peer(), &self.watch.facts.clients);
        if !clients.is_empty() && !clients.contain(peer) {
            let denied = Decision::Answer(Box::new(web::denied()));
            self.with_exchange(key, |exchange, cx| exchange.handle_decision(denied, cx));
            return;
        }
        if let Some(script) = self.script_for_monitor(key) {
            let script = Decision::Answer(Box::new(script));
            self.with_exchange(key, |exchange, cx| exchange.handle_decision(script, cx));
            return;
        }
        if self.has_users(Realm::Monitor) && web::asks_for_user(request) {
            let login = self.log_in(key, Realm::Monitor);
            return self.answer_monitor_to(key, login);
        }
        self.answer_monitor_user(key);
    }

    /// Answers a client of the monitor whose user is known, or refuses it.
    pub(super) fn answer_monitor_to(&mut self, key: Key, login: Login) {
        match login {
            Login::User(_) => self.answer_monitor_user(key),
            Login::Refused(cause) => {
                let refused = Decision::Answer(Box::new(web::refused(cause, &self.answers.challenge)));
                self.with_exchange(key, |exchange, cx| exchange.handle_decision(refused, cx));
            }
            Login::Waits => {}
        }
    }

    fn answer_monitor_user(&mut self, key: Key) {
        // Several loops are asked first what they have to tell.
        if !self.gather(key) {
            self.answer_with(key, &[]);
        }
    }

    /// Answers a client of the monitor with what this loop knows and others have told.
    pub(super) fn answer_with(&mut self, key: Key, others: &[LoopReport]) {
        let Some(client) = self.clients.get(key) else { return };
        let exchange = &client.session.exchange;
        let Some(request) = exchange.request() else { return };
        let peer = exchange.peer();
        let answer = match web::answer(request, &Whole { proxy: self, others }) {
            Reply::Answer(answer) => answer,
            Reply::Order(order) => {
                let outcome = self.carry_out(&order);
                crate::critical!(target: "web", "{peer} asked for {order}: {}", outcome.as_ref().err().map_or("done", |why| why));
                let Some(request) = self.clients.get(key).and_then(|client| client.session.exchange.request()) else {
                    return;
                };
                Box::new(web::done(order, &outcome, request, &Whole { proxy: self, others }))
            }
        };
        self.with_exchange(key, |exchange, cx| exchange.handle_decision(Decision::Answer(answer), cx));
    }

    fn carry_out(&mut self, order: &Order) -> Result<(), String> {
        match *order {
            Order::Purge(ref what) => self.purge(what),
            Order::Helpers { minimum, maximum } => {
                let redirector = self.redirector.as_mut().ok_or("there are no helpers")?;
                redirector.set_bounds(minimum, maximum, self.clock.now());
                Ok(())
            }
            Order::Debug(on) => {
                let messages = self.messages.ok_or("there is no log")?;
                let level = messages.set_debug(on);
                crate::critical!(target: "web", "log level is now {}", level.name());
                Ok(())
            }
            Order::Listen(true) => self.listen_again(),
            Order::Listen(false) => {
                self.stop_listening();
                Ok(())
            }
            Order::SoftStop if self.lifecycle.is_draining() => Err("a soft stop is under way".to_owned()),
            Order::SoftStop => {
                self.soft_stop();
                Ok(())
            }
        }
    }

    /// What came of the last reload, which the monitor shows.
    pub fn note_reload(&mut self, outcome: &Result<(), String>) {
        self.watch.unloaded = outcome.as_ref().err().map(|why| why.as_str().into());
        let now = Source::now(self);
        let reloads = &mut self.watch.reloads;
        match outcome {
            Ok(()) => (reloads.done, reloads.taken_over) = (reloads.done + 1, now),
            Err(_) => reloads.refused += 1,
        }
    }

    /// The message log, which the monitor shows and may switch to debug.
    pub fn set_messages(&mut self, messages: &'static logs::Messages) {
        self.messages = Some(messages);
    }

    /// Where decisions are written to from now on, if anywhere.
    pub fn set_usage(&mut self, usage: Option<UsageLog>) {
        self.tell_loops(|| Task::Usage(usage.as_ref().map(UsageLog::another)));
        let before = self.lost().usage;
        self.usage = usage;
        // A writer that it shares with messages goes on, and has counted already.
        self.watch.lost.usage = before.saturating_sub(self.usage.as_ref().map_or(0, UsageLog::lost));
    }

    /// Where requests are written to from now on, if anywhere. Whether exchanges keep accounts is for the settings to say.
    pub fn set_access(&mut self, access: Option<AccessLog>) {
        self.tell_loops(|| Task::Access(access.as_ref().map(AccessLog::another)));
        let before = self.lost().access;
        self.access = access;
        self.watch.lost.access = before.saturating_sub(self.access.as_ref().map_or(0, AccessLog::lost));
    }

    /// These helpers are dismissed. What they have done stays.
    pub(super) fn note_dismissed(&mut self, redirector: &Redirector) {
        self.watch.helped = self.watch.helped.plus(redirector.counters());
    }

    fn lost(&self) -> Lost {
        let Lost { usage, access, .. } = self.watch.lost;
        Lost {
            messages: self.messages.map_or(0, logs::Messages::lost),
            usage: usage + self.usage.as_ref().map_or(0, UsageLog::lost),
            access: access + self.access.as_ref().map_or(0, AccessLog::lost),
        }
    }

    /// What has to be known once a second: by the log where something goes wrong for a while, and by the monitor.
    pub(super) fn note_second(&mut self) {
        let now = self.clock.now();
        if self.reports_second() {
            return;
        }
        self.watch.hosts.tick(now);
        let running = Whole { proxy: self, others: &[] }.running();
        for news in self.watch.episodes.look(now, &running, &self.watch.facts.episodes) {
            match news {
                EpisodeNews::Began(text) => log::error!(target: "supervisor", "{text}"),
                EpisodeNews::Ended(text) => crate::critical!(target: "supervisor", "{text}"),
            }
        }
        self.tell_next(&running, false);
        if !self.listeners.places(Ingress::Web).is_empty() {
            self.watch.history.push(now, running);
        }
    }
}

impl Source for Proxy {
    fn running(&self) -> Running {
        let mut counters = Counters { pauses: self.listeners.pauses(), ..self.counters.clone() };
        let (mut clients, mut silent, mut tunnels) = (0, 0, 0);
        let mut established = self.upstream.kept() as u64;
        for (_, client) in self.clients.iter() {
            counters.add_transfer(&client.session.exchange);
            established += u64::from(client.session.origin.is_some());
            if !client.session.exchange.ingress().is_local() {
                clients += 1;
                silent += u64::from(client.session.exchange.requests() == 0);
                tunnels += u64::from(client.session.exchange.phase().kind() == PhaseKind::Tunnel);
            }
        }
        let (listed, list_files) =
            self.lists.as_ref().map(|lists| lists.numbers(Source::now(self))).unwrap_or_default();
        Running {
            counters,
            silent,
            clients,
            tunnels,
            limit: self.listeners.places_for_clients() as u64,
            opening: self.upstream.opening() as u64,
            established,
            idle: self.upstream.kept() as u64,
            idle_limit: self.upstream.kept_limit() as u64,
            parents_down: self.parents_down(),
            blocks: self.shared.pool.lent() as u64,
            blocks_limit: self.shared.pool.budget() as u64,
            head_bytes: self.shares.total(Resource::HeadBytes) as u64,
            head_bytes_limit: BUDGET as u64,
            cache: self.caching.as_ref().map(|caching| caching.cache.numbers()).unwrap_or_default(),
            listed,
            list_files,
            users: self.users(),
            unloaded: self.watch.unloaded.clone(),
            reloads: self.watch.reloads,
            process: self.watch.process_watch.numbers,
            lists_stale: self.lists.as_ref().and_then(|lists| lists.stale.clone()),
            episodes: self.watch.episodes.current().to_vec(),
            episodes_begun: self.watch.episodes.begun(),
            loops_hanging: self.hanging_loops(),
            draining: self.lifecycle.is_draining(),
            listening: self.listeners.serve(),
            judged_by_error: self.redirector.as_ref().is_some_and(|helpers| helpers.on_failure() == OnFailure::Error),
            pid_saved: self.lifecycle.pid_saved(),
            dns: self.resolver.counters(),
            helpers: self.redirector.as_ref().map(|helpers| Helpers::of(helpers.pool(), self.clock.now())),
            helped: self.redirector.iter().fold(self.watch.helped, |sum, helpers| sum.plus(helpers.counters())),
            lost: self.lost(),
        }
    }

    fn history(&self) -> &History {
        &self.watch.history
    }

    fn hosts(&self) -> &Top {
        self.watch.hosts.top()
    }

    fn list_files(&self) -> Vec<ListFileRow> {
        self.lists.as_ref().map(|lists| lists.rows(Source::now(self))).unwrap_or_default()
    }

    fn observed(&self) -> ObservedHosts {
        self.lists.as_ref().map(ActiveLists::observed).unwrap_or_default()
    }

    fn refusals(&self) -> Vec<(&str, u64)> {
        self.lists.as_ref().map(|lists| lists.refusals.rows()).unwrap_or_default()
    }

    fn facts(&self) -> &Facts {
        &self.watch.facts
    }

    fn process(&self) -> &Process {
        &self.watch.process
    }

    fn now(&self) -> u64 {
        self.clock.since_epoch(self.clock.now()) / 1000
    }

    fn sessions(&self, filter: &Filter) -> Sessions {
        let picked = self.clients.iter().filter(|(_, client)| is_picked(client, filter));
        let picked: Vec<(u64, Key)> = picked.map(|(key, client)| (self.weight(client, filter.sort), key)).collect();
        let matched = picked.len();
        let order = |(weight, key): &(u64, Key)| (std::cmp::Reverse(*weight), key.generation);
        let shown = first(picked, filter.limit.min(MOST_ROWS), order);
        let rows = shown.into_iter().filter_map(|(_, key)| Some(self.row(key, self.clients.get(key)?)));
        Sessions { total: self.clients.len(), matched, rows: rows.collect() }
    }

    fn listeners(&self) -> Vec<ListenerRow> {
        self.listener_rows(&self.clients_by_listener())
    }

    fn drainers(&self) -> Vec<DrainerRow> {
        self.drainer_rows()
    }

    fn ends(&self, side: EndPointKind) -> EndPoints {
        let mut ends = EndPoints::default();
        for (_, client) in self.clients.iter() {
            let session = &client.session;
            let moved = |direction| session.exchange.flow(direction).moved;
            let address = match side {
                EndPointKind::Clients => Some(session.exchange.peer()),
                EndPointKind::Origins => session.origin.as_ref().map(|origin| origin.address.ip().into()),
            };
            if let Some(address) = address {
                ends.add(address, moved(Direction::Download), moved(Direction::Upload));
            }
        }
        if side == EndPointKind::Origins {
            self.upstream.kept_addresses().for_each(|address| ends.add(address.ip().into(), 0, 0));
        }
        ends
    }

    fn messages(&self, which: MessageKind, limit: usize) -> Vec<LogMessage> {
        let Some(messages) = self.messages else { return Vec::new() };
        let wanted = |subsystem: &str| (subsystem == HELPERS) == (which == MessageKind::Helpers);
        let shown = |line: RecentLine| LogMessage {
            at: line.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
            severity: line.severity.name(),
            subsystem: line.subsystem,
            text: line.text,
        };
        messages.recent(wanted, limit).into_iter().map(shown).collect()
    }

    fn is_debug(&self) -> bool {
        self.messages.is_some_and(logs::Messages::is_debug)
    }
}

impl Proxy {
    /// Clients by the number of their listener.
    pub(super) fn clients_by_listener(&self) -> HashMap<u16, u64> {
        let mut clients: HashMap<u16, u64> = HashMap::new();
        for (_, client) in self.clients.iter() {
            *clients.entry(client.session.exchange.listener()).or_default() += 1;
        }
        clients
    }

    /// The listeners, with so many clients by their numbers.
    pub(super) fn listener_rows(&self, clients: &HashMap<u16, u64>) -> Vec<ListenerRow> {
        let counted = |(number, row)| ListenerRow { clients: clients.get(&number).copied().unwrap_or(0), ..row };
        self.listeners.rows().map(counted).collect()
    }

    fn weight(&self, client: &Client, sort: Sort) -> u64 {
        let exchange = &client.session.exchange;
        match sort {
            Sort::Age => client.age(&self.clock).into(),
            Sort::Still => exchange.waited(self.clock.now()),
            Sort::Received => exchange.flow(Direction::Download).moved,
            Sort::Sent => exchange.flow(Direction::Upload).moved,
        }
    }

    fn row(&self, key: Key, client: &Client) -> Row {
        let (now, exchange) = (self.clock.now(), &client.session.exchange);
        let before = exchange.moved_before();
        Row {
            id: key.generation,
            thread: self.loops.as_ref().map(|loops| loops.number()),
            client: exchange.client(),
            pid: exchange.opener().pid(),
            user: exchange.user().cloned(),
            web: exchange.ingress() == Ingress::Web,
            phase: exchange.phase().kind().name(),
            age: client.age(&self.clock).into(),
            still: exchange.waited(now) / 1000,
            requests: exchange.requests(),
            host: exchange.target().map_or_else(String::new, |target| format!("{}:{}", target.host, target.port)),
            origin: client.session.origin.as_ref().map(|origin| origin.address),
            to_client: before.down + exchange.flow(Direction::Download).moved,
            to_origin: before.up + exchange.flow(Direction::Upload).moved,
            trouble: exchange.trouble().map(Cause::word),
        }
    }
}

fn is_picked(client: &Client, filter: &Filter) -> bool {
    let exchange = &client.session.exchange;
    let host = || exchange.target().is_some_and(|target| target.host.to_string().contains(&filter.host));
    (filter.phase.is_empty() || exchange.phase().kind().name() == filter.phase)
        && (filter.client.is_empty() || exchange.client().to_string().starts_with(&filter.client))
        && (filter.host.is_empty() || host())
}
