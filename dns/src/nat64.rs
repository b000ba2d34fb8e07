//! IPv4 addresses inside IPv6 addresses, where a gateway takes them out again (NAT64): prefixes as RFC 6052 has them, and how
//! that of the network is learned (RFC 7050). Knows no servers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The name that has IPv4 addresses alone, so that every IPv6 address of it was made by the network (RFC 7050 section 2.2).
pub const PROBE_NAME: &str = "ipv4only.arpa.";

/// The addresses of [`PROBE_NAME`].
const PROBE_ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 0, 170), Ipv4Addr::new(192, 0, 0, 171)];

/// Prefixes of one network that are looked at; one is the rule.
const MAX_PREFIXES: usize = 8;

/// The lengths that a prefix may have, in bits (RFC 6052 section 2.2).
const LENGTHS: [u8; 6] = [32, 40, 48, 56, 64, 96];

/// The byte of an address that stays zero under every prefix (RFC 6052 section 2.2, bits 64 to 71).
const ZERO_BYTE: usize = 8;

/// The first bits of addresses that carry an IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    network: Ipv6Addr,
    bits: u8,
}

impl Prefix {
    /// The prefix that is the same everywhere, 64:ff9b::/96 (RFC 6052 section 2.1).
    pub const WELL_KNOWN: Prefix = Prefix { network: Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), bits: 96 };

    /// A prefix of 32, 40, 48, 56, 64 or 96 bits; nothing for other lengths, and where a bit behind it is set.
    pub fn new(network: Ipv6Addr, bits: u8) -> Option<Prefix> {
        let prefix = Prefix { network: cut(network, bits), bits };
        (LENGTHS.contains(&bits) && prefix.network == network).then_some(prefix)
    }

    /// Its length in bits.
    pub fn bits(self) -> u8 {
        self.bits
    }

    /// Where the bytes of the IPv4 address stand.
    fn places(self) -> [usize; 4] {
        let first = usize::from(self.bits / 8);
        std::array::from_fn(|at| first + at + usize::from(first <= ZERO_BYTE && first + at >= ZERO_BYTE))
    }

    /// The address under which the gateway reaches an IPv4 address.
    pub fn embed(self, address: Ipv4Addr) -> Ipv6Addr {
        let mut bytes = self.network.octets();
        for (place, byte) in self.places().into_iter().zip(address.octets()) {
            bytes[place] = byte;
        }
        bytes.into()
    }

    /// The IPv4 address that an address of this prefix carries. What stands behind it means nothing.
    pub fn extract(self, address: Ipv6Addr) -> Option<Ipv4Addr> {
        let bytes = address.octets();
        (cut(address, self.bits) == self.network).then(|| Ipv4Addr::from(self.places().map(|place| bytes[place])))
    }

    /// Whether a gateway sends anything to this address. None does to those of a machine or a link, nor, under the prefix that
    /// is the same everywhere, to addresses that are not (RFC 6052 section 3.1).
    pub fn may_carry(self, address: Ipv4Addr) -> bool {
        let nowhere = address.octets()[0] == 0 || address.is_loopback() || address.is_link_local();
        let nowhere = nowhere || address.is_multicast() || address.is_broadcast();
        !nowhere && (self != Prefix::WELL_KNOWN || !address.is_private())
    }
}

/// The first bits of an address, the others zero.
fn cut(address: Ipv6Addr, bits: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

impl fmt::Display for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.network, self.bits)
    }
}

/// A text that is no prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPrefix;

impl FromStr for Prefix {
    type Err = NotAPrefix;

    /// `ADDRESS/BITS`.
    fn from_str(text: &str) -> Result<Prefix, NotAPrefix> {
        let (network, bits) = text.split_once('/').ok_or(NotAPrefix)?;
        let (network, bits) = (network.parse().map_err(|_| NotAPrefix)?, bits.parse().map_err(|_| NotAPrefix)?);
        Prefix::new(network, bits).ok_or(NotAPrefix)
    }
}

/// How IPv4 addresses are reached where IPv4 leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat64 {
    /// Not at all.
    Off,
    /// Through the prefix that the network tells (RFC 7050).
    Auto,
    /// Through this one.
    Fixed(Prefix),
}

