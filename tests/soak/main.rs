//! Mixed traffic through the real binary for as long as `SOAK_SECONDS` says: downloads and uploads of every framing,
//! tunnels, websockets, slow and rude peers, dead names, and attacks that were found once; meanwhile reloads, upgrades, helpers
//! that are killed and a name server that stalls. Every byte is checked; whenever there is quiet, the memory and descriptors
//! of the proxy must be back where they were after the first rounds of the same, with no other process left. Loopback only.
//!
//! Does nothing unless `SOAK_SECONDS` is set: `make soak` sets it.

mod attacks;
// The same random numbers as those of the fuzz targets.
#[path = "../fuzz/chance.rs"]
mod chance;
mod events;
mod plan;
mod processes;
mod scenarios;
mod service;
mod site;
// Shared with the behaviour tests; each set of tests uses another part of it.
#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../proxy/support/mod.rs"]
mod support;
mod traffic;

use events::{Events, Round};
use plan::Plan;
use service::{Held, Service};
use std::sync::Arc;
use std::time::Instant;
use traffic::{Surroundings, Tally};

/// Memory after each round is compared with the most that was held after one of the first few, which fill caches and bring
/// every table to its full size.
const WARM_ROUNDS: usize = 3;

/// Workers side by side. Each has one to ten connections open; idle ones come on top.
const WORKERS: u64 = 24;

/// Names asked for before anything is counted: the resolver opens its set of sockets one by one, as it needs them, and keeps
/// it; and it remembers 20,480 names, some 5 MiB, which the attack with unique names would fill over many rounds.
const NAMES_BEFORE: usize = 21_000;

/// Descriptors of the four empty pipes that each loop keeps for bulk once it has needed them.
const SPARE_PIPES: usize = 8;

/// Memory that may stay beyond the warm rounds, in bytes for each loop: allocators and hash tables keep room for the highest
/// number of connections seen, which differs from round to round. A leak of one small buffer in 10,000 requests shows.
const MEMORY_SLACK: u64 = 1 << 20;

#[test]
fn soak() {
    let plans = Plan::all();
    if plans.is_empty() {
        println!("not run: SOAK_SECONDS is not set");
    }
    // Those with other numbers of loops run beside one another.
    std::thread::scope(|scope| plans.iter().for_each(|plan| drop(scope.spawn(|| run(plan)))));
}

fn run(plan: &Plan) {
    let mut soak = Soak::start(plan);
    for number in 1..=plan.rounds().0 {
        soak.round(number);
    }
    soak.end();
}

/// A soak under way.
struct Soak<'a> {
    plan: &'a Plan,
    service: Service,
    around: Surroundings,
    events: Events,
    /// The most descriptors that may be open without traffic.
    descriptors: usize,
    tally: Tally,
    /// What was held before the traffic, and after each round of it.
    held: Vec<Held>,
}

impl Soak<'_> {
    fn start(plan: &Plan) -> Soak<'_> {
        let service = Service::start(plan);
        let around = Surroundings::new(service.proxy.address(), service.names.is_some(), Arc::clone(&service.stalled));
        scenarios::ask_for_names(&around, NAMES_BEFORE, plan.loops).expect("names that do not exist are answered");
        let events = Events::new(plan);
        let descriptors = service.proxy.descriptors() + SPARE_PIPES * plan.loops;
        let held = vec![service.settle(descriptors, events.counts())];
        Soak { plan, service, around, events, descriptors, tally: Tally::default(), held }
    }

    /// Traffic with events for a while, then quiet until all is as before.
    fn round(&mut self, number: u64) {
        let length = self.plan.rounds().1;
        let round = Round { start: Instant::now(), past: length * (number as u32 - 1), length };
        let (service, around, events) = (&self.service, &self.around, &mut self.events);
        let mut tally = std::thread::scope(|scope| {
            let happened = scope.spawn(|| events.run(&round, service, around));
            let mut tally = traffic::run(around, WORKERS, number, round.start + length);
            tally.failures.extend(happened.join().expect("events do not panic"));
            tally
        });
        let (failures, counts) = (std::mem::take(&mut tally.failures), self.events.counts());
        assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
        let held = self.service.settle(self.descriptors, counts);
        let (loops, runs, Held { memory, descriptors }) = (self.plan.loops, tally.total(), held);
        let (to, kib) = ((round.past + length).as_secs(), memory >> 10);
        println!(
            "{loops} loops, {to} s: {runs} runs, none failed; {counts}; {kib} KiB, {descriptors} descriptors; \
             a new connection waits {}",
            tally.waits
        );
        self.tally.add(tally);
        self.held.push(held);
    }

    /// Tells what came of all, looks at the memory, and ends the proxy.
    fn end(self) {
        let Soak { plan, tally, held, .. } = self;
        let list =
            |value: fn(&Held) -> u64| held.iter().map(|held| value(held).to_string()).collect::<Vec<_>>().join(" ");
        let runs: String = tally.runs.iter().map(|(name, count)| format!("    {name} {count}\n")).collect();
        println!(
            "summary of {} s with {} loops: {} runs, none failed; {}\n{runs}\
             a new connection waits {} (median / p99 / longest), {} while an upgrade is under way\n\
             descriptors at first and after each round: {}\nmemory in KiB: {}",
            plan.seconds,
            plan.loops,
            tally.total(),
            self.events.counts(),
            tally.waits,
            tally.upgrading,
            list(|held| held.descriptors as u64),
            list(|held| held.memory >> 10)
        );
        let memory: Vec<u64> = held[1..].iter().map(|held| held.memory).collect();
        let before = memory[..WARM_ROUNDS].iter().copied().max().unwrap_or_default();
        let after = memory[memory.len() - 1];
        let slack = MEMORY_SLACK * plan.loops as u64;
        assert!(after <= before + slack, "{} bytes of memory did not come back", after - before);
        self.service.stop();
    }
}
