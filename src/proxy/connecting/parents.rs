//! Requests on their way to a parent: whether they go there, what is judged before, which parent is tried, and what becomes of them
//! where it cannot be reached. From the connection on a parent is served like an origin.

use std::net::IpAddr;
use std::sync::Arc;

use dns::Failure;
use reactor::arena::Key;
use reactor::Millis;

use crate::exchange::ingress::HostCheck;
use crate::exchange::phase::PhaseKind;
use crate::http::cause::Cause;
use crate::http::request::{Parent, Request};
use crate::http::target::{Host, Target};
use crate::policy::lists::Lists;
use crate::policy::parents::chain::{NextHop, PATIENCE};
use crate::policy::parents::Parents;
use crate::policy::shares::ClientKey;
use crate::policy::Refused;
use crate::proxy::{Proxy, Waits};
use crate::resolver::{LookupId, LookupResult, LookupStart};

impl Proxy {
    /// Takes over what a reload or a changed file says of parents, of whose failures nothing is remembered.
    pub(in crate::proxy) fn use_parents(&mut self, parents: Parents) {
        let before = std::mem::replace(&mut self.parents, parents);
        self.loading.loader.discard(before);
    }

    /// How many of them are left alone.
    pub(in crate::proxy) fn parents_down(&self) -> u64 {
        self.parents.chain.down(self.parents_now())
    }

    /// The time by which failures of parents are noted, one for all loops.
    fn parents_now(&self) -> Millis {
        self.loops.as_ref().map_or(self.clock.now(), |loops| loops.common().now())
    }

    /// A helper names the parent that a request goes through.
    pub(in crate::proxy) fn name_parent(&mut self, key: Key, to: Target) {
        if self.is_vetted(key) {
            return self.undecided(key, "a helper has named a parent for a request that its client sends on itself");
        }
        let named = self.parents.named(to);
        self.with_exchange(key, |exchange, _| exchange.handle_parent_named(named));
        self.permit(key);
    }

    /// Sends a request to a parent that finds its host by itself. False if the host is looked for here.
    pub(super) fn sends_unresolved(&mut self, key: Key) -> bool {
        let Some(request) = self.request_of(key) else { return false };
        if self.parents.chain.is_empty() && request.hop().is_none() {
            return false;
        }
        let named = matches!(request.parent_target().host, Host::Name(_));
        if !named || self.asks_addresses(key, request) || !self.parents.take(request, &[]) {
            return false;
        }
        match self.judge_unresolved(request) {
            Ok(()) => self.next_hop(key),
            Err(refused) => self.refuse_address(key, Some(refused)),
        }
        true
    }

    /// Whether the addresses of its host have to be known before a parent gets a request.
    fn asks_addresses(&self, key: Key, request: &Request) -> bool {
        let lists = self.lists.as_ref().is_some_and(|active| Lists::have_ranges(&active.lists));
        // The host of a diverted request is compared with where its connection was going.
        let compared = self.divert.host_check == HostCheck::Refuse && self.held_against(key).is_some();
        let direct = request.hop().is_some_and(|hop| hop.direct);
        !direct && (compared || self.parents.resolve(lists || self.policy.has_denied()))
    }

    /// Whether the addresses of the host of a request are to be judged before a parent gets it.
    pub(super) fn looks_up_for_parent(&self, key: Key) -> bool {
        let Some(request) = self.request_of(key) else { return false };
        if self.parents.chain.is_empty() && request.hop().is_none() {
            return false;
        }
        let open = request.hop().is_none_or(|hop| hop.parent.is_none() && !hop.direct);
        open && (self.parents.take(request, &[]) || self.parents.depend(request))
    }

    /// Addresses of the host are known whose request may go through a parent; `rest` is the lookup that will bring more.
    pub(super) fn host_known(&mut self, key: Key, found: &[IpAddr], rest: Option<LookupId>) {
        if let Some(id) = rest {
            return self.set_waits(key, Waits::Rest(id));
        }
        let Some(request) = self.request_of(key) else { return };
        let (taken, verdict) = (self.parents.take(request, found), self.judge_for_parent(request, found));
        let known = found.to_vec();
        self.with_exchange(key, |exchange, _| exchange.hop_mut().map(|hop| hop.known = known));
        match verdict {
            _ if !taken => self.go_directly(key),
            Ok(()) => {
                self.report_addresses(key, found);
                self.next_hop(key);
            }
            Err(refused) => self.refuse_address(key, Some(refused)),
        }
    }

    /// Sends a request to the next place in the chain that it has not tried.
    fn next_hop(&mut self, key: Key) {
        let now = self.parents_now();
        let Some(request) = self.request_of(key) else { return };
        let (named, tried) = request.hop().map_or((None, 0), |hop| (hop.named.clone(), hop.tried));
        let next = match named {
            Some(parent) => (tried == 0).then_some(NextHop::Parent { bit: 1, parent, last: true }),
            None => self.parents.chain.choose(tried, now),
        };
        match next {
            Some(NextHop::Parent { bit, parent, last }) => {
                self.with_exchange(key, |exchange, _| {
                    if let Some(hop) = exchange.hop_mut() {
                        (hop.parent, hop.tried, hop.last) = (Some(parent), hop.tried | bit, last);
                    }
                });
                self.reach_parent(key);
            }
            Some(NextHop::Direct) => self.go_directly(key),
            None => {
                self.counters.dial_failures += 1;
                self.fail_request(key, |answers, request, client| {
                    answers.explain(Cause::ParentFailed, request, client, "")
                });
            }
        }
    }

