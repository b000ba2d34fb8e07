//! How messages are to be treated, and for which client. Holds what the configuration and the exchange know; does nothing
//! with it.

use super::fields::Expectation;
use super::framing::Framing;
use super::head::MAX_HEAD;
use super::proxy_status::ProxyName;
use super::{Method, Version};

/// How messages are to be treated; the options of the `http` section that concern them.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Add no Via and no X-Forwarded-For, and leave those that are there (`http.transparent`).
    pub transparent: bool,
    /// Name of the field in which a balancer notes the client's address (`http.forward`), in any letter case.
    pub forward: Option<Box<str>>,
    /// Do not pass that field on (`http.mask`).
    pub mask: bool,
    /// Answer 417 to any expectation (`http.expect`).
    pub expect: bool,
    /// Longest head, in bytes (`http.header-size`); 0 stands for `head::MAX_HEAD`, which none exceeds.
    pub head_limit: usize,
    /// Our name in Via fields: a token such as `ExaProxy-2.0.0-id-4711-5f3a9c21`.
    pub via: ProxyName,
    /// Our product and version, as X-Proxy-Version has it: `ExaProxy version 2.0.0`.
    pub version: Box<str>,
    /// Our product and version, as the Server field of an answer has it: `exaproxy/2.0.0`.
    pub server: Box<str>,
    /// Protocols that may be switched to, without their versions; none means any. `h2c` is never allowed.
    pub upgrades: Vec<Box<str>>,
}

impl Default for Rules {
    /// The rules of a proxy without configuration.
    fn default() -> Rules {
        let version = env!("CARGO_PKG_VERSION");
        Rules {
            transparent: false,
            forward: None,
            mask: false,
            expect: false,
            head_limit: 65_536,
            via: format!("ExaProxy-{version}").into(),
            version: format!("ExaProxy version {version}").into(),
            server: format!("exaproxy/{version}").into(),
            upgrades: Vec::new(),
        }
    }
}

impl Rules {
    /// Whether the request is to be answered 417: it expects something unknown, or `http.expect` refuses expectations.
    pub fn refuses(&self, expectation: Expectation) -> bool {
        match expectation {
            Expectation::None => false,
            Expectation::Continue => self.expect && !self.transparent,
            Expectation::Other => true,
        }
    }

    /// Longest head of a request or response, in bytes.
    pub fn max_head(&self) -> usize {
        match self.head_limit {
            0 => MAX_HEAD,
            limit => limit.min(MAX_HEAD),
        }
    }

    pub(crate) fn masks(&self, name: &[u8]) -> bool {
        let forward = self.forward.as_deref().unwrap_or_default();
        self.mask && name.eq_ignore_ascii_case(forward.as_bytes())
    }
}

/// The client that a head is written for, and what is known when it is.
#[derive(Clone, Copy, Debug)]
pub struct ToClient<'a> {
    /// The client's version.
    pub version: Version,
    /// The method of its request.
    pub method: Method,
    /// Whether its connection is meant to stay open.
    pub keep_alive: bool,
    /// Whether it may be switched to another protocol by this response.
    pub upgrade: bool,
    /// The time, as [`super::date::stamp`] writes it.
    pub date: &'a str,
    /// How messages are treated.
    pub rules: &'a Rules,
}

impl ToClient<'_> {
    /// Whether the client's connection can really stay open after a body that is framed so: not when the end of the
    /// connection has to show the end of the body, as it does for chunks that an HTTP/1.0 client gets without their
    /// lines.
    pub fn persists(&self, framing: &Framing) -> bool {
        let decoded = self.version == Version::Http10 && matches!(framing, Framing::Chunked(_));
        self.keep_alive && !framing.ends_with_close() && !decoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusing_expectations() {
        let strict = Rules { expect: true, ..Rules::default() };
        let transparent = Rules { transparent: true, ..strict.clone() };
        let usual = Rules::default();
        assert!(usual.refuses(Expectation::Other) && !usual.refuses(Expectation::Continue));
        assert!(strict.refuses(Expectation::Continue) && !strict.refuses(Expectation::None));
        assert!(!transparent.refuses(Expectation::Continue));
    }

    #[test]
    fn some_bodies_end_with_the_connection() {
        use crate::http::chunked::{ChunkScan, ChunkSender, Mode};
        let rules = Rules::default();
        let chunked = Framing::Chunked(ChunkScan::new(Mode::Relay, ChunkSender::Origin));
        let persists = |version, keep_alive, framing: &Framing| {
            ToClient { version, method: Method::Get, keep_alive, upgrade: false, date: "", rules: &rules }
                .persists(framing)
        };
        assert!(persists(Version::Http11, true, &chunked) && !persists(Version::Http10, true, &chunked));
        assert!(
            persists(Version::Http10, true, &Framing::Sized(1))
                && !persists(Version::Http10, false, &Framing::Sized(1))
        );
        assert!(!persists(Version::Http11, true, &Framing::UntilClose));
    }
}
