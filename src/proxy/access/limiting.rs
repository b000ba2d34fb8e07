//! What one client may have within the hub: connections and requests. Who is over a limit is told so; switched off it costs
//! a look at two empty options.

use std::collections::HashMap;
use std::sync::Arc;

use reactor::arena::Key;
use reactor::Millis;

use crate::exchange::ingress::Ingress;
use crate::exchange::phase::PhaseKind;
use crate::exchange::Settings;
use crate::http::Method;
use crate::peer::ClientId;
use crate::policy::places::{PlaceVerdict, Places};
use crate::policy::rates::{Meter, Rate, RequestKind};
use crate::policy::shares::ClientKey;
use crate::policy::Refused;
use crate::proxy::loops::common::{ByClient, Common};
use crate::proxy::{Client, Proxy};

/// Most that one client may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientLimits {
    /// Connections, 0 for any number.
    pub connections: u32,
    /// Requests, and as many tunnels.
    pub requests: Option<Rate>,
}

/// What the clients have of what is limited.
#[derive(Debug)]
pub(in crate::proxy) struct Limiting {
    seats: Option<Seats>,
    meter: Option<ByClient<Meter>>,
    /// What all loops see, where there are several: then clients are counted there.
    common: Option<Arc<Common>>,
}

/// Whose each connection is, and whether it has a place.
#[derive(Debug)]
struct Seats {
    places: ByClient<Places>,
    seats: HashMap<Key, Seat>,
}

#[derive(Clone, Copy, Debug)]
struct Seat {
    client: ClientKey,
    placed: bool,
}

impl Limiting {
    pub(in crate::proxy) fn new(limits: ClientLimits, common: Option<Arc<Common>>) -> Limiting {
        let mut limiting = Limiting { seats: None, meter: None, common };
        limiting.configure(limits);
        limiting
    }

    /// Other limits hold from now on. What clients have they keep.
    pub(in crate::proxy) fn configure(&mut self, limits: ClientLimits) {
        let common = self.common.as_deref();
        match (&mut self.seats, limits.connections) {
            // Places that all loops share have to be given back.
            (seats, 0) => {
                if let Some(seats) = seats.take() {
                    seats.close();
                }
            }
            (Some(seats), most) => seats.places.each(|places| places.set_most(most)),
            (None, most) => {
                let own = || ByClient::Own(Places::new(most));
                let mut places = common.map_or_else(own, |common| ByClient::Shared(common.places(most)));
                places.each(|places| places.set_most(most));
                self.seats = Some(Seats { places, seats: HashMap::new() });
            }
        }
        match (&mut self.meter, limits.requests) {
            (_, None) => self.meter = None,
            (Some(meter), Some(rate)) => meter.each(|meter| meter.set_rate(rate)),
            (None, Some(rate)) => {
                let own = || ByClient::Own(Meter::new(rate));
                let part = |parts| Meter::part(rate, parts);
                let mut meter = common.map_or_else(own, |common| ByClient::Shared(common.meter(part)));
                meter.each(|meter| meter.set_rate(rate));
                self.meter = Some(meter);
            }
        }
    }

    /// Are connections limited?
    pub(in crate::proxy) fn counts_connections(&self) -> bool {
        self.seats.is_some()
    }

    /// A client asks on this connection.
    fn judge(&mut self, key: Key, client: ClientKey, asked: RequestKind, now: Millis) -> Result<(), Refused> {
        if let Some(seats) = &mut self.seats {
            if !seats.ask(key, client) {
                return Err(Refused::Connections(client, seats.places.of(client, |places| places.most())));
            }
        }
        let Some(meter) = &mut self.meter else { return Ok(()) };
        // One clock for all loops that share a table.
        let now = self.common.as_ref().map_or(now, |common| common.now());
        meter.of(client, |meter| {
            meter.take(client, asked, now).map_err(|seconds| Refused::Requests(client, meter.rate(), seconds))
        })
    }
}

impl Seats {
    /// Counts a connection of this client. False if there is no place for it, and it may not wait for one.
    fn enter(&mut self, key: Key, client: ClientKey, may_wait: bool) -> bool {
        let entry = self.places.of(client, |places| places.enter(client, may_wait));
        if entry != PlaceVerdict::Refused {
            self.seats.insert(key, Seat { client, placed: entry == PlaceVerdict::Placed });
        }
        entry != PlaceVerdict::Refused
    }

