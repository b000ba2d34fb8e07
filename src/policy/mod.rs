//! What is allowed: methods, ports of CONNECT, names, and the addresses that are really connected to. Asks no helper and
//! remembers nothing. Pure.

pub mod address;
pub mod admission;
pub mod credentials;
pub mod decision;
pub mod lists;
pub mod networks;
pub mod own_ends;
pub mod parents;
pub mod places;
pub mod ports;
pub mod rates;
pub mod shares;
pub mod tunnels;

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

pub use address::{LocalAddresses, OwnListener};
use lists::ListReason;
use networks::{canonical_range, Networks};
use ports::PortSet;
use rates::Rate;
use shares::ClientKey;

use crate::http::target::Host;
use crate::peer::ClientId;

/// What the policy is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyConfig {
    /// `acl.clients`: who may use the proxy; everybody where none is named.
    pub clients: Networks,
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
    /// A client that may not use the proxy.
    Client(ClientId),
    /// A client with so many connections, which are as many as it may have.
    Connections(ClientKey, u32),
    /// A client that asks more often than at this rate, and may ask again after so many seconds.
    Requests(ClientKey, Rate, u32),
    /// A host that a list names, or that no list names.
    Listed(ListReason),
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
    /// The status that the client gets: 403, 502 for a name that is not looked up, 503 and 429 (RFC 6585 section 4) beyond
    /// its limits. With `compatible` those of the original: 501 for CONNECT, 200 for a name, 400 for addresses.
    pub fn status(&self, compatible: bool) -> u16 {
        match (self, compatible) {
            (Self::Connections(..), _) => 503,
            (Self::Requests(..), _) => 429,
            (Self::Name, false) => 502,
            (_, false) | (Self::Client(_) | Self::Listed(_) | Self::Port(_), true) => 403,
            (Self::Connect | Self::ConnectPort(_), true) => 501,
            (Self::Name, true) => 200,
            (Self::Family(_) | Self::Denied(_) | Self::Local(..) | Self::Monitor(..) | Self::Loop(..), true) => 400,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(client) => write!(f, "{client} may not use this proxy (acl.clients)"),
            Self::Connections(client, most) => {
                write!(f, "{client} has {most} connections, as many as it may (http.client-connections)")
            }
            Self::Requests(client, rate, _) => {
                write!(f, "{client} asks too often, {rate} are allowed (http.client-requests)")
            }
            Self::Listed(ListReason::Line(_)) => f.write_str("a list refuses it (acl.blocklist)"),
            Self::Listed(ListReason::Unlisted) => f.write_str("no list allows it (acl.allowlist)"),
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
#[derive(Debug, Clone, PartialEq, Eq)]
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

    /// Whether this client may use the proxy.
    ///
    /// # Errors
    /// [`Refused::Client`].
    pub fn client_allowed(&self, client: ClientId) -> Result<(), Refused> {
        let clients = &self.config.clients;
        (clients.is_empty() || clients.contain(client)).then_some(()).ok_or(Refused::Client(client))
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

    /// Whether a request other than CONNECT may go to this port of a host whose addresses only a parent knows.
    ///
    /// # Errors
    /// [`Refused::Port`].
    pub fn far_port_allowed(&self, port: u16) -> Result<(), Refused> {
        self.config.ports.iter().any(|set| set.contains(port)).then_some(()).ok_or(Refused::Port(port))
    }

    /// Whether there are ranges that may not be connected to.
    pub fn has_denied(&self) -> bool {
        !self.config.deny.is_empty()
    }

    /// Whether any address of this host could have [`Policy::port_allowed`] let a request pass: what is known before the host
    /// is looked up.
    ///
    /// # Errors
    /// [`Refused::Port`].
    pub fn port_imaginable(&self, host: &Host, port: u16) -> Result<(), Refused> {
        let (name, address) = match host {
            Host::Name(name) => (without_last_dot(name), None),
            Host::V4(address) => ("", Some(IpAddr::V4(*address))),
            Host::V6(address, _) => ("", Some(IpAddr::V6(*address).to_canonical())),
        };
        let may_be_named = |service: &LocalService| {
            service.port == Some(port)
                && match (&service.host, address) {
                    (LocalHost::Any, _) | (LocalHost::Address(_), None) => true,
                    (LocalHost::Address(listed), Some(address)) => *listed == address,
                    (LocalHost::Name(_), _) => service.is_named(name),
                }
        };
        let allowed = self.config.ports.iter().any(|set| set.contains(port));
        (allowed || self.config.local.iter().any(may_be_named)).then_some(()).ok_or(Refused::Port(port))
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
        self.family_allowed(address)?;
        self.destination_allowed(host, address, port, local)
    }

    /// The same for a parent that the operator has named: that is why it may be in a denied range, which is about where clients
    /// may go. What it is asked to connect to is judged by [`Policy::destination_allowed`].
    ///
    /// # Errors
    /// Those of [`Policy::address_allowed`] but for a denied range.
    pub fn parent_allowed(
        &self,
        host: &str,
        address: IpAddr,
        port: u16,
        local: &LocalAddresses,
    ) -> Result<(), Refused> {
        self.family_allowed(address)?;
        self.place_allowed(host, address, port, local)
    }

    fn family_allowed(&self, address: IpAddr) -> Result<(), Refused> {
        let canonical = address.to_canonical();
        let on = if canonical.is_ipv4() { self.config.ipv4 } else { self.config.ipv6 };
        on.then_some(()).ok_or(Refused::Family(canonical))
    }

    /// The same for an address that a parent is asked to connect to, over which family it likes.
    ///
    /// # Errors
    /// Those of [`Policy::address_allowed`] but for the family.
    pub fn destination_allowed(
        &self,
        host: &str,
        address: IpAddr,
        port: u16,
        local: &LocalAddresses,
    ) -> Result<(), Refused> {
        if self.denies(address, local) {
            return Err(Refused::Denied(address.to_canonical()));
        }
        self.place_allowed(host, address, port, local)
    }

    fn place_allowed(&self, host: &str, address: IpAddr, port: u16, local: &LocalAddresses) -> Result<(), Refused> {
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

    /// Whether it takes an address to know whether a name may be reached: ranges are denied, or the port, where it counts, is none
    /// but for services of this machine.
    pub fn needs_address(&self, port: Option<u16>) -> bool {
        let is_open = |port: u16| self.config.ports.iter().any(|set| set.contains(port));
        !self.config.deny.is_empty() || !port.is_none_or(is_open)
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
    fn denies(&self, address: IpAddr, local: &LocalAddresses) -> bool {
        let within = |form: IpAddr| self.config.deny.iter().any(|range| range.contains(&form));
        within(address) || local.forms(address).any(within)
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

#[cfg(test)]
mod tests;
