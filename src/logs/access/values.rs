//! Addresses and words appended to a line: without the formatter, which takes several times as long. Pure.

use std::fmt::Display;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use crate::decimal::{push_ipv4, push_number};
use crate::peer::ClientId;

/// At least `width` characters, filled up at the left.
pub(super) fn padded(out: &mut Vec<u8>, value: u64, width: usize, fill: u8) {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(value).as_bytes();
    (text.len()..width).for_each(|_| out.push(fill));
    out.extend_from_slice(text);
}

pub(super) fn client(out: &mut Vec<u8>, client: ClientId) {
    match client {
        ClientId::Address(ip) => address(out, ip),
        ClientId::Uid(uid) => show(out, uid),
    }
}

pub(super) fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => push_ipv4(out, address),
        IpAddr::V6(address) => show(out, address),
    }
}

pub(super) fn socket(out: &mut Vec<u8>, socket: SocketAddr) {
    match socket {
        SocketAddr::V4(_) => {
            address(out, socket.ip());
            out.push(b':');
            push_number(out, u64::from(socket.port()));
        }
        SocketAddr::V6(socket) => show(out, socket),
    }
}

pub(super) fn put(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

pub(super) fn show(out: &mut Vec<u8>, value: impl Display) {
    // Writing into a Vec cannot fail.
    let _ = write!(out, "{value}");
}
