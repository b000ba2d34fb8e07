//! One session at a time: what the pump owes to its neighbours, and bugs that it had.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use exaproxy::counters::exchange::ExchangeCounters;
use exaproxy::exchange::flow::Direction;
use exaproxy::exchange::ingress::{Arrival, Ingress};
use exaproxy::exchange::phase::PhaseKind;
use exaproxy::exchange::{Action, Connected, Context, Exchange, Settings, SpareSummaries};
use exaproxy::http::answer::Answer;
use exaproxy::io::content::{Content, ContentRequest, CONTENT_BLOCK};
use exaproxy::io::origin::{Origin as OriginConnection, OriginKeys, Scope};
use exaproxy::policy::decision::Decision;
use exaproxy::session::{Progress, Session, Shared};
use reactor::arena::Key;
use reactor::pipe::Pipe;
use reactor::ready::Ready;
use reactor::stream::{Stream, Transport};

use crate::hub::settings;

/// Runs of a session before a test gives up waiting for it to rest.
const RUNS: usize = 1000;

/// A socket that has what it was given, and takes everything.
#[derive(Default, Debug)]
struct Fake {
    input: Vec<u8>,
    /// The input never ends.
    endless: bool,
    /// Calls that are interrupted before one works.
    interruptions: usize,
    output: Vec<u8>,
    /// Pipes are not drained.
    full: bool,
    /// Behind the input is the end.
    ends: bool,
}

impl Fake {
    fn interrupt(&mut self) -> io::Result<()> {
        match self.interruptions.checked_sub(1) {
            Some(left) => {
                self.interruptions = left;
                Err(ErrorKind::Interrupted.into())
            }
            None => Ok(()),
        }
    }
}

