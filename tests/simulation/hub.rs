//! A small model of the proxy's hub: carries decisions, addresses and connections to sessions, some at once and some
//! later, and runs exactly those sessions that had news. A wake-up that a session misses is therefore missed for good.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use exaproxy::answers::Answers;
use exaproxy::counters::exchange::ExchangeCounters;
use exaproxy::exchange::flow::Direction;
use exaproxy::exchange::ingress::{Arrival, Ingress, Onward};
use exaproxy::exchange::phase::PhaseKind;
use exaproxy::exchange::timers::Limits;
use exaproxy::exchange::{Action, Connected, Context, Exchange, Moved, Remembered, Settings, Side, SpareSummaries};
use exaproxy::http::answer::Answer;
use exaproxy::http::cause::Cause;
use exaproxy::http::rules::Rules;
use exaproxy::http::Method;
use exaproxy::io::origin::{Origin as OriginConnection, OriginKeys, Scope};
use exaproxy::policy::decision::Decision;
use exaproxy::policy::networks::Networks;
use exaproxy::policy::tunnels::{SniMode, TunnelRules};
use exaproxy::session::{Progress, Session, Shared};
use exaproxy::upstream::dial::DialError;
use reactor::alarm::Alarms;
use reactor::arena::{Arena, Key};
use reactor::ready::Ready;
use reactor::stream::{Stream, Transport};
use reactor::Millis;

use crate::files::Files;
use crate::origin::Origin;
use crate::plan::{SharedPlans, Weather};
use crate::random::Random;
use crate::wire::{self, Socket, Wire};

/// Most bytes that one session may hold, both ways together.
const MOST_STORED: usize = 64 * 1024;

/// Actions that a session may ask for in one turn.
const ACTIONS: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wait {
    Decision,
    Addresses,
    Connection,
}

#[derive(Debug)]
struct Client {
    session: Session<Socket>,
    waits: Option<(Millis, Wait)>,
    queued: bool,
    /// How many requests it was told the summaries of, and what these add up to.
    summed_up: u32,
    moved: Moved,
}

/// The hub.
#[derive(Debug)]
pub(crate) struct Hub {
    clients: Arena<Client>,
    kept: Vec<OriginConnection<Socket>>,
    pub(crate) origins: Vec<Origin>,
    pub(crate) wires: Vec<wire::SharedWire>,
    queue: VecDeque<Key>,
    alarms: Alarms,
    files: Files,
    pub(crate) shared: Shared,
    settings: Settings,
    answers: Answers,
    out: Vec<u8>,
    counters: ExchangeCounters,
    summaries: SpareSummaries,
    plans: SharedPlans,
    random: Random,
    capacity: usize,
    /// Peers mark bytes as urgent.
    rough: bool,
    /// Asked and not come back.
    open: usize,
    /// Most pipes that may hold bytes, and whether one ever did.
    pipes: usize,
    pub(crate) kept_bytes: bool,
    /// Timers that ran out.
    pub(crate) expired: usize,
    pub(crate) now: Millis,
}

pub(crate) fn settings() -> Settings {
    let limits = Limits {
        first: 30_000,
        first_tls: 30_000,
        first_passthrough: 30_000,
        first_icap: 30_000,
        idle: 20_000,
        head: 10_000,
        decision: 5_000,
        resolve: 5_000,
        connect: 5_000,
        inactive: 60_000,
        tunnel: 60_000,
        half_close: 60_000,
        drain: 20_000,
    };
    let rules = Rules { head_limit: 8192, ..Rules::default() };
    Settings {
        limits,
        body_size: 0,
        rules,
        trusted: Networks::everybody(),
        onward: Onward::Original,
        tunnels: TunnelRules::default(),
        hello_size: 4096,
        tls_by_name: true,
        passthrough: None,
        keeps_hello: false,
        icap: Default::default(),
        summary: Some(Remembered::ALL),
        leaving: false,
    }
}

impl Hub {
    pub(crate) fn new(plans: SharedPlans, capacity: usize, random: &mut Random) -> Hub {
        let rough = plans.borrow().weather == Weather::Rough;
        let pipes = random.pick(&[0, 1, 2, 8]);
        // How tunnels begin is looked at, and all of it passes.
        let tunnels = TunnelRules { sni: random.pick(&[SniMode::Off, SniMode::Log]), ..TunnelRules::default() };
        Hub {
            clients: Arena::new(),
            kept: Vec::new(),
            origins: Vec::new(),
            wires: Vec::new(),
            queue: VecDeque::new(),
            alarms: Alarms::new(),
            files: Files::default(),
            shared: Shared::new(64, pipes),
            settings: Settings { tunnels, ..settings() },
            answers: Answers::built_in(),
            out: Vec::new(),
            counters: ExchangeCounters::default(),
            summaries: SpareSummaries::default(),
            plans,
            random: Random::new(random.next()),
            capacity,
            rough,
            open: 0,
            pipes,
            kept_bytes: false,
            expired: 0,
            now: 0,
        }
    }

