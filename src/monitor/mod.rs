//! Counters, and what can be seen of them. Rendered from snapshots only, so that pages can be tested without a proxy.

pub mod drainers;
pub mod episodes;
pub mod history;
pub mod hosts;
pub mod listeners;
pub mod lists;
pub mod observed;
pub mod peaks;
pub mod process;
mod rows;
pub mod sessions;
pub mod users;
pub mod whole;

use std::net::IpAddr;
use std::sync::Arc;

use reactor::Millis;

use self::episodes::{Episode, EpisodeKind};
use self::lists::ListFileNumbers;
use crate::cache::CacheNumbers;
use crate::counters::histogram::Histogram;
use crate::counters::turns::TurnTimes;
use crate::counters::{auth::AuthCounters, decided::DecidedCounts, exchange::ExchangeCounters};
use crate::exchange::close::CloseReason;
use crate::exchange::flow::Direction;
use crate::exchange::Exchange;
use crate::peer::{ClientId, Family};
use crate::policy::lists::list::ListSize;
use crate::policy::rates::REQUEST_KINDS;
use crate::redirector::pool::{HelperPool, PoolCounters};
use process::{ProcessNumbers, Reloads};
use users::Users;

/// What happened since the start.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Rounds of the loop.
    pub loops: u64,
    /// How long they took.
    pub turns: TurnTimes,
    /// Socket events.
    pub events: u64,
    /// Connections accepted, of any kind.
    pub accepted: u64,
    /// Connections turned away because all places were taken, most of them by their client.
    pub turned_away: u64,
    /// Requests seen by the proxy.
    pub requests: u64,
    /// Requests to the monitor.
    pub monitor_requests: u64,
    /// Connections to the monitor; they are among those that were accepted.
    pub monitor_accepted: u64,
    /// Bytes sent to clients of the monitor. Of sessions that are open a snapshot adds them.
    pub to_monitor: u64,
    /// Requests by what was decided about them.
    pub decided: DecidedCounts,
    /// Requests refused because no address of their host may be connected to.
    pub refused: u64,
    /// Requests and tunnels refused because their client has too many connections, and because it asks too often.
    pub limited: [[u64; REQUEST_KINDS]; 2],
    /// Requests that lists let pass.
    pub listed_allowed: u64,
    /// Requests that lists refused.
    pub listed_blocked: u64,
    /// Requests that lists would have refused (`acl.mode = report`).
    pub listed_reported: u64,
    /// Diverted requests whose host is not where their connection was going (`intercept.host-check`).
    pub host_mismatch: u64,
    /// How often lists were read anew.
    pub lists_loaded: u64,
    /// Pauses in accepting, for want of descriptors or memory.
    pub pauses: u64,
    /// Seconds in which a session found no buffer.
    pub starved: u64,
    /// Users and their passwords.
    pub auth: AuthCounters,
    /// Names that gave no address.
    pub name_failures: u64,
    /// Requests and responses refused because heads take too much memory.
    pub heads_refused: u64,
    /// Origins that could not be connected to.
    pub dial_failures: u64,
    /// Requests that went to a parent.
    pub parent_requests: u64,
    /// Parents that could not be connected to.
    pub parent_failures: u64,
    /// Requests that no helper decided about, though there are some.
    pub undecided: u64,
    /// Replies of helpers that could not be read.
    pub unreadable: u64,
    /// How long requests waited for a name that was not known.
    pub name_time: Histogram,
    /// How long new connections to origins took.
    pub connect_time: Histogram,
    /// How long helpers took for a reply.
    pub helper_time: Histogram,
    /// Exchanges for which a kept connection was used.
    pub reused: u64,
    /// Bytes sent to clients, by what they come by ([`Family::ALL`]). Of sessions that are open a snapshot adds them.
    pub to_clients: [u64; Family::ALL.len()],
    /// Bytes sent to origins, by what their clients come by.
    pub to_origins: [u64; Family::ALL.len()],
    /// Connections made to origins, by what the client comes by and by the family of the address.
    pub families: [[u64; Family::OUT.len()]; Family::ALL.len()],
    /// What exchanges count themselves.
    pub exchange: ExchangeCounters,
    /// Sessions by why they ended, in the order of [`CloseReason::COUNTED`].
    pub ended: [u64; CloseReason::COUNTED.len()],
}

impl Counters {
    /// A session has ended.
    pub fn note_end(&mut self, exchange: &Exchange, reason: CloseReason) {
        self.add_transfer(exchange);
        if let Some(place) = reason.index() {
            self.ended[place] += 1;
        }
    }

    /// A connection to this origin was made for this client, which took so many microseconds.
    pub fn note_made(&mut self, client: ClientId, origin: IpAddr, took: u64) {
        self.connect_time.note(took);
        self.families[client.family() as usize][usize::from(origin.is_ipv6())] += 1;
    }

