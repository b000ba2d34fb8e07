//! What the Linux kernel tells of this machine's addresses (rtnetlink(7)): that some have changed, and the networks that it
//! delivers here although no interface has their addresses. Judges none of them.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use ipnet::IpNet;
use mio::event::Source;
use mio::unix::SourceFd;
use nix::errno::Errno;
use nix::sys::socket::{bind, recv, send, socket};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType};

/// Messages taken in a row. More than this is a flood, after which everything is read anew in any case.
const MOST_MESSAGES: usize = 1_024;

/// Networks that are kept. A machine with more of them has a larger one around them.
const MOST_ROUTES: usize = 4_096;

/// Bytes for one message or one part of a list; the kernel fills no more than 32 KiB at a time.
const BUFFER: usize = 32 * 1024;

/// Bytes of the header of a message (struct nlmsghdr), and of a route behind it (struct rtmsg).
const HEADER: usize = 16;
const ROUTE: usize = 12;

/// A socket that says when an address or a local route of this machine comes or goes.
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

    /// Reads what has come; whether an address or a local route has changed.
    pub fn has_changed(&mut self) -> bool {
        let mut buffer = vec![0; BUFFER];
        let mut changed = false;
        for _ in 0..MOST_MESSAGES {
            match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(count) => changed |= messages(&buffer[..count]).any(|(kind, body)| concerns_us(kind, body)),
                Err(Errno::EAGAIN) => return changed,
                // There was more than the socket holds, so that some is lost.
                Err(Errno::ENOBUFS) => changed = true,
                Err(Errno::EINTR) => {}
                Err(_) => return true,
            }
        }
        true
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

/// The networks and addresses that the kernel delivers to this machine: its local table, where `ip route add local` puts
/// them and where each address of an interface is too. A few kilobytes that are there at once.
///
/// # Errors
/// Where the kernel does not tell, and before Linux 4.20, which would list every route of every table.
pub fn local_routes() -> io::Result<Vec<IpNet>> {
    let socket = open()?;
    reactor::sys::netlink_strict(&socket)?;
    let mut found = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        send(socket.as_raw_fd(), &request(family as u8), MsgFlags::empty())?;
        read_list(&socket, &mut found)?;
    }
    Ok(found)
}

fn open() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?)
}

