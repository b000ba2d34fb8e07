//! Counters, and what can be seen of them. Rendered from snapshots only, so that pages can be tested without a proxy.

pub mod drainers;
pub mod episodes;
pub mod history;
pub mod hosts;
pub mod listeners;
pub mod lists;
pub mod observed;
pub mod peaks;
pub mod process;
pub mod sessions;
pub mod users;
pub mod whole;

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use reactor::Millis;

use self::episodes::{Episode, EpisodeKind};
use self::lists::ListFileNumbers;
use crate::cache::status::CacheResult;
use crate::cache::CacheNumbers;
use crate::counters::histogram::Histogram;
use crate::counters::turns::TurnTimes;
use crate::counters::{auth::AuthCounters, decided::DecidedCounts, exchange::ExchangeCounters};
use crate::exchange::close::CloseReason;
use crate::exchange::flow::Direction;
use crate::exchange::Exchange;
use crate::http::cause::Cause;
use crate::peer::{ClientId, Family};
use crate::policy::lists::list::ListSize;
use crate::policy::rates::REQUEST_KINDS;
use crate::redirector::pool::{HelperPool, PoolCounters};
use process::{ProcessNumbers, Reloads};
use users::Users;

/// What happened since the start.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Rounds of the loop.
    pub loops: u64,
    /// How long they took.
    pub turns: TurnTimes,
    /// Socket events.
    pub events: u64,
    /// Connections accepted, of any kind.
    pub accepted: u64,
    /// Connections turned away because all places were taken, most of them by their client.
    pub turned_away: u64,
    /// Requests seen by the proxy.
    pub requests: u64,
    /// Requests to the monitor.
    pub monitor_requests: u64,
    /// Connections to the monitor; they are among those that were accepted.
    pub monitor_accepted: u64,
    /// Bytes sent to clients of the monitor. Of sessions that are open a snapshot adds them.
    pub to_monitor: u64,
    /// Requests by what was decided about them.
    pub decided: DecidedCounts,
    /// Requests refused because no address of their host may be connected to.
    pub refused: u64,
    /// Requests and tunnels refused because their client has too many connections, and because it asks too often.
    pub limited: [[u64; REQUEST_KINDS]; 2],
    /// Requests that lists let pass.
    pub listed_allowed: u64,
    /// Requests that lists refused.
    pub listed_blocked: u64,
    /// Requests that lists would have refused (`acl.mode = report`).
    pub listed_reported: u64,
    /// Diverted requests whose host is not where their connection was going (`intercept.host-check`).
    pub host_mismatch: u64,
    /// How often lists were read anew.
    pub lists_loaded: u64,
    /// Pauses in accepting, for want of descriptors or memory.
    pub pauses: u64,
    /// Seconds in which a session found no buffer.
    pub starved: u64,
    /// Users and their passwords.
    pub auth: AuthCounters,
    /// Names that gave no address.
    pub name_failures: u64,
    /// Requests and responses refused because heads take too much memory.
    pub heads_refused: u64,
    /// Origins that could not be connected to.
    pub dial_failures: u64,
    /// Requests that went to a parent.
    pub parent_requests: u64,
    /// Parents that could not be connected to.
    pub parent_failures: u64,
    /// Requests that no helper decided about, though there are some.
    pub undecided: u64,
    /// Replies of helpers that could not be read.
    pub unreadable: u64,
    /// How long requests waited for a name that was not known.
    pub name_time: Histogram,
    /// How long new connections to origins took.
    pub connect_time: Histogram,
    /// How long helpers took for a reply.
    pub helper_time: Histogram,
    /// Exchanges for which a kept connection was used.
    pub reused: u64,
    /// Bytes sent to clients, by what they come by ([`Family::ALL`]). Of sessions that are open a snapshot adds them.
    pub to_clients: [u64; Family::ALL.len()],
    /// Bytes sent to origins, by what their clients come by.
    pub to_origins: [u64; Family::ALL.len()],
    /// Connections made to origins, by what the client comes by and by the family of the address.
    pub families: [[u64; Family::OUT.len()]; Family::ALL.len()],
    /// What exchanges count themselves.
    pub exchange: ExchangeCounters,
    /// Sessions by why they ended, in the order of [`CloseReason::COUNTED`].
    pub ended: [u64; CloseReason::COUNTED.len()],
}

impl Counters {
    /// A session has ended.
    pub fn note_end(&mut self, exchange: &Exchange, reason: CloseReason) {
        self.add_transfer(exchange);
        if let Some(place) = reason.index() {
            self.ended[place] += 1;
        }
    }

    /// A connection to this origin was made for this client, which took so many microseconds.
    pub fn note_made(&mut self, client: ClientId, origin: IpAddr, took: u64) {
        self.connect_time.note(took);
        self.families[client.family() as usize][usize::from(origin.is_ipv6())] += 1;
    }

