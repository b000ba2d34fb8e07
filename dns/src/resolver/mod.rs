//! The query machine: names in, datagrams and TCP messages out, and back. Knows no sockets, no files and no clock.
//!
//! A *lookup* is a name with the waiters that asked for it; it walks the search list and follows aliases (`settling`). A
//! *query* is one question, for one family of one name, on its way through the servers (`asking`); lookups that need the
//! same question share it, so that two identical ones are never open. Use it so: give it one input (`lookup`, `cancel`,
//! `handle_*`, `reconfigure`), poll `poll_transmit` and `poll_event` until they are empty, and call `handle_timeout` when
//! `poll_timeout` says so.

mod alarms;
mod answering;
mod asking;
mod config;
mod counters;
mod link;
mod linking;
mod lookup;
mod query;
mod reach;
mod sending;
mod server;
mod settling;
mod table;
mod verdict;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub use self::config::Config;
pub use self::counters::Counters;

use self::alarms::Alarms;
use self::config::millis;
use self::lookup::{dots, MAX_WAITERS};
use self::query::Query;
use self::reach::Reach;
use self::sending::Outgoing;
use self::server::Server;
use self::table::{Key, Table};
use self::verdict::Scratch;
use crate::cache::Cache;
use crate::hash::Seeded;
use crate::outcome::loopback;
use crate::resolv_conf::MAX_SERVERS;
use crate::wire::name;
use crate::{Addresses, Failure, Families, Family, Hosts, Millis, Random};

/// What is known must be at least this old, in milliseconds, before [`Resolver::forget`] drops it: a host that refuses
/// every connection must not turn each of them into a question.
const FORGET_AGE: Millis = 5_000;

/// Questions without waiters that stay open for the sake of an answer that may be on its way. Clients can make as many as
/// they like by leaving, so more than these are dropped at once.
const MAX_ORPHANS: usize = 1_024;

/// What [`Resolver::lookup`] knows at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupStart {
    /// The result, with nothing sent.
    Cached(Result<Addresses, Failure>),
    /// An [`Event`] will tell, unless [`Resolver::cancel`] comes first.
    Pending(LookupId),
}

/// The name of a pending lookup; useless once its result was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LookupId(u64);

/// The name of a TCP connection to a server. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(u64);

/// What happened on a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEvent<'a> {
    /// Bytes came, cut anywhere.
    Data(&'a [u8]),
    /// It could not be opened, was closed by the server, or broke.
    Closed,
}

/// Something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transmit<'a> {
    /// A datagram, from a socket with an unpredictable port (RFC 5452 section 9.2).
    Datagram {
        /// Where to.
        server: SocketAddr,
        /// The message.
        bytes: &'a [u8],
    },
    /// Bytes for a TCP connection, in order. The first ones for a `link` mean that it must be opened; until it is, and
    /// while it does not take them, the caller keeps them (4 MiB at most, one usually).
    Stream {
        /// Which connection.
        link: LinkId,
        /// Where to.
        server: SocketAddr,
        /// The message with its length in front.
        bytes: &'a [u8],
    },
    /// Close a connection, if it is still open. No event is expected for it any more.
    Close {
        /// Which connection.
        link: LinkId,
    },
}

/// What a waiter is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The result. Each waiter gets one.
    Resolved {
        /// The waiter.
        waiter: u64,
        /// The addresses, or why there are none.
        result: Result<Addresses, Failure>,
        /// The other family is still being asked for (RFC 8305 section 3): one [`Event::Late`] follows.
        more: bool,
    },
    /// The other family is settled; `addresses` holds both, or only what was there before.
    Late {
        /// The lookup that told of the first family.
        lookup: LookupId,
        /// The waiter.
        waiter: u64,
        /// All addresses.
        addresses: Addresses,
    },
}

