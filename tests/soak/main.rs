//! Mixed traffic through the real binary for as long as `SOAK_SECONDS` says: downloads and uploads of every framing,
//! tunnels, websockets, slow and rude peers, dead names, and attacks that were found once. Every byte is checked; at the end the memory and descriptors
//! of the proxy must be back where they were after the first rounds of the same. Loopback only.
//!
//! Does nothing unless `SOAK_SECONDS` is set: `make soak` sets it.

mod attacks;
mod scenarios;
mod site;
// Shared with the behaviour tests; each set of tests uses another part of it.
#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../proxy/support/mod.rs"]
mod support;
mod traffic;

use std::time::{Duration, Instant};
use support::{NameServer, Proxy};
use traffic::Surroundings;

/// Rounds of traffic, with quiet after each. Memory after the last is compared with the most that was held after one of the
/// first few, which fill caches and bring every table to its full size: what a burst leaves differs by up to 2 MiB.
const ROUNDS: u32 = 6;
const WARM_ROUNDS: usize = 3;

/// Workers side by side. Each has one to ten connections open; idle ones come on top.
const WORKERS: u64 = 24;

/// How long the proxy may take to close everything once the traffic has ended: the longest timer that is left running
/// is the half-close timer set below.
const SETTLING: Duration = Duration::from_secs(40);

/// Names asked for before anything is counted: the resolver opens its set of sockets one by one, as it needs them, and keeps
/// it; and it remembers 20,480 names, some 5 MiB, which the attack with unique names would fill over many rounds.
const NAMES_BEFORE: usize = 21_000;

/// Descriptors of the four empty pipes that the loop keeps for bulk once it has needed them.
const SPARE_PIPES: usize = 8;

/// Memory that may stay beyond the warm rounds, in bytes: allocators and hash tables keep room for the highest number
/// of connections seen, which differs from round to round. A leak of one small buffer in 10,000 requests shows.
const MEMORY_SLACK: u64 = 1 << 20;

/// Timers short enough that everything ends within [`SETTLING`].
const OPTIONS: &[(&str, &str)] = &[
    ("log.level", "ERROR"),
    ("http.pool-timeout", "3"),
    ("http.half-close-timeout", "10"),
    ("http.drain-timeout", "2"),
    ("http.idle-timeout", "20"),
    ("http.idle-connect", "20"),
];

#[test]
fn soak() {
    let Ok(seconds) = std::env::var("SOAK_SECONDS") else { return println!("not run: SOAK_SECONDS is not set") };
    let seconds = seconds.parse().expect("SOAK_SECONDS is a number");
    let names = NameServer::start(scenarios::answer_name);
    let resolver = names.as_ref().map(NameServer::resolv_conf);
    let mut options = OPTIONS.to_vec();
    options.extend(resolver.as_deref().map(|path| ("dns.resolver", path)));
    let proxy = Proxy::start(&options);
    let around = Surroundings::new(proxy.address(), names.is_some());
    scenarios::ask_for_names(&around, NAMES_BEFORE).expect("names that do not exist are answered");
    let idle = proxy.descriptors() + SPARE_PIPES;

    let length = Duration::from_secs(seconds) / ROUNDS;
    let memory: Vec<u64> = (1..=ROUNDS).map(|number| round(&proxy, &around, number, length, idle)).collect();
    let before = memory[..WARM_ROUNDS].iter().copied().max().unwrap_or_default();
    let after = memory[memory.len() - 1];
    println!("memory after each round: {:?} KiB", memory.iter().map(|bytes| bytes >> 10).collect::<Vec<_>>());
    assert!(after <= before + MEMORY_SLACK, "{} bytes of memory did not come back", after - before);
    proxy.assert_serves();
}

/// Traffic for a while, then quiet until every descriptor is back. Gives the memory that is held then, in bytes.
fn round(proxy: &Proxy, around: &Surroundings, number: u32, length: Duration, idle: usize) -> u64 {
    let tally = traffic::run(around, WORKERS, u64::from(number), Instant::now() + length);
    let (memory, open) = (proxy.rss() >> 10, proxy.descriptors());
    println!("round {number}, {} s: {tally}; {memory} KiB, {open} descriptors", length.as_secs());
    assert!(tally.failures.is_empty(), "{} failures:\n{}", tally.failures.len(), tally.failures.join("\n"));
    let end = Instant::now() + SETTLING;
    // Fewer are fine: sockets of the resolver that have become too old are replaced at the next question.
    while proxy.descriptors() > idle {
        let open = proxy.descriptors();
        let waited = SETTLING.as_secs();
        assert!(Instant::now() < end, "{open} descriptors are open {waited} s after the traffic, {idle} before it");
        std::thread::sleep(Duration::from_millis(100));
    }
    proxy.rss()
}
