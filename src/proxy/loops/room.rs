//! Places that others need, where several loops have the clients: the first asks all where theirs stand, decides as one loop does,
//! and tells each which of its clients give way.

use reactor::arena::Key;
use reactor::Millis;

use super::letters::{News, Task};
use crate::exchange::ingress::Ingress;
use crate::proxy::crowding::Standing;
use crate::proxy::Proxy;

/// Milliseconds after which loops that have not answered are asked again.
const AGAIN: Millis = 1000;

/// What is being asked, by [`Ingress::index`].
#[derive(Debug, Default)]
pub(super) struct Rooms([Option<Room>; Ingress::ALL.len()]);

#[derive(Debug)]
struct Room {
    standings: Vec<Standing>,
    missing: usize,
    since: Millis,
}

impl Proxy {
    /// Asks the other loops where their clients of this kind stand. False where there are none.
    pub(in crate::proxy) fn ask_standings(&mut self, ingress: Ingress) -> bool {
        let now = self.clock.now();
        let Some(others) = self.loop_count().checked_sub(1).filter(|others| *others > 0) else { return false };
        let own = self.standings(ingress);
        let Some(first) = self.loops.as_mut().and_then(|loops| loops.first()) else { return false };
        let room = &mut first.rooms.0[ingress.index()];
        if room.as_ref().is_some_and(|room| now < room.since + AGAIN) {
            return true;
        }
        *room = Some(Room { standings: own, missing: others, since: now });
        self.listeners.look_again(ingress, now + AGAIN, now + AGAIN);
        self.tell_loops(|| Task::Stand(ingress));
        true
    }

    /// Says where the clients of this kind stand.
    pub(super) fn tell_standings(&self, ingress: Ingress) {
        if let Some(loops) = &self.loops {
            loops.post.first.post(News::Standing(ingress, self.standings(ingress)));
        }
    }

    /// A loop has said so. With the last of them it is decided who gives way.
    pub(super) fn take_standings(&mut self, ingress: Ingress, mut standings: Vec<Standing>) {
        let Some(first) = self.loops.as_mut().and_then(|loops| loops.first()) else { return };
        let place = &mut first.rooms.0[ingress.index()];
        let Some(room) = place else { return };
        room.standings.append(&mut standings);
        room.missing -= 1;
        if room.missing == 0 {
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
