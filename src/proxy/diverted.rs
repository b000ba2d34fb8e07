//! What is different about requests whose connections the network diverted, and about connections that tell of their client: where
//! they go, whether the host that they name is there, whose address they bear, what is said in front of them.

use std::io;
use std::net::{IpAddr, SocketAddr};

use dns::Failure;
use reactor::arena::Key;

use super::connecting::AddressList;
use super::{Proxy, Waits};
use crate::exchange::ingress::{HostCheck, Ingress, Onward};
use crate::exchange::proxy_protocol::{self, Announced};
use crate::http::cause::Cause;
use crate::http::request::{Announce, DetourBy, Request};
use crate::http::target::Host;
use crate::io::origin::Scope;
use crate::policy::admission::Arrived;
use crate::policy::shares::ClientKey;
use crate::resolver::{LookupId, LookupStart};

/// How diverted requests and announced clients are dealt with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DivertOptions {
    /// What is done where a host and a destination differ (`intercept.host-check`).
    pub host_check: HostCheck,
    /// Connections to origins bear the address of the client (`intercept.spoof`).
    pub spoof: bool,
    /// Which header goes in front of connections that a helper intercepts, where it does not say (`tcp4.proxy-protocol`).
    pub announce: Announce,
}

impl Proxy {
    /// How the connection of a session came to us.
    pub(super) fn arrived(&self, key: Key) -> Arrived {
        let Some(client) = self.clients.get(key) else { return Arrived::Undiverted };
        let exchange = &client.session.exchange;
        if exchange.ingress() != Ingress::Intercept {
            return Arrived::Directly;
        }
        match exchange.original_destination() {
            Some(to) if to.port() > 0 && self.local.listener_at(to.ip(), to.port()).is_none() => Arrived::Diverted,
            _ => Arrived::Undiverted,
        }
    }

    /// Whether the request of a session goes to the original destination of its connection.
    pub(super) fn goes_to_original(&self, key: Key) -> bool {
        self.request_of(key).is_some_and(|request| request.original().is_some())
    }

    fn request_of(&self, key: Key) -> Option<&Request> {
        self.clients.get(key)?.session.exchange.request()
    }

    /// Connects to the original destination of a request, once it is known of the host that it names what has to be.
    pub(super) fn reach_original(&mut self, key: Key) {
        let now = self.clock.now();
        let Some(client) = self.clients.get(key) else { return };
        let Some(request) = client.session.exchange.request() else { return };
        let check = self.divert.host_check;
        let Host::Name(name) = &request.target().host else {
            let said: Vec<IpAddr> = request.target().host.address().into_iter().collect();
            return match check {
                HostCheck::Ignore => self.go(key, false),
                _ => self.compare(key, &said, None, None),
            };
        };
        if check == HostCheck::Ignore {
            return self.go(key, false);
        }
        let allowed = self.lists.is_some() && self.is_allowed_by_name(request);
        if check == HostCheck::Log && !allowed {
            let known = self.resolver.known(name, now);
            return match known {
                Some(addresses) => {
                    let addresses: Vec<IpAddr> = addresses.iter().collect();
                    self.compare(key, &addresses, None, None);
                }
                None => self.go(key, false),
            };
        }
        if self.policy.name_allowed(name).is_err() {
            return self.compare(key, &[], None, None);
        }
        let who = (key, ClientKey::from(client.session.exchange.client()));
        match self.resolver.lookup(name, who, &mut self.shares, now) {
            LookupStart::Cached(found) => self.resolved(key, found, None),
            LookupStart::Pending(id) => {
                self.set_waits(key, Waits::Lookup(id));
                self.note_asked(key);
            }
        }
    }

    /// Compares the original destination of a request with the addresses of the host that it names, of which `rest` brings more.
    pub(super) fn compare(&mut self, key: Key, said: &[IpAddr], failure: Option<Failure>, rest: Option<LookupId>) {
        let Some(request) = self.request_of(key) else { return };
        let Some(original) = request.original() else { return };
        let there = request.target().port == original.port() && said.contains(&original.ip());
        match rest {
            _ if there => self.go(key, true),
            Some(id) => self.set_waits(key, Waits::Rest(id)),
            None if failure == Some(Failure::Overloaded) => {
                self.report_names(key);
                let failure = Failure::Overloaded;
                self.fail_request(key, |answers, request, client| answers.name_failure(&failure, request, client));
            }
            // Of a name without addresses nothing is known but that.
            None if failure.is_some() && self.divert.host_check == HostCheck::Log => self.go(key, false),
            None if self.refuses_mismatch(key, original) => {}
            None => self.go(key, false),
        }
    }

