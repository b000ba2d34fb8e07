//! A value that the loader prepares, from the job that gives it to the turn that takes it.

use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::sync::Arc;

use super::Loader;

/// Room for one job at a time and its value.
#[derive(Debug)]
pub struct Pending<T>(Option<Receiver<T>>);

impl<T> Default for Pending<T> {
    fn default() -> Pending<T> {
        Pending(None)
    }
}

impl<T: Send + 'static> Pending<T> {
    /// Is a job under way, or its value not taken yet?
    pub fn is_busy(&self) -> bool {
        self.0.is_some()
    }

    /// Has the loader do this, which the log calls `what` if it takes long. False while another job is under way, and then it
    /// is not done.
    pub fn ask(
        &mut self,
        loader: &mut Loader,
        what: impl Into<Arc<str>>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> bool {
        if self.is_busy() {
            return false;
        }
        let (sender, receiver) = mpsc::channel();
        self.0 = Some(receiver);
        // A value that nothing waits for any more comes back as an error, and is dropped here, by the thread.
        loader.give(what, Box::new(move |_| drop(sender.send(work()))));
        true
    }

    /// The value, once.
    pub fn take(&mut self) -> Option<T> {
        match self.0.as_ref()?.try_recv() {
            Err(TryRecvError::Empty) => None,
            done => {
                self.0 = None;
                done.ok()
            }
        }
    }
}
