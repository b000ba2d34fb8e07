//! Sockets for the name resolver of the `dns` crate, which decides everything. Knows no files.

mod sockets;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use dns::nat64::Prefix;
use dns::{Addresses, Config, Event, Failure, Families, Hosts, Random, Replaced, StreamEvent, Transmit};
use reactor::arena::{Arena, Key};
use reactor::poller::Poller;
use reactor::ready::Ready;
use reactor::Millis;

use crate::io::owner::Owner;
use crate::policy::shares::{may_take, ClientKey, Resource, Shares};
use sockets::{Input, Sockets};

/// What a lookup ends with.
pub type LookupResult = Result<Addresses, Failure>;

/// What a lookup gives at once.
#[derive(Debug)]
pub enum LookupStart {
    /// All that there is to know.
    Cached(LookupResult),
    /// [`Resolver::poll`] will tell.
    Pending(LookupId),
}

/// One wait of a session for a name. A session waits for one name at a time, but may leave a wait behind when the first
/// family was enough: then the wait goes on, so that the answer is known the next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupId(Key);

/// A session that waits for a name.
#[derive(Debug)]
struct Waiter {
    session: Key,
    /// Whose share the wait is a part of.
    client: ClientKey,
    /// What it waits for, once that is known.
    lookup: Option<dns::LookupId>,
}

/// What the resolver tells the hub.
#[derive(Debug)]
pub enum ResolverEvent {
    /// The name of this session is settled; or, if the last field is true, one family of it, and the lookup goes on for
    /// the other.
    Found(Key, LookupResult, bool),
    /// The other family is settled too.
    More(Key, LookupId, Addresses),
}

/// The resolver with its sockets.
pub struct Resolver {
    machine: dns::Resolver,
    sockets: Sockets,
    waiters: Arena<Waiter>,
    /// The prefixes that the hub was told of, and the gateways that the log was.
    told: Vec<Prefix>,
    logged: Vec<Prefix>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Resolver").field("pending", &self.machine.pending()).finish_non_exhaustive()
    }
}

impl Resolver {
    /// A resolver that asks for both families until [`Resolver::note_ways`] knows better.
    pub fn new(config: Config, hosts: Arc<Hosts>) -> Resolver {
        let machine = dns::Resolver::new(config, hosts, Box::new(Secret::new()));
        Resolver {
            machine,
            sockets: Sockets::new(Secret::new()),
            waiters: Arena::new(),
            told: Vec::new(),
            logged: Vec::new(),
        }
    }

    /// Takes over what the files say now. What comes back takes long to drop.
    pub fn reconfigure(&mut self, config: Config, hosts: Arc<Hosts>, now: Millis) -> Replaced {
        self.machine.reconfigure(config, hosts, now)
    }

    /// Tells of which families a route leads out of this machine. What comes back takes long to drop.
    pub fn note_ways(&mut self, ways: Families, now: Millis) -> Option<Replaced> {
        self.machine.set_ways(ways, now)
    }