/// What the resolver does not use any more. Freeing it takes a while, half a second for the longest hosts file, which is
/// why it is handed back and not dropped.
#[derive(Debug)]
pub struct Replaced {
    /// The names of the hosts file before.
    pub hosts: Arc<Hosts>,
    /// What was learned.
    pub cache: Cache,
}

/// The resolver.
pub struct Resolver {
    config: Config,
    /// The families that are asked for.
    asked: Families,
    reach: Reach,
    hosts: Arc<Hosts>,
    random: Box<dyn Random + Send>,
    cache: Cache,
    servers: Vec<Server>,
    lookups: Table<lookup::Lookup>,
    by_name: HashMap<Arc<str>, Key, Seeded>,
    lookup_alarms: Alarms,
    queries: Table<Query>,
    /// Those of the queries that no lookup waits for.
    orphans: usize,
    in_flight: HashMap<Arc<str>, [Option<Key>; 2], Seeded>,
    query_alarms: Alarms,
    rotation: usize,
    next_link: u64,
    outgoing: VecDeque<Outgoing>,
    ready: VecDeque<Key>,
    scratch: Scratch,
    wire: Vec<u8>,
    whole: Vec<u8>,
    counters: Counters,
}

impl Resolver {
    /// A resolver that knows nothing yet.
    pub fn new(config: Config, hosts: Arc<Hosts>, mut random: Box<dyn Random + Send>) -> Resolver {
        let config = usable(config);
        let seeds: [u64; 3] = std::array::from_fn(|_| random.next_u64());
        Resolver {
            cache: Cache::new(config.cache_entries, seeds[0]),
            servers: config.servers.iter().copied().map(Server::new).collect(),
            lookups: Table::new(config.max_lookups),
            by_name: HashMap::with_hasher(Seeded(seeds[1])),
            lookup_alarms: Alarms::default(),
            queries: Table::new(max_queries(&config)),
            orphans: 0,
            in_flight: HashMap::with_hasher(Seeded(seeds[2])),
            query_alarms: Alarms::default(),
            rotation: 0,
            next_link: 0,
            outgoing: VecDeque::new(),
            ready: VecDeque::new(),
            scratch: Scratch::default(),
            wire: Vec::new(),
            whole: Vec::new(),
            counters: Counters::default(),
            asked: config.families,
            reach: Reach::new(config.nat64),
            config,
            hosts,
            random,
        }
    }

    /// What was counted since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The options in use.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Lookups that are open.
    pub fn pending(&self) -> usize {
        self.lookups.len()
    }

    /// How many questions are open.
    pub fn open_queries(&self) -> usize {
        self.queries.len()
    }

    /// How many names are cached.
    pub fn cached(&self) -> usize {
        self.cache.len()
    }

