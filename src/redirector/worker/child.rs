//! The helper's process: started in a process group of its own with three pipes and nothing else, and always reaped.

use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::sys::signal::{killpg, Signal};
use nix::unistd::Pid;

use super::stderr::Lines;
use super::Program;

/// How long a helper has to end by itself after its input has ended, and again after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// Shortest and longest pause between two looks at whether a helper has ended.
const GLANCE: Duration = Duration::from_millis(1);
const GAZE: Duration = Duration::from_millis(50);

/// A running helper.
pub(super) struct Helper {
    number: u32,
    child: Child,
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: Option<ChildStderr>,
    lines: Lines,
}

impl Helper {
    pub(super) fn spawn(number: u32, program: &Program) -> io::Result<Helper> {
        let mut command = Command::new(&program.path);
        command.args(&program.arguments).process_group(0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::Error::other("the pipes to the program are missing"));
        };
        let name = format!("worker {number} ({})", child.id());
        let helper =
            Helper { number, child, stdin: Some(stdin), stdout, stderr: Some(stderr), lines: Lines::new(name) };
        helper.unblock()?;
        Ok(helper)
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

    /// Has the process ended?
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills the helper and what it has started.
    pub(super) fn kill(&mut self) -> String {
        self.signal(Signal::SIGKILL);
        self.report(None)
    }

    /// Ends the helper in good order: no more input, then a request, then force.
    pub(super) fn retire(&mut self) -> String {
        self.stdin = None;
        if !self.ends_within(GRACE) {
            self.signal(Signal::SIGTERM);
            if !self.ends_within(GRACE) {
                log::warn!(target: "worker", "{} ignores SIGTERM and is killed", self.name());
                return self.kill();
            }
        }
        self.report(None)
    }

    /// The helper has closed its standard output, which is its end whether it thinks so or not.
    pub(super) fn bury(&mut self) -> String {
        self.stdin = None;
        if self.ends_within(GRACE) {
            return self.report(None);
        }
        self.signal(Signal::SIGKILL);
        self.report(Some("it closed its standard output without ending, and "))
    }

    fn signal(&mut self, signal: Signal) {
        // While it was not reaped its number cannot be that of anybody else.
        if self.has_ended() {
            return;
        }
        if let Ok(id) = i32::try_from(self.child.id()) {
            if let Err(error) = killpg(Pid::from_raw(id), signal) {
                log::error!(target: "worker", "{} cannot be sent {signal}: {error}", self.name());
            }
        }
    }

    /// Waits for the end, reading on, so that the helper does not wait for us in turn.
    fn ends_within(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut pause = GLANCE;
        while !self.has_ended() {
            if Instant::now() >= deadline {
                return false;
            }
            let mut bytes = [0; 4096];
            let heard = matches!(self.stdout.read(&mut bytes), Ok(1..));
            if !heard {
                // What it says in its last moments is still logged, and cannot make things worse.
                let _ = self.read_stderr();
                thread::sleep(pause);
                pause = (pause * 2).min(GAZE);
            }
        }
        true
    }

    /// Reaps the process and says how it ended.
    fn report(&mut self, before: Option<&str>) -> String {
        let how = match self.child.wait() {
            Ok(status) => explain(status),
            Err(error) => format!("cannot be waited for: {error}"),
        };
        while self.stderr.is_some() && matches!(self.read_last(), Ok(1..)) {}
        self.lines.finish();
        format!("{}{how}", before.unwrap_or_default())
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
