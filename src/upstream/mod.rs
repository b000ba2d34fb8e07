//! Connections to origins: kept ones are used again, new ones are raced for. Takes addresses, gives connections; does
//! not know what they are for.

pub mod dial;
mod failures;
mod idle;
mod keeping;
mod offering;
mod offers;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use mio::net::TcpStream;
use reactor::alarm::Alarms;
use reactor::arena::{Arena, Key};
use reactor::listener::{set_transparent, tune};
use reactor::poller::Poller;
use reactor::ready::Ready;
use reactor::stream::Stream;
use reactor::{sys, Millis};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::io::origin::{Origin, OriginKey, OriginKeys};
use crate::io::owner::Owner;
use crate::policy::shares::{ClientKey, Resource, Shares};
use dial::{DialError, Race, Step};
use failures::Failures;
use idle::Idle;

pub use offering::{OfferDesk, Offering};

/// Milliseconds after which an attempt counts as hanging when its session has given up.
const SLOW: Millis = 1000;

/// How connections are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialOptions {
    /// Source address for IPv4, or none.
    pub bind4: Option<Ipv4Addr>,
    /// Source address for IPv6, or none.
    pub bind6: Option<Ipv6Addr>,
    /// Seconds before keep-alive probes, 0 for none.
    pub keepalive: u64,
    /// Most kept connections.
    pub pool: usize,
    /// Most of those that several loops offer one another, together.
    pub offers: usize,
    /// Milliseconds that an unused connection is kept.
    pub pool_timeout: Millis,
    /// Most attempts to connect beside the first of each race.
    pub attempts: usize,
}

/// A request for a connection.
#[derive(Debug)]
pub struct ConnectRequest<'a> {
    /// The session that will own it.
    pub session: Key,
    /// The client whose share of the attempts is used.
    pub client: ClientKey,
    /// The addresses that it may lead to, in the order of preference; not empty.
    pub addresses: &'a [IpAddr],
    /// The port.
    pub port: u16,
    /// The number of the interface through which link-local addresses are reached (RFC 4007), 0 for none.
    pub scope: u32,
    /// Which kept connections may be used.
    pub key: OriginKey,
    /// The address that it comes from in place of one of ours, of the family of all addresses.
    pub source: Option<IpAddr>,
    /// It must not have been used before.
    pub fresh: bool,
    /// The request can be sent again if the connection turns out dead, as every kept one may. One that cannot goes out
    /// on a connection of its own.
    pub repeatable: bool,
    /// Milliseconds after which it is given up, where there is another place to go.
    pub patience: Option<Millis>,
}

impl ConnectRequest<'_> {
    /// Where to connect to for one of the addresses.
    fn place(&self, address: IpAddr) -> SocketAddr {
        match address {
            IpAddr::V6(v6) if self.scope > 0 => SocketAddrV6::new(v6, self.port, 0, self.scope).into(),
            _ => SocketAddr::new(address, self.port),
        }
    }
}

/// What the loop lends for a step of a race.
#[derive(Debug)]
pub struct DialContext<'a> {
    /// Where sockets are watched.
    pub poller: &'a mut Poller<Owner>,
    /// What clients hold of the attempts.
    pub shares: &'a mut Shares,
    /// The time of this turn.
    pub now: Millis,
}

/// What came of a request.
#[derive(Debug)]
pub enum Connect {
    /// A connection.
    Ready(Box<Origin<TcpStream>>),
    /// It will be in [`Upstream::poll`].
    Pending(Key),
    /// There is none, and none is under way.
    Failed(DialError),
}

/// A race that has ended: whose it was, and its connection or why there is none.
pub type Finished = (Key, Result<Box<Origin<TcpStream>>, DialError>);

#[derive(Debug)]
struct Dial {
    session: Key,
    client: ClientKey,
    /// Attempts beside the first, as they are counted in the client's share.
    beside: u32,
    key: OriginKey,
    source: Option<IpAddr>,
    /// When it is given up.
    until: Option<Millis>,
    race: Race,
    attempts: Vec<Option<Attempt>>,
}

#[derive(Debug)]
struct Attempt {
    stream: Stream<TcpStream>,
    address: SocketAddr,
    since: Millis,
}

/// All that is on its way to origins or back from them.
#[derive(Debug)]
pub struct Upstream {
    dial_options: DialOptions,
    /// Kept connections of this loop.
    idle: Idle<Box<Origin<TcpStream>>>,
    /// None where there is one loop.
    offering: Option<Offering>,
    /// What they are found by.
    pub keys: OriginKeys,
    dials: Arena<Dial>,
    alarms: Alarms,
    failures: Failures,
    finished: Vec<Finished>,
}

