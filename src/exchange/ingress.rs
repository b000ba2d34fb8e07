//! How a connection comes in: by which kind of listener, from where, and where it was going. Knows no socket and nothing of
//! what is said on the connection.

use std::net::SocketAddr;

use crate::peer::Peer;

/// What a listener is for, and so what the first bytes on its connections mean.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ingress {
    /// Proxy clients, which speak HTTP.
    Proxy,
    /// The monitor, which is asked in HTTP and forwards nothing.
    Web,
    /// Clients that speak HTTP with an origin, and whose connections the network diverts.
    Intercept,
    /// Clients that speak TLS with an origin, which is found by the name in their first record.
    Tls,
    /// Clients that speak anything with an origin.
    Passthrough,
    /// Other proxies, which ask in ICAP what to do with their requests.
    Icap,
}

impl Ingress {
    /// All kinds, in the order of [`Ingress::index`].
    pub const ALL: [Ingress; 6] =
        [Ingress::Proxy, Ingress::Web, Ingress::Intercept, Ingress::Tls, Ingress::Passthrough, Ingress::Icap];

    /// The place of this kind in a table with one row for each.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Ingress::Proxy => "http proxy",
            Ingress::Web => "web server",
            Ingress::Intercept => "http interception",
            Ingress::Tls => "tls server",
            Ingress::Passthrough => "passthrough server",
            Ingress::Icap => "icap server",
        }
    }

    /// Whether its clients do not know of the proxy.
    pub fn serves_unaware(self) -> bool {
        matches!(self, Ingress::Intercept | Ingress::Tls | Ingress::Passthrough)
    }

    /// Whether requests are for this program itself and go no further.
    pub fn is_local(self) -> bool {
        self == Ingress::Web
    }

    /// Whether its clients read an answer in HTTP, be it within ICAP.
    pub fn speaks_http(self) -> bool {
        matches!(self, Ingress::Proxy | Ingress::Web | Ingress::Intercept | Ingress::Icap)
    }

    /// Whether its clients mean to speak with an origin: where they were going is learned from the network, or from a PROXY
    /// protocol header.
    pub fn is_diverted(self) -> bool {
        matches!(self, Ingress::Intercept | Ingress::Tls | Ingress::Passthrough)
    }
}

/// How the network diverts connections to a listener, and so how their original destination is learned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Diversion {
    /// Their destination is rewritten (REDIRECT, DNAT), and the kernel remembers what it was (SO_ORIGINAL_DST).
    Redirect,
    /// They are handed over as they are (TPROXY): the local end of their socket is their destination.
    Tproxy,
}

impl Diversion {
    /// Both.
    pub const ALL: [Diversion; 2] = [Diversion::Redirect, Diversion::Tproxy];

    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Diversion::Redirect => "redirect",
            Diversion::Tproxy => "tproxy",
        }
    }
}

/// Where requests go whose connections were diverted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Onward {
    /// To the original destination of their connection.
    Original,
    /// To the name that they say, and that their lists and helpers have judged.
    Name,
}

impl Onward {
    /// Both.
    pub const ALL: [Onward; 2] = [Onward::Original, Onward::Name];

    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Onward::Original => "original",
            Onward::Name => "name",
        }
    }
}

/// What is done about a request whose host is not where its connection was going.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostCheck {
    /// It is told and counted, where the addresses of the host are known.
    Log,
    /// It is refused, and so is one whose host has no address.
    Refuse,
    /// Nothing.
    Ignore,
}

impl HostCheck {
    /// All of them.
    pub const ALL: [HostCheck; 3] = [HostCheck::Log, HostCheck::Refuse, HostCheck::Ignore];

    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            HostCheck::Log => "log",
            HostCheck::Refuse => "refuse",
            HostCheck::Ignore => "ignore",
        }
    }
}

/// What is known of how a connection came about beyond its ends.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Provenance {
    /// Where it was going before it was diverted to us.
    pub original: Option<SocketAddr>,
    /// What the balancer calls it (PP2_TYPE_UNIQUE_ID), at most [`MAX_UNIQUE_ID`] bytes.
    pub unique_id: Box<[u8]>,
    /// The host that its client asked the balancer for (PP2_TYPE_AUTHORITY), at most [`MAX_AUTHORITY`] bytes.
    pub authority: Box<[u8]>,
}

/// Longest unique id in bytes (PROXY protocol section 2.2.5).
pub const MAX_UNIQUE_ID: usize = 128;

/// Longest authority in bytes, that of a host name (RFC 1035 section 2.3.4).
pub const MAX_AUTHORITY: usize = 255;

impl Provenance {
    /// A connection that was going there.
    pub fn of(original: SocketAddr) -> Provenance {
        Provenance { original: Some(original), ..Provenance::default() }
    }
}

/// A connection that has come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The kind of its listener.
    pub ingress: Ingress,
    /// The number of its listener, by which the monitor counts.
    pub listener: u16,
    /// The other end of its socket.
    pub peer: Peer,
    /// A PROXY protocol header comes before anything else.
    pub proxied: bool,
    /// Where the connection was going before it was diverted to us, if it was.
    pub original: Option<SocketAddr>,
}

impl Arrival {
    /// A connection that says at once what it wants, and that was meant for us.
    pub fn direct(ingress: Ingress, peer: impl Into<Peer>) -> Arrival {
        Arrival { ingress, listener: 0, peer: peer.into(), proxied: false, original: None }
    }
}
