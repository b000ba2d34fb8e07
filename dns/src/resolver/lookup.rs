//! One lookup: a name, its candidates from the search list, its two families, and the waiters that are to be told.
//! Knows no servers.

use std::collections::VecDeque;
use std::sync::Arc;

use super::config::Config;
use super::table::Key;
use crate::outcome::{combine, Stored};
use crate::wire::name::MAX_TEXT;
use crate::{Addresses, Failure, Family, Millis};

/// Most waiters of one name: more clients than a proxy serves.
pub(crate) const MAX_WAITERS: usize = 65_536;

/// The state of one family of the present candidate.
#[derive(Clone, Debug)]
pub(crate) enum FamilyState {
    /// Not wanted.
    Off,
    /// A question is open. `expires` is the shortest time of the aliases that led to it, `hops` their number.
    Asking { query: Key, expires: Millis, hops: u8 },
    /// It is known.
    Known(Stored),
}

/// One lookup.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// The name as it was asked, in normal form, with its last dot if that matters. A later lookup of an equal name joins
    /// this one.
    pub(crate) asked: Arc<str>,
    /// The candidate in work.
    pub(crate) name: Arc<str>,
    pub(crate) parts: [FamilyState; 2],
    pub(crate) waiters: VecDeque<u64>,
    /// How many waiters, counted from the front, were told of the first family already.
    pub(crate) told: usize,
    /// It may be announced with one family.
    pub(crate) early: bool,
    pub(crate) result: Option<Result<Addresses, Failure>>,
    pub(crate) deadline: Millis,
    /// When the IPv4 addresses have waited long enough for the others.
    pub(crate) early_at: Option<Millis>,
    /// It stands in the queue of lookups with something to announce.
    pub(crate) queued: bool,
    absolute: bool,
    candidate: usize,
    failure: Option<Failure>,
}

impl Lookup {
    pub(crate) fn new(asked: Arc<str>, deadline: Millis) -> Lookup {
        let absolute = asked.ends_with('.');
        Lookup {
            name: Arc::clone(&asked),
            asked,
            parts: [FamilyState::Off, FamilyState::Off],
            waiters: VecDeque::new(),
            told: 0,
            early: false,
            result: None,
            deadline,
            early_at: None,
            queued: false,
            absolute,
            candidate: 0,
            failure: None,
        }
    }

    /// Moves to the next candidate; `false` if there is none. Call it once before the first.
    pub(crate) fn next_candidate(&mut self, config: &Config) -> bool {
        while self.candidate < self.candidates(config) {
            self.candidate += 1;
            if let Some(name) = self.candidate(config, self.candidate - 1) {
                self.name = name;
                return true;
            }
        }
        false
    }

    fn candidates(&self, config: &Config) -> usize {
        if self.absolute {
            1
        } else {
            1 + config.search.len()
        }
    }

    /// resolv.conf(5): with fewer than `ndots` dots the search list comes first, else the name as it stands.
    fn candidate(&self, config: &Config, at: usize) -> Option<Arc<str>> {
        if self.absolute {
            return Some(self.asked.trim_end_matches('.').into());
        }
        let dots = dots(&self.asked);
        let bare_at = if dots >= config.ndots { 0 } else { config.search.len() };
        if at == bare_at {
            let alone = dots == 0 && config.no_tld_query && !config.search.is_empty();
            return (!alone).then(|| Arc::clone(&self.asked));
        }
        let domain = config.search.get(if at < bare_at { at } else { at - 1 })?;
        let name = format!("{}.{domain}", self.asked);
        (name.len() <= MAX_TEXT).then(|| name.into())
    }