impl Upstream {
    /// Nothing under way.
    pub fn new(dial_options: DialOptions, shares: &mut Shares, offering: Option<Offering>) -> Upstream {
        shares.set_limit(Resource::Attempts, dial_options.attempts);
        let mut upstream = Upstream {
            idle: Idle::new(0, 0),
            keys: offering.as_ref().map_or_else(OriginKeys::default, Offering::keys),
            offering,
            dial_options,
            dials: Arena::new(),
            alarms: Alarms::new(),
            failures: Failures::default(),
            finished: Vec::new(),
        };
        upstream.configure_kept();
        upstream
    }

    /// Takes new options over, on a reload.
    pub fn configure(&mut self, dial_options: DialOptions, shares: &mut Shares) {
        shares.set_limit(Resource::Attempts, dial_options.attempts);
        self.dial_options = dial_options;
        self.configure_kept();
    }

    /// Seconds before keep-alive probes.
    pub fn keepalive(&self) -> u64 {
        self.dial_options.keepalive
    }

    /// Number of races under way.
    pub fn opening(&self) -> usize {
        self.dials.len()
    }

    /// Finds a connection.
    pub fn connect(&mut self, request: &ConnectRequest<'_>, cx: &mut DialContext<'_>) -> Connect {
        // A kept connection may be dead already, since its origin may close it at any time. The request then has to be
        // sent again, which only a repeatable one may be (RFC 9110 §9.2.2).
        if !request.fresh && request.repeatable {
            if let Some(mut origin) = self.take_kept(request, cx.poller) {
                origin.exchanges += 1;
                return Connect::Ready(origin);
            }
        }
        let (failures, now) = (&self.failures, cx.now);
        let addresses = dial::order(request.addresses, |address| failures.holds(address, now));
        let addresses = addresses.into_iter().map(|address| request.place(address)).collect();
        let key = self.dials.insert(Dial {
            session: request.session,
            client: request.client,
            beside: 0,
            key: request.key,
            source: request.source,
            until: request.patience.map(|patience| now + patience),
            race: Race::new(addresses, now),
            attempts: Vec::new(),
        });
        match self.advance(key, cx) {
            None => Connect::Pending(key),
            Some(error) => {
                self.dials.remove(key);
                Connect::Failed(error)
            }
        }
    }

    /// More addresses of the same name have become known.
    pub fn extend(&mut self, key: Key, addresses: &[IpAddr], cx: &mut DialContext<'_>) {
        if let Some(dial) = self.dials.get_mut(key) {
            dial.race.extend(addresses, cx.now);
            self.go_on(key, cx);
        }
    }

    /// The session of this race has given up.
    pub fn cancel(&mut self, key: Key, cx: &mut DialContext<'_>) {
        if let Some(dial) = self.dials.remove(key) {
            // Addresses that hang are tried last next time, or the first few dead ones would hide the others for good.
            for slow in dial.attempts.iter().flatten().filter(|attempt| attempt.since + SLOW <= cx.now) {
                self.failures.note(slow.address.ip(), cx.now);
            }
            dial.close(cx);
        }
    }

    /// An attempt has had an event.
    pub fn handle_event(&mut self, key: Key, lane: u8, ready: Ready, cx: &mut DialContext<'_>) {
        let Some(dial) = self.dials.get_mut(key) else { return };
        let Some(Some(attempt)) = dial.attempts.get_mut(lane as usize) else { return };
        attempt.stream.ready |= ready;
        if ready.has(Ready::ERROR) {
            self.attempt_failed(key, lane, cx);
        } else if ready.has(Ready::WRITE) {
            self.attempt_won(key, lane, cx);
        }
    }

    /// Time has passed: another address may be due.
    pub fn handle_timeout(&mut self, cx: &mut DialContext<'_>) {
        while let Some(slot) = self.alarms.pop_due(cx.now) {
            if let Some(key) = self.dials.key_at(slot) {
                self.go_on(key, cx);
            }
        }
        self.offer_unused(cx.poller, cx.now);
    }

    /// When something is due: at once while a finished race waits to be taken.
    pub fn poll_timeout(&self) -> Option<Millis> {
        if !self.finished.is_empty() {
            return Some(0);
        }
        self.alarms.next().into_iter().chain(self.next_offer()).min()
    }

    /// A race that has ended: the session, and its connection or why there is none.
    pub fn poll(&mut self) -> Option<Finished> {
        self.finished.pop()
    }

