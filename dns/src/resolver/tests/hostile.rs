//! Bytes of every kind from servers: no panic, no endless work, nothing left behind.

use super::*;

#[test]
fn short_and_looping_datagrams_are_dropped_and_counted() {
    let mut world = World::single();
    world.pending("a.test", 1);
    let sent = world.sent_one();
    for length in 0..12 {
        let bytes = knows_all(&sent).unwrap().bytes();
        world.deliver(&sent, &bytes[..length]);
    }
    assert_eq!(world.resolver.counters().dropped_malformed, 12);
    let mut looping = Reply::to(&sent).bytes();
    looping[12..14].copy_from_slice(&[0xc0, 12]);
    world.deliver(&sent, &looping);
    world.reply(&sent, knows_all(&sent).unwrap());
    assert_eq!(world.result().unwrap(), ["192.0.2.80"], "the question is still open");
}

#[test]
fn a_pointer_loop_inside_an_answer_is_dropped_and_the_true_answer_behind_it_counts() {
    let mut world = World::single();
    world.pending("a.test", 1);
    let sent = world.sent_one();
    let mut reply = Reply::to(&sent);
    let at = reply.head.len();
    reply.records.extend([0xc0, at as u8, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    reply.counts[0] = 1;
    world.reply(&sent, reply);
    assert_eq!(world.resolver.counters().dropped_malformed, 1);
    world.reply(&sent, Reply::to(&sent).address("a.test", 60, "192.0.2.1"));
    assert!(world.result().is_ok());
}

/// One run: names asked, answers broken in every way, time passing. Everything must end by itself.
fn storm(seed: u64) {
    let mut random = XorShift(seed);
    let search = if seed % 2 == 0 { vec!["x.test".to_owned()] } else { Vec::new() };
    let servers = 1 + (seed % 3) as usize;
    let mut world = World::new(Config { search, use_tcp: seed % 7 == 0, cache_entries: 20, ..config(servers) });
    let mut told = 0;
    let mut asked = 0;
    for turn in 0..60 {
        let name = format!("n{}.test", random.next_u64() % 30);
        if let LookupStart::Pending(id) = world.resolver.lookup(&name, turn, world.now) {
            asked += 1;
            if random.next_u64() % 8 == 0 {
                world.resolver.cancel(id, turn, world.now);
                asked -= 1;
            }
        }
        for sent in world.sent() {
            reply_somehow(&mut world, &mut random, &sent);
        }
        if random.next_u64() % 20 == 0 {
            let number = 1 + random.next_u64() as usize % servers;
            world.resolver.handle_unreachable(server(number), world.now);
        }
        told += finals(&mut world);
        world.pass(random.next_u64() % 300);
    }
    for _ in 0..1_000 {
        world.sent();
        told += finals(&mut world);
        world.pass(100);
    }
    assert_eq!(told, asked, "seed {seed}");
    world.sent();
    world.assert_quiet();
    assert_eq!(world.resolver.poll_timeout(), None, "seed {seed}");
}

fn finals(world: &mut World) -> u64 {
    let events = world.events();
    events.iter().filter(|event| !matches!(event, Event::Resolved { more: true, .. })).count() as u64
}

fn reply_somehow(world: &mut World, random: &mut XorShift, sent: &Sent) {
    let name = sent.name();
    let reply = match random.next_u64() % 10 {
        0 => return,
        1 => Reply::to(sent).rcode((random.next_u64() % 16) as u16),
        2 => Reply::to(sent).truncated(),
        3 => Reply::to(sent).alias(&name, 5, "n1.test"),
        4 => Reply::to(sent).rcode(rcode::NXDOMAIN).soa("test", 5, 5),
        5 => knows_all(sent).unwrap().lowered(),
        6 => Reply::to(sent).edns(1),
        _ => knows_all(sent).unwrap().edns(0),
    };
    let mut bytes = reply.bytes();
    if random.next_u64() % 2 == 0 {
        for _ in 0..1 + random.next_u64() % 3 {
            let at = random.next_u64() as usize % bytes.len();
            bytes[at] = random.next_u64() as u8;
        }
    }
    if random.next_u64() % 10 == 0 {
        bytes.truncate(random.next_u64() as usize % bytes.len());
    }
    match (sent.link, random.next_u64() % 6) {
        (Some(link), 0) => world.resolver.handle_stream(link, StreamEvent::Closed, world.now),
        (Some(link), 1) => world.resolver.handle_stream(link, StreamEvent::Data(&bytes), world.now),
        _ => world.deliver(sent, &bytes),
    }
}

#[test]
fn storms_of_broken_answers_end() {
    for seed in 1..400 {
        storm(seed);
    }
}

#[test]
fn random_datagrams_never_panic() {
    let mut random = XorShift(99);
    let mut world = World::new(config(1));
    for round in 0..20_000u64 {
        if round % 500 == 0 {
            world.pending(&format!("n{round}.test"), 1);
        }
        let bytes: Vec<u8> = (0..random.next_u64() % 64).map(|_| random.next_u64() as u8).collect();
        world.resolver.handle_datagram(server(1), &bytes, world.now);
    }
    assert!(world.resolver.counters().dropped() >= 19_000);
}
