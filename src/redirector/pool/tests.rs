//! The pool against scripts of what helpers and clients do.

use reactor::arena::{Arena, Key};
use reactor::Millis;

use super::*;

/// The client of all questions where it does not matter.
fn client() -> ClientKey {
    ClientKey::from(std::net::IpAddr::from([192, 0, 2, 1]))
}

struct Play {
    pool: HelperPool,
    sessions: Arena<()>,
    now: Millis,
}

/// A pool with these bounds that has started its helpers, all of which serve, and their keys.
fn serving(minimum: usize, maximum: usize) -> (Play, Vec<Key>) {
    let mut play = Play::new(settings(minimum, maximum));
    let helpers = play.started();
    helpers.iter().for_each(|key| play.pool.handle_started(*key, play.now));
    assert_eq!(play.done(), []);
    (play, helpers)
}

fn settings(minimum: usize, maximum: usize) -> PoolSettings {
    PoolSettings { minimum, maximum, timeout: 10_000, queue: 4, concurrency: 1 }
}

impl Play {
    fn new(settings: PoolSettings) -> Play {
        let mut play = Play { pool: HelperPool::new(settings, 1), sessions: Arena::new(), now: 1 };
        play.pool.settle(play.now);
        play
    }

    fn done(&mut self) -> Vec<PoolAction> {
        std::iter::from_fn(|| self.pool.poll()).collect()
    }

    /// The helpers that were just started; nothing else was done.
    fn started(&mut self) -> Vec<Key> {
        let started = |action| match action {
            PoolAction::Start(key, _) => key,
            other => panic!("{other:?} instead of a start"),
        };
        self.done().into_iter().map(started).collect()
    }

    fn ask(&mut self) -> Ticket {
        let who = self.sessions.insert(());
        self.pool.ask(who, client(), self.now).expect("room in the queue")
    }

    /// The questions that were just put before helpers; nothing else was done.
    fn asked(&mut self) -> Vec<(Key, u64, Ticket)> {
        let asked = |action| match action {
            PoolAction::Ask { helper, channel, ticket, .. } => (helper, channel, ticket),
            other => panic!("{other:?} instead of a question"),
        };
        self.done().into_iter().map(asked).collect()
    }

    fn reply(&mut self, helper: Key, channel: u64) -> Option<Answered> {
        let answered = self.pool.handle_reply(helper, Some(channel), self.now);
        self.pool.settle(self.now);
        answered
    }

    /// Lets time pass, stopping at everything that is due.
    fn pass(&mut self, time: Millis) {
        let end = self.now + time;
        while let Some(at) = self.pool.poll_timeout().filter(|at| *at <= end) {
            assert!(at > self.now || self.pool.next_pace().is_some(), "due at {at} again and again");
            self.now = self.now.max(at);
            self.pool.handle_timeout(self.now);
            if self.pool.poll_timeout().is_some_and(|next| next <= self.now) {
                self.pool.handle_timeout(self.now);
                assert!(self.pool.poll_timeout() > Some(self.now), "what is due stays due");
            }
        }
        self.now = end;
    }

    fn forked(&self) -> usize {
        self.pool.forked()
    }
}

#[test]
fn the_minimum_is_started_and_nothing_is_asked_before_it_runs() {
    let mut play = Play::new(settings(2, 5));
    let helpers = play.started();
    assert_eq!((helpers.len(), play.forked()), (2, 2));
    let ticket = play.ask();
    assert_eq!(play.done(), []);
    assert!(play.pool.is_waiting(ticket));
    play.pool.handle_started(helpers[1], play.now);
    assert_eq!(play.asked(), [(helpers[1], 1, ticket)]);
}

