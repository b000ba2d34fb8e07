//! Names: what needs no question, the search list, sharing, and telling the waiters.

use super::*;

#[test]
fn row_22_literals_and_some_names_need_no_question() {
    let mut world = World::with_hosts(config(1), "192.0.2.7 printer Printer.test\n2001:db8::7 printer.test");
    for (name, expected) in [
        ("192.0.2.1", Ok(vec!["192.0.2.1"])),
        ("2001:db8::1", Ok(vec!["2001:db8::1"])),
        ("[2001:db8::1]", Ok(vec!["2001:db8::1"])),
        ("localhost", Ok(vec!["::1", "127.0.0.1"])),
        ("LocalHost.", Ok(vec!["::1", "127.0.0.1"])),
        ("www.localhost", Ok(vec!["::1", "127.0.0.1"])),
        ("printer", Ok(vec!["192.0.2.7"])),
        ("PRINTER.test.", Ok(vec!["2001:db8::7", "192.0.2.7"])),
        ("a.invalid", Err(Failure::NotFound)),
        ("abc.onion", Err(Failure::NotFound)),
        ("127.1", Err(Failure::BadName)),
        ("0x7f.0.0.1", Err(Failure::BadName)),
        ("a..b", Err(Failure::BadName)),
        ("", Err(Failure::BadName)),
        ("[::1", Err(Failure::BadName)),
        ("fe80::1%eth0", Err(Failure::BadName)),
        ("a b.test", Err(Failure::BadName)),
        ("1.2.3.4.5", Err(Failure::BadName)),
    ] {
        let expected = expected.map(|list| list.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(world.cached(name), expected, "{name}");
    }
    world.pending("notlocalhost", 1);
    world.pending("onion.test", 1);
    assert_eq!(world.resolver.counters().queries, 4);
}

#[test]
fn files_and_rules_respect_the_wanted_families() {
    let config = Config { families: Families { v4: true, v6: false }, ..config(1) };
    let mut world = World::with_hosts(config, "192.0.2.7 a.test\n2001:db8::7 a.test b.test");
    assert_eq!(world.cached("localhost").unwrap(), ["127.0.0.1"]);
    assert_eq!(world.cached("a.test").unwrap(), ["192.0.2.7"]);
    assert_eq!(world.cached("b.test"), Err(Failure::NoAddress));
}

#[test]
fn case_and_a_last_dot_make_no_difference() {
    let mut world = World::single();
    world.pending("www.example.com", 1);
    world.pending("WWW.Example.COM", 2);
    world.pending("www.example.com.", 3);
    let sent = world.sent_one();
    world.reply(&sent, knows_all(&sent).unwrap());
    assert_eq!(world.events().len(), 3);
    assert!(world.cached("Www.Example.Com.").is_ok());
}

#[test]
fn one_question_is_shared_by_all_who_wait() {
    let mut world = World::new(config(1));
    for waiter in 0..1_000 {
        world.pending("a.test", waiter);
    }
    let sent = world.sent();
    assert_eq!(sent.len(), 2);
    for one in &sent {
        world.reply(one, knows_all(one).unwrap());
    }
    let waiters: Vec<u64> = world
        .events()
        .into_iter()
        .map(|event| match event {
            Event::Resolved { waiter, result: Ok(_), more: false } => waiter,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(waiters, (0..1_000).collect::<Vec<_>>());
    assert_eq!((world.resolver.counters().joined, world.resolver.counters().lookups), (999, 1_000));
    world.assert_quiet();
}

#[test]
fn the_search_list_is_walked() {
    let search = vec!["x.test".to_owned(), "y.test".to_owned()];
    let mut world = World::new(Config { search, ..config(1) });
    world.pending("host", 1);
    let mut names = Vec::new();
    world.serve(|sent| {
        names.push(sent.name());
        match sent.name().as_str() {
            "host.y.test" => knows_all(sent),
            _ => Some(Reply::to(sent).rcode(rcode::NXDOMAIN).soa("test", 60, 60)),
        }
    });
    assert_eq!(names, ["host.x.test", "host.x.test", "host.y.test", "host.y.test"]);
    assert_eq!(world.result().unwrap().len(), 2);
    assert_eq!(world.cached("host").unwrap().len(), 2);
    assert!(world.cached("host.y.test").is_ok());
    assert_eq!(world.cached("host.x.test.").unwrap_err(), Failure::NotFound);
    world.pending("host.", 1);
    assert_eq!(world.sent()[0].name(), "host");
}

#[test]
fn a_cached_bare_name_does_not_hide_the_search_list() {
    let mut world = World::new(Config { search: vec!["x.test".to_owned()], ..config(1) });
    world.pending("host.", 1);
    world.serve(knows_all);
    world.events();
    world.pending("host", 1);
    assert_eq!(world.sent()[0].name(), "host.x.test");
}

#[test]
fn silent_servers_end_the_search() {
    let search = vec!["x.test".to_owned(), "y.test".to_owned()];
    let mut world = World::new(Config { search, families: Families { v4: true, v6: false }, ..config(1) });
    world.pending("host", 1);
    let mut names = std::collections::HashSet::new();
    loop {
        let (_, sent) = world.pass_until_sent();
        if sent.is_empty() {
            break;
        }
        names.extend(sent.iter().map(Sent::name));
    }
    assert_eq!(world.result(), Err(Failure::Timeout));
    assert_eq!(names.len(), 1);
}

#[test]
fn hosts_are_found_through_the_search_list_too() {
    let config = Config { search: vec!["x.test".to_owned()], ..config(1) };
    let mut world = World::with_hosts(config, "192.0.2.7 host.x.test");
    assert_eq!(world.cached("host").unwrap(), ["192.0.2.7"]);
    assert!(world.sent().is_empty());
}

/// RFC 8305 section 3: IPv6 addresses at once, and the rest when it is there.
#[test]
fn row_16_ipv6_addresses_are_told_at_once_and_the_others_later() {
    let mut world = World::new(config(1));
    world.pending("a.test", 1);
    world.pending("a.test", 2);
    let sent = world.sent();
    world.reply(&sent[0], knows_all(&sent[0]).unwrap());
    let early = world.events();
    assert_eq!(early.len(), 2);
    for event in early {
        let Event::Resolved { result: Ok(addresses), more: true, .. } = event else { panic!("{event:?}") };
        assert_eq!(texts(&addresses), ["2001:db8::80"]);
    }
    world.pending("a.test", 3);
    assert!(matches!(world.events()[..], [Event::Resolved { waiter: 3, more: true, .. }]));
    world.pending("a.test", 4);
    world.reply(&sent[1], knows_all(&sent[1]).unwrap());
    let late = world.events();
    assert_eq!(late.len(), 4);
    for event in &late[..3] {
        let Event::Late { addresses, .. } = event else { panic!("{event:?}") };
        assert_eq!(texts(addresses), ["2001:db8::80", "192.0.2.80"]);
    }
    assert!(matches!(&late[3], Event::Resolved { waiter: 4, result: Ok(both), more: false } if both.len() == 2));
    world.assert_quiet();
}

#[test]
fn ipv4_addresses_wait_50_ms_for_the_others() {
    let mut world = World::new(config(1));
    world.pending("a.test", 1);
    let sent = world.sent();
    world.reply(&sent[1], knows_all(&sent[1]).unwrap());
    world.pass(49);
    assert!(world.events().is_empty());
    world.pass(1);
    let events = world.events();
    let [Event::Resolved { result: Ok(addresses), more: true, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(texts(addresses), ["192.0.2.80"]);
    world.pass(30_000);
    world.sent();
    let events = world.events();
    let [Event::Late { addresses, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(texts(addresses), ["192.0.2.80"], "the other family never came");
    world.assert_quiet();
}

#[test]
fn a_negative_ipv6_answer_does_not_make_ipv4_wait() {
    let mut world = World::new(config(1));
    world.pending("a.test", 1);
    let sent = world.sent();
    world.reply(&sent[1], knows_all(&sent[1]).unwrap());
    world.reply(&sent[0], Reply::to(&sent[0]).soa("test", 60, 60));
    assert_eq!(world.result().unwrap(), ["192.0.2.80"]);
}

#[test]
fn those_who_left_are_not_told() {
    let mut world = World::new(config(1));
    let id = world.pending("a.test", 1);
    world.pending("a.test", 2);
    let sent = world.sent();
    world.reply(&sent[0], knows_all(&sent[0]).unwrap());
    assert_eq!(world.events().len(), 2);
    world.resolver.cancel(id, 1, world.now);
    world.reply(&sent[1], knows_all(&sent[1]).unwrap());
    assert!(matches!(world.events()[..], [Event::Late { waiter: 2, lookup, .. }] if lookup == id));
    world.resolver.cancel(id, 2, world.now);
    world.assert_quiet();
}

#[test]
fn leaving_after_the_result_is_there_but_before_it_is_told_is_fine() {
    let mut world = World::single();
    let id = world.pending("a.test", 1);
    world.serve(knows_all);
    world.resolver.cancel(id, 1, world.now);
    assert!(world.events().is_empty());
    world.assert_quiet();
}
