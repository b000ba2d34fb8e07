//! What one version of the program hands to the next one, which runs as the same process: descriptors, by their numbers, in a
//! variable of the environment. The next version may be older or newer, so that words which are not known are passed over.
//! Knows nothing of what is served.

use std::ffi::{OsStr, OsString};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable. It is for the process that it names, or its child.
pub const VARIABLE: &str = "EXAPROXY_HANDOVER";

/// What is handed over, by the numbers of descriptors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandoverNumbers {
    /// The process that hands it over.
    pub from: u32,
    /// The start is a trial: nothing is served, and nothing written.
    pub trial: bool,
    /// Gets a byte once the next version serves.
    pub ready: Option<RawFd>,
    /// The pidfile.
    pub pidfile: Option<RawFd>,
    /// Listening sockets, and whether this program has opened them.
    pub sockets: Vec<(RawFd, bool)>,
    /// Processes with clients of former versions.
    pub drainers: Vec<u32>,
}

impl HandoverNumbers {
    /// The text of the variable.
    pub fn text(&self) -> String {
        let mut words = vec![format!("from={}", self.from)];
        words.extend(self.trial.then(|| "trial".to_owned()));
        words.extend(self.ready.map(|number| format!("ready={number}")));
        words.extend(self.pidfile.map(|number| format!("pidfile={number}")));
        words.extend(
            self.sockets.iter().map(|(number, own)| format!("{}={number}", if *own { "own" } else { "given" })),
        );
        words.extend(self.drainers.iter().map(|pid| format!("drainer={pid}")));
        words.join(" ")
    }

    /// Understands the variable, for a process with one of these numbers; None where it is for another.
    pub fn read(text: &OsStr, mine: [u32; 2]) -> Option<HandoverNumbers> {
        let mut read = HandoverNumbers::default();
        for word in text.to_str()?.split(' ') {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match (name, value.parse::<RawFd>()) {
                ("from", Ok(pid)) => read.from = pid.unsigned_abs(),
                ("trial", _) => read.trial = true,
                ("ready", Ok(number)) => read.ready = Some(number),
                ("pidfile", Ok(number)) => read.pidfile = Some(number),
                ("own", Ok(number)) => read.sockets.push((number, true)),
                ("given", Ok(number)) => read.sockets.push((number, false)),
                ("drainer", Ok(pid)) => read.drainers.push(pid.unsigned_abs()),
                _ => {}
            }
        }
        mine.contains(&read.from).then_some(read)
    }

    /// All descriptors, in the order in which [`Handover::new`] takes them.
    pub fn descriptors(&self) -> Vec<RawFd> {
        self.sockets.iter().map(|(number, _)| *number).chain(self.ready).chain(self.pidfile).collect()
    }
}

/// What was handed over, but for the listening sockets.
#[derive(Debug)]
pub struct Handover {
    /// The start is a trial.
    pub trial: bool,
    /// Gets a byte once this version serves.
    pub ready: Option<OwnedFd>,
    /// The pidfile.
    pub pidfile: Option<OwnedFd>,
    /// Processes with clients of former versions.
    pub drainers: Vec<u32>,
}

impl Handover {
    /// Takes what follows the sockets of [`HandoverNumbers::descriptors`].
    pub fn new(numbers: &HandoverNumbers, rest: impl IntoIterator<Item = OwnedFd>) -> Handover {
        let mut rest = rest.into_iter();
        let ready = numbers.ready.and_then(|_| rest.next());
        let pidfile = numbers.pidfile.and_then(|_| rest.next());
        Handover { trial: numbers.trial, ready, pidfile, drainers: numbers.drainers.clone() }
    }
}

/// The program as it was called: what is at its path by then is the next version.
#[derive(Clone, Debug)]
pub struct NextVersion {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl NextVersion {
    /// As this process was called. To be asked at the start, before a file of that name has been replaced.
    pub fn of_process() -> NextVersion {
        let mut arguments = std::env::args_os();
        let called = arguments.next().unwrap_or_default();
        let here = std::env::current_dir().unwrap_or_default();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = place(&called, &here, &path).or_else(|| std::env::current_exe().ok()).unwrap_or_default();
        NextVersion { program, arguments: arguments.collect() }
    }

    /// Where the program is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A command that calls it in the same way.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg0(&self.program).args(&self.arguments).env_remove(VARIABLE);
        command
    }
}

/// The file that a name stands for which was called in the folder `here`; links on the way stay what they are, since an upgrade may
/// change them.
fn place(called: &OsStr, here: &Path, path: &OsStr) -> Option<PathBuf> {
    let called = Path::new(called);
    if called.components().count() > 1 || called.is_absolute() {
        return Some(here.join(called));
    }
    let found = std::env::split_paths(path).map(|folder| here.join(folder).join(called));
    found.into_iter().find(|file| !called.as_os_str().is_empty() && file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_is_understood_by_the_process_that_it_is_for() {
        let numbers = HandoverNumbers {
            from: 77,
            trial: true,
            ready: Some(9),
            pidfile: Some(5),
            sockets: vec![(7, true), (11, false)],
            drainers: vec![80, 81],
        };
        let text = OsString::from(numbers.text());
        assert_eq!(text, "from=77 trial ready=9 pidfile=5 own=7 given=11 drainer=80 drainer=81");
        assert_eq!(HandoverNumbers::read(&text, [77, 1]), Some(numbers.clone()));
        assert_eq!(HandoverNumbers::read(&text, [99, 77]), Some(numbers.clone()));
        assert_eq!(HandoverNumbers::read(&text, [99, 1]), None);
        assert_eq!(numbers.descriptors(), [7, 11, 9, 5]);
        let newer = OsString::from("from=77 kitchen=sink ready=none own=7");
        let read = HandoverNumbers::read(&newer, [77, 1]).unwrap();
        assert_eq!((read.ready, read.sockets), (None, vec![(7, true)]));
        assert_eq!(HandoverNumbers::read(OsStr::new(""), [1, 1]), None);
    }

    #[test]
    fn the_program_is_found_where_it_was_called() {
        let (here, path) = (Path::new("/here"), OsStr::new("/nowhere:/bin"));
        let place = |called: &str| place(OsStr::new(called), here, path);
        assert_eq!(place("/opt/exaproxy"), Some("/opt/exaproxy".into()));
        assert_eq!(place("./exaproxy"), Some("/here/./exaproxy".into()));
        assert_eq!(place("bin/exaproxy"), Some("/here/bin/exaproxy".into()));
        assert_eq!(place("sh"), Some("/bin/sh".into()));
        assert_eq!((place("no-such-program"), place("")), (None, None));
    }
}
