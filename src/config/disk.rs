//! The real file system and the real process as sources of configuration. The only part of the configuration that
//! touches the system.

use super::paths::{FileKind, Files};
use super::sources::{of_ours, Sources};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Any of the three permissions to execute.
const EXECUTE: u32 = 0o111;

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn kind(&self, path: &Path) -> Option<FileKind> {
        let about = fs::metadata(path).ok()?;
        Some(match about.is_dir() {
            true => FileKind::Folder,
            false if about.is_file() => FileKind::File { executable: about.permissions().mode() & EXECUTE != 0 },
            false => FileKind::Other,
        })
    }

    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(limit as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Sources {
    /// The sources of this process, with the file that the command line names. To be made once, before anything
    /// changes the current folder or the account; a reload uses the same sources again.
    pub fn of_process(file: Option<PathBuf>) -> Sources {
        Sources {
            environment: std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_ours)).collect(),
            file,
            program: std::env::current_exe().ok(),
            home: std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
            here: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
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
        assert_eq!(Disk.read(Path::new("/dev/zero"), 100).map(|bytes| bytes.len()).ok(), Some(100));
        assert!(Disk.read(Path::new("/"), 100).is_err());
    }
}
