//! Scenarios of the pure machine, one file per phase: bytes and inputs go in; what goes out on either side, and what the
//! owner is asked to do, is looked at. Knows no socket: [`Scenario`] stands in for the pump and for both peers.

mod answering;
mod connecting;
mod counters;
mod diverted;
mod draining;
mod head;
mod icap;
mod limits;
mod local;
mod moves;
mod moving;
mod opening;
mod parent;
mod proxy_header;
mod relaying;
mod responses;
mod retry;
mod summary;
mod timers;
mod tunnel;
mod unspoken;

use std::net::{IpAddr, Ipv4Addr};

use reactor::buffer::Buf;
use reactor::Millis;

use super::flow::Direction;
use super::ingress::{Arrival, Ingress, Onward};
use super::phase::PhaseKind;
use super::timers::Limits;
use super::{Action, Connected, Context, Exchange, Remembered, Settings, Side, SpareSummaries};
use crate::answers::Answers;
use crate::counters::exchange::ExchangeCounters;
use crate::http::answer::Answer;
use crate::http::cause::Cause;
use crate::http::rules::Rules;
use crate::icap::ServiceSettings;
use crate::peer::ClientId;
use crate::policy::decision::Decision;
use crate::policy::networks::{ClientRange, Networks};
use crate::policy::tunnels::TunnelRules;

/// Where clients connect from.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// What a plain request looks like, and what of it an origin gets.
const GET: &str = "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n";
const GET_SENT: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// A plain response, and what of it a client gets.
const OK: &str = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nok";
const OK_SENT: &str = "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nok";

