//! A socketpair between the loop and a thread, with frames in both directions. The loop's end never blocks, the
//! thread's end always may.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream as Blocking;

use mio::net::UnixStream;

use crate::frame::{self, Frame, HEADER, MAX_PAYLOAD};

/// Bytes that are read at a time: a few hundred short frames, or a part of a long one.
const READ: usize = 16 << 10;

/// Bytes that may wait for the thread, beyond what the kernel holds. A thread reads frames faster than the loop makes
/// them: one that is so far behind does not run any more.
const BACKLOG: usize = 4 * MAX_PAYLOAD;

/// A buffer that has grown beyond this many bytes is given back when it is empty.
const KEPT: usize = 64 << 10;

/// Makes the two ends.
///
/// # Errors
/// Those of socketpair(2).
pub fn pair() -> io::Result<(Near, Far)> {
    let (near, far) = Blocking::pair()?;
    near.set_nonblocking(true)?;
    let near = Near { io: UnixStream::from_std(near), inbox: Inbox::default(), out: Vec::new() };
    Ok((near, Far { io: far, inbox: Inbox::default(), out: Vec::new() }))
}

/// The loop's end.
#[derive(Debug)]
pub struct Near {
    io: UnixStream,
    inbox: Inbox,
    /// What the kernel has not taken yet.
    out: Vec<u8>,
}

/// What a read says about the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// There is no more for now.
    Drained,
    /// There may be more. Events are edge-triggered: none comes until what is there has been read.
    More,
    /// The other end is gone.
    Ended,
}

impl Near {
    /// What to register with the poll.
    pub fn source(&mut self) -> &mut UnixStream {
        &mut self.io
    }

    /// Sends a frame, or keeps it until [`Near::flush`] can.
    ///
    /// # Errors
    /// When the other end is gone or has not read for long, or the frame is too long.
    pub fn send(&mut self, frame: Frame<'_>) -> io::Result<()> {
        if self.out.len() + frame.payload.len() > BACKLOG {
            return Err(io::Error::new(ErrorKind::OutOfMemory, "the thread does not read"));
        }
        let idle = self.out.is_empty();
        frame::append(&mut self.out, frame).map_err(|error| io::Error::other(error.to_string()))?;
        match idle {
            true => self.flush(),
            // The kernel's buffer was full. An event will say when it has room again, and the loop calls `flush` then.
            false => Ok(()),
        }
    }

    /// Sends what was kept, as far as the kernel takes it.
    ///
    /// # Errors
    /// When the other end is gone.
    pub fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        let mut result = Ok(());
        while sent < self.out.len() {
            match self.io.write(&self.out[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.out.drain(..sent);
        if self.out.is_empty() && self.out.capacity() > KEPT {
            self.out = Vec::new();
        }
        result
    }

    /// Reads once and hands over every complete frame.
    ///
    /// # Errors
    /// When what came is no sequence of frames.
    pub fn receive(&mut self, mut take: impl FnMut(Frame<'_>)) -> io::Result<Received> {
        let asked = self.inbox.space().len();
        let count = match self.io.read(self.inbox.space()) {
            Ok(0) => return Ok(Received::Ended),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Received::Drained),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Received::More),
            // A reset says the same as an end: the thread is gone.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(Received::Ended),
            Err(error) => return Err(error),
        };
        self.inbox.take(count, &mut take)?;
        Ok(if count < asked { Received::Drained } else { Received::More })
    }

    /// Says that nothing more will be sent. What the other end says is still heard.
    pub fn finish(&self) -> io::Result<()> {
        self.io.shutdown(std::net::Shutdown::Write)
    }
}

/// The thread's end.
#[derive(Debug)]
pub struct Far {
    io: Blocking,
    inbox: Inbox,
    out: Vec<u8>,
}

impl Far {
    /// Sends a frame, waiting for as long as that takes.
    ///
    /// # Errors
    /// When the loop is gone, or the frame is too long.
    pub fn send(&mut self, frame: Frame<'_>) -> io::Result<()> {
        self.out.clear();
        frame::append(&mut self.out, frame).map_err(|error| io::Error::other(error.to_string()))?;
        self.io.write_all(&self.out)?;
        if self.out.capacity() > KEPT {
            self.out = Vec::new();
        }
        Ok(())
    }

    /// Reads once, waiting if there is nothing, and hands over every complete frame. False when the loop has finished.
    ///
    /// # Errors
    /// When the loop is gone, or what came is no sequence of frames.
    pub fn receive(&mut self, mut take: impl FnMut(Frame<'_>)) -> io::Result<bool> {
        match self.io.read(self.inbox.space()) {
            Ok(0) => return Ok(false),
            Ok(count) => self.inbox.take(count, &mut take)?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}

impl AsFd for Far {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

/// Bytes that have come and are no complete frame yet.
#[derive(Debug, Default)]
struct Inbox {
    bytes: Vec<u8>,
    held: usize,
}

impl Inbox {
    /// Where the next bytes go, never empty.
    fn space(&mut self) -> &mut [u8] {
        if self.bytes.len() < self.held + READ {
            self.bytes.resize(self.held + READ, 0);
        }
        &mut self.bytes[self.held..]
    }

    /// `count` more bytes have come.
    fn take(&mut self, count: usize, take: &mut impl FnMut(Frame<'_>)) -> io::Result<()> {
        self.held += count;
        let mut done = 0;
        while let Some((frame, length)) =
            frame::first(&self.bytes[done..self.held]).map_err(|error| io::Error::other(error.to_string()))?
        {
            take(frame);
            done += length;
        }
        if done > 0 {
            self.bytes.copy_within(done..self.held, 0);
            self.held -= done;
        }
        debug_assert!(self.held <= HEADER + MAX_PAYLOAD);
        if self.held == 0 && self.bytes.len() > KEPT {
            self.bytes = Vec::new();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const fn frame(kind: u8, payload: &[u8]) -> Frame<'_> {
        Frame { kind, key: 9, payload }
    }

    #[test]
    fn frames_go_both_ways_and_an_end_is_seen() {
        let (mut near, mut far) = pair().unwrap();
        near.send(frame(1, b"question")).unwrap();
        near.finish().unwrap();
        let mut seen = Vec::new();
        while far.receive(|frame| seen.push((frame.kind, frame.key, frame.payload.to_vec()))).unwrap() {}
        assert_eq!(seen, [(1, 9, b"question".to_vec())]);
        far.send(frame(2, b"reply")).unwrap();
        let mut seen = Vec::new();
        assert_eq!(near.receive(|frame| seen.push(frame.payload.to_vec())).unwrap(), Received::Drained);
        assert_eq!(seen, [b"reply".to_vec()]);
        assert_eq!(near.receive(|_| ()).unwrap(), Received::Drained);
        drop(far);
        assert_eq!(near.receive(|_| ()).unwrap(), Received::Ended);
    }

    #[test]
    fn row_8_a_thread_that_does_not_read_blocks_nobody() {
        let (mut near, mut far) = pair().unwrap();
        let payload = vec![b'x'; 1 << 20];
        let sent = (0..).find(|_| near.send(frame(1, &payload)).is_err()).unwrap();
        assert!((16..100).contains(&sent), "{sent}");
        let reader = thread::spawn(move || {
            let mut count = 0;
            while far.receive(|frame| count += usize::from(frame.payload.len() == 1 << 20)).unwrap() {}
            count
        });
        while !near.out.is_empty() {
            near.flush().unwrap();
        }
        near.finish().unwrap();
        assert_eq!(reader.join().unwrap(), sent);
        assert!(near.out.capacity() <= KEPT);
    }
}
