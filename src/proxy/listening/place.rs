//! Where a listener is and what it is for; how its socket is opened, and what that tells of a connection. Knows no gate and no
//! client.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use mio::net::TcpStream;
use reactor::listener::{
    is_taken, listen, listen_at_path, rewritten_destination, Caller, ListenAt, ListenOptions, ListenSocket,
};
use reactor::unix::SocketAccess;

use crate::exchange::ingress::{Diversion, Ingress};
use crate::peer::Peer;

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
    pub at: ListenAt,
    /// Who may connect to its file, where it has one.
    pub access: SocketAccess,
    /// Connections that the kernel holds until they are accepted.
    pub backlog: u32,
}

impl ListenAddress {
    /// Connections of a kind that are accepted beyond its limit, so that it can be seen whose they are. Their descriptors are
    /// among those that are reserved.
    pub const OUTSIDE: usize = 8;

    /// Whether no other copy of the program may listen there; one that finds it taken waits for it.
    pub(super) fn is_exclusive(&self) -> bool {
        self.ingress == Ingress::Web && self.at.address().is_some()
    }

    /// Whether it gets connections to addresses that are not this machine's, which takes a capability.
    pub(super) fn is_transparent(&self) -> bool {
        self.diversion == Some(Diversion::Tproxy)
    }

    /// The same port, of the same family.
    pub(super) fn is_beside(&self, other: &ListenAddress) -> bool {
        let side = |place: &ListenAddress| place.at.address().map(|address| (address.is_ipv4(), address.port()));
        side(self).is_some() && side(self) == side(other)
    }

    /// The same listener, perhaps with another backlog, or for others. Its socket stays: a new one would lose the connections that wait,
    /// and could not be had at all on a privileged port after the privileges are gone.
    pub(in crate::proxy) fn is_at(&self, other: &ListenAddress) -> bool {
        (self.ingress, &self.at) == (other.ingress, &other.at)
    }
}

/// Opens a listener. Copies of the program may share the address of a proxy, as the original's did; which of two monitors
/// answers would be left to chance. With `own` another listener of ours is on the same port, at an address that holds this one
/// or is held by it: the kernel gives each connection to the closer one.
pub(super) fn bind(place: &ListenAddress, keepalive: u64, own: bool) -> io::Result<ListenSocket> {
    let address = match &place.at {
        ListenAt::Port(address) => *address,
        ListenAt::Path(path) => return listen_at_path(path, &place.access, place.backlog),
    };
    let shared = !place.is_exclusive();
    if shared && !own && address.port() != 0 && is_taken(address) {
        log::error!(
            target: "server",
            "another program listens on {} too, and connections are divided between it and this {}",
            address,
            place.ingress.name()
        );
    }
    let transparent = place.is_transparent();
    listen(address, &ListenOptions { backlog: place.backlog, keepalive, shared, transparent })
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.at.fmt(out)?;
        self.diversion.map_or(Ok(()), |diversion| write!(out, " {}", diversion.name()))?;
        out.write_str(if self.proxied { " proxied" } else { "" })
    }
}

/// Who has connected, and where the connection was going that was diverted so; that of one which came to us directly is our
/// listener's own address.
pub(super) fn ends(diversion: Option<Diversion>, stream: &TcpStream, caller: Caller) -> (Peer, Option<SocketAddr>) {
    match caller {
        Caller::Process { uid, pid } => (Peer::process(uid, pid), None),
        Caller::Port(address) => {
            let original = match diversion {
                None => None,
                Some(Diversion::Redirect) => rewritten_destination(stream, address),
                Some(Diversion::Tproxy) => stream.local_addr().ok(),
            };
            (address.into(), original)
        }
    }
}
