//! Network namespaces for tests: machines with a network of their own, made with unshare(2), veth and iproute2. A test runs in
//! the one of the proxy; clients and servers have theirs.

use crate::programs::{command, have};
use crate::support::{skip, superuser};
use nix::sched::{unshare, CloneFlags};
use nix::unistd::{gettid, Pid};
use std::process::Command;
use std::sync::mpsc::{channel, Sender};
use std::thread::JoinHandle;

type Job = Box<dyn FnOnce() + Send>;

/// A machine: a thread in a network of its own. Sockets and programs that are made there belong to that network for as long as
/// they live.
pub(crate) struct Space {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    id: Pid,
}

impl Space {
    fn new() -> Space {
        let (jobs, inbox) = channel::<Job>();
        let (ready, id) = channel();
        let thread = std::thread::spawn(move || {
            enter();
            ready.send(gettid()).expect("somebody waits");
            inbox.iter().for_each(|job| job());
        });
        Space { jobs: Some(jobs), thread: Some(thread), id: id.recv().expect("a network of its own") }
    }

    /// Does something on that machine.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = channel();
        let jobs = self.jobs.as_ref().expect("the machine is there");
        let boxed = Box::new(move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            let _ = done.send(outcome);
        });
        jobs.send(boxed).expect("the machine is there");
        match result.recv().expect("an outcome") {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.jobs.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Goes into a new network that has nothing but its loopback.
fn enter() {
    unshare(CloneFlags::CLONE_NEWNET).expect("a new network");
    sh("ip link set lo up");
}

/// Runs a line of sh in the network of this thread; fails the test when it fails.
pub(crate) fn sh(line: &str) {
    let (ok, text) = try_sh(line);
    assert!(ok, "{line}: {text}");
}

/// The same, for a line that may fail.
pub(crate) fn try_sh(line: &str) -> (bool, String) {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh").args(["-c", line]).env("PATH", path).output().expect("sh runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// The networks around a proxy: `client` behind its interface lan0, `server` behind its interface wan0, each with the proxy as its
/// router. The thread that has it is on the proxy's machine.
pub(crate) struct Lan {
    pub(crate) client: Space,
    pub(crate) server: Space,
}

/// Addresses of the client and of the server, and those of the proxy at the client's side.
pub(crate) const CLIENT: [&str; 2] = ["10.77.1.2", "fd77:1::2"];
pub(crate) const SERVER: [&str; 2] = ["10.77.2.2", "fd77:2::2"];
pub(crate) const INNER: [&str; 2] = ["10.77.1.1", "fd77:1::1"];
pub(crate) const OUTER: [&str; 2] = ["10.77.2.1", "fd77:2::1"];

/// Runs a test between the networks of a [`Lan`], where the machine allows it and has these programs.
pub(crate) fn between(programs: &[&str], test: impl FnOnce(Lan) + Send) {
    // Said aloud by .ci/run, which has tried.
    if std::env::var_os("EXAPROXY_UNDIVERTED").is_some() || !have(&["ip"]) || !have(programs) {
        return;
    }
    if !superuser() {
        return skip("networks of their own need the superuser");
    }
    std::thread::scope(|scope| {
        let outcome = scope.spawn(|| {
            enter();
            test(Lan::build());
        });
        if let Err(panic) = outcome.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

impl Lan {
    fn build() -> Lan {
        let (client, server) = (Space::new(), Space::new());
        join("lan0", INNER, &client, CLIENT);
        join("wan0", OUTER, &server, SERVER);
        sh("echo 1 > /proc/sys/net/ipv4/ip_forward && echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
        Lan { client, server }
    }

    /// Loads a file of `conf/nftables` as it stands.
    pub(crate) fn load(&self, file: &str) {
        self.load_with("", file);
    }

    /// The same with something in the environment.
    pub(crate) fn load_with(&self, assignment: &str, file: &str) {
        let path = format!("{}/conf/nftables/{file}", env!("CARGO_MANIFEST_DIR"));
        match file.ends_with(".nft") {
            true => sh(&format!("{assignment} nft -f {path}")),
            false => sh(&format!("{assignment} {path}")),
        }
    }
}

/// Joins the machine of this thread to another one, which gets it as its router.
fn join(inner: &str, own: [&'static str; 2], other: &Space, theirs: [&'static str; 2]) {
    sh(&format!("ip link add {inner} type veth peer name eth0 netns {}", other.id));
    sh(&format!(
        "ip addr add {}/24 dev {inner} && ip -6 addr add {}/64 dev {inner} nodad && ip link set {inner} up",
        own[0], own[1]
    ));
    other.run(move || {
        sh(&format!(
            "ip addr add {}/24 dev eth0 && ip -6 addr add {}/64 dev eth0 nodad && ip link set eth0 up && \
             ip route add default via {} && ip -6 route add default via {}",
            theirs[0], theirs[1], own[0], own[1]
        ));
    });
}

/// A command that is run in the network of the thread that starts it.
pub(crate) fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = command(name);
    command.args(arguments);
    command
}
