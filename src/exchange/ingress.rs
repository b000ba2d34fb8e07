//! How a connection comes in: by which kind of listener, from where, and where it was going. Knows no socket and nothing of
//! what is said on the connection.

use std::net::{IpAddr, SocketAddr};

/// What a listener is for, and so what the first bytes on its connections mean.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ingress {
    /// Proxy clients, which speak HTTP.
    Proxy,
    /// The monitor, which is asked in HTTP and forwards nothing.
    Web,
}

impl Ingress {
    /// All kinds, in the order of [`Ingress::index`].
    pub const ALL: [Ingress; 2] = [Ingress::Proxy, Ingress::Web];

    /// The place of this kind in a table with one row for each.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Ingress::Proxy => "http proxy",
            Ingress::Web => "web server",
        }
    }

    /// Whether requests are for this program itself and go no further.
    pub fn is_local(self) -> bool {
        self == Ingress::Web
    }
}

/// A connection that has come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The kind of its listener.
    pub ingress: Ingress,
    /// The other end of its socket.
    pub peer: IpAddr,
    /// A PROXY protocol header comes before anything else.
    pub proxied: bool,
    /// Where the connection was going before it was diverted to us, if it was.
    pub original: Option<SocketAddr>,
}

impl Arrival {
    /// A connection that says at once what it wants, and that was meant for us.
    pub fn direct(ingress: Ingress, peer: IpAddr) -> Arrival {
        Arrival { ingress, peer, proxied: false, original: None }
    }
}
