//! The text of resolv.conf(5). Does not know where the file lies, nor what the resolver makes of it.
//!
//! Nothing in the file is an error: a line that means nothing is passed over, as the C library does. Beyond what that
//! reads, keywords may be in any case, one line may name several servers, and `[address]:port` names a port as on
//! OpenBSD.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use crate::wire::name;

/// Servers that are kept; the C library keeps three.
pub const MAX_SERVERS: usize = 8;
/// Search domains that are kept. Each one is a question more for a name that does not exist; six was the C library's
/// limit.
pub const MAX_SEARCH: usize = 8;
/// Lines that are read; such files have a dozen.
const MAX_LINES: usize = 4096;
/// The C library's ceilings for ndots, timeout in seconds and attempts (RES_MAXNDOTS, RES_MAXRETRANS, RES_MAXRETRY).
const MAX_NDOTS: u32 = 15;
const MAX_TIMEOUT: u32 = 30;
const MAX_ATTEMPTS: u32 = 5;
/// The port of name servers (RFC 1035 section 4.2).
const PORT: u16 = 53;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// The servers in order, never empty: without any line it is the local host.
    pub servers: Vec<NameServer>,
    /// Domains to append, in normal form.
    pub search: Vec<String>,
    /// Dots that make a name be tried as it stands before the search list, 0 to 15.
    pub ndots: u32,
    /// `timeout:`, 1 to 30 seconds, if the file sets it.
    pub timeout: Option<Duration>,
    /// `attempts:`, 1 to 5, if the file sets it.
    pub attempts: Option<u32>,
    /// Spread the questions over the servers.
    pub rotate: bool,
    /// `use-vc`: ask over TCP only.
    pub use_tcp: bool,
    /// `no-aaaa`: never ask for IPv6 addresses.
    pub no_aaaa: bool,
    /// `no-tld-query`: a name without a dot is not tried as it stands.
    pub no_tld_query: bool,
    /// `no-reload`: do not read the file again when it changes.
    pub no_reload: bool,
}

/// One name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServer {
    /// Its address.
    pub address: IpAddr,
    /// Its port, 53 unless the line says otherwise.
    pub port: u16,
    /// The part after `%` of a link-local IPv6 address: the name or number of an interface.
    pub zone: Option<String>,
}

impl Default for ResolvConf {
    fn default() -> ResolvConf {
        ResolvConf {
            servers: vec![NameServer { address: Ipv4Addr::LOCALHOST.into(), port: PORT, zone: None }],
            search: Vec::new(),
            ndots: 1,
            timeout: None,
            attempts: None,
            rotate: false,
            use_tcp: false,
            no_aaaa: false,
            no_tld_query: false,
            no_reload: false,
        }
    }
}

/// Reads the text of a resolv.conf.
pub fn parse(text: &str) -> ResolvConf {
    let mut conf = ResolvConf::default();
    let mut servers = Vec::new();
    for line in text.lines().take(MAX_LINES) {
        let mut words = line.split_whitespace().take_while(|word| !word.starts_with(['#', ';']));
        let Some(keyword) = words.next() else { continue };
        match keyword.to_ascii_lowercase().as_str() {
            "nameserver" => servers.extend(words.filter_map(NameServer::parse)),
            "search" => conf.search = domains(words),
            "domain" => conf.search = domains(words.take(1)),
            "options" => words.for_each(|word| conf.set(&word.to_ascii_lowercase())),
            _ => {}
        }
        servers.truncate(MAX_SERVERS);
    }
    if !servers.is_empty() {
        conf.servers = servers;
    }
    conf
}

fn domains<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    words.filter_map(name::normalise).map(|normal| normal.name).take(MAX_SEARCH).collect()
}

impl ResolvConf {
    fn set(&mut self, option: &str) {
        let (key, value) = option.split_once(':').unwrap_or((option, ""));
        let number = value.parse::<u32>().ok();
        match (key, number) {
            ("ndots", Some(ndots)) => self.ndots = ndots.min(MAX_NDOTS),
            ("timeout", Some(seconds)) => {
                self.timeout = Some(Duration::from_secs(seconds.clamp(1, MAX_TIMEOUT).into()));
            }
            ("attempts", Some(attempts)) => self.attempts = Some(attempts.clamp(1, MAX_ATTEMPTS)),
            ("rotate", _) => self.rotate = true,
            ("use-vc", _) => self.use_tcp = true,
            ("no-aaaa", _) => self.no_aaaa = true,
            ("no-tld-query", _) => self.no_tld_query = true,
            ("no-reload", _) => self.no_reload = true,
            // edns0 and trust-ad ask for what is always or never done; single-request and single-request-reopen cure
            // resolvers that send A and AAAA from one port, which each of our questions does not.
            _ => {}
        }
    }
}

