//! A drainer's side: it waits until the next version accepts, and tells it once a second how it is.

use reactor::packets::{Incoming, Packets};

use super::departing::Departing;
use super::lines::{VersionLine, BATCH, READY, STATE};
use crate::io::owner::Owner;
use crate::monitor::drainers::{sent_between, DrainerNumbers, SentBytes};
use crate::monitor::Running;
use crate::proxy::loops::Whole;
use crate::proxy::parcels::{ADOPTED, LATER, REFUSED};
use crate::proxy::Proxy;
use crate::web::Source;

/// Longest packet that a service sends.
const LONGEST: usize = 1024;

/// What a drainer knows of the service.
#[derive(Debug)]
pub(super) struct Following {
    /// None once the service has ended, or is of a version that hears nothing.
    pub(super) line: Option<VersionLine>,
    since: u64,
    /// Bytes that were sent before.
    sent: SentBytes,
    pub(super) departing: Departing,
}

impl Proxy {
    /// This process is a drainer from now on, and hears here when the next version accepts.
    pub fn follow(&mut self, line: Packets) {
        let line = VersionLine::new(line, Owner::Next, &mut self.poller);
        let sent = sent(&Whole { proxy: self, others: &[] }.running());
        let failed = line.is_err();
        let following = Following { line: line.ok(), since: self.now(), sent, departing: Departing::default() };
        // Those that are there already belong to the service.
        let versions = self.versions.get_or_insert_default();
        versions.next = Some(following);
        for line in versions.drainers.drain(..).filter_map(|drainer| drainer.line) {
            line.close(&mut self.poller);
        }
        if failed {
            self.close_for_good();
        }
    }

    fn next_line(&mut self) -> Option<&mut VersionLine> {
        self.following_mut()?.line.as_mut()
    }

    /// Hears what the service says.
    pub(super) fn hear_next(&mut self) {
        let mut space = [0; LONGEST];
        for _ in 0..BATCH {
            let Some(line) = self.next_line().filter(|line| line.is_due()) else { return };
            match line.next(&mut space) {
                Incoming::Packet(packet) => self.hear_service(&space[..packet.length]),
                Incoming::Nothing => return,
                Incoming::Ended => {
                    if let Some(line) = self.following_mut().and_then(|next| next.line.take()) {
                        line.close(&mut self.poller);
                    }
                    self.take_back_all();
                    // Where there is no next version, clients had better find none than one that is about to go.
                    self.close_for_good();
                }
            }
        }
    }

    fn hear_service(&mut self, said: &[u8]) {
        match said {
            [READY, words @ ..] => {
                self.close_for_good();
                let running = Whole { proxy: self, others: &[] }.running();
                self.tell_next(&running, false);
                self.hear_what_is_taken(words);
            }
            [kind @ (ADOPTED | REFUSED | LATER), number @ ..] => self.hear_answer(*kind, number),
            _ => {}
        }
    }

    /// The service has an event.
    pub(super) fn note_next(&mut self) {
        if let Some(line) = self.next_line() {
            line.note();
        }
    }

    /// Tells the service how this drainer is.
    pub(in crate::proxy) fn tell_next(&self, running: &Running, last: bool) {
        let until = self.lifecycle.drained_at().map_or(0, |at| self.clock.since_epoch(at) / 1000);
        let Some(next) = self.following() else { return };
        let Some(line) = &next.line else { return };
        let told = DrainerNumbers {
            since: next.since,
            until,
            clients: running.clients,
            tunnels: running.tunnels,
            sent: sent_between(&next.sent, &sent(running)),
            moved: next.departing.moved,
            last: last.into(),
        };
        line.say(STATE, &told.text());
    }

    /// The same for the last time, with the clients that are left.
    pub(in crate::proxy) fn tell_next_the_last(&mut self) {
        if self.next_line().is_none() {
            return;
        }
        self.take_back_waiting();
        let own = self.clients.iter().filter(|(_, client)| !client.session.exchange.ingress().is_local()).count();
        let clients = (own + self.clients_of_others()) as u64;
        let running = Running { clients, ..Whole { proxy: self, others: &[] }.running() };
        self.tell_next(&running, true);
    }
}

fn sent(running: &Running) -> SentBytes {
    [running.counters.to_clients, running.counters.to_origins]
}
