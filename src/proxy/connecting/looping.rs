//! Connections without HTTP that come back to us: through a balancer to which the name in their hello leads, or by a rule that diverts
//! what this machine itself opens. HTTP has its Via field for that, unless `http.transparent` leaves that out.

use std::net::SocketAddr;

use mio::net::TcpStream;
use reactor::arena::Key;
use reactor::listener::rewritten_destination;

use crate::http::request::Request;
use crate::proxy::Proxy;

impl Proxy {
    /// Whether the connection of a session carries nothing that tells of us, and is one that we have opened for another session.
    pub(super) fn comes_back(&self, key: Key) -> bool {
        if !self.has_own_ends() || !self.is_untold(key) {
            return false;
        }
        let Some(client) = self.clients.get(key) else { return false };
        let (io, exchange) = (&client.session.client.io, &client.session.exchange);
        let peer = io.peer_addr().ok();
        let announced = exchange.opener().address().filter(|source| peer.is_none_or(|peer| canonical(peer) != *source));
        // A balancer says of its client where that comes from. The address where the balancer got it may be rewritten on the way
        // there, so that it counts only where the client is on the balancer's own machine, which may be this one.
        let told = announced.is_some_and(|source| {
            let going = exchange.original_destination().filter(|_| source.ip().is_loopback());
            self.has_own_end(source, going)
        });
        told || peer.is_some_and(|peer| self.has_own_end(peer, None) && self.has_own_end(peer, going_to(io, peer)))
    }

    /// A session has a connection to its origin now.
    pub(super) fn note_own_end(&mut self, key: Key) {
        if self.is_untold(key) {
            self.enter_own_end(key);
        }
    }

    /// A session has a tunnel that came from another loop or process.
    pub(in crate::proxy) fn note_moved_end(&mut self, key: Key) {
        let spoke = |client: &crate::proxy::Client| client.session.exchange.ingress().speaks_http();
        if self.settings.rules.transparent || !self.clients.get(key).is_some_and(spoke) {
            self.enter_own_end(key);
        }
    }

    fn enter_own_end(&mut self, key: Key) {
        let Some(origin) = self.clients.get(key).and_then(|client| client.session.origin.as_ref()) else { return };
        if let Ok(ours) = origin.stream.io.local_addr() {
            let far = origin.address;
            match &self.loops {
                Some(loops) => loops.common().enter_end(key.to_bits(), ours, far),
                None => self.own_ends.enter(key.to_bits(), ours, far),
            }
        }
    }

    /// A session has no connection to its origin any more.
    pub(in crate::proxy) fn forget_own_end(&mut self, key: Key) {
        match &self.loops {
            Some(loops) => loops.common().leave_end(key.to_bits()),
            None => self.own_ends.leave(key.to_bits()),
        }
    }

    fn has_own_ends(&self) -> bool {
        self.loops.as_ref().map_or(!self.own_ends.is_empty(), |loops| loops.common().has_ends())
    }

    /// Whether a session of any loop has opened a connection that comes from there.
    fn has_own_end(&self, from: SocketAddr, going: Option<SocketAddr>) -> bool {
        match &self.loops {
            Some(loops) => loops.common().have_end(from, going),
            None => self.own_ends.have(from, going),
        }
    }

    /// Whether what goes on for this session carries no word of us.
    fn is_untold(&self, key: Key) -> bool {
        self.settings.rules.transparent || self.request_of(key).and_then(Request::opaque_kind).is_some()
    }
}

/// Where a connection was going, whichever way it was diverted. The system gives a port of ours to a client on this machine as well,
/// for another destination.
fn going_to(io: &TcpStream, peer: SocketAddr) -> Option<SocketAddr> {
    rewritten_destination(io, peer).or_else(|| io.local_addr().ok())
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
