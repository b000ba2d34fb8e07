//! What is allowed: methods, ports of CONNECT, names, and the addresses that are really connected to. Asks no helper and
//! remembers nothing. Pure.

pub mod address;
pub mod admission;
pub mod decision;
pub mod ports;
pub mod shares;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use ipnet::{IpNet, Ipv4Net};

pub use address::{LocalAddresses, OwnListener};
use ports::PortSet;

/// First bits of the mapped addresses, within which an IPv6 range is an IPv4 range (RFC 4291 section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// What the policy is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyConfig {
    /// `http.connect`: whether CONNECT is allowed at all.
    pub connect: bool,
    /// `security.connect`: the ports that CONNECT may name.
    pub connect_ports: Vec<RangeInclusive<u16>>,
    /// `security.ports`: the ports that all other requests may go to.
    pub ports: Vec<PortSet>,
    /// `dns.fqdn`: names without a dot are refused.
    pub fqdn: bool,
    /// `tcp4.out`: connections over IPv4 are allowed.
    pub ipv4: bool,
    /// `tcp6.out`: connections over IPv6 are allowed.
    pub ipv6: bool,
    /// `security.deny`: ranges that may not be connected to.
    pub deny: Vec<IpNet>,
    /// `security.local`: services of this machine that may.
    pub local: Vec<LocalService>,
    /// `security.monitor`: clients may reach our own monitor.
    pub monitor: bool,
}

/// A service on this machine that may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalService {
    /// By which host it is asked for.
    pub host: LocalHost,
    /// Its port, `None` for every port.
    pub port: Option<u16>,
}

/// The host of a [`LocalService`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalHost {
    /// However it is asked for.
    Any,
    /// When this address is connected to.
    Address(IpAddr),
    /// When the request names it so, in any case, with or without a dot at its end.
    Name(String),
}

/// Why something is not allowed. The client asked for it, and may not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// CONNECT is switched off.
    Connect,
    /// CONNECT to a port that is not listed.
    ConnectPort(u16),
    /// Another request to a port that is not listed.
    Port(u16),
    /// A name without a dot.
    Name,
    /// An address of a family that is switched off.
    Family(IpAddr),
    /// An address in a denied range.
    Denied(IpAddr),
    /// An address of this machine without a matching service.
    Local(IpAddr, u16),
    /// Our own monitor.
    Monitor(IpAddr, u16),
    /// One of our own listeners for proxy clients.
    Loop(IpAddr, u16),
}

impl Refused {
    /// The status that the client gets: 403, and 502 for a name that is not looked up. With `compatible` those of the
    /// original: 501 for CONNECT, 200 for a name, 400 for addresses.
    pub fn status(&self, compatible: bool) -> u16 {
        match (self, compatible) {
            (Self::Name, false) => 502,
            (_, false) | (Self::Port(_), true) => 403,
            (Self::Connect | Self::ConnectPort(_), true) => 501,
            (Self::Name, true) => 200,
            (Self::Family(_) | Self::Denied(_) | Self::Local(..) | Self::Monitor(..) | Self::Loop(..), true) => 400,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("CONNECT is not allowed (http.connect)"),
            Self::ConnectPort(port) => write!(f, "CONNECT to port {port} is not allowed (security.connect)"),
            Self::Port(port) => write!(f, "requests to port {port} are not allowed (security.ports)"),
            Self::Name => f.write_str("names without a dot are not looked up (dns.fqdn)"),
            Self::Family(IpAddr::V4(address)) => write!(f, "{address} is an IPv4 address (tcp4.out)"),
            Self::Family(IpAddr::V6(address)) => write!(f, "{address} is an IPv6 address (tcp6.out)"),
            Self::Denied(address) => write!(f, "{address} is in a denied range (security.deny)"),
            Self::Local(address, port) => {
                write!(f, "{address} port {port} is on this machine and not listed (security.local)")
            }
            Self::Monitor(address, port) => {
                write!(f, "{address} port {port} is the proxy's monitor (security.monitor)")
            }
            Self::Loop(address, port) => write!(f, "{address} port {port} is the proxy itself"),
        }
    }
}

