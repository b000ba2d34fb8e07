//! Runs every fuzz target for a bounded number of inputs, the same ones each time: `make fuzz` for many, `make test`
//! for a few. An input that stops a target, or on which it takes too long, is written to a file and named.
//!
//! `FUZZ_RUNS` inputs per target, `FUZZ_SEED` for other inputs, `FUZZ_TARGET` and `FUZZ_INPUT` to repeat one.

mod chance;
mod mutate;
mod targets;

use chance::Chance;
use mutate::Corpus;
use std::collections::HashSet;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use targets::{Target, TARGETS};

/// Inputs per target where `FUZZ_RUNS` says nothing.
const SMOKE_RUNS: u64 = 2_000;

/// An input may not take longer than this. A parser needs microseconds: what takes seconds on the largest input, even
/// unoptimised and beside other tests, does not end or is no longer linear.
const TOO_LONG: Duration = Duration::from_secs(20);

/// What runs now, for the thread that watches the clock.
type Running = Arc<Mutex<Option<(Instant, Vec<u8>)>>>;

fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Stores an input for later and says where.
fn store(target: &Target, input: &[u8]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/output/fuzz");
    std::fs::create_dir_all(&folder).expect("a folder for outputs can be made");
    let hash = input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let path = folder.join(format!("{}-{hash:016x}", target.name));
    std::fs::write(&path, input).expect("an input can be written");
    path
}

/// Ends the whole process when one input takes too long: a thread that loops cannot be stopped otherwise.
fn watch(target: &'static Target, running: &Running) {
    let running = Arc::downgrade(running);
    std::thread::spawn(move || {
        while let Some(running) = running.upgrade() {
            if let Some((begun, input)) = &*running.lock().expect("the target runs outside the lock") {
                if begun.elapsed() > TOO_LONG {
                    eprintln!("{} does not end on {}", target.name, store(target, input).display());
                    std::process::abort();
                }
            }
            drop(running);
            std::thread::sleep(Duration::from_secs(1));
        }
    });
}

/// Runs one input; a panic of the target becomes one that names the input.
fn run(target: &Target, input: &[u8], running: &Running) -> u64 {
    *running.lock().expect("the target runs outside the lock") = Some((Instant::now(), input.to_vec()));
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    *running.lock().expect("the target runs outside the lock") = None;
    outcome.unwrap_or_else(|_| {
        let shown = input[..input.len().min(400)].escape_ascii().to_string();
        panic!("{} stopped on {} ({} bytes): {shown}", target.name, store(target, input).display(), input.len())
    })
}

fn fuzz(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("every test has its target");
    let running = Running::default();
    watch(target, &running);
    if let Ok(path) = std::env::var("FUZZ_INPUT") {
        if std::env::var("FUZZ_TARGET").as_deref() == Ok(name) {
            run(target, &std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}")), &running);
        }
        return;
    }
    let mut corpus = Corpus::new(target.seeds, Chance::new(setting("FUZZ_SEED", 1)));
    let mut outcomes: HashSet<u64> = corpus.seeds().iter().map(|seed| run(target, seed, &running)).collect();
    for _ in 0..setting("FUZZ_RUNS", SMOKE_RUNS) {
        let input = corpus.next();
        if outcomes.insert(run(target, &input, &running)) {
            corpus.keep(&input);
        }
    }
    println!("{name}: {} different outcomes", outcomes.len());
    assert!(outcomes.len() > 1, "{name} does the same on every input: the target sees nothing");
}

/// One test per target, so that they run side by side and fail by name.
macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test] fn $name() { fuzz(stringify!($name)); })*

        #[test]
        fn every_target_has_a_test() {
            let tested = [$(stringify!($name)),*];
            for target in TARGETS {
                assert!(tested.contains(&target.name), "{} is in the table but has no test", target.name);
            }
        }
    };
}

tests! {
    request response head_end first_bytes authority proxy_line
    chunks_of_clients chunks_of_origins
    ini environment command_line pages
    dns_message nat64 dns_resolver resolv_conf hosts lists users credentials
    url_question url_reply icap_reply icap_connection monitor
    client_hello
    pac_names pac_asked cache_control http_date vary stored_head
    access_line access_format usage_line
    moved_tunnel handed_numbers
}
