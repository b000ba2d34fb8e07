//! A listening socket, and the gate that decides whether it may accept.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// How a socket listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListenOptions {
    /// Connections that the kernel holds until they are accepted.
    pub backlog: u32,
    /// Seconds of silence before keep-alive probes, 0 for none.
    pub keepalive: u64,
    /// Other copies of the program may listen at the same address, and the kernel divides the connections between them.
    pub shared: bool,
    /// It gets connections to addresses that are not this machine's (IP_TRANSPARENT in ip(7)).
    pub transparent: bool,
}

/// Opens a listening socket. What is set here is inherited by the accepted sockets (tcp(7)), which saves a system call
/// per connection for each.
///
/// # Errors
/// Those of socket(2), bind(2) and listen(2); EPERM where a transparent one needs a capability that the process does not have.
pub fn listen(address: SocketAddr, options: &ListenOptions) -> io::Result<TcpListener> {
    let socket = unbound(address)?;
    if options.transparent {
        set_transparent(&SockRef::from(&socket), address, true)?;
    }
    if options.shared {
        // SO_REUSEPORT lets a new copy listen before the old one has let go, and several share the port, as the
        // original's did. Where the system has no such option, the bind below succeeds or fails without it.
        let _ = socket.set_reuse_port(true);
    }
    tune(&SockRef::from(&socket), options.keepalive);
    // Urgent bytes keep their place in the stream. Connections inherit that too.
    let _ = socket.set_out_of_band_inline(true);
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Whether another socket listens at this address already, shared or not.
pub fn is_taken(address: SocketAddr) -> bool {
    let bound = unbound(address).and_then(|socket| socket.bind(&address.into()));
    bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

fn unbound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // IPv4 has a listener of its own: one socket for both would report its clients as ::ffff:a.b.c.d (ipv6(7)).
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Changes how many connections the kernel holds for a listener that is open (listen(2) may be called again).
///
/// # Errors
/// Those of listen(2).
pub fn set_backlog(listener: &TcpListener, backlog: u32) -> io::Result<()> {
    SockRef::from(listener).listen(i32::try_from(backlog).unwrap_or(i32::MAX))
}

/// Has a socket for this family send and get packets with addresses that are not this machine's, or not any more
/// (IP_TRANSPARENT in ip(7), IPV6_TRANSPARENT).
///
/// # Errors
/// EPERM without CAP_NET_RAW or CAP_NET_ADMIN; Unsupported where the system has no such thing.
#[cfg(target_os = "linux")]
pub fn set_transparent(socket: &SockRef<'_>, address: SocketAddr, transparent: bool) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => socket.set_ip_transparent_v4(transparent),
        SocketAddr::V6(_) => socket.set_ip_transparent_v6(transparent),
    }
}

/// Other systems have no such thing.
///
/// # Errors
/// Unsupported, unless nothing is asked for.
#[cfg(not(target_os = "linux"))]
pub fn set_transparent(_: &SockRef<'_>, _: SocketAddr, transparent: bool) -> io::Result<()> {
    if transparent {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(())
}

/// Where a connection was going before netfilter rewrote its destination (SO_ORIGINAL_DST). None where it was not rewritten, or
/// nothing is known of it. The other end of the socket says which family it is of.
#[cfg(target_os = "linux")]
pub fn rewritten_destination(stream: &TcpStream, peer: SocketAddr) -> Option<SocketAddr> {
    let socket = SockRef::from(stream);
    let found = match peer {
        SocketAddr::V4(_) => socket.original_dst_v4(),
        SocketAddr::V6(_) => socket.original_dst_v6(),
    };
    found.ok()?.as_socket()
}

/// Other systems do not tell.
#[cfg(not(target_os = "linux"))]
pub fn rewritten_destination(_: &TcpStream, _: SocketAddr) -> Option<SocketAddr> {
    None
}

/// Sets what every connection of the proxy wants: no delay of small writes, and probes of silent peers. None of it is
/// worth losing a connection for, so failures are passed over.
pub fn tune(socket: &SockRef<'_>, keepalive: u64) {
    let _ = socket.set_tcp_nodelay(true);
    if keepalive > 0 {
        let idle = Duration::from_secs(keepalive);
        let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle).with_interval(idle.min(MAX_INTERVAL)));
    }
}

/// Longest pause between two keep-alive probes: with the system's nine probes a dead peer is found within minutes.
const MAX_INTERVAL: Duration = Duration::from_secs(15);

/// What one accept gave.
#[derive(Debug)]
pub enum Accept {
    /// A connection.
    Connection(TcpStream, SocketAddr),
    /// No connection waits.
    Empty,
    /// A connection that was gone before it was accepted, or a signal: try the next one.
    Retry,
    /// This process or the system has no descriptor or memory left: wait until something is closed.
    Exhausted(io::Error),
    /// The listening socket is of no use any more.
    Broken(io::Error),
}

/// Accepts one connection and sorts the errors of accept(2) by what to do about them.
pub fn accept(listener: &TcpListener) -> Accept {
    match listener.accept() {
        Ok((stream, peer)) => Accept::Connection(stream, peer),
        Err(error) => match error.raw_os_error() {
            Some(libc::EAGAIN) => Accept::Empty,
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => Accept::Exhausted(error),
            Some(libc::EBADF | libc::EINVAL | libc::ENOTSOCK | libc::EOPNOTSUPP | libc::EFAULT) => {
                Accept::Broken(error)
            }
            // accept(2) also returns network errors that are pending on the new connection (its section "Error
            // handling"). The listener is sound, and the next connection is tried.
            _ => Accept::Retry,
        },
    }
}

/// Decides whether there is room for another connection.
#[derive(Debug, Clone)]
pub struct Gate {
    limit: usize,
}

impl Gate {
    /// A gate for `limit` connections, at least one.
    pub fn new(limit: usize) -> Gate {
        Gate { limit: limit.max(1) }
    }

    /// The most connections that are let in.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Changes the limit, on a reload.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(1);
    }

    /// Room for one more, with `count` connections open?
    pub fn admits(&self, count: usize) -> bool {
        count < self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_has_room_below_its_limit_and_always_for_one() {
        let gate = Gate::new(10);
        assert!(gate.admits(9) && !gate.admits(10) && !gate.admits(11));
        let gate = Gate::new(0);
        assert!(gate.admits(0) && !gate.admits(1));
    }

    const SHARED: ListenOptions = ListenOptions { backlog: 16, keepalive: 0, shared: true, transparent: false };

    #[test]
    fn a_shared_address_is_seen_to_be_taken() {
        let first = listen("127.0.0.1:0".parse().expect("an address"), &SHARED).expect("a listener");
        let address = first.local_addr().expect("bound");
        assert!(is_taken(address) && listen(address, &SHARED).is_ok(), "copies share it");
        assert!(listen(address, &ListenOptions { shared: false, ..SHARED })
            .is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse));
        drop(first);
        assert!(!is_taken(address));
    }

    #[test]
    fn accepted_sockets_inherit_what_the_listener_has() {
        let listener = listen("127.0.0.1:0".parse().expect("an address"), &ListenOptions { keepalive: 60, ..SHARED })
            .expect("a listener");
        let address = listener.local_addr().expect("bound");
        assert!(matches!(accept(&listener), Accept::Empty));
        let _client = std::net::TcpStream::connect(address).expect("connected");
        let Accept::Connection(stream, _) = accept(&listener) else { panic!("somebody waits") };
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().expect("readable") && socket.keepalive().expect("readable"));
    }
}
