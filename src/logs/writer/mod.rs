//! A writer: a bounded queue that takes lines without waiting, and a thread that writes them. Serves the message log, the
//! usage line and the access log alike. Knows neither the form of lines nor where they go.

mod parking;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::output::{Output, Report};
use super::Severity;

/// Makes a line of the log's own form from a text about the log itself: lost lines, a file that cannot be opened again.
/// An empty one is not written.
pub type OwnLine = Box<dyn Fn(&str) -> String + Send>;

/// How long the thread lets lines gather after it has written some. Waking it costs as much as a small request: with a
/// line for each of 20,000 requests a second, on one core, it took 13 us of 35 us for each of them. With pauses of 10 ms
/// it took 50 us each time, 0.2 us of each request. Longer pauses gather more than a batch keeps memory for.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a log could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Its destination cannot be had.
    Destination(io::Error),
    /// No thread can be started to write it.
    Thread(io::Error),
}

impl OpenError {
    /// What to say of it. `option` names the destination, and is not to blame where a thread is missing.
    pub fn of(&self, option: &str) -> String {
        match self {
            Self::Destination(error) => format!("{option}: {error}"),
            Self::Thread(error) => format!("no thread can be started to write a log: {error}"),
        }
    }
}

/// Starts writers.
pub struct Writer {
    queue: Arc<Queue>,
    output: Box<dyn Output>,
    notice: OwnLine,
    batch: Batch,
    failed: u64,
    /// How many lines must be lost before a destination that goes on failing is reported again.
    cry_at: u64,
    trouble: Option<String>,
}

/// The end of a writer that takes lines. Clones share the queue; when the last one is dropped the thread writes what is
/// left and ends.
#[derive(Clone)]
pub struct Handle(Arc<WriterOwner>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Handle")
    }
}

struct WriterOwner(Arc<Queue>);

#[derive(Default)]
struct Queue {
    state: Mutex<QueueState>,
    work: Condvar,
    settled: Condvar,
}

#[derive(Default)]
struct QueueState {
    batch: Batch,
    /// Most bytes of memory that waiting lines may take.
    capacity: usize,
    /// The thread waits for work. Waking it costs a system call, so it is done only then.
    asleep: bool,
    /// The thread is to let no more lines gather: a caller waits for them to be written, or there is little room left.
    urgent: bool,
    reopen: bool,
    replacement: Option<Box<dyn Output>>,
    closed: bool,
    /// The thread is to end once nothing waits, and to leave the writer here.
    parks: bool,
    parked: Option<Box<Writer>>,
    thread: Option<JoinHandle<()>>,
    /// Lines refused since the last notice, and lines lost for any reason since the start.
    refused: u64,
    lost: u64,
    /// Orders given (lines taken, reopen, replace) and orders done. A flush waits until as many are done as were given
    /// when it began.
    given: u64,
    done: u64,
}

impl Writer {
    /// Starts a thread that writes to `output`. At most `capacity` bytes wait; lines beyond that are lost and counted.
    ///
    /// # Errors
    /// What the system says when no thread can be started.
    pub fn spawn(output: Box<dyn Output>, capacity: usize, notice: OwnLine) -> io::Result<Handle> {
        let queue =
            Arc::new(Queue { state: Mutex::new(QueueState { capacity, ..QueueState::default() }), ..Queue::default() });
        let writer = Self {
            queue: Arc::clone(&queue),
            output,
            notice,
            batch: Batch::default(),
            failed: 0,
            cry_at: 1,
            trouble: None,
        };
        writer.start()?;
        Ok(Handle(Arc::new(WriterOwner(queue))))
    }

