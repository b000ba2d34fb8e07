//! systemd's protocols, without it: a socket for notifications, and sockets that the proxy is started with.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::fcntl::{fcntl, FcntlArg, FdFlag};
use nix::sys::signal::Signal;

use crate::support::proxy::{command, variable};
use crate::support::{client, eventually, ports, superuser, Client, Helpers, Origin, Proxy, PATIENCE};

/// What a supervisor is told.
pub struct Notices(UnixDatagram);

impl Notices {
    /// Waits until nothing more is told for so long as signs of life are apart.
    pub fn wait_silence(&self) {
        self.0.set_read_timeout(Some(std::time::Duration::from_secs(3))).expect("a time");
        eventually("the last sign of life", || self.0.recv(&mut [0; 4096]).is_err().then_some(()));
        self.0.set_read_timeout(Some(PATIENCE)).expect("a time");
    }

    pub fn at(path: &Path) -> Notices {
        let socket = UnixDatagram::bind(path).expect("a socket in a folder of the test");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time");
        Notices(socket)
    }

    /// Waits for the next that begins so, and gives it.
    pub fn wait(&self, beginning: &str) -> String {
        let mut bytes = [0; 4096];
        loop {
            let count = self.0.recv(&mut bytes).unwrap_or_else(|error| panic!("{beginning} is not told: {error}"));
            let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
            if text.starts_with(beginning) {
                return text;
            }
        }
    }
}

#[test]
fn a_supervisor_is_told_how_the_service_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let notices = Notices::at(&path);
    let mut proxy = Proxy::launch(&[], "", |mut command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "3000000");
        command
    });
    assert_eq!(notices.wait("READY=1"), "READY=1\nSTATUS=serving, 0 clients");
    for _ in 0..3 {
        notices.wait("WATCHDOG=1");
    }
    proxy.signal(Signal::SIGHUP);
    let reloading = notices.wait("RELOADING=1");
    let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|micros| micros.parse::<u64>().ok());
    assert!(micros.is_some_and(|micros| micros > 0), "{reloading}");
    notices.wait("READY=1\nSTATUS=serving");
    // It stays in service with the former configuration, and says so.
    std::fs::write(proxy.file(), "[http]\nconnections = many\n").expect("the file");
    proxy.signal(Signal::SIGHUP);
    notices.wait("RELOADING=1");
    notices.wait("READY=1\nSTATUS=serving");
    let told = notices.wait("STATUS=");
    assert!(told.contains("; the configuration"), "{told}");
    let origin = Origin::echo();
    let mut client = proxy.client();
    client.tunnel(&origin.address().to_string());
    proxy.signal(Signal::SIGQUIT);
    // Not STOPPING: from then on systemd would count until it kills the service.
    let told = notices.wait("S");
    assert!(told.starts_with("STATUS=soft stop, 1 client"), "{told}");
    drop(client);
    notices.wait("STOPPING=1");
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

/// systemd would start a service again whose loop stands still.
#[test]
fn a_loop_that_stands_still_gives_no_sign_of_life() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let notices = Notices::at(&path);
    let proxy = Proxy::launch(&[], "", |mut command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "3000000");
        command
    });
    notices.wait("WATCHDOG=1");
    proxy.signal(Signal::SIGSTOP);
    let silent = std::time::Duration::from_millis(100);
    notices.0.set_read_timeout(Some(silent)).expect("a time");
    eventually("the last sign of life", || notices.0.recv(&mut [0; 4096]).is_err().then_some(()));
    notices.0.set_read_timeout(Some(std::time::Duration::from_secs(3))).expect("a time");
    assert!(notices.0.recv(&mut [0; 4096]).is_err(), "a process that stands still has said something");
    proxy.signal(Signal::SIGCONT);
    notices.0.set_read_timeout(Some(PATIENCE)).expect("a time");
    notices.wait("WATCHDOG=1");
}

#[test]
fn helpers_get_nothing_of_what_the_supervisor_has_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let _notices = Notices::at(&path);
    let helpers = Helpers::permitting();
    let program = helpers.program();
    let (port, options) = (ports::next(), [("redirector.enable", "true"), ("redirector.program", program.as_str())]);
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    let proxy = activated(&options, port, &[listener.into()], |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "3000000").env("LISTEN_FDNAMES", "proxy");
    });
    proxy.assert_serves();
    let pid = eventually("a helper", || helpers.pids().first().copied());
    let environment = std::fs::read(format!("/proc/{pid}/environ")).expect("a living helper");
    let environment = String::from_utf8_lossy(&environment).replace('\0', "\n");
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
        assert!(!environment.contains(name), "{environment}");
    }
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a living helper");
    let links = fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    assert_eq!(links.filter(|link| is_listener(link)).count(), 0);
    let own = std::fs::read_dir(format!("/proc/{}/fd", proxy.pid())).expect("a living proxy");
    let links = own.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    assert_ne!(links.filter(|link| is_listener(link)).count(), 0, "the test sees listeners");
}

/// Is this a socket that listens?
fn is_listener(link: &Path) -> bool {
    let number = link.to_string_lossy().trim_start_matches("socket:[").trim_end_matches(']').to_owned();
    let table = std::fs::read_to_string("/proc/net/tcp").expect("a table of sockets");
    // State 0A is TCP_LISTEN; the tenth column is the inode.
    table.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(3) == Some(&"0A") && words.get(9) == Some(&number.as_str())
    })
}

