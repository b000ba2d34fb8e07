//! Kept origin connections that no session uses at the moment, shared by the clients that ask for the same site.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use foldhash::fast::RandomState;
use mio::net::TcpStream;
use reactor::arena::{Arena, Key};
use reactor::Millis;

use crate::io::origin::{Origin, OriginKey};

/// A kept connection and when its last exchange ended.
#[derive(Debug)]
struct KeptConnection {
    origin: Box<Origin<TcpStream>>,
    since: Millis,
}

/// The pool of kept connections.
#[derive(Debug)]
pub struct Idle {
    kept: Arena<KeptConnection>,
    by_site: HashMap<(OriginKey, SocketAddr), Vec<Key>, RandomState>,
    /// In the order in which they came; some have gone meanwhile.
    order: VecDeque<Key>,
    limit: usize,
    timeout: Millis,
}

impl Idle {
    /// A pool of at most `limit` connections, each kept for `timeout` milliseconds.
    pub fn new(limit: usize, timeout: Millis) -> Idle {
        Idle { kept: Arena::new(), by_site: HashMap::default(), order: VecDeque::new(), limit, timeout }
    }

    /// Changes the bounds, on a reload. What is too much goes with the next sweep.
    pub fn configure(&mut self, limit: usize, timeout: Millis) {
        self.limit = limit;
        self.timeout = timeout;
    }

    /// Number of kept connections.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Most connections that are kept.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The other end of each.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.kept.iter().map(|(_, kept)| kept.origin.address)
    }

    /// True when nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Keeps a connection. Where there is no room the one that was kept for longest is given back, to be closed; the
    /// connection itself where none may be kept at all.
    pub fn put(
        &mut self,
        origin: Box<Origin<TcpStream>>,
        now: Millis,
    ) -> (Option<Key>, Option<Box<Origin<TcpStream>>>) {
        if self.limit == 0 {
            return (None, Some(origin));
        }
        let displaced = if self.kept.len() >= self.limit { self.remove_oldest() } else { None };
        let site = (origin.key, origin.address);
        let key = self.kept.insert(KeptConnection { origin, since: now });
        self.by_site.entry(site).or_default().push(key);
        if self.order.len() >= 2 * self.limit {
            let kept = &self.kept;
            self.order.retain(|key| kept.get(*key).is_some());
        }
        self.order.push_back(key);
        (Some(key), displaced)
    }

    fn remove_oldest(&mut self) -> Option<Box<Origin<TcpStream>>> {
        while let Some(key) = self.order.pop_front() {
            if let Some(origin) = self.remove(key) {
                return Some(origin);
            }
        }
        None
    }

    /// The connection of this key to this address that was used last.
    pub fn take(&mut self, key: OriginKey, address: SocketAddr) -> Option<Box<Origin<TcpStream>>> {
        let key = self.by_site.get_mut(&(key, address))?.pop()?;
        self.kept.remove(key).map(|kept| kept.origin)
    }

    /// Takes a connection out that has had an event: its origin has closed it, or said something unasked.
    pub fn remove(&mut self, key: Key) -> Option<Box<Origin<TcpStream>>> {
        let kept = self.kept.remove(key)?;
        if let Some(keys) = self.by_site.get_mut(&(kept.origin.key, kept.origin.address)) {
            keys.retain(|other| *other != key);
        }
        Some(kept.origin)
    }

    /// Takes out the connections that were kept long enough. Called about once a second.
    pub fn sweep(&mut self, now: Millis) -> Vec<Box<Origin<TcpStream>>> {
        let timeout = self.timeout;
        let old = self.kept.iter().filter(|(_, kept)| timeout > 0 && kept.since + timeout <= now).map(|(key, _)| key);
        let mut out: Vec<Key> = old.collect();
        let excess = self.kept.len().saturating_sub(self.limit + out.len());
        out.extend(
            self.kept.iter().map(|(key, _)| key).filter(|key| !out.contains(key)).take(excess).collect::<Vec<_>>(),
        );
        let swept = out.into_iter().filter_map(|key| self.remove(key)).collect();
        self.by_site.retain(|_, keys| !keys.is_empty());
        swept
    }

    /// Takes everything out.
    pub fn drain(&mut self) -> Vec<Box<Origin<TcpStream>>> {
        self.by_site.clear();
        self.order.clear();
        self.kept.keys().into_iter().filter_map(|key| self.kept.remove(key)).map(|kept| kept.origin).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    use reactor::stream::Stream;

    use crate::io::origin::{OriginKeys, Scope};

    /// A connection to this port of 192.0.2.1, or rather to a listener that knows nothing of it.
    fn origin(listener: &TcpListener, key: OriginKey, port: u16) -> Box<Origin<TcpStream>> {
        let io = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let route = Key { index: 0, generation: 1 };
        Box::new(Origin {
            stream: Stream::new(io, route),
            address: SocketAddr::from(([192, 0, 2, 1], port)),
            key,
            exchanges: 0,
        })
    }

    #[test]
    fn a_full_pool_gives_up_its_oldest_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut idle = Idle::new(2, 0);
        let key = OriginKeys::default().key(&"a.test", 80, Scope::Shared);
        let put = |idle: &mut Idle, port: u16| {
            let (key, displaced) = idle.put(origin(&listener, key, port), Millis::from(port));
            (key.is_some(), displaced.map(|origin| origin.address.port()))
        };
        assert_eq!((put(&mut idle, 1), put(&mut idle, 2)), ((true, None), (true, None)));
        assert_eq!(put(&mut idle, 3), (true, Some(1)));
        assert!(idle.take(key, SocketAddr::from(([192, 0, 2, 1], 2))).is_some());
        assert_eq!((put(&mut idle, 4), put(&mut idle, 5)), ((true, None), (true, Some(3))), "what was taken has gone");
        for port in 6..100 {
            assert_eq!(put(&mut idle, port), (true, Some(port - 2)));
        }
        assert!(idle.order.len() <= 5, "{} places for two connections", idle.order.len());
        idle.configure(0, 0);
        assert_eq!(put(&mut idle, 100), (false, Some(100)));
    }

    #[test]
    fn a1_connections_to_one_address_are_told_apart_by_their_key() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (mut idle, keys) = (Idle::new(10, 0), OriginKeys::default());
        let session = Key { index: 1, generation: 1 };
        let sites = [("a.test", Scope::Shared), ("b.test", Scope::Shared), ("a.test", Scope::Private(session))];
        let sites = sites.map(|(host, scope)| keys.key(&host, 80, scope));
        for site in sites {
            idle.put(origin(&listener, site, 80), 0);
        }
        for site in sites {
            let found = idle.take(site, SocketAddr::from(([192, 0, 2, 1], 80))).map(|origin| origin.key);
            assert_eq!(found, Some(site));
            assert!(idle.take(site, SocketAddr::from(([192, 0, 2, 1], 80))).is_none(), "there was one of each");
        }
        assert!(idle.is_empty());
    }
}
