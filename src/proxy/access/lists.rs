//! Lists within the hub: what they say of a request is counted, logged and told, and new ones take the place of old ones.

use std::net::IpAddr;
use std::sync::Arc;

use reactor::arena::Key;

use super::list_files::{ListTallies, Outcome};
use crate::http::cause::Cause;
use crate::http::request::{DetourBy, Request};
use crate::http::target::Target;
use crate::monitor::lists::{ListFileNumbers, ListFileRow, Refusals, NUMBERED};
use crate::monitor::observed::{HostVerdict, Observed, ObservedHosts};
use crate::policy::lists::list::ListSize;
use crate::policy::lists::{ListReason, ListVerdict, Lists};
use crate::policy::Refused;
use crate::proxy::Proxy;

/// What a start or a reload says about lists.
#[derive(Clone, Debug)]
pub struct ListSetup {
    /// The lists as they were read.
    pub lists: Arc<Lists>,
    /// Helpers are not asked about what a list allows (`acl.helpers`).
    pub spared: bool,
    /// Clients are told file and line (`acl.tell-list`).
    pub tell: bool,
}

/// The lists in force.
#[derive(Debug)]
pub(in crate::proxy) struct ActiveLists {
    pub(in crate::proxy) lists: Arc<Lists>,
    pub(in crate::proxy) spared: bool,
    tell: bool,
    /// Why their files could not be read again.
    pub(in crate::proxy) stale: Option<Arc<str>>,
    /// Rises when others take their place.
    number: u64,
    files: ListTallies,
    observed: Observed,
    pub(in crate::proxy) refusals: Refusals,
}

impl ActiveLists {
    /// The lists of a start.
    pub(in crate::proxy) fn new(setup: ListSetup) -> ActiveLists {
        ActiveLists::of(setup, None).0
    }

    /// These lists, with what is remembered of those before, which come back.
    fn of(setup: ListSetup, before: Option<ActiveLists>) -> (ActiveLists, Arc<Lists>) {
        let ListSetup { lists, spared, tell } = setup;
        let (number, mut files, mut observed, refusals, before) = match before {
            Some(before) => (before.number + 1, before.files, before.observed, before.refusals, before.lists),
            None => (0, ListTallies::default(), Observed::default(), Refusals::default(), Arc::default()),
        };
        files.replace(&lists);
        if lists.enforced {
            observed = Observed::default();
        }
        (ActiveLists { lists, spared, tell, stale: None, number, files, observed, refusals }, before)
    }

