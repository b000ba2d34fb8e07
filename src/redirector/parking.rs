//! Helpers without their threads, for a moment: the process is about to be divided, and no thread comes along.

use std::time::{Duration, Instant};

use reactor::frame::Frame;

use super::helper::{self, kind};
use super::Redirector;

/// Pause between two looks at whether a thread has ended.
const GLANCE: Duration = Duration::from_micros(100);

impl Redirector {
    /// Do all helpers run, with none that comes or goes?
    pub fn is_settled(&self) -> bool {
        self.links.iter().flatten().all(|link| link.pid != 0 && !link.leaving)
    }

    /// Ends the threads; their helpers go on, and what they say waits. [`Redirector::go_on`] starts threads again. False where
    /// one does not end before `deadline`.
    pub fn park(&mut self, deadline: Instant) -> bool {
        for link in self.links.iter_mut().flatten() {
            // Where that fails its end is on its way.
            let _ = link.bus.send(Frame { kind: kind::PARK, key: 0, payload: b"" });
        }
        let mut all = true;
        for link in self.links.iter_mut().flatten() {
            while link.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < deadline {
                // What it waits for may be the rest of a question.
                let _ = link.bus.flush();
                std::thread::sleep(GLANCE);
            }
            if let Some(thread) = link.thread.take_if(|thread| thread.is_finished()) {
                // A helper that has ended just now has said so on its bus.
                link.parked = thread.join().ok().flatten();
            }
            all &= link.thread.is_none();
        }
        all
    }

    /// Starts threads again for the helpers whose threads were ended. One that cannot be started is seen by the end of its bus.
    pub fn go_on(&mut self) {
        for link in self.links.iter_mut().flatten() {
            let Some(parked) = link.parked.take() else { continue };
            match helper::go_on(link.number, parked) {
                Ok(thread) => link.thread = Some(thread),
                Err(error) => log::error!(target: "manager", "worker {} is lost: {error}", link.number),
            }
        }
    }
}
