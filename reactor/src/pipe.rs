//! Pipes in the kernel, through which bytes go from socket to socket without a copy (splice(2)), and the bound on those that
//! hold bytes. Linux alone has them; elsewhere none is ever to be had.

use std::io;
use std::num::NonZeroU16;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use slab::Slab;

/// Bytes that a pipe is made for: as many as every account may ask for (pipe(7), pipe-max-size). The larger, the less bulk
/// costs: a download 0.52 s of CPU for a GiB with 64 KiB, 0.46 with 256 KiB, 0.30 with 1 MiB.
const SIZE: usize = 1 << 20;

/// Pipes of less are not worth their calls. The system gives out small ones once an account has many (pipe(7),
/// pipe-user-pages-soft).
const LEAST: usize = 64 << 10;

/// Empty pipes that stay open for the next use.
const SPARE: usize = 4;

/// How often a pipe is wanted in vain before the system is asked again, once it has refused one.
const PAUSE: u32 = 1000;

/// A pipe, and how much is in it.
#[derive(Debug)]
pub struct Pipe {
    output: OwnedFd,
    input: OwnedFd,
    size: usize,
    len: usize,
}

impl Pipe {
    fn new() -> io::Result<Pipe> {
        let (output, input, size) = open(SIZE)?;
        match size >= LEAST {
            true => Ok(Pipe { output, input, size, len: 0 }),
            false => Err(io::ErrorKind::OutOfMemory.into()),
        }
    }

    /// The pipe with these ends, which another process has filled with `len` bytes.
    ///
    /// # Errors
    /// When they are not those of a pipe, or it cannot hold so much.
    pub fn of(output: OwnedFd, input: OwnedFd, len: usize) -> io::Result<Pipe> {
        let size = size_of_pipe(&output)?;
        let fits = len > 0 && len <= size && size_of_pipe(&input)? == size;
        if fits {
            Ok(Pipe { output, input, size, len })
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }

    /// The end that bytes are written to.
    pub fn input(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    /// The end that they are read from.
    pub fn output(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }

    /// Bytes that fit in, where they come in whole pages.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is nothing in it?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn filled(&mut self, count: usize) {
        self.len += count;
    }

    pub(crate) fn drained(&mut self, count: usize) {
        debug_assert!(count <= self.len);
        self.len -= count.min(self.len);
    }
}

/// A new pipe of about `size` bytes that never blocks, and its true size.
#[cfg(target_os = "linux")]
fn open(size: usize) -> io::Result<(OwnedFd, OwnedFd, usize)> {
    use nix::fcntl::{fcntl, FcntlArg, OFlag};
    let (output, input) = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
    let wanted = libc::c_int::try_from(size).unwrap_or(libc::c_int::MAX);
    // A failure leaves the size that it has.
    let _ = fcntl(&input, FcntlArg::F_SETPIPE_SZ(wanted));
    let size = size_of_pipe(&input)?;
    Ok((output, input, size))
}

#[cfg(target_os = "linux")]
fn size_of_pipe(end: &OwnedFd) -> io::Result<usize> {
    let size = nix::fcntl::fcntl(end, nix::fcntl::FcntlArg::F_GETPIPE_SZ)?;
    Ok(usize::try_from(size).unwrap_or(0))
}

/// Elsewhere there is no splice(2).
#[cfg(not(target_os = "linux"))]
fn size_of_pipe(_end: &OwnedFd) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Elsewhere there is no splice(2).
#[cfg(not(target_os = "linux"))]
fn open(_size: usize) -> io::Result<(OwnedFd, OwnedFd, usize)> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Names a pipe that was kept because it holds bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PipeKey(NonZeroU16);

impl PipeKey {
    fn index(self) -> usize {
        usize::from(self.0.get()) - 1
    }
}

/// The pipes of a loop: empty ones, for use between two calls, and those that keep what a destination did not take.
#[derive(Debug)]
pub struct Pipes {
    spare: Vec<Pipe>,
    kept: Slab<Pipe>,
    most: usize,
    pause: u32,
}

impl Pipes {
    /// None yet; at most `most` may hold bytes at a time.
    pub fn new(most: usize) -> Pipes {
        Pipes { spare: Vec::new(), kept: Slab::new(), most, pause: 0 }
    }

    /// Changes how many may hold bytes at a time. Those that do so now go on.
    pub fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// An empty pipe, to be filled and drained before another is asked for, or [`Pipes::keep`]. None where there are too many
    /// already, or the system has none.
    pub fn empty(&mut self) -> Option<&mut Pipe> {
        if !self.has_room() {
            return None;
        }
        if self.spare.is_empty() {
            if self.pause > 0 {
                self.pause -= 1;
                return None;
            }
            match Pipe::new() {
                Ok(pipe) => self.spare.push(pipe),
                Err(_) => self.refuse(),
            }
        }
        self.spare.last_mut()
    }

