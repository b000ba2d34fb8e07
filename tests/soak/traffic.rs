//! Workers that run scenarios drawn at random until the time is up, and what they have to tell. The order in which one
//! worker runs its scenarios depends on its seed alone.

use crate::scenarios::{Scenario, SCENARIOS};
use crate::site::{Burst, Echo, Site};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

/// Failures after which a worker gives up: the first ones say enough.
const ENOUGH: usize = 3;

/// Everything that the proxy is between.
pub(crate) struct Surroundings {
    pub(crate) proxy: SocketAddr,
    pub(crate) sites: [Site; 2],
    pub(crate) echo: Echo,
    pub(crate) burst: Burst,
    /// Whether names can be asked for.
    pub(crate) names: bool,
}

impl Surroundings {
    pub(crate) fn new(proxy: SocketAddr, names: bool) -> Surroundings {
        Surroundings { proxy, sites: [Site::start(), Site::start()], echo: Echo::start(), burst: Burst::start(), names }
    }
}

/// Random numbers of one worker (xorshift64*).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to `end`, which is left out and not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A length up to 2 to the power of `bits`, short ones as likely as long ones.
    pub(crate) fn length(&mut self, bits: usize) -> usize {
        let bits = self.below(bits + 1);
        self.below(1 << bits)
    }
}

/// How often each scenario ran, and what failed.
#[derive(Default)]
pub(crate) struct Tally {
    runs: BTreeMap<&'static str, u64>,
    pub(crate) failures: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        for (name, count) in other.runs {
            *self.runs.entry(name).or_default() += count;
        }
        self.failures.extend(other.failures);
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} runs (", self.runs.values().sum::<u64>())?;
        for (at, (name, count)) in self.runs.iter().enumerate() {
            write!(f, "{}{name} {count}", if at > 0 { ", " } else { "" })?;
        }
        write!(f, ")")
    }
}

/// Runs the workers until `end`.
pub(crate) fn run(around: &Surroundings, workers: u64, round: u64, end: Instant) -> Tally {
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let work = |number: u64| move || worker(around, Chance::new(round << 32 | number), end);
        let started: Vec<_> = (0..workers).map(|number| scope.spawn(work(number))).collect();
        for one in started {
            tally.add(one.join().expect("a worker reports failures and does not panic"));
        }
    });
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
