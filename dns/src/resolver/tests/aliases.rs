//! Chains of CNAME records.

use super::*;

#[test]
fn a_chain_is_followed_inside_the_message_whatever_its_order() {
    let mut world = World::single();
    world.pending("a.test", 1);
    let sent = world.sent_one();
    let reply = Reply::to(&sent)
        .address("c.test", 500, "192.0.2.3")
        .alias("b.test", 40, "c.test")
        .alias("a.test", 600, "b.test");
    world.reply(&sent, reply);
    assert_eq!(world.result().unwrap(), ["192.0.2.3"]);
    world.pass(39_999);
    assert!(world.cached("a.test").is_ok(), "the shortest time of the chain counts");
    world.pass(1);
    world.pending("a.test", 1);
}

#[test]
fn a_chain_that_leaves_the_message_is_asked_again() {
    let mut world = World::single();
    world.pending("a.test", 1);
    let sent = world.sent_one();
    world.reply(&sent, Reply::to(&sent).alias("a.test", 30, "b.test"));
    let next = world.sent_one();
    assert_eq!(next.name(), "b.test");
    world.reply(&next, Reply::to(&next).address("b.test", 500, "192.0.2.3"));
    assert_eq!(world.result().unwrap(), ["192.0.2.3"]);
    assert!(world.cached("a.test").is_ok() && world.cached("b.test").is_ok());
    world.pass(30_000);
    assert!(world.cached("b.test").is_ok());
    world.pending("a.test", 1);
    world.assert_open(1);
}

#[test]
fn an_alias_uses_what_is_cached_of_its_target() {
    let mut world = World::single();
    world.pending("b.test", 1);
    world.serve(knows_all);
    world.events();
    world.pending("a.test", 1);
    let sent = world.sent_one();
    world.reply(&sent, Reply::to(&sent).alias("a.test", 30, "b.test"));
    assert_eq!(world.result().unwrap(), ["192.0.2.80"]);
    assert!(world.sent().is_empty());
    assert!(world.cached("a.test").is_ok());
}

#[test]
fn an_alias_joins_the_open_question_for_its_target() {
    let mut world = World::single();
    world.pending("a.test", 1);
    world.pending("b.test", 2);
    let sent = world.sent();
    world.reply(&sent[0], Reply::to(&sent[0]).alias("a.test", 30, "b.test"));
    assert!(world.sent().is_empty(), "the same question is open already");
    world.reply(&sent[1], knows_all(&sent[1]).unwrap());
    assert_eq!(world.events().len(), 2);
    world.assert_quiet();
}

#[test]
fn loops_end() {
    for reply in [
        |sent: &Sent| Reply::to(sent).alias("a.test", 30, "a.test"),
        |sent: &Sent| Reply::to(sent).alias("a.test", 30, "b.test").alias("b.test", 30, "a.test"),
        |sent: &Sent| {
            Reply::to(sent).alias(&sent.name(), 30, if sent.name() == "a.test" { "b.test" } else { "a.test" })
        },
        |sent: &Sent| Reply::to(sent).alias(&sent.name(), 30, &format!("x{}", sent.name())),
    ] {
        let mut world = World::single();
        world.pending("a.test", 1);
        world.serve(|sent| Some(reply(sent)));
        assert_eq!(world.result(), Err(Failure::Loop));
        assert!(world.resolver.counters().sent <= 13, "{}", world.resolver.counters().sent);
        world.assert_quiet();
    }
}

#[test]
fn chains_of_twelve_are_followed_and_longer_ones_not() {
    for (length, ok) in [(12, true), (13, false)] {
        let mut world = World::single();
        world.pending("n0", 1);
        let sent = world.sent_one();
        let mut reply = Reply::to(&sent);
        for i in 0..length {
            reply = reply.alias(&format!("n{i}"), 60, &format!("n{}", i + 1));
        }
        world.reply(&sent, reply.address(&format!("n{length}"), 60, "192.0.2.1"));
        assert_eq!(world.result().is_ok(), ok, "{length}");
    }
}

#[test]
fn a_chain_that_ends_in_nothing_is_a_no() {
    for (code, soa, expected) in [
        (rcode::NXDOMAIN, true, Failure::NotFound),
        (rcode::NXDOMAIN, false, Failure::NotFound),
        (rcode::NOERROR, true, Failure::NoAddress),
    ] {
        let mut world = World::single();
        world.pending("a.test", 1);
        let sent = world.sent_one();
        let reply = Reply::to(&sent).rcode(code).alias("a.test", 30, "b.test");
        world.reply(&sent, if soa { reply.soa("test", 60, 60) } else { reply });
        assert_eq!(world.result(), Err(expected));
    }
}

#[test]
fn an_alias_to_a_name_that_cannot_be_asked_fails() {
    let mut world = World::single();
    world.pending("a.test", 1);
    let sent = world.sent_one();
    world.reply(&sent, Reply::to(&sent).record(0, "a.test", TYPE_CNAME, 60, b"\x04a b.\x00"));
    assert_eq!(world.result(), Err(Failure::Loop));
}
