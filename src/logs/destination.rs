//! Where a log goes, as `log.destination` and `usage.destination` say it. Opens nothing. Pure.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

/// The port of syslog over UDP (RFC 3164 section 2).
pub const SYSLOG_PORT: u16 = 514;

/// The word before a name that makes it a syslog server.
const HOST_PREFIX: &str = "host:";

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// The standard output. (The original wrote to the standard error here; its service scripts join both.)
    Stdout,
    /// The standard error.
    Stderr,
    /// The syslog socket of this machine, or UDP to its syslog port where there is no socket.
    LocalSyslog,
    /// Syslog datagrams over UDP to a name or address, without brackets, and a port.
    Udp {
        /// A host name, an IPv4 address or an IPv6 address.
        host: String,
        /// The port, never 0.
        port: u16,
    },
    /// A file that is appended to and rotated.
    File(PathBuf),
}

impl Destination {
    /// Do lines go to a syslog daemon?
    pub fn is_syslog(&self) -> bool {
        matches!(self, Self::LocalSyslog | Self::Udp { .. })
    }
}

/// Why a text is no destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestinationError {
    /// `host:` without a name.
    NoHost,
    /// A port that is not a number between 1 and 65535.
    BadPort,
}

impl fmt::Display for DestinationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHost => "expected a name or an address after host:",
            Self::BadPort => "expected a port between 1 and 65535",
        })
    }
}

impl std::error::Error for DestinationError {}

impl FromStr for Destination {
    type Err = DestinationError;

    /// `stdout`, `stderr` and their devices, nothing (syslog), `host:NAME`, `host:NAME:PORT`, `NAME:PORT`; anything else is the path of a
    /// file, and so is everything with a slash. IPv6 addresses with a port stand in brackets.
    fn from_str(text: &str) -> Result<Self, DestinationError> {
        match text {
            "" => return Ok(Self::LocalSyslog),
            // An account that is not root may not open what root was given as its output, and need not.
            "stdout" | "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => return Ok(Self::Stdout),
            "stderr" | "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" => return Ok(Self::Stderr),
            _ => {}
        }
        if let Some(server) = text.strip_prefix(HOST_PREFIX) {
            return parse_server(server);
        }
        Ok(parse_bare_server(text).unwrap_or_else(|| Self::File(PathBuf::from(text))))
    }
}

impl fmt::Display for Destination {
    /// The text that parses back to the same destination.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::LocalSyslog => Ok(()),
            Self::Udp { host, port } if host.contains(':') => write!(f, "{HOST_PREFIX}[{host}]:{port}"),
            Self::Udp { host, port } => write!(f, "{HOST_PREFIX}{host}:{port}"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// What follows `host:`: a name, with or without a port.
fn parse_server(server: &str) -> Result<Destination, DestinationError> {
    let (host, port) = match server.rsplit_once(':') {
        _ if is_ipv6(server) => (server, None),
        _ if server.ends_with(']') => (server, None),
        Some((host, port)) => (host, Some(port)),
        None => (server, None),
    };
    let host = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() {
        return Err(DestinationError::NoHost);
    }
    let port = port.map_or(Ok(SYSLOG_PORT), parse_port)?;
    Ok(Destination::Udp { host: host.to_owned(), port })
}

/// `NAME:PORT` without the word `host:`; a text that does not look so is a path, and never an error.
fn parse_bare_server(text: &str) -> Option<Destination> {
    let (host, port) = text.rsplit_once(':')?;
    if text.contains('/') || port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if host.contains(':') && !host.starts_with('[') {
        return None;
    }
    parse_server(text).ok()
}

fn parse_port(text: &str) -> Result<u16, DestinationError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0).ok_or(DestinationError::BadPort)
}

fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(host: &str, port: u16) -> Destination {
        Destination::Udp { host: host.to_owned(), port }
    }

    #[test]
    fn every_form_of_the_option_is_understood_and_printed_back() {
        let table = [
            ("stdout", Destination::Stdout),
            ("stderr", Destination::Stderr),
            ("/dev/stdout", Destination::Stdout),
            ("/dev/stderr", Destination::Stderr),
            ("/proc/self/fd/2", Destination::Stderr),
            ("", Destination::LocalSyslog),
            ("host:loghost", udp("loghost", 514)),
            ("host:loghost:1514", udp("loghost", 1514)),
            ("host:192.0.2.1", udp("192.0.2.1", 514)),
            ("host:2001:db8::1", udp("2001:db8::1", 514)),
            ("host:[2001:db8::1]", udp("2001:db8::1", 514)),
            ("host:[2001:db8::1]:99", udp("2001:db8::1", 99)),
            ("loghost:514", udp("loghost", 514)),
            ("[::1]:5140", udp("::1", 5140)),
            ("/var/log/exaproxy.log", Destination::File("/var/log/exaproxy.log".into())),
            ("logs/a:5", Destination::File("logs/a:5".into())),
            ("messages", Destination::File("messages".into())),
            ("a:b", Destination::File("a:b".into())),
            ("a:0", Destination::File("a:0".into())),
            ("::1:5140", Destination::File("::1:5140".into())),
        ];
        for (text, expected) in table {
            let parsed: Destination = text.parse().unwrap();
            assert_eq!(parsed, expected, "{text}");
            assert_eq!(parsed.to_string().parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_server_that_cannot_be_is_an_error() {
        let table = [
            ("host:", DestinationError::NoHost),
            ("host::514", DestinationError::NoHost),
            ("host:[]", DestinationError::NoHost),
            ("host:a:0", DestinationError::BadPort),
            ("host:a:65536", DestinationError::BadPort),
            ("host:a:", DestinationError::BadPort),
            ("host:a:+1", DestinationError::BadPort),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Destination>(), Err(expected), "{text}");
        }
    }
}
