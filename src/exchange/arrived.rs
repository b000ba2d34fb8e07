//! What an exchange can tell of how its client came in.

use std::net::{IpAddr, SocketAddr};

use super::ingress::Ingress;
use super::Exchange;

impl Exchange {
    /// By which kind of listener the client came in.
    pub fn ingress(&self) -> Ingress {
        self.ingress
    }

    /// The number of the listener by which the client came in.
    pub fn listener(&self) -> u16 {
        self.listener
    }

    /// Where the connection was going before it was diverted to us, if it was.
    pub fn original_destination(&self) -> Option<SocketAddr> {
        self.provenance.as_deref()?.original
    }

    /// Who opened the connection, with the port, 0 where that is not known.
    pub fn peer_address(&self) -> SocketAddr {
        self.identity.peer_address()
    }

    /// Who the client is for decisions, logs and pages: see [`Identity::client`](super::identity::Identity::client).
    pub fn client(&self) -> IpAddr {
        self.identity.client()
    }

    /// Who opened the connection, which is what X-Forwarded-For gets: see [`Identity::peer`](super::identity::Identity::peer).
    pub fn peer(&self) -> IpAddr {
        self.identity.peer()
    }
}