    /// Connections made to origins: what the client comes by, the family of the address, how many.
    pub fn ways(&self) -> impl Iterator<Item = (Family, Family, u64)> + '_ {
        let out = |(client, counts): (Family, &[u64; Family::OUT.len()])| {
            Family::OUT.into_iter().zip(*counts).map(move |(origin, count)| (client, origin, count))
        };
        Family::ALL.into_iter().zip(&self.families).flat_map(out)
    }

    /// Adds what the exchanges of a session have moved so far.
    pub fn add_transfer(&mut self, exchange: &Exchange) {
        if exchange.ingress().is_local() {
            self.to_monitor += exchange.flow(Direction::Download).moved;
            return;
        }
        let family = exchange.peer().family() as usize;
        self.to_clients[family] += exchange.flow(Direction::Download).moved;
        self.to_origins[family] += exchange.flow(Direction::Upload).moved;
    }
}

/// The numbers of one moment.
#[derive(Clone, Debug, Default)]
pub struct Running {
    /// Since the start.
    pub counters: Counters,
    /// Proxy clients without a first request.
    pub silent: u64,
    /// All proxy clients.
    pub clients: u64,
    /// Those of them in a tunnel.
    pub tunnels: u64,
    /// Most proxy clients.
    pub limit: u64,
    /// Connections to origins under way.
    pub opening: u64,
    /// Connections to origins.
    pub established: u64,
    /// Those of them that are kept and in no session's use.
    pub idle: u64,
    /// Parents that are left alone since they could not be reached.
    pub parents_down: u64,
    /// Blocks that the pool has lent.
    pub blocks: u64,
    /// Most of them.
    pub blocks_limit: u64,
    /// Bytes of heads beyond a block each.
    pub head_bytes: u64,
    /// Most of them.
    pub head_bytes_limit: u64,
    /// Most connections to origins that are kept and in no session's use.
    pub idle_limit: u64,
    /// The cache, where there is one.
    pub cache: CacheNumbers,
    /// What is in lists.
    pub listed: ListSize,
    /// The first files of each list, by its name: `block` or `allow`.
    pub list_files: Vec<(&'static str, ListFileNumbers)>,
    /// Users, and the files that they stand in.
    pub users: Users,
    /// Why the last reload has failed, where it has.
    pub unloaded: Option<Arc<str>>,
    /// What became of reloads.
    pub reloads: Reloads,
    /// What the process takes of its machine.
    pub process: ProcessNumbers,
    /// Why the files of lists could not be read again, where they could not.
    pub lists_stale: Option<Arc<str>>,
    /// Loops that do not turn any more.
    pub loops_hanging: u64,
    /// What is wrong now.
    pub episodes: Vec<Episode>,
    /// Episodes that have begun, in the order of their kinds.
    pub episodes_begun: [u64; EpisodeKind::ALL.len()],
    /// A soft stop is under way.
    pub draining: bool,
    /// The proxy listens for clients.
    pub listening: bool,
    /// Requests that no helper decides about get an error (`redirector.on-failure`).
    pub judged_by_error: bool,
    /// A pidfile was written.
    pub pid_saved: bool,
    /// What the resolver counted.
    pub dns: dns::Counters,
    /// The helpers, where there are any.
    pub helpers: Option<Helpers>,
    /// What helpers have done since the start, those of earlier configurations included.
    pub helped: PoolCounters,
    /// Lines that no log has.
    pub lost: Lost,
}

/// Lines that were lost because a destination did not take them, by the log that they were meant for. Logs with one
/// destination have one writer, and each of them shows what that writer has lost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lost {
    /// Messages.
    pub messages: u64,
    /// Decisions.
    pub usage: u64,
    /// Requests.
    pub access: u64,
}

/// The helpers of one moment.
#[derive(Clone, Debug, Default)]
pub struct Helpers {
    /// Helpers that run.
    pub forked: u64,
    /// As few as there may be.
    pub minimum: u64,
    /// As many as there may be.
    pub maximum: u64,
    /// Requests that wait for one.
    pub queue: u64,
    /// Most of them.
    pub queue_limit: u64,
    /// They end as soon as they are started.
    pub failing: bool,
    /// One of them has shown that it works.
    pub served: bool,
}

impl Helpers {
    /// Looks at the helpers.
    pub fn of(pool: &HelperPool, now: Millis) -> Helpers {
        Helpers {
            forked: pool.forked() as u64,
            minimum: pool.settings().minimum as u64,
            maximum: pool.settings().maximum as u64,
            queue: pool.queue_len() as u64,
            queue_limit: pool.settings().queue as u64,
            failing: pool.is_failing(),
            served: pool.is_served(now),
        }
    }
}

impl Running {
    /// Does the proxy take new clients?
    pub fn accepts(&self) -> bool {
        self.listening && !self.draining
    }

    /// Do requests fail because no helper works?
    pub fn helpers_fail(&self) -> bool {
        self.judged_by_error && self.helpers.as_ref().is_some_and(|helpers| helpers.failing && !helpers.served)
    }

    /// What went wrong since the start, by cause, always in the same order: requests that the proxy had to answer
    /// itself, and sessions that did not end well.
    pub fn errors(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counters = &self.counters;
        let ended = CloseReason::COUNTED.iter().zip(counters.ended).filter(|(reason, _)| !reason.is_peaceful());
        counters.exchange.answers().chain(ended.map(|(reason, count)| (reason.name(), count)))
    }
}
