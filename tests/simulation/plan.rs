//! What is asked and answered in a world: each request has a number, and each byte follows from number, way and place, so
//! that both ends can tell whether what they got is what was sent.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::random::Random;
use crate::reader::Ends;

/// The largest body, in bytes.
const LARGEST: usize = 400_000;

/// What goes wrong in a world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Weather {
    /// Nothing: everything has to succeed.
    Calm,
    /// Origins close kept connections whenever they like; harmless requests still have to succeed.
    Fickle,
    /// Peers end their connections at any point, in order or by a reset, also while the other side still sends, and mark
    /// bytes as urgent. What had come of them by then is delivered, and no side is left waiting.
    Rough,
    /// Everybody breaks off, falls silent or cannot be reached.
    Storm,
}

/// What a request is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Get,
    Head,
    Post,
    /// A tunnel by CONNECT.
    Connect,
    /// A tunnel by a switch of protocols.
    Upgrade,
}

/// One request and its response.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) id: usize,
    pub(crate) kind: Kind,
    /// The minor version of the client.
    pub(crate) minor: u8,
    pub(crate) host: usize,
    pub(crate) up: usize,
    pub(crate) up_ends: Ends,
    pub(crate) down: usize,
    pub(crate) down_ends: Ends,
    pub(crate) status: u16,
    pub(crate) interims: usize,
    /// The origin answers before it has read the request.
    pub(crate) early: bool,
    /// The one side that says so closes after this exchange.
    pub(crate) client_closes: bool,
    pub(crate) origin_closes: bool,
    /// The origin says more than it was asked for, before it closes.
    pub(crate) raves: bool,
    /// The proxy answers by itself.
    pub(crate) local: bool,
    /// In a tunnel: the client ends its half first.
    pub(crate) client_first: bool,
    /// In a tunnel: after how many bytes, both ways together, a side breaks off, and whether by a reset.
    pub(crate) client_breaks: Option<(usize, bool)>,
    pub(crate) origin_breaks: Option<(usize, bool)>,
}

/// A part of what a peer sends, as far as it has arrived at the proxy.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// All the bytes of its connection that have arrived.
    pub(crate) came: Rc<Cell<usize>>,
    /// Those of them that come before this part.
    pub(crate) before: usize,
}

impl Arrival {
    /// Bytes of this part that have arrived.
    pub(crate) fn count(&self) -> usize {
        self.came.get().saturating_sub(self.before)
    }
}

/// A response that an origin sends, as far as it has arrived.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) arrival: Arrival,
    /// Bytes of its heads, and all of it.
    pub(crate) heads: usize,
    pub(crate) length: usize,
}

/// All the plans of a world, and how often each was sent and seen.
#[derive(Debug)]
pub(crate) struct Plans {
    pub(crate) weather: Weather,
    pub(crate) all: Vec<Plan>,
    pub(crate) sent: Vec<usize>,
    pub(crate) seen: Vec<usize>,
    pub(crate) answered: usize,
    /// Requests whose client has broken off.
    pub(crate) left: Vec<bool>,
    /// What has arrived of each tunnel's bytes, by way.
    pub(crate) tunnels: Vec<[Option<Arrival>; 2]>,
    /// What has arrived of the last response to each request.
    pub(crate) responses: Vec<Option<Sent>>,
}

impl Plans {
    pub(crate) fn new(weather: Weather, all: Vec<Plan>) -> Plans {
        let count = all.len();
        Plans {
            weather,
            all,
            sent: vec![0; count],
            seen: vec![0; count],
            answered: 0,
            left: vec![false; count],
            tunnels: vec![[None, None]; count],
            responses: vec![None; count],
        }
    }

    /// Has the whole response to this request arrived at the proxy, in a form in which that can be told?
    pub(crate) fn has_come(&self, id: usize) -> bool {
        let plan = &self.all[id];
        let framed = !plan.has_body() || plan.down_ends != Ends::Close;
        framed && self.responses[id].as_ref().is_some_and(|sent| sent.arrival.count() >= sent.length)
    }

    /// Bytes of the response's content that have arrived, where they have no other length than on the other side.
    pub(crate) fn content_come(&self, id: usize) -> Option<usize> {
        let plan = &self.all[id];
        let sized = matches!(plan.down_ends, Ends::Sized(_)) && plan.has_body();
        self.responses[id].as_ref().filter(|_| sized).map(|sent| sent.arrival.count().saturating_sub(sent.heads))
    }
}

/// Plans as all the peers of a world share them.
pub(crate) type SharedPlans = Rc<RefCell<Plans>>;

/// The two ways of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Up,
    Down,
}

/// Bytes `from` to `to` of a body.
pub(crate) fn bytes(id: usize, way: Way, from: usize, to: usize) -> Vec<u8> {
    let start = id * 37 + if way == Way::Up { 11 } else { 101 };
    (from..to).map(|at| (start + at * 7 + (at >> 8) * 3) as u8).collect()
}

/// Compares what came with what should have come at that place.
pub(crate) fn check(id: usize, way: Way, at: usize, got: &[u8]) {
    let wanted = bytes(id, way, at, at + got.len());
    if got != wanted {
        let first = got.iter().zip(&wanted).position(|(a, b)| a != b).unwrap_or(0);
        panic!("request {id}, {way:?}: byte {} is not what was sent", at + first);
    }
}

