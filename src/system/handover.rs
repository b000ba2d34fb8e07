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
    /// Those of the proxy are shut for now (SIGTTOU).
    pub shut: bool,
    /// Processes with clients of former versions.
    pub drainers: Vec<u32>,
    /// What they are spoken with, by their numbers. One of them may be what gets the byte, too.
    pub lines: Vec<(u32, RawFd)>,
}

impl HandoverNumbers {
    /// The text of the variable.
    pub fn text(&self) -> String {
        let mut words = vec![format!("from={}", self.from)];
        words.extend(self.trial.then(|| "trial".to_owned()));
        words.extend(self.shut.then(|| "shut".to_owned()));
        words.extend(self.ready.map(|number| format!("ready={number}")));
        words.extend(self.pidfile.map(|number| format!("pidfile={number}")));
        words.extend(
            self.sockets.iter().map(|(number, own)| format!("{}={number}", if *own { "own" } else { "given" })),
        );
        words.extend(self.drainers.iter().map(|pid| format!("drainer={pid}")));
        words.extend(self.lines.iter().map(|(pid, number)| format!("line={pid}:{number}")));
        words.join(" ")
    }

    /// Understands the variable, for a process with one of these numbers; None where it is for another.
    pub fn read(text: &OsStr, mine: [u32; 2]) -> Option<HandoverNumbers> {
        let mut read = HandoverNumbers::default();
        for word in text.to_str()?.split(' ') {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match (name, value.parse::<RawFd>()) {
                ("from", Ok(pid)) => read.from = u32::try_from(pid).unwrap_or_default(),
                ("trial", _) => read.trial = true,
                ("shut", _) => read.shut = true,
                ("ready", Ok(number)) => read.ready = Some(number),
                ("pidfile", Ok(number)) => read.pidfile = Some(number),
                ("own", Ok(number)) => read.sockets.push((number, true)),
                ("given", Ok(number)) => read.sockets.push((number, false)),
                ("drainer", Ok(pid)) => read.drainers.extend(u32::try_from(pid)),
                ("line", _) => read.lines.extend(numbers_of(value)),
                _ => {}
            }
        }
        // The parent of a container's first process has the number 0.
        (read.from > 0 && mine.contains(&read.from)).then_some(read)
    }

    /// All descriptors, in the order in which [`Handover::new`] takes them.
    pub fn descriptors(&self) -> Vec<RawFd> {
        let lines = self.lines.iter().map(|(_, number)| *number);
        self.sockets
            .iter()
            .map(|(number, _)| *number)
            .chain(self.own_ready())
            .chain(self.pidfile)
            .chain(lines)
            .collect()
    }

    /// What gets the byte, where it is no line.
    fn own_ready(&self) -> Option<RawFd> {
        self.ready.filter(|ready| !self.lines.iter().any(|(_, number)| number == ready))
    }
}

/// Two numbers with a colon between.
fn numbers_of(text: &str) -> Option<(u32, RawFd)> {
    let (pid, number) = text.split_once(':')?;
    Some((pid.parse().ok()?, number.parse().ok()?))
}

/// A process with clients of a former version.
#[derive(Debug)]
pub struct DrainerLine {
    /// Its number.
    pub pid: u32,
    /// What it is spoken with, where it knows how to.
    pub line: Option<OwnedFd>,
}

/// What was handed over, but for the listening sockets.
#[derive(Debug, Default)]
pub struct Handover {
    /// The start is a trial.
    pub trial: bool,
    /// The listeners of the proxy are shut for now.
    pub shut: bool,
    /// Gets a byte once this version serves, where the former one knows of no line.
    pub ready: Option<OwnedFd>,
    /// The pidfile.
    pub pidfile: Option<OwnedFd>,
    /// Processes with clients of former versions.
    pub drainers: Vec<DrainerLine>,
}

