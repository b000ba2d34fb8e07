//! Lines as datagrams to a syslog daemon, by the socket of this machine or over UDP. Opens its socket when there is
//! something to send, and again after a failure. Knows no queue.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::Utc;

use super::batch::Batch;
use super::datagram::{encode, SyslogStyle};
use super::destination::SYSLOG_PORT;
use super::output::{Output, Report};

/// Where syslog daemons listen: Linux and the BSDs, then macOS.
const LOCAL_SOCKETS: [&str; 2] = ["/dev/log", "/var/run/syslog"];

/// How long a full socket of a syslog daemon may hold the writer.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

/// How long lines are given up without a try after the socket could not be opened, so that a server that is away does not
/// cost one name lookup per batch.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A syslog daemon.
pub struct Syslog {
    target: SyslogAddress,
    style: SyslogStyle,
    host: String,
    socket: Option<Socket>,
    /// Counts failures, so that every address of a name gets its turn.
    failures: usize,
    retry_at: Option<Instant>,
    datagram: Vec<u8>,
}

enum SyslogAddress {
    Local(Vec<PathBuf>),
    Udp(String, u16),
}

enum Socket {
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

impl Syslog {
    /// The daemon of this machine: its socket, else UDP to port 514.
    pub fn local(style: SyslogStyle) -> Self {
        Self::new(SyslogAddress::Local(LOCAL_SOCKETS.map(PathBuf::from).to_vec()), style)
    }

    /// A server by name or address.
    pub fn udp(host: &str, port: u16, style: SyslogStyle) -> Self {
        Self::new(SyslogAddress::Udp(host.to_owned(), port), style)
    }

    fn new(target: SyslogAddress, style: SyslogStyle) -> Self {
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
        Self { target, style, host, socket: None, failures: 0, retry_at: None, datagram: Vec::new() }
    }

    /// Sends one datagram; once more on a new socket when the daemon was restarted meanwhile.
    fn send(&mut self) -> io::Result<()> {
        if let Some(socket) = &self.socket {
            if socket.send(&self.datagram).is_ok() {
                return Ok(());
            }
            self.failures = self.failures.wrapping_add(1);
        }
        // The first failure may come from a daemon that was started anew: its socket is another one now.
        self.socket = None;
        let socket = self.target.open(self.failures)?;
        socket.send(&self.datagram)?;
        self.socket = Some(socket);
        Ok(())
    }

    fn send_or_pause(&mut self) -> io::Result<()> {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "syslog is not reachable"));
        }
        let sent = self.send();
        self.retry_at = match sent {
            Ok(()) => None,
            Err(_) => {
                self.failures = self.failures.wrapping_add(1);
                Instant::now().checked_add(RETRY_PAUSE)
            }
        };
        sent
    }
}

impl Output for Syslog {
    fn write(&mut self, lines: &Batch) -> Report {
        let mut report = Report::default();
        for (severity, line) in lines.lines() {
            // A daemon of this machine knows where it is, and takes a name for the tag.
            let host = Some(self.host.as_str()).filter(|_| self.style.form.names_host(self.target.is_local()));
            encode(&mut self.datagram, &self.style, host, Utc::now(), severity, line);
            if let Err(error) = self.send_or_pause() {
                report.lost += 1;
                report.trouble = Some(format!("syslog: {error}"));
            }
        }
        report
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.socket = None;
        self.retry_at = None;
        Ok(())
    }
}

impl SyslogAddress {
    fn is_local(&self) -> bool {
        matches!(self, Self::Local(_))
    }

    fn open(&self, failures: usize) -> io::Result<Socket> {
        match self {
            Self::Local(paths) => match paths.iter().find_map(|path| connect_local(path).ok()) {
                Some(socket) => Ok(Socket::Unix(socket)),
                None => connect_udp(SocketAddr::from((Ipv4Addr::LOCALHOST, SYSLOG_PORT))).map(Socket::Udp),
            },
            Self::Udp(host, port) => {
                let addresses: Vec<SocketAddr> = (host.as_str(), *port).to_socket_addrs()?.collect();
                let turn = failures.checked_rem(addresses.len()).unwrap_or(0);
                let address = addresses.get(turn).ok_or(io::ErrorKind::NotFound)?;
                connect_udp(*address).map(Socket::Udp)
            }
        }
    }
}

impl Socket {
    fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.send(datagram),
            Self::Udp(socket) => socket.send(datagram),
        }
        .map(|_| ())
    }
}

fn connect_local(path: &PathBuf) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    Ok(socket)
}

fn connect_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let any = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::super::datagram::{SyslogForm, DATAGRAM_BYTES_MAX};
    use super::super::{Prefix, Severity};
    use super::*;

    fn style() -> SyslogStyle {
        SyslogStyle { form: SyslogForm::ExaProxy, prefix: Prefix::new("ExaProxy", 1) }
    }

    fn batch(lines: &[(Severity, &str)]) -> Batch {
        let mut batch = Batch::default();
        for (severity, line) in lines {
            batch.push(*severity, line);
        }
        batch
    }

    fn receive(socket: &UdpSocket) -> Vec<u8> {
        let mut bytes = [0; DATAGRAM_BYTES_MAX + 1];
        let length = socket.recv(&mut bytes).unwrap();
        bytes[..length].to_vec()
    }

    #[test]
    fn a_server_gets_one_datagram_per_line() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut syslog = Syslog::udp("127.0.0.1", server.local_addr().unwrap().port(), style());
        let report = syslog.write(&batch(&[(Severity::Info, "one"), (Severity::Debug, "two\n")]));
        assert_eq!(report, Report::default());
        assert_eq!(receive(&server), b"<14>one\0");
        assert_eq!(receive(&server), b"<15>two\0");
    }

    #[test]
    fn a_restarted_daemon_is_found_again_and_an_absent_one_costs_lines_only() {
        let path = std::env::temp_dir().join(format!("exaproxy-syslog-{}", std::process::id()));
        let mut syslog = Syslog::new(SyslogAddress::Local(vec![path.clone()]), style());
        let mut bytes = [0; 64];
        for line in ["first", "second"] {
            let _ = std::fs::remove_file(&path);
            let daemon = UnixDatagram::bind(&path).unwrap();
            assert_eq!(syslog.write(&batch(&[(Severity::Info, line)])), Report::default());
            let length = daemon.recv(&mut bytes).unwrap();
            assert_eq!(bytes[..length], *format!("<14>{line}\0").as_bytes());
        }
        std::fs::remove_file(&path).unwrap();

        let mut nobody = Syslog::udp("name.invalid", 514, style());
        nobody.retry_at = Instant::now().checked_add(Duration::from_secs(3600));
        let report = nobody.write(&batch(&[(Severity::Info, "a"), (Severity::Info, "b")]));
        assert_eq!(report.lost, 2);
        nobody.reopen().unwrap();
        assert!(nobody.retry_at.is_none());
    }
}