impl Plan {
    pub(crate) fn random(id: usize, weather: Weather, capacity: usize, random: &mut Random) -> Plan {
        let largest = LARGEST.min(capacity * 64);
        let kinds = match weather {
            Weather::Fickle => &[Kind::Get, Kind::Head][..],
            _ => &[Kind::Get, Kind::Get, Kind::Head, Kind::Post, Kind::Post, Kind::Connect, Kind::Upgrade],
        };
        let kind = random.pick(kinds);
        let up = if matches!(kind, Kind::Get | Kind::Head) { 0 } else { random.size(largest) };
        let down = random.size(largest);
        let status = if random.chance(10) { random.pick(&[204, 304]) } else { 200 };
        let bodiless = matches!(kind, Kind::Head) || status != 200;
        let down_ends = random.pick(&[Ends::Sized(down), Ends::Sized(down), Ends::Chunked, Ends::Close]);
        Plan {
            id,
            kind,
            minor: if kind != Kind::Upgrade && random.chance(25) { 0 } else { 1 },
            host: random.below(3),
            up,
            up_ends: random.pick(&[Ends::Sized(up), Ends::Chunked]),
            down,
            down_ends: if bodiless { Ends::Sized(down) } else { down_ends },
            status,
            interims: if random.chance(25) { 1 + random.below(3) } else { 0 },
            early: kind == Kind::Post && random.chance(20),
            client_closes: random.chance(10),
            origin_closes: random.chance(25),
            raves: weather != Weather::Rough && random.chance(40),
            local: random.chance(5),
            client_first: random.chance(50),
            client_breaks: point(weather, up + down, random),
            origin_breaks: point(weather, up + down, random),
        }
        .with_old_clients_framing()
    }

    /// HTTP/1.0 knows no chunks (RFC 9112 section 6.1).
    fn with_old_clients_framing(mut self) -> Plan {
        if self.minor == 0 {
            self.up_ends = Ends::Sized(self.up);
        }
        self
    }

    pub(crate) fn is_tunnel(&self) -> bool {
        matches!(self.kind, Kind::Connect | Kind::Upgrade)
    }

    /// Does the response of the origin have a body?
    pub(crate) fn has_body(&self) -> bool {
        self.kind != Kind::Head && self.status == 200
    }

    /// The request as the client sends it.
    pub(crate) fn request(&self, random: &mut Random) -> Vec<u8> {
        let (id, host, minor) = (self.id, self.host, self.minor);
        let connection = match (self.client_closes, minor) {
            (true, _) => "Connection: close\r\n",
            (false, 0) => "Connection: keep-alive\r\n",
            (false, _) => "",
        };
        let line = |method| format!("{method} http://o{host}.test/{id} HTTP/1.{minor}\r\nHost: o{host}.test\r\n");
        let head = match self.kind {
            Kind::Connect => format!("CONNECT p{id}.test:443 HTTP/1.{minor}\r\nHost: p{id}.test:443\r\n\r\n"),
            Kind::Upgrade => format!("{}Connection: upgrade\r\nUpgrade: raw\r\n\r\n", line("GET")),
            Kind::Get => format!("{}{connection}\r\n", line("GET")),
            Kind::Head => format!("{}{connection}\r\n", line("HEAD")),
            Kind::Post => format!("{}{connection}{}\r\n", line("POST"), framing(self.up_ends)),
        };
        let mut out = if random.chance(10) { b"\r\n".to_vec() } else { Vec::new() };
        out.extend_from_slice(head.as_bytes());
        if self.kind == Kind::Post {
            body(&mut out, &bytes(id, Way::Up, 0, self.up), self.up_ends, random);
        }
        out
    }

    /// The response as the origin sends it.
    pub(crate) fn response(&self, random: &mut Random) -> Vec<u8> {
        let mut out = "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n".repeat(self.interims);
        if self.kind == Kind::Upgrade {
            out.push_str("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n");
            return out.into_bytes();
        }
        let closes = if self.origin_closes { "Connection: close\r\n" } else { "" };
        let framing = if self.status == 204 { String::new() } else { framing(self.down_ends) };
        out.push_str(&format!("HTTP/1.1 {} Yes\r\nX-Id: {}\r\n{closes}{framing}\r\n", self.status, self.id));
        let mut out = out.into_bytes();
        if self.has_body() {
            body(&mut out, &bytes(self.id, Way::Down, 0, self.down), self.down_ends, random);
        }
        let framed = !self.has_body() || self.down_ends != Ends::Close;
        if self.raves && self.origin_closes && framed {
            out.extend_from_slice(b"HTTP/1.1 200 Yes\r\nX-Id: unasked\r\nContent-Length: 4\r\n\r\nevil");
        }
        out
    }
}

/// Where a side of a tunnel breaks off, if it does.
fn point(weather: Weather, most: usize, random: &mut Random) -> Option<(usize, bool)> {
    let breaks = weather == Weather::Rough && random.chance(40);
    breaks.then(|| (random.below(most + 1), random.chance(50)))
}

fn framing(ends: Ends) -> String {
    match ends {
        Ends::Sized(count) => format!("Content-Length: {count}\r\n"),
        Ends::Chunked => "Transfer-Encoding: chunked\r\n".to_string(),
        Ends::Close => String::new(),
    }
}

fn body(out: &mut Vec<u8>, bytes: &[u8], ends: Ends, random: &mut Random) {
    if ends != Ends::Chunked {
        return out.extend_from_slice(bytes);
    }
    let mut left = bytes;
    while !left.is_empty() {
        let count = 1 + random.size(left.len() - 1);
        let extension = random.pick(&["", "", ";a=b", ";c=\"d\""]);
        out.extend_from_slice(format!("{count:x}{extension}\r\n").as_bytes());
        out.extend_from_slice(&left[..count]);
        out.extend_from_slice(b"\r\n");
        left = &left[count..];
    }
    out.extend_from_slice(random.pick(&["0\r\n\r\n", "000\r\n\r\n", "0\r\nX-Sum: 1\r\n\r\n"]).as_bytes());
}