    /// Whether a request that is sent to the name that it says may go to these addresses of it.
    pub(super) fn may_go_to(&mut self, key: Key, said: &[IpAddr], rest: Option<LookupId>) -> bool {
        let Some(client) = self.clients.get(key) else { return false };
        let exchange = &client.session.exchange;
        let named = exchange.ingress() == Ingress::Intercept && self.settings.onward == Onward::Name;
        let check = self.divert.host_check;
        if !named || check == HostCheck::Ignore {
            return true;
        }
        let (Some(original), Some(request)) = (exchange.original_destination(), exchange.request()) else {
            return true;
        };
        if request.is_intercepted() || request.target().port == original.port() && said.contains(&original.ip()) {
            return true;
        }
        match rest {
            // What is not known yet is no mismatch, but no match either.
            Some(_) if check == HostCheck::Log => true,
            Some(id) => {
                self.set_waits(key, Waits::Rest(id));
                false
            }
            None => !self.refuses_mismatch(key, original),
        }
    }

    /// Whether a request is refused because nothing is known of the host that it names, and its connection was going somewhere.
    pub(super) fn refuses_unknown(&mut self, key: Key) -> bool {
        self.divert.host_check == HostCheck::Refuse && !self.may_go_to(key, &[], None)
    }

    /// The host that a request names is not where its connection was going. True if it is refused for that.
    fn refuses_mismatch(&mut self, key: Key, original: SocketAddr) -> bool {
        self.counters.host_mismatch += 1;
        let now = self.clock.now();
        if let Some(client) = self.clients.get(key) {
            let (peer, request) = (client.session.exchange.client(), client.session.exchange.request());
            let host = request.map_or_else(String::new, |request| request.target().to_string());
            if self.told.may_tell(peer, now) {
                log::warn!(target: "client", "{peer} asks for {host} on a connection to {original}, which is no address of it");
            }
        }
        if self.divert.host_check != HostCheck::Refuse {
            return false;
        }
        self.fail_request(key, |answers, request, client| answers.explain(Cause::HostMismatch, request, client, ""));
        true
    }

    /// Connects to the original destination; `proven` where the host that the request names is known to be there.
    fn go(&mut self, key: Key, proven: bool) {
        if proven {
            self.with_exchange(key, |exchange, _| exchange.handle_proven());
        }
        let original = self.request_of(key).and_then(Request::original);
        if let Some(original) = original {
            self.dial(key, &[original.ip()], None);
        }
    }

    /// The address that connections for this session bear in place of ours.
    pub(super) fn spoofed(&self, key: Key) -> Option<IpAddr> {
        let exchange = &self.clients.get(key).filter(|_| self.divert.spoof)?.session.exchange;
        let spoofs =
            exchange.ingress().is_diverted() && exchange.request().is_some_and(|request| !request.is_intercepted());
        if spoofs {
            exchange.peer().address()
        } else {
            None
        }
    }

    /// What leads to these addresses. From the address of a client there is no way to one of the other family.
    pub(super) fn reachable(&self, key: Key, addresses: AddressList) -> AddressList {
        let mut ways = self.ways_to(addresses);
        if let Some(source) = self.spoofed(key) {
            ways.retain(|address| address.is_ipv4() == source.is_ipv4());
        }
        ways
    }

    /// The header that a connection for this request begins with.
    fn header(&self, request: &Request) -> Announce {
        match request.detour().map(|detour| detour.by) {
            Some(DetourBy::Helper(header)) => header.unwrap_or(self.divert.announce),
            _ => Announce::Off,
        }
    }

    /// Whose a connection for this request is.
    pub(super) fn scope(&self, key: Key, request: &Request) -> Scope {
        match self.header(request) {
            Announce::Off if self.spoofed(key).is_some() => Scope::Private(key),
            Announce::Off => Scope::Shared,
            Announce::V1 => Scope::Announced(key, 1),
            Announce::V2 => Scope::Announced(key, 2),
        }
    }

    /// Whether the connection to the origin of a session tells of its client, so that no other may use it.
    pub(super) fn is_for_one(&self, key: Key) -> bool {
        self.request_of(key).is_some_and(|request| self.scope(key, request) != Scope::Shared)
    }

    /// Sends the header that the connection to the origin of a session begins with, if it does and is new. It is sent by itself, as
    /// the other side waits for it: a new connection takes at least so many bytes.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) fn announce(&mut self, key: Key) -> io::Result<()> {
        let header = self.request_of(key).map_or(Announce::Off, |request| self.header(request));
        if header == Announce::Off {
            return Ok(());
        }
        let Some(client) = self.clients.get_mut(key) else { return Ok(()) };
        let session = &mut client.session;
        let source = session.exchange.opener().address();
        let local = |source: SocketAddr| session.client.io.local_addr().unwrap_or(SocketAddr::new(source.ip(), 0));
        let original = session.exchange.original_destination();
        let ends = source.map(|source| (source, original.unwrap_or_else(|| local(source))));
        let Some(origin) = session.origin.as_mut().filter(|origin| origin.exchanges == 0) else { return Ok(()) };
        self.out.clear();
        match ends {
            Some((source, destination)) => {
                proxy_protocol::write(&mut self.out, header, &Announced { source, destination });
            }
            None => proxy_protocol::write_unknown(&mut self.out, header),
        }
        match origin.stream.send(&self.out)? {
            sent if sent == self.out.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}