    /// Whether `poll_event` has something to tell.
    pub fn has_events(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When `handle_timeout` must be called at the latest.
    pub fn poll_timeout(&self) -> Option<Millis> {
        let links = self.servers.iter().filter_map(|server| server.link.as_ref()?.idle_at());
        [self.query_alarms.next(), self.lookup_alarms.next(), self.reach.poll_timeout()]
            .into_iter()
            .flatten()
            .chain(links)
            .min()
    }

    /// Looks a name up for `waiter`, whose number means nothing here. Addresses are answered with themselves.
    pub fn lookup(&mut self, name: &str, waiter: u64, now: Millis) -> LookupStart {
        self.lookup_if(name, waiter, now, |_| true)
    }

    /// What is known of a name in normal form without asking for it, and without counting as a lookup.
    pub fn peek(&mut self, name: &str, now: Millis) -> Option<Result<Addresses, Failure>> {
        let families = self.config.families;
        match self.known(name, now) {
            Some(result) => Some(result),
            None => self.hosts.get(name).map(|addresses| some(addresses.only(families))),
        }
    }

    /// The same, where a waiter needs leave to wait: `may_wait` is told how many more names may be asked for, or how
    /// many at all where this one is asked for already. A waiter without leave gets [`Failure::Overloaded`]; what is
    /// known needs no leave.
    pub fn lookup_if(
        &mut self,
        name: &str,
        waiter: u64,
        now: Millis,
        may_wait: impl FnOnce(usize) -> bool,
    ) -> LookupStart {
        self.counters.lookups += 1;
        if let Some(result) = self.known(name, now) {
            self.counters.cache_hits += 1;
            return LookupStart::Cached(result);
        }
        let asked = match self.without_asking(name) {
            Ok(asked) => asked,
            Err(result) => {
                self.counters.cache_hits += 1;
                return LookupStart::Cached(result);
            }
        };
        let open = self.by_name.get(&asked).copied();
        let room = if open.is_some() { self.config.max_lookups } else { self.lookups.room() };
        if !may_wait(room) {
            self.counters.overloaded += 1;
            return LookupStart::Cached(Err(Failure::Overloaded));
        }
        match open {
            Some(key) => self.join(key, waiter),
            None => self.start(asked, waiter, now),
        }
    }

    /// `waiter` does not wait any more. A question without waiters is not sent again; an answer to it is still
    /// kept, unless there are very many of them.
    pub fn cancel(&mut self, id: LookupId, waiter: u64, now: Millis) {
        let key = Key::from_bits(id.0);
        let Some(lookup) = self.lookups.get_mut(key) else { return };
        if !lookup.leave(waiter) {
            self.abandon(key, now);
        }
    }

    /// Drops what is cached of a name, because no address of it could be connected to: the next lookup asks anew. What
    /// was learned within the last five seconds stays, and so does a name that was dropped within the last minute.
    pub fn forget(&mut self, name: &str, now: Millis) {
        let Some(normal) = name::normalise(name) else { return };
        self.cache.forget(&normal.name, FORGET_AGE, now);
        for domain in &self.config.search {
            self.cache.forget(&format!("{}.{domain}", normal.name), FORGET_AGE, now);
        }
    }

    /// The next thing to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        self.next_transmit()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        while let Some(event) = self.next_event() {
            let event = self.take_probe(event);
            if event.is_some() {
                return event;
            }
        }
        None
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Millis) {
        while let Some(slot) = self.query_alarms.pop(now) {
            self.query_due(slot, now);
        }
        while let Some(slot) = self.lookup_alarms.pop(now) {
            self.lookup_due(slot, now);
        }
        self.probe_due(now);
        self.close_idle_links(now);
    }

    /// Takes new options and a new hosts file. What was learned is not used any more: another network may know other
    /// answers. If the servers changed, open questions go to the new ones at once, and the network's gateway is another.
    pub fn reconfigure(&mut self, config: Config, hosts: Arc<Hosts>, now: Millis) -> Replaced {
        let config = usable(config);
        let other_servers = config.servers != self.config.servers;
        let moved = other_servers || config.use_tcp != self.config.use_tcp;
        let elsewhere = other_servers || config.nat64 != self.config.nat64;
        let cache = self.forget_all(config.cache_entries);
        self.lookups.set_limit(config.max_lookups);
        self.queries.set_limit(max_queries(&config));
        self.config = config;
        let hosts = std::mem::replace(&mut self.hosts, hosts);
        if moved {
            self.change_servers(now);
        }
        self.probe_anew(elsewhere, now);
        Replaced { hosts, cache }
    }

    fn forget_all(&mut self, capacity: usize) -> Cache {
        let empty = Cache::new(capacity, self.random.next_u64());
        std::mem::replace(&mut self.cache, empty)
    }

    /// The result if it can be had with one search in the cache. A search list can only be passed over where the name
    /// as it stands comes first and has addresses.
    fn known(&mut self, name: &str, now: Millis) -> Option<Result<Addresses, Failure>> {
        let result = self.cache.get(name, self.asked, now)?;
        let first = self.config.search.is_empty() || (result.is_ok() && dots(name) >= self.config.ndots);
        first.then_some(result)
    }

    /// The name to ask for, or the result where no server needs to be asked.
    fn without_asking(&self, name: &str) -> Result<Arc<str>, Result<Addresses, Failure>> {
        if let Some(address) = literal(name) {
            return Err(Ok(Addresses::from_list(&[address], Millis::MAX)));
        }
        let Some(normal) = name::normalise(name) else { return Err(Err(Failure::BadName)) };
        // Names below `localhost` are loopback names without a question (RFC 6761 section 6.3).
        if is_under(&normal.name, "localhost") {
            return Err(some(loopback(Millis::MAX).only(self.asked)));
        }
        // These never exist in the DNS (RFC 6761 section 6.4, RFC 7686 section 2), and a question for an onion name would
        // tell name servers of it.
        if is_under(&normal.name, "invalid") || is_under(&normal.name, "onion") {
            return Err(Err(Failure::NotFound));
        }
        if let Some(addresses) = self.hosts.get(&normal.name) {
            return Err(some(addresses.only(self.config.families)));
        }
        // With a search list `a.b` and `a.b.` are two names, and lookups of the one must not join those of the other.
        let mut asked = normal.name;
        if normal.absolute && !self.config.search.is_empty() {
            asked.push('.');
        }
        Ok(asked.into())
    }

    fn join(&mut self, key: Key, waiter: u64) -> LookupStart {
        let Some(lookup) = self.lookups.get_mut(key).filter(|lookup| lookup.waiters.len() < MAX_WAITERS) else {
            self.counters.overloaded += 1;
            return LookupStart::Cached(Err(Failure::Overloaded));
        };
        self.counters.joined += 1;
        lookup.waiters.push_back(waiter);
        if lookup.early {
            self.announce(key);
        }
        LookupStart::Pending(LookupId(key.to_bits()))
    }

    fn start(&mut self, asked: Arc<str>, waiter: u64, now: Millis) -> LookupStart {
        let deadline = now + millis(self.config.deadline);
        let Some(key) = self.lookups.insert(lookup::Lookup::new(Arc::clone(&asked), deadline)) else {
            self.counters.overloaded += 1;
            return LookupStart::Cached(Err(Failure::Overloaded));
        };
        self.begin(key, now);
        let Some(lookup) = self.lookups.get_mut(key) else { return LookupStart::Cached(Err(Failure::Overloaded)) };
        // Candidates of the search list may all be known, or all fail at once.
        if let Some(result) = lookup.result.take() {
            self.lookups.remove(key);
            self.counters.cache_hits += 1;
            return LookupStart::Cached(result);
        }
        lookup.waiters.push_back(waiter);
        let (early, due) = (lookup.early, lookup.due());
        self.by_name.insert(asked, key);
        self.lookup_alarms.arm(key.index, due);
        if early {
            self.announce(key);
        }
        LookupStart::Pending(LookupId(key.to_bits()))
    }
}

/// Questions that may be open, so that a name that may be waited for always finds room for its questions: two for each
/// name, those without waiters, and one to each server that is down.
fn max_queries(config: &Config) -> usize {
    config.max_lookups.saturating_mul(Family::BOTH.len()).saturating_add(MAX_ORPHANS + MAX_SERVERS)
}

/// Options within the limits of the machine.
fn usable(mut config: Config) -> Config {
    config.servers.truncate(MAX_SERVERS);
    config.attempts = config.attempts.max(1);
    config.search =
        config.search.iter().filter_map(|domain| name::normalise(domain)).map(|normal| normal.name).collect();
    config
}

/// The address that a name is, with or without brackets.
fn literal(name: &str) -> Option<IpAddr> {
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    let possible = bare.contains(':') || bare.ends_with(|last: char| last.is_ascii_digit());
    bare.parse().ok().filter(|_| possible)
}

/// Whether a name is `zone` or below it.
fn is_under(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn some(addresses: Addresses) -> Result<Addresses, Failure> {
    if addresses.is_empty() {
        Err(Failure::NoAddress)
    } else {
        Ok(addresses)
    }
}
