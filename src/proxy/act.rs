//! What the hub does when an exchange asks for something, and when somebody comes back with it.

use std::net::IpAddr;

use mio::net::TcpStream;
use reactor::arena::Key;
use reactor::ready::Ready;

use super::{Ingress, Proxy, Waits};
use crate::decide;
use crate::exchange::close::CloseReason;
use crate::exchange::phase::Phase;
use crate::exchange::{Action, Connected};
use crate::http::target::Host;
use crate::owner::Owner;
use crate::resolver::Found;
use crate::session::Server;
use crate::upstream::dial::DialError;
use crate::upstream::{Dialled, Wish};

impl Proxy {
    pub(super) fn act(&mut self, key: Key, action: Action) {
        match action {
            Action::Ask => self.ask(key),
            Action::Resolve => self.resolve(key),
            Action::Redial => {
                self.hang_up(key);
                self.resolve(key);
            }
            // Only asked for right after the addresses are known, where it is answered on the spot.
            Action::Dial => {}
            Action::Release => self.release(key),
            Action::Hangup => self.hang_up(key),
            Action::Done(reason) => self.end(key, reason),
        }
    }

    /// Decides about a request.
    fn ask(&mut self, key: Key) {
        let Some(client) = self.clients.get(key) else { return };
        let Some(request) = client.session.exchange.request() else { return };
        self.counters.requests += 1;
        let decision = match client.ingress {
            Ingress::Proxy => decide::proxy(request, client.session.exchange.client(), &self.policy, &self.settings),
            Ingress::Web => decide::web(request, &self.running()),
        };
        self.with_exchange(key, |exchange, cx| exchange.handle_decision(decision, cx));
    }

    /// Finds the addresses of the request's origin.
    fn resolve(&mut self, key: Key) {
        let now = self.clock.now();
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(request) = client.session.exchange.request() else { return };
        let literal = match &request.target().host {
            Host::V4(address) => IpAddr::V4(*address),
            Host::V6(address, _) => IpAddr::V6(*address),
            Host::Name(name) => {
                match self.resolver.lookup(name, key, now) {
                    crate::resolver::Lookup::Cached(found) => self.resolved(key, found),
                    crate::resolver::Lookup::Pending(id) => client.waits = Waits::Lookup(id),
                }
                return;
            }
        };
        self.dial(key, &[literal]);
    }

    /// The resolver has come back.
    pub(super) fn resolved(&mut self, key: Key, found: Found) {
        if let Some(client) = self.clients.get_mut(key) {
            client.waits = Waits::Nothing;
        }
        match found {
            Ok(addresses) => self.dial(key, &addresses),
            Err(failure) => {
                self.counters.name_failures += 1;
                self.with_exchange(key, |exchange, cx| {
                    let answer = cx.settings.answers.name_failure(&failure, exchange.request(), exchange.client());
                    exchange.handle_failure(answer, cx.now);
                });
            }
        }
    }

    /// Connects to the first of these addresses that may be connected to and answers.
    fn dial(&mut self, key: Key, found: &[IpAddr]) {
        let now = self.clock.now();
        let Some(client) = self.clients.get(key) else { return };
        let Some(request) = client.session.exchange.request() else { return };
        let (port, repeatable) = (request.target().port, request.method().is_idempotent());
        let host = match &request.target().host {
            Host::Name(name) => &**name,
            _ => "",
        };
        let fresh = client.session.exchange.is_fresh();
        // Decided on the addresses that are really connected to, after resolution, so that no name can hide one.
        let mut refused = None;
        let allow = |address: &&IpAddr| match self.policy.address_allowed(host, **address, port, &self.local) {
            Ok(()) => true,
            Err(reason) => {
                refused = Some(reason);
                false
            }
        };
        let addresses: Vec<IpAddr> = found.iter().filter(allow).copied().collect();
        if addresses.is_empty() {
            return self.refuse_address(key, refused);
        }
        self.with_exchange(key, |exchange, cx| exchange.handle_resolved(cx));
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.session.exchange.poll() != Some(Action::Dial) {
            return;
        }
        if let Some(server) = &client.session.server {
            // A connection of this client alone, kept from its last request.
            let same = server.address.port() == port && addresses.contains(&server.address.ip());
            if same && !fresh {
                return self.with_exchange(key, |exchange, cx| {
                    exchange.handle_connected(Connected { reused: true }, cx);
                });
            }
            self.hang_up(key);
        }
        let wish = Wish { session: key, addresses: &addresses, port, fresh, repeatable };
        match self.upstream.connect(&wish, &mut self.poller, now) {
            Dialled::Ready(server) => self.connected(key, server),
            Dialled::Pending(dial) => {
                if let Some(client) = self.clients.get_mut(key) {
                    client.waits = Waits::Dial(dial);
                }
            }
            Dialled::Failed(error) => self.dial_failed(key, error),
        }
    }

