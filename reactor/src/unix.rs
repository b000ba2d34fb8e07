//! The file of a listening Unix socket: made where no program listens, given to those it is for, removed by the process that made it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use mio::net::UnixListener;
use nix::fcntl::{AtFlags, AT_FDCWD};
use nix::sys::stat::{fchmodat, FchmodatFlags, Mode};
use nix::unistd::{access, fchownat, AccessFlags, Gid, Uid};
use socket2::{Domain, SockAddr, Socket, Type};

/// Who may connect: connecting takes the permission to write to the file (unix(7)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketAccess {
    /// Permissions of the file.
    pub mode: u32,
    /// The user that it belongs to, None for that of the process.
    pub uid: Option<u32>,
    /// Its group, None for that of the process.
    pub gid: Option<u32>,
}

impl SocketAccess {
    /// Gives a file to those that it is for. Never follows a link that has been put in its place.
    ///
    /// # Errors
    /// EPERM where it is given to others without the rights of root.
    pub fn grant(&self, path: &Path) -> io::Result<()> {
        if self.uid.is_some() || self.gid.is_some() {
            let (uid, gid) = (self.uid.map(Uid::from_raw), self.gid.map(Gid::from_raw));
            let given = fchownat(AT_FDCWD, path, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW);
            given.map_err(|errno| about("cannot be given to another owner", &errno.into()))?;
        }
        let mode = Mode::from_bits_truncate(self.mode as libc::mode_t);
        let set = fchmodat(AT_FDCWD, path, mode, FchmodatFlags::NoFollowSymlink);
        set.map_err(|errno| about("cannot have these permissions", &errno.into()))
    }
}

fn about(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// The file of a socket that this process has made. It goes with this value.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and number, by which it is told from one that was made in its place; None once it is removed, or of others.
    made: Option<(u64, u64)>,
}

impl SocketFile {
    pub(crate) fn new(path: &Path) -> io::Result<SocketFile> {
        let found = fs::symlink_metadata(path)?;
        Ok(SocketFile { path: path.to_owned(), made: Some((found.dev(), found.ino())) })
    }

    /// One that another process has made, and that stays.
    pub(crate) fn of_others(path: PathBuf) -> SocketFile {
        SocketFile { path, made: None }
    }

    /// Leaves it to another process.
    pub(crate) fn leave(&mut self) {
        self.made = None;
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, unless another one has taken its place.
    ///
    /// # Errors
    /// Those of unlink(2): the folder may not be changed.
    pub fn remove(&mut self) -> io::Result<()> {
        let Some(made) = self.made.take() else { return Ok(()) };
        match fs::symlink_metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == made => fs::remove_file(&self.path),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A caller that wants to know of failures has removed it before.
        let _ = self.remove();
    }
}

/// Opens a listening socket. What is left of one that ended without removing its file is replaced.
///
/// # Errors
/// Those of bind(2) and listen(2); AddrInUse where a program listens there, AlreadyExists where the file is no socket.
pub(crate) fn listen(path: &Path, access: &SocketAccess, backlog: u32) -> io::Result<(UnixListener, SocketFile)> {
    let (socket, address) = (unconnected()?, SockAddr::unix(path)?);
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            clear(path, &address)?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    let file = SocketFile::new(path)?;
    // Before it listens: until then no connection comes about, so that it does not matter which permissions the file was made with.
    access.grant(path)?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok((UnixListener::from(OwnedFd::from(socket)), file))
}

/// Could a listening socket be opened there, as far as files tell? One that a program listens on is no obstacle: it may be gone
/// by then.
///
/// # Errors
/// What opening it would end with.
pub(crate) fn check(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
        return Err(no_socket());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|errno| {
        io::Error::new(io::Error::from(errno).kind(), format!("{}: {}", folder.display(), errno.desc()))
    })
}

fn no_socket() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "a file is there that is no socket, and it is not replaced")
}

