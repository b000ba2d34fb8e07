//! Questions over TCP.

use super::*;

/// Asks for a name whose answer does not fit a datagram; the question as it comes over TCP.
fn truncated(world: &mut World, name: &str) -> Sent {
    world.pending(name, 1);
    let sent = world.sent_one();
    world.reply(&sent, Reply::to(&sent).truncated().address(name, 60, "192.0.2.66"));
    let framed = world.sent_one();
    assert_eq!((framed.name().as_str(), framed.server), (name, server(1)));
    framed
}

#[test]
fn a_cut_answer_is_asked_again_over_tcp() {
    let mut world = World::single();
    let sent = truncated(&mut world, "a.test");
    assert!(sent.link.is_some());
    assert!(world.events().is_empty(), "the cut answer is not used");
    world.reply(&sent, knows_all(&sent).unwrap());
    assert_eq!(world.result().unwrap(), ["192.0.2.80"]);
    assert_eq!((world.resolver.counters().truncated, world.resolver.counters().tcp), (1, 1));
    world.assert_quiet();
}

/// Row 30 of the complaints: one connection, many questions, answers in any order and in any pieces.
#[test]
fn row_30_one_connection_carries_many_questions() {
    let mut world = World::single();
    let sent: Vec<Sent> = (0..20).map(|i| truncated(&mut world, &format!("n{i}.test"))).collect();
    assert!(sent.iter().all(|one| one.link == sent[0].link));
    let mut stream = Vec::new();
    for one in sent.iter().rev() {
        let bytes = knows_all(one).unwrap().bytes();
        stream.extend((bytes.len() as u16).to_be_bytes());
        stream.extend(bytes);
    }
    for piece in stream.chunks(7) {
        world.resolver.handle_stream(sent[0].link.unwrap(), StreamEvent::Data(piece), world.now);
    }
    assert_eq!(world.events().len(), 20);
    assert_eq!(world.resolver.counters().links, 1);
    world.assert_quiet();
}

#[test]
fn an_unused_connection_is_used_again_and_then_closed() {
    let mut world = World::single();
    let first = truncated(&mut world, "a.test");
    world.reply(&first, knows_all(&first).unwrap());
    world.pass(9_000);
    let second = truncated(&mut world, "b.test");
    assert_eq!(second.link, first.link);
    world.reply(&second, knows_all(&second).unwrap());
    world.pass(9_999);
    world.sent();
    assert!(world.closed.is_empty());
    world.pass(1);
    world.sent();
    assert_eq!(world.closed, [first.link.unwrap()]);
    let third = truncated(&mut world, "c.test");
    assert_ne!(third.link, first.link);
}

#[test]
fn a_closed_connection_that_had_worked_is_opened_again() {
    let mut world = World::single();
    let first = truncated(&mut world, "a.test");
    world.reply(&first, knows_all(&first).unwrap());
    world.events();
    let second = truncated(&mut world, "b.test");
    world.resolver.handle_stream(second.link.unwrap(), StreamEvent::Closed, world.now);
    let again = world.sent_one();
    assert!(again.link.is_some() && again.link != second.link);
    world.reply(&second, knows_all(&second).unwrap());
    assert!(world.events().is_empty(), "the old connection is gone");
    world.reply(&again, knows_all(&again).unwrap());
    assert!(world.result().is_ok());
    world.assert_quiet();
}

#[test]
fn a_server_that_closes_again_and_again_is_left() {
    let mut world = World::single();
    let first = truncated(&mut world, "a.test");
    world.reply(&first, knows_all(&first).unwrap());
    world.events();
    let mut sent = truncated(&mut world, "b.test");
    for _ in 0..10 {
        world.resolver.handle_stream(sent.link.unwrap(), StreamEvent::Closed, world.now);
        match world.pass_until_sent().1.pop() {
            Some(next) => sent = next,
            None => break,
        }
    }
    assert_eq!(world.result(), Err(Failure::ServerFailure));
    world.assert_quiet();
}

