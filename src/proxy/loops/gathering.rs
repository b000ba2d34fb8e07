//! Pages of the monitor about all loops: the first asks the others what a page needs, and adds up what they tell.

use std::collections::HashMap;

use reactor::arena::Key;
use reactor::Millis;

use super::letters::{LoopReport, News, Task};
use super::LoopRole;
use crate::monitor::drainers::DrainerRow;
use crate::monitor::history::History;
use crate::monitor::hosts::Top;
use crate::monitor::listeners::ListenerRow;
use crate::monitor::lists::ListFileRow;
use crate::monitor::observed::ObservedHosts;
use crate::monitor::sessions::{EndPointKind, EndPoints, Filter, Sessions};
use crate::monitor::Running;
use crate::proxy::access::lists::ActiveLists;
use crate::proxy::client::Waits;
use crate::proxy::Proxy;
use crate::web::{self, Facts, LogMessage, MessageKind, Needs, Process, Source};

/// Milliseconds after which a page is made without loops that have told nothing: what they told last is used.
const LATE: Millis = 1000;

/// The pages that are waited for, at most one for each client of the monitor.
#[derive(Debug, Default)]
pub(super) struct Gatherings {
    last: u64,
    open: HashMap<u64, Gathering>,
}

#[derive(Debug)]
struct Gathering {
    session: Key,
    reports: Vec<LoopReport>,
    missing: usize,
    since: Millis,
}

impl Proxy {
    /// Asks the other loops what the page needs that a client of the monitor asks for. False where there are none.
    pub(in crate::proxy) fn gather(&mut self, key: Key) -> bool {
        let now = self.clock.now();
        let request = self.clients.get(key).and_then(|client| client.session.exchange.request());
        let Some(needs) = request.filter(|_| self.loops.is_some()).map(web::needs) else { return false };
        let Some(first) = self.first_loop() else { return false };
        first.gatherings.last += 1;
        let number = first.gatherings.last;
        let missing = self.ask_loops(|| Task::Report(number, needs.clone())).len();
        if missing == 0 {
            return false;
        }
        let gathering = Gathering { session: key, reports: Vec::new(), missing, since: now };
        if let Some(first) = self.first_loop() {
            first.gatherings.open.insert(number, gathering);
        }
        self.set_waits(key, Waits::Reports(number));
        true
    }

    /// Tells the first loop what a page needs.
    pub(super) fn report_to_first(&self, number: u64, needs: &Needs) {
        let Some(loops) = &self.loops else { return };
        let lists = self.lists.as_ref().filter(|_| needs.lists);
        let report = LoopReport {
            running: needs.running.then(|| self.running()),
            sessions: needs.sessions.as_ref().map(|filter| self.sessions(filter)).unwrap_or_default(),
            ends: needs.ends.map(|side| self.ends(side)).unwrap_or_default(),
            listeners: if needs.listeners { self.clients_by_listener() } else { HashMap::new() },
            files: lists.map(|lists| lists.rows(self.now())).unwrap_or_default(),
            observed: lists.map(ActiveLists::observed).unwrap_or_default(),
            refusals: lists.map(|lists| owned(&lists.refusals.rows())).unwrap_or_default(),
        };
        loops.post.first.post(News::Reported(loops.number, number, Box::new(report)));
    }

    /// The last numbers of a loop.
    pub(super) fn note_numbers(&mut self, from: usize, running: Running) {
        if let Some(told) = self.first_loop().and_then(|first| first.told.get_mut(from.checked_sub(1)?)) {
            *told = running;
        }
    }

    /// A loop has told what a page needs. With the last of them the page is made.
    pub(super) fn take_report(&mut self, from: usize, number: u64, mut report: LoopReport) {
        if let Some(running) = report.running.take() {
            self.note_numbers(from, running);
        }
        let Some(first) = self.first_loop() else { return };
        let Some(gathering) = first.gatherings.open.get_mut(&number) else { return };
        gathering.reports.push(report);
        gathering.missing -= 1;
        if gathering.missing == 0 {
            self.end_gathering(number);
        }
    }

    fn end_gathering(&mut self, number: u64) {
        let Some(first) = self.first_loop() else { return };
        let Some(Gathering { session, reports, .. }) = first.gatherings.open.remove(&number) else { return };
        let Some(client) = self.clients.get_mut(session).filter(|client| client.waits == Waits::Reports(number)) else {
            return;
        };
        client.waits = Waits::Nothing;
        self.answer_with(session, &reports);
        self.enqueue(session);
    }

