//! The pidfile: a file with the number of the running process, made at the start and removed at the end. Knows nothing of
//! forks; it is claimed by the process that serves.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::kill;
use nix::unistd::{access, AccessFlags, Pid};

/// Every account that may read the folder may read the number.
const MODE: u32 = 0o644;

/// Most bytes that are read of a file that is there already: no pid is longer.
const CONTENT_BYTES_MAX: u64 = 32;

/// How often a file that vanishes between opening and locking is opened again: once for each process that ends just then.
const ATTEMPTS: usize = 3;

/// A pidfile that is ours. It stays locked as long as this value lives, so that of two processes that start at once only
/// one can take it.
#[derive(Debug)]
pub struct Pidfile {
    path: PathBuf,
    file: Flock<File>,
}

/// What came of claiming a pidfile.
#[derive(Debug)]
pub enum Claim {
    /// The file holds our number.
    Ours(Pidfile),
    /// The file holds the number of another process that lives, or is locked by one (`None`). It was left alone.
    Held(Option<i32>),
    /// The file holds something that is no number, so it may belong to another program. It was left alone.
    Foreign,
}

impl Pidfile {
    /// Claims the file at `path` for the process `pid`: creates it, or takes it over where it is empty or names a process
    /// that is gone. A symbolic link is not followed.
    ///
    /// # Errors
    /// What the system says when the file can be neither created nor written.
    pub fn claim(path: &Path, pid: u32) -> io::Result<Claim> {
        let Some(mut file) = open_locked(path)? else { return Ok(Claim::Held(None)) };
        match Holder::read(&mut file)? {
            Holder::Foreign => return Ok(Claim::Foreign),
            Holder::Process(other) if u32::try_from(other) != Ok(pid) && is_alive(other) => {
                return Ok(Claim::Held(Some(other)))
            }
            Holder::Nobody | Holder::Process(_) => {}
        }
        write_number(&mut file, pid)?;
        Ok(Claim::Ours(Self { path: path.to_owned(), file }))
    }

    /// Could the file be claimed, without a trace?
    ///
    /// # Errors
    /// What claiming it would end with.
    pub fn check(path: &Path) -> io::Result<()> {
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => Err(Errno::ELOOP),
            Ok(found) if found.is_dir() => Err(Errno::EISDIR),
            Ok(_) => access(path, AccessFlags::R_OK | AccessFlags::W_OK),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                access(folder.unwrap_or(Path::new(".")), AccessFlags::W_OK | AccessFlags::X_OK)
            }
            Err(error) => return Err(error),
        }
        .map_err(io::Error::from)
    }

    /// Goes on with the file that a former version of this program has claimed for this process, and holds locked. None where it
    /// is another file than that of `path` now; it is emptied then, since it names this process.
    pub fn go_on(path: Option<&Path>, descriptor: OwnedFd) -> Option<Self> {
        let file = Flock::lock(File::from(descriptor), FlockArg::LockExclusiveNonblock).ok()?;
        match path.filter(|path| is_at(&file, path).unwrap_or(false)) {
            Some(path) => Some(Self { path: path.to_owned(), file }),
            None => file.set_len(0).map_or(None, |()| None),
        }
    }

    /// Is it the file of `path` that a former version has claimed? The claim stays what it is.
    pub fn is_claimed(path: &Path, descriptor: &OwnedFd) -> bool {
        descriptor.try_clone().is_ok_and(|file| is_at(&File::from(file), path).unwrap_or(false))
    }

    /// The process that holds the file at `path` as its own. None where none does: the number that is left in it may be that of
    /// any program by now.
    ///
    /// # Errors
    /// What the system says when the file cannot be read, and `InvalidData` where it holds no number.
    pub fn holder(path: &Path) -> io::Result<Option<i32>> {
        let file = match Flock::lock(File::open(path)?, FlockArg::LockSharedNonblock) {
            Ok(_) => return Ok(None),
            Err((file, Errno::EWOULDBLOCK)) => file,
            Err((_, errno)) => return Err(errno.into()),
        };
        match Holder::read(&mut { file })? {
            Holder::Process(pid) => Ok(Some(pid)),
            Holder::Nobody | Holder::Foreign => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Its descriptor, for the next version.
    pub fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Lets go of the file without a trace: it is that of another process, which has the same lock.
    pub fn leave(self) {
        let descriptor = self.file.as_raw_fd();
        // Dropped, it would give the lock back for both (flock(2)).
        std::mem::forget(self.file);
        let _ = nix::unistd::close(descriptor);
    }

    /// Removes the file, unless another one took its place. Where the folder does not let us, the file is emptied, which
    /// the next start understands as well.
    ///
    /// # Errors
    /// What the system says when the file can be neither removed nor emptied.
    pub fn release(self) -> io::Result<()> {
        if !is_at(&self.file, &self.path)? {
            return Ok(());
        }
        fs::remove_file(&self.path).or_else(|_| self.file.set_len(0))
    }
}

impl fmt::Display for Claim {
    /// The warning for the log, and for a file that is ours a sentence that says so.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours(pidfile) => write!(f, "pidfile {} written", pidfile.path.display()),
            Self::Held(Some(pid)) => write!(f, "pidfile left alone, process {pid} is running"),
            Self::Held(None) => f.write_str("pidfile left alone, another process holds it"),
            Self::Foreign => f.write_str("pidfile left alone, it does not hold a process number"),
        }
    }
}

