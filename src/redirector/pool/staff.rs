//! How many helpers run: starting, replacing, growing with the wait and shrinking without it, renewing after a reload.

use reactor::arena::Key;
use reactor::Millis;
use smallvec::SmallVec;

use super::worker::{State, Worker};
use super::{Action, Pool, Settings};

/// Milliseconds between two looks at whether more helpers are needed, about as often as the original really looked.
const BEAT: Millis = 500;

/// Milliseconds between two looks at whether there are more helpers than needed.
const REST: Millis = 6000;

/// A question that has waited so long, in milliseconds, calls for more helpers.
const PATIENCE: Millis = 100;

/// First and longest pause, in milliseconds, before the next start after helpers have ended without a single reply. The
/// first of them is replaced at once.
const FIRST_PAUSE: Millis = 100;
const LONGEST_PAUSE: Millis = 30_000;

/// Milliseconds without such an end after which the pauses start from the beginning.
const STEADY: Millis = 10_000;

/// What the pool knows of its helpers as a whole.
#[derive(Debug)]
pub(super) struct Staff {
    /// Helpers that start or serve.
    pub(super) alive: usize,
    starting: usize,
    /// Those of the living that run an older program.
    stale: usize,
    generation: u32,
    /// A helper of the present generation has shown that it works.
    proven: bool,
    /// Helpers to have while stale ones are replaced.
    wanted: usize,
    numbers: u32,
    /// Helpers that ended without a reply since one last gave one.
    failures: u32,
    failed_at: Millis,
    /// The last helper started when a failure was counted: those up to it do not count again.
    blamed: u32,
    /// No start before this.
    not_before: Millis,
    /// When a start is due that has to wait.
    due: Option<Millis>,
    beat_at: Millis,
    rest_at: Millis,
    /// The longest wait since the last rest.
    longest: Millis,
}

impl Staff {
    pub(super) fn new(now: Millis) -> Staff {
        Staff {
            alive: 0,
            starting: 0,
            stale: 0,
            generation: 0,
            proven: false,
            wanted: 0,
            numbers: 0,
            failures: 0,
            failed_at: 0,
            blamed: 0,
            not_before: 0,
            due: None,
            beat_at: now + BEAT,
            rest_at: now + REST,
            longest: 0,
        }
    }

    /// A question has waited so long until it was asked.
    pub(super) fn note_wait(&mut self, wait: Millis) {
        self.longest = self.longest.max(wait);
    }

    /// A helper of this generation has replied.
    pub(super) fn note_reply(&mut self, generation: u32) {
        self.proven |= generation == self.generation;
        if self.failures > 0 {
            self.forgive();
        }
    }

    fn forgive(&mut self) {
        self.failures = 0;
        self.not_before = 0;
    }

    /// The helper of this number has ended without a reply. Those that were started together fail together.
    fn note_failure(&mut self, number: u32, now: Millis) {
        self.failed_at = now;
        if number > self.blamed {
            self.blamed = self.numbers;
            self.failures = self.failures.saturating_add(1);
            self.not_before = now + self.pause();
        }
    }

    /// Milliseconds to the next start. The first failure is none to wait for.
    fn pause(&self) -> Millis {
        match self.failures {
            0 | 1 => 0,
            failures => (FIRST_PAUSE << (failures - 2).min(16)).min(LONGEST_PAUSE),
        }
    }
}

impl Pool {
    /// Helpers that start or serve.
    pub fn forked(&self) -> usize {
        self.staff.alive
    }

    /// Are there fewer helpers than there should be because they end at once?
    pub fn is_failing(&self) -> bool {
        self.staff.failures > 1
    }

    /// Does a helper run that has shown that it works? One that was started in vain lives for a while, too.
    pub fn is_served(&self, now: Millis) -> bool {
        self.workers.iter().any(|(_, worker)| worker.is_proven(now))
    }

    /// All helpers are in use, no more may be started, and questions wait.
    pub fn is_saturated(&self, now: Millis) -> bool {
        self.staff.alive >= self.settings.maximum && self.wait(now) >= PATIENCE
    }