    /// Connections made to origins: what the client comes by, the family of the address, how many.
    pub fn ways(&self) -> impl Iterator<Item = (Family, Family, u64)> + '_ {
        let out = |(client, counts): (Family, &[u64; Family::OUT.len()])| {
            Family::OUT.into_iter().zip(*counts).map(move |(origin, count)| (client, origin, count))
        };
        Family::ALL.into_iter().zip(&self.families).flat_map(out)
    }

    /// Adds what the exchanges of a session have moved so far.
    pub fn add_transfer(&mut self, exchange: &Exchange) {
        if exchange.ingress().is_local() {
            self.to_monitor += exchange.flow(Direction::Download).moved;
            return;
        }
        let family = exchange.peer().family() as usize;
        self.to_clients[family] += exchange.flow(Direction::Download).moved;
        self.to_origins[family] += exchange.flow(Direction::Upload).moved;
    }
}

/// The numbers of one moment.
#[derive(Clone, Debug, Default)]
pub struct Running {
    /// Since the start.
    pub counters: Counters,
    /// Proxy clients without a first request.
    pub silent: u64,
    /// All proxy clients.
    pub clients: u64,
    /// Those of them in a tunnel.
    pub tunnels: u64,
    /// Most proxy clients.
    pub limit: u64,
    /// Connections to origins under way.
    pub opening: u64,
    /// Connections to origins.
    pub established: u64,
    /// Those of them that are kept and in no session's use.
    pub idle: u64,
    /// Parents that are left alone since they could not be reached.
    pub parents_down: u64,
    /// Blocks lent, and most of them.
    pub blocks: u64,
    #[allow(missing_docs)]
    pub blocks_limit: u64,
    /// Bytes of heads beyond a block each, and most of them.
    pub head_bytes: u64,
    #[allow(missing_docs)]
    pub head_bytes_limit: u64,
    /// Most connections to origins that are kept and in no session's use.
    pub idle_limit: u64,
    /// The cache, where there is one.
    pub cache: CacheNumbers,
    /// What is in lists.
    pub listed: ListSize,
    /// The first files of each list, by its name: `block` or `allow`.
    pub list_files: Vec<(&'static str, ListFileNumbers)>,
    /// Users, and the files that they stand in.
    pub users: Users,
    /// Why the last reload has failed, where it has.
    pub unloaded: Option<Arc<str>>,
    /// What became of reloads.
    pub reloads: Reloads,
    /// What the process takes of its machine.
    pub process: ProcessNumbers,
    /// Why the files of lists could not be read again, where they could not.
    pub lists_stale: Option<Arc<str>>,
    /// Loops that do not turn any more.
    pub loops_hanging: u64,
    /// What is wrong now.
    pub episodes: Vec<Episode>,
    /// Episodes that have begun, in the order of their kinds.
    pub episodes_begun: [u64; EpisodeKind::ALL.len()],
    /// A soft stop is under way.
    pub draining: bool,
    /// The proxy listens for clients.
    pub listening: bool,
    /// Requests that no helper decides about get an error (`redirector.on-failure`).
    pub judged_by_error: bool,
    /// A pidfile was written.
    pub pid_saved: bool,
    /// What the resolver counted.
    pub dns: dns::Counters,
    /// The helpers, where there are any.
    pub helpers: Option<Helpers>,
    /// What helpers have done since the start, those of earlier configurations included.
    pub helped: PoolCounters,
    /// Lines that no log has.
    pub lost: Lost,
}

/// Lines that were lost because a destination did not take them, by the log that they were meant for. Logs with one
/// destination have one writer, and each of them shows what that writer has lost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lost {
    /// Messages.
    pub messages: u64,
    /// Decisions.
    pub usage: u64,
    /// Requests.
    pub access: u64,
}

/// The helpers of one moment.
#[derive(Clone, Debug, Default)]
pub struct Helpers {
    /// Helpers that run.
    pub forked: u64,
    /// As few as there may be.
    pub minimum: u64,
    /// As many as there may be.
    pub maximum: u64,
    /// Requests that wait for one, and most of them.
    pub queue: u64,
    #[allow(missing_docs)]
    pub queue_limit: u64,
    /// They end as soon as they are started.
    pub failing: bool,
    /// One of them has shown that it works.
    pub served: bool,
}

impl Helpers {
    /// Looks at the helpers.
    pub fn of(pool: &HelperPool, now: Millis) -> Helpers {
        Helpers {
            forked: pool.forked() as u64,
            minimum: pool.settings().minimum as u64,
            maximum: pool.settings().maximum as u64,
            queue: pool.queue_len() as u64,
            queue_limit: pool.settings().queue as u64,
            failing: pool.is_failing(),
            served: pool.is_served(now),
        }
    }
}

