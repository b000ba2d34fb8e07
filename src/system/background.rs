//! Into the background: two forks, a session of its own, standard streams on /dev/null. The process that was called stays
//! until the service runs or has failed, so that its exit code tells which. Knows nothing of what is started.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::parent_id;
use std::process;

use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, setsid};
use reactor::sys::{fork, Forked};

/// What the background process sends when it serves. A message of failure never begins with it.
const READY: u8 = b'\n';

/// Most bytes of a message of failure.
const MESSAGE_BYTES_MAX: u64 = 4 * 1024;

/// Which process this is after [`daemonize`]. The one that was called does not come back.
#[derive(Debug)]
pub enum Daemonized {
    /// Still the one that was called, since a supervisor already holds it: its standard input is a socket (inetd), or its
    /// parent is process 1.
    Supervised,
    /// The one in the background.
    Background(Notice),
}

/// Tells the process that was called how the start went. Dropped without a word, it counts as a failure.
#[derive(Debug)]
pub struct Notice(UnixStream);

impl Notice {
    /// The service runs: the process that was called ends with code 0.
    pub fn ready(mut self) {
        // A failure means that the process was killed meanwhile: the message has no reader, and the service runs on.
        let _ = self.0.write_all(&[READY]);
    }

    /// The start failed: the process that was called writes the text to its standard error and ends with code 1.
    pub fn failed(mut self, text: &str) {
        let _ = self.0.write_all(text.trim_start().as_bytes());
    }
}

/// Goes to the background unless a supervisor holds the process. The folder stays the same, so relative paths go on to
/// mean what they meant. Call it before there are threads, a poller or a log writer.
///
/// # Errors
/// What the system says when it refuses a fork, a session or /dev/null, or when other threads run.
pub fn daemonize() -> io::Result<Daemonized> {
    if is_supervised() {
        return Ok(Daemonized::Supervised);
    }
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let (reader, writer) = UnixStream::pair()?;
    if matches!(fork()?, Forked::Parent(_)) {
        drop(writer);
        wait_and_exit(reader);
    }
    drop(reader);
    let notice = Notice(writer);
    match settle(&null) {
        Ok(()) => Ok(Daemonized::Background(notice)),
        Err(error) => {
            notice.failed(&format!("could not go to the background: {error}"));
            process::exit(1);
        }
    }
}

/// After the second fork the process does not lead its session, and opening a terminal does not make it the terminal of
/// the session (credentials(7)).
fn settle(null: &File) -> io::Result<()> {
    setsid()?;
    if matches!(fork()?, Forked::Parent(_)) {
        process::exit(0);
    }
    dup2_stdin(null)?;
    dup2_stdout(null)?;
    dup2_stderr(null)?;
    Ok(())
}

fn is_supervised() -> bool {
    parent_id() == 1 || stdin_is_socket().unwrap_or(false)
}

fn stdin_is_socket() -> io::Result<bool> {
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    Ok(stdin.metadata()?.file_type().is_socket())
}

fn wait_and_exit(reader: UnixStream) -> ! {
    let mut message = Vec::new();
    // What was read before a failure of the connection is all there is to know.
    let _ = reader.take(MESSAGE_BYTES_MAX).read_to_end(&mut message);
    if message.first() == Some(&READY) {
        process::exit(0);
    }
    let text = String::from_utf8_lossy(&message);
    eprintln!("{}", if text.is_empty() { "the background process ended during its start" } else { text.trim_end() });
    process::exit(1);
}
