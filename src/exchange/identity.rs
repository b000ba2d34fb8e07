//! Who a client is: the one place that answers it for decisions, logs, pages and the head that goes to the origin. Knows
//! nothing of how the addresses were learned.

use std::net::{IpAddr, SocketAddr};

/// The addresses that stand for a client.
///
/// There are two, because two things are asked. X-Forwarded-For gets the *peer*, so that each hop names the one in front
/// of it. Decisions, helpers, logs and pages mean the *client*: the one that the balancer in front noted in the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    peer: IpAddr,
    port: u16,
    noted: Option<IpAddr>,
    doubted: bool,
}

impl Identity {
    /// A connection from this address.
    pub fn new(peer: SocketAddr) -> Identity {
        Identity { peer: peer.ip().to_canonical(), port: peer.port(), noted: None, doubted: false }
    }

    /// Who opened the connection: the source of its PROXY protocol header, else the other end of the socket.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// The same with the port, 0 where that is not known.
    pub fn peer_address(&self) -> SocketAddr {
        SocketAddr::new(self.peer, self.port)
    }

    /// Who the present request comes from: what its `http.forward` field notes, else the peer.
    pub fn client(&self) -> IpAddr {
        self.noted.unwrap_or(self.peer)
    }

    /// The connection's PROXY protocol header has announced its source, which holds for all of its requests.
    pub fn announce(&mut self, source: SocketAddr) {
        (self.peer, self.port) = (source.ip().to_canonical(), source.port());
    }

    /// A request has begun, in which this was noted. It holds for this request alone.
    pub fn note(&mut self, noted: Option<IpAddr>) {
        self.noted = noted.map(|address| address.to_canonical());
        self.doubted = false;
    }

    /// A request has begun in which a client is noted by a sender that is not trusted. It comes from the peer.
    pub fn doubt(&mut self) {
        (self.noted, self.doubted) = (None, true);
    }

    /// Whether the present request notes a client and is not believed.
    pub fn is_doubted(&self) -> bool {
        self.doubted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn with_port(text: &str, port: u16) -> SocketAddr {
        SocketAddr::new(address(text), port)
    }

    #[test]
    fn row_39_what_is_announced_stays_and_what_is_noted_goes() {
        let mut identity = Identity::new(with_port("::ffff:127.0.0.1", 1));
        assert_eq!((identity.peer(), identity.client()), (address("127.0.0.1"), address("127.0.0.1")));
        assert_eq!(identity.peer_address(), with_port("127.0.0.1", 1));
        identity.announce(with_port("::ffff:192.0.2.7", 2));
        assert_eq!(identity.peer_address(), with_port("192.0.2.7", 2));
        assert_eq!((identity.peer(), identity.client()), (address("192.0.2.7"), address("192.0.2.7")));
        identity.note(Some(address("2001:db8::9")));
        assert_eq!((identity.peer(), identity.client()), (address("192.0.2.7"), address("2001:db8::9")));
        identity.note(None);
        assert_eq!((identity.peer(), identity.client()), (address("192.0.2.7"), address("192.0.2.7")));
    }
}
