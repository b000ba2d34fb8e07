//! Sockets and files for the name resolver of the `dns` crate, which decides everything.

mod files;
mod sockets;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use dns::{Addresses, Event, Failure, Random, StreamEvent, Transmit};
use reactor::arena::Key;
use reactor::poller::Poller;
use reactor::ready::Ready;
use reactor::Millis;

use crate::io::owner::Owner;
use files::NameFiles;
use sockets::{Input, Sockets};

pub use dns::LookupId;
pub use files::Options;

/// Milliseconds between two looks at resolv.conf and the hosts file.
const LOOK: Millis = 5_000;

/// What a lookup ends with.
pub type LookupResult = Result<Addresses, Failure>;

/// What a lookup gives at once.
#[derive(Debug)]
pub enum LookupStart {
    /// All that there is to know.
    Cached(LookupResult),
    /// [`Resolver::poll`] will tell.
    Pending(LookupId),
}

/// Something that a session waits for.
#[derive(Debug)]
pub enum ResolverEvent {
    /// The name is settled; or one family of it, and the lookup goes on for the other.
    Found(Key, LookupResult, bool),
    /// The other family is settled too.
    More(Key, LookupId, Addresses),
}

/// The resolver with its sockets.
pub struct Resolver {
    machine: dns::Resolver,
    sockets: Sockets,
    files: NameFiles,
    look_at: Millis,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Resolver").field("pending", &self.machine.pending()).finish_non_exhaustive()
    }
}

impl Resolver {
    /// Reads the files; a file that cannot be read counts as empty and is named in the log.
    pub fn new(options: Options, now: Millis) -> Resolver {
        let mut files = NameFiles::new(options);
        let (config, hosts) = files.read();
        let machine = dns::Resolver::new(config, hosts, Box::new(Secret::new()));
        Resolver { machine, sockets: Sockets::new(Secret::new()), files, look_at: now + LOOK }
    }

    /// Takes new options over, on a reload.
    pub fn configure(&mut self, options: Options, now: Millis) {
        self.files.set_options(options);
        let (config, hosts) = self.files.read();
        self.machine.reconfigure(config, hosts, now);
    }

    /// Tells whether this machine has an IPv6 address beyond its loopback. Without one no IPv6 address is asked for, since
    /// none could be connected to (RFC 3493 §6.1, AI_ADDRCONFIG).
    pub fn note_ipv6(&mut self, here: bool, now: Millis) {
        if self.files.note_ipv6(here) {
            self.read_again(now);
        }
    }

    /// Looks a name up for a session.
    pub fn lookup(&mut self, name: &str, session: Key, now: Millis) -> LookupStart {
        match self.machine.lookup(name, session.to_bits(), now) {
            dns::LookupStart::Cached(found) => LookupStart::Cached(found),
            dns::LookupStart::Pending(id) => LookupStart::Pending(id),
        }
    }

    /// The session does not wait any more.
    pub fn cancel(&mut self, id: LookupId, session: Key) {
        self.machine.cancel(id, session.to_bits());
    }

    /// No address of this name could be connected to: it may have moved.
    pub fn forget(&mut self, name: &str, now: Millis) {
        self.machine.forget(name, now);
    }

    /// A socket has had an event.
    pub fn handle_event(&mut self, key: Key, ready: Ready, poller: &mut Poller<Owner>, now: Millis) {
        let machine = &mut self.machine;
        self.sockets.handle_event(key, ready, poller, now, |input| feed(machine, input, now));
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, poller: &mut Poller<Owner>, now: Millis) {
        if self.machine.poll_timeout().is_some_and(|at| at <= now) {
            self.machine.handle_timeout(now);
        }
        self.flush(poller, now);
    }

    /// Sends what is to be sent.
    pub fn flush(&mut self, poller: &mut Poller<Owner>, now: Millis) {
        let machine = &mut self.machine;
        self.sockets.go_on(poller, now, |input| feed(machine, input, now));
        loop {
            let failed = match self.machine.poll_transmit() {
                None => return,
                Some(Transmit::Datagram { server, bytes }) => {
                    self.sockets.send_datagram(server, bytes, poller, now).err().map(|_| Input::Unreachable(server))
                }
                Some(Transmit::Stream { link, server, bytes }) => {
                    self.sockets.send_stream(link, server, bytes, poller).err().map(|_| Input::Closed(link))
                }
                Some(Transmit::Close { link }) => {
                    self.sockets.close_stream(link, poller);
                    None
                }
            };
            if let Some(input) = failed {
                feed(&mut self.machine, input, now);
            }
        }
    }

