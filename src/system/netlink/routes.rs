//! Routes, as the kernel lists them: to this machine, and out of it.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use ipnet::IpNet;
use nix::sys::socket::{recv, send, MsgFlags};

use super::{messages, open, BUFFER, HEADER, MOST_MESSAGES};

/// Networks that are kept. A machine with more of them has a larger one around them.
const MOST_NETWORKS: usize = 4_096;

/// Bytes of a route behind the header (struct rtmsg).
const ROUTE: usize = 12;

/// Flags of a route whose interface is gone or has no carrier (RTNH_F_DEAD, RTNH_F_LINKDOWN in linux/rtnetlink.h).
const DEAD: u32 = 1 | 16;

/// The networks and addresses that the kernel delivers to this machine: its local table, where `ip route add local` puts
/// them and where each address of an interface is too. A few kilobytes that are there at once.
///
/// # Errors
/// Where the kernel does not tell, and before Linux 4.20, which would list every route of every table.
pub fn local_routes() -> io::Result<Vec<IpNet>> {
    let mut found = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        list(family, libc::RT_TABLE_LOCAL, libc::RTN_LOCAL, |route| {
            found.extend(is_local(route).then(|| destination(route)).flatten());
            found.len() < MOST_NETWORKS
        })?;
    }
    Ok(found)
}

/// Whether a route of IPv4, and one of IPv6, leads beyond this machine and its links: a default route or any other. Ends at
/// the first that does, so that a long table costs no more than a short one.
///
/// # Errors
/// As [`local_routes`].
pub fn ways_out() -> io::Result<[bool; 2]> {
    let leads_out = |family: i32| {
        let mut found = false;
        list(family, libc::RT_TABLE_UNSPEC, libc::RTN_UNICAST, |route| {
            found = is_usable(route);
            !found
        })
        .map(|()| found)
    };
    Ok([leads_out(libc::AF_INET)?, leads_out(libc::AF_INET6)?])
}

/// Hands the routes of a family, a table (all where it is not named) and a kind to `take`, until it wants no more.
fn list(family: i32, table: u8, kind: u8, mut take: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    // A socket for each list: what is left of one that was not read to its end goes with it.
    let socket: OwnedFd = open()?;
    reactor::sys::netlink_strict(&socket)?;
    send(socket.as_raw_fd(), &request(family as u8, table, kind), MsgFlags::empty())?;
    let mut buffer = vec![0; BUFFER];
    for _ in 0..MOST_MESSAGES {
        let count = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        for (kind, body) in messages(&buffer[..count]) {
            match i32::from(kind) {
                libc::NLMSG_DONE if body.is_empty() => return Ok(()),
                libc::NLMSG_DONE | libc::NLMSG_ERROR => return outcome(body),
                _ if !take(body) => return Ok(()),
                _ => {}
            }
        }
    }
    Err(io::Error::other("the list of routes does not end"))
}

