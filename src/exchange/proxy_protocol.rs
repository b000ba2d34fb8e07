//! The PROXY protocol header that a balancer puts in front of a connection, in its versions 1 (a line) and 2 (binary):
//! finds its end and what it announces, and writes one. Knows no connection, and does not guess: the caller knows that there
//! must be one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use crate::http::request::Announce;

/// Longest header of version 1 in bytes, its CRLF included (PROXY protocol section 2.1).
pub const MAX_LINE: usize = 107;

/// Longest header of version 2 in bytes. The protocol allows 65,551; addresses need at most 232, and what balancers add
/// to them (names, certificates' subjects, their own marks) has some hundred bytes.
pub const MAX_HEADER: usize = 4096;

/// What a header of version 1 starts with.
const WORD: &[u8] = b"PROXY ";

/// What a header of version 2 starts with (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of a header of version 2 before its addresses: signature, version and command, family and transport, length.
const FIXED: usize = 16;

/// A whole header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Its bytes; what follows belongs to the client.
    pub length: usize,
    /// What the balancer says of the client's connection to it. None where it speaks for itself (LOCAL) or does not know
    /// (UNKNOWN, a family that is not IP): the addresses of our own connection count.
    pub addresses: Option<Announced>,
    /// Where its additions stand in it: those of version 2 have a type, a length and a value each (section 2.2).
    additions: Range<usize>,
}

impl Header {
    /// The value of the first addition of this type, in the bytes that the header was found in. What follows a broken one is
    /// not looked at.
    pub fn addition<'b>(&self, bytes: &'b [u8], kind: u8) -> Option<&'b [u8]> {
        let mut rest = bytes.get(self.additions.clone())?;
        while let [own, high, low, behind @ ..] = rest {
            let (value, next) = behind.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
            if *own == kind {
                return Some(value);
            }
            rest = next;
        }
        None
    }
}

/// The host that the client asked the balancer for, as in SNI.
pub const AUTHORITY: u8 = 0x02;

/// What the balancer calls the connection.
pub const UNIQUE_ID: u8 = 0x05;

/// The two ends of a connection of a client to a balancer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Announced {
    /// The client.
    pub source: SocketAddr,
    /// Where it connected to.
    pub destination: SocketAddr,
}

/// Why bytes are no PROXY protocol header. The balancer is at fault, or a client that is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderFault {
    /// They start with neither the word of version 1 nor the signature of version 2.
    Missing,
    /// The line has no CRLF, or a CR or LF that is not its end.
    LineEnd,
    /// The line is not made of the six words that the protocol asks for.
    Words,
    /// The binary header is of another version or has an unknown command.
    Version,
    /// The binary header names an unknown family or transport.
    Family,
    /// The binary header has a length that is above [`MAX_HEADER`], or does not hold its addresses.
    Length,
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            HeaderFault::Missing => "no PROXY protocol header comes first",
            HeaderFault::LineEnd => "the PROXY line does not end with CRLF within 107 bytes",
            HeaderFault::Words => "the PROXY line does not have its words",
            HeaderFault::Version => "the PROXY header has an unknown version or command",
            HeaderFault::Family => "the PROXY header names an unknown family or transport",
            HeaderFault::Length => "the PROXY header has an impossible length",
        })
    }
}

/// Looks for a header at the start of what a connection has brought so far. None while it can still become one, which
/// holds for less than [`MAX_HEADER`] bytes.
///
/// # Errors
/// As soon as the bytes cannot become a header with any bytes behind them.
pub fn find(bytes: &[u8]) -> Result<Option<Header>, HeaderFault> {
    if has_start(bytes, WORD) {
        line(bytes)
    } else if has_start(bytes, SIGNATURE) {
        binary(bytes)
    } else {
        Err(HeaderFault::Missing)
    }
}

/// Whether the bytes start so, as far as there are any.
fn has_start(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(have, want)| have == want)
}

fn line(bytes: &[u8]) -> Result<Option<Header>, HeaderFault> {
    let window = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = window.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if window.len() < MAX_LINE { Ok(None) } else { Err(HeaderFault::LineEnd) };
    };
    match window.get(end..) {
        Some([b'\r', b'\n', ..]) => {}
        Some([b'\r']) if window.len() < MAX_LINE => return Ok(None),
        _ => return Err(HeaderFault::LineEnd),
    }
    let text = std::str::from_utf8(&window[..end]).map_err(|_| HeaderFault::Words)?;
    let addresses = announced(text).ok_or(HeaderFault::Words)?;
    Ok(Some(Header { length: end + 2, addresses, additions: 0..0 }))
}

/// The addresses in a line without its CRLF; None for a line that is none, Some(None) for one that does not know.
fn announced(text: &str) -> Option<Option<Announced>> {
    let mut words = text.split(' ');
    let (_, family) = (words.next()?, words.next()?);
    let read = match family {
        // What follows is to be ignored (section 2.1).
        "UNKNOWN" => return Some(None),
        "TCP4" => |word: &str| word.parse().ok().map(IpAddr::V4),
        "TCP6" => |word: &str| word.parse().ok().map(IpAddr::V6),
        _ => return None,
    };
    let (source, destination) = (read(words.next()?)?, read(words.next()?)?);
    let source = SocketAddr::new(source, port(words.next()?)?);
    let destination = SocketAddr::new(destination, port(words.next()?)?);
    words.next().is_none().then_some(Some(Announced { source, destination }))
}

