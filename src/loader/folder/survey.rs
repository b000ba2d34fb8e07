//! What is found in a folder of pages, before and after it is read. Knows the bounds of the search, and not what is kept.

use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::MAX_PAGE;
use crate::answers::pages::EMBEDDED;
use crate::system::files;

/// How deep the folder is searched. What lies deeper is found when it is asked for.
const MAX_DEPTH: usize = 4;

/// Entries that are looked at, those of the folders in it included: the option may name a whole disk.
const MAX_ENTRIES: usize = 10_000;

/// Seconds after which a second change of a file is sure to show in its times: file systems count in steps of up to 2 s.
const SETTLED: i64 = 3;

/// What is found in a folder.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) found: Vec<FoundFile>,
    entries: usize,
    /// What the names in folders begin with that cannot be read.
    pub(super) hidden: Vec<String>,
    /// The first thing that cannot be read.
    pub(super) trouble: Option<io::Error>,
}

/// A file, or what may be one.
#[derive(Debug)]
pub(super) struct FoundFile {
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// None where the file cannot be looked at.
    pub(super) metadata: Option<Metadata>,
}

impl Survey {
    pub(super) fn walk(&mut self, folder: &Path, prefix: &str, depth: usize) {
        let entries = match folder.read_dir() {
            Ok(entries) => entries,
            Err(error) if is_gone(&error) && depth > 0 => return,
            Err(error) => return self.note_hidden(folder, prefix, error),
        };
        for entry in entries {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return;
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.note_hidden(folder, prefix, error),
            };
            let file_name = entry.file_name();
            let Some(name) = file_name.to_str() else { continue };
            let (path, name) = (entry.path(), format!("{prefix}{name}"));
            match path.metadata() {
                Ok(metadata) if metadata.is_dir() && depth < MAX_DEPTH => {
                    self.walk(&path, &format!("{name}/"), depth + 1);
                }
                Ok(metadata) if metadata.is_file() && metadata.len() <= MAX_PAGE => {
                    self.note(name, path, Some(metadata));
                }
                // Editors mark their files with links that lead nowhere.
                Err(error) if !is_gone(&error) => {
                    self.note_trouble(&path, error);
                    self.note(name, path, None);
                }
                _ => {}
            }
        }
    }

    /// Looks at one file, be it large or small.
    pub(super) fn note_file(&mut self, name: String, path: PathBuf) {
        match path.metadata() {
            Ok(metadata) if metadata.is_file() => self.note(name, path, Some(metadata)),
            _ => {}
        }
    }

    fn note(&mut self, name: String, path: PathBuf, metadata: Option<Metadata>) {
        // Those that replace embedded pages come first, and are found a second time on the way through the folder.
        if !self.found.iter().take(EMBEDDED.len()).any(|found| found.name == name) {
            self.found.push(FoundFile { name, path, metadata });
        }
    }

    fn note_hidden(&mut self, folder: &Path, prefix: &str, error: io::Error) {
        self.hidden.push(prefix.to_owned());
        self.note_trouble(folder, error);
    }

    pub(super) fn note_trouble(&mut self, path: &Path, error: io::Error) {
        self.trouble.get_or_insert_with(|| about(path, error));
    }
}

impl FoundFile {
    /// The page in the file; None if it is too large to be kept. What has not changed is not read again.
    pub(super) fn read(&self, before: Option<&ReadPage>) -> io::Result<Option<ReadPage>> {
        let Some(metadata) = &self.metadata else { return Ok(before.cloned()) };
        let same = |page: &&ReadPage| page.settled && page.stamp == Stamp::of(metadata);
        if let Some(page) = before.filter(same) {
            return Ok(Some(page.clone()));
        }
        if metadata.len() > MAX_PAGE {
            return Ok(None);
        }
        let (file, metadata) = files::open(&self.path)?;
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(MAX_PAGE)).unwrap_or(0));
        file.take(MAX_PAGE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_PAGE {
            return Ok(None);
        }
        let stamp = Stamp::of(&metadata);
        let bytes = match before.filter(|page| *page.bytes == *bytes) {
            Some(page) => Arc::clone(&page.bytes),
            None => bytes.into(),
        };
        Ok(Some(ReadPage { stamp, settled: stamp.is_settled(), bytes }))
    }
}

/// What changes when a file does: which file it is, its length, and when content and entry were last written, in
/// nanoseconds. A copy that keeps the time of its original still changes the last one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    file: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            file: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Has the file been left alone for so long that its next change cannot have the same times?
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        i64::try_from(now).unwrap_or(i64::MAX) - self.changed.0.max(self.modified.0).max(0) >= SETTLED
    }
}

/// A page as it was when it was read.
#[derive(Clone, Debug)]
pub(super) struct ReadPage {
    pub(super) stamp: Stamp,
    /// The stamp was old enough to tell the next change.
    pub(super) settled: bool,
    pub(super) bytes: Arc<[u8]>,
}

/// Is there no such page, rather than one that cannot be read?
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory)
        || error.raw_os_error() == Some(libc::ENOTDIR)
}

pub(super) fn about(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_settles_when_it_is_left_alone() {
        let stamp = |changed| Stamp { file: (0, 0), length: 0, modified: (0, 0), changed: (changed, 0) };
        assert!(stamp(0).is_settled() && !stamp(i64::MAX).is_settled());
    }
}