    /// A helper's process runs.
    pub fn handle_started(&mut self, key: Key, now: Millis) {
        let Some(worker) = self.workers.get_mut(key).filter(|worker| worker.state == State::Starting) else { return };
        worker.state = State::Serving;
        worker.since = now;
        self.staff.starting -= 1;
        self.offer(key);
        self.settle(now);
    }

    /// A helper has ended, or could not be started. What it had before it is asked once more elsewhere.
    pub fn handle_gone(&mut self, key: Key, now: Millis) {
        let expected = self.workers.get(key).is_some_and(|worker| worker.state == State::Leaving);
        self.dismiss(key);
        let Some(worker) = self.workers.remove(key) else { return };
        self.counters.lost += u64::from(!expected);
        if worker.answered == 0 && (!expected || worker.asked > 0) {
            self.staff.note_failure(worker.number, now);
        }
        for flight in worker.flights {
            self.rescue(flight, now);
        }
        self.settle(now);
    }

    /// SIGUSR1: one helper less at most, and one less now.
    pub fn fewer(&mut self, now: Millis) {
        let maximum = self.settings.maximum.saturating_sub(1).max(1);
        let minimum = self.settings.minimum.min(maximum);
        let before = self.staff.alive;
        self.set_bounds(minimum, maximum, now);
        if self.staff.alive == before && before > minimum {
            self.retire_oldest(|_| true);
        }
    }

    /// SIGUSR2: one helper more at least, and one more now.
    pub fn more(&mut self, now: Millis) {
        let minimum = self.settings.minimum.saturating_add(1);
        let maximum = self.settings.maximum.max(minimum);
        let before = self.staff.alive;
        self.set_bounds(minimum, maximum, now);
        if self.staff.alive == before && before < maximum {
            self.start(now);
        }
    }

    /// Sets how many helpers there are. `minimum` must not be above `maximum`.
    pub fn set_bounds(&mut self, minimum: usize, maximum: usize, now: Millis) {
        self.settings.minimum = minimum;
        self.settings.maximum = maximum;
        self.trim();
        self.settle(now);
    }

    /// Takes other settings over.
    pub fn configure(&mut self, settings: Settings, now: Millis) {
        self.settings = settings;
        let earliest = now.saturating_add(self.settings.timeout);
        for (key, worker) in self.workers.iter() {
            if let Some(oldest) = worker.flights.first() {
                self.alarms.arm(key.index, oldest.sent.saturating_add(self.settings.timeout).min(earliest));
            }
        }
        self.trim();
        self.settle(now);
    }

    /// Replaces all helpers one by one. Those there are go on until others have shown that they work.
    pub fn renew(&mut self, now: Millis) {
        self.staff.generation = self.staff.generation.wrapping_add(1);
        self.staff.stale = self.staff.alive;
        self.staff.proven = false;
        self.staff.wanted = self.staff.alive.clamp(self.settings.minimum, self.settings.maximum);
        self.staff.forgive();
        self.settle(now);
    }

    /// Ends all helpers, for good.
    pub fn stop(&mut self) {
        (self.settings.minimum, self.settings.maximum) = (0, 0);
        while self.retire_oldest(|_| true) {}
    }

    /// Starts what is missing.
    pub(super) fn fill(&mut self, now: Millis) {
        let pausing = now < self.staff.not_before;
        while !pausing && self.staff.alive < self.settings.minimum {
            self.start(now);
            // After several failures one is tried at a time.
            if self.staff.failures > 1 {
                self.staff.not_before = now + self.staff.pause();
                break;
            }
        }
        if !pausing {
            self.replace(now);
        }
        let missing = self.staff.alive < self.settings.minimum || self.staff.stale > 0;
        self.staff.due = Some(self.staff.not_before).filter(|at| missing && *at > now);
    }

    /// Goes on with a renewal, a step at a time.
    fn replace(&mut self, now: Millis) {
        if self.staff.stale == 0 || self.staff.starting > 0 {
            return;
        }
        if self.staff.proven && self.staff.alive > self.staff.wanted {
            let generation = self.staff.generation;
            self.retire_oldest(|worker| worker.generation != generation);
        }
        let fresh = self.staff.alive - self.staff.stale;
        if self.staff.stale > 0 && (self.staff.proven || fresh == 0) {
            self.start(now);
        }
    }

