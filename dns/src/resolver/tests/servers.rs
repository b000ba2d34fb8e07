//! Which server is asked, when, and what is remembered of it.

use super::*;

fn answered(world: &mut World, name: &str) {
    world.pending(name, 1);
    world.serve(knows_all);
    assert!(world.result().is_ok());
}

/// Row 27 of the complaints: not 5 seconds, but a round trip.
#[test]
fn row_27_a_lost_datagram_costs_a_round_trip() {
    let mut world = World::single();
    let start = world.now;
    world.pending("a.test", 1);
    let first = world.sent_one();
    let (at, again) = world.pass_until_sent();
    assert_eq!(at - start, 400);
    assert_eq!(again[0].id(), first.id(), "an answer to either counts");
    world.reply(&first, knows_all(&first).unwrap());
    assert!(world.result().is_ok());
    assert_eq!((world.resolver.counters().retries, world.resolver.counters().timeouts), (1, 1));
    for i in 0..50 {
        answered(&mut world, &format!("n{i}.test"));
    }
    let start = world.now;
    world.pending("b.test", 1);
    world.sent();
    assert_eq!(world.pass_until_sent().0 - start, 250, "a near server is waited for less");
}

#[test]
fn row_27_the_second_server_is_asked_while_the_first_may_still_answer() {
    let mut world = World::pairs(2);
    let start = world.now;
    world.pending("a.test", 1);
    let first = world.sent_one();
    let (at, second) = world.pass_until_sent();
    assert_eq!((at - start, second[0].server), (400, server(2)));
    assert_ne!(first.bytes[..2], second[0].bytes[..2], "each server gets its own id");
    world.reply(&first, knows_all(&first).unwrap());
    assert!(world.result().is_ok());
    world.reply(&second[0], knows_all(&second[0]).unwrap());
    assert!(world.events().is_empty());
    world.assert_quiet();
}

/// Row 26 of the complaints.
#[test]
fn row_26_the_next_server_is_asked_at_once_after_an_error() {
    for code in [rcode::SERVFAIL, rcode::REFUSED, rcode::NOTIMP, rcode::FORMERR, 9, 15] {
        let mut world = World::new(Config { edns_size: 0, families: Families { v4: true, v6: false }, ..config(2) });
        let start = world.now;
        world.pending("a.test", 1);
        let first = world.sent_one();
        world.reply(&first, Reply::to(&first).rcode(code));
        let second = world.sent_one();
        assert_eq!((world.now, second.server), (start, server(2)), "{code}");
        world.reply(&second, knows_all(&second).unwrap());
        assert!(world.result().is_ok());
        assert_eq!(world.resolver.counters().server_errors, 1);
    }
}

#[test]
fn row_26_when_all_servers_fail_so_does_the_lookup_and_for_a_moment_only() {
    let mut world = World::pairs(3);
    world.pending("a.test", 1);
    for _ in 0..3 {
        assert!(world.events().is_empty());
        for _ in 0..3 {
            let (_, sent) = world.pass_until_sent();
            world.reply(&sent[0], Reply::to(&sent[0]).rcode(rcode::SERVFAIL));
        }
    }
    assert_eq!(world.result(), Err(Failure::ServerFailure));
    assert_eq!(world.resolver.counters().sent, 9, "each is asked three times");
    assert_eq!(world.cached("a.test"), Err(Failure::ServerFailure));
    world.pass(1_000);
    world.pending("a.test", 1);
    world.serve(knows_all);
    assert!(world.result().is_ok());
}

#[test]
fn b22_one_error_of_the_only_server_is_no_answer() {
    for code in [rcode::SERVFAIL, rcode::REFUSED, 15] {
        let mut world = World::single();
        let start = world.now;
        world.pending("a.test", 1);
        let mut times = Vec::new();
        for _ in 0..2 {
            let (at, sent) = world.pass_until_sent();
            times.push(at - start);
            world.reply(&sent[0], Reply::to(&sent[0]).rcode(code));
            assert!(world.events().is_empty(), "it may be another a moment later");
        }
        let (at, sent) = world.pass_until_sent();
        times.push(at - start);
        world.reply(&sent[0], knows_all(&sent[0]).unwrap());
        assert!(world.result().is_ok());
        assert_eq!(times, [0, 250, 750]);
        world.assert_quiet();
    }
}

