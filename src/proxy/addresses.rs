//! Which addresses are this machine's: read at the start, when the kernel says that some have changed, and each minute, which has
//! to do where it does not. Judges none of them.

use ipnet::IpNet;
use reactor::arena::Key;
use reactor::poller::Poller;
use reactor::Millis;

use super::Proxy;
use crate::io::owner::Owner;
use crate::system::interfaces;
use crate::system::netlink::{self, AddressWatch};

/// Milliseconds between two looks that nothing has asked for (the original meant 300 s; a new address should not be open to
/// all for that long).
const POLL: Millis = 60_000;

/// Least time between two looks, in milliseconds, for interfaces that come and go all the time. A connection to an address that
/// became ours in between is noticed when it has come about.
const PAUSE: Millis = 100;

/// What is known, and when it is looked at again.
#[derive(Debug)]
pub(super) struct OwnAddresses {
    /// They are read again while running.
    polling: bool,
    /// The watch, and its route in the poll.
    watch: Option<(AddressWatch, Key)>,
    looked_at: Millis,
    look_at: Option<Millis>,
    found: Vec<interfaces::Interface>,
    networks: Vec<IpNet>,
}

impl OwnAddresses {
    pub(super) fn new(polling: bool, poller: &mut Poller<Owner>) -> OwnAddresses {
        let watch = None;
        let (found, networks) = (Vec::new(), Vec::new());
        let mut addresses = OwnAddresses { polling, watch, looked_at: 0, look_at: Some(0), found, networks };
        addresses.set_polling(polling, poller);
        addresses
    }

    /// Begins to watch them, or ends it.
    pub(super) fn set_polling(&mut self, polling: bool, poller: &mut Poller<Owner>) {
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
    pub(super) fn poll_timeout(&self) -> Option<Millis> {
        self.look_at
    }

    /// The kernel has something to say.
    pub(super) fn handle_event(&mut self, now: Millis) {
        if self.watch.as_mut().is_some_and(|(watch, _)| watch.has_changed()) {
            self.look_at = Some(now.max(self.looked_at + PAUSE));
        }
    }
}

/// A watch that the poll knows. Without one, as where a container forbids it, the look each minute has to do.
fn open(poller: &mut Poller<Owner>) -> Option<(AddressWatch, Key)> {
    let opened = AddressWatch::open().and_then(|watch| match watch {
        Some(mut watch) => poller.register(&mut watch, Owner::Addresses).map(|route| Some((watch, route))),
        None => Ok(None),
    });
    opened.unwrap_or_else(|error| {
        log::warn!(target: "server", "changed addresses of this machine are noticed within a minute, not at once: {error}");
        None
    })
}

impl Proxy {
    /// Looks at the addresses when their time has come.
    pub(super) fn look_at_addresses(&mut self) {
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
            Vec::new()
        });
        match interfaces::local_addresses() {
            Ok(found) if told && found == self.addresses.found && networks == self.addresses.networks => {}
            Ok(found) => self.note_addresses(found, networks),
            Err(error) => log::error!(target: "server", "cannot read the addresses of the interfaces: {error}"),
        }
    }

    fn note_addresses(&mut self, found: Vec<interfaces::Interface>, networks: Vec<IpNet>) {
        for line in interfaces::changes(&self.addresses.found, &found) {
            log::info!(target: "server", "{line}");
        }
        let listed = |net: &IpNet| net.prefix_len() == net.max_prefix_len() || net.addr().is_loopback();
        for network in networks.iter().filter(|network| !listed(network) && !self.addresses.networks.contains(network))
        {
            log::info!(target: "server", "found local network {network}");
        }
        self.local.set_addresses(found.iter().map(|(_, address)| *address), &networks);
        let ipv6 = found.iter().any(|(_, address)| address.is_ipv6() && !address.is_loopback());
        self.note_ipv6(ipv6);
        self.addresses.found = found;
        self.addresses.networks = networks;
    }
}