/// The process that a file names.
#[derive(Debug, PartialEq, Eq)]
enum Holder {
    Nobody,
    Process(i32),
    Foreign,
}

impl Holder {
    fn read(file: &mut File) -> io::Result<Self> {
        if !file.metadata()?.is_file() {
            return Ok(Self::Foreign);
        }
        let mut content = Vec::new();
        file.take(CONTENT_BYTES_MAX + 1).read_to_end(&mut content)?;
        Ok(Self::parse(&content))
    }

    fn parse(content: &[u8]) -> Self {
        match content.trim_ascii() {
            b"" => Self::Nobody,
            text if text.iter().all(u8::is_ascii_digit) => {
                let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
                // Signals to 0 would reach our own group: no process has that number.
                number.filter(|pid| *pid > 0).map_or(Self::Foreign, Self::Process)
            }
            _ => Self::Foreign,
        }
    }
}

/// The file at this path, locked; `None` when another process has locked it.
fn open_locked(path: &Path) -> io::Result<Option<Flock<File>>> {
    for _ in 0..ATTEMPTS {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) if is_at(&file, path)? => return Ok(Some(file)),
            Ok(_) => {}
            Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, errno)) => return Err(errno.into()),
        }
    }
    Ok(None)
}

/// Whether the path leads to this very file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    Ok(fs::symlink_metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())))
}

/// A process that may not be signalled lives all the same.
fn is_alive(pid: i32) -> bool {
    !matches!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH))
}

fn write_number(file: &mut File, pid: u32) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(format!("{pid}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn path(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("exaproxy-pidfile-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        path
    }

    fn ours(claim: Claim) -> Pidfile {
        match claim {
            Claim::Ours(pidfile) => pidfile,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_missing_file_is_made_and_removed() {
        let path = path("missing");
        assert!(Pidfile::check(&path).is_ok() && !path.exists(), "no trace");
        assert!(Pidfile::check(&path.join("below")).is_err() && Pidfile::check(Path::new("/")).is_err());
        let pidfile = ours(Pidfile::claim(&path, 4049).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "4049\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, MODE);
        assert!(matches!(Pidfile::claim(&path, 4050).unwrap(), Claim::Held(None)));
        pidfile.release().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn stale_and_empty_files_are_taken_over_and_live_or_foreign_ones_left_alone() {
        let path = path("there");
        let mut child = Command::new("true").spawn().unwrap();
        let gone = child.id();
        child.wait().unwrap();
        for content in ["", "\n", &gone.to_string(), &format!("{gone}\n\n"), "77\n"] {
            fs::write(&path, content).unwrap();
            let pidfile = ours(Pidfile::claim(&path, 77).unwrap());
            assert_eq!(fs::read_to_string(&path).unwrap(), "77\n", "{content:?}");
            pidfile.release().unwrap();
        }
        let own = std::process::id();
        fs::write(&path, format!("{own}\n")).unwrap();
        assert!(matches!(Pidfile::claim(&path, 77).unwrap(), Claim::Held(Some(pid)) if pid as u32 == own));
        for content in ["root:x:0:0\n", "12 13", "-1", "0", "99999999999", "1e3", &"1".repeat(100)] {
            fs::write(&path, content).unwrap();
            assert!(matches!(Pidfile::claim(&path, 77).unwrap(), Claim::Foreign), "{content:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_took_our_place_is_not_removed() {
        let path = path("replaced");
        let pidfile = ours(Pidfile::claim(&path, 77).unwrap());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "78\n").unwrap();
        pidfile.release().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "78\n");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_next_version_with_another_pidfile_leaves_no_number_in_the_former() {
        let (path, other) = (path("former"), path("other"));
        let handed = || {
            let claimed = ours(Pidfile::claim(&path, 77).unwrap());
            let descriptor = claimed.file.try_clone().unwrap().into();
            claimed.leave();
            descriptor
        };
        let pidfile = Pidfile::go_on(Some(&path), handed()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "77\n");
        pidfile.release().unwrap();
        for now in [Some(other.as_path()), None] {
            assert!(Pidfile::go_on(now, handed()).is_none());
            assert_eq!(fs::read_to_string(&path).unwrap(), "", "{now:?}");
        }
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn links_and_devices_are_not_written_to() {
        let (path, target) = (path("link"), path("target"));
        fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(Pidfile::claim(&path, 77).is_err() && Pidfile::check(&path).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "");
        assert!(matches!(Pidfile::claim(Path::new("/dev/null"), 77).unwrap(), Claim::Foreign));
        fs::remove_file(path).unwrap();
        fs::remove_file(target).unwrap();
    }
}
