//! A listening socket, of TCP or at a path, and the gate that decides whether it may accept.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::stream::of_unix;
use crate::sys;
use crate::unix::{self, SocketAccess, SocketFile};

/// Where a socket listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListenAt {
    /// At a port of an address.
    Port(SocketAddr),
    /// At a path: a Unix socket.
    Path(PathBuf),
}

impl ListenAt {
    /// The address with its port, where it has one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            ListenAt::Port(address) => Some(*address),
            ListenAt::Path(_) => None,
        }
    }

    /// The path, where it has one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            ListenAt::Port(_) => None,
            ListenAt::Path(path) => Some(path),
        }
    }
}

impl fmt::Display for ListenAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAt::Port(address) => address.fmt(f),
            ListenAt::Path(path) => path.display().fmt(f),
        }
    }
}

/// A listening socket of either kind. Dropped, it takes its file along.
#[derive(Debug)]
pub enum ListenSocket {
    /// At a port.
    Port(TcpListener),
    /// At a path.
    Path(UnixListener, SocketFile),
}

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
pub fn listen(address: SocketAddr, options: &ListenOptions) -> io::Result<ListenSocket> {
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
    Ok(ListenSocket::Port(TcpListener::from_std(socket.into())))
}

/// Opens a listening Unix socket. What is left of one that ended without removing its file is replaced.
///
/// # Errors
/// Those of bind(2) and listen(2); AddrInUse where a program listens there, AlreadyExists where the file is no socket.
pub fn listen_at_path(path: &Path, access: &SocketAccess, backlog: u32) -> io::Result<ListenSocket> {
    unix::listen(path, access, backlog).map(|(socket, file)| ListenSocket::Path(socket, file))
}

impl ListenSocket {
    /// The address that it has in the end, where it has one.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            ListenSocket::Port(listener) => listener.local_addr().ok(),
            ListenSocket::Path(..) => None,
        }
    }

    /// Changes how many connections the kernel holds (listen(2) may be called again).
    ///
    /// # Errors
    /// Those of listen(2).
    pub fn set_backlog(&self, backlog: u32) -> io::Result<()> {
        SockRef::from(self).listen(i32::try_from(backlog).unwrap_or(i32::MAX))
    }

    /// Leaves its file to another process, where it has one.
    pub fn leave_file(&mut self) {
        if let ListenSocket::Path(_, file) = self {
            file.leave();
        }
    }

    /// Removes its file, where it has one, so that no client connects any more.
    ///
    /// # Errors
    /// Those of unlink(2).
    pub fn remove_file(&mut self) -> io::Result<()> {
        match self {
            ListenSocket::Port(_) => Ok(()),
            ListenSocket::Path(_, file) => file.remove(),
        }
    }
}

impl AsFd for ListenSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            ListenSocket::Port(listener) => listener.as_fd(),
            ListenSocket::Path(listener, _) => listener.as_fd(),
        }
    }
}

impl Source for ListenSocket {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match self {
            ListenSocket::Port(listener) => listener.register(registry, token, interests),
            ListenSocket::Path(listener, _) => listener.register(registry, token, interests),
        }
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match self {
            ListenSocket::Port(listener) => listener.reregister(registry, token, interests),
            ListenSocket::Path(listener, _) => listener.reregister(registry, token, interests),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            ListenSocket::Port(listener) => listener.deregister(registry),
            ListenSocket::Path(listener, _) => listener.deregister(registry),
        }
    }
}

/// Could this process listen there, as far as can be told without listening? That another program does so now is no obstacle: it
/// may be gone by then.
///
/// # Errors
/// Those of [`listen`] and [`listen_at_path`].
pub fn check(at: &ListenAt, transparent: bool) -> io::Result<()> {
    let address = match at {
        ListenAt::Port(address) => *address,
        ListenAt::Path(path) => return unix::check(path),
    };
    let socket = unbound(address)?;
    if transparent {
        set_transparent(&SockRef::from(&socket), address, true)?;
    }
    // Among the sockets of a running copy this one gets no connection, since it never listens.
    let _ = socket.set_reuse_port(true);
    match socket.bind(&address.into()) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => Err(error),
        _ => Ok(()),
    }
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
    Connection(TcpStream, Caller),
    /// No connection waits.
    Empty,
    /// A connection that was gone before it was accepted, or a signal: try the next one.
    Retry,
    /// This process or the system has no descriptor or memory left: wait until something is closed.
    Exhausted(io::Error),
    /// The listening socket is of no use any more.
    Broken(io::Error),
}

