//! The numbers of several loops as those of one process. What only the first of them knows, or what is the same in all, is
//! taken from that one.

use super::lists::ListFileNumbers;
use super::users::Users;
use super::{Counters, Running};
use crate::counters::exchange::add_all;

/// Adds the counts of a type, each to that of the same name, and gives names to `others`, which the caller adds. `same` stay as they
/// are. All that a type has is to be listed: the compiler finds what is not.
macro_rules! add_up {
    ($sums:expr, $more:expr => $type:ident { counts: $($count:ident)*; others: $($other:ident)*; same: $($same:ident)*; }) => {
        let $type { $($count,)* $($other,)* $($same: _,)* } = $more;
        $($sums.$count += $count;)*
    };
}

impl Counters {
    /// Adds what another loop has counted.
    pub fn add(&mut self, other: &Counters) {
        add_up!(self, other => Counters {
            counts: loops events accepted turned_away requests monitor_requests monitor_accepted to_monitor refused listed_allowed
                listed_blocked listed_reported host_mismatch pauses starved name_failures heads_refused dial_failures
                parent_requests parent_failures undecided unreadable reused;
            others: turns decided limited auth name_time connect_time helper_time to_clients to_origins families exchange ended;
            // All loops take the same lists over.
            same: lists_loaded;
        });
        add_all(self.limited.as_flattened_mut(), limited.as_flattened());
        add_all(&mut self.to_clients, to_clients);
        add_all(&mut self.to_origins, to_origins);
        add_all(self.families.as_flattened_mut(), families.as_flattened());
        add_all(&mut self.ended, ended);
        self.turns.add(turns);
        self.decided.add(decided);
        self.auth.add(auth);
        self.name_time.add(name_time);
        self.connect_time.add(connect_time);
        self.helper_time.add(helper_time);
        self.exchange.add(exchange);
    }
}

impl Running {
    /// Adds the numbers of another loop to those of the first.
    pub fn add(&mut self, other: &Running) {
        add_up!(self, other => Running {
            counts: silent clients tunnels opening established idle idle_limit blocks head_bytes;
            others: counters users cache dns list_files;
            // Of the whole process, or of what the first loop alone has.
            same: parents_down limit blocks_limit head_bytes_limit listed unloaded reloads process lists_stale loops_hanging episodes
                episodes_begun draining listening judged_by_error pid_saved helpers helped lost;
        });
        self.counters.add(counters);
        self.users.add(users);
        self.cache.add(cache);
        self.dns.add(dns);
        for ((_, sum), (_, more)) in self.list_files.iter_mut().zip(list_files) {
            sum.add(more);
        }
    }
}

impl Users {
    /// Adds those whose passwords another loop checks.
    fn add(&mut self, other: &Users) {
        add_up!(self, other => Users { counts: waiting kept; others: ; same: proxy monitor; });
    }
}

impl ListFileNumbers {
    /// Adds what the same file has done in another loop.
    pub fn add(&mut self, other: &ListFileNumbers) {
        add_up!(self, other => ListFileNumbers {
            counts: allowed blocked reported;
            others: ;
            same: entries age generation;
        });
    }
}
