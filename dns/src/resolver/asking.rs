//! The resolver's questions: started, repeated, moved to other servers, ended. What lookups make of the answers is the
//! matter of `settling`.

use std::net::SocketAddr;
use std::sync::Arc;

use super::config::millis;
use super::query::{Query, Via};
use super::sending::Outgoing;
use super::server::Server;
use super::table::Key;
use super::{Resolver, MAX_ORPHANS};
use crate::outcome::{Answer, Stored};
use crate::{Failure, Family, Millis};

/// What a question ended with.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Answer(Stored),
    Alias { target: Arc<str>, expires: Millis, hops: u8 },
}

impl Resolver {
    /// The host of a server said that nothing listens there (ECONNREFUSED on a connected socket), or the server cannot
    /// be reached from here. Its open questions go to another server at once, if there is one.
    pub fn handle_unreachable(&mut self, server: SocketAddr, now: Millis) {
        let Some(server) = self.servers.iter().position(|own| own.is_at(server)) else { return };
        self.counters.unreachable += 1;
        self.servers[server].mark_down(now);
        for key in self.open_at(server, Via::Datagram) {
            self.release(key, server, now);
            let servers = self.servers.len();
            let Some(query) = self.queries.get_mut(key) else { continue };
            if query.probe.is_some() {
                self.drop_query(key, now);
            } else if query.note_unreachable(servers) {
                self.fail(key, now);
            } else {
                self.try_fresh_server(key, now);
            }
        }
    }

    /// Asks, or joins the question that is open already.
    pub(super) fn ask(
        &mut self,
        name: &Arc<str>,
        family: Family,
        subscriber: Key,
        now: Millis,
    ) -> Result<Key, Failure> {
        let open = self.in_flight.get(name).and_then(|pair| pair[family.index()]);
        if let Some((key, query)) = open.and_then(|key| Some((key, self.queries.get_mut(key)?))) {
            self.orphans -= usize::from(query.is_orphan());
            query.subscribers.push(subscriber);
            return Ok(key);
        }
        if self.servers.is_empty() {
            return Err(Failure::NoServers);
        }
        let mut query = self.new_query(name, family, now);
        query.subscribers.push(subscriber);
        let Some(key) = self.queries.insert(query) else {
            self.counters.overloaded += 1;
            return Err(Failure::Overloaded);
        };
        self.in_flight.entry(Arc::clone(name)).or_default()[family.index()] = Some(key);
        self.counters.queries += 1;
        if !self.step(key, now) {
            // The lookup learns the key when this returns, so the failure has to reach it later.
            self.query_alarms.arm(key.index, now);
        }
        self.probe(name, family, now);
        Ok(key)
    }

    fn new_query(&mut self, name: &Arc<str>, family: Family, now: Millis) -> Query {
        if self.config.rotate {
            self.rotation = (self.rotation + 1) % self.servers.len().max(1);
        }
        let mut query = Query::new(Arc::clone(name), family, self.random.next_u64(), self.rotation);
        query.restart(self.config.attempts, self.servers.len());
        let time = millis(self.config.timeout).saturating_mul(self.config.attempts.into());
        query.deadline = now + time.min(millis(self.config.deadline));
        query.due = now;
        query
    }

    /// Puts the same question to servers that are down, to see whether they are back. Only questions of lookups cause
    /// this, so an idle proxy sends nothing, and a server that stays down gets it more and more rarely.
    fn probe(&mut self, name: &Arc<str>, family: Family, now: Millis) {
        // An only server is asked whether it is down or not.
        if self.servers.len() < 2 {
            return;
        }
        for server in 0..self.servers.len() {
            if !self.servers[server].take_probe(now) {
                continue;
            }
            let mut query = self.new_query(name, family, now);
            query.probe = Some(server);
            query.current = server;
            let Some(key) = self.queries.insert(query) else { return };
            self.counters.probes += 1;
            if !self.transmit(key, server, now) {
                self.drop_query(key, now);
            }
        }
    }

