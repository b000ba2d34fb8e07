//! A resolver, a clock that only tests move, and servers that say what the test wants.

mod aliases;
mod answers;
mod forgery;
mod hostile;
mod limits;
mod lookups;
mod reach;
mod servers;
mod tcp;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::*;
use crate::wire::message::HEADER;
use crate::wire::name::NameRef;
use crate::wire::{rcode, u16_at, TYPE_A, TYPE_AAAA, TYPE_CNAME, TYPE_NS, TYPE_SOA};
use crate::{hosts, Families};

/// A generator that can be repeated from its seed.
pub(super) struct XorShift(pub(super) u64);

impl Random for XorShift {
    fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Something that the resolver sent.
#[derive(Clone, Debug)]
struct Sent {
    server: SocketAddr,
    link: Option<LinkId>,
    bytes: Vec<u8>,
}

impl Sent {
    fn id(&self) -> u16 {
        u16_at(&self.bytes, 0).unwrap()
    }

    fn name(&self) -> String {
        NameRef::new(&self.bytes, HEADER).text().unwrap().unwrap()
    }

    fn kind(&self) -> u16 {
        u16_at(&self.bytes, self.kind_at()).unwrap()
    }

    /// Where the type of the question stands.
    fn kind_at(&self) -> usize {
        NameRef::new(&self.bytes, HEADER).end().unwrap()
    }

    fn has_edns(&self) -> bool {
        self.bytes[11] == 1
    }

    fn is_mixed(&self) -> bool {
        self.bytes[12..].iter().any(u8::is_ascii_uppercase)
    }
}

/// A response in the making.
#[derive(Clone)]
struct Reply {
    head: Vec<u8>,
    records: Vec<u8>,
    counts: [u16; 3],
}

impl Reply {
    /// An empty answer to a question, from a server that resolves for others.
    fn to(sent: &Sent) -> Reply {
        let mut head = sent.bytes[..sent.kind_at() + 4].to_vec();
        head[2] |= 0x80;
        head[3] |= 0x80;
        Reply { head, records: Vec::new(), counts: [0; 3] }
    }

    fn rcode(mut self, code: u16) -> Reply {
        self.head[3] = self.head[3] & 0xf0 | code as u8;
        self
    }

    fn truncated(mut self) -> Reply {
        self.head[2] |= 0x02;
        self
    }

    fn id(mut self, id: u16) -> Reply {
        self.head[..2].copy_from_slice(&id.to_be_bytes());
        self
    }

    fn no_recursion(mut self) -> Reply {
        self.head[3] &= 0x7f;
        self
    }

    /// The question with all letters in lower case.
    fn lowered(mut self) -> Reply {
        self.head[12..].make_ascii_lowercase();
        self
    }

    fn record(mut self, section: usize, owner: &str, kind: u16, ttl: u32, data: &[u8]) -> Reply {
        crate::wire::name::write(&mut self.records, owner, 0);
        self.records.extend(kind.to_be_bytes());
        self.records.extend([0, 1]);
        self.records.extend(ttl.to_be_bytes());
        self.records.extend((data.len() as u16).to_be_bytes());
        self.records.extend(data);
        self.counts[section] += 1;
        self
    }

    fn address(self, owner: &str, ttl: u32, address: &str) -> Reply {
        match address.parse().unwrap() {
            IpAddr::V4(v4) => self.record(0, owner, TYPE_A, ttl, &v4.octets()),
            IpAddr::V6(v6) => self.record(0, owner, TYPE_AAAA, ttl, &v6.octets()),
        }
    }

    fn alias(self, owner: &str, ttl: u32, target: &str) -> Reply {
        self.record(0, owner, TYPE_CNAME, ttl, &wire_name(target))
    }

    fn soa(self, zone: &str, ttl: u32, minimum: u32) -> Reply {
        let mut data = [wire_name("ns.test"), wire_name("admin.test")].concat();
        data.extend([0; 16]);
        data.extend(minimum.to_be_bytes());
        self.record(1, zone, TYPE_SOA, ttl, &data)
    }

    fn referral(self, zone: &str) -> Reply {
        self.record(1, zone, TYPE_NS, 100, &wire_name("ns.test"))
    }

    /// An OPT record with the high bits of a response code.
    fn edns(mut self, high: u8) -> Reply {
        self.records.extend([0, 0, 41, 4, 208, high, 0, 0, 0, 0, 0]);
        self.counts[2] += 1;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone();
        for (at, count) in self.counts.iter().enumerate() {
            bytes[6 + 2 * at..8 + 2 * at].copy_from_slice(&count.to_be_bytes());
        }
        bytes[10..12].copy_from_slice(&self.counts[2].to_be_bytes());
        bytes.extend(&self.records);
        bytes
    }
}

fn wire_name(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    crate::wire::name::write(&mut out, name, 0);
    out
}

/// The resolver with everything around it.
struct World {
    resolver: Resolver,
    now: Millis,
    closed: Vec<LinkId>,
}

fn server(number: usize) -> SocketAddr {
    ([192, 0, 2, number as u8], 53).into()
}

fn config(servers: usize) -> Config {
    Config {
        servers: (1..=servers).map(server).collect(),
        timeout: Duration::from_secs(2),
        attempts: 3,
        ..Config::default()
    }
}

impl World {
    fn new(config: Config) -> World {
        World::with_hosts(config, "")
    }

