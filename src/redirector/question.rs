//! What helpers are asked and what may be wrong with their replies, in every language that they speak.

use std::net::SocketAddr;

use crate::http::request::Request;
use crate::http::target::Host;
use crate::http::Method;
use crate::peer::ClientId;

/// What a helper is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The request, as the client sent it.
    pub request: &'a Request,
    /// The client that the request comes from ([`crate::exchange::Exchange::client`]).
    pub client: ClientId,
    /// Our side of the client's connection; no address where it has none, or none is told.
    pub local: SocketAddr,
    /// Lines of the head with which a client of ICAP sent the request, for helpers of the dialect icap; none otherwise.
    pub lines: &'a [u8],
}

impl Question<'_> {
    /// Appends the user's name, percent-encoded where it could end a word or a line; false where there is none.
    pub fn push_user(&self, out: &mut Vec<u8>) -> bool {
        let Some(user) = self.request.user() else { return false };
        push_encoded(out, user.as_bytes(), |byte| matches!(byte, b'!'..=b'~') && byte != b'%');
        true
    }

    /// Appends the host as helpers know it: an IPv6 address without brackets.
    pub fn push_host(&self, out: &mut Vec<u8>) {
        match &self.request.target().host {
            Host::V6(address, _) => out.extend_from_slice(address.to_string().as_bytes()),
            host => host.write(out),
        }
    }

    /// Appends the path, which starts with a slash also where there is none: `/` for CONNECT, `/*` for `OPTIONS *`. What
    /// could end a field or a line is percent-encoded.
    pub fn push_path(&self, out: &mut Vec<u8>) {
        let path = match self.request.method() {
            Method::Connect => b"/",
            _ => self.request.path(),
        };
        if !path.starts_with(b"/") {
            out.push(b'/');
        }
        push_encoded(out, path, |byte| matches!(byte, b'!'..=b'~'));
    }
}

/// Appends bytes, percent-encoded but for those that may stand as they are.
fn push_encoded(out: &mut Vec<u8>, bytes: &[u8], stands: impl Fn(u8) -> bool) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |value: u8| DIGITS[usize::from(value & 15)];
    for byte in bytes {
        match *byte {
            byte if stands(byte) => out.push(byte),
            byte => out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte)]),
        }
    }
}

/// Why a complete reply is of no use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReplyFault {
    /// It is not in the helper's language; what was wrong with it.
    Unreadable(&'static str),
    /// The helper says that it is broken (`BH`), and perhaps why.
    Broken(String),
}

/// Where a reply ends in what a helper has written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// After this many bytes.
    Complete(usize),
    /// Not in what there is.
    Partial,
    /// It can never be a reply, or is longer than any may be; why.
    Hopeless(&'static str),
}
