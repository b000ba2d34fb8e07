//! Networks of clients, as options name them. Knows no option and no list of a file. Pure.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// First bits of the mapped addresses, within which an IPv6 range is an IPv4 range (RFC 4291 section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// A few networks, which are searched one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks {
    ranges: Vec<IpNet>,
    /// Every address of both families is in one of them.
    whole: bool,
}

impl Networks {
    /// From ranges with any bits behind their prefix. Mapped ones count as the IPv4 ranges that they are.
    pub fn new(ranges: Vec<IpNet>) -> Networks {
        let ranges: Vec<IpNet> = ranges.into_iter().map(canonical_range).collect();
        let covers = |v4: bool| ranges.iter().any(|range| range.prefix_len() == 0 && range.addr().is_ipv4() == v4);
        Networks { whole: covers(true) && covers(false), ranges }
    }

    /// Every address of both families.
    pub fn everybody() -> Networks {
        Networks::new(vec![IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())])
    }

    /// Whether no network is named.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether every address is in one of them.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether this address is in one of them; a mapped one counts as IPv4.
    pub fn contain(&self, address: IpAddr) -> bool {
        let canonical = address.to_canonical();
        self.whole || self.ranges.iter().any(|range| range.contains(&canonical))
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
        Networks::new(text.split(' ').filter(|word| !word.is_empty()).map(|word| word.parse().unwrap()).collect())
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
        ] {
            assert_eq!(some.contain(address.parse().unwrap()), inside, "{address}");
        }
        assert!(!some.is_whole() && !some.is_empty());
    }

    #[test]
    fn the_whole_is_both_families() {
        assert_eq!(networks("0.0.0.0/0 ::/0"), Networks::everybody());
        assert!(Networks::everybody().is_whole() && Networks::everybody().contain("::1".parse().unwrap()));
        assert!(!networks("::/0").contain("192.0.2.1".parse().unwrap()));
        for text in ["", "::/0", "0.0.0.0/0", "0.0.0.0/1 ::/0"] {
            assert!(!networks(text).is_whole(), "{text}");
        }
        assert!(networks("").is_empty() && !networks("").contain("::1".parse().unwrap()));
    }
}
