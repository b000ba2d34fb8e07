//! Origin connections that a request needs no more: put where others can use them, or closed.

use mio::net::TcpStream;
use reactor::arena::Key;
use reactor::ready::Ready;

use crate::exchange::phase::Phase;
use crate::io::origin::Origin;
use crate::proxy::Proxy;

impl Proxy {
    /// Puts a session's origin connection where others can use it, unless it is the client's own.
    pub(in crate::proxy) fn release(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let staying = !matches!(client.session.exchange.phase(), Phase::Closed(_));
        if client.session.exchange.is_private() {
            let quiet = client.session.origin.as_mut().is_some_and(|origin| is_quiet(origin));
            return if staying && quiet { client.session.count_exchange() } else { self.hang_up(key) };
        }
        let Some(origin) = client.session.origin.take() else { return };
        self.forget_own_end(key);
        self.keep_connection(origin);
    }

    /// Puts a connection that no request uses where others can take it.
    pub(in crate::proxy) fn keep_connection(&mut self, mut origin: Box<Origin<TcpStream>>) {
        if !is_quiet(&mut origin) {
            return self.poller.forget(origin.stream.route);
        }
        self.upstream.keep(origin, &mut self.poller, self.clock.now());
    }
}

/// Has the origin nothing to say? A connection with bytes that no request asked for must not carry another.
fn is_quiet(origin: &mut Origin<TcpStream>) -> bool {
    if origin.stream.ready.has(Ready::READ_CLOSED | Ready::ERROR) {
        return false;
    }
    // READ is still set when the response happened to fill the last read.
    !origin.stream.ready.has(Ready::READ) || matches!(origin.stream.peek(&mut [0]), Ok(None))
}
