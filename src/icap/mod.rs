//! ICAP as its clients speak it (RFC 3507): the head of a request and what is encapsulated in it, content with a preview, and
//! replies. Lenient in what it reads, strict in what it writes. Knows no connection, and nothing of what is decided about the
//! request within.

pub mod fault;
pub mod parts;
pub mod reply;
pub mod request;
pub mod transaction;

use reply::ServiceTag;

/// What becomes of responses.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Respmod {
    /// RESPMOD gets 405.
    #[default]
    Refuse,
    /// They all pass.
    Allow,
}

impl Respmod {
    /// Both.
    pub const ALL: [Respmod; 2] = [Respmod::Refuse, Respmod::Allow];

    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Respmod::Refuse => "refuse",
            Respmod::Allow => "allow",
        }
    }
}

/// What a service of ICAP is told and allowed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ServiceSettings {
    /// Longest ICAP head in bytes (`icap.header-size`).
    pub header_size: usize,
    /// Connections that it takes (`icap.connections`).
    pub connections: usize,
    /// What becomes of responses (`icap.respmod`).
    pub respmod: Respmod,
    /// Helpers speak the language of ICAP, so that they say what the service can do, and get lines of its clients.
    pub asks_helpers: bool,
    /// The version of what is decided.
    pub tag: ServiceTag,
}
