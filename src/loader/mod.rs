//! Slow work off the loop: one thread that reads files, prepares values and drops old ones. The loop hands it jobs and
//! takes what they give at the start of a turn. Knows neither what is prepared nor for whom.
//!
//! Frames on a bus wake the two ends. Jobs and values are Rust values of this process, which travel through queues beside
//! the bus: a job through one that all share, its value through one of its own.

pub mod folder;
pub mod names;
mod pending;
mod watch;

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use reactor::bus::{self, Far, Near, Received};
use reactor::frame::Frame;
use reactor::poller::Poller;
use reactor::ready::Ready;

use crate::io::owner::Owner;

pub use pending::Pending;
pub use watch::{Look, Watch};

/// Frames on the bus.
mod kind {
    /// To the thread: a job waits in the queue.
    pub(super) const JOB: u8 = 1;
    /// From the thread: a job is done.
    pub(super) const DONE: u8 = 2;
}

/// Reads from the bus in a turn.
const READS: usize = 16;

/// Something to do on the thread. A value that it gives goes its own way.
type Job = Box<dyn FnOnce() + Send>;

/// The loop's end.
#[derive(Debug)]
pub struct Loader {
    bus: Near,
    jobs: Sender<Job>,
    /// The thread's end, until the thread runs.
    far: Option<(Far, Receiver<Job>)>,
    /// Not everything was read from the bus.
    behind: bool,
    ended: bool,
}

impl Loader {
    /// A loader without a thread: what it is given waits.
    ///
    /// # Errors
    /// Those of socketpair(2) and epoll_ctl(2).
    pub fn new(poller: &mut Poller<Owner>) -> io::Result<Loader> {
        let (mut bus, far) = bus::pair()?;
        poller.register(bus.source(), Owner::Loader)?;
        let (jobs, waiting) = mpsc::channel();
        Ok(Loader { bus, jobs, far: Some((far, waiting)), behind: false, ended: false })
    }

    /// Starts the thread. It keeps the privileges that the process has now.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(&mut self) -> io::Result<()> {
        let Some((far, jobs)) = self.far.take() else { return Ok(()) };
        thread::Builder::new().name("loader".to_owned()).spawn(move || run(far, &jobs))?;
        Ok(())
    }

    /// Has a value dropped that takes long to drop.
    pub fn discard(&mut self, value: impl Send + 'static) {
        self.give(Box::new(move || drop(value)));
    }

    /// The bus has had an event.
    pub fn handle_event(&mut self, ready: Ready) {
        if ready.has(Ready::WRITE) {
            self.ended |= self.bus.flush().is_err();
        }
        if ready.has(Ready::READ | Ready::READ_CLOSED | Ready::ERROR) {
            self.receive();
        }
    }

    /// Reads on where more came than one turn takes.
    pub fn go_on(&mut self) {
        if self.behind {
            self.receive();
        }
    }

    /// Is there more to read from the bus?
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Has the thread ended? Then nothing that was given to it will be done.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    fn give(&mut self, job: Job) {
        let frame = Frame { kind: kind::JOB, key: 0, payload: b"" };
        self.ended |= self.jobs.send(job).is_err() || self.bus.send(frame).is_err();
    }

    fn receive(&mut self) {
        self.behind = true;
        for _ in 0..READS {
            match self.bus.receive(|_| ()) {
                Ok(Received::More) => {}
                Ok(Received::Drained) => {
                    self.behind = false;
                    return;
                }
                Ok(Received::Ended) | Err(_) => {
                    (self.behind, self.ended) = (false, true);
                    return;
                }
            }
        }
    }
}

/// The thread: one job after the other, until the loop is gone.
fn run(mut bus: Far, jobs: &Receiver<Job>) {
    let mut waiting = 0;
    while let Ok(true) = bus.receive(|_| waiting += 1) {
        for _ in 0..std::mem::take(&mut waiting) {
            let Ok(job) = jobs.try_recv() else { return };
            job();
            if bus.send(Frame { kind: kind::DONE, key: 0, payload: b"" }).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Arc;
    use std::time::Duration;

    /// A loader whose thread runs, and the poll that hears of it.
    pub(super) fn loader() -> (Poller<Owner>, Loader) {
        let mut poller = Poller::new().unwrap();
        let mut loader = Loader::new(&mut poller).unwrap();
        loader.start().unwrap();
        (poller, loader)
    }

    /// Turns of a loop until there is a value.
    pub(super) fn wait<T>(
        poller: &mut Poller<Owner>,
        loader: &mut Loader,
        mut take: impl FnMut(&mut Loader) -> Option<T>,
    ) -> T {
        loop {
            let mut seen = Vec::new();
            poller.wait(Some(Duration::from_secs(10)), &mut seen).unwrap();
            seen.iter().for_each(|(_, ready)| loader.handle_event(*ready));
            assert!(!loader.has_ended());
            if let Some(value) = take(loader) {
                return value;
            }
        }
    }

    #[test]
    fn a_job_is_done_elsewhere_and_its_value_comes_back() {
        let (mut poller, mut loader) = loader();
        let mut pending = Pending::default();
        assert!(pending.ask(&mut loader, || thread::current().name().map(str::to_owned)));
        assert!(pending.is_busy() && !pending.ask(&mut loader, || None), "one at a time");
        let name = wait(&mut poller, &mut loader, |_| pending.take());
        assert_eq!(name.as_deref(), Some("loader"));
        assert!(!pending.is_busy() && pending.take().is_none());
    }

    #[test]
    fn what_is_given_before_the_thread_starts_waits_for_it() {
        let mut poller = Poller::new().unwrap();
        let mut loader = Loader::new(&mut poller).unwrap();
        let mut pending = Pending::default();
        pending.ask(&mut loader, || 7);
        loader.start().unwrap();
        assert_eq!(wait(&mut poller, &mut loader, |_| pending.take()), 7);
    }

    struct Dropped(Arc<AtomicUsize>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            let here = thread::current();
            self.0.fetch_add(if here.name() == Some("loader") { 1 } else { 100 }, Ordering::SeqCst);
        }
    }

    #[test]
    fn old_values_and_values_that_nothing_waits_for_are_dropped_by_the_thread() {
        let (mut poller, mut loader) = loader();
        let count = Arc::new(AtomicUsize::new(0));
        let (old, unwanted) = (Dropped(Arc::clone(&count)), Arc::clone(&count));
        loader.discard(old);
        let mut pending = Pending::default();
        pending.ask(&mut loader, move || Dropped(unwanted));
        drop(pending);
        let seen = Arc::clone(&count);
        wait(&mut poller, &mut loader, |_| (seen.load(Ordering::SeqCst) == 2).then_some(()));
    }
}
