//! What the service and a drainer say to each other, in packets of which the first byte says what they are. The other side may be of
//! another version: it passes over what it does not know.

use std::io;
use std::os::fd::BorrowedFd;

use reactor::arena::Key;
use reactor::packets::{Incoming, Packets};
use reactor::poller::Poller;

use crate::io::owner::Owner;

/// To a drainer: this version accepts. What it can take over follows, in words.
pub(super) const READY: u8 = b'.';

/// The word for tunnels, as this version packs them.
pub(super) const TUNNELS: &str = "tunnels=1";

/// From a drainer: how it is.
pub(super) const STATE: u8 = b's';

/// From a drainer: a tunnel that can go on in another process.
pub(super) const TUNNEL: u8 = b't';

/// Packets that are read of a line in a turn: all that a drainer may have said before it ended.
pub(super) const BATCH: usize = 256;

/// This process's end of the line to a process of another version.
#[derive(Debug)]
pub(super) struct VersionLine {
    io: Packets,
    route: Key,
    /// There may be something to read.
    due: bool,
}

impl VersionLine {
    /// This end, watched by the poll.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub(super) fn new(mut io: Packets, owner: Owner, poller: &mut Poller<Owner>) -> io::Result<VersionLine> {
        let route = poller.register(&mut io, owner)?;
        Ok(VersionLine { io, route, due: true })
    }

    /// It has an event.
    pub(super) fn note(&mut self) {
        self.due = true;
    }

    /// May there be something to read?
    pub(super) fn is_due(&self) -> bool {
        self.due
    }

    /// The next packet. An error is as good as an end.
    pub(super) fn next(&mut self, space: &mut [u8]) -> Incoming {
        let next = self.io.receive(space).unwrap_or(Incoming::Ended);
        self.due = matches!(next, Incoming::Packet(_));
        next
    }

    /// Sends a short message. It is lost where the other side is gone, or has not read for so long that its socket is full.
    pub(super) fn say(&self, kind: u8, text: &str) {
        let _ = self.io.send(&[&[kind], text.as_bytes()].concat(), &[]);
    }

    /// Sends a packet with descriptors; as [`Packets::send`].
    ///
    /// # Errors
    /// When the other side is gone, or the packet is too long.
    pub(super) fn send(&self, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<bool> {
        self.io.send(packet, descriptors)
    }

    /// Its socket, on which any loop may answer.
    pub(super) fn packets(&self) -> &Packets {
        &self.io
    }

    /// Its descriptor.
    pub(super) fn descriptor(&self) -> i32 {
        self.io.descriptor()
    }

    /// Closes it. It is taken out of the poll first, because another process may have the same socket.
    pub(super) fn close(mut self, poller: &mut Poller<Owner>) {
        poller.withdraw(&mut self.io, self.route);
    }
}