    /// Sends a request to its origin, at the addresses that are known by now.
    fn go_directly(&mut self, key: Key) {
        let known = self.with_exchange(key, |exchange, _| {
            let hop = exchange.hop_mut()?;
            (hop.parent, hop.direct) = (None, true);
            Some(std::mem::take(&mut hop.known))
        });
        match known.flatten() {
            Some(known) if !known.is_empty() => self.dial(key, &known, None),
            _ => self.resolve_origin(key),
        }
    }

    /// Finds the addresses of the parent that a request goes through.
    fn reach_parent(&mut self, key: Key) {
        let now = self.clock.now();
        let Some(client) = self.clients.get(key) else { return };
        let Some(parent) = client.session.exchange.request().and_then(Request::parent).cloned() else { return };
        let Host::Name(name) = &parent.host else {
            let address: Vec<IpAddr> = parent.host.address().into_iter().collect();
            return self.dial(key, &address, None);
        };
        let client = ClientKey::from(client.session.exchange.client());
        match self.resolver.lookup(name, key, client, &mut self.shares, now) {
            LookupStart::Cached(found) => self.parent_resolved(key, found, None),
            LookupStart::Pending(id) => {
                self.set_waits(key, Waits::Lookup(id));
                self.note_asked(key);
            }
        }
    }

    /// The addresses of the parent are known, or there are none.
    pub(super) fn parent_resolved(&mut self, key: Key, found: LookupResult, rest: Option<LookupId>) {
        match found {
            Ok(addresses) => {
                let addresses: Vec<IpAddr> = addresses.iter().collect();
                self.dial(key, &addresses, rest);
            }
            // That is no fault of the parent's.
            Err(Failure::Overloaded) => {
                self.report_names(key);
                let failure = Failure::Overloaded;
                self.fail_request(key, |answers, request, client| answers.name_failure(&failure, request, client));
            }
            Err(failure) => {
                self.counters.name_failures += 1;
                self.lose_parent(key, &failure.to_string());
            }
        }
    }

    /// Whether the request of a session goes through a parent.
    pub(in crate::proxy) fn has_parent(&self, key: Key) -> bool {
        self.parent_of(key).is_some()
    }

    fn parent_of(&self, key: Key) -> Option<&Arc<Parent>> {
        self.request_of(key)?.parent()
    }

    /// How long a connection to the parent of a request may take before the next place is tried.
    pub(super) fn patience(request: &Request) -> Option<Millis> {
        request.hop().filter(|hop| hop.parent.is_some() && !hop.last).map(|_| PATIENCE)
    }

    /// The parent may not be connected to.
    pub(super) fn refuse_parent(&mut self, key: Key, refused: Option<Refused>) {
        let why = refused.map_or_else(|| "there is no way to it".to_owned(), |refused| refused.to_string());
        self.lose_parent(key, &why);
    }

    /// The parent that a request was to go through cannot be reached: the next place is tried.
    pub(super) fn lose_parent(&mut self, key: Key, why: &str) {
        self.blame_parent(key, why);
        self.with_exchange(key, |exchange, _| {
            if let Some(hop) = exchange.hop_mut() {
                hop.parent = None;
            }
        });
        self.next_hop(key);
    }

    /// The parent that a request was to go through cannot be reached: it is left alone for a while.
    pub(super) fn blame_parent(&mut self, key: Key, why: &str) {
        let now = self.clock.now();
        let Some(parent) = self.parent_of(key).cloned() else { return };
        self.counters.parent_failures += 1;
        if let Host::Name(name) = &parent.host {
            // It may have moved since its addresses were looked up.
            self.resolver.forget(name, now);
        }
        match self.parents.chain.note_failure(&parent, self.parents_now()) {
            Some(rest) => log::error!(
                target: "download",
                "the parent {parent} cannot be reached: {why}; it is left alone for {} seconds where there is another way",
                rest / 1000
            ),
            None => log::info!(target: "download", "the parent {parent} cannot be reached: {why}"),
        }
    }

    /// There is a connection for a request, new or not.
    pub(super) fn note_parent(&mut self, key: Key, reused: bool) {
        let Some(parent) = self.parent_of(key).cloned() else { return };
        self.counters.parent_requests += 1;
        if !reused && self.parents.chain.note_success(&parent) {
            crate::critical!(target: "download", "the parent {parent} is reached again");
        }
    }

    /// No connection has come about in the time of a request.
    pub(in crate::proxy) fn blame_slow_parent(&mut self, key: Key) {
        let phase = self.clients.get(key).map(|client| client.session.exchange.phase().kind());
        if matches!(phase, Some(PhaseKind::Resolving | PhaseKind::Connecting)) {
            self.blame_parent(key, "no connection came about in time");
        }
    }

    /// Tells the operator of a parent that wants other credentials, once in a while.
    pub(in crate::proxy) fn note_parent_login(&mut self, key: Key) {
        let Some(parent) = self.parent_of(key).cloned() else { return };
        if self.may_report(crate::proxy::report::Trouble::ParentLogin) {
            log::error!(target: "download", "the parent {parent} does not take our credentials (parent.auth-file)");
        }
    }
}
