//! Listeners: opening, accepting within the limits, closing.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use mio::net::TcpStream;
use reactor::arena::Key;
use reactor::listener::{accept, set_transparent, Accept, ListenAt, ListenSocket};
use reactor::poller::Poller;
use reactor::stream::Stream;
use reactor::Millis;
use socket2::SockRef;

use super::door::{Door, Outside};
use super::inherited::{InheritedSockets, Taken};
use super::place::{bind, ends, ListenAddress};
use super::report::Trouble;
use super::report::REPORT;
use super::{Client, Proxy, Waits};
use crate::exchange::ingress::{Arrival, Diversion, Ingress};
use crate::exchange::Exchange;
use crate::io::owner::Owner;
use crate::monitor::listeners::ListenerRow;
use crate::policy::OwnListener;
use crate::session::Session;

/// Connections taken from one listener in a turn, so that established ones are not kept waiting.
const BATCH: usize = 64;

/// Milliseconds before accepting is tried again after the system had no descriptor or memory.
const PAUSE: Millis = 100;

/// Kinds of listeners.
pub(super) const KINDS: usize = Ingress::ALL.len();

#[derive(Debug)]
struct Listener {
    io: ListenSocket,
    route: Key,
    place: ListenAddress,
    waiting: bool,
    /// Different from that of every other, as long as fewer than 65,536 are opened.
    number: u16,
    accepted: u64,
    /// Another process has its socket too, and keeps it.
    shared: bool,
}

/// The listeners and their gates.
#[derive(Debug)]
pub(super) struct Listeners {
    open: Vec<Option<Listener>>,
    /// By [`Ingress::index`].
    doors: [Door; KINDS],
    /// Those whose address is still taken.
    awaited: Vec<ListenAddress>,
    inherited: InheritedSockets,
    opened: u16,
    paused_until: Option<Millis>,
    /// Pauses for want of descriptors or memory.
    pauses: u64,
}

impl Listener {
    /// Changes how its connections are diverted.
    fn divert(&mut self, diversion: Option<Diversion>) {
        let place = ListenAddress { diversion, ..self.place.clone() };
        let address = place.at.address().filter(|_| place.is_transparent() != self.place.is_transparent());
        if let Some(address) = address {
            let socket = SockRef::from(&self.io);
            if let Err(error) = set_transparent(&socket, address, place.is_transparent()) {
                log::error!(target: "server", "{} on {} stays as it is: {error}", place.ingress.name(), self.place);
                return;
            }
        }
        self.place = place;
    }

    /// Gives its file to those that may connect now.
    fn grant(&mut self, place: &ListenAddress) {
        let ListenAt::Path(path) = &place.at else { return };
        if place.access == self.place.access {
            return;
        }
        match place.access.grant(path) {
            Ok(()) => self.place.access = place.access,
            Err(error) => log::error!(target: "server", "{} stays as it is: it {error}", place.at),
        }
    }
}

impl Listeners {
    /// None open; `limits` are those of each kind, by [`Ingress::index`].
    pub(super) fn new(limits: [usize; KINDS], inherited: InheritedSockets) -> Listeners {
        Listeners {
            open: Vec::new(),
            doors: limits.map(Door::new),
            awaited: Vec::new(),
            inherited,
            opened: 0,
            paused_until: None,
            pauses: 0,
        }
    }

