//! Listeners: which are open, how they are opened, changed and closed.

mod accepting;
pub(super) mod crowding;
mod door;
mod gates;
pub(super) mod inherited;
pub(super) mod place;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use reactor::arena::Key;
use reactor::listener::{set_transparent, ListenAt, ListenSocket};
use reactor::poller::Poller;
use reactor::Millis;
use socket2::SockRef;

use self::door::Door;
use self::inherited::{InheritedSockets, Taken};
use self::place::{bind, ListenAddress};
use super::loops::common::Common;
use crate::exchange::ingress::{Diversion, Ingress};
use crate::io::owner::Owner;
use crate::monitor::listeners::ListenerRow;
use crate::policy::OwnListener;

/// Connections taken from one listener in a turn, so that established ones are not kept waiting.
const BATCH: usize = 64;

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
    /// What all loops see, where there are several, and the number of this one.
    common: Option<(Arc<Common>, usize)>,
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
    pub(super) fn new(limits: [usize; KINDS], common: Option<(Arc<Common>, usize)>) -> Listeners {
        Listeners {
            open: Vec::new(),
            doors: limits.map(Door::new),
            awaited: Vec::new(),
            inherited: InheritedSockets::default(),
            opened: 0,
            paused_until: None,
            pauses: 0,
            common,
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

    /// Opens those of the start, with all the sockets that the process was started with. Those in `held_back` stay shut.
    ///
    /// # Errors
    /// What cannot be opened; a socket that no listener has asked for.
    pub(super) fn start(
        &mut self,
        places: &[ListenAddress],
        held_back: &[ListenAddress],
        inherited: InheritedSockets,
        keepalive: u64,
        poller: &mut Poller<Owner>,
    ) -> io::Result<()> {
        self.inherited = inherited;
        self.open(places, keepalive, poller)?;
        self.inherited.keep(held_back, keepalive)?;
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
                of_kind: self.inside(ingress) as u64,
                limit: self.limit(ingress) as u64,
                accepted: listener.accepted,
            };
            (listener.number, row)
        })
    }

    /// The number of the listener by which a connection came whose own end is there, or of another one of its kind.
    pub(super) fn number_of(&self, ingress: Ingress, local: Option<SocketAddr>) -> u16 {
        let own = || self.open.iter().flatten().filter(|listener| listener.place.ingress == ingress);
        let port = |listener: &&Listener| {
            local.is_some_and(|local| listener.place.at.address().is_some_and(|at| at.port() == local.port()))
        };
        own().find(port).or_else(|| own().next()).map_or(0, |listener| listener.number)
    }

    /// Whether clients of any kind but the monitor's are let in.
    pub(super) fn serve(&self) -> bool {
        self.open.iter().flatten().any(|listener| !listener.place.ingress.is_local())
    }
}
