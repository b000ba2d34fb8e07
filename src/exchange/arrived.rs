//! What an exchange can tell of how its client came in.

use std::net::SocketAddr;

use super::ingress::Ingress;
use super::{Context, Exchange};
use crate::peer::{ClientId, Peer, SessionName};

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

    /// Who opened the connection, with the port or the process.
    pub fn opener(&self) -> Peer {
        self.identity.opener()
    }

    /// Who the client is for decisions, logs and pages: see [`Identity::client`](super::identity::Identity::client).
    pub fn client(&self) -> ClientId {
        self.identity.client()
    }

    /// This session as log lines name it.
    pub fn name(&self, cx: &Context<'_>) -> SessionName {
        SessionName { number: cx.session, client: self.client() }
    }

    /// Who opened the connection, which is what X-Forwarded-For gets: see [`Identity::peer`](super::identity::Identity::peer).
    pub fn peer(&self) -> ClientId {
        self.identity.peer()
    }
}
