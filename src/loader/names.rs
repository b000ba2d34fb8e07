//! The two files that names come from: resolv.conf and the hosts file. Knows what they mean for the resolver, and nothing
//! of what it asks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use dns::nat64::Nat64;
use dns::{hosts, resolv_conf, Config, Families, Hosts};
use nix::unistd::{access, AccessFlags};
use reactor::Millis;

use super::Look;
use crate::system::files;

/// Milliseconds between two looks.
const LOOK: Millis = 5_000;

/// Largest file that is read, in bytes: long lists against advertising have some 20 MiB.
const MAX_BYTES: u64 = 64 << 20;

/// Bytes of a usual line of a long hosts file: room is made for so many names.
const USUAL_LINE: u64 = 32;

/// Longest time for one name with all its aliases, servers and repetitions, also where the options multiply to more.
const MAX_DEADLINE: Duration = Duration::from_secs(120);

/// How names are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameOptions {
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
    /// How IPv4 addresses are reached where IPv4 leads nowhere (`dns.nat64`).
    pub nat64: Nat64,
}

impl NameOptions {
    /// Whether the files could be read, so that a reload does not find out too late. One that does not exist counts as
    /// empty.
    ///
    /// # Errors
    /// Which file could not be read, and why.
    pub fn check(&self) -> Result<(), String> {
        for path in self.hosts.iter().chain([&self.resolv_conf]) {
            let checked = files::check(path).and_then(|metadata| {
                access(path, AccessFlags::R_OK)?;
                files::fits(metadata.len(), MAX_BYTES)
            });
            match checked {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(about(path, &error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads both files, for the first time with these options. One that does not exist counts as empty: the resolver still
    /// answers addresses then, and says why names fail.
    ///
    /// # Errors
    /// Which file cannot be read, and why.
    pub fn read(self) -> Result<(NameReader, Names), String> {
        let mut reader = NameReader { options: self, seen: [None, None], told: None };
        reader.seen = reader.marks();
        let conf = known_missing(&reader.options.resolv_conf, bytes_of(&reader.options.resolv_conf))?;
        let hosts = match reader.options.hosts.as_deref() {
            Some(path) => known_missing(path, hosts_of(path))?,
            None => Hosts::default(),
        };
        let names = reader.options.understand(&conf, hosts);
        Ok((reader, names))
    }

    fn understand(&self, conf: &[u8], hosts: Hosts) -> Names {
        let conf = resolv_conf::parse(&String::from_utf8_lossy(conf));
        let mut config = Config {
            families: Families { v4: self.ipv4, v6: self.ipv6 },
            nat64: self.nat64,
            deadline: if self.deadline.is_zero() { MAX_DEADLINE } else { self.deadline.min(MAX_DEADLINE) },
            ttl_cap: self.ttl,
            negative_cap: self.negative_ttl,
            ..Config::default()
        };
        // What the operator set for this proxy outweighs what the host's file says for all programs.
        config.apply(&conf, true, crate::system::interfaces::number);
        config.timeout = self.timeout.unwrap_or(config.timeout);
        config.attempts = self.attempts.unwrap_or(config.attempts);
        Names { config, hosts: Arc::new(hosts) }
    }
}

/// What the files say, for the resolver.
#[derive(Clone, Debug)]
pub struct Names {
    /// How and whom to ask.
    pub config: Config,
    /// What is known without asking.
    pub hosts: Arc<Hosts>,
}

impl Names {
    /// The same for each of so many loops, which share the names that may be waited for.
    #[must_use]
    pub fn divided(mut self, loops: usize) -> Names {
        self.config.max_lookups = self.config.max_lookups.div_ceil(loops);
        self
    }
}

/// The files as they were read last.
#[derive(Debug)]
pub struct NameReader {
    options: NameOptions,
    seen: [Mark; 2],
    /// What the log was told of the last look, if that was in vain.
    told: Option<String>,
}

/// Why the files could not be read.
#[derive(Debug)]
struct NamesUnread {
    text: String,
    /// It may be otherwise at the next look, though no file changes.
    passing: bool,
}

impl NamesUnread {
    fn of(path: &Path, error: &io::Error) -> NamesUnread {
        NamesUnread { text: about(path, error), passing: files::may_pass(error) }
    }
}

/// What tells a changed file from an unchanged one.
type Mark = Option<(SystemTime, u64)>;

impl NameReader {
    /// Reads both files after one of them has changed.
    ///
    /// # Errors
    /// When one of them cannot be read now, as while it is being replaced, or since privileges were dropped: what is known
    /// is better than nothing. Only a hosts file may go away.
    fn read_again(&self) -> Result<Names, NamesUnread> {
        let conf = &self.options.resolv_conf;
        let conf = bytes_of(conf).map_err(|error| NamesUnread::of(conf, &error))?;
        let hosts = match self.options.hosts.as_deref() {
            Some(path) if path.try_exists().unwrap_or(true) => {
                hosts_of(path).map_err(|error| NamesUnread::of(path, &error))?
            }
            _ => Hosts::default(),
        };
        Ok(self.options.understand(&conf, hosts))
    }

    fn marks(&self) -> [Mark; 2] {
        [mark_of(&self.options.resolv_conf), self.options.hosts.as_deref().and_then(mark_of)]
    }
}

impl Look for NameReader {
    type News = Names;

    fn what(&self) -> String {
        let conf = self.options.resolv_conf.display();
        match &self.options.hosts {
            Some(hosts) => format!("reading {conf} or {}", hosts.display()),
            None => format!("reading {conf}"),
        }
    }

    fn look(&mut self) -> Option<Names> {
        let marks = self.marks();
        if marks == self.seen {
            self.told = None;
            return None;
        }
        if self.told.is_none() {
            log::info!(target: "resolver", "{} or the hosts file has changed", self.options.resolv_conf.display());
        }
        let read = self.read_again();
        // The marks are those of before reading: a file that changes meanwhile is read again at the next look. So is one for
        // which there was no descriptor or memory, or its change would be lost until the next one.
        if !matches!(read, Err(NamesUnread { passing: true, .. })) {
            self.seen = marks;
        }
        match read {
            Ok(names) => {
                self.told = None;
                Some(names)
            }
            Err(NamesUnread { text, passing }) => {
                if self.told.as_ref() != Some(&text) || !passing {
                    log::error!(target: "resolver", "cannot read {text}; what was read before stays in use");
                }
                self.told = passing.then_some(text);
                None
            }
        }
    }

    fn pause(_: Duration) -> Millis {
        LOOK
    }
}

fn mark_of(path: &Path) -> Mark {
    let about = fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = files::read(path, MAX_BYTES + 1)?;
    files::fits(bytes.len() as u64, MAX_BYTES)?;
    Ok(bytes)
}

/// What a file says; one that does not exist says nothing, and the log tells of it.
fn known_missing<T: Default>(path: &Path, read: io::Result<T>) -> Result<T, String> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            log::error!(target: "resolver", "cannot read {}", about(path, &error));
            Ok(T::default())
        }
        read => read.map_err(|error| about(path, &error)),
    }
}

/// Reads a hosts file, and lets the loop have its processor in between, should they share one.
fn hosts_of(path: &Path) -> io::Result<Hosts> {
    let length = path.metadata()?.len();
    let mut reading = hosts::Reading::with_room(usize::try_from(length / USUAL_LINE).unwrap_or(0));
    files::read_lines(path, MAX_BYTES, |lines| {
        reading.read(&String::from_utf8_lossy(lines));
        thread::yield_now();
    })?;
    Ok(reading.finish())
}

fn about(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(folder: &Path) -> NameOptions {
        let second = Duration::from_secs(1);
        NameOptions {
            resolv_conf: folder.join("resolv.conf"),
            hosts: Some(folder.join("hosts")),
            timeout: None,
            attempts: None,
            deadline: second,
            ttl: second,
            negative_ttl: second,
            ipv4: true,
            ipv6: true,
            nat64: Nat64::Off,
        }
    }

    #[test]
    fn files_that_go_away_or_cannot_be_read_leave_what_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        assert!(options.check().is_ok());
        let (mut reader, names) = options.read().unwrap();
        assert!(names.hosts.is_empty() && reader.look().is_none());
        fs::write(folder.path().join("resolv.conf"), "nameserver 192.0.2.53\n").unwrap();
        assert_eq!(reader.look().unwrap().config.servers.len(), 1);
        assert!(reader.look().is_none(), "nothing has changed");
        // A folder can be opened and not read, by root neither.
        fs::create_dir(folder.path().join("hosts")).unwrap();
        assert!(reader.read_again().is_err_and(|error| error.text.contains("/hosts: Is a directory")));
        assert!(reader.look().is_none() && reader.seen == reader.marks(), "it is not tried without end");
        fs::remove_dir(folder.path().join("hosts")).unwrap();
        assert!(reader.look().is_some(), "a hosts file may go away");
        fs::remove_file(folder.path().join("resolv.conf")).unwrap();
        assert!(reader.read_again().is_err() && reader.look().is_none());
    }

    /// What cannot be read for want of descriptors, or as here because the disk fails, is tried again though nothing changes.
    #[test]
    fn b3_what_may_pass_by_itself_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = folder.path().join("hosts");
        fs::write(folder.path().join("resolv.conf"), "").unwrap();
        let (mut reader, _) = options(folder.path()).read().unwrap();
        std::os::unix::fs::symlink("/proc/self/mem", &hosts).unwrap();
        for _ in 0..2 {
            assert!(reader.look().is_none() && reader.seen != reader.marks());
            assert!(reader.told.as_ref().is_some_and(|told| told.contains("/hosts: Input/output error")));
        }
        fs::remove_file(&hosts).unwrap();
        fs::write(&hosts, "192.0.2.7 a.test").unwrap();
        assert!(reader.look().is_some_and(|names| names.hosts.len() == 1) && reader.told.is_none());
    }