    fn refuse_address(&mut self, key: Key, refused: Option<crate::policy::Refused>) {
        self.counters.refused += 1;
        self.with_exchange(key, |exchange, cx| {
            let answers = &cx.settings.answers;
            let answer = match &refused {
                Some(refused) => answers.refused(refused, exchange.request(), exchange.client()),
                None => answers.dial_error(DialError::Unreachable, exchange.request(), exchange.client()),
            };
            exchange.handle_failure(answer, cx.now);
        });
    }

    /// A connection has come about, or a kept one was there.
    pub(super) fn connected(&mut self, key: Key, server: Box<Server<TcpStream>>) {
        let reused = server.exchanges > 0;
        let Some(client) = self.clients.get_mut(key) else {
            return self.poller.forget(server.stream.route);
        };
        client.waits = Waits::Nothing;
        client.session.server = Some(server);
        self.with_exchange(key, |exchange, cx| exchange.handle_connected(Connected { reused }, cx));
    }

    /// No connection has come about.
    pub(super) fn dial_failed(&mut self, key: Key, error: DialError) {
        self.counters.dial_failures += 1;
        if error == DialError::Exhausted {
            log::error!(target: "download", "cannot open connections to origins: {error}");
        }
        if let Some(client) = self.clients.get_mut(key) {
            client.waits = Waits::Nothing;
        }
        self.with_exchange(key, |exchange, cx| {
            let answer = cx.settings.answers.dial_error(error, exchange.request(), exchange.client());
            exchange.handle_failure(answer, cx.now);
        });
    }

    /// Puts a session's origin connection where others can use it, unless it is the client's own.
    fn release(&mut self, key: Key) {
        let now = self.clock.now();
        let Some(client) = self.clients.get_mut(key) else { return };
        let staying = !matches!(client.session.exchange.phase(), Phase::Closed(_));
        if client.session.exchange.is_private() && staying {
            return;
        }
        if client.session.exchange.is_private() {
            return self.hang_up(key);
        }
        let Some(mut server) = client.session.server.take() else { return };
        self.counters.note_server(&server);
        if !is_quiet(&mut server) {
            return self.poller.forget(server.stream.route);
        }
        let route = server.stream.route;
        match self.upstream.idle.put(server, now) {
            Ok(kept) => self.poller.assign(route, Owner::Idle(kept)),
            Err(server) => self.poller.forget(server.stream.route),
        }
    }

    /// Gives up a session's origin connection and whatever is under way to get one.
    pub(super) fn hang_up(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        match std::mem::replace(&mut client.waits, Waits::Nothing) {
            Waits::Nothing => {}
            Waits::Lookup(id) => self.resolver.cancel(id, key),
            Waits::Dial(dial) => self.upstream.cancel(dial, &mut self.poller),
        }
        if let Some(mut server) = client.session.server.take() {
            if client.session.exchange.aborts(crate::exchange::Side::Server) {
                use reactor::stream::Transport;
                server.stream.io.abort();
            }
            self.poller.forget(server.stream.route);
        }
    }

    /// Ends a session.
    pub(super) fn end(&mut self, key: Key, reason: CloseReason) {
        self.hang_up(key);
        let Some(client) = self.clients.remove(key) else { return };
        log::debug!(target: "client", "connection closed: {}", reason.explain());
        self.counters.note_end(&client.session, reason);
        self.listeners.left(client.ingress);
        let (stream, server) = client.session.dismantle(&mut self.kit);
        self.poller.forget(stream.route);
        if let Some(server) = server {
            self.poller.forget(server.stream.route);
        }
    }
}

/// Has the origin nothing to say? A connection with bytes nobody asked for must not be used for anybody else.
fn is_quiet(server: &mut Server<TcpStream>) -> bool {
    if server.stream.ready.has(Ready::READ_CLOSED | Ready::ERROR) {
        return false;
    }
    // READ is still set when the response happened to fill the last read.
    !server.stream.ready.has(Ready::READ) || matches!(server.stream.peek(&mut [0]), Ok(None))
}
