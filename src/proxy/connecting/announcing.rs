//! What a connection to an origin tells of its client: the address that it bears, the header that it begins with, and that no other
//! client may use it for either.

use std::io;
use std::net::{IpAddr, SocketAddr};

use reactor::arena::Key;

use super::AddressList;
use crate::exchange::proxy_protocol::{self, Announced};
use crate::http::request::{Announce, DetourBy, Request};
use crate::io::origin::Scope;
use crate::proxy::Proxy;

impl Proxy {
    /// The address that connections for this session bear in place of ours: that of its client, whose own connection was going
    /// elsewhere, and who has said the host itself.
    pub(super) fn spoofed(&self, key: Key) -> Option<IpAddr> {
        let exchange = &self.clients.get(key).filter(|_| self.divert.spoof)?.session.exchange;
        let own = exchange
            .request()
            .is_some_and(|request| !request.is_intercepted() && !request.is_renamed() && request.parent().is_none());
        let diverted = exchange.ingress().is_diverted() && exchange.original_destination().is_some();
        if diverted && own {
            exchange.peer().address()
        } else {
            None
        }
    }

    /// What leads to these addresses. From the address of a client there is no way to one of the other family.
    pub(super) fn reachable(&self, key: Key, addresses: AddressList) -> AddressList {
        let mut ways = self.ways_to(addresses);
        if let Some(source) = self.spoofed(key) {
            ways.retain(|address| address.is_ipv4() == source.is_ipv4());
        }
        ways
    }

    /// The header that a connection for this request begins with.
    fn header(&self, request: &Request) -> Announce {
        if let Some(parent) = request.parent() {
            return parent.announce;
        }
        match request.detour().map(|detour| detour.by) {
            Some(DetourBy::Helper(header)) => header.unwrap_or(self.divert.announce),
            _ => Announce::Off,
        }
    }

    /// Whose a connection for this request is.
    pub(super) fn scope(&self, key: Key, request: &Request) -> Scope {
        match self.header(request) {
            Announce::Off if self.spoofed(key).is_some() => Scope::Private(key),
            Announce::Off => Scope::Shared,
            Announce::V1 => Scope::Announced(key, 1),
            Announce::V2 => Scope::Announced(key, 2),
        }
    }

    /// Whether the connection to the origin of a session tells of its client, so that no other may use it.
    pub(super) fn is_for_one(&self, key: Key) -> bool {
        self.request_of(key).is_some_and(|request| self.scope(key, request) != Scope::Shared)
    }

    /// Sends the header that the connection to the origin of a session begins with, if it does and is new. It is sent by itself, as
    /// the other side waits for it: a new connection takes at least so many bytes.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) fn announce(&mut self, key: Key) -> io::Result<()> {
        let header = self.request_of(key).map_or(Announce::Off, |request| self.header(request));
        if header == Announce::Off {
            return Ok(());
        }
        let Some(client) = self.clients.get_mut(key) else { return Ok(()) };
        let session = &mut client.session;
        let source = session.exchange.opener().address();
        let local = |source: SocketAddr| session.client.io.local_addr().unwrap_or(SocketAddr::new(source.ip(), 0));
        let original = session.exchange.original_destination();
        let ends = source.map(|source| (source, original.unwrap_or_else(|| local(source))));
        let Some(origin) = session.origin.as_mut().filter(|origin| origin.exchanges == 0) else { return Ok(()) };
        self.out.clear();
        match ends {
            Some((source, destination)) => {
                proxy_protocol::write(&mut self.out, header, &Announced { source, destination });
            }
            None => proxy_protocol::write_unknown(&mut self.out, header),
        }
        match origin.stream.send(&self.out)? {
            sent if sent == self.out.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}