    /// The address to connect to: where IPv4 leads nowhere, that of the gateway to it (RFC 6052).
    pub fn way_to(&self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(v4) => self.machine.through_gateway(v4).map_or(address, IpAddr::V6),
            IpAddr::V6(_) => address,
        }
    }

    /// The prefixes of gateways to judge by, when they have changed.
    pub fn poll_gateways(&mut self) -> Option<&[Prefix]> {
        if self.logged != self.machine.gateways() {
            self.logged = self.machine.gateways().to_vec();
            match self.logged.as_slice() {
                [] => log::info!(target: "resolver", "no NAT64 gateway is known any more"),
                prefixes => {
                    let prefixes: Vec<String> = prefixes.iter().map(Prefix::to_string).collect();
                    log::info!(target: "resolver", "NAT64 gateway at {}", prefixes.join(", "));
                }
            }
        }
        if self.told == self.machine.prefixes() {
            return None;
        }
        self.told = self.machine.prefixes().to_vec();
        Some(&self.told)
    }

    /// Looks a name up for a session of this client, as far as its share of the lookups allows.
    pub fn lookup(
        &mut self,
        name: &str,
        session: Key,
        client: ClientKey,
        shares: &mut Shares,
        now: Millis,
    ) -> LookupStart {
        let key = self.waiters.insert(Waiter { session, client, lookup: None });
        let may_wait = |room| may_take(shares.held(client, Resource::Lookups), 1, room);
        match self.machine.lookup_if(name, key.to_bits(), now, may_wait) {
            dns::LookupStart::Cached(found) => {
                self.waiters.remove(key);
                LookupStart::Cached(found)
            }
            dns::LookupStart::Pending(id) => {
                if let Some(waiter) = self.waiters.get_mut(key) {
                    waiter.lookup = Some(id);
                }
                shares.add(client, Resource::Lookups, 1);
                LookupStart::Pending(LookupId(key))
            }
        }
    }

    /// The addresses of a name as far as they are known already, without a question; None where they are not known, or there are none.
    pub fn known(&mut self, name: &str, now: Millis) -> Option<Addresses> {
        self.machine.peek(name, now)?.ok()
    }

    /// The session does not wait any more.
    pub fn cancel(&mut self, id: LookupId, shares: &mut Shares, now: Millis) {
        let Some(waiter) = self.end_wait(id.0, shares) else { return };
        if let Some(lookup) = waiter.lookup {
            self.machine.cancel(lookup, id.0.to_bits(), now);
        }
    }

    fn end_wait(&mut self, key: Key, shares: &mut Shares) -> Option<Waiter> {
        let waiter = self.waiters.remove(key)?;
        shares.give_back(waiter.client, Resource::Lookups, 1);
        Some(waiter)
    }

    /// No address of this name could be connected to: it may have moved.
    pub fn forget(&mut self, name: &str, now: Millis) {
        self.machine.forget(name, now);
    }

    /// A socket has had an event.
    pub fn handle_event(&mut self, key: Key, ready: Ready, poller: &mut Poller<Owner>, now: Millis) {
        let machine = &mut self.machine;
        self.sockets.handle_event(key, ready, poller, now, |input| feed(machine, input, now));
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, poller: &mut Poller<Owner>, now: Millis) {
        if self.machine.poll_timeout().is_some_and(|at| at <= now) {
            self.machine.handle_timeout(now);
        }
        self.flush(poller, now);
    }

    /// Sends what is to be sent.
    pub fn flush(&mut self, poller: &mut Poller<Owner>, now: Millis) {
        let machine = &mut self.machine;
        self.sockets.go_on(poller, now, |input| feed(machine, input, now));
        loop {
            let failed = match self.machine.poll_transmit() {
                None => return,
                Some(Transmit::Datagram { server, bytes }) => {
                    self.sockets.send_datagram(server, bytes, poller, now).err().map(|_| Input::Unreachable(server))
                }
                Some(Transmit::Stream { link, server, bytes }) => {
                    self.sockets.send_stream(link, server, bytes, poller).err().map(|_| Input::Closed(link))
                }
                Some(Transmit::Close { link }) => {
                    self.sockets.close_stream(link, poller);
                    None
                }
            };
            if let Some(input) = failed {
                feed(&mut self.machine, input, now);
            }
        }
    }

    /// Something that a session waits for.
    pub fn poll(&mut self, shares: &mut Shares) -> Option<ResolverEvent> {
        while let Some(event) = self.machine.poll_event() {
            match event {
                Event::Resolved { waiter, result, more: true } => {
                    let Some(waiter) = self.waiters.get(Key::from_bits(waiter)) else { continue };
                    return Some(ResolverEvent::Found(waiter.session, result, true));
                }
                Event::Resolved { waiter, result, more: false } => {
                    let Some(waiter) = self.end_wait(Key::from_bits(waiter), shares) else { continue };
                    return Some(ResolverEvent::Found(waiter.session, result, false));
                }
                Event::Late { waiter, addresses, .. } => {
                    let key = Key::from_bits(waiter);
                    let Some(waiter) = self.end_wait(key, shares) else { continue };
                    return Some(ResolverEvent::More(waiter.session, LookupId(key), addresses));
                }
            }
        }
        None
    }

    /// When [`Resolver::handle_timeout`] is due, or at once when [`Resolver::poll`] has something to tell.
    pub fn poll_timeout(&self) -> Option<Millis> {
        if self.sockets.is_behind() || self.machine.has_events() || self.told != self.machine.prefixes() {
            return Some(0);
        }
        self.machine.poll_timeout()
    }

    /// Closes old sockets.
    pub fn tick(&mut self, poller: &mut Poller<Owner>, now: Millis) {
        self.sockets.sweep(poller, now);
    }

    /// What was counted.
    pub fn counters(&self) -> dns::Counters {
        *self.machine.counters()
    }
}

/// Says whom resolvers with these options ask.
pub fn tell_servers(config: &Config) {
    for server in &config.servers {
        log::info!(target: "resolver", "name server {server}");
    }
}

fn feed(machine: &mut dns::Resolver, input: Input<'_>, now: Millis) {
    match input {
        Input::Datagram(from, bytes) => machine.handle_datagram(from, bytes, now),
        Input::Unreachable(server) => machine.handle_unreachable(server, now),
        Input::Data(link, bytes) => machine.handle_stream(link, StreamEvent::Data(bytes), now),
        Input::Closed(link) => machine.handle_stream(link, StreamEvent::Closed, now),
    }
}

/// Numbers that no client or server can guess: a keyed hash, SipHash with a key from the system, over a counter.
struct Secret {
    key: RandomState,
    counter: u64,
}

impl Secret {
    fn new() -> Secret {
        Secret { key: RandomState::new(), counter: 0 }
    }
}

