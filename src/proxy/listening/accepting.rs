//! Clients that come in: those that wait are accepted as far as there is room, and each gets a slot.

use std::net::SocketAddr;

use mio::net::TcpStream;
use reactor::stream::Stream;

use super::BATCH;
use crate::exchange::ingress::{Arrival, Ingress};
use crate::exchange::Exchange;
use crate::io::owner::Owner;
use crate::proxy::report::Trouble;
use crate::proxy::{Client, Proxy};
use crate::session::Session;

impl Proxy {
    /// Takes the clients that wait, as far as there is room.
    pub(in crate::proxy) fn accept_waiting(&mut self) {
        let now = self.clock.now();
        if !self.listeners.go_on(now) {
            return;
        }
        self.listeners.set_alert(self.lifecycle.is_draining());
        for ingress in Ingress::ALL {
            if self.listeners.is_due(ingress, now) {
                self.make_room(ingress);
            }
            while let Some(next) = self.listeners.next_outside(ingress) {
                self.place(next.stream, &next.arrival);
            }
        }
        for index in 0..self.listeners.len() {
            for _ in 0..BATCH {
                let Some((stream, arrival)) = self.listeners.next(index, now) else { break };
                self.place(stream, &arrival);
            }
        }
    }

    /// Gives a place beyond the limits to the few that wait outside: their listeners are about to close.
    pub(in crate::proxy) fn let_all_in(&mut self) {
        for ingress in Ingress::ALL {
            for next in self.listeners.take_outside(ingress) {
                self.place(next.stream, &next.arrival);
            }
        }
    }

    pub(in crate::proxy) fn welcome(&mut self, mut io: TcpStream, arrival: &Arrival) {
        let (now, since) = (self.clock.now(), self.clock.second());
        // Without a diversion the address is that of our own listener, to which nothing was going.
        let elsewhere = |to: &SocketAddr| self.local.listener_at(to.ip(), to.port()).is_none();
        let arrival = Arrival { original: arrival.original.filter(elsewhere), ..*arrival };
        let (poller, settings, alarms) = (&mut self.poller, &self.settings, &mut self.alarms);
        let mut failed = None;
        let key = self.clients.insert_with(|key| {
            let route = poller.register(&mut io, Owner::Client(key)).unwrap_or_else(|error| {
                failed = Some(error);
                key
            });
            let session = Session::new(Stream::new(io, route), Exchange::new(&arrival, now));
            if let Some((_, at)) = session.exchange.poll_timeout(&settings.limits) {
                alarms.arm(key.index, at);
            }
            Client::new(session, since)
        });
        self.counters.accepted += 1;
        self.counters.monitor_accepted += u64::from(arrival.ingress.is_local());
        if let Some(error) = failed {
            if self.may_report(Trouble::Unwatched) {
                log::error!(target: "server", "cannot watch a new connection: {error}");
            }
            self.clients.remove(key);
            self.listeners.left(arrival.ingress);
        } else if self.limiting.counts_connections() && !self.seat(key) {
            self.enqueue(key);
        }
    }
}
