//! What a supervisor that speaks systemd's protocols says to this process in its environment, and what it is told: sockets
//! (sd_listen_fds(3)), state and signs of life (sd_notify(3)). Each of the latter is a datagram. Knows nothing of what is served.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::time::{clock_gettime, ClockId};

use super::handover::{self, Handover, HandoverNumbers};

/// The variables, all of which are meant for this process alone and would mislead the programs that it starts.
const VARIABLES: [&str; 6] =
    ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// The first descriptor that is given so (sd_listen_fds(3)).
const FIRST: RawFd = 3;

/// Most sockets that are taken: far more than there are listeners.
const MOST_SOCKETS: usize = 1024;

/// Signs of life in the time in which one is expected: one that is late does not count.
const SIGNS: u32 = 3;

/// What the environment said.
#[derive(Debug)]
pub struct Activation {
    /// Sockets, in their order.
    pub sockets: Vec<GivenSocket>,
    /// Who is told.
    pub notifier: Notifier,
    /// What a former version has handed over, where this is an upgrade; the sockets are then its own.
    pub handover: Option<Handover>,
}

impl Activation {
    /// Is the start a trial by a former version?
    pub fn is_trial(&self) -> bool {
        self.handover.as_ref().is_some_and(|handover| handover.trial)
    }
}

/// A socket that was open before the start.
#[derive(Debug)]
pub struct GivenSocket {
    /// Its name, for those who have to find a mistake.
    pub name: String,
    /// A former version of this program has opened it, and not a supervisor.
    pub own: bool,
    /// The socket.
    pub descriptor: OwnedFd,
}

/// The same before anything is opened.
#[derive(Debug, Default, PartialEq, Eq)]
struct ServiceVariables {
    names: Vec<String>,
    notify: Option<OsString>,
    watchdog: Option<Duration>,
}

impl ServiceVariables {
    /// Understands the variables, as far as they are for the process `pid`.
    fn read(pid: u32, value: impl Fn(&str) -> Option<OsString>) -> Result<ServiceVariables, String> {
        let text = |name| value(name).and_then(|text| text.into_string().ok());
        let number = |name| {
            let read = |text: String| text.parse::<u64>().map_err(|_| format!("{name} is {text:?}, and no number"));
            text(name).map(read).transpose()
        };
        let ours = |name| Ok::<bool, String>(number(name)?.is_some_and(|found| found == u64::from(pid)));
        let count = if ours("LISTEN_PID")? { number("LISTEN_FDS")?.unwrap_or(0) } else { 0 };
        let count = usize::try_from(count).ok().filter(|count| *count <= MOST_SOCKETS);
        let count = count.ok_or_else(|| format!("LISTEN_FDS: at most {MOST_SOCKETS} sockets are taken"))?;
        let given = text("LISTEN_FDNAMES").unwrap_or_default();
        let names = given.split(':').chain(std::iter::repeat("")).take(count).map(str::to_owned).collect();
        // Without WATCHDOG_PID it is for all processes.
        let watched = value("WATCHDOG_PID").is_none() || ours("WATCHDOG_PID")?;
        let watchdog = number("WATCHDOG_USEC")?.filter(|time| watched && *time > 0).map(Duration::from_micros);
        Ok(ServiceVariables { names, notify: value("NOTIFY_SOCKET").filter(|path| !path.is_empty()), watchdog })
    }
}

