//! Who is at the other end of a connection: an address, or a process of this machine that has connected to a Unix socket. Knows
//! no socket. Pure.

use std::fmt;
use std::net::{AddrParseError, IpAddr, SocketAddr};
use std::str::FromStr;

/// The number of a user of this machine. In bytes, so that what holds one is no larger than what holds an address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Uid([u8; 4]);

impl Uid {
    /// This user.
    pub fn new(number: u32) -> Uid {
        Uid(number.to_be_bytes())
    }

    /// Its number.
    pub fn number(self) -> u32 {
        u32::from_be_bytes(self.0)
    }

    /// Reads `uid:1000`, as [`Uid`] is printed.
    pub fn parse(text: &str) -> Option<Uid> {
        let digits = text.strip_prefix("uid:")?;
        // A sign would be accepted as a part of the number.
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok().map(Uid::new))?
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid:{}", self.number())
    }
}

/// Who a client is, for rules, limits, logs and pages: the same on all of its connections.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ClientId {
    /// Its address, never a mapped one (RFC 4291 section 2.5.5.2).
    Address(IpAddr),
    /// Its user, where it has connected to a Unix socket.
    Uid(Uid),
}

impl ClientId {
    /// Its address, where it has one.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            ClientId::Address(address) => Some(address),
            ClientId::Uid(_) => None,
        }
    }

    /// The way by which it comes.
    pub fn family(self) -> Family {
        match self {
            ClientId::Address(IpAddr::V4(_)) => Family::V4,
            ClientId::Address(IpAddr::V6(_)) => Family::V6,
            ClientId::Uid(_) => Family::Unix,
        }
    }
}

impl From<IpAddr> for ClientId {
    fn from(address: IpAddr) -> ClientId {
        ClientId::Address(address.to_canonical())
    }
}

impl FromStr for ClientId {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<ClientId, AddrParseError> {
        Uid::parse(text)
            .map_or_else(|| text.parse().map(|address: IpAddr| address.into()), |uid| Ok(ClientId::Uid(uid)))
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientId::Address(address) => address.fmt(f),
            ClientId::Uid(uid) => uid.fmt(f),
        }
    }
}

/// What clients come by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// A Unix socket.
    Unix,
}

impl Family {
    /// All of them, in the order of their places in tables.
    pub const ALL: [Family; 3] = [Family::V4, Family::V6, Family::Unix];

    /// Those by which origins are reached.
    pub const OUT: [Family; 2] = [Family::V4, Family::V6];

    /// The word in labels and keys.
    pub fn name(self) -> &'static str {
        match self {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
            Family::Unix => "unix",
        }
    }

    /// The name for people.
    pub fn title(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
            Family::Unix => "Unix socket",
        }
    }
}

/// Who opened a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// A port of an address; 0 where the port is not known.
    Port(IpAddr, u16),
    /// A process, as it was when it connected.
    Process {
        /// Its user.
        uid: Uid,
        /// Its number, 0 where it is not to be seen from here.
        pid: [u8; 4],
    },
}

impl Peer {
    /// A process of this user.
    pub fn process(uid: u32, pid: u32) -> Peer {
        Peer::Process { uid: Uid::new(uid), pid: pid.to_be_bytes() }
    }

    /// Who that is.
    pub fn id(self) -> ClientId {
        match self {
            Peer::Port(address, _) => ClientId::Address(address),
            Peer::Process { uid, .. } => ClientId::Uid(uid),
        }
    }

    /// The address with its port, where there is one.
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Peer::Port(address, port) => Some(SocketAddr::new(address, port)),
            Peer::Process { .. } => None,
        }
    }

    /// The number of the process, where it is known.
    pub fn pid(self) -> Option<u32> {
        match self {
            Peer::Port(..) => None,
            Peer::Process { pid, .. } => Some(u32::from_be_bytes(pid)).filter(|pid| *pid > 0),
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Peer {
        Peer::Port(address.ip().to_canonical(), address.port())
    }
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Peer {
        Peer::Port(address.to_canonical(), 0)
    }
}

impl From<ClientId> for Peer {
    /// A port or a process of this client that is not known.
    fn from(client: ClientId) -> Peer {
        match client {
            ClientId::Address(address) => Peer::Port(address, 0),
            ClientId::Uid(uid) => Peer::Process { uid, pid: [0; 4] },
        }
    }
}

/// A session as log lines name it: `[12] 192.0.2.1`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionName {
    /// The number of the connection, as on the page of sessions and in the usage log.
    pub number: u32,
    /// Who it serves.
    pub client: ClientId,
}

impl fmt::Display for SessionName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "[{}] {}", self.number, self.client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_as_they_are_printed() {
        for number in [0, 1000, u32::MAX] {
            let uid = Uid::new(number);
            assert_eq!((Uid::parse(&uid.to_string()), uid.number()), (Some(uid), number));
            assert_eq!(uid.to_string().parse(), Ok(ClientId::Uid(uid)));
        }
        for text in ["uid:", "uid:-1", "uid:+1", "uid:4294967296", "uid:0x1", "uid: 1", "1000", "UID:1", "uid:root"] {
            assert_eq!(Uid::parse(text), None, "{text}");
        }
        assert!(Uid::new(9) < Uid::new(10) && Uid::new(255) < Uid::new(256), "in the order of their numbers");
    }

    #[test]
    fn a_peer_is_an_address_or_a_process() {
        let peer = Peer::from("[::ffff:192.0.2.1]:80".parse::<SocketAddr>().unwrap());
        assert_eq!((peer.id().to_string().as_str(), peer.id().family()), ("192.0.2.1", Family::V4));
        assert_eq!((peer.address(), peer.pid()), ("192.0.2.1:80".parse().ok(), None));
        let peer = Peer::process(1000, 7);
        assert_eq!((peer.id().to_string().as_str(), peer.id().family()), ("uid:1000", Family::Unix));
        assert_eq!((peer.address(), peer.pid(), peer.id().address()), (None, Some(7), None));
        assert_eq!(Peer::from(peer.id()).pid(), None);
    }

    /// Each session keeps them.
    #[test]
    fn a_user_takes_no_more_room_than_an_address() {
        assert_eq!((size_of::<ClientId>(), size_of::<Option<ClientId>>()), (17, 17));
        assert_eq!(size_of::<Peer>(), size_of::<(IpAddr, u16)>());
    }
}
