//! What happens to the proxy while there is traffic: reloads, upgrades, helpers that are killed, a name server that stalls.
//! Each kind has an interval of its own, so that they also come together.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::plan::Plan;
use crate::support::helpers::signal;
use crate::traffic::Surroundings;
use crate::Service;

/// How long a reload, and an upgrade, may take: the latter waits for a trial of up to 30 seconds, and for its threads.
const RELOADING: Duration = Duration::from_secs(20);
const UPGRADING: Duration = Duration::from_secs(50);

/// How long the name server says nothing. A question is repeated for 5 seconds (`Soak::start`).
const STALL: Duration = Duration::from_secs(2);

const GLANCE: Duration = Duration::from_millis(10);

/// A kind of event: how often it comes, when it comes next in time of traffic, and how often it has come.
struct Repeated {
    every: Option<Duration>,
    next: Duration,
    times: usize,
}

impl Repeated {
    /// The first comes when this part of the interval has passed.
    fn new(every: Option<Duration>, part: f64) -> Repeated {
        Repeated { every, next: every.unwrap_or_default().mul_f64(part), times: 0 }
    }

    /// Has it happen whenever it is due in a round that began at `start`, `past` into the traffic. Gives what went wrong.
    fn run(&mut self, round: &Round, mut happen: impl FnMut(usize) -> Result<(), String>) -> Vec<String> {
        let mut wrong = Vec::new();
        let Some(every) = self.every else { return wrong };
        while self.next < round.past + round.length {
            std::thread::sleep((round.start + self.next.saturating_sub(round.past)) - Instant::now());
            self.times += 1;
            self.next += every;
            wrong.extend(happen(self.times).err());
        }
        wrong
    }
}

/// A round of traffic: when it began, after how much traffic of former rounds, and how long it is.
pub(crate) struct Round {
    pub(crate) start: Instant,
    pub(crate) past: Duration,
    pub(crate) length: Duration,
}

/// All kinds of events.
pub(crate) struct Events {
    reload: Repeated,
    upgrade: Repeated,
    kill: Repeated,
    stall: Repeated,
}

/// How often each kind has come.
#[derive(Clone, Copy, Default)]
pub(crate) struct EventCounts {
    pub(crate) reloads: usize,
    pub(crate) upgrades: usize,
    pub(crate) kills: usize,
    pub(crate) stalls: usize,
}

impl std::fmt::Display for EventCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let EventCounts { reloads, upgrades, kills, stalls } = self;
        write!(f, "{reloads} reloads, {upgrades} upgrades, {kills} kills, {stalls} stalls")
    }
}

impl Events {
    pub(crate) fn new(plan: &Plan) -> Events {
        Events {
            reload: Repeated::new(plan.reload, 0.5),
            upgrade: Repeated::new(plan.upgrade, 0.37),
            kill: Repeated::new(plan.kill, 0.3),
            stall: Repeated::new(plan.stall, 0.6),
        }
    }

    pub(crate) fn counts(&self) -> EventCounts {
        EventCounts {
            reloads: self.reload.times,
            upgrades: self.upgrade.times,
            kills: self.kill.times,
            stalls: self.stall.times,
        }
    }

    /// Has all of them happen that are due in this round. Gives what went wrong.
    pub(crate) fn run(&mut self, round: &Round, service: &Service, around: &Surroundings) -> Vec<String> {
        let Events { reload: reloads, upgrade: upgrades, kill: kills, stall: stalls } = self;
        std::thread::scope(|scope| {
            let started = [
                scope.spawn(|| reloads.run(round, |number| reload(service, number))),
                scope.spawn(|| upgrades.run(round, |number| upgrade(service, around, number))),
                scope.spawn(|| kills.run(round, |_| kill(service))),
                scope.spawn(|| stalls.run(round, |_| stall(around))),
            ];
            started.into_iter().flat_map(|one| one.join().expect("events do not panic")).collect()
        })
    }
}

/// Waits until the log has these lines so often.
fn wait_lines(service: &Service, lines: &[(&str, usize)], patience: Duration) -> Result<(), String> {
    let end = Instant::now() + patience;
    loop {
        let log = service.proxy.log();
        let missing = lines.iter().find(|(part, times)| log.matches(part).count() < *times);
        let Some((part, times)) = missing else { return Ok(()) };
        if Instant::now() >= end {
            return Err(format!("{part:?} does not stand in the log {times} times after {} s", patience.as_secs()));
        }
        std::thread::sleep(GLANCE);
    }
}

/// Has a changed configuration read.
fn reload(service: &Service, number: usize) -> Result<(), String> {
    service.write_configuration(number);
    service.proxy.signal(Signal::SIGHUP);
    wait_lines(service, &[("configuration reloaded", number)], RELOADING)
}

fn upgrade(service: &Service, around: &Surroundings, number: usize) -> Result<(), String> {
    around.upgrading.store(true, Ordering::Release);
    service.proxy.signal(Signal::SIGALRM);
    let lines = [("the next version has taken over", number), ("Starting exaproxy", number + 1)];
    let done = wait_lines(service, &lines, UPGRADING);
    around.upgrading.store(false, Ordering::Release);
    done
}

/// Kills the helper that is there for longest.
fn kill(service: &Service) -> Result<(), String> {
    let helpers = service.household.helpers();
    let oldest = helpers.first().ok_or("no helper runs that could be killed")?;
    signal(oldest.pid, Signal::SIGKILL);
    Ok(())
}

fn stall(around: &Surroundings) -> Result<(), String> {
    around.stalled.store(true, Ordering::Release);
    std::thread::sleep(STALL);
    around.stalled.store(false, Ordering::Release);
    Ok(())
}
