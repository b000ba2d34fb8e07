//! Networks of a test's own, in which it may change what it likes. They take root and ip(8); without, tests are skipped aloud.

use std::process::Command;
use std::sync::mpsc;
use std::thread;

use nix::sched::{unshare, CloneFlags};
use nix::unistd::gettid;

use super::skip;

/// Runs a test on a thread with a network of its own, in which the loopback interface alone is there.
pub fn with_own_network(test: impl FnOnce() + Send + 'static) {
    let thread = thread::spawn(move || {
        // Threads and processes that this one starts are in the same network.
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            return skip(&format!("a network of its own needs the superuser: {error}"));
        }
        match Command::new("ip").args(["link", "set", "lo", "up"]).status() {
            Ok(status) if status.success() => test(),
            other => skip(&format!("ip(8) is missing or fails: {other:?}")),
        }
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Changes the network with ip(8).
pub fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("ip(8) is there");
    assert!(status.success(), "ip {arguments}");
}

/// Makes another network at the end of a cable: the interface `near` of this one, `far` of the other. `there` runs in it; it
/// lasts as long as the sockets that come back.
pub fn beyond<T: Send + 'static>(there: impl FnOnce() -> T + Send + 'static) -> T {
    ip("link add near type veth peer name far");
    let (tell, told) = mpsc::channel();
    let (joined, join) = mpsc::channel();
    let thread = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("another network");
        tell.send(gettid()).expect("the test waits");
        join.recv().expect("the cable is laid");
        ip("link set lo up");
        ip("link set far up");
        there()
    });
    ip(&format!("link set far netns {}", told.recv().expect("the other network is there")));
    ip("link set near up");
    joined.send(()).expect("the other network waits");
    thread.join().expect("the other network works")
}
