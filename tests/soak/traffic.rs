//! Workers that run scenarios drawn at random until the time is up, one that only looks how long a new connection waits, and
//! what they have to tell. The order in which a worker runs its scenarios depends on its seed alone.

use crate::chance::Chance;
use crate::scenarios::{connect, exchange, request, Scenario, SCENARIOS};
use crate::site::Server;
use crate::support::pattern;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Failures after which a worker gives up: the first ones say enough.
const ENOUGH: usize = 3;

/// Pause between two connections whose only purpose is to see how long a new one waits.
const PROBING: Duration = Duration::from_millis(20);

/// Everything that the proxy is between.
pub(crate) struct Surroundings {
    pub(crate) proxy: SocketAddr,
    pub(crate) sites: [Server; 2],
    pub(crate) echo: Server,
    pub(crate) burst: Server,
    /// Whether names can be asked for.
    pub(crate) names: bool,
    /// Whether the name server says nothing.
    pub(crate) stalled: Arc<AtomicBool>,
    /// Whether the next version is about to take over.
    pub(crate) upgrading: AtomicBool,
}

impl Surroundings {
    pub(crate) fn new(proxy: SocketAddr, names: bool, stalled: Arc<AtomicBool>) -> Surroundings {
        let (sites, echo, burst) = ([Server::site(), Server::site()], Server::echo(), Server::burst());
        Surroundings { proxy, sites, echo, burst, names, stalled, upgrading: AtomicBool::new(false) }
    }
}

impl Chance {
    /// A length up to 2 to the power of `bits`, short ones as likely as long ones.
    pub(crate) fn length(&mut self, bits: usize) -> usize {
        let bits = self.below(bits + 1);
        self.below(1 << bits)
    }
}

/// How long new connections took from their first packet to the end of the answer to a small request.
#[derive(Default)]
pub(crate) struct Waits(Vec<Duration>);

impl Waits {
    /// The value that `share` of all do not exceed.
    fn quantile(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(at).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [median, p99, longest] = [0.5, 0.99, 1.0].map(|share| self.quantile(share).as_secs_f64() * 1000.0);
        write!(f, "{median:.1} / {p99:.1} / {longest:.1} ms")
    }
}

/// How often each scenario ran, how long new connections waited, also of these during upgrades, and what failed.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) runs: BTreeMap<&'static str, u64>,
    pub(crate) waits: Waits,
    pub(crate) upgrading: Waits,
    pub(crate) failures: Vec<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Tally) {
        for (name, count) in other.runs {
            *self.runs.entry(name).or_default() += count;
        }
        self.waits.0.extend(other.waits.0);
        self.upgrading.0.extend(other.upgrading.0);
        self.failures.extend(other.failures);
    }

    pub(crate) fn total(&self) -> u64 {
        self.runs.values().sum()
    }
}

/// Runs the workers until `end`.
pub(crate) fn run(around: &Surroundings, workers: u64, round: u64, end: Instant) -> Tally {
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let work = |number: u64| move || worker(around, Chance::new(round << 32 | number), end);
        let mut started: Vec<_> = (0..workers).map(|number| scope.spawn(work(number))).collect();
        started.push(scope.spawn(|| probe(around, end)));
        for one in started {
            tally.add(one.join().expect("a worker reports failures and does not panic"));
        }
    });
    tally
}

/// Opens one connection after the other, with a small request each, and looks how long it takes.
fn probe(around: &Surroundings, end: Instant) -> Tally {
    let mut tally = Tally::default();
    let asked = request("GET", &format!("127.0.0.1:{}", around.sites[0].port()), "/sized/10/1", "");
    let upgrading = || around.upgrading.load(Ordering::Acquire);
    while Instant::now() < end && tally.failures.len() < ENOUGH {
        let (before, start) = (upgrading(), Instant::now());
        let outcome = connect(around).and_then(|mut wire| exchange(&mut wire, "GET", &asked, 200, &pattern(10, 1)));
        let waited = start.elapsed();
        tally.waits.0.push(waited);
        tally.upgrading.0.extend((before || upgrading()).then_some(waited));
        tally.failures.extend(outcome.err().map(|error| format!("a new connection: {error}")));
        std::thread::sleep(PROBING);
    }
    tally
}

fn worker(around: &Surroundings, mut chance: Chance, end: Instant) -> Tally {
    let mut tally = Tally::default();
    while Instant::now() < end && tally.failures.len() < ENOUGH {
        let Scenario { name, weight, run } = SCENARIOS[chance.below(SCENARIOS.len())];
        if chance.below(100) >= weight {
            continue;
        }
        if let Err(error) = run(around, &mut chance) {
            tally.failures.push(format!("{name}: {error}"));
        }
        *tally.runs.entry(name).or_default() += 1;
    }
    tally
}
