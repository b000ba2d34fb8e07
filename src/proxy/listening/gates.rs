//! The gates of the listeners: who is let in, who waits outside, and when accepting goes on. Opens and closes no listener.

use std::collections::VecDeque;

use mio::net::TcpStream;
use reactor::listener::{accept, Accept};
use reactor::Millis;

use super::door::Outside;
use super::place::{ends, ListenAddress};
use super::{Listener, Listeners, BATCH};
use crate::exchange::ingress::{Arrival, Ingress};
use crate::proxy::report::REPORT;

/// Milliseconds before accepting is tried again after the system had no descriptor or memory.
const PAUSE: Millis = 100;

impl Listeners {
    /// A connection waits at this listener.
    pub(in crate::proxy) fn note(&mut self, index: u32) {
        if let Some(Some(listener)) = self.open.get_mut(index as usize) {
            listener.waiting = true;
            let door = &mut self.doors[listener.place.ingress.index()];
            door.look_at = door.look_at.min(door.look_early_at);
        }
    }

    /// Whether this loop is woken when a client of another leaves.
    pub(super) fn set_alert(&self, alert: bool) {
        if let Some((common, _)) = &self.common {
            common.set_alert(alert);
        }
    }

    /// A client of this kind has gone.
    pub(in crate::proxy) fn left(&mut self, ingress: Ingress) {
        if let Some((common, number)) = &self.common {
            return common.leave(*number, ingress);
        }
        let door = &mut self.doors[ingress.index()];
        door.inside = door.inside.saturating_sub(1);
    }

    /// Clients of this kind, of all loops.
    pub(super) fn inside(&self, ingress: Ingress) -> usize {
        self.common.as_ref().map_or(self.doors[ingress.index()].inside, |(common, _)| common.inside(ingress))
    }

    /// Room for one more of this kind?
    pub(in crate::proxy) fn admits(&self, ingress: Ingress) -> bool {
        self.doors[ingress.index()].gate.admits(self.inside(ingress))
    }

    /// The same, asked for one that waits: where there is no room, the loop is to hear of it when there is.
    fn lets_in(&self, ingress: Ingress) -> bool {
        self.admits(ingress)
            || self.common.as_ref().is_some_and(|(common, _)| {
                common.set_alert(true);
                // One that has left just now has told nothing.
                self.admits(ingress)
            })
    }

    /// Accepting begins again. False while it pauses for want of descriptors or memory.
    pub(super) fn go_on(&mut self, now: Millis) -> bool {
        let pauses = self.paused_until.is_some_and(|until| now < until);
        if !pauses {
            self.paused_until = None;
        }
        !pauses
    }

    /// How many places for listeners there are, some of which may be empty.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether it is time to look whose places others need.
    pub(super) fn is_due(&self, ingress: Ingress, now: Millis) -> bool {
        now >= self.doors[ingress.index()].look_at && self.is_crowded(ingress)
    }

    /// Whether all places of a kind are taken while a connection waits outside.
    fn is_crowded(&self, ingress: Ingress) -> bool {
        let door = &self.doors[ingress.index()];
        let waits = |listener: &Listener| listener.waiting && listener.place.ingress == ingress;
        !self.admits(ingress) && (!door.outside.is_empty() || self.open.iter().flatten().any(waits))
    }

    /// Connections of this kind that give way are looked for again at `at`, or at `early` if another one comes.
    pub(in crate::proxy) fn look_again(&mut self, ingress: Ingress, early: Millis, at: Millis) {
        let door = &mut self.doors[ingress.index()];
        (door.look_early_at, door.look_at) = (early, at);
    }

    /// When accepting goes on: at once while a connection waits that may come in, else when others may give way to it.
    pub(in crate::proxy) fn poll_timeout(&self) -> Option<Millis> {
        let welcome = |ingress: Ingress| self.admits(ingress);
        let waiting = self.open.iter().flatten().any(|listener| listener.waiting && welcome(listener.place.ingress))
            || Ingress::ALL
                .into_iter()
                .any(|ingress| welcome(ingress) && !self.doors[ingress.index()].outside.is_empty());
        let crowded = Ingress::ALL.into_iter().filter(|ingress| self.is_crowded(*ingress));
        let look = crowded.map(|ingress| self.doors[ingress.index()].look_at).min();
        self.paused_until.or(waiting.then_some(0)).or(look)
    }

