//! One question on its way: which servers were asked, how, how often, and where to go next. Knows no messages.

use std::sync::Arc;

use super::server::Server;
use super::table::Key;
use crate::resolv_conf::MAX_SERVERS;
use crate::{Failure, Family, Millis};

/// Sends beyond `attempts * servers`: the first ones follow after a round trip instead of a whole time limit, so that a
/// lost datagram costs little.
const EARLY_SENDS: u32 = 3;
/// The most sends of one question: a ceiling for `attempts` times the number of servers.
const MAX_SENDS: u32 = 64;
/// Rounds over all servers in which every send came back as unreachable. After them the question fails: no answer can
/// be on its way.
const UNREACHABLE_ROUNDS: u32 = 3;
/// Errors that one server may give to one question before it is left for good: RFC 9520 section 3.1 allows three
/// questions in all. A resolver that has just started, or has lost its way for a moment, answers the second.
const MAX_ERRORS: u8 = 3;
/// How often one question may be asked again because a connection that had worked was closed (RFC 7766 section 6.2.4).
pub(crate) const MAX_RECONNECTS: u8 = 2;

/// How a question was sent to one server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Via {
    /// Not, or no longer.
    #[default]
    None,
    Datagram,
    Stream,
}

/// How one question stands with one server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Send {
    pub(crate) id: u16,
    pub(crate) via: Via,
    pub(crate) sent: Millis,
    pub(crate) count: u8,
    /// How often it answered with an error, or closed the connection.
    pub(crate) errors: u8,
    pub(crate) edns: bool,
    pub(crate) mixed: bool,
    /// What must not be used any more for this question here.
    pub(crate) without_edns: bool,
    pub(crate) without_mixing: bool,
    pub(crate) over_tcp: bool,
}

/// One question.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) name: Arc<str>,
    pub(crate) family: Family,
    /// Lookups that wait for it; a probe has none.
    pub(crate) subscribers: Vec<Key>,
    /// It only finds out whether this server is back.
    pub(crate) probe: Option<usize>,
    /// Which letters are sent in upper case, where they are mixed.
    pub(crate) mask: u64,
    pub(crate) deadline: Millis,
    /// When the present wait ends.
    pub(crate) due: Millis,
    /// The server that the present wait is for.
    pub(crate) current: usize,
    pub(crate) sends_left: u32,
    pub(crate) reconnects: u8,
    /// What to say when no server is left.
    pub(crate) failure: Failure,
    sends: [Send; MAX_SERVERS],
    /// Servers that cannot help with this question now, one bit each.
    excluded: u8,
    /// Errors of one server after which it is not asked again.
    most_errors: u8,
    unreachable: u32,
    first: usize,
}

impl Query {
    pub(crate) fn new(name: Arc<str>, family: Family, mask: u64, first: usize) -> Query {
        Query {
            name,
            family,
            subscribers: Vec::new(),
            probe: None,
            mask,
            deadline: 0,
            due: 0,
            current: first,
            sends_left: 0,
            reconnects: 0,
            failure: Failure::Timeout,
            sends: Default::default(),
            excluded: 0,
            most_errors: 0,
            unreachable: 0,
            first,
        }
    }

    /// Starts anew, as if no server had been asked.
    pub(crate) fn restart(&mut self, attempts: u32, servers: usize) {
        self.sends = Default::default();
        self.excluded = 0;
        self.most_errors = attempts.min(MAX_ERRORS.into()) as u8;
        self.unreachable = 0;
        self.first = if servers == 0 { 0 } else { self.first % servers };
        self.current = self.first;
        self.sends_left = attempts.saturating_mul(servers as u32).saturating_add(EARLY_SENDS).min(MAX_SENDS);
    }

    /// Whether it is a question without waiters.
    pub(crate) fn is_orphan(&self) -> bool {
        self.probe.is_none() && self.subscribers.is_empty()
    }

    /// How the question stands with a server; there are never more than [`MAX_SERVERS`].
    pub(crate) fn send(&mut self, server: usize) -> &mut Send {
        &mut self.sends[server]
    }

    /// The letter case that is on the wire for a server.
    pub(crate) fn mask_for(&self, server: usize) -> u64 {
        match self.sends[server].mixed {
            true => self.mask,
            false => 0,
        }
    }

