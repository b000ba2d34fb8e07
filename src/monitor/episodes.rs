//! Troubles that last: which there are now, when each began, how many it has hit, and what an operator is told of it. They are
//! found in the numbers, which are looked at once a second. Knows no log, no page and no clock.

use std::collections::VecDeque;
use std::sync::Arc;

use reactor::Millis;

use super::{Helpers, Running};
use crate::counters::exchange::CauseCounts;

/// What an episode is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EpisodeKind {
    /// Questions fail, and no name server has answered any for a while.
    NameServersSilent,
    /// Too large a share of the requests fails (`web.alarm-errors`).
    RequestsFail,
    /// Helpers write what cannot be read.
    HelpersUnreadable,
    /// Helpers do not reply.
    HelpersHang,
    /// Helpers end as soon as they are started.
    HelpersEnd,
    /// No helper runs.
    HelpersMissing,
    /// More requests wait for helpers than there are helpers.
    HelpersBusy,
    /// The last reload has failed.
    ReloadRefused,
    /// Fewer clients can be taken than the configuration says, for want of descriptors.
    LimitsLowered,
    /// All places for clients are taken.
    LimitReached,
    /// Other proxies, through which requests are sent, cannot be reached.
    ParentsDown,
    /// Lists could not be read again.
    ListsOutdated,
    /// A file of users could not be read again.
    UsersOutdated,
    /// Passwords wait to be checked.
    PasswordsWait,
    /// Log lines were lost.
    LinesLost,
    /// Connections cannot be accepted, for want of descriptors or memory.
    AcceptingPaused,
    /// All buffers are lent.
    BuffersUsedUp,
}

impl EpisodeKind {
    /// All kinds, in the order of their places.
    pub const ALL: [EpisodeKind; 17] = [
        EpisodeKind::NameServersSilent,
        EpisodeKind::RequestsFail,
        EpisodeKind::HelpersUnreadable,
        EpisodeKind::HelpersHang,
        EpisodeKind::HelpersEnd,
        EpisodeKind::HelpersMissing,
        EpisodeKind::HelpersBusy,
        EpisodeKind::ReloadRefused,
        EpisodeKind::LimitsLowered,
        EpisodeKind::LimitReached,
        EpisodeKind::ParentsDown,
        EpisodeKind::ListsOutdated,
        EpisodeKind::UsersOutdated,
        EpisodeKind::PasswordsWait,
        EpisodeKind::LinesLost,
        EpisodeKind::AcceptingPaused,
        EpisodeKind::BuffersUsedUp,
    ];

    /// The word for it in metrics, JSON and `/health?strict`.
    pub fn word(self) -> &'static str {
        self.texts().0
    }

    /// Its word, what the log says when it is over, and what it hits.
    fn texts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            EpisodeKind::NameServersSilent => ("name_servers_silent", "name servers answer again", "questions failed"),
            EpisodeKind::RequestsFail => ("requests_fail", "requests no longer fail", "requests failed"),
            EpisodeKind::HelpersUnreadable => {
                ("helpers_unreadable", "replies of helpers can be read again", "replies could not be read")
            }
            EpisodeKind::HelpersHang => ("helpers_hang", "helpers reply again", "helpers were killed"),
            EpisodeKind::HelpersEnd => ("helpers_end", "helpers no longer end as soon as they are started", ""),
            EpisodeKind::HelpersMissing => ("helpers_missing", "helpers run again", ""),
            EpisodeKind::HelpersBusy => ("helpers_busy", "there are helpers enough again", ""),
            EpisodeKind::ReloadRefused => ("reload_refused", "the configuration on disk is in force", ""),
            EpisodeKind::LimitsLowered => {
                ("limits_lowered", "the limits of clients are those of the configuration", "")
            }
            EpisodeKind::LimitReached => ("limit_reached", "there is room for clients again", ""),
            EpisodeKind::ParentsDown => ("parents_down", "parents can be reached again", ""),
            EpisodeKind::ListsOutdated => ("lists_outdated", "the lists on disk are in force", ""),
            EpisodeKind::UsersOutdated => ("users_outdated", "the users on disk are in force", ""),
            EpisodeKind::PasswordsWait => ("passwords_wait", "passwords are checked at once again", ""),
            EpisodeKind::LinesLost => ("lines_lost", "logs take all lines again", "lines were lost"),
            EpisodeKind::AcceptingPaused => ("accepting_paused", "connections are accepted again", ""),
            EpisodeKind::BuffersUsedUp => ("buffers_used_up", "there are buffers again", ""),
        }
    }

    /// For how long nothing must be seen of it until it is over. What is a state ends with it.
    fn calm(self) -> Millis {
        match self {
            EpisodeKind::ReloadRefused | EpisodeKind::LimitsLowered => 0,
            EpisodeKind::ListsOutdated | EpisodeKind::UsersOutdated | EpisodeKind::NameServersSilent => 0,
            _ => CALM,
        }
    }

    /// Whether the log is told of its beginning here. Of the others it was told why, where they began.
    fn is_told(self) -> bool {
        let elsewhere = matches!(self, EpisodeKind::ReloadRefused | EpisodeKind::LimitsLowered);
        let loaded = matches!(self, EpisodeKind::ListsOutdated | EpisodeKind::UsersOutdated);
        !elsewhere && !loaded && !matches!(self, EpisodeKind::HelpersBusy | EpisodeKind::AcceptingPaused)
    }
}