/// Asks for the local routes of a family.
fn request(family: u8) -> Vec<u8> {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut message = Vec::with_capacity(HEADER + ROUTE);
    message.extend(((HEADER + ROUTE) as u32).to_ne_bytes());
    message.extend(libc::RTM_GETROUTE.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    // Family, lengths of destination and source, type of service, table, protocol, scope, type; flags.
    message.extend([family, 0, 0, 0, libc::RT_TABLE_LOCAL, 0, 0, libc::RTN_LOCAL]);
    message.extend([0; 4]);
    message
}

fn read_list(socket: &OwnedFd, found: &mut Vec<IpNet>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    for _ in 0..MOST_MESSAGES {
        let count = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        for (kind, body) in messages(&buffer[..count]) {
            match i32::from(kind) {
                // An error says that there is no such table: a kernel without IPv6.
                libc::NLMSG_DONE | libc::NLMSG_ERROR => return Ok(()),
                _ if found.len() < MOST_ROUTES => found.extend(local_route(body)),
                _ => {}
            }
        }
    }
    Err(io::Error::other("the list of local routes does not end"))
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

/// Whether a change is one of our addresses or local routes. Other routes come and go by the thousand on a router.
fn concerns_us(kind: u16, body: &[u8]) -> bool {
    match kind {
        libc::RTM_NEWROUTE | libc::RTM_DELROUTE => is_local(body),
        _ => true,
    }
}

fn is_local(route: &[u8]) -> bool {
    route.get(4) == Some(&libc::RT_TABLE_LOCAL) && route.get(7) == Some(&libc::RTN_LOCAL)
}

/// The destination of a local route.
fn local_route(body: &[u8]) -> Option<IpNet> {
    if !is_local(body) {
        return None;
    }
    let (family, bits) = (i32::from(*body.first()?), *body.get(1)?);
    let mut attributes = body.get(ROUTE..)?;
    // Without a destination it is the whole family.
    let mut to: IpAddr = if family == libc::AF_INET { [0; 4].into() } else { [0; 16].into() };
    while let Some(length) = attributes.first_chunk().map(|length| usize::from(u16::from_ne_bytes(*length))) {
        let Some(value) = attributes.get(4..length) else { break };
        if u16::from_ne_bytes(*attributes.get(2..)?.first_chunk()?) == libc::RTA_DST {
            to = match family {
                libc::AF_INET => <[u8; 4]>::try_from(value).ok()?.into(),
                _ => <[u8; 16]>::try_from(value).ok()?.into(),
            };
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    IpNet::new(to, bits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as the kernel writes it.
    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn route(family: i32, bits: u8, table: u8, kind: u8, to: &[u8]) -> Vec<u8> {
        let mut body = vec![family as u8, bits, 0, 0, table, 2, 254, kind, 0, 0, 0, 0];
        // The table once more, as an attribute that means nothing here.
        body.extend([8, 0, 15, 0, table, 0, 0, 0]);
        body.extend(((4 + to.len()) as u16).to_ne_bytes());
        body.extend(libc::RTA_DST.to_ne_bytes());
        body.extend(to);
        body
    }

    #[test]
    fn b18_local_routes_are_read_and_others_are_not() {
        let local = |family, bits, to: &[u8]| local_route(&route(family, bits, 255, 2, to)).map(|net| net.to_string());
        assert_eq!(local(libc::AF_INET, 16, &[10, 77, 0, 0]).as_deref(), Some("10.77.0.0/16"));
        assert_eq!(local(libc::AF_INET, 32, &[192, 0, 2, 1]).as_deref(), Some("192.0.2.1/32"));
        let v6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(local(libc::AF_INET6, 64, &v6).as_deref(), Some("2001:db8::/64"));
        let whole = [libc::AF_INET as u8, 0, 0, 0, 255, 0, 0, 2, 0, 0, 0, 0];
        assert_eq!(local_route(&whole).map(|net| net.to_string()).as_deref(), Some("0.0.0.0/0"));
        assert_eq!(local(libc::AF_INET, 33, &[10, 77, 0, 0]), None, "no such length");
        assert_eq!(local(libc::AF_INET, 16, &[10, 77]), None, "no address");
        for (table, kind) in [(254, 2), (100, 2), (255, 1), (255, 3)] {
            assert_eq!(local_route(&route(libc::AF_INET, 16, table, kind, &[10, 77, 0, 0])), None);
        }
    }

    #[test]
    fn b18_changes_of_addresses_and_local_routes_concern_us() {
        let other = route(libc::AF_INET, 24, 254, 1, &[10, 0, 0, 0]);
        let ours = route(libc::AF_INET, 16, 255, 2, &[10, 77, 0, 0]);
        let table = [
            (message(libc::RTM_NEWADDR, &[0; 8]), true),
            (message(libc::RTM_DELADDR, &[0; 8]), true),
            (message(libc::RTM_NEWROUTE, &other), false),
            (message(libc::RTM_NEWROUTE, &ours), true),
            (message(libc::RTM_DELROUTE, &ours), true),
            ([message(libc::RTM_NEWROUTE, &other), message(libc::RTM_NEWADDR, &[0; 5])].concat(), true),
            (Vec::new(), false),
        ];
        for (bytes, expected) in table {
            assert_eq!(messages(&bytes).any(|(kind, body)| concerns_us(kind, body)), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_cut_or_lies_about_its_length_is_read_as_far_as_it_goes() {
        let whole = [message(24, &route(libc::AF_INET, 16, 255, 2, &[10, 77, 0, 0])), message(3, &[0; 4])].concat();
        for length in 0..whole.len() {
            let _ = messages(&whole[..length]).filter_map(|(_, body)| local_route(body)).count();
        }
        for at in 0..whole.len() {
            for value in [0, 1, 3, 0x7f, 0xff] {
                let mut bent = whole.clone();
                bent[at] = value;
                assert!(messages(&bent).filter_map(|(_, body)| local_route(body)).count() <= 2);
            }
        }
    }

    #[test]
    fn the_loopback_network_is_delivered_here() {
        // A kernel that does not tell has nothing to show.
        let Ok(found) = local_routes() else { return };
        assert!(found.contains(&"127.0.0.0/8".parse().unwrap()), "{found:?}");
        let mut watch = AddressWatch::open().unwrap().unwrap();
        // Whether something changes on this machine right now is not ours to say, but reading must end.
        let _ = watch.has_changed();
    }
}
