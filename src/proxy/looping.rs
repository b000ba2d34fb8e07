//! Connections without HTTP that come back to us: through a balancer to which the name in their hello leads, or by a rule that diverts
//! what this machine itself opens. HTTP has its Via field for that.

use std::net::SocketAddr;

use reactor::arena::Key;

use super::Proxy;
use crate::http::request::Request;

impl Proxy {
    /// Whether the connection of a session carries no HTTP and is one that we have opened for another session.
    pub(super) fn comes_back(&self, key: Key) -> bool {
        if self.own_ends.is_empty() || !self.is_opaque(key) {
            return false;
        }
        let Some(client) = self.clients.get(key) else { return false };
        let (io, exchange) = (&client.session.client.io, &client.session.exchange);
        let Some(announced) = exchange.opener().address() else { return false };
        match io.peer_addr() {
            // Our end stands in what a balancer says of its client; the address where it got it may be rewritten on the way there.
            Ok(peer) if SocketAddr::new(peer.ip().to_canonical(), peer.port()) != announced => {
                self.own_ends.have(announced, None) || self.own_ends.have(peer, None)
            }
            // The balancer may come by a Unix socket.
            Err(_) => self.own_ends.have(announced, None),
            // A client on this machine may have the same end for another way, so that the way counts where it is known.
            Ok(_) => self.own_ends.have(announced, exchange.original_destination()),
        }
    }

    /// A session has a connection to its origin now.
    pub(super) fn note_own_end(&mut self, key: Key) {
        if !self.is_opaque(key) {
            return;
        }
        let Some(origin) = self.clients.get(key).and_then(|client| client.session.origin.as_ref()) else { return };
        if let Ok(ours) = origin.stream.io.local_addr() {
            self.own_ends.enter(key.to_bits(), ours, origin.address);
        }
    }

    fn is_opaque(&self, key: Key) -> bool {
        self.request_of(key).and_then(Request::opaque_kind).is_some()
    }
}
