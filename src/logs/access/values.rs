//! Numbers, addresses and words appended to a line: without the formatter, which takes several times as long. Pure.

use std::fmt::Display;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use crate::peer::ClientId;

/// The digits of each octet, and their number.
const OCTETS: [[u8; 4]; 256] = octets();

const fn octets() -> [[u8; 4]; 256] {
    let mut table = [[0; 4]; 256];
    let mut octet = 0;
    while octet < table.len() {
        let (hundreds, tens, ones) = (octet as u8 / 100 + b'0', octet as u8 / 10 % 10 + b'0', octet as u8 % 10 + b'0');
        table[octet] = match octet {
            0..10 => [ones, 0, 0, 1],
            10..100 => [tens, ones, 0, 2],
            _ => [hundreds, tens, ones, 3],
        };
        octet += 1;
    }
    table
}

/// Appends the first bytes of a few. To copy all of them takes no call, since their number is known.
pub(super) fn push_first<const SIZE: usize>(out: &mut Vec<u8>, bytes: &[u8; SIZE], count: usize) {
    let end = out.len() + count;
    out.extend_from_slice(bytes);
    out.truncate(end);
}

pub(super) fn digits(out: &mut Vec<u8>, value: u64) {
    match u8::try_from(value) {
        Ok(octet) => {
            let [digits @ .., length] = OCTETS[usize::from(octet)];
            push_first(out, &digits, length.into());
        }
        Err(_) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// A status, which has three digits.
pub(super) fn status(out: &mut Vec<u8>, status: u16) {
    let digit = |unit: u16| b'0' + (status / unit % 10) as u8;
    out.extend_from_slice(&[digit(100), digit(10), digit(1)]);
}

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
    let octets = match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(address) => return show(out, address),
    };
    // Each octet is written with all its three places, and the next one over those that it does not have.
    let (mut text, mut length) = ([0; 16], 0);
    for octet in octets {
        let [first, second, third, digits] = OCTETS[usize::from(octet)];
        text[length..][..3].copy_from_slice(&[first, second, third]);
        length += usize::from(digits);
        text[length] = b'.';
        length += 1;
    }
    push_first(out, &text, length - 1);
}

pub(super) fn socket(out: &mut Vec<u8>, socket: SocketAddr) {
    match socket {
        SocketAddr::V4(_) => {
            address(out, socket.ip());
            out.push(b':');
            digits(out, u64::from(socket.port()));
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
