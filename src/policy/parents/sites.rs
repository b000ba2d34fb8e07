//! Which hosts are reached through parents (`parent.for`, `parent.except`): lists of names and networks. Pure.

use std::net::IpAddr;

use crate::http::target::Host;
use crate::policy::lists::line::ListFormat;
use crate::policy::lists::list::{List, ListReading};
use crate::policy::lists::names::ListKey;

/// The two lists.
#[derive(Debug, Default)]
pub struct ParentSites {
    /// Those that are; none where all are.
    pub only: Option<List>,
    /// Those that are not.
    pub except: List,
}

impl ParentSites {
    /// Whether this host is reached through a parent, with these addresses as far as they are known.
    pub fn take(&self, host: &Host, port: u16, known: &[IpAddr]) -> bool {
        let named = |list: &List| match host {
            Host::Name(name) => list.find_name(name, port).is_some(),
            Host::V4(_) | Host::V6(..) => false,
        };
        let addressed =
            |list: &List| known.iter().any(|address| list.find_address(address.to_canonical(), port).is_some());
        let holds = |list: &List| named(list) || addressed(list);
        self.only.as_ref().is_none_or(holds) && !holds(&self.except)
    }

    /// Whether addresses can make a difference.
    pub fn have_ranges(&self) -> bool {
        self.except.has_ranges() || self.only.as_ref().is_some_and(List::has_ranges)
    }
}

/// Whether a text is a single entry of a list: a name, a network, an address, with a port or a `!` or without.
pub fn is_entry(text: &str) -> bool {
    let mut reading = ListReading::new(ListKey::default());
    reading.begin("");
    reading.read(text.as_bytes(), ListFormat::Lines);
    reading
        .finish()
        .is_ok_and(|list| list.files().iter().all(|file| (file.entries, file.others, file.lines) == (1, 0, 1)))
}
