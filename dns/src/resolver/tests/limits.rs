//! What is bounded.

use super::*;

#[test]
fn open_questions_are_bounded() {
    let mut world = World::new(Config { max_lookups: 5, ..config(1) });
    let mut refused = 0;
    for i in 0..20 {
        match world.lookup(&format!("n{i}.test")) {
            LookupStart::Cached(Err(Failure::Overloaded)) => refused += 1,
            LookupStart::Pending(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((world.resolver.open_queries(), refused), (10, 15));
    assert!(world.resolver.counters().overloaded > 0);
    world.serve(knows_all);
    assert_eq!(world.events().len(), 5);
    world.pending("n19.test", 1);
}

#[test]
fn a_name_that_keeps_changing_its_mind_ends_at_the_deadline() {
    let config = Config {
        deadline: Duration::from_secs(5),
        search: (0..8).map(|i| format!("d{i}.test")).collect(),
        families: Families { v4: true, v6: false },
        ..config(1)
    };
    let mut world = World::new(config);
    let start = world.now;
    world.pending("host", 1);
    while world.resolver.pending() > 0 {
        let (_, sent) = world.pass_until_sent();
        if let Some(events) = Some(world.events()).filter(|events| !events.is_empty()) {
            assert!(matches!(events[..], [Event::Resolved { result: Err(Failure::Timeout), .. }]), "{events:?}");
            break;
        }
        for one in sent {
            world.pass(1_000);
            world.reply(&one, Reply::to(&one).rcode(rcode::NXDOMAIN));
        }
    }
    assert!((5_000..=6_000).contains(&(world.now - start)), "{}", world.now - start);
}

#[test]
fn alarms_do_not_pile_up() {
    let mut world = World::new(config(1));
    for i in 0..20_000 {
        world.pending(&format!("n{i}.test"), 1);
        world.serve(knows_all);
        world.events();
        world.pass(1);
    }
    assert!(world.resolver.cached() == 20_000);
    world.assert_quiet();
    world.pass(60_000);
    assert_eq!(world.resolver.poll_timeout(), None, "nothing is left to wait for");
}

#[test]
fn the_cache_is_bounded() {
    let mut world = World::new(Config { cache_entries: 50, ..config(1) });
    for i in 0..500 {
        world.pending(&format!("n{i}.test"), 1);
        world.serve(knows_all);
        world.events();
    }
    assert_eq!(world.resolver.cached(), 50);
}

#[test]
fn ids_at_one_server_never_repeat_among_open_questions() {
    let mut world = World::new(Config { max_lookups: 15_000, ..config(1) });
    for i in 0..15_000 {
        world.pending(&format!("n{i}.test"), 1);
    }
    let ids: std::collections::HashSet<u16> = world.sent().iter().map(Sent::id).collect();
    assert_eq!(ids.len(), 30_000);
}

#[test]
fn tcp_questions_beyond_the_pipeline_go_to_the_next_server_or_fail() {
    let families = Families { v4: true, v6: false };
    let mut world = World::new(Config { use_tcp: true, families, max_lookups: 20_000, ..config(1) });
    for i in 0..16_500 {
        world.pending(&format!("n{i}.test"), 1);
    }
    world.pass(0);
    assert_eq!(world.sent().len(), 16_384);
    assert_eq!(world.events().len(), 116);
    world.pass(0);
    world.pending("n16499.test", 1);
}

/// A name that may be waited for is asked for in both families, however many others are.
#[test]
fn a5_names_up_to_the_limit_find_room_for_all_their_questions() {
    for use_tcp in [false, true] {
        let mut world = World::new(Config { use_tcp, ..config(1) });
        for i in 0..8_192 {
            world.pending(&format!("n{i}.test"), i);
        }
        assert_eq!((world.sent().len(), world.events().len()), (16_384, 0));
        assert!(matches!(world.lookup("more.test"), LookupStart::Cached(Err(Failure::Overloaded))));
    }
}

#[test]
fn a5_one_who_may_not_wait_still_gets_what_is_known() {
    let mut world = World::new(Config { max_lookups: 10, ..config(1) });
    world.pending("known.test", 1);
    world.serve(knows_all);
    world.events();
    world.pending("asked.test", 1);
    world.sent();
    let mut told = Vec::new();
    let mut refused = |name: &str| {
        let found = world.resolver.lookup_if(name, 2, world.now, |room| {
            told.push(room);
            false
        });
        found == LookupStart::Cached(Err(Failure::Overloaded))
    };
    assert!(!refused("known.test") && !refused("192.0.2.1") && refused("asked.test") && refused("new.test"));
    assert_eq!(told, [10, 9], "all for who joins, what is left for who asks");
    assert!(world.sent().is_empty() && world.resolver.counters().overloaded == 2);
    let joins = world.resolver.lookup_if("asked.test", 2, world.now, |_| true);
    assert!(matches!(joins, LookupStart::Pending(_)));
}

/// Clients that ask and leave must not fill the table with questions without waiters.
#[test]
fn a5_questions_of_those_who_left_are_bounded() {
    let mut world = World::new(Config { max_lookups: 10, ..config(1) });
    for i in 0..10_000 {
        let id = world.pending(&format!("n{i}.test"), 1);
        world.sent();
        world.resolver.cancel(id, 1, world.now);
        assert!(world.resolver.open_queries() <= super::super::MAX_ORPHANS, "{}", world.resolver.open_queries());
    }
    // One that is asked for again is no such question any more.
    world.pending("n0.test", 1);
    world.pass(2_000);
    world.serve(knows_all);
    assert!(world.result().is_ok());
    world.pass(10_000);
    assert_eq!((world.resolver.open_queries(), world.resolver.orphans), (0, 0));
    world.assert_quiet();
}
