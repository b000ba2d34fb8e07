//! A TCP stream together with what is known of its readiness.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use mio::net::{TcpStream, UnixStream};
use socket2::SockRef;

use crate::arena::Key;
use crate::pipe::Pipe;
use crate::ready::Ready;
use crate::sys;

/// What the pump needs of a connection. The simulation has its own kind.
pub trait Transport {
    /// Reads what is there; 0 is the end of the stream.
    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize>;
    /// Reads what is there and leaves it there.
    fn peek(&mut self, into: &mut [u8]) -> io::Result<usize>;
    /// Throws away up to as many bytes as `over` has room for, in which they were peeked at and may be written once more.
    fn discard(&mut self, over: &mut [u8]) -> io::Result<usize>;
    /// Writes what the peer's window takes.
    fn send(&mut self, from: &[u8]) -> io::Result<usize>;
    /// Writes what the peer's window takes of one after the other, in one go.
    fn send_both(&mut self, first: &[u8], second: &[u8]) -> io::Result<usize>;
    /// Moves up to `most` bytes that are there into a pipe. 0 is the end of the stream, or a mark of urgent bytes.
    fn splice_in(&mut self, pipe: &Pipe, most: usize) -> io::Result<usize>;
    /// Writes what the peer's window takes of the bytes in a pipe that is not empty.
    fn splice_out(&mut self, pipe: &Pipe) -> io::Result<usize>;
    /// Says that nothing more will be sent.
    fn shutdown(&mut self) -> io::Result<()>;
    /// Bytes that were written and that the peer has not acknowledged, as far as the system tells; 0 where it does not, as of a
    /// Unix socket.
    fn unsent(&self) -> usize;
    /// Has a byte that is marked as urgent stay in its place in the stream.
    fn keep_urgent(&mut self);
    /// Makes the coming close a reset, so that the peer cannot take what it got for complete.
    fn abort(&mut self);
}

impl Transport for TcpStream {
    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.read(into)
    }

    fn peek(&mut self, into: &mut [u8]) -> io::Result<usize> {
        TcpStream::peek(self, into)
    }

    fn discard(&mut self, over: &mut [u8]) -> io::Result<usize> {
        sys::discard(self.as_fd(), over)
    }

    fn send(&mut self, from: &[u8]) -> io::Result<usize> {
        self.write(from)
    }

    fn send_both(&mut self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(first), IoSlice::new(second)])
    }

    fn splice_in(&mut self, pipe: &Pipe, most: usize) -> io::Result<usize> {
        sys::splice(self.as_fd(), pipe.input(), most)
    }

    fn splice_out(&mut self, pipe: &Pipe) -> io::Result<usize> {
        sys::splice(pipe.output(), self.as_fd(), pipe.len())
    }

    fn shutdown(&mut self) -> io::Result<()> {
        TcpStream::shutdown(self, Shutdown::Write)
    }

    fn keep_urgent(&mut self) {
        // A failure loses a byte that its sender can hardly expect to arrive in order (RFC 6093 §5).
        let _ = SockRef::from(&*self).set_out_of_band_inline(true);
    }

    fn unsent(&self) -> usize {
        sys::unsent(self.as_fd())
    }

    fn abort(&mut self) {
        // A failure leaves an ordinary close, which is the next best thing, and all that there is at a Unix socket.
        let _ = SockRef::from(&*self).set_linger(Some(Duration::ZERO));
    }
}

/// A stream of a Unix socket as one that a session can use. All that is done with a connection is the same call for both kinds; a
/// reset, which TCP alone has, is asked for in vain. So no session pays for a kind that it is not. Descriptors that come along with bytes are
/// closed by the kernel. A read ends behind them, so that a client which sends some may wait in vain for what it said next.
pub fn of_unix(stream: UnixStream) -> TcpStream {
    TcpStream::from(OwnedFd::from(stream))
}

/// A connection: its socket, the readiness learned so far, and the route by which the poller names it.
#[derive(Debug)]
pub struct Stream<T> {
    /// The socket.
    pub io: T,
    /// Set by events, cleared by calls that would block.
    pub ready: Ready,
    /// A byte that is marked as urgent stays in its place in the stream.
    keeps_urgent: bool,
    /// The poller's name for the socket; it stays the same when the socket changes hands.
    pub route: Key,
}

impl<T: Transport> Stream<T> {
    /// A stream of which nothing is known yet.
    pub fn new(io: T, route: Key) -> Stream<T> {
        Stream { io, ready: Ready::NONE, keeps_urgent: false, route }
    }

    /// Notes what an event says.
    pub fn note(&mut self, ready: Ready) {
        self.ready |= ready;
        if ready.has(Ready::URGENT) {
            self.keep_urgent();
        }
    }

    fn keep_urgent(&mut self) {
        if !std::mem::replace(&mut self.keeps_urgent, true) {
            self.io.keep_urgent();
        }
    }

    /// Whether a read that did not fill its space has drained the socket: not with the peer's close still to be read,
    /// nor on a connection with urgent bytes, where a read ends before the mark.
    fn drains(&self) -> bool {
        !self.ready.has(Ready::READ_CLOSED | Ready::URGENT)
    }