impl std::error::Error for Refused {}

/// The rules, ready to be asked.
#[derive(Debug, Clone)]
pub struct Policy {
    config: PolicyConfig,
}

impl Policy {
    /// Ranges of mapped addresses count as the IPv4 ranges that they are, and so do mapped addresses of services.
    pub fn new(mut config: PolicyConfig) -> Self {
        config.deny = config.deny.into_iter().map(canonical_range).collect();
        for service in &mut config.local {
            match &mut service.host {
                LocalHost::Address(address) => *address = address.to_canonical(),
                LocalHost::Name(name) => *name = without_last_dot(name).to_owned(),
                LocalHost::Any => {}
            }
        }
        Self { config }
    }

    /// Whether CONNECT may open a tunnel to this port.
    ///
    /// # Errors
    /// [`Refused::Connect`] or [`Refused::ConnectPort`].
    pub fn connect_allowed(&self, port: u16) -> Result<(), Refused> {
        if !self.config.connect {
            return Err(Refused::Connect);
        }
        let listed = self.config.connect_ports.iter().any(|range| range.contains(&port));
        listed.then_some(()).ok_or(Refused::ConnectPort(port))
    }

    /// Whether a request other than CONNECT may go to this port of this address, which may be connected to otherwise. A service of
    /// this machine that `security.local` names with its port is meant, on any port.
    ///
    /// # Errors
    /// [`Refused::Port`].
    pub fn port_allowed(&self, host: &str, address: IpAddr, port: u16, local: &LocalAddresses) -> Result<(), Refused> {
        if self.config.ports.iter().any(|set| set.contains(port)) {
            return Ok(());
        }
        let (bare, canonical) = (without_last_dot(host), address.to_canonical());
        let names = |service: &LocalService| service.port.is_some() && service.matches(bare, canonical, port);
        let named = local.contain(address) && self.config.local.iter().any(names);
        named.then_some(()).ok_or(Refused::Port(port))
    }

    /// Whether this name is looked up. Addresses are not names and always pass; so does a name that a service of
    /// `security.local` bears.
    ///
    /// # Errors
    /// [`Refused::Name`].
    pub fn name_allowed(&self, name: &str) -> Result<(), Refused> {
        let bare = without_last_dot(name);
        let qualified = bare.contains('.') || bare.parse::<IpAddr>().is_ok();
        if !self.config.fqdn || qualified || self.config.local.iter().any(|service| service.is_named(bare)) {
            return Ok(());
        }
        Err(Refused::Name)
    }

    /// Whether a connection to this very address and port may be opened for a request that names `host`. To be asked for
    /// each address right before it is connected to, so that no answer of a name server comes between.
    ///
    /// # Errors
    /// The first of: a family that is switched off, a denied range, our own listener, an address of this machine. No
    /// entry of `security.local` lets through to our own listeners: a tunnel into one of them could go round for ever,
    /// and the monitor would take a client for this machine, which may see and change everything.
    pub fn address_allowed(
        &self,
        host: &str,
        address: IpAddr,
        port: u16,
        local: &LocalAddresses,
    ) -> Result<(), Refused> {
        let canonical = address.to_canonical();
        if !(if canonical.is_ipv4() { self.config.ipv4 } else { self.config.ipv6 }) {
            return Err(Refused::Family(canonical));
        }
        if self.denies(address) {
            return Err(Refused::Denied(canonical));
        }
        match local.listener_at(address, port) {
            None if !local.contain(address) => Ok(()),
            own => self.service_allowed(host, address, port, own),
        }
    }

