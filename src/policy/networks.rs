//! Networks of clients and users of this machine, as options name them. Knows no option and no list of a file. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::peer::{ClientId, Uid};

/// First bits of the mapped addresses, within which an IPv6 range is an IPv4 range (RFC 4291 section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// Clients that an option names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientRange {
    /// Those of a network.
    Network(IpNet),
    /// Processes of a user, by a Unix socket.
    Uid(Uid),
    /// Those of every user.
    EveryUid,
}

/// Stands for every user.
const EVERY_UID: &str = "uid:*";

impl ClientRange {
    /// Reads `10.0.0.0/8`, `192.0.2.1`, `uid:1000` or `uid:*`.
    pub fn parse(text: &str) -> Option<ClientRange> {
        if text == EVERY_UID {
            return Some(ClientRange::EveryUid);
        }
        let network = || text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let uid = Uid::parse(text).map(ClientRange::Uid);
        uid.or_else(|| network().map(|range| ClientRange::Network(range.trunc())))
    }
}

impl fmt::Display for ClientRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientRange::Network(range) => range.fmt(f),
            ClientRange::Uid(uid) => uid.fmt(f),
            ClientRange::EveryUid => f.write_str(EVERY_UID),
        }
    }
}

/// A few networks and users, which are searched one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks {
    ranges: Vec<IpNet>,
    uids: Vec<Uid>,
    every_uid: bool,
    /// Every address of both families is in one of them.
    whole: bool,
}

impl Networks {
    /// From ranges with any bits behind their prefix. Mapped ones count as the IPv4 ranges that they are.
    pub fn new(given: &[ClientRange]) -> Networks {
        let (mut ranges, mut uids) = (Vec::new(), Vec::new());
        for range in given {
            match range {
                ClientRange::Network(range) => ranges.push(canonical_range(*range)),
                ClientRange::Uid(uid) => uids.push(*uid),
                ClientRange::EveryUid => {}
            }
        }
        let covers = |v4: bool| ranges.iter().any(|range| range.prefix_len() == 0 && range.addr().is_ipv4() == v4);
        let (whole, every_uid) = (covers(true) && covers(false), given.contains(&ClientRange::EveryUid));
        Networks { whole, every_uid, ranges, uids }
    }

    /// Every address of both families, and every user.
    pub fn everybody() -> Networks {
        let networks = [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())];
        Networks::new(&[networks.map(ClientRange::Network).as_slice(), &[ClientRange::EveryUid]].concat())
    }

    /// Whether none is named.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty() && !self.has_users()
    }

    /// Whether a user is named.
    pub fn has_users(&self) -> bool {
        self.every_uid || !self.uids.is_empty()
    }

    /// Whether every address is in one of them.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether this client is in one of them.
    pub fn contain(&self, client: ClientId) -> bool {
        match client {
            ClientId::Address(address) => self.whole || self.ranges.iter().any(|range| range.contains(&address)),
            ClientId::Uid(uid) => self.every_uid || self.uids.contains(&uid),
        }
    }
}

/// The range without bits behind its prefix, and as IPv4 where all its addresses are mapped ones.
pub fn canonical_range(range: IpNet) -> IpNet {
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

    fn networks(text: &str) -> Networks {
        let words = text.split(' ').filter(|word| !word.is_empty());
        Networks::new(&words.map(|word| ClientRange::parse(word).unwrap()).collect::<Vec<_>>())
    }

    fn client(text: &str) -> ClientId {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_in_a_network_however_both_are_written() {
        let some = networks("10.1.2.3/8 2001:db8::/32 ::ffff:192.0.2.0/120");
        for (address, inside) in [
            ("10.255.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.255", true),
            ("192.0.3.0", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
            ("::", false),
            ("uid:0", false),
        ] {
            assert_eq!(some.contain(client(address)), inside, "{address}");
        }
        assert!(!some.is_whole() && !some.is_empty());
    }

    #[test]
    fn the_whole_is_both_families() {
        assert_eq!(networks("0.0.0.0/0 ::/0 uid:*"), Networks::everybody());
        assert!(Networks::everybody().is_whole() && Networks::everybody().contain(client("::1")));
        assert!(!networks("::/0").contain(client("192.0.2.1")));
        for text in ["", "::/0", "0.0.0.0/0", "0.0.0.0/1 ::/0", "uid:*"] {
            assert!(!networks(text).is_whole(), "{text}");
        }
        assert!(networks("").is_empty() && !networks("").contain(client("::1")));
    }

    #[test]
    fn users_need_a_rule_of_their_own() {
        for (text, inside) in [
            ("0.0.0.0/0 ::/0", false),
            ("uid:1000", true),
            ("uid:1 uid:1000", true),
            ("uid:1001 10.0.0.0/8", false),
            ("uid:*", true),
        ] {
            let some = networks(text);
            assert_eq!((some.contain(client("uid:1000")), some.is_empty()), (inside, false), "{text}");
            assert_eq!(some.has_users(), text.contains("uid"), "{text}");
        }
        assert!(!networks("uid:*").contain(client("127.0.0.1")));
    }

    #[test]
    fn ranges_are_printed_as_they_are_read() {
        for (text, printed) in [
            ("10.0.0.5/8", "10.0.0.0/8"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("fc00::1/7", "fc00::/7"),
            ("uid:7", "uid:7"),
            ("uid:*", "uid:*"),
        ] {
            assert_eq!(ClientRange::parse(text).unwrap().to_string(), printed);
        }
        for text in ["uid:", "uid:root", "uid:**", "*", "10.0.0.0/33"] {
            assert_eq!(ClientRange::parse(text), None, "{text}");
        }
    }
}
