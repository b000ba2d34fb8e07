//! Requests that no client waits for: what is served stale is fetched anew behind its answer (RFC 5861 section 3). Such a
//! request goes the way of all others, in a session whose client is a socket that leads nowhere.

use mio::net::TcpStream;
use reactor::arena::Key;
use reactor::stream::Stream;
use socket2::{Domain, Socket, Type};

use crate::cache::{CacheJob, Freed};
use crate::exchange::ingress::Arrival;
use crate::exchange::Exchange;
use crate::http::caching::Caching;
use crate::http::request::Request;
use crate::proxy::client::Client;
use crate::proxy::Proxy;
use crate::session::Session;

/// Most of them at a time: each takes a connection to an origin, and one that is not made now is made with the next request.
const MOST_BACKGROUND: usize = 64;

impl Proxy {
    /// Fetches a response behind the answer to this client.
    pub(super) fn refresh(&mut self, parent: Key, mut job: Box<CacheJob>, head: &[u8]) {
        let Some(caching) = &mut self.caching else { return };
        let room = caching.background.len() < MOST_BACKGROUND;
        let client = self.clients.get(parent).map(|client| &client.session.exchange);
        let parsed = Request::parse(&as_http10(head), &self.settings.rules).ok();
        let (Some(exchange), Some(mut request), true, Some(io)) = (client, parsed, room, nowhere()) else {
            return caching.cache.give_up(&mut job, Freed::Unshared);
        };
        request.set_caching(Caching::Judge);
        if let Some(own) = exchange.request() {
            request.follow_hop(own);
        }
        let arrival = Arrival::direct(exchange.ingress(), exchange.peer());
        let exchange = Exchange::fetching(&arrival, request, self.clock.now());
        let session = Session::new(Stream::new(io, Key::NONE), exchange);
        let key = self.clients.insert(Client::new(session, self.clock.second()));
        caching.background.insert(key);
        caching.begin(key, job);
        self.enqueue(key);
    }

    /// Whether a session has no client.
    pub(in crate::proxy) fn is_background(&self, key: Key) -> bool {
        self.caching.as_ref().is_some_and(|caching| caching.background.contains(&key))
    }

    /// Ends a session whose response is seen to, or is of no use; for one with a client its connection ends.
    pub(in crate::proxy) fn dismiss(&mut self, key: Key) {
        self.with_exchange(key, |exchange, cx| exchange.handle_stop(cx.now));
    }

    /// The end of a session that has no client: no place becomes free by it, and none is told.
    pub(in crate::proxy) fn end_background(&mut self, key: Key, client: Client) {
        if let Some(caching) = &mut self.caching {
            caching.background.remove(&key);
        }
        self.forget_heads(key, &client);
        let (_, origin) = client.session.dismantle(&mut self.shared);
        if let Some(origin) = origin {
            self.poller.forget(origin.stream.route);
        }
    }
}

/// The head as a client of HTTP/1.0 sends it, which gets no interim response.
fn as_http10(head: &[u8]) -> Vec<u8> {
    let line_end = head.iter().position(|byte| *byte == b'\n').unwrap_or(head.len());
    let mut text = head.to_vec();
    if let Some(at) = memchr::memmem::rfind(&head[..line_end], b"HTTP/1.1") {
        text[at + b"HTTP/1.".len()] = b'0';
    }
    text
}

/// A socket that is not connected and is not watched.
fn nowhere() -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    socket.set_nonblocking(true).ok()?;
    Some(TcpStream::from_std(socket.into()))
}
