//! The next version takes over as the same process. It is tried first; then the process is divided: one part executes the next
//! version with the listening sockets, the other, a drainer, keeps the clients that are there until they have gone.
//!
//! No thread comes along when a process is divided, so that all of them are ended before, with nothing lost that they had to do,
//! and started again afterwards.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{kill, SigSet, SigmaskHow, Signal};
use nix::unistd::Pid;
use reactor::packets::Packets;
use reactor::sys::{close_on_exec, fork, pass_on, Forked};

use super::service::ServiceReport;
use super::trial::{hand_on, FoundOpen, Trial};
use super::Supervisor;
use crate::logs::Handle;
use crate::proxy::MOST_DRAINERS;
use crate::system::handover::{HandoverNumbers, NextVersion, VARIABLE};
use crate::system::pidfile::Pidfile;
use crate::system::service::Notifier;
use crate::system::signals::{self, takes_alarm};

/// How long what threads are at is waited for, turn after turn, before the upgrade is given up.
const SETTLING: Duration = Duration::from_secs(10);

/// How long the loop stands still, at most, until its threads have ended, and how long it turns before it tries that again.
const PARKING: Duration = Duration::from_millis(50);
const AGAIN: Duration = Duration::from_millis(500);

/// An upgrade that is under way, or what it has left here.
pub(super) struct Upgrade {
    next: NextVersion,
    step: UpgradeStep,
}

enum UpgradeStep {
    Nothing,
    /// The next version is tried, beside the loop.
    Tries(Trial),
    /// It is to be executed as soon as the threads have nothing to do.
    Parts {
        since: Instant,
        /// When that is tried next.
        at: Instant,
    },
    /// The next version is the service, and this process a drainer.
    Left,
}

impl Upgrade {
    /// None under way. To be made at the start, while the path of the program is that of this version.
    pub(super) fn new(next: NextVersion) -> Upgrade {
        Upgrade { next, step: UpgradeStep::Nothing }
    }

    /// What the process ends with: that of a drainer is not the end of the service.
    pub(super) fn farewell(&self) -> &'static str {
        match self.step {
            UpgradeStep::Left => "the drainer has ended",
            _ => "exaproxy has stopped",
        }
    }

    /// There is to be none.
    pub(super) fn give_up(&mut self) {
        self.step = UpgradeStep::Nothing;
    }
}

impl Supervisor {
    /// Has the next version tried, unless that is under way.
    pub(super) fn begin_upgrade(&mut self) {
        let program = self.upgrade.next.program().display();
        let (left, idle) = (self.proxy.drainer_pids().len(), matches!(self.upgrade.step, UpgradeStep::Nothing));
        match () {
            () if self.proxy.is_draining() => return refuse("a soft stop is under way"),
            () if !idle => return refuse("another one is under way"),
            () if left >= MOST_DRAINERS => {
                return refuse(&format!(
                    "{left} processes with clients of former versions are left, and more there cannot be"
                ))
            }
            () => {}
        }
        crate::critical!(target: "supervisor", "upgrade: {program} is tried");
        self.try_next();
    }

    fn try_next(&mut self) {
        match Trial::begin(self.upgrade.next.clone(), self.found_open()) {
            Ok(trial) => self.upgrade.step = UpgradeStep::Tries(trial),
            Err(error) => self.stay(&format!("no thread can be started: {error}")),
        }
    }

    /// What the next version finds open.
    fn found_open(&self) -> FoundOpen {
        FoundOpen {
            sockets: self.proxy.listening(),
            shut: self.proxy.is_shut(),
            pidfile: self.pidfile.0.as_ref().map(Pidfile::descriptor),
        }
    }

