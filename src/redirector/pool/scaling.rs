//! How many helpers run: starting, replacing, growing with the wait and shrinking without it, renewing after a reload.

use reactor::arena::Key;
use reactor::Millis;
use smallvec::SmallVec;

use super::helper::{Helper, HelperState};
use super::{HelperPool, PoolAction, PoolSettings};

/// Milliseconds between two looks at whether more helpers are needed, about as often as the original looked.
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
pub(super) struct Scaling {
    /// Helpers that start or serve.
    pub(super) alive: usize,
    starting: usize,
    /// Helpers that start or serve and run an older program.
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
    /// The number of the last helper started when a failure was counted. Helpers up to it do not count again.
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

impl Scaling {
    pub(super) fn new(now: Millis) -> Scaling {
        Scaling {
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

    /// Milliseconds to the next start. After the first failure it is at once: one helper may have been killed by chance.
    fn pause(&self) -> Millis {
        match self.failures {
            0 | 1 => 0,
            failures => (FIRST_PAUSE << (failures - 2).min(16)).min(LONGEST_PAUSE),
        }
    }
}

impl HelperPool {
    /// Helpers that start or serve.
    pub fn forked(&self) -> usize {
        self.scaling.alive
    }

    /// Are there fewer helpers than there should be because they end at once?
    pub fn is_failing(&self) -> bool {
        self.scaling.failures > 1
    }

    /// Does a helper run that has shown that it works? One that was started in vain lives for a while, too.
    pub fn is_served(&self, now: Millis) -> bool {
        self.helpers.iter().any(|(_, helper)| helper.is_proven(now))
    }

    /// All helpers are in use, no more may be started, and questions wait.
    pub fn is_saturated(&self, now: Millis) -> bool {
        self.scaling.alive >= self.settings.maximum && self.wait(now) >= PATIENCE
    }

    /// A helper's process runs.
    pub fn handle_started(&mut self, key: Key, now: Millis) {
        let Some(helper) = self.helpers.get_mut(key).filter(|helper| helper.state == HelperState::Starting) else {
            return;
        };
        helper.state = HelperState::Serving;
        helper.since = now;
        self.scaling.starting -= 1;
        self.offer(key);
        self.settle(now);
    }

    /// A helper has ended, or could not be started. Its questions are asked once more elsewhere.
    pub fn handle_gone(&mut self, key: Key, now: Millis) {
        let expected = self.helpers.get(key).is_some_and(|helper| helper.state == HelperState::Leaving);
        self.dismiss(key);
        let Some(helper) = self.helpers.remove(key) else { return };
        self.counters.lost += u64::from(!expected);
        if helper.answered == 0 && (!expected || helper.asked > 0) {
            self.scaling.note_failure(helper.number, now);
        }
        for flight in helper.flights {
            self.rescue(flight, now);
        }
        self.settle(now);
    }

    /// SIGUSR1: one helper less at most, and one less now.
    pub fn fewer(&mut self, now: Millis) {
        let maximum = self.settings.maximum.saturating_sub(1).max(1);
        let minimum = self.settings.minimum.min(maximum);
        let before = self.scaling.alive;
        self.set_bounds(minimum, maximum, now);
        if self.scaling.alive == before && before > minimum {
            self.retire_oldest(|_| true);
        }
    }

    /// SIGUSR2: one helper more at least, and one more now.
    pub fn more(&mut self, now: Millis) {
        let minimum = self.settings.minimum.saturating_add(1);
        let maximum = self.settings.maximum.max(minimum);
        let before = self.scaling.alive;
        self.set_bounds(minimum, maximum, now);
        if self.scaling.alive == before && before < maximum {
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
    pub fn configure(&mut self, settings: PoolSettings, now: Millis) {
        self.settings = settings;
        let earliest = now.saturating_add(self.settings.timeout);
        for (key, helper) in self.helpers.iter() {
            if let Some(oldest) = helper.flights.first() {
                self.alarms.arm(key.index, oldest.sent.saturating_add(self.settings.timeout).min(earliest));
            }
        }
        self.trim();
        self.settle(now);
    }

    /// Replaces all helpers one by one. The old ones serve until new ones have shown that they work.
    pub fn renew(&mut self, now: Millis) {
        self.scaling.generation = self.scaling.generation.wrapping_add(1);
        self.scaling.stale = self.scaling.alive;
        self.scaling.proven = false;
        self.scaling.wanted = self.scaling.alive.clamp(self.settings.minimum, self.settings.maximum);
        self.scaling.forgive();
        self.settle(now);
    }

    /// Ends all helpers, for good.
    pub fn stop(&mut self) {
        (self.settings.minimum, self.settings.maximum) = (0, 0);
        while self.retire_oldest(|_| true) {}
    }

    /// Starts what is missing.
    pub(super) fn fill(&mut self, now: Millis) {
        let pausing = now < self.scaling.not_before;
        while !pausing && self.scaling.alive < self.settings.minimum {
            self.start(now);
            // After several failures one is tried at a time: all at once would fail together and take the processor
            // with it.
            if self.scaling.failures > 1 {
                self.scaling.not_before = now + self.scaling.pause();
                break;
            }
        }
        if !pausing {
            self.replace(now);
        }
        let missing = self.scaling.alive < self.settings.minimum || self.scaling.stale > 0;
        self.scaling.due = Some(self.scaling.not_before).filter(|at| missing && *at > now);
    }

    /// Goes on with a renewal, a step at a time.
    fn replace(&mut self, now: Millis) {
        // One starts at a time, so that a renewal does not double the number of processes.
        if self.scaling.stale == 0 || self.scaling.starting > 0 {
            return;
        }
        if self.scaling.proven && self.scaling.alive > self.scaling.wanted {
            let generation = self.scaling.generation;
            self.retire_oldest(|helper| helper.generation != generation);
        }
        // Until the new program has shown that it works, one helper runs it beside all the old ones.
        let fresh = self.scaling.alive - self.scaling.stale;
        if self.scaling.stale > 0 && (self.scaling.proven || fresh == 0) {
            self.start(now);
        }
    }

    /// What is looked at on a beat: whether the wait calls for more helpers, or its absence for fewer.
    pub(super) fn keep_pace(&mut self, now: Millis) {
        let scaling = &mut self.scaling;
        if scaling.failures > 0 && scaling.alive > 0 && now >= scaling.failed_at + STEADY {
            scaling.forgive();
        }
        if scaling.stale > 0 && !scaling.proven {
            let generation = scaling.generation;
            let proven = |helper: &Helper| helper.generation == generation && helper.is_proven(now);
            scaling.proven = self.helpers.iter().any(|(_, helper)| proven(helper));
        }
        if now >= self.scaling.beat_at {
            self.scaling.beat_at = now + BEAT;
            self.grow(now);
        }
        if now >= self.scaling.rest_at {
            self.scaling.rest_at = now + REST;
            self.shrink(now);
        }
    }

    /// When the pace is to be looked at next.
    pub(super) fn next_pace(&self) -> Option<Millis> {
        let scaling = &self.scaling;
        let beat = !self.waiting.is_empty() || scaling.stale > 0;
        let rest = scaling.alive > self.settings.minimum;
        [scaling.due, beat.then_some(scaling.beat_at), rest.then_some(scaling.rest_at)].into_iter().flatten().min()
    }

    /// The steps of the original: the more helpers may be added, the larger, but never more than the minimum.
    fn grow(&mut self, now: Millis) {
        let PoolSettings { minimum, maximum, .. } = self.settings;
        if self.wait(now) < PATIENCE || now < self.scaling.not_before {
            return;
        }
        let step = minimum.min(maximum.saturating_sub(minimum) / 4).max(1);
        for _ in 0..step.min(maximum.saturating_sub(self.scaling.alive)) {
            self.start(now);
        }
    }

    fn shrink(&mut self, now: Millis) {
        let longest = std::mem::take(&mut self.scaling.longest).max(self.wait(now));
        if longest < PATIENCE && self.scaling.stale == 0 && self.scaling.alive > self.settings.minimum {
            self.retire_oldest(|_| true);
        }
    }

    /// How long the oldest waiting question has waited.
    fn wait(&self, now: Millis) -> Millis {
        self.waiting.oldest().map_or(0, |waiting| now.saturating_sub(waiting.since))
    }

    /// Lets helpers beyond the maximum go.
    fn trim(&mut self) {
        while self.scaling.alive > self.settings.maximum && self.retire_oldest(|_| true) {}
    }

    fn start(&mut self, now: Millis) {
        self.scaling.numbers = self.scaling.numbers.wrapping_add(1);
        self.scaling.alive += 1;
        self.scaling.starting += 1;
        self.counters.started += 1;
        let helper = Helper {
            state: HelperState::Starting,
            capacity: self.settings.concurrency.max(1),
            generation: self.scaling.generation,
            number: self.scaling.numbers,
            since: now,
            flights: SmallVec::new(),
            asked: 0,
            answered: 0,
            listed: false,
        };
        let number = helper.number;
        let key = self.helpers.insert(helper);
        self.actions.push_back(PoolAction::Start(key, number));
    }

    /// Lets the oldest helper go of those that `fits` picks. False when there is none.
    fn retire_oldest(&mut self, fits: impl Fn(&Helper) -> bool) -> bool {
        let living = self.helpers.iter().filter(|(_, helper)| helper.state != HelperState::Leaving && fits(helper));
        let Some((key, _)) = living.min_by_key(|(_, helper)| helper.number) else { return false };
        self.dismiss(key);
        self.offer(key);
        true
    }

    /// Kills a helper. Its questions are asked once more elsewhere.
    pub(super) fn kill(&mut self, key: Key, why: &'static str, now: Millis) {
        self.dismiss(key);
        let Some(helper) = self.helpers.get_mut(key) else { return };
        let flights = std::mem::take(&mut helper.flights);
        self.actions.push_back(PoolAction::Kill(key, why));
        for flight in flights {
            self.rescue(flight, now);
        }
    }

    /// Counts a helper out: it gets no further question.
    fn dismiss(&mut self, key: Key) {
        let Some(helper) = self.helpers.get_mut(key).filter(|helper| helper.state != HelperState::Leaving) else {
            return;
        };
        self.scaling.alive -= 1;
        self.scaling.starting -= usize::from(helper.state == HelperState::Starting);
        self.scaling.stale -= usize::from(helper.generation != self.scaling.generation);
        helper.state = HelperState::Leaving;
    }
}
