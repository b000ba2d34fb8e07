//! Writers without their threads, for a moment: the process is about to be divided, and no thread comes along.

use std::io;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Handle, Writer};

impl Writer {
    /// Starts the thread.
    pub(super) fn start(self) -> io::Result<()> {
        let queue = Arc::clone(&self.queue);
        let thread = thread::Builder::new().name("log writer".to_owned()).spawn(move || self.run())?;
        queue.lock().thread = Some(thread);
        Ok(())
    }
}

impl Handle {
    /// Ends the thread once everything is written, at most after `limit`; [`Handle::go_on`] starts it again. Lines that come
    /// meanwhile wait. False where it does not end in time, and then goes on.
    pub fn park(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.queue().lock();
        (state.parks, state.urgent) = (true, true);
        self.queue().work.notify_one();
        while state.parked.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.parks = false;
                return false;
            }
            state = self.queue().settled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let thread = state.thread.take();
        drop(state);
        // It has nothing left to do.
        thread.is_none_or(|thread| thread.join().is_ok())
    }

    /// Starts the thread again that [`Handle::park`] has ended. `shared` says that another process writes to the same destination.
    ///
    /// # Errors
    /// When there is no thread to be had. Lines are lost then.
    pub fn go_on(&self, shared: bool) -> io::Result<()> {
        let Some(mut writer) = self.queue().lock().parked.take() else { return Ok(()) };
        if shared {
            writer.output.share();
        }
        writer.start()
    }
}
