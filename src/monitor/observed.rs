//! Which hosts clients ask for while lists only report, and what lists say of them. Bounded in memory: hosts beyond the first
//! 4096 are counted together. Knows no list.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::sessions::first;
use crate::http::target::{Host, Target};

/// Different hosts, each with a port, that are remembered.
const MOST_HOSTS: usize = 4096;

/// Hosts that are looked at for one that gives way.
const LOOKED_AT: usize = 64;

/// Ports that an entry of an allow list need not name.
const USUAL_PORTS: [u16; 2] = [80, 443];

/// What lists say of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostVerdict {
    /// The list for that allows it.
    Allowed,
    /// No list names it, and it may be reached.
    Unlisted,
    /// It would be refused because no list names it.
    Closed,
    /// It would be refused by the entry at `FILE:LINE`.
    Blocked(Box<str>),
}

impl HostVerdict {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            HostVerdict::Allowed => "allowed",
            HostVerdict::Unlisted => "unlisted",
            HostVerdict::Closed | HostVerdict::Blocked(_) => "refused",
        }
    }

    /// Where the entry stands that refuses it; empty without one.
    pub fn place(&self) -> &str {
        match self {
            HostVerdict::Blocked(place) => place,
            HostVerdict::Closed => "acl.default",
            HostVerdict::Allowed | HostVerdict::Unlisted => "",
        }
    }

    fn refuses(&self) -> bool {
        matches!(self, HostVerdict::Closed | HostVerdict::Blocked(_))
    }
}

/// The hosts.
#[derive(Debug, Default)]
pub struct Observed {
    hosts: HashMap<(Host, u16), Seen, RandomState>,
    others: u64,
}

/// What was seen of a host.
#[derive(Debug)]
struct Seen {
    requests: u64,
    refused: u64,
    last: HostVerdict,
    /// The lists that said so, by their number.
    by: u64,
}

/// The hosts as pages show them.
#[derive(Clone, Debug, Default)]
pub struct ObservedHosts {
    /// Lists only report, so that hosts are remembered (`acl.mode = report`).
    pub reporting: bool,
    /// The hosts, those that were asked for most first.
    pub hosts: Vec<ObservedHost>,
    /// Requests to all other hosts.
    pub others: u64,
    /// Lines of an allow list for the hosts that none of the lists names.
    pub allowlist: Vec<String>,
}

/// A host that was asked for.
#[derive(Clone, Debug)]
pub struct ObservedHost {
    /// Its name or address.
    pub host: String,
    /// The port that was asked for.
    pub port: u16,
    /// Requests.
    pub requests: u64,
    /// Those of them that lists would have refused.
    pub refused: u64,
    /// What lists say of it now, or of the last address that it had.
    pub last: HostVerdict,
    /// Where the entry stands that refuses it; empty without one.
    pub entry: Box<str>,
}

impl ObservedHosts {
    /// Adds those of another loop.
    pub fn add(&mut self, other: &ObservedHosts) {
        self.reporting |= other.reporting;
        self.others += other.others;
        for more in &other.hosts {
            match self.hosts.iter_mut().find(|row| (&row.host, row.port) == (&more.host, more.port)) {
                Some(row) => {
                    row.requests += more.requests;
                    row.refused += more.refused;
                }
                None => self.hosts.push(more.clone()),
            }
        }
        let order = |row: &ObservedHost| (std::cmp::Reverse(row.requests), row.host.clone(), row.port);
        self.hosts = first(std::mem::take(&mut self.hosts), MOST_HOSTS, order);
        self.allowlist.extend_from_slice(&other.allowlist);
        self.allowlist.sort_unstable();
        self.allowlist.dedup();
    }
}

impl Observed {
    /// A request to this host, and what the lists of this number say of it.
    pub fn note(&mut self, target: &Target, verdict: HostVerdict, lists: u64) {
        let refused = u64::from(verdict.refuses());
        let key = (target.host.clone(), target.port);
        if let Some(seen) = self.hosts.get_mut(&key) {
            seen.requests += 1;
            seen.refused += refused;
            (seen.last, seen.by) = (verdict, lists);
        } else if self.hosts.len() < MOST_HOSTS || self.give_way() {
            self.hosts.insert(key, Seen { requests: 1, refused, last: verdict, by: lists });
        } else {
            self.others += 1;
        }
    }

    /// Has a host that was asked for once give its place to another, so that a client who asks for thousands of names, once each,
    /// does not keep those out that are asked for again and again. False if a few that are looked at were asked for more often.
    fn give_way(&mut self) -> bool {
        let once = self.hosts.iter().take(LOOKED_AT).find(|(_, seen)| seen.requests == 1);
        let Some(key) = once.map(|(key, _)| key.clone()) else { return false };
        self.others += 1;
        self.hosts.remove(&key).is_some()
    }

    /// What lists say of the addresses of a request that was noted, and that they did not refuse by then.
    pub fn turn(&mut self, target: &Target, verdict: HostVerdict) {
        if let Some(seen) = self.hosts.get_mut(&(target.host.clone(), target.port)) {
            seen.refused += u64::from(verdict.refuses());
            seen.last = verdict;
        }
    }