fn unconnected() -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Removes the file of a socket on which no program listens any more.
fn clear(path: &Path, address: &SockAddr) -> io::Result<()> {
    use io::ErrorKind::{AddrInUse, ConnectionRefused, NotFound, WouldBlock};
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(no_socket());
        }
        Err(error) if error.kind() == NotFound => return Ok(()),
        found => found.map(drop)?,
    }
    match unconnected()?.connect(address).map_err(|error| (error.kind(), error)) {
        // Its queue may be full.
        Ok(()) | Err((WouldBlock, _)) => Err(io::Error::new(AddrInUse, "another program listens there")),
        Err((ConnectionRefused, _)) => {
            fs::remove_file(path).map_err(|error| about("cannot replace an old socket", &error))
        }
        Err((NotFound, _)) => Ok(()),
        Err((_, error)) => {
            Err(about("a socket is there, and whether a program listens is not to be found out", &error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{symlink, PermissionsExt};
    use std::os::unix::net::{UnixDatagram, UnixListener as StdListener, UnixStream};

    const OWN: SocketAccess = SocketAccess { mode: 0o660, uid: None, gid: None };

    /// A folder that goes away.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("reactor-{name}-{}", std::process::id()));
            fs::create_dir(&path).expect("a folder of this test");
            Folder(path)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("socket")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn kind(opened: io::Result<(UnixListener, SocketFile)>) -> io::ErrorKind {
        opened.expect_err("refused").kind()
    }

    #[test]
    fn the_file_has_its_permissions_and_goes_with_its_listener() {
        let folder = Folder::new("modes");
        for mode in [0o600, 0o660, 0o666, 0o777] {
            let (_socket, file) = listen(&folder.socket(), &SocketAccess { mode, ..OWN }, 8).expect("a listener");
            let found = fs::metadata(file.path()).expect("its file");
            assert_eq!(found.permissions().mode() & 0o7777, mode);
            UnixStream::connect(file.path()).expect("a connection");
            drop(file);
            assert!(!folder.socket().exists());
        }
    }

    #[test]
    fn what_is_left_of_a_listener_is_replaced_and_nothing_else() {
        let folder = Folder::new("stale");
        let path = folder.socket();
        drop(StdListener::bind(&path).expect("a listener"));
        assert!(path.exists(), "it leaves its file");
        let (socket, file) = listen(&path, &OWN, 8).expect("in its place");
        assert_eq!(kind(listen(&path, &OWN, 8)), io::ErrorKind::AddrInUse, "one that listens stays");
        UnixStream::connect(&path).expect("it still does");
        drop((socket, file));
        fs::write(&path, "text").expect("a file");
        assert_eq!(kind(listen(&path, &OWN, 8)), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).expect("the file"), b"text");
        fs::remove_file(&path).expect("the file");
        symlink(folder.0.join("nothing"), &path).expect("a link");
        assert_eq!(kind(listen(&path, &OWN, 8)), io::ErrorKind::AlreadyExists);
        fs::remove_file(&path).expect("the link");
        let _datagrams = UnixDatagram::bind(&path).expect("a socket of another kind");
        assert!(listen(&path, &OWN, 8).is_err() && path.exists());
        assert!(listen(&folder.0.join("no/folder"), &OWN, 8).is_err());
    }

    #[test]
    fn a_full_queue_is_one_of_a_program_that_listens() {
        let folder = Folder::new("full");
        let (_socket, file) = listen(&folder.socket(), &OWN, 1).expect("a listener");
        let address = SockAddr::unix(file.path()).expect("a path");
        let mut waiting: Vec<Socket> = Vec::new();
        let full = (0..1000).find_map(|_| {
            let client = unconnected().expect("a socket");
            let connected = client.connect(&address);
            waiting.push(client);
            connected.err()
        });
        assert_eq!(full.map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
        assert_eq!(kind(listen(file.path(), &OWN, 8)), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn the_file_of_another_socket_is_left_alone() {
        let folder = Folder::new("others");
        let (_socket, mut file) = listen(&folder.socket(), &OWN, 8).expect("a listener");
        fs::rename(file.path(), folder.0.join("moved")).expect("moved away");
        let _other = StdListener::bind(file.path()).expect("another one in its place");
        file.remove().expect("nothing to do");
        assert!(folder.socket().exists());
    }
}
