//! Which addresses are this machine's, and which families lead out of it: read at the start, when the kernel says that some have
//! changed, and every half a minute, which has to do where it does not. Judges none of them.

use std::net::IpAddr;

use dns::Families;
use ipnet::IpNet;
use reactor::arena::Key;
use reactor::poller::Poller;
use reactor::Millis;

use super::AddressList;
use crate::io::owner::Owner;
use crate::proxy::Proxy;
use crate::system::interfaces;
use crate::system::netlink::{self, AddressWatch, Changed};

/// Milliseconds between two looks that nothing has asked for (the original meant 300 s; a new address should not be open to
/// all for that long).
const POLL: Millis = 30_000;

/// Least time between two looks, in milliseconds, for interfaces that come and go all the time. A connection to an address that
/// became ours in between is noticed when it has come about.
const PAUSE: Millis = 100;

/// The same for routes to elsewhere, of which a router has thousands.
const ROUTES_PAUSE: Millis = 1_000;

/// What is known, and when it is looked at again.
#[derive(Debug)]
pub(in crate::proxy) struct OwnAddresses {
    /// They are read again while running.
    polling: bool,
    /// The watch, and its route in the poll.
    watch: Option<(AddressWatch, Key)>,
    looked_at: Millis,
    look_at: Option<Millis>,
    found: Vec<interfaces::Interface>,
    networks: Vec<IpNet>,
    /// Whether IPv4, and IPv6, lead out of this machine.
    ways: Option<[bool; 2]>,
}

impl OwnAddresses {
    pub(in crate::proxy) fn new(polling: bool, poller: &mut Poller<Owner>) -> OwnAddresses {
        let watch = None;
        let (found, networks) = (Vec::new(), Vec::new());
        let mut addresses =
            OwnAddresses { polling, watch, looked_at: 0, look_at: Some(0), found, networks, ways: None };
        addresses.set_polling(polling, poller);
        addresses
    }

    /// Begins to watch them, or ends it.
    pub(in crate::proxy) fn set_polling(&mut self, polling: bool, poller: &mut Poller<Owner>) {
        if !polling {
            if let Some((_, route)) = self.watch.take() {
                poller.forget(route);
            }
        } else if self.watch.is_none() {
            self.watch = open(poller);
        }
        if polling && !self.polling {
            self.look_at = Some(0);
        }
        self.polling = polling;
    }

    /// When they are looked at again.
    pub(in crate::proxy) fn poll_timeout(&self) -> Option<Millis> {
        self.look_at
    }

    /// The kernel has something to say.
    pub(in crate::proxy) fn handle_event(&mut self, now: Millis) {
        let changed = self.watch.as_mut().map_or(Changed::Nothing, |(watch, _)| watch.changed());
        let pause = match changed {
            Changed::Nothing => return,
            Changed::Route => ROUTES_PAUSE,
            Changed::Address => PAUSE,
        };
        let due = now.max(self.looked_at + pause);
        self.look_at = Some(self.look_at.map_or(due, |at| at.min(due)));
    }
}

/// A watch that the poll knows. Without one, as where a container forbids it, the look each half a minute has to do.
fn open(poller: &mut Poller<Owner>) -> Option<(AddressWatch, Key)> {
    let opened = AddressWatch::open().and_then(|watch| match watch {
        Some(mut watch) => poller.register(&mut watch, Owner::Addresses).map(|route| Some((watch, route))),
        None => Ok(None),
    });
    opened.unwrap_or_else(|error| {
        log::warn!(target: "server", "changed addresses of this machine are noticed within half a minute, not at once: {error}");
        None
    })
}

impl Proxy {
    /// Looks at the addresses when their time has come.
    pub(in crate::proxy) fn look_at_addresses(&mut self) {
        let now = self.clock.now();
        if self.addresses.look_at.is_none_or(|at| at > now) {
            return;
        }
        // The kernel also tells when the time of an address is prolonged, which is no news.
        let told = now < self.addresses.looked_at + POLL;
        self.addresses.looked_at = now;
        self.addresses.look_at = self.addresses.polling.then_some(now + POLL);
        let networks = netlink::local_routes().unwrap_or_else(|error| {
            log::debug!(target: "server", "cannot read the local routes: {error}");
            self.addresses.networks.clone()
        });
        match interfaces::local_addresses() {
            Ok(found) => {
                self.note_ways(&found);
                if !told || found != self.addresses.found || networks != self.addresses.networks {
                    self.note_addresses(found, networks);
                }
            }
            Err(error) => log::error!(target: "server", "cannot read the addresses of the interfaces: {error}"),
        }
    }

    /// Looks which families lead out of this machine.
    fn note_ways(&mut self, found: &[interfaces::Interface]) {
        let ways = netlink::ways_out().unwrap_or_else(|error| {
            log::debug!(target: "server", "cannot read the routes: {error}");
            // Without a kernel that tells, an address has to do.
            [true, found.iter().any(|(_, address)| address.is_ipv6() && !address.is_loopback())]
        });
        if self.addresses.ways != Some(ways) {
            self.addresses.ways = Some(ways);
            if self.is_first() {
                let words = |way: bool| if way { "leads out" } else { "leads nowhere" };
                log::info!(target: "server", "IPv4 {} of this machine, IPv6 {}", words(ways[0]), words(ways[1]));
            }
            self.use_ways(Families { v4: ways[0], v6: ways[1] });
        }
    }

    /// The form that a gateway of this network (NAT64) gives to an address: of an IPv4 one that is reached through it the
    /// address to connect to, of an IPv6 one behind it the IPv4 address.
    pub(in crate::proxy) fn other_form(&self, address: IpAddr) -> Option<IpAddr> {
        match address {
            IpAddr::V4(_) => Some(self.resolver.way_to(address)).filter(|to| *to != address),
            IpAddr::V6(_) => self.local.carried(address),
        }
    }

    /// The addresses to connect to in place of these. A name server that knows the gateway (DNS64) has told some already.
    pub(super) fn ways_to(&self, mut addresses: AddressList) -> AddressList {
        for at in (0..addresses.len()).rev() {
            let to = self.resolver.way_to(addresses[at]);
            if to != addresses[at] && addresses.contains(&to) {
                addresses.remove(at);
            } else {
                addresses[at] = to;
            }
        }
        addresses
    }

    fn note_addresses(&mut self, found: Vec<interfaces::Interface>, networks: Vec<IpNet>) {
        if self.is_first() {
            self.tell_addresses(&found, &networks);
        }
        self.local.set_addresses(found.iter().map(|(_, address)| *address), &networks);
        self.addresses.found = found;
        self.addresses.networks = networks;
    }

    /// Says what has changed. Each loop looks for itself, and one of them tells.
    fn tell_addresses(&self, found: &[interfaces::Interface], networks: &[IpNet]) {
        for line in interfaces::changes(&self.addresses.found, found) {
            log::info!(target: "server", "{line}");
        }
        let listed = |net: &IpNet| net.prefix_len() == net.max_prefix_len() || net.addr().is_loopback();
        for network in networks.iter().filter(|network| !listed(network) && !self.addresses.networks.contains(network))
        {
            log::info!(target: "server", "found local network {network}");
        }
    }
}
