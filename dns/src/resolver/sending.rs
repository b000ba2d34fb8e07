//! The resolver's way out: how a question goes to a server, and how long its answer may take. Does not choose the server.

use super::link::{Link, MAX_OPEN};
use super::query::Via;
use super::server::Feature;
use super::table::Key;
use super::{LinkId, Resolver, Transmit};
use crate::wire::message;
use crate::Millis;

/// Something that waits to be sent. A question that was answered meanwhile is passed over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outgoing {
    Datagram { query: Key, server: usize },
    Frame { query: Key, server: usize, link: u64 },
    Close { link: u64 },
}

impl Resolver {
    /// Sends to a server and starts the wait; `false` if that server has too much open already.
    pub(super) fn transmit(&mut self, key: Key, at: usize, now: Millis) -> bool {
        let (Some(query), Some(server)) = (self.queries.get_mut(key), self.servers.get_mut(at)) else { return false };
        let send = query.send(at);
        // A repeated question keeps its id, so that a late answer to the first send is still taken.
        if send.via == Via::None {
            let random = &mut self.random;
            let Some(id) = server.claim(key, || random.next_u64() as u16) else { return false };
            send.id = id;
        }
        let over_tcp = self.config.use_tcp || send.over_tcp;
        let known = match server.edns {
            Feature::Works => true,
            // Some servers drop such questions in silence, so the second one goes without.
            Feature::Unknown => over_tcp || send.count < 2,
            Feature::Broken => false,
        };
        send.edns = known && self.config.edns_size > 0 && !send.without_edns;
        // Letters are mixed until a server has shown that it changes them (see `name::write`).
        send.mixed = self.config.case_mixing && !send.without_mixing && server.case != Feature::Broken;
        send.sent = now;
        if over_tcp {
            if !self.transmit_frame(key, at, now) {
                return false;
            }
        } else {
            send.via = Via::Datagram;
            self.outgoing.push_back(Outgoing::Datagram { query: key, server: at });
        }
        self.wait_for(key, at, now);
        true
    }

    /// The TCP half of [`Resolver::transmit`].
    fn transmit_frame(&mut self, key: Key, at: usize, now: Millis) -> bool {
        let (Some(query), Some(server)) = (self.queries.get_mut(key), self.servers.get_mut(at)) else { return false };
        let send = query.send(at);
        let link = server.link.get_or_insert_with(|| {
            self.next_link += 1;
            self.counters.links += 1;
            Link::new(self.next_link, now)
        });
        // The connection is full. The id goes back, as this question is not on its way in any form.
        if send.via != Via::Stream && link.open >= MAX_OPEN {
            server.ids.remove(&send.id);
            send.via = Via::None;
            return false;
        }
        link.open += u32::from(send.via != Via::Stream);
        link.touched = now;
        send.via = Via::Stream;
        self.counters.tcp += 1;
        self.outgoing.push_back(Outgoing::Frame { query: key, server: at, link: link.id });
        true
    }

    /// Starts the wait for a server. The last wait lasts until the deadline: no other server could use the time.
    pub(super) fn wait_for(&mut self, key: Key, at: usize, now: Millis) {
        let (Some(query), Some(server)) = (self.queries.get_mut(key), self.servers.get(at)) else { return };
        let longest = self.config.timeout_millis();
        // A datagram may be lost, so the next one follows after a round trip. TCP repeats by itself and gets the whole
        // time.
        let again = query.sends_left > 0 && query.send(at).via == Via::Datagram;
        let first = if again { server.wait() } else { longest };
        query.current = at;
        query.due = query.deadline.min(now + query.wait(at, first, longest));
        self.query_alarms.arm(key.index, query.due);
    }

    /// The next thing to send, encoded now: what was answered while it waited is never sent.
    pub(super) fn next_transmit(&mut self) -> Option<Transmit<'_>> {
        loop {
            match self.outgoing.pop_front()? {
                Outgoing::Datagram { query, server } => {
                    if self.encode(query, server, Via::Datagram) {
                        return Some(Transmit::Datagram { server: self.servers[server].address, bytes: &self.wire });
                    }
                }
                Outgoing::Frame { query, server, link } => {
                    let current = self.servers.get(server).and_then(|server| server.link.as_ref());
                    if current.is_some_and(|own| own.id == link) && self.encode(query, server, Via::Stream) {
                        let address = self.servers[server].address;
                        return Some(Transmit::Stream { link: LinkId(link), server: address, bytes: &self.wire });
                    }
                }
                Outgoing::Close { link } => return Some(Transmit::Close { link: LinkId(link) }),
            }
        }
    }

    /// Writes a question into `wire`; `false` if it is not to be sent this way any more.
    fn encode(&mut self, key: Key, server: usize, via: Via) -> bool {
        let Some(query) = self.queries.get_mut(key) else { return false };
        let mask = query.mask_for(server);
        let send = *query.send(server);
        if send.via != via {
            return false;
        }
        self.wire.clear();
        if via == Via::Stream {
            self.wire.extend([0; 2]);
        }
        let edns = send.edns.then_some(self.config.edns_size);
        let kind = query.family.record_type();
        message::QueryMessage { id: send.id, name: &query.name, mask, kind, edns }.write(&mut self.wire);
        if via == Via::Stream {
            // A question has a few hundred bytes, so its length fits.
            let length = (self.wire.len() - 2) as u16;
            self.wire[..2].copy_from_slice(&length.to_be_bytes());
        }
        self.counters.sent += 1;
        true
    }
}
