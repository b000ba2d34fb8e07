//! What is different about requests whose connections the network diverted: where they go, and whether the host that they name is
//! there.

use std::net::{IpAddr, SocketAddr};

use dns::Failure;
use reactor::arena::Key;

use super::AddressList;
use crate::exchange::ingress::{HostCheck, Ingress, Onward};
use crate::http::cause::Cause;
use crate::http::request::{Announce, Request};
use crate::http::target::Host;
use crate::policy::admission::Arrived;
use crate::policy::shares::ClientKey;
use crate::proxy::{Proxy, Waits};
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

/// What comes of holding the host that a request names against where its connection was going.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum HostChecked {
    /// It is there.
    There,
    /// It is not, or that is not known, or not asked for: the request goes on all the same.
    Open,
    /// The request is refused, or waits for more addresses.
    Held,
}

impl Proxy {
    /// How the connection of a session came to us.
    pub(in crate::proxy) fn arrived(&self, key: Key) -> Arrived {
        let Some(client) = self.clients.get(key) else { return Arrived::Undiverted };
        let exchange = &client.session.exchange;
        if self.comes_back(key) {
            return Arrived::Back;
        }
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

    pub(super) fn request_of(&self, key: Key) -> Option<&Request> {
        self.clients.get(key)?.session.exchange.request()
    }

    /// Connects to the original destination of a request, once it is known of the host that it names what has to be.
    pub(super) fn reach_original(&mut self, key: Key) {
        let now = self.clock.now();
        let Some(client) = self.clients.get(key) else { return };
        let Some(request) = client.session.exchange.request() else { return };
        let name = match (&request.target().host, self.divert.host_check) {
            (_, HostCheck::Ignore) => return self.go(key, false),
            (Host::Name(name), _) => name,
            (address, _) => {
                let said: AddressList = address.address().into_iter().collect();
                return self.host_resolved(key, &said, None, None);
            }
        };
        let allowed = self.lists.is_some() && self.is_allowed_by_name(request);
        if self.divert.host_check == HostCheck::Log && !allowed {
            return match self.resolver.known(name, now) {
                Some(addresses) => {
                    let said: AddressList = addresses.iter().collect();
                    self.host_resolved(key, &said, None, None);
                }
                None => self.go(key, false),
            };
        }
        if self.policy.name_allowed(name).is_err() {
            return self.host_resolved(key, &[], None, None);
        }
        let client = ClientKey::from(client.session.exchange.client());
        match self.resolver.lookup(name, key, client, &mut self.shares, now) {
            LookupStart::Cached(found) => self.resolved(key, found, None),
            LookupStart::Pending(id) => {
                self.set_waits(key, Waits::Lookup(id));
                self.note_asked(key);
            }
        }
    }

    /// Goes on with what is known of the host that a request names: its addresses so far, or why there are none.
    pub(super) fn host_resolved(
        &mut self,
        key: Key,
        said: &[IpAddr],
        failure: Option<Failure>,
        rest: Option<LookupId>,
    ) {
        if failure == Some(Failure::Overloaded) {
            self.report_names(key);
            return self.name_failed(key, &Failure::Overloaded);
        }
        let checked = self.check_host(key, said, failure.is_none(), rest);
        match failure {
            _ if checked == HostChecked::Held => {}
            _ if self.goes_to_original(key) => self.go(key, checked == HostChecked::There),
            Some(failure) => self.name_failed(key, &failure),
            None if self.is_vetted(key) => self.vet_addresses(key, said, rest),
            None if self.looks_up_for_parent(key) => self.host_known(key, said, rest),
            None => self.dial(key, said, rest),
        }
    }

    /// Holds the host that a request names against where its connection was going. `said` are the addresses of that host, none of
    /// which is `known` where its name could not be looked up; `rest` is the lookup that will bring more of them.
    fn check_host(&mut self, key: Key, said: &[IpAddr], known: bool, rest: Option<LookupId>) -> HostChecked {
        let check = self.divert.host_check;
        let Some(original) = self.held_against(key) else { return HostChecked::Open };
        let port = self.request_of(key).map(|request| request.target().port);
        if port == Some(original.port()) && said.contains(&original.ip()) {
            return HostChecked::There;
        }
        match rest {
            // What is not known yet is no mismatch. It is no match either, which a list may ask for before a request goes on.
            Some(_) if check == HostCheck::Log && !self.goes_to_original(key) => HostChecked::Open,
            Some(id) => {
                self.set_waits(key, Waits::Rest(id));
                HostChecked::Held
            }
            // Of a name without addresses nothing is known but that.
            None if !known && check == HostCheck::Log => HostChecked::Open,
            None if self.refuses_mismatch(key, original) => HostChecked::Held,
            None => HostChecked::Open,
        }
    }

    /// Where the connection of a request was going, if the host that the request names has to be there. Where a helper has named
    /// another host, the client has not said that one.
    pub(super) fn held_against(&self, key: Key) -> Option<SocketAddr> {
        let exchange = &self.clients.get(key)?.session.exchange;
        let request = exchange.request()?;
        let named = exchange.ingress() == Ingress::Intercept
            && self.settings.onward == Onward::Name
            && !request.is_intercepted()
            && !request.is_renamed();
        let to_name = exchange.original_destination().filter(|_| named);
        request.original().or(to_name).filter(|_| self.divert.host_check != HostCheck::Ignore)
    }

    /// The host that a request names is not where its connection was going. True if it is refused for that.
    fn refuses_mismatch(&mut self, key: Key, original: SocketAddr) -> bool {
        self.counters.host_mismatch += 1;
        let peer = self.clients.get(key).map(|client| client.session.exchange.client());
        if let Some(peer) = peer.filter(|peer| self.may_tell_doubt(*peer)) {
            let host = self.request_of(key).map_or_else(String::new, |request| request.target().to_string());
            log::warn!(target: "client", "{peer} asks for {host} on a connection to {original}, which is no address of it");
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
            let address = [original.ip()];
            match self.looks_up_for_parent(key) {
                true => self.host_known(key, &address, None),
                false => self.dial(key, &address, None),
            }
        }
    }
}
