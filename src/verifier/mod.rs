//! Passwords checked beside the loop: one or two threads, each with one check at a time, and the loop's end of their bus. Knows
//! neither requests nor who is slowed.

mod queue;

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use reactor::bus::{self, Far, Near, Received};
use reactor::frame::Frame;
use reactor::parking::Parkable;
use reactor::poller::Poller;
use reactor::ready::Ready;
use zeroize::Zeroizing;

use crate::io::owner::Owner;
use crate::policy::credentials::users::UserTable;
use crate::policy::shares::ClientKey;
use queue::CheckQueue;

pub use queue::QueueFull;

/// The frame that tells that a check is done.
const DONE: u8 = 1;

/// Most threads, so that a client that guesses passwords never gets more of the machine than these.
const MOST_THREADS: usize = 2;

/// What is to be checked.
pub struct PasswordCheck {
    /// Against these users.
    pub users: Arc<UserTable>,
    /// The name.
    pub user: Arc<str>,
    /// The password.
    pub password: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for PasswordCheck {
    /// Shows nothing of a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordCheck")
    }
}

/// What came of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checked {
    /// Its number.
    pub number: u64,
    /// The user exists, and the password is right.
    pub matches: bool,
    /// How long it took.
    pub took: Duration,
    worker: usize,
}

#[derive(Debug)]
struct Worker {
    /// None has the thread end.
    jobs: Sender<Option<(u64, PasswordCheck)>>,
    busy: bool,
    thread: Parkable<VerifierThread>,
}

/// The loop's end. Without threads until there is a check.
#[derive(Debug, Default)]
pub struct Verifier {
    queue: CheckQueue<PasswordCheck>,
    workers: Vec<Worker>,
    running: Option<VerifierThreads>,
    last: u64,
    /// No check is begun, so that the threads come to an end.
    held: bool,
    /// One thread has to do.
    small: bool,
}

#[derive(Debug)]
struct VerifierThreads {
    bus: Near,
    done: Receiver<Checked>,
}

impl Verifier {
    /// One with a single thread, for a process with several.
    pub fn small() -> Verifier {
        Verifier { small: true, ..Verifier::default() }
    }

    /// Has a password checked as soon as a thread is free. Gives the number of the check.
    ///
    /// # Errors
    /// There is no place for it, or no thread to be had.
    pub fn ask(
        &mut self,
        client: ClientKey,
        check: PasswordCheck,
        poller: &mut Poller<Owner>,
    ) -> Result<u64, QueueFull> {
        if self.running.is_none() {
            let started = self.start(poller);
            started.map_err(|error| {
                log::error!(target: "server", "no passwords can be checked: cannot start a thread: {error}");
                QueueFull
            })?;
        }
        self.last += 1;
        self.queue.push(client, self.last, check)?;
        self.serve();
        Ok(self.last)
    }

    /// No session waits for this check any more. False if it has begun: it will come to its end.
    pub fn cancel(&mut self, client: ClientKey, number: u64) -> bool {
        self.queue.remove(client, number)
    }

    /// No session waits for checks of this client any more. Gives the numbers of those that have not begun.
    pub fn cancel_all(&mut self, client: ClientKey) -> Vec<u64> {
        self.queue.remove_all(client)
    }

    /// Does this check wait for a thread?
    pub fn is_queued(&self, client: ClientKey, number: u64) -> bool {
        self.queue.contains(client, number)
    }

