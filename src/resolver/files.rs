//! The two files that the resolver lives by: resolv.conf and the hosts file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use dns::{hosts, resolv_conf, Config, Families, Hosts};

/// Largest file that is read, in bytes: long lists against advertising have some 20 MiB.
const MAX_BYTES: u64 = 64 << 20;

/// Longest time for one name with all its aliases, servers and repetitions, whatever the options multiply to.
const MAX_DEADLINE: Duration = Duration::from_secs(120);

/// How names are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// Where the servers stand (`dns.resolver`).
    pub resolv_conf: PathBuf,
    /// The hosts file, if one is used (`dns.hosts`).
    pub hosts: Option<PathBuf>,
    /// Longest wait before a question is sent again (`dns.timeout`), if the operator set it.
    pub timeout: Option<Duration>,
    /// How often a question is sent (`dns.retries`), if the operator set it.
    pub attempts: Option<u32>,
    /// Longest time for a name (`http.resolve-timeout`).
    pub deadline: Duration,
    /// Longest time for which an answer is kept (`dns.ttl`).
    pub ttl: Duration,
    /// The same for answers that say no (`dns.negative-ttl`).
    pub negative_ttl: Duration,
    /// Ask for IPv4 addresses (`tcp4.out`).
    pub ipv4: bool,
    /// Ask for IPv6 addresses (`tcp6.out`).
    pub ipv6: bool,
}

/// The files as they were read last.
#[derive(Debug)]
pub(super) struct Files {
    naming: Naming,
    seen: [Mark; 2],
}

/// What tells a changed file from an unchanged one.
type Mark = Option<(SystemTime, u64)>;

impl Files {
    pub(super) fn new(naming: Naming) -> Files {
        Files { naming, seen: [None, None] }
    }

    pub(super) fn naming(&self) -> &Naming {
        &self.naming
    }

    /// Has one of the files changed since it was read?
    pub(super) fn have_changed(&self) -> bool {
        self.marks() != self.seen
    }

    /// Reads both files.
    pub(super) fn read(&mut self) -> (Config, Hosts) {
        self.seen = self.marks();
        let naming = &self.naming;
        let conf = resolv_conf::parse(&text_of(&naming.resolv_conf));
        let hosts = naming.hosts.as_deref().map(|path| hosts::parse(&text_of(path))).unwrap_or_default();
        let mut config = Config {
            families: Families { v4: naming.ipv4, v6: naming.ipv6 },
            deadline: if naming.deadline.is_zero() { MAX_DEADLINE } else { naming.deadline.min(MAX_DEADLINE) },
            ttl_cap: naming.ttl,
            negative_cap: naming.negative_ttl,
            ..Config::default()
        };
        // What the operator set for this proxy outweighs what the host's file says for all programs.
        config.apply(&conf, true, interface_number);
        config.timeout = naming.timeout.unwrap_or(config.timeout);
        config.attempts = naming.attempts.unwrap_or(config.attempts);
        for server in &config.servers {
            log::info!(target: "resolver", "name server {server}");
        }
        (config, hosts)
    }

    fn marks(&self) -> [Mark; 2] {
        [mark_of(&self.naming.resolv_conf), self.naming.hosts.as_deref().and_then(mark_of)]
    }
}

fn mark_of(path: &Path) -> Mark {
    let about = fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

/// The text of a file, as far as it can be had: without it the resolver still answers addresses and says why names fail.
fn text_of(path: &Path) -> String {
    let read = fs::metadata(path).and_then(|about| match about.len() {
        0..=MAX_BYTES => fs::read(path),
        _ => Err(std::io::Error::other("the file is too large")),
    });
    match read {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            log::error!(target: "resolver", "cannot read {}: {error}", path.display());
            String::new()
        }
    }
}

fn interface_number(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}
