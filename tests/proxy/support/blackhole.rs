//! Addresses that do not answer as a server does: one swallows every connection attempt, one refuses it.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use super::{Origin, Peer};

/// Attempts that fill the accept queue of a listener with the smallest backlog; the kernel then drops every SYN.
const FILLERS: usize = 4;

/// A listening address on which no connection attempt is ever answered.
pub struct Blackhole {
    listener: Socket,
    fillers: Vec<Socket>,
}

impl Blackhole {
    /// Swallows attempts to connect to `address`.
    pub fn at(address: SocketAddr) -> Blackhole {
        let listener = bound(address);
        listener.listen(0).expect("listen");
        let mut fillers = Vec::new();
        for _ in 0..FILLERS {
            let filler = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
            filler.set_nonblocking(true).expect("non-blocking");
            // Answers EINPROGRESS: whether it is taken or dropped, the queue is full afterwards.
            let _ = filler.connect(&address.into());
            fillers.push(filler);
        }
        Blackhole { listener, fillers }
    }

    /// Comes to life: attempts that go on from now are answered, and served by `script`.
    pub fn open(self, script: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static) -> Origin {
        drop(self.fillers);
        Origin::over(self.listener.into(), script)
    }
}

/// A port that is taken but does not listen: every attempt is refused at once, and no other process can open it.
pub struct Refusing {
    socket: Socket,
}

impl Refusing {
    /// Takes `address`; port 0 lets the kernel choose.
    pub fn at(address: SocketAddr) -> Refusing {
        Refusing { socket: bound(address) }
    }

    /// A refusing port on 127.0.0.1.
    pub fn new() -> Refusing {
        Refusing::at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// The address that refuses.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().ok().and_then(|address| address.as_socket()).expect("a bound socket has an address")
    }
}

fn bound(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    if address.is_ipv6() {
        socket.set_only_v6(true).expect("an IPv6 socket for IPv6 alone");
    }
    socket.bind(&address.into()).unwrap_or_else(|error| panic!("bind {address}: {error}"));
    socket
}