impl Handover {
    /// Takes what follows the sockets of [`HandoverNumbers::descriptors`].
    pub fn new(numbers: &HandoverNumbers, rest: impl IntoIterator<Item = OwnedFd>) -> Handover {
        let mut rest = rest.into_iter();
        let ready = numbers.own_ready().and_then(|_| rest.next());
        let pidfile = numbers.pidfile.and_then(|_| rest.next());
        let mut lines: Vec<(u32, OwnedFd)> = numbers.lines.iter().map(|(pid, _)| *pid).zip(rest).collect();
        let with_line = |pid: &u32| {
            let at = lines.iter().position(|(owner, _)| owner == pid);
            DrainerLine { pid: *pid, line: at.map(|at| lines.swap_remove(at).1) }
        };
        let drainers = numbers.drainers.iter().map(with_line).collect();
        Handover { trial: numbers.trial, shut: numbers.shut, ready, pidfile, drainers }
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
        self.called_with(None)
    }

    /// A command that has it tell its version.
    pub fn version(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg0(&self.program).arg("-v").env_remove(VARIABLE);
        command
    }

    /// A command that has it look for what a start would stumble over. The word comes first: behind `--` it would be none.
    pub fn check(&self) -> Command {
        self.called_with(Some("--check"))
    }

    fn called_with(&self, word: Option<&str>) -> Command {
        let mut command = Command::new(&self.program);
        command.arg0(&self.program).args(word).args(&self.arguments).env_remove(VARIABLE);
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
            shut: true,
            drainers: vec![80, 81],
            lines: vec![(81, 12)],
        };
        let text = OsString::from(numbers.text());
        assert_eq!(text, "from=77 trial shut ready=9 pidfile=5 own=7 given=11 drainer=80 drainer=81 line=81:12");
        assert_eq!(HandoverNumbers::read(&text, [77, 1]), Some(numbers.clone()));
        assert_eq!(HandoverNumbers::read(&text, [99, 77]), Some(numbers.clone()));
        assert_eq!(HandoverNumbers::read(&text, [99, 1]), None);
        assert_eq!(numbers.descriptors(), [7, 11, 9, 5, 12]);
        assert_eq!(
            HandoverNumbers { ready: Some(12), ..numbers }.descriptors(),
            [7, 11, 5, 12],
            "a line is passed on once"
        );
        let newer = OsString::from("from=77 kitchen=sink ready=none own=7 line=81 line=x:1 line=1:x");
        let read = HandoverNumbers::read(&newer, [77, 1]).unwrap();
        assert_eq!((read.ready, read.sockets, read.lines), (None, vec![(7, true)], vec![]));
        assert_eq!(HandoverNumbers::read(OsStr::new("trial"), [1, 0]), None);
    }

    #[test]
    fn each_drainer_gets_its_line() {
        let ends = || std::os::unix::net::UnixStream::pair().unwrap();
        let ((ready, other), (line, _)) = (ends(), ends());
        let numbers = HandoverNumbers {
            ready: Some(1),
            pidfile: None,
            drainers: vec![80, 81],
            lines: vec![(81, 2)],
            ..HandoverNumbers::default()
        };
        let taken = Handover::new(&numbers, [ready.into(), line.into()]);
        let drainers: Vec<(u32, bool)> = taken.drainers.iter().map(|one| (one.pid, one.line.is_some())).collect();
        assert_eq!((taken.ready.is_some(), drainers), (true, vec![(80, false), (81, true)]));
        let numbers = HandoverNumbers { ready: Some(2), ..numbers };
        let taken = Handover::new(&numbers, [other.into()]);
        assert!(taken.ready.is_none() && taken.drainers[1].line.is_some());
    }

    #[test]
    fn the_check_is_asked_for_before_the_words_of_the_start() {
        let arguments = ["-c", "x", "--"].map(OsString::from).to_vec();
        let check = NextVersion { program: "/x".into(), arguments }.check();
        assert_eq!(check.get_args().collect::<Vec<_>>(), ["--check", "-c", "x", "--"]);
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
