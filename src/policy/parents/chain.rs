//! The parents in their order, and which of them can be reached: one that failed is left alone for a while, longer each time, by all
//! loops. Pure.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reactor::Millis;

use crate::http::request::Parent;
use crate::http::target::Target;

/// Most parents; a request remembers with a bit for each which it has tried.
pub const MOST_PARENTS: usize = 16;

/// How long one that failed is left alone, which doubles each time, and the longest.
const REST: Millis = 10_000;
const LONGEST_REST: Millis = 60_000;

/// How long one gets for a connection where there is another behind it. The system has sent a SYN for the third time after three
/// seconds (RFC 6298 section 2).
pub const PATIENCE: Millis = 5_000;

/// The parents of `parent.proxy`. Copies, of which each loop has one, find out together how parents are.
#[derive(Clone, Debug, Default)]
pub struct ParentChain {
    parents: Vec<Arc<Parent>>,
    /// By the place of the parent.
    health: Arc<Mutex<Vec<ParentHealth>>>,
    /// Behind them, requests go straight to their origins.
    direct: bool,
}

/// Whether a parent can be reached.
#[derive(Clone, Copy, Debug, Default)]
struct ParentHealth {
    /// How often it failed in a row.
    failures: u32,
    /// It is left alone until then.
    until: Millis,
    /// After a rest one request has gone to see whether it is there again, and the others do not wait for that.
    probed: bool,
}

/// Where a request is to go next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NextHop {
    /// Through this parent. `last` says that there is no other place behind it.
    Parent {
        /// The bit that stands for it.
        bit: u32,
        /// The parent.
        parent: Arc<Parent>,
        /// None is left to be tried behind it.
        last: bool,
    },
    /// Straight to its origin.
    Direct,
}

impl ParentChain {
    /// These parents, of which at most [`MOST_PARENTS`] count.
    pub fn new(mut parents: Vec<Arc<Parent>>, direct: bool) -> ParentChain {
        parents.truncate(MOST_PARENTS);
        let health = Arc::new(Mutex::new(vec![ParentHealth::default(); parents.len()]));
        ParentChain { parents, health, direct }
    }

    /// Whether there is no parent.
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty()
    }

    /// Whether it is one of these.
    pub fn has(&self, parent: &Parent) -> bool {
        self.parents.iter().any(|own| (&own.host, own.port) == (&parent.host, parent.port))
    }

    /// The one that is there.
    pub fn at(&self, to: &Target) -> Option<Arc<Parent>> {
        self.parents.iter().find(|parent| parent.is_at(to)).map(Arc::clone)
    }

    /// How many are left alone.
    pub fn down(&self, now: Millis) -> u64 {
        self.health().iter().filter(|one| one.failures > 0 && one.until > now).count() as u64
    }

    /// Where a request goes next that has tried these: to the first that is not left alone, else to its origin where that is
    /// allowed, else to the one whose rest is over first. None where all have been tried.
    pub fn choose(&self, tried: u32, now: Millis) -> Option<NextHop> {
        let mut health = self.health();
        let bit = |at: usize| 1 << at;
        let untried = |at: &usize| tried & bit(*at) == 0;
        let places = || (0..self.parents.len()).filter(untried);
        let awake = places().find(|at| health[*at].until <= now);
        let chosen = match awake {
            None if self.direct => return Some(NextHop::Direct),
            Some(at) => at,
            None => places().min_by_key(|at| health[*at].until)?,
        };
        let last = !self.direct && places().all(|at| at == chosen);
        let one = &mut health[chosen];
        if one.failures > 0 && one.until <= now {
            (one.until, one.probed) = (now + PATIENCE, true);
        }
        Some(NextHop::Parent { bit: bit(chosen), parent: Arc::clone(&self.parents[chosen]), last })
    }

    /// A connection to this parent has failed. Gives the milliseconds for which it is left alone, if that begins now.
    pub fn note_failure(&self, parent: &Arc<Parent>, now: Millis) -> Option<Millis> {
        let (place, mut health) = (self.place(parent)?, self.health());
        let one = &mut health[place];
        // Those that were on their way together have failed together.
        if one.until > now && !one.probed {
            return None;
        }
        let rest = REST.saturating_mul(1 << one.failures.min(8)).min(LONGEST_REST);
        *one = ParentHealth { failures: one.failures.saturating_add(1), until: now + rest, probed: false };
        Some(rest)
    }

    /// There is a connection to this parent. True if it had failed before.
    pub fn note_success(&self, parent: &Arc<Parent>) -> bool {
        let Some(place) = self.place(parent) else { return false };
        std::mem::take(&mut self.health()[place]).failures > 0
    }

    fn place(&self, parent: &Arc<Parent>) -> Option<usize> {
        self.parents.iter().position(|own| Arc::ptr_eq(own, parent))
    }

    /// One for each parent.
    fn health(&self) -> MutexGuard<'_, Vec<ParentHealth>> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