#[test]
fn b22_one_closed_connection_of_the_only_server_is_no_answer() {
    let mut world = World::single();
    let sent = truncated(&mut world, "a.test");
    world.resolver.handle_stream(sent.link.unwrap(), StreamEvent::Closed, world.now);
    assert!(world.events().is_empty());
    let (_, again) = world.pass_until_sent();
    assert!(again[0].link.is_some() && again[0].link != sent.link);
    world.reply(&again[0], knows_all(&again[0]).unwrap());
    assert!(world.result().is_ok());
    world.assert_quiet();
}

#[test]
fn where_tcp_is_refused_the_next_server_is_asked() {
    let mut world = World::pairs(2);
    let sent = truncated(&mut world, "a.test");
    world.resolver.handle_stream(sent.link.unwrap(), StreamEvent::Closed, world.now);
    let second = world.sent_one();
    assert_eq!((second.server, second.link), (server(2), None));
    world.reply(&second, knows_all(&second).unwrap());
    assert!(world.result().is_ok());
    world.assert_quiet();
}

/// The original repeated the pair of UDP and TCP for ever.
#[test]
fn a_silent_connection_is_given_up() {
    let mut world = World::single();
    let sent = truncated(&mut world, "a.test");
    let start = world.now;
    let (_, again) = world.pass_until_sent();
    assert!(again[0].link.is_some() && again[0].link != sent.link, "it may only have lost its connection");
    world.pass(10_000);
    assert!(world.sent().is_empty());
    assert_eq!(world.result(), Err(Failure::Timeout));
    assert_eq!(world.closed, [sent.link.unwrap(), again[0].link.unwrap()]);
    assert!(world.now - start <= 15_000);
    world.assert_quiet();
}

#[test]
fn an_answer_that_is_cut_over_tcp_too_is_no_answer() {
    let mut world = World::single();
    let mut sent = vec![truncated(&mut world, "a.test")];
    while let Some(one) = sent.pop() {
        assert!(world.events().is_empty());
        world.reply(&one, Reply::to(&one).truncated());
        sent = world.pass_until_sent().1;
    }
    assert_eq!(world.result(), Err(Failure::ServerFailure));
}

#[test]
fn use_vc_asks_over_tcp_only() {
    let mut world = World::new(Config { use_tcp: true, ..config(1) });
    world.pending("a.test", 1);
    let sent = world.sent();
    assert!(sent.len() == 2 && sent.iter().all(|sent| sent.link.is_some()));
    for one in &sent {
        world.reply(one, knows_all(one).unwrap());
    }
    assert_eq!(world.result().unwrap().len(), 2);
}

#[test]
fn a_slow_question_is_not_written_twice_into_one_connection() {
    let mut world = World::new(Config { use_tcp: true, families: Families { v4: true, v6: false }, ..config(1) });
    world.pending("slow.test", 1);
    let slow = world.sent_one();
    for i in 0..5 {
        world.pass(1_500);
        if world.resolver.pending() == 0 {
            break;
        }
        world.pending(&format!("n{i}.test"), 1);
        let sent = world.sent_one();
        assert_eq!(sent.link, slow.link);
        world.reply(&sent, knows_all(&sent).unwrap());
        world.events();
    }
    assert_eq!(world.resolver.counters().links, 1);
}

#[test]
fn a_connection_that_talks_nonsense_is_closed() {
    let mut world = World::single();
    let (mut sent, mut links) = (vec![truncated(&mut world, "a.test")], Vec::new());
    while let Some(one) = sent.pop() {
        links.push(one.link.unwrap());
        for _ in 0..100 {
            world.resolver.handle_stream(one.link.unwrap(), StreamEvent::Data(b"\x00\x02no\x00\x00"), world.now);
        }
        sent = world.pass_until_sent().1;
    }
    assert_eq!((links.len(), &world.closed), (3, &links));
    assert_eq!(world.result(), Err(Failure::ServerFailure));
    assert!(world.resolver.counters().dropped_malformed <= 3 * 66);
    world.assert_quiet();
}

#[test]
fn changing_servers_closes_connections() {
    let mut world = World::single();
    let sent = truncated(&mut world, "a.test");
    let config = Config { servers: vec![server(5)], ..world.resolver.config().clone() };
    world.resolver.reconfigure(config, Arc::default(), world.now);
    let next = world.sent_one();
    assert_eq!((next.server, next.link, world.closed.as_slice()), (server(5), None, &[sent.link.unwrap()][..]));
}