    /// Opens those of `places` that are not open yet; none of them when one fails.
    pub(super) fn open(
        &mut self,
        places: &[ListenAddress],
        keepalive: u64,
        poller: &mut Poller<Owner>,
    ) -> io::Result<()> {
        let missing = places.iter().filter(|place| !self.open.iter().flatten().any(|open| open.place.is_at(place)));
        let mut fresh: Vec<(ListenSocket, ListenAddress, bool)> = Vec::new();
        for place in missing {
            let open = self.open.iter().flatten().map(|listener| &listener.place);
            let own = open.chain(fresh.iter().map(|(_, place, _)| place)).any(|other| other.is_beside(place));
            let bound = || bind(place, keepalive, own).map(|io| Taken { io, shared: false });
            match self.inherited.take(place, keepalive).unwrap_or_else(bound) {
                Ok(taken) => fresh.push((taken.io, place.clone(), taken.shared)),
                Err(error) if place.is_exclusive() && error.kind() == io::ErrorKind::AddrInUse => {
                    if !self.awaited.contains(place) {
                        log::error!(
                            target: "server",
                            "{} waits for {}, where another program listens: it is tried again every second",
                            place.ingress.name(),
                            place.at
                        );
                        self.awaited.push(place.clone());
                    }
                }
                Err(error) => {
                    let text = format!("{} unable to listen on {}: {error}", place.ingress.name(), place.at);
                    return Err(io::Error::new(error.kind(), text));
                }
            }
        }
        self.awaited.retain(|place| !fresh.iter().any(|(_, opened, _)| opened == place));
        let opening: Vec<_> = fresh.iter().map(|(_, place, _)| place.clone()).collect();
        for (mut io, place, shared) in fresh {
            let index = self.open.iter().position(Option::is_none).unwrap_or(self.open.len());
            let route = match poller.register(&mut io, Owner::Listener(index as u32)) {
                Ok(route) => route,
                Err(error) => {
                    self.close(poller, |place| opening.contains(place));
                    return Err(error);
                }
            };
            let limit = self.limit(place.ingress);
            // An error by its level, so that it shows by default: where the program can be reached is the first question.
            log::error!(target: "server", "{} listening on {place}, for {limit} clients at most", place.ingress.name());
            self.opened = self.opened.wrapping_add(1);
            let listener = Some(Listener { io, route, place, waiting: true, number: self.opened, accepted: 0, shared });
            match self.open.get_mut(index) {
                Some(free) => *free = listener,
                None => self.open.push(listener),
            }
        }
        Ok(())
    }

    /// Opens those of the start, with all the sockets that the process was started with.
    ///
    /// # Errors
    /// What cannot be opened; a socket that no listener has asked for.
    pub(super) fn start(
        &mut self,
        places: &[ListenAddress],
        keepalive: u64,
        poller: &mut Poller<Owner>,
    ) -> io::Result<()> {
        self.open(places, keepalive, poller)?;
        self.inherited.all_taken(places)
    }

    /// Those that are open or kept, by their descriptors, and whether they are our own.
    pub(super) fn descriptors(&self) -> Vec<(i32, bool)> {
        let open = self.open.iter().flatten().map(|listener| (listener.io.as_fd().as_raw_fd(), !listener.shared));
        open.chain(self.inherited.descriptors()).collect()
    }

    /// Leaves the files of all to another process.
    pub(super) fn leave_files(&mut self) {
        self.open.iter_mut().flatten().for_each(|listener| listener.io.leave_file());
    }

    /// Tries again to open what waits for its address. True if something was opened.
    pub(super) fn open_awaited(&mut self, keepalive: u64, poller: &mut Poller<Owner>) -> bool {
        if self.awaited.is_empty() {
            return false;
        }
        let awaited = self.awaited.clone();
        if let Err(error) = self.open(&awaited, keepalive, poller) {
            self.awaited.clear();
            log::error!(target: "server", "{error}");
        }
        self.awaited.len() < awaited.len()
    }

    /// Gives listeners that stay open the properties that they have in `places`.
    pub(super) fn adjust(&mut self, places: &[ListenAddress]) {
        for listener in self.open.iter_mut().flatten() {
            let Some(place) = places.iter().find(|place| place.is_at(&listener.place)) else { continue };
            listener.place.proxied = place.proxied;
            listener.divert(place.diversion);
            if place.backlog != listener.place.backlog {
                match listener.io.set_backlog(place.backlog) {
                    Ok(()) => listener.place.backlog = place.backlog,
                    Err(error) => log::error!(target: "server", "the backlog of {} stays: {error}", place.at),
                }
            }
            listener.grant(place);
        }
    }