    /// Goes on with an upgrade, once a turn.
    pub(super) fn go_on_upgrading(&mut self) {
        match &self.upgrade.step {
            UpgradeStep::Nothing | UpgradeStep::Left => {}
            _ if self.proxy.is_draining() => self.give_way_to_the_stop(),
            UpgradeStep::Tries(trial) => match trial.outcome() {
                None => {}
                Some(Ok(())) => {
                    let since = Instant::now();
                    self.upgrade.step = UpgradeStep::Parts { since, at: since };
                }
                // A reload has opened or closed some: with what there is now it may well start.
                Some(Err(_)) if *trial.with() != self.found_open() => {
                    crate::critical!(target: "supervisor", "upgrade: listeners have changed meanwhile, it is tried again");
                    self.try_next();
                }
                Some(Err(wrong)) => self.stay(&wrong),
            },
            UpgradeStep::Parts { since, .. } => {
                let since = *since;
                let refused = match self.try_to_part() {
                    Ok(None) => return,
                    Ok(Some(_)) if since.elapsed() < SETTLING => return,
                    Ok(Some(why)) => why.to_owned(),
                    Err(error) => format!("{}: {error}", self.upgrade.next.program().display()),
                };
                self.go_on(false);
                self.stay(&refused);
            }
        }
    }

    /// A soft stop has begun meanwhile, which the next version would know nothing of.
    fn give_way_to_the_stop(&mut self) {
        match &self.upgrade.step {
            UpgradeStep::Tries(trial) => {
                trial.give_up();
                if trial.outcome().is_none() {
                    return;
                }
            }
            _ => self.go_on(false),
        }
        self.upgrade.give_up();
        refuse("a soft stop is under way");
    }

