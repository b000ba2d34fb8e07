//! Every unsafe system call that no crate wraps, each behind a safe function, and those that only some systems have.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Throws away up to `count` bytes that a stream socket has received, without copying them (tcp(7), MSG_TRUNC).
/// Gives the number thrown away; 0 is the end of the stream.
#[cfg(target_os = "linux")]
pub fn discard(socket: BorrowedFd<'_>, count: usize) -> io::Result<usize> {
    // SAFETY: the descriptor is open for as long as the borrow lives. With MSG_TRUNC a TCP socket does not write to
    // the buffer (tcp(7)), so the null pointer is never followed.
    let taken =
        unsafe { libc::recv(socket.as_raw_fd(), std::ptr::null_mut(), count, libc::MSG_TRUNC | libc::MSG_DONTWAIT) };
    usize::try_from(taken).map_err(|_| io::Error::last_os_error())
}

/// Throws away up to `count` received bytes by reading them.
#[cfg(not(target_os = "linux"))]
pub fn discard(socket: BorrowedFd<'_>, count: usize) -> io::Result<usize> {
    let mut sink = [0u8; 16 * 1024];
    let wanted = count.min(sink.len());
    // SAFETY: the descriptor is open for as long as the borrow lives, and `sink` has room for `wanted` bytes.
    let taken = unsafe { libc::recv(socket.as_raw_fd(), sink.as_mut_ptr().cast(), wanted, libc::MSG_DONTWAIT) };
    usize::try_from(taken).map_err(|_| io::Error::last_os_error())
}

/// Moves up to `most` bytes between a pipe and a socket, either way, and waits for nothing (splice(2)). Gives the number moved;
/// 0 is the end of what is read from.
#[cfg(target_os = "linux")]
pub fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
    use nix::fcntl::{splice, SpliceFFlags};
    let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
    Ok(splice(from, None, to, None, most, flags)?)
}

/// Elsewhere there is no such call.
#[cfg(not(target_os = "linux"))]
pub fn splice(_from: BorrowedFd<'_>, _to: BorrowedFd<'_>, _most: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Bytes in the send queue of a TCP socket that the peer has not acknowledged (tcp(7), SIOCOUTQ); 0 where the system does
/// not tell.
#[cfg(target_os = "linux")]
pub fn unsent(socket: BorrowedFd<'_>) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: the descriptor is open for as long as the borrow lives, and the call writes one int, which `count` is.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, std::ptr::from_mut(&mut count)) };
    match done {
        0 => usize::try_from(count).unwrap_or(0),
        _ => 0,
    }
}

/// Elsewhere it is not asked for.
#[cfg(not(target_os = "linux"))]
pub fn unsent(_socket: BorrowedFd<'_>) -> usize {
    0
}

/// In which of the two processes [`fork`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forked {
    /// The old process.
    Parent,
    /// The new one.
    Child,
}

/// Makes a second process (fork(2)). Refused while other threads run, as far as the system tells (Linux): the child
/// would inherit the locks that they hold, and not the threads that release them.
///
/// # Errors
/// When there are other threads, else what fork(2) says.
pub fn fork() -> io::Result<Forked> {
    if std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() > 1) {
        return Err(io::Error::other("other threads run already"));
    }
    // SAFETY: this is the only thread, so that no lock is held that the child could wait for in vain, and the child may
    // go on as a process like any other (signal-safety(7) limits it only after a fork beside other threads).
    match unsafe { libc::fork() } {
        0 => Ok(Forked::Child),
        child if child > 0 => Ok(Forked::Parent),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Has a descriptor closed in programs that are started from now on (fcntl(2), FD_CLOEXEC).
///
/// # Errors
/// When there is no such descriptor.
pub fn close_on_exec(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: the calls set a flag of a descriptor and touch no memory; a number that is no descriptor is an error
    // (EBADF). The flag matters only where a program is started, and all places that do so are in this program.
    let done = unsafe {
        match libc::fcntl(descriptor, libc::F_GETFD) {
            -1 => -1,
            flags => libc::fcntl(descriptor, libc::F_SETFD, flags | libc::FD_CLOEXEC),
        }
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Lets a later bind(2) to port 0 leave the choice of the port to connect(2), which may then share ports between
/// destinations (ip(7), IP_BIND_ADDRESS_NO_PORT).
#[cfg(target_os = "linux")]
pub fn bind_address_no_port(socket: &impl AsRawFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = std::mem::size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as `socket` is borrowed; the option value is a live int of that size.
    let done = unsafe {
        let value = std::ptr::from_ref(&on).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, value, size)
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Elsewhere the port is chosen at bind(2).
#[cfg(not(target_os = "linux"))]
pub fn bind_address_no_port(_socket: &impl AsRawFd) -> io::Result<()> {
    Ok(())
}

/// Has the kernel look at all that a netlink socket asks for, so that a list can be asked for in part (NETLINK_GET_STRICT_CHK).
///
/// # Errors
/// Before Linux 4.20.
#[cfg(target_os = "linux")]
pub fn netlink_strict(socket: &impl AsRawFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = std::mem::size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as `socket` is borrowed; the option value is a live int of that size.
    let done = unsafe {
        let value = std::ptr::from_ref(&on).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_NETLINK, libc::NETLINK_GET_STRICT_CHK, value, size)
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Lets other threads go before this one where they share a processor (setpriority(2), of one thread on Linux alone).
#[cfg(target_os = "linux")]
pub fn be_nice() {
    // SAFETY: the call sets a number of the calling thread, 0, and touches no memory. That it fails does no harm.
    let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 10) };
}

/// Elsewhere it would slow the whole process.
#[cfg(not(target_os = "linux"))]
pub fn be_nice() {}

/// Has the allocator give what is freed back to the system: at once where it is 32 KiB or more, which then has pages of its own
/// (mallopt(3), M_MMAP_THRESHOLD), else from 1 MiB on at the end of the heap. To be called before there are threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn return_freed_memory() {
    // SAFETY: the calls set numbers of the allocator, and no other thread reads them meanwhile.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 10);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 20);
    }
}

/// Gives back what lies free below the end of the heap, too (malloc_trim(3)). Takes some 0.2 ms for each MiB, and other threads
/// that need the allocator wait for it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn trim_heap() {
    // SAFETY: the call locks what it works on, and touches no memory that is in use.
    let _ = unsafe { libc::malloc_trim(0) };
}

/// Other allocators are left to themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn return_freed_memory() {}

/// Other allocators are left to themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn trim_heap() {}
