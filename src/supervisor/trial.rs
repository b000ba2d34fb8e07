//! A trial of the next version, beside the loop: it looks at the configuration, and starts without accepting a client. Knows
//! nothing of what comes of that.

use std::io::{self, Read};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{killpg, Signal};
use nix::sys::wait::{waitid, Id, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;
use reactor::sys::pass_on;

use crate::proxy::{InheritedSockets, Options, Proxy};
use crate::system::capabilities;
use crate::system::handover::{HandoverNumbers, NextVersion, VARIABLE};
use crate::system::privileges::is_privileged;
use crate::system::service::Activation;
use crate::system::signals::Signals;

/// How long the check of the next version may take, and its trial start.
const TRIAL: Duration = Duration::from_secs(30);

/// Pause between two looks at whether it has ended.
const GLANCE: Duration = Duration::from_millis(10);

/// How long the end of a trial that was given up is waited for.
const END: Duration = Duration::from_secs(1);

/// What a trial says that could start.
const READY: &str = "exaproxy is ready";

/// Most bytes that are read of what a trial says, at a glance and in all.
const SAID: usize = 64 << 10;

/// What the next version finds open, and need not be able to open itself.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct FoundOpen {
    /// Sockets by their descriptors, and whether they are our own.
    pub(super) sockets: Vec<(RawFd, bool)>,
    /// Whether those of the proxy are shut.
    pub(super) shut: bool,
    pub(super) pidfile: Option<RawFd>,
}

/// A trial that is under way. What is tried ends with it.
pub(super) struct Trial {
    told: Receiver<Result<(), String>>,
    given_up: Arc<AtomicBool>,
    with: FoundOpen,
}

impl Trial {
    /// Begins one.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn begin(next: NextVersion, with: FoundOpen) -> io::Result<Trial> {
        let (tell, told) = mpsc::channel();
        let given_up = Arc::new(AtomicBool::new(false));
        let (found, no_more) = (with.clone(), Arc::clone(&given_up));
        let tries = std::thread::Builder::new().name("upgrade".to_owned());
        tries.spawn(move || drop(tell.send(try_out(&next, found, &no_more))))?;
        Ok(Trial { told, given_up, with })
    }

    /// What it was begun with.
    pub(super) fn with(&self) -> &FoundOpen {
        &self.with
    }

    /// What came of it, once it is over.
    pub(super) fn outcome(&self) -> Option<Result<(), String>> {
        match self.told.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err("it could not be tried".to_owned())),
        }
    }

    /// Has it end.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Relaxed);
    }
}

impl Drop for Trial {
    /// A program that hangs would else keep our listeners, and clients with them, when this process has ended.
    fn drop(&mut self) {
        self.give_up();
        let _ = self.told.recv_timeout(END);
    }
}

/// Has the next version look at the configuration, and start without accepting a client.
fn try_out(next: &NextVersion, with: FoundOpen, given_up: &AtomicBool) -> Result<(), String> {
    // Of this thread, which ends with it.
    hand_on(true).map_err(|error| error.to_string())?;
    // A file that is no program is found out without descriptors: with them it would be a script for a shell (execvp(3)).
    run(next.version(), given_up)?;
    let FoundOpen { sockets, shut, pidfile } = with;
    let numbers =
        HandoverNumbers { from: std::process::id(), trial: true, sockets, shut, pidfile, ..HandoverNumbers::default() };
    let run_with = |mut command: Command| {
        command.env(VARIABLE, numbers.text());
        pass_on(&mut command, numbers.descriptors());
        run(command, given_up)
    };
    run_with(next.check())?;
    match run_with(next.command())? {
        said if said.contains(READY) => Ok(()),
        said => Err(format!("its trial start does not say that it is ready: {said}")),
    }
}

/// Has the next version have the one capability that this process has kept (`intercept.mode=tproxy`), or other programs not get it any
/// more. Root hands all on by itself.
pub(super) fn hand_on(on: bool) -> io::Result<()> {
    if is_privileged() {
        return Ok(());
    }
    capabilities::hand_on(on).map_err(|error| io::Error::other(error.to_string()))
}

/// Runs a program to its end, but not for long, and gives what it has said. What it has started ends with it.
fn run(mut command: Command, given_up: &AtomicBool) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |error: io::Error| format!("{program}: {error}");
    let (mut hears, says) = UnixStream::pair().map_err(failed)?;
    hears.set_nonblocking(true).map_err(failed)?;
    let output = says.try_clone().map_err(failed)?;
    command.stdin(Stdio::null()).stdout(OwnedFd::from(output)).stderr(OwnedFd::from(says));
    let child = command.process_group(0).spawn();
    // With it goes our copy of the end that says.
    drop(command);
    let mut child = child.map_err(failed)?;
    let (deadline, mut said) = (Instant::now() + TRIAL, Vec::new());
    let late = loop {
        listen(&mut hears, &mut said);
        match () {
            () if has_ended(&child) => break false,
            () if given_up.load(Relaxed) || Instant::now() > deadline => break true,
            () => std::thread::sleep(GLANCE),
        }
    };
    // Before it is reaped, so that the number is still that of its group.
    let _ = killpg(number(&child), Signal::SIGKILL);
    let status = child.wait().map_err(failed)?;
    if late {
        return Err(format!("{program} has not ended its trial in {} seconds", TRIAL.as_secs()));
    }
    listen(&mut hears, &mut said);
    let said = String::from_utf8_lossy(&said).trim_end().to_owned();
    match status.success() {
        true => Ok(said),
        false => Err(format!("{said}\n{program} has failed its trial: {status}").trim_start().to_owned()),
    }
}

fn number(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

fn has_ended(child: &Child) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::Pid(number(child)), flags), Ok(WaitStatus::StillAlive))
}

/// Takes what there is to be heard, and keeps the first of it. One that never stops talking is not heard out.
fn listen(from: &mut UnixStream, said: &mut Vec<u8>) {
    let mut bytes = [0; 4096];
    for _ in 0..SAID / bytes.len() {
        let Ok(count @ 1..) = from.read(&mut bytes) else { return };
        said.extend_from_slice(&bytes[..count]);
        said.truncate(SAID);
    }
}

/// A start that opens neither pidfile nor log, starts no helper, and accepts nothing.
///
/// # Errors
/// What a start would end with.
pub(super) fn try_start(options: Options, activation: Activation) -> Result<(), String> {
    let signals = Signals::new().map_err(|error| error.to_string())?;
    let shut = activation.handover.is_some_and(|handover| handover.shut);
    let options = Options { inherited: InheritedSockets::new(activation.sockets, false)?, shut, ..options };
    Proxy::new(options, signals).map_err(|error| error.to_string())?;
    println!("{READY}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_never_stops_talking_ends_with_its_trial() {
        let refused = run(Command::new("yes"), &AtomicBool::new(true));
        assert!(refused.is_err_and(|why| why.contains("yes has not ended its trial")));
    }
}