    fn with_hosts(config: Config, text: &str) -> World {
        let random = Box::new(XorShift(0x1234_5678_9abc_def1));
        World { resolver: Resolver::new(config, Arc::new(hosts::parse(text)), random), now: 1_000, closed: Vec::new() }
    }

    /// One server and one family, for tests that are about one question.
    fn single() -> World {
        World::new(Config { families: Families { v4: true, v6: false }, ..config(1) })
    }

    fn pairs(servers: usize) -> World {
        World::new(Config { families: Families { v4: true, v6: false }, ..config(servers) })
    }

    fn lookup(&mut self, name: &str) -> LookupStart {
        self.resolver.lookup(name, 1, self.now)
    }

    fn pending(&mut self, name: &str, waiter: u64) -> LookupId {
        match self.resolver.lookup(name, waiter, self.now) {
            LookupStart::Pending(id) => id,
            other => panic!("{name} is known: {other:?}"),
        }
    }

    fn cached(&mut self, name: &str) -> Result<Vec<String>, Failure> {
        match self.lookup(name) {
            LookupStart::Cached(result) => result.map(|addresses| texts(&addresses)),
            LookupStart::Pending(_) => panic!("{name} is not known"),
        }
    }

    /// What the resolver wants to send.
    fn sent(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(transmit) = self.resolver.poll_transmit() {
            match transmit {
                Transmit::Datagram { server, bytes } => sent.push(Sent { server, link: None, bytes: bytes.to_vec() }),
                Transmit::Stream { link, server, bytes } => {
                    assert_eq!(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])), bytes.len() - 2);
                    sent.push(Sent { server, link: Some(link), bytes: bytes[2..].to_vec() });
                }
                Transmit::Close { link } => self.closed.push(link),
            }
        }
        sent
    }

    fn sent_one(&mut self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.resolver.poll_event()).collect()
    }

    /// The only event, which must be a final result.
    fn result(&mut self) -> Result<Vec<String>, Failure> {
        let events = self.events();
        match events.as_slice() {
            [Event::Resolved { result, more: false, .. }] => result.clone().map(|addresses| texts(&addresses)),
            other => panic!("{other:?}"),
        }
    }

    /// Answers the way the question came.
    fn reply(&mut self, sent: &Sent, reply: Reply) {
        let bytes = reply.bytes();
        self.deliver(sent, &bytes);
    }

    fn deliver(&mut self, sent: &Sent, bytes: &[u8]) {
        match sent.link {
            None => self.resolver.handle_datagram(sent.server, bytes, self.now),
            Some(link) => {
                let framed = [&(bytes.len() as u16).to_be_bytes(), bytes].concat();
                self.resolver.handle_stream(link, StreamEvent::Data(&framed), self.now);
            }
        }
    }

    /// Moves the clock, ringing on the way whenever the resolver asked for it.
    fn pass(&mut self, time: Millis) {
        let end = self.now + time;
        for _ in 0..100_000 {
            match self.resolver.poll_timeout().filter(|&at| at <= end) {
                Some(at) => {
                    self.now = self.now.max(at);
                    self.resolver.handle_timeout(self.now);
                }
                None => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("the resolver asks to be woken again and again");
    }

    /// The next time at which something is sent, with what.
    fn pass_until_sent(&mut self) -> (Millis, Vec<Sent>) {
        for _ in 0..100_000 {
            let sent = self.sent();
            if !sent.is_empty() {
                return (self.now, sent);
            }
            let Some(at) = self.resolver.poll_timeout() else { break };
            self.now = self.now.max(at);
            self.resolver.handle_timeout(self.now);
        }
        (self.now, Vec::new())
    }

    /// Lets servers answer until nothing happens at this moment.
    fn serve(&mut self, mut answer: impl FnMut(&Sent) -> Option<Reply>) {
        for _ in 0..1_000 {
            let sent = self.sent();
            if sent.is_empty() {
                return;
            }
            for one in sent {
                if let Some(reply) = answer(&one) {
                    self.reply(&one, reply);
                }
            }
        }
        panic!("the resolver asks without end");
    }

    /// So many questions are open.
    fn assert_open(&mut self, count: usize) {
        assert_eq!(self.resolver.open_queries(), count);
    }

    /// Nothing is open any more.
    fn assert_quiet(&mut self) {
        assert_eq!((self.resolver.pending(), self.resolver.open_queries(), self.resolver.orphans), (0, 0, 0));
        assert!(self.resolver.by_name.is_empty() && self.resolver.in_flight.is_empty());
        assert!(self.resolver.servers.iter().all(|server| server.ids.is_empty()));
        assert!(self.resolver.servers.iter().filter_map(|server| server.link.as_ref()).all(|link| link.open == 0));
    }
}

fn texts(addresses: &Addresses) -> Vec<String> {
    addresses.iter().map(|address| address.to_string()).collect()
}

/// An answer of the right family, for servers that know every name.
fn knows_all(sent: &Sent) -> Option<Reply> {
    let address = if sent.kind() == TYPE_A { "192.0.2.80" } else { "2001:db8::80" };
    Some(Reply::to(sent).address(&sent.name(), 300, address))
}
