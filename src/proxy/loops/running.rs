//! The threads in which all loops but the first turn: how they start, what is done where one fails, and how they end.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use reactor::Millis;

use super::letters::{News, Task};
use super::watchdog::{self, Beats};
use crate::logs::messages::name_loop;
use crate::proxy::{Proxy, Turn};

/// How long the other loops may take to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Pause between two looks at which have ended.
const GLANCE: Duration = Duration::from_millis(2);

/// Loops that wait for their threads, and the threads.
#[derive(Debug, Default)]
pub(super) struct LoopThreads {
    pub(super) waiting: Vec<Proxy>,
    pub(super) running: Vec<JoinHandle<Option<Proxy>>>,
}

impl LoopThreads {
    /// Takes back the loops whose threads have ended, and says how many threads that were. None ends unasked unless its poll fails.
    pub(super) fn collect(&mut self) -> usize {
        if !self.running.iter().any(JoinHandle::is_finished) {
            return 0;
        }
        let (ended, running): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.running).into_iter().partition(JoinHandle::is_finished);
        self.running = running;
        let count = ended.len();
        self.waiting.extend(ended.into_iter().filter_map(|thread| thread.join().ok().flatten()));
        count
    }
}

impl Proxy {
    /// Has these loops turn as soon as threads may be started.
    pub(in crate::proxy) fn hold(&mut self, further: Vec<Proxy>) {
        if let Some(first) = self.first_loop() {
            first.threads.waiting = further;
        }
    }

    /// Has a thread look whether these loops and this one turn, where there are several or the process is to end when one does
    /// not.
    pub(in crate::proxy) fn watch_loops(&mut self, further: &mut [Proxy], ends: bool) {
        if self.loops.is_some() || ends {
            let beats = Arc::new(Beats::new(1 + further.len(), ends));
            further.iter_mut().for_each(|proxy| proxy.beats = Some(Arc::clone(&beats)));
            self.beats = Some(beats);
        }
    }

    /// A turn begins.
    pub(in crate::proxy) fn beat(&self) {
        if let Some(beats) = &self.beats {
            beats.beat(self.loops.as_ref().map_or(0, |loops| loops.number));
        }
    }

    /// Loops that do not turn any more.
    pub(in crate::proxy) fn hanging_loops(&self) -> u64 {
        self.beats.as_ref().map_or(0, |beats| beats.hanging().count() as u64)
    }

    /// Have all loops turned within this time, or within the time after which one hangs?
    pub fn turns(&self, within: Duration) -> bool {
        let most = Millis::try_from(within.as_millis()).unwrap_or(Millis::MAX).min(watchdog::HANGS);
        self.beats.as_ref().is_none_or(|beats| beats.silence() < most)
    }

    /// Starts the threads of the other loops, and the one that looks after all of them.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(in crate::proxy) fn start_loops(&mut self) -> io::Result<()> {
        if let Some(beats) = &self.beats {
            watchdog::start(beats)?;
        }
        let Some(first) = self.first_loop() else { return Ok(()) };
        name_loop(0);
        for mut further in std::mem::take(&mut first.threads.waiting) {
            further.set_parks(false);
            further.start_loader()?;
            let name = format!("loop {}", further.loops.as_ref().map_or(0, |loops| loops.number));
            first.threads.running.push(thread::Builder::new().name(name).spawn(move || further.run())?);
        }
        Ok(())
    }

    /// Turns until it is told to stop, or to end its turns for a moment.
    fn run(mut self) -> Option<Proxy> {
        name_loop(self.loops.as_ref().map_or(0, |loops| loops.number));
        loop {
            match self.turn() {
                Ok(Turn::Stop) => break,
                Ok(_) if self.parks() => return Some(self),
                Ok(_) => {}
                Err(error) => {
                    if let Some(loops) = &self.loops {
                        let why = format!("loop {}: {error}", loops.number);
                        loops.post.first.post(News::Failed(why));
                    }
                    break;
                }
            }
        }
        self.stop();
        None
    }

    /// Whether the other loops go on. One that was to end its turns for a moment, and came to that too late, is started again.
    ///
    /// # Errors
    /// Why one of them does not: without it its clients would wait for ever.
    pub(in crate::proxy) fn check_loops(&mut self) -> io::Result<()> {
        let Some(first) = self.first_loop() else { return Ok(()) };
        if let Some(why) = &first.failed {
            return Err(io::Error::other(why.clone()));
        }
        match first.threads.collect() {
            0 => Ok(()),
            _ if first.threads.waiting.is_empty() => Err(io::Error::other("the thread of a loop has ended")),
            _ => self.start_loops(),
        }
    }

    /// Ends the other loops, and waits for them, but not for long.
    pub(in crate::proxy) fn stop_loops(&mut self) {
        self.tell_loops(|| Task::Stop);
        let Some(first) = self.first_loop() else { return };
        let deadline = Instant::now() + FAREWELL;
        let running = std::mem::take(&mut first.threads.running);
        while Instant::now() < deadline && !running.iter().all(JoinHandle::is_finished) {
            thread::sleep(GLANCE);
        }
        let late = running.iter().filter(|thread| !thread.is_finished()).count();
        if late > 0 {
            log::error!(target: "server", "{late} loops do not end");
        }
    }
}