    /// The same for an address of which it is known by now that it is this machine's, though no list has it: the connection to it
    /// has ended here.
    ///
    /// # Errors
    /// Our own listener, or an address of this machine.
    pub fn own_address_allowed(
        &self,
        host: &str,
        address: IpAddr,
        port: u16,
        local: &LocalAddresses,
    ) -> Result<(), Refused> {
        self.service_allowed(host, address, port, local.listener_on(address, port))
    }

    fn service_allowed(&self, host: &str, address: IpAddr, port: u16, own: Option<OwnListener>) -> Result<(), Refused> {
        let canonical = address.to_canonical();
        match own {
            Some(OwnListener::Proxy) => return Err(Refused::Loop(canonical, port)),
            Some(OwnListener::Monitor) if self.config.monitor => return Ok(()),
            Some(OwnListener::Monitor) => return Err(Refused::Monitor(canonical, port)),
            None => {}
        }
        let bare = without_last_dot(host);
        let listed = self.config.local.iter().any(|service| service.matches(bare, canonical, port));
        listed.then_some(()).ok_or(Refused::Local(canonical, port))
    }

    /// Whether the address as it stands, or any that it carries, is in a denied range.
    fn denies(&self, address: IpAddr) -> bool {
        let within = |form: IpAddr| self.config.deny.iter().any(|range| range.contains(&form));
        within(address) || address::forms(address).any(within)
    }
}

impl LocalService {
    fn matches(&self, host: &str, address: IpAddr, port: u16) -> bool {
        let here = match &self.host {
            LocalHost::Any => true,
            LocalHost::Address(listed) => *listed == address,
            LocalHost::Name(_) => self.is_named(host),
        };
        here && self.port.is_none_or(|listed| listed == port)
    }

    fn is_named(&self, host: &str) -> bool {
        matches!(&self.host, LocalHost::Name(name) if name.eq_ignore_ascii_case(host))
    }
}

