//! Slow work off the loop: one thread that reads files, prepares values and drops old ones. The loop hands it jobs and
//! takes what they give at the start of a turn. Knows neither what is prepared nor for whom.
//!
//! Frames on a bus wake the two ends, and carry the bytes of large files. Jobs and values are Rust values of this process,
//! which travel through queues beside the bus: a job through one that all share, its value through one of its own.

pub mod contents;
mod delay;
pub mod folder;
pub mod lists;
pub mod names;
pub mod parents;
mod pending;
pub mod process;
pub mod users;
mod watch;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::Arc;
use std::thread;

use reactor::arena::Key;
use reactor::bus::{self, Far, Near, Received};
use reactor::frame::Frame;
use reactor::parking::Parkable;
use reactor::poller::Poller;
use reactor::ready::Ready;
use reactor::Millis;

use crate::answers::PageContent;
use crate::io::content::ContentRequest;
use crate::io::owner::Owner;
use contents::{Block, OpenFiles};
use delay::{Delay, Delays, Work};

pub use pending::Pending;
pub use watch::{Look, Watch};

/// Frames on the bus.
mod kind {
    /// To the thread: a job waits in the queue.
    pub(super) const JOB: u8 = 1;
    /// From the thread: a job is done.
    pub(super) const DONE: u8 = 2;
    /// To the thread: the next block of a file is wanted; the key is its number.
    pub(super) const READ: u8 = 3;
    /// From the thread: a block of a file, for the session that the key names. The payload begins with the file's number.
    pub(super) const BLOCK: u8 = 4;
    /// To the thread: a file is not wanted any more; the key is its number.
    pub(super) const CLOSE: u8 = 5;
    /// To the thread: it is to end, and to give back what it has.
    pub(super) const PARK: u8 = 6;
}

/// Reads from the bus in a turn.
const READS: usize = 16;

/// Something to do on the thread. A value that it gives goes its own way.
struct Job {
    /// What it does, for the log: `reading /etc/hosts`.
    what: Arc<str>,
    run: Box<dyn FnOnce(&mut OpenFiles) + Send>,
}

