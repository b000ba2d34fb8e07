//! Every unsafe system call that no crate wraps, each behind a safe function, and those that only some systems have.
#![allow(unsafe_code)]

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::socket::{recv, sendmsg, ControlMessage, MsgFlags};
#[cfg(target_os = "linux")]
use socket2::{Domain, SockRef};

/// Throws away up to as many bytes that a stream socket has received as `over` has room for. TCP does not copy them (tcp(7),
/// MSG_TRUNC); a Unix socket does, into `over`. Gives the number thrown away; 0 is the end of the stream.
pub fn discard(socket: BorrowedFd<'_>, over: &mut [u8]) -> io::Result<usize> {
    let flags = if cfg!(target_os = "linux") { MsgFlags::MSG_TRUNC } else { MsgFlags::empty() };
    Ok(recv(socket.as_raw_fd(), over, flags | MsgFlags::MSG_DONTWAIT)?)
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
/// not tell. Of a Unix socket it tells how much memory they take, which is no such number.
#[cfg(target_os = "linux")]
pub fn unsent(socket: BorrowedFd<'_>) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: the descriptor is open for as long as the borrow lives, and the call writes one int, which `count` is.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, std::ptr::from_mut(&mut count)) };
    match done {
        0 if count > 0 && !is_unix(socket) => usize::try_from(count).unwrap_or(0),
        _ => 0,
    }
}

#[cfg(target_os = "linux")]
fn is_unix(socket: BorrowedFd<'_>) -> bool {
    SockRef::from(&socket).domain().is_ok_and(|domain| domain == Domain::UNIX)
}

/// Who is at the other end of a Unix socket, user and process, as it was when it connected (unix(7), SO_PEERCRED). The process is
/// 0 where it cannot be seen from here.
///
/// # Errors
/// What getsockopt(2) says.
#[cfg(target_os = "linux")]
pub fn peer_credentials(socket: &impl AsFd) -> io::Result<(u32, u32)> {
    let found = nix::sys::socket::getsockopt(socket, nix::sys::socket::sockopt::PeerCredentials)?;
    Ok((found.uid(), u32::try_from(found.pid()).unwrap_or(0)))
}

/// Elsewhere only the user is told.
///
/// # Errors
/// What getpeereid(3) says.
#[cfg(not(target_os = "linux"))]
pub fn peer_credentials(socket: &impl AsFd) -> io::Result<(u32, u32)> {
    let (uid, _) = nix::unistd::getpeereid(socket)?;
    Ok((uid.as_raw(), 0))
}

/// Elsewhere it is not asked for.
#[cfg(not(target_os = "linux"))]
pub fn unsent(_socket: BorrowedFd<'_>) -> usize {
    0
}

/// In which of the two processes [`fork`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forked {
    /// The old process, with the number of the new one.
    Parent(u32),
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
        child if child > 0 => Ok(Forked::Parent(child.unsigned_abs())),
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

/// Takes descriptors over that the process was started with, beyond the three standard ones. Only the first call gives any; it
/// is to be made before anything is opened, or the numbers could be those of others. Programs that are started do not get them.
///
/// # Errors
/// When one of them is not open, or named twice.
pub fn take_inherited(numbers: &[RawFd]) -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    for (place, number) in numbers.iter().enumerate() {
        let standard = *number <= libc::STDERR_FILENO;
        if standard || numbers[..place].contains(number) || close_on_exec(*number).is_err() {
            return Err(io::Error::other(format!("descriptor {number} is not there to be had")));
        }
    }
    // SAFETY: each is open, and no value owns it: nothing was opened before, none is named twice, and no other call gets here.
    Ok(numbers.iter().map(|number| unsafe { OwnedFd::from_raw_fd(*number) }).collect())
}