    /// Begins no check from now on, or goes on. The threads that [`Verifier::park`] has ended are started again.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn hold(&mut self, held: bool) -> io::Result<()> {
        self.held = held;
        if !held {
            for worker in &mut self.workers {
                worker.thread.start(VerifierThread::start)?;
            }
            self.serve();
        }
        Ok(())
    }

    /// Is no check under way?
    pub fn is_idle(&self) -> bool {
        self.workers.iter().all(|worker| !worker.busy)
    }

    /// Ends the threads, which are to be idle. [`Verifier::hold`] starts them again.
    pub fn park(&mut self) {
        self.workers.iter().for_each(|worker| drop(worker.jobs.send(None)));
        self.workers.iter_mut().for_each(|worker| worker.thread.join());
    }

    /// Checks that wait for a thread.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The bus has had an event.
    ///
    /// # Errors
    /// The threads have ended.
    pub fn handle_event(&mut self, ready: Ready) -> io::Result<()> {
        let Some(running) =
            self.running.as_mut().filter(|_| ready.has(Ready::READ | Ready::READ_CLOSED | Ready::ERROR))
        else {
            return Ok(());
        };
        loop {
            match running.bus.receive(|_| ())? {
                Received::More => {}
                Received::Drained => return Ok(()),
                Received::Ended => return Err(io::Error::other("the threads that check passwords have ended")),
            }
        }
    }

    /// A check that is done; the thread goes on with the next.
    pub fn poll(&mut self) -> Option<Checked> {
        let checked = self.running.as_ref()?.done.try_recv().ok()?;
        self.workers[checked.worker].busy = false;
        self.serve();
        Some(checked)
    }

    /// Gives checks to threads that are free.
    fn serve(&mut self) {
        for worker in self.workers.iter_mut().filter(|worker| !worker.busy && !self.held) {
            let Some(job) = self.queue.pop() else { return };
            worker.busy = worker.jobs.send(Some(job)).is_ok();
        }
    }

    fn start(&mut self, poller: &mut Poller<Owner>) -> io::Result<()> {
        let (mut bus, far) = bus::pair()?;
        let (results, done) = mpsc::channel();
        let far = Arc::new(Mutex::new(far));
        let mut workers = Vec::new();
        // A processor is left to the loop where there are several.
        let processors = thread::available_parallelism().map_or(1, usize::from);
        for worker in 0..(processors / 2).clamp(1, if self.small { 1 } else { MOST_THREADS }) {
            let (jobs, waiting) = mpsc::channel();
            let thread = VerifierThread { worker, jobs: waiting, results: results.clone(), bus: Arc::clone(&far) };
            workers.push(Worker { jobs, busy: false, thread: Parkable::Running(thread.start()?) });
        }
        poller.register(bus.source(), Owner::Verifier)?;
        (self.workers, self.running) = (workers, Some(VerifierThreads { bus, done }));
        Ok(())
    }
}

/// What a thread has.
#[derive(Debug)]
struct VerifierThread {
    worker: usize,
    jobs: Receiver<Option<(u64, PasswordCheck)>>,
    results: Sender<Checked>,
    bus: Arc<Mutex<Far>>,
}

impl VerifierThread {
    fn start(self) -> io::Result<JoinHandle<Option<VerifierThread>>> {
        thread::Builder::new().name("verifier".to_owned()).spawn(move || self.run())
    }

    /// One check after the other, until the loop is gone, or wants all of this back. It gives way to the loop where they share
    /// a processor.
    fn run(self) -> Option<VerifierThread> {
        reactor::sys::be_nice();
        while let Ok(job) = self.jobs.recv() {
            let Some((number, check)) = job else { return Some(self) };
            let start = Instant::now();
            let matches = check.users.check(&check.user, &check.password);
            let took = start.elapsed();
            // With the password, before anybody can hear of it.
            drop(check);
            let sent = self.results.send(Checked { number, matches, took, worker: self.worker });
            let mut bus = self.bus.lock().unwrap_or_else(PoisonError::into_inner);
            if sent.is_err() || bus.send(Frame { kind: DONE, key: 0, payload: b"" }).is_err() {
                return None;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn check(users: &Arc<UserTable>, user: &str, password: &[u8]) -> PasswordCheck {
        let password = Zeroizing::new(password.to_vec());
        PasswordCheck { users: Arc::clone(users), user: user.into(), password }
    }

    #[test]
    fn passwords_are_checked_elsewhere_and_the_queue_has_an_end() {
        let mut poller = Poller::new().unwrap();
        let mut verifier = Verifier::default();
        let text = "ann:$2b$04$abcdefghijklmnopqrstuu8VGtUx.c4Re394wLRrz6IU0O9BZg/ta\n";
        let users = Arc::new(UserTable::parse(text.as_bytes().to_vec()).unwrap());
        let client = ClientKey::from(IpAddr::from([192, 0, 2, 1]));
        let mut ask =
            |user, password: &str| verifier.ask(client, check(&users, user, password.as_bytes()), &mut poller);
        let right = ask("ann", "p:w ü").unwrap();
        let (wrong, unknown) = (ask("ann", "x").unwrap(), ask("bob", "p:w ü").unwrap());
        let full = (0..1000).find(|_| ask("ann", "y").is_err());
        assert!(full.is_some_and(|count| count >= 100), "{full:?}");
        let mut found = Vec::new();
        while found.len() < 3 {
            let mut seen = Vec::new();
            poller.wait(Some(Duration::from_secs(10)), &mut seen).unwrap();
            seen.iter().for_each(|(owner, ready)| {
                assert_eq!(*owner, Owner::Verifier);
                verifier.handle_event(*ready).unwrap();
            });
            while let Some(checked) = verifier.poll() {
                if [right, wrong, unknown].contains(&checked.number) {
                    found.push((checked.number, checked.matches));
                }
            }
        }
        found.sort_unstable();
        assert_eq!(found, [(right, true), (wrong, false), (unknown, false)]);
    }
}