    /// Reads into `into`; None where nothing is there. A read that does not fill `into` has drained the socket, so
    /// READ is cleared without a second call, but for what [`Stream::drains`] says.
    pub fn receive(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        let got = uninterrupted(|| self.io.receive(into));
        self.read_result(got, into.len())
    }

    /// As [`Stream::receive`], but the bytes stay in the socket.
    pub fn peek(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        match uninterrupted(|| self.io.peek(into)) {
            Err(error) => self.read_result(Err(error), into.len()),
            Ok(count) => Ok(Some(count)),
        }
    }

    /// Takes the bytes of an earlier peek, which stand in `over`, out of the socket. `drained` says that the peek saw the last of
    /// what was there and all of it is taken now.
    pub fn discard(&mut self, over: &mut [u8], drained: bool) -> io::Result<()> {
        let mut taken = 0;
        while taken < over.len() {
            match uninterrupted(|| self.io.discard(&mut over[taken..]))? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => taken = over.len().min(taken + more),
            }
        }
        if drained && self.drains() {
            self.ready.clear(Ready::READ);
        }
        Ok(())
    }

    /// Writes `from`; gives how many bytes were taken. A short write clears WRITE.
    pub fn send(&mut self, from: &[u8]) -> io::Result<usize> {
        let sent = uninterrupted(|| self.io.send(from));
        self.write_result(sent, from.len())
    }

    /// The same for two pieces, one behind the other.
    pub fn send_both(&mut self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        let sent = uninterrupted(|| self.io.send_both(first, second));
        self.write_result(sent, first.len() + second.len())
    }

    fn write_result(&mut self, sent: io::Result<usize>, given: usize) -> io::Result<usize> {
        match sent {
            Ok(count) => {
                // A short write has filled the socket's buffer: a second call would only say EAGAIN (epoll(7),
                // "Questions and answers").
                if count < given {
                    self.ready.clear(Ready::WRITE);
                }
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.ready.clear(Ready::WRITE);
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    /// Moves up to `most` bytes into an empty pipe; None where nothing is there. Less than `most` says nothing of what is
    /// left: a pipe is full when its places are, however small the pieces in them. 0 may be an end, but only a read tells,
    /// since it may be a mark of urgent bytes as well.
    pub fn splice_in(&mut self, pipe: &mut Pipe, most: usize) -> io::Result<Option<usize>> {
        debug_assert!(pipe.is_empty(), "or EAGAIN could mean a full pipe");
        match uninterrupted(|| self.io.splice_in(pipe, most)) {
            Ok(count) => {
                pipe.filled(count);
                Ok(Some(count))
            }
            Err(error) => self.read_result(Err(error), most),
        }
    }

    /// Writes what is in a pipe; gives how many bytes were taken. Only EAGAIN clears WRITE.
    pub fn splice_out(&mut self, pipe: &mut Pipe) -> io::Result<usize> {
        match uninterrupted(|| self.io.splice_out(pipe)) {
            Ok(count) => {
                pipe.drained(count);
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.ready.clear(Ready::WRITE);
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    fn read_result(&mut self, got: io::Result<usize>, asked: usize) -> io::Result<Option<usize>> {
        match got {
            Ok(count) => {
                // A short read has emptied the socket, and the next bytes bring a new event.
                if count < asked && self.drains() {
                    self.ready.clear(Ready::READ);
                } else if count == asked {
                    // The next read comes before the next event: a mark that has come meanwhile would cost it a byte.
                    self.keep_urgent();
                }
                Ok(Some(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.ready.clear(Ready::READ);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Repeats a call for as long as a signal cuts it short.
fn uninterrupted<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poller::Poller;

    /// Two ends of a connection; the second one is registered.
    fn connected(poller: &mut Poller<()>) -> (std::net::TcpStream, Stream<TcpStream>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let near = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (far, _) = listener.accept().expect("somebody waits");
        far.set_nonblocking(true).expect("allowed");
        let mut far = TcpStream::from_std(far);
        let route = poller.register(&mut far, ()).expect("registered");
        (near, Stream::new(far, route))
    }

    /// A read that was full is followed by another one before an event can tell of a mark.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_mark_that_no_event_has_told_of_costs_no_byte() {
        let mut poller = Poller::new().expect("a poll");
        let (mut near, mut far) = connected(&mut poller);
        near.write_all(b"AAAA").expect("room in a fresh socket");
        SockRef::from(&near).send_out_of_band(b"!").expect("the same");
        near.write_all(b"B").expect("the same");
        drop(near);
        let mut seen = Vec::new();
        // With the end all of it is there, and the stream is told of nothing.
        while !seen.iter().any(|(_, ready): &((), Ready)| ready.has(Ready::READ_CLOSED)) {
            poller.wait(Some(Duration::from_secs(10)), &mut seen).expect("a turn");
        }
        let (mut piece, mut got) = ([0; 4], Vec::new());
        while let Some(count) = far.receive(&mut piece).expect("bytes").filter(|count| *count > 0) {
            got.extend_from_slice(&piece[..count]);
        }
        assert_eq!(got, b"AAAA!B");
    }
}
