//! Whether all loops turn: each notes when it begins a turn, and a thread of its own looks at that, since a loop that hangs can tell
//! nothing.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use reactor::Millis;

/// Pause between two looks. A loop turns once a second at least.
const LOOK: Duration = Duration::from_secs(1);

/// Milliseconds without a turn after which a loop hangs.
pub(super) const HANGS: Millis = 10_000;

/// Milliseconds without a turn after which others do without a loop, which turns once a second at least.
const SILENT: Millis = 3_000;

/// When the loops began their last turns.
#[derive(Debug)]
pub(in crate::proxy) struct Beats {
    start: Instant,
    /// By the number of the loop, in milliseconds since the start.
    last: Vec<AtomicU64>,
    /// The process ends when a loop hangs.
    ends: bool,
    /// The thread that looks, while there is one, and whether it is to end.
    thread: Mutex<Option<JoinHandle<()>>>,
    parks: AtomicBool,
}

impl Beats {
    /// For so many loops, all of which turn now.
    pub(super) fn new(loops: usize, ends: bool) -> Beats {
        let last = (0..loops).map(|_| AtomicU64::new(0)).collect();
        Beats { start: Instant::now(), last, ends, thread: Mutex::default(), parks: AtomicBool::new(false) }
    }

    fn now(&self) -> Millis {
        Millis::try_from(self.start.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    /// This loop begins a turn.
    pub(super) fn beat(&self, number: usize) {
        self.last[number].store(self.now(), Ordering::Relaxed);
    }

    /// The loops that hang, with the milliseconds since they began their last turns.
    pub(super) fn hanging(&self) -> impl Iterator<Item = (usize, Millis)> + '_ {
        let now = self.now();
        let silences = self.last.iter().map(move |last| now.saturating_sub(last.load(Ordering::Relaxed)));
        silences.enumerate().filter(|(_, silence)| *silence >= HANGS)
    }

    /// The longest time since a loop began its last turn.
    pub(super) fn silence(&self) -> Millis {
        let now = self.now();
        self.last.iter().map(|last| now.saturating_sub(last.load(Ordering::Relaxed))).max().unwrap_or(0)
    }

    /// The loops that turn.
    pub(super) fn turning(&self) -> impl Fn(usize) -> bool + '_ {
        let now = self.now();
        move |number| now.saturating_sub(self.last[number].load(Ordering::Relaxed)) < SILENT
    }

    /// Ends the thread, which [`start`] starts again.
    pub(super) fn park(&self) {
        // Held until it has ended: a loop that comes too late for an upgrade parks while the first starts all threads again, and a
        // start must not call off an end that is waited for.
        let mut running = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        self.parks.store(true, Ordering::Release);
        if let Some(thread) = running.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }

    /// The process was kept from running: nothing is known of the time before.
    fn forget(&self) {
        let now = self.now();
        self.last.iter().for_each(|last| last.store(now, Ordering::Relaxed));
    }
}

/// Starts the thread. It says when a loop hangs, and ends the process then if it is to. It ends with the loops.
///
/// # Errors
/// When there is no thread to be had.
pub(super) fn start(beats: &Arc<Beats>) -> io::Result<()> {
    let mut running = beats.thread.lock().unwrap_or_else(PoisonError::into_inner);
    if running.is_none() {
        beats.forget();
        beats.parks.store(false, Ordering::Release);
        let beats = Arc::downgrade(beats);
        *running = Some(thread::Builder::new().name("watchdog".to_owned()).spawn(move || watch(&beats))?);
    }
    Ok(())
}

fn watch(beats: &Weak<Beats>) {
    let mut told: Vec<usize> = Vec::new();
    loop {
        let before = Instant::now();
        thread::park_timeout(LOOK);
        let Some(beats) = beats.upgrade().filter(|beats| !beats.parks.load(Ordering::Acquire)) else { return };
        if before.elapsed() > 2 * LOOK {
            beats.forget();
            continue;
        }
        let hanging: Vec<(usize, Millis)> = beats.hanging().collect();
        told.retain(|number| hanging.iter().any(|(hangs, _)| hangs == number));
        for (number, silence) in hanging {
            if told.contains(&number) {
                continue;
            }
            told.push(number);
            log::error!(target: "server", "loop {number} has not turned for {} s, and its clients wait", silence / 1000);
            if beats.ends {
                log::error!(target: "server", "the process ends, so that it is started again (daemon.watchdog)");
                log::logger().flush();
                std::process::abort();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// As when a loop comes too late for an upgrade.
    #[test]
    fn an_end_that_meets_a_start_is_not_waited_for_for_ever() {
        let beats = Arc::new(Beats::new(2, false));
        let (done, ended) = mpsc::channel();
        let same = Arc::clone(&beats);
        thread::spawn(move || {
            for _ in 0..200 {
                while same.thread.lock().unwrap().is_none() {
                    thread::yield_now();
                }
                same.park();
            }
            done.send(()).unwrap();
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        while ended.try_recv().is_err() {
            start(&beats).unwrap();
            assert!(Instant::now() < deadline, "it waits for ever");
        }
    }

    #[test]
    fn a_loop_that_does_not_turn_is_found() {
        let beats = Beats { start: Instant::now() - Duration::from_secs(60), ..Beats::new(2, false) };
        beats.beat(1);
        assert_eq!(beats.hanging().map(|(number, silence)| (number, silence / 1000)).collect::<Vec<_>>(), [(0, 60)]);
        assert_eq!(beats.silence() / 1000, 60);
        assert_eq!([0, 1].map(|number| beats.turning()(number)), [false, true]);
        beats.forget();
        assert_eq!((beats.hanging().count(), beats.silence() / 1000, beats.turning()(0)), (0, 0, true));
    }
}
