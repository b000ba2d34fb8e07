//! What the administrator gives: files, environment, command line, pages. What is accepted is printed so that it is
//! accepted again as the same.

use super::{outcome, rough};
use exaproxy::answers::pages::{FoundPage, Pages, Values};
use exaproxy::cli;
use exaproxy::config::{self, FileKind, Files, Loaded, PrintForm, Sources};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

pub(super) const FILES: &[&[u8]] = &[
    include_bytes!("../../../conf/exaproxy.conf"),
    b"[tcp4]\nport = 3128 ; comment\nhost: '127.0.0.1'\n[exaproxy.http]\nconnections = 10\n",
    b"[security]\nlocal = 127.0.0.1:80 *:81\n  [::1]:82\ndeny = 10.0.0.0/8 fc00::/7\nconnect = 443 1000-2000\n",
    b"[dns]\nbase = 10\nttl = %(base)s0\ntimeout = 5\n[log]\nlevel = DEBUG\ndestination = host:localhost:514\n",
];

pub(super) const ASSIGNMENTS: &[&[u8]] = &[
    b"exaproxy_tcp4_port=8080\0exaproxy.http.header-size=0",
    b"exaproxy_security_local='*:80 host.test:*'\0exaproxy_daemon_user=nobody\0exaproxy.log.level=INFO",
    b"exaproxy_http_head_timeout=0\0exaproxy_http_head-timeout=5\0exaproxy_tcp6_bind=::1\0other=thing",
];

pub(super) const WORDS: &[&[u8]] = &[
    b"exaproxy\0-c\0file",
    b"exaproxy\0-fi\0--check",
    b"exaproxy\0--conf-file=x\0-de",
    b"exaproxy\0-h\0-v\0-d\0-p\0-m\0--\0x",
];

pub(super) const VALUES: &[&[u8]] = &[b"http://host/<script>&\"'", b"%(url)s %% %(host)s"];

/// Longest input that is looked at, in bytes: a longer value may come from the environment, but is not read back from
/// a file.
const LONGEST: usize = 4 * 1024;

/// The path under which the file of the input is found.
const FILE: &str = "/input.conf";

/// A file system with the input, and what every machine has.
struct One<'a>(&'a [u8]);

impl Files for One<'_> {
    fn kind(&self, path: &Path) -> Option<FileKind> {
        match path.to_str()? {
            FILE | config::paths::RESOLVER | config::paths::HOSTS => Some(FileKind::File { executable: false }),
            "/" | "/var" | "/var/run" => Some(FileKind::Folder),
            _ => None,
        }
    }

    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some(FILE) => Ok(self.0[..self.0.len().min(limit)].to_vec()),
            Some(config::paths::RESOLVER) => Ok(b"nameserver 127.0.0.1\n".to_vec()),
            Some(config::paths::HOSTS) => Ok(Vec::new()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn load(file: &[u8], environment: Vec<(OsString, OsString)>) -> Result<Loaded, config::Mistakes> {
    let sources =
        Sources { environment, file: Some(PathBuf::from(FILE)), here: PathBuf::from("/"), ..Sources::default() };
    config::load(&sources, &One(file))
}

/// Prints what was read and reads it again; a line tells of each thing that is wrong.
fn again(loaded: Result<Loaded, config::Mistakes>) -> u64 {
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            let lines = error.lines();
            assert!(!lines.is_empty() && !lines.iter().any(|line| line.contains('\n')), "{lines:?}");
            let text = lines.join(" ");
            return outcome(text.chars().filter(|c| c.is_ascii_alphabetic() || *c == ' ').take(40).collect::<String>());
        }
    };
    let printed = loaded.print(PrintForm::Ini);
    let second = load(printed.as_bytes(), Vec::new()).unwrap_or_else(|error| panic!("{error}\n{printed}"));
    assert_eq!(second.config, loaded.config, "printed:\n{printed}");
    let differing = loaded.print(PrintForm::DiffIni);
    outcome((rough(loaded.warnings.len()), differing.lines().map(|line| line.split(' ').next()).collect::<Vec<_>>()))
}

pub(super) fn ini(bytes: &[u8]) -> u64 {
    if bytes.len() > LONGEST {
        return outcome("long");
    }
    again(load(bytes, Vec::new()))
}

/// Assignments between NULs, as the kernel keeps them.
pub(super) fn environment(bytes: &[u8]) -> u64 {
    if bytes.len() > LONGEST {
        return outcome("long");
    }
    let split = |part: &[u8]| {
        let at = part.iter().position(|byte| *byte == b'=')?;
        Some((OsString::from_vec(part[..at].to_vec()), OsString::from_vec(part[at + 1..].to_vec())))
    };
    again(load(b"", bytes.split(|byte| *byte == 0).filter_map(split).collect()))
}

/// Words between NULs.
pub(super) fn command_line(bytes: &[u8]) -> u64 {
    let words = bytes.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec()));
    match cli::parse(words, |_| Ok(vec![std::net::Ipv4Addr::LOCALHOST.into()])) {
        Ok(line) => outcome((format!("{:?}", std::mem::discriminant(&line.command)), rough(line.warnings.len()))),
        Err(error) => outcome(std::mem::discriminant(&error)),
    }
}

/// Values from outside never become markup.
pub(super) fn pages(bytes: &[u8]) -> u64 {
    let pages = Pages::default();
    let text = String::from_utf8_lossy(bytes);
    let name = text.lines().next().unwrap_or_default();
    let count = |page: &[u8], mark: u8| page.iter().filter(|byte| **byte == mark).count();
    let nothing = Values::default();
    let all =
        Values { url: &text, host: &text, client_ip: &text, user: &text, protocol: &text, comment: &text, list: &text };
    for page in ["blocked.html", "dns.html", "noconnect.html"] {
        let (empty, full) = (shown(&pages, page, &nothing), shown(&pages, page, &all));
        let (empty, full) = (empty.expect("an embedded page"), full.expect("an embedded page"));
        for mark in [b'<', b'>', b'"'] {
            assert_eq!(count(&empty, mark), count(&full, mark), "{page}: {:?} became markup", mark as char);
        }
    }
    outcome((shown(&pages, name, &nothing).is_some(), rough(text.len()), text.contains('%'), text.contains('<')))
}

fn shown(pages: &Pages, name: &str, values: &Values<'_>) -> Option<Vec<u8>> {
    match pages.find(name, values) {
        Ok(FoundPage::Whole { bytes, .. }) => Some(bytes.to_vec()),
        Ok(FoundPage::Elsewhere(_)) | Err(_) => None,
    }
}
