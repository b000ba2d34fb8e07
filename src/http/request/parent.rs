//! The next proxy that a request goes through, if it goes through one: where it is, what it is told, and how far the request has
//! come on its way there. Decides nothing.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::{Announce, OpaqueKind, Request};
use crate::http::target::{Host, Target};

/// Another proxy that requests are sent through.
#[derive(Clone, PartialEq, Eq)]
pub struct Parent {
    /// Its host.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// The value of Proxy-Authorization that it gets.
    pub credentials: Option<Box<str>>,
    /// Which PROXY protocol header connections to it begin with.
    pub announce: Announce,
}

impl Parent {
    /// Whether it is to be found there.
    pub fn is_at(&self, to: &Target) -> bool {
        (&self.host, self.port) == (&to.host, to.port)
    }
}

impl fmt::Display for Parent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.host, self.port)
    }
}

/// Without the password.
impl fmt::Debug for Parent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Parent({self})")
    }
}

/// How far a request has come on its way to a parent.
#[derive(Clone, Debug, Default)]
pub struct Hop {
    /// The parent that a helper has named.
    pub named: Option<Arc<Parent>>,
    /// The parent that it goes through.
    pub parent: Option<Arc<Parent>>,
    /// No other place is left to be tried behind that one.
    pub last: bool,
    /// It goes straight to its origin, since no parent can be reached, or none is to get it.
    pub direct: bool,
    /// The members of the chain that were tried, a bit for each.
    pub tried: u32,
    /// Addresses of its host that are known so far, where they have to be judged before a parent gets it.
    pub known: Vec<IpAddr>,
}

impl Request {
    /// How far it has come on its way to a parent, if it is on one.
    pub fn hop(&self) -> Option<&Hop> {
        self.hop.as_deref()
    }

    /// The same, to be changed.
    pub fn hop_mut(&mut self) -> &mut Hop {
        self.hop.get_or_insert_with(Box::default)
    }

    /// The parent that it goes through.
    pub fn parent(&self) -> Option<&Arc<Parent>> {
        self.hop.as_deref()?.parent.as_ref()
    }

    /// A helper names the parent that it goes through. One that was going to an address of which it only says the host goes to that
    /// host, as the parent finds it.
    pub fn name_parent(&mut self, named: Arc<Parent>) {
        self.hop = Some(Box::new(Hop { named: Some(named), ..Hop::default() }));
        if self.opaque.is_none() {
            self.detour = None;
        }
    }

    /// The way begins again: of the one before nothing stays but what a helper has said.
    pub fn restart_hop(&mut self) {
        self.hop = self.named_hop();
    }

    /// A request in place of another goes through the parent that a helper has named for that.
    pub fn follow_hop(&mut self, other: &Request) {
        self.hop = other.named_hop();
    }

    fn named_hop(&self) -> Option<Box<Hop>> {
        let named = self.hop.as_deref()?.named.clone()?;
        Some(Box::new(Hop { named: Some(named), ..Hop::default() }))
    }

    /// What a parent is asked to connect to: where the request wants to go, or where the connection was going that it stands for.
    pub fn parent_target(&self) -> &Target {
        match self.opaque {
            Some(OpaqueKind::Tls | OpaqueKind::Tcp) => self.destination(),
            Some(OpaqueKind::Options) | None => &self.target,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::rules::Rules;

    #[test]
    fn a_way_begins_again_with_what_a_helper_has_said() {
        let head = b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n";
        let mut request = Request::parse(head, &Rules::default()).unwrap();
        let parent = |port| {
            let host = Host::parse(b"parent.example").unwrap();
            Arc::new(Parent { host, port, credentials: Some("Basic eDp5".into()), announce: Announce::Off })
        };
        assert!(request.hop().is_none() && request.parent().is_none());
        *request.hop_mut() = Hop { parent: Some(parent(1)), tried: 3, ..Hop::default() };
        assert_eq!(request.parent().map(ToString::to_string).as_deref(), Some("parent.example:1"));
        request.restart_hop();
        assert!(request.hop().is_none());
        let named = Hop { named: Some(parent(2)), parent: Some(parent(2)), tried: 1, ..Hop::default() };
        *request.hop_mut() = named;
        request.restart_hop();
        assert_eq!(
            request.hop().map(|hop| (hop.named.is_some(), hop.parent.is_some(), hop.tried)),
            Some((true, false, 0))
        );
        let mut other = Request::parse(head, &Rules::default()).unwrap();
        other.follow_hop(&request);
        assert!(other.hop().is_some_and(|hop| hop.named == Some(parent(2))));
        assert!(!format!("{other:?}").contains("eDp5"), "a password is not told");
    }

    #[test]
    fn a_connection_without_http_asks_for_where_it_was_going() {
        let mut request = Request::opaque(OpaqueKind::Tls, Target::from_authority(b"a.example:443", None).ok());
        assert_eq!(request.parent_target().to_string(), "a.example:443");
        request.send_on("192.0.2.7:8443".parse().unwrap());
        assert_eq!(request.parent_target().to_string(), "192.0.2.7:8443");
    }
}