    fn leave(&mut self, key: Key) {
        if let Some(seat) = self.seats.remove(&key) {
            self.places.of(seat.client, |places| places.leave(seat.client, seat.placed));
        }
    }

    /// Connections are counted no more.
    fn close(mut self) {
        let seats: Vec<Key> = self.seats.keys().copied().collect();
        seats.into_iter().for_each(|key| self.leave(key));
    }

    /// Has this connection a place by now? A balancer's connection counts for whom its present request comes from.
    fn ask(&mut self, key: Key, client: ClientKey) -> bool {
        if self.seats.get(&key).is_some_and(|seat| seat.client != client) {
            self.leave(key);
        }
        if !self.seats.contains_key(&key) && !self.enter(key, client, false) {
            return false;
        }
        let Some(seat) = self.seats.get_mut(&key) else { return false };
        seat.placed = seat.placed || self.places.of(client, |places| places.place(client));
        seat.placed
    }
}

impl Proxy {
    /// Counts a connection for its client, if it is known whose it is and it is not counted yet. False if the client has too
    /// many, and this one was closed for that. To be asked where [`Limiting::counts_connections`].
    pub(in crate::proxy) fn seat(&mut self, key: Key) -> bool {
        if self.is_background(key) {
            return true;
        }
        let (Some(client), Some(seats)) = (self.clients.get(key), &mut self.limiting.seats) else { return true };
        let exchange = &client.session.exchange;
        match whose(client, &self.settings) {
            None => {
                seats.leave(key);
                return true;
            }
            Some(_) if seats.seats.contains_key(&key) => return true,
            Some(whose) => {
                let silent = exchange.requests() == 0;
                // What was there before the limit goes on, and is judged by its next request.
                if seats.enter(key, ClientKey::from(whose), silent) || !silent {
                    return true;
                }
            }
        }
        self.with_exchange(key, |exchange, cx| exchange.handle_limited(cx.now));
        false
    }

    /// A session has ended.
    pub(in crate::proxy) fn forget_seat(&mut self, key: Key) {
        if let Some(seats) = &mut self.limiting.seats {
            seats.leave(key);
        }
    }

    /// What the limits of a client say of its request, once for each. A kind of listener on which no HTTP is spoken asks the
    /// same, and closes the connection where a refusal comes back.
    pub(in crate::proxy) fn limit(&mut self, key: Key) -> Option<Refused> {
        if self.limiting.seats.is_none() && self.limiting.meter.is_none() {
            return None;
        }
        let exchange = &self.clients.get(key)?.session.exchange;
        let client = exchange.client();
        let asked = match exchange.request()?.method() {
            Method::Connect => RequestKind::Tunnel,
            _ => RequestKind::Request,
        };
        // Who may not use the proxy at all is refused for that, and takes no place in the tables.
        self.policy.client_allowed(client).ok()?;
        let refused = self.limiting.judge(key, ClientKey::from(client), asked, self.clock.now()).err()?;
        let kind = usize::from(matches!(refused, Refused::Requests(..)));
        self.counters.limited[kind][asked as usize] += 1;
        self.tell_limit(client, &refused);
        Some(refused)
    }

    fn tell_limit(&mut self, client: ClientId, refused: &Refused) {
        if self.may_tell_limit(client) {
            log::error!(target: "client", "a request of {client} was refused: {refused}");
        }
    }
}

/// The client for which a connection counts now. None while a PROXY header is to come, once all is said, for the monitor's
/// clients, and for one that names its clients in each request, a balancer or a client of ICAP, while it has no request under way.
fn whose(client: &Client, settings: &Settings) -> Option<ClientId> {
    let exchange = &client.session.exchange;
    let kind = exchange.phase().kind();
    let idle = matches!(kind, PhaseKind::Idle | PhaseKind::Head);
    let says = settings.rules.forward.is_some() || exchange.ingress() == Ingress::Icap;
    let names = || says && settings.trusted.contain(exchange.peer());
    let apart = matches!(kind, PhaseKind::ProxyHeader | PhaseKind::Draining | PhaseKind::Closed);
    let uncounted = apart || exchange.ingress().is_local() || idle && names();
    (!uncounted).then(|| exchange.client())
}