/// Milliseconds without a sign until most kinds are over, so that what comes and goes is one episode.
const CALM: Millis = 5_000;

/// Milliseconds for which name servers, and helpers, have to be silent.
const SERVERS_SILENT: Millis = 10_000;
const HELPERS_SILENT: Millis = 5_000;

/// Milliseconds over which failures are counted, and requests within them that say something about a share.
const MINUTE: Millis = 60_000;
const ENOUGH: u64 = 20;

/// Passwords that wait, from which on an operator should know of it: a second or two of work.
const CHECKS: u64 = 32;

/// What is configured about episodes.
#[derive(Clone, Debug, Default)]
pub struct EpisodeOptions {
    /// The share of failed requests, in percent, from which on it is told; 0 = never (`web.alarm-errors`).
    pub alarm_errors: u64,
    /// What was lowered for want of descriptors.
    pub lowered: Option<Arc<str>>,
}

/// An episode that is under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Episode {
    /// What it is about.
    pub kind: EpisodeKind,
    /// What is wrong, in words for the operator.
    pub text: Arc<str>,
    /// How many it has hit, of the kind that it counts.
    pub hits: u64,
    began: Millis,
    seen: Millis,
}

/// What the log has to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EpisodeNews {
    /// Something is wrong from now on.
    Began(Arc<str>),
    /// It is not any more.
    Ended(String),
}

/// What a look finds of a kind.
struct Sign {
    text: String,
    /// How many it has hit since the last look.
    hits: u64,
}

impl Sign {
    fn state(text: impl Into<String>) -> Option<Sign> {
        Some(Sign { text: text.into(), hits: 0 })
    }
}

/// The counts of a moment that has passed.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    at: Millis,
    requests: u64,
    failures: CauseCounts,
    dns_failed: u64,
    dns_answers: u64,
    unreadable: u64,
    hung: u64,
    replies: u64,
    lost: u64,
    pauses: u64,
    starved: u64,
}

impl Tally {
    fn of(at: Millis, running: &Running) -> Tally {
        let (counters, lost) = (&running.counters, &running.lost);
        Tally {
            at,
            requests: counters.requests,
            failures: counters.exchange.failures(),
            dns_failed: running.dns.failed,
            dns_answers: running.dns.answers,
            unreadable: counters.unreadable,
            hung: running.helped.hung,
            replies: running.helped.answered,
            lost: lost.messages.max(lost.usage).max(lost.access),
            pauses: counters.pauses,
            starved: counters.starved,
        }
    }
}

/// All that is known of episodes.
#[derive(Debug, Default)]
pub struct Episodes {
    /// A minute of counts, oldest first.
    tallies: VecDeque<Tally>,
    current: Vec<Episode>,
    begun: [u64; EpisodeKind::ALL.len()],
}

impl Episodes {
    /// The episodes that are under way, in the order of their kinds.
    pub fn current(&self) -> &[Episode] {
        &self.current
    }

    /// How many of each kind have begun, in the order of [`EpisodeKind::ALL`].
    pub fn begun(&self) -> [u64; EpisodeKind::ALL.len()] {
        self.begun
    }

