//! Listening sockets that the process was started with, until a listener of the configuration asks for each of them. Knows
//! no gate and no client.

use std::io;
use std::os::fd::OwnedFd;

use reactor::inherited::InheritedSocket;
use reactor::listener::{ListenAt, ListenOptions, ListenSocket};

use super::ListenAddress;

/// Those that are not in use.
#[derive(Debug, Default)]
pub struct InheritedSockets {
    fresh: Vec<(String, InheritedSocket)>,
    /// Those that were in use already. The process that opened them has them still, so that closing them would end nothing, and
    /// a new one could not be had at the same address.
    spare: Vec<(ListenAt, ListenSocket)>,
}

impl InheritedSockets {
    /// Looks at what was inherited, each with its name.
    ///
    /// # Errors
    /// Which of them no listener can be made of, and why.
    pub fn new(descriptors: Vec<(String, OwnedFd)>) -> Result<InheritedSockets, String> {
        let look = |(place, (name, descriptor)): (usize, (String, OwnedFd))| {
            let socket = InheritedSocket::new(descriptor);
            let socket =
                socket.map_err(|error| format!("LISTEN_FDS: socket {} ({name}) cannot be used: {error}", place + 1))?;
            Ok((name, socket))
        };
        let fresh = descriptors.into_iter().enumerate().map(look).collect::<Result<_, String>>()?;
        Ok(InheritedSockets { fresh, spare: Vec::new() })
    }

    /// The socket for this place, if there is one.
    pub(super) fn take(&mut self, place: &ListenAddress, keepalive: u64) -> Option<io::Result<ListenSocket>> {
        if let Some(index) = self.spare.iter().position(|(at, _)| *at == place.at) {
            return Some(Ok(self.spare.swap_remove(index).1));
        }
        let index = self.fresh.iter().position(|(_, socket)| *socket.at() == place.at)?;
        let options =
            ListenOptions { backlog: place.backlog, keepalive, shared: false, transparent: place.is_transparent() };
        Some(self.fresh.remove(index).1.listen(&options))
    }

    /// Keeps one that is not in use any more.
    pub(super) fn put_back(&mut self, at: ListenAt, socket: ListenSocket) {
        self.spare.push((at, socket));
    }

    /// Says which one no listener has asked for.
    ///
    /// # Errors
    /// Such a one; `places` are those that were opened.
    pub(super) fn all_taken(&self, places: &[ListenAddress]) -> io::Result<()> {
        let Some((name, socket)) = self.fresh.first() else { return Ok(()) };
        let places: Vec<String> = places.iter().map(|place| place.at.to_string()).collect();
        let (at, places) = (socket.at(), places.join(", "));
        Err(io::Error::other(format!(
            "LISTEN_FDS: the socket at {at} ({name}) is that of no listener: the configuration has {places}"
        )))
    }
}