#[test]
fn b22_errors_that_go_on_are_final_within_the_retries_that_are_configured() {
    for (attempts, asked) in [(1, 1), (2, 2), (3, 3), (10, 3)] {
        let mut world = World::new(Config { attempts, families: Families { v4: true, v6: false }, ..config(1) });
        let start = world.now;
        world.pending("a.test", 1);
        for _ in 0..asked {
            let (_, sent) = world.pass_until_sent();
            assert!(world.events().is_empty());
            world.reply(&sent[0], Reply::to(&sent[0]).rcode(rcode::SERVFAIL));
        }
        assert_eq!(world.result(), Err(Failure::ServerFailure));
        assert!(world.now - start < 1_000, "the wait is short");
        world.assert_quiet();
    }
}

#[test]
fn b22_a_question_that_nobody_waits_for_ends_with_its_error() {
    let mut world = World::single();
    let id = world.pending("a.test", 1);
    let sent = world.sent_one();
    world.reply(&sent, Reply::to(&sent).rcode(rcode::SERVFAIL));
    world.resolver.cancel(id, 1, world.now);
    assert!(world.pass_until_sent().1.is_empty());
    world.assert_quiet();
}

#[test]
fn lame_servers_are_passed_over() {
    for lame in [
        |sent: &Sent| Reply::to(sent).referral("test"),
        |sent: &Sent| Reply::to(sent).no_recursion(),
        |sent: &Sent| Reply::to(sent).no_recursion().referral(""),
    ] {
        let mut world = World::pairs(2);
        world.pending("a.test", 1);
        let first = world.sent_one();
        world.reply(&first, lame(&first));
        let second = world.sent_one();
        assert_eq!(second.server, server(2));
    }
}

#[test]
fn a_server_that_answers_rubbish_is_passed_over() {
    let mut world = World::pairs(2);
    world.pending("a.test", 1);
    let first = world.sent_one();
    world.reply(&first, Reply::to(&first).record(0, "a.test", TYPE_A, 60, &[1, 2, 3]));
    assert_eq!(world.sent_one().server, server(2));
    assert_eq!(world.resolver.counters().dropped_malformed, 1);
}

/// Rows 25 and 27 of the complaints: a dead server costs the first lookups a moment, and the later ones nothing.
#[test]
fn row_25_a_dead_server_is_left_alone_and_comes_back() {
    let mut world = World::pairs(2);
    for i in 0..3 {
        world.pending(&format!("n{i}.test"), 1);
        assert_eq!(world.sent_one().server, server(1), "{i}");
        let (_, second) = world.pass_until_sent();
        world.reply(&second[0], knows_all(&second[0]).unwrap());
        assert!(world.result().is_ok());
    }
    world.pending("next.test", 1);
    let sent = world.sent_one();
    assert_eq!(sent.server, server(2));
    world.reply(&sent, knows_all(&sent).unwrap());
    world.events();
    world.pass(1_000);
    world.pending("later.test", 1);
    let sent = world.sent();
    let servers: Vec<SocketAddr> = sent.iter().map(|sent| sent.server).collect();
    assert_eq!(servers, [server(2), server(1)], "it is tried beside the one that works");
    world.reply(&sent[1], knows_all(&sent[1]).unwrap());
    assert!(world.events().is_empty(), "the try has no say");
    world.reply(&sent[0], knows_all(&sent[0]).unwrap());
    world.events();
    world.pending("back.test", 1);
    assert_eq!(world.sent_one().server, server(1));
    assert_eq!(world.resolver.counters().probes, 1);
}

#[test]
fn a_slow_answer_is_not_the_servers_fault() {
    let mut world = World::pairs(2);
    for i in 0..10 {
        world.pending(&format!("slow{i}.test"), 1);
        let slow = world.sent_one();
        assert_eq!(slow.server, server(1));
        world.pass(100);
        answered(&mut world, &format!("fast{i}.test"));
        let (_, hedge) = world.pass_until_sent();
        world.reply(&hedge[0], knows_all(&hedge[0]).unwrap());
        assert!(world.result().is_ok());
    }
}

