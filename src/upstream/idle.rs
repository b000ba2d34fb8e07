//! Kept origin connections that no session uses at the moment, shared by the clients that ask for the same site. Knows no socket.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use foldhash::fast::RandomState;
use reactor::arena::{Arena, Key};
use reactor::Millis;

use crate::io::origin::{Origin, OriginKey};

/// What a kept connection is found by: which requests it may carry, and where it leads.
pub(super) type Site = (OriginKey, SocketAddr);

/// A connection that can be kept.
pub(super) trait Keepable {
    /// What it is found by.
    fn site(&self) -> Site;
}

impl<T> Keepable for Box<Origin<T>> {
    fn site(&self) -> Site {
        (self.key, self.address)
    }
}

/// A kept connection, and when its last exchange ended.
#[derive(Debug)]
pub(super) struct Unused<T> {
    pub(super) connection: T,
    pub(super) since: Millis,
}

/// A pool of kept connections.
#[derive(Debug)]
pub(super) struct Idle<T> {
    kept: Arena<Unused<T>>,
    by_site: HashMap<Site, Vec<Key>, RandomState>,
    /// Since when each is unused, the longest first; some have gone meanwhile.
    order: VecDeque<(Millis, Key)>,
    limit: usize,
    timeout: Millis,
}

impl<T: Keepable> Idle<T> {
    /// A pool of at most `limit` connections, each kept for `timeout` milliseconds.
    pub(super) fn new(limit: usize, timeout: Millis) -> Idle<T> {
        Idle { kept: Arena::new(), by_site: HashMap::default(), order: VecDeque::new(), limit, timeout }
    }

    /// Changes the bounds, on a reload. What is too much goes with the next sweep.
    pub(super) fn configure(&mut self, limit: usize, timeout: Millis) {
        self.limit = limit;
        self.timeout = timeout;
    }