    fn run(mut self) {
        let queue = Arc::clone(&self.queue);
        loop {
            let mut state = queue.lock();
            while state.is_idle() {
                if state.closed {
                    return;
                }
                if std::mem::take(&mut state.parks) {
                    state.parked = Some(Box::new(self));
                    drop(state);
                    return queue.settled.notify_all();
                }
                state.asleep = true;
                state = queue.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.asleep = false;
            state.urgent = false;
            self.serve(state);
            queue.pause();
        }
    }

    /// Takes all orders at once and carries them out with the queue open for new ones.
    fn serve(&mut self, mut state: MutexGuard<'_, QueueState>) {
        // The two batches change places, so that neither gives its memory back between two turns.
        std::mem::swap(&mut state.batch, &mut self.batch);
        let (given, refused) = (state.given, std::mem::take(&mut state.refused));
        let (reopen, replacement) = (std::mem::take(&mut state.reopen), state.replacement.take());
        drop(state);

        if let Some(output) = replacement {
            self.output = output;
        }
        if reopen {
            self.reopen();
        }
        let lost = self.write(refused);

        let mut state = self.queue.lock();
        state.lost += lost;
        state.done = given;
        drop(state);
        self.queue.settled.notify_all();
    }

    fn reopen(&mut self) {
        if let Err(error) = self.output.reopen() {
            self.trouble = Some(format!("could not open the log anew, the old one is kept: {error}"));
        }
    }

    /// Writes the batch and, when that worked, what there is to say about the log. Returns how many lines were lost.
    fn write(&mut self, refused: u64) -> u64 {
        let report = self.output.write(&self.batch);
        let went_through = report.lost == 0;
        let lost = report.lost;
        self.note(report);
        self.batch.clear();
        if went_through {
            self.cry_at = 1;
            self.tell(refused)
        } else {
            self.failed += refused;
            self.cry();
        }
        lost
    }

    /// Reports the loss while the destination fails, in the message log if this is another log; twice as many lines
    /// must be lost until the next report. The message log itself makes a line of its own of it, which waits until one
    /// can be written.
    fn cry(&mut self) {
        if self.failed >= self.cry_at {
            self.cry_at = self.failed.saturating_mul(2);
            (self.notice)(&lost_lines(self.failed, self.trouble.as_deref()));
        }
    }

    fn note(&mut self, report: Report) {
        self.failed += report.lost;
        if report.trouble.is_some() {
            self.trouble = report.trouble;
        }
    }

    /// Says in a line of its own what was lost and why.
    fn tell(&mut self, refused: u64) {
        let trouble = self.trouble.take();
        let text = match (self.failed + refused, &trouble) {
            (0, None) => return,
            (0, Some(trouble)) => trouble.clone(),
            (lost, _) => lost_lines(lost, trouble.as_deref()),
        };
        let line = (self.notice)(&text);
        if !line.is_empty() {
            self.batch.push(Severity::Error, &line);
        }
        let told = self.output.write(&self.batch).lost == 0;
        self.batch.clear();
        self.failed = if told { 0 } else { self.failed + refused };
        self.trouble = trouble.filter(|_| !told);
    }
}

fn lost_lines(count: u64, trouble: Option<&str>) -> String {
    let lines = if count == 1 { "line was" } else { "lines were" };
    format!("{count} log {lines} lost: {}", trouble.unwrap_or("too many at once"))
}

impl Handle {
    /// Queues a line, and adds its line end where that is missing. Never waits for the destination.
    pub fn write(&self, severity: Severity, line: impl AsRef<[u8]>) {
        let line = line.as_ref();
        let mut state = self.queue().lock();
        // The line is lost, not the caller held: this may be the event loop.
        if state.batch.cost_with(line.len() + 1) > state.capacity {
            state.refused += 1;
            state.lost += 1;
            return;
        }
        state.batch.push(severity, line);
        let filling = state.batch.cost_with(0) > state.capacity / 2;
        self.order(state, filling);
    }

    /// The same for a line that is written where it waits, by a caller who knows how to do that at once.
    pub fn compose(&self, severity: Severity, append: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.queue().lock();
        if state.batch.cost_with(0) <= state.capacity {
            state.batch.compose(severity, append);
            if state.batch.cost_with(0) <= state.capacity {
                let filling = state.batch.cost_with(0) > state.capacity / 2;
                return self.order(state, filling);
            }
            state.batch.pop();
        }
        state.refused += 1;
        state.lost += 1;
    }

    /// Has the destination opened anew before the next line. When that fails the old one is kept and a line says so.
    pub fn reopen(&self) {
        let mut state = self.queue().lock();
        state.reopen = true;
        self.order(state, true);
    }

    /// Writes the next lines to another destination, which the caller has opened.
    pub fn replace(&self, output: Box<dyn Output>) {
        let mut state = self.queue().lock();
        state.replacement = Some(output);
        self.order(state, true);
    }

    /// Lines lost since the start, by a full queue or a destination that failed.
    pub fn lost(&self) -> u64 {
        self.queue().lock().lost
    }

    /// Waits until everything ordered so far is done, at most for `limit`. Says whether it is.
    pub fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.queue().lock();
        let goal = state.given;
        state.urgent = true;
        self.queue().work.notify_one();
        while state.done < goal {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.queue().settled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn queue(&self) -> &Queue {
        &self.0 .0
    }

    fn order(&self, mut state: MutexGuard<'_, QueueState>, urgent: bool) {
        // A system call only where the thread sleeps, or rests and must not any longer.
        state.given += 1;
        let wake = std::mem::take(&mut state.asleep) || urgent && !std::mem::replace(&mut state.urgent, true);
        drop(state);
        if wake {
            self.queue().work.notify_one();
        }
    }
}

impl Drop for WriterOwner {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.work.notify_one();
    }
}

impl Queue {
    /// The state; a thread that panicked while it held it left it whole, since every change is a few plain stores.
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines to gather, unless that is not wanted.
    fn pause(&self) {
        let waits = |state: &mut QueueState| !state.urgent && !state.closed && !state.parks;
        drop(self.work.wait_timeout_while(self.lock(), PAUSE, waits).unwrap_or_else(PoisonError::into_inner));
    }
}

impl QueueState {
    fn is_idle(&self) -> bool {
        self.batch.is_empty() && !self.reopen && self.replacement.is_none()
    }
}