    #[test]
    fn b21_a_fifo_and_an_endless_device_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (place, reason) = (folder.path().join("hosts"), "/hosts: not a regular file");
        let options = options(folder.path());
        fs::write(folder.path().join("resolv.conf"), "").unwrap();
        let (mut reader, _) = options.clone().read().unwrap();
        nix::unistd::mkfifo(&place, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for _ in 0..2 {
            assert!(options.check().is_err_and(|error| error.ends_with(reason)));
            assert!(options.clone().read().is_err_and(|error| error.ends_with(reason)));
            assert!(reader.read_again().is_err_and(|error| error.text.ends_with(reason)) && reader.look().is_none());
            fs::remove_file(&place).unwrap();
            std::os::unix::fs::symlink("/dev/zero", &place).unwrap();
        }
        fs::remove_file(&place).unwrap();
        fs::File::create(&place).unwrap().set_len(MAX_BYTES + 1).unwrap();
        for refused in
            [options.check().err(), options.clone().read().err(), reader.read_again().err().map(|error| error.text)]
        {
            assert!(refused.is_some_and(|error| error.ends_with("/hosts: the file is too large")));
        }
        fs::write(&place, "192.0.2.7 a.test").unwrap();
        assert_eq!(reader.look().unwrap().hosts.len(), 1);
    }
}
