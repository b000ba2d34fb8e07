//! The peers that the behaviour tests put around the real binary, and the ways to wait for them.
//!
//! Knows nothing of the proxy's own types: all that a test says or sees goes through sockets, signals and files.

pub mod blackhole;
pub mod client;
pub mod hello;
pub mod helpers;
pub mod message;
pub mod nameserver;
pub mod network;
pub mod origin;
pub mod ports;
pub mod proxy;
pub mod query;
pub mod wire;

use std::path::Path;
use std::time::{Duration, Instant};

pub use blackhole::{Blackhole, Refusing};
pub use client::Client;
pub use hello::{alert, client_hello, in_small_records};
pub use helpers::{Desk, Gate, Helpers};
pub use message::Message;
pub use nameserver::{Answer, NameServer};
pub use origin::{Origin, Peer};
pub use proxy::{loops, Finished, Proxy, ONE_LOOP};
pub use query::{Query, A, AAAA};
pub use wire::Wire;

/// How long a test waits for something that must happen. It is spent only when a test fails, so it is generous:
/// two busy cores may hold a process back for seconds.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Pause between two looks at a condition that cannot be waited for otherwise.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits until `condition` gives a value; fails the test with `what` when it does not come.
pub fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    patiently(condition).unwrap_or_else(|| panic!("waited in vain for: {what}"))
}

/// Waits until `condition` gives a value; None when it does not come, for tests that have more to say then.
pub fn patiently<T>(mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        let value = condition();
        if value.is_some() || Instant::now() >= end {
            return value;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Waits until a file has so many whole lines, and gives all that it has.
pub fn file_lines(path: &Path, count: usize) -> Vec<String> {
    eventually(&format!("{count} lines in {}", path.display()), || {
        let text = std::fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'))?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() >= count).then_some(lines)
    })
}

/// Waits until this stands in a file.
pub fn wait_in_file(path: &Path, part: &str) {
    let found = || std::fs::read_to_string(path).ok().filter(|text| text.contains(part));
    eventually(&format!("{part:?} in {}", path.display()), found);
}

/// Bytes that do not repeat within a buffer or a chunk, so that loss, doubling and reordering show.
pub fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Bytes as a failing test should show them: escaped, and cut where they get long.
pub fn show(bytes: &[u8]) -> String {
    const SHOWN: usize = 600;
    let text = bytes[..bytes.len().min(SHOWN)].escape_ascii().to_string();
    match bytes.len() {
        length if length > SHOWN => format!("{text}… ({length} bytes)"),
        _ => text,
    }
}

/// Says aloud that a test could not be run here; where the whole set is promised (`CI=true`) it fails instead.
pub fn skip(why: &str) {
    assert!(std::env::var("CI").map_or(true, |ci| ci != "true"), "cannot be skipped in CI: {why}");
    eprintln!("SKIPPED: {why}");
}

/// Whether the tests run as the superuser: needed for port 53 and for changes of user.
pub fn superuser() -> bool {
    nix::unistd::geteuid().is_root()
}
