//! A client: asks what was planned, one by one or in a pipeline, and checks each answer. A connection that was closed as
//! announced is replaced by another for what is left.

use std::collections::VecDeque;

use crate::plan::{check, Kind, Plan, SharedPlans, Way, Weather};
use crate::random::Random;
use crate::reader::{Ends, Part, Reader};
use crate::tunnel::{Side, Tunnel};
use crate::wire::{self, End};

/// A client with one connection at a time.
#[derive(Debug)]
pub(crate) struct Client {
    wire: wire::SharedWire,
    plans: SharedPlans,
    random: Random,
    todo: VecDeque<usize>,
    asked: VecDeque<usize>,
    pipelines: bool,
    out: Vec<u8>,
    /// The request that is being sent, or was last: its answer may come before its end.
    last: Option<usize>,
    reader: Reader,
    /// The response being read.
    response: Option<Response>,
    /// The proxy has said that it will close.
    closing: bool,
    tunnel: Option<Tunnel>,
    /// How often in a hundred steps it breaks off.
    temper: usize,
    state: State,
}

#[derive(Debug)]
struct Response {
    plan: Plan,
    status: u16,
    got: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Talking,
    /// The connection is closed and there is more to ask.
    Reconnects,
    /// Neither reads nor writes nor closes.
    Silent,
    Over,
}

