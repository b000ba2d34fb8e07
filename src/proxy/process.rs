//! What the process takes of its machine, looked at again and again by the loader while there is a monitor to show it.

use reactor::Millis;

use super::Proxy;
use crate::exchange::ingress::Ingress;
use crate::loader::{process, Loader, Pending};
use crate::monitor::process::ProcessNumbers;

/// Milliseconds between two looks, at least.
const PAUSE: Millis = 5_000;

/// How many times as long as a look took the next one waits: a thousandth of a core at most, with however many descriptors.
const SHARE: Millis = 1_000;

/// The last look, and the next.
#[derive(Debug, Default)]
pub(super) struct ProcessWatch {
    pub(super) numbers: ProcessNumbers,
    pending: Pending<(ProcessNumbers, Millis)>,
    next: Millis,
}

impl ProcessWatch {
    /// The process started then, in seconds since 1970.
    pub(super) fn new(started: u64) -> ProcessWatch {
        ProcessWatch { numbers: ProcessNumbers { started, ..ProcessNumbers::default() }, ..ProcessWatch::default() }
    }

    fn tick(&mut self, loader: &mut Loader, now: Millis) {
        let started = self.numbers.started;
        if now < self.next || self.pending.is_busy() {
            return;
        }
        self.pending.ask(loader, "looking at the process", move || {
            let begun = std::time::Instant::now();
            let numbers = process::look(started);
            (numbers, Millis::try_from(begun.elapsed().as_millis()).unwrap_or(Millis::MAX))
        });
    }

    fn take(&mut self, now: Millis) {
        if let Some((numbers, took)) = self.pending.take() {
            self.numbers = numbers;
            self.next = now + PAUSE.max(took.saturating_mul(SHARE));
        }
    }
}

impl Proxy {
    /// Has the process looked at when its time has come.
    pub(super) fn tick_process(&mut self) {
        if !self.listeners.places(Ingress::Web).is_empty() {
            self.watch.process_watch.tick(&mut self.loading.loader, self.clock.now());
        }
    }

    /// Takes over what was seen.
    pub(super) fn take_process(&mut self) {
        self.watch.process_watch.take(self.clock.now());
    }
}