#[test]
fn the_only_server_is_asked_even_when_it_is_down() {
    let mut world = World::single();
    for i in 0..5 {
        world.pending(&format!("n{i}.test"), 1);
        assert_eq!(world.sent_one().server, server(1));
        world.pass(30_000);
        world.sent();
        assert_eq!(world.result(), Err(Failure::Timeout));
    }
    answered(&mut world, "back.test");
}

/// Row 29 of the complaints: tries are bounded, and end when the last waiter has gone.
#[test]
fn row_29_a_silent_server_is_not_asked_for_ever() {
    let mut world = World::pairs(2);
    let start = world.now;
    world.pending("a.test", 1);
    let times: Vec<Millis> = (0..7).map(|_| world.pass_until_sent().0 - start).collect();
    assert_eq!(times, [0, 400, 800, 1_600, 2_400, 4_000, 5_600], "the waits double");
    world.pass(start + 5_999 - world.now);
    assert!(world.events().is_empty() && world.sent().is_empty());
    world.pass(1);
    assert_eq!(world.result(), Err(Failure::Timeout), "after timeout times attempts");
    world.assert_quiet();
}

#[test]
fn row_29_a_question_that_nobody_waits_for_is_not_repeated() {
    let mut world = World::pairs(2);
    let id = world.pending("a.test", 1);
    let sent = world.sent_one();
    world.resolver.cancel(id, 1, world.now);
    assert!(world.pass_until_sent().1.is_empty());
    world.assert_quiet();
    world.reply(&sent, knows_all(&sent).unwrap());
    assert_eq!(world.resolver.counters().dropped_id, 1);
}

#[test]
fn an_answer_that_comes_after_the_last_waiter_left_is_kept() {
    let mut world = World::single();
    let id = world.pending("a.test", 1);
    let sent = world.sent_one();
    world.resolver.cancel(id, 1, world.now);
    world.reply(&sent, knows_all(&sent).unwrap());
    assert!(world.cached("a.test").is_ok());
    assert!(world.events().is_empty());
}

#[test]
fn an_unreachable_server_is_left_at_once() {
    let mut world = World::pairs(2);
    let start = world.now;
    world.pending("a.test", 1);
    world.sent_one();
    world.resolver.handle_unreachable(server(1), world.now);
    let second = world.sent_one();
    assert_eq!((world.now, second.server), (start, server(2)));
    world.pending("b.test", 1);
    assert_eq!(world.sent_one().server, server(2));
}

#[test]
fn when_no_server_is_reachable_the_lookup_fails_soon_but_not_at_the_first_sign() {
    let mut world = World::single();
    let start = world.now;
    world.pending("a.test", 1);
    for _ in 0..3 {
        assert_eq!(world.pass_until_sent().1.len(), 1);
        assert!(world.events().is_empty());
        world.resolver.handle_unreachable(server(1), world.now);
    }
    assert_eq!(world.result(), Err(Failure::Unreachable));
    assert!(world.now - start < 2_000);
    world.assert_quiet();
}

#[test]
fn rotate_spreads_the_questions() {
    let mut world = World::new(Config { rotate: true, families: Families { v4: true, v6: false }, ..config(3) });
    let mut counts = [0; 4];
    for i in 0..30 {
        world.pending(&format!("n{i}.test"), 1);
        let sent = world.sent_one();
        counts[sent.server.ip().to_string().strip_prefix("192.0.2.").unwrap().parse::<usize>().unwrap()] += 1;
        world.reply(&sent, knows_all(&sent).unwrap());
    }
    assert_eq!(counts, [0, 10, 10, 10]);
}