#[test]
fn questions_are_asked_in_the_order_of_arrival() {
    let (mut play, helpers) = serving(1, 1);
    let tickets: Vec<Ticket> = (0..4).map(|_| play.ask()).collect();
    assert_eq!(play.asked(), [(helpers[0], 1, tickets[0])]);
    for place in 0..4 {
        let answered = play.reply(helpers[0], place + 1).expect("a reply to somebody");
        assert_eq!(answered.ticket, tickets[place as usize]);
        let next = tickets.get(place as usize + 1).map(|ticket| (helpers[0], place + 2, *ticket));
        assert_eq!(play.asked(), next.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn the_helper_used_last_is_asked_first() {
    let (mut play, helpers) = serving(3, 3);
    let _ = play.ask();
    let first = play.asked()[0].0;
    play.reply(first, 1);
    let _ = play.ask();
    assert_eq!(play.asked()[0].0, first);
    assert!(helpers.contains(&first));
}

#[test]
fn with_concurrency_questions_are_spread_and_answered_in_any_order() {
    let mut play = Play::new(PoolSettings { concurrency: 2, ..settings(2, 2) });
    let helpers = play.started();
    helpers.iter().for_each(|key| play.pool.handle_started(*key, play.now));
    let tickets: Vec<Ticket> = (0..5).map(|_| play.ask()).collect();
    let asked = play.asked();
    assert_eq!(asked.len(), 4);
    assert_ne!(asked[0].0, asked[1].0);
    assert!(play.pool.is_waiting(tickets[4]));
    let second = asked.iter().rev().find(|(helper, ..)| *helper == helpers[0]).unwrap();
    assert_eq!(play.reply(second.0, second.1).unwrap().ticket, second.2);
    assert_eq!(play.asked(), [(helpers[0], 3, tickets[4])]);
}

#[test]
fn row_3_a_full_queue_refuses_and_goes_on() {
    let (mut play, helpers) = serving(1, 1);
    let tickets: Vec<Ticket> = (0..5).map(|_| play.ask()).collect();
    let who = play.sessions.insert(());
    assert_eq!(play.pool.ask(who, client(), play.now), Err(HelperFault::QueueFull));
    assert_eq!(play.pool.counters().refused, 1);
    play.pool.cancel(tickets[2], play.now);
    assert!(play.pool.ask(who, client(), play.now).is_ok());
    play.done();
    assert_eq!(play.reply(helpers[0], 1).map(|answered| answered.ticket), Some(tickets[0]));
}

#[test]
fn a_client_that_leaves_frees_its_place_and_its_reply_is_dropped() {
    let (mut play, helpers) = serving(1, 1);
    let (asked, waiting, last) = (play.ask(), play.ask(), play.ask());
    play.done();
    play.pool.cancel(asked, play.now);
    play.pool.cancel(waiting, play.now);
    assert_eq!(play.pool.queue_len(), 1);
    assert_eq!(play.reply(helpers[0], 1), None);
    assert_eq!(play.asked(), [(helpers[0], 2, last)]);
}

#[test]
fn a_question_that_no_helper_has_got_when_its_client_leaves_keeps_none_busy() {
    let (mut play, helpers) = serving(1, 1);
    let (gone, next) = (play.ask(), play.ask());
    play.pool.cancel(gone, play.now);
    // As the first that the helper gets, which is what its thread counts.
    assert_eq!(play.asked(), [(helpers[0], 1, next)]);
    assert_eq!(play.reply(helpers[0], 1).map(|answered| answered.ticket), Some(next));
    let alone = play.ask();
    play.pool.cancel(alone, play.now);
    play.pass(20_000);
    assert_eq!(play.done(), []);
    let counters = play.pool.counters();
    assert_eq!((counters.asked, counters.answered, counters.hung), (1, 1, 0));
    let last = play.ask();
    assert_eq!(play.asked(), [(helpers[0], 2, last)]);
}

#[test]
fn row_4_a_helper_that_hangs_is_killed_and_its_question_asked_once_more() {
    let (mut play, helpers) = serving(2, 2);
    let ticket = play.ask();
    let (first, ..) = play.asked()[0];
    let other = *helpers.iter().find(|key| **key != first).unwrap();
    play.pass(9_999);
    assert_eq!(play.done(), []);
    play.pass(1);
    let done = play.done();
    assert!(matches!(done[0], PoolAction::Kill(key, _) if key == first), "{done:?}");
    assert!(done.contains(&PoolAction::Ask { helper: other, channel: 1, ticket, who: who(&done) }), "{done:?}");
    // The other one hangs too.
    play.pass(10_000);
    let done = play.done();
    assert!(done
        .iter()
        .any(|action| matches!(action, PoolAction::Fail(failed, _, HelperFault::Helper) if *failed == ticket)));
    assert_eq!(play.pool.counters().hung, 2);
}

fn who(done: &[PoolAction]) -> Key {
    let asked = done.iter().find_map(|action| match action {
        PoolAction::Ask { who, .. } => Some(*who),
        _ => None,
    });
    asked.expect("a question")
}

#[test]
fn a_helper_that_dies_is_replaced_and_its_question_keeps_its_place() {
    let (mut play, helpers) = serving(1, 1);
    let (first, second) = (play.ask(), play.ask());
    play.done();
    play.reply(helpers[0], 1);
    let third = play.ask();
    play.done();
    play.pool.handle_gone(helpers[0], play.now);
    let fresh = play.started();
    assert_eq!(fresh.len(), 1);
    play.pool.handle_started(fresh[0], play.now);
    assert_eq!(play.asked(), [(fresh[0], 1, second)]);
    play.reply(fresh[0], 1);
    assert_eq!(play.asked(), [(fresh[0], 2, third)]);
    assert!(!play.pool.is_waiting(first));
}

#[test]
fn row_1_helpers_that_cannot_be_started_fail_questions_at_once_and_are_tried_less_and_less() {
    let mut play = Play::new(settings(1, 1));
    let ticket = play.ask();
    let first = play.started();
    play.pool.handle_gone(first[0], play.now);
    // The first failure may be a chance; the second is not.
    let second = play.started();
    play.pool.handle_gone(second[0], play.now);
    let done = play.done();
    assert!(matches!(done[..], [PoolAction::Fail(lost, _, HelperFault::NoHelper)] if lost == ticket), "{done:?}");
    let _ = play.ask();
    assert!(matches!(play.done()[..], [PoolAction::Fail(_, _, HelperFault::NoHelper)]));
    let mut dates = Vec::new();
    let begin = play.now;
    while dates.len() < 12 {
        let at = play.pool.poll_timeout().expect("a start that is due");
        assert!(at > play.now);
        play.now = at;
        play.pool.handle_timeout(at);
        for key in play.started() {
            dates.push(at - begin);
            play.pool.handle_gone(key, play.now);
        }
    }
    assert_eq!(dates[..4], [100, 300, 700, 1500]);
    assert_eq!(dates[11] - dates[10], 30_000);
    assert!(play.pool.is_failing());
}

#[test]
fn a_helper_that_lives_for_a_while_is_none_that_works() {
    let (mut play, mut helpers) = serving(1, 1);
    assert!(!play.pool.is_served(play.now), "nobody knows yet");
    for _ in 0..3 {
        play.pool.handle_gone(helpers[0], play.now);
        play.pass(1000);
        helpers = play.started();
        play.pool.handle_started(helpers[0], play.now);
        play.pass(499);
        assert!(play.pool.forked() == 1 && !play.pool.is_served(play.now));
    }
    play.pass(1);
    assert!(play.pool.is_served(play.now));

    let (mut play, helpers) = serving(1, 1);
    let _ = play.ask();
    let _ = play.asked();
    let _ = play.reply(helpers[0], 1);
    assert!(play.pool.is_served(play.now), "a reply is as good as a long life");
    play.pool.stop();
    assert!(!play.pool.is_served(play.now), "one that leaves serves nobody any more");
}

#[test]
fn helpers_that_fail_together_are_one_failure() {
    let (mut play, helpers) = serving(5, 5);
    for key in &helpers {
        play.pool.handle_gone(*key, play.now);
    }
    assert_eq!(play.started().len(), 5);
    assert!(!play.pool.is_failing());
}

#[test]
fn after_a_reply_all_that_is_missing_is_started() {
    let (mut play, helpers) = serving(3, 3);
    for key in &helpers {
        play.pool.handle_gone(*key, play.now);
    }
    for key in play.started() {
        play.pool.handle_gone(key, play.now);
    }
    assert_eq!(play.done(), []);
    play.pass(100);
    let probe = play.started();
    assert_eq!(probe.len(), 1);
    play.pool.handle_started(probe[0], play.now);
    play.ask();
    play.done();
    assert!(play.reply(probe[0], 1).is_some());
    assert_eq!(play.started().len(), 2);
}

#[test]
fn what_nobody_asked_for_costs_the_helper_its_life() {
    let (mut play, helpers) = serving(1, 1);
    assert_eq!(play.pool.handle_reply(helpers[0], Some(0), play.now), None);
    play.pool.settle(play.now);
    let done = play.done();
    assert!(matches!(done[..], [PoolAction::Kill(key, _), PoolAction::Start(..)] if key == helpers[0]), "{done:?}");
}

#[test]
fn a_second_reply_is_never_taken_for_that_to_the_next_question() {
    let (mut play, helpers) = serving(1, 1);
    let (first, second) = (play.ask(), play.ask());
    play.done();
    assert_eq!(play.pool.handle_reply(helpers[0], Some(1), play.now).map(|reply| reply.ticket), Some(first));
    assert_eq!(play.pool.handle_reply(helpers[0], Some(1), play.now), None);
    play.pool.settle(play.now);
    let done = play.done();
    assert!(matches!(done[..], [PoolAction::Kill(..), PoolAction::Start(..)]), "{done:?}");
    assert!(play.pool.is_waiting(second));
    // The same, but the next question was already before the helper.
    let (mut play, helpers) = serving(1, 1);
    let (_, second) = (play.ask(), play.ask());
    play.reply(helpers[0], 1);
    play.done();
    assert_eq!(play.pool.handle_reply(helpers[0], Some(1), play.now), None);
    play.pool.settle(play.now);
    assert!(play.pool.is_waiting(second));
}

#[test]
fn a_broken_helpers_question_is_asked_once_more() {
    let (mut play, helpers) = serving(1, 1);
    let ticket = play.ask();
    play.done();
    let answered = play.pool.handle_reply(helpers[0], Some(1), play.now).unwrap();
    assert!(play.pool.ask_again(&answered, play.now));
    play.pool.settle(play.now);
    assert_eq!(play.asked(), [(helpers[0], 2, ticket)]);
    let answered = play.reply(helpers[0], 2).unwrap();
    assert!(answered.again && !play.pool.ask_again(&answered, play.now));
}

#[test]
fn the_pool_grows_with_the_wait_and_shrinks_without_it() {
    let mut play = Play::new(PoolSettings { queue: 100, ..settings(2, 12) });
    for key in play.started() {
        play.pool.handle_started(key, play.now);
    }
    for _ in 0..20 {
        play.ask();
    }
    play.done();
    let mut numbers = Vec::new();
    for _ in 0..6 {
        play.pass(BEAT);
        for action in play.done() {
            if let PoolAction::Start(key, _) = action {
                play.pool.handle_started(key, play.now);
            }
        }
        numbers.push(play.forked());
    }
    assert_eq!(numbers, [4, 6, 8, 10, 12, 12]);
    assert!(play.pool.is_saturated(play.now));
    while let Some((key, channel)) = busy(&play.pool) {
        play.reply(key, channel);
    }
    play.done();
    // The first period still had waits in it.
    play.pass(2 * REST);
    assert_eq!(play.forked(), 11);
    assert!(matches!(play.done()[..], [PoolAction::Retire(_)]));
    play.pass(20 * REST);
    assert_eq!(play.forked(), 2);
    assert_eq!(play.pool.poll_timeout(), None);
}

const BEAT: Millis = 500;
const REST: Millis = 6000;

fn busy(pool: &HelperPool) -> Option<(Key, u64)> {
    pool.helpers.iter().find_map(|(key, helper)| helper.flights.first().map(|flight| (key, flight.channel)))
}

#[test]
fn the_signals_move_the_bounds_and_one_helper() {
    let (mut play, helpers) = serving(2, 3);
    play.pool.more(play.now);
    assert_eq!((play.pool.settings().minimum, play.pool.settings().maximum), (3, 3));
    assert_eq!(play.started().len(), 1);
    play.pool.more(play.now);
    assert_eq!((play.pool.settings().minimum, play.pool.settings().maximum), (4, 4));
    assert_eq!(play.started().len(), 1);
    for left in [3, 2, 1, 1] {
        play.pool.fewer(play.now);
        assert_eq!((play.pool.settings().minimum, play.pool.settings().maximum), (left, left));
        assert_eq!(play.forked(), left);
    }
    assert_eq!(play.done()[0], PoolAction::Retire(helpers[0]));
}

#[test]
fn a_busy_helper_replies_before_it_is_let_go() {
    let (mut play, helpers) = serving(1, 2);
    let ticket = play.ask();
    play.done();
    play.pool.stop();
    assert_eq!(play.done(), []);
    assert_eq!(play.reply(helpers[0], 1).unwrap().ticket, ticket);
    assert_eq!(play.done(), [PoolAction::Retire(helpers[0])]);
    play.pool.handle_gone(helpers[0], play.now);
    assert_eq!(play.done(), []);
}

#[test]
fn a_renewal_replaces_one_after_the_other_and_always_has_somebody() {
    let (mut play, helpers) = serving(3, 3);
    play.pool.renew(play.now);
    let mut fresh = play.started();
    assert_eq!(fresh.len(), 1);
    play.pool.handle_started(fresh[0], play.now);
    // A program that starts has not shown yet that it works.
    assert_eq!(play.done(), []);
    play.pass(500);
    for _ in 0..2 {
        let done = play.done();
        let [PoolAction::Retire(old), PoolAction::Start(key, _)] = done[..] else { panic!("{done:?}") };
        assert!(helpers.contains(&old));
        fresh.push(key);
        play.pool.handle_gone(old, play.now);
        play.pool.handle_started(key, play.now);
    }
    assert!(matches!(play.done()[..], [PoolAction::Retire(old)] if helpers.contains(&old)));
    assert_eq!(play.forked(), 3);
    assert_eq!(play.pool.poll_timeout(), None);
}

#[test]
fn a_renewal_that_fails_leaves_the_old_helpers_at_work() {
    let (mut play, _) = serving(2, 2);
    play.pool.renew(play.now);
    let mut starts = 0;
    for _ in 0..10 {
        for key in play.started() {
            starts += 1;
            play.pool.handle_started(key, play.now);
            play.pool.handle_gone(key, play.now);
        }
        play.pass(200);
    }
    assert!((3..10).contains(&starts), "{starts}");
    assert_eq!(play.forked(), 2);
    let ticket = play.ask();
    assert_eq!(play.asked()[0].2, ticket);
}

#[test]
fn a_shorter_timeout_holds_for_what_was_asked_before() {
    let (mut play, helpers) = serving(1, 1);
    play.ask();
    play.done();
    play.pool.configure(PoolSettings { timeout: 1000, ..settings(1, 1) }, play.now);
    play.pass(1000);
    assert!(matches!(play.done()[0], PoolAction::Kill(key, _) if key == helpers[0]));
}