impl Running {
    /// Does the proxy take new clients?
    pub fn accepts(&self) -> bool {
        self.listening && !self.draining
    }

    /// Do requests fail because no helper works?
    pub fn helpers_fail(&self) -> bool {
        self.judged_by_error && self.helpers.as_ref().is_some_and(|helpers| helpers.failing && !helpers.served)
    }

    /// What went wrong since the start, by cause, always in the same order: requests that the proxy had to answer
    /// itself, and sessions that did not end well.
    pub fn errors(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counters = &self.counters;
        let ended = CloseReason::COUNTED.iter().zip(counters.ended).filter(|(reason, _)| !reason.is_peaceful());
        counters.exchange.answers().chain(ended.map(|(reason, count)| (reason.name(), count)))
    }

    /// The numbers as a JSON object, sorted by key; the keys of the original keep their names.
    pub fn to_json(&self) -> String {
        to_object(&self.rows())
    }

    /// The numbers with their keys, sorted by them.
    pub fn rows(&self) -> Vec<(String, String)> {
        let (counters, mut rows) = (&self.counters, Vec::<(String, String)>::new());
        let mut row = |key: &str, value: u64| rows.push((key.to_string(), value.to_string()));
        row("clients.accepted", counters.accepted);
        row("clients.refused", counters.turned_away);
        row("clients.requests", counters.requests);
        row("clients.silent", self.silent);
        row("clients.speaking", self.clients);
        row("clients.tunnels", self.tunnels);
        row("heads.refused", counters.heads_refused);
        self.decision_rows(&mut row);
        let [connections, rate] = counters.limited;
        row("limits.connections.requests", connections[0]);
        row("limits.connections.tunnels", connections[1]);
        row("limits.rate.requests", rate[0]);
        row("limits.rate.tunnels", rate[1]);
        row("host_mismatch", counters.host_mismatch);
        row("lists.allowed", counters.listed_allowed);
        row("lists.blocked", counters.listed_blocked);
        row("lists.loaded", counters.lists_loaded);
        row("lists.names", self.listed.names as u64);
        row("lists.networks", self.listed.ranges as u64);
        row("lists.reported", counters.listed_reported);
        row("lists.urls", self.listed.urls as u64);
        self.list_rows(&mut row);
        row("load.events", counters.events);
        row("load.longest", counters.turns.longest());
        row("load.loops", counters.loops);
        row("logs.lost.access", self.lost.access);
        row("logs.lost.messages", self.lost.messages);
        row("logs.lost.usage", self.lost.usage);
        row("memory.blocks", self.blocks);
        row("memory.heads", self.head_bytes);
        row("monitor.accepted", counters.monitor_accepted);
        row("monitor.requests", counters.monitor_requests);
        row("names.failed", counters.name_failures);
        self.users.rows(&counters.auth, &mut row);
        for (finding, count) in counters.exchange.openings() {
            row(&format!("sni.{finding}"), count);
        }
        for (kind, begun) in EpisodeKind::ALL.into_iter().zip(self.episodes_begun) {
            row(&format!("episodes.{}", kind.word()), begun);
        }
        self.helper_rows(&mut row);
        self.way_rows(&mut row);
        for (reason, count) in CloseReason::COUNTED.iter().zip(counters.ended) {
            row(&format!("ended.{}", reason.name()), count);
        }
        self.dns_rows(&mut row);
        rows.push(("pid.saved".into(), self.pid_saved.to_string()));
        rows.sort();
        rows
    }

    /// Which way clients and bytes go, straight or through parents.
    fn way_rows(&self, row: &mut impl FnMut(&str, u64)) {
        let counters = &self.counters;
        row("transfer.client", counters.to_clients.iter().sum());
        row("transfer.client4", counters.to_clients[0]);
        row("transfer.client6", counters.to_clients[1]);
        row("transfer.client.unix", counters.to_clients[2]);
        row("transfer.monitor", counters.to_monitor);
        row("transfer.content", counters.to_origins.iter().sum());
        row("transfer.content4", counters.to_origins[0]);
        row("transfer.content6", counters.to_origins[1]);
        row("transfer.content.unix", counters.to_origins[2]);
        for (client, origin, count) in counters.ways() {
            row(&format!("families.{}.{}", client.name(), origin.name()), count);
        }
        row("origins.failed", counters.dial_failures);
        row("origins.refused", counters.refused);
        row("origins.reused", counters.reused);
        row("parents.down", self.parents_down);
        row("parents.failed", counters.parent_failures);
        row("parents.requests", counters.parent_requests);
        row("servers.established", self.established);
        row("servers.idle", self.idle);
        row("servers.opening", self.opening);
    }

