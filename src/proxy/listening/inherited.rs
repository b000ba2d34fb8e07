//! Listening sockets that the process was started with, until a listener of the configuration asks for each of them. Knows
//! no gate and no client.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use reactor::inherited::InheritedSocket;
use reactor::listener::{ListenAt, ListenOptions, ListenSocket};

use crate::proxy::ListenAddress;
use crate::system::service::GivenSocket;

/// Those that are not in use.
#[derive(Debug, Default)]
pub struct InheritedSockets {
    fresh: Vec<UnclaimedSocket>,
    /// Each of them is to be that of a listener.
    all: bool,
    /// Those that were in use already. The process that opened them has them still, so that closing them would end nothing, and
    /// a new one could not be had at the same address.
    spare: Vec<(ListenAt, ListenSocket)>,
}

#[derive(Debug)]
struct UnclaimedSocket {
    name: String,
    own: bool,
    socket: InheritedSocket,
}

/// A listener that was open before.
pub(super) struct Taken {
    pub(super) io: ListenSocket,
    /// Another process has it still.
    pub(super) shared: bool,
}

impl InheritedSockets {
    /// Looks at what was inherited. With `all` each has to be that of a listener.
    ///
    /// # Errors
    /// Which of them no listener can be made of, and why.
    pub fn new(given: Vec<GivenSocket>, all: bool) -> Result<InheritedSockets, String> {
        let look = |(place, GivenSocket { name, own, descriptor }): (usize, GivenSocket)| {
            let socket = InheritedSocket::new(descriptor);
            let socket =
                socket.map_err(|error| format!("LISTEN_FDS: socket {} ({name}) cannot be used: {error}", place + 1))?;
            Ok(UnclaimedSocket { name, own, socket })
        };
        let fresh = given.into_iter().enumerate().map(look).collect::<Result<_, String>>()?;
        Ok(InheritedSockets { fresh, all, spare: Vec::new() })
    }

    /// Is there one for this place that no listener has asked for?
    pub fn has(&self, at: &ListenAt) -> bool {
        self.fresh.iter().any(|fresh| fresh.socket.at() == at)
    }

    /// The socket for this place, if there is one.
    pub(super) fn take(&mut self, place: &ListenAddress, keepalive: u64) -> Option<io::Result<Taken>> {
        if let Some(index) = self.spare.iter().position(|(at, _)| *at == place.at) {
            return Some(Ok(Taken { io: self.spare.swap_remove(index).1, shared: true }));
        }
        let index = self.fresh.iter().position(|fresh| *fresh.socket.at() == place.at)?;
        let options =
            ListenOptions { backlog: place.backlog, keepalive, shared: false, transparent: place.is_transparent() };
        let UnclaimedSocket { own, socket, .. } = self.fresh.remove(index);
        Some(socket.listen(&options, own).map(|io| Taken { io, shared: !own }))
    }

    /// Those that are kept, by their descriptors.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = (i32, bool)> + '_ {
        self.spare.iter().map(|(_, socket)| (socket.as_fd().as_raw_fd(), false))
    }

    /// Keeps one that is not in use any more.
    pub(super) fn put_back(&mut self, at: ListenAt, socket: ListenSocket) {
        self.spare.push((at, socket));
    }

    /// Keeps those for these places, which are not in use, where another process has them still.
    ///
    /// # Errors
    /// What is wrong with one.
    pub(super) fn keep(&mut self, places: &[ListenAddress], keepalive: u64) -> io::Result<()> {
        for place in places {
            if let Some(Taken { io, shared: true }) = self.take(place, keepalive).transpose()? {
                self.put_back(place.at.clone(), io);
            }
        }
        Ok(())
    }

    /// Says which one no listener has asked for. Of those that a former version has opened such a one is closed.
    ///
    /// # Errors
    /// Such a one; `places` are those that were opened.
    pub(super) fn all_taken(&mut self, places: &[ListenAddress]) -> io::Result<()> {
        let left = std::mem::take(&mut self.fresh);
        let Some(UnclaimedSocket { name, socket, .. }) = left.first().filter(|_| self.all) else { return Ok(()) };
        let places: Vec<String> = places.iter().map(|place| place.at.to_string()).collect();
        let (at, places) = (socket.at(), places.join(", "));
        Err(io::Error::other(format!(
            "LISTEN_FDS: the socket at {at} ({name}) is that of no listener: the configuration has {places}"
        )))
    }
}
