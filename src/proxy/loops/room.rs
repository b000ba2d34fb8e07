//! Places that others need, where several loops have the clients: the first asks all where theirs stand, decides as one loop does,
//! and tells each which of its clients give way.

use reactor::arena::Key;
use reactor::Millis;

use super::letters::{News, Task};
use crate::exchange::ingress::Ingress;
use crate::proxy::listening::crowding::Standing;
use crate::proxy::Proxy;

/// Milliseconds after which loops that have not answered are asked again.
const AGAIN: Millis = 1000;

/// What is being asked, by [`Ingress::index`].
#[derive(Debug, Default)]
pub(super) struct Rooms([Option<Room>; Ingress::ALL.len()]);

#[derive(Debug)]
struct Room {
    standings: Vec<Standing>,
    /// The loops that have not answered yet.
    missing: Vec<usize>,
    since: Millis,
}

impl Proxy {
    /// Asks the other loops where their clients of this kind stand. False where there are none.
    pub(in crate::proxy) fn ask_standings(&mut self, ingress: Ingress) -> bool {
        let now = self.clock.now();
        let Some(first) = self.first_loop() else { return false };
        if first.rooms.0[ingress.index()].as_ref().is_some_and(|room| now < room.since + AGAIN) {
            return true;
        }
        let missing = self.ask_loops(|| Task::Stand(ingress));
        let room = (!missing.is_empty()).then(|| Room { standings: self.standings(ingress), missing, since: now });
        let asked = room.is_some();
        if let Some(first) = self.first_loop() {
            first.rooms.0[ingress.index()] = room;
        }
        if asked {
            self.listeners.look_again(ingress, now + AGAIN, now + AGAIN);
        }
        asked
    }

    /// Says where the clients of this kind stand.
    pub(super) fn tell_standings(&self, ingress: Ingress) {
        if let Some(loops) = &self.loops {
            loops.post.first.post(News::Standing(loops.number, ingress, self.standings(ingress)));
        }
    }

    /// A loop has said so. With the last of them it is decided who gives way. A loop that was asked twice is heard once.
    pub(super) fn take_standings(&mut self, from: usize, ingress: Ingress, mut standings: Vec<Standing>) {
        let Some(first) = self.first_loop() else { return };
        let place = &mut first.rooms.0[ingress.index()];
        let Some(room) = place else { return };
        let Some(at) = room.missing.iter().position(|number| *number == from) else { return };
        room.missing.swap_remove(at);
        room.standings.append(&mut standings);
        if room.missing.is_empty() {
            let all = place.take().map(|room| room.standings).unwrap_or_default();
            self.clear(ingress, all);
        }
    }

    /// A client of this loop, or of another, gives its place to others; one that is served gets an answer if it has none yet.
    pub(in crate::proxy) fn take_place(&mut self, (number, key): (usize, Key), served: bool) {
        match self.loops.as_ref().and_then(|loops| loops.post.mailbox(number)) {
            Some(mailbox) => mailbox.post(Task::GiveWay(key, served)),
            None => self.give_way(key, served),
        }
    }
}
