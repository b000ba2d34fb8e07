//! Shares of what all clients use together: how much of it each client holds, and whether it may take more. Knows neither
//! what is taken nor when it comes back. Pure.
//!
//! The rule is that of switches with a shared buffer (dynamic thresholds, Choudhury and Hahne 1998): a client may take
//! more only while it holds less than is left free. Alone it gets half of the whole, two get a third each, and one that
//! holds nothing yet finds room without anything being taken away from another.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::peer::{ClientId, Uid};

/// What counts as one client: an IPv4 address, the 64 bits of an IPv6 address that one site has for itself (RFC 6177
/// section 2), or a user on a Unix socket. Behind a balancer that names no client, all of its clients are one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ClientKey {
    /// An IPv4 address, mapped ones included.
    V4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address.
    V6([u8; 8]),
    /// A user.
    Uid(Uid),
}

impl From<ClientId> for ClientKey {
    fn from(client: ClientId) -> ClientKey {
        match client {
            ClientId::Address(address) => ClientKey::from(address),
            ClientId::Uid(uid) => ClientKey::Uid(uid),
        }
    }
}

impl From<IpAddr> for ClientKey {
    fn from(address: IpAddr) -> ClientKey {
        match address.to_canonical() {
            IpAddr::V4(v4) => ClientKey::V4(v4),
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                ClientKey::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientKey::V4(address) => address.fmt(f),
            ClientKey::V6(network) => {
                let mut octets = [0; 16];
                octets[..8].copy_from_slice(network);
                write!(f, "{}/64", Ipv6Addr::from(octets))
            }
            ClientKey::Uid(uid) => uid.fmt(f),
        }
    }
}

/// What is shared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resource {
    /// Names that are waited for.
    Lookups,
    /// Attempts to connect beside the first of a race.
    Attempts,
    /// Bytes of heads beyond a block each.
    HeadBytes,
}

/// Number of resources.
const RESOURCES: usize = 3;

/// What each client holds, and how much there is.
#[derive(Debug)]
pub struct Shares {
    /// Clients that hold something, so that there are never more of them than things held.
    clients: HashMap<ClientKey, [u32; RESOURCES]>,
    totals: [usize; RESOURCES],
    limits: [usize; RESOURCES],
}

impl Default for Shares {
    /// Nothing is held, and nothing is limited.
    fn default() -> Shares {
        Shares { clients: HashMap::new(), totals: [0; RESOURCES], limits: [usize::MAX; RESOURCES] }
    }
}

impl Shares {
    /// Sets how much there is. What is held stays held.
    pub fn set_limit(&mut self, resource: Resource, limit: usize) {
        self.limits[resource as usize] = limit;
    }

    /// How much is left.
    pub fn free(&self, resource: Resource) -> usize {
        self.limits[resource as usize].saturating_sub(self.totals[resource as usize])
    }

    /// How much this client holds.
    pub fn held(&self, client: ClientKey, resource: Resource) -> usize {
        self.clients.get(&client).map_or(0, |held| held[resource as usize] as usize)
    }

    /// How much all hold together.
    pub fn total(&self, resource: Resource) -> usize {
        self.totals[resource as usize]
    }

    /// Gives this client `amount` more, if it may have that; false if not.
    pub fn take(&mut self, client: ClientKey, resource: Resource, amount: u32) -> bool {
        let free = self.free(resource);
        let held = self.clients.entry(client).or_default();
        let count = &mut held[resource as usize];
        let may = may_take(*count as usize, amount as usize, free);
        if may {
            *count = count.saturating_add(amount);
            self.totals[resource as usize] += amount as usize;
        }
        if held.iter().all(|count| *count == 0) {
            self.clients.remove(&client);
        }
        may
    }

    /// Notes that this client holds `amount` more, also where less is left: for what is limited elsewhere.
    pub fn add(&mut self, client: ClientKey, resource: Resource, amount: u32) {
        let count = &mut self.clients.entry(client).or_default()[resource as usize];
        *count = count.saturating_add(amount);
        self.totals[resource as usize] += amount as usize;
    }

    /// Takes back what this client held.
    pub fn give_back(&mut self, client: ClientKey, resource: Resource, amount: u32) {
        let Some(held) = self.clients.get_mut(&client) else {
            debug_assert!(amount == 0, "{client:?} gives back {resource:?} without holding any");
            return;
        };
        let count = &mut held[resource as usize];
        debug_assert!(*count >= amount, "{client:?} gives back {amount} of {count} {resource:?}");
        let amount = amount.min(*count);
        *count -= amount;
        let total = &mut self.totals[resource as usize];
        *total = total.saturating_sub(amount as usize);
        if held.iter().all(|count| *count == 0) {
            self.clients.remove(&client);
        }
    }

    /// Clients that hold anything.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }
}

