//! The resolver's sockets: for each server a set of UDP sockets with ports that the kernel chose at random, and TCP
//! connections for what does not fit into a datagram.
//!
//! A question goes out from a socket picked at random (RFC 5452 §9.2). A new socket for each question would cost four
//! more system calls; a set that is renewed all the time leaves a forger the same 16 bits of port to guess.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use dns::{LinkId, Random};
use mio::net::{TcpStream, UdpSocket};
use reactor::arena::{Arena, Key};
use reactor::poller::Poller;
use reactor::ready::Ready;
use reactor::stream::{Stream, Transport};
use reactor::Millis;
use socket2::{Domain, Protocol, Socket, Type};

use super::Secret;
use crate::io::owner::Owner;

/// UDP sockets kept for one server.
const SET: usize = 32;

/// Questions sent from one socket before another takes its place.
const USES: u32 = 4096;

/// Milliseconds after which a socket is replaced. The old one listens for answers as long again.
const AGE: Millis = 60_000;
const GRACE: Millis = 10_000;

/// Datagrams read from one socket in a row, so that a flood does not hold the loop.
const DATAGRAMS: usize = 256;

/// Reads from one TCP connection in a row, for the same reason: about what the longest message takes.
const READS: usize = 16;

/// Bytes of the longest datagram that is read: EDNS announces 1232, longer ones are cut and found malformed.
const DATAGRAM: usize = 4096;