    /// Sends to the next server; `false` if there is none or enough was sent.
    fn step(&mut self, key: Key, now: Millis) -> bool {
        for _ in 0..self.servers.len() {
            let Some(query) = self.queries.get_mut(key).filter(|query| query.sends_left > 0) else { return false };
            let Some(server) = query.next_server(&self.servers) else { return false };
            query.sends_left -= 1;
            let send = query.send(server);
            send.count = send.count.saturating_add(1);
            self.counters.retries += u64::from(send.count > 1);
            if query.send(server).via == Via::Stream {
                // TCP sends again by itself what was lost; only the wait starts anew.
                self.wait_for(key, server, now);
                return true;
            }
            if self.transmit(key, server, now) {
                return true;
            }
            if let Some(query) = self.queries.get_mut(key) {
                query.exclude(server, Failure::Overloaded);
            }
        }
        false
    }

    /// Sends to the same server in another way. Each way is left only once, so this ends by itself and is not counted.
    pub(super) fn repeat(&mut self, key: Key, server: usize, now: Millis) {
        if !self.transmit(key, server, now) {
            self.fail_over(key, server, Failure::Overloaded, now);
        }
    }

    /// A server cannot help: the next one is asked at once. Servers that were asked before and may still answer are
    /// waited for. When all of them have failed, they are asked again after a pause, since one error is no answer.
    pub(super) fn fail_over(&mut self, key: Key, server: usize, failure: Failure, now: Millis) {
        self.release(key, server, now);
        let Some(query) = self.queries.get_mut(key) else { return };
        query.exclude(server, failure);
        if query.probe.is_some() {
            self.drop_query(key, now);
        } else if query.next_server(&self.servers).is_none() {
            self.begin_round(key, now);
        } else {
            self.try_fresh_server(key, now);
        }
    }

    /// Waits before the servers that failed are asked again: as long as for a first answer, twice that the next time.
    /// Repeated at once, the question would mostly meet the same trouble.
    fn begin_round(&mut self, key: Key, now: Millis) {
        let Some(query) = self.queries.get_mut(key) else { return };
        let round = query.next_round(self.servers.len());
        let next = round.and_then(|round| Some((round, query.next_server(&self.servers)?)));
        let Some((round, server)) = next else { return self.fail(key, now) };
        let pause = self.servers[server].wait() << round.saturating_sub(1);
        query.current = server;
        query.due = query.deadline.min(now + pause.min(self.config.timeout_millis()));
        self.query_alarms.arm(key.index, query.due);
    }

    fn try_fresh_server(&mut self, key: Key, now: Millis) {
        let Some(query) = self.queries.get_mut(key) else { return };
        let next = query.next_server(&self.servers);
        if next.is_some_and(|next| query.send(next).count > 0) {
            // That server was asked before and may still answer. Its alarm may have rung already, if the end of that wait
            // led here.
            self.query_alarms.arm(key.index, query.due);
        } else if !self.step(key, now) {
            self.fail(key, now);
        }
    }

    /// The alarm of a question rings: its wait is over, unless it was put off since.
    pub(super) fn query_due(&mut self, slot: u32, now: Millis) {
        let Some(key) = self.queries.key_at(slot) else { return };
        let Some(query) = self.queries.get_mut(key) else { return };
        if query.due > now {
            return self.query_alarms.arm(slot, query.due);
        }
        let at = query.current;
        let send = *query.send(at);
        if send.via != Via::None {
            self.counters.timeouts += 1;
            self.servers[at].note_timeout(send.sent, now);
        }
        // A probe is sent once, and a question whose lookups have all been cancelled is not sent again.
        let query_left = self.queries.get(key).filter(|query| query.probe.is_none() && !query.subscribers.is_empty());
        let Some(query) = query_left else {
            self.drop_query(key, now);
            return;
        };
        if query.deadline <= now {
            return self.fail(key, now);
        }
        // Nothing has come over the connection since the question was sent: it hangs, with all its questions.
        let silent = self.servers[at].link.as_ref().is_some_and(|link| link.heard <= send.sent);
        if send.via == Via::Stream && silent {
            return self.close_link(at, Failure::Timeout, now);
        }
        if !self.step(key, now) {
            self.fail(key, now);
        }
    }

