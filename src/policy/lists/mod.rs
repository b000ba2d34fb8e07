//! Lists of names and networks that say where clients may go. Knows neither files nor the request that asks. Pure.

mod entry;
mod foreign;
pub mod line;
pub mod list;
pub mod names;
mod puny;
mod ranges;
#[cfg(test)]
mod tests;
mod urls;

use std::net::IpAddr;

use super::address;
use crate::http::request::Request;
use crate::http::target::Host;
use crate::http::Method;
pub use entry::LineKind;
use list::{List, ListSize};

/// The lists in force, and what they are for.
#[derive(Debug, Default)]
pub struct Lists {
    /// What may not be reached (`acl.blocklist`).
    pub block: List,
    /// What may be reached (`acl.allowlist`).
    pub allow: List,
    /// What is on no list may not be reached (`acl.default`).
    pub closed: bool,
    /// They refuse; else it is only told what they would refuse (`acl.mode`).
    pub enforced: bool,
}

/// What lists say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListVerdict {
    /// It may be reached, by this line of the list for that.
    Allowed(u32),
    /// No list names it, and it may be reached.
    Unlisted,
    /// No list names it, and its addresses decide.
    Open,
    /// It may not be reached.
    Blocked(ListReason),
}

/// Why lists refuse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListReason {
    /// By this line of the list for that.
    Line(u32),
    /// Because no list names it.
    Unlisted,
}

impl ListVerdict {
    /// It may not be reached.
    pub fn is_blocked(self) -> bool {
        matches!(self, ListVerdict::Blocked(_))
    }
}

impl Lists {
    /// What is to be said of a host before a name server is asked, for a request to this port with this path, of which a tunnel
    /// has none. Of an address it is the last word.
    pub fn judge(&self, host: &Host, port: u16, path: Option<&[u8]>) -> ListVerdict {
        match host {
            Host::V4(address) => self.judge_literal(IpAddr::V4(*address), port, path),
            Host::V6(address, _) => self.judge_literal(IpAddr::V6(*address), port, path),
            Host::Name(name) => {
                let allowed = self.allow.find_host(name, port, path.filter(|path| urls::is_plain(path)));
                self.judge_host(allowed, || self.block.find_host(name, port, path))
            }
        }
    }

    /// What is to be said of a request: [`Lists::judge`] for its target.
    pub fn judge_request(&self, request: &Request) -> ListVerdict {
        let path = (request.method() != Method::Connect).then(|| request.path());
        self.judge(&request.target().host, request.target().port, path)
    }

    fn judge_host(&self, allowed: Option<u32>, blocked: impl FnOnce() -> Option<u32>) -> ListVerdict {
        if let Some(line) = allowed {
            return ListVerdict::Allowed(line);
        }
        match blocked() {
            Some(line) => ListVerdict::Blocked(ListReason::Line(line)),
            None if !self.closed => ListVerdict::Unlisted,
            None if self.allow.has_ranges() => ListVerdict::Open,
            None => ListVerdict::Blocked(ListReason::Unlisted),
        }
    }

    fn judge_literal(&self, address: IpAddr, port: u16, path: Option<&[u8]>) -> ListVerdict {
        let find = |list: &List, path: Option<&[u8]>| {
            if list.has_urls() {
                list.find_url(&address.to_canonical().to_string(), path?)
            } else {
                None
            }
        };
        let named = match (find(&self.allow, path.filter(|path| urls::is_plain(path))), find(&self.block, path)) {
            (Some(line), _) => ListVerdict::Allowed(line),
            (None, Some(line)) => ListVerdict::Blocked(ListReason::Line(line)),
            (None, None) => ListVerdict::Open,
        };
        self.judge_address(named, address, None, port)
    }

    /// What is to be said of the host that a request only says: where its connection goes is not known to be there. It may be
    /// blocked by that, and is allowed nothing.
    pub fn judge_said(&self, request: &Request) -> ListVerdict {
        let (host, port) = (&request.target().host, request.target().port);
        let path = (request.method() != Method::Connect).then(|| request.path());
        let url = |name: &str| self.block.find_url(name, path?);
        let blocked = match host {
            Host::Name(name) => self.block.find_host(name, port, path),
            _ => host.address().and_then(|address| {
                match self.judge_address(ListVerdict::Unlisted, address, None, port) {
                    ListVerdict::Blocked(ListReason::Line(line)) => Some(line),
                    _ if self.block.has_urls() => url(&address.to_canonical().to_string()),
                    _ => None,
                }
            }),
        };
        match blocked {
            Some(line) => ListVerdict::Blocked(ListReason::Line(line)),
            None if self.closed => ListVerdict::Open,
            None => ListVerdict::Unlisted,
        }
    }

    /// What is to be said of an address that is about to be connected to. `named` is what was said of the name that it
    /// belongs to. A blocked network wins over an allowed name, an allowed network over a blocked one; an address is blocked
    /// in every form that a gateway may take it for, `other` being that of this network's gateway, and allowed as it is.
    pub fn judge_address(&self, named: ListVerdict, address: IpAddr, other: Option<IpAddr>, port: u16) -> ListVerdict {
        if let Some(line) = self.allow.find_address(address.to_canonical(), port) {
            return ListVerdict::Allowed(line);
        }
        let mut forms = std::iter::once(address).chain(address::forms(address)).chain(other);
        if let Some(line) = forms.find_map(|form| self.block.find_address(form, port)) {
            return ListVerdict::Blocked(ListReason::Line(line));
        }
        match named {
            ListVerdict::Open if self.closed => ListVerdict::Blocked(ListReason::Unlisted),
            ListVerdict::Open => ListVerdict::Unlisted,
            named => named,
        }
    }

    /// Whether addresses have to be judged at all.
    pub fn have_ranges(&self) -> bool {
        self.block.has_ranges() || self.allow.has_ranges()
    }

    /// Where the line stands that a verdict rests on, as `FILE:LINE`; empty where none is.
    pub fn place(&self, verdict: ListVerdict) -> String {
        match verdict {
            ListVerdict::Allowed(line) => self.allow.place(line),
            ListVerdict::Blocked(ListReason::Line(line)) => self.block.place(line),
            ListVerdict::Blocked(ListReason::Unlisted) => "acl.default".to_owned(),
            ListVerdict::Unlisted | ListVerdict::Open => String::new(),
        }
    }

    /// What is in all lists.
    pub fn size(&self) -> ListSize {
        let (block, allow) = (self.block.size(), self.allow.size());
        ListSize {
            names: block.names + allow.names,
            ranges: block.ranges + allow.ranges,
            urls: block.urls + allow.urls,
        }
    }
}
