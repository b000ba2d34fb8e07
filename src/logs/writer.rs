//! A writer: a bounded queue that takes lines without waiting, and a thread that writes them. Serves the message log, the
//! usage line and the access log alike. Knows neither the form of lines nor where they go.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::output::{Output, Report};
use super::Severity;

/// Makes a line of the log's own form from a text about the log itself: lost lines, a file that cannot be opened again.
/// An empty one is not written.
pub type OwnLine = Box<dyn Fn(&str) -> String + Send>;

/// How long the thread lets lines gather after it has written some. Waking it costs as much as a small request: with a
/// line for each of 20,000 requests a second, on one core, it took 13 us of 35 us for each of them. Longer pauses
/// gather more than a batch keeps memory for.
const PAUSE: Duration = Duration::from_millis(10);

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
        thread::Builder::new().name("log writer".to_owned()).spawn(move || writer.run())?;
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
        let waits = |state: &mut QueueState| !state.urgent && !state.closed;
        drop(self.work.wait_timeout_while(self.lock(), PAUSE, waits).unwrap_or_else(PoisonError::into_inner));
    }
}

impl QueueState {
    fn is_idle(&self) -> bool {
        self.batch.is_empty() && !self.reopen && self.replacement.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{channel, Receiver, Sender};

    const LIMIT: Duration = Duration::from_secs(60);

    /// An output that asks the test, batch by batch, whether it may write.
    struct Gate {
        entered: Sender<()>,
        permits: Receiver<bool>,
        written: Arc<Mutex<String>>,
    }

    struct Control {
        entered: Receiver<()>,
        permits: Sender<bool>,
        written: Arc<Mutex<String>>,
    }

    impl Output for Gate {
        fn write(&mut self, lines: &Batch) -> Report {
            if lines.is_empty() {
                return Report::default();
            }
            let _ = self.entered.send(());
            // Without a control the gate stands open.
            if !self.permits.recv().unwrap_or(true) {
                return Report { lost: lines.len() as u64, trouble: Some("disk full".into()) };
            }
            self.written.lock().unwrap().push_str(std::str::from_utf8(lines.bytes()).unwrap());
            Report::default()
        }

        fn reopen(&mut self) -> io::Result<()> {
            Err(io::Error::other("no folder"))
        }
    }

    fn gate() -> (Box<dyn Output>, Control) {
        let (entered, entries) = channel();
        let (permits, permitted) = channel();
        let written = Arc::new(Mutex::new(String::new()));
        let gate = Gate { entered, permits: permitted, written: Arc::clone(&written) };
        (Box::new(gate), Control { entered: entries, permits, written })
    }

    fn spawn(output: Box<dyn Output>, capacity: usize) -> Handle {
        Writer::spawn(output, capacity, Box::new(|text| format!("notice: {text}"))).unwrap()
    }

    impl Control {
        /// Lets one batch through, or makes it fail.
        fn answer(&self, permit: bool) {
            self.entered.recv().unwrap();
            self.permits.send(permit).unwrap();
        }

        fn text(&self) -> String {
            self.written.lock().unwrap().clone()
        }
    }

    #[test]
    fn lines_are_written_in_order_and_flush_waits_for_them() {
        let (output, control) = gate();
        let handle = spawn(output, 1 << 16);
        handle.write(Severity::Info, "one");
        assert!(!handle.flush(Duration::ZERO));
        control.answer(true);
        handle.write(Severity::Info, "two\n");
        control.answer(true);
        assert!(handle.flush(LIMIT));
        assert_eq!((control.text().as_str(), handle.lost()), ("one\ntwo\n", 0));
    }

    #[test]
    fn a_stuck_destination_costs_lines_but_no_memory_and_says_how_many() {
        let (output, control) = gate();
        let handle = spawn(output, 1_000);
        handle.write(Severity::Info, "first");
        control.entered.recv().unwrap();
        for _ in 0..10_000 {
            handle.write(Severity::Info, "next");
        }
        let lost = handle.lost();
        assert!((9_900..10_000).contains(&lost), "{lost}");
        control.permits.send(true).unwrap();
        control.answer(true);
        control.answer(true);
        assert!(handle.flush(LIMIT));
        let text = control.text();
        assert_eq!(text.matches("next\n").count() as u64, 10_000 - lost);
        assert!(text.ends_with(&format!("next\nnotice: {lost} log lines were lost: too many at once\n")), "{text}");
    }

    #[test]
    fn lines_lost_by_the_destination_are_told_when_it_works_again() {
        let (output, control) = gate();
        let handle = spawn(output, 1 << 16);
        for (line, works) in [("a", false), ("b", false), ("c", true)] {
            handle.write(Severity::Info, line);
            control.answer(works);
            if works {
                control.answer(true);
            }
            assert!(handle.flush(LIMIT));
        }
        assert_eq!(control.text(), "c\nnotice: 2 log lines were lost: disk full\n");
        assert_eq!(handle.lost(), 2);
    }

    #[test]
    fn what_is_told_elsewhere_is_told_at_once_and_ever_more_rarely() {
        let (output, control) = gate();
        let (told, news) = channel();
        let notice = move |text: &str| {
            told.send(text.to_owned()).unwrap();
            String::new()
        };
        let handle = Writer::spawn(output, 1 << 16, Box::new(notice)).unwrap();
        for _ in 0..5 {
            handle.write(Severity::Info, "x");
            control.answer(false);
            assert!(handle.flush(LIMIT));
        }
        let counts = |news: &Receiver<String>| news.try_iter().map(|text| text[..1].to_owned()).collect::<Vec<_>>();
        assert_eq!(counts(&news), ["1", "2", "4"]);
        handle.write(Severity::Info, "y");
        control.answer(true);
        assert!(handle.flush(LIMIT));
        assert_eq!((counts(&news), control.text().as_str()), (vec!["5".to_owned()], "y\n"));
    }

    #[test]
    fn a_failed_reopen_is_told_and_loses_nothing() {
        let (output, control) = gate();
        let handle = spawn(output, 1 << 16);
        handle.reopen();
        control.answer(true);
        assert!(handle.flush(LIMIT));
        assert_eq!(control.text(), "notice: could not open the log anew, the old one is kept: no folder\n");
        assert_eq!(handle.lost(), 0);
    }

    #[test]
    fn a_replaced_destination_gets_the_next_line() {
        let (output, old) = gate();
        let (replacement, new) = gate();
        let handle = spawn(output, 1 << 16);
        handle.write(Severity::Info, "old");
        old.answer(true);
        assert!(handle.flush(LIMIT));
        handle.replace(replacement);
        handle.write(Severity::Info, "new");
        new.answer(true);
        assert!(handle.flush(LIMIT));
        assert_eq!((old.text().as_str(), new.text().as_str()), ("old\n", "new\n"));
    }

    #[test]
    fn the_last_handle_lets_the_thread_write_what_is_left_and_end() {
        let (output, control) = gate();
        let handle = spawn(output, 1 << 16);
        let clone = handle.clone();
        handle.write(Severity::Info, "a");
        control.entered.recv().unwrap();
        clone.write(Severity::Info, "b");
        drop((handle, clone));
        control.permits.send(true).unwrap();
        control.answer(true);
        // The output is dropped with the thread, and the channel with the output.
        assert!(control.entered.recv().is_err());
        assert_eq!(control.text(), "a\nb\n");
    }
}
