//! Kept connections that all loops of a process may take, with their sockets and their lock. One stays in the poll of the loop that
//! offers it, which sees when its origin ends it, until another takes it into its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use mio::net::TcpStream;
use reactor::arena::Key;
use reactor::poller::{Poller, Withdrawal};
use reactor::Millis;

use super::idle::{Site, Unused};
use super::offers::{Offer, Offers, Routed};
use crate::io::origin::{Origin, OriginKeys};
use crate::io::owner::Owner;

type OfferedOrigin = Box<Origin<TcpStream>>;

impl Routed for OfferedOrigin {
    fn route(&self) -> Key {
        self.stream.route
    }
}

/// What all loops offer.
#[derive(Debug)]
pub struct OfferDesk {
    /// What connections are found by, which is to be the same in all loops.
    keys: OriginKeys,
    /// By loop.
    polls: Vec<Withdrawal>,
    offers: Mutex<Offers<OfferedOrigin>>,
    /// How many there are. Where there is none, no loop needs the lock to see it.
    count: AtomicUsize,
    /// Most of them.
    limit: AtomicUsize,
    start: Instant,
}

impl OfferDesk {
    /// For the loops with these polls.
    pub fn new(polls: Vec<Withdrawal>) -> OfferDesk {
        let offers = Mutex::new(Offers::new(polls.len()));
        OfferDesk {
            keys: OriginKeys::default(),
            polls,
            offers,
            count: AtomicUsize::new(0),
            limit: AtomicUsize::new(0),
            start: Instant::now(),
        }
    }

    /// Looks at the offers, or changes them. No call of the system is made meanwhile.
    fn with<R>(&self, change: impl FnOnce(&mut Offers<OfferedOrigin>) -> R) -> R {
        // That a thread has panicked with the offers does no harm: they are never left half changed.
        let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut offers);
        self.count.store(offers.idle.len(), Ordering::Release);
        result
    }

    /// Milliseconds of a clock that is the same in all loops.
    fn now(&self) -> Millis {
        Millis::try_from(self.start.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }
}

/// A loop's way to the offers.
#[derive(Debug)]
pub struct Offering {
    desk: Arc<OfferDesk>,
    number: usize,
}

impl Offering {
    /// That of the loop of this number.
    pub fn new(desk: Arc<OfferDesk>, number: usize) -> Offering {
        Offering { desk, number }
    }

    /// What connections of all loops are found by.
    pub(super) fn keys(&self) -> OriginKeys {
        self.desk.keys.clone()
    }

    /// The offers are counted, bounded and swept by one loop for all.
    pub(super) fn is_first(&self) -> bool {
        self.number == 0
    }

    /// Changes the bounds of the offers of all loops.
    pub(super) fn configure(&self, limit: usize, timeout: Millis) {
        self.desk.with(|offers| offers.idle.configure(limit, timeout));
        self.desk.limit.store(limit, Ordering::Release);
    }

    /// How many connections all loops offer.
    pub(super) fn len(&self) -> usize {
        self.desk.count.load(Ordering::Acquire)
    }

    /// Most that they offer.
    pub(super) fn limit(&self) -> usize {
        self.desk.limit.load(Ordering::Acquire)
    }

    /// Whether one more would not cost another its place.
    pub(super) fn has_room(&self) -> bool {
        self.len() < self.limit()
    }

    /// The other end of each.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.desk.with(|offers| offers.idle.addresses().collect())
    }

    /// Offers a connection of this loop, which is unused since then by its clock.
    pub(super) fn offer(&self, unused: Unused<OfferedOrigin>, poller: &mut Poller<Owner>, now: Millis) {
        let (route, address) = (unused.connection.stream.route, unused.connection.address);
        let since = self.desk.now().saturating_sub(now.saturating_sub(unused.since));
        let unused = Unused { since, ..unused };
        let (key, displaced) = self.desk.with(|offers| offers.put(self.number, unused));
        if let Some(key) = key {
            // Where another loop has it by now, the route waits to be forgotten.
            poller.assign(route, Owner::Offered(key));
            log::debug!(target: "download", "offering a connection to {address} to other loops");
        }
        if let Some(displaced) = displaced {
            self.close(displaced, poller);
        }
    }

    /// Takes the connection of a site that was offered last and is still good for a request.
    pub(super) fn take(&self, site: Site, poller: &mut Poller<Owner>, owner: Owner) -> Option<OfferedOrigin> {
        if self.len() == 0 {
            return None;
        }
        loop {
            let offer = self.desk.with(|offers| offers.take(site, self.number))?;
            if let Some(connection) = self.adopt(offer, poller, owner) {
                return Some(connection);
            }
        }
    }

    /// Brings a connection into the poll of this loop. None where its origin has ended it or said something, which its loop may not
    /// have seen yet.
    fn adopt(
        &self,
        mut offer: Offer<OfferedOrigin>,
        poller: &mut Poller<Owner>,
        owner: Owner,
    ) -> Option<OfferedOrigin> {
        let origin = &mut offer.connection;
        if !matches!(origin.stream.peek(&mut [0]), Ok(None)) {
            self.close(offer, poller);
            return None;
        }
        if offer.from == self.number {
            poller.assign(origin.stream.route, owner);
            return Some(offer.connection);
        }
        self.desk.polls[offer.from].withdraw(&mut origin.stream.io);
        // What comes between the look at it and this is an event here: the poll tells how a socket is when it gets it.
        origin.stream.route = poller.register(&mut origin.stream.io, owner).ok()?;
        log::debug!(target: "download", "taking a connection to {} that loop {} offers", origin.address, offer.from);
        Some(offer.connection)
    }

    /// Closes a connection that was offered by this loop or by another.
    fn close(&self, offer: Offer<OfferedOrigin>, poller: &mut Poller<Owner>) {
        if offer.from == self.number {
            poller.forget(offer.connection.stream.route);
        }
    }

    /// A connection that this loop offers has had an event after which it is of no use.
    pub(super) fn end(&self, key: Key, poller: &mut Poller<Owner>) {
        // Another loop may have been faster.
        if let Some(offer) = self.desk.with(|offers| offers.idle.remove(key)) {
            self.close(offer, poller);
        }
    }

    /// What is due once a second.
    pub(super) fn tick(&self, poller: &mut Poller<Owner>) {
        let (now, sweeps) = (self.desk.now(), self.is_first());
        let (swept, forgotten) = self.desk.with(|offers| {
            let swept = if sweeps { offers.sweep(now, self.number) } else { Vec::new() };
            (swept, offers.forgotten(self.number))
        });
        swept.into_iter().for_each(|offer| self.close(offer, poller));
        forgotten.into_iter().for_each(|route| poller.forget(route));
    }
}
