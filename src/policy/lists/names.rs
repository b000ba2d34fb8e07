//! A table of many names in four blocks of memory: a fingerprint of 64 bits and a mark of 32 for each, sorted by fingerprint.
//! Knows neither files nor what a match means. Pure.
//!
//! A name is hashed label by label from its end, with a secret of the process, so that one walk gives the fingerprints of all
//! names above it, and no client can look for two names with the same one. That a name of a client meets a wrong entry
//! by chance has a probability of entries × labels / 2^64: for a million entries one in 4 × 10^12 lookups.

use std::hash::{DefaultHasher, Hasher};

/// What names say of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NameMatch {
    /// This line matches it.
    Line(u32),
    /// An exception takes it out.
    Excepted,
    /// None matches it.
    Nothing,
}

/// Labels of the longest name (RFC 1035 section 2.3.4).
const MAX_LABELS: usize = 127;

/// Entries of one bucket of the index, on the average.
const BUCKET: usize = 8;

/// Bits of a mark that hold a line, or the place of an entry with a port.
const LINE_BITS: u32 = 27;

/// Bits of a fingerprint that say its heap while a table is made.
const HEAP_BITS: u32 = 8;

/// Lines that can be told apart, 134 million: of all files of a list together.
pub(super) const MAX_LINES: u32 = 1 << LINE_BITS;

const EXACT: u32 = 1 << LINE_BITS;
const BELOW: u32 = 2 << LINE_BITS;
const EXCEPTION: u32 = 4 << LINE_BITS;
const PORTED: u32 = 8 << LINE_BITS;

/// Which names an entry means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameScope {
    /// The name alone.
    Exact,
    /// All names below it.
    Below,
    /// The name and all below it.
    Both,
}

/// The secret that names are hashed with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ListKey(pub u64, pub u64);

impl ListKey {
    /// The fingerprint of a name.
    pub(super) fn print(self, name: &str) -> u64 {
        let mut print = 0;
        self.walk(name, |found| print = found);
        print
    }

    /// Tells the fingerprints of a name and of each name above it, from the last label on.
    fn walk(self, name: &str, mut tell: impl FnMut(u64)) {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher.write_u64(self.1);
        for label in name.rsplit('.').take(MAX_LABELS) {
            hasher.write(label.as_bytes());
            // No label holds a dot, so that the ends of labels cannot be shifted.
            hasher.write_u8(b'.');
            tell(hasher.clone().finish());
        }
    }
}

/// What is remembered of a name while the table is made.
#[derive(Debug)]
pub(super) struct NamePile {
    /// Fingerprints and marks, by the first bits of the fingerprint: each heap is sorted by itself.
    heaps: Vec<Vec<(u64, u32)>>,
    count: usize,
    ported: Vec<(u16, u32)>,
    depths: u128,
}

/// What stands behind a name in a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct NameEntry {
    pub(super) scope: NameScope,
    pub(super) port: Option<u16>,
    pub(super) exception: bool,
    /// Below [`MAX_LINES`].
    pub(super) line: u32,
}

impl NamePile {
    /// Adds a name in lower case, without a dot at its end.
    pub(super) fn push(&mut self, key: ListKey, name: &str, entry: NameEntry) {
        let (mut print, mut depth) = (0, 0);
        key.walk(name, |found| (print, depth) = (found, depth + 1));
        self.depths |= 1 << depth;
        let place = match entry.port {
            Some(port) => {
                self.ported.push((port, entry.line));
                // Each has a line of its own, so that there are never more of them than lines.
                PORTED | (self.ported.len() as u32 - 1)
            }
            None => entry.line,
        };
        let scope = match entry.scope {
            NameScope::Exact => EXACT,
            NameScope::Below => BELOW,
            NameScope::Both => EXACT | BELOW,
        };
        let exception = if entry.exception { EXCEPTION } else { 0 };
        self.heaps[(print >> (u64::BITS - HEAP_BITS)) as usize].push((print, place | scope | exception));
        self.count += 1;
    }

