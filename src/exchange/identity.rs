//! Who a client is: the one place that answers it for decisions, logs, pages and the head that goes to the origin. Knows
//! nothing of how the addresses were learned.

use std::net::{IpAddr, SocketAddr};

use crate::peer::{ClientId, Peer};

/// What stands for a client.
///
/// There are two, because two things are asked. X-Forwarded-For gets the *peer*, so that each hop names the one in front
/// of it. Decisions, helpers, logs and pages mean the *client*: the one that the balancer in front noted in the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    peer: Peer,
    noted: Option<IpAddr>,
    doubted: bool,
}

impl Identity {
    /// A connection of this peer.
    pub fn new(peer: Peer) -> Identity {
        Identity { peer, noted: None, doubted: false }
    }

    /// Who opened the connection: the source of its PROXY protocol header, else the other end of the socket.
    pub fn peer(&self) -> ClientId {
        self.peer.id()
    }

    /// The same with the port or the process.
    pub fn opener(&self) -> Peer {
        self.peer
    }

    /// Who the present request comes from: what its `http.forward` field notes, else the peer.
    pub fn client(&self) -> ClientId {
        self.noted.map_or(self.peer.id(), ClientId::Address)
    }

    /// What the present request notes, and is believed.
    pub fn noted(&self) -> Option<IpAddr> {
        self.noted
    }

    /// The connection's PROXY protocol header has announced its source, which holds for all of its requests.
    pub fn announce(&mut self, source: SocketAddr) {
        self.peer = source.into();
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

    fn address(text: &str) -> ClientId {
        text.parse().unwrap()
    }

    fn with_port(text: &str, port: u16) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), port)
    }

    #[test]
    fn row_39_what_is_announced_stays_and_what_is_noted_goes() {
        let mut identity = Identity::new(with_port("::ffff:127.0.0.1", 1).into());
        assert_eq!((identity.peer(), identity.client()), (address("127.0.0.1"), address("127.0.0.1")));
        assert_eq!(identity.opener(), with_port("127.0.0.1", 1).into());
        identity.announce(with_port("::ffff:192.0.2.7", 2));
        assert_eq!(identity.opener(), with_port("192.0.2.7", 2).into());
        assert_eq!((identity.peer(), identity.client()), (address("192.0.2.7"), address("192.0.2.7")));
        identity.note(Some("2001:db8::9".parse().unwrap()));
        assert_eq!((identity.peer(), identity.client()), (address("192.0.2.7"), address("2001:db8::9")));
        identity.note(None);
        assert_eq!((identity.peer(), identity.client()), (address("192.0.2.7"), address("192.0.2.7")));
    }

    #[test]
    fn a_user_stands_for_the_requests_that_note_no_client() {
        let mut identity = Identity::new(Peer::process(1000, 7));
        assert_eq!((identity.peer().to_string().as_str(), identity.opener().pid()), ("uid:1000", Some(7)));
        identity.note("192.0.2.7".parse().ok());
        assert_eq!((identity.peer(), identity.client()), (Peer::process(1000, 8).id(), address("192.0.2.7")));
        identity.announce(with_port("192.0.2.8", 2));
        assert_eq!((identity.peer(), identity.opener().pid()), (address("192.0.2.8"), None));
    }
}