    /// What is looked at on a beat: whether the wait calls for more helpers, or its absence for fewer.
    pub(super) fn keep_pace(&mut self, now: Millis) {
        let staff = &mut self.staff;
        if staff.failures > 0 && staff.alive > 0 && now >= staff.failed_at + STEADY {
            staff.forgive();
        }
        if staff.stale > 0 && !staff.proven {
            let generation = staff.generation;
            let proven = |worker: &Worker| worker.generation == generation && worker.is_proven(now);
            staff.proven = self.workers.iter().any(|(_, worker)| proven(worker));
        }
        if now >= self.staff.beat_at {
            self.staff.beat_at = now + BEAT;
            self.grow(now);
        }
        if now >= self.staff.rest_at {
            self.staff.rest_at = now + REST;
            self.shrink(now);
        }
    }

    /// When the pace is to be looked at next.
    pub(super) fn next_pace(&self) -> Option<Millis> {
        let staff = &self.staff;
        let beat = !self.waiting.is_empty() || staff.stale > 0;
        let rest = staff.alive > self.settings.minimum;
        [staff.due, beat.then_some(staff.beat_at), rest.then_some(staff.rest_at)].into_iter().flatten().min()
    }

    /// The steps of the original: the more helpers may be added, the larger, but never more than the minimum.
    fn grow(&mut self, now: Millis) {
        let Settings { minimum, maximum, .. } = self.settings;
        if self.wait(now) < PATIENCE || now < self.staff.not_before {
            return;
        }
        let step = minimum.min(maximum.saturating_sub(minimum) / 4).max(1);
        for _ in 0..step.min(maximum.saturating_sub(self.staff.alive)) {
            self.start(now);
        }
    }

    fn shrink(&mut self, now: Millis) {
        let longest = std::mem::take(&mut self.staff.longest).max(self.wait(now));
        if longest < PATIENCE && self.staff.stale == 0 && self.staff.alive > self.settings.minimum {
            self.retire_oldest(|_| true);
        }
    }

    /// How long the question has waited that waits longest.
    fn wait(&self, now: Millis) -> Millis {
        self.waiting.first_key_value().map_or(0, |(_, waiting)| now.saturating_sub(waiting.since))
    }

    /// Lets helpers beyond the maximum go.
    fn trim(&mut self) {
        while self.staff.alive > self.settings.maximum && self.retire_oldest(|_| true) {}
    }

    fn start(&mut self, now: Millis) {
        self.staff.numbers = self.staff.numbers.wrapping_add(1);
        self.staff.alive += 1;
        self.staff.starting += 1;
        self.counters.started += 1;
        let worker = Worker {
            state: State::Starting,
            capacity: self.settings.concurrency.max(1),
            generation: self.staff.generation,
            number: self.staff.numbers,
            since: now,
            flights: SmallVec::new(),
            asked: 0,
            answered: 0,
            listed: false,
        };
        let number = worker.number;
        let key = self.workers.insert(worker);
        self.actions.push_back(Action::Start(key, number));
    }

    /// Lets the oldest helper go that fits. False when there is none.
    fn retire_oldest(&mut self, fits: impl Fn(&Worker) -> bool) -> bool {
        let living = self.workers.iter().filter(|(_, worker)| worker.state != State::Leaving && fits(worker));
        let Some((key, _)) = living.min_by_key(|(_, worker)| worker.number) else { return false };
        self.dismiss(key);
        self.offer(key);
        true
    }

    /// Kills a helper. What it had before it is asked once more elsewhere.
    pub(super) fn kill(&mut self, key: Key, why: &'static str, now: Millis) {
        self.dismiss(key);
        let Some(worker) = self.workers.get_mut(key) else { return };
        let flights = std::mem::take(&mut worker.flights);
        self.actions.push_back(Action::Kill(key, why));
        for flight in flights {
            self.rescue(flight, now);
        }
    }

    /// Counts a helper out: it gets no further question.
    fn dismiss(&mut self, key: Key) {
        let Some(worker) = self.workers.get_mut(key).filter(|worker| worker.state != State::Leaving) else { return };
        self.staff.alive -= 1;
        self.staff.starting -= usize::from(worker.state == State::Starting);
        self.staff.stale -= usize::from(worker.generation != self.staff.generation);
        worker.state = State::Leaving;
    }
}
