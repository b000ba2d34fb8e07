//! Lines on their way to a destination: one block of bytes and the place where each line ends. Knows no destination and
//! no thread. Pure.

use super::Severity;

/// What a line costs beside its bytes: its entry in the list of ends.
const ENTRY_COST: usize = std::mem::size_of::<Entry>();

/// Most bytes of memory that an empty batch keeps for the next lines; what a burst took beyond goes back. More than 40,000
/// requests a second write in a pause of the writer: memory that is asked for anew with each batch comes with its page faults.
const BYTES_KEPT: usize = 512 * 1024;

#[derive(Debug, Clone, Copy)]
struct Entry {
    severity: Severity,
    end: usize,
}

/// Lines in the order in which they were written.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

impl Batch {
    /// Whether there are no lines.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of lines.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of memory in use, and what they would be with one more line of this length.
    pub fn cost_with(&self, line: usize) -> usize {
        self.bytes.len().saturating_add(line).saturating_add(ENTRY_COST.saturating_mul(self.entries.len() + 1))
    }

    /// All lines as they stand in a file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes from `start` up to `end`; both come from [`Batch::ends`].
    pub fn slice(&self, start: usize, end: usize) -> &[u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Where each line ends, its line end included.
    pub fn ends(&self) -> impl Iterator<Item = usize> + '_ {
        self.entries.iter().map(|entry| entry.end)
    }

    /// Each line without its line end.
    pub fn lines(&self) -> impl Iterator<Item = (Severity, &[u8])> + '_ {
        let starts = std::iter::once(0).chain(self.ends());
        self.entries.iter().zip(starts).map(|(entry, start)| (entry.severity, self.slice(start, entry.end - 1)))
    }

    /// Appends a line. A line end is added where it is missing.
    pub fn push(&mut self, severity: Severity, line: impl AsRef<[u8]>) {
        let line = line.as_ref();
        self.bytes.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            self.bytes.push(b'\n');
        }
        self.entries.push(Entry { severity, end: self.bytes.len() });
    }

    /// Has a line without its end appended to the bytes of the others, so that it is written only once.
    pub fn compose(&mut self, severity: Severity, append: impl FnOnce(&mut Vec<u8>)) {
        append(&mut self.bytes);
        self.bytes.push(b'\n');
        self.entries.push(Entry { severity, end: self.bytes.len() });
    }

    /// Takes the last line away.
    pub fn pop(&mut self) {
        self.entries.pop();
        self.bytes.truncate(self.entries.last().map_or(0, |entry| entry.end));
    }

    /// Forgets the lines and keeps some memory for the next ones.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(BYTES_KEPT);
        self.entries.clear();
        self.entries.shrink_to(BYTES_KEPT / ENTRY_COST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_one_by_one_and_as_one_block() {
        let mut batch = Batch::default();
        assert!(batch.is_empty());
        for line in ["one\n", "two", "", "é\n"] {
            batch.push(Severity::Info, line);
        }
        assert_eq!(batch.len(), 4);
        assert_eq!(batch.bytes(), "one\ntwo\n\né\n".as_bytes());
        let lines: Vec<&[u8]> = batch.lines().map(|(_, line)| line).collect();
        assert_eq!(lines, ["one".as_bytes(), b"two", b"", "é".as_bytes()]);
        assert_eq!(batch.ends().collect::<Vec<_>>(), [4, 8, 9, 12]);
        batch.compose(Severity::Info, |out| out.extend_from_slice(b"three"));
        batch.compose(Severity::Info, |_| {});
        assert_eq!(batch.ends().collect::<Vec<_>>(), [4, 8, 9, 12, 18, 19]);
        batch.pop();
        assert_eq!((batch.len(), batch.bytes()), (5, "one\ntwo\n\né\nthree\n".as_bytes()));
        (0..6).for_each(|_| batch.pop());
        assert!(batch.is_empty() && batch.bytes().is_empty());
        batch.push(Severity::Info, "four");
        batch.clear();
        assert_eq!((batch.len(), batch.bytes()), (0, &b""[..]));
    }

    #[test]
    fn empty_lines_are_not_free() {
        let mut batch = Batch::default();
        for _ in 0..100 {
            batch.push(Severity::Debug, "");
        }
        assert!(batch.cost_with(0) > 100 * ENTRY_COST);
    }

    #[test]
    fn the_memory_of_a_burst_is_given_back() {
        let mut batch = Batch::default();
        for _ in 0..BYTES_KEPT {
            batch.push(Severity::Debug, "0123456");
        }
        batch.clear();
        assert!(batch.bytes.capacity() <= 2 * BYTES_KEPT);
        assert!(batch.entries.capacity() * ENTRY_COST <= 2 * BYTES_KEPT);
    }
}
