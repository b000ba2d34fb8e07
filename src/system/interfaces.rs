//! The addresses of this machine, as its interfaces have them now, and what changed since the last look. Knows nothing of
//! what they are asked for.

use std::io;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

/// Most addresses that are looked at. A machine with more has them on one interface as a block.
const ADDRESSES_MAX: usize = 65_536;

/// An interface and one of its addresses.
pub type Interface = (String, IpAddr);

/// All addresses of all interfaces, up or down, sorted by name and without doubles.
///
/// # Errors
/// What getifaddrs(3) says.
pub fn local_addresses() -> io::Result<Vec<Interface>> {
    let found = getifaddrs()?;
    let addressed = found.filter_map(|entry| Some((entry.interface_name, ip_of(&entry.address?)?)));
    let mut interfaces: Vec<Interface> = addressed.take(ADDRESSES_MAX).collect();
    interfaces.sort();
    interfaces.dedup();
    Ok(interfaces)
}

/// The number of an interface, from its name or its number as text: what a zone such as `eth0` stands for (RFC 4007).
pub fn number(zone: &str) -> Option<u32> {
    zone.parse().ok().or_else(|| nix::net::if_::if_nametoindex(zone).ok())
}

/// The lines that tell of a new look at the interfaces: one for each address that came or went, or that nothing changed.
/// Both lists are sorted, as [`local_addresses`] returns them.
pub fn changes(old: &[Interface], new: &[Interface]) -> Vec<String> {
    let only_in = |list: &[Interface], other: &[Interface], what: &str| -> Vec<String> {
        let differing = list.iter().filter(|entry| other.binary_search(entry).is_err());
        differing.map(|(name, address)| format!("{what} local address {address} on interface {name}")).collect()
    };
    let mut lines = only_in(new, old, "found");
    lines.extend(only_in(old, new, "lost"));
    if lines.is_empty() {
        lines.push("no change of local addresses".to_owned());
    }
    lines
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn interfaces(list: &[(&str, &str)]) -> Vec<Interface> {
        list.iter().map(|(name, address)| ((*name).to_owned(), address.parse().unwrap())).collect()
    }

    #[test]
    fn the_loopback_address_is_found_on_this_machine() {
        let found = local_addresses().unwrap();
        assert!(found.iter().any(|(_, address)| *address == IpAddr::from(Ipv4Addr::LOCALHOST)), "{found:?}");
        assert_eq!(changes(&found, &local_addresses().unwrap()), ["no change of local addresses"]);
    }

    #[test]
    fn changes_name_what_came_and_what_went() {
        let old = interfaces(&[("eth0", "192.0.2.1"), ("eth0", "2001:db8::1"), ("lo", "127.0.0.1")]);
        let new = interfaces(&[("eth0", "2001:db8::1"), ("eth1", "192.0.2.1"), ("lo", "127.0.0.1")]);
        let lines =
            ["found local address 192.0.2.1 on interface eth1", "lost local address 192.0.2.1 on interface eth0"];
        assert_eq!(changes(&old, &new), lines);
        assert_eq!(changes(&[], &old).len(), 3);
        assert_eq!(changes(&old, &[]).len(), 3);
    }
}
