//! Kept origin connections that nobody uses at the moment, shared between all clients.

use std::collections::HashMap;
use std::net::SocketAddr;

use foldhash::fast::RandomState;
use mio::net::TcpStream;
use reactor::arena::{Arena, Key};
use reactor::Millis;

use crate::server::Server;

/// A kept connection and since when nobody uses it.
#[derive(Debug)]
struct Kept {
    server: Box<Server<TcpStream>>,
    since: Millis,
}

/// The pool of kept connections.
#[derive(Debug)]
pub struct Idle {
    kept: Arena<Kept>,
    by_address: HashMap<SocketAddr, Vec<Key>, RandomState>,
    limit: usize,
    timeout: Millis,
}

impl Idle {
    /// A pool of at most `limit` connections, each kept for `timeout` milliseconds.
    pub fn new(limit: usize, timeout: Millis) -> Idle {
        Idle { kept: Arena::new(), by_address: HashMap::default(), limit, timeout }
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

    /// True when nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Keeps a connection; gives it back when there is no room.
    pub fn put(&mut self, server: Box<Server<TcpStream>>, now: Millis) -> Result<Key, Box<Server<TcpStream>>> {
        if self.kept.len() >= self.limit {
            return Err(server);
        }
        let address = server.address;
        let key = self.kept.insert(Kept { server, since: now });
        self.by_address.entry(address).or_default().push(key);
        Ok(key)
    }

    /// The connection to this address that was used last, if nobody has it and it was used after `not_before`.
    pub fn take(&mut self, address: &SocketAddr, not_before: Millis) -> Option<Box<Server<TcpStream>>> {
        let keys = self.by_address.get_mut(address)?;
        let key = *keys.last()?;
        if self.kept.get(key).is_some_and(|kept| kept.since < not_before) {
            return None;
        }
        keys.pop();
        self.kept.remove(key).map(|kept| kept.server)
    }

    /// Takes a connection out that has had an event: its origin has closed it, or said something unasked.
    pub fn remove(&mut self, key: Key) -> Option<Box<Server<TcpStream>>> {
        let kept = self.kept.remove(key)?;
        if let Some(keys) = self.by_address.get_mut(&kept.server.address) {
            keys.retain(|other| *other != key);
        }
        Some(kept.server)
    }

    /// Takes out the connections that were kept long enough. Called about once a second.
    pub fn sweep(&mut self, now: Millis) -> Vec<Box<Server<TcpStream>>> {
        let timeout = self.timeout;
        let old = self.kept.iter().filter(|(_, kept)| timeout > 0 && kept.since + timeout <= now).map(|(key, _)| key);
        let mut out: Vec<Key> = old.collect();
        let excess = self.kept.len().saturating_sub(self.limit + out.len());
        out.extend(
            self.kept.iter().map(|(key, _)| key).filter(|key| !out.contains(key)).take(excess).collect::<Vec<_>>(),
        );
        let swept = out.into_iter().filter_map(|key| self.remove(key)).collect();
        self.by_address.retain(|_, keys| !keys.is_empty());
        swept
    }

    /// Takes everything out.
    pub fn drain(&mut self) -> Vec<Box<Server<TcpStream>>> {
        self.by_address.clear();
        self.kept.keys().into_iter().filter_map(|key| self.kept.remove(key)).map(|kept| kept.server).collect()
    }
}