/// The prefixes that the addresses of [`PROBE_NAME`] show, sorted: those under which both of its addresses are there, else
/// those of addresses that can be read in one way alone (RFC 7050 section 3).
pub fn learn(addresses: &[IpAddr]) -> Vec<Prefix> {
    let given = |prefix: &Prefix, probe| addresses.contains(&IpAddr::V6(prefix.embed(probe)));
    let certain = |prefix: &Prefix| PROBE_ADDRESSES.into_iter().all(|probe| given(prefix, probe));
    let readings: Vec<Vec<Prefix>> = addresses.iter().map(|address| readings(*address)).collect();
    let mut found: Vec<Prefix> = readings.iter().flatten().copied().filter(certain).collect();
    if found.is_empty() {
        let alone = |readings: &Vec<Prefix>| <[Prefix; 1]>::try_from(readings.as_slice()).ok();
        found = readings.iter().filter_map(alone).flatten().collect();
    }
    found.sort_unstable();
    found.dedup();
    found.truncate(MAX_PREFIXES);
    found
}

/// The prefixes under which an address carries one of the probe's.
fn readings(address: IpAddr) -> Vec<Prefix> {
    let IpAddr::V6(address) = address else { return Vec::new() };
    let prefixes = LENGTHS.into_iter().map(|bits| Prefix { network: cut(address, bits), bits });
    let carries = |prefix: &Prefix| prefix.extract(address).is_some_and(|inside| PROBE_ADDRESSES.contains(&inside));
    prefixes.filter(carries).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn v6(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    /// The table of RFC 6052 section 2.4.
    #[test]
    fn addresses_are_embedded_in_all_six_lengths() {
        let address = Ipv4Addr::new(192, 0, 2, 33);
        for (written, expected) in [
            ("2001:db8::/32", "2001:db8:c000:221::"),
            ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
            ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
            ("64:ff9b::/96", "64:ff9b::192.0.2.33"),
        ] {
            let prefix = prefix(written);
            assert_eq!(prefix.embed(address), v6(expected), "{written}");
            assert_eq!(prefix.extract(v6(expected)), Some(address), "{written}");
            assert_eq!(prefix.to_string(), written);
            assert_eq!(prefix.extract(v6("2001:db9::1")), None);
            let probes = PROBE_ADDRESSES.map(|probe| IpAddr::V6(prefix.embed(probe)));
            assert_eq!(learn(&probes), [prefix], "{written}");
            assert_eq!(learn(&probes[1..]), [prefix], "{written}");
        }
        assert_eq!(prefix("64:ff9b::/96"), Prefix::WELL_KNOWN);
    }

    #[test]
    fn what_follows_the_address_means_nothing() {
        assert_eq!(prefix("2001:db8::/32").extract(v6("2001:db8:a00:1:ffff::1")), Some(Ipv4Addr::new(10, 0, 0, 1)));
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for text in
            ["", "64:ff9b::", "64:ff9b::/95", "64:ff9b::1/96", "2001:db8:1::/32", "10.0.0.0/96", "::/129", "::/-1"]
        {
            assert_eq!(text.parse::<Prefix>(), Err(NotAPrefix), "{text}");
        }
    }

    /// RFC 7050 section 3: an address in which an IPv4 address of the name stands twice does not tell which is meant; both
    /// addresses together do.
    #[test]
    fn an_address_with_two_readings_shows_no_prefix() {
        let twice = v6("2001:db8:c000:aa::192.0.0.170");
        assert_eq!(learn(&[twice.into()]), []);
        let sibling = v6("2001:db8:c000:aa::192.0.0.171");
        assert_eq!(learn(&[sibling.into()]), []);
        assert_eq!(learn(&[twice.into(), sibling.into()]), [prefix("2001:db8:c000:aa::/96")]);
        assert_eq!(learn(&["192.0.0.170".parse().unwrap(), "2001:db8::1".parse().unwrap()]), []);
    }

    #[test]
    fn no_gateway_is_asked_for_addresses_that_it_cannot_reach() {
        let own = prefix("2001:db8:122:344::/96");
        for (address, well_known, network) in [
            ("192.0.2.33", true, true),
            ("8.8.8.8", true, true),
            ("10.1.2.3", false, true),
            ("127.0.0.1", false, false),
            ("169.254.1.1", false, false),
            ("0.0.0.0", false, false),
            ("224.0.0.1", false, false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(
                (Prefix::WELL_KNOWN.may_carry(address), own.may_carry(address)),
                (well_known, network),
                "{address}"
            );
        }
    }
}