/// The loop's end.
#[derive(Debug)]
pub struct Loader {
    bus: Near,
    jobs: Sender<Job>,
    thread: Parkable<LoaderThread>,
    /// Jobs that were given and are not known to be done.
    given: u64,
    blocks: VecDeque<Block>,
    work: Work,
    delays: Delays,
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
        Ok(Loader {
            bus,
            jobs,
            thread: Parkable::Parked(LoaderThread { bus: far, jobs: waiting, open: OpenFiles::default() }),
            given: 0,
            blocks: VecDeque::new(),
            work: Work::default(),
            delays: Delays::default(),
            behind: false,
            ended: false,
        })
    }

    /// Starts the thread. It keeps the privileges that the process has now.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(&mut self) -> io::Result<()> {
        let work = self.work.clone();
        self.thread.start(|parked| thread::Builder::new().name("loader".to_owned()).spawn(move || parked.run(&work)))
    }

    /// Is there nothing to do for the thread?
    pub fn is_idle(&self) -> bool {
        self.given == 0
    }

    /// Ends the thread, which is to be idle; [`Loader::start`] starts it again. What it is given meanwhile waits.
    pub fn park(&mut self) {
        self.send(kind::PARK, 0);
        self.thread.join();
        self.ended |= self.thread.is_gone();
    }

    /// Has a value dropped that takes long to drop.
    pub fn discard(&mut self, value: impl Send + 'static) {
        self.give("dropping what is not used any more", Box::new(move |_| drop(value)));
    }

    /// Gives freed memory back to the system.
    pub fn trim(&mut self) {
        self.give("returning memory", Box::new(|_| reactor::sys::trim_heap()));
    }

    /// Looks at a page that is not kept. A large one is held open under the number `id`, for a session that is to ask for its
    /// blocks, and to close it.
    pub fn look_at(
        &mut self,
        path: PathBuf,
        session: Key,
        id: u64,
        deliver: impl FnOnce(Result<PageContent, String>) + Send + 'static,
    ) {
        let what: Arc<str> = format!("reading {}", path.display()).into();
        let job = {
            let what = Arc::clone(&what);
            move |open: &mut OpenFiles| {
                let looked = folder::look_at(&path).map(|(content, file)| {
                    if let Some(file) = file {
                        open.keep(id, session, file, Arc::clone(&what));
                    }
                    content
                });
                deliver(looked.map_err(|error| error.to_string()));
            }
        };
        self.give(what, Box::new(job));
    }

    /// Passes on what a session needs of a file.
    pub fn serve(&mut self, request: ContentRequest) {
        let (kind, key) = match request {
            ContentRequest::Block(id) => (kind::READ, id),
            ContentRequest::Close(id) => (kind::CLOSE, id),
            // These are for a cache.
            ContentRequest::Read(..) | ContentRequest::Leave(_) => return,
        };
        self.send(kind, key);
    }

    /// The next block that was read for a session.
    pub fn poll_block(&mut self) -> Option<Block> {
        self.blocks.pop_front()
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

    /// Looks once a second whether the thread hangs, and says so in the log.
    pub fn tick(&mut self, now: Millis) {
        match self.delays.look(&self.work, now) {
            Some(Delay::Hangs(what)) => log::error!(
                target: "server",
                "{what} takes longer than 10 seconds: until it ends, pages, names and configuration stay as they are"
            ),
            Some(Delay::Over(what, took)) => {
                crate::critical!(target: "server", "{what} has ended after {} seconds", took / 1000);
            }
            None => {}
        }
    }

    fn give(&mut self, what: impl Into<Arc<str>>, run: Box<dyn FnOnce(&mut OpenFiles) + Send>) {
        self.ended |= self.jobs.send(Job { what: what.into(), run }).is_err();
        self.given += 1;
        self.send(kind::JOB, 0);
    }

    fn send(&mut self, kind: u8, key: u64) {
        self.ended |= self.bus.send(Frame { kind, key, payload: b"" }).is_err();
    }

    fn receive(&mut self) {
        self.behind = true;
        for _ in 0..READS {
            let (blocks, given) = (&mut self.blocks, &mut self.given);
            let received = self.bus.receive(|frame| match frame.kind {
                kind::DONE => *given = given.saturating_sub(1),
                _ => blocks.extend(Block::of(frame)),
            });
            match received {
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

/// What the thread has.
#[derive(Debug)]
struct LoaderThread {
    bus: Far,
    jobs: Receiver<Job>,
    open: OpenFiles,
}

impl LoaderThread {
    /// One thing after the other, until the loop is gone, or wants all of this back.
    fn run(mut self, work: &Work) -> Option<LoaderThread> {
        let mut wanted = Vec::new();
        while let Ok(true) = self.bus.receive(|frame| wanted.push((frame.kind, frame.key))) {
            for (kind, key) in wanted.drain(..) {
                if kind == kind::PARK {
                    return Some(self);
                }
                let sent = self.serve(kind, key, work);
                work.end();
                if sent.is_err() {
                    return None;
                }
            }
        }
        None
    }

    fn serve(&mut self, kind: u8, key: u64, work: &Work) -> io::Result<()> {
        let LoaderThread { bus, jobs, open } = self;
        match kind {
            kind::READ => {
                if let Some(what) = open.what(key) {
                    work.begin(what);
                }
                open.send(key, bus)
            }
            kind::CLOSE => {
                open.close(key);
                Ok(())
            }
            _ => {
                for job in jobs.try_iter().take(1) {
                    work.begin(job.what);
                    (job.run)(open);
                }
                bus.send(Frame { kind: kind::DONE, key: 0, payload: b"" })
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
        assert!(pending.ask(&mut loader, "testing", || thread::current().name().map(str::to_owned)));
        assert!(pending.is_busy() && !pending.ask(&mut loader, "testing", || None), "one at a time");
        let name = wait(&mut poller, &mut loader, |_| pending.take());
        assert_eq!(name.as_deref(), Some("loader"));
        assert!(!pending.is_busy() && pending.take().is_none());
    }

    #[test]
    fn what_is_given_before_the_thread_starts_waits_for_it() {
        let mut poller = Poller::new().unwrap();
        let mut loader = Loader::new(&mut poller).unwrap();
        let mut pending = Pending::default();
        pending.ask(&mut loader, "testing", || 7);
        loader.start().unwrap();
        assert_eq!(wait(&mut poller, &mut loader, |_| pending.take()), 7);
    }

    #[test]
    fn a_job_that_hangs_is_seen_while_it_hangs_and_when_it_is_over() {
        let (mut poller, mut loader) = loader();
        let (begun, begins) = mpsc::channel();
        let (go_on, waits) = mpsc::channel();
        let mut pending = Pending::default();
        pending.ask(&mut loader, "reading /dead/disk", move || {
            begun.send(()).unwrap();
            waits.recv().unwrap();
        });
        begins.recv().unwrap();
        assert_eq!(loader.delays.look(&loader.work, 1_000), None);
        assert_eq!(loader.delays.look(&loader.work, 11_000), Some(Delay::Hangs("reading /dead/disk".into())));
        go_on.send(()).unwrap();
        wait(&mut poller, &mut loader, |_| pending.take());
        let over = || loader.delays.look(&loader.work, 12_000);
        let over = std::iter::repeat_with(over).flatten().next();
        assert_eq!(over, Some(Delay::Over("reading /dead/disk".into(), 11_000)));
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
        pending.ask(&mut loader, "testing", move || Dropped(unwanted));
        drop(pending);
        let seen = Arc::clone(&count);
        wait(&mut poller, &mut loader, |_| (seen.load(Ordering::SeqCst) == 2).then_some(()));
    }
}
