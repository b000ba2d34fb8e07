//! The owner of a socket: what the poller tells the hub about an event.

use reactor::arena::Key;

/// The owner of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// A listening socket, by its place in the list.
    Listener(u32),
    /// The client end of a session.
    Client(Key),
    /// The origin end of a session.
    Origin(Key),
    /// A kept origin connection, which no session uses.
    Idle(Key),
    /// The same, which its loop offers to others.
    Offered(Key),
    /// The origin of a response that is read for all who want it.
    Fill(Key),
    /// One attempt of a race for a connection.
    Attempt(Key, u8),
    /// A socket of the resolver.
    Resolver(Key),
    /// The bus to a helper.
    Helper(Key),
    /// The bus to the loader.
    Loader,
    /// The bus to the threads that check passwords.
    Verifier,
    /// Other loops of the process, which have something to say.
    Loops,
    /// The socket on which the kernel tells of changed addresses.
    Addresses,
    /// The pair through which signals reach the loop.
    Signal,
    /// The line to a drainer, by its process.
    Drainer(u32),
    /// In a drainer: the line to the service.
    Next,
}