/// Who has connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caller {
    /// A port of an address.
    Port(SocketAddr),
    /// A process of this machine.
    Process {
        /// The number of its user.
        uid: u32,
        /// Its number, 0 where it is not told.
        pid: u32,
    },
}

/// Accepts one connection and sorts the errors of accept(2) by what to do about them. One at a path of which it is not told who
/// has made it is closed.
pub fn accept(listener: &ListenSocket) -> Accept {
    let accepted = match listener {
        ListenSocket::Port(listener) => listener.accept().map(|(stream, peer)| (stream, Caller::Port(peer))),
        ListenSocket::Path(listener, _) => listener.accept().and_then(|(stream, _)| {
            let (uid, pid) = sys::peer_credentials(&stream)?;
            Ok((of_unix(stream), Caller::Process { uid, pid }))
        }),
    };
    match accepted {
        Ok((stream, caller)) => Accept::Connection(stream, caller),
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
        let address = first.local_address().expect("bound");
        assert!(is_taken(address) && listen(address, &SHARED).is_ok(), "copies share it");
        assert!(listen(address, &ListenOptions { shared: false, ..SHARED })
            .is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse));
        let at = ListenAt::Port(address);
        assert!(check(&at, false).is_ok(), "it may be ourselves");
        drop(first);
        assert!(!is_taken(address) && check(&at, false).is_ok());
        assert!(check(&ListenAt::Port("192.0.2.250:0".parse().expect("an address")), false).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_unix_socket_tells_who_has_connected_and_is_used_like_any_other() {
        use crate::arena::Key;
        use crate::ready::Ready;
        use crate::stream::{Stream, Transport};
        use std::io::{Read, Write};
        let path = std::env::temp_dir().join(format!("reactor-accept-{}", std::process::id()));
        let access = SocketAccess { mode: 0o600, uid: None, gid: None };
        let listener = listen_at_path(&path, &access, 8).expect("a listener");
        assert!(matches!(accept(&listener), Accept::Empty) && listener.local_address().is_none());
        let mut client = std::os::unix::net::UnixStream::connect(&path).expect("connected");
        let Accept::Connection(stream, caller) = accept(&listener) else { panic!("it waits") };
        let own = Caller::Process { uid: nix::unistd::getuid().as_raw(), pid: std::process::id() };
        assert_eq!(caller, own);
        client.write_all(b"one two three").expect("room");
        let mut stream = Stream::new(stream, Key { index: 0, generation: 0 });
        stream.note(Ready::READ | Ready::WRITE);
        let mut seen = [0; 64];
        assert_eq!(stream.peek(&mut seen).expect("bytes"), Some(13));
        stream.discard(&mut seen[..8], false).expect("bytes");
        assert_eq!(stream.receive(&mut seen).expect("bytes"), Some(5));
        assert_eq!(&seen[..5], b"three");
        assert!(stream.receive(&mut seen).expect("nothing").is_none() && !stream.ready.has(Ready::READ));
        assert_eq!(stream.send(b"answer").expect("room"), 6);
        assert_eq!(stream.io.unsent(), 0, "the system does not tell");
        stream.io.abort();
        drop(stream);
        let mut got = Vec::new();
        client.read_to_end(&mut got).expect("to the end");
        assert_eq!(got, b"answer");
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn accepted_sockets_inherit_what_the_listener_has() {
        let listener = listen("127.0.0.1:0".parse().expect("an address"), &ListenOptions { keepalive: 60, ..SHARED })
            .expect("a listener");
        let address = listener.local_address().expect("bound");
        assert!(matches!(accept(&listener), Accept::Empty));
        let _client = std::net::TcpStream::connect(address).expect("connected");
        let Accept::Connection(stream, _) = accept(&listener) else { panic!("somebody waits") };
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().expect("readable") && socket.keepalive().expect("readable"));
    }
}
