//! Connections that carry no HTTP, as requests for a tunnel: they are decided about, resolved and connected as one.

use std::net::Ipv4Addr;

use super::Request;
use crate::http::fields::{Connection, Fields};
use crate::http::framing::Framing;
use crate::http::target::{Host, Target, TargetForm};
use crate::http::{Method, Version};

/// What speaks on a connection without HTTP; its name is the method that helpers and logs know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpaqueKind {
    /// TLS, of which the first message was read.
    Tls,
    /// Anything.
    Tcp,
    /// ICAP, and its client asks what the service can do.
    Options,
}

impl OpaqueKind {
    /// The name in place of a method.
    pub fn name(self) -> &'static str {
        match self {
            OpaqueKind::Tls => "TLS",
            OpaqueKind::Tcp => "TCP",
            OpaqueKind::Options => "OPTIONS",
        }
    }
}

impl Request {
    /// A connection that is to become a tunnel to this host. Without one it leads nowhere, unless a helper says where to.
    pub fn opaque(kind: OpaqueKind, target: Option<Target>) -> Request {
        let name = kind.name().as_bytes();
        Request {
            bytes: name.to_vec(),
            head_len: 0,
            method: Method::Connect,
            method_len: name.len() as u16,
            version: Version::Http11,
            target: target.unwrap_or_else(nowhere),
            path: 0..0,
            fields: Fields::default(),
            connection: Connection::default(),
            framing: Framing::Empty,
            upgrades: false,
            max_forwards: Ok(None),
            detour: None,
            content: Box::default(),
            caching: Default::default(),
            user: None,
            renamed: false,
            asked: None,
            opaque: Some(kind),
            encapsulated: false,
            hop: None,
        }
    }

    /// What speaks on the connection, where that is not HTTP.
    pub fn opaque_kind(&self) -> Option<OpaqueKind> {
        self.opaque
    }

    /// Whether it is known neither by a name nor by an address where it is to go.
    pub fn leads_nowhere(&self) -> bool {
        self.detour.is_none() && self.target.port == 0
    }
}

/// A port of 0 is none.
fn nowhere() -> Target {
    Target { form: TargetForm::Authority, host: Host::V4(Ipv4Addr::UNSPECIFIED), port: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_a_request_for_a_tunnel() {
        let target = Target::from_authority(b"a.example:443", None).unwrap();
        let mut request = Request::opaque(OpaqueKind::Tls, Some(target));
        assert_eq!((request.method(), request.method_name(), request.raw()), (Method::Connect, &b"TLS"[..], &b""[..]));
        assert!(!request.leads_nowhere() && request.original().is_none());
        request.send_on("192.0.2.7:8443".parse().unwrap());
        assert_eq!(request.destination().to_string(), "192.0.2.7:8443");
        assert_eq!(request.target().to_string(), "a.example:443");
        let mut request = Request::opaque(OpaqueKind::Tcp, None);
        assert!(request.leads_nowhere());
        request.intercept(Target::from_authority(b"b.example:1", None).unwrap(), None);
        assert!(!request.leads_nowhere());
    }
}