    /// What is due once a second. The first loop makes pages that have waited for too long; the others tell it their numbers. True
    /// in one of the others.
    pub(in crate::proxy) fn reports_second(&mut self) -> bool {
        let now = self.clock.now();
        let Some(loops) = &mut self.loops else { return false };
        if let Some(first) = loops.first() {
            let open = first.gatherings.open.iter();
            let late: Vec<u64> = open.filter(|(_, one)| now >= one.since + LATE).map(|(number, _)| *number).collect();
            late.into_iter().for_each(|number| self.end_gathering(number));
            return false;
        }
        let running = Box::new(self.running());
        if let Some(loops) = &self.loops {
            let first = &loops.post.first;
            first.post(News::Second(loops.number, running));
            let hosts = if first.is_long() { None } else { self.watch.hosts.hand_over(now) };
            if let Some(hosts) = hosts {
                first.post(News::Hosts(hosts));
            }
        }
        true
    }
}

/// The first loop with what the others have told, as pages see the process.
pub(in crate::proxy) struct Whole<'a> {
    pub(in crate::proxy) proxy: &'a Proxy,
    pub(in crate::proxy) others: &'a [LoopReport],
}

impl Source for Whole<'_> {
    fn running(&self) -> Running {
        let mut running = self.proxy.running();
        // What each has told last, so that no number goes back where one tells nothing.
        if let Some(LoopRole::First(first)) = self.proxy.loops.as_ref().map(|loops| &loops.role) {
            first.told.iter().for_each(|other| running.add(other));
        }
        running
    }

    fn history(&self) -> &History {
        self.proxy.history()
    }

    fn hosts(&self) -> &Top {
        self.proxy.hosts()
    }

    fn list_files(&self) -> Vec<ListFileRow> {
        let mut files = self.proxy.list_files();
        for report in self.others {
            files.iter_mut().zip(&report.files).for_each(|(row, more)| row.numbers.add(&more.numbers));
        }
        files
    }

    fn observed(&self) -> ObservedHosts {
        let mut observed = self.proxy.observed();
        self.others.iter().for_each(|report| observed.add(&report.observed));
        observed
    }

    fn refusals(&self) -> Vec<(&str, u64)> {
        let mut rows = self.proxy.refusals();
        for (place, count) in self.others.iter().flat_map(|report| &report.refusals) {
            match rows.iter_mut().find(|(known, _)| known == &&**place) {
                Some((_, sum)) => *sum += count,
                None => rows.push((place, *count)),
            }
        }
        rows.sort_unstable_by_key(|(place, count)| (place.starts_with('('), std::cmp::Reverse(*count), *place));
        rows
    }

    fn facts(&self) -> &Facts {
        self.proxy.facts()
    }

    fn process(&self) -> &Process {
        self.proxy.process()
    }

    fn now(&self) -> u64 {
        self.proxy.now()
    }

    fn sessions(&self, filter: &Filter) -> Sessions {
        let mut sessions = self.proxy.sessions(filter);
        self.others.iter().for_each(|report| sessions.add(&report.sessions, filter));
        sessions
    }

    fn listeners(&self) -> Vec<ListenerRow> {
        let mut clients = self.proxy.clients_by_listener();
        for (number, count) in self.others.iter().flat_map(|report| &report.listeners) {
            *clients.entry(*number).or_default() += count;
        }
        self.proxy.listener_rows(&clients)
    }

    fn drainers(&self) -> Vec<DrainerRow> {
        self.proxy.drainer_rows()
    }

    fn ends(&self, side: EndPointKind) -> EndPoints {
        let mut ends = self.proxy.ends(side);
        self.others.iter().for_each(|report| ends.add_all(&report.ends));
        ends
    }

    fn messages(&self, which: MessageKind, limit: usize) -> Vec<LogMessage> {
        self.proxy.messages(which, limit)
    }

    fn is_debug(&self) -> bool {
        self.proxy.is_debug()
    }
}

fn owned(rows: &[(&str, u64)]) -> Vec<(Box<str>, u64)> {
    rows.iter().map(|(place, count)| ((*place).into(), *count)).collect()
}
