//! The languages of helpers, and what both have in common. Pure: bytes in and out.

use std::net::{IpAddr, SocketAddr};

use super::icap::Icap;
use super::url::{LineForm, Url};
use crate::http::request::Request;
use crate::http::rules::Rules;
use crate::http::target::Host;
use crate::http::Method;
use crate::policy::decision::Verdict;

/// What a helper is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The request, as the client sent it.
    pub request: &'a Request,
    /// Who the request comes from ([`crate::exchange::Exchange::client`]).
    pub client: IpAddr,
    /// Our side of the client's connection.
    pub local: SocketAddr,
}

impl Question<'_> {
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
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let digit = |value: u8| DIGITS[usize::from(value & 15)];
        let path = match self.request.method() {
            Method::Connect => b"/",
            _ => self.request.path(),
        };
        if !path.starts_with(b"/") {
            out.push(b'/');
        }
        for byte in path {
            match byte {
                b'!'..=b'~' => out.push(*byte),
                _ => out.extend_from_slice(&[b'%', digit(byte >> 4), digit(*byte)]),
            }
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

/// The language of the helpers (`redirector.protocol` and what belongs to it).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// Squid's lines.
    Url(Url),
    /// ICAP messages over standard input and output.
    Icap(Icap),
}

impl Dialect {
    /// Questions that one helper may have before it at a time.
    pub fn concurrency(&self) -> usize {
        match self {
            Dialect::Url(url) => url.concurrency.max(1),
            Dialect::Icap(_) => 1,
        }
    }

    /// Do replies carry the number of their question ([`Dialect::channel`])?
    pub fn is_numbered(&self) -> bool {
        matches!(self, Dialect::Url(url) if url.concurrency > 0)
    }

    /// Does a question tell which of our addresses the client has reached ([`Question::local`])?
    pub fn tells_local(&self) -> bool {
        !matches!(self, Dialect::Url(Url { line: LineForm::Exaproxy, .. }))
    }

    /// Appends the question as the helper reads it. `channel` is for those with several questions before them.
    pub fn encode(&self, out: &mut Vec<u8>, question: &Question<'_>, channel: u64) {
        match self {
            Dialect::Url(url) => url.encode(out, question, channel),
            Dialect::Icap(icap) => icap.encode(out, question),
        }
    }

    /// Looks for the end of the first reply in `bytes`. Called again with more of the same bytes while it is partial.
    pub fn extent(&self, bytes: &[u8]) -> Extent {
        match self {
            Dialect::Url(_) => Url::extent(bytes),
            Dialect::Icap(_) => Icap::extent(bytes),
        }
    }

    /// The channel that a complete reply is for; None when it names none though it must. Without channels it is 0.
    pub fn channel(&self, reply: &[u8]) -> Option<u64> {
        match self {
            Dialect::Url(url) => url.channel(reply),
            Dialect::Icap(_) => Some(0),
        }
    }

    /// What a complete reply says about the question that it belongs to.
    ///
    /// # Errors
    /// When it says nothing usable.
    pub fn decode(&self, reply: &[u8], question: &Question<'_>, rules: &Rules) -> Result<Verdict, ReplyFault> {
        match self {
            Dialect::Url(url) => url.decode(reply, question, rules),
            Dialect::Icap(icap) => icap.decode(reply, question, rules),
        }
    }
}