/// Takes what the environment says, and takes it out of the environment. To be called once, before threads are started and
/// anything is opened.
///
/// # Errors
/// What cannot be understood, or is not there.
pub fn take() -> Result<Activation, String> {
    let said = ServiceVariables::read(std::process::id(), |name| std::env::var_os(name));
    let mine = [std::process::id(), std::os::unix::process::parent_id()];
    let handed = std::env::var_os(handover::VARIABLE).and_then(|text| HandoverNumbers::read(&text, mine));
    VARIABLES.into_iter().chain([handover::VARIABLE]).for_each(|name| std::env::remove_var(name));
    let said = said?;
    let notifier =
        Notifier::new(said.notify.as_deref(), said.watchdog).map_err(|error| format!("NOTIFY_SOCKET: {error}"))?;
    if let Some(numbers) = handed {
        let taken = reactor::sys::take_inherited(&numbers.descriptors());
        let mut taken = taken.map_err(|error| format!("{}: {error}", handover::VARIABLE))?.into_iter();
        let sockets = numbers.sockets.iter().zip(taken.by_ref());
        // The files of a process that goes on stay where they are when a trial ends.
        let sockets = sockets.map(|((_, own), descriptor)| GivenSocket {
            name: String::new(),
            own: *own && !numbers.trial,
            descriptor,
        });
        let sockets = sockets.collect();
        return Ok(Activation { sockets, notifier, handover: Some(Handover::new(&numbers, taken)) });
    }
    let numbers: Vec<RawFd> = (FIRST..).take(said.names.len()).collect();
    let taken = reactor::sys::take_inherited(&numbers).map_err(|error| format!("LISTEN_FDS: {error}"))?;
    let given = |(name, descriptor)| GivenSocket { name, own: false, descriptor };
    let sockets = said.names.into_iter().zip(taken).map(given).collect();
    Ok(Activation { sockets, notifier, handover: None })
}

/// Tells the supervisor how the service is. Where none wants to know, it does nothing.
#[derive(Debug, Default)]
pub struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// Between two signs of life.
    pause: Option<Duration>,
    next: Option<Instant>,
}

impl Notifier {
    fn new(to: Option<&OsStr>, watchdog: Option<Duration>) -> io::Result<Notifier> {
        let Some(to) = to else { return Ok(Notifier::default()) };
        let socket = UnixDatagram::unbound()?;
        // A supervisor that does not read must not hold us.
        socket.set_nonblocking(true)?;
        let pause = watchdog.map(|time| time / SIGNS);
        Ok(Notifier { to: Some((socket, address(to)?)), pause, next: None })
    }

    /// Is there a supervisor that wants to know?
    pub fn is_there(&self) -> bool {
        self.to.is_some()
    }

    /// The variables by which the next version of the program finds the same supervisor.
    pub fn variables(&self) -> Vec<(&'static str, OsString)> {
        let Some((_, to)) = &self.to else { return Vec::new() };
        let path = to.as_pathname().map(|path| path.as_os_str().to_owned());
        let to = path.or_else(|| abstract_name(to)).map(|name| ("NOTIFY_SOCKET", name));
        let watchdog = self.watchdog().map(|time| ("WATCHDOG_USEC", time.as_micros().to_string().into()));
        to.into_iter().chain(watchdog).collect()
    }

    /// The time in which a sign of life is expected, where one is.
    pub fn watchdog(&self) -> Option<Duration> {
        self.pause.map(|pause| pause * SIGNS)
    }

    /// The service is there, anew after a reload; `status` says how it is.
    ///
    /// # Errors
    /// What sendto(2) says.
    pub fn ready(&self, status: &str) -> io::Result<()> {
        self.send(&format!("READY=1\n{}", line(status)))
    }

    /// The service reads its configuration.
    ///
    /// # Errors
    /// What sendto(2) says.
    pub fn reloading(&self) -> io::Result<()> {
        if !self.is_there() {
            return Ok(());
        }
        // The supervisor tells by the time which of several reloads it is told of.
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
        let micros = i128::from(now.tv_sec()) * 1_000_000 + i128::from(now.tv_nsec()) / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"))
    }

    /// The service ends. Not to be said of a soft stop: from here on systemd counts its TimeoutStopSec.
    ///
    /// # Errors
    /// What sendto(2) says.
    pub fn stopping(&self) -> io::Result<()> {
        self.send("STOPPING=1\nSTATUS=stopping")
    }

    /// How the service is.
    ///
    /// # Errors
    /// What sendto(2) says.
    pub fn status(&self, status: &str) -> io::Result<()> {
        self.send(&line(status))
    }

    /// A sign of life, where one is due.
    ///
    /// # Errors
    /// What sendto(2) says.
    pub fn alive(&mut self) -> io::Result<()> {
        let Some(pause) = self.pause else { return Ok(()) };
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            return Ok(());
        }
        self.next = Some(now + pause);
        self.send("WATCHDOG=1")
    }

    fn send(&self, text: &str) -> io::Result<()> {
        let Some((socket, to)) = &self.to else { return Ok(()) };
        socket.send_to_addr(text.as_bytes(), to).map(drop)
    }
}