    /// What rules allow and what they block, and why.
    fn decision_rows(&self, row: &mut impl FnMut(&str, u64)) {
        let counters = &self.counters.exchange;
        row("requests.allowed", counters.allowed[0]);
        row("requests.blocked", counters.blocked[0]);
        row("tunnels.allowed", counters.allowed[1]);
        row("tunnels.blocked", counters.blocked[1]);
        for (word, count) in counters.answers().filter(|(word, _)| Cause::REFUSALS.contains(word)) {
            row(&format!("blocked.{word}"), count);
        }
    }

    /// The files of each list, by their places in its option from 1 on.
    fn list_rows(&self, row: &mut impl FnMut(&str, u64)) {
        for list in ["allow", "block"] {
            let files = self.list_files.iter().filter(|(own, _)| *own == list);
            for (place, (_, numbers)) in (1..).zip(files) {
                numbers
                    .rows()
                    .into_iter()
                    .for_each(|(name, value)| row(&format!("lists.{list}.{place}.{name}"), value));
            }
        }
    }

    fn cache_rows(&self, row: &mut impl FnMut(&str, u64)) {
        let cache = &self.cache;
        for result in CacheResult::ALL {
            row(&format!("cache.{}", result.word().to_ascii_lowercase()), cache.counts.results[result.index()]);
        }
        row("cache.bytes", cache.bytes);
        row("cache.evicted", cache.evicted);
        row("cache.fetching", cache.fetching);
        row("cache.objects", cache.objects);
        row("cache.purged", cache.counts.purged);
        row("cache.stored", cache.counts.stored);
        row("cache.unstored", cache.counts.unstorable.iter().sum());
        row("cache.waiting", cache.waiting);
    }

    fn helper_rows(&self, row: &mut impl FnMut(&str, u64)) {
        self.cache_rows(row);
        let helpers = self.helpers.clone().unwrap_or_default();
        row("processes.forked", helpers.forked);
        row("processes.max", helpers.maximum);
        row("processes.min", helpers.minimum);
        row("queue.size", helpers.queue);
        let counters = &self.helped;
        row("helpers.again", counters.again);
        row("helpers.answered", counters.answered);
        row("helpers.asked", counters.asked);
        row("helpers.failed", counters.failed);
        row("helpers.hung", counters.hung);
        row("helpers.lost", counters.lost);
        row("helpers.refused", counters.refused);
        row("helpers.started", counters.started);
        row("helpers.unasked", counters.unasked);
        row("helpers.undecided", self.counters.undecided);
        row("helpers.unreadable", self.counters.unreadable);
        row("helpers.waited", counters.waited);
    }

    fn dns_rows(&self, row: &mut impl FnMut(&str, u64)) {
        let dns = &self.dns;
        row("dns.answers", dns.answers);
        row("dns.cached", dns.cache_hits);
        row("dns.dropped", dns.dropped());
        row("dns.failed", dns.failed);
        row("dns.joined", dns.joined);
        row("dns.lookups", dns.lookups);
        row("dns.queries", dns.queries);
        row("dns.retries", dns.retries);
        row("dns.sent", dns.sent);
        row("dns.tcp", dns.tcp);
        row("dns.timeouts", dns.timeouts);
        row("dns.truncated", dns.truncated);
    }
}

fn to_object(rows: &[(String, String)]) -> String {
    let mut text = String::from("{\n");
    for (place, (key, value)) in rows.iter().enumerate() {
        let comma = if place + 1 < rows.len() { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  \"{key}\": {value}{comma}");
    }
    text.push_str("}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The keys of a table of two columns; one that starts with a dot or a dash goes on from the one before it.
    fn keys(table: &str) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        for line in table.lines().filter(|line| line.starts_with("| `")) {
            let mut whole = "";
            for key in line.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2) {
                let (start, _) = whole.split_once(['.', '-']).unwrap_or_default();
                if key.starts_with(['.', '-']) {
                    keys.insert(format!("{start}{key}"));
                } else {
                    whole = key;
                    keys.insert(key.to_string());
                }
            }
        }
        keys
    }

    #[test]
    fn every_number_is_explained_to_operators_and_nothing_else() {
        let page = include_str!("../../docs/monitor.md");
        let (_, numbers) = page.split_once("\n## Numbers\n").expect("the section");
        let (numbers, _) = numbers.split_once("\n## ").expect("another section behind it");
        let (counters, reasons) = numbers.split_once("`ended.*` counts").expect("the second table");
        let json = Running::default().to_json();
        let own = json.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once('"'));
        let (ended, own): (BTreeSet<_>, BTreeSet<_>) =
            own.map(|(key, _)| key.to_string()).partition(|key| key.starts_with("ended."));
        assert_eq!(keys(counters), own);
        assert_eq!(keys(reasons).into_iter().map(|key| format!("ended.{key}")).collect::<BTreeSet<_>>(), ended);
    }
}