    fn fail(&mut self, key: Key, now: Millis) {
        let Some(query) = self.queries.get(key) else { return };
        self.counters.failed += 1;
        let answer = Answer::Failed(query.failure);
        self.conclude(key, Outcome::Answer(Stored { answer, expires: now }), now);
    }

    pub(super) fn conclude(&mut self, key: Key, outcome: Outcome, now: Millis) {
        let Some(query) = self.drop_query(key, now) else { return };
        if let Outcome::Answer(stored) = &outcome {
            self.remember(&query.name, query.family, stored.clone(), now);
        }
        for &subscriber in &query.subscribers {
            self.take_outcome(subscriber, key, query.family, &outcome, now);
        }
    }

    /// A lookup does not wait for a question any more. Its answer may still be of use, where these are not too many.
    pub(super) fn leave_query(&mut self, key: Key, subscriber: Key, now: Millis) {
        let Some(query) = self.queries.get_mut(key) else { return };
        query.subscribers.retain(|&other| other != subscriber);
        if query.is_orphan() {
            self.orphans += 1;
            if self.orphans > MAX_ORPHANS {
                self.drop_query(key, now);
            }
        }
    }

    /// Takes a question out, with all its ids.
    pub(super) fn drop_query(&mut self, key: Key, now: Millis) -> Option<Query> {
        for server in 0..self.servers.len() {
            self.release(key, server, now);
        }
        let query = self.queries.remove(key)?;
        self.orphans -= usize::from(query.is_orphan());
        if query.probe.is_none() {
            if let Some(pair) = self.in_flight.get_mut(&query.name) {
                pair[query.family.index()] = None;
                if pair.iter().all(Option::is_none) {
                    self.in_flight.remove(&query.name);
                }
            }
        }
        Some(query)
    }

    /// Frees the id of a question at a server: what comes later under it is dropped.
    pub(super) fn release(&mut self, key: Key, at: usize, now: Millis) {
        let (Some(query), Some(server)) = (self.queries.get_mut(key), self.servers.get_mut(at)) else { return };
        let send = query.send(at);
        match std::mem::take(&mut send.via) {
            Via::None => return,
            Via::Datagram => {}
            Via::Stream => {
                if let Some(link) = server.link.as_mut() {
                    link.open = link.open.saturating_sub(1);
                    link.touched = now;
                }
            }
        }
        server.ids.remove(&send.id);
    }

    /// Replaces the servers by the configured ones and sends every open question anew.
    pub(super) fn change_servers(&mut self, now: Millis) {
        let mut before = std::mem::take(&mut self.servers);
        self.outgoing.retain(|outgoing| matches!(outgoing, Outgoing::Close { .. }));
        for server in &mut before {
            server.ids.clear();
            if let Some(link) = server.link.take() {
                self.outgoing.push_back(Outgoing::Close { link: link.id });
            }
        }
        for &address in &self.config.servers {
            let known = before.iter().position(|server| server.address == address);
            self.servers.push(known.map_or_else(|| Server::new(address), |at| before.swap_remove(at)));
        }
        self.rotation = 0;
        for key in self.queries.keys() {
            self.restart(key, now);
        }
    }

    fn restart(&mut self, key: Key, now: Millis) {
        let (attempts, servers) = (self.config.attempts, self.servers.len());
        let Some(query) = self.queries.get_mut(key) else { return };
        query.restart(attempts, servers);
        if query.probe.is_some() || query.subscribers.is_empty() {
            self.drop_query(key, now);
        } else if !self.step(key, now) {
            if let Some(query) = self.queries.get_mut(key).filter(|_| servers == 0) {
                query.failure = Failure::NoServers;
            }
            self.fail(key, now);
        }
    }
}