    /// Closes the listeners that `which` picks.
    pub(super) fn close(&mut self, poller: &mut Poller<Owner>, which: impl Fn(&ListenAddress) -> bool) {
        self.awaited.retain(|place| !which(place));
        for slot in &mut self.open {
            if let Some(mut listener) = slot.take_if(|listener| which(&listener.place)) {
                log::info!(target: "server", "{} stops listening on {}", listener.place.ingress.name(), listener.place);
                poller.withdraw(&mut listener.io, listener.route);
                if listener.shared {
                    self.inherited.put_back(listener.place.at, listener.io);
                    continue;
                }
                if let Err(error) = listener.io.remove_file() {
                    log::error!(target: "server", "cannot remove {}: {error}", listener.place.at);
                }
            }
        }
        for ingress in Ingress::ALL {
            if self.places(ingress).is_empty() {
                self.doors[ingress.index()].outside.clear();
            }
        }
    }

    /// The addresses of all listeners, which no client is to reach through us.
    pub(super) fn addresses(&self) -> Vec<(OwnListener, SocketAddr)> {
        let own = |listener: &Listener| match listener.place.ingress.is_local() {
            true => OwnListener::Monitor,
            false => OwnListener::Proxy,
        };
        let at = |listener: &Listener| listener.io.local_address().or(listener.place.at.address());
        self.open.iter().flatten().filter_map(|listener| Some((own(listener), at(listener)?))).collect()
    }

    /// Changes the limits, by [`Ingress::index`].
    pub(super) fn set_limits(&mut self, limits: [usize; KINDS]) {
        self.doors.iter_mut().zip(limits).for_each(|(door, limit)| door.gate.set_limit(limit));
    }

    /// Most clients of this kind.
    pub(super) fn limit(&self, ingress: Ingress) -> usize {
        self.doors[ingress.index()].gate.limit()
    }

    /// Pauses for want of descriptors or memory, since the start.
    pub(super) fn pauses(&self) -> u64 {
        self.pauses
    }

    /// Most clients of all kinds that listen, but for the monitor's; of the proxy where none listens.
    pub(super) fn places_for_clients(&self) -> usize {
        let listens = |ingress: &Ingress| self.open.iter().flatten().any(|listener| listener.place.ingress == *ingress);
        let kinds = Ingress::ALL.into_iter().filter(|ingress| !ingress.is_local() && listens(ingress));
        match kinds.map(|ingress| self.limit(ingress)).sum() {
            0 => self.limit(Ingress::Proxy),
            all => all,
        }
    }

    /// The places that are open for this kind.
    pub(super) fn places(&self, ingress: Ingress) -> Vec<ListenAddress> {
        self.open
            .iter()
            .flatten()
            .map(|listener| listener.place.clone())
            .filter(|place| place.ingress == ingress)
            .collect()
    }

