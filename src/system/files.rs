//! Regular files, opened and read so that nothing can hold the reader: no FIFO, no device, no end that never comes. Knows
//! nothing of what is in them.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The device that is read as an empty file: configurations name it where they mean none.
const NULL: &str = "/dev/null";

/// Bytes of lines that are read at a time.
const LINES: usize = 64 << 10;

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

/// Hands on the lines of a regular file, some 64 KiB of them at a time, all but the last with their ends. One read of a file
/// of 17 MiB took 50 ms, in which a kernel that does not preempt itself lets nothing else run on the processor.
///
/// # Errors
/// Those of [`open`] and read(2), and where the file has more than `limit` bytes. Lines were handed on by then.
pub fn read_lines(path: &Path, limit: u64, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    if is_null(&path.metadata()?) {
        return Ok(());
    }
    let (mut file, metadata) = open(path)?;
    let (mut bytes, mut begun, mut total) = (vec![0; LINES], 0, 0);
    fits(metadata.len(), limit)?;
    loop {
        let more = file.read(&mut bytes[begun..])?;
        total += more as u64;
        fits(total, limit)?;
        let filled = begun + more;
        let ended = memchr::memrchr(b'\n', &bytes[begun..filled]).map_or(0, |at| begun + at + 1);
        match (more, ended) {
            (0, _) if begun > 0 => break take(&bytes[..begun]),
            (0, _) => break,
            (_, 0) if filled == bytes.len() => bytes.resize(bytes.len() * 2, 0),
            (_, 0) => {}
            _ => {
                take(&bytes[..ended]);
                bytes.copy_within(ended..filled, 0);
            }
        }
        begun = filled - ended;
    }
    Ok(())
}

/// May the file be read in a while, though nothing is done about it? No descriptor or memory was left, or the disk failed.
pub fn may_pass(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EIO))
}

/// Are there no more bytes than may be read?
///
/// # Errors
/// There are more.
pub fn fits(length: u64, limit: u64) -> io::Result<()> {
    match length {
        length if length > limit => Err(io::Error::other("the file is too large")),
        _ => Ok(()),
    }
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
    fn lines_are_whole_wherever_a_piece_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let line =
            |number: usize| format!("{number} {}\n", "x".repeat(if number == 777 { 3 * LINES } else { number % 60 }));
        let text: String = (0..5000).map(line).collect::<String>() + "the last";
        std::fs::write(&path, &text).unwrap();
        let (mut seen, mut pieces) = (Vec::new(), 0);
        let read = read_lines(&path, text.len() as u64, |lines| {
            assert!(lines.ends_with(b"\n") || lines.ends_with(b"the last"));
            seen.extend_from_slice(lines);
            pieces += 1;
        });
        assert!(read.is_ok() && seen == text.as_bytes() && pieces > 3, "{pieces}");
        assert!(read_lines(&path, text.len() as u64 - 1, |_| {}).is_err());
        assert!(read_lines(Path::new(NULL), 0, |_| {}).is_ok());
    }

    #[test]
    fn only_what_passes_by_itself_is_tried_again() {
        for (number, passing) in [(libc::EMFILE, true), (libc::EIO, true), (libc::ENOENT, false), (libc::EACCES, false)]
        {
            assert_eq!(may_pass(&io::Error::from_raw_os_error(number)), passing, "{number}");
        }
    }

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