/// Has a program get these descriptors, by their numbers; it cannot be started if one of them is not open by then.
pub fn pass_on(command: &mut Command, numbers: Vec<RawFd>) {
    let pass = move || {
        for number in &numbers {
            // SAFETY: the call sets the flags of a descriptor and touches no memory (fcntl(2)).
            if unsafe { libc::fcntl(*number, libc::F_SETFD, 0) } == -1 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: between fork and exec it makes one system call for each number, and neither allocates nor locks.
    unsafe { command.pre_exec(pass) };
}

/// Lets a later bind(2) to port 0 leave the choice of the port to connect(2), which may then share ports between
/// destinations (ip(7), IP_BIND_ADDRESS_NO_PORT).
#[cfg(target_os = "linux")]
pub fn bind_address_no_port(socket: &impl AsRawFd) -> io::Result<()> {
    switch_on(socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT)
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
    switch_on(socket, libc::SOL_NETLINK, libc::NETLINK_GET_STRICT_CHK)
}

/// Sets an option of a socket to 1 that nix does not know.
#[cfg(target_os = "linux")]
fn switch_on(socket: &impl AsRawFd, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = std::mem::size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as `socket` is borrowed; the option value is a live int of that size.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, std::ptr::from_ref(&on).cast(), size) };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
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

/// Has accounts and machines looked up in files and by DNS alone. What else nsswitch.conf(5) may name are libraries for the C
/// library of the system, and a static program has its own: with one of another version it ended by SIGFPE.
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
pub fn look_up_without_libraries() {
    extern "C" {
        fn __nss_configure_lookup(database: *const libc::c_char, services: *const libc::c_char) -> libc::c_int;
    }
    for (database, services) in [(c"passwd", c"files"), (c"group", c"files"), (c"hosts", c"files dns")] {
        // SAFETY: both are texts that last for ever, of which the call keeps its own reading, before there are threads.
        unsafe { __nss_configure_lookup(database.as_ptr(), services.as_ptr()) };
    }
}

/// Other programs have the libraries of the system, or a C library that knows files alone.
#[cfg(not(all(target_env = "gnu", target_feature = "crt-static")))]
pub fn look_up_without_libraries() {}

/// Most descriptors that come with one packet (unix(7), SCM_MAX_FD).
const MOST_DESCRIPTORS: usize = 253;

/// A message that has come over a socket that keeps their bounds.
#[derive(Debug)]
pub struct Packet {
    /// How many bytes of it are there.
    pub length: usize,
    /// The descriptors that came with it.
    pub descriptors: Vec<OwnedFd>,
    /// Neither bytes nor descriptors are missing.
    pub whole: bool,
}

/// Sends a message with descriptors, whole or not at all, and waits for nothing.
///
/// # Errors
/// What sendmsg(2) says.
pub fn send_packet(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let control = if numbers.is_empty() { &[][..] } else { &rights[..] };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], control, flags, None)?;
    Ok(())
}

/// Takes the next message with its descriptors, which programs that are started do not get, and waits for nothing. A length of 0
/// is the end. By hand, because a wrapper that refuses what lacks a descriptor would lose the others.
///
/// # Errors
/// What recvmsg(2) says.
pub fn receive_packet(socket: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<Packet> {
    // SAFETY: the call computes a number.
    const SPACE: usize = unsafe { libc::CMSG_SPACE((MOST_DESCRIPTORS * size_of::<RawFd>()) as libc::c_uint) as usize };
    // In words, so that the headers in it are aligned.
    let mut control = [0_u64; SPACE.div_ceil(size_of::<u64>())];
    let mut part = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: all of its fields are numbers and pointers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    (message.msg_control, message.msg_controllen) = (control.as_mut_ptr().cast(), SPACE as _);
    // SAFETY: the descriptor is open for as long as the borrow lives; `message` names `into` and `control` with their sizes, and
    // nothing else uses them during the call.
    let got =
        unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC) };
    let length = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    let mut descriptors = Vec::new();
    // SAFETY: the kernel has filled `control` as far as `msg_controllen` says, which the macros stay within; the length of a header
    // says how many descriptors are behind it. Each was made by this call for this process, so that no value owns it.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let data = libc::CMSG_DATA(header).cast::<RawFd>();
                let bytes = ((*header).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
                for place in 0..bytes / size_of::<RawFd>() {
                    descriptors.push(OwnedFd::from_raw_fd(data.add(place).read_unaligned()));
                }
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    let whole = message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) == 0;
    Ok(Packet { length, descriptors, whole })
}