/// A port in decimal digits, without leading zeros.
fn port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| plain)
}

fn binary(bytes: &[u8]) -> Result<Option<Header>, HeaderFault> {
    let command = match bytes.get(SIGNATURE.len()) {
        None => return Ok(None),
        Some(0x20) => HeaderCommand::Local,
        Some(0x21) => HeaderCommand::Proxy,
        Some(_) => return Err(HeaderFault::Version),
    };
    let Some(&[family, high, low]) = bytes.get(SIGNATURE.len() + 1..FIXED) else { return Ok(None) };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_HEADER {
        return Err(HeaderFault::Length);
    }
    let needed = if command == HeaderCommand::Proxy { block_size(family)? } else { 0 };
    if length < FIXED + needed {
        return Err(HeaderFault::Length);
    }
    let Some(block) = bytes.get(FIXED..length) else { return Ok(None) };
    let addresses = match command {
        HeaderCommand::Local => None,
        HeaderCommand::Proxy => read_block(family, block),
    };
    // Where the balancer speaks for itself the block need not hold addresses, and it is skipped.
    let additions = addresses.map_or(length, |_| FIXED + needed);
    Ok(Some(Header { length, addresses, additions: additions..length }))
}

/// Writes the header that announces a connection between these ends. Where they are of two families, as a client of one and a
/// target of the other, both are told as IPv6 (section 2.1 leaves no other way).
pub fn write(out: &mut Vec<u8>, version: Announce, ends: &Announced) {
    let mut ends = *ends;
    if ends.source.is_ipv4() != ends.destination.is_ipv4() {
        ends = Announced { source: mapped(ends.source), destination: mapped(ends.destination) };
    }
    match version {
        Announce::Off => {}
        Announce::V1 => write_line(out, &ends),
        Announce::V2 => write_binary(out, &ends),
    }
}

/// Writes the header of a connection whose client has no address: the receiver keeps that of the connection (sections 2.1, 2.2).
pub fn write_unknown(out: &mut Vec<u8>, version: Announce) {
    match version {
        Announce::Off => {}
        Announce::V1 => out.extend_from_slice(b"PROXY UNKNOWN\r\n"),
        Announce::V2 => {
            out.extend_from_slice(SIGNATURE);
            out.extend_from_slice(&[0x21, 0, 0, 0]);
        }
    }
}

fn mapped(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    SocketAddr::new(ip.into(), address.port())
}

fn write_line(out: &mut Vec<u8>, Announced { source, destination }: &Announced) {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    let line = format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port());
    out.extend_from_slice(line.as_bytes());
}

fn write_binary(out: &mut Vec<u8>, Announced { source, destination }: &Announced) {
    out.extend_from_slice(SIGNATURE);
    let (family, size) = if source.is_ipv4() { (TCP4, 12) } else { (TCP6, 36) };
    out.extend_from_slice(&[0x21, family, 0, size]);
    for end in [source, destination] {
        match end.ip() {
            IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
        }
    }
    [source, destination].iter().for_each(|end| out.extend_from_slice(&end.port().to_be_bytes()));
}

/// Who a header of version 2 speaks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum HeaderCommand {
    /// The balancer itself, as in a health check.
    Local,
    /// A client.
    Proxy,
}

/// Families and transport of version 2, as they stand in its 14th byte.
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// Bytes that the addresses of a family need.
///
/// # Errors
/// Values that the protocol says must be refused.
fn block_size(family: u8) -> Result<usize, HeaderFault> {
    match (family >> 4, family & 0xf) {
        (_, 3..) | (4.., _) => Err(HeaderFault::Family),
        (0, _) => Ok(0),
        (1, _) => Ok(12),
        (2, _) => Ok(36),
        (3, _) => Ok(216),
    }
}

/// The addresses at the front of what follows the fixed part: two addresses, two ports.
fn read_block(family: u8, block: &[u8]) -> Option<Announced> {
    match family {
        TCP4 => ends(block, |octets: [u8; 4]| Ipv4Addr::from(octets).into()),
        TCP6 => ends(block, |octets: [u8; 16]| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

fn ends<const SIZE: usize>(block: &[u8], address: impl Fn([u8; SIZE]) -> IpAddr) -> Option<Announced> {
    let (source, block) = block.split_first_chunk::<SIZE>()?;
    let (destination, ports) = block.split_first_chunk::<SIZE>()?;
    let [from_high, from_low, to_high, to_low] = *ports.first_chunk::<4>()?;
    Some(Announced {
        source: SocketAddr::new(address(*source), u16::from_be_bytes([from_high, from_low])),
        destination: SocketAddr::new(address(*destination), u16::from_be_bytes([to_high, to_low])),
    })
}

#[cfg(test)]
mod tests;