/// Has a command start the program with these sockets as its descriptors 3 and following.
pub fn with_sockets(command: &Command, sockets: &[OwnedFd]) -> Command {
    let mut script = "LISTEN_PID=$$ LISTEN_FDS=".to_owned() + &sockets.len().to_string() + " exec \"$0\" \"$@\"";
    for (place, socket) in sockets.iter().enumerate() {
        // A shell knows one digit: what is beyond is reached from there.
        fcntl(socket, FcntlArg::F_SETFD(FdFlag::empty())).expect("an open socket");
        script += &format!(" {}<&{}", place + 3, socket.as_raw_fd());
    }
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(script).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    shell
}

/// A proxy with these sockets.
fn activated(options: &[(&str, &str)], port: u16, sockets: &[OwnedFd], change: impl Fn(&mut Command)) -> Proxy {
    let port = port.to_string();
    let options: Vec<_> = options.iter().copied().chain([("tcp4.port", port.as_str())]).collect();
    Proxy::launch(&options, "", |command| {
        let mut command = with_sockets(&command, sockets);
        change(&mut command);
        command
    })
}

#[test]
fn a_socket_that_was_there_before_the_proxy_is_served_by_it() {
    let port = ports::next();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("proxy");
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    let unix = UnixListener::bind(&path).expect("a path");
    let origin = Origin::site();
    // Before there is a proxy.
    let mut early = Client::connect(([127, 0, 0, 1], port).into());
    early.send(client::get(&origin.url("/early")));
    let sockets = [OwnedFd::from(unix), OwnedFd::from(listener)];
    let path = path.to_str().expect("a path of text");
    let mut proxy = activated(&[("unix.path", path)], port, &sockets, |_| {});
    drop(sockets);
    assert_eq!(early.reply().text(), "/early");
    assert!(!proxy.log().contains("another program"), "{}", proxy.log());
    let mut through = std::os::unix::net::UnixStream::connect(path).expect("it listens");
    write!(through, "GET {} HTTP/1.0\r\n\r\n", origin.url("/unix")).expect("room");
    let mut text = String::new();
    through.read_to_string(&mut text).expect("an answer");
    assert!(text.ends_with("/unix"), "{text}");
    // Shut, the socket is kept: a new one could not be had while systemd has it.
    proxy.signal(Signal::SIGTTOU);
    proxy.wait_log("stops listening");
    let mut late = Client::connect(proxy.address());
    late.send(client::get(&origin.url("/late")));
    proxy.signal(Signal::SIGTTIN);
    assert_eq!(late.reply().text(), "/late");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    proxy.assert_serves();
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    assert!(Path::new(path).exists(), "the file is that of another process");
}

#[test]
fn a_socket_that_no_listener_has_stops_the_start() {
    let (port, other) = (ports::next(), ports::next());
    let listener = TcpListener::bind(("127.0.0.1", other)).expect("a free port");
    let run = |sockets: &[OwnedFd]| {
        let mut command = command(&[]);
        let user = if superuser() { "root" } else { "nobody" };
        for (key, value) in
            [("tcp4.port", port.to_string()), ("web.enable", "false".into()), ("daemon.user", user.into())]
        {
            command.env(variable(key), value);
        }
        let mut shell = with_sockets(&command, sockets);
        shell.env("LISTEN_FDNAMES", "mine");
        Proxy::finish(shell)
    };
    let refused = run(&[listener.into()]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    let said = format!(
        "the socket at 127.0.0.1:{other} (mine) is that of no listener: the configuration has 127.0.0.1:{port}"
    );
    assert!(refused.stderr.contains(&said), "{}", refused.stderr);
    let stream = std::os::unix::net::UnixStream::pair().expect("a pair").0;
    let refused = run(&[stream.into()]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("socket 1 (mine) cannot be used: it is no listening stream socket"),
        "{}",
        refused.stderr
    );
}

/// The journal sorts lines by a severity in front of each, of a stream whose device and number systemd has named.
#[test]
fn the_journal_gets_severities_and_other_streams_do_not() {
    for (told, marked) in [("$(stat -L -c %d:%i /proc/$$/fd/1)", true), ("1:2", false)] {
        let proxy = Proxy::launch(&[("access.enable", "true"), ("access.format", "%m %U")], "", |command| {
            let mut shell = Command::new("bash");
            shell.arg("-c").arg(format!("JOURNAL_STREAM={told} exec \"$0\" \"$@\""));
            shell.arg(command.get_program()).args(command.get_args());
            for (name, value) in command.get_envs() {
                value.map(|value| shell.env(name, value));
            }
            shell.stdout(Stdio::piped()).stderr(Stdio::piped());
            shell
        });
        proxy.assert_serves();
        let line = |part: &str| proxy.wait_line(part);
        for (part, severity) in [("Starting exaproxy", "<3>"), ("found local address", "<6>"), ("GET http://", "<6>")] {
            assert_eq!(line(part).starts_with(severity), marked, "{}", line(part));
            assert_eq!(line(part).contains('<'), marked, "{}", line(part));
        }
    }
}

/// Sockets for another process, as those that a shell has left in the environment.
#[test]
fn sockets_for_another_process_are_left_alone() {
    let proxy = Proxy::launch(&[], "", |mut command| {
        command.env("LISTEN_PID", "1").env("LISTEN_FDS", "7");
        command
    });
    proxy.assert_serves();
}
