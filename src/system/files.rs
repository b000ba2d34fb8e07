//! Regular files, opened and read so that nothing can hold the reader: no FIFO, no device, no end that never comes. Knows
//! nothing of what is in them.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The device that is read as an empty file: configurations name it where they mean none.
const NULL: &str = "/dev/null";

/// Opens a regular file, links followed.
///
/// # Errors
/// Those of open(2), and [`ErrorKind::InvalidInput`] for what is no regular file.
pub fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Opening a device may do something to it, so that it is looked at before.
    regular(path.metadata()?)?;
    // Opening a FIFO that took the file's place meanwhile would wait for a writer.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = regular(file.metadata()?)?;
    Ok((file, metadata))
}

/// Reads a regular file, at most `limit` bytes of it. The null device is an empty file.
///
/// # Errors
/// Those of [`open`] and read(2).
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    if is_null(&path.metadata()?) {
        return Ok(Vec::new());
    }
    let (file, metadata) = open(path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(limit)).unwrap_or(0));
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Could [`read`] read this, as far as its kind goes?
///
/// # Errors
/// Those of stat(2), and [`ErrorKind::InvalidInput`] for what is no regular file.
pub fn check(path: &Path) -> io::Result<Metadata> {
    let metadata = path.metadata()?;
    if is_null(&metadata) {
        Ok(metadata)
    } else {
        regular(metadata)
    }
}

/// Passes a regular file on.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for what is no regular file, but EISDIR for a folder.
pub fn regular(metadata: Metadata) -> io::Result<Metadata> {
    match metadata.is_file() {
        true => Ok(metadata),
        false if metadata.is_dir() => Err(io::Error::from_raw_os_error(libc::EISDIR)),
        false => Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file")),
    }
}

fn is_null(metadata: &Metadata) -> bool {
    let same = |null: Metadata| null.rdev() == metadata.rdev();
    metadata.file_type().is_char_device() && Path::new(NULL).metadata().is_ok_and(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b21_only_regular_files_are_read_and_no_more_of_them_than_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        nix::unistd::mkfifo(&place("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("/dev/zero", place("zero")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(place("socket")).unwrap();
        for name in ["fifo", "zero", "socket"] {
            for refused in [read(&place(name), 9).map(drop), check(&place(name)).map(drop)] {
                assert_eq!(refused.unwrap_err().to_string(), "not a regular file", "{name}");
            }
        }
        assert_eq!(read(folder.path(), 9).unwrap_err().kind(), ErrorKind::IsADirectory);
        assert_eq!(read(&place("missing"), 9).unwrap_err().kind(), ErrorKind::NotFound);
        std::fs::write(place("file"), "123456789").unwrap();
        std::os::unix::fs::symlink("file", place("link")).unwrap();
        assert_eq!((read(&place("link"), 5).unwrap(), read(&place("link"), 99).unwrap().len()), (b"12345".to_vec(), 9));
        assert!(read(Path::new(NULL), 9).unwrap().is_empty() && check(Path::new(NULL)).is_ok());
    }
}
