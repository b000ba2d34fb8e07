//! What the Linux kernel tells of this machine's addresses and routes (rtnetlink(7)): that some have changed, the networks that
//! it delivers here although no interface has their addresses, and which families lead out. Judges none of them.

mod routes;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::event::Source;
use mio::unix::SourceFd;
use nix::errno::Errno;
use nix::sys::socket::{bind, recv, socket};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType};

/// Messages taken in a row. More than this is a flood, after which everything is read anew in any case.
const MOST_MESSAGES: usize = 1_024;

/// Bytes for one message or one part of a list; the kernel fills no more than 32 KiB at a time.
const BUFFER: usize = 32 * 1024;

/// Bytes of the header of a message (struct nlmsghdr).
const HEADER: usize = 16;

use routes::{is_local, is_usable};
pub use routes::{local_routes, ways_out};

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changed {
    /// Nothing that is of use here.
    Nothing,
    /// A route to elsewhere. On a router they come and go by the thousand.
    Route,
    /// An address of this machine, or a network that is delivered here.
    Address,
}

/// A socket that says when an address or a route of this machine comes or goes.
#[derive(Debug)]
pub struct AddressWatch(OwnedFd);

impl AddressWatch {
    /// Opens it.
    ///
    /// # Errors
    /// Where the kernel does not let us, as some containers have it.
    pub fn open() -> io::Result<Option<AddressWatch>> {
        let addresses = libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
        let groups = addresses | libc::RTMGRP_IPV4_ROUTE | libc::RTMGRP_IPV6_ROUTE;
        let socket = open()?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups as u32))?;
        Ok(Some(AddressWatch(socket)))
    }

    /// Reads what has come, and tells the gravest of it.
    pub fn changed(&mut self) -> Changed {
        let mut buffer = vec![0; BUFFER];
        let mut changed = Changed::Nothing;
        for _ in 0..MOST_MESSAGES {
            match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(count) => {
                    let told = messages(&buffer[..count]).map(|(kind, body)| weight(kind, body));
                    changed = told.fold(changed, Changed::max);
                }
                Err(Errno::EAGAIN) => return changed,
                // There was more than the socket holds, so that some is lost.
                Err(Errno::ENOBUFS) => changed = Changed::Address,
                Err(Errno::EINTR) => {}
                Err(_) => return Changed::Address,
            }
        }
        Changed::Address
    }
}

impl Source for AddressWatch {
    fn register(&mut self, registry: &mio::Registry, token: mio::Token, interest: mio::Interest) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).register(registry, token, interest)
    }

    fn reregister(&mut self, registry: &mio::Registry, token: mio::Token, interest: mio::Interest) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).reregister(registry, token, interest)
    }

    fn deregister(&mut self, registry: &mio::Registry) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).deregister(registry)
    }
}

fn open() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?)
}

/// The messages in what was read: the type of each, and what stands behind its header.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
        let body = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// What a change means for us.
fn weight(kind: u16, body: &[u8]) -> Changed {
    match kind {
        libc::RTM_NEWROUTE | libc::RTM_DELROUTE if is_local(body) => Changed::Address,
        libc::RTM_NEWROUTE | libc::RTM_DELROUTE if is_usable(body) => Changed::Route,
        libc::RTM_NEWROUTE | libc::RTM_DELROUTE => Changed::Nothing,
        _ => Changed::Address,
    }
}