    /// Something that a session waits for.
    pub fn poll(&mut self) -> Option<ResolverEvent> {
        self.machine.poll_event().map(|event| match event {
            Event::Resolved { waiter, result, more } => ResolverEvent::Found(Key::from_bits(waiter), result, more),
            Event::Late { lookup, waiter, addresses } => ResolverEvent::More(Key::from_bits(waiter), lookup, addresses),
        })
    }

    /// When [`Resolver::handle_timeout`] is due, or at once when [`Resolver::poll`] has something to tell.
    pub fn poll_timeout(&self) -> Option<Millis> {
        if self.sockets.is_behind() || self.machine.has_events() {
            return Some(0);
        }
        self.machine.poll_timeout()
    }

    /// Closes old sockets, and reads the files again if they have changed.
    pub fn tick(&mut self, poller: &mut Poller<Owner>, now: Millis) {
        self.sockets.sweep(poller, now);
        if now < self.look_at {
            return;
        }
        self.look_at = now + LOOK;
        if self.files.have_changed() {
            log::info!(target: "resolver", "{} or the hosts file has changed", self.files.options().resolv_conf.display());
            self.read_again(now);
        }
    }

    fn read_again(&mut self, now: Millis) {
        match self.files.read_again() {
            Ok((config, hosts)) => self.machine.reconfigure(config, hosts, now),
            Err(error) => {
                log::error!(target: "resolver", "cannot read {error}; what was read before stays in use");
            }
        }
    }

    /// What was counted.
    pub fn counters(&self) -> dns::Counters {
        *self.machine.counters()
    }
}

fn feed(machine: &mut dns::Resolver, input: Input<'_>, now: Millis) {
    match input {
        Input::Datagram(from, bytes) => machine.handle_datagram(from, bytes, now),
        Input::Unreachable(server) => machine.handle_unreachable(server, now),
        Input::Data(link, bytes) => machine.handle_stream(link, StreamEvent::Data(bytes), now),
        Input::Closed(link) => machine.handle_stream(link, StreamEvent::Closed, now),
    }
}

/// Numbers that nobody outside can guess: a keyed hash, SipHash with a key from the system, over a counter.
struct Secret {
    key: RandomState,
    counter: u64,
}

impl Secret {
    fn new() -> Secret {
        Secret { key: RandomState::new(), counter: 0 }
    }
}

impl Random for Secret {
    fn next_u64(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        self.key.hash_one(self.counter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SESSION: Key = Key { index: 7, generation: 1 };

    fn resolver(folder: &std::path::Path, resolv_conf: &str) -> Resolver {
        let path = folder.join("resolv.conf");
        std::fs::write(&path, resolv_conf).expect("a file in a fresh folder");
        let options = Options {
            resolv_conf: path,
            hosts: None,
            timeout: None,
            attempts: Some(1),
            deadline: Duration::from_secs(60),
            ttl: Duration::from_secs(60),
            negative_ttl: Duration::from_secs(60),
            ipv4: true,
            ipv6: false,
        };
        Resolver::new(options, 0)
    }

    /// What sending finds out at the end of a turn is news already: the loop must not sleep on it.
    #[test]
    fn news_that_sending_brings_is_due_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        // Nobody may send to the broadcast address without asking for it first.
        let mut resolver = resolver(folder.path(), "nameserver 255.255.255.255\n");
        let mut poller = Poller::new().expect("a poll");
        assert!(matches!(resolver.lookup("name.test", SESSION, 0), LookupStart::Pending(_)));
        resolver.flush(&mut poller, 0);
        // An only server gets a second chance before it counts as unreachable.
        for _ in 0..4 {
            match resolver.poll_timeout() {
                Some(0) => break,
                at => resolver.handle_timeout(&mut poller, at.expect("somebody waits")),
            }
        }
        assert_eq!(resolver.poll_timeout(), Some(0));
        assert!(matches!(resolver.poll(), Some(ResolverEvent::Found(SESSION, Err(_), false))));
        assert!(resolver.poll().is_none());
        assert_ne!(resolver.poll_timeout(), Some(0), "news is told once");
    }
}