    /// What is in them, and what each of the first files has done, at a time in seconds since 1970.
    pub(in crate::proxy) fn numbers(&self, now: u64) -> (ListSize, Vec<(&'static str, ListFileNumbers)>) {
        let mut numbers: Vec<(&'static str, ListFileNumbers)> = Vec::new();
        for (list, file) in self.files.numbers(now) {
            if numbers.iter().filter(|(own, _)| *own == list).count() < NUMBERED {
                numbers.push((list, file));
            }
        }
        (self.lists.size(), numbers)
    }

    /// All files, at a time in seconds since 1970.
    pub(in crate::proxy) fn rows(&self, now: u64) -> Vec<ListFileRow> {
        self.files.rows(now)
    }

    /// The hosts that were asked for while lists only report.
    pub(in crate::proxy) fn observed(&self) -> ObservedHosts {
        match self.lists.enforced {
            true => ObservedHosts::default(),
            false => {
                self.observed.hosts(self.number, |host, port| self.host_verdict(self.lists.judge(host, port, None)))
            }
        }
    }

    fn observe(&mut self, target: &Target, verdict: ListVerdict) {
        let host = self.host_verdict(verdict);
        self.observed.note(target, host, self.number);
    }

    fn host_verdict(&self, verdict: ListVerdict) -> HostVerdict {
        match verdict {
            ListVerdict::Allowed(_) => HostVerdict::Allowed,
            ListVerdict::Unlisted | ListVerdict::Open => HostVerdict::Unlisted,
            ListVerdict::Blocked(ListReason::Unlisted) => HostVerdict::Closed,
            ListVerdict::Blocked(ListReason::Line(_)) => HostVerdict::Blocked(self.lists.place(verdict).into()),
        }
    }
}

impl Proxy {
    /// Whether lists refuse addresses.
    fn judges_addresses(&self) -> bool {
        self.lists.as_ref().is_some_and(|active| active.lists.enforced && active.lists.have_ranges())
    }

    /// Other lists hold from now on.
    pub(in crate::proxy) fn use_lists(&mut self, setup: Option<ListSetup>) {
        let judged = self.judges_addresses();
        let before = self.lists.take();
        match setup {
            Some(setup) => {
                let (lists, before) = ActiveLists::of(setup, before);
                self.lists = Some(lists);
                self.loading.loader.discard(before);
            }
            None => self.loading.loader.discard(before),
        }
        if judged || self.judges_addresses() {
            self.forget_cached();
        }
    }

    /// The loader has looked at the files of the lists, which are others than those that are in force, or were.
    pub(in crate::proxy) fn lists_looked_at(&mut self, news: Result<Option<Arc<Lists>>, String>) {
        match (news, &mut self.lists) {
            (Ok(Some(lists)), _) => self.lists_changed(lists),
            (Ok(None), Some(active)) => active.stale = None,
            (Err(why), Some(active)) => active.stale = Some(why.into()),
            (_, None) => {}
        }
    }

    fn lists_changed(&mut self, lists: Arc<Lists>) {
        self.counters.lists_loaded += 1;
        self.renew_service();
        let judged = self.judges_addresses();
        let Some(active) = &mut self.lists else { return self.loading.loader.discard(lists) };
        active.stale = None;
        active.number += 1;
        active.files.replace(&lists);
        let before = std::mem::replace(&mut active.lists, lists);
        self.loading.loader.discard(before);
        if judged || self.judges_addresses() {
            self.forget_cached();
        }
    }

    /// A request has passed all stages before its name is looked up. Where lists only report, they do it here.
    pub(in crate::proxy) fn note_listed(&mut self, key: Key, verdict: ListVerdict) {
        let Some(active) = &mut self.lists else { return };
        if !active.lists.enforced {
            if let Some(request) = self.clients.get(key).and_then(|client| client.session.exchange.request()) {
                active.observe(request.target(), verdict);
            }
        }
        match verdict {
            ListVerdict::Blocked(reason) => self.report(key, reason),
            verdict => {
                self.counters.listed_allowed += 1;
                active.files.note(&active.lists, verdict, Outcome::Allowed);
            }
        }
    }

    /// The same for what a helper has put in place of a request that was noted.
    pub(in crate::proxy) fn note_rewritten(&mut self, key: Key, verdict: ListVerdict, target: &Target) {
        let Some(active) = self.lists.as_mut().filter(|active| !active.lists.enforced) else { return };
        active.observe(target, verdict);
        if let ListVerdict::Blocked(reason) = verdict {
            self.report(key, reason);
        }
    }

    /// Lists would have refused a request.
    fn report(&mut self, key: Key, reason: ListReason) {
        self.counters.listed_reported += 1;
        self.note_place(key, reason, Outcome::Reported);
    }

    /// A request is refused. Where lists did it, that is counted, and where the entry stands that refuses it comes back if
    /// clients may know.
    pub(in crate::proxy) fn note_refused(&mut self, key: Key, refused: Refused) -> Option<String> {
        let Refused::Listed(reason) = refused else { return None };
        self.counters.listed_blocked += 1;
        let place = self.note_place(key, reason, Outcome::Blocked);
        self.lists.as_ref().is_some_and(|active| active.tell).then_some(place)
    }

    /// Remembers for logs and numbers where a reason stands.
    fn note_place(&mut self, key: Key, reason: ListReason, outcome: Outcome) -> String {
        let Some(active) = &mut self.lists else { return String::new() };
        let verdict = ListVerdict::Blocked(reason);
        active.files.note(&active.lists, verdict, outcome);
        let place = active.lists.place(verdict);
        active.refusals.note(&place);
        if let Some(summary) = self.clients.get_mut(key).and_then(|client| client.session.exchange.summary_mut()) {
            summary.list = Some(place.as_str().into());
        }
        place
    }

    /// Lists judge the name in the hello of a tunnel, with the address that it leads to.
    pub(in crate::proxy) fn judge_hello(&mut self, key: Key) {
        let (reason, enforced) =
            (self.hello_refused(key), self.lists.as_ref().is_some_and(|active| active.lists.enforced));
        match reason {
            Some(reason) if enforced => drop(self.note_refused(key, Refused::Listed(reason))),
            Some(reason) => self.report(key, reason),
            None => {}
        }
        let refused = reason.filter(|_| enforced).map(|_| Cause::Blocked);
        self.with_exchange(key, |exchange, cx| exchange.handle_judged(refused, cx));
    }

    fn hello_refused(&self, key: Key) -> Option<ListReason> {
        let lists = &self.lists.as_ref()?.lists;
        let session = &self.clients.get(key)?.session;
        let ((name, port), origin) = (session.exchange.name_to_judge()?, session.origin.as_ref()?);
        let verdict = match lists.judge(name, port, None) {
            // Only a parent knows the addresses that decide.
            ListVerdict::Open if session.exchange.tunnels_through_parent() => {
                ListVerdict::Blocked(ListReason::Unlisted)
            }
            // Addresses decide, by the form in which they were judged before they were connected to.
            named @ ListVerdict::Open => {
                let to = origin.address.ip();
                let (address, other) = match self.other_form(to) {
                    Some(inner) if self.resolver.way_to(inner) == to => (inner, Some(to)),
                    other => (to, other),
                };
                lists.judge_address(named, address, other, port)
            }
            named => named,
        };
        match verdict {
            ListVerdict::Blocked(reason) => Some(reason),
            _ => None,
        }
    }

    /// What lists that refuse are to say of the addresses that are about to be connected to for a request.
    pub(in crate::proxy) fn listed(&self, request: &Request) -> Option<Listed<'_>> {
        let active = self.lists.as_ref().filter(|active| active.lists.enforced)?;
        Listed::of(&active.lists, request)
    }

    /// Whether a list allows a request by the host that it names.
    pub(in crate::proxy) fn is_allowed_by_name(&self, request: &Request) -> bool {
        // Also where they only report: it has to be true what they would refuse.
        let verdict = self.lists.as_ref().map(|active| active.lists.judge_request(request));
        matches!(verdict, Some(ListVerdict::Allowed(_)))
    }

    /// Where lists only report, and would refuse all of these addresses, that is counted.
    pub(in crate::proxy) fn report_addresses(&mut self, key: Key, addresses: &[IpAddr]) {
        if self.lists.as_ref().is_none_or(|active| active.lists.enforced) {
            return;
        }
        let addresses: Vec<_> = addresses.iter().map(|address| (*address, self.other_form(*address))).collect();
        let Some(active) = &mut self.lists else { return };
        let Some(request) = self.clients.get(key).and_then(|client| client.session.exchange.request()) else { return };
        let Some(listed) = Listed::of(&active.lists, request) else { return };
        if matches!(listed.named, ListVerdict::Blocked(_)) {
            return;
        }
        let verdicts = addresses.into_iter().map(|(address, other)| listed.verdict(address, other));
        // The first that would be used, or the last of those that would not.
        let Some(verdict) = verdicts.reduce(|last, next| if last.is_blocked() { next } else { last }) else { return };
        let host = active.host_verdict(verdict);
        active.observed.turn(request.target(), host);
        if let ListVerdict::Blocked(reason) = verdict {
            self.report(key, reason);
        }
    }
}

/// What lists say of the addresses of one request: the verdict about its name, once for all of them.
pub(in crate::proxy) struct Listed<'a> {
    lists: &'a Lists,
    named: ListVerdict,
    port: u16,
}

