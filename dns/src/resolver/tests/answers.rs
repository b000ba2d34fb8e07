//! What answers mean, and for how long.

use super::*;

#[test]
fn both_families_are_asked_at_once_aaaa_first() {
    let mut world = World::new(config(1));
    world.pending("www.example.com", 7);
    let sent = world.sent();
    assert_eq!(sent.iter().map(Sent::kind).collect::<Vec<_>>(), [TYPE_AAAA, TYPE_A]);
    assert!(sent.iter().all(|sent| sent.name() == "www.example.com" && sent.server == server(1)));
    assert_ne!(sent[0].id(), sent[1].id());
    for one in &sent {
        world.reply(one, knows_all(one).unwrap());
    }
    let expected = Event::Resolved { waiter: 7, result: Ok(Addresses::default()), more: false };
    let events = world.events();
    assert_eq!(events.len(), 1);
    match (&events[0], expected) {
        (Event::Resolved { waiter, result, more }, Event::Resolved { waiter: who, more: last, .. }) => {
            assert_eq!((*waiter, *more), (who, last));
            assert_eq!(texts(result.as_ref().unwrap()), ["2001:db8::80", "192.0.2.80"]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.cached("www.example.com").unwrap().len(), 2);
    world.assert_quiet();
}

#[test]
fn only_wanted_families_are_asked() {
    for (families, kinds) in
        [(Families { v4: true, v6: false }, vec![TYPE_A]), (Families { v4: false, v6: true }, vec![TYPE_AAAA])]
    {
        let mut world = World::new(Config { families, ..config(1) });
        world.pending("a.test", 1);
        assert_eq!(world.sent().iter().map(Sent::kind).collect::<Vec<_>>(), kinds);
    }
    let mut world = World::new(Config { families: Families { v4: false, v6: false }, ..config(1) });
    assert_eq!(world.cached("a.test"), Err(Failure::NoAddress));
}

#[test]
fn the_ttl_is_honoured_and_capped() {
    for (ttl, kept) in [(60, 60_000), (100_000, 900_000), (0, 1_000), (0x8000_0001, 1_000)] {
        let mut world = World::single();
        world.pending("a.test", 1);
        let sent = world.sent_one();
        world.reply(&sent, Reply::to(&sent).address("a.test", ttl, "192.0.2.9"));
        assert_eq!(world.result().unwrap(), ["192.0.2.9"]);
        world.pass(kept - 1);
        assert_eq!(world.cached("a.test").unwrap(), ["192.0.2.9"], "{ttl}");
        world.pass(1);
        world.pending("a.test", 1);
    }
}

#[test]
fn several_addresses_keep_their_order_without_repeats_and_are_bounded() {
    let mut world = World::single();
    world.pending("a.test", 1);
    let sent = world.sent_one();
    let mut reply = Reply::to(&sent);
    for last in (0..100).chain(0..100) {
        reply = reply.address("a.test", 60, &format!("192.0.2.{last}"));
    }
    world.reply(&sent, reply);
    let expected: Vec<String> = (0..16).map(|last| format!("192.0.2.{last}")).collect();
    assert_eq!(world.result().unwrap(), expected);
}

/// RFC 2308: a "no" is kept for the smaller of the SOA's TTL and its last field. Row 28 of the complaints.
#[test]
fn row_28_negative_answers_are_cached_and_never_repeated() {
    for (code, failure) in [(rcode::NXDOMAIN, Failure::NotFound), (rcode::NOERROR, Failure::NoAddress)] {
        for (ttl, minimum, kept) in [(60, 120, 60_000), (120, 60, 60_000), (9_000, 9_000, 300_000)] {
            let mut world = World::pairs(2);
            world.pending("no.test", 1);
            let sent = world.sent_one();
            world.reply(&sent, Reply::to(&sent).rcode(code).soa("test", ttl, minimum));
            assert_eq!(world.result(), Err(failure));
            assert!(world.sent().is_empty(), "nobody else is asked");
            world.pass(kept - 1);
            assert_eq!(world.cached("no.test"), Err(failure));
            world.pass(1);
            world.pending("no.test", 1);
        }
    }
}

/// RFC 2308 section 5: nothing says for how long it holds.
#[test]
fn b22_a_negative_answer_without_soa_is_not_remembered() {
    for (code, failure) in [(rcode::NXDOMAIN, Failure::NotFound), (rcode::NOERROR, Failure::NoAddress)] {
        for alias in [false, true] {
            let mut world = World::single();
            for _ in 0..3 {
                world.pending("no.test", 1);
                world.serve(|sent| match (alias, sent.name().as_str()) {
                    (true, "no.test") => Some(Reply::to(sent).alias("no.test", 300, "real.test")),
                    _ => Some(Reply::to(sent).rcode(code)),
                });
                assert_eq!(world.result(), Err(failure));
            }
            assert_eq!(world.resolver.cached(), 0);
            world.assert_quiet();
        }
    }
}

/// A family that is missing beside addresses is not asked for by each request, as small servers name no SOA.
#[test]
fn b22_beside_addresses_it_is_remembered_for_as_long_as_they_are_and_half_a_minute_at_most() {
    for (ttl, kept) in [(10, 10_000), (300, 30_000)] {
        let mut world = World::new(config(1));
        world.pending("v4.test", 1);
        world.serve(|sent| match sent.kind() {
            TYPE_A => Some(Reply::to(sent).address("v4.test", ttl, "192.0.2.80")),
            _ => Some(Reply::to(sent)),
        });
        world.events();
        assert_eq!(world.cached("v4.test").unwrap(), ["192.0.2.80"]);
        world.pass(kept - 1);
        assert_eq!(world.cached("v4.test").unwrap(), ["192.0.2.80"]);
        world.pass(1);
        world.pending("v4.test", 1);
    }
}

#[test]
fn one_family_without_addresses_does_no_harm() {
    let mut world = World::new(config(1));
    world.pending("v4.test", 1);
    world.serve(|sent| match sent.kind() {
        TYPE_A => knows_all(sent),
        _ => Some(Reply::to(sent).soa("test", 60, 60)),
    });
    assert_eq!(world.result().unwrap(), ["192.0.2.80"]);
    assert_eq!(world.cached("v4.test").unwrap(), ["192.0.2.80"]);
}

#[test]
fn only_the_family_whose_time_is_over_is_asked_again() {
    let mut world = World::new(config(1));
    world.pending("a.test", 1);
    world.serve(|sent| match sent.kind() {
        TYPE_A => Some(Reply::to(sent).address("a.test", 600, "192.0.2.1")),
        _ => Some(Reply::to(sent).soa("test", 10, 10)),
    });
    world.events();
    world.pass(10_000);
    world.pending("a.test", 1);
    assert_eq!(world.sent_one().kind(), TYPE_AAAA);
}

/// Row 31 of the complaints: after a failed connection a name may be asked for anew, but not all the time.
#[test]
fn row_31_a_name_can_be_forgotten_early() {
    let mut world = World::single();
    world.pending("a.test", 1);
    world.serve(knows_all);
    world.events();
    world.pass(4_000);
    world.resolver.forget("a.test", world.now);
    assert!(world.cached("a.test").is_ok(), "it is too new");
    world.pass(1_000);
    world.resolver.forget("A.test.", world.now);
    world.pending("a.test", 1);
}

/// One client must not drop a name as often as it likes: all others use it too.
#[test]
fn c_names_a_name_is_forgotten_once_a_minute_at_most() {
    let mut world = World::single();
    let mut asked = Vec::new();
    for second in 0..180 {
        if let LookupStart::Pending(_) = world.lookup("a.test") {
            asked.push(second);
            world.serve(|sent| Some(Reply::to(sent).address("a.test", 900, "192.0.2.1")));
            world.events();
        }
        world.pass(1_000);
        world.resolver.forget("a.test", world.now);
    }
    assert_eq!(asked, [0, 5, 65, 125]);
}

#[test]
fn records_of_other_names_classes_and_types_are_not_believed() {
    let mut world = World::single();
    world.pending("a.test", 1);
    let sent = world.sent_one();
    let reply = Reply::to(&sent)
        .address("b.test", 60, "192.0.2.66")
        .address("a.test", 60, "2001:db8::66")
        .address("A.Test", 60, "192.0.2.1")
        .record(1, "a.test", TYPE_A, 60, &[192, 0, 2, 66])
        .record(2, "a.test", TYPE_A, 60, &[192, 0, 2, 66]);
    world.reply(&sent, reply);
    assert_eq!(world.result().unwrap(), ["192.0.2.1"]);
}