/// Something that happens to a scenario, with its name.
type Event = (&'static str, fn(&mut Scenario));

/// Rounds of the stand-in for the pump; more means that the machine never comes to rest.
const ROUNDS: usize = 100_000;

/// The memory that each direction starts with, in bytes. Small, so that growing is part of every long test.
const MEMORY: usize = 256;

/// What a step of the machine is given; a macro, since the rest of the scenario is used meanwhile.
macro_rules! context {
    ($scenario:expr) => {
        Context {
            settings: &$scenario.settings,
            session: 1,
            now: $scenario.now,
            fraction: 0,
            date: "NOW",
            out: &mut $scenario.out,
            counters: &mut $scenario.counters,
            judge: None,
            summaries: &mut $scenario.summaries,
        }
    };
}

/// One way that bytes take: what waits to be read, what is held, and what came out at the far end.
struct Lane {
    waiting: Vec<u8>,
    ended: bool,
    ended_seen: bool,
    /// Bytes per read.
    piece: usize,
    held: Buf,
    sent: Vec<u8>,
    /// How many more bytes the far end takes.
    window: usize,
    shut: bool,
}

impl Lane {
    fn new() -> Lane {
        let held = Buf::private(MEMORY);
        let (waiting, sent) = (Vec::new(), Vec::new());
        Lane { waiting, ended: false, ended_seen: false, piece: 1 << 16, held, sent, window: usize::MAX, shut: false }
    }
}

/// An exchange with both its peers and its owner.
struct Scenario {
    exchange: Exchange,
    settings: Settings,
    answers: Answers,
    now: Millis,
    out: Vec<u8>,
    counters: ExchangeCounters,
    summaries: SpareSummaries,
    upload: Lane,
    download: Lane,
    actions: Vec<Action>,
    /// Come to rest when a request is over, so that its summary can be taken.
    stops_at_record: bool,
    /// The system says that peers have got all that was sent to them.
    delivers: bool,
}

/// Settings under which heads go through as they are, so that a test shows only what it is about.
fn settings() -> Settings {
    let limits = Limits {
        first: 30_000,
        first_tls: 25_000,
        first_passthrough: 15_000,
        first_icap: 15_000,
        idle: 20_000,
        head: 10_000,
        decision: 1_000,
        resolve: 2_000,
        connect: 3_000,
        inactive: 60_000,
        tunnel: 90_000,
        half_close: 5_000,
        drain: 4_000,
    };
    Settings {
        limits,
        body_size: 0,
        rules: Rules { transparent: true, head_limit: 1024, ..Rules::default() },
        trusted: Networks::everybody(),
        onward: Onward::Original,
        tunnels: TunnelRules::default(),
        hello_size: 4096,
        tls_by_name: true,
        passthrough: None,
        keeps_hello: false,
        icap: ServiceSettings { header_size: 4096, connections: 100, ..ServiceSettings::default() },
        summary: None,
        leaving: false,
    }
}

impl Scenario {
    /// A client that has connected and said nothing.
    fn new() -> Scenario {
        Scenario::with(|_| {})
    }

    /// The same under other settings.
    fn with(change: impl FnOnce(&mut Settings)) -> Scenario {
        let mut settings = settings();
        change(&mut settings);
        Scenario {
            exchange: Exchange::new(&Arrival::direct(Ingress::Proxy, CLIENT), 0),
            settings,
            answers: Answers::built_in(),
            now: 0,
            out: Vec::new(),
            counters: ExchangeCounters::default(),
            summaries: SpareSummaries::default(),
            upload: Lane::new(),
            download: Lane::new(),
            actions: Vec::new(),
            stops_at_record: false,
            delivers: true,
        }
    }

    /// A balancer that has connected and must say first for whom.
    fn proxied() -> Scenario {
        let arrival = Arrival { proxied: true, ..Arrival::direct(Ingress::Proxy, CLIENT) };
        Scenario { exchange: Exchange::new(&arrival, 0), ..Scenario::new() }
    }

    /// A client of the program itself.
    fn own() -> Scenario {
        Scenario { exchange: Exchange::new(&Arrival::direct(Ingress::Web, CLIENT), 0), ..Scenario::new() }
    }

    /// A client that has asked for a page.
    fn get() -> Scenario {
        Scenario::new().sending(GET)
    }

    /// The client sends these bytes.
    fn sending(mut self, bytes: impl AsRef<[u8]>) -> Scenario {
        self.client(bytes);
        self
    }

    fn into_resolving(mut self) -> Scenario {
        assert_eq!(self.actions(), [Action::Ask]);
        self.decide(Decision::Forward);
        assert_eq!(self.actions(), [Action::Resolve]);
        self
    }

    fn into_connecting(self) -> Scenario {
        let mut scenario = self.into_resolving();
        scenario.resolved();
        assert_eq!((scenario.kind(), scenario.actions()), (PhaseKind::Connecting, vec![]));
        scenario
    }

    /// As far as a connection that was never used.
    fn into_relaying(self) -> Scenario {
        self.connected_by(false)
    }

    /// As far as a connection that has carried an exchange before.
    fn into_reusing(self) -> Scenario {
        self.connected_by(true)
    }

    fn connected_by(self, reused: bool) -> Scenario {
        let mut scenario = self.into_connecting();
        scenario.connect(reused);
        scenario
    }

    // What peers do.

    fn client(&mut self, bytes: impl AsRef<[u8]>) {
        self.upload.waiting.extend_from_slice(bytes.as_ref());
        self.run();
    }

    fn client_ends(&mut self) {
        self.upload.ended = true;
        self.run();
    }

    fn client_resets(&mut self) {
        self.tell(|exchange, cx| exchange.handle_broken(Side::Client, cx));
    }

    fn origin(&mut self, bytes: impl AsRef<[u8]>) {
        self.download.waiting.extend_from_slice(bytes.as_ref());
        self.run();
    }

    fn origin_ends(&mut self) {
        self.download.ended = true;
        self.run();
    }

    fn origin_resets(&mut self) {
        self.tell(|exchange, cx| exchange.handle_broken(Side::Origin, cx));
    }

    /// The origin has been reset: what is sent to it fails.
    fn origin_refuses(&mut self) {
        self.upload_fails(true);
    }

    /// What is sent to the origin fails, because it was reset or because it had closed before.
    fn upload_fails(&mut self, reset: bool) {
        let cleared = self.exchange.flow(Direction::Upload).cleared();
        self.upload.held.consume(cleared);
        self.exchange.handle_lost(Direction::Upload);
        self.tell(|exchange, _| exchange.handle_upload_refused(reset));
    }

    fn client_takes(&mut self, count: usize) {
        self.download.window = count;
        self.run();
    }

    fn origin_takes(&mut self, count: usize) {
        self.upload.window = count;
        self.run();
    }

    // What the owner does.

    fn decide(&mut self, decision: Decision) {
        self.tell(|exchange, cx| exchange.handle_decision(decision, cx));
    }

    fn answer(&mut self, answer: Answer) {
        self.decide(Decision::Answer(Box::new(answer)));
    }

    fn resolved(&mut self) {
        self.tell(|exchange, cx| {
            exchange.handle_resolved(cx);
        });
    }

    fn connect(&mut self, reused: bool) {
        self.download.waiting.clear();
        (self.download.ended, self.download.ended_seen) = (false, false);
        (self.upload.shut, self.upload.sent) = (false, Vec::new());
        self.tell(|exchange, cx| exchange.handle_connected(Connected { reused, exclusive: false }, cx));
    }

    fn fails(&mut self, answer: Answer) {
        self.tell(|exchange, cx| exchange.handle_failure(Box::new(answer), cx));
    }

    /// Time goes on to `now`.
    fn at(&mut self, now: Millis) {
        self.now = now;
        self.tell(|exchange, cx| exchange.handle_timeout(cx));
        if self.actions.last() == Some(&Action::Overdue) {
            self.actions.pop();
            self.answer(Answer::new(503, &b"late"[..]));
        }
    }

    // What there is to see.

    fn kind(&self) -> PhaseKind {
        self.exchange.phase().kind()
    }

    /// What the owner was asked to do since the last look.
    fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// What the origin got since the last look.
    fn origin_got(&mut self) -> String {
        text(std::mem::take(&mut self.upload.sent))
    }

    /// What the client got since the last look.
    fn client_got(&mut self) -> String {
        text(std::mem::take(&mut self.download.sent))
    }

    /// The status lines in what the client got since the last look.
    fn statuses(&mut self) -> Vec<u16> {
        let got = self.client_got();
        got.split("HTTP/1.1 ").skip(1).filter_map(|part| part.get(..3)?.parse().ok()).collect()
    }

    fn reads(&self, direction: Direction) -> bool {
        self.exchange.wants_input(direction)
    }

    // The stand-in for the pump.

    fn tell(&mut self, what: impl FnOnce(&mut Exchange, &mut Context<'_>)) {
        let mut cx = context!(self);
        what(&mut self.exchange, &mut cx);
        self.run();
    }

    /// Moves bytes until the machine comes to rest.
    fn run(&mut self) {
        for _ in 0..ROUNDS {
            let mut moved = self.pump(Direction::Upload);
            moved |= self.pump(Direction::Download);
            moved |= self.shut_down();
            let held = [self.upload.held.len(), self.download.held.len()];
            let mut cx = context!(self);
            moved |= self.exchange.settle(held, !self.upload.waiting.is_empty(), &mut cx);
            if let Some(side) = self.exchange.wants_end(held) {
                self.exchange.handle_end(side, self.delivers, &mut cx);
                moved = true;
            }
            if moved {
                self.exchange.handle_activity(self.now);
            }
            match self.exchange.poll() {
                Some(done @ Action::Done(_)) => {
                    assert!(matches!(self.exchange.poll(), Some(Action::Done(_))), "the end stays the end");
                    if self.actions.last() != Some(&done) {
                        self.actions.push(done);
                    }
                    return;
                }
                // The owner composes what the exchange cannot say, and it goes on.
                Some(Action::Explain(cause)) => self.explain(cause),
                Some(Action::Record) if self.stops_at_record => return,
                Some(Action::Record) => drop(self.exchange.take_summary()),
                Some(action) => self.actions.push(action),
                None if moved => {}
                None => return,
            }
        }
        panic!("{} does not come to rest", self.exchange.phase());
    }

    fn explain(&mut self, cause: Cause) {
        let answer = self.answers.explain(cause, self.exchange.request(), self.exchange.client(), "");
        let mut cx = context!(self);
        self.exchange.handle_explained(answer, &mut cx);
    }

    /// Moves bytes one way, as far as they go.
    fn pump(&mut self, direction: Direction) -> bool {
        let mut moved = false;
        while self.step(direction) {
            moved = true;
        }
        moved
    }

    /// One look, and one write or else one read.
    fn step(&mut self, direction: Direction) -> bool {
        let mut cx = context!(self);
        let lane = match direction {
            Direction::Upload => &mut self.upload,
            Direction::Download => &mut self.download,
        };
        let before = lane.held.len();
        match direction {
            Direction::Upload => self.exchange.advance_upload(&mut lane.held, &mut cx),
            Direction::Download => self.exchange.advance_download(&mut lane.held, &mut cx),
        }
        let cleared = self.exchange.flow(direction).cleared();
        assert!(cleared <= lane.held.len(), "{cleared} bytes are cleared of {}", lane.held.len());
        let changed = before != lane.held.len();
        if cleared > 0 {
            let count = cleared.min(lane.window);
            lane.window -= count;
            lane.sent.extend_from_slice(&lane.held.bytes()[..count]);
            lane.held.consume(count);
            self.exchange.handle_sent(direction, count);
            return changed || count > 0;
        }
        if !self.exchange.wants_input(direction) {
            return changed;
        }
        let rest = if direction == Direction::Download { self.exchange.body_rest() } else { b"" };
        if !rest.is_empty() {
            let count = rest.len().min(lane.window).min(self.exchange.passable(direction) as usize);
            lane.window -= count;
            lane.sent.extend_from_slice(&rest[..count]);
            self.exchange.handle_body_sent(count);
            return changed || count > 0;
        }
        let count = lane.waiting.len().min(lane.piece);
        lane.held.append(&lane.waiting[..count]);
        lane.waiting.drain(..count);
        if count == 0 && lane.ended && !lane.ended_seen {
            lane.ended_seen = true;
            self.exchange.handle_eof(direction, &mut cx);
            return true;
        }
        changed || count > 0
    }

    fn shut_down(&mut self) -> bool {
        let mut moved = false;
        for (direction, lane) in [(Direction::Upload, &mut self.upload), (Direction::Download, &mut self.download)] {
            if self.exchange.wants_shutdown(direction, lane.held.len()) {
                self.exchange.handle_shut(direction);
                lane.shut = true;
                moved = true;
            }
        }
        moved
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("tests send text")
}