#[test]
fn edns_is_left_out_for_a_server_that_refuses_it() {
    for refusal in [
        |sent: &Sent| Reply::to(sent).rcode(rcode::FORMERR),
        |sent: &Sent| Reply::to(sent).rcode(rcode::NOTIMP),
        |sent: &Sent| Reply::to(sent).edns(1),
    ] {
        let mut world = World::pairs(2);
        world.pending("a.test", 1);
        let first = world.sent_one();
        assert!(first.has_edns());
        world.reply(&first, refusal(&first));
        let again = world.sent_one();
        assert_eq!((again.server, again.has_edns()), (server(1), false), "the same server, without");
        world.reply(&again, knows_all(&again).unwrap());
        assert!(world.result().is_ok());
        world.pending("b.test", 1);
        assert!(!world.sent_one().has_edns(), "it is remembered");
    }
}

#[test]
fn an_error_without_a_question_counts_for_this_question_only() {
    let mut world = World::single();
    world.pending("a.test", 1);
    let first = world.sent_one();
    let mut bare = Reply::to(&first).rcode(rcode::FORMERR).bytes()[..12].to_vec();
    bare[4..].fill(0);
    world.deliver(&first, &bare);
    let again = world.sent_one();
    assert!(!again.has_edns());
    world.reply(&again, knows_all(&again).unwrap());
    assert!(world.result().is_ok());
    world.pending("b.test", 1);
    assert!(world.sent_one().has_edns());
}

#[test]
fn a_server_that_drops_edns_in_silence_is_found_out() {
    let mut world = World::single();
    let silent = |sent: &Sent| if sent.has_edns() { None } else { knows_all(sent) };
    for i in 0..3 {
        world.pending(&format!("n{i}.test"), 1);
        assert!(world.sent_one().has_edns(), "{i}");
        let (_, again) = world.pass_until_sent();
        world.reply(&again[0], silent(&again[0]).unwrap());
        assert!(world.result().is_ok());
    }
    world.pending("next.test", 1);
    assert!(!world.sent_one().has_edns());
}

#[test]
fn a_server_that_has_shown_edns_is_always_asked_with_it() {
    let mut world = World::single();
    world.pending("a.test", 1);
    world.serve(|sent| Some(knows_all(sent).unwrap().edns(0)));
    assert!(world.result().is_ok());
    world.pending("b.test", 1);
    assert!(world.sent_one().has_edns());
    assert!(world.pass_until_sent().1[0].has_edns());
}

#[test]
fn new_servers_take_over_open_questions() {
    let mut world = World::pairs(1);
    world.pending("a.test", 1);
    let before = world.sent_one();
    let config = Config { servers: vec![server(5), server(6)], ..world.resolver.config().clone() };
    world.resolver.reconfigure(config, Arc::default(), world.now);
    let after = world.sent_one();
    assert_eq!(after.server, server(5));
    world.reply(&before, knows_all(&before).unwrap());
    assert_eq!(world.resolver.counters().dropped_source, 1);
    world.reply(&after, knows_all(&after).unwrap());
    assert!(world.result().is_ok());
    world.assert_quiet();
}

#[test]
fn without_servers_every_lookup_fails_at_once() {
    let mut world = World::pairs(1);
    world.pending("a.test", 1);
    world.sent_one();
    let config = Config { servers: Vec::new(), ..world.resolver.config().clone() };
    world.resolver.reconfigure(config, Arc::default(), world.now);
    assert_eq!(world.result(), Err(Failure::NoServers));
    assert_eq!(world.cached("b.test"), Err(Failure::NoServers));
    world.assert_quiet();
}

#[test]
fn reading_the_files_again_drops_what_was_cached_but_no_open_question() {
    let mut world = World::single();
    answered(&mut world, "a.test");
    world.pending("b.test", 1);
    let sent = world.sent_one();
    let config = world.resolver.config().clone();
    let before = world.resolver.reconfigure(config, Arc::new(hosts::parse("192.0.2.7 c.test")), world.now);
    assert_eq!((before.cache.len(), before.hosts.len()), (1, 0), "the caller has them dropped");
    assert!(world.sent().is_empty());
    world.reply(&sent, knows_all(&sent).unwrap());
    assert!(world.result().is_ok());
    world.pending("a.test", 1);
    assert_eq!(world.cached("c.test").unwrap(), ["192.0.2.7"]);
}
