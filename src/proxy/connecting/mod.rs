//! The way to an origin: its name is looked up, its addresses are raced for, and the exchange hears what has come of it.

pub(super) mod addresses;
mod announcing;
pub(super) mod diverted;
mod judging;
mod looping;
mod parents;
mod releasing;

use std::net::IpAddr;

use dns::{Addresses, Failure};
use mio::net::TcpStream;
use reactor::arena::{Arena, Key};
use smallvec::SmallVec;

use super::report::Trouble;
use super::{Client, Proxy, Waits};
use crate::exchange::phase::PhaseKind;
use crate::exchange::Connected;
use crate::http::request::Request;
use crate::http::target::Host;
use crate::http::Method;
use crate::io::origin::{Origin, OriginKey};
use crate::peer::SessionName;
use crate::policy::shares::ClientKey;
use crate::resolver::{LookupId, LookupResult, LookupStart};
use crate::system::interfaces;
use crate::upstream::dial::DialError;
use crate::upstream::{Connect, ConnectRequest, DialContext};

/// What tells connections to parents from those to an origin at the same place.
const PARENT: &str = "parent";

/// Addresses to connect to. Most names have fewer than these, which take no allocation.
pub(super) type AddressList = SmallVec<[IpAddr; 4]>;

impl Proxy {
    /// Finds the addresses of the request's origin, or of a parent that it goes through.
    pub(super) fn resolve(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.session.exchange.restart_hop();
        if self.goes_to_original(key) {
            return self.reach_original(key);
        }
        if !self.sends_unresolved(key) {
            self.resolve_origin(key);
        }
    }

    /// Finds the addresses of the request's origin.
    pub(super) fn resolve_origin(&mut self, key: Key) {
        let now = self.clock.now();
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(request) = client.session.exchange.request() else { return };
        let client_key = ClientKey::from(client.session.exchange.client());
        let literal = match &request.destination().host {
            Host::V4(address) => IpAddr::V4(*address),
            Host::V6(address, _) => IpAddr::V6(*address),
            Host::Name(name) => {
                match self.resolver.lookup(name, key, client_key, &mut self.shares, now) {
                    LookupStart::Cached(found) => self.resolved(key, found, None),
                    LookupStart::Pending(id) => {
                        client.waits = Waits::Lookup(id);
                        client.fraction = self.clock.fraction();
                    }
                }
                return;
            }
        };
        self.host_resolved(key, &[literal], None, None);
    }

