//! Threads that can be parked: one ends and gives back what it had, and another goes on with that. So no thread needs to be there
//! while a process is divided by fork(2).

use std::io;
use std::thread::JoinHandle;

/// A thread, or what it goes on with when it is started.
#[derive(Debug)]
pub enum Parkable<T> {
    /// The thread. It gives back what it has when it is told to; what tells it is its owner's matter.
    Running(JoinHandle<Option<T>>),
    /// What the next thread goes on with.
    Parked(T),
    /// The thread has ended for good.
    Gone,
}

impl<T> Parkable<T> {
    /// Starts a thread with what is parked, if something is.
    ///
    /// # Errors
    /// Those of `spawn`. What was parked is gone then.
    pub fn start(&mut self, spawn: impl FnOnce(T) -> io::Result<JoinHandle<Option<T>>>) -> io::Result<()> {
        match std::mem::replace(self, Parkable::Gone) {
            Parkable::Parked(state) => *self = Parkable::Running(spawn(state)?),
            other => *self = other,
        }
        Ok(())
    }

    /// Waits for the end of the thread, if there is one, and takes back what it had.
    pub fn join(&mut self) {
        match std::mem::replace(self, Parkable::Gone) {
            Parkable::Running(thread) => {
                if let Ok(Some(state)) = thread.join() {
                    *self = Parkable::Parked(state);
                }
            }
            other => *self = other,
        }
    }

    /// Does the thread run? Otherwise [`Parkable::join`] waits for nothing.
    pub fn is_running(&self) -> bool {
        matches!(self, Parkable::Running(thread) if !thread.is_finished())
    }

    /// Has the thread ended for good?
    pub fn is_gone(&self) -> bool {
        matches!(self, Parkable::Gone)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_goes_on_with_what_the_one_before_it_had() {
        let mut worker = Parkable::Parked(1);
        for _ in 0..2 {
            let (tell, told) = mpsc::channel();
            worker
                .start(|count| {
                    Ok(thread::spawn(move || {
                        told.recv().unwrap();
                        Some(count * 10)
                    }))
                })
                .unwrap();
            worker.start(|_| unreachable!("it runs already")).unwrap();
            assert!(worker.is_running());
            tell.send(()).unwrap();
            worker.join();
        }
        assert!(matches!(worker, Parkable::Parked(100)));
        worker.join();
        assert!(!worker.is_running() && !worker.is_gone());
    }

    #[test]
    fn a_thread_that_gives_nothing_back_is_gone() {
        let mut worker = Parkable::Parked(());
        worker.start(|()| Ok(thread::spawn(|| None))).unwrap();
        worker.join();
        assert!(worker.is_gone());
        let mut worker = Parkable::Parked(());
        assert!(worker.start(|()| Err(io::ErrorKind::OutOfMemory.into())).is_err() && worker.is_gone());
    }
}
