//! Addresses as a judge must see them: every form in which an address of this machine or of a denied range can be written,
//! and the set of addresses that this machine has. Knows no rules. Pure.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use dns::nat64::Prefix;
use ipnet::IpNet;

/// IPv4 addresses that one IPv6 address may carry: prefixes of RFC 8215 leave four readings.
const EMBEDDED_MAX: usize = 4;

/// Where the four bytes of an IPv4 address stand behind a NAT64 prefix of 96, 48, 56 and 64 bits (RFC 6052 section 2.2). Byte
/// 8 is left out. Prefixes of 40 and 32 bits do not fit into the 48 bits of RFC 8215.
const NAT64: [[usize; 4]; EMBEDDED_MAX] = [[12, 13, 14, 15], [6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12]];

/// A listener of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnListener {
    /// For proxy clients.
    Proxy,
    /// The monitor.
    Monitor,
}

/// The addresses of this machine, and those it listens on itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalAddresses {
    addresses: HashSet<IpAddr>,
    /// Those that no interface has, and that are delivered here all the same.
    networks: Vec<IpNet>,
    listeners: Vec<(OwnListener, SocketAddr)>,
    /// Prefixes under which a gateway of this network takes addresses for IPv4 ones.
    gateways: Vec<Prefix>,
}

impl LocalAddresses {
    /// From the addresses of the interfaces and those of the program's own listeners.
    pub fn new(
        addresses: impl IntoIterator<Item = IpAddr>,
        listeners: impl IntoIterator<Item = (OwnListener, SocketAddr)>,
    ) -> Self {
        let mut local = Self::default();
        local.set_addresses(addresses, &[]);
        local.set_listeners(listeners);
        local
    }

    /// Takes the addresses of a new look at the interfaces, and the destinations that the kernel delivers here.
    pub fn set_addresses(&mut self, addresses: impl IntoIterator<Item = IpAddr>, delivered: &[IpNet]) {
        let (single, networks): (Vec<_>, Vec<_>) =
            delivered.iter().partition(|network| network.prefix_len() == network.max_prefix_len());
        let single = single.into_iter().map(IpNet::addr);
        self.addresses = addresses.into_iter().chain(single).map(|address| address.to_canonical()).collect();
        self.networks = networks.into_iter().copied().filter(|network| !network.addr().is_loopback()).collect();
    }

    /// Takes other listeners, at a reload.
    pub fn set_listeners(&mut self, listeners: impl IntoIterator<Item = (OwnListener, SocketAddr)>) {
        let canonical =
            |(whose, at): (OwnListener, SocketAddr)| (whose, SocketAddr::new(at.ip().to_canonical(), at.port()));
        self.listeners = listeners.into_iter().map(canonical).collect();
    }

    /// Takes the prefixes of the network's gateways (NAT64). Those of RFC 6052 and RFC 8215 are known without.
    pub fn set_gateways(&mut self, prefixes: &[Prefix]) {
        self.gateways = prefixes.to_vec();
    }

    /// The IPv4 address that a gateway of this network takes out of an address: that with the longest prefix, which the routes to
    /// several gateways go by.
    pub fn carried(&self, address: IpAddr) -> Option<IpAddr> {
        self.readings(address).max_by_key(|(bits, _)| *bits).map(|(_, reading)| IpAddr::V4(reading))
    }

