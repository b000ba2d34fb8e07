//! A client in its slot, and what it waits for.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::net::TcpStream;
use reactor::arena::Key;

use super::clock::Clock;
use crate::cache::fetches::FetchId;
use crate::redirector::pool::Ticket;
use crate::resolver::LookupId;
use crate::session::Session;

/// What stands for an address that is not known.
pub(super) const UNKNOWN_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// One client and what is under way for it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) session: Session<TcpStream>,
    pub(super) waits: Waits,
    pub(super) queued: bool,
    /// Its heads are among those that are counted.
    pub(super) heavy: bool,
    /// The [`Clock::second`] in which it connected; one before the clock began counts down from 2^32.
    pub(super) since: u32,
    /// What the clock's milliseconds left out, in microseconds, when something was last asked for: a helper's reply, a name,
    /// a connection.
    pub(super) fraction: u16,
}

impl Client {
    /// A client that waits for nothing and connected in this [`Clock::second`].
    pub(super) fn new(session: Session<TcpStream>, since: u32) -> Client {
        Client { session, waits: Waits::Nothing, queued: false, heavy: false, since, fraction: 0 }
    }

    /// Seconds since it connected, which may have been to a process before this one.
    pub(super) fn age(&self, clock: &Clock) -> u32 {
        clock.second().wrapping_sub(self.since)
    }

    /// Our side of its connection, which costs a system call; [`UNKNOWN_ADDRESS`] where the system does not tell.
    pub(super) fn local_address(&self) -> SocketAddr {
        self.session.client.io.local_addr().unwrap_or(UNKNOWN_ADDRESS)
    }

    /// Microseconds since its exchange entered its present phase, in which it asked for something.
    pub(super) fn waited(&self, clock: &Clock) -> u64 {
        clock.since(self.session.exchange.waited(clock.now()), self.fraction)
    }
}

/// Marks the keys by which helpers know sessions of other loops: no loop has so many of its own.
pub(super) const FAR: u32 = 1 << 31;

/// Whether a key stands for a session of another loop.
pub(super) fn is_far(key: Key) -> bool {
    key.index & FAR != 0
}

/// What a session waits for: the handle by which it is given up, and by which news that come too late are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Waits {
    Nothing,
    /// What a helper says.
    Reply(Ticket),
    /// What comes of the check of a password.
    Check(u64),
    /// What other loops have to tell, for a page of the monitor.
    Reports(u64),
    /// What the loader finds in the file of a local page that a helper has named.
    Page(u64),
    Lookup(LookupId),
    /// The head of the response to another client's request for the same.
    Fetch(FetchId),
    /// A race, and the lookup that may still bring more addresses to it.
    Dial(Key, Option<LookupId>),
    /// The rest of a lookup, after none of its first addresses could be connected to.
    Rest(LookupId),
}
