//! Which families lead out of this machine, and what follows from it: which are asked for, and how IPv4 addresses are reached
//! where IPv4 leads nowhere. The prefix of the network's gateway is learned from a name that is asked for now and then.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Event, LookupId, LookupStart, Replaced, Resolver};
use crate::nat64::{learn, Nat64, Prefix, PROBE_NAME};
use crate::{Addresses, Failure, Families, Hosts, Millis};

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
    /// The prefixes of gateways, sorted.
    prefixes: Vec<Prefix>,
    /// When the name is asked for next.
    next: Option<Millis>,
    /// When it was asked for, and the lookup while it runs.
    asked: Millis,
    lookup: Option<LookupId>,
}

impl Reach {
    pub(super) fn new(nat64: Nat64) -> Reach {
        let ways = Families { v4: true, v6: true };
        let mut reach = Reach { ways, prefixes: Vec::new(), next: None, asked: 0, lookup: None };
        reach.begin(nat64, 0);
        reach
    }

    /// Knows nothing of the network any more.
    fn begin(&mut self, nat64: Nat64, now: Millis) {
        self.prefixes = match nat64 {
            Nat64::Fixed(prefix) => vec![prefix],
            Nat64::Off | Nat64::Auto => Vec::new(),
        };
        self.next = (nat64 == Nat64::Auto).then_some(now);
    }

    /// When something is due.
    pub(super) fn poll_timeout(&self) -> Option<Millis> {
        self.next
    }

    /// Which of the wanted families are asked for. One that leads nowhere is not, unless it is the only one, or the gateway
    /// reaches it.
    fn families(&self, wanted: Families) -> Families {
        let v6 = wanted.v6 && (self.ways.v6 || !wanted.v4);
        let v6_alone = v6 && self.ways.v6 && !self.ways.v4 && self.prefixes.is_empty();
        Families { v4: wanted.v4 && !v6_alone, v6 }
    }

    /// What the name has said.
    fn note(&mut self, result: &Result<Addresses, Failure>) {
        let (earliest, latest) = (self.asked + SHORTEST, self.asked + LONGEST);
        let (prefixes, next) = match result {
            Ok(addresses) => (learn(addresses.v6()), addresses.expires().clamp(earliest, latest)),
            Err(failure) if failure.is_final() => (Vec::new(), earliest),
            // Nothing was said. What was known still holds.
            Err(_) => (std::mem::take(&mut self.prefixes), self.asked + RETRY),
        };
        self.prefixes = prefixes;
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
        self.leave_network(now);
        Some(Replaced { hosts: Hosts::default(), cache: self.forget_all(self.config.cache_entries) })
    }

    /// Forgets the gateway, and asks for it again.
    pub(super) fn leave_network(&mut self, now: Millis) {
        if let Some(lookup) = self.reach.lookup.take() {
            self.cancel(lookup, PROBE, now);
        }
        self.reach.begin(self.config.nat64, now);
        self.choose_families();
    }

    pub(super) fn choose_families(&mut self) {
        self.asked = self.reach.families(self.config.families);
    }

    /// The prefixes of gateways that are known, sorted.
    pub fn prefixes(&self) -> &[Prefix] {
        &self.reach.prefixes
    }

    /// The address under which a gateway reaches this one, where IPv4 leads nowhere and IPv6 does.
    pub fn through_gateway(&self, address: Ipv4Addr) -> Option<Ipv6Addr> {
        let needed = !self.reach.ways.v4 && self.reach.ways.v6 && self.config.families.v6;
        let prefix = self.reach.prefixes.iter().find(|prefix| needed && prefix.may_carry(address))?;
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
            LookupStart::Cached(result) => self.probe_ended(&result),
            LookupStart::Pending(id) => self.reach.lookup = Some(id),
        }
    }

    fn probe_ended(&mut self, result: &Result<Addresses, Failure>) {
        self.reach.note(result);
        self.choose_families();
    }

    /// Takes what the probe waits for out of the events; the others go on to the caller.
    pub(super) fn take_probe(&mut self, event: Event) -> Option<Event> {
        match event {
            Event::Resolved { waiter: PROBE, more: true, .. } => None,
            Event::Resolved { waiter: PROBE, ref result, more: false } => {
                self.probe_ended(result);
                None
            }
            Event::Late { waiter: PROBE, addresses, .. } => {
                self.probe_ended(&Ok(addresses));
                None
            }
            event => Some(event),
        }
    }
}
