//! One thread and one helper program: bytes from the bus go to the program's standard input, complete replies from its
//! standard output go back, and what it writes to standard error goes to the log. Knows where a reply ends, and neither
//! what it says nor which session waits for it.
//!
//! A question costs the thread six system calls, and the program's own (counted with strace over 1,000 questions to one
//! shell): poll, recvfrom on the bus and write on its way there, poll, read and sendto on its way back.

mod child;
mod stderr;

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use reactor::bus::{self, Far, Near};
use reactor::frame::Frame;
use smallvec::{smallvec, SmallVec};

use super::dialect::Dialect;
use super::question::Extent;
use child::HelperProcess;

/// Frames on the bus.
pub mod kind {
    /// To the thread: the payload is for the helper's standard input.
    pub const ASK: u8 = 1;
    /// To the thread: the helper is to be killed.
    pub const KILL: u8 = 2;
    /// From the thread: the helper runs; the key is its process id.
    pub const RUNS: u8 = 3;
    /// From the thread: the payload is a complete reply; the key tells how many questions the helper had got by then.
    pub const REPLY: u8 = 4;
    /// From the thread: the helper has ended, or could not be started; the payload says how. It is the last frame.
    pub const GONE: u8 = 5;
    /// To the thread: no further question comes, and the helper may end in good order. It can still be killed. The end of
    /// the loop's side says the same.
    pub const RETIRE: u8 = 6;
    /// To the thread: it is to end, and to give back what it has; the helper goes on.
    pub const PARK: u8 = 7;
}

/// Bytes of stack for a thread: buffers are on the heap.
const STACK: usize = 128 << 10;

/// Bytes read from a helper at a time.
const READ: usize = 16 << 10;

/// Bytes of questions that may wait for a helper that does not read. It holds two of the longest heads.
const BACKLOG: usize = 4 << 20;

/// Milliseconds after which a helper that owes a reply is looked at, though its pipes are quiet: it may have ended while
/// a process of its own holds them open.
const LOOK: u16 = 1000;

/// What to run, and how it speaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// The program.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its language.
    pub dialect: Dialect,
}

/// Starts a thread that starts the program. `number` names the helper in the log.
///
/// # Errors
/// When there is no descriptor or thread to be had. That the program cannot be started is told on the bus.
pub fn start(number: u32, program: Arc<Program>) -> io::Result<(Near, HelperJoin)> {
    let (near, far) = bus::pair()?;
    Ok((near, spawn(number, move || HelperThread::run(number, &program, far))?))
}

/// Goes on with a helper whose thread was parked.
///
/// # Errors
/// When there is no thread to be had.
pub fn go_on(number: u32, thread: Box<HelperThread>) -> io::Result<HelperJoin> {
    spawn(number, move || thread.go_on())
}

/// The end of a thread: what it had, where it was parked.
pub type HelperJoin = JoinHandle<Option<Box<HelperThread>>>;

fn spawn(number: u32, run: impl FnOnce() -> Option<Box<HelperThread>> + Send + 'static) -> io::Result<HelperJoin> {
    thread::Builder::new().name(format!("worker {number}")).stack_size(STACK).spawn(run)
}

/// What a thread has.
pub struct HelperThread {
    bus: Far,
    helper: HelperProcess,
    dialect: Dialect,
    /// What the helper has not read yet.
    backlog: Vec<u8>,
    /// What it has written that is no complete reply yet: `held` bytes at the front.
    said: Vec<u8>,
    held: usize,
    asked: u64,
    replied: u64,
}

impl fmt::Debug for HelperThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HelperThread")
    }
}