impl<'a> Listed<'a> {
    /// None where no list has a network to judge it by, and for a host that a helper has put in place of the request's own, which is none
    /// of theirs.
    fn of(lists: &'a Lists, request: &Request) -> Option<Listed<'a>> {
        let target = request.target();
        let (named, port) = match request.detour().map(|detour| (detour.by, detour.to.port)) {
            Some((DetourBy::Helper(_), _)) => return None,
            // Without networks the name alone would do, were it more than said.
            Some((DetourBy::Network { proven: false }, port)) => (lists.judge_said(request), port),
            _ if !lists.have_ranges() => return None,
            Some((DetourBy::Network { proven: true }, port)) => (lists.judge_request(request), port),
            None => (lists.judge_request(request), target.port),
        };
        Some(Listed { lists, named, port })
    }

    /// What they say of a host of which no address is known here, so that no network can allow it.
    ///
    /// # Errors
    /// They refuse it.
    pub(in crate::proxy) fn judge_name(&self) -> Result<(), Refused> {
        match self.named {
            ListVerdict::Blocked(reason) => Err(Refused::Listed(reason)),
            ListVerdict::Open if self.lists.closed => Err(Refused::Listed(ListReason::Unlisted)),
            _ => Ok(()),
        }
    }

    /// What they say of an address, and of the other form that the network's gateway gives it.
    ///
    /// # Errors
    /// They refuse it.
    pub(in crate::proxy) fn judge(&self, address: IpAddr, other: Option<IpAddr>) -> Result<(), Refused> {
        match self.verdict(address, other) {
            ListVerdict::Blocked(reason) => Err(Refused::Listed(reason)),
            _ => Ok(()),
        }
    }

    fn verdict(&self, address: IpAddr, other: Option<IpAddr>) -> ListVerdict {
        self.lists.judge_address(self.named, address, other, self.port)
    }
}
