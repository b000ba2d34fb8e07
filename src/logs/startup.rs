//! Lines from before the log is open: kept up to a bound, and written first once it is. Knows nothing of where they go.

use std::sync::{Mutex, OnceLock, PoisonError};

use log::{LevelFilter, Log, Metadata, Record};

/// Most lines that are kept; a start says a dozen.
const LINES: usize = 256;

/// The logger of the process: what comes before the log is open waits here.
static FRONT: Front = Front { messages: OnceLock::new(), waiting: Mutex::new(Vec::new()) };

/// Keeps what is logged from now on, until [`open`].
pub fn hold() {
    if log::set_logger(&FRONT).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
}

/// Makes this the log of the whole process and writes what waits. False when there is one already.
pub(super) fn open(messages: &'static dyn Log) -> bool {
    // `hold` may have set it already. Where a test has installed another logger, our lines go there and not to the log.
    let _ = log::set_logger(&FRONT);
    if FRONT.messages.set(messages).is_err() {
        return false;
    }
    for line in FRONT.take() {
        let mut record = Record::builder();
        messages.log(&record.level(line.level).target(&line.target).args(format_args!("{}", line.text)).build());
    }
    true
}

struct HeldLine {
    level: log::Level,
    target: String,
    text: String,
}

struct Front {
    messages: OnceLock<&'static dyn Log>,
    waiting: Mutex<Vec<HeldLine>>,
}

impl Front {
    fn take(&self) -> Vec<HeldLine> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, record: &Record<'_>) {
        let line =
            HeldLine { level: record.level(), target: record.target().to_owned(), text: record.args().to_string() };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < LINES {
            waiting.push(line);
        }
    }
}

impl Log for Front {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.messages.get().map_or(metadata.level() <= LevelFilter::Debug, |messages| messages.enabled(metadata))
    }

    fn log(&self, record: &Record<'_>) {
        match self.messages.get() {
            Some(messages) => messages.log(record),
            None if self.enabled(record.metadata()) => self.keep(record),
            None => {}
        }
    }

    fn flush(&self) {
        if let Some(messages) = self.messages.get() {
            messages.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_from_before_the_log_are_kept_up_to_a_bound() {
        let front = Front { messages: OnceLock::new(), waiting: Mutex::new(Vec::new()) };
        for number in 0..2 * LINES {
            let level = if number == 0 { log::Level::Trace } else { log::Level::Info };
            front.log(&Record::builder().level(level).target("server").args(format_args!("{number}")).build());
        }
        let lines = front.take();
        assert_eq!((lines.len(), lines[0].text.as_str(), lines[0].target.as_str()), (LINES, "1", "server"));
        assert!(front.take().is_empty(), "each is written once");
    }
}
