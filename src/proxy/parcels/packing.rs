//! How a tunnel leaves a loop, and how it comes into one.

use reactor::arena::Key;
use reactor::ready::Ready;

use super::{tell, IncomingTunnel, Parcel, ADOPTED, LATER};
use crate::io::owner::Owner;
use crate::proxy::client::{Client, Waits};
use crate::proxy::Proxy;
use crate::session::Session;

impl Proxy {
    /// Takes up to so many tunnels out of this loop that can go on elsewhere. Begins at another place each time, so that those for
    /// which there is no room now hold up no others.
    pub(in crate::proxy) fn pack_tunnels(&mut self, most: usize) -> Vec<Parcel> {
        let fit = |client: &Client| client.waits == Waits::Nothing && client.session.may_move();
        let begin = self.counters.loops as usize % self.clients.len().max(1);
        let all = self.clients.iter().skip(begin).chain(self.clients.iter().take(begin));
        let fitting = all.filter(|(_, client)| fit(client)).map(|(key, _)| key);
        let keys: Vec<Key> = fitting.take(most).collect();
        keys.into_iter().filter_map(|key| self.pack(key)).collect()
    }

    /// Takes a session apart that has an origin. Its place stays taken.
    fn pack(&mut self, key: Key) -> Option<Parcel> {
        self.forget_own_end(key);
        let mut client = self.clients.remove(key)?;
        // Counted where it was moved, and once, wherever the tunnel goes on.
        self.counters.add_transfer(&client.session.exchange);
        client.session.exchange.note_counted();
        self.forget_heads(key, &client);
        self.forget_seat(key);
        let age = client.age(&self.clock);
        let route = client.session.client.route;
        let mut session = Box::new(client.session.part(&mut self.shared)?);
        // The other process has the same sockets, so that closing them would not take them out of the poll.
        self.poller.withdraw(&mut session.client, route);
        let origin = &mut session.origin.stream;
        self.poller.withdraw(&mut origin.io, origin.route);
        Some(Parcel { session, age })
    }

    /// Makes a session of what was taken apart, which is lost where that cannot be done. Its place is taken already.
    pub(in crate::proxy) fn unpack(&mut self, parcel: Parcel) -> Option<Key> {
        let Parcel { mut session, age } = parcel;
        let unowned = Owner::Client(Key::NONE);
        let route = self.poller.register(&mut session.client, unowned).ok()?;
        let origin = &mut session.origin.stream;
        let Ok(far) = self.poller.register(&mut origin.io, unowned) else {
            self.poller.withdraw(&mut session.client, route);
            return None;
        };
        // What there is to be read or written is told anew.
        (origin.route, origin.ready) = (far, Ready::NONE);
        let session = match Session::resume(session, route, &mut self.shared) {
            Ok(session) => session,
            Err(mut session) => {
                self.poller.withdraw(&mut session.client, route);
                self.poller.withdraw(&mut session.origin.stream.io, far);
                return None;
            }
        };
        let since = self.clock.second().wrapping_sub(age);
        let key = self.clients.insert(Client::new(session, since));
        self.poller.assign(route, Owner::Client(key));
        self.poller.assign(far, Owner::Origin(key));
        self.note_moved_end(key);
        if self.limiting.counts_connections() {
            self.seat(key);
        }
        self.enqueue(key);
        Some(key)
    }

    /// Goes on with a tunnel of another process. Nothing of it is moved before that process knows.
    pub(in crate::proxy) fn adopt(&mut self, arriving: IncomingTunnel) {
        let IncomingTunnel { parcel, number, answer } = arriving;
        let ingress = parcel.session.exchange.ingress();
        let pipes = parcel.session.pipes.iter().flatten().count();
        let room = pipes == 0 || self.shared.pipes.has_room();
        let adopted = if room { self.unpack(parcel) } else { None };
        match adopted {
            Some(_) if tell(&answer, ADOPTED, number) => return,
            // The other process has its sockets still, and goes on with it once it hears nothing more.
            Some(key) => drop(self.pack(key)),
            None => {}
        }
        self.listeners.left(ingress);
        tell(&answer, LATER, number);
    }
}
