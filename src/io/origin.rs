//! A connection to an origin, wherever it is: with a session, in the pool, or on its way between them.

use std::net::SocketAddr;

use reactor::stream::Stream;

/// A connection to an origin.
#[derive(Debug)]
pub struct Origin<T> {
    /// Its socket.
    pub stream: Stream<T>,
    /// Where it leads.
    pub address: SocketAddr,
    /// Exchanges that it has carried before.
    pub exchanges: u32,
}
