//! One list: the entries of all its files in tables, with the file and line of each. Knows nothing of what a match means for
//! a request. Pure.

use std::fmt;
use std::net::IpAddr;

use super::entry::{LineKind, Named};
use super::line::{self, LineFault, ListFormat};
use super::names::{ListKey, NameEntry, NamePile, NameTable, MAX_LINES};
use super::ranges::{RangePile, RangeTable};

/// Most names of a list: 192 MiB of memory.
pub const MAX_NAMES: usize = 16_000_000;
/// Most networks of a list: 96 MiB of memory.
pub const MAX_RANGES: usize = 2_000_000;

/// A list that is in force.
#[derive(Debug, Default)]
pub struct List {
    key: ListKey,
    names: NameTable,
    ranges: RangeTable,
    files: Vec<ListFile>,
}

/// A file of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListFile {
    /// Its path as it is shown.
    pub path: Box<str>,
    /// The number of its first line among those of all files, from 0.
    first: u32,
    /// Its lines.
    pub lines: u32,
    /// Names and networks that it has.
    pub entries: usize,
    /// Lines that mean something else, in formats of others.
    pub others: usize,
    /// The first of these lines, from 1; 0 without one.
    pub first_other: u32,
}

/// Where a list cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListFault {
    /// The file.
    pub path: Box<str>,
    /// The line, from 1.
    pub line: u32,
    /// What is wrong.
    pub what: ListFaultKind,
}

/// Why a list cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListFaultKind {
    /// A line of our own format is wrong.
    Line(LineFault),
    /// There are more lines, names or networks than can be held.
    TooLong,
}

impl fmt::Display for ListFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: ", self.path, self.line)?;
        match self.what {
            ListFaultKind::Line(fault) => fault.fmt(out),
            ListFaultKind::TooLong => out.write_str("the list has more entries than can be held"),
        }
    }
}

impl std::error::Error for ListFault {}

impl List {
    /// The line that a name in lower case matches, with this port; see [`List::place`].
    pub fn find_name(&self, name: &str, port: u16) -> Option<u32> {
        self.names.find(self.key, name, port)
    }

    /// The line of the network that holds this very address, with this port.
    pub fn find_address(&self, address: IpAddr, port: u16) -> Option<u32> {
        self.ranges.find(address, port)
    }

    /// Whether there is a network in it.
    pub fn has_ranges(&self) -> bool {
        self.ranges.len() > 0
    }

    /// Names and networks in it.
    pub fn len(&self) -> (usize, usize) {
        (self.names.len(), self.ranges.len())
    }

    /// Bytes of the table of names.
    pub fn name_bytes(&self) -> usize {
        self.names.bytes()
    }

    /// Its files.
    pub fn files(&self) -> &[ListFile] {
        &self.files
    }

    /// Where a line stands, as `FILE:LINE`.
    pub fn place(&self, line: u32) -> String {
        let at = self.files.partition_point(|file| file.first <= line);
        match at.checked_sub(1).and_then(|at| self.files.get(at)) {
            Some(file) => format!("{}:{}", file.path, line - file.first + 1),
            None => String::new(),
        }
    }
}

/// A list that is being read.
#[derive(Debug)]
pub struct ListReading {
    key: ListKey,
    names: NamePile,
    ranges: RangePile,
    files: Vec<ListFile>,
    scratch: String,
    fault: Option<ListFault>,
}

impl ListReading {
    /// Nothing yet.
    pub fn new(key: ListKey) -> ListReading {
        ListReading {
            key,
            names: NamePile::default(),
            ranges: RangePile::default(),
            files: Vec::new(),
            scratch: String::new(),
            fault: None,
        }
    }

    /// The lines that follow are those of this file.
    pub fn begin(&mut self, path: &str) {
        let first = self.files.last().map_or(0, |file| file.first + file.lines);
        self.files.push(ListFile { path: path.into(), first, lines: 0, entries: 0, others: 0, first_other: 0 });
    }

    /// Reads whole lines. Behind a fault nothing more is read.
    pub fn read(&mut self, lines: &[u8], format: ListFormat) {
        let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
        for line in lines.split(|byte| *byte == b'\n') {
            if self.fault.is_some() {
                return;
            }
            self.read_line(line, format);
        }
    }

    fn read_line(&mut self, line: &[u8], format: ListFormat) {
        let (key, names, ranges) = (self.key, &mut self.names, &mut self.ranges);
        let Some(file) = self.files.last_mut() else { return };
        let number = file.first + file.lines;
        file.lines += 1;
        let entries = &mut file.entries;
        let read = line::read(line, format, &mut self.scratch, &mut |entry| {
            let (port, exception) = (entry.port, entry.exception);
            *entries += 1;
            match entry.what {
                Named::Name(name, scope) => {
                    names.push(key, name, NameEntry { scope, port, exception, line: number });
                }
                Named::Range(range) => ranges.push(range, port, exception, number),
            }
        });
        let full = names.len() > MAX_NAMES || ranges.len() > MAX_RANGES || number + 1 >= MAX_LINES;
        let what = match read {
            _ if full => ListFaultKind::TooLong,
            Err(fault) => ListFaultKind::Line(fault),
            Ok(LineKind::Other) => {
                file.first_other = if file.others == 0 { file.lines } else { file.first_other };
                file.others += 1;
                return;
            }
            Ok(LineKind::Blank | LineKind::Entries) => return,
        };
        self.fault = Some(ListFault { path: file.path.clone(), line: file.lines, what });
    }

    /// The list.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn finish(self) -> Result<List, ListFault> {
        match self.fault {
            Some(fault) => Err(fault),
            None => {
                let (names, ranges) = (self.names.finish(), self.ranges.finish());
                Ok(List { key: self.key, names, ranges, files: self.files })
            }
        }
    }
}