    /// Those that are open, with their numbers; how many clients each has is not known here.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u16, ListenerRow)> + '_ {
        self.open.iter().flatten().map(|listener| {
            let ListenAddress { ingress, proxied, diversion, .. } = listener.place;
            let address = listener.io.local_address();
            let row = ListenerRow {
                kind: ingress.name(),
                address: address.map_or_else(|| listener.place.at.to_string(), |address| address.to_string()),
                diversion: diversion.map(Diversion::name),
                proxied,
                clients: 0,
                of_kind: self.doors[ingress.index()].inside as u64,
                limit: self.limit(ingress) as u64,
                accepted: listener.accepted,
            };
            (listener.number, row)
        })
    }

    /// Whether clients of any kind but the monitor's are let in.
    pub(super) fn serve(&self) -> bool {
        self.open.iter().flatten().any(|listener| !listener.place.ingress.is_local())
    }

    /// A connection waits at this listener.
    pub(super) fn note(&mut self, index: u32) {
        if let Some(Some(listener)) = self.open.get_mut(index as usize) {
            listener.waiting = true;
            let door = &mut self.doors[listener.place.ingress.index()];
            door.look_at = door.look_at.min(door.look_early_at);
        }
    }

    /// A client of this kind has gone.
    pub(super) fn left(&mut self, ingress: Ingress) {
        let door = &mut self.doors[ingress.index()];
        door.inside = door.inside.saturating_sub(1);
    }

    /// Whether all places of a kind are taken while a connection waits outside.
    fn is_crowded(&self, ingress: Ingress) -> bool {
        let door = &self.doors[ingress.index()];
        let waits = |listener: &Listener| listener.waiting && listener.place.ingress == ingress;
        !door.gate.admits(door.inside) && (!door.outside.is_empty() || self.open.iter().flatten().any(waits))
    }

    /// Connections of this kind that give way are looked for again at `at`, or at `early` if another one comes.
    pub(super) fn look_again(&mut self, ingress: Ingress, early: Millis, at: Millis) {
        let door = &mut self.doors[ingress.index()];
        (door.look_early_at, door.look_at) = (early, at);
    }

    /// When accepting goes on: at once while a connection waits that may come in, else when others may give way to it.
    pub(super) fn poll_timeout(&self) -> Option<Millis> {
        let welcome = |ingress: Ingress| {
            let door = &self.doors[ingress.index()];
            door.gate.admits(door.inside)
        };
        let waiting = self.open.iter().flatten().any(|listener| listener.waiting && welcome(listener.place.ingress))
            || Ingress::ALL
                .into_iter()
                .any(|ingress| welcome(ingress) && !self.doors[ingress.index()].outside.is_empty());
        let crowded = Ingress::ALL.into_iter().filter(|ingress| self.is_crowded(*ingress));
        let look = crowded.map(|ingress| self.doors[ingress.index()].look_at).min();
        self.paused_until.or(waiting.then_some(0)).or(look)
    }

    /// The next connection, if one waits and there is room for it.
    fn next(&mut self, index: usize, now: Millis) -> Option<(TcpStream, Arrival)> {
        let ingress = self.open.get(index)?.as_ref().filter(|listener| listener.waiting)?.place.ingress;
        let door = &mut self.doors[ingress.index()];
        if !door.gate.admits(door.inside) {
            if now >= door.report_at {
                door.report_at = now + REPORT;
                log::error!(target: "server", "{} is full: {} clients, the limit is {}", ingress.name(), door.inside, door.gate.limit());
            }
            return None;
        }
        let accepted = self.accept(index, now)?;
        self.enter(ingress);
        Some(accepted)
    }

    /// A client of this kind takes a place.
    pub(super) fn enter(&mut self, ingress: Ingress) {
        self.doors[ingress.index()].inside += 1;
    }

    /// The next connection of those that wait outside, if there is room for it.
    fn next_outside(&mut self, ingress: Ingress) -> Option<Outside> {
        let door = &mut self.doors[ingress.index()];
        let next = if door.gate.admits(door.inside) { door.outside.pop_front() } else { None };
        door.inside += usize::from(next.is_some());
        next
    }

    /// Takes all that wait outside, to judge them.
    pub(super) fn take_outside(&mut self, ingress: Ingress) -> VecDeque<Outside> {
        std::mem::take(&mut self.doors[ingress.index()].outside)
    }

    /// Has these wait outside.
    pub(super) fn keep_outside(&mut self, ingress: Ingress, outside: VecDeque<Outside>) {
        self.doors[ingress.index()].outside = outside;
    }

    /// Accepts a connection of this kind, whether there is room for it or not.
    pub(super) fn accept_outside(&mut self, ingress: Ingress, now: Millis) -> Option<Outside> {
        let is_there = |listener: &Option<Listener>| {
            listener.as_ref().is_some_and(|listener| listener.waiting && listener.place.ingress == ingress)
        };
        while let Some(index) = self.open.iter().position(is_there).filter(|_| self.paused_until.is_none()) {
            if let Some((stream, arrival)) = self.accept(index, now) {
                return Some(Outside { stream, arrival, since: now });
            }
        }
        None
    }

    fn accept(&mut self, index: usize, now: Millis) -> Option<(TcpStream, Arrival)> {
        let listener = self.open.get_mut(index)?.as_mut()?;
        let ListenAddress { ingress, proxied, diversion, .. } = listener.place;
        // The next connection may be fine where this one was broken, but an error that stays must not hold the loop.
        for _ in 0..BATCH {
            match accept(&listener.io) {
                Accept::Connection(stream, caller) => {
                    let (peer, original) = ends(diversion, &stream, caller);
                    listener.accepted += 1;
                    let listener = listener.number;
                    return Some((stream, Arrival { ingress, listener, peer, proxied, original }));
                }
                Accept::Retry => {}
                Accept::Empty => {
                    listener.waiting = false;
                    return None;
                }
                Accept::Exhausted(error) | Accept::Broken(error) => {
                    self.paused_until = Some(now + PAUSE);
                    self.pauses += 1;
                    let door = &mut self.doors[ingress.index()];
                    if now >= door.report_at {
                        door.report_at = now + REPORT;
                        log::error!(target: "server", "{} cannot accept, {} clients are connected: {error}", ingress.name(), door.inside);
                    }
                    return None;
                }
            }
        }
        self.paused_until = Some(now + PAUSE);
        None
    }
}

