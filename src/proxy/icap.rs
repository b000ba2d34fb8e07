//! What clients of ICAP are told: about requests that they send on themselves, whose addresses are judged as far as they are known
//! here, and about the service. All else of their requests goes the way of any other.

use std::net::IpAddr;

use reactor::arena::Key;

use super::{Proxy, Waits};
use crate::exchange::ingress::Ingress;
use crate::exchange::Exchange;
use crate::http::target::Host;
use crate::http::Method;
use crate::policy::shares::ClientKey;
use crate::redirector::dialect::Dialect;
use crate::resolver::{LookupId, LookupStart};

impl Proxy {
    /// Whether the addresses of a session's request are only judged, and never connected to.
    pub(super) fn is_vetted(&self, key: Key) -> bool {
        self.exchange(key).is_some_and(|exchange| exchange.ingress() == Ingress::Icap)
    }

    /// Judges where a request leads that its client will send on: the address that it names or that the client says it has, else those
    /// of its name, where there are rules about addresses.
    pub(super) fn vet(&mut self, key: Key) {
        let Some(exchange) = self.clients.get(key).map(|client| &client.session.exchange) else { return };
        let Some(request) = exchange.request() else { return };
        let said = exchange.transaction().and_then(|transaction| transaction.said().server);
        let to = request.destination();
        if let Some(address) = to.host.address().or(said.filter(|_| !request.is_intercepted())) {
            return self.vet_addresses(key, &[address], None);
        }
        let Host::Name(name) = &to.host else { return };
        let tunnel = request.method() == Method::Connect;
        let ranges = self.lists.as_ref().is_some_and(|active| active.lists.have_ranges());
        if !ranges && !self.policy.needs_address((!tunnel).then_some(to.port)) {
            return self.vetted(key);
        }
        let (now, client) = (self.clock.now(), ClientKey::from(exchange.client()));
        match self.resolver.lookup(name, key, client, &mut self.shares, now) {
            LookupStart::Cached(found) => self.resolved(key, found, None),
            LookupStart::Pending(id) => {
                self.set_waits(key, Waits::Lookup(id));
                self.note_asked(key);
            }
        }
    }

    /// Its client may connect to any of the addresses, so that none of them may be one that is refused.
    pub(super) fn vet_addresses(&mut self, key: Key, found: &[IpAddr], rest: Option<LookupId>) {
        let Some(request) = self.exchange(key).and_then(Exchange::request) else { return };
        let (_, refused) = self.allowed(request, found.iter().copied());
        if refused.is_some() {
            return self.refuse_address(key, refused);
        }
        self.report_addresses(key, found);
        match rest {
            Some(id) => self.set_waits(key, Waits::Rest(id)),
            None => self.vetted(key),
        }
    }

    fn vetted(&mut self, key: Key) {
        self.with_exchange(key, |exchange, cx| exchange.handle_vetted(cx));
    }

    /// Whether a session's client asks what the service can do, and helpers are to say it.
    pub(super) fn asks_options(&self, key: Key) -> bool {
        self.exchange(key).is_some_and(Exchange::asks_options)
    }

    /// Has a helper say what the service can do. Who may not use the proxy is told without one.
    pub(super) fn ask_for_options(&mut self, key: Key) {
        let Some(exchange) = self.exchange(key) else { return };
        match self.policy.client_allowed(exchange.client()) {
            Ok(()) => self.consult(key),
            Err(_) => self.tell_options(key, Vec::new()),
        }
    }

    /// A helper has said it.
    pub(super) fn options_said(&mut self, key: Key, dialect: &Dialect, reply: &[u8]) {
        let said = dialect.service(reply).unwrap_or_else(|why| {
            log::warn!(target: "manager", "a worker's reply to OPTIONS of ICAP cannot be used, {why}: ours is given");
            Vec::new()
        });
        self.tell_options(key, said);
    }

    pub(super) fn tell_options(&mut self, key: Key, said: Vec<u8>) {
        self.with_exchange(key, |exchange, cx| exchange.handle_options(said, cx));
    }

    /// What is decided changes: clients of ICAP forget what they have kept of it.
    pub(super) fn renew_service(&mut self) {
        let tag = &mut self.settings.icap.tag;
        tag.generation = tag.generation.wrapping_add(1);
    }

    fn exchange(&self, key: Key) -> Option<&Exchange> {
        Some(&self.clients.get(key)?.session.exchange)
    }
}
