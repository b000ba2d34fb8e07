//! The last messages, for the monitor's pages. Bounded by number and by bytes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::line::head_within;
use super::Severity;

/// Most messages that are kept: what the original showed.
const LINES: usize = 1000;

/// Most bytes of text of all of them together.
const BYTES: usize = 256 * 1024;

/// Most bytes of one; the rest of it stands in the log.
const LINE_BYTES: usize = 1024;

/// Stands where the rest of a message was cut off.
const CUT_MARK: &str = "...";

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentLine {
    /// When it was written.
    pub at: SystemTime,
    /// How grave it is.
    pub severity: Severity,
    /// The part of the program that wrote it.
    pub subsystem: Box<str>,
    /// What it says, control characters escaped as in the log.
    pub text: Box<str>,
}

/// The last messages.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<RecentLine>,
    bytes: usize,
}

impl Recent {
    /// Keeps a message that has been written.
    pub fn push(&self, at: SystemTime, severity: Severity, subsystem: &str, text: &str) {
        let cut = head_within(text, LINE_BYTES);
        let mark = if cut.len() < text.len() { CUT_MARK } else { "" };
        let line = RecentLine { at, severity, subsystem: subsystem.into(), text: [cut, mark].concat().into() };
        let mut kept = self.lock();
        kept.bytes += line.text.len();
        kept.lines.push_back(line);
        while kept.lines.len() > LINES || kept.bytes > BYTES {
            let Some(gone) = kept.lines.pop_front() else { break };
            kept.bytes -= gone.text.len();
        }
    }

    /// The newest messages of those subsystems that are wanted, at most `limit`, oldest first.
    pub fn newest(&self, wanted: impl Fn(&str) -> bool, limit: usize) -> Vec<RecentLine> {
        let kept = self.lock();
        let mut newest: Vec<RecentLine> =
            kept.lines.iter().rev().filter(|line| wanted(&line.subsystem)).take(limit).cloned().collect();
        newest.reverse();
        newest
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(recent: &Recent, wanted: impl Fn(&str) -> bool, limit: usize) -> Vec<String> {
        recent.newest(wanted, limit).into_iter().map(|line| line.text.into()).collect()
    }

    #[test]
    fn the_newest_are_kept_and_can_be_picked() {
        let recent = Recent::default();
        let at = SystemTime::UNIX_EPOCH;
        for number in 0..LINES + 10 {
            let subsystem = if number % 2 == 0 { "web" } else { "worker" };
            recent.push(at, Severity::Info, subsystem, &number.to_string());
        }
        assert_eq!(texts(&recent, |_| true, LINES * 2).len(), LINES);
        assert_eq!(texts(&recent, |_| true, 2), ["1008", "1009"]);
        assert_eq!(texts(&recent, |subsystem| subsystem == "worker", 2), ["1007", "1009"]);
        assert_eq!(texts(&recent, |_| true, LINES)[0], "10");
    }

    #[test]
    fn long_messages_are_cut_and_take_the_place_of_older_ones() {
        let recent = Recent::default();
        let at = SystemTime::UNIX_EPOCH;
        for _ in 0..LINES {
            recent.push(at, Severity::Info, "web", &"é".repeat(LINE_BYTES));
        }
        let kept = texts(&recent, |_| true, LINES);
        assert!(kept.len() < LINES && kept.len() > BYTES / LINE_BYTES - 5, "{}", kept.len());
        assert_eq!(kept[0], "é".repeat(LINE_BYTES / 2) + CUT_MARK);
        assert!(recent.lock().bytes <= BYTES);
    }
}
