//! The real file system and the real process as sources of configuration. The only part of the configuration that
//! touches the system.

use super::place::{FileKind, Files};
use super::sources::{of_ours, Setting, Sources};
use crate::system::files;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Any of the three permissions to execute.
const EXECUTE: u32 = 0o111;

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

/// The file system of this machine as seen by a process that gives up privileges while it runs. It remembers the files
/// that it has seen, so that a file that it may not look at any more is not taken for one that does not exist.
#[derive(Debug, Default)]
pub struct Watched {
    /// Grows with each option that names a file, which are few.
    seen: RefCell<BTreeSet<PathBuf>>,
    hidden: RefCell<Option<PathBuf>>,
}

impl Watched {
    /// A path that was seen once and was refused since the last call.
    pub fn take_hidden(&self) -> Option<PathBuf> {
        self.hidden.take()
    }

    fn note<T>(&self, path: &Path, result: &io::Result<T>) {
        match result {
            Ok(_) => drop(self.seen.borrow_mut().insert(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && self.seen.borrow().contains(path) => {
                self.hidden.replace(Some(path.to_owned()));
            }
            Err(_) => {}
        }
    }
}

impl Files for Watched {
    fn kind(&self, path: &Path) -> Option<FileKind> {
        let kind = kind(path);
        self.note(path, &kind);
        kind.ok()
    }

    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let bytes = Disk.read(path, limit);
        self.note(path, &bytes);
        bytes
    }
}

fn kind(path: &Path) -> io::Result<FileKind> {
    let about = fs::metadata(path)?;
    Ok(match about.is_dir() {
        true => FileKind::Folder,
        false if about.is_file() => FileKind::File { executable: about.permissions().mode() & EXECUTE != 0 },
        false => FileKind::Other,
    })
}

impl Files for Disk {
    fn kind(&self, path: &Path) -> Option<FileKind> {
        kind(path).ok()
    }

    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        files::read(path, limit as u64)
    }
}

impl Sources {
    /// The sources of this process, with what the command line names. To be made once, before anything changes the current
    /// folder or the account; a reload uses the same sources again.
    pub fn of_process(file: Option<PathBuf>, settings: &[Setting], log_folder: Option<&str>) -> Sources {
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let at = |path: &str| here.join(path).to_string_lossy().into_owned();
        let placed = |setting: &Setting| match setting.path && !setting.text.is_empty() {
            true => Setting { text: at(&setting.text), ..setting.clone() },
            false => setting.clone(),
        };
        Sources {
            settings: settings.iter().map(placed).collect(),
            log_folder: log_folder.map(|folder| here.join(folder)),
            environment: std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_ours)).collect(),
            file,
            program: std::env::current_exe().ok(),
            home: std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
            here,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_tells_kinds_apart_and_reads_no_more_than_asked() {
        let own = std::env::current_exe().expect("the path of this test");
        for (path, kind) in [
            (Path::new("/"), Some(FileKind::Folder)),
            (&own, Some(FileKind::File { executable: true })),
            (Path::new("/dev/null"), Some(FileKind::Other)),
            (Path::new("/no/such/file"), None),
        ] {
            assert_eq!(Disk.kind(path), kind, "{path:?}");
        }
        assert_eq!(Disk.read(&own, 100).map(|bytes| bytes.len()).ok(), Some(100));
        assert!(Disk.read(Path::new("/"), 100).is_err());
    }

    #[test]
    fn b21_an_endless_device_is_no_configuration() {
        assert!(Disk.read(Path::new("/dev/zero"), 100).is_err_and(|error| error.to_string() == "not a regular file"));
        assert_eq!(Disk.read(Path::new("/dev/null"), 100).ok(), Some(Vec::new()), "it stands for none");
    }

    #[test]
    fn only_what_was_seen_can_be_hidden() {
        let denied = || Err::<(), _>(io::Error::from(io::ErrorKind::PermissionDenied));
        let (known, never, gone) = (Path::new("/known"), Path::new("/never"), Path::new("/gone"));
        let watched = Watched::default();
        watched.note(known, &Ok(()));
        watched.note(gone, &Ok(()));
        assert_eq!(watched.take_hidden(), None);
        watched.note(never, &denied());
        watched.note(gone, &Err::<(), _>(io::Error::from(io::ErrorKind::NotFound)));
        assert_eq!(watched.take_hidden(), None);
        watched.note(known, &denied());
        assert_eq!(watched.take_hidden(), Some(known.to_owned()));
        assert_eq!(watched.take_hidden(), None);
    }
}
