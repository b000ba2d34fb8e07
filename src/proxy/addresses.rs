//! Which addresses are this machine's: looked at from time to time, and handed to those who ask. Judges none of them.

use reactor::Millis;

use super::Proxy;
use crate::system::interfaces;

/// Milliseconds between two looks at the interfaces (the original meant 300 s; a new address should not be open to all
/// for that long).
const POLL: Millis = 60_000;

/// What is known, and when it is looked at again.
#[derive(Debug)]
pub(super) struct OwnAddresses {
    /// They are read again while running.
    polling: bool,
    poll_at: Millis,
    found: Vec<interfaces::Interface>,
}

impl OwnAddresses {
    pub(super) fn new(polling: bool) -> OwnAddresses {
        OwnAddresses { polling, poll_at: 0, found: Vec::new() }
    }

    pub(super) fn set_polling(&mut self, polling: bool) {
        self.polling = polling;
    }
}

impl Proxy {
    /// Reads the addresses again when their time has come.
    pub(super) fn poll_addresses(&mut self) {
        let now = self.clock.now();
        if self.addresses.polling && now >= self.addresses.poll_at {
            self.addresses.poll_at = now + POLL;
            self.look_at_interfaces();
        }
    }

    /// Which addresses are local may change while running.
    pub(super) fn look_at_interfaces(&mut self) {
        match interfaces::local_addresses() {
            Ok(found) => {
                for line in interfaces::changes(&self.addresses.found, &found) {
                    log::info!(target: "server", "{line}");
                }
                self.local.set_addresses(found.iter().map(|(_, address)| *address));
                let ipv6 = found.iter().any(|(_, address)| address.is_ipv6() && !address.is_loopback());
                self.note_ipv6(ipv6);
                self.addresses.found = found;
            }
            Err(error) => log::error!(target: "server", "cannot read the addresses of the interfaces: {error}"),
        }
    }
}