    fn attempt_won(&mut self, key: Key, lane: u8, cx: &mut DialContext<'_>) {
        let Some(mut dial) = self.dials.remove(key) else { return };
        let Some(attempt) = dial.attempts.get_mut(lane as usize).and_then(Option::take) else { return };
        self.failures.forget(attempt.address.ip());
        // Those that were tried first and still hang are not to be tried first again.
        for slow in dial.attempts.iter().flatten() {
            self.failures.note(slow.address.ip(), cx.now);
        }
        let (session, site) = (dial.session, dial.key);
        dial.close(cx);
        cx.poller.assign(attempt.stream.route, Owner::Origin(session));
        let origin = Origin { stream: attempt.stream, address: attempt.address, key: site, exchanges: 0 };
        self.finished.push((session, Ok(Box::new(origin))));
    }

    fn attempt_failed(&mut self, key: Key, lane: u8, cx: &mut DialContext<'_>) {
        let Some(dial) = self.dials.get_mut(key) else { return };
        let Some(attempt) = dial.attempts.get_mut(lane as usize).and_then(Option::take) else { return };
        let error = match attempt.stream.io.take_error() {
            Ok(Some(error)) | Err(error) => error,
            Ok(None) => io::ErrorKind::ConnectionReset.into(),
        };
        log::debug!(target: "download", "[{}] {} connecting to {} failed: {error}", dial.session.generation, dial.client, attempt.address);
        cx.poller.forget(attempt.stream.route);
        let error = DialError::of(&error);
        dial.race.handle_failed(attempt.address, error, cx.now);
        self.note_failure(attempt.address.ip(), error, cx.now);
        self.go_on(key, cx);
    }

    /// Remembers that an address failed. Where this host has nothing left to connect with, that says nothing about it.
    fn note_failure(&mut self, address: IpAddr, error: DialError, now: Millis) {
        if error != DialError::Exhausted {
            self.failures.note(address, now);
        }
    }

    fn go_on(&mut self, key: Key, cx: &mut DialContext<'_>) {
        if let Some(error) = self.advance(key, cx) {
            if let Some(dial) = self.dials.remove(key) {
                self.finished.push((dial.session, Err(error)));
                dial.close(cx);
            }
        }
    }

    /// Starts the attempts that are due, as far as the client's share allows. Gives the error of a race that is lost.
    fn advance(&mut self, key: Key, cx: &mut DialContext<'_>) -> Option<DialError> {
        let lost = self.start_attempts(key, cx);
        if let Some(dial) = self.dials.get_mut(key) {
            dial.give_back(dial.race.running().saturating_sub(1), cx.shares);
        }
        lost
    }

    fn start_attempts(&mut self, key: Key, cx: &mut DialContext<'_>) -> Option<DialError> {
        let now = cx.now;
        loop {
            let dial = self.dials.get_mut(key)?;
            if dial.until.is_some_and(|until| until <= now) {
                return Some(DialError::TimedOut);
            }
            let number = dial.session.generation;
            let (client, source, until, beside) = (dial.client, dial.source, dial.until, &mut dial.beside);
            // The place of an attempt that has just ended is still this race's.
            let free = *beside as usize >= dial.race.running();
            let may_add = || {
                let taken = !free && cx.shares.take(client, Resource::Attempts, 1);
                *beside += u32::from(taken);
                free || taken
            };
            match dial.race.poll(now, may_add) {
                Step::Try(address) => {
                    let lane = free_lane(&mut dial.attempts);
                    match open(address, source, &self.dial_options, cx.poller, Owner::Attempt(key, lane)) {
                        Ok(stream) => dial.attempts[lane as usize] = Some(Attempt { stream, address, since: now }),
                        Err(error) => {
                            log::debug!(target: "download", "[{number}] {client} connecting to {address} failed: {error}");
                            let error = DialError::of(&error);
                            dial.race.handle_failed(address, error, now);
                            self.note_failure(address.ip(), error, now);
                        }
                    }
                }
                Step::GiveUp(address) => {
                    give_up(dial, address, cx.poller);
                    self.note_failure(address.ip(), DialError::TimedOut, now);
                }
                Step::Wait(at) => {
                    self.alarms.arm(key.index, until.map_or(at, |until| at.min(until)));
                    return None;
                }
                Step::WaitForEnd => {
                    if let Some(until) = until {
                        self.alarms.arm(key.index, until);
                    }
                    return None;
                }
                Step::Lost(error) => return Some(error),
            }
        }
    }
}

