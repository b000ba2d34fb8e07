//! Troubles that last: which there are now, when each began, how many it has hit, and what an operator is told of it. They are
//! found in the numbers, which are looked at once a second. Knows no log, no page and no clock.

mod kind;

use std::collections::VecDeque;
use std::sync::Arc;

use reactor::Millis;

use super::{Helpers, Running};
use crate::counters::exchange::CauseCounts;
pub use kind::EpisodeKind;
use kind::CALM;

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
                let count = grown(minute.unreadable, now.unreadable);
                let text = format!("replies of helpers cannot be read, {count} in the last minute: run the program by hand, as docs/redirectors.md says");
                (count > 0).then_some(Sign { text, hits: grown(last.unreadable, now.unreadable) })
            }
            EpisodeKind::HelpersHang => self.hanging_helpers(&minute, last, now, running),
            EpisodeKind::LinesLost => {
                let text = format!("logs do not take their lines in time, {} were lost since the start", now.lost);
                (now.lost > last.lost).then_some(Sign { text, hits: grown(last.lost, now.lost) })
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
        let (hits, answered) = (grown(last.dns_failed, now.dns_failed), now.dns_answers > last.dns_answers);
        let old = self.before(now.at, SERVERS_SILENT);
        let known = self.is_open(EpisodeKind::NameServersSilent);
        let begins = now.dns_failed > old.dns_failed && now.dns_answers == old.dns_answers;
        let text = "no name server answers: look at dns.resolver, at the servers and at the way to them";
        (!answered && (known || begins)).then(|| Sign { text: text.to_owned(), hits })
    }

    fn hanging_helpers(&self, minute: &Tally, last: &Tally, now: &Tally, running: &Running) -> Option<Sign> {
        let (killed, hits) = (grown(minute.hung, now.hung), grown(last.hung, now.hung));
        if killed > 0 {
            let text = format!("helpers do not reply within redirector.timeout, {killed} killed in the last minute");
            return Some(Sign { text, hits });
        }
        let old = self.before(now.at, HELPERS_SILENT);
        let waits = running.helpers.as_ref().filter(|helpers| helpers.queue > 0 && helpers.forked > 0)?;
        let text = format!(
            "no reply of a helper has come for {} s, requests that wait: {}",
            HELPERS_SILENT / 1000,
            waits.queue
        );
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

/// By how much a count has grown. One that a reload begins anew has not.
fn grown(before: u64, now: u64) -> u64 {
    now.saturating_sub(before)
}

/// Whether too many of the requests of the last minute have failed.
fn failing_requests(share: u64, minute: &Tally, last: &Tally, now: &Tally) -> Option<Sign> {
    let failures = now.failures.since(&minute.failures);
    let failed = failures.total();
    // What fails now may have been asked for long ago.
    let all = grown(minute.requests, now.requests).max(failed);
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
            Sign::state(format!("more requests wait than there are helpers: {queue}, {forked} (redirector.maximum)"))
        }),
        EpisodeKind::ReloadRefused => {
            running.unloaded.as_ref().and_then(|why| Sign::state(format!("the configuration stays as it was: {why}")))
        }
        EpisodeKind::LimitsLowered => options.lowered.as_ref().and_then(|text| Sign::state(&**text)),
        EpisodeKind::LimitReached if running.limit > 0 && running.clients >= running.limit => {
            Sign::state(format!("the limit of clients is reached, {}", running.limit))
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
        EpisodeKind::LoopHangs if running.loops_hanging > 0 => {
            Sign::state(format!("{} loops do not turn any more, and their clients wait", running.loops_hanging))
        }
        EpisodeKind::PasswordsWait if running.users.waiting >= CHECKS => {
            Sign::state(format!("{} passwords wait to be checked", running.users.waiting))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
