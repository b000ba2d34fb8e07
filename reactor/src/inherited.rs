//! Listening sockets that the process was started with (systemd's socket activation): what they are, and how they become
//! listeners of the loop. Knows neither names nor who wants them.

use std::io;
use std::os::fd::OwnedFd;

use mio::net::{TcpListener, UnixListener};
use socket2::{SockRef, Socket, Type};

use crate::listener::{set_transparent, tune, ListenAt, ListenOptions, ListenSocket};
use crate::unix::SocketFile;

/// A listening socket that another process has opened.
#[derive(Debug)]
pub struct InheritedSocket {
    socket: Socket,
    at: ListenAt,
}

impl InheritedSocket {
    /// Looks at what was inherited.
    ///
    /// # Errors
    /// It is no listening stream socket, or one whose clients could not be told apart.
    pub fn new(descriptor: OwnedFd) -> io::Result<InheritedSocket> {
        let socket = Socket::from(descriptor);
        let kind = socket.r#type().map_err(|_| io::Error::other("it is no socket"))?;
        if kind != Type::STREAM || !listens(&socket)? {
            return Err(io::Error::other("it is no listening stream socket"));
        }
        let address = socket.local_addr()?;
        let at = match (address.as_socket(), address.as_pathname()) {
            (Some(address), _) => ListenAt::Port(address),
            (None, Some(path)) => ListenAt::Path(path.to_owned()),
            (None, None) => return Err(io::Error::other("it has neither an address nor a path")),
        };
        let both = at.address().is_some_and(|address| address.is_ipv6() && address.ip().is_unspecified());
        if both && !socket.only_v6()? {
            // Its IPv4 clients would come as ::ffff:a.b.c.d (ipv6(7)), past every rule about IPv4.
            return Err(io::Error::other("it takes IPv4 too: BindIPv6Only=ipv6-only"));
        }
        Ok(InheritedSocket { socket, at })
    }

    /// Where it listens.
    pub fn at(&self) -> &ListenAt {
        &self.at
    }

    /// Makes it a listener with the properties of those that are opened here. With `own` a file that it has is removed when it is
    /// closed, else it stays.
    ///
    /// # Errors
    /// Those of listen(2); EPERM where a transparent one needs a capability that the process does not have.
    pub fn listen(self, options: &ListenOptions, own: bool) -> io::Result<ListenSocket> {
        let InheritedSocket { socket, at } = self;
        socket.set_nonblocking(true)?;
        if let (ListenAt::Port(address), true) = (&at, options.transparent) {
            set_transparent(&SockRef::from(&socket), *address, true)?;
        }
        if at.address().is_some() {
            tune(&SockRef::from(&socket), options.keepalive);
            let _ = socket.set_out_of_band_inline(true);
        }
        socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
        Ok(match at {
            ListenAt::Port(_) => ListenSocket::Port(TcpListener::from_std(socket.into())),
            ListenAt::Path(path) => {
                // One whose file has been removed has none: that is no reason not to serve at the other places.
                let made = if own { SocketFile::new(&path).ok() } else { None };
                let file = made.unwrap_or_else(|| SocketFile::of_others(path));
                ListenSocket::Path(UnixListener::from(OwnedFd::from(socket)), file)
            }
        })
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn listens(socket: &Socket) -> io::Result<bool> {
    socket.is_listener()
}

/// Elsewhere listen(2) has the word.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn listens(_socket: &Socket) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::{accept, Accept};

    const OPTIONS: ListenOptions = ListenOptions { backlog: 8, keepalive: 0, shared: true, transparent: false };

    #[test]
    fn what_listens_is_taken_over_and_other_things_are_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let inherited = InheritedSocket::new(listener.into()).expect("it listens");
        assert_eq!(inherited.at(), &ListenAt::Port(address));
        let socket = inherited.listen(&OPTIONS, true).expect("it goes on");
        let _client = std::net::TcpStream::connect(address).expect("connected");
        assert!(matches!(accept(&socket), Accept::Connection(..)), "the client waits there");
        assert!(matches!(accept(&socket), Accept::Empty), "and nothing waits for another");
        let refused =
            |descriptor: OwnedFd| InheritedSocket::new(descriptor).map(drop).expect_err("no listener").to_string();
        assert_eq!(
            refused(std::net::UdpSocket::bind("127.0.0.1:0").expect("a port").into()),
            "it is no listening stream socket"
        );
        assert_eq!(
            refused(std::os::unix::net::UnixStream::pair().expect("a pair").0.into()),
            "it is no listening stream socket"
        );
        assert_eq!(refused(std::fs::File::open("/dev/null").expect("it is there").into()), "it is no socket");
        let both = Socket::new(socket2::Domain::IPV6, Type::STREAM, None).expect("a socket");
        let any: std::net::SocketAddr = "[::]:0".parse().expect("an address");
        both.set_only_v6(false).expect("a fresh socket");
        both.bind(&any.into()).expect("a port");
        both.listen(8).expect("bound");
        assert!(refused(both.into()).contains("BindIPv6Only"));
    }

    #[test]
    fn the_file_of_a_socket_that_was_inherited_stays() {
        let path = std::env::temp_dir().join(format!("reactor-inherited-{}", std::process::id()));
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("a path");
        let inherited = InheritedSocket::new(listener.into()).expect("it listens");
        assert_eq!(inherited.at().path(), Some(path.as_path()));
        drop(inherited.listen(&OPTIONS, false).expect("it goes on"));
        assert!(path.exists());
        std::fs::remove_file(&path).expect("it is there");
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("a path");
        let own = InheritedSocket::new(listener.into()).expect("it listens");
        drop(own.listen(&OPTIONS, true).expect("it goes on"));
        assert!(!path.exists(), "that of a former version of this program is its own");
    }
}