    /// A lookup has come back, with all there is to know or with the first of it.
    pub(super) fn lookup_ended(&mut self, key: Key, found: LookupResult, more: bool) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let Waits::Lookup(id) = client.waits else { return };
        client.waits = Waits::Nothing;
        self.counters.name_time.note(client.waited(&self.clock));
        self.resolved(key, found, more.then_some(id));
        self.enqueue(key);
    }

    /// The addresses are known; `rest` is the lookup that will bring more of them.
    pub(super) fn resolved(&mut self, key: Key, found: LookupResult, rest: Option<LookupId>) {
        if self.has_parent(key) {
            return self.parent_resolved(key, found, rest);
        }
        let addresses: AddressList = found.iter().flat_map(Addresses::iter).collect();
        self.host_resolved(key, &addresses, found.err(), rest);
    }

    pub(super) fn name_failed(&mut self, key: Key, failure: &Failure) {
        self.counters.name_failures += 1;
        self.fail_request(key, |answers, request, client| answers.name_failure(failure, request, client));
    }

    /// Connects to one of these addresses that may be connected to and answers.
    pub(super) fn dial(&mut self, key: Key, found: &[IpAddr], rest: Option<LookupId>) {
        let Some(client) = self.clients.get(key) else { return };
        let Some(request) = client.session.exchange.request() else { return };
        let (addresses, refused) = self.allowed(request, found.iter().copied());
        if addresses.is_empty() {
            return match rest {
                Some(id) => self.set_waits(key, Waits::Rest(id)),
                None => self.refuse_address(key, refused),
            };
        }
        if !self.has_parent(key) {
            self.report_addresses(key, &addresses);
        }
        let addresses = self.reachable(key, addresses);
        // Behind a parent that could not be reached it waits for a connection already.
        let again = client_phase(&self.clients, key) == Some(PhaseKind::Connecting);
        let wanted = again || self.with_exchange(key, |exchange, cx| exchange.handle_resolved(cx)) == Some(true);
        if wanted && !self.connect_again(key, &addresses) {
            self.race(key, &addresses, rest);
        }
    }

    /// Uses the connection that this client alone kept from its last request, if it leads to the right place.
    fn connect_again(&mut self, key: Key, addresses: &[IpAddr]) -> bool {
        let Some(client) = self.clients.get(key) else { return false };
        let Some(origin) = &client.session.origin else { return false };
        let there = |request: &Request| {
            let address = origin.address.port() == port_of(request) && addresses.contains(&origin.address.ip());
            address && origin.key == self.origin_key(key, request)
        };
        let exchange = &client.session.exchange;
        let same = exchange.request().is_some_and(there);
        // One that is not bound to the client by its authentication may have been closed by its origin meanwhile.
        let repeatable = exchange.request().is_some_and(Request::is_repeatable);
        // What its origin overlooked of this client's requests must not come to others out of a cache.
        let safe = exchange.is_authenticated() || repeatable && !self.fills_cache(key);
        let address = origin.address;
        if !same || !safe || exchange.is_fresh() {
            self.hang_up(key);
            return false;
        }
        if let Some(summary) = self.clients.get_mut(key).and_then(|client| client.session.exchange.summary_mut()) {
            summary.origin = Some(address);
        }
        self.counters.reused += 1;
        self.with_exchange(key, |exchange, cx| {
            exchange.handle_connected(Connected { reused: true, exclusive: true }, cx)
        });
        true
    }

    /// Takes a kept connection to one of the addresses, or races for a new one.
    fn race(&mut self, key: Key, addresses: &[IpAddr], rest: Option<LookupId>) {
        let now = self.clock.now();
        let Some(client) = self.clients.get(key) else { return };
        let Some(request) = client.session.exchange.request() else { return };
        let fresh = client.session.exchange.is_fresh() || request.method() == Method::Connect;
        let (port, patience) = (port_of(request), Proxy::patience(request));
        let repeatable = request.is_repeatable();
        let source = self.spoofed(key);
        let host = request.parent().map_or(&request.destination().host, |parent| &parent.host);
        let scope = match host {
            Host::V6(_, Some(zone)) => interfaces::number(zone).unwrap_or(0),
            _ => 0,
        };
        let site = self.origin_key(key, request);
        let client = ClientKey::from(client.session.exchange.client());
        let wanted = ConnectRequest {
            session: key,
            client,
            addresses,
            port,
            scope,
            key: site,
            source,
            fresh,
            repeatable,
            patience,
        };
        let mut cx = DialContext { poller: &mut self.poller, shares: &mut self.shares, now };
        match self.upstream.connect(&wanted, &mut cx) {
            Connect::Ready(origin) => self.connected(key, origin),
            Connect::Pending(dial) => {
                self.set_waits(key, Waits::Dial(dial, rest));
                self.note_asked(key);
            }
            Connect::Failed(error) => self.dial_failed(key, error, rest),
        }
    }

    /// Which kept connections may carry this request: those of its Host field, and those of its client alone where they tell of it.
    /// Those to a parent carry all that goes through it as the same user.
    fn origin_key(&self, key: Key, request: &Request) -> OriginKey {
        let (named, scope) = (request.target(), self.scope(key, request));
        match request.parent() {
            Some(parent) => self.upstream.keys.key(&(PARENT, &parent.host, &parent.credentials), parent.port, scope),
            None => self.upstream.keys.key(&named.host, named.port, scope),
        }
    }

    /// The other family of a name that is already being connected to joins the race (RFC 8305 §6), or starts another when
    /// the first has been lost.
    pub(super) fn more_addresses(&mut self, key: Key, lookup: LookupId, addresses: &Addresses) {
        let Some(client) = self.clients.get(key) else { return };
        let Some(request) = client.session.exchange.request() else { return };
        let (allowed, refused) = self.allowed(request, addresses.iter());
        let allowed = self.reachable(key, allowed);
        match client.waits {
            Waits::Dial(dial, Some(id)) if id == lookup => {
                self.set_waits(key, Waits::Dial(dial, None));
                let now = self.clock.now();
                let mut cx = DialContext { poller: &mut self.poller, shares: &mut self.shares, now };
                self.upstream.extend(dial, &allowed, &mut cx);
            }
            Waits::Rest(id) if id == lookup => {
                self.set_waits(key, Waits::Nothing);
                match client_phase(&self.clients, key) {
                    Some(PhaseKind::Resolving) => self.resolved(key, Ok(addresses.clone()), None),
                    _ if allowed.is_empty() => self.refuse_address(key, refused),
                    _ => self.race(key, &allowed, None),
                }
                self.enqueue(key);
            }
            _ => {}
        }
    }

    /// A connection has come about, or a kept one was there.
    pub(super) fn connected(&mut self, key: Key, origin: Box<Origin<TcpStream>>) {
        let reused = origin.exchanges > 0;
        let Some(client) = self.clients.get_mut(key) else {
            return self.poller.forget(origin.stream.route);
        };
        client.waits = Waits::Nothing;
        if let Some(refused) = self.judge_end(key, &origin) {
            self.poller.forget(origin.stream.route);
            return self.refuse_address(key, Some(refused));
        }
        let Some(client) = self.clients.get_mut(key) else { return };
        match reused {
            true => self.counters.reused += 1,
            false => {
                self.counters.note_made(client.session.exchange.peer(), origin.address.ip(), client.waited(&self.clock))
            }
        }
        if let Some(summary) = client.session.exchange.summary_mut() {
            summary.origin = Some(origin.address);
        }
        client.session.origin = Some(origin);
        self.note_own_end(key);
        if let Err(error) = self.announce(key) {
            if let Some(client) = self.clients.get(key) {
                let name = SessionName { number: key.generation, client: client.session.exchange.client() };
                log::debug!(target: "download", "{name} announcing it to its origin failed: {error}");
            }
            self.hang_up(key);
            return self.dial_failed(key, DialError::Refused, None);
        }
        self.note_parent(key, reused);
        let exclusive = self.is_for_one(key);
        self.with_exchange(key, |exchange, cx| exchange.handle_connected(Connected { reused, exclusive }, cx));
    }

    /// No connection has come about; `rest` is the lookup that will bring more addresses.
    pub(super) fn dial_failed(&mut self, key: Key, error: DialError, rest: Option<LookupId>) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if let Some(id) = rest {
            client.waits = Waits::Rest(id);
            return;
        }
        client.waits = Waits::Nothing;
        if error != DialError::Exhausted && self.has_parent(key) {
            return self.lose_parent(key, &error.to_string());
        }
        if error != DialError::Exhausted {
            self.note_unreached(key);
        } else {
            self.counters.dial_failures += 1;
            if self.may_report(Trouble::Exhausted) {
                log::error!(target: "download", "cannot open connections to origins: {error}");
            }
        }
        self.fail_request(key, |answers, request, client| answers.dial_error(error, request, client));
    }

    /// The origin of this session could not be connected to.
    pub(super) fn note_unreached(&mut self, key: Key) {
        self.counters.dial_failures += 1;
        let request = self.clients.get(key).and_then(|client| client.session.exchange.request());
        if let Some(Host::Name(name)) = request.map(|request| &request.destination().host) {
            // The name may have moved since its addresses were looked up.
            self.resolver.forget(name, self.clock.now());
        }
    }
}

/// The port to connect to for a request.
fn port_of(request: &Request) -> u16 {
    request.parent().map_or(request.destination().port, |parent| parent.port)
}

fn client_phase(clients: &Arena<Client>, key: Key) -> Option<PhaseKind> {
    clients.get(key).map(|client| client.session.exchange.phase().kind())
}
