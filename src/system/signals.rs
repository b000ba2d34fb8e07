//! Signals, turned into bytes on a socket of the loop; those that mean nothing here are kept from ending the process.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use mio::net::UnixStream;
use signal_hook::consts::{SIGALRM, SIGCHLD, SIGIO, SIGPROF, SIGVTALRM, SIGXCPU, SIGXFSZ};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTRAP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2};

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGTERM: stop at once.
    Terminate,
    /// SIGINT: stop at once.
    Interrupt,
    /// SIGQUIT: soft stop.
    Quit,
    /// SIGTTOU: close the proxy listeners.
    StopListening,
    /// SIGTTIN: open them again.
    Listen,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGTRAP: debug messages on or off.
    Debug,
    /// SIGUSR1: one helper less.
    FewerHelpers,
    /// SIGUSR2: one helper more.
    MoreHelpers,
    /// SIGALRM: the next version takes over.
    Upgrade,
}

impl Signal {
    const ALL: [(Signal, i32, &'static str); 10] = [
        (Signal::Terminate, SIGTERM, "SIGTERM"),
        (Signal::Interrupt, SIGINT, "SIGINT"),
        (Signal::Quit, SIGQUIT, "SIGQUIT"),
        (Signal::StopListening, SIGTTOU, "SIGTTOU"),
        (Signal::Listen, SIGTTIN, "SIGTTIN"),
        (Signal::Reload, SIGHUP, "SIGHUP"),
        (Signal::Debug, SIGTRAP, "SIGTRAP"),
        (Signal::FewerHelpers, SIGUSR1, "SIGUSR1"),
        (Signal::MoreHelpers, SIGUSR2, "SIGUSR2"),
        (Signal::Upgrade, SIGALRM, "SIGALRM"),
    ];

    /// The name in signal(7).
    pub fn name(self) -> &'static str {
        Signal::ALL.iter().find(|(signal, _, _)| *signal == self).map_or("signal", |(_, _, name)| name)
    }
}

/// Signals that would end the process and mean nothing to it: a timer, a limit or an operator may send them. They get a
/// handler that does nothing. Ignored ones would stay ignored in the programs that the proxy starts, while handlers end
/// with execve(2). With SIGXFSZ taken, a write beyond the largest file size (RLIMIT_FSIZE) fails with EFBIG. SIGCHLD is
/// here because a process started with it ignored cannot wait for its children (wait(2)). Faults keep their default:
/// SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS.
const WITHOUT_EFFECT: [i32; 6] = [SIGCHLD, SIGIO, SIGPROF, SIGVTALRM, SIGXCPU, SIGXFSZ];

/// Those that only Linux has, its real-time signals included.
#[cfg(target_os = "linux")]
fn of_system() -> impl Iterator<Item = i32> {
    [libc::SIGPWR, libc::SIGSTKFLT].into_iter().chain(libc::SIGRTMIN()..=libc::SIGRTMAX())
}

#[cfg(not(target_os = "linux"))]
fn of_system() -> impl Iterator<Item = i32> {
    std::iter::empty()
}

/// Whether a process takes SIGALRM, or has it wait: it would else be its end. Where the system does not tell, it is believed to.
pub fn takes_alarm(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = |line: &'static str| status.lines().find_map(|found| found.strip_prefix(line));
    let masks = ["SigCgt:", "SigBlk:"].map(|line| u64::from_str_radix(mask(line).unwrap_or_default().trim(), 16));
    status.is_empty() || masks.iter().flatten().any(|bits| bits >> (SIGALRM - 1) & 1 == 1)
}

/// Has a write to what is closed at its other end fail with EPIPE, where the start of the program does not hold any more.
///
/// # Errors
/// Those of sigaction(2).
pub fn forget_broken_pipes() -> io::Result<()> {
    signal_hook::flag::register(signal_hook::consts::SIGPIPE, Arc::new(AtomicBool::new(false))).map(drop)
}

/// Lets all signals come again, which a former version of the program has kept from coming until this one knows of them.
///
/// # Errors
/// Those of pthread_sigmask(3).
pub fn unblock() -> io::Result<()> {
    Ok(nix::sys::signal::SigSet::all().thread_unblock()?)
}

/// The signals that have come and were not yet taken.
#[derive(Debug)]
pub struct Signals {
    pair: UnixStream,
    flags: Vec<(Signal, Arc<AtomicBool>)>,
}

impl Signals {
    /// Takes all signals over that the proxy knows, and those that are to do nothing.
    ///
    /// # Errors
    /// Those of socketpair(2) and sigaction(2).
    pub fn new() -> io::Result<Signals> {
        let (here, there) = UnixStream::pair()?;
        let there = std::os::unix::net::UnixStream::from(std::os::fd::OwnedFd::from(there));
        let mut flags = Vec::new();
        for (signal, number, _) in Signal::ALL {
            let flag = Arc::new(AtomicBool::new(false));
            // The flag goes first, so that it is up when the byte wakes the loop.
            signal_hook::flag::register(number, Arc::clone(&flag))?;
            signal_hook::low_level::pipe::register(number, there.try_clone()?)?;
            flags.push((signal, flag));
        }
        let unread = Arc::new(AtomicBool::new(false));
        for number in WITHOUT_EFFECT {
            signal_hook::flag::register(number, Arc::clone(&unread))?;
        }
        for number in of_system() {
            // What runs the program may keep some of these for itself, as valgrind does with SIGRTMAX: they cannot come then.
            match signal_hook::flag::register(number, Arc::clone(&unread)) {
                Err(error) if error.raw_os_error() != Some(libc::EINVAL) => return Err(error),
                _ => {}
            }
        }
        Ok(Signals { pair: here, flags })
    }

    /// The socket to watch.
    pub fn source(&mut self) -> &mut UnixStream {
        &mut self.pair
    }

    /// Has one come that was not taken?
    pub fn has_some(&self) -> bool {
        self.flags.iter().any(|(_, flag)| flag.load(Ordering::Relaxed))
    }

    /// Takes what has come. Several of one kind count once.
    pub fn take(&mut self) -> Vec<Signal> {
        let mut bytes = [0; 256];
        while matches!(self.pair.read(&mut bytes), Ok(count) if count > 0) {}
        self.flags.iter().filter(|(_, flag)| flag.swap(false, Ordering::Relaxed)).map(|(signal, _)| *signal).collect()
    }
}