/// Something that came from a socket.
#[derive(Debug)]
pub(super) enum Input<'a> {
    Datagram(SocketAddr, &'a [u8]),
    Unreachable(SocketAddr),
    Data(LinkId, &'a [u8]),
    Closed(LinkId),
}

#[derive(Debug)]
enum SocketKind {
    Datagrams { io: UdpSocket, uses: u32, since: Millis, retired: Option<Millis> },
    Connection { stream: Stream<TcpStream>, link: LinkId, waiting: Vec<u8>, connected: bool },
}

#[derive(Debug)]
struct SocketEntry {
    server: SocketAddr,
    route: Key,
    kind: SocketKind,
}

pub(super) struct Sockets {
    entries: Arena<SocketEntry>,
    sets: HashMap<SocketAddr, Vec<Key>>,
    links: HashMap<LinkId, Key>,
    behind: Vec<Key>,
    secret: Secret,
    buffer: Box<[u8]>,
}

impl Sockets {
    pub(super) fn new(secret: Secret) -> Sockets {
        Sockets {
            entries: Arena::new(),
            sets: HashMap::new(),
            links: HashMap::new(),
            behind: Vec::new(),
            secret,
            buffer: vec![0; DATAGRAM].into_boxed_slice(),
        }
    }

    /// Sends one question from a socket with a port that a forger cannot guess.
    pub(super) fn send_datagram(
        &mut self,
        server: SocketAddr,
        bytes: &[u8],
        poller: &mut Poller<Owner>,
        now: Millis,
    ) -> io::Result<()> {
        let key = self.pick(server, poller, now)?;
        let Some(SocketEntry { kind: SocketKind::Datagrams { io, uses, .. }, .. }) = self.entries.get_mut(key) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        // A forger who has found out a socket's port by many tries loses it again with the socket.
        *uses += 1;
        if *uses >= USES {
            self.retire(key, server, now);
            return self.send_from(key, bytes);
        }
        match io.send(bytes) {
            // What does not fit into the socket's buffer is lost like a datagram on the way, and sent again in time.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => other.map(drop),
        }
    }

    /// Sends bytes over a TCP connection, which is opened by its first ones.
    pub(super) fn send_stream(
        &mut self,
        link: LinkId,
        server: SocketAddr,
        bytes: &[u8],
        poller: &mut Poller<Owner>,
    ) -> io::Result<()> {
        let key = match self.links.get(&link) {
            Some(key) => *key,
            None => self.open_stream(link, server, poller)?,
        };
        let Some(SocketEntry { kind: SocketKind::Connection { stream, waiting, connected, .. }, .. }) =
            self.entries.get_mut(key)
        else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        // Until the handshake is done a write would fail with ENOTCONN; the event of its end sends what waits.
        waiting.extend_from_slice(bytes);
        if *connected {
            write_waiting(stream, waiting)?;
        }
        Ok(())
    }

    /// Closes a TCP connection.
    pub(super) fn close_stream(&mut self, link: LinkId, poller: &mut Poller<Owner>) {
        if let Some(key) = self.links.remove(&link) {
            self.drop_entry(key, poller);
        }
    }

    /// A socket has had an event.
    pub(super) fn handle_event(
        &mut self,
        key: Key,
        ready: Ready,
        poller: &mut Poller<Owner>,
        now: Millis,
        mut give: impl FnMut(Input<'_>),
    ) {
        // One buffer for all sockets; it is taken out because the entry borrows `self` while it is read into.
        let mut buffer = std::mem::take(&mut self.buffer);
        let Some(entry) = self.entries.get_mut(key) else {
            self.buffer = buffer;
            return;
        };
        let server = entry.server;
        match &mut entry.kind {
            SocketKind::Datagrams { io, .. } => match read_datagrams(io, server, &mut buffer, &mut give) {
                Drained::All => {}
                Drained::Partly => fall_behind(&mut self.behind, key),
                Drained::Refused => {
                    self.retire(key, server, now);
                    self.drop_entry(key, poller);
                }
            },
            SocketKind::Connection { stream, link, waiting, connected } => {
                stream.ready |= ready;
                match serve_stream(stream, *link, waiting, connected, &mut buffer, &mut give) {
                    Ok(()) if stream.ready.has(Ready::READ) => fall_behind(&mut self.behind, key),
                    Ok(()) => {}
                    Err(error) => {
                        log::debug!(target: "resolver", "connection to name server {server} ended: {error}");
                        let link = *link;
                        self.close_stream(link, poller);
                        give(Input::Closed(link));
                    }
                }
            }
        }
        self.buffer = buffer;
    }

    /// Goes on with sockets that had more to say than one turn lets them.
    pub(super) fn go_on(&mut self, poller: &mut Poller<Owner>, now: Millis, mut give: impl FnMut(Input<'_>)) {
        for key in std::mem::take(&mut self.behind) {
            self.handle_event(key, Ready::READ, poller, now, &mut give);
        }
    }

    /// Is there more to read than was read?
    pub(super) fn is_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// Replaces old sockets and closes those that were replaced a while ago.
    pub(super) fn sweep(&mut self, poller: &mut Poller<Owner>, now: Millis) {
        for key in self.entries.keys() {
            let Some(SocketEntry { server, kind: SocketKind::Datagrams { since, retired, .. }, .. }) =
                self.entries.get(key)
            else {
                continue;
            };
            match *retired {
                Some(at) if at + GRACE <= now => self.drop_entry(key, poller),
                None if since + AGE <= now => self.retire(key, *server, now),
                _ => {}
            }
        }
        self.sets.retain(|_, set| !set.is_empty());
    }

    fn pick(&mut self, server: SocketAddr, poller: &mut Poller<Owner>, now: Millis) -> io::Result<Key> {
        let random = self.secret.next_u64();
        // The set is filled one socket for each question, so that a quiet proxy opens few.
        let set = self.sets.entry(server).or_default();
        if set.len() >= SET {
            return Ok(set[random as usize % set.len()]);
        }
        let socket = match Socket::new(Domain::for_address(server), Type::DGRAM.nonblocking(), Some(Protocol::UDP)) {
            Ok(socket) => socket,
            // Without descriptors the sockets that are there have to do.
            Err(error) => return if set.is_empty() { Err(error) } else { Ok(set[random as usize % set.len()]) },
        };
        // A connected socket takes datagrams from this server alone, and hears of its ICMP errors (udp(7)). The kernel
        // chooses the port at random.
        socket.connect(&server.into())?;
        let mut io = UdpSocket::from_std(socket.into());
        let mut failed = None;
        let key = self.entries.insert_with(|key| {
            let route = poller.register(&mut io, Owner::Resolver(key)).unwrap_or_else(|error| {
                failed = Some(error);
                key
            });
            SocketEntry { server, route, kind: SocketKind::Datagrams { io, uses: 0, since: now, retired: None } }
        });
        if let Some(error) = failed {
            self.entries.remove(key);
            return Err(error);
        }
        set.push(key);
        Ok(key)
    }

    fn send_from(&mut self, key: Key, bytes: &[u8]) -> io::Result<()> {
        match self.entries.get(key) {
            Some(SocketEntry { kind: SocketKind::Datagrams { io, .. }, .. }) => io.send(bytes).map(drop),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Sends nothing more from this socket, and goes on listening for a while.
    fn retire(&mut self, key: Key, server: SocketAddr, now: Millis) {
        if let Some(set) = self.sets.get_mut(&server) {
            set.retain(|other| *other != key);
        }
        if let Some(SocketEntry { kind: SocketKind::Datagrams { retired, .. }, .. }) = self.entries.get_mut(key) {
            retired.get_or_insert(now);
        }
    }

    fn open_stream(&mut self, link: LinkId, server: SocketAddr, poller: &mut Poller<Owner>) -> io::Result<Key> {
        let mut io = TcpStream::connect(server)?;
        let mut failed = None;
        let key = self.entries.insert_with(|key| {
            let route = poller.register(&mut io, Owner::Resolver(key)).unwrap_or_else(|error| {
                failed = Some(error);
                key
            });
            let stream = Stream::new(io, route);
            SocketEntry {
                server,
                route,
                kind: SocketKind::Connection { stream, link, waiting: Vec::new(), connected: false },
            }
        });
        if let Some(error) = failed {
            self.entries.remove(key);
            return Err(error);
        }
        self.links.insert(link, key);
        Ok(key)
    }

    fn drop_entry(&mut self, key: Key, poller: &mut Poller<Owner>) {
        if let Some(entry) = self.entries.remove(key) {
            poller.forget(entry.route);
        }
    }
}

/// Notes a socket that has more to read, once.
fn fall_behind(behind: &mut Vec<Key>, key: Key) {
    if !behind.contains(&key) {
        behind.push(key);
    }
}

enum Drained {
    All,
    Partly,
    Refused,
}

fn read_datagrams(io: &UdpSocket, server: SocketAddr, buffer: &mut [u8], give: &mut impl FnMut(Input<'_>)) -> Drained {
    for _ in 0..DATAGRAMS {
        match io.recv(buffer) {
            Ok(count) => give(Input::Datagram(server, &buffer[..count])),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Drained::All,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                // An ICMP message about an earlier question, which the system keeps for the next call (ip(7)).
                log::debug!(target: "resolver", "name server {server}: {error}");
                give(Input::Unreachable(server));
                return Drained::Refused;
            }
        }
    }
    Drained::Partly
}

fn serve_stream(
    stream: &mut Stream<TcpStream>,
    link: LinkId,
    waiting: &mut Vec<u8>,
    connected: &mut bool,
    buffer: &mut [u8],
    give: &mut impl FnMut(Input<'_>),
) -> io::Result<()> {
    if stream.ready.has(Ready::ERROR) {
        return Err(stream.io.take_error()?.unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()));
    }
    // The first event of writability is the end of the handshake (connect(2), EINPROGRESS).
    *connected |= stream.ready.has(Ready::WRITE);
    if *connected {
        write_waiting(stream, waiting)?;
    }
    for _ in 0..READS {
        if !stream.ready.has(Ready::READ) {
            break;
        }
        match stream.receive(buffer)? {
            Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(count) => give(Input::Data(link, &buffer[..count])),
            None => break,
        }
    }
    Ok(())
}

fn write_waiting<T: Transport>(stream: &mut Stream<T>, waiting: &mut Vec<u8>) -> io::Result<()> {
    while !waiting.is_empty() && stream.ready.has(Ready::WRITE) {
        let count = stream.send(waiting)?;
        waiting.drain(..count);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Duration;

    use dns::{Config, Transmit};

    /// Hands the events of one turn to the sockets; gives the number of inputs of each kind: data, others.
    fn turn(sockets: &mut Sockets, poller: &mut Poller<Owner>) -> (usize, usize) {
        let (mut seen, mut counts) = (Vec::new(), (0, 0));
        poller.wait(Some(Duration::from_secs(10)), &mut seen).expect("a turn");
        for (owner, ready) in seen {
            let Owner::Resolver(key) = owner else { panic!("{owner:?} has no socket here") };
            sockets.handle_event(key, ready, poller, 0, |input| match input {
                Input::Data(..) => counts.0 += 1,
                _ => counts.1 += 1,
            });
        }
        counts
    }

    /// Connections to servers have names that only the machine can give.
    fn link() -> LinkId {
        let servers = vec![SocketAddr::from(([192, 0, 2, 1], 53))];
        let mut machine = dns::Resolver::new(
            Config { servers, ..Config::default() },
            std::sync::Arc::default(),
            Box::new(Secret::new()),
        );
        let _ = machine.lookup("name.test", 1, 0);
        let mut truncated = match machine.poll_transmit() {
            Some(Transmit::Datagram { bytes, .. }) => bytes.to_vec(),
            other => panic!("{other:?}"),
        };
        // A response that was truncated (RFC 1035 section 4.1.1).
        truncated[2] |= 0x82;
        machine.handle_datagram(SocketAddr::from(([192, 0, 2, 1], 53)), &truncated, 0);
        loop {
            match machine.poll_transmit() {
                Some(Transmit::Stream { link, .. }) => return link,
                Some(_) => {}
                None => panic!("no question goes over TCP"),
            }
        }
    }

    #[test]
    fn a_refused_socket_is_closed_at_once() {
        let (mut sockets, mut poller) = (Sockets::new(Secret::new()), Poller::new().expect("a poll"));
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let server = nobody.local_addr().expect("an address");
        drop(nobody);
        sockets.send_datagram(server, b"question", &mut poller, 0).expect("sent");
        while turn(&mut sockets, &mut poller) == (0, 0) {}
        assert_eq!((sockets.entries.len(), poller.sockets()), (0, 0));
    }

    #[test]
    fn a_server_that_talks_without_end_is_read_in_turns() {
        let (mut sockets, mut poller) = (Sockets::new(Secret::new()), Poller::new().expect("a poll"));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = listener.local_addr().expect("an address");
        sockets.send_stream(link(), server, b"question", &mut poller).expect("opened");
        let (mut peer, _) = listener.accept().expect("a connection");
        peer.set_nonblocking(true).expect("non-blocking");
        let mut most = 0;
        while !sockets.is_behind() {
            while peer.write(&[0; DATAGRAM]).is_ok() {}
            most = most.max(turn(&mut sockets, &mut poller).0);
        }
        assert!((1..=READS).contains(&most), "{most} reads in a row");
        let mut more = 0;
        sockets.go_on(&mut poller, 0, |input| more += usize::from(matches!(input, Input::Data(..))));
        assert!((1..=READS).contains(&more), "{more} reads in a row, when going on");
    }
}
