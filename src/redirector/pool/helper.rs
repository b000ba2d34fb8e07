//! One helper, as the pool sees it: what it was asked and whether more may come.

use reactor::arena::Key;
use reactor::Millis;
use smallvec::SmallVec;

use super::Ticket;
use crate::policy::shares::ClientKey;

/// Milliseconds that a helper has to live, or else one reply that it has to give, to count as one that works. Before that
/// helpers of an older program are not let go, and after failures the log and the monitor do not say that all is well.
const PROOF: Millis = 500;

/// Where a helper is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HelperState {
    /// Started, and nothing was heard of it yet.
    Starting,
    /// It can be asked.
    Serving,
    /// It gets no further question: it ends after its last reply, or is being killed.
    Leaving,
}

/// A question that a helper has before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    /// The number under which the reply will come.
    pub(super) channel: u64,
    pub(super) ticket: Ticket,
    /// The session that waits for the reply; None once it has gone.
    pub(super) who: Option<Key>,
    /// The client that the question is about.
    pub(super) client: ClientKey,
    /// It was asked before, in vain.
    pub(super) again: bool,
    pub(super) sent: Millis,
}

/// A helper.
#[derive(Debug)]
pub(super) struct Helper {
    pub(super) state: HelperState,
    /// Questions that may be before it at a time.
    pub(super) capacity: usize,
    /// Which of the pool's programs it runs; counts reloads.
    pub(super) generation: u32,
    /// When it was started, as a number that rises with each start.
    pub(super) number: u32,
    pub(super) since: Millis,
    /// Questions in the order in which they were asked.
    pub(super) flights: SmallVec<[Flight; 1]>,
    pub(super) asked: u64,
    pub(super) answered: u64,
    /// It stands in the list of those that can be asked.
    pub(super) listed: bool,
}

impl Helper {
    /// Has it shown that its program works?
    pub(super) fn is_proven(&self, now: Millis) -> bool {
        self.state == HelperState::Serving && (self.answered > 0 || now >= self.since.saturating_add(PROOF))
    }

    /// May another question be put before it?
    pub(super) fn has_room(&self) -> bool {
        self.state == HelperState::Serving && self.flights.len() < self.capacity
    }

    /// Takes the question out that a reply of this number belongs to.
    pub(super) fn land(&mut self, channel: u64) -> Option<Flight> {
        let place = self.flights.iter().position(|flight| flight.channel == channel)?;
        Some(self.flights.remove(place))
    }
}
