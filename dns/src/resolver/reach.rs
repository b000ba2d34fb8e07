//! Which families lead out of this machine, and what follows from it: which are asked for, and how IPv4 addresses are reached
//! where IPv4 leads nowhere. The prefix of the network's gateway is learned from a name that is asked for now and then.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::table::Key;
use super::{Event, LookupId, LookupStart, Replaced, Resolver};
use crate::nat64::{learn, Nat64, Prefix, PROBE_NAME};
use crate::outcome::Stored;
use crate::{Addresses, Failure, Families, Family, Millis};

/// Who waits for the name that shows the prefix. No caller's number: those are made of slots, of which there are fewer.
pub(super) const PROBE: u64 = u64::MAX;

/// Milliseconds until the name is asked for again where no server answered.
const RETRY: Millis = 30_000;

/// Bounds of the time for which what it said holds, in milliseconds (RFC 7050 section 3 lets it hold as long as the record).
const SHORTEST: Millis = 60_000;
const LONGEST: Millis = 3_600_000;

/// What is known of the way out.
#[derive(Debug)]
pub(super) struct Reach {
    /// The families of which a route leads out of this machine.
    ways: Families,
    /// The prefixes of gateways, sorted: the last that were told of, by which addresses are judged until others are.
    prefixes: Vec<Prefix>,
    /// They are those of this network, so that they are used.
    current: bool,
    /// When the name is asked for next.
    next: Option<Millis>,
    /// When it was asked for, and the lookup while it runs.
    asked: Millis,
    lookup: Option<LookupId>,
}

impl Reach {
    pub(super) fn new(nat64: Nat64) -> Reach {
        let ways = Families { v4: true, v6: true };
        let mut reach = Reach { ways, prefixes: Vec::new(), current: false, next: None, asked: 0, lookup: None };
        reach.leave(nat64, 0);
        reach
    }

    /// This may be another network, whose gateway is asked for.
    fn leave(&mut self, nat64: Nat64, now: Millis) {
        self.current = nat64 != Nat64::Auto;
        match nat64 {
            Nat64::Fixed(prefix) => self.prefixes = vec![prefix],
            Nat64::Off => self.prefixes.clear(),
            Nat64::Auto => {}
        }
        self.ask_again(nat64, now);
    }

    fn ask_again(&mut self, nat64: Nat64, now: Millis) {
        self.next = (nat64 == Nat64::Auto).then_some(now);
    }

    /// The prefixes that are used.
    fn used(&self) -> &[Prefix] {
        if self.current {
            &self.prefixes
        } else {
            &[]
        }
    }

    /// When something is due.
    pub(super) fn poll_timeout(&self) -> Option<Millis> {
        self.next
    }

    /// Which of the wanted families are asked for. One that leads nowhere is not, unless it is the only one, or the gateway
    /// reaches it.
    fn families(&self, wanted: Families) -> Families {
        let v6 = wanted.v6 && (self.ways.v6 || !wanted.v4);
        let v6_alone = v6 && self.ways.v6 && !self.ways.v4 && self.used().is_empty();
        Families { v4: wanted.v4 && !v6_alone, v6 }
    }

    /// What the name has said; `denied` where that it has no IPv6 address is one of it, and not only what is left where the
    /// question for them failed.
    fn note(&mut self, result: &Result<Addresses, Failure>, denied: bool) {
        let (earliest, latest) = (self.asked + SHORTEST, self.asked + LONGEST);
        let (told, next) = match result {
            Ok(addresses) if denied || !addresses.v6().is_empty() => {
                (Some(learn(addresses.v6())), addresses.expires().clamp(earliest, latest))
            }
            Err(failure) if failure.is_final() => (Some(Vec::new()), earliest),
            // Nothing was said. What was known still holds.
            Ok(_) | Err(_) => (None, self.asked + RETRY),
        };
        if let Some(told) = told {
            self.prefixes = told;
            self.current = true;
        }
        self.next = Some(next);
        self.lookup = None;
    }
}

