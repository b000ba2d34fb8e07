//! The two files that the resolver lives by: resolv.conf and the hosts file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::unistd::{access, AccessFlags};

use dns::{hosts, resolv_conf, Config, Families, Hosts};

/// Largest file that is read, in bytes: long lists against advertising have some 20 MiB.
const MAX_BYTES: u64 = 64 << 20;

/// Longest time for one name with all its aliases, servers and repetitions, whatever the options multiply to.
const MAX_DEADLINE: Duration = Duration::from_secs(120);

/// How names are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
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

impl Options {
    /// Whether the files may be read, so that nobody takes these options over and then finds no names. One that does not
    /// exist counts as empty.
    ///
    /// # Errors
    /// Which file may not be read, and why.
    pub fn check(&self) -> Result<(), String> {
        for path in self.hosts.iter().chain([&self.resolv_conf]) {
            match access(path, AccessFlags::R_OK) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(about(path, &errno.into())),
            }
        }
        Ok(())
    }
}

/// The files as they were read last.
#[derive(Debug)]
pub(super) struct NameFiles {
    options: Options,
    seen: [Mark; 2],
    /// This machine has an IPv6 address beyond its loopback.
    ipv6_here: bool,
}

/// What tells a changed file from an unchanged one.
type Mark = Option<(SystemTime, u64)>;

impl NameFiles {
    pub(super) fn new(options: Options) -> NameFiles {
        NameFiles { options, seen: [None, None], ipv6_here: true }
    }

    pub(super) fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    /// Notes whether this machine has an IPv6 address beyond its loopback. True if that changes what is asked for.
    pub(super) fn note_ipv6(&mut self, here: bool) -> bool {
        let before = self.families();
        self.ipv6_here = here;
        self.families() != before
    }

    /// The families that are asked for. One that was asked for alone is asked for in any case.
    fn families(&self) -> Families {
        let options = &self.options;
        Families { v4: options.ipv4, v6: options.ipv6 && (self.ipv6_here || !options.ipv4) }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// Has one of the files changed since it was read?
    pub(super) fn have_changed(&self) -> bool {
        self.marks() != self.seen
    }

    /// Reads both files. Without them the resolver still answers addresses and says why names fail.
    pub(super) fn read(&mut self) -> (Config, Hosts) {
        self.seen = self.marks();
        let lenient = |path: &Path| {
            text_of(path).unwrap_or_else(|error| {
                log::error!(target: "resolver", "cannot read {error}");
                String::new()
            })
        };
        let hosts = self.options.hosts.as_deref().map(lenient).unwrap_or_default();
        self.understand(&lenient(&self.options.resolv_conf), &hosts)
    }

    /// Reads both files after one of them has changed.
    ///
    /// # Errors
    /// When one of them cannot be read now, as while somebody replaces it, or since privileges were dropped: what is
    /// known is better than nothing. Only a hosts file may go away.
    pub(super) fn read_again(&mut self) -> Result<(Config, Hosts), String> {
        self.seen = self.marks();
        let conf = text_of(&self.options.resolv_conf)?;
        let hosts = match self.options.hosts.as_deref() {
            Some(path) if path.try_exists().unwrap_or(true) => text_of(path)?,
            _ => String::new(),
        };
        Ok(self.understand(&conf, &hosts))
    }

    fn understand(&self, conf: &str, hosts: &str) -> (Config, Hosts) {
        let options = &self.options;
        let (conf, hosts) = (resolv_conf::parse(conf), hosts::parse(hosts));
        let mut config = Config {
            families: self.families(),
            deadline: if options.deadline.is_zero() { MAX_DEADLINE } else { options.deadline.min(MAX_DEADLINE) },
            ttl_cap: options.ttl,
            negative_cap: options.negative_ttl,
            ..Config::default()
        };
        // What the operator set for this proxy outweighs what the host's file says for all programs.
        config.apply(&conf, true, crate::system::interfaces::number);
        config.timeout = options.timeout.unwrap_or(config.timeout);
        config.attempts = options.attempts.unwrap_or(config.attempts);
        for server in &config.servers {
            log::info!(target: "resolver", "name server {server}");
        }
        (config, hosts)
    }

    fn marks(&self) -> [Mark; 2] {
        [mark_of(&self.options.resolv_conf), self.options.hosts.as_deref().and_then(mark_of)]
    }
}

fn mark_of(path: &Path) -> Mark {
    let about = fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

fn text_of(path: &Path) -> Result<String, String> {
    let read = fs::metadata(path).and_then(|about| match about.len() {
        0..=MAX_BYTES => fs::read(path),
        _ => Err(io::Error::other("the file is too large")),
    });
    read.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(|error| about(path, &error))
}

fn about(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(folder: &Path) -> Options {
        let second = Duration::from_secs(1);
        Options {
            resolv_conf: folder.join("resolv.conf"),
            hosts: Some(folder.join("hosts")),
            timeout: None,
            attempts: None,
            deadline: second,
            ttl: second,
            negative_ttl: second,
            ipv4: true,
            ipv6: true,
        }
    }

    #[test]
    fn files_that_go_away_or_cannot_be_read_leave_what_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = NameFiles::new(options(folder.path()));
        assert!(files.options().check().is_ok() && files.read_again().is_err(), "there are no servers");
        fs::write(folder.path().join("resolv.conf"), "nameserver 192.0.2.53\n").unwrap();
        assert!(files.have_changed());
        let (config, _) = files.read_again().unwrap();
        assert_eq!(config.servers.len(), 1);
        assert!(!files.have_changed());
        // A folder can be opened and not read, whoever asks.
        fs::create_dir(folder.path().join("hosts")).unwrap();
        assert!(files.have_changed());
        assert!(files.read_again().is_err_and(|error| error.contains("/hosts: ")));
        assert!(!files.have_changed(), "it is not tried without end");
        fs::remove_dir(folder.path().join("hosts")).unwrap();
        assert!(files.have_changed() && files.read_again().is_ok(), "a hosts file may go away");
        fs::remove_file(folder.path().join("resolv.conf")).unwrap();
        assert!(files.have_changed() && files.read_again().is_err());
    }

    #[test]
    fn row_19_without_an_ipv6_address_no_ipv6_address_is_asked_for() {
        let options = Options {
            resolv_conf: PathBuf::new(),
            hosts: None,
            timeout: None,
            attempts: None,
            deadline: Duration::ZERO,
            ttl: Duration::ZERO,
            negative_ttl: Duration::ZERO,
            ipv4: true,
            ipv6: true,
        };
        let mut files = NameFiles::new(options.clone());
        assert!(files.families().v6, "until the interfaces are known");
        assert!(files.note_ipv6(false) && !files.families().v6 && files.families().v4);
        assert!(!files.note_ipv6(false), "nothing new");
        assert!(files.note_ipv6(true) && files.families().v6);
        files.note_ipv6(false);
        files.set_options(Options { ipv4: false, ..options });
        assert!(files.families().v6, "nothing else is left to ask for");
    }
}
