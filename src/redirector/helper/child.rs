//! The helper's process: started in a process group of its own with three pipes and nothing else, and always reaped.

use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::sys::signal::{kill, killpg, Signal};
use nix::sys::wait::{waitid, Id, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;

use super::stderr::StderrLines;
use super::Program;

/// How long a helper has to end by itself after its input has ended, and again after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// Shortest and longest pause between two looks at whether a helper has ended.
const GLANCE: Duration = Duration::from_millis(1);
const GAZE: Duration = Duration::from_millis(50);

/// Lets so much time pass. True if the helper is to be killed at once.
pub(super) type Pause<'a> = &'a mut dyn FnMut(Duration) -> bool;

/// Has a process ended that its parent has not reaped yet (proc(5), the state behind the name)?
fn is_zombie(pid: u32) -> bool {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.iter().rposition(|byte| *byte == b')').and_then(|end| stat.get(end + 2));
    matches!(state, Some(b'Z' | b'X'))
}

/// How waiting for the end of a helper ended.
#[derive(PartialEq, Eq)]
enum Wait {
    Ended,
    TooLong,
    Killed,
}

/// A running helper.
pub(super) struct HelperProcess {
    number: u32,
    child: Child,
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: Option<ChildStderr>,
    lines: StderrLines,
}

impl HelperProcess {
    pub(super) fn spawn(number: u32, program: &Program) -> io::Result<HelperProcess> {
        let mut command = Command::new(&program.path);
        command.args(&program.arguments).process_group(0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::Error::other("the pipes to the program are missing"));
        };
        let name = format!("worker {number} ({})", child.id());
        let mut helper = HelperProcess {
            number,
            child,
            stdin: Some(stdin),
            stdout,
            stderr: Some(stderr),
            lines: StderrLines::new(name),
        };
        match helper.unblock() {
            Ok(()) => Ok(helper),
            Err(error) => {
                helper.kill();
                Err(error)
            }
        }
    }

    fn unblock(&self) -> io::Result<()> {
        let unblock = |fd: &dyn AsFd| fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(drop);
        self.stdin.iter().try_for_each(|pipe| unblock(pipe))?;
        unblock(&self.stdout)?;
        self.stderr.iter().try_for_each(|pipe| unblock(pipe))?;
        Ok(())
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its name in the log.
    pub(super) fn name(&self) -> String {
        format!("worker {} ({})", self.number, self.child.id())
    }

    /// Logs what the helper has written to standard error.
    ///
    /// # Errors
    /// When it is too much.
    pub(super) fn read_stderr(&mut self) -> Result<(), &'static str> {
        let Some(pipe) = &mut self.stderr else { return Ok(()) };
        let mut bytes = [0; 4096];
        match pipe.read(&mut bytes) {
            Ok(0) => self.stderr = None,
            Ok(count) => return self.lines.take(&bytes[..count], Instant::now()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.stderr = None,
        }
        Ok(())
    }

    /// Has the process ended? It stays unreaped, so that no other process gets its number, which is that of its group
    /// too. After an upgrade it is the child of the new version, which reaps it.
    pub(super) fn has_ended(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.group()), flags) {
            Ok(WaitStatus::StillAlive) => false,
            Err(Errno::ECHILD) => kill(self.group(), None).is_err() || is_zombie(self.child.id()),
            _ => true,
        }
    }

    /// Kills the helper and what it has started.
    pub(super) fn kill(&mut self) -> String {
        self.report()
    }

    /// Ends the helper in good order: no more input, then a request, then force.
    pub(super) fn retire(&mut self, pause: Pause<'_>) -> String {
        self.stdin = None;
        let mut wait = self.wait(GRACE, pause);
        if wait == Wait::TooLong {
            self.signal(Signal::SIGTERM);
            wait = self.wait(GRACE, pause);
        }
        if wait == Wait::TooLong {
            log::warn!(target: "worker", "{} ignores SIGTERM and is killed", self.name());
        }
        self.report()
    }

    /// The helper has closed its standard output: it can give no reply any more, so it is ended even if it still runs.
    pub(super) fn bury(&mut self, pause: Pause<'_>) -> String {
        self.stdin = None;
        match self.wait(GRACE, pause) {
            Wait::TooLong => format!("{}: it closed its standard output without ending", self.report()),
            Wait::Ended | Wait::Killed => self.report(),
        }
    }

    fn group(&self) -> Pid {
        // Process ids fit; no group has the number that would stand for one that does not.
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }

    fn signal(&self, signal: Signal) {
        if let Err(error) =
            killpg(self.group(), signal).or_else(|error| if error == Errno::ESRCH { Ok(()) } else { Err(error) })
        {
            log::error!(target: "worker", "{} cannot be sent {signal}: {error}", self.name());
        }
    }

    /// Waits for the end, reading on, so that the helper does not wait for us in turn.
    fn wait(&mut self, time: Duration, pause: Pause<'_>) -> Wait {
        let deadline = Instant::now() + time;
        let mut glance = GLANCE;
        while !self.has_ended() {
            if Instant::now() >= deadline {
                return Wait::TooLong;
            }
            let mut bytes = [0; 4096];
            let heard = matches!(self.stdout.read(&mut bytes), Ok(1..));
            // What it says in its last moments is still logged. Too much of it is no reason to kill it now: it is ending.
            let _ = self.read_stderr();
            // A helper that writes without end is looked at without a pause, and gets no more time than a silent one.
            if pause(if heard { Duration::ZERO } else { glance }) {
                return Wait::Killed;
            }
            glance = if heard { GLANCE } else { (glance * 2).min(GAZE) };
        }
        Wait::Ended
    }

    /// Kills what there still is of the helper and of what it has started, reaps it, and says how it ended. One that had
    /// ended by itself is still said to have done so.
    fn report(&mut self) -> String {
        self.signal(Signal::SIGKILL);
        // One that has moved to another group would else be waited for without end.
        let _ = self.child.kill();
        let how = match self.child.wait() {
            Ok(status) => explain(status),
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => "has ended".to_owned(),
            Err(error) => format!("cannot be waited for: {error}"),
        };
        while self.stderr.is_some() && matches!(self.read_last(), Ok(1..)) {}
        self.lines.finish();
        how
    }

    /// What is left in the pipe of standard error, as long as it is bearable.
    fn read_last(&mut self) -> io::Result<usize> {
        let Some(pipe) = &mut self.stderr else { return Ok(0) };
        let mut bytes = [0; 4096];
        let count = pipe.read(&mut bytes)?;
        match self.lines.take(&bytes[..count], Instant::now()) {
            Ok(()) => Ok(count),
            Err(_) => Ok(0),
        }
    }
}

fn explain(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(number)) => match Signal::try_from(number) {
            Ok(signal) => format!("was killed by signal {number} ({signal})"),
            Err(_) => format!("was killed by signal {number}"),
        },
        (None, None) => status.to_string(),
    }
}
