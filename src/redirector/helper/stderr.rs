//! What a helper writes to standard error, as lines of the log.

use std::time::{Duration, Instant};

/// Longest line, in bytes; what follows goes into the next one.
const LINE: usize = 1000;

/// Bytes that a helper may write in a second. A traceback is a few kilobytes; more is a loop that has gone wrong.
const FLOOD: usize = 64 << 10;

const SECOND: Duration = Duration::from_secs(1);

/// Collects lines and logs them.
pub(super) struct StderrLines {
    /// In front of each line.
    name: String,
    line: Vec<u8>,
    begun: Option<Instant>,
    bytes: usize,
}

impl StderrLines {
    pub(super) fn new(name: String) -> StderrLines {
        StderrLines { name, line: Vec::new(), begun: None, bytes: 0 }
    }

    /// Takes what has come.
    ///
    /// # Errors
    /// When it is more than a helper may write.
    pub(super) fn take(&mut self, bytes: &[u8], now: Instant) -> Result<(), &'static str> {
        match self.begun {
            Some(begun) if now.duration_since(begun) < SECOND => self.bytes += bytes.len(),
            _ => (self.begun, self.bytes) = (Some(now), bytes.len()),
        }
        for byte in bytes {
            if *byte == b'\n' || self.line.len() >= LINE {
                self.finish();
            }
            if *byte != b'\n' {
                self.line.push(*byte);
            }
        }
        match self.bytes > FLOOD {
            true => Err("it floods its standard error"),
            false => Ok(()),
        }
    }

    /// Logs what there is of a line.
    pub(super) fn finish(&mut self) {
        if !self.line.is_empty() {
            log::error!(target: "worker", "{}: {}", self.name, text(&self.line));
            self.line.clear();
        }
    }
}

/// The bytes as text that stays on its line.
fn text(line: &[u8]) -> String {
    let shown = |c: char| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };
    String::from_utf8_lossy(line.trim_ascii_end()).chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_noticed_and_much_over_time_is_none() {
        let mut lines = StderrLines::new("worker 1".into());
        let start = Instant::now();
        let block = [b'x'; 32 << 10];
        assert_eq!(lines.take(&block, start), Ok(()));
        assert_eq!(lines.take(&block, start), Ok(()));
        assert!(lines.take(b"x", start).is_err());
        let mut lines = StderrLines::new("worker 1".into());
        for second in 0..10 {
            assert_eq!(lines.take(&block, start + second * SECOND), Ok(()));
        }
        assert!(lines.line.len() <= LINE);
    }

    #[test]
    fn control_bytes_do_not_reach_the_log() {
        assert_eq!(text(b"a\tb\x1b[31m\xff\r"), "a\tb\u{fffd}[31m\u{fffd}");
    }
}
