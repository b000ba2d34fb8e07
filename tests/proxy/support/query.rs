//! DNS messages as the mock name server reads and builds them (RFC 1035 section 4), written apart from the proxy's
//! own decoder so that an error there cannot hide here. Knows no socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Record type of an IPv4 address.
pub const A: u16 = 1;
/// Record type of an IPv6 address (RFC 3596).
pub const AAAA: u16 = 28;
/// Record type of an alias.
pub const CNAME: u16 = 5;
/// Record type of a zone's start.
const SOA: u16 = 6;

/// Seconds that answers may be kept unless a test says otherwise.
const TTL: u32 = 60;

/// A question as it arrived.
#[derive(Clone, Debug)]
pub struct Query {
    /// Identifier chosen by the proxy.
    pub id: u16,
    /// The name in the letter case in which it came, dots between labels.
    pub name: String,
    /// Record type asked for.
    pub kind: u16,
    /// UDP payload size offered by EDNS (RFC 6891 section 6.2.3).
    pub edns: Option<u16>,
    /// Whether it came over TCP.
    pub tcp: bool,
    /// Port that it came from.
    pub port: u16,
    question: Vec<u8>,
}

/// A reply under construction.
#[derive(Clone)]
pub struct Reply {
    id: u16,
    flags: u16,
    question: Vec<u8>,
    answers: Vec<Vec<u8>>,
    authority: Vec<Vec<u8>>,
    owner: String,
    ttl: u32,
}

impl Query {
    /// Reads a message with exactly one question; None for anything else.
    pub fn read(bytes: &[u8], tcp: bool, port: u16) -> Option<Query> {
        let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        if word(4)? != 1 {
            return None;
        }
        let mut labels = Vec::new();
        let mut at = 12;
        while bytes.get(at).copied()? != 0 {
            let length = usize::from(bytes[at]);
            labels.push(String::from_utf8_lossy(bytes.get(at + 1..at + 1 + length)?).into_owned());
            at += 1 + length;
        }
        let question = bytes.get(12..at + 5)?.to_vec();
        // An OPT record (type 41) with the root as owner carries the payload size as its class.
        let edns = (word(10)? == 1 && word(at + 6) == Some(41)).then(|| word(at + 8)).flatten();
        Some(Query { id: word(0)?, name: labels.join("."), kind: word(at + 1)?, edns, tcp, port, question })
    }

    /// The name in lower case.
    pub fn plain(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// An empty reply without error.
    pub fn reply(&self) -> Reply {
        Reply {
            id: self.id,
            flags: 0x8180,
            question: self.question.clone(),
            answers: Vec::new(),
            authority: Vec::new(),
            owner: self.name.clone(),
            ttl: TTL,
        }
    }

    /// A reply with all of the addresses that fit the type asked for.
    pub fn addresses(&self, addresses: &[IpAddr]) -> Reply {
        let mut reply = self.reply();
        for address in addresses {
            reply = match (self.kind, address) {
                (A, IpAddr::V4(ip)) => reply.a(*ip),
                (AAAA, IpAddr::V6(ip)) => reply.aaaa(*ip),
                _ => reply,
            };
        }
        reply
    }
}

impl Reply {
    /// Adds an IPv4 address of the current owner.
    pub fn a(self, ip: Ipv4Addr) -> Reply {
        self.record(A, &ip.octets())
    }

    /// Adds an IPv6 address of the current owner.
    pub fn aaaa(self, ip: Ipv6Addr) -> Reply {
        self.record(AAAA, &ip.octets())
    }

    /// Adds an alias of the current owner; records that follow belong to its target.
    pub fn cname(self, target: &str) -> Reply {
        let mut reply = self.record(CNAME, &encode(target));
        reply.owner = target.to_owned();
        reply
    }

    /// Adds any record of the current owner.
    pub fn record(mut self, kind: u16, data: &[u8]) -> Reply {
        let record = record(&encode(&self.owner), kind, self.ttl, data);
        self.answers.push(record);
        self
    }

    /// Time to live of the records that follow, in seconds.
    pub fn ttl(mut self, seconds: u32) -> Reply {
        self.ttl = seconds;
        self
    }

    /// Sets the response code.
    pub fn code(mut self, code: u16) -> Reply {
        self.flags = (self.flags & 0xfff0) | code;
        self
    }

    /// Adds the zone's start, which lets the proxy keep a negative answer for `ttl` seconds (RFC 2308 section 5).
    pub fn negative(mut self, ttl: u32) -> Reply {
        let mut data = [encode("ns.test"), encode("admin.test")].concat();
        for number in [1, 3600, 600, 86_400, ttl] {
            data.extend_from_slice(&u32::to_be_bytes(number));
        }
        self.authority.push(record(&encode("test"), SOA, ttl, &data));
        self
    }

    /// Says that it was cut and should be asked for again over TCP.
    pub fn truncated(mut self) -> Reply {
        self.flags |= 0x0200;
        self
    }

    /// Puts in another identifier.
    pub fn id(mut self, id: u16) -> Reply {
        self.id = id;
        self
    }

    /// Puts in another name as the question.
    pub fn question(mut self, name: &str) -> Reply {
        let kind = self.question[self.question.len() - 4..].to_vec();
        self.question = [encode(name), kind].concat();
        self
    }

    /// The message.
    pub fn bytes(&self) -> Vec<u8> {
        let counts = [1, self.answers.len(), self.authority.len(), 0];
        let mut bytes = [self.id.to_be_bytes(), self.flags.to_be_bytes()].concat();
        for count in counts {
            bytes.extend_from_slice(&(count as u16).to_be_bytes());
        }
        bytes.extend_from_slice(&self.question);
        bytes.extend(self.answers.concat());
        bytes.extend(self.authority.concat());
        bytes
    }
}

fn record(owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = owner.to_vec();
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&1u16.to_be_bytes());
    bytes.extend_from_slice(&ttl.to_be_bytes());
    bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
    bytes.extend_from_slice(data);
    bytes
}

fn encode(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
