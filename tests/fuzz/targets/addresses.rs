//! Addresses that gateways carry (NAT64): what a prefix puts into an address comes out of it again, and rules judge
//! it by that.

use super::{outcome, rough};
use dns::nat64::{learn, Prefix};
use exaproxy::policy::address::LocalAddresses;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Prefixes in a line, then addresses of 16 bytes each.
pub(super) const GATEWAYS: &[&[u8]] = &[
    b"64:ff9b::/96 2001:db8::/32\n\0\x64\xff\x9b\0\0\0\0\0\0\0\0\xc0\0\0\xaa\0\x64\xff\x9b\0\0\0\0\0\0\0\0\xc0\0\0\xab",
    b"2001:db8:122::/48 2001:db8:122:300::/56 2001:db8:122:344::/64\n\x20\x01\x0d\xb8\x01\x22\xc0\0\0\0\xaa\0\0\0\0\0",
    b"2001:db8:100::/40 2001:db8:1c0:2:21::/96\n\x20\x01\x0d\xb8\x01\xc0\0\x02\0\x21\0\0\x7f\0\0\x01",
    b"::/96 64:ff9b:1::/48\n\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x01",
];

/// The addresses of the name that shows a prefix (RFC 7050 section 2.2).
const PROBES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 0, 170), Ipv4Addr::new(192, 0, 0, 171)];

pub(super) fn gateways(bytes: &[u8]) -> u64 {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    let prefixes: Vec<Prefix> = text.split(' ').filter_map(|word| word.parse().ok()).take(8).collect();
    let rest = bytes.get(end + 1..).unwrap_or_default();
    let addresses: Vec<Ipv6Addr> =
        rest.chunks_exact(16).take(16).filter_map(|chunk| Some(Ipv6Addr::from(*chunk.first_chunk::<16>()?))).collect();
    for prefix in &prefixes {
        assert_eq!(prefix.to_string().parse(), Ok(*prefix));
        addresses.iter().for_each(|address| carries(*prefix, *address, &prefixes));
    }
    let given: Vec<IpAddr> = addresses.iter().copied().map(IpAddr::V6).collect();
    let learned = learn(&given);
    assert!(learned.is_sorted() && learned.len() <= 8);
    for prefix in &learned {
        let shows = |address: &Ipv6Addr| prefix.extract(*address).is_some_and(|inside| PROBES.contains(&inside));
        assert!(addresses.iter().any(shows), "{prefix} is shown by no address");
    }
    outcome((rough(prefixes.len()), rough(addresses.len()), learned.len()))
}

/// An address that the gateway of a prefix carries is what stands in it, beside any other gateways.
fn carries(prefix: Prefix, address: Ipv6Addr, all: &[Prefix]) {
    let octets = address.octets();
    let inside = Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]);
    let outside = prefix.embed(inside);
    assert_eq!(prefix.extract(outside), Some(inside), "{prefix}");
    let mut local = LocalAddresses::new([IpAddr::V4(inside)], []);
    local.set_gateways(all);
    // No gateway sends anything to network 0.
    if inside.octets()[0] != 0 {
        assert!(local.contain(IpAddr::V6(outside)), "{inside} behind {prefix}");
    }
    let forms: Vec<IpAddr> = local.forms(IpAddr::V6(address)).collect();
    assert_eq!(forms.first(), Some(&IpAddr::V6(address).to_canonical()));
    if let Some(carried) = local.carried(IpAddr::V6(address)) {
        assert!(forms.contains(&carried), "{address} is carried as {carried}, and not judged as that");
    }
    if let Some(carried) = prefix.extract(address) {
        assert_eq!(prefix.extract(prefix.embed(carried)), Some(carried));
    }
}
