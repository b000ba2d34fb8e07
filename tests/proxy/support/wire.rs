//! One end of a connection as a test sees it: bytes out, in pieces if need be; bytes, messages and closes in.
//! Knows how HTTP/1.1 messages end, strictly, and nothing of the proxy.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;

use super::message::{Ending, Message};
use super::PATIENCE;

/// Largest part of what a connection received that is kept for looking at, in bytes.
const RECORDED: usize = 1 << 20;

/// A connection with read-ahead; every wait ends after [`PATIENCE`].
pub struct Wire {
    stream: TcpStream,
    ahead: Vec<u8>,
    record: Option<Arc<Mutex<Vec<u8>>>>,
}

impl Wire {
    /// Takes a connected stream.
    pub fn new(stream: TcpStream) -> io::Result<Wire> {
        // A Unix socket has no such option.
        if stream.local_addr().is_ok() {
            stream.set_nodelay(true)?;
        }
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Wire { stream, ahead: Vec::new(), record: None })
    }

    /// The same, with the first MiB of received bytes kept in `record`.
    pub fn recorded(stream: TcpStream, record: Arc<Mutex<Vec<u8>>>) -> io::Result<Wire> {
        let mut wire = Wire::new(stream)?;
        wire.record = Some(record);
        Ok(wire)
    }

    /// Another handle for the same connection, to write on one thread while another reads.
    pub fn second(&self) -> io::Result<Wire> {
        Wire::new(self.stream.try_clone()?)
    }

    /// Waits longer for what comes from now on: for what takes processor time that others have, and not a moment.
    pub fn wait_longer(&mut self) {
        self.stream.set_read_timeout(Some(PATIENCE * 4)).expect("a timeout above zero");
    }

    /// Address of this end.
    pub fn local(&self) -> SocketAddr {
        self.stream.local_addr().expect("a bound socket has an address")
    }

    /// Address of the other end.
    pub fn peer(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// Sends all the bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends the bytes in pieces of `size`, each as a segment of its own as far as the kernel lets it.
    pub fn send_pieces(&mut self, bytes: impl AsRef<[u8]>, size: usize) -> io::Result<()> {
        for piece in bytes.as_ref().chunks(size) {
            self.send(piece)?;
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Sends until the other side takes nothing for `quiet`; gives the number of bytes taken.
    pub fn send_until_stuck(&mut self, piece: &[u8], limit: usize, quiet: Duration) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(quiet))?;
        let mut sent = 0;
        while sent < limit {
            match self.stream.write(piece) {
                Ok(count) => sent += count,
                Err(error) if would_wait(&error) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.stream.set_write_timeout(Some(PATIENCE))?;
        Ok(sent)
    }

    /// Sends a byte that is marked as urgent (tcp(7), MSG_OOB).
    pub fn urgent(&mut self, byte: &[u8; 1]) -> io::Result<()> {
        SockRef::from(&self.stream).send_out_of_band(byte).map(drop)
    }

    /// Bytes that the other end has not acknowledged.
    pub fn unsent(&self) -> usize {
        reactor::sys::unsent(self.stream.as_fd())
    }

    /// Says that nothing more will be sent.
    pub fn shut(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Breaks the connection with a reset instead of closing it.
    pub fn reset(self) -> io::Result<()> {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))
    }

    /// Reads once; 0 at the end.
    pub fn fill(&mut self) -> io::Result<usize> {
        let mut piece = [0; 16 * 1024];
        let count = loop {
            match self.stream.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(name_timeout)?,
            }
        };
        assert_unmarked(&piece[..count]);
        self.ahead.extend_from_slice(&piece[..count]);
        if let Some(record) = &self.record {
            let mut record = record.lock().expect("no holder panics");
            let room = RECORDED.saturating_sub(record.len());
            record.extend_from_slice(&piece[..count.min(room)]);
        }
        Ok(count)
    }

    /// Reads exactly so many bytes.
    pub fn exact(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < count {
            self.more()?;
        }
        let rest = self.ahead.split_off(count);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    /// Reads up to and with `end`.
    pub fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        let mut searched: usize = 0;
        loop {
            let from = searched.saturating_sub(end.len());
            if let Some(at) = self.ahead[from..].windows(end.len()).position(|window| window == end) {
                return self.exact(from + at + end.len());
            }
            searched = self.ahead.len();
            self.more()?;
        }
    }

    /// Reads all until the other side closes.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.ahead))
    }

    /// Reads one request with its body; None when the connection was closed before it.
    pub fn request(&mut self) -> io::Result<Option<Message>> {
        if self.ahead.is_empty() && self.fill()? == 0 {
            return Ok(None);
        }
        let message = Message::new(self.until(b"\r\n\r\n")?);
        let ending = message.request_ending();
        self.body(message, ending).map(Some)
    }

    /// Reads one response to `method` with its body.
    pub fn response(&mut self, method: &str) -> io::Result<Message> {
        let message = Message::new(self.until(b"\r\n\r\n")?);
        let ending = message.response_ending(method);
        self.body(message, ending)
    }

    fn body(&mut self, mut message: Message, ending: Ending) -> io::Result<Message> {
        match ending {
            Ending::None => {}
            Ending::After(count) => message.body = self.exact(count)?,
            Ending::Chunked => self.chunks(&mut message)?,
            Ending::Close => message.body = self.rest()?,
        }
        Ok(message)
    }

    fn chunks(&mut self, message: &mut Message) -> io::Result<()> {
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(&line, 16).map_err(|_| invalid(format!("chunk size line {line:?}")))?;
            message.chunk_lines.push(line);
            if size == 0 {
                break;
            }
            message.body.extend(self.exact(size)?);
            if self.exact(2)? != b"\r\n" {
                return Err(invalid("no line end after a chunk".to_owned()));
            }
        }
        loop {
            match self.line()? {
                line if line.is_empty() => return Ok(()),
                line => message.trailers.push(line),
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = self.until(b"\r\n")?;
        line.truncate(line.len() - 2);
        String::from_utf8(line).map_err(|_| invalid("a line that is not text".to_owned()))
    }

    fn more(&mut self) -> io::Result<()> {
        match self.fill()? {
            0 => {
                let cut = format!("closed after \"{}\"", super::show(&self.ahead));
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, cut))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a call gave up because the socket's time ran out.
fn would_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn name_timeout(error: io::Error) -> io::Error {
    match would_wait(&error) {
        true => io::Error::new(io::ErrorKind::TimedOut, "the peer sent nothing in all the time given"),
        false => error,
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The proxy marks memory that holds nothing (`reactor::buffer::POISON`). None of it may reach a peer, in no test.
fn assert_unmarked(bytes: &[u8]) {
    const MARK: [u8; 12] = [0xDB; 12];
    // Of as many in a row as there are in the mark, one is at a multiple of their number: the others need not be looked at.
    let near = |at: usize| &bytes[at.saturating_sub(MARK.len() - 1)..bytes.len().min(at + MARK.len())];
    let is_marked = |at: usize| bytes[at] == MARK[0] && near(at).windows(MARK.len()).any(|part| part == MARK);
    assert!(!(0..bytes.len()).step_by(MARK.len()).any(is_marked), "memory of the proxy that holds nothing got out");
}