impl NameServer {
    fn parse(word: &str) -> Option<NameServer> {
        let (host, port) = match word.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, PORT),
            Some((host, port)) => (host, port.strip_prefix(':')?.parse().ok().filter(|&port| port != 0)?),
            None => (word, PORT),
        };
        let (address, zone) = match host.split_once('%') {
            Some((address, zone)) => (address, Some(zone.to_owned())),
            None => (host, None),
        };
        let address: IpAddr = address.parse().ok()?;
        (zone.is_none() || address.is_ipv6()).then_some(NameServer { address, port, zone })
    }

    /// The address to send to. `index_of` turns the name of an interface into its number, which only the system knows;
    /// `None` if it does not know it.
    pub fn socket_address(&self, index_of: impl Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
        match (self.address, self.zone.as_deref()) {
            (IpAddr::V6(address), Some(zone)) => {
                let scope = zone.parse().ok().or_else(|| index_of(zone))?;
                Some(SocketAddrV6::new(address, self.port, 0, scope).into())
            }
            (address, _) => Some(SocketAddr::new(address, self.port)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(text: &str) -> Vec<String> {
        let known = |zone: &str| (zone == "eth0").then_some(7);
        let addresses = parse(text).servers.into_iter().filter_map(|server| server.socket_address(known));
        addresses.map(|address| address.to_string()).collect()
    }

    #[test]
    fn row_24_servers_of_all_kinds_are_read() {
        for (text, expected) in [
            ("", vec!["127.0.0.1:53"]),
            ("# nameserver 192.0.2.1\n;nameserver 192.0.2.2\n", vec!["127.0.0.1:53"]),
            ("nameserver 192.0.2.1\nnameserver 2001:db8::1", vec!["192.0.2.1:53", "[2001:db8::1]:53"]),
            ("NameServer\t192.0.2.1 # first\r\n", vec!["192.0.2.1:53"]),
            ("nameserver 192.0.2.1 192.0.2.2;x\nnameserver nonsense", vec!["192.0.2.1:53"]),
            ("nameserver fe80::1%eth0\nnameserver fe80::2%3", vec!["[fe80::1%7]:53", "[fe80::2%3]:53"]),
            ("nameserver fe80::1%nowhere", vec![]),
            ("nameserver 192.0.2.1%eth0", vec!["127.0.0.1:53"]),
            ("nameserver [192.0.2.1]:5353\nnameserver [2001:db8::1]", vec!["192.0.2.1:5353", "[2001:db8::1]:53"]),
            ("nameserver [192.0.2.1]:0\nnameserver [::1\n nameserver ::1", vec!["[::1]:53"]),
            ("nameserver", vec!["127.0.0.1:53"]),
        ] {
            assert_eq!(servers(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_last_search_or_domain_wins() {
        assert_eq!(parse("domain a.test\nsearch B.test c.test.\n").search, ["b.test", "c.test"]);
        assert_eq!(parse("search b.test c.test\ndomain a.test x.test").search, ["a.test"]);
        assert_eq!(parse("search . a..b ok.test").search, ["ok.test"]);
    }

    #[test]
    fn row_24_options_are_read_and_capped() {
        let conf =
            parse("options ndots:3 timeout:2 attempts:4 rotate use-vc edns0\noptions no-aaaa no-tld-query NO-RELOAD");
        assert_eq!((conf.ndots, conf.timeout, conf.attempts), (3, Some(Duration::from_secs(2)), Some(4)));
        assert!(conf.rotate && conf.use_tcp && conf.no_aaaa && conf.no_tld_query && conf.no_reload);
        let conf = parse("options ndots:99 timeout:0 attempts:1000000 rotat ndots:x");
        assert_eq!((conf.ndots, conf.timeout, conf.attempts), (15, Some(Duration::from_secs(1)), Some(5)));
        assert!(!conf.rotate);
    }

    #[test]
    fn lists_are_bounded() {
        let many: String = (0..1000).map(|i| format!("nameserver 10.0.{}.{}\n", i / 256, i % 256)).collect();
        assert_eq!(parse(&many).servers.len(), MAX_SERVERS);
        assert_eq!(parse(&format!("search {}", "a.test ".repeat(100))).search.len(), MAX_SEARCH);
    }
}
