//! A stub resolver without sockets, files, threads or clock.
//!
//! [`Resolver`] turns host names into addresses. Its caller owns the sockets: it hands in what arrived (`handle_*`) and
//! the time in milliseconds, and takes out what is to be sent and what lookups are to be told (`poll_*`). Every other
//! module is a part of that: [`wire`] knows the message format, [`resolv_conf`] and [`hosts`] the two files (as text,
//! never as paths), [`cache`] what is known and until when.
#![forbid(unsafe_code)]

pub mod cache;
pub mod hosts;
pub mod nat64;
pub mod outcome;
pub mod resolv_conf;
pub mod resolver;
pub mod wire;

mod hash;

pub use hosts::Hosts;
pub use outcome::{Addresses, Failure};
pub use resolv_conf::ResolvConf;
pub use resolver::{Config, Counters, Event, LinkId, LookupId, LookupStart, Replaced, Resolver, StreamEvent, Transmit};

/// A moment, in milliseconds since a start that the caller chose; it never goes back.
pub type Millis = u64;

/// Where the resolver takes its unpredictable bits from: message ids, letter case and the seeds of hash tables.
/// RFC 5452 section 9.2 wants them hard to guess even after many were seen, so a plain generator will not do.
pub trait Random {
    /// 64 fresh bits.
    fn next_u64(&mut self) -> u64;
}

/// The two kinds of address that a name can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Asked for with A records.
    V4,
    /// Asked for with AAAA records.
    V6,
}

/// Which families are wanted; both unless an operator turned one off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// Ask for A.
    pub v4: bool,
    /// Ask for AAAA.
    pub v6: bool,
}

impl Families {
    /// Whether `family` is wanted.
    pub fn has(self, family: Family) -> bool {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }
}
