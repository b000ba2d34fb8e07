//! What can be seen of sessions: the rows of the live view, which of them are asked for, and how many there are at each
//! address. Bounded, however many sessions there are.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::peer::ClientId;

/// Most rows that are given at once.
pub const MOST_ROWS: usize = 1000;

/// Rows of a page unless it is asked for more.
pub const ROWS: usize = 100;

/// A session as it stands at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The number of the connection, as in the usage log.
    pub id: u32,
    /// The number of the loop that serves it, where there are several.
    pub thread: Option<usize>,
    /// The client (see `exchange::identity`).
    pub client: ClientId,
    /// The process that has connected to our Unix socket.
    pub pid: Option<u32>,
    /// Who has proved to have sent the request under way, or to have asked for the tunnel.
    pub user: Option<Arc<str>>,
    /// A client of the monitor.
    pub web: bool,
    /// The name of the phase.
    pub phase: &'static str,
    /// Seconds since the client connected.
    pub age: u64,
    /// Seconds since the phase was entered.
    pub still: u64,
    /// Requests so far.
    pub requests: u32,
    /// `host:port` of the request under way or of the tunnel; empty where there is none.
    pub host: String,
    /// The other end of the origin's connection.
    pub origin: Option<SocketAddr>,
    /// Bytes sent to the client.
    pub to_client: u64,
    /// Bytes sent to origins.
    pub to_origin: u64,
    /// Why the proxy last answered for itself on this connection.
    pub trouble: Option<&'static str>,
}

/// Which sessions come first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sort {
    /// Sessions that were connected first.
    #[default]
    Age,
    /// Sessions whose phase has not changed for longest.
    Still,
    /// Sessions that sent most to their client.
    Received,
    /// Sessions that sent most to origins.
    Sent,
}

impl Sort {
    /// All orders with their words in addresses.
    pub const ALL: [(Sort, &'static str); 4] =
        [(Sort::Age, "age"), (Sort::Still, "still"), (Sort::Received, "received"), (Sort::Sent, "sent")];
}

/// Which sessions are asked for. Empty texts stand for any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The start of the client's address.
    pub client: String,
    /// A part of the host, in lower case.
    pub host: String,
    /// The name of the phase.
    pub phase: String,
    /// Which come first.
    pub sort: Sort,
    /// Most rows, at most [`MOST_ROWS`].
    pub limit: usize,
}

/// The answer to a filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    /// All sessions there are.
    pub total: usize,
    /// Those that the filter picks.
    pub matched: usize,
    /// The first of them.
    pub rows: Vec<Row>,
}

// Written by hand: what derives it is a second parser of Rust beside the one that the pages are built with.
impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_map(None)?;
        row.serialize_entry("id", &self.id)?;
        if self.thread.is_some() {
            row.serialize_entry("loop", &self.thread)?;
        }
        row.serialize_entry("client", &Shown(self.client))?;
        row.serialize_entry("pid", &self.pid)?;
        row.serialize_entry("user", &self.user.as_deref())?;
        row.serialize_entry("monitor", &self.web)?;
        row.serialize_entry("phase", self.phase)?;
        row.serialize_entry("age", &self.age)?;
        row.serialize_entry("still", &self.still)?;
        row.serialize_entry("requests", &self.requests)?;
        row.serialize_entry("host", &self.host)?;
        row.serialize_entry("server", &self.origin.map(Shown))?;
        row.serialize_entry("to-client", &self.to_client)?;
        row.serialize_entry("to-server", &self.to_origin)?;
        row.serialize_entry("error", &self.trouble)?;
        row.end()
    }
}

impl Serialize for Sessions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sessions = serializer.serialize_map(None)?;
        sessions.serialize_entry("total", &self.total)?;
        sessions.serialize_entry("matched", &self.matched)?;
        sessions.serialize_entry("sessions", &self.rows)?;
        sessions.end()
    }
}

impl Sort {
    /// The weight of a row: those of more come first.
    fn weight(self, row: &Row) -> u64 {
        match self {
            Sort::Age => row.age,
            Sort::Still => row.still,
            Sort::Received => row.to_client,
            Sort::Sent => row.to_origin,
        }
    }
}

impl Sessions {
    /// Adds those of another loop, picked by the same filter.
    pub fn add(&mut self, other: &Sessions, filter: &Filter) {
        self.total += other.total;
        self.matched += other.matched;
        self.rows.extend_from_slice(&other.rows);
        let order = |row: &Row| (std::cmp::Reverse(filter.sort.weight(row)), row.id);
        self.rows = first(std::mem::take(&mut self.rows), filter.limit.min(MOST_ROWS), order);
    }
}

/// An address as text.
struct Shown<T>(T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Who is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndPointKind {
    /// Clients, by address or user.
    Clients,
    /// Origins, by address.
    Origins,
}

/// Connections at an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndPoint {
    /// Number of connections.
    pub connections: u64,
    /// Bytes that they have sent to clients.
    pub to_clients: u64,
    /// Bytes that they have sent to origins.
    pub to_origins: u64,
}

/// Connections by address.
#[derive(Debug, Default)]
pub struct EndPoints(HashMap<ClientId, EndPoint, RandomState>);

impl EndPoints {
    /// One more connection at this address.
    pub fn add(&mut self, address: ClientId, to_clients: u64, to_origins: u64) {
        let end = self.0.entry(address).or_default();
        end.connections += 1;
        end.to_clients += to_clients;
        end.to_origins += to_origins;
    }

    /// Adds those of another loop.
    pub fn add_all(&mut self, other: &EndPoints) {
        for (address, more) in &other.0 {
            let end = self.0.entry(*address).or_default();
            end.connections += more.connections;
            end.to_clients += more.to_clients;
            end.to_origins += more.to_origins;
        }
    }

    /// Number of addresses.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True without any connection.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those with most connections, at most `limit`; of as many the lower address first.
    pub fn top(&self, limit: usize) -> Vec<(ClientId, EndPoint)> {
        let all = self.0.iter().map(|(address, end)| (*address, *end));
        first(all.collect(), limit, |(address, end)| (std::cmp::Reverse(end.connections), *address))
    }
}

/// The first `limit` by this order, without sorting the rest.
pub fn first<T, K: Ord>(mut all: Vec<T>, limit: usize, order: impl Fn(&T) -> K) -> Vec<T> {
    if limit < all.len() {
        all.select_nth_unstable_by_key(limit, &order);
        all.truncate(limit);
    }
    all.sort_unstable_by_key(order);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn the_top_is_bounded_and_in_order() {
        let mut ends = EndPoints::default();
        for number in 0..100_u8 {
            for _ in 0..number % 7 {
                ends.add(IpAddr::from([10, 0, 0, number]).into(), 3, 1);
            }
        }
        let top = ends.top(3);
        let wanted = |last, connections: u64| {
            let end = EndPoint { connections, to_clients: 3 * connections, to_origins: connections };
            (IpAddr::from([10, 0, 0, last]).into(), end)
        };
        assert_eq!(top, [wanted(6, 6), wanted(13, 6), wanted(20, 6)]);
        assert_eq!((ends.len(), ends.top(1000).len()), (85, 85));
    }

    #[test]
    fn an_address_of_the_one_family_in_the_other_counts_once() {
        let mut ends = EndPoints::default();
        ends.add("::ffff:192.0.2.1".parse().unwrap(), 0, 0);
        ends.add("192.0.2.1".parse().unwrap(), 0, 0);
        assert_eq!(ends.top(9)[0].1.connections, 2);
    }
}