/// What the number at the end of a list, or in its place, means: a table or a family that the kernel does not have holds no route.
/// Of what it does not tell for other reasons nothing is known.
fn outcome(end: &[u8]) -> io::Result<()> {
    let number = end.first_chunk().map_or(-libc::EBADMSG, |number| i32::from_ne_bytes(*number));
    match -number {
        0 | libc::ENOENT | libc::EAFNOSUPPORT | libc::EOPNOTSUPP => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Asks for routes.
fn request(family: u8, table: u8, kind: u8) -> Vec<u8> {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut message = Vec::with_capacity(HEADER + ROUTE);
    message.extend(((HEADER + ROUTE) as u32).to_ne_bytes());
    message.extend(libc::RTM_GETROUTE.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    // Family, lengths of destination and source, type of service, table, protocol, scope, type; flags.
    message.extend([family, 0, 0, 0, table, 0, 0, kind]);
    message.extend([0; 4]);
    message
}

/// Whether a route is in the table of what is delivered here.
pub(super) fn is_local(route: &[u8]) -> bool {
    route.get(4) == Some(&libc::RT_TABLE_LOCAL) && route.get(7) == Some(&libc::RTN_LOCAL)
}

/// Whether a route leads beyond this machine and its links.
pub(super) fn is_usable(route: &[u8]) -> bool {
    let flags = route.get(8..ROUTE).and_then(|flags| flags.first_chunk()).map_or(0, |flags| u32::from_ne_bytes(*flags));
    let unicast = route.get(7) == Some(&libc::RTN_UNICAST) && flags & DEAD == 0;
    unicast && destination(route).is_some_and(|to| !stays_near(to.addr()))
}

fn stays_near(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    address.is_loopback() || link_local || address.is_multicast()
}

/// Where a route leads; the whole family where it has no destination.
fn destination(route: &[u8]) -> Option<IpNet> {
    let (family, bits) = (i32::from(*route.first()?), *route.get(1)?);
    let mut attributes = route.get(ROUTE..)?;
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
    use super::super::{weight, AddressWatch, Changed};
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

    fn local(body: &[u8]) -> Option<IpNet> {
        is_local(body).then(|| destination(body)).flatten()
    }

    #[test]
    fn b18_local_routes_are_read_and_others_are_not() {
        let listed = |family, bits, to: &[u8]| local(&route(family, bits, 255, 2, to)).map(|net| net.to_string());
        assert_eq!(listed(libc::AF_INET, 16, &[10, 77, 0, 0]).as_deref(), Some("10.77.0.0/16"));
        assert_eq!(listed(libc::AF_INET, 32, &[192, 0, 2, 1]).as_deref(), Some("192.0.2.1/32"));
        let v6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(listed(libc::AF_INET6, 64, &v6).as_deref(), Some("2001:db8::/64"));
        let whole = [libc::AF_INET as u8, 0, 0, 0, 255, 0, 0, 2, 0, 0, 0, 0];
        assert_eq!(local(&whole).map(|net| net.to_string()).as_deref(), Some("0.0.0.0/0"));
        assert_eq!(listed(libc::AF_INET, 33, &[10, 77, 0, 0]), None, "no such length");
        assert_eq!(listed(libc::AF_INET, 16, &[10, 77]), None, "no address");
        for (table, kind) in [(254, 2), (100, 2), (255, 1), (255, 3)] {
            assert_eq!(local(&route(libc::AF_INET, 16, table, kind, &[10, 77, 0, 0])), None);
        }
    }

    #[test]
    fn b18_changes_of_addresses_and_local_routes_concern_us() {
        let (table, unicast) = (libc::RT_TABLE_MAIN, libc::RTN_UNICAST);
        let out = route(libc::AF_INET, 24, table, unicast, &[10, 0, 0, 0]);
        let near = route(libc::AF_INET, 16, table, unicast, &[169, 254, 0, 0]);
        let ours = route(libc::AF_INET, 16, 255, 2, &[10, 77, 0, 0]);
        let both = [message(libc::RTM_NEWROUTE, &out), message(libc::RTM_NEWADDR, &[0; 5])].concat();
        let table = [
            (message(libc::RTM_NEWADDR, &[0; 8]), Changed::Address),
            (message(libc::RTM_DELADDR, &[0; 8]), Changed::Address),
            (message(libc::RTM_NEWROUTE, &out), Changed::Route),
            (message(libc::RTM_DELROUTE, &out), Changed::Route),
            (message(libc::RTM_NEWROUTE, &near), Changed::Nothing),
            (message(libc::RTM_NEWROUTE, &ours), Changed::Address),
            (message(libc::RTM_DELROUTE, &ours), Changed::Address),
            (both, Changed::Address),
            (Vec::new(), Changed::Nothing),
        ];
        for (bytes, expected) in table {
            let told = messages(&bytes).map(|(kind, body)| weight(kind, body)).max();
            assert_eq!(told.unwrap_or(Changed::Nothing), expected, "{bytes:?}");
        }
    }

    /// A kernel that had no memory for its list told that nothing leads out of the machine.
    #[test]
    fn ways_16_only_a_missing_table_or_family_has_no_routes() {
        let told =
            |errno: i32| outcome(&[&(-errno).to_ne_bytes()[..], &[0; 16]].concat()).map_err(|e| e.raw_os_error());
        for none in [0, libc::ENOENT, libc::EAFNOSUPPORT, libc::EOPNOTSUPP] {
            assert_eq!(told(none), Ok(()), "{none}");
        }
        for unknown in [libc::EPERM, libc::ENOBUFS, libc::ENOMEM, libc::EINVAL, libc::EBUSY, libc::EINTR] {
            assert_eq!(told(unknown), Err(Some(unknown)));
        }
        assert!(outcome(&[0, 0]).is_err(), "a message that is cut");
    }

    #[test]
    fn routes_to_the_machine_and_its_links_lead_nowhere() {
        let usable = |family, bits, kind, to: &[u8]| is_usable(&route(family, bits, libc::RT_TABLE_MAIN, kind, to));
        let (v4, v6, unicast) = (libc::AF_INET, libc::AF_INET6, libc::RTN_UNICAST);
        let mut v6_default = vec![v6 as u8, 0, 0, 0, 254, 3, 0, unicast, 0, 0, 0, 0];
        assert!(is_usable(&v6_default), "a default route has no destination");
        v6_default[8..12].copy_from_slice(&16_u32.to_ne_bytes());
        assert!(!is_usable(&v6_default), "its cable is out");
        assert!(usable(v4, 8, unicast, &[10, 0, 0, 0]));
        assert!(!usable(v4, 0, libc::RTN_BLACKHOLE, &[0, 0, 0, 0]));
        assert!(!usable(v4, 8, unicast, &[127, 0, 0, 0]));
        let first = |bytes: [u8; 2]| [&bytes[..], &[0; 14]].concat();
        assert!(usable(v6, 64, unicast, &first([0x20, 1])) && usable(v6, 7, unicast, &first([0xfc, 0])));
        assert!(!usable(v6, 64, unicast, &first([0xfe, 0x80])) && !usable(v6, 8, unicast, &first([0xff, 0])));
    }

    #[test]
    fn what_is_cut_or_lies_about_its_length_is_read_as_far_as_it_goes() {
        let whole = [message(24, &route(libc::AF_INET, 16, 255, 2, &[10, 77, 0, 0])), message(3, &[0; 4])].concat();
        for length in 0..whole.len() {
            let _ = messages(&whole[..length]).filter_map(|(_, body)| local(body)).count();
        }
        for at in 0..whole.len() {
            for value in [0, 1, 3, 0x7f, 0xff] {
                let mut bent = whole.clone();
                bent[at] = value;
                assert!(messages(&bent).filter_map(|(_, body)| local(body)).count() <= 2);
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
        let _ = watch.changed();
        assert!(ways_out().is_ok());
    }
}