    /// What is known of a family of the present candidate.
    pub(crate) fn known(&self, family: Family) -> Option<&Stored> {
        match &self.parts[family.index()] {
            FamilyState::Known(stored) => Some(stored),
            _ => None,
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        !self.parts.iter().any(|part| matches!(part, FamilyState::Asking { .. }))
    }

    pub(crate) fn has_found(&self, family: Family) -> bool {
        self.known(family).is_some_and(Stored::is_found)
    }

    /// The result as far as it is known.
    pub(crate) fn combined(&self) -> Result<Addresses, Failure> {
        combine(self.known(Family::V6), self.known(Family::V4))
    }

    /// Notes that the present candidate has no address, and says whether the next one may be tried. Silent servers are
    /// not asked for more names.
    pub(crate) fn note_failure(&mut self, failure: Failure) -> bool {
        let weight = |failure| match failure {
            Failure::NotFound => 0,
            Failure::NoAddress => 1,
            _ => 2,
        };
        let worst = self.failure.filter(|&before| weight(before) >= weight(failure)).unwrap_or(failure);
        self.failure = Some(worst);
        matches!(failure, Failure::NotFound | Failure::NoAddress | Failure::ServerFailure)
    }

    /// The most telling failure of all candidates.
    pub(crate) fn failure(&self) -> Failure {
        self.failure.unwrap_or(Failure::BadName)
    }

    /// When it has to be looked at again, if no answer comes before.
    pub(crate) fn due(&self) -> Millis {
        self.early_at.map_or(self.deadline, |early| early.min(self.deadline))
    }

    /// Removes a waiter, and says whether any is left.
    pub(crate) fn leave(&mut self, waiter: u64) -> bool {
        if let Some(at) = self.waiters.iter().position(|&other| other == waiter) {
            self.waiters.remove(at);
            self.told -= usize::from(at < self.told);
        }
        !self.waiters.is_empty()
    }
}

/// The dots in a name, which ndots is compared with.
pub(crate) fn dots(name: &str) -> u32 {
    name.bytes().filter(|&byte| byte == b'.').count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(asked: &str, search: &[&str], ndots: u32, no_tld_query: bool) -> Vec<String> {
        let search = search.iter().map(|domain| domain.to_string()).collect();
        let config = Config { search, ndots, no_tld_query, ..Config::default() };
        let mut lookup = Lookup::new(asked.into(), 0);
        let mut names = Vec::new();
        while lookup.next_candidate(&config) {
            names.push(lookup.name.to_string());
        }
        names
    }

    #[test]
    fn candidates_follow_ndots() {
        let search = ["x.test", "y.test"];
        for (asked, ndots, expected) in [
            ("host", 1, vec!["host.x.test", "host.y.test", "host"]),
            ("a.b", 1, vec!["a.b", "a.b.x.test", "a.b.y.test"]),
            ("a.b", 2, vec!["a.b.x.test", "a.b.y.test", "a.b"]),
            ("host", 0, vec!["host", "host.x.test", "host.y.test"]),
            ("host.", 1, vec!["host"]),
            ("a.b.", 5, vec!["a.b"]),
        ] {
            assert_eq!(candidates(asked, &search, ndots, false), expected, "{asked} {ndots}");
        }
        assert_eq!(candidates("host", &search, 1, true), ["host.x.test", "host.y.test"]);
        assert_eq!(candidates("host", &[], 1, true), ["host"]);
    }

    #[test]
    fn a_candidate_that_is_too_long_is_passed_over() {
        let long = format!("{}long.test", "abcdefghi.".repeat(24));
        assert_eq!(candidates(&long, &["x.test", "y"], 1, false).len(), 2);
    }

    #[test]
    fn leaving_keeps_count_of_those_who_were_told() {
        let mut lookup = Lookup::new("a".into(), 0);
        lookup.waiters.extend([1, 2, 3]);
        lookup.told = 2;
        assert!(lookup.leave(2) && lookup.told == 1);
        assert!(lookup.leave(3) && lookup.told == 1);
        assert!(lookup.leave(9) && !lookup.leave(1));
        assert_eq!(lookup.told, 0);
    }

    #[test]
    fn the_most_telling_failure_is_kept() {
        let mut lookup = Lookup::new("a".into(), 0);
        assert!(lookup.note_failure(Failure::NotFound) && lookup.note_failure(Failure::NoAddress));
        assert!(lookup.note_failure(Failure::NotFound));
        assert_eq!(lookup.failure(), Failure::NoAddress);
        assert!(!lookup.note_failure(Failure::Timeout));
        assert_eq!(lookup.failure(), Failure::Timeout);
    }
}
