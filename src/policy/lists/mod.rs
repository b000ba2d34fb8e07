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

use std::net::IpAddr;

use super::address;
use crate::http::target::Host;
use list::List;

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

impl Lists {
    /// What is to be said of a host before a name server is asked, for a request to this port. Of an address it is the last
    /// word.
    pub fn judge(&self, host: &Host, port: u16) -> ListVerdict {
        match host {
            Host::V4(address) => self.judge_address(ListVerdict::Open, IpAddr::V4(*address), None, port),
            Host::V6(address, _) => self.judge_address(ListVerdict::Open, IpAddr::V6(*address), None, port),
            Host::Name(name) => self.judge_name(name, port),
        }
    }

    fn judge_name(&self, name: &str, port: u16) -> ListVerdict {
        if let Some(line) = self.allow.find_name(name, port) {
            return ListVerdict::Allowed(line);
        }
        match self.block.find_name(name, port) {
            Some(line) => ListVerdict::Blocked(ListReason::Line(line)),
            None if !self.closed => ListVerdict::Unlisted,
            None if self.allow.has_ranges() => ListVerdict::Open,
            None => ListVerdict::Blocked(ListReason::Unlisted),
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

    /// Names and networks in all lists.
    pub fn len(&self) -> (usize, usize) {
        let ((names, ranges), (more, further)) = (self.block.len(), self.allow.len());
        (names + more, ranges + further)
    }
}
