//! Which families are asked for, and the gateway for IPv4 (RFC 7050, RFC 6052).

use super::*;
use crate::nat64::{Nat64, Prefix};

const BOTH: Families = Families { v4: true, v6: true };
const V4: Families = Families { v4: true, v6: false };
const V6: Families = Families { v4: false, v6: true };
const NONE: Families = Families { v4: false, v6: false };

fn world(nat64: Nat64) -> World {
    World::new(Config { nat64, ..config(1) })
}

fn ways(world: &mut World, ways: Families) -> bool {
    world.resolver.set_ways(ways, world.now).is_some()
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// A name server of a network whose gateway has this prefix.
fn network<'a>(prefix: &'a str, ttl: u32) -> impl Fn(&Sent) -> Option<Reply> + 'a {
    move |sent| {
        let reply = Reply::to(sent);
        let probe = sent.name() == "ipv4only.arpa";
        Some(match (probe, sent.kind()) {
            (true, TYPE_AAAA) if !prefix.is_empty() => {
                let embed = |probe: [u8; 4]| prefix.parse::<Prefix>().unwrap().embed(probe.into()).to_string();
                let reply = reply.address("ipv4only.arpa", ttl, &embed([192, 0, 0, 170]));
                reply.address("ipv4only.arpa", ttl, &embed([192, 0, 0, 171]))
            }
            (true, TYPE_A) => reply.address("ipv4only.arpa", ttl, "192.0.0.170"),
            (false, TYPE_A) => reply.address(&sent.name(), 300, "192.0.2.33"),
            _ => reply.soa("test", 60, 60),
        })
    }
}

/// Lets the network answer. No caller is told of the probe.
fn answer(world: &mut World, network: impl Fn(&Sent) -> Option<Reply>) {
    world.serve(network);
    assert_eq!(world.events(), []);
}

#[test]
fn families_that_lead_nowhere_are_not_asked_for() {
    let both = BOTH;
    for (wanted, ways_out, asked) in [
        (both, BOTH, BOTH),
        (both, V4, V4),
        (both, V6, V6),
        // A machine without any route still has itself.
        (both, NONE, V4),
        (V4, V6, V4),
        (V6, V4, V6),
        (V6, NONE, V6),
    ] {
        let mut world = World::new(Config { families: wanted, ..config(1) });
        ways(&mut world, ways_out);
        assert_eq!(world.resolver.families(), asked, "{wanted:?} {ways_out:?}");
        world.pending("name.test", 1);
        let kinds: Vec<u16> = world.sent().iter().map(Sent::kind).collect();
        assert_eq!((kinds.contains(&TYPE_A), kinds.contains(&TYPE_AAAA)), (asked.v4, asked.v6));
    }
}

#[test]
fn addresses_of_the_hosts_file_hold_whatever_leads_out() {
    let mut world = World::with_hosts(config(1), "192.0.2.7 old.test\n2001:db8::7 new.test");
    ways(&mut world, V6);
    assert_eq!(world.cached("old.test").unwrap(), ["192.0.2.7"]);
    ways(&mut world, V4);
    assert_eq!(world.cached("new.test").unwrap(), ["2001:db8::7"]);
}

#[test]
fn the_prefix_of_the_network_is_learned_and_ipv4_goes_through_it() {
    let mut world = world(Nat64::Auto);
    assert!(ways(&mut world, V6) && !ways(&mut world, V6));
    world.pass(0);
    answer(&mut world, network("2001:db8:64::/96", 300));
    assert_eq!(world.resolver.prefixes(), [prefix("2001:db8:64::/96")]);
    assert_eq!(world.resolver.families(), BOTH, "names that have IPv4 alone are of use now");
    let through = |world: &World, address: &str| world.resolver.through_gateway(address.parse().unwrap());
    assert_eq!(through(&world, "192.0.2.33"), Some("2001:db8:64::192.0.2.33".parse().unwrap()));
    assert_eq!(through(&world, "127.0.0.1"), None);
    // IPv4 leads somewhere: nothing goes round.
    ways(&mut world, BOTH);
    world.pass(0);
    answer(&mut world, network("2001:db8:64::/96", 300));
    assert_eq!(world.resolver.prefixes(), [prefix("2001:db8:64::/96")], "still to be judged by");
    assert_eq!(through(&world, "192.0.2.33"), None);
    // Without IPv6 there is no gateway.
    ways(&mut world, V4);
    world.pass(60_000);
    assert_eq!((world.resolver.gateways().len(), world.sent().len()), (0, 0));
    assert_eq!(world.resolver.poll_timeout(), None);
}

#[test]
fn the_prefix_is_looked_up_again_when_its_time_is_over() {
    let mut world = world(Nat64::Auto);
    ways(&mut world, V6);
    world.pass(0);
    answer(&mut world, network("64:ff9b::/96", 300));
    world.pass(299_000);
    assert_eq!(world.sent().len(), 0);
    world.pass(2_000);
    answer(&mut world, network("2001:db8:1::/48", 1));
    assert_eq!(world.resolver.prefixes(), [prefix("2001:db8:1::/48")]);
    // A time of a second does not make a question of each second.
    world.pass(58_000);
    assert_eq!(world.sent().len(), 0);
    world.pass(3_000);
    answer(&mut world, network("", 0));
    assert_eq!((world.resolver.gateways(), world.resolver.families()), (&[][..], V6), "this network has none");
    assert_eq!(world.resolver.prefixes(), []);
}

