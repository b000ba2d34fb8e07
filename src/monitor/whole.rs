//! The numbers of several loops as those of one process. What only the first of them knows, or what is the same in all, is
//! taken from that one.

use super::lists::ListFileNumbers;
use super::{Counters, Running};
use crate::counters::exchange::add_all;

impl Counters {
    /// The plain counts, in the order in which they are added.
    fn plain(&mut self) -> [&mut u64; 23] {
        [
            &mut self.loops,
            &mut self.events,
            &mut self.accepted,
            &mut self.turned_away,
            &mut self.requests,
            &mut self.monitor_requests,
            &mut self.refused,
            &mut self.listed_allowed,
            &mut self.listed_blocked,
            &mut self.listed_reported,
            &mut self.host_mismatch,
            &mut self.pauses,
            &mut self.starved,
            &mut self.name_failures,
            &mut self.heads_refused,
            &mut self.dial_failures,
            &mut self.parent_requests,
            &mut self.parent_failures,
            &mut self.undecided,
            &mut self.unreadable,
            &mut self.reused,
            &mut self.monitor_accepted,
            &mut self.to_monitor,
        ]
    }

    /// Adds what another loop has counted, but for how often lists were read: all loops take the same over.
    pub fn add(&mut self, other: &Counters) {
        let mut other = other.clone();
        self.plain().into_iter().zip(other.plain()).for_each(|(sum, more)| *sum += *more);
        add_all(self.limited.as_flattened_mut(), other.limited.as_flattened());
        add_all(&mut self.to_clients, &other.to_clients);
        add_all(&mut self.to_origins, &other.to_origins);
        add_all(self.families.as_flattened_mut(), other.families.as_flattened());
        add_all(&mut self.ended, &other.ended);
        self.turns.add(&other.turns);
        self.decided.add(&other.decided);
        self.auth.add(&other.auth);
        self.name_time.add(&other.name_time);
        self.connect_time.add(&other.connect_time);
        self.helper_time.add(&other.helper_time);
        self.exchange.add(&other.exchange);
    }
}

impl Running {
    /// Adds the numbers of another loop to those of the first.
    pub fn add(&mut self, other: &Running) {
        self.counters.add(&other.counters);
        for (sum, more) in [
            (&mut self.silent, other.silent),
            (&mut self.clients, other.clients),
            (&mut self.tunnels, other.tunnels),
            (&mut self.opening, other.opening),
            (&mut self.established, other.established),
            (&mut self.idle, other.idle),
            (&mut self.idle_limit, other.idle_limit),
            (&mut self.blocks, other.blocks),
            (&mut self.head_bytes, other.head_bytes),
            (&mut self.users.waiting, other.users.waiting),
            (&mut self.users.kept, other.users.kept),
        ] {
            *sum += more;
        }
        // Each loop finds out for itself which parents it cannot reach.
        self.parents_down = self.parents_down.max(other.parents_down);
        self.cache.add(&other.cache);
        self.dns.add(&other.dns);
        for ((_, sum), (_, more)) in self.list_files.iter_mut().zip(&other.list_files) {
            sum.add(more);
        }
    }
}

impl ListFileNumbers {
    /// Adds what the same file has done in another loop.
    pub fn add(&mut self, other: &ListFileNumbers) {
        self.allowed += other.allowed;
        self.blocked += other.blocked;
        self.reported += other.reported;
    }
}