/// A status is one line, or what follows would be taken for another variable.
fn line(status: &str) -> String {
    format!("STATUS={}", status.replace(['\n', '\r'], " "))
}

#[cfg(target_os = "linux")]
fn abstract_name(address: &SocketAddr) -> Option<OsString> {
    let name = std::os::linux::net::SocketAddrExt::as_abstract_name(address)?;
    Some(OsString::from_vec([b"@", name].concat()))
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_address: &SocketAddr) -> Option<OsString> {
    None
}

fn address(to: &OsStr) -> io::Result<SocketAddr> {
    match to.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(Path::new(to)),
        _ => Err(io::Error::other(format!("{} is neither a path nor an abstract name", to.to_string_lossy()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(variables: &[(&str, &str)]) -> Result<ServiceVariables, String> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        ServiceVariables::read(77, |name| find(name).map(|(_, value)| OsString::from(value)))
    }

    #[test]
    fn what_is_for_another_process_is_not_taken() {
        let sockets = |pid, count, names| {
            said(&[("LISTEN_PID", pid), ("LISTEN_FDS", count), ("LISTEN_FDNAMES", names)]).map(|said| said.names)
        };
        assert_eq!(sockets("77", "2", "web:proxy"), Ok(vec!["web".to_owned(), "proxy".to_owned()]));
        assert_eq!(sockets("77", "2", "web"), Ok(vec!["web".to_owned(), String::new()]));
        assert_eq!(sockets("78", "2", "web:proxy"), Ok(vec![]));
        assert_eq!(said(&[("LISTEN_FDS", "2")]), Ok(ServiceVariables::default()));
        assert_eq!(said(&[]), Ok(ServiceVariables::default()));
        assert!(sockets("77", "1025", "").is_err_and(|error| error.contains("at most")));
        assert!(sockets("77", "-1", "").is_err_and(|error| error.contains("LISTEN_FDS is \"-1\"")));
        let watchdog = |variables: &[(&str, &str)]| said(variables).map(|said| said.watchdog);
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "3000000")]), Ok(Some(Duration::from_secs(3))));
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", "77")]), Ok(Some(Duration::from_secs(3))));
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", "78")]), Ok(None));
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "0")]), Ok(None));
        assert!(watchdog(&[("WATCHDOG_USEC", "soon")]).is_err());
    }

    #[test]
    fn a_supervisor_gets_datagrams_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let mut names = vec![(path.clone().into_os_string(), UnixDatagram::bind(&path).unwrap())];
        if cfg!(target_os = "linux") {
            let name = OsString::from(format!("@exaproxy-notify-{}", std::process::id()));
            let bound = UnixDatagram::bind_addr(&address(&name).unwrap()).unwrap();
            names.push((name, bound));
        }
        for (name, supervisor) in names {
            let mut notifier = Notifier::new(Some(&name), Some(Duration::from_secs(3600))).unwrap();
            let again = notifier.variables();
            assert_eq!(again, [("NOTIFY_SOCKET", name), ("WATCHDOG_USEC", "3600000000".into())]);
            let mut bytes = [0; 256];
            let mut heard = || {
                let count = supervisor.recv(&mut bytes).unwrap();
                String::from_utf8_lossy(&bytes[..count]).into_owned()
            };
            notifier.ready("good\nMAINPID=1").unwrap();
            assert_eq!(heard(), "READY=1\nSTATUS=good MAINPID=1");
            notifier.alive().unwrap();
            notifier.alive().unwrap();
            assert_eq!(heard(), "WATCHDOG=1");
            notifier.reloading().unwrap();
            let text = heard();
            let micros =
                text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|micros| micros.parse::<u64>().ok());
            assert!(micros.is_some_and(|micros| micros > 0), "{text}");
        }
        assert!(Notifier::new(Some(OsStr::new("vsock:2:1234")), None).is_err());
        let mut absent = Notifier::new(None, None).unwrap();
        assert!(absent.ready("good").is_ok() && absent.alive().is_ok() && !absent.is_there());
    }
}
