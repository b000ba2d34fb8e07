//! A log file that is appended to and rotated by size: `log` becomes `log.1`, `log.1` becomes `log.2`, and so on. Works
//! together with other programs that move the file. Knows nothing of what lines mean.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{access, AccessFlags};

use super::batch::Batch;
use super::output::{put, Output, Report};
use super::Destination;

/// Most old files that are kept: each costs a rename per rotation.
const KEEP_MAX: u32 = 1_000;

/// When a file is rotated and how much of the past is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    bytes: u64,
    keep: u32,
}

impl Rotation {
    /// The file grows without bound, for operators who rotate it with another program.
    pub const NEVER: Self = Self { bytes: 0, keep: 0 };

    /// Rotates before the file would exceed `bytes` (`log.rotate`; 0 = never) and keeps `keep` old files (`log.keep`, at
    /// most 1000; 0 = the file begins anew).
    pub fn new(bytes: u64, keep: u32) -> Self {
        Self { bytes, keep: keep.min(KEEP_MAX) }
    }
}

/// What others than the owner and the group of a new file may do to it: nothing. A log tells who asked for what.
const MODE: u32 = 0o640;

/// Why a log could not be rotated by this account, for a word of warning before it is due; None where it could, or where
/// there is nothing to rotate, as with a device.
pub fn obstacle(destination: &Destination, rotation: Rotation) -> Option<String> {
    let Destination::File(path) = destination else { return None };
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return None;
    }
    let folder = folder(path);
    let errno = access(folder, AccessFlags::W_OK | AccessFlags::X_OK).err().filter(|_| rotation.bytes > 0)?;
    Some(format!("{} cannot be rotated: {}: {}", path.display(), folder.display(), errno.desc()))
}

/// Whether a log could be opened by this account, without a trace.
///
/// # Errors
/// What opening it would end with, with its path.
pub fn check(destination: &Destination) -> Result<(), String> {
    let Destination::File(path) = destination else { return Ok(()) };
    let refused = match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(Errno::EISDIR),
        Ok(_) => access(path, AccessFlags::W_OK),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            access(folder(path), AccessFlags::W_OK | AccessFlags::X_OK)
        }
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    refused.map_err(|errno| format!("{}: {}", path.display(), errno.desc()))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file with its rotation.
pub struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    identity: FileIdentity,
    size: u64,
    /// No rotation is tried below this size: after a failed one the file first grows by as much again, so that a folder
    /// that we may not write to costs nothing per line.
    retry_at: u64,
    torn: bool,
    /// Another process puts the file aside.
    shared: bool,
}

impl RotatingFile {
    /// Opens a file at its end, and creates it where it is missing.
    ///
    /// # Errors
    /// What the system says when the file cannot be opened for writing.
    pub fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        let (file, identity, size) = open_append(path)?;
        Ok(Self { path: path.to_owned(), rotation, file, identity, size, retry_at: 0, torn: false, shared: false })
    }

    /// Whether a line of this length must go to a new file when the present one is filled so far.
    fn must_rotate(&self, filled: u64, line: usize) -> bool {
        filled > 0 && self.exceeds(filled, line) && filled >= self.retry_at && self.identity.regular
    }

    /// Whether with so many more bytes a file that is filled so far has more than it may.
    fn exceeds(&self, filled: u64, more: usize) -> bool {
        let limit = self.rotation.bytes;
        limit > 0 && filled.saturating_add(more as u64) > limit
    }

    fn rotate(&mut self, report: &mut Report) {
        if let Err(error) = self.move_away().and_then(|()| self.take_new()) {
            self.retry_at = self.size.saturating_add(self.rotation.bytes);
            report.trouble = Some(format!("{} could not be rotated: {error}", self.path.display()));
        }
    }

    /// Is the file still the one at its path?
    fn is_in_place(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| FileIdentity::of(&found) == self.identity)
    }

    /// Moves the old files up by one. If another file stands at our path, another program has rotated ours already.
    fn move_away(&self) -> io::Result<()> {
        if !self.is_in_place() {
            return Ok(());
        }
        if self.rotation.keep == 0 {
            return fs::remove_file(&self.path);
        }
        // From the oldest on, so that none is overwritten but the last. Gaps in the numbers are no error.
        for number in (1..self.rotation.keep).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.numbered(1))
    }

    fn take_new(&mut self) -> io::Result<()> {
        let (file, identity, size) = open_append(&self.path)?;
        self.file = file;
        self.identity = identity;
        self.size = size;
        self.retry_at = 0;
        self.torn = false;
        Ok(())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }

    fn put(&mut self, bytes: &[u8], report: &mut Report) {
        self.size = self.size.saturating_add(put(&mut self.file, &mut self.torn, bytes, report) as u64);
    }
}

