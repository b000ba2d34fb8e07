//! Episodes as they come and go with the numbers.

use super::*;
use crate::http::cause::Cause;

struct Watch {
    episodes: Episodes,
    options: EpisodeOptions,
    running: Running,
    now: Millis,
}

impl Watch {
    fn new() -> Watch {
        let options = EpisodeOptions { alarm_errors: 20, ..EpisodeOptions::default() };
        let mut watch = Watch { episodes: Episodes::default(), options, running: Running::default(), now: 5_000 };
        assert_eq!(watch.look(1), []);
        watch
    }

    /// Lets seconds pass with these numbers; gives what the log was told.
    fn look(&mut self, seconds: u64) -> Vec<EpisodeNews> {
        let mut news = Vec::new();
        for _ in 0..seconds {
            self.now += 1_000;
            news.extend(self.episodes.look(self.now, &self.running, &self.options));
        }
        news
    }

    fn words(&self) -> Vec<&'static str> {
        self.episodes.current().iter().map(|episode| episode.kind.word()).collect()
    }

    fn fail(&mut self, requests: u64, failed: u64, cause: Cause) {
        self.running.counters.requests += requests;
        (0..failed).for_each(|_| self.running.counters.exchange.note_answer(cause, false));
    }
}

fn began(text: &str) -> Vec<EpisodeNews> {
    vec![EpisodeNews::Began(text.into())]
}

fn ended(text: &str) -> Vec<EpisodeNews> {
    vec![EpisodeNews::Ended(text.to_owned())]
}

#[test]
fn every_kind_stands_at_its_place_and_has_a_word_of_its_own() {
    for (place, kind) in EpisodeKind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, place);
        assert_eq!(EpisodeKind::ALL.iter().filter(|other| other.word() == kind.word()).count(), 1);
    }
}

#[test]
fn a_share_of_failed_requests_is_one_episode_with_its_causes() {
    let mut watch = Watch::new();
    watch.fail(19, 19, Cause::ConnectFailed);
    assert_eq!(watch.look(2), [], "too few to say anything");
    watch.fail(81, 0, Cause::ConnectFailed);
    watch.fail(0, 1, Cause::NameFailed);
    let text = "20 of 100 requests of the last minute failed (web.alarm-errors): 19 connection_refused, 1 dns_error";
    assert_eq!(watch.look(1), began(text));
    watch.fail(10, 10, Cause::ConnectFailed);
    assert_eq!(watch.look(1), []);
    assert_eq!(
        &*watch.episodes.current()[0].text,
        "30 of 110 requests of the last minute failed (web.alarm-errors): 29 connection_refused, 1 dns_error"
    );
    // The failures leave the minute, and a while later it is over.
    let news = watch.look(80);
    assert_eq!(news.len(), 1, "{news:?}");
    assert!(
        matches!(&news[0], EpisodeNews::Ended(text) if text.ends_with("s in which 11 requests failed")),
        "{news:?}"
    );
    assert_eq!((watch.words(), watch.episodes.begun()[1]), (vec![], 1));
}

#[test]
fn refusals_and_faults_of_clients_are_no_failures_and_zero_switches_them_off() {
    let mut watch = Watch::new();
    watch.fail(50, 50, Cause::Blocked);
    watch.fail(50, 50, Cause::AuthenticationRequired);
    assert_eq!(watch.look(3), []);
    watch.options.alarm_errors = 0;
    watch.fail(100, 100, Cause::ConnectTimeout);
    assert_eq!(watch.look(3), []);
}

#[test]
fn name_servers_are_silent_until_one_answers() {
    let mut watch = Watch::new();
    watch.running.dns.failed = 2;
    watch.running.dns.answers = 1;
    assert_eq!(watch.look(1), [], "one answered within ten seconds");
    watch.look(20);
    watch.running.dns.failed = 4;
    assert_eq!(watch.look(1).len(), 1);
    watch.running.dns.failed = 8;
    assert_eq!((watch.look(30), watch.words()), (vec![], vec!["name_servers_silent"]));
    watch.running.dns.answers = 2;
    assert_eq!(watch.look(1), ended("name servers answer again, after 31 s in which 6 questions failed"));
}

#[test]
fn helpers_that_hang_are_told_before_they_are_killed() {
    let mut watch = Watch::new();
    watch.look(15);
    watch.running.helpers = Some(Helpers { forked: 2, queue: 1, ..Helpers::default() });
    watch.running.helped.answered = 1;
    assert_eq!(watch.look(5), []);
    assert_eq!(watch.look(1), began("no reply of a helper has come for 5 s, requests that wait: 1"));
    watch.running.helped.hung = 2;
    watch.look(1);
    assert_eq!(
        &*watch.episodes.current()[0].text,
        "helpers do not reply within redirector.timeout, 2 killed in the last minute"
    );
    watch.running.helped.answered = 9;
    watch.running.helpers = Some(Helpers { forked: 2, ..Helpers::default() });
    let news = watch.look(90);
    assert!(
        matches!(&news[..], [EpisodeNews::Ended(text)] if text.ends_with("s in which 2 helpers were killed")),
        "{news:?}"
    );
}

#[test]
fn states_end_when_they_end_and_what_flickers_is_one_episode() {
    let mut watch = Watch::new();
    watch.running.unloaded = Some("x.conf:3: no".into());
    assert_eq!((watch.look(3), watch.words()), (vec![], vec!["reload_refused"]), "the log knows of it");
    watch.running.unloaded = None;
    assert_eq!(watch.look(1), ended("the configuration on disk is in force, after 3 s"));
    watch.running.limit = 5;
    for clients in [5, 4, 5, 4, 4, 5] {
        watch.running.clients = clients;
        watch.look(1);
    }
    watch.running.clients = 4;
    assert_eq!(watch.look(4), []);
    assert_eq!(watch.look(1), ended("there is room for clients again, after 6 s"));
    assert_eq!(watch.episodes.begun().iter().sum::<u64>(), 2);
}

#[test]
fn lost_lines_and_pauses_are_counted_from_where_they_began() {
    let mut watch = Watch::new();
    watch.running.lost.usage = 7;
    watch.running.counters.pauses = 1;
    let news = watch.look(1);
    assert_eq!(
        news,
        began("logs do not take their lines in time, 7 were lost since the start"),
        "why accepting pauses was told"
    );
    assert_eq!(watch.words(), ["lines_lost", "accepting_paused"]);
    assert_eq!(watch.look(12).len(), 2);
}

/// A log that a reload opens anew counts from nothing.
#[test]
fn a_count_that_begins_anew_is_no_trouble() {
    let mut watch = Watch::new();
    watch.running.lost.usage = 7;
    watch.running.dns.failed = 3;
    watch.running.helped.hung = 1;
    watch.look(1);
    watch.running.lost.usage = 0;
    watch.running.dns.failed = 0;
    watch.running.helped.hung = 0;
    watch.running.counters.requests = 0;
    assert!(watch.look(1).iter().all(|news| matches!(news, EpisodeNews::Ended(_))));
}