impl Proxy {
    /// Takes the clients that wait, as far as there is room.
    pub(super) fn accept_waiting(&mut self) {
        let now = self.clock.now();
        if self.listeners.paused_until.is_some_and(|until| now < until) {
            return;
        }
        self.listeners.paused_until = None;
        for ingress in Ingress::ALL {
            if now >= self.listeners.doors[ingress.index()].look_at && self.listeners.is_crowded(ingress) {
                self.make_room(ingress);
            }
            while let Some(next) = self.listeners.next_outside(ingress) {
                self.welcome(next.stream, &next.arrival);
            }
        }
        for index in 0..self.listeners.open.len() {
            for _ in 0..BATCH {
                let Some((stream, arrival)) = self.listeners.next(index, now) else { break };
                self.welcome(stream, &arrival);
            }
        }
    }

    pub(super) fn welcome(&mut self, mut io: TcpStream, arrival: &Arrival) {
        let now = self.clock.now();
        // Without a diversion the address is that of our own listener, to which nothing was going.
        let elsewhere = |to: &SocketAddr| self.local.listener_at(to.ip(), to.port()).is_none();
        let arrival = Arrival { original: arrival.original.filter(elsewhere), ..*arrival };
        let (poller, settings, alarms) = (&mut self.poller, &self.settings, &mut self.alarms);
        let mut failed = None;
        let key = self.clients.insert_with(|key| {
            let route = poller.register(&mut io, Owner::Client(key)).unwrap_or_else(|error| {
                failed = Some(error);
                key
            });
            let session = Session::new(Stream::new(io, route), Exchange::new(&arrival, now));
            if let Some((_, at)) = session.exchange.poll_timeout(&settings.limits) {
                alarms.arm(key.index, at);
            }
            Client {
                session,
                waits: Waits::Nothing,
                queued: false,
                heavy: false,
                since: u32::try_from(now / 1000).unwrap_or(u32::MAX),
                fraction: 0,
            }
        });
        self.counters.accepted += 1;
        self.counters.monitor_accepted += u64::from(arrival.ingress.is_local());
        if let Some(error) = failed {
            if self.reports.may_report(Trouble::Unwatched, now) {
                log::error!(target: "server", "cannot watch a new connection: {error}");
            }
            self.clients.remove(key);
            self.listeners.left(arrival.ingress);
        } else if self.limiting.counts_connections() && !self.seat(key) {
            self.enqueue(key);
        }
    }
}