fn without_last_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn canonical_range(range: IpNet) -> IpNet {
    let range = range.trunc();
    let IpNet::V6(v6) = range else { return range };
    let mapped: Option<Ipv4Addr> = v6.network().to_ipv4_mapped();
    let bits = v6.prefix_len().checked_sub(MAPPED_BITS);
    match (mapped, bits) {
        (Some(network), Some(bits)) => Ipv4Net::new(network, bits).map_or(range, IpNet::V4),
        _ => range,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> PolicyConfig {
        PolicyConfig {
            connect: true,
            connect_ports: vec![443..=443, 981..=981, 7000..=7010],
            ports: vec![PortSet::Safe],
            fqdn: true,
            ipv4: true,
            ipv6: true,
            deny: Vec::new(),
            local: Vec::new(),
            monitor: false,
        }
    }

    fn service(host: LocalHost, port: impl Into<Option<u16>>) -> LocalService {
        LocalService { host, port: port.into() }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn machine() -> LocalAddresses {
        let at = |text: &str| text.parse().unwrap();
        let listeners = [(OwnListener::Proxy, at("192.0.2.7:3128")), (OwnListener::Monitor, at("127.0.0.1:8080"))];
        LocalAddresses::new([ip("192.0.2.7"), ip("127.0.0.1")], listeners)
    }

    #[test]
    fn connect_reaches_listed_ports_only() {
        let policy = Policy::new(shipped());
        for (port, allowed) in [(443, true), (981, true), (7005, true), (80, false), (0, false), (7011, false)] {
            let expected = if allowed { Ok(()) } else { Err(Refused::ConnectPort(port)) };
            assert_eq!(policy.connect_allowed(port), expected);
        }
        let none = Policy::new(PolicyConfig { connect: false, ..shipped() });
        assert_eq!(none.connect_allowed(443), Err(Refused::Connect));
    }

    #[test]
    fn c_dangerous_ports_are_refused_unless_listed_or_a_service_that_is_named() {
        let local = vec![
            service(LocalHost::Any, None),
            service(LocalHost::Any, 25),
            service(LocalHost::Address(ip("127.0.0.1")), 6000),
            service(LocalHost::Name("mail.example".into()), 587),
        ];
        let policy = Policy::new(PolicyConfig { local: local.clone(), ..shipped() });
        let table = [
            ("a.example", "192.0.2.8", 80, true),
            ("a.example", "192.0.2.8", 8443, true),
            ("a.example", "192.0.2.8", 25, false),
            ("a.example", "127.0.0.1", 25, true),
            ("a.example", "127.0.0.1", 22, false),
            ("a.example", "::ffff:127.0.0.1", 6000, true),
            ("a.example", "127.0.0.2", 6000, false),
            ("Mail.example.", "127.0.0.2", 587, true),
            ("mail.example", "192.0.2.8", 587, false),
        ];
        let all = Policy::new(PolicyConfig { ports: vec![PortSet::Safe, PortSet::All], ..shipped() });
        for (host, address, port, allowed) in table {
            let expected = if allowed { Ok(()) } else { Err(Refused::Port(port)) };
            assert_eq!(policy.port_allowed(host, ip(address), port, &machine()), expected, "{host} {address} {port}");
            assert_eq!(all.port_allowed(host, ip(address), port, &machine()), Ok(()));
        }
        let none = Policy::new(PolicyConfig { ports: Vec::new(), local, ..shipped() });
        assert_eq!(none.port_allowed("", ip("192.0.2.8"), 80, &machine()), Err(Refused::Port(80)));
    }

    #[test]
    fn short_names_are_refused_unless_listed() {
        let local = vec![service(LocalHost::Name("localhost".into()), 80)];
        let policy = Policy::new(PolicyConfig { local, ..shipped() });
        let table = [
            ("example.com", true),
            ("example.com.", true),
            ("intranet", false),
            ("intranet.", false),
            ("", false),
            ("LocalHost.", true),
            ("192.0.2.1", true),
            ("::1", true),
        ];
        for (name, allowed) in table {
            assert_eq!(policy.name_allowed(name).is_ok(), allowed, "{name}");
        }
        assert!(Policy::new(PolicyConfig { fqdn: false, ..shipped() }).name_allowed("intranet").is_ok());
    }

    #[test]
    fn denied_ranges_hold_in_every_form() {
        let deny = ["10.0.0.5/8", "fc00::/7", "::ffff:198.51.100.0/120", "::ffff:0:0/33"];
        let deny = deny.iter().map(|range| range.parse().unwrap()).collect();
        let policy = Policy::new(PolicyConfig { deny, ..shipped() });
        let denied = [
            "10.255.0.1",
            "10.0.0.0",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:a00:1::1",
            "fd00::1",
            "198.51.100.9",
            "::ffff:198.51.100.9",
        ];
        for address in denied {
            let judged = policy.address_allowed("example.com", ip(address), 80, &machine());
            assert_eq!(judged, Err(Refused::Denied(ip(address).to_canonical())), "{address}");
        }
        for address in ["11.0.0.1", "9.255.255.255", "2001:db8::1", "198.51.101.1", "64:ff9b::11.0.0.1"] {
            assert_eq!(policy.address_allowed("example.com", ip(address), 80, &machine()), Ok(()), "{address}");
        }
    }

    #[test]
    fn this_machine_needs_a_listed_service() {
        let local = vec![
            service(LocalHost::Any, 8080),
            service(LocalHost::Address(ip("::ffff:127.0.0.1")), 81),
            service(LocalHost::Address(ip("::1")), None),
            service(LocalHost::Name("Intranet.example.".into()), 82),
        ];
        let policy = Policy::new(PolicyConfig { local, ..shipped() });
        let table = [
            ("example.com", "127.0.0.1", 80, false),
            ("example.com", "127.0.0.2", 8080, true),
            ("example.com", "0.0.0.0", 80, false),
            ("example.com", "::ffff:127.0.0.1", 80, false),
            ("example.com", "::ffff:127.0.0.1", 81, true),
            ("example.com", "127.0.0.1", 81, true),
            ("example.com", "127.0.0.2", 81, false),
            ("example.com", "::1", 9, true),
            ("example.com", "::", 9, false),
            ("intranet.EXAMPLE", "192.0.2.7", 82, true),
            ("intranet.example.", "127.0.0.1", 82, true),
            ("other.example", "192.0.2.7", 82, false),
            ("example.com", "64:ff9b::127.0.0.1", 81, false),
            ("example.com", "192.0.2.8", 80, true),
        ];
        for (host, address, port, allowed) in table {
            let expected = if allowed { Ok(()) } else { Err(Refused::Local(ip(address).to_canonical(), port)) };
            assert_eq!(
                policy.address_allowed(host, ip(address), port, &machine()),
                expected,
                "{host} {address} {port}"
            );
        }
    }

    #[test]
    fn b17_no_entry_lets_through_to_our_own_listeners() {
        let (proxy, monitor) = (ip("192.0.2.7"), ip("127.0.0.1"));
        for entry in [None, Some((LocalHost::Any, None)), Some((LocalHost::Any, Some(3128)))] {
            let mut local: Vec<_> = entry.into_iter().map(|(host, port)| service(host, port)).collect();
            local.extend([service(LocalHost::Address(proxy), 3128), service(LocalHost::Address(monitor), 8080)]);
            for open in [false, true] {
                let policy = Policy::new(PolicyConfig { local: local.clone(), monitor: open, ..shipped() });
                let judge = |address, port| policy.address_allowed("a.example", address, port, &machine());
                assert_eq!(judge(proxy, 3128), Err(Refused::Loop(proxy, 3128)));
                let expected = if open { Ok(()) } else { Err(Refused::Monitor(monitor, 8080)) };
                assert_eq!(judge(monitor, 8080), expected);
                assert_eq!(judge(ip("::ffff:127.0.0.1"), 8080), expected);
            }
        }
    }

    #[test]
    fn b17_the_monitor_alone_needs_no_entry() {
        let policy = Policy::new(PolicyConfig { monitor: true, ..shipped() });
        assert_eq!(policy.address_allowed("a.example", ip("127.0.0.1"), 8080, &machine()), Ok(()));
        let other = policy.address_allowed("a.example", ip("127.0.0.1"), 8081, &machine());
        assert_eq!(other, Err(Refused::Local(ip("127.0.0.1"), 8081)));
    }

    #[test]
    fn a_family_that_is_switched_off_is_refused_for_literals_too() {
        let policy = Policy::new(PolicyConfig { ipv4: false, ..shipped() });
        for (address, allowed) in [("192.0.2.9", false), ("::ffff:192.0.2.9", false), ("2001:db8::1", true)] {
            assert_eq!(policy.address_allowed("a.example", ip(address), 80, &machine()).is_ok(), allowed, "{address}");
        }
        let policy = Policy::new(PolicyConfig { ipv6: false, ..shipped() });
        assert_eq!(
            policy.address_allowed("a.example", ip("2001:db8::1"), 80, &machine()),
            Err(Refused::Family(ip("2001:db8::1")))
        );
    }

    #[test]
    fn statuses_are_ours_or_those_of_the_original() {
        let address = ip("192.0.2.1");
        let table = [
            (Refused::Connect, 403, 501),
            (Refused::ConnectPort(80), 403, 501),
            (Refused::Port(25), 403, 403),
            (Refused::Name, 502, 200),
            (Refused::Family(address), 403, 400),
            (Refused::Denied(address), 403, 400),
            (Refused::Local(address, 80), 403, 400),
            (Refused::Monitor(address, 80), 403, 400),
            (Refused::Loop(address, 80), 403, 400),
        ];
        for (refused, status, compatible) in table {
            assert_eq!((refused.status(false), refused.status(true)), (status, compatible), "{refused}");
            assert!(!refused.to_string().ends_with('.'));
        }
    }
}
