//! The numbers of a moment by the names that operators read them by, and as a JSON object.

use std::fmt::Write;

use super::episodes::EpisodeKind;
use super::Running;
use crate::cache::status::CacheResult;
use crate::exchange::close::CloseReason;
use crate::http::cause::Cause;

impl Running {
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
        self.cache_rows(&mut row);
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
