//! Parents, the proxies that requests may be sent through: which requests are (`sites`), which parent is tried when (`chain`), and
//! what each is told of us (`login`). Knows no socket. Pure.

pub mod chain;
pub mod login;
pub mod sites;

use std::net::IpAddr;
use std::sync::Arc;

use crate::http::request::{Announce, DetourBy, Parent, Request};
use crate::http::target::Target;
use chain::ParentChain;
use login::ParentLogins;
use sites::ParentSites;

/// All that is known of parents.
#[derive(Clone, Debug)]
pub struct Parents {
    /// Those of `parent.proxy`, in their order.
    pub chain: ParentChain,
    /// Which requests go through them.
    pub sites: Arc<ParentSites>,
    /// Names are resolved here and judged before a parent gets them (`parent.resolve`), if it was said.
    pub resolve: Option<bool>,
    /// What the parents that helpers name are told.
    pub logins: ParentLogins,
    /// Which header connections to those begin with (`parent.proxy-protocol`).
    pub announce: Announce,
}

impl Parents {
    /// The parent that a helper has named: one of ours, if it is there.
    pub fn named(&self, to: Target) -> Arc<Parent> {
        self.chain.at(&to).unwrap_or_else(|| {
            let credentials = self.logins.of(&to, false);
            Arc::new(Parent { host: to.host, port: to.port, credentials, announce: self.announce })
        })
    }

    /// Whether a request goes through a parent, whose host has these addresses as far as they are known. A request that is sent to
    /// another place than its own goes there, unless it carries no HTTP: then that place is all that is known of
    /// it.
    pub fn take(&self, request: &Request, known: &[IpAddr]) -> bool {
        if request.hop().is_some_and(|hop| hop.named.is_some()) {
            return true;
        }
        if !self.concern(request) {
            return false;
        }
        let target = request.parent_target();
        match target.host.address() {
            Some(address) => self.sites.take(&target.host, target.port, &[address]),
            None => self.sites.take(&target.host, target.port, known),
        }
    }

    /// Whether the addresses of its host say whether a request goes through a parent.
    pub fn depend(&self, request: &Request) -> bool {
        self.sites.have_ranges() && self.concern(request)
    }

    fn concern(&self, request: &Request) -> bool {
        !self.chain.is_empty() && !request.leads_nowhere() && !is_sent_elsewhere(request)
    }

    /// Whether names have to be resolved here first. Where that was left open they are if there is something to judge addresses by.
    pub fn resolve(&self, judged: bool) -> bool {
        self.resolve.unwrap_or(judged)
    }
}

fn is_sent_elsewhere(request: &Request) -> bool {
    match request.detour().map(|detour| detour.by) {
        Some(DetourBy::Network { .. }) => request.opaque_kind().is_none(),
        Some(DetourBy::Helper(_)) => true,
        None => false,
    }
}

#[cfg(test)]
mod tests;
