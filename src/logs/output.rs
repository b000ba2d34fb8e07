//! What a writer hands its lines to, and how they are written to a descriptor. Runs on the thread of a writer, where it
//! may wait. Knows no queue and no destination.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};

use super::batch::Batch;

/// How long one write waits for a descriptor that takes nothing, in milliseconds. A standard stream may be non-blocking,
/// because another process that shares it made it so. After that its lines are lost and the next ones get their try.
const STALL_MS: u16 = 2_000;

/// Something that lines are written to.
pub trait Output: Send {
    /// Writes the lines, as many as can be.
    fn write(&mut self, lines: &Batch) -> Report;

    /// Opens the destination anew, after another program moved a file away. On failure the old one stays in use.
    ///
    /// # Errors
    /// What the system says when the destination cannot be opened.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Another process writes there too from now on, and is the one that puts files aside.
    fn share(&mut self) {}
}

/// What became of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Lines that were not written, or not wholly.
    pub lost: u64,
    /// What went wrong last, also when no line was lost by it.
    pub trouble: Option<String>,
}

/// Writes whole lines and accounts for those that did not go. `torn` remembers that a line was cut in the middle, so that
/// the next one does not continue it. Returns the number of bytes written.
pub(crate) fn put(file: &mut File, torn: &mut bool, bytes: &[u8], report: &mut Report) -> usize {
    if bytes.is_empty() {
        return 0;
    }
    if *torn && write_fully(file, b"\n").is_ok() {
        *torn = false;
    }
    match write_fully(file, bytes) {
        Ok(()) => bytes.len(),
        Err((written, error)) => {
            let (done, missed) = bytes.split_at(written);
            *torn |= done.last().is_some_and(|last| *last != b'\n');
            report.lost += memchr::memchr_iter(b'\n', missed).count() as u64;
            report.trouble = Some(error.to_string());
            written
        }
    }
}

/// Writes everything or tells how many bytes went, which is at most the length given. Every turn of the loop writes a
/// byte, waits once or ends.
fn write_fully(file: &mut File, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && becomes_writable(file) => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

fn becomes_writable(file: &File) -> bool {
    let mut descriptors = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
    matches!(poll(&mut descriptors, PollTimeout::from(STALL_MS)), Ok(ready) if ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    fn file_of(stream: UnixStream) -> File {
        File::from(OwnedFd::from(stream))
    }

    #[test]
    fn a_slow_reader_of_a_non_blocking_descriptor_gets_every_byte() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let sent = "0123456\n".repeat(128 * 1024);
        let expected = sent.clone();
        let reader = std::thread::spawn(move || {
            let mut got = String::new();
            theirs.read_to_string(&mut got).unwrap();
            assert!(got == expected);
        });
        let (mut file, mut torn, mut report) = (file_of(ours), false, Report::default());
        assert_eq!(put(&mut file, &mut torn, sent.as_bytes(), &mut report), sent.len());
        assert_eq!(report, Report::default());
        drop(file);
        reader.join().unwrap();
    }

    #[test]
    fn lines_that_nobody_takes_are_counted() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let (mut file, mut torn, mut report) = (file_of(ours), false, Report::default());
        assert_eq!(put(&mut file, &mut torn, b"a\nb\nc\n", &mut report), 0);
        assert_eq!((report.lost, torn), (3, false));
        assert!(report.trouble.is_some());
    }

    #[test]
    fn a_line_after_a_torn_one_begins_anew() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (mut file, mut torn, mut report) = (file_of(ours), true, Report::default());
        put(&mut file, &mut torn, b"next\n", &mut report);
        drop(file);
        let mut got = String::new();
        theirs.read_to_string(&mut got).unwrap();
        assert_eq!((got.as_str(), torn), ("\nnext\n", false));
    }
}