    /// Number of kept connections.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Most connections that are kept.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// The other end of each.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.kept.iter().map(|(_, kept)| kept.connection.site().1)
    }

    /// Keeps a connection, and gives its key. Where there is no room the one that is unused for longest is given back; the
    /// connection itself where none may be kept at all.
    pub(super) fn put(&mut self, unused: Unused<T>) -> (Option<Key>, Option<Unused<T>>) {
        if self.limit == 0 {
            return (None, Some(unused));
        }
        let displaced = if self.kept.len() >= self.limit { self.remove_oldest() } else { None };
        let (site, since) = (unused.connection.site(), unused.since);
        let key = self.kept.insert(unused);
        let kept = &self.kept;
        // Most come as soon as they are unused. One that its loop has kept to itself for long ends when it would have ended there.
        let keys = self.by_site.entry(site).or_default();
        let before = |other: &Key| kept.get(*other).is_some_and(|other| other.since <= since);
        keys.insert(keys.iter().rposition(before).map_or(0, |at| at + 1), key);
        if self.order.len() >= 2 * self.limit {
            self.order.retain(|(_, key)| kept.get(*key).is_some());
        }
        let at = self.order.partition_point(|(before, _)| *before <= since);
        self.order.insert(at, (since, key));
        (Some(key), displaced)
    }

    fn remove_oldest(&mut self) -> Option<Unused<T>> {
        while let Some((_, key)) = self.order.pop_front() {
            if let Some(unused) = self.take_out(key) {
                return Some(unused);
            }
        }
        None
    }

    /// Since when the connection is unused that is so for longest.
    pub(super) fn oldest(&self) -> Option<Millis> {
        self.order.iter().find(|(_, key)| self.kept.get(*key).is_some()).map(|(since, _)| *since)
    }

    /// Takes out the connection that is unused for longest, if it is so since then, or for longer.
    pub(super) fn take_older(&mut self, since: Millis) -> Option<Unused<T>> {
        // Those that have gone are not to be passed over again and again.
        let kept = &self.kept;
        let gone = self.order.iter().take_while(|(_, key)| kept.get(*key).is_none()).count();
        self.order.drain(..gone);
        if self.oldest()? > since {
            return None;
        }
        self.remove_oldest()
    }

    /// The connection of this site that was used last.
    pub(super) fn take(&mut self, site: Site) -> Option<T> {
        let key = self.by_site.get_mut(&site)?.pop()?;
        self.kept.remove(key).map(|unused| unused.connection)
    }

    /// Takes a connection out that has had an event: its origin has closed it, or said something unasked.
    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        self.take_out(key).map(|unused| unused.connection)
    }

    fn take_out(&mut self, key: Key) -> Option<Unused<T>> {
        let unused = self.kept.remove(key)?;
        if let Some(keys) = self.by_site.get_mut(&unused.connection.site()) {
            // The one that is unused for longest stands in front.
            keys.iter().position(|other| *other == key).map(|at| keys.remove(at));
        }
        Some(unused)
    }

    /// Takes out the connections that were kept long enough, and those that are too many. Called about once a second.
    pub(super) fn sweep(&mut self, now: Millis) -> Vec<T> {
        let mut swept = Vec::new();
        while let Some(since) = self.oldest() {
            let is_old = self.timeout > 0 && since + self.timeout <= now;
            if !is_old && self.kept.len() <= self.limit {
                break;
            }
            swept.extend(self.remove_oldest().map(|unused| unused.connection));
        }
        self.by_site.retain(|_, keys| !keys.is_empty());
        swept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::origin::{OriginKeys, Scope};

    impl Keepable for Site {
        fn site(&self) -> Site {
            *self
        }
    }

    /// A connection to this port, of which nothing but its site is known.
    fn site(key: OriginKey, port: u16) -> Site {
        (key, SocketAddr::from(([192, 0, 2, 1], port)))
    }

    fn put(idle: &mut Idle<Site>, key: OriginKey, port: u16) -> (bool, Option<u16>) {
        let (kept, displaced) = idle.put(Unused { connection: site(key, port), since: Millis::from(port) });
        (kept.is_some(), displaced.map(|unused| unused.connection.1.port()))
    }

    #[test]
    fn a_full_pool_gives_up_its_oldest_connection() {
        let mut idle = Idle::new(2, 0);
        let key = OriginKeys::default().key(&"a.test", 80, Scope::Shared);
        assert_eq!((put(&mut idle, key, 1), put(&mut idle, key, 2)), ((true, None), (true, None)));
        assert_eq!(put(&mut idle, key, 3), (true, Some(1)));
        assert!(idle.take(site(key, 2)).is_some());
        assert_eq!((put(&mut idle, key, 4), put(&mut idle, key, 5)), ((true, None), (true, Some(3))), "2 has gone");
        for port in 6..100 {
            assert_eq!(put(&mut idle, key, port), (true, Some(port - 2)));
        }
        assert!(idle.order.len() <= 5, "{} places for two connections", idle.order.len());
        idle.configure(0, 0);
        assert_eq!(put(&mut idle, key, 100), (false, Some(100)));
        assert_eq!(idle.sweep(100).len(), 2);
    }

    #[test]
    fn a1_connections_to_one_address_are_told_apart_by_their_key() {
        let (mut idle, keys) = (Idle::new(10, 0), OriginKeys::default());
        let session = Key { index: 1, generation: 1 };
        let sites = [("a.test", Scope::Shared), ("b.test", Scope::Shared), ("a.test", Scope::Private(session))];
        let sites = sites.map(|(host, scope)| keys.key(&host, 80, scope));
        for key in sites {
            put(&mut idle, key, 80);
        }
        for key in sites {
            assert_eq!(idle.take(site(key, 80)), Some(site(key, 80)));
            assert!(idle.take(site(key, 80)).is_none(), "there was one of each");
        }
        assert_eq!(idle.len(), 0);
    }

    #[test]
    fn what_is_unused_for_long_goes_first_and_the_last_used_is_taken() {
        let (mut idle, key) = (Idle::new(10, 30), OriginKeys::default().key(&"a.test", 80, Scope::Shared));
        assert_eq!((idle.oldest(), idle.take_older(1000).is_none()), (None, true));
        for port in [1, 2, 3, 4] {
            put(&mut idle, key, port);
        }
        idle.take(site(key, 1));
        assert_eq!(idle.oldest(), Some(2), "what was taken is not there");
        assert!(idle.take_older(1).is_none());
        let older: Vec<u16> =
            std::iter::from_fn(|| idle.take_older(3)).map(|unused| unused.connection.1.port()).collect();
        assert_eq!((older, idle.len()), (vec![2, 3], 1));
        put(&mut idle, key, 20);
        assert_eq!((idle.sweep(33), idle.sweep(34)), (vec![], vec![site(key, 4)]), "each has its time");
        assert_eq!((idle.len(), idle.by_site.len()), (1, 1));
    }
}
