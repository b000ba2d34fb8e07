//! The TCP connections to servers, as far as questions depend on them. Does not know what is asked.

use super::query::{Via, MAX_RECONNECTS};
use super::sending::Outgoing;
use super::table::Key;
use super::Resolver;
use crate::{Failure, Millis};

impl Resolver {
    /// The questions that are open at a server in one way.
    pub(super) fn open_at(&mut self, server: usize, via: Via) -> Vec<Key> {
        let keys: Vec<Key> = self.servers[server].ids.values().copied().collect();
        let mut open = |key: &Key| self.queries.get_mut(*key).is_some_and(|query| query.send(server).via == via);
        keys.into_iter().filter(|key| open(key)).collect()
    }

    /// Gives a connection up that is silent or talks nonsense.
    pub(super) fn close_link(&mut self, server: usize, failure: Failure, now: Millis) {
        if let Some(link) = &self.servers[server].link {
            self.outgoing.push_back(Outgoing::Close { link: link.id });
            self.lose_link(server, false, failure, now);
        }
    }

    /// A connection is gone. If it had worked and was closed in good order, which is a server's right (RFC 7766 section
    /// 6.2.4), its questions are asked again on a new one.
    pub(super) fn lose_link(&mut self, at: usize, orderly: bool, failure: Failure, now: Millis) {
        let open = self.open_at(at, Via::Stream);
        let Some(link) = self.servers[at].link.take() else { return };
        for key in open {
            self.release(key, at, now);
            let Some(query) = self.queries.get_mut(key) else { continue };
            let again = orderly && link.answers > 0 && query.reconnects < MAX_RECONNECTS;
            let send = query.send(at);
            // TCP was only for an answer with changed letters. Where it does not work the question goes out once more
            // as a datagram, with plain letters: such a server would else be of no use.
            let plain = send.over_tcp && send.without_mixing && !self.config.use_tcp;
            if again {
                query.reconnects += 1;
                self.repeat(key, at, now);
            } else if plain {
                send.over_tcp = false;
                self.repeat(key, at, now);
            } else {
                self.fail_over(key, at, failure, now);
            }
        }
    }

    pub(super) fn close_idle_links(&mut self, now: Millis) {
        for server in &mut self.servers {
            if let Some(link) = server.link.take_if(|link| link.idle_at().is_some_and(|at| at <= now)) {
                self.outgoing.push_back(Outgoing::Close { link: link.id });
            }
        }
    }
}
