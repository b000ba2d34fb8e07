//! Loops without their threads, for a moment: the process is about to be divided, and no thread comes along. The first loop has the
//! others settle, which takes as long as their threads have something to do, then park.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::letters::Task;
use super::Loops;
use crate::proxy::Proxy;

/// Pause between two looks at whether a thread has ended.
const GLANCE: Duration = Duration::from_micros(100);

impl Loops {
    /// Are the threads of all other loops idle?
    fn are_settled(&self) -> bool {
        (1..self.count()).all(|number| self.common.settled(number).load(Ordering::Acquire))
    }
}

impl Proxy {
    /// Has the other loops begin nothing that would keep their threads busy. Says whether none is.
    pub(in crate::proxy) fn settle_loops(&mut self) -> bool {
        self.tell_loops(|| Task::Settle);
        self.loops.as_ref().is_none_or(|loops| loops.number > 0 || loops.are_settled())
    }

    /// This loop, which is not the first, begins nothing that would keep a thread busy, and says whether none is.
    pub(super) fn settle_further(&mut self) {
        let idle = self.settle().is_ok();
        if let Some(loops) = &self.loops {
            loops.common.settled(loops.number).store(idle, Ordering::Release);
        }
    }

    /// The threads of this loop, which is not the first, may be busy again.
    pub(super) fn go_on_further(&mut self) {
        self.hold_checks(false);
        if let Some(loops) = &self.loops {
            loops.common.settled(loops.number).store(false, Ordering::Release);
        }
    }

    /// Ends the threads of the other loops, and the one that looks after all. False where one does not end before `deadline`.
    pub(in crate::proxy) fn park_loops(&mut self, deadline: Instant) -> bool {
        self.tell_loops(|| Task::Park);
        if let Some(beats) = &self.beats {
            beats.park();
        }
        let Some(first) = self.first_loop() else { return true };
        while !first.threads.running.iter().all(|thread| thread.is_finished()) && Instant::now() < deadline {
            thread::sleep(GLANCE);
        }
        first.threads.collect();
        first.threads.running.is_empty()
    }

    /// This loop, which is not the first, ends its threads, if they are idle, and its own turns.
    pub(super) fn park_further(&mut self) {
        let idle = self.settle().is_ok();
        let parked = idle && self.park(Instant::now());
        self.set_parks(parked);
    }

    /// Does this loop, which is not the first, end its turns for a moment?
    pub(super) fn parks(&mut self) -> bool {
        self.further_loop().is_some_and(|further| further.parks)
    }

    pub(super) fn set_parks(&mut self, parks: bool) {
        if let Some(further) = self.further_loop() {
            further.parks = parks;
        }
    }
}
