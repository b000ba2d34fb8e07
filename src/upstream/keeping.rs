//! Kept connections between the loop's own pool and what loops offer one another. With one loop nothing is offered.

use std::net::SocketAddr;

use mio::net::TcpStream;
use reactor::poller::Poller;
use reactor::ready::Ready;
use reactor::Millis;

use super::idle::Unused;
use super::{ConnectRequest, Offering, Upstream};
use crate::io::origin::Origin;
use crate::io::owner::Owner;

/// Milliseconds for which a loop keeps an unused connection to itself. A site that is asked for more often than that finds its
/// own connections, and costs no lock.
const OFFERED_AFTER: Millis = 100;

impl Upstream {
    /// Kept connections: of this loop, and, in the first, what all offer.
    pub fn kept(&self) -> usize {
        self.idle.len() + self.counted().map_or(0, Offering::len)
    }

    /// Most of them.
    pub fn kept_limit(&self) -> usize {
        self.idle.limit() + self.counted().map_or(0, Offering::limit)
    }

    /// The other end of each.
    pub fn kept_addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let offered = self.counted().map(Offering::addresses);
        self.idle.addresses().chain(offered.into_iter().flatten())
    }

    /// The offers, where this loop counts them.
    fn counted(&self) -> Option<&Offering> {
        self.offering.as_ref().filter(|offering| offering.is_first())
    }

    /// Changes how many connections are kept, and for how long.
    pub(super) fn configure_kept(&mut self) {
        let (limit, timeout) = (self.dial_options.offers, self.dial_options.pool_timeout);
        self.idle.configure(self.dial_options.pool, timeout);
        if let Some(offering) = self.counted() {
            offering.configure(limit, timeout);
        }
    }

    /// Keeps a connection that no request uses.
    pub fn keep(&mut self, origin: Box<Origin<TcpStream>>, poller: &mut Poller<Owner>, now: Millis) {
        let route = origin.stream.route;
        let (kept, displaced) = self.idle.put(Unused { connection: origin, since: now });
        if let Some(kept) = kept {
            poller.assign(route, Owner::Idle(kept));
        }
        if let Some(displaced) = displaced {
            self.part_with(displaced, poller, now);
        }
    }

    /// Offers other loops a connection for which there is no place here, or closes it.
    fn part_with(&self, unused: Unused<Box<Origin<TcpStream>>>, poller: &mut Poller<Owner>, now: Millis) {
        match &self.offering {
            Some(offering) => offering.offer(unused, poller, now),
            None => poller.forget(unused.connection.stream.route),
        }
    }

    /// Takes a kept connection for a request: its loop's own, or else one that is offered.
    pub(super) fn take_kept(
        &mut self,
        request: &ConnectRequest<'_>,
        poller: &mut Poller<Owner>,
    ) -> Option<Box<Origin<TcpStream>>> {
        let owner = Owner::Origin(request.session);
        let mut sites = request.addresses.iter().map(|address| (request.key, request.place(*address)));
        if let Some(origin) = sites.clone().find_map(|site| self.idle.take(site)) {
            poller.assign(origin.stream.route, owner);
            return Some(origin);
        }
        let offering = self.offering.as_ref()?;
        sites.find_map(|site| offering.take(site, poller, owner))
    }

    /// A kept connection of this loop, or one that it offers, has had an event. One that says something unasked, or ends, is of no
    /// use any more.
    pub fn handle_kept(&mut self, owner: Owner, ready: Ready, poller: &mut Poller<Owner>) {
        if !ready.has(Ready::READ | Ready::READ_CLOSED | Ready::ERROR) {
            return;
        }
        match (owner, &self.offering) {
            (Owner::Idle(key), _) => {
                if let Some(origin) = self.idle.remove(key) {
                    poller.forget(origin.stream.route);
                }
            }
            (Owner::Offered(key), Some(offering)) => offering.end(key, poller),
            _ => {}
        }
    }

    /// What this loop has not used for a moment is for all, while there are places for that.
    pub(super) fn offer_unused(&mut self, poller: &mut Poller<Owner>, now: Millis) {
        let Some(since) = now.checked_sub(OFFERED_AFTER) else { return };
        while self.can_offer() {
            let Some(unused) = self.idle.take_older(since) else { return };
            self.part_with(unused, poller, now);
        }
    }

    fn can_offer(&self) -> bool {
        self.offering.as_ref().is_some_and(Offering::has_room)
    }

    /// When something is to be offered.
    pub(super) fn next_offer(&self) -> Option<Millis> {
        let oldest = self.can_offer().then(|| self.idle.oldest()).flatten()?;
        Some(oldest + OFFERED_AFTER)
    }

    /// What is due once a second.
    pub fn tick(&mut self, poller: &mut Poller<Owner>, now: Millis) {
        for origin in self.idle.sweep(now) {
            poller.forget(origin.stream.route);
        }
        if let Some(offering) = &self.offering {
            offering.tick(poller);
        }
    }
}
