//! What name servers and the files of the resolver say. The resolver itself is driven by the input as a script: in every
//! script each waiter is told exactly once, and nothing stays behind.

use super::{outcome, rough};
use dns::wire::message::{Message, Records, Section};
use dns::wire::name::{is_normal, NameRef};
use dns::{hosts, resolv_conf, Config, Event, LinkId, LookupStart, Millis, Random, Resolver, StreamEvent, Transmit};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

pub(super) const MESSAGES: &[&[u8]] = &[
    b"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x03www\x04test\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x01",
    b"\x12\x34\x81\x83\x00\x01\x00\x00\x00\x01\x00\x01\x01a\x00\x00\x1c\x00\x01\xc0\x0c\x00\x06\x00\x01\x00\x00\x00\x3c\x00\x18\x01n\xc0\x0c\x01m\xc0\x0c\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00\x05\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00",
    b"\x12\x34\x83\x80\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01",
];

/// Scripts of the resolver: see `act`.
pub(super) const SCRIPTS: &[&[u8]] = &[
    b"L\x00A\x01\x05W\x10A\x02\x05W\xff",
    b"L\x00L\x01L\x00N\x01N\x02L\x02S\x01S\x02R\x01A\x01\x03",
    b"L\x00T\x01W\x02D\x07A\x01\x09C\x00W\xff",
    b"L\x03P\x01P\x02A\x03\x02A\x04\x02L\x03U\x00W\x20X\x00G\x10rubbish that came by itself",
];

pub(super) const RESOLV_CONFS: &[&[u8]] = &[
    b"nameserver 127.0.0.1\nnameserver fe80::1%eth0\nsearch a.test b.test\noptions ndots:2 timeout:3 attempts:1 rotate\n",
    b"; comment\n# comment\nNAMESERVER [::1]:5353\ndomain x.test\noptions use-vc no-aaaa no-tld-query no-reload edns0\n",
];

pub(super) const HOSTS: &[&[u8]] =
    &[b"127.0.0.1 localhost\n::1 localhost ip6-localhost # x\n0.0.0.0 Ads.Example. other\n"];

pub(super) fn message(bytes: &[u8]) -> u64 {
    let message = match Message::parse(bytes) {
        Ok(message) => message,
        Err(malformed) => return outcome(malformed.to_string()),
    };
    let question = match message.question() {
        Ok(question) => question,
        Err(malformed) => return outcome((1, malformed.to_string())),
    };
    let mut records = Records::default();
    if let Err(malformed) = message.records(question.end, &mut records) {
        return outcome((2, malformed.to_string()));
    }
    let sections = [Section::Answer, Section::Authority, Section::Additional];
    let all = sections.iter().flat_map(|section| records.of(*section));
    let mut named = 0;
    for record in all.clone() {
        assert!(record.bytes(&message).len() == record.length, "data that is not in the message");
        let owner = NameRef::new(bytes, record.owner);
        let text = owner.text();
        named += usize::from(matches!(text, Ok(Some(_))));
        assert!(owner.same(owner).unwrap_or(true), "a name is not itself");
        if let Ok(Some(text)) = text {
            assert!(is_normal(&text), "{text}");
        }
    }
    outcome((message.rcode(), rough(all.count()), rough(named), question.kind))
}

/// Repeatable bits.
struct Counted(u64);

impl Random for Counted {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (self.0 ^ (self.0 >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }
}

/// A resolver between a script and its servers.
struct World {
    resolver: Resolver,
    now: Millis,
    /// Questions as sent, with where they went, the newest last.
    asked: Vec<(SocketAddr, Option<LinkId>, Vec<u8>)>,
    /// How often each waiter must still be told.
    waiting: BTreeMap<u64, i32>,
    told: [usize; 3],
}

const NAMES: [&str; 6] = ["www.test", "a.test", "www", "xn--a.b.c.d.test", "other.test", "alias.test"];

/// Questions that are remembered.
const REMEMBERED: usize = 64;

fn server(last: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 53))
}

impl World {
    fn new() -> World {
        let search = vec!["test".to_string()];
        let config = Config { servers: vec![server(1), server(2)], search, max_lookups: 16, ..Config::default() };
        let resolver = Resolver::new(config, Arc::default(), Box::new(Counted(1)));
        World { resolver, now: 1000, asked: Vec::new(), waiting: BTreeMap::new(), told: [0; 3] }
    }

    /// Carries away what the resolver wants sent or announced.
    fn settle(&mut self) {
        while let Some(transmit) = self.resolver.poll_transmit() {
            let asked = match transmit {
                Transmit::Datagram { server, bytes } => (server, None, bytes.to_vec()),
                Transmit::Stream { link, server, bytes } => {
                    (server, Some(link), bytes.get(2..).unwrap_or(&[]).to_vec())
                }
                Transmit::Close { .. } => continue,
            };
            self.asked.push(asked);
        }
        let old = self.asked.len().saturating_sub(REMEMBERED);
        self.asked.drain(..old);
        while let Some(event) = self.resolver.poll_event() {
            match event {
                Event::Resolved { waiter, result, .. } => {
                    *self.waiting.entry(waiter).or_default() -= 1;
                    self.told[usize::from(result.is_err())] += 1;
                }
                Event::Late { .. } => self.told[2] += 1,
            }
        }
    }