/// Why a thread's work is over.
enum HelperEnd {
    /// The loop has said that no further question comes.
    Retired,
    /// The loop has had it killed, or is gone.
    Killed,
    /// The helper has ended or closed its standard output.
    Ended,
    /// The helper does what it must not do.
    Unbearable(&'static str),
    /// The loop wants the helper back.
    Parked,
}

/// Which descriptors have something to tell.
#[derive(Default)]
struct HelperReady {
    bus: bool,
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

impl HelperThread {
    fn run(number: u32, program: &Program, mut bus: Far) -> Option<Box<HelperThread>> {
        match HelperProcess::spawn(number, program) {
            Ok(helper) => {
                let mut thread = HelperThread {
                    bus,
                    helper,
                    dialect: program.dialect.clone(),
                    backlog: Vec::new(),
                    said: vec![0; READ],
                    held: 0,
                    asked: 0,
                    replied: 0,
                };
                let runs = Frame { kind: kind::RUNS, key: u64::from(thread.helper.id()), payload: b"" };
                match thread.bus.send(runs) {
                    Ok(()) => Box::new(thread).go_on(),
                    Err(_) => thread.end(HelperEnd::Killed),
                }
            }
            Err(error) => {
                let text = format!("cannot be started: {}: {error}", program.path.display());
                say_gone(&mut bus, &text);
                None
            }
        }
    }

    /// Up to the end of the helper, or of the thread alone.
    fn go_on(mut self: Box<Self>) -> Option<Box<HelperThread>> {
        match self.serve() {
            HelperEnd::Parked => Some(self),
            end => self.end(end),
        }
    }

    /// Ends the helper, and says how it ended.
    fn end(mut self, end: HelperEnd) -> Option<Box<HelperThread>> {
        let text = self.farewell(end);
        say_gone(&mut self.bus, &text);
        None
    }

    fn farewell(&mut self, end: HelperEnd) -> String {
        let (bus, mut listens) = (&mut self.bus, true);
        let mut pause = |time| pause(bus, &mut listens, time);
        match end {
            HelperEnd::Parked => String::new(),
            HelperEnd::Retired => self.helper.retire(&mut pause),
            HelperEnd::Ended => self.helper.bury(&mut pause),
            HelperEnd::Killed => self.helper.kill(),
            HelperEnd::Unbearable(why) => format!("{}: {why}", self.helper.kill()),
        }
    }

    fn serve(&mut self) -> HelperEnd {
        loop {
            let step = self.wait().and_then(|ready| self.step(&ready));
            match step {
                Ok(None) => {}
                Ok(Some(end)) => return end,
                Err(error) => {
                    log::error!(target: "worker", "{}: {error}", self.helper.name());
                    return HelperEnd::Killed;
                }
            }
        }
    }

    /// Waits for something to do.
    fn wait(&mut self) -> io::Result<HelperReady> {
        let timeout = if self.asked > self.replied { PollTimeout::from(LOOK) } else { PollTimeout::NONE };
        let input = if self.backlog.is_empty() { None } else { self.helper.stdin.as_ref() };
        let mut fds: SmallVec<[PollFd<'_>; 4]> = smallvec![
            PollFd::new(self.bus.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.helper.stdout.as_fd(), PollFlags::POLLIN),
        ];
        fds.extend(self.helper.stderr.iter().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        fds.extend(input.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)));
        match poll(&mut fds, timeout) {
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => return Ok(HelperReady::default()),
            Err(error) => return Err(error.into()),
        }
        let told = |place: usize| fds.get(place).is_some_and(|fd| fd.any().unwrap_or(true));
        let stderr = usize::from(self.helper.stderr.is_some());
        Ok(HelperReady {
            bus: told(0),
            stdout: told(1),
            stderr: stderr > 0 && told(2),
            stdin: input.is_some() && told(2 + stderr),
        })
    }

    /// Replies come first, so that the loop learns which questions a helper had got when it spoke.
    fn step(&mut self, ready: &HelperReady) -> io::Result<Option<HelperEnd>> {
        if ready.stderr {
            if let Err(why) = self.helper.read_stderr() {
                return Ok(Some(HelperEnd::Unbearable(why)));
            }
        }
        if ready.stdout {
            if let Some(end) = self.read_replies()? {
                return Ok(Some(end));
            }
        }
        if ready.bus {
            if let Some(end) = self.read_bus()? {
                return Ok(Some(end));
            }
        }
        if ready.stdin {
            self.feed();
        }
        let quiet = !(ready.stdout || ready.bus || ready.stderr || ready.stdin);
        Ok((quiet && self.helper.has_ended()).then_some(HelperEnd::Ended))
    }

