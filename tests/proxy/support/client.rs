//! A client that says exactly the bytes that a test gives it and fails the test when the answer is not as expected.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::{show, Message, Wire, PATIENCE};

/// A connection to the proxy.
pub struct Client {
    wire: Wire,
}

impl Client {
    /// Connects.
    pub fn connect(to: SocketAddr) -> Client {
        let stream = TcpStream::connect_timeout(&to, PATIENCE).unwrap_or_else(|error| panic!("connect {to}: {error}"));
        Client::over(stream)
    }

    /// Connects from another address of this machine, such as one of 127.0.0.0/8.
    pub fn connect_from(from: [u8; 4], to: SocketAddr) -> Client {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((from, 0)).into()).expect("an address of this machine");
        socket.connect_timeout(&to.into(), PATIENCE).expect("a connection");
        Client::over(socket.into())
    }

    /// Connects to a Unix socket.
    pub fn connect_path(to: &Path) -> Client {
        let stream = UnixStream::connect(to).unwrap_or_else(|error| panic!("connect {}: {error}", to.display()));
        // Reading, writing and closing are the same calls for both.
        Client::over(TcpStream::from(OwnedFd::from(stream)))
    }

    /// Connects with receive and send buffers as small as the kernel makes them, so that little hides in them.
    pub fn connect_small(to: SocketAddr) -> Client {
        let domain = socket2::Domain::for_address(to);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small receive buffer");
        socket.set_send_buffer_size(4096).expect("a small send buffer");
        socket.connect_timeout(&to.into(), PATIENCE).expect("a connection");
        Client::over(socket.into())
    }

    /// Connects, if a program listens there.
    pub fn try_connect(to: SocketAddr) -> Option<Client> {
        TcpStream::connect(to).ok().map(Client::over)
    }

    fn over(stream: TcpStream) -> Client {
        Client { wire: Wire::new(stream).expect("socket options") }
    }

    /// Address of our end.
    pub fn local(&self) -> SocketAddr {
        self.wire.local()
    }

    /// The connection itself, for what has no method here.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Sends all the bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.send(bytes).expect("the proxy takes what is sent");
    }

    /// Sends what the proxy takes; for bytes that it may well refuse half-way.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.wire.send(bytes);
    }

    /// Sends the bytes in pieces of `size`.
    pub fn send_pieces(&mut self, bytes: impl AsRef<[u8]>, size: usize) {
        self.wire.send_pieces(bytes, size).expect("the proxy takes what is sent");
    }

    /// Says that nothing more will be sent.
    pub fn shut(&mut self) {
        self.wire.shut().expect("a half close");
    }

    /// Breaks the connection with a reset.
    pub fn reset(self) {
        self.wire.reset().expect("linger of zero");
    }

    /// Reads the response to a request that was not HEAD or CONNECT.
    pub fn reply(&mut self) -> Message {
        self.reply_to("GET")
    }

    /// Reads the response to a request with this method.
    pub fn reply_to(&mut self, method: &str) -> Message {
        self.wire.response(method).unwrap_or_else(|error| panic!("no whole response to {method}: {error}"))
    }

    /// Reads a response that may be cut off; None when it was. Silence is neither.
    pub fn reply_unless_cut(&mut self, method: &str) -> Option<Message> {
        self.wire
            .response(method)
            .map_err(|error| assert!(!silent(&error), "neither a response nor an end: {error}"))
            .ok()
    }

    /// Sends a GET in absolute form and reads the response.
    pub fn get(&mut self, url: &str) -> Message {
        self.send(get(url));
        self.reply()
    }

    /// Opens a tunnel and fails the test when the proxy does not.
    pub fn tunnel(&mut self, authority: &str) {
        self.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        let reply = self.reply_to("CONNECT");
        assert_eq!(reply.status(), 200, "CONNECT {authority}: {reply:?}");
    }

    /// Reads exactly so many bytes.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        self.wire.exact(count).unwrap_or_else(|error| panic!("reading {count} bytes: {error}"))
    }

    /// Reads until the proxy closes.
    pub fn rest(&mut self) -> Vec<u8> {
        self.wire.rest().expect("an orderly close")
    }

    /// Expects an orderly close with nothing before it.
    pub fn expect_close(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "more before the close: {}", show(&rest));
    }

    /// Expects the end of the connection, orderly or not, with nothing before it.
    pub fn expect_end(&mut self) {
        match self.wire.fill() {
            Ok(0) => {}
            Ok(_) => panic!("bytes instead of an end: {}", show(&self.wire.exact(1).unwrap_or_default())),
            Err(error) => assert!(broken(&error), "no end: {error}"),
        }
    }

    /// Expects the connection to be reset.
    pub fn expect_reset(&mut self) {
        let error = self.wire.rest().expect_err("a reset, not an orderly close");
        assert!(broken(&error), "no reset: {error}");
    }
}

/// The bytes of a GET in absolute form.
pub fn get(url: &str) -> String {
    let rest = url.strip_prefix("http://").expect("an http URL");
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    format!("GET {url} HTTP/1.1\r\nHost: {authority}\r\n\r\n")
}

/// Whether the peer has neither said nor ended anything in all the time given.
pub fn silent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut
}

/// Whether this is how a reset by the peer shows.
fn broken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}
