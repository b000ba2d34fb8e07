//! The proxy of a soak with what stands around it, and how all of it has to be while there is no traffic.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::attacks::GREEDY;
use crate::events::EventCounts;
use crate::plan::Plan;
use crate::processes::Household;
use crate::scenarios;
use crate::support::proxy::called;
use crate::support::{NameServer, Proxy};

/// Helpers that run all the time.
pub(crate) const HELPERS: usize = 3;

/// Permits all.
const HELPER: &str = "while read -r line; do echo; done\n";

/// How long the proxy may take to close everything once the traffic has ended: the longest timer that is left running
/// is the half-close timer set below.
const SETTLING: Duration = Duration::from_secs(40);

/// Timers short enough that everything ends within [`SETTLING`]. That many requests fail is by design.
const OPTIONS: &[(&str, &str)] = &[
    ("log.level", "ERROR"),
    ("http.pool-timeout", "1"),
    ("http.half-close-timeout", "10"),
    ("http.drain-timeout", "2"),
    ("http.idle-timeout", "20"),
    ("http.idle-connect", "20"),
    ("web.alarm-errors", "0"),
    ("redirector.enable", "true"),
];

/// Lines that may stand in the log, by a part of them.
const EXPECTED: &[&str] = &[
    "Starting exaproxy version",
    " listening on ",
    "running as root",
    "SIGHUP received",
    "configuration reloaded",
    "SIGALRM received",
    " is tried",
    "the next version has taken over",
    "exaproxy has stopped",
    "the drainer has ended",
    // What is told of former versions; that the end of one has cut clients off is not among it.
    " of a former version, ",
    "its last client has gone",
    // Killed by the soak, so that for a moment more requests wait than there are helpers.
    "was killed by signal 9",
    // The same of a drainer's, whose parent is the service.
    ") has ended",
    "there are helpers enough again",
];

/// Numbers that are 0 without traffic.
const NOTHING: &[&str] = &[
    "clients.speaking",
    "clients.tunnels",
    "servers.established",
    "servers.opening",
    "memory.blocks",
    "memory.heads",
    "queue.size",
];

/// A running proxy, its name server and its helpers.
pub(crate) struct Service {
    pub(crate) proxy: Proxy,
    pub(crate) household: Household,
    pub(crate) names: Option<NameServer>,
    pub(crate) stalled: Arc<AtomicBool>,
    pidfile: PathBuf,
    _folder: tempfile::TempDir,
}

/// What the proxy holds while there is no traffic.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) memory: u64,
    pub(crate) descriptors: usize,
}

impl Service {
    pub(crate) fn start(plan: &Plan) -> Service {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [program, helper, pidfile] = ["exaproxy", "helper", "pid"].map(|name| folder.path().join(name));
        // A copy, so that what is built meanwhile does not take over.
        std::fs::copy(crate::support::proxy::program(), &program).expect("our own folder");
        std::fs::write(&helper, HELPER).expect("our own folder");
        let stalled = Arc::new(AtomicBool::new(false));
        let names = NameServer::start({
            let stalled = Arc::clone(&stalled);
            move |query| {
                // As one that stands still: what is asked meanwhile is answered afterwards, as far as the system keeps it.
                while stalled.load(Ordering::Acquire) {
                    std::thread::sleep(Duration::from_millis(10));
                }
                scenarios::answer_name(query)
            }
        });
        // A question is repeated for 5 seconds.
        let resolver = names.as_ref().map(|names| names.resolv_conf_with("options timeout:1 attempts:5\n"));
        let (loops, helpers) = (plan.loops.to_string(), HELPERS.to_string());
        let (command, pid) = (format!("/bin/sh {}", helper.display()), pidfile.display().to_string());
        let mut options = OPTIONS.to_vec();
        options.extend([
            ("daemon.threads", loops.as_str()),
            ("daemon.pidfile", &pid),
            ("redirector.program", &command),
        ]);
        options.extend([("redirector.minimum", helpers.as_str()), ("redirector.maximum", &helpers)]);
        options.extend(resolver.as_deref().map(|path| ("dns.resolver", path)));
        let proxy = Proxy::launch(&options, &configuration(0), |command| called(&command, &program));
        let household = Household { service: proxy.pid(), configuration: proxy.file(), helper };
        Service { proxy, household, names, stalled, pidfile, _folder: folder }
    }