    /// Gives a server up for this question. After an error of its own another round may come to it again; where we have
    /// too many questions open, asking once more would not help.
    pub(crate) fn exclude(&mut self, server: usize, failure: Failure) {
        self.excluded |= 1 << server;
        self.failure = failure;
        let send = &mut self.sends[server];
        send.errors = if failure == Failure::Overloaded { u8::MAX } else { send.errors.saturating_add(1) };
    }

    /// Begins another round over the servers that gave errors, when no server is left: how often the one with the
    /// fewest has given one. `None` if each has given its last, or nothing may be sent any more.
    pub(crate) fn next_round(&mut self, servers: usize) -> Option<u8> {
        let again = (0..servers).filter(|&at| self.sends[at].errors < self.most_errors);
        let again: Vec<usize> = again.filter(|_| self.sends_left > 0).collect();
        for &at in &again {
            self.excluded &= !(1 << at);
        }
        again.into_iter().map(|at| self.sends[at].errors).min()
    }

    /// Counts a send that came back; whether that was one too many.
    pub(crate) fn note_unreachable(&mut self, servers: usize) -> bool {
        self.unreachable += 1;
        self.failure = Failure::Unreachable;
        self.unreachable >= UNREACHABLE_ROUNDS * servers as u32
    }

    /// The server to ask next: the one asked least, the first in order among equals; one that is down comes a round
    /// later. `None` if all were given up.
    pub(crate) fn next_server(&self, servers: &[Server]) -> Option<usize> {
        let rank = |at: usize| {
            let late = servers.get(at).is_some_and(Server::is_down);
            (u32::from(self.sends[at].count) + u32::from(late), (at + servers.len() - self.first) % servers.len())
        };
        (0..servers.len()).filter(|at| self.excluded & 1 << at == 0).min_by_key(|&at| rank(at))
    }

    /// How long to wait for this send: the server's own time at first, doubled with each round, up to `longest`.
    pub(crate) fn wait(&self, server: usize, first: Millis, longest: Millis) -> Millis {
        // At most 16 doublings: with any first wait that is beyond `longest`, and it cannot overflow.
        let rounds = u32::from(self.sends[server].count).saturating_sub(1).min(16);
        (first << rounds).min(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(count: u8) -> Vec<Server> {
        (0..count).map(|last| Server::new(([192, 0, 2, last], 53).into())).collect()
    }

    fn query(servers: usize) -> Query {
        let mut query = Query::new("a.test".into(), Family::V4, 0, 0);
        query.restart(2, servers);
        query
    }

    #[test]
    fn servers_take_turns_in_order() {
        let servers = servers(3);
        let mut query = query(3);
        let mut order = Vec::new();
        for _ in 0..6 {
            let at = query.next_server(&servers).unwrap();
            query.send(at).count += 1;
            order.push(at);
        }
        assert_eq!(order, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_server_that_is_down_comes_later_and_one_given_up_never() {
        let mut servers = servers(2);
        servers[0].mark_down(0);
        let mut query = query(2);
        assert_eq!(query.next_server(&servers), Some(1));
        query.send(1).count += 1;
        assert_eq!(query.next_server(&servers), Some(0));
        query.exclude(0, Failure::ServerFailure);
        assert_eq!(query.next_server(&servers), Some(1));
        query.exclude(1, Failure::ServerFailure);
        assert_eq!((query.next_server(&servers), query.failure), (None, Failure::ServerFailure));
    }

    #[test]
    fn waits_double_up_to_the_limit() {
        let mut query = query(1);
        let waits: Vec<Millis> = (1..=5)
            .map(|count| {
                query.send(0).count = count;
                query.wait(0, 400, 2_000)
            })
            .collect();
        assert_eq!(waits, [400, 800, 1_600, 2_000, 2_000]);
    }

    #[test]
    fn sends_are_bounded_whatever_is_configured() {
        let mut query = query(8);
        query.restart(u32::MAX, 8);
        assert_eq!(query.sends_left, MAX_SENDS);
        query.restart(2, 1);
        assert_eq!(query.sends_left, 5);
    }
}