    /// Looks at the numbers of this moment; to be called about once a second. Gives what the log has to be told.
    pub fn look(&mut self, now: Millis, running: &Running, options: &EpisodeOptions) -> Vec<EpisodeNews> {
        let tally = Tally::of(now, running);
        if self.tallies.is_empty() {
            // What comes before the first look counts, too.
            self.tallies.push_back(Tally { at: now.saturating_sub(1000), ..Tally::default() });
        }
        let last = self.tallies.back().copied().unwrap_or_default();
        self.tallies.push_back(tally);
        while self.tallies.front().is_some_and(|oldest| oldest.at + MINUTE + CALM < now) {
            self.tallies.pop_front();
        }
        let mut news = Vec::new();
        for kind in EpisodeKind::ALL {
            let finding = self.find(kind, &last, &tally, running, options);
            news.extend(self.note(kind, finding, now));
        }
        news
    }

    /// The counts of so many milliseconds ago, or the oldest that there are.
    fn before(&self, now: Millis, span: Millis) -> Tally {
        let old = self.tallies.iter().rev().find(|tally| tally.at + span <= now);
        old.or(self.tallies.front()).copied().unwrap_or_default()
    }

    fn find(
        &self,
        kind: EpisodeKind,
        last: &Tally,
        now: &Tally,
        running: &Running,
        options: &EpisodeOptions,
    ) -> Option<Sign> {
        let minute = self.before(now.at, MINUTE);
        match kind {
            EpisodeKind::NameServersSilent => self.silent_servers(last, now),
            EpisodeKind::RequestsFail => failing_requests(options.alarm_errors, &minute, last, now),
            EpisodeKind::HelpersUnreadable => {
                let count = now.unreadable - minute.unreadable;
                let text = format!("replies of helpers cannot be read, {count} in the last minute: run the program by hand, as docs/redirectors.md says");
                (count > 0).then_some(Sign { text, hits: now.unreadable - last.unreadable })
            }
            EpisodeKind::HelpersHang => self.hanging_helpers(&minute, last, now, running),
            EpisodeKind::LinesLost => {
                let text = format!("logs do not take their lines in time, {} were lost since the start", now.lost);
                (now.lost > last.lost).then_some(Sign { text, hits: now.lost - last.lost })
            }
            EpisodeKind::AcceptingPaused if now.pauses > last.pauses => {
                Sign::state("connections cannot be accepted: no descriptors or no memory are left")
            }
            EpisodeKind::BuffersUsedUp if now.starved > last.starved => {
                Sign::state(format!("the buffers are used up, {} are lent: reading has to wait", running.blocks))
            }
            EpisodeKind::AcceptingPaused | EpisodeKind::BuffersUsedUp => None,
            state => state_of(state, running, options),
        }
    }

    fn silent_servers(&self, last: &Tally, now: &Tally) -> Option<Sign> {
        let (hits, answered) = (now.dns_failed - last.dns_failed, now.dns_answers > last.dns_answers);
        let old = self.before(now.at, SERVERS_SILENT);
        let known = self.is_open(EpisodeKind::NameServersSilent);
        let begins = now.dns_failed > old.dns_failed && now.dns_answers == old.dns_answers;
        let text = "no name server answers: look at dns.resolver, at the servers and at the way to them";
        (!answered && (known || begins)).then(|| Sign { text: text.to_owned(), hits })
    }

    fn hanging_helpers(&self, minute: &Tally, last: &Tally, now: &Tally, running: &Running) -> Option<Sign> {
        let (killed, hits) = (now.hung - minute.hung, now.hung - last.hung);
        if killed > 0 {
            let text =
                format!("helpers do not reply within redirector.timeout, {killed} were killed in the last minute");
            return Some(Sign { text, hits });
        }
        let old = self.before(now.at, HELPERS_SILENT);
        let waits = running.helpers.as_ref().filter(|helpers| helpers.queue > 0 && helpers.forked > 0)?;
        let text =
            format!("{} requests wait for helpers, and no reply has come for {} s", waits.queue, HELPERS_SILENT / 1000);
        (old.replies == now.replies && now.at - old.at >= HELPERS_SILENT).then_some(Sign { text, hits })
    }

    fn is_open(&self, kind: EpisodeKind) -> bool {
        self.current.iter().any(|episode| episode.kind == kind)
    }