    /// The length of each prefix that an address has, and the IPv4 address behind it.
    fn readings(&self, address: IpAddr) -> impl Iterator<Item = (u8, Ipv4Addr)> + '_ {
        let v6 = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => Some(v6),
        };
        self.gateways.iter().filter_map(move |prefix| Some((prefix.bits(), prefix.extract(v6?)?)))
    }

    /// The address itself, and every IPv4 address that a gateway or this system may take it for. A longer prefix makes the
    /// readings of shorter ones begin with zeros, which are none: no gateway sends anything to network 0.
    pub fn forms(&self, address: IpAddr) -> impl Iterator<Item = IpAddr> + '_ {
        let shorter = self.readings(address).map(|(_, reading)| reading).filter(|reading| reading.octets()[0] != 0);
        forms(address).chain(self.carried(address)).chain(shorter.map(IpAddr::V4))
    }

    /// Whether a connection to this address ends on this machine: the unspecified address and its network (RFC 1122
    /// section 3.2.1.3), all of the loopback network, and what the interfaces have, in any form.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.forms(address).any(|form| self.contain_form(form))
    }

    /// The listener of ours that a connection to this address and port would come to.
    pub fn listener_at(&self, address: IpAddr, port: u16) -> Option<OwnListener> {
        self.listener(address, port, self.contain(address))
    }

    /// The same for an address that is known to be this machine's.
    pub fn listener_on(&self, address: IpAddr, port: u16) -> Option<OwnListener> {
        self.listener(address, port, true)
    }

    fn listener(&self, address: IpAddr, port: u16, here: bool) -> Option<OwnListener> {
        let there = |at: &SocketAddr| match at.ip().is_unspecified() {
            true => here,
            // A connection to the unspecified address goes to the loopback one (connect(2) on Linux and BSD).
            false => self.forms(address).any(|form| form == at.ip() || form.is_unspecified() && at.ip().is_loopback()),
        };
        let mut on_port = self.listeners.iter().filter(|(_, at)| at.port() == port);
        on_port.find(|(_, at)| there(at)).map(|(whose, _)| *whose)
    }

    fn contain_form(&self, form: IpAddr) -> bool {
        let this_network = matches!(form, IpAddr::V4(v4) if v4.octets()[0] == 0);
        let known = form.is_unspecified() || form.is_loopback() || self.addresses.contains(&form);
        this_network || known || self.networks.iter().any(|network| network.contains(&form))
    }
}

/// Whether a connection between these addresses has both ends on this machine. The system chose ours: the other one itself, where
/// that is delivered here, or the loopback address. A chosen source address (`tcp4.bind`) hides that.
pub fn ends_here(ours: IpAddr, theirs: IpAddr) -> bool {
    let ours = ours.to_canonical();
    ours == theirs.to_canonical() || ours.is_loopback()
}

/// The address itself, mapped ones as IPv4, and every IPv4 address that a gateway or this system may take it for.
pub fn forms(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let embedded = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) => Some(match v6.segments() {
            [0x64, 0xff9b, 1, ..] => nat64(v6),
            _ => [embedded(v6), None, None, None],
        }),
    };
    std::iter::once(address.to_canonical()).chain(embedded.into_iter().flatten().flatten().map(IpAddr::V4))
}

/// Where only one reading is possible.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let o = address.octets();
    let tail = Some(Ipv4Addr::new(o[12], o[13], o[14], o[15]));
    match address.segments() {
        // The unspecified address and loopback carry nothing (RFC 4291 section 2.5).
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // Compatible and mapped (RFC 4291 section 2.5.5), translated (RFC 2765 section 2.1), NAT64 (RFC 6052 section 2.1).
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => tail,
        // 6to4 (RFC 3056 section 2).
        [0x2002, ..] => Some(Ipv4Addr::new(o[2], o[3], o[4], o[5])),
        // Teredo, where the client's address has every bit turned round (RFC 4380 section 4).
        [0x2001, 0, ..] => Some(Ipv4Addr::new(!o[12], !o[13], !o[14], !o[15])),
        // ISATAP interface identifiers (RFC 5214 section 6.1).
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => tail,
        _ => None,
    }
}