    /// One step: a letter, a number, and for some bytes that follow.
    fn act(&mut self, letter: u8, number: u8, rest: &[u8]) {
        match letter {
            b'L' => {
                let waiter = u64::from(number) + 1000 * self.waiting.len() as u64;
                let name = NAMES[usize::from(number) % NAMES.len()];
                match self.resolver.lookup(name, waiter, self.now) {
                    LookupStart::Pending(id) if number >= 200 => self.resolver.cancel(id, waiter, self.now),
                    LookupStart::Pending(_) => *self.waiting.entry(waiter).or_default() += 1,
                    LookupStart::Cached(_) => self.told[0] += 1,
                }
            }
            b'W' => self.now += u64::from(number) * 20,
            b'U' => self.resolver.handle_unreachable(server(number % 3), self.now),
            b'X' => self.resolver.forget(NAMES[usize::from(number) % NAMES.len()], self.now),
            b'G' => self.resolver.handle_datagram(server(number % 3), rest, self.now),
            b'C' | b'D' => {
                let link = self.asked.iter().rev().find_map(|(_, link, _)| *link);
                let event = if letter == b'C' { StreamEvent::Closed } else { StreamEvent::Data(rest) };
                link.into_iter().for_each(|link| self.resolver.handle_stream(link, event, self.now));
            }
            b'A' | b'N' | b'S' | b'T' | b'P' | b'R' => self.answer(letter, usize::from(number), rest),
            _ => {}
        }
        self.resolver.handle_timeout(self.now);
        self.settle();
    }

    /// Answers the question before the last `back` ones.
    fn answer(&mut self, letter: u8, back: usize, rest: &[u8]) {
        let Some(at) = self.asked.len().checked_sub(1 + back % REMEMBERED) else { return };
        let (from, link, question) = self.asked[at].clone();
        let bytes = reply(letter, &question, rest);
        match link {
            Some(link) => {
                let framed = [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat();
                let (first, second) =
                    framed.split_at(usize::from(rest.first().copied().unwrap_or(3)).min(framed.len()));
                self.resolver.handle_stream(link, StreamEvent::Data(first), self.now);
                self.resolver.handle_stream(link, StreamEvent::Data(second), self.now);
            }
            None => self.resolver.handle_datagram(from, &bytes, self.now),
        }
    }
}

/// A reply to a question: with addresses, an alias, cut, refused, or with the bytes of the input.
fn reply(letter: u8, question: &[u8], rest: &[u8]) -> Vec<u8> {
    let Some(body) = question.get(12..) else { return Vec::new() };
    let end = body.windows(5).position(|part| part[0] == 0).map_or(body.len(), |at| at + 5);
    let kind = body.get(end.saturating_sub(3)).copied().unwrap_or(1);
    let (flags, records): ([u8; 2], Vec<u8>) = match letter {
        b'N' => ([0x81, 0x83], Vec::new()),
        b'S' => ([0x81, 0x82], Vec::new()),
        b'T' => ([0x83, 0x80], Vec::new()),
        b'R' => ([0x81, 0x80], rest.to_vec()),
        b'P' => ([0x81, 0x80], b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x0c\x05other\x04test\0".to_vec()),
        _ if kind == 28 => {
            ([0x81, 0x80], b"\xc0\x0c\0\x1c\0\x01\0\0\0\x3c\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01".to_vec())
        }
        _ => ([0x81, 0x80], b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x01".to_vec()),
    };
    let answers = u8::from(!records.is_empty());
    let head = [question[0], question[1], flags[0], flags[1], 0, 1, 0, answers, 0, 0, 0, 0];
    [&head[..], &body[..end], &records].concat()
}

/// Steps of a script at most.
const STEPS: usize = 400;

pub(super) fn resolver(script: &[u8]) -> u64 {
    let mut world = World::new();
    let mut rest = script;
    for _ in 0..STEPS {
        let [letter, number, after @ ..] = rest else { break };
        let taken = if matches!(letter, b'G' | b'D' | b'R') { usize::from(*number).min(after.len()) } else { 0 };
        world.act(*letter, *number, &after[..taken]);
        rest = &after[taken..];
    }
    // No server answers any more: every wait ends by itself.
    for _ in 0..100 {
        world.now += 1000;
        world.resolver.handle_timeout(world.now);
        world.settle();
    }
    let untold: Vec<_> = world.waiting.iter().filter(|(_, times)| **times != 0).collect();
    assert!(untold.is_empty(), "waiters told too often or never: {untold:?}");
    assert_eq!((world.resolver.pending(), world.resolver.open_queries()), (0, 0), "something stays behind");
    outcome(world.told.map(rough))
}

pub(super) fn resolv_conf(bytes: &[u8]) -> u64 {
    let conf = resolv_conf::parse(&String::from_utf8_lossy(bytes));
    assert!(!conf.servers.is_empty(), "a resolver without servers");
    assert!(conf.search.iter().all(|domain| is_normal(domain)) && conf.ndots <= 15, "{conf:?}");
    let mut config = Config::default();
    config.apply(&conf, true, |_| Some(1));
    outcome((
        rough(conf.servers.len()),
        conf.search.len().min(3),
        conf.rotate,
        conf.use_tcp,
        conf.timeout,
        conf.attempts,
    ))
}

pub(super) fn hosts(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let hosts = hosts::parse(&text);
    assert!(hosts.len() <= text.split_whitespace().count(), "names that nobody wrote");
    let known = hosts.get("localhost").map(|addresses| (addresses.v4().len().min(3), addresses.v6().len().min(3)));
    outcome((rough(hosts.len()), known))
}
