//! A socketpair between two processes, which keeps the bounds of messages and carries descriptors with them. Neither end blocks.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Socket, Type};

use crate::sys::{self, Packet};

/// Longest message in bytes: what the kernel takes at once where its limits are those that it comes with (socket(7), wmem_default).
pub const MAX_PACKET: usize = 128 << 10;

/// One end. A copy is the same end.
#[derive(Clone, Debug)]
pub struct Packets {
    io: Arc<OwnedFd>,
}

/// What a look at an end has found.
#[derive(Debug)]
pub enum Incoming {
    /// A message, in the first bytes of the space.
    Packet(Packet),
    /// There is none now.
    Nothing,
    /// The other end is gone.
    Ended,
}

impl Packets {
    /// Both ends.
    ///
    /// # Errors
    /// Those of socketpair(2).
    pub fn pair() -> io::Result<(Packets, Packets)> {
        let (one, other) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
        Ok((Packets::of(one.into())?, Packets::of(other.into())?))
    }

    /// The end that this descriptor is.
    ///
    /// # Errors
    /// When it is another kind of socket or none at all.
    pub fn of(io: OwnedFd) -> io::Result<Packets> {
        let socket = Socket::from(io);
        if (socket.domain()?, socket.r#type()?) != (Domain::UNIX, Type::SEQPACKET) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        socket.set_nonblocking(true)?;
        Ok(Packets { io: Arc::new(socket.into()) })
    }

    /// Sends a message with these descriptors, whole or not at all. False where the other end does not take it now.
    ///
    /// # Errors
    /// When the other end is gone, or the message is too long.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<bool> {
        loop {
            match sys::send_packet(self.io.as_fd(), bytes, descriptors) {
                Ok(()) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_full(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the next message. What does not fit into the space is lost, and [`Packet::whole`] is false.
    ///
    /// # Errors
    /// Those of recvmsg(2) that say more than that there is no message, or no other end.
    pub fn receive(&self, into: &mut [u8]) -> io::Result<Incoming> {
        loop {
            match sys::receive_packet(self.io.as_fd(), into) {
                Ok(Packet { length: 0, .. }) => return Ok(Incoming::Ended),
                Ok(packet) => return Ok(Incoming::Packet(packet)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(Incoming::Nothing),
                    // An end that went without having read all is told once, before the messages that it has sent (unix(7)).
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionReset => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// Its descriptor.
    pub fn descriptor(&self) -> RawFd {
        self.io.as_raw_fd()
    }
}

/// Can it be sent later? Too many bytes, or descriptors of this account, are on their way and have to be read first (unix(7)).
fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM | libc::ETOOMANYREFS))
}

impl Source for Packets {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        SourceFd(&self.io.as_raw_fd()).register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        SourceFd(&self.io.as_raw_fd()).reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&self.io.as_raw_fd()).deregister(registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn received(end: &Packets, into: &mut [u8]) -> Packet {
        match end.receive(into).unwrap() {
            Incoming::Packet(packet) => packet,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_keep_their_bounds_and_bring_descriptors() {
        let (one, other) = Packets::pair().unwrap();
        let mut space = vec![0; MAX_PACKET];
        assert!(matches!(other.receive(&mut space).unwrap(), Incoming::Nothing));
        let (mut near, far) = UnixStream::pair().unwrap();
        assert!(one.send(b"first", &[far.as_fd(), one.io.as_fd()]).unwrap());
        assert!(one.send(&vec![7; MAX_PACKET], &[]).unwrap());
        assert!(one.send(b"too long for it", &[near.as_fd()]).unwrap());
        drop(far);
        let packet = received(&other, &mut space);
        assert_eq!((&space[..packet.length], packet.whole, packet.descriptors.len()), (&b"first"[..], true, 2));
        let mut far = UnixStream::from(packet.descriptors.into_iter().next().unwrap());
        near.write_all(b"hello").unwrap();
        let mut bytes = [0; 5];
        far.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"hello");
        let packet = received(&other, &mut space);
        assert_eq!((packet.length, packet.whole, packet.descriptors.len()), (MAX_PACKET, true, 0));
        let packet = received(&other, &mut [0; 4]);
        assert_eq!((packet.length, packet.whole, packet.descriptors.len()), (4, false, 1));
        drop(one);
        assert!(matches!(other.receive(&mut space).unwrap(), Incoming::Ended));
        assert!(other.send(b"x", &[]).is_err());
    }

    /// Else a tunnel that the other side has taken would be taken back.
    #[test]
    fn what_an_end_has_said_is_heard_though_it_went_without_having_read_all() {
        let (one, other) = Packets::pair().unwrap();
        assert!(one.send(b"offered", &[]).unwrap() && other.send(b"taken", &[]).unwrap());
        drop(other);
        let mut space = [0; 16];
        let packet = received(&one, &mut space);
        assert_eq!(&space[..packet.length], b"taken");
        assert!(matches!(one.receive(&mut space).unwrap(), Incoming::Ended));
        assert!(matches!(one.receive(&mut space).unwrap(), Incoming::Ended));
    }

    #[test]
    fn an_end_that_is_not_read_takes_no_more_after_a_while() {
        let (one, other) = Packets::pair().unwrap();
        let sent = (0..100_000).find(|_| !one.send(&[1; 1000], &[]).unwrap()).unwrap();
        let mut space = [0; 2000];
        let mut count = 0;
        while let Incoming::Packet(packet) = other.receive(&mut space).unwrap() {
            assert_eq!(packet.length, 1000);
            count += 1;
        }
        assert_eq!(count, sent);
        assert!(one.send(b"again", &[]).unwrap());
    }

    #[test]
    fn what_is_no_such_end_is_not_taken() {
        let (stream, _) = UnixStream::pair().unwrap();
        assert!(Packets::of(stream.into()).is_err());
    }
}