    /// Divides the process if its threads have nothing to do; gives what they have to do, where that is to be tried again.
    fn try_to_part(&mut self) -> io::Result<Option<&'static str>> {
        if let Err(why) = self.proxy.settle() {
            return Ok(Some(why));
        }
        match &mut self.upgrade.step {
            UpgradeStep::Parts { at, .. } if *at <= Instant::now() => *at = Instant::now() + AGAIN,
            _ => return Ok(None),
        }
        self.part()
    }

    /// There is no upgrade.
    fn stay(&mut self, why: &str) {
        self.upgrade.give_up();
        for line in why.lines() {
            log::error!(target: "supervisor", "no upgrade, this version goes on: {line}");
        }
    }

    /// Divides the process. Comes back in the part that is not the service any more, or where that was not possible.
    fn part(&mut self) -> io::Result<Option<&'static str>> {
        // A signal that comes meanwhile waits for the next version, which it would else end before it knows of signals.
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        // One that has come before is obeyed first, by the part that it was sent to.
        let divided = if self.proxy.has_signals() { Ok(None) } else { self.divide() };
        // Before there are threads, which would have the mask, and their programs too.
        let unmasked = mask.thread_set_mask();
        match divided {
            Ok(Some(line)) => {
                self.upgrade.step = UpgradeStep::Left;
                self.become_drainer(line);
                unmasked?;
                Ok(None)
            }
            Ok(None) => {
                self.go_on(false);
                Ok(Some("threads are at work"))
            }
            Err(error) => Err(error),
        }
    }

    /// Ends the threads, divides the process, and executes the next version in the part that has its number. In the other part
    /// gives the line to that version. None where threads have not ended in time.
    fn divide(&mut self) -> io::Result<Option<Packets>> {
        let deadline = Instant::now() + PARKING;
        let park = |writer: &Handle| writer.park(deadline.saturating_duration_since(Instant::now()));
        if !(self.proxy.park(deadline) && self.writers.iter().all(park) && park(&self.messages.handle())) {
            return Ok(None);
        }
        let ((here, there), (mut fate, mut tell)) = (Packets::pair()?, UnixStream::pair()?);
        match fork_alone(deadline)? {
            None => Ok(None),
            Some(Forked::Parent(drainer)) => {
                drop(fate);
                let error = self.execute(there.descriptor(), drainer);
                // It is still here, and the other part is not needed.
                tell.write_all(b"!")?;
                Err(error)
            }
            Some(Forked::Child) => {
                drop((there, tell));
                // Executed, it has closed its end.
                match fate.read(&mut [0]) {
                    Ok(0) => Ok(Some(here)),
                    _ => std::process::exit(0),
                }
            }
        }
    }

    /// Becomes the next version. Comes back where that fails.
    fn execute(&self, line: i32, drainer: u32) -> io::Error {
        let FoundOpen { sockets, shut, pidfile } = self.found_open();
        let numbers = HandoverNumbers {
            from: std::process::id(),
            trial: false,
            // A version that knows of no line hears that it is to say when it serves.
            ready: Some(line),
            pidfile,
            sockets,
            shut,
            drainers: self.proxy.drainer_pids().into_iter().chain([drainer]).collect(),
            lines: self.proxy.drainer_lines().into_iter().chain([(drainer, line)]).collect(),
        };
        let mut command = self.upgrade.next.command();
        command.env(VARIABLE, numbers.text()).envs(self.service.variables());
        pass_on(&mut command, numbers.descriptors());
        let error = match hand_on(true) {
            Ok(()) => command.exec(),
            Err(error) => error,
        };
        let _ = hand_on(false);
        for number in numbers.descriptors() {
            let _ = close_on_exec(number);
        }
        // The attempt has undone what the program's start does about it.
        let _ = signals::forget_broken_pipes();
        error
    }

    /// This part is not the service any more.
    fn become_drainer(&mut self, line: Packets) {
        if let Some(pidfile) = self.pidfile.0.take() {
            pidfile.leave();
        }
        self.service = ServiceReport::new(Notifier::default());
        self.messages.renumber(std::process::id());
        self.proxy.leave();
        self.proxy.follow(line);
        self.go_on(true);
        let pid = std::process::id();
        crate::critical!(target: "supervisor", "the next version has taken over, and process {pid} keeps the clients that were there");
    }

    /// Starts the threads again. `shared` says that the next version writes to the same logs.
    fn go_on(&mut self, shared: bool) {
        let messages = self.messages.handle();
        let writers = self.writers.iter().chain([&messages]).try_for_each(|writer| writer.go_on(shared));
        if let Err(error) = writers.and_then(|()| self.proxy.go_on()) {
            log::error!(target: "supervisor", "a thread is missing from now on: {error}");
        }
    }

    /// Ends what former versions have left.
    pub(super) fn end_drainers(&self) {
        for pid in self.proxy.drainer_pids() {
            // They are our children, so that no other process has got such a number; nor has any one that does not fit.
            let pid = i32::try_from(pid).map(Pid::from_raw);
            let _ = pid.map(|pid| kill(pid, Signal::SIGTERM));
        }
    }
}

fn refuse(why: &str) {
    log::error!(target: "supervisor", "no upgrade: {why}");
}

/// Divides the process once the threads that were ended have gone from the list of the system, too. None where they are still
/// there.
fn fork_alone(deadline: Instant) -> io::Result<Option<Forked>> {
    loop {
        match fork() {
            Err(error) if error.raw_os_error().is_some() => {
                return Err(io::Error::new(error.kind(), format!("the process cannot be divided: {error}")))
            }
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_micros(100)),
            forked => return Ok(forked.ok()),
        }
    }
}

/// Asks the process of a pidfile to execute its next version.
///
/// # Errors
/// Why it cannot be asked.
pub fn ask(pidfile: &Path) -> Result<u32, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", pidfile.display());
    // To a program that knows of no upgrade the signal is the end.
    let pid = Pidfile::holder(pidfile).map_err(|error| failed(&error))?;
    let pid = pid.ok_or_else(|| failed(&"no running proxy holds it"))?;
    if !takes_alarm(pid) {
        return Err(failed(&format!("process {pid} does not take SIGALRM: it is no proxy that can be upgraded")));
    }
    kill(Pid::from_raw(pid), Signal::SIGALRM).map_err(|errno| failed(&format!("process {pid}: {}", errno.desc())))?;
    Ok(pid.unsigned_abs())
}