    /// Opens, goes on with, or ends the episode of a kind.
    fn note(&mut self, kind: EpisodeKind, finding: Option<Sign>, now: Millis) -> Option<EpisodeNews> {
        let place = self.current.partition_point(|episode| (episode.kind as usize) < kind as usize);
        let open = self.current.get_mut(place).filter(|episode| episode.kind == kind);
        match (open, finding) {
            (None, None) => None,
            (None, Some(Sign { text, hits })) => {
                let text: Arc<str> = text.into();
                self.begun[kind as usize] += 1;
                let episode = Episode { kind, text: Arc::clone(&text), hits, began: now, seen: now };
                self.current.insert(place, episode);
                kind.is_told().then_some(EpisodeNews::Began(text))
            }
            (Some(episode), Some(Sign { text, hits })) => {
                (episode.text, episode.seen) = (text.into(), now);
                episode.hits += hits;
                None
            }
            (Some(episode), None) if now < episode.seen + kind.calm() => None,
            (Some(_), None) => Some(EpisodeNews::Ended(self.current.remove(place).ending())),
        }
    }
}

impl Episode {
    /// What the log says when it is over.
    fn ending(&self) -> String {
        let (_, over, what) = self.kind.texts();
        let seconds = (self.seen - self.began) / 1000 + 1;
        match self.hits {
            0 => format!("{over}, after {seconds} s"),
            hits => format!("{over}, after {seconds} s in which {hits} {what}"),
        }
    }
}

/// Whether too many of the requests of the last minute have failed.
fn failing_requests(share: u64, minute: &Tally, last: &Tally, now: &Tally) -> Option<Sign> {
    let failures = now.failures.since(&minute.failures);
    let failed = failures.total();
    // What fails now may have been asked for long ago.
    let all = (now.requests - minute.requests).max(failed);
    if share == 0 || all < ENOUGH || failed * 100 < share * all {
        return None;
    }
    let mut causes: Vec<(&str, u64)> = failures.by_word().filter(|(_, count)| *count > 0).collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let causes: Vec<String> = causes.iter().take(3).map(|(word, count)| format!("{count} {word}")).collect();
    let text =
        format!("{failed} of {all} requests of the last minute failed (web.alarm-errors): {}", causes.join(", "));
    Some(Sign { text, hits: now.failures.since(&last.failures).total() })
}

/// What needs no look back.
fn state_of(kind: EpisodeKind, running: &Running, options: &EpisodeOptions) -> Option<Sign> {
    let helpers = running.helpers.as_ref();
    match kind {
        EpisodeKind::HelpersEnd if helpers.is_some_and(|helpers| helpers.failing) => {
            Sign::state("helpers end as soon as they are started")
        }
        EpisodeKind::HelpersMissing if helpers.is_some_and(|helpers| helpers.forked == 0 && !helpers.failing) => {
            Sign::state("no helper runs")
        }
        EpisodeKind::HelpersBusy => helpers.filter(|helpers| helpers.queue > helpers.forked).and_then(|helpers| {
            let Helpers { queue, forked, .. } = helpers;
            Sign::state(format!("{queue} requests wait for {forked} helpers (redirector.maximum)"))
        }),
        EpisodeKind::ReloadRefused => {
            running.unloaded.as_ref().and_then(|why| Sign::state(format!("the configuration stays as it was: {why}")))
        }
        EpisodeKind::LimitsLowered => options.lowered.as_ref().and_then(|text| Sign::state(&**text)),
        EpisodeKind::LimitReached if running.limit > 0 && running.clients >= running.limit => {
            Sign::state(format!("the limit of {} clients is reached", running.limit))
        }
        EpisodeKind::ParentsDown if running.parents_down == 1 => Sign::state("1 parent cannot be reached"),
        EpisodeKind::ParentsDown if running.parents_down > 1 => {
            Sign::state(format!("{} parents cannot be reached", running.parents_down))
        }
        EpisodeKind::ListsOutdated => running
            .lists_stale
            .as_ref()
            .and_then(|why| Sign::state(format!("{why}; the lists that were read before stay in force"))),
        EpisodeKind::UsersOutdated => running
            .users
            .troubles()
            .next()
            .and_then(|why| Sign::state(format!("{why}; the users that were read before may still log in"))),
        EpisodeKind::PasswordsWait if running.users.waiting >= CHECKS => {
            Sign::state(format!("{} passwords wait to be checked", running.users.waiting))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
