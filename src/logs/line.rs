//! The form of a line: identifier, process id, subsystem, text. One message is one line of bounded length, also where it
//! quotes bytes from outside. Knows no destination. Pure.

use std::fmt::{self, Write};

/// Most bytes of one line without its end, so that a huge request target cannot fill the queue or the disk.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// Stands where the rest of a line was cut off.
const CUT_MARK: &str = "...";

/// Widths of the second and third column, as the original pads them.
const PID_WIDTH: usize = 6;
const SUBSYSTEM_WIDTH: usize = 13;

/// What every line of a process begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    text: String,
    identifier: String,
    pid: u32,
}

impl Prefix {
    /// For the value of `daemon.identifier` and the process id that lines carry.
    pub fn new(identifier: &str, pid: u32) -> Self {
        let mut text = String::new();
        // Writing to a bounded text reports the cut as an error; the line is then simply shorter.
        let _ = write!(Escaped::new(&mut text), "{identifier} {pid:<PID_WIDTH$} ");
        Self { text, identifier: identifier.to_owned(), pid }
    }

    /// The identifier.
    pub fn identifier(&self) -> &str {
        &self.identifier
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// A line without this in front of it; a line of another form as it is.
    pub fn strip<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        line.strip_prefix(self.text.as_bytes()).unwrap_or(line)
    }

    /// Appends one line with its end to `out`. Control characters of the message are written as escapes and what exceeds
    /// [`LINE_BYTES_MAX`] is cut. Returns where in `out` the message begins.
    pub fn append(&self, out: &mut String, subsystem: &str, message: fmt::Arguments<'_>) -> usize {
        let mut line = Escaped::new(out);
        let mut start = 0;
        let whole = write!(line, "{}{subsystem:<SUBSYSTEM_WIDTH$} ", self.text).and_then(|()| {
            start = line.out.len();
            line.write_fmt(message)
        });
        if whole.is_err() {
            out.push_str(CUT_MARK);
        }
        out.push('\n');
        start
    }

    /// One line as its own text, with its end.
    pub fn line(&self, subsystem: &str, message: fmt::Arguments<'_>) -> String {
        let mut out = String::new();
        self.append(&mut out, subsystem, message);
        out
    }
}

/// Whether a character does something to the line that it stands in: ends it (U+2028 and U+2029 do that for some readers),
/// drives the terminal, or turns around the text that is shown behind it (UAX #9).
pub(crate) fn misleads(character: char) -> bool {
    let turns =
        matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}');
    turns || character.is_control()
}

/// Writes text without such characters, which come from outside.
struct Escaped<'a> {
    out: &'a mut String,
    end: usize,
}

impl<'a> Escaped<'a> {
    fn new(out: &'a mut String) -> Self {
        let end = out.len().saturating_add(LINE_BYTES_MAX - CUT_MARK.len());
        Self { out, end }
    }

    fn push(&mut self, text: &str) -> fmt::Result {
        let room = self.end.saturating_sub(self.out.len());
        if text.len() <= room {
            self.out.push_str(text);
            return Ok(());
        }
        self.out.push_str(head_within(text, room));
        Err(fmt::Error)
    }

    fn push_escape(&mut self, character: char) -> fmt::Result {
        match character {
            '\n' => self.push("\\n"),
            '\r' => self.push("\\r"),
            '\t' => self.push("\\t"),
            other if other.is_control() => self.push(&format!("\\x{:02x}", u32::from(other))),
            other => self.push(&format!("\\u{{{:x}}}", u32::from(other))),
        }
    }
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, control)) = rest.char_indices().find(|(_, c)| misleads(*c)) {
            let (plain, tail) = rest.split_at(at);
            self.push(plain)?;
            self.push_escape(control)?;
            rest = tail.get(control.len_utf8()..).unwrap_or_default();
        }
        self.push(rest)
    }
}

/// The longest beginning of `text` that is at most `room` bytes and ends between characters.
pub(crate) fn head_within(text: &str, room: usize) -> &str {
    let mut end = room.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_padded_as_in_the_original() {
        let table = [
            (4049, "supervisor", "Starting", "ExaProxy 4049   supervisor    Starting\n"),
            (12351, "signal", "SIG TERM", "ExaProxy 12351  signal        SIG TERM\n"),
            (4194304, "configuration", "x", "ExaProxy 4194304 configuration x\n"),
            (7, "worker 3", "", "ExaProxy 7      worker 3      \n"),
        ];
        for (pid, subsystem, text, line) in table {
            assert_eq!(Prefix::new("ExaProxy", pid).line(subsystem, format_args!("{text}")), line);
        }
        assert_eq!(Prefix::new("my proxy", 1).line("web", format_args!("a")), "my proxy 1      web           a\n");
    }

    #[test]
    fn a_message_is_one_line_whatever_it_quotes() {
        let table = [
            ("a\nb", "a\\nb"),
            ("a\r\nExaProxy 1 fake", "a\\r\\nExaProxy 1 fake"),
            ("\x1b[2J", "\\x1b[2J"),
            ("\0\x7f\t", "\\x00\\x7f\\t"),
            ("\u{9b}31m", "\\x9b31m"),
            ("a\u{202e}b\u{2066}\u{200f}\u{61c}\u{2028}", "a\\u{202e}b\\u{2066}\\u{200f}\\u{61c}\\u{2028}"),
            ("é€\n€", "é€\\n€"),
            ("", ""),
        ];
        for (text, escaped) in table {
            let line = Prefix::new("p", 1).line("web", format_args!("{text}"));
            assert_eq!(line, format!("p 1      web           {escaped}\n"));
        }
        assert_eq!(Prefix::new("a\nb", 1).line("web", format_args!("x")), "a\\nb 1      web           x\n");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        for filler in ["x", "é", "\n"] {
            let line = Prefix::new("p", 1).line("web", format_args!("{}", filler.repeat(LINE_BYTES_MAX)));
            assert!(line.len() <= LINE_BYTES_MAX + 1, "{}", line.len());
            assert!(line.len() >= LINE_BYTES_MAX - 4, "{}", line.len());
            assert!(line.ends_with("...\n"));
        }
        let mut several = String::from("before\n");
        Prefix::new("p", 1).append(&mut several, "web", format_args!("{}", "x".repeat(LINE_BYTES_MAX)));
        assert_eq!(several.len(), "before\n".len() + LINE_BYTES_MAX + 1);
    }
}
