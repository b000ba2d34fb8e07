//! One list: the entries of all its files in tables, with the file and line of each. Knows nothing of what a match means for
//! a request. Pure.

use std::fmt;
use std::net::IpAddr;

use super::entry::{LineKind, Named};
use super::line::{self, LineFault, ListFormat};
use super::names::{ListKey, NameEntry, NameMatch, NamePile, NameTable, MAX_LINES};
use super::ranges::{RangePile, RangeTable};
use super::urls::{UrlPile, UrlTable, MAX_PATHS};

/// Most names of a list: 192 MiB of memory.
pub const MAX_NAMES: usize = 16_000_000;
/// Most networks of a list: 96 MiB of memory.
pub const MAX_RANGES: usize = 2_000_000;

/// Most hosts with a path of a list: 48 MiB of memory, and that of their paths.
pub const MAX_URLS: usize = 2_000_000;

/// How much there is in a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ListSize {
    /// Names.
    pub names: usize,
    /// Networks.
    pub ranges: usize,
    /// Hosts with a path.
    pub urls: usize,
}

/// A list that is in force.
#[derive(Debug, Default)]
pub struct List {
    key: ListKey,
    names: NameTable,
    ranges: RangeTable,
    urls: UrlTable,
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
    /// Names, networks, and hosts with a path that it has.
    pub entries: usize,
    /// Lines that mean something else, in formats of others.
    pub others: usize,
    /// The first of these lines, from 1; 0 without one.
    pub first_other: u32,
    /// When it was changed, in seconds since 1970.
    pub modified: u64,
    /// A number that another content of the file would not have.
    pub version: u64,
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
        self.find_host(name, port, None)
    }

    /// The same, or the line of this host, in lower case, with what the path begins with. An exception takes a name out of all
    /// that stands here, its paths included.
    pub fn find_host(&self, name: &str, port: u16, path: Option<&[u8]>) -> Option<u32> {
        match self.names.find(self.key, name, port) {
            NameMatch::Line(line) => Some(line),
            NameMatch::Excepted => None,
            NameMatch::Nothing => self.find_url(name, path?),
        }
    }

    /// The line of the network that holds this very address, with this port.
    pub fn find_address(&self, address: IpAddr, port: u16) -> Option<u32> {
        self.ranges.find(address, port)
    }

    /// The line of the host, in lower case, with what this path begins with.
    pub fn find_url(&self, host: &str, path: &[u8]) -> Option<u32> {
        self.urls.find(self.key, host, path)
    }

    /// Whether there is a host with a path in it.
    pub fn has_urls(&self) -> bool {
        self.urls.len() > 0
    }

    /// Whether there is a network in it.
    pub fn has_ranges(&self) -> bool {
        self.ranges.len() > 0
    }

    /// What is in it.
    pub fn size(&self) -> ListSize {
        ListSize { names: self.names.len(), ranges: self.ranges.len(), urls: self.urls.len() }
    }

    /// Bytes of the table of names.
    #[cfg(test)]
    pub(super) fn name_bytes(&self) -> usize {
        self.names.bytes()
    }

    /// Its files.
    pub fn files(&self) -> &[ListFile] {
        &self.files
    }

    /// The file of a line, by its place among them.
    pub fn file_of(&self, line: u32) -> Option<usize> {
        self.files.partition_point(|file| file.first <= line).checked_sub(1)
    }

    /// Where a line stands, as `FILE:LINE`.
    pub fn place(&self, line: u32) -> String {
        match self.file_of(line).and_then(|at| self.files.get(at)) {
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
    urls: UrlPile,
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
            urls: UrlPile::default(),
            files: Vec::new(),
            scratch: String::new(),
            fault: None,
        }
    }

    /// The lines that follow are those of this file.
    pub fn begin(&mut self, path: &str) {
        let first = self.files.last().map_or(0, |file| file.first + file.lines);
        let (lines, entries, others, first_other, modified, version) = (0, 0, 0, 0, 0, 0);
        let path = path.into();
        self.files.push(ListFile { path, first, lines, entries, others, first_other, modified, version });
    }

    /// The file that was begun last was changed then, in seconds since 1970, and this number tells it from others.
    pub fn note_version(&mut self, modified: u64, version: u64) {
        if let Some(file) = self.files.last_mut() {
            (file.modified, file.version) = (modified, version);
        }
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
        let (key, names, ranges, urls) = (self.key, &mut self.names, &mut self.ranges, &mut self.urls);
        let Some(file) = self.files.last_mut() else { return };
        let number = file.first + file.lines;
        file.lines += 1;
        let entries = &mut file.entries;
        let read = line::read(line, format, &mut self.scratch, &mut |entry| {
            let (port, exception) = (entry.port, entry.exception);
            // One line may have millions of names.
            if names.len() > MAX_NAMES || ranges.len() > MAX_RANGES {
                return;
            }
            *entries += 1;
            match entry.what {
                Named::Name(name, scope) => {
                    names.push(key, name, NameEntry { scope, port, exception, line: number });
                }
                Named::Range(range) => ranges.push(range, port, exception, number),
                Named::Url(host, path) => urls.push(key, host, path, number),
            }
        });
        let long = urls.len().0 > MAX_URLS || urls.len().1 > MAX_PATHS;
        let full = long || names.len() > MAX_NAMES || ranges.len() > MAX_RANGES || number + 1 >= MAX_LINES;
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
        self.finish_with(&mut || {})
    }

    /// The same; `pause` is called again and again.
    ///
    /// # Errors
    /// Those of [`ListReading::finish`].
    pub fn finish_with(self, pause: &mut dyn FnMut()) -> Result<List, ListFault> {
        match self.fault {
            Some(fault) => Err(fault),
            None => {
                let (names, ranges, urls) = (self.names.finish(pause), self.ranges.finish(), self.urls.finish());
                Ok(List { key: self.key, names, ranges, urls, files: self.files })
            }
        }
    }
}
