//! The parents in their order, and which of them can be reached: one that failed is left alone for a while, longer each time. Pure.

use std::sync::Arc;

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

/// The parents of `parent.proxy`.
#[derive(Clone, Debug, Default)]
pub struct ParentChain {
    members: Vec<ChainMember>,
    /// Behind them, requests go straight to their origins.
    direct: bool,
}

#[derive(Clone, Debug)]
struct ChainMember {
    parent: Arc<Parent>,
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
    pub fn new(parents: Vec<Arc<Parent>>, direct: bool) -> ParentChain {
        let member = |parent| ChainMember { parent, failures: 0, until: 0, probed: false };
        ParentChain { members: parents.into_iter().take(MOST_PARENTS).map(member).collect(), direct }
    }

    /// Whether there is no parent.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether it is one of these.
    pub fn has(&self, parent: &Parent) -> bool {
        self.members.iter().any(|own| (&own.parent.host, own.parent.port) == (&parent.host, parent.port))
    }

    /// The one that is there.
    pub fn at(&self, to: &Target) -> Option<Arc<Parent>> {
        self.members.iter().find(|member| member.parent.is_at(to)).map(|member| Arc::clone(&member.parent))
    }

    /// How many are left alone.
    pub fn down(&self, now: Millis) -> u64 {
        self.members.iter().filter(|member| member.failures > 0 && member.until > now).count() as u64
    }

    /// Where a request goes next that has tried these: to the first that is not left alone, else to its origin where that is
    /// allowed, else to the one whose rest is over first. None where all have been tried.
    pub fn choose(&mut self, tried: u32, now: Millis) -> Option<NextHop> {
        let bit = |at: usize| 1 << at;
        let untried = |at: &usize| tried & bit(*at) == 0;
        let places = || (0..self.members.len()).filter(untried);
        let awake = places().find(|at| self.members[*at].until <= now);
        let chosen = match awake {
            None if self.direct => return Some(NextHop::Direct),
            Some(at) => at,
            None => places().min_by_key(|at| self.members[*at].until)?,
        };
        let last = !self.direct && places().all(|at| at == chosen);
        let member = &mut self.members[chosen];
        if member.failures > 0 && member.until <= now {
            (member.until, member.probed) = (now + PATIENCE, true);
        }
        Some(NextHop::Parent { bit: bit(chosen), parent: Arc::clone(&member.parent), last })
    }

    /// A connection to this parent has failed. Gives the milliseconds for which it is left alone, if that begins now.
    pub fn note_failure(&mut self, parent: &Arc<Parent>, now: Millis) -> Option<Millis> {
        let member = self.member(parent)?;
        // Those that were on their way together have failed together.
        if member.until > now && !member.probed {
            return None;
        }
        let rest = REST.saturating_mul(1 << member.failures.min(8)).min(LONGEST_REST);
        member.failures = member.failures.saturating_add(1);
        (member.until, member.probed) = (now + rest, false);
        Some(rest)
    }

    /// There is a connection to this parent. True if it had failed before.
    pub fn note_success(&mut self, parent: &Arc<Parent>) -> bool {
        let Some(member) = self.member(parent).filter(|member| member.failures > 0) else { return false };
        (member.failures, member.until, member.probed) = (0, 0, false);
        true
    }

    fn member(&mut self, parent: &Arc<Parent>) -> Option<&mut ChainMember> {
        self.members.iter_mut().find(|member| Arc::ptr_eq(&member.parent, parent))
    }
}