    fn read_bus(&mut self) -> io::Result<Option<HelperEnd>> {
        let (mut killed, mut retired, mut parked, mut asked) = (false, false, false, 0);
        let backlog = &mut self.backlog;
        let received = self.bus.receive(|frame| match frame.kind {
            kind::ASK => {
                asked += 1;
                backlog.extend_from_slice(frame.payload);
            }
            kind::RETIRE => retired = true,
            kind::PARK => parked = true,
            _ => killed = true,
        });
        match received {
            _ if killed => return Ok(Some(HelperEnd::Killed)),
            Ok(true) if parked && !retired => {
                self.asked += asked;
                return Ok(Some(HelperEnd::Parked));
            }
            Ok(true) if retired => return Ok(Some(HelperEnd::Retired)),
            Ok(true) => {}
            Ok(false) => return Ok(Some(HelperEnd::Retired)),
            Err(_) => return Ok(Some(HelperEnd::Killed)),
        }
        self.asked += asked;
        self.feed();
        Ok((self.backlog.len() > BACKLOG).then_some(HelperEnd::Unbearable("it does not read its standard input")))
    }

    /// Gives the helper what it takes.
    fn feed(&mut self) {
        let Some(stdin) = &mut self.helper.stdin else { return self.backlog.clear() };
        match stdin.write(&self.backlog) {
            Ok(count) => drop(self.backlog.drain(..count)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // It may have replied before it closed its input, so its output is still read. A reply that it owes has the
            // time limit of any other.
            Err(_) => self.helper.stdin = None,
        }
    }

    fn read_replies(&mut self) -> io::Result<Option<HelperEnd>> {
        if self.said.len() < self.held + READ {
            self.said.resize(self.held + READ, 0);
        }
        match self.helper.stdout.read(&mut self.said[self.held..]) {
            Ok(0) => return Ok(Some(HelperEnd::Ended)),
            Ok(count) => self.held += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(None),
            Err(_) => return Ok(Some(HelperEnd::Ended)),
        }
        let mut done = 0;
        let end = loop {
            if done == self.held {
                break None;
            }
            if self.replied > self.asked {
                // One reply too many is all that the loop needs to have the helper killed.
                done = self.held;
                break None;
            }
            match self.dialect.extent(&self.said[done..self.held]) {
                Extent::Partial => break None,
                Extent::Hopeless(why) => break Some(HelperEnd::Unbearable(why)),
                Extent::Complete(length) => {
                    let length = length.clamp(1, self.held - done);
                    let payload = &self.said[done..done + length];
                    if self.bus.send(Frame { kind: kind::REPLY, key: self.asked, payload }).is_err() {
                        break Some(HelperEnd::Killed);
                    }
                    self.replied += 1;
                    done += length;
                }
            }
        };
        if done > 0 {
            self.said.copy_within(done..self.held, 0);
            self.held -= done;
        }
        if self.held == 0 && self.said.len() > READ {
            self.said = vec![0; READ];
        }
        Ok(end)
    }
}

fn say_gone(bus: &mut Far, text: &str) {
    // This fails where the loop is gone, which has no use for it then.
    let _ = bus.send(Frame { kind: kind::GONE, key: 0, payload: text.as_bytes() });
}

/// Lets time pass, unless the loop has something to say. True if it wants the helper killed. `listens` turns false once
/// the loop has closed its end and can say nothing any more.
fn pause(bus: &mut Far, listens: &mut bool, time: Duration) -> bool {
    if !*listens {
        thread::sleep(time);
        return false;
    }
    let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO);
    match poll(&mut [PollFd::new(bus.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(0) | Err(nix::errno::Errno::EINTR) => return false,
        Ok(_) => {}
        Err(_) => *listens = false,
    }
    let mut killed = false;
    // Questions that come now are too late. Their sessions learn of the helper's end and ask another.
    let received = *listens && matches!(bus.receive(|frame| killed |= frame.kind == kind::KILL), Ok(true));
    *listens = received;
    killed
}

#[cfg(test)]
mod tests;
