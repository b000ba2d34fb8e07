//! Lists within the hub: what they say of a request is counted, logged and told, and new ones take the place of old ones.

use std::net::IpAddr;

use reactor::arena::Key;

use super::Proxy;
use crate::http::request::Request;
use crate::loader::lists::ListReader;
use crate::policy::lists::{ListReason, ListVerdict, Lists};
use crate::policy::Refused;

/// What a start or a reload says about lists.
#[derive(Debug)]
pub struct ListSetup {
    /// The lists as they were read, and how their files are looked at again.
    pub read: (ListReader, Lists),
    /// Helpers are not asked about what a list allows (`acl.helpers`).
    pub spared: bool,
    /// Clients are told file and line (`acl.tell-list`).
    pub tell: bool,
}

/// The lists in force.
#[derive(Debug)]
pub(super) struct ActiveLists {
    pub(super) lists: Lists,
    pub(super) spared: bool,
    tell: bool,
}

impl ActiveLists {
    pub(super) fn of(setup: ListSetup) -> (ActiveLists, ListReader) {
        let ListSetup { read: (reader, lists), spared, tell } = setup;
        (ActiveLists { lists, spared, tell }, reader)
    }

    /// Those that refuse.
    pub(super) fn enforced(&self) -> Option<&Lists> {
        Some(&self.lists).filter(|lists| lists.enforced)
    }

    /// Names and networks.
    pub(super) fn len(&self) -> (u64, u64) {
        let (names, ranges) = self.lists.len();
        (names as u64, ranges as u64)
    }
}

impl Proxy {
    /// Other lists hold from now on.
    pub(super) fn use_lists(&mut self, setup: Option<ListSetup>) {
        let (lists, reader) = setup.map(ActiveLists::of).unzip();
        let before = std::mem::replace(&mut self.lists, lists);
        self.loading.watch_lists(reader, self.clock.now());
        self.loading.loader.discard(before);
    }

    /// The files of the lists have changed.
    pub(super) fn lists_changed(&mut self, lists: Lists) {
        self.counters.lists_loaded += 1;
        let before = self.lists.as_mut().map(|active| std::mem::replace(&mut active.lists, lists));
        self.loading.loader.discard(before);
    }

    /// A request has passed all stages before its name is looked up. Where lists only report, they do it here.
    pub(super) fn note_listed(&mut self, key: Key) {
        let Some(active) = &self.lists else { return };
        if active.lists.enforced {
            self.counters.listed_allowed += 1;
            return;
        }
        let Some(request) = self.clients.get(key).and_then(|client| client.session.exchange.request()) else { return };
        let verdict = active.lists.judge(&request.target().host, request.target().port);
        match verdict {
            ListVerdict::Blocked(reason) => self.report(key, reason),
            _ => self.counters.listed_allowed += 1,
        }
    }

    /// Lists would have refused a request.
    fn report(&mut self, key: Key, reason: ListReason) {
        self.counters.listed_reported += 1;
        self.note_place(key, reason);
    }

    /// A request is refused. Where lists did it, that is counted, and the words for the client come back.
    pub(super) fn note_refused(&mut self, key: Key, refused: Refused) -> Option<String> {
        let Refused::Listed(reason) = refused else { return None };
        self.counters.listed_blocked += 1;
        let place = self.note_place(key, reason);
        let tell = self.lists.as_ref().is_some_and(|active| active.tell);
        tell.then(|| format!("{refused}, {place}"))
    }

    /// Remembers for the log where a reason stands.
    fn note_place(&mut self, key: Key, reason: ListReason) -> String {
        let Some(active) = &self.lists else { return String::new() };
        let place = active.lists.place(ListVerdict::Blocked(reason));
        if let Some(summary) = self.clients.get_mut(key).and_then(|client| client.session.exchange.summary_mut()) {
            summary.list = Some(place.as_str().into());
        }
        place
    }

    /// What lists that refuse are to say of the addresses that are about to be connected to for a request.
    pub(super) fn listed(&self, request: &Request) -> Option<Listed<'_>> {
        Listed::of(self.lists.as_ref().and_then(ActiveLists::enforced)?, request)
    }

    /// Where lists only report, and would refuse all of these addresses, that is counted.
    pub(super) fn report_addresses(&mut self, key: Key, addresses: &[IpAddr]) {
        let Some(active) = self.lists.as_ref().filter(|active| !active.lists.enforced) else { return };
        let Some(request) = self.clients.get(key).and_then(|client| client.session.exchange.request()) else { return };
        let Some(listed) = Listed::of(&active.lists, request) else { return };
        if matches!(listed.named, ListVerdict::Blocked(_)) {
            return;
        }
        let mut reasons = addresses.iter().map(|address| listed.judge(*address, self.other_form(*address)).err());
        if let Some(Some(Refused::Listed(reason))) = reasons.next().filter(|_| reasons.all(|reason| reason.is_some())) {
            self.report(key, reason);
        }
    }
}

/// What lists say of the addresses of one request: the verdict about its name, once for all of them.
pub(super) struct Listed<'a> {
    lists: &'a Lists,
    named: ListVerdict,
    port: u16,
}

impl<'a> Listed<'a> {
    /// None where no list has a network, and for a host that a helper has put in place of the request's own, which is none
    /// of theirs.
    fn of(lists: &'a Lists, request: &Request) -> Option<Listed<'a>> {
        let target = request.target();
        let wanted = lists.have_ranges() && !request.is_diverted();
        wanted.then(|| Listed { lists, named: lists.judge(&target.host, target.port), port: target.port })
    }

    /// What they say of an address, and of the other form that the network's gateway gives it.
    ///
    /// # Errors
    /// They refuse it.
    pub(super) fn judge(&self, address: IpAddr, other: Option<IpAddr>) -> Result<(), Refused> {
        match self.lists.judge_address(self.named, address, other, self.port) {
            ListVerdict::Blocked(reason) => Err(Refused::Listed(reason)),
            _ => Ok(()),
        }
    }
}