impl Transport for Fake {
    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.peek(into)?;
        self.discard(&mut into[..count])
    }

    fn peek(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.interrupt()?;
        if self.endless {
            return Ok(into.len());
        }
        let count = into.len().min(self.input.len());
        into[..count].copy_from_slice(&self.input[..count]);
        (count > 0 || self.ends).then_some(count).ok_or(ErrorKind::WouldBlock.into())
    }

    fn discard(&mut self, over: &mut [u8]) -> io::Result<usize> {
        self.input.drain(..over.len().min(self.input.len()));
        Ok(over.len())
    }

    fn send(&mut self, from: &[u8]) -> io::Result<usize> {
        if !self.endless {
            self.output.extend_from_slice(from);
        }
        Ok(from.len())
    }

    fn send_both(&mut self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        self.send(&[first, second].concat())
    }

    fn splice_in(&mut self, pipe: &Pipe, most: usize) -> io::Result<usize> {
        let mut bytes = vec![0; most];
        let count = self.receive(&mut bytes)?;
        Ok(nix::unistd::write(pipe.input(), &bytes[..count])?)
    }

    fn splice_out(&mut self, pipe: &Pipe) -> io::Result<usize> {
        if self.full {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut bytes = vec![0; pipe.len()];
        let count = nix::unistd::read(pipe.output(), &mut bytes)?;
        self.send(&bytes[..count])
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn keep_urgent(&mut self) {}

    fn unsent(&self) -> usize {
        0
    }

    fn abort(&mut self) {}
}

struct Bench {
    session: Session<Fake>,
    shared: Shared,
    settings: Settings,
    out: Vec<u8>,
    counters: ExchangeCounters,
    summaries: SpareSummaries,
    /// Bytes that are left of the file behind an answer.
    file: usize,
    /// More of it has just come.
    fed: bool,
}

const ROUTE: Key = Key { index: 0, generation: 0 };

impl Bench {
    fn new(blocks: usize) -> Bench {
        let exchange = Exchange::new(&Arrival::direct(Ingress::Proxy, IpAddr::V4(Ipv4Addr::LOCALHOST)), 0);
        let mut client = Stream::new(Fake::default(), ROUTE);
        client.ready |= Ready::WRITE;
        Bench {
            session: Session::new(client, exchange),
            shared: Shared::new(blocks, 2),
            settings: Settings { summary: None, ..settings() },
            out: Vec::new(),
            counters: ExchangeCounters::default(),
            summaries: SpareSummaries::default(),
            file: 0,
            fed: false,
        }
    }

    fn client(&mut self, bytes: impl AsRef<[u8]>) {
        self.session.client.io.input.extend_from_slice(bytes.as_ref());
        self.session.client.ready |= Ready::READ;
    }

    fn origin(&mut self, bytes: impl AsRef<[u8]>) {
        let stream = &mut self.session.origin.as_mut().expect("an origin").stream;
        stream.io.input.extend_from_slice(bytes.as_ref());
        stream.ready |= Ready::READ;
    }

    /// Lends the session what a step of it needs.
    fn step<R>(&mut self, advance: impl FnOnce(&mut Session<Fake>, &mut Shared, &mut Context<'_>) -> R) -> R {
        let mut cx = Context {
            session: 1,
            settings: &self.settings,
            now: 0,
            fraction: 0,
            date: "NOW",
            out: &mut self.out,
            counters: &mut self.counters,
            judge: None,
            summaries: &mut self.summaries,
        };
        advance(&mut self.session, &mut self.shared, &mut cx)
    }

    fn once(&mut self) -> Progress {
        let progress = self.step(|session, shared, cx| session.run(shared, cx));
        self.fed = matches!(self.session.poll_content(), Some(ContentRequest::Block(_)));
        if self.fed {
            let count = self.file.min(CONTENT_BLOCK);
            self.file -= count;
            self.session.content_mut().expect("it was asked for").handle_block(vec![0; count]);
        }
        progress
    }

    /// Runs until the session waits; gives what it asked for.
    fn run(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        for _ in 0..RUNS {
            match self.once() {
                Progress::Act(action) => actions.push(action),
                Progress::Again => {}
                Progress::Wait if self.fed => {}
                Progress::Wait => return actions,
            }
        }
        panic!("it does not come to rest: {actions:?}");
    }

    fn tell(&mut self, what: impl FnOnce(&mut Exchange, &mut Context<'_>)) {
        self.step(|session, _, cx| what(&mut session.exchange, cx));
    }

    /// Answers the request that is there with a file of so many bytes.
    fn serve(&mut self, count: usize) {
        self.client(GET);
        assert_eq!(self.run(), [Action::Ask]);
        self.session.provide(Content::new(7));
        self.file = count;
        let answer = Box::new(Answer { follows: count as u64, ..Answer::new(200, &b""[..]) });
        self.tell(|exchange, cx| exchange.handle_decision(Decision::Answer(answer), cx));
    }

    /// From a request that is there to its origin.
    fn connect(&mut self) {
        assert_eq!(self.run(), [Action::Ask]);
        self.tell(|exchange, cx| exchange.handle_decision(Decision::Forward, cx));
        assert_eq!(self.run(), [Action::Resolve]);
        self.tell(|exchange, cx| assert!(exchange.handle_resolved(cx), "addresses are waited for"));
        let mut stream = Stream::new(Fake::default(), ROUTE);
        stream.ready |= Ready::WRITE;
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        let key = OriginKeys::default().key(&"a.test", 80, Scope::Shared);
        self.session.origin = Some(Box::new(OriginConnection { stream, address, key, exchanges: 0 }));
        self.tell(|exchange, cx| exchange.handle_connected(Connected { reused: false, exclusive: false }, cx));
    }

    fn sent(&self) -> &[u8] {
        &self.session.origin.as_ref().expect("an origin").stream.io.output
    }
}

const GET: &str = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// A head that is written in front of a full block makes it outgrow the pool's size.
#[test]
fn a_block_that_a_head_outgrew_is_given_back() {
    let mut bench = Bench::new(4);
    for _ in 0..10 {
        bench.client("POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 40000\r\n\r\n");
        bench.client(vec![b'x'; 40_000]);
        bench.connect();
        assert_eq!(bench.shared.pool.lent(), 1, "what came with the head waits");
        assert_eq!(bench.run(), []);
        assert!(bench.sent().ends_with(&vec![b'x'; 40_000]));
        let fields = format!("A:{}\r\nA:b\r\n", "x".repeat(3000));
        bench.origin(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 20000\r\n\r\n{}", "y".repeat(20_000)));
        assert_eq!(bench.run(), [Action::Release]);
        assert_eq!((bench.shared.pool.lent(), bench.session.stored()), (0, 0));
    }
}

/// Each answer larger than what was free left the shared buffer as small as that answer, until nothing fitted any more.
#[test]
fn answers_leave_the_shared_buffer_as_it_was() {
    let mut bench = Bench::new(4);
    for size in [17_000, 10_000, 3_000, 100, 20_000, 60_000, 100] {
        bench.client(GET);
        assert_eq!(bench.run(), [Action::Ask]);
        let answer = Box::new(Answer::new(200, vec![b'x'; size]));
        bench.tell(|exchange, cx| exchange.handle_decision(Decision::Answer(answer), cx));
        assert_eq!(bench.run(), [Action::Hangup]);
        let got = std::mem::take(&mut bench.session.client.io.output);
        assert!(got.ends_with(&vec![b'x'; size]), "{size}");
    }
    assert_eq!(bench.shared.pool.lent(), 0);
}

/// From a tunnel in which the client takes nothing more to a pipe that keeps what had come of the origin by then.
#[cfg(target_os = "linux")]
fn keep_in_pipe(bench: &mut Bench) {
    bench.client("CONNECT a.test:443 HTTP/1.1\r\n\r\n");
    bench.connect();
    assert_eq!(bench.run(), []);
    bench.session.client.io.output.clear();
    bench.session.client.io.full = true;
    bench.origin(vec![b'x'; 200_000]);
    assert_eq!(bench.run(), []);
    assert_eq!((bench.shared.pipes.kept(), bench.session.stored()), (1, 0));
    assert!(!bench.session.client.ready.has(Ready::WRITE));
}

#[test]
#[cfg(target_os = "linux")]
fn what_a_pipe_keeps_is_sent_before_the_rest_and_the_end() {
    let mut bench = Bench::new(4);
    keep_in_pipe(&mut bench);
    let sent = bench.session.client.io.output.len();
    let moved = |bench: &Bench| bench.session.exchange.flow(Direction::Download).moved as usize;
    assert!((1..200_000).contains(&sent) && moved(&bench) >= sent, "only what has left is counted");
    let origin = &mut bench.session.origin.as_mut().expect("an origin").stream;
    origin.io.ends = true;
    origin.ready |= Ready::READ | Ready::READ_CLOSED;
    assert_eq!(bench.run(), []);
    assert!(!bench.session.exchange.flow(Direction::Download).eof, "the end is behind what waits");
    bench.session.client.io.full = false;
    bench.session.client.ready |= Ready::WRITE;
    assert_eq!(bench.run(), []);
    assert_eq!(bench.session.client.io.output, vec![b'x'; 200_000]);
    assert!(bench.session.exchange.flow(Direction::Download).shut);
    assert_eq!(bench.shared.pipes.kept(), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn a_pipe_with_bytes_goes_with_its_destination() {
    let mut bench = Bench::new(4);
    keep_in_pipe(&mut bench);
    bench.session.client.ready |= Ready::ERROR;
    bench.run();
    assert_eq!((bench.shared.pipes.kept(), bench.session.stored()), (0, 0));
}

#[test]
#[cfg(target_os = "linux")]
fn a_session_that_ends_leaves_no_pipe_behind() {
    let mut bench = Bench::new(4);
    keep_in_pipe(&mut bench);
    let Bench { session, mut shared, .. } = bench;
    session.dismantle(&mut shared);
    assert_eq!(shared.pipes.kept(), 0);
    assert!(shared.pipes.empty().is_some_and(|pipe| pipe.is_empty()), "and the next one is empty");
}

/// No event tells again of bytes that are there already.
#[test]
fn an_interrupted_read_is_repeated() {
    let mut bench = Bench::new(4);
    bench.session.client.io.interruptions = 3;
    bench.client(GET);
    assert_eq!(bench.run(), [Action::Ask]);
}

/// The upload is moved first and could use up what both may use in a turn.
#[test]
fn an_endless_upload_leaves_the_download_its_share() {
    let mut bench = Bench::new(4);
    bench.client("CONNECT a.test:443 HTTP/1.1\r\n\r\n");
    bench.connect();
    assert_eq!(bench.run(), []);
    let origin = &mut bench.session.origin.as_mut().expect("an origin").stream;
    for stream in [&mut bench.session.client, origin] {
        stream.io.endless = true;
        stream.ready |= Ready::READ;
    }
    assert_eq!(bench.once(), Progress::Again, "others get their turn too");
    let moved = [Direction::Upload, Direction::Download].map(|way| bench.session.exchange.flow(way).moved);
    assert!(moved.iter().all(|moved| *moved > 1 << 20), "{moved:?}");
    assert_eq!((bench.shared.pool.lent(), bench.session.stored()), (0, 0), "and nothing is held");
}

/// It comes in blocks, and other sessions get their turn between them.
#[test]
fn a_long_file_leaves_others_their_turn() {
    let mut bench = Bench::new(4);
    bench.serve(1 << 20);
    assert_eq!(bench.once(), Progress::Act(Action::Hangup));
    let mut before = bench.session.client.io.output.len();
    let mut turns = 1;
    while bench.once() == Progress::Again || bench.fed {
        let now = bench.session.client.io.output.len();
        assert!(now - before <= 80 * 1024, "{} bytes in one turn", now - before);
        (before, turns) = (now, turns + 1);
    }
    assert!(turns >= 16, "{turns} turns");
    assert!(bench.session.client.io.output.len() > 1 << 20);
    assert_eq!(bench.session.exchange.phase().kind(), PhaseKind::Idle);
    assert_eq!((bench.shared.pool.lent(), bench.session.stored()), (0, 0));
}

#[test]
fn a_slow_client_holds_no_more_than_a_head_before_a_file() {
    let mut bench = Bench::new(4);
    bench.serve(1 << 20);
    bench.session.client.ready.clear(Ready::WRITE);
    assert_eq!(bench.run(), [Action::Hangup]);
    assert!(bench.shared.pool.lent() == 1 && bench.session.stored() < 1024);
    // Once the head is out, the file needs no block.
    bench.shared.pool.set_budget(0);
    bench.session.client.ready |= Ready::WRITE;
    assert_eq!(bench.run(), []);
    assert_eq!((bench.session.exchange.phase().kind(), bench.shared.pool.lent()), (PhaseKind::Idle, 0));
    assert!(!bench.shared.starved);
    assert!(bench.session.client.io.output.len() > 1 << 20);
}

#[test]
fn without_blocks_nothing_is_read_that_would_need_one() {
    let mut bench = Bench::new(0);
    bench.client(&GET[..20]);
    assert_eq!(bench.run(), []);
    assert_eq!((bench.session.exchange.phase().kind(), bench.session.stored()), (PhaseKind::Idle, 0));
    assert!(std::mem::take(&mut bench.shared.starved), "the owner is told, as no event will tell the session");
    bench.shared.pool.set_budget(1);
    assert_eq!(bench.run(), []);
    assert_eq!((bench.session.exchange.phase().kind(), bench.shared.pool.lent()), (PhaseKind::Head, 1));
    bench.client(&GET[20..]);
    assert_eq!(bench.run(), [Action::Ask], "who has a block may fill it");
    assert!(!bench.shared.starved);
}
