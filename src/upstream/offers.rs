//! Kept connections that each loop of a process may take, as a book: which are offered, by which loop, and which routes that loop
//! has to forget since another has taken what it offered. Knows no socket and no lock.

use reactor::arena::Key;
use reactor::Millis;

use super::idle::{Idle, Keepable, Site, Unused};

/// A connection that can be offered.
pub(super) trait Routed: Keepable {
    /// The name by which the poll of its loop knows it.
    fn route(&self) -> Key;
}

/// A connection that is offered by the loop of this number, whose poll has it.
#[derive(Debug)]
pub(super) struct Offer<T> {
    pub(super) connection: T,
    pub(super) from: usize,
}

impl<T: Keepable> Keepable for Offer<T> {
    fn site(&self) -> Site {
        self.connection.site()
    }
}

/// All that is offered.
#[derive(Debug)]
pub(super) struct Offers<T> {
    pub(super) idle: Idle<Offer<T>>,
    /// By loop: routes of connections that others have taken, until it forgets them, once a second.
    taken: Vec<Vec<Key>>,
}

impl<T: Routed> Offers<T> {
    /// For so many loops. Nothing is offered before a number of places is [configured](Idle::configure).
    pub(super) fn new(loops: usize) -> Offers<T> {
        Offers { idle: Idle::new(0, 0), taken: (0..loops).map(|_| Vec::new()).collect() }
    }

    /// This loop offers a connection. Gives its key, and what there is no place for: itself, or what was offered first.
    pub(super) fn put(&mut self, from: usize, unused: Unused<T>) -> (Option<Key>, Option<Offer<T>>) {
        let offer = Offer { connection: unused.connection, from };
        let (key, displaced) = self.idle.put(Unused { connection: offer, since: unused.since });
        (key, displaced.map(|displaced| self.handed(displaced.connection, from)))
    }

    /// This loop takes the connection of a site that was offered last.
    pub(super) fn take(&mut self, site: Site, by: usize) -> Option<Offer<T>> {
        let offer = self.idle.take(site)?;
        Some(self.handed(offer, by))
    }

    /// This loop takes out all that was kept long enough, and what is too much.
    pub(super) fn sweep(&mut self, now: Millis, by: usize) -> Vec<Offer<T>> {
        self.idle.sweep(now).into_iter().map(|offer| self.handed(offer, by)).collect()
    }

    /// The routes that this loop has to forget.
    pub(super) fn forgotten(&mut self, number: usize) -> Vec<Key> {
        std::mem::take(&mut self.taken[number])
    }

    /// Notes that this loop has got an offer: the one that has made it does not see where it went.
    fn handed(&mut self, offer: Offer<T>, to: usize) -> Offer<T> {
        if offer.from != to {
            self.taken[offer.from].push(offer.connection.route());
        }
        offer
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::io::origin::{OriginKeys, Scope};

    impl Routed for Site {
        /// Its port stands for its route.
        fn route(&self) -> Key {
            route(self.1.port())
        }
    }

    fn route(port: u16) -> Key {
        Key { index: port.into(), generation: 1 }
    }

    struct Desk {
        offers: Offers<Site>,
        keys: OriginKeys,
    }

    impl Desk {
        fn new(limit: usize) -> Desk {
            let mut offers = Offers::new(3);
            offers.idle.configure(limit, 100);
            Desk { offers, keys: OriginKeys::default() }
        }

        fn site(&self, port: u16) -> Site {
            (self.keys.key(&"a.test", 80, Scope::Shared), SocketAddr::from(([192, 0, 2, 1], port)))
        }

        /// Says what had to give way, and whose it was.
        fn put(&mut self, from: usize, port: u16) -> Option<(u16, usize)> {
            let unused = Unused { connection: self.site(port), since: Millis::from(port) };
            let (_, displaced) = self.offers.put(from, unused);
            displaced.map(|offer| (offer.connection.1.port(), offer.from))
        }
    }

    #[test]
    fn a_loop_that_takes_what_another_offers_leaves_that_a_route_to_forget() {
        let mut desk = Desk::new(4);
        for (from, port) in [(0, 1), (0, 2), (1, 3)] {
            desk.put(from, port);
        }
        let taken = desk.offers.take(desk.site(1), 1).map(|offer| offer.from);
        assert_eq!((taken, desk.offers.take(desk.site(1), 1).is_none()), (Some(0), true), "it was one");
        assert_eq!(desk.offers.forgotten(0), [route(1)]);
        assert_eq!((desk.offers.forgotten(0), desk.offers.forgotten(1)), (vec![], vec![]), "once");
        // What it takes back, its poll has still.
        assert!(desk.offers.take(desk.site(2), 0).is_some());
        assert_eq!((desk.offers.forgotten(0), desk.offers.idle.len()), (vec![], 1));
    }

    #[test]
    fn there_are_no_more_offers_than_places_from_all_loops_together() {
        let mut desk = Desk::new(2);
        assert_eq!((desk.put(0, 1), desk.put(1, 2)), (None, None));
        assert_eq!(desk.put(2, 3), Some((1, 0)), "what was offered first");
        assert_eq!((desk.offers.forgotten(0), desk.offers.idle.len()), (vec![route(1)], 2));
        let (key, _) = desk.offers.put(1, Unused { connection: desk.site(4), since: 4 });
        assert_eq!(desk.offers.forgotten(1), [], "its own it forgets itself");
        // One that its origin ends leaves its place.
        assert!(key.is_some_and(|key| desk.offers.idle.remove(key).is_some() && desk.offers.idle.remove(key).is_none()));
        assert_eq!(desk.put(2, 5), None);
        // Without places there is none.
        desk.offers.idle.configure(0, 100);
        assert_eq!(desk.put(2, 6), Some((6, 2)));
        assert_eq!((desk.offers.sweep(5, 0).len(), desk.offers.idle.len()), (2, 0));
        assert_eq!((desk.offers.forgotten(2), desk.offers.forgotten(0)), (vec![route(3), route(5)], vec![]));
    }

    #[test]
    fn what_is_offered_ends_when_it_would_have_ended_in_its_loop() {
        let mut desk = Desk::new(9);
        assert_eq!((desk.put(0, 10), desk.put(1, 20)), (None, None));
        assert_eq!(
            (desk.offers.sweep(109, 0).len(), desk.offers.sweep(110, 0).len(), desk.offers.idle.len()),
            (0, 1, 1)
        );
        assert_eq!((desk.offers.forgotten(0), desk.offers.sweep(120, 2).len()), (vec![], 1));
        assert_eq!(desk.offers.forgotten(1), [route(20)]);
        // Also what its loop offers late, since there was no place.
        assert_eq!((desk.put(0, 90), desk.put(1, 30), desk.put(1, 60)), (None, None, None));
        assert_eq!(desk.offers.idle.oldest(), Some(30));
        let ended = [130, 159, 160, 189, 190].map(|now| desk.offers.sweep(now, 2).len());
        assert_eq!((ended, desk.offers.idle.len()), ([1, 0, 1, 0, 1], 0));
    }
}
