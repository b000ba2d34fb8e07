//! What peers can bring about as often as they like, so that the log tells of it only now and then. Knows no text.

use std::collections::HashMap;

use reactor::arena::Key;
use reactor::Millis;

use crate::peer::ClientId;
use crate::policy::shares::{ClientKey, Resource};

/// Milliseconds between two log lines about the same lasting trouble, such as a listener that is full.
pub(super) const REPORT: Millis = 20_000;

/// A trouble that lasts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Trouble {
    /// Nothing is left to connect to origins with.
    Exhausted,
    /// A client waits for too many names.
    TooManyNames,
    /// The heads of a client take too much memory.
    TooManyHeads,
    /// A client has more places than others, which need them.
    Crowded,
    /// A new client cannot be watched.
    Unwatched,
    /// A helper writes what cannot be read.
    UnreadableReply,
    /// A connection did not start with the PROXY protocol header that it must have.
    ProxyHeader,
    /// A parent does not take our credentials.
    ParentLogin,
    /// All loops were kept from running.
    Stalled,
}

/// When each kind of trouble may be written to the log again.
#[derive(Debug, Default)]
struct Reports(HashMap<Trouble, Millis>);

impl Reports {
    /// May a trouble that every request runs into be written to the log again?
    fn may_report(&mut self, trouble: Trouble, now: Millis) -> bool {
        let at = self.0.entry(trouble).or_default();
        let may = now >= *at;
        if may {
            *at = now + REPORT;
        }
        may
    }
}

/// Milliseconds between two log lines about what the same client does.
const AGAIN: Millis = 60_000;

/// Clients that are remembered: beyond them nothing is told until one has been quiet for a minute.
const ADDRESSES: usize = 1024;

/// What the log was told of single clients, and when.
#[derive(Debug, Default)]
struct ToldClients(HashMap<ClientKey, Millis>);

impl ToldClients {
    /// May the log be told of this client? Addresses of one network that count as one client are told as one.
    fn may_tell(&mut self, client: ClientId, now: Millis) -> bool {
        let client = ClientKey::from(client);
        if self.0.get(&client).is_some_and(|told| now < told + AGAIN) {
            return false;
        }
        if self.0.len() >= ADDRESSES {
            self.0.retain(|_, told| now < *told + AGAIN);
        }
        let may = self.0.len() < ADDRESSES;
        if may {
            self.0.insert(client, now);
        }
        may
    }
}

/// What the log was told of, by all loops of a process together.
#[derive(Debug, Default)]
pub(super) struct Told {
    troubles: Reports,
    /// Clients that are not believed.
    doubts: ToldClients,
    /// Clients that ask for more than they may.
    limited: ToldClients,
}

impl super::Proxy {
    /// May a trouble that every request runs into be written to the log again?
    pub(super) fn may_report(&mut self, trouble: Trouble) -> bool {
        self.with_told(|told, now| told.troubles.may_report(trouble, now))
    }

    /// May the log be told that this client is not believed?
    pub(super) fn may_tell_doubt(&mut self, client: ClientId) -> bool {
        self.with_told(|told, now| told.doubts.may_tell(client, now))
    }

    /// May the log be told that this client asks for more than it may?
    pub(super) fn may_tell_limit(&mut self, client: ClientId) -> bool {
        self.with_told(|told, now| told.limited.may_tell(client, now))
    }

    fn with_told<R>(&mut self, look: impl FnOnce(&mut Told, Millis) -> R) -> R {
        match self.loops.as_ref().map(|loops| loops.common()) {
            Some(common) => look(&mut common.told(), common.now()),
            None => look(&mut self.told, self.clock.now()),
        }
    }

    /// Tells that a client waits for too many names, or that all together do.
    pub(super) fn report_names(&mut self, key: Key) {
        let Some(client) = self.clients.get(key).map(|client| client.session.exchange.client()) else { return };
        if self.may_report(Trouble::TooManyNames) {
            let held = self.shares.held(ClientKey::from(client), Resource::Lookups);
            log::error!(target: "resolver", "{client} waits for {held} names, and may not wait for more");
        }
    }

    /// Tells that the process was kept from running, which each of several loops finds out for itself.
    pub(super) fn tell_stall(&mut self, lost: Millis) {
        if self.loops.is_none() || self.may_report(Trouble::Stalled) {
            log::warn!(target: "server", "the proxy was kept from running for {lost} ms: no timer counts them");
        }
    }

    /// Tells of one that names clients and is not believed.
    pub(super) fn tell_doubt(&mut self, client: ClientId, what: &str) {
        if self.may_tell_doubt(client) {
            log::error!(target: "client", "{client} sends {what} and is not believed: http.trusted does not name it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn an_address_is_told_of_once_a_minute_and_only_so_many() {
        let mut told = ToldClients::default();
        let address = |number: u32| ClientId::from(IpAddr::V4(number.into()));
        assert!(told.may_tell(address(0), 5) && !told.may_tell(address(0), AGAIN + 4));
        assert!(told.may_tell(address(0), AGAIN + 5));
        let count = (1..5000).filter(|number| told.may_tell(address(*number), AGAIN + 5)).count();
        assert_eq!(count, ADDRESSES - 1);
        // A network of one client is one address.
        let (mut told, own) = (ToldClients::default(), |net: u16, host: u16| {
            ClientId::from(IpAddr::from([0x2001, 0xdb8, 0, net, 0, 0, 0, host]))
        });
        assert_eq!((0..5000).filter(|number| told.may_tell(own(1, *number), 5)).count(), 1);
        assert!(told.may_tell(own(2, 1), 5));
        let mut told = ToldClients::default();
        (0..1_024).for_each(|number| assert!(told.may_tell(address(number), AGAIN + 5)));
        assert!(told.may_tell(address(9999), 2 * AGAIN + 5));
    }
}