impl Client {
    pub(crate) fn new(
        wire: wire::SharedWire,
        plans: SharedPlans,
        todo: VecDeque<usize>,
        random: &mut Random,
    ) -> Client {
        let temper = match plans.borrow().weather {
            Weather::Storm | Weather::Rough => random.pick(&[0, 0, 0, 1, 3]),
            _ => 0,
        };
        Client {
            wire,
            plans,
            random: Random::new(random.next()),
            todo,
            asked: VecDeque::new(),
            pipelines: random.chance(40),
            out: Vec::new(),
            last: None,
            reader: Reader::new(),
            response: None,
            closing: false,
            tunnel: None,
            temper,
            state: State::Talking,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Goes on with what is left on another connection.
    pub(crate) fn reconnect(&mut self, wire: wire::SharedWire) {
        self.wire = wire;
        self.todo.extend(self.asked.drain(..));
        self.reader = Reader::new();
        self.out.clear();
        self.closing = false;
        self.state = State::Talking;
    }

    /// Does something. True if anything changed.
    pub(crate) fn step(&mut self) -> bool {
        if self.state != State::Talking || self.random.chance(30) {
            return false;
        }
        if self.breaks() {
            return true;
        }
        if self.tunnel.is_some() {
            return self.step_tunnel();
        }
        let mut moved = self.ask() | self.write();
        let most = self.random.size(1 << 16);
        let bytes = self.wire.borrow_mut().read(most);
        self.reader.input.extend_from_slice(&bytes);
        moved |= !bytes.is_empty();
        while self.tunnel.is_none() {
            let Some(part) = self.reader.next() else { break };
            self.take(part);
            moved = true;
        }
        moved | (self.tunnel.is_none() && self.look_at_the_end())
    }

    fn step_tunnel(&mut self) -> bool {
        let Some(tunnel) = &mut self.tunnel else { return false };
        let moved = tunnel.step(&self.wire, &self.plans, &mut self.random);
        if tunnel.is_over() {
            // In rough weather the tunnel itself has compared what came with what had been there.
            let broken = matches!(self.plans.borrow().weather, Weather::Storm | Weather::Rough);
            assert!(broken || tunnel.is_complete(), "the tunnel ended early: {tunnel:?}");
            self.tunnel = None;
            self.after_the_end();
        }
        moved
    }

    fn breaks(&mut self) -> bool {
        let rough = self.plans.borrow().weather == Weather::Rough;
        // Tunnels have their own points at which they break off in rough weather.
        if rough && self.tunnel.is_some() || !self.random.chance(self.temper) {
            return false;
        }
        self.state = State::Over;
        self.asked.iter().chain(&self.last).for_each(|id| self.plans.borrow_mut().left[*id] = true);
        match self.random.below(3) {
            0 if !rough => self.state = State::Silent,
            kind => self.wire.borrow_mut().close(kind == 1),
        }
        true
    }

    fn ask(&mut self) -> bool {
        let Some(&id) = self.todo.front().filter(|_| self.out.is_empty() && !self.closing) else { return false };
        let plan = self.plans.borrow().all[id].clone();
        // Nothing is sent behind an offer of a tunnel, nor behind a request that was called the last.
        let ends = |other: &usize| {
            let plans = self.plans.borrow();
            plans.all[*other].is_tunnel() || plans.all[*other].client_closes
        };
        let alone = !self.pipelines || plan.is_tunnel() || self.asked.iter().any(ends);
        if alone && !self.asked.is_empty() {
            return false;
        }
        self.todo.pop_front();
        self.asked.push_back(id);
        self.last = Some(id);
        self.plans.borrow_mut().sent[id] += 1;
        self.out = plan.request(&mut self.random);
        true
    }

    fn write(&mut self) -> bool {
        let most = self.random.size(self.out.len());
        let count = self.wire.borrow_mut().write(&self.out[..most]);
        self.out.drain(..count);
        if count > 0 {
            self.leave();
        }
        count > 0
    }

    fn take(&mut self, part: Part) {
        match part {
            Part::Head(head) => self.take_head(&head),
            Part::Body(bytes) => {
                let response = self.response.as_mut().expect("a body belongs to a response");
                if response.status == response.plan.status {
                    check(response.plan.id, Way::Down, response.got, &bytes);
                }
                response.got += bytes.len();
            }
            Part::End => self.take_end(),
        }
    }

    fn take_head(&mut self, head: &str) {
        let status: u16 = head.get(9..12).and_then(|word| word.parse().ok()).expect("a status");
        let id = *self.asked.front().unwrap_or_else(|| panic!("an answer that nobody asked for: {head}"));
        let plan = self.plans.borrow().all[id].clone();
        if status == 103 {
            assert_eq!(plan.minor, 1, "HTTP/1.0 knows no interim responses");
            return self.reader.expect(Ends::Sized(0));
        }
        // No client here ever sends a request that deserves a 400.
        let refused = if plan.local { status == 403 } else { self.may_fail() && matches!(status, 502 | 504) };
        assert!(!refused || plan.local || !self.is_lost(id), "{status}, but the response to {id} had come");
        let tunnels = matches!((plan.kind, status), (Kind::Connect, 200) | (Kind::Upgrade, 101));
        if tunnels && !refused {
            return self.enter_tunnel(&plan);
        }
        if !refused {
            assert_eq!(status, plan.status, "request {id} {:?}: {head}", plan.kind);
            assert!(head.contains(&format!("\r\nX-Id: {id}\r\n")), "the answer to another request: {head}");
        }
        self.closing |= head.contains("\r\nConnection: close\r\n");
        let bodiless = plan.kind == Kind::Head || matches!(status, 204 | 304);
        let ends = if bodiless { Ends::Sized(0) } else { Ends::of(head).unwrap_or(Ends::Close) };
        self.reader.expect(ends);
        self.response = Some(Response { plan, status, got: 0 });
    }

    fn may_fail(&self) -> bool {
        matches!(self.plans.borrow().weather, Weather::Storm | Weather::Rough)
    }

    /// Has a response come to the proxy that this client was not given?
    fn is_lost(&self, id: usize) -> bool {
        let plans = self.plans.borrow();
        plans.weather == Weather::Rough && plans.has_come(id)
    }

    fn enter_tunnel(&mut self, plan: &Plan) {
        assert!(self.out.is_empty(), "nothing is sent behind an offer");
        let mut tunnel = Tunnel::new(plan, Side::Client);
        tunnel.begin(Vec::new(), std::mem::take(&mut self.reader.input));
        self.tunnel = Some(tunnel);
        self.answered();
    }

    fn take_end(&mut self) {
        // Without a response it is the end of an interim one.
        let Some(response) = self.response.take() else { return };
        let plan = &response.plan;
        if response.status == plan.status && plan.has_body() && !plan.local {
            assert_eq!(response.got, plan.down, "response {} looks complete", plan.id);
        }
        self.answered();
    }

    fn answered(&mut self) {
        self.asked.pop_front();
        self.plans.borrow_mut().answered += 1;
        self.leave();
    }

    /// Done, with all of the last request sent.
    fn leave(&mut self) {
        let done = self.asked.is_empty() && self.todo.is_empty() && self.out.is_empty();
        if done && self.tunnel.is_none() && !self.closing {
            // The connection is still good: some clients only close their half.
            match self.random.chance(50) {
                true => self.wire.borrow_mut().finish(),
                false => self.close(),
            }
        }
    }

    fn close(&mut self) {
        self.wire.borrow_mut().close(false);
        self.state = State::Over;
    }

    fn look_at_the_end(&mut self) -> bool {
        let (ended, reset) = {
            let wire = self.wire.borrow();
            (wire.is_at_end(End::Peer), wire.is_reset(End::Peer))
        };
        if !ended || self.state != State::Talking {
            return false;
        }
        if reset {
            assert!(self.may_fail(), "nobody broke off, but the proxy did, with {:?} asked", self.asked);
            self.check_cut();
            self.response = None;
        } else if self.reader.end() {
            self.take_end();
        } else {
            let cut = self.response.is_some() || !self.asked.is_empty() && !self.closing;
            assert!(!cut || self.may_fail(), "the proxy closed with {:?} asked", self.asked);
            self.check_cut();
        }
        if self.state == State::Talking {
            self.after_the_end();
        }
        true
    }

    /// What had come of a response that was cut is here.
    fn check_cut(&self) {
        let lost = self.asked.front().filter(|id| self.is_lost(**id));
        assert_eq!(lost, None, "the whole response had come");
        let plans = self.plans.borrow();
        let Some(response) = self.response.as_ref().filter(|_| plans.weather == Weather::Rough) else { return };
        let plan = &response.plan;
        let come = plans.content_come(plan.id).filter(|_| !plan.local && response.status == plan.status);
        let delivered = come.is_none_or(|come| come == response.got);
        assert!(delivered, "response {}: {come:?} bytes had come, {} were delivered", plan.id, response.got);
    }

    /// The connection has come to its end.
    fn after_the_end(&mut self) {
        let failed = self.response.take().is_some() || !self.asked.is_empty() && !self.closing;
        if failed {
            self.asked.pop_front();
        }
        self.close();
        if !self.asked.is_empty() || !self.todo.is_empty() {
            self.state = State::Reconnects;
        }
    }
}