/// The readings of an address behind a local NAT64 prefix, whose length only its gateway knows (RFC 8215 section 4). What
/// follows the IPv4 address is not looked at, as gateways ignore it. A longer prefix makes the shorter readings begin with
/// zeros, and no gateway sends anything to network 0 (RFC 1122 section 3.2.1.3), so those are none.
fn nat64(address: Ipv6Addr) -> [Option<Ipv4Addr>; EMBEDDED_MAX] {
    let octets = address.octets();
    NAT64.map(|at| Some(Ipv4Addr::from(at.map(|byte| octets[byte]))).filter(|reading| reading.octets()[0] != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn every_embedded_form_shows_its_ipv4_address() {
        let table = [
            ("10.1.2.3", "10.1.2.3"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("::10.1.2.3", "10.1.2.3"),
            ("::ffff:0:10.1.2.3", "10.1.2.3"),
            ("64:ff9b::10.1.2.3", "10.1.2.3"),
            ("64:ff9b:1:a01:2:300::", "10.1.2.3"),
            ("64:ff9b:1:ffff::10.1.2.3", "10.1.2.3"),
            ("2002:a01:203::1", "10.1.2.3"),
            ("2001:0:c000:201:0:0:f5fe:fdfc", "10.1.2.3"),
            ("fe80::5efe:10.1.2.3", "10.1.2.3"),
            ("2001:db8::200:5efe:10.1.2.3", "10.1.2.3"),
        ];
        for (written, meant) in table {
            assert!(forms(ip(written)).any(|form| form == ip(meant)), "{written}");
        }
        for plain in ["::", "::1", "2001:db8::a01:203", "fe80::1", "2a00::5efe"] {
            assert_eq!(forms(ip(plain)).collect::<Vec<_>>(), [ip(plain)], "{plain}");
        }
    }

    /// 64:ff9b:1::/48 is for prefixes of any length in it, and what stands behind the address means nothing.
    #[test]
    fn c_names_every_length_of_a_local_nat64_prefix_is_read() {
        for written in [
            "64:ff9b:1:a01:2:300::",
            "64:ff9b:1:a01:2:300:ffff:ffff",
            "64:ff9b:1:ff0a:1:203::",
            "64:ff9b:1:0a:1:203:1:2",
            "64:ff9b:1:ffff:a:102:300::",
            "64:ff9b:1:0:a:102:300:1",
            "64:ff9b:1::10.1.2.3",
            "64:ff9b:1:1:2:3:10.1.2.3",
        ] {
            assert!(forms(ip(written)).any(|form| form == ip("10.1.2.3")), "{written}");
        }
        let local = LocalAddresses::new([], []);
        for far in ["64:ff9b:1::192.0.2.1", "64:ff9b:1:0:c0:2:100::", "64:ff9b:1:c000:2:100::"] {
            assert!(!local.contain(ip(far)), "{far} is on no machine here");
        }
        for here in ["64:ff9b:1::127.0.0.1", "64:ff9b:1:0:7f:0:100::", "64:ff9b:1:7f:0:1::", "64:ff9b:1:7f00:0:100::"] {
            assert!(local.contain(ip(here)), "{here}");
        }
    }

    #[test]
    fn what_a_gateway_of_the_network_takes_for_this_machine_is_this_machine() {
        let mut local = LocalAddresses::new([ip("192.0.2.7")], []);
        let through = ["2001:db8:64::192.0.2.7", "2001:db8:48:c000:2:700::", "2001:db8:64::127.0.0.1"];
        assert!(through.iter().all(|address| !local.contain(ip(address))));
        local.set_gateways(&["2001:db8:64::/96", "2001:db8:48::/48"].map(|prefix| prefix.parse().unwrap()));
        assert!(through.iter().all(|address| local.contain(ip(address))));
        assert!(!local.contain(ip("2001:db8:64::192.0.2.8")));
    }

    /// Which of several gateways gets an address is decided elsewhere, so that what either makes of it counts.
    #[test]
    fn ways_15_every_gateway_whose_prefix_an_address_has_is_judged() {
        let mut local = LocalAddresses::new([ip("192.0.2.7")], []);
        for prefixes in [["2001:db8::/32", "2001:db8:c000:207::/96"], ["2001:db8:c000:207::/96", "2001:db8::/32"]] {
            local.set_gateways(&prefixes.map(|prefix| prefix.parse().unwrap()));
            assert!(local.contain(ip("2001:db8:c000:207::198.51.100.1")), "by the shorter prefix {prefixes:?}");
            assert_eq!(local.carried(ip("2001:db8:c000:207::198.51.100.1")), Some(ip("198.51.100.1")));
        }
        for prefixes in [["2001:db8::/32", "2001:db8:0:64::/96"], ["2001:db8:0:64::/96", "2001:db8::/32"]] {
            local.set_gateways(&prefixes.map(|prefix| prefix.parse().unwrap()));
            assert!(local.contain(ip("2001:db8:0:64::192.0.2.7")), "by the longer prefix {prefixes:?}");
            assert!(!local.contain(ip("2001:db8:0:64::198.51.100.1")), "{prefixes:?}");
        }
    }

    #[test]
    fn this_machine_is_known_in_every_form() {
        let local = LocalAddresses::new([ip("192.0.2.7"), ip("2001:db8::7")], []);
        for address in [
            "127.0.0.1",
            "127.255.0.9",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "::ffff:0.0.0.0",
            "::ffff:192.0.2.7",
            "64:ff9b::127.0.0.1",
            "2002:7f00:1::",
            "192.0.2.7",
            "2001:db8:0:0::7",
        ] {
            assert!(local.contain(ip(address)), "{address}");
        }
        for address in ["192.0.2.8", "128.0.0.1", "2001:db8::8", "::ffff:192.0.2.8", "1.0.0.0"] {
            assert!(!local.contain(ip(address)), "{address}");
        }
    }

    #[test]
    fn b18_networks_that_are_delivered_here_are_local_too() {
        let delivered = ["10.77.0.0/16", "2001:db8:77::/64", "127.0.0.0/8", "192.0.2.9/32"];
        let delivered = delivered.map(|network| network.parse().unwrap());
        let mut local = LocalAddresses::default();
        local.set_addresses([ip("192.0.2.7")], &delivered);
        for here in ["10.77.1.2", "::ffff:10.77.1.2", "64:ff9b::10.77.1.2", "2001:db8:77::1", "192.0.2.9", "192.0.2.7"]
        {
            assert!(local.contain(ip(here)), "{here}");
        }
        for there in ["10.78.0.1", "2001:db8:78::1", "192.0.2.8"] {
            assert!(!local.contain(ip(there)), "{there}");
        }
        assert!(!LocalAddresses::default().contain(ip("10.77.1.2")));
    }

    #[test]
    fn b18_a_connection_that_ends_here_shows_by_its_addresses() {
        for (ours, theirs, here) in [
            ("10.77.1.2", "10.77.1.2", true),
            ("::ffff:10.77.1.2", "10.77.1.2", true),
            ("127.0.0.1", "10.77.1.2", true),
            ("::1", "2001:db8:77::1", true),
            ("192.0.2.7", "198.51.100.1", false),
            ("2001:db8::7", "2001:db8::8", false),
        ] {
            assert_eq!(ends_here(ip(ours), ip(theirs)), here, "{ours} and {theirs}");
        }
    }

    #[test]
    fn own_listeners_are_known_by_address_or_by_any_local_one_when_unspecified() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (proxy, monitor) = (OwnListener::Proxy, OwnListener::Monitor);
        let listeners = [(proxy, at("198.51.100.1:3128")), (monitor, at("[::1]:3129"))];
        let bound = LocalAddresses::new([ip("192.0.2.7")], listeners);
        assert_eq!(bound.listener_at(ip("198.51.100.1"), 3128), Some(proxy));
        assert_eq!(bound.listener_at(ip("::ffff:198.51.100.1"), 3128), Some(proxy));
        assert_eq!(bound.listener_at(ip("198.51.100.1"), 80), None);
        assert_eq!(bound.listener_at(ip("192.0.2.7"), 3128), None);
        assert_eq!(bound.listener_at(ip("::1"), 3129), Some(monitor));
        assert_eq!(bound.listener_at(ip("::"), 3129), Some(monitor));
        assert_eq!(bound.listener_at(ip("0.0.0.0"), 3128), None, "that is no loopback address");
        let any = LocalAddresses::new([ip("192.0.2.7")], [(proxy, at("0.0.0.0:3128"))]);
        for address in ["192.0.2.7", "127.0.0.1", "0.0.0.0", "::ffff:192.0.2.7"] {
            assert_eq!(any.listener_at(ip(address), 3128), Some(proxy), "{address}");
        }
        assert_eq!(any.listener_at(ip("198.51.100.1"), 3128), None);
    }
}