    /// Keeps the bytes in the pipe that [`Pipes::empty`] gave last.
    pub fn keep(&mut self) -> Option<PipeKey> {
        let pipe = self.spare.pop()?;
        let key = u16::try_from(self.kept.vacant_key() + 1).ok().and_then(NonZeroU16::new)?;
        self.kept.insert(pipe);
        Some(PipeKey(key))
    }

    /// Gives a pipe that was kept away with the bytes in it.
    pub fn give(&mut self, key: PipeKey) -> Pipe {
        self.kept.remove(key.index())
    }

    /// Whether another one may hold bytes.
    pub fn has_room(&self) -> bool {
        self.kept.len() < self.most.min(usize::from(u16::MAX))
    }

    /// Keeps a pipe with bytes in it that was given; gives it back where there are too many already.
    ///
    /// # Errors
    /// The pipe.
    pub fn take(&mut self, pipe: Pipe) -> Result<PipeKey, Pipe> {
        let key = u16::try_from(self.kept.vacant_key() + 1).ok().and_then(NonZeroU16::new);
        let Some(key) = key else { return Err(pipe) };
        self.kept.insert(pipe);
        Ok(PipeKey(key))
    }

    /// Throws away what is in the pipe that [`Pipes::empty`] gave last.
    pub fn discard(&mut self) {
        self.spare.pop();
    }

    /// No pipes for a while: the system gives none, or has no use for them.
    pub fn refuse(&mut self) {
        self.spare.clear();
        self.pause = PAUSE;
    }

    /// A pipe that was kept.
    pub fn get(&self, key: PipeKey) -> &Pipe {
        &self.kept[key.index()]
    }

    /// The same, to be drained.
    pub fn get_mut(&mut self, key: PipeKey) -> &mut Pipe {
        &mut self.kept[key.index()]
    }

    /// Takes a pipe back. One with bytes in it is closed, and they are gone.
    pub fn release(&mut self, key: PipeKey) {
        let pipe = self.kept.remove(key.index());
        if pipe.is_empty() && self.spare.len() < SPARE {
            self.spare.push(pipe);
        }
    }

    /// Pipes that hold bytes.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn fill(pipe: &mut Pipe, bytes: &[u8]) {
        let count = nix::unistd::write(pipe.input(), bytes).expect("there is room");
        pipe.filled(count);
    }

    #[test]
    fn a_pipe_is_made_once_and_used_again() {
        let mut pipes = Pipes::new(1);
        let pipe = pipes.empty().expect("a pipe");
        assert!(pipe.size() >= LEAST && pipe.is_empty());
        fill(pipe, b"some");
        let key = pipes.keep().expect("it was given");
        assert_eq!((pipes.get(key).len(), pipes.kept()), (4, 1));
        assert!(pipes.empty().is_none(), "one may hold bytes");
        let mut into = [0; 8];
        let pipe = pipes.get_mut(key);
        let count = nix::unistd::read(pipe.output(), &mut into).expect("bytes");
        pipe.drained(count);
        assert_eq!(&into[..count], b"some");
        pipes.release(key);
        assert_eq!((pipes.kept(), pipes.spare.len()), (0, 1));
        assert!(pipes.empty().is_some_and(|pipe| pipe.is_empty()));
    }

    #[test]
    fn bytes_go_with_their_pipe() {
        let mut pipes = Pipes::new(2);
        fill(pipes.empty().expect("a pipe"), b"some");
        let key = pipes.keep().expect("it was given");
        pipes.release(key);
        assert!(pipes.spare.is_empty(), "it is closed");
        fill(pipes.empty().expect("another"), b"some");
        pipes.discard();
        assert!(pipes.empty().is_some_and(|pipe| pipe.is_empty()));
    }

    #[test]
    fn a_pipe_goes_elsewhere_with_its_bytes() {
        let (mut pipes, mut others) = (Pipes::new(1), Pipes::new(1));
        fill(pipes.empty().expect("a pipe"), b"some");
        let key = pipes.keep().expect("it was given");
        let Pipe { output, input, len, .. } = pipes.give(key);
        assert_eq!((pipes.kept(), others.has_room()), (0, true));
        let pipe = Pipe::of(output, input, len).expect("a pipe");
        let key = others.take(pipe).expect("room");
        assert_eq!((others.get(key).len(), others.has_room()), (4, false));
        let mut into = [0; 8];
        let count = nix::unistd::read(others.get(key).output(), &mut into).expect("bytes");
        assert_eq!(&into[..count], b"some");
        let file = || OwnedFd::from(std::fs::File::open("/dev/null").expect("it is there"));
        assert!(Pipe::of(file(), file(), 1).is_err());
    }

    #[test]
    fn what_is_refused_is_asked_for_again_later() {
        let mut pipes = Pipes::new(2);
        pipes.refuse();
        assert!((0..PAUSE).all(|_| pipes.empty().is_none()));
        assert!(pipes.empty().is_some());
        pipes.set_most(0);
        assert!(pipes.empty().is_none());
    }
}