impl Dial {
    /// Gives back what was taken for more than so many attempts beside the first.
    fn give_back(&mut self, needed: usize, shares: &mut Shares) {
        let spare = self.beside.saturating_sub(u32::try_from(needed).unwrap_or(u32::MAX));
        if spare > 0 {
            self.beside -= spare;
            shares.give_back(self.client, Resource::Attempts, spare);
        }
    }

    /// Ends all attempts.
    fn close(mut self, cx: &mut DialContext<'_>) {
        self.give_back(0, cx.shares);
        for attempt in self.attempts.into_iter().flatten() {
            cx.poller.forget(attempt.stream.route);
        }
    }
}

fn free_lane(attempts: &mut Vec<Option<Attempt>>) -> u8 {
    let lane = attempts.iter().position(Option::is_none).unwrap_or_else(|| {
        attempts.push(None);
        attempts.len() - 1
    });
    // A race runs a handful of attempts at a time, so the number always fits.
    lane as u8
}

/// Ends the attempt at this address.
fn give_up(dial: &mut Dial, address: SocketAddr, poller: &mut Poller<Owner>) {
    let (number, client) = (dial.session.generation, dial.client);
    for lane in &mut dial.attempts {
        if let Some(attempt) = lane.take_if(|attempt| attempt.address == address) {
            log::debug!(target: "download", "[{number}] {client} connecting to {address} hangs, another address gets its place");
            poller.forget(attempt.stream.route);
        }
    }
}

/// Opens a socket and starts to connect it, from a foreign address where one is given.
fn open(
    address: SocketAddr,
    foreign: Option<IpAddr>,
    dial_options: &DialOptions,
    poller: &mut Poller<Owner>,
    owner: Owner,
) -> io::Result<Stream<TcpStream>> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    tune(&SockRef::from(&socket), dial_options.keepalive);
    let source: Option<IpAddr> = match address {
        SocketAddr::V4(_) => dial_options.bind4.map(IpAddr::V4),
        SocketAddr::V6(_) => dial_options.bind6.map(IpAddr::V6),
    };
    if let Some(foreign) = foreign {
        // Our own address would tell the origin of another client: without this one there is no connection.
        set_transparent(&SockRef::from(&socket), address, true)?;
        let _ = sys::bind_address_no_port(&socket);
        socket.bind(&SocketAddr::new(foreign, 0).into())?;
    } else if let Some(source) = source {
        // The port is chosen at connect, when the destination is known, so that ports are not used up (ip(7)).
        let _ = sys::bind_address_no_port(&socket);
        if let Err(error) = socket.bind(&SocketAddr::new(source, 0).into()) {
            log::error!(target: "download", "could not bind {source}, using the system's choice: {error}");
        }
    }
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    let mut io = TcpStream::from_std(socket.into());
    let route = poller.register(&mut io, owner)?;
    Ok(Stream::new(io, route))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::origin::Scope;

    #[test]
    fn row_21_a_zone_goes_into_the_socket_address() {
        let addresses = ["fe80::1".parse().expect("an address"), IpAddr::from([192, 0, 2, 1])];
        let session = Key { index: 0, generation: 1 };
        let key = OriginKeys::default().key(&"a.test", 80, Scope::Shared);
        let (addresses, fresh, repeatable) = (&addresses, true, false);
        let client = ClientKey::from(addresses[1]);
        let (port, scope, source, patience) = (80, 7, None, None);
        let request =
            ConnectRequest { session, client, addresses, port, scope, key, source, fresh, repeatable, patience };
        let places = addresses.map(|address| request.place(address).to_string());
        assert_eq!(places, ["[fe80::1%7]:80", "192.0.2.1:80"]);
    }

    #[test]
    fn an_exhausted_host_is_no_fault_of_the_address() {
        let dial_options =
            DialOptions { bind4: None, bind6: None, keepalive: 0, pool: 0, offers: 0, pool_timeout: 0, attempts: 0 };
        let mut upstream = Upstream::new(dial_options, &mut Shares::default(), None);
        for (last, errno, failed) in
            [(1, libc::EMFILE, false), (2, libc::EADDRNOTAVAIL, false), (3, libc::EHOSTUNREACH, true)]
        {
            let address = IpAddr::from([192, 0, 2, last]);
            upstream.note_failure(address, DialError::of(&io::Error::from_raw_os_error(errno)), 0);
            assert_eq!(upstream.failures.holds(address, 1), failed, "errno {errno}");
        }
    }
}