    /// The next connection, if one waits and there is room for it.
    pub(super) fn next(&mut self, index: usize, now: Millis) -> Option<(TcpStream, Arrival)> {
        let ingress = self.open.get(index)?.as_ref().filter(|listener| listener.waiting)?.place.ingress;
        if !self.lets_in(ingress) {
            let inside = self.inside(ingress);
            let door = &mut self.doors[ingress.index()];
            if now >= door.report_at {
                door.report_at = now + REPORT;
                log::error!(target: "server", "{} is full: {inside} clients, the limit is {}", ingress.name(), door.gate.limit());
            }
            return None;
        }
        self.accept(index, now)
    }

    /// A client of this kind takes a place, in the loop of this number.
    pub(in crate::proxy) fn enter(&mut self, ingress: Ingress, number: usize) {
        match &self.common {
            Some((common, _)) => common.enter(number, ingress),
            None => self.doors[ingress.index()].inside += 1,
        }
    }

    /// The next connection of those that wait outside, if there is room for it.
    pub(super) fn next_outside(&mut self, ingress: Ingress) -> Option<Outside> {
        if self.doors[ingress.index()].outside.is_empty() || !self.lets_in(ingress) {
            return None;
        }
        self.doors[ingress.index()].outside.pop_front()
    }

    /// Takes all that wait outside, to judge them.
    pub(super) fn take_outside(&mut self, ingress: Ingress) -> VecDeque<Outside> {
        std::mem::take(&mut self.doors[ingress.index()].outside)
    }

    /// Has these wait outside.
    pub(super) fn keep_outside(&mut self, ingress: Ingress, outside: VecDeque<Outside>) {
        self.doors[ingress.index()].outside = outside;
    }

    /// Accepts a connection of this kind, whether there is room for it or not.
    pub(super) fn accept_outside(&mut self, ingress: Ingress, now: Millis) -> Option<Outside> {
        let is_there = |listener: &Option<Listener>| {
            listener.as_ref().is_some_and(|listener| listener.waiting && listener.place.ingress == ingress)
        };
        while let Some(index) = self.open.iter().position(is_there).filter(|_| self.paused_until.is_none()) {
            if let Some((stream, arrival)) = self.accept(index, now) {
                return Some(Outside { stream, arrival, since: now });
            }
        }
        None
    }

    fn accept(&mut self, index: usize, now: Millis) -> Option<(TcpStream, Arrival)> {
        let listener = self.open.get_mut(index)?.as_mut()?;
        let ListenAddress { ingress, proxied, diversion, .. } = listener.place;
        // The next connection may be fine where this one was broken, but an error that stays must not hold the loop.
        for _ in 0..BATCH {
            match accept(&listener.io) {
                Accept::Connection(stream, caller) => {
                    let (peer, original) = ends(diversion, &stream, caller);
                    listener.accepted += 1;
                    let listener = listener.number;
                    return Some((stream, Arrival { ingress, listener, peer, proxied, original }));
                }
                Accept::Retry => {}
                Accept::Empty => {
                    listener.waiting = false;
                    return None;
                }
                Accept::Exhausted(error) | Accept::Broken(error) => {
                    self.paused_until = Some(now + PAUSE);
                    self.pauses += 1;
                    let inside = self.inside(ingress);
                    let door = &mut self.doors[ingress.index()];
                    if now >= door.report_at {
                        door.report_at = now + REPORT;
                        log::error!(target: "server", "{} cannot accept, {inside} clients are connected: {error}", ingress.name());
                    }
                    return None;
                }
            }
        }
        self.paused_until = Some(now + PAUSE);
        None
    }
}