impl Output for RotatingFile {
    fn write(&mut self, lines: &Batch) -> Report {
        let mut report = Report::default();
        if self.shared && !self.is_in_place() {
            // Else lines would go to a file that is compressed or removed by and by.
            report.trouble = self.reopen().err().map(|error| error.to_string());
        }
        if !self.exceeds(self.size, lines.bytes().len()) {
            self.put(lines.bytes(), &mut report);
            return report;
        }
        let (mut start, mut end) = (0, 0);
        // As many whole lines as the file may hold go out in one write; then it is rotated and the rest follows.
        for line_end in lines.ends() {
            if self.must_rotate(self.size.saturating_add((end - start) as u64), line_end - end) {
                self.put(lines.slice(start, end), &mut report);
                start = end;
                self.rotate(&mut report);
            }
            end = line_end;
        }
        self.put(lines.slice(start, end), &mut report);
        report
    }

    fn share(&mut self) {
        (self.rotation, self.shared) = (Rotation::NEVER, true);
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.take_new().map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display())))
    }
}

/// Which file a descriptor or a path stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
    regular: bool,
}

impl FileIdentity {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), regular: metadata.is_file() }
    }
}

fn open_append(path: &Path) -> io::Result<(File, FileIdentity, u64)> {
    // O_NONBLOCK keeps a FIFO without a reader from holding us; regular files do not heed it.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().append(true).create(true).mode(MODE).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    Ok((file, FileIdentity::of(&metadata), metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Severity;
    use std::fs::read_to_string;

    /// A folder of its own for one test, removed when the test passes.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("exaproxy-rotate-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn log(&self) -> PathBuf {
            self.0.join("log")
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }

        fn read(&self, name: &str) -> String {
            read_to_string(self.0.join(name)).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn batch(lines: &[&str]) -> Batch {
        let mut batch = Batch::default();
        for line in lines {
            batch.push(Severity::Info, line);
        }
        batch
    }

    #[test]
    fn files_are_shifted_and_the_oldest_is_forgotten() {
        let folder = Folder::new("shift");
        let mut file = RotatingFile::open(&folder.log(), Rotation::new(8, 2)).unwrap();
        assert_eq!(file.write(&batch(&["aaa", "bbb", "ccc", "ddd", "eee", "fff", "ggg"])), Report::default());
        assert_eq!(folder.names(), ["log", "log.1", "log.2"]);
        assert_eq!(folder.read("log"), "ggg\n");
        assert_eq!(folder.read("log.1"), "eee\nfff\n");
        assert_eq!(folder.read("log.2"), "ccc\nddd\n");
    }

    #[test]
    fn size_is_known_after_a_restart_and_long_lines_stay_whole() {
        let folder = Folder::new("restart");
        for line in ["aaaa", "bbbb", "much longer than a file may be", "c"] {
            let mut file = RotatingFile::open(&folder.log(), Rotation::new(10, 5)).unwrap();
            assert_eq!(file.write(&batch(&[line])), Report::default());
        }
        assert_eq!(folder.read("log.2"), "aaaa\nbbbb\n");
        assert_eq!(folder.read("log.1"), "much longer than a file may be\n");
        assert_eq!(folder.read("log"), "c\n");
    }

    #[test]
    fn nothing_kept_begins_anew_and_no_limit_never_rotates() {
        let folder = Folder::new("keep");
        let mut file = RotatingFile::open(&folder.log(), Rotation::new(4, 0)).unwrap();
        file.write(&batch(&["aaa", "bbb"]));
        assert_eq!((folder.names().len(), folder.read("log")), (1, "bbb\n".to_owned()));
        let mut file = RotatingFile::open(&folder.log(), Rotation::NEVER).unwrap();
        file.write(&batch(&["ccc", "ddd"]));
        assert_eq!((folder.names().len(), folder.read("log")), (1, "bbb\nccc\nddd\n".to_owned()));
    }

    #[test]
    fn a_file_moved_by_another_program_is_found_again() {
        let folder = Folder::new("moved");
        let mut file = RotatingFile::open(&folder.log(), Rotation::new(8, 3)).unwrap();
        file.write(&batch(&["aaa"]));
        fs::rename(folder.log(), folder.0.join("log.old")).unwrap();
        file.write(&batch(&["bbb"]));
        assert_eq!(folder.read("log.old"), "aaa\nbbb\n");
        file.reopen().unwrap();
        file.write(&batch(&["ccc"]));
        assert_eq!(folder.read("log"), "ccc\n");
        fs::rename(folder.log(), folder.0.join("log.older")).unwrap();
        file.write(&batch(&["dddddd"]));
        assert_eq!(folder.read("log"), "dddddd\n");
        assert_eq!(folder.names(), ["log", "log.old", "log.older"]);
    }

    #[test]
    fn a_file_that_another_process_has_put_aside_is_found_again() {
        let folder = Folder::new("shared");
        let (mut service, mut drainer) =
            [(); 2].map(|()| RotatingFile::open(&folder.log(), Rotation::new(8, 1)).unwrap()).into();
        drainer.share();
        service.write(&batch(&["aaa"]));
        drainer.write(&batch(&["bbb"]));
        service.write(&batch(&["cccccc"]));
        service.write(&batch(&["ddd"]));
        assert_eq!(drainer.write(&batch(&["eee", "fff"])), Report::default());
        assert_eq!((folder.read("log.1"), folder.read("log")), ("cccccc\n".into(), "ddd\neee\nfff\n".into()));
    }

    #[test]
    fn a_failed_rotation_loses_no_line_and_is_not_tried_at_once_again() {
        let folder = Folder::new("failed");
        // A folder that is not empty cannot be replaced by a file, not even by root.
        fs::create_dir_all(folder.0.join("log.1/kept")).unwrap();
        let mut file = RotatingFile::open(&folder.log(), Rotation::new(8, 1)).unwrap();
        let report = file.write(&batch(&["aaa", "bbb", "ccc"]));
        assert_eq!(report.lost, 0);
        assert!(report.trouble.unwrap().contains("could not be rotated"));
        assert_eq!(file.write(&batch(&["ddd"])), Report::default());
        assert_eq!(folder.read("log"), "aaa\nbbb\nccc\nddd\n");
        fs::remove_dir_all(folder.0.join("log.1")).unwrap();
        file.write(&batch(&["eee"]));
        assert_eq!((folder.read("log.1"), folder.read("log")), ("aaa\nbbb\nccc\nddd\n".into(), "eee\n".into()));
    }

    #[test]
    fn what_could_not_be_opened_is_told_and_left_as_it_is() {
        let folder = Folder::new("check");
        let file = |path: PathBuf| Destination::File(path);
        assert_eq!(check(&file(folder.log())), Ok(()));
        assert_eq!(check(&file("/dev/null".into())), Ok(()));
        assert!(folder.names().is_empty());
        let error = check(&file(folder.0.clone())).unwrap_err();
        assert!(error.ends_with("Is a directory"), "{error}");
        let error = check(&file(folder.0.join("none/log"))).unwrap_err();
        assert!(error.contains("none/log: No such file"), "{error}");
    }

    #[test]
    fn devices_are_written_to_and_never_moved() {
        assert_eq!(obstacle(&Destination::File("/dev/null".into()), Rotation::new(4, 1)), None);
        let mut file = RotatingFile::open(Path::new("/dev/null"), Rotation::new(4, 1)).unwrap();
        assert_eq!(file.write(&batch(&["aaa", "bbb"])), Report::default());
        assert!(Path::new("/dev/null").exists() && !Path::new("/dev/null.1").exists());
    }
}