impl Random for Secret {
    fn next_u64(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        self.key.hash_one(self.counter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SESSION: Key = Key { index: 7, generation: 1 };

    fn config(families: Families) -> Config {
        let servers = vec!["255.255.255.255:53".parse().expect("an address")];
        Config { servers, families, attempts: 1, deadline: Duration::from_secs(60), ..Config::default() }
    }

    /// What sending finds out at the end of a turn is news already: the loop must not sleep on it.
    #[test]
    fn news_that_sending_brings_is_due_at_once() {
        // A socket has to ask for it first before it may send to the broadcast address.
        let mut resolver = Resolver::new(config(Families { v4: true, v6: false }), Arc::default());
        let mut poller = Poller::new().expect("a poll");
        let (client, mut shares) = (ClientKey::from(std::net::IpAddr::from([192, 0, 2, 1])), Shares::default());
        let started = resolver.lookup("name.test", SESSION, client, &mut shares, 0);
        assert!(matches!(started, LookupStart::Pending(_)) && shares.held(client, Resource::Lookups) == 1);
        resolver.flush(&mut poller, 0);
        // An only server gets a second chance before it counts as unreachable.
        for _ in 0..4 {
            match resolver.poll_timeout() {
                Some(0) => break,
                at => resolver.handle_timeout(&mut poller, at.expect("somebody waits")),
            }
        }
        assert_eq!(resolver.poll_timeout(), Some(0));
        assert!(matches!(resolver.poll(&mut shares), Some(ResolverEvent::Found(SESSION, Err(_), false))));
        assert!(resolver.poll(&mut shares).is_none());
        assert_eq!((shares.clients(), resolver.waiters.len()), (0, 0));
        assert_ne!(resolver.poll_timeout(), Some(0), "news is told once");
    }

    #[test]
    fn a5_one_clients_names_leave_room_for_those_of_others() {
        let ipv4 = Families { v4: true, v6: false };
        let mut resolver = Resolver::new(Config { max_lookups: 100, ..config(ipv4) }, Arc::default());
        let mut shares = Shares::default();
        let client = |last: u8| ClientKey::from(std::net::IpAddr::from([192, 0, 2, last]));
        let mut ask = |resolver: &mut Resolver, name: String, last: u8| match resolver.lookup(
            &name,
            SESSION,
            client(last),
            &mut shares,
            0,
        ) {
            LookupStart::Pending(id) => Some(id),
            LookupStart::Cached(found) => {
                assert_eq!(found, Err(Failure::Overloaded));
                None
            }
        };
        let greedy: Vec<_> = (0..200).map_while(|number| ask(&mut resolver, format!("n{number}.test"), 1)).collect();
        assert_eq!(greedy.len(), 50);
        let modest: Vec<_> = (0..10).map_while(|number| ask(&mut resolver, format!("m{number}.test"), 2)).collect();
        assert_eq!(modest.len(), 10);
        assert!(ask(&mut resolver, "m1.test".to_owned(), 1).is_some(), "one that is asked for already costs nothing");
        for id in greedy {
            resolver.cancel(id, &mut shares, 0);
        }
        assert_eq!((shares.held(client(1), Resource::Lookups), shares.held(client(2), Resource::Lookups)), (1, 10));
        assert_eq!(resolver.waiters.len(), 11);
    }

    #[test]
    fn row_19_without_a_route_for_ipv6_no_ipv6_address_is_asked_for() {
        let both = Families { v4: true, v6: true };
        let mut resolver = Resolver::new(config(both), Arc::default());
        assert!(resolver.machine.families().v6, "until the routes are known");
        let ipv4 = Families { v4: true, v6: false };
        assert!(resolver.note_ways(ipv4, 0).is_some());
        assert_eq!(resolver.machine.families(), ipv4);
        assert!(resolver.note_ways(ipv4, 0).is_none(), "nothing new");
        resolver.reconfigure(config(both), Arc::default(), 0);
        assert!(!resolver.machine.families().v6, "files say nothing about it");
        assert!(resolver.note_ways(both, 0).is_some() && resolver.machine.families().v6);
        resolver.note_ways(ipv4, 0);
        let only = Families { v4: false, v6: true };
        resolver.reconfigure(config(only), Arc::default(), 0);
        assert_eq!(resolver.machine.families(), only, "nothing else is left to ask for");
    }

    #[test]
    fn a_gateway_is_told_of_once() {
        let prefix = dns::nat64::Prefix::WELL_KNOWN;
        let fixed = Config { nat64: dns::nat64::Nat64::Fixed(prefix), ..config(Families { v4: true, v6: true }) };
        let mut resolver = Resolver::new(fixed, Arc::default());
        assert_eq!(resolver.poll_timeout(), Some(0));
        assert_eq!(resolver.poll_gateways(), Some(&[prefix][..]));
        assert!(resolver.poll_gateways().is_none());
        let address = IpAddr::from([192, 0, 2, 33]);
        assert_eq!(resolver.way_to(address), address, "IPv4 leads somewhere");
        resolver.note_ways(Families { v4: false, v6: true }, 0);
        assert_eq!(resolver.way_to(address), "64:ff9b::192.0.2.33".parse::<IpAddr>().expect("an address"));
        resolver.reconfigure(config(Families { v4: true, v6: true }), Arc::default(), 0);
        assert_eq!(resolver.poll_gateways(), Some(&[][..]));
    }
}
