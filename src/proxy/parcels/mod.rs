//! Parcels: tunnels on their way to another loop or process, and the packets that they go in: a line of JSON, then the bytes that
//! were read and not sent; their sockets go along, and pipes with bytes in them. Knows neither loops nor versions.

mod packing;

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mio::net::TcpStream;
use reactor::arena::Key;
use reactor::packets::{Packets, MAX_PACKET};
use reactor::pipe::Pipe;
use reactor::stream::Stream;
use reactor::Millis;
use serde_json::{json, Value};
use socket2::{Domain, SockRef, Type};

use crate::exchange::ingress::Ingress;
use crate::exchange::{Exchange, NewHome};
use crate::io::origin::{Origin, OriginKey};
use crate::session::moving::{MovingSession, MOST_HELD};

/// Answers to the number of a tunnel: it goes on in the other process; it cannot; it cannot now.
pub(in crate::proxy) const ADOPTED: u8 = b'+';
pub(in crate::proxy) const REFUSED: u8 = b'-';
pub(in crate::proxy) const LATER: u8 = b'~';

/// A tunnel that was taken apart.
#[derive(Debug)]
pub(in crate::proxy) struct Parcel {
    pub(in crate::proxy) session: Box<MovingSession<TcpStream>>,
    /// Seconds since its client connected.
    pub(in crate::proxy) age: u32,
}

/// One that has come from another process, which is told what becomes of it.
#[derive(Debug)]
pub(in crate::proxy) struct IncomingTunnel {
    pub(in crate::proxy) parcel: Parcel,
    /// Its number there.
    pub(in crate::proxy) number: u64,
    pub(in crate::proxy) answer: Packets,
}

/// The first line of a packet, which is enough to answer it.
#[derive(Debug)]
pub(in crate::proxy) struct Label {
    words: Value,
    /// The tunnel's number.
    pub(in crate::proxy) number: u64,
}

impl Parcel {
    /// The packet of this kind, unless it is too long for one.
    pub(in crate::proxy) fn packet(&self, kind: u8, number: u64, now: Millis, fraction: u16) -> Option<Vec<u8>> {
        let MovingSession { origin, exchange, held, pipes, .. } = &*self.session;
        let lengths = pipes.each_ref().map(|pipe| pipe.as_ref().map_or(0, Pipe::len));
        let words = json!({
            "number": number,
            "age": self.age,
            "origin": origin.address.to_string(),
            "held": held.each_ref().map(Vec::len),
            "pipes": lengths,
            "tunnel": exchange.to_words(now, fraction)?,
        });
        let mut packet = vec![kind];
        packet.extend_from_slice(words.to_string().as_bytes());
        packet.push(b'\n');
        held.iter().for_each(|held| packet.extend_from_slice(held));
        (packet.len() <= MAX_PACKET).then_some(packet)
    }

    /// What goes along with it, in the order in which [`Parcel::read`] takes it.
    pub(in crate::proxy) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let MovingSession { client, origin, pipes, .. } = &*self.session;
        let pipes = pipes.iter().flatten().flat_map(|pipe| [pipe.output(), pipe.input()]);
        [client.as_fd(), origin.stream.io.as_fd()].into_iter().chain(pipes).collect()
    }

    /// Understands a packet without its first byte. None where it is not whole, or this version cannot go on with it.
    pub(in crate::proxy) fn read(
        label: &Label,
        bytes: &[u8],
        descriptors: Vec<OwnedFd>,
        home: NewHome<'_>,
        key: OriginKey,
    ) -> Option<Parcel> {
        let words = &label.words;
        let length = |name: &str, place: usize| usize::try_from(words[name][place].as_u64()?).ok();
        let (up, down) = (length("held", 0)?, length("held", 1)?);
        let start = memchr::memchr(b'\n', bytes)? + 1;
        let held = &bytes[start..];
        if up.checked_add(down)? != held.len() || held.len() > MOST_HELD {
            return None;
        }
        let mut descriptors = descriptors.into_iter();
        let client = stream(descriptors.next()?)?;
        let origin = stream(descriptors.next()?)?;
        let mut pipes = [None, None];
        for (place, pipe) in pipes.iter_mut().enumerate() {
            let length = length("pipes", place)?;
            if length > 0 {
                *pipe = Some(Pipe::of(descriptors.next()?, descriptors.next()?, length).ok()?);
            }
        }
        if descriptors.next().is_some() {
            return None;
        }
        let address: SocketAddr = words["origin"].as_str()?.parse().ok()?;
        let exchange = Exchange::from_words(&words["tunnel"], home)?;
        let age = u32::try_from(words["age"].as_u64()?).unwrap_or(u32::MAX);
        let origin = Box::new(Origin { stream: Stream::new(origin, Key::NONE), address, key, exchanges: 0 });
        let held = [held[..up].to_vec(), held[up..].to_vec()];
        Some(Parcel { session: Box::new(MovingSession { client, origin, exchange, held, pipes }), age })
    }
}

impl IncomingTunnel {
    /// By which kind of listener its client came in.
    pub(in crate::proxy) fn ingress(&self) -> Ingress {
        self.parcel.session.exchange.ingress()
    }
}

impl Label {
    /// That of a packet without its first byte; None where it has none.
    pub(in crate::proxy) fn read(bytes: &[u8]) -> Option<Label> {
        let line = bytes.split(|byte| *byte == b'\n').next()?;
        let words: Value = serde_json::from_slice(line).ok()?;
        let number = words["number"].as_u64()?;
        Some(Label { words, number })
    }
}

/// Tells a drainer what becomes of its tunnel. False where its socket is full. A drainer that is gone needs no answer.
pub(in crate::proxy) fn tell(answer: &Packets, kind: u8, number: u64) -> bool {
    answer.send(&[&[kind], number.to_string().as_bytes()].concat(), &[]).unwrap_or(true)
}

/// The connection that a descriptor is. None where it is no stream socket of a family that sessions have.
fn stream(descriptor: OwnedFd) -> Option<TcpStream> {
    let socket = SockRef::from(&descriptor);
    let (domain, kind) = (socket.domain().ok()?, socket.r#type().ok()?);
    let fits = kind == Type::STREAM && [Domain::IPV4, Domain::IPV6, Domain::UNIX].contains(&domain);
    socket.set_nonblocking(true).ok()?;
    fits.then(|| TcpStream::from(descriptor))
}