/// The rule: a client that holds `held` may take one more while it holds fewer than the `free` ones. Many at once are
/// judged as if they were taken one by one, so that a client does not get more by asking for more.
pub fn may_take(held: usize, amount: usize, free: usize) -> bool {
    amount == 0 || held.saturating_add(amount.saturating_mul(2)) <= free.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOKUPS: Resource = Resource::Lookups;

    fn client(text: &str) -> ClientKey {
        ClientKey::from(text.parse::<IpAddr>().unwrap())
    }

    fn shares(limit: usize) -> Shares {
        let mut shares = Shares::default();
        shares.set_limit(LOOKUPS, limit);
        shares
    }

    /// Takes one by one until no more is given; how many that were.
    fn take_all(shares: &mut Shares, client: ClientKey) -> usize {
        (0..).take_while(|_| shares.take(client, LOOKUPS, 1)).count()
    }

    #[test]
    fn clients_are_addresses_or_networks_of_64_bits() {
        let same = [
            ("192.0.2.1", "::ffff:192.0.2.1"),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff"),
            ("::1", "::2"),
        ];
        for (one, other) in same {
            assert_eq!(client(one), client(other));
        }
        assert_eq!(
            (client(same[0].1).to_string().as_str(), client(same[1].1).to_string().as_str()),
            ("192.0.2.1", "2001:db8:0:1::/64")
        );
        for (one, other) in [("192.0.2.1", "192.0.2.2"), ("2001:db8:0:1::1", "2001:db8:0:2::1"), ("::1", "0.0.0.1")] {
            assert_ne!(client(one), client(other));
        }
        let user = |number| ClientKey::from(ClientId::Uid(Uid::new(number)));
        assert_eq!((user(7), user(7).to_string().as_str()), (ClientKey::Uid(Uid::new(7)), "uid:7"));
        assert!(user(7) != user(8) && user(7) != client("0.0.0.7"));
        assert_eq!(size_of::<ClientKey>(), 9, "as much as the part of an address takes");
    }

    #[test]
    fn a5_one_gets_half_two_a_third_and_others_always_something() {
        let mut shares = shares(8_192);
        let (a, b, c) = (client("192.0.2.1"), client("192.0.2.2"), client("192.0.2.3"));
        assert_eq!(take_all(&mut shares, a), 4_096);
        assert_eq!(take_all(&mut shares, b), 2_048);
        assert!(shares.take(c, LOOKUPS, 1), "the modest one finds room");
        shares.give_back(a, LOOKUPS, 4_096);
        while shares.take(a, LOOKUPS, 1) | shares.take(b, LOOKUPS, 1) {}
        let (a, b) = (shares.held(a, LOOKUPS), shares.held(b, LOOKUPS));
        assert!(a.abs_diff(2_731) <= 700 && b.abs_diff(2_731) <= 700, "{a} and {b}");
    }

    #[test]
    fn amounts_are_judged_as_one_by_one() {
        for (held, free) in (0..20).flat_map(|held| (0..20).map(move |free| (held, free))) {
            for amount in 0..20 {
                let one_by_one = (0..amount).all(|taken| taken <= free && may_take(held + taken, 1, free - taken));
                assert_eq!(may_take(held, amount, free), one_by_one, "{amount} for one with {held} of {free}");
            }
        }
        let (mut shares, a) = (shares(100), client("192.0.2.1"));
        assert!(!shares.take(a, LOOKUPS, 51) && shares.take(a, LOOKUPS, 50));
        assert!(!shares.take(a, LOOKUPS, 1) && shares.take(a, LOOKUPS, 0));
        assert_eq!((shares.total(LOOKUPS), shares.free(LOOKUPS)), (50, 50));
        assert!(may_take(3, 4, usize::MAX), "without a limit");
    }

    #[test]
    fn resources_are_apart_and_only_who_holds_something_is_remembered() {
        let mut shares = shares(2);
        let a = client("2001:db8::1");
        assert!(shares.take(a, LOOKUPS, 1) && shares.take(a, Resource::Attempts, 7));
        assert!(!shares.take(a, LOOKUPS, 1) && shares.take(a, Resource::Attempts, 1));
        shares.add(a, LOOKUPS, 5);
        assert_eq!((shares.held(a, LOOKUPS), shares.free(LOOKUPS)), (6, 0));
        shares.give_back(a, LOOKUPS, 6);
        assert_eq!(shares.clients(), 1);
        shares.give_back(a, Resource::Attempts, 8);
        assert_eq!((shares.clients(), shares.total(LOOKUPS), shares.total(Resource::Attempts)), (0, 0, 0));
        shares.set_limit(LOOKUPS, 0);
        assert!(!shares.take(a, LOOKUPS, 1) && shares.take(a, LOOKUPS, 0));
        assert_eq!(shares.clients(), 0, "neither a refusal nor nothing is remembered");
    }

    /// The table is as large as what is held, however many clients come and go.
    #[test]
    fn a_flood_of_clients_leaves_nothing_behind() {
        let mut shares = shares(10);
        for number in 0..100_000u32 {
            let key = ClientKey::V4(Ipv4Addr::from(number));
            if shares.take(key, LOOKUPS, 1) {
                shares.give_back(key, LOOKUPS, 1);
            }
        }
        assert_eq!(shares.clients(), 0);
    }
}