impl Resolver {
    /// The families that are asked for: of those wanted, those of which a route leads out of this machine (RFC 3493 section
    /// 6.1, AI_ADDRCONFIG), and IPv4 where a gateway is known.
    pub fn families(&self) -> Families {
        self.asked
    }

    /// Tells of which families a route leads out of this machine; both, until this is known. Where that has changed this is
    /// another network, so that what was learned is not used any more.
    pub fn set_ways(&mut self, ways: Families, now: Millis) -> Option<Replaced> {
        if ways == self.reach.ways {
            return None;
        }
        self.reach.ways = ways;
        self.probe_anew(true, now);
        Some(Replaced { hosts: Arc::default(), cache: self.forget_all(self.config.cache_entries) })
    }

    /// Asks for the gateway again. The one that is known is used meanwhile, unless the network is another.
    pub(super) fn probe_anew(&mut self, elsewhere: bool, now: Millis) {
        if let Some(lookup) = self.reach.lookup.take() {
            self.cancel(lookup, PROBE, now);
        }
        match elsewhere {
            true => self.reach.leave(self.config.nat64, now),
            false => self.reach.ask_again(self.config.nat64, now),
        }
        self.choose_families();
    }

    pub(super) fn choose_families(&mut self) {
        self.asked = self.reach.families(self.config.families);
    }

    /// The prefixes of the network's gateways, sorted, as far as they are known.
    pub fn gateways(&self) -> &[Prefix] {
        self.reach.used()
    }

    /// The same, with those of before until the network has said which it has: what a gateway may take an address for is judged
    /// by these.
    pub fn prefixes(&self) -> &[Prefix] {
        &self.reach.prefixes
    }

    /// The address under which a gateway reaches this one, where IPv4 leads nowhere and IPv6 does.
    pub fn through_gateway(&self, address: Ipv4Addr) -> Option<Ipv6Addr> {
        let needed = !self.reach.ways.v4 && self.reach.ways.v6 && self.config.families.v6;
        let prefix = self.reach.used().iter().find(|prefix| needed && prefix.may_carry(address))?;
        Some(prefix.embed(address))
    }

    /// Asks for the name that shows the prefix, when its time has come.
    pub(super) fn probe_due(&mut self, now: Millis) {
        if self.reach.next.is_none_or(|at| at > now) {
            return;
        }
        self.reach.next = None;
        // Without IPv6 no gateway of this kind is reached, and no address of one.
        if !(self.reach.ways.v6 && self.config.families.v6) || self.config.servers.is_empty() {
            return;
        }
        self.reach.asked = now;
        match self.lookup(PROBE_NAME, PROBE, now) {
            LookupStart::Cached(result) => {
                let name = PROBE_NAME.trim_end_matches('.');
                let denied =
                    self.hosts.has(name) || self.cache.part(name, Family::V6, now).is_some_and(|stored| stored.is_no());
                self.probe_ended(&result, denied);
            }
            LookupStart::Pending(id) => self.reach.lookup = Some(id),
        }
    }

    fn probe_ended(&mut self, result: &Result<Addresses, Failure>, denied: bool) {
        self.reach.note(result, denied);
        self.choose_families();
    }

    /// Whether servers said that the name has no IPv6 address, as far as its lookup knows.
    fn is_probe_denied(&self) -> bool {
        let lookup = self.reach.lookup.and_then(|LookupId(key)| self.lookups.get(Key::from_bits(key)));
        lookup.and_then(|lookup| lookup.known(Family::V6)).is_some_and(Stored::is_no)
    }

    /// Takes what the probe waits for out of the events; the others go on to the caller.
    pub(super) fn take_probe(&mut self, event: Event) -> Option<Event> {
        let result = match event {
            Event::Resolved { waiter: PROBE, more: true, .. } => return None,
            Event::Resolved { waiter: PROBE, result, more: false } => result,
            Event::Late { waiter: PROBE, addresses, .. } => Ok(addresses),
            event => return Some(event),
        };
        let denied = self.is_probe_denied();
        self.probe_ended(&result, denied);
        None
    }
}
