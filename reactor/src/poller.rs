//! One mio poll, and the routes from sockets to their owners.
//!
//! A socket is registered once, for reading and writing, edge-triggered, under the key of a route. When the socket
//! changes hands, the route is pointed at the new owner: that is a store, not a system call.

use std::io;
use std::time::Duration;

use mio::event::{Event, Source};
use mio::{Events, Interest, Poll, Registry, Token, Waker};

use crate::arena::{Arena, Key};
use crate::ready::Ready;

/// Events taken from the kernel in one turn. What does not fit comes with the next turn, first in line.
const EVENTS: usize = 1024;

/// All events: reading, writing, and where the system tells of it, bytes that are marked as urgent.
#[cfg(target_os = "linux")]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);
#[cfg(not(target_os = "linux"))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// A token is the key of a route, generation and all, and a token is a usize: with 32 bits the generation would be lost
/// and no event would find its owner.
const _: () = assert!(usize::BITS >= u64::BITS, "pointers of 64 bits are needed");

/// Takes sockets out of a poll, from every thread. Their routes stay for the poll's owner to forget.
#[derive(Debug)]
pub struct Withdrawal(Registry);

impl Withdrawal {
    /// Takes a socket out that stays open.
    pub fn withdraw(&self, source: &mut impl Source) {
        // One that cannot be taken out is not in it.
        let _ = self.0.deregister(source);
    }
}

/// The poll and its routes. `Owner` is what the loop wants to know about a socket that has an event.
#[derive(Debug)]
pub struct Poller<Owner> {
    poll: Poll,
    events: Events,
    routes: Arena<Owner>,
}

impl<Owner: Copy> Poller<Owner> {
    /// A poll without sockets.
    ///
    /// # Errors
    /// Those of epoll_create1(2).
    pub fn new() -> io::Result<Poller<Owner>> {
        Ok(Poller { poll: Poll::new()?, events: Events::with_capacity(EVENTS), routes: Arena::new() })
    }

    /// Registers a socket for all events and gives its route.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn register(&mut self, source: &mut impl Source, owner: Owner) -> io::Result<Key> {
        let route = self.routes.insert(owner);
        let token = Token(route.to_bits() as usize);
        match self.poll.registry().register(source, token, INTEREST) {
            Ok(()) => Ok(route),
            // The route was needed for the token; without a registration it would never go.
            Err(error) => {
                self.routes.remove(route);
                Err(error)
            }
        }
    }

    /// What wakes the poll from other threads: the owner has an event then.
    ///
    /// # Errors
    /// Those of eventfd(2) and epoll_ctl(2).
    pub fn waker(&mut self, owner: Owner) -> io::Result<Waker> {
        let route = self.routes.insert(owner);
        Waker::new(self.poll.registry(), Token(route.to_bits() as usize))
    }

    /// What takes sockets out of it from other threads.
    ///
    /// # Errors
    /// Those of fcntl(2), which duplicates its descriptor.
    pub fn withdrawal(&self) -> io::Result<Withdrawal> {
        self.poll.registry().try_clone().map(Withdrawal)
    }

    /// Hands the socket of this route to another owner.
    pub fn assign(&mut self, route: Key, owner: Owner) {
        if let Some(place) = self.routes.get_mut(route) {
            *place = owner;
        }
    }

    /// Takes a socket out of the poll that another process has, too, so that closing it here does not do so (epoll(7)), or that
    /// stays open.
    pub fn withdraw(&mut self, source: &mut impl Source, route: Key) {
        // One that cannot be taken out is not in it.
        let _ = self.poll.registry().deregister(source);
        self.forget(route);
    }

    /// Forgets the route of a socket that is being closed. Closing takes the socket itself out of the poll.
    pub fn forget(&mut self, route: Key) {
        self.routes.remove(route);
    }

    /// Number of sockets that have a route.
    pub fn sockets(&self) -> usize {
        self.routes.len()
    }

    /// Waits for events and adds what they say to `seen`.
    ///
    /// # Errors
    /// Those of epoll_wait(2), but for an interruption by a signal, which is an empty turn.
    pub fn wait(&mut self, timeout: Option<Duration>, seen: &mut Vec<(Owner, Ready)>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in self.events.iter() {
            // A socket that was closed in this turn may still have an event. Its route is gone and the generation in
            // the token keeps the event from the next holder of the slot.
            let route = Key::from_bits(event.token().0 as u64);
            if let Some(owner) = self.routes.get(route) {
                seen.push((*owner, ready_of(event)));
            }
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn is_urgent(event: &Event) -> bool {
    event.is_priority()
}

#[cfg(not(target_os = "linux"))]
fn is_urgent(_event: &Event) -> bool {
    false
}

/// What mio says of one event.
fn ready_of(event: &Event) -> Ready {
    let mut ready = Ready::NONE;
    for (seen, bit) in [
        (event.is_readable(), Ready::READ),
        (event.is_writable(), Ready::WRITE),
        (event.is_read_closed(), Ready::READ | Ready::READ_CLOSED),
        (event.is_error(), Ready::ERROR),
        (is_urgent(event), Ready::URGENT),
    ] {
        if seen {
            ready |= bit;
        }
    }
    ready
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_socket_that_changed_hands_reports_to_its_new_owner() {
        let mut poller = Poller::new().expect("a poll");
        let (mut here, mut there) = mio::net::UnixStream::pair().expect("a pair");
        let route = poller.register(&mut here, "first").expect("registered");
        poller.assign(route, "second");
        there.write_all(b"x").expect("room in a fresh socket");
        let mut seen = Vec::new();
        while !seen.iter().any(|(_, ready): &(_, Ready)| ready.has(Ready::READ)) {
            poller.wait(Some(Duration::from_secs(10)), &mut seen).expect("a turn");
        }
        assert!(seen.iter().all(|(owner, _)| *owner == "second"));
        poller.forget(route);
        assert_eq!(poller.sockets(), 0);
    }
}
