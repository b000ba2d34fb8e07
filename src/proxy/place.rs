//! Where a listener is and what it is for; how its socket is opened, and what that tells of a connection. Knows no gate and no
//! client.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use reactor::listener::{is_taken, listen, rewritten_destination, ListenOptions};

use crate::exchange::ingress::{Diversion, Ingress};

/// Where to listen, and for whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenAddress {
    /// What its connections are for.
    pub ingress: Ingress,
    /// Its connections start with a PROXY protocol header.
    pub proxied: bool,
    /// How its connections come to us, where the network diverts them.
    pub diversion: Option<Diversion>,
    /// Where.
    pub address: SocketAddr,
    /// Connections that the kernel holds until they are accepted.
    pub backlog: u32,
}

impl ListenAddress {
    /// Connections of a kind that are accepted beyond its limit, so that it can be seen whose they are. Their descriptors are
    /// among those that are reserved.
    pub const OUTSIDE: usize = 8;

    /// Whether no other copy of the program may listen there.
    pub(super) fn is_exclusive(&self) -> bool {
        self.ingress == Ingress::Web
    }

    /// Whether it gets connections to addresses that are not this machine's, which takes a capability.
    pub(super) fn is_transparent(&self) -> bool {
        self.diversion == Some(Diversion::Tproxy)
    }

    /// The same port, of the same family.
    pub(super) fn is_beside(&self, other: &ListenAddress) -> bool {
        (self.address.is_ipv4(), self.address.port()) == (other.address.is_ipv4(), other.address.port())
    }

    /// The same listener, perhaps with another backlog. Its socket stays: a new one would lose the connections that wait,
    /// and could not be had at all on a privileged port after the privileges are gone.
    pub(super) fn is_at(&self, other: &ListenAddress) -> bool {
        (self.ingress, self.address) == (other.ingress, other.address)
    }
}

/// Opens a listener. Copies of the program may share the address of a proxy, as the original's did; which of two monitors
/// answers would be left to chance. With `own` another listener of ours is on the same port, at an address that holds this one
/// or is held by it: the kernel gives each connection to the closer one.
pub(super) fn bind(place: &ListenAddress, keepalive: u64, own: bool) -> io::Result<TcpListener> {
    let shared = !place.is_exclusive();
    if shared && !own && place.address.port() != 0 && is_taken(place.address) {
        log::error!(
            target: "server",
            "another program listens on {} too, and connections are divided between it and this {}",
            place.address,
            place.ingress.name()
        );
    }
    let transparent = place.is_transparent();
    listen(place.address, &ListenOptions { backlog: place.backlog, keepalive, shared, transparent })
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(out)?;
        self.diversion.map_or(Ok(()), |diversion| write!(out, " {}", diversion.name()))?;
        out.write_str(if self.proxied { " proxied" } else { "" })
    }
}

/// Where a connection was going that was diverted so; that of one which came to us directly is our listener's own address.
pub(super) fn original_destination(diversion: Diversion, stream: &TcpStream, peer: SocketAddr) -> Option<SocketAddr> {
    match diversion {
        Diversion::Redirect => rewritten_destination(stream, peer),
        Diversion::Tproxy => stream.local_addr().ok(),
    }
}
