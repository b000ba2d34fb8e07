//! Helpers: what they are asked, what they say, how they fail, and how many there are.

use std::io;

use nix::sys::signal::Signal;

use super::{ask, last_get, Stage, Step};
use crate::support::{eventually, Desk, Gate, Helpers, Origin, Proxy};

pub struct Peers {
    site: Origin,
    helpers: Helpers,
    /// Each pass is one failure.
    trouble: Gate,
}

impl Peers {
    fn start() -> Peers {
        let trouble = Gate::default();
        let helpers = Helpers::start({
            let trouble = trouble.clone();
            move |desk| obey(desk, &trouble)
        });
        Peers { site: Origin::site(), helpers, trouble }
    }

    fn proxy(&self) -> Proxy {
        // One that has just been started, on a busy machine, has its first question within that time.
        let proxy = self.helpers.proxy(&[("http.pool", "0"), ("redirector.timeout", "4"), ("redirector.queue", "1")]);
        proxy.wait_counter("processes.forked", 1);
        self.helpers.wait_started(1);
        proxy
    }
}

/// Does what the path says. Trouble comes as often as the test has ordered it.
fn obey(desk: &mut Desk, trouble: &Gate) -> io::Result<()> {
    while let Some(line) = desk.line()? {
        match line.split(['/', ' ']).nth(1).unwrap_or_default() {
            "die" if trouble.try_pass() => return desk.exit(1),
            "hang" if trouble.try_pass() => desk.hang()?,
            "wait" => {
                trouble.pass()?;
                desk.say("\n")?;
            }
            "twice" => desk.say("\n\n")?,
            "nonsense" => desk.say("nonsense\n")?,
            _ => desk.say("\n")?,
        }
    }
    Ok(())
}

/// Asks for this path, after so many failures were ordered, and sees this status.
fn see(stage: &Stage<Peers>, path: &str, failures: usize, status: u16) {
    stage.peers.trouble.open_for(failures);
    assert_eq!(ask(&stage.proxy, &last_get(&stage.peers.site.url(path))).status(), status, "{path}");
}

pub const STEPS: &[Step<Peers>] = &[
    Step {
        what: "a helper permits",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, helpers.asked 1, helpers.answered 1, \
            exaproxy_helper_seconds_count 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "/permit", 0, 200),
    },
    Step {
        what: "a helper says what nobody can read",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, answers.proxy_internal_error 1, \
            helpers.asked 1, helpers.answered 1, helpers.unreadable 1, helpers.undecided 1, \
            exaproxy_helper_seconds_count 1, exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "/nonsense", 0, 503),
    },
    Step {
        what: "a helper says more than it was asked",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, helpers.asked 1, helpers.answered 1, \
            helpers.unasked 1, helpers.started 1, exaproxy_helper_seconds_count 1, exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, \
            exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "/twice", 0, 200),
    },
    Step {
        what: "a helper dies over a question, and the next one answers it",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, helpers.asked 2, helpers.again 1, \
            helpers.answered 1, helpers.lost 1, helpers.started 1, exaproxy_helper_seconds_count 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "/die", 1, 200),
    },
    Step {
        what: "two helpers die over a question",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, answers.proxy_internal_error 1, \
            helpers.asked 2, helpers.again 1, helpers.failed 1, helpers.undecided 1, helpers.lost 2, \
            helpers.started 2, exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "/die", 2, 503),
    },
    Step {
        what: "a helper hangs, and the next one answers",
        moves: "clients.accepted 1, clients.requests 1, ended.complete 1, helpers.asked 2, helpers.again 1, \
            helpers.answered 1, helpers.hung 1, helpers.started 1, exaproxy_helper_seconds_count 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "/hang", 1, 200),
    },
    Step {
        what: "there shall be one more",
        moves: "processes.min 1, processes.max 1, processes.forked 1, helpers.started 1",
        act: |stage| stage.proxy.signal(Signal::SIGUSR2),
    },
    Step {
        what: "there shall be one less",
        moves: "processes.min -1, processes.max -1, processes.forked -1",
        act: |stage| stage.proxy.signal(Signal::SIGUSR1),
    },
];

/// What happens while the only helper takes its time.
pub const QUEUE: &[Step<Peers>] = &[
    Step {
        what: "a helper has a question before it",
        moves: "clients.accepted 1, clients.requests 1, clients.speaking 1, helpers.asked 1",
        act: wait,
    },
    Step {
        what: "a second one waits for it",
        moves: "clients.accepted 1, clients.requests 1, clients.speaking 1, helpers.waited 1, queue.size 1",
        act: wait,
    },
    Step {
        what: "there is no room for a third one",
        moves: "clients.accepted 1, clients.requests 1, ended.answered 1, answers.proxy_internal_error 1, \
            helpers.failed 1, helpers.refused 1, helpers.undecided 1, exaproxy_request_seconds_count 1",
        act: |stage| see(stage, "/wait", 0, 503),
    },
    Step {
        what: "the one that waits leaves",
        moves: "ended.client-gone 1, clients.speaking -1, queue.size -1",
        act: |stage| stage.held().reset(),
    },
    Step {
        what: "the helper answers",
        moves: "ended.complete 1, clients.speaking -1, helpers.answered 1, exaproxy_helper_seconds_count 1, \
            exaproxy_connect_seconds_count 1, families.ipv4.ipv4 1, exaproxy_request_seconds_count 1",
        act: |stage| {
            stage.peers.trouble.open();
            assert_eq!(stage.held().reply().status(), 200);
        },
    },
];

fn wait(stage: &Stage<Peers>) {
    let mut client = stage.proxy.client();
    client.send(last_get(&stage.peers.site.url("/wait")));
    stage.hold(client);
}

#[test]
fn what_helpers_do_counts_once() {
    let peers = Peers::start();
    Stage::new(peers.proxy(), peers).play(STEPS);
}

#[test]
fn the_queue_counts_once() {
    let helpers = Peers::start();
    let proxy = helpers.helpers.proxy(&[("http.pool", "0"), ("redirector.queue", "1")]);
    helpers.helpers.wait_started(1);
    Stage::new(proxy, helpers).play(QUEUE);
}

/// What no step moves by a number that could be told before.
pub const KEYS: &[&str] = &["exaproxy_helpers_failing"];

#[test]
fn helpers_that_end_at_once_are_told_until_one_of_them_answers() {
    let well = Gate::default();
    let helpers = Helpers::start({
        let well = well.clone();
        move |desk| match well.try_pass() {
            true => obey(desk, &Gate::default()),
            false => desk.exit(1),
        }
    });
    let proxy = helpers.proxy(&[]);
    let books = super::Books::open(&proxy);
    let failing = |wanted: f64| eventually(KEYS[0], || (books.number(KEYS[0]) == wanted).then_some(()));
    failing(1.0);
    well.open_for(2);
    let site = Origin::site();
    eventually("an answer", || (proxy.client().get(&site.url("/")).status() == 200).then_some(()));
    failing(0.0);
}
