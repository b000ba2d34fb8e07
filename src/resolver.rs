//! Sockets for the name resolver. (Names follow with the resolver itself; addresses work.)

use std::collections::VecDeque;
use std::net::IpAddr;

use reactor::arena::Key;
use reactor::poller::Poller;
use reactor::ready::Ready;
use reactor::Millis;

use crate::owner::Owner;

/// Who waits for which lookup.
pub type LookupId = u32;
/// What came of it.
pub type Found = Result<Vec<IpAddr>, Failure>;

/// No address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure;

impl Failure {
    /// Whether nobody answered.
    pub fn is_timeout(&self) -> bool {
        false
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("names are not resolved yet")
    }
}

/// How names are found.
#[derive(Clone, Debug)]
pub struct Naming;

/// What a lookup gave.
#[derive(Debug)]
pub enum Lookup {
    /// Known at once.
    Cached(Found),
    /// To come.
    Pending(LookupId),
}

/// The resolver.
#[derive(Debug, Default)]
pub struct Resolver {
    finished: VecDeque<(Key, Found)>,
}

#[allow(missing_docs, unused_variables)]
impl Resolver {
    pub fn new(naming: Naming, now: Millis) -> Resolver {
        Resolver::default()
    }
    pub fn configure(&mut self, naming: Naming, now: Millis) {}
    pub fn lookup(&mut self, name: &str, session: Key, now: Millis) -> Lookup {
        Lookup::Cached(Err(Failure))
    }
    pub fn cancel(&mut self, id: LookupId, session: Key) {}
    pub fn handle_event(&mut self, key: Key, ready: Ready, poller: &mut Poller<Owner>, now: Millis) {}
    pub fn handle_timeout(&mut self, poller: &mut Poller<Owner>, now: Millis) {}
    pub fn flush(&mut self, poller: &mut Poller<Owner>, now: Millis) {}
    pub fn keep_house(&mut self, now: Millis) {}
    pub fn poll(&mut self) -> Option<(Key, Found)> {
        self.finished.pop_front()
    }
    pub fn poll_timeout(&self) -> Option<Millis> {
        None
    }
}
