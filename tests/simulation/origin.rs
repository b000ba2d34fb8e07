//! An origin's end of a connection: reads requests, checks that they are what was asked, and answers as planned.

use crate::plan::{check, Arrival, Kind, Plan, Sent, SharedPlans, Way, Weather};
use crate::random::Random;
use crate::reader::{Ends, Part, Reader};
use crate::tunnel::{Side, Tunnel};
use crate::wire::{self, End};

/// One connection.
#[derive(Debug)]
pub(crate) struct Origin {
    wire: wire::SharedWire,
    plans: SharedPlans,
    random: Random,
    reader: Reader,
    /// The request being read, and how much of its body has come.
    current: Option<(Plan, usize)>,
    answered: bool,
    out: Vec<u8>,
    closes: bool,
    tunnel: Option<Tunnel>,
    /// How often in a hundred steps it breaks off.
    temper: usize,
    over: bool,
}

impl Origin {
    /// An origin; `tunnel` is the request that a tunnel to it belongs to.
    pub(crate) fn new(wire: wire::SharedWire, plans: SharedPlans, tunnel: Option<Plan>, random: &mut Random) -> Origin {
        let temper = match plans.borrow().weather {
            Weather::Storm => random.pick(&[0, 0, 0, 1, 5]),
            // Tunnels have their own points at which they break off.
            Weather::Rough if tunnel.is_none() => random.pick(&[0, 0, 1, 5, 20]),
            _ => 0,
        };
        if let Some(plan) = &tunnel {
            plans.borrow_mut().seen[plan.id] += 1;
        }
        Origin {
            wire,
            plans,
            random: Random::new(random.next()),
            reader: Reader::new(),
            current: None,
            answered: false,
            out: Vec::new(),
            closes: false,
            tunnel: tunnel.map(|plan| Tunnel::new(&plan, Side::Origin)),
            temper,
            over: false,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Does something. True if anything changed.
    pub(crate) fn step(&mut self) -> bool {
        if self.over || self.random.chance(30) {
            return false;
        }
        if self.breaks() {
            return true;
        }
        if let Some(tunnel) = &mut self.tunnel {
            let moved = tunnel.step(&self.wire, &self.plans, &mut self.random);
            self.over = tunnel.is_over();
            return moved;
        }
        let most = self.random.size(1 << 16);
        let bytes = self.wire.borrow_mut().read(most);
        self.reader.input.extend_from_slice(&bytes);
        let mut moved = !bytes.is_empty();
        while self.tunnel.is_none() {
            let Some(part) = self.reader.next() else { break };
            self.take(part);
            moved = true;
        }
        moved |= self.write();
        moved | self.look_at_the_end()
    }

    /// What an origin does to its connection without being asked.
    fn breaks(&mut self) -> bool {
        let weather = self.plans.borrow().weather;
        let idle = self.reader.is_between() && self.out.is_empty() && self.current.is_none();
        if weather == Weather::Fickle && self.answered && idle && self.random.chance(2) {
            self.end(false);
            return true;
        }
        if weather == Weather::Rough && self.tunnel.is_some() || !self.random.chance(self.temper) {
            return false;
        }
        // A body that ends with the connection ends with any ordinary end, so that a cut could not be told from it.
        let unframed = self.closes && !self.out.is_empty();
        let reset = unframed || self.random.chance(50);
        self.end(reset);
        true
    }

    fn end(&mut self, reset: bool) {
        self.wire.borrow_mut().close(reset);
        self.over = true;
    }

    fn take(&mut self, part: Part) {
        match part {
            Part::Head(head) => self.take_head(&head),
            Part::Body(bytes) => {
                let (plan, got) = self.current.as_mut().expect("a body belongs to a request");
                check(plan.id, Way::Up, *got, &bytes);
                *got += bytes.len();
            }
            Part::End => {
                let (plan, got) = self.current.take().expect("an end belongs to a request");
                if plan.kind == Kind::Post {
                    assert_eq!(got, plan.up, "request {} is complete", plan.id);
                }
                if !plan.early {
                    self.answer(&plan);
                }
            }
        }
    }

    fn take_head(&mut self, head: &str) {
        let line = head.lines().next().expect("a request line");
        let id: usize = line.split(['/', ' ']).nth(2).and_then(|word| word.parse().ok()).expect("a path with a number");
        let plan = self.plans.borrow().all[id].clone();
        let method = match plan.kind {
            Kind::Get | Kind::Upgrade => "GET",
            Kind::Head => "HEAD",
            Kind::Post => "POST",
            Kind::Connect => unreachable!("CONNECT does not reach an origin"),
        };
        assert_eq!(line, format!("{method} /{id} HTTP/1.1"));
        self.plans.borrow_mut().seen[id] += 1;
        self.reader.expect(Ends::of(head).unwrap_or(Ends::Sized(0)));
        self.answered = false;
        self.current = Some((plan.clone(), 0));
        if plan.early {
            self.answer(&plan);
        }
    }

    fn answer(&mut self, plan: &Plan) {
        self.answered = true;
        self.out = plan.response(&mut self.random);
        self.closes =
            plan.kind != Kind::Upgrade && (plan.origin_closes || plan.has_body() && plan.down_ends == Ends::Close);
        if plan.kind == Kind::Upgrade {
            let mut tunnel = Tunnel::new(plan, Side::Origin);
            tunnel.begin(std::mem::take(&mut self.out), std::mem::take(&mut self.reader.input));
            self.tunnel = Some(tunnel);
            return;
        }
        let wire = self.wire.borrow();
        let blanks = self.out.windows(4).enumerate().filter(|(_, window)| *window == b"\r\n\r\n");
        let heads = blanks.map(|(at, _)| at + 4).nth(plan.interims).unwrap_or(0);
        self.plans.borrow_mut().responses[plan.id] =
            Some(Sent { arrival: Arrival { came: wire.came(), before: wire.sent() }, heads, length: self.out.len() });
    }

    fn write(&mut self) -> bool {
        let most = self.random.size(self.out.len());
        let count = self.wire.borrow_mut().write(&self.out[..most]);
        self.out.drain(..count);
        let finishes = self.closes && self.out.is_empty() && self.current.is_none();
        if finishes {
            self.end(false);
        } else if self.closes && self.out.is_empty() {
            // Answered early: says so, and goes on reading what still comes.
            self.wire.borrow_mut().finish();
        }
        count > 0 || finishes
    }

    fn look_at_the_end(&mut self) -> bool {
        let (ended, reset) = {
            let wire = self.wire.borrow();
            (wire.is_at_end(End::Peer), wire.is_reset(End::Peer))
        };
        if !ended && !reset {
            return false;
        }
        if self.plans.borrow().weather != Weather::Storm {
            // An upload goes on behind an early response of an origin that reads on.
            let plans = self.plans.borrow();
            let owed = |plan: &Plan| (!plan.early || !self.closes) && !plans.left[plan.id];
            let cut = self.current.as_ref().is_some_and(|(plan, _)| owed(plan));
            assert!(!cut, "nobody broke off, but request {:?} ended before its end", self.current);
        }
        self.end(false);
        true
    }
}