#[test]
fn a_silent_server_takes_no_prefix_away() {
    let mut world = world(Nat64::Auto);
    ways(&mut world, V6);
    world.pass(0);
    answer(&mut world, network("64:ff9b::/96", 60));
    // Nothing is asked in a row, and nothing is left behind.
    let mut asked = 0;
    for _ in 0..300 {
        world.pass(1_000);
        asked += world.sent().iter().filter(|sent| sent.name() == "ipv4only.arpa").count();
        assert_eq!(world.events(), []);
        assert!(world.resolver.pending() <= 1);
        assert_eq!(world.resolver.prefixes(), [Prefix::WELL_KNOWN]);
    }
    // Eight rounds or so, each of two families three times.
    assert!((12..100).contains(&asked), "{asked}");
}

/// Name servers that know nothing of AAAA for a while, and of A all the time.
#[test]
fn ways_3_a_failure_for_ipv6_alone_takes_no_prefix_away() {
    let broken = |sent: &Sent| match sent.kind() {
        TYPE_AAAA => Some(Reply::to(sent).rcode(rcode::SERVFAIL)),
        _ => network("64:ff9b::/96", 3600)(sent),
    };
    let mut world = world(Nat64::Auto);
    ways(&mut world, V6);
    world.pass(0);
    answer(&mut world, network("64:ff9b::/96", 60));
    assert_eq!(world.resolver.families(), BOTH);
    for _ in 0..180 {
        world.pass(1_000);
        answer(&mut world, broken);
        assert_eq!(world.resolver.gateways(), [Prefix::WELL_KNOWN]);
    }
    // A new network is found out about as soon as it answers, not when the address of IPv4 has had its time.
    ways(&mut world, BOTH);
    world.pass(0);
    answer(&mut world, broken);
    assert_eq!(world.resolver.gateways(), []);
    for _ in 0..90 {
        world.pass(1_000);
        answer(&mut world, network("2001:db8:1::/48", 60));
    }
    assert_eq!(world.resolver.gateways(), [prefix("2001:db8:1::/48")]);
    // Where it is the network that says no, there is none.
    for _ in 0..90 {
        world.pass(1_000);
        answer(&mut world, network("", 3600));
    }
    assert_eq!(world.resolver.gateways(), []);
}

/// A reload, or a line in the hosts file, took IPv4 away from everybody until the network had answered again.
#[test]
fn ways_4_a_reload_takes_no_prefix_away_and_another_network_only_from_use() {
    let mut world = world(Nat64::Auto);
    ways(&mut world, V6);
    world.pass(0);
    answer(&mut world, network("64:ff9b::/96", 3600));
    let same = Config { nat64: Nat64::Auto, ..config(1) };
    world.resolver.reconfigure(same.clone(), Arc::default(), world.now);
    assert_eq!((world.resolver.gateways(), world.resolver.families()), (&[Prefix::WELL_KNOWN][..], BOTH));
    world.pass(0);
    assert!(world.sent().iter().any(|sent| sent.name() == "ipv4only.arpa"), "it is asked for again");
    // Of another network nothing is known. An address of the old one is still no way round a rule.
    let elsewhere: [fn(&mut World); 2] = [
        |world| {
            let other = Config { nat64: Nat64::Auto, servers: vec![server(9)], ..config(1) };
            world.resolver.reconfigure(other, Arc::default(), world.now);
        },
        |world| {
            ways(world, V4);
            ways(world, V6);
        },
    ];
    for leave in elsewhere {
        world.resolver.reconfigure(same.clone(), Arc::default(), world.now);
        world.pass(0);
        answer(&mut world, network("64:ff9b::/96", 3600));
        assert_eq!(world.resolver.gateways(), [Prefix::WELL_KNOWN]);
        leave(&mut world);
        assert_eq!((world.resolver.gateways(), world.resolver.families()), (&[][..], V6));
        assert_eq!(world.resolver.prefixes(), [Prefix::WELL_KNOWN]);
        world.pass(0);
        answer(&mut world, network("2001:db8:1::/48", 60));
        assert_eq!(world.resolver.prefixes(), [prefix("2001:db8:1::/48")]);
        assert_eq!(world.resolver.gateways(), [prefix("2001:db8:1::/48")]);
    }
}

#[test]
fn a_prefix_that_is_given_needs_no_question() {
    let mut world = world(Nat64::Fixed(prefix("2001:db8:1::/48")));
    ways(&mut world, V6);
    world.pass(100_000);
    assert_eq!(world.sent().len(), 0);
    assert_eq!(world.resolver.families(), BOTH);
    let inside = world.resolver.through_gateway([192, 0, 2, 1].into());
    assert_eq!(inside, Some("2001:db8:1:c000:2:100::".parse().unwrap()));
}

#[test]
fn other_servers_are_asked_for_their_prefix() {
    let mut world = world(Nat64::Auto);
    ways(&mut world, V6);
    world.pass(0);
    assert_eq!(world.sent().len(), 1);
    let moved = Config { nat64: Nat64::Auto, servers: vec![server(9)], ..config(1) };
    world.resolver.reconfigure(moved, Arc::default(), world.now);
    world.pass(0);
    let asked = world.sent();
    assert!(asked.iter().any(|sent| sent.server == server(9)));
    for sent in &asked {
        world.reply(sent, network("64:ff9b::/96", 60)(sent).unwrap());
    }
    world.events();
    assert_eq!(world.resolver.prefixes(), [Prefix::WELL_KNOWN]);
    let off = Config { nat64: Nat64::Off, ..config(1) };
    world.resolver.reconfigure(off, Arc::default(), world.now);
    assert_eq!((world.resolver.prefixes(), world.resolver.families()), (&[][..], V6));
}
