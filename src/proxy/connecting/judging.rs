//! Addresses, judged right before they are connected to, or before a parent is asked to.

use std::net::IpAddr;

use mio::net::TcpStream;
use reactor::arena::Key;

use super::AddressList;
use crate::http::request::{Parent, Request};
use crate::http::target::{Host, Target};
use crate::http::Method;
use crate::io::origin::Origin;
use crate::policy::address::ends_here;
use crate::policy::Refused;
use crate::proxy::access::lists::Listed;
use crate::proxy::Proxy;
use crate::upstream::dial::DialError;

impl Proxy {
    /// Those of the addresses that may be connected to, and why the last of the others may not. Decided on what is really
    /// connected to, after resolution and after what a helper has put in place of it, so that no name can hide an address. For a
    /// request that goes through a parent they are that parent's.
    pub(in crate::proxy) fn allowed(
        &self,
        request: &Request,
        addresses: impl Iterator<Item = IpAddr>,
    ) -> (AddressList, Option<Refused>) {
        let mut refused = None;
        let (parent, listed) = (request.parent(), self.listed(request));
        let allow = |address: &IpAddr| {
            let verdict = match parent {
                Some(parent) => self.judge_parent(parent, *address),
                None => self.judge_origin(request, request.destination(), *address, listed.as_ref()),
            };
            refused = verdict.err().or(refused);
            verdict.is_ok()
        };
        (addresses.filter(allow).collect(), refused)
    }

    fn judge_origin(
        &self,
        request: &Request,
        to: &Target,
        address: IpAddr,
        listed: Option<&Listed<'_>>,
    ) -> Result<(), Refused> {
        let (host, port) = (name_of(&to.host), to.port);
        self.policy.address_allowed(host, address, port, &self.local)?;
        self.judge_port(request, host, address, port)?;
        let other = self.other_form(address);
        // It is the gateway's address that is connected to.
        if let Some(form) = other.filter(|_| address.is_ipv4()) {
            self.policy.address_allowed(host, form, port, &self.local)?;
        }
        listed.map_or(Ok(()), |listed| listed.judge(address, other))
    }

    fn judge_port(&self, request: &Request, host: &str, address: IpAddr, port: u16) -> Result<(), Refused> {
        match request.method() {
            // The walk over stages has judged its port by `security.connect`.
            Method::Connect => Ok(()),
            _ => self.policy.port_allowed(host, address, port, &self.local),
        }
    }

    fn judge_parent(&self, parent: &Parent, address: IpAddr) -> Result<(), Refused> {
        let host = name_of(&parent.host);
        // One that a helper alone has named is judged like an origin.
        let ours = self.parents.chain.has(parent);
        let judge = |form| match ours {
            true => self.policy.parent_allowed(host, form, parent.port, &self.local),
            false => self.policy.address_allowed(host, form, parent.port, &self.local),
        };
        judge(address)?;
        self.other_form(address).filter(|_| address.is_ipv4()).map_or(Ok(()), judge)
    }

    /// What forbids that a parent gets this request, whose host has these addresses. One that may not be connected to is enough, as
    /// the parent may choose any of them.
    pub(super) fn judge_for_parent(&self, request: &Request, known: &[IpAddr]) -> Result<(), Refused> {
        let (to, listed) = (request.parent_target(), self.listed(request));
        let (host, port) = (name_of(&to.host), to.port);
        known.iter().try_for_each(|address| {
            self.policy.destination_allowed(host, *address, port, &self.local)?;
            self.judge_port(request, host, *address, port)?;
            let other = self.other_form(*address);
            if let Some(form) = other.filter(|_| address.is_ipv4()) {
                self.policy.destination_allowed(host, form, port, &self.local)?;
            }
            listed.as_ref().map_or(Ok(()), |listed| listed.judge(*address, other))
        })
    }

    /// The same for a host of which no address is known here.
    pub(super) fn judge_unresolved(&self, request: &Request) -> Result<(), Refused> {
        if request.method() != Method::Connect {
            self.policy.far_port_allowed(request.target().port)?;
        }
        self.listed(request).map_or(Ok(()), |listed| listed.judge_name())
    }

    pub(in crate::proxy) fn refuse_address(&mut self, key: Key, refused: Option<Refused>) {
        // A connection that comes back is no fault of a parent's.
        if self.has_parent(key) && !self.comes_back(key) {
            return self.refuse_parent(key, refused);
        }
        self.counters.refused += 1;
        let place = refused.and_then(|refused| self.note_refused(key, refused)).unwrap_or_default();
        self.fail_request(key, |answers, request, client| match &refused {
            Some(refused) => answers.refused(refused, &place, request, client),
            None => answers.dial_error(DialError::Unreachable, request, client),
        });
    }

    /// Why a new connection may not be used: it ends on this machine, though its address was on no list of ours. So do those to
    /// networks that the kernel delivers here, and to an address that became ours a moment ago.
    pub(super) fn judge_end(&self, key: Key, origin: &Origin<TcpStream>) -> Option<Refused> {
        let to = origin.address;
        if self.comes_back(key) {
            // It was there before it was known which connection of ours it is.
            return Some(Refused::Loop(to.ip(), to.port()));
        }
        let local = (origin.exchanges == 0).then(|| origin.stream.io.local_addr().ok())??;
        if !ends_here(local.ip(), to.ip()) {
            return None;
        }
        let request = self.clients.get(key)?.session.exchange.request()?;
        let host = name_of(request.parent().map_or(&request.destination().host, |parent| &parent.host));
        self.policy.own_address_allowed(host, to.ip(), to.port(), &self.local).err()
    }
}

/// The name that a host has, empty where it is an address.
fn name_of(host: &Host) -> &str {
    match host {
        Host::Name(name) => name,
        Host::V4(_) | Host::V6(..) => "",
    }
}