    /// Writes the configuration of this number.
    pub(crate) fn write_configuration(&self, number: usize) {
        std::fs::write(self.proxy.file(), configuration(number)).expect("our own folder");
    }

    /// Waits until all is as it was before the traffic, with no more descriptors than these.
    pub(crate) fn settle(&self, descriptors: usize, counts: EventCounts) -> Held {
        let end = Instant::now() + SETTLING;
        while let Some(wrong) = self.wrong(descriptors, counts) {
            let waited = SETTLING.as_secs();
            assert!(Instant::now() < end, "{waited} s after the traffic: {wrong}");
            std::thread::sleep(Duration::from_millis(100));
        }
        self.judge(counts);
        if let Some(names) = &self.names {
            names.forget();
        }
        Held { memory: self.proxy.rss(), descriptors: self.proxy.descriptors() }
    }

    /// What is not as it has to be without traffic.
    fn wrong(&self, most: usize, counts: EventCounts) -> Option<String> {
        let descriptors = self.proxy.descriptors();
        // Fewer are fine: sockets of the resolver that have become too old are replaced at the next question.
        if descriptors > most {
            return Some(format!("{descriptors} descriptors are open, {most} before it"));
        }
        if let Some(wrong) = self.household.wrong(HELPERS) {
            return Some(wrong);
        }
        let numbers = self.proxy.counters();
        let other = NOTHING.iter().find(|name| numbers.get(**name) != Some(&0));
        if let Some(name) = other {
            return Some(format!("{name} is {:?}", numbers.get(*name)));
        }
        if numbers.get("processes.forked") != Some(&(HELPERS as i64)) {
            return Some(format!("{:?} helpers are counted", numbers.get("processes.forked")));
        }
        let page = self.proxy.monitor_page("/json/configuration");
        let pool = format!("\"exaproxy.http.pool\": {}", pool(counts.reloads));
        (!page.contains(&pool)).then(|| format!("the configuration of the last reload, {pool}, is not in force"))
    }

    /// Looks for what the log should not say, and for what it has to.
    fn judge(&self, counts: EventCounts) {
        let log = self.proxy.log();
        let greedy = format!("{} waits for ", GREEDY.map(|part| part.to_string()).join("."));
        let expected = |line: &&str| EXPECTED.iter().any(|part| line.contains(part)) || line.contains(&greedy);
        let other: Vec<&str> = log.lines().filter(|line| !expected(line)).collect();
        assert!(other.is_empty(), "unexpected lines in the log: {other:#?}");
        let said = |part: &str| log.matches(part).count();
        assert_eq!(said("configuration reloaded"), counts.reloads);
        assert_eq!(said("the next version has taken over"), counts.upgrades);
        assert_eq!(said("Starting exaproxy version"), counts.upgrades + 1);
        let pid = std::fs::read_to_string(&self.pidfile).expect("a pidfile");
        assert_eq!(pid, format!("{}\n", self.proxy.pid()));
    }

    /// Ends the proxy, of which nothing may be left.
    pub(crate) fn stop(mut self) {
        assert!(self.proxy.alive());
        self.proxy.assert_serves();
        self.proxy.signal(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(self.proxy.wait_exit().code(), Some(0));
        crate::support::eventually("nothing left", || self.household.left().is_empty().then_some(()));
        assert!(!self.pidfile.exists(), "the pidfile is left");
    }
}

/// A configuration by its number: each differs from the one before.
fn configuration(number: usize) -> String {
    format!("[http]\npool = {}\n", pool(number))
}

fn pool(number: usize) -> usize {
    1000 + number % 2
}