    /// The number of entries so far, those that come again included.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The table; `pause` is called again and again while it is made.
    pub(super) fn finish(self, pause: &mut dyn FnMut()) -> NameTable {
        let (mut prints, mut marks) = (Vec::with_capacity(self.count), Vec::with_capacity(self.count));
        for mut heap in self.heaps {
            heap.sort_unstable();
            // What is there twice is told by its first line.
            let flags = |mark: u32| mark & !(MAX_LINES - 1);
            heap.dedup_by(|(later, other), (first, mark)| {
                later == first && flags(*other) == flags(*mark) && *mark & PORTED == 0
            });
            prints.extend(heap.iter().map(|(print, _)| *print));
            marks.extend(heap.iter().map(|(_, mark)| *mark));
            pause();
        }
        let bits = (prints.len() / BUCKET).max(1).ilog2();
        let mut starts = vec![0_u32; (1 << bits) + 1];
        let bucket = |print: u64| print.checked_shr(u64::BITS - bits).unwrap_or(0) as usize;
        prints.iter().for_each(|print| starts[bucket(*print) + 1] += 1);
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        NameTable {
            bits,
            starts: starts.into(),
            exceptions: marks.iter().any(|mark| mark & EXCEPTION != 0),
            prints: prints.into(),
            marks: marks.into(),
            ported: self.ported.into(),
            depths: self.depths,
        }
    }
}

impl Default for NamePile {
    fn default() -> NamePile {
        NamePile { heaps: vec![Vec::new(); 1 << HEAP_BITS], count: 0, ported: Vec::new(), depths: 0 }
    }
}

/// The names of a list.
#[derive(Debug, Default)]
pub(super) struct NameTable {
    /// The first bits of a fingerprint, which say its bucket.
    bits: u32,
    /// Where each bucket starts, and the end of the last.
    starts: Box<[u32]>,
    prints: Box<[u64]>,
    marks: Box<[u32]>,
    /// Ports and lines of the entries that have a port.
    ported: Box<[(u16, u32)]>,
    /// Bit n is set if there is a name of n labels.
    depths: u128,
    exceptions: bool,
}

impl NameTable {
    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.prints.len()
    }

    /// Bytes that it holds.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.prints.len() * 12 + self.starts.len() * 4 + self.ported.len() * 8
    }

    /// The line that this name matches, in lower case and without a dot at its end: of the longest name that is an entry,
    /// and of several for that the first. None where an exception matches as well.
    pub(super) fn find(&self, key: ListKey, name: &str, port: u16) -> NameMatch {
        if self.prints.is_empty() {
            return NameMatch::Nothing;
        }
        let (mut prints, mut depth) = ([0; MAX_LABELS], 0);
        key.walk(name, |print| {
            prints[depth] = print;
            depth += 1;
        });
        let mut found = None;
        for at in (0..depth).rev().filter(|at| self.depths & (2 << at) != 0) {
            let wanted = if at + 1 == depth { EXACT } else { BELOW };
            let Some(here) = self.look(prints[at], wanted, port) else { return NameMatch::Excepted };
            found = found.or(here);
            if found.is_some() && !self.exceptions {
                break;
            }
        }
        found.map_or(NameMatch::Nothing, NameMatch::Line)
    }

    /// The first line of this very name, if one matches; no answer at all if an exception does.
    fn look(&self, print: u64, wanted: u32, port: u16) -> Option<Option<u32>> {
        let bucket = print.checked_shr(u64::BITS - self.bits).unwrap_or(0) as usize;
        let (start, end) = (self.starts[bucket] as usize, self.starts[bucket + 1] as usize);
        let mut at = start + self.prints[start..end].partition_point(|other| *other < print);
        let mut found: Option<u32> = None;
        while at < end && self.prints[at] == print {
            let mark = self.marks[at];
            at += 1;
            let place = mark & (MAX_LINES - 1);
            let line = match mark & PORTED {
                0 => place,
                _ => match self.ported[place as usize] {
                    (own, line) if own == port => line,
                    _ => continue,
                },
            };
            match mark & wanted {
                0 => {}
                _ if mark & EXCEPTION != 0 => return None,
                _ => found = Some(found.map_or(line, |first| first.min(line))),
            }
        }
        Some(found)
    }
}
