//! Mixed traffic through the real binary for as long as `SOAK_SECONDS` says: downloads and uploads of every framing,
//! tunnels, websockets, slow and rude peers, dead names. Every byte is checked; at the end the memory and descriptors
//! of the proxy must be back where they were after a first short round of the same. Loopback only.
//!
//! Not part of `cargo test` by itself: `make soak`, or `cargo test --release --test soak`.

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

/// Seconds of traffic where `SOAK_SECONDS` says nothing: long enough for every default timer but that of idle tunnels.
const USUAL_SECONDS: u64 = 1500;

/// Part of the time that goes into the first round, after which memory is read for comparison.
const FIRST_ROUND: u32 = 3;

/// Workers side by side. Each has one to ten connections open; idle ones come on top.
const WORKERS: u64 = 24;

/// How long the proxy may take to close everything once the traffic has ended: the longest timer that is left running
/// is the half-close timer set below.
const SETTLING: Duration = Duration::from_secs(40);

/// Names asked for before descriptors are counted: the resolver opens its set of sockets one by one, as it needs them,
/// and keeps it.
const NAMES_BEFORE: usize = 400;

/// Memory that may stay beyond the first round, in bytes: allocators and hash tables keep room for the highest number
/// of connections seen, which differs from round to round. A leak of one small buffer in 10,000 requests shows.
const MEMORY_SLACK: u64 = 2 << 20;

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
    let seconds =
        std::env::var("SOAK_SECONDS").map_or(USUAL_SECONDS, |text| text.parse().expect("SOAK_SECONDS is a number"));
    let names = NameServer::start(scenarios::answer_name);
    let resolver = names.as_ref().map(NameServer::resolv_conf);
    let mut options = OPTIONS.to_vec();
    options.extend(resolver.as_deref().map(|path| ("dns.resolver", path)));
    let proxy = Proxy::start(&options);
    let around = Surroundings::new(proxy.address(), names.is_some());
    scenarios::ask_for_names(&around, NAMES_BEFORE).expect("names that do not exist are answered");
    let idle = proxy.descriptors();

    let first = Duration::from_secs(seconds) / FIRST_ROUND;
    round(&proxy, &around, 1, first, idle);
    let before = proxy.rss();
    round(&proxy, &around, 2, Duration::from_secs(seconds) - first, idle);
    let after = proxy.rss();
    println!("memory: {} KiB after the first round, {} KiB after the second", before >> 10, after >> 10);
    assert!(after <= before + MEMORY_SLACK, "{} bytes of memory did not come back", after - before);
    proxy.assert_serves();
}

/// Traffic for a while, then quiet until every descriptor is back.
fn round(proxy: &Proxy, around: &Surroundings, number: u64, length: Duration, idle: usize) {
    let tally = traffic::run(around, WORKERS, number, Instant::now() + length);
    println!(
        "round {number}, {} s: {tally}; {} KiB, {} descriptors",
        length.as_secs(),
        proxy.rss() >> 10,
        proxy.descriptors()
    );
    assert!(tally.failures.is_empty(), "{} failures:\n{}", tally.failures.len(), tally.failures.join("\n"));
    let end = Instant::now() + SETTLING;
    // Fewer are fine: sockets of the resolver that have become too old are replaced at the next question.
    while proxy.descriptors() > idle {
        let open = proxy.descriptors();
        assert!(
            Instant::now() < end,
            "{open} descriptors are open {} s after the traffic, {idle} before it",
            SETTLING.as_secs()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}