    /// A client connects.
    pub(crate) fn accept(&mut self) -> wire::SharedWire {
        let wire = Wire::new(self.capacity, self.rough, &mut self.random);
        self.wires.push(wire.clone());
        let exchange =
            Exchange::new(&Arrival::direct(Ingress::Proxy, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))), self.now);
        let key = self.clients.insert_with(|key| {
            let session = Session::new(Stream::new(Socket::new(&wire), key), exchange);
            Client { session, waits: None, queued: false, summed_up: 0, moved: Moved { up: 0, down: 0 } }
        });
        self.enqueue(key);
        wire
    }

    pub(crate) fn sessions(&self) -> usize {
        self.clients.len()
    }

    /// Closes what is kept; nothing may be left of anything.
    pub(crate) fn finish(&mut self) {
        self.kept.clear();
        assert_eq!((self.shared.pool.lent(), self.open), (0, 0), "blocks lent and questions open at the end");
        assert_eq!(self.shared.pipes.kept(), 0, "pipes that hold bytes at the end");
        assert_eq!(self.files.len(), 0, "files open at the end");
    }

    /// When a timer, or a step that the hub plays, is due.
    pub(crate) fn next(&self) -> Option<Millis> {
        let waits = self.clients.iter().filter_map(|(_, client)| client.waits).map(|(at, _)| at);
        waits.chain(self.alarms.next()).min()
    }

    /// One turn. True if a session ran.
    pub(crate) fn turn(&mut self) -> bool {
        self.kept.retain_mut(|origin| {
            let news = origin.stream.io.wire().borrow_mut().take_news();
            origin.stream.note(news);
            !news.has(Ready::READ | Ready::READ_CLOSED | Ready::ERROR)
        });
        for key in self.clients.keys() {
            self.note(key);
        }
        while let Some(slot) = self.alarms.pop_due(self.now) {
            let Some(key) = self.clients.key_at(slot) else { continue };
            self.count_timer(key);
            self.with_exchange(key, |exchange, cx| exchange.handle_timeout(cx));
            self.enqueue(key);
        }
        for (key, id, block) in self.files.read(&mut self.random) {
            let content = self.clients.get_mut(key).and_then(|client| client.session.content_mut());
            content.filter(|content| content.id() == id).expect("an open file has a session").handle_block(block);
            self.enqueue(key);
        }
        let ran = !self.queue.is_empty() || self.files.is_wanted();
        for _ in 0..self.queue.len() {
            let Some(key) = self.queue.pop_front() else { break };
            self.drive(key);
        }
        ran
    }

    /// Takes the news of a session's sockets and of those it waits for.
    fn note(&mut self, key: Key) {
        let now = self.now;
        let Some(client) = self.clients.get_mut(key) else { return };
        let mut news = client.session.client.io.wire().borrow_mut().take_news();
        client.session.client.note(news);
        if let Some(origin) = &mut client.session.origin {
            let more = origin.stream.io.wire().borrow_mut().take_news();
            origin.stream.note(more);
            news |= more;
        }
        let due = client.waits.filter(|(at, _)| *at <= now).map(|(_, wait)| wait);
        if due.is_some() {
            client.waits = None;
        }
        match due {
            Some(Wait::Decision) => self.decided(key),
            Some(Wait::Addresses) => self.resolved(key),
            Some(Wait::Connection) => self.dialled(key),
            None if news == Ready::NONE => return,
            None => {}
        }
        self.enqueue(key);
    }

    fn enqueue(&mut self, key: Key) {
        if let Some(client) = self.clients.get_mut(key).filter(|client| !client.queued) {
            client.queued = true;
            self.queue.push_back(key);
        }
    }

    fn drive(&mut self, key: Key) {
        for _ in 0..ACTIONS {
            let progress = self.step(key, |client, shared, cx| {
                client.queued = false;
                client.session.run(shared, cx)
            });
            let (Some(progress), Some(client)) = (progress, self.clients.get_mut(key)) else { return };
            if let Some(request) = client.session.poll_content() {
                self.files.serve(key, request);
            }
            let kept = self.shared.pipes.kept();
            assert!(kept <= self.pipes, "{kept} pipes hold bytes");
            self.kept_bytes |= kept > 0;
            assert!(client.session.stored() <= MOST_STORED, "{} bytes are held", client.session.stored());
            match progress {
                Progress::Act(action) => self.act(key, action),
                Progress::Again => break,
                Progress::Wait => return client.session.arm(&mut self.alarms, key, &self.settings.limits),
            }
        }
        self.enqueue(key);
    }

    fn act(&mut self, key: Key, action: Action) {
        match action {
            Action::Ask => self.await_or(key, Wait::Decision),
            Action::Overdue => {
                self.hang_up(key);
                self.open += 1;
                self.decided(key);
            }
            // No list refuses a name here.
            Action::Judge => {
                self.with_exchange(key, |exchange, cx| exchange.handle_judged(None, cx));
            }
            Action::Resolve => self.await_or(key, Wait::Addresses),
            Action::Explain(cause) => self.explain(key, cause),
            Action::Release => self.release(key),
            Action::Hangup => self.hang_up(key),
            Action::Redial => {
                self.hang_up(key);
                self.await_or(key, Wait::Addresses);
            }
            Action::Record => self.take_summary(key),
            Action::Done(_) => self.end(key),
            Action::JudgeResponse | Action::Vet => unreachable!("there is neither a cache nor a client of ICAP"),
        }
    }

    /// What is asked for comes at once or later.
    fn await_or(&mut self, key: Key, wait: Wait) {
        self.open += 1;
        if self.random.chance(50) {
            return match wait {
                Wait::Decision => self.decided(key),
                Wait::Addresses => self.resolved(key),
                Wait::Connection => self.dialled(key),
            };
        }
        let at = self.now + self.random.size(100) as Millis;
        if let Some(client) = self.clients.get_mut(key) {
            assert_eq!(client.waits, None, "one thing at a time");
            client.waits = Some((at, wait));
        }
    }

    fn decided(&mut self, key: Key) {
        self.open -= 1;
        let Some(request) = self.clients.get(key).and_then(|client| client.session.exchange.request()) else { return };
        let id = id_of(request.path());
        let local = self.plans.borrow().all[id].local;
        let decision = match local {
            true => Decision::Answer(self.local_answer(key)),
            false => Decision::Forward,
        };
        self.with_exchange(key, |exchange, cx| exchange.handle_decision(decision, cx));
    }

    /// An answer of our own, at times followed by a file; in a storm by one that is shorter than announced.
    fn local_answer(&mut self, key: Key) -> Box<Answer> {
        let mut answer = Answer::new(403, vec![b'-'; self.random.size(30_000)]);
        if self.random.chance(50) {
            answer.follows = self.random.size(300_000) as u64;
            let cut = match self.plans.borrow().weather {
                Weather::Storm => self.random.size(100_000),
                _ => 0,
            };
            let content = self.files.open((answer.follows as usize).saturating_sub(cut));
            if let Some(client) = self.clients.get_mut(key) {
                client.session.provide(content);
            }
        }
        Box::new(answer)
    }

    fn resolved(&mut self, key: Key) {
        self.open -= 1;
        if self.fails() {
            return self.refuse(key);
        }
        self.with_exchange(key, |exchange, cx| assert!(exchange.handle_resolved(cx), "addresses are waited for"));
        let Some(client) = self.clients.get_mut(key) else { return };
        assert!(client.session.origin.is_none(), "one connection at a time");
        let Some(request) = client.session.exchange.request() else { return };
        let address = address_of(&request.target().host.to_string());
        let fresh = client.session.exchange.is_fresh() || request.method() == Method::Connect;
        let kept = self.kept.iter().position(|origin| origin.address == address).filter(|_| !fresh);
        match kept {
            Some(place) => {
                let mut origin = self.kept.swap_remove(place);
                origin.exchanges += 1;
                client.session.origin = Some(Box::new(origin));
                self.with_exchange(key, |exchange, cx| {
                    exchange.handle_connected(Connected { reused: true, exclusive: false }, cx)
                });
            }
            None => self.await_or(key, Wait::Connection),
        }
    }

    fn dialled(&mut self, key: Key) {
        self.open -= 1;
        if self.fails() {
            return self.refuse(key);
        }
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(request) = client.session.exchange.request() else { return };
        let tunnel =
            (request.method() == Method::Connect).then(|| self.plans.borrow().all[id_of(request.path())].clone());
        let wire = Wire::new(self.capacity, self.rough, &mut self.random);
        self.wires.push(wire.clone());
        self.origins.push(Origin::new(wire.clone(), self.plans.clone(), tunnel, &mut self.random));
        let mut stream = Stream::new(Socket::new(&wire), key);
        stream.ready |= wire.borrow_mut().take_news();
        let address = address_of(&request.target().host.to_string());
        let site = OriginKeys::default().key(&request.target().host, request.target().port, Scope::Shared);
        client.session.origin = Some(Box::new(OriginConnection { stream, address, key: site, exchanges: 0 }));
        self.with_exchange(key, |exchange, cx| {
            exchange.handle_connected(Connected { reused: false, exclusive: false }, cx)
        });
    }

    fn fails(&mut self) -> bool {
        self.plans.borrow().weather == Weather::Storm && self.random.chance(5)
    }

    fn refuse(&mut self, key: Key) {
        let Some(client) = self.clients.get(key) else { return };
        let exchange = &client.session.exchange;
        let answer = self.answers.dial_error(DialError::TimedOut, exchange.request(), exchange.client());
        self.with_exchange(key, |exchange, cx| exchange.handle_failure(answer, cx));
    }

    /// Composes what an exchange cannot say itself.
    fn explain(&mut self, key: Key, cause: Cause) {
        let Some(client) = self.clients.get(key) else { return };
        let exchange = &client.session.exchange;
        let answer = self.answers.explain(cause, exchange.request(), exchange.client(), "");
        self.with_exchange(key, |exchange, cx| exchange.handle_explained(answer, cx));
    }

    fn release(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let mut origin = client.session.origin.take().expect("there is a connection to be kept");
        let silent = |origin: &mut OriginConnection<Socket>| {
            !origin.stream.ready.has(Ready::READ) || matches!(origin.stream.peek(&mut [0]), Ok(None))
        };
        if !origin.stream.ready.has(Ready::READ_CLOSED | Ready::ERROR) && silent(&mut origin) {
            self.kept.push(*origin);
        }
    }

    fn hang_up(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.waits.take().is_some() {
            self.open -= 1;
        }
        if let Some(mut origin) = client.session.origin.take() {
            if client.session.exchange.aborts(Side::Origin) {
                origin.stream.io.abort();
            }
        }
    }

    /// A request is over.
    fn take_summary(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(summary) = client.session.exchange.take_summary() else { return };
        client.summed_up += 1;
        client.moved.up += summary.moved().up;
        client.moved.down += summary.moved().down;
        self.summaries.put(summary);
    }

    fn end(&mut self, key: Key) {
        self.hang_up(key);
        let client = self.clients.remove(key).expect("a session ends once");
        let exchange = &client.session.exchange;
        // Every byte that was sent belongs to one request, and every request has a summary; so has a head that never
        // came.
        let moved = [Direction::Upload, Direction::Download].map(|direction| exchange.flow(direction).moved);
        assert_eq!([client.moved.up, client.moved.down], moved);
        let unread = client.summed_up.checked_sub(exchange.requests());
        assert!(matches!(unread, Some(0 | 1)), "{} summaries of {} requests", client.summed_up, exchange.requests());
        assert_eq!(client.session.exchange.phase().kind(), PhaseKind::Closed);
        drop(client.session.dismantle(&mut self.shared));
    }

    fn with_exchange(&mut self, key: Key, tell: impl FnOnce(&mut Exchange, &mut Context<'_>)) {
        self.step(key, |client, _, cx| tell(&mut client.session.exchange, cx));
    }

    /// Lends a client what a step of its session needs. None if it has gone.
    fn step<R>(
        &mut self,
        key: Key,
        advance: impl FnOnce(&mut Client, &mut Shared, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let client = self.clients.get_mut(key)?;
        let mut cx = Context {
            session: 1,
            settings: &self.settings,
            now: self.now,
            fraction: 0,
            date: "NOW",
            out: &mut self.out,
            counters: &mut self.counters,
            judge: None,
            summaries: &mut self.summaries,
        };
        Some(advance(client, &mut self.shared, &mut cx))
    }

    fn count_timer(&mut self, key: Key) {
        let due = self.clients.get(key).and_then(|client| client.session.exchange.poll_timeout(&self.settings.limits));
        self.expired += usize::from(due.is_some_and(|(_, at)| at <= self.now));
    }
}

/// The number in a path or in the name of a tunnel's destination.
fn id_of(path: &[u8]) -> usize {
    let digits = path.iter().skip_while(|byte| !byte.is_ascii_digit()).take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}

/// Each name has an address of its own.
fn address_of(host: &str) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, id_of(host.as_bytes()) as u8], 80))
}