    /// The hosts now. `judge` says what the lists of this number say of one, where other lists were asked last.
    pub fn hosts(&self, lists: u64, judge: impl Fn(&Host, u16) -> HostVerdict) -> ObservedHosts {
        let all = self.hosts.iter().map(|((host, port), seen)| {
            let last = if seen.by == lists { seen.last.clone() } else { judge(host, *port) };
            (
                host,
                ObservedHost {
                    host: host.to_string(),
                    port: *port,
                    requests: seen.requests,
                    refused: seen.refused,
                    entry: last.place().into(),
                    last,
                },
            )
        });
        let order = |(_, row): &(&Host, ObservedHost)| (std::cmp::Reverse(row.requests), row.host.clone(), row.port);
        let rows = first(all.collect(), MOST_HOSTS, order);
        let wanted = rows.iter().filter(|(_, row)| matches!(row.last, HostVerdict::Unlisted | HostVerdict::Closed));
        let mut allowlist: Vec<String> = wanted.map(|(host, row)| entry(host, row.port)).collect();
        allowlist.sort_unstable();
        allowlist.dedup();
        let hosts = rows.into_iter().map(|(_, row)| row).collect();
        ObservedHosts { reporting: true, hosts, others: self.others, allowlist }
    }
}

/// The line of a list that names a host with this port.
fn entry(host: &Host, port: u16) -> String {
    match (USUAL_PORTS.contains(&port), host) {
        // A zone is this machine's business, and no list has it.
        (true, Host::V6(address, _)) => address.to_string(),
        (false, Host::V6(address, _)) => format!("[{address}]:{port}"),
        (true, _) => host.to_string(),
        (false, _) => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::lists::line::{self, ListFormat};
    use crate::policy::lists::LineKind;

    fn target(text: &str) -> Target {
        Target::from_authority(text.as_bytes(), None).unwrap()
    }

    fn shown(observed: &Observed, lists: u64) -> Vec<String> {
        let found = observed.hosts(lists, |_, _| HostVerdict::Allowed);
        let row = |row: &ObservedHost| {
            format!("{}:{} {}/{} {} {}", row.host, row.port, row.refused, row.requests, row.last.word(), row.entry)
        };
        found.hosts.iter().map(row).collect()
    }

    #[test]
    fn hosts_are_shown_with_what_lists_say_of_them_now() {
        let mut observed = Observed::default();
        for _ in 0..3 {
            observed.note(&target("a.test:443"), HostVerdict::Closed, 1);
        }
        observed.note(&target("b.test:443"), HostVerdict::Blocked("/f:7".into()), 1);
        observed.note(&target("c.test:80"), HostVerdict::Unlisted, 2);
        observed.turn(&target("c.test:80"), HostVerdict::Blocked("/f:8".into()));
        assert_eq!(
            shown(&observed, 1),
            ["a.test:443 3/3 refused acl.default", "b.test:443 1/1 refused /f:7", "c.test:80 1/1 allowed "]
        );
        assert_eq!(shown(&observed, 2)[2], "c.test:80 1/1 refused /f:8");
    }

    #[test]
    fn the_allow_list_has_what_no_list_names() {
        let mut observed = Observed::default();
        for (text, verdict) in [
            ("z.test:443", HostVerdict::Closed),
            ("z.test:80", HostVerdict::Unlisted),
            ("z.test:8443", HostVerdict::Closed),
            ("[2001:db8::1]:443", HostVerdict::Closed),
            ("[2001:db8::1]:22", HostVerdict::Closed),
            ("192.0.2.1:443", HostVerdict::Closed),
            ("bad.test:443", HostVerdict::Blocked("/f:1".into())),
            ("good.test:443", HostVerdict::Allowed),
        ] {
            observed.note(&target(text), verdict, 1);
        }
        let found = observed.hosts(1, |_, _| HostVerdict::Closed).allowlist;
        assert_eq!(found, ["192.0.2.1", "2001:db8::1", "[2001:db8::1]:22", "z.test", "z.test:8443"]);
    }

    /// What a client asks for must not become a line that stops the list from being read.
    #[test]
    fn every_line_is_one_that_lists_read() {
        let label = "x".repeat(63);
        let long = format!("{label}.{label}.{label}.{}:443", "y".repeat(61));
        for text in [
            &long,
            "_a-b.1a:443",
            "-:80",
            "a.b:1",
            "[fe80::1%25eth0]:443",
            "[fe80::1%25x]:65535",
            "[::ffff:1.2.3.4]:8443",
        ] {
            let mut observed = Observed::default();
            observed.note(&target(text), HostVerdict::Closed, 1);
            for line in observed.hosts(1, |_, _| HostVerdict::Closed).allowlist {
                let mut entries = 0;
                let read = line::read(line.as_bytes(), ListFormat::Lines, &mut String::new(), &mut |_| entries += 1);
                assert_eq!((read, entries), (Ok(LineKind::Entries), 1), "{line}");
            }
        }
    }

    #[test]
    fn hosts_that_are_made_up_take_no_memory_without_bound() {
        let mut observed = Observed::default();
        // One that is asked for again and again stays, and comes in late too.
        let mut note = |name: &str| observed.note(&target(name), HostVerdict::Closed, 1);
        note("real.test:443");
        for number in 0..MOST_HOSTS + 499 {
            note(&format!("n{number}.test:443"));
            if number == 3 {
                note("real.test:443");
            }
        }
        note("real.test:443");
        note("late.test:443");
        note("late.test:443");
        let found = observed.hosts(1, |_, _| HostVerdict::Closed);
        assert_eq!((found.hosts.len(), found.others, &found.hosts[0].host[..]), (MOST_HOSTS, 501, "real.test"));
        assert_eq!(&found.hosts[1].host[..], "late.test");
    }
}
