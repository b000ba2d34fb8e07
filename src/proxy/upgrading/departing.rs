//! Tunnels that leave a drainer: it offers them to the service, some at a time, and keeps each until it hears that the service has it.

use std::collections::{HashMap, VecDeque};

use reactor::Millis;

use super::lines::{TUNNEL, TUNNELS};
use crate::proxy::loops::letters::Task;
use crate::proxy::parcels::{Parcel, ADOPTED, LATER};
use crate::proxy::Proxy;

/// Tunnels that all loops give away at a time: none stands still for longer than it takes to hand over so many, and there is room for
/// the answers to all of them.
const AT_ONCE: usize = 64;

/// Milliseconds until tunnels are looked for again, where none could go, and where the service has no room.
const AGAIN: Millis = 1000;
const FULL: Millis = 5000;

/// Those that are on their way.
#[derive(Debug, Default)]
pub(super) struct Departing {
    /// The service takes tunnels.
    taken: bool,
    /// Not offered yet.
    waiting: VecDeque<Parcel>,
    /// By the number under which they are offered.
    offered: HashMap<u64, Parcel>,
    number: u64,
    /// Loops that have not said yet which of theirs can go.
    missing: usize,
    /// When they are asked next.
    at: Millis,
    /// How many tunnels they have found since then.
    found: usize,
    /// Whether the last search has found one.
    more: bool,
    /// How many have gone.
    pub(super) moved: u64,
}

impl Departing {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.offered.is_empty() && self.missing == 0
    }
}

impl Proxy {
    fn departing(&mut self) -> Option<&mut Departing> {
        self.following_mut().map(|next| &mut next.departing)
    }

    /// Is no tunnel on its way out of this process?
    pub(in crate::proxy) fn nothing_departs(&self) -> bool {
        self.following().is_none_or(|next| next.departing.is_idle())
    }

    /// Are there tunnels that go as soon as those before have gone? The end of a drainer's time waits for them.
    pub(in crate::proxy) fn more_depart(&self) -> bool {
        self.following().is_some_and(|next| next.departing.taken && (next.departing.more || !next.departing.is_idle()))
    }

    /// The service accepts, and says what it can take over.
    pub(super) fn hear_what_is_taken(&mut self, words: &[u8]) {
        let taken = words.split(|byte| *byte == b' ').any(|word| word == TUNNELS.as_bytes());
        if let Some(departing) = self.departing() {
            (departing.taken, departing.more) = (taken, taken);
        }
        if !taken {
            // The version before may have, and has answered all that it has heard.
            self.take_back_all();
        }
    }

    /// Has tunnels go, once those before have gone.
    pub(super) fn depart(&mut self) {
        let (now, loops) = (self.clock.now(), self.loop_count());
        let Some(departing) = self.departing() else { return };
        if !departing.waiting.is_empty() {
            return self.offer();
        }
        if !departing.taken || !departing.is_idle() || now < departing.at {
            return;
        }
        (departing.missing, departing.found, departing.at) = (loops, 0, now + AGAIN);
        let share = AT_ONCE.div_ceil(loops);
        self.tell_loops(|| Task::Depart(share));
        let own = self.pack_tunnels(share);
        self.take_departing(0, own);
    }

    /// A loop gives these away.
    pub(in crate::proxy) fn take_departing(&mut self, number: usize, parcels: Vec<Parcel>) {
        if number > 0 {
            parcels.iter().for_each(|parcel| self.listeners.enter(parcel.session.exchange.ingress(), 0));
            self.leave_loop(number, parcels.iter().map(|parcel| parcel.session.exchange.ingress()));
        }
        let Some(departing) = self.departing() else { return };
        departing.missing = departing.missing.saturating_sub(1);
        departing.found += parcels.len();
        if departing.missing == 0 {
            departing.more = departing.found > 0;
        }
        departing.waiting.extend(parcels);
        match departing.taken {
            true => self.offer(),
            false => self.take_back_all(),
        }
    }

    /// Offers what waits, as far as the service takes it now.
    fn offer(&mut self) {
        let (now, fraction) = (self.clock.now(), self.clock.fraction());
        loop {
            let Some(next) = self.following_mut() else { return };
            let (Some(line), departing) = (&next.line, &mut next.departing) else { return };
            if departing.offered.len() >= AT_ONCE {
                return;
            }
            let Some(parcel) = departing.waiting.pop_front() else { return };
            departing.number += 1;
            let number = departing.number;
            let sent =
                parcel.packet(TUNNEL, number, now, fraction).map(|packet| line.send(&packet, &parcel.descriptors()));
            match sent {
                Some(Ok(true)) => drop(departing.offered.insert(number, parcel)),
                Some(Ok(false)) => return departing.waiting.push_front(parcel),
                _ => self.take_back(parcel, true),
            }
        }
    }

    /// The service says what becomes of a tunnel.
    pub(super) fn hear_answer(&mut self, kind: u8, number: &[u8]) {
        let now = self.clock.now();
        let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
        let Some(departing) = self.departing() else { return };
        let Some(parcel) = number.and_then(|number: u64| departing.offered.remove(&number)) else { return };
        match kind {
            ADOPTED => {
                departing.moved += 1;
                // There may be more of them.
                departing.at = departing.at.min(now);
                self.listeners.left(parcel.session.exchange.ingress());
            }
            LATER => {
                (departing.at, departing.more) = (now + FULL, false);
                self.take_back(parcel, false);
            }
            _ => self.take_back(parcel, true),
        }
    }

    /// Goes on with a tunnel that was to go. With `stays` it is not offered again.
    fn take_back(&mut self, mut parcel: Parcel, stays: bool) {
        let ingress = parcel.session.exchange.ingress();
        if stays {
            parcel.session.exchange.stay();
        }
        if self.unpack(parcel).is_none() {
            log::error!(target: "server", "a tunnel that no other process takes is lost: its sockets cannot be watched");
            self.listeners.left(ingress);
        }
    }

    /// The service takes no more tunnels. It has not touched those for which no answer has come, so they go on here.
    pub(super) fn take_back_all(&mut self) {
        let Some(departing) = self.departing() else { return };
        departing.taken = false;
        let offered = std::mem::take(&mut departing.offered).into_values();
        let all: Vec<Parcel> = std::mem::take(&mut departing.waiting).into_iter().chain(offered).collect();
        all.into_iter().for_each(|parcel| self.take_back(parcel, false));
    }

    /// This process is about to end: tunnels that were not offered yet end with it, like all its other clients.
    pub(super) fn take_back_waiting(&mut self) {
        let Some(departing) = self.departing() else { return };
        let waiting = std::mem::take(&mut departing.waiting);
        waiting.into_iter().for_each(|parcel| self.take_back(parcel, false));
    }
}
