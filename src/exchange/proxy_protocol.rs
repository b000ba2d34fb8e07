//! The PROXY protocol header that a balancer puts in front of a connection, in its versions 1 (a line) and 2 (binary):
//! finds its end and the address that it announces. Knows no connection, and does not guess: the caller knows that there
//! must be one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Its bytes; what follows belongs to the client.
    pub length: usize,
    /// What the balancer says of the client's connection to it. None where it speaks for itself (LOCAL) or does not know
    /// (UNKNOWN, a family that is not IP): the addresses of our own connection count.
    pub addresses: Option<Announced>,
}

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
    Ok(Some(Header { length: end + 2, addresses }))
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
    if command == HeaderCommand::Proxy && length < FIXED + addresses(family)? {
        return Err(HeaderFault::Length);
    }
    // What stands behind the addresses is skipped: none of the protocol's additions concerns a proxy.
    let Some(block) = bytes.get(FIXED..length) else { return Ok(None) };
    let addresses = match command {
        HeaderCommand::Local => None,
        HeaderCommand::Proxy => read_block(family, block),
    };
    Ok(Some(Header { length, addresses }))
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
fn addresses(family: u8) -> Result<usize, HeaderFault> {
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
mod tests {
    use super::*;

    /// A header by its length and the address of the client.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Found {
        length: usize,
        source: Option<IpAddr>,
    }

    fn find(bytes: &[u8]) -> Result<Option<Found>, HeaderFault> {
        let found = |header: Header| Found {
            length: header.length,
            source: header.addresses.map(|addresses| addresses.source.ip()),
        };
        Ok(super::find(bytes)?.map(found))
    }

    fn whole(length: usize, source: Option<&str>) -> Result<Option<Found>, HeaderFault> {
        Ok(Some(Found { length, source: source.map(|text| text.parse().unwrap()) }))
    }

    #[test]
    fn both_ends_are_told_with_their_ports() {
        let table = [
            (b"PROXY TCP4 192.0.2.7 192.0.2.1 1 65535\r\n".to_vec(), "192.0.2.7:1", "192.0.2.1:65535"),
            (b"PROXY TCP6 2001:db8::7 ::1 0 2\r\n".to_vec(), "[2001:db8::7]:0", "[::1]:2"),
            (
                binary_header(0x21, TCP4, &[192, 0, 2, 7, 192, 0, 2, 1, 0, 1, 255, 255]),
                "192.0.2.7:1",
                "192.0.2.1:65535",
            ),
        ];
        for (header, source, destination) in table {
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            let addresses = super::find(&header).map(|found| found.and_then(|header| header.addresses));
            assert_eq!(addresses, Ok(Some(Announced { source, destination })), "{}", header.escape_ascii());
        }
    }

    /// A header of version 2 with this command, family and content.
    fn binary_header(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
        let mut header = SIGNATURE.to_vec();
        header.extend([command, family]);
        header.extend((content.len() as u16).to_be_bytes());
        header.extend(content);
        header
    }

    fn ipv4() -> Vec<u8> {
        vec![192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 4, 1, 0xbb]
    }

    fn ipv6() -> Vec<u8> {
        let mut block = vec![0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        block.extend([0; 20]);
        block
    }

    const GOOD_LINES: [(&str, Option<&str>); 9] = [
        ("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", Some("192.0.2.7")),
        ("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", Some("0.0.0.0")),
        ("PROXY TCP6 2001:db8::7 ::1 56324 443\r\n", Some("2001:db8::7")),
        ("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", Some("::ffff:192.0.2.7")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN \r\n", None),
        ("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
        ("PROXY UNKNOWN whatever it  says\r\n", None),
        (
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            Some("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ),
    ];

    #[test]
    fn lines_are_read_and_what_follows_is_left() {
        for (text, source) in GOOD_LINES {
            assert_eq!(find(text.as_bytes()), whole(text.len(), source), "{text}");
            for next in ["GET / HTTP/1.1\r\n", "\r\n", "\n", "PROXY TCP4 "] {
                assert_eq!(find(format!("{text}{next}").as_bytes()), whole(text.len(), source), "{text} {next}");
            }
        }
    }

    #[test]
    fn lines_that_are_not_in_form_are_refused() {
        let table = [
            ("GET / HTTP/1.1\r\n", HeaderFault::Missing),
            ("proxy TCP4 192.0.2.7 192.0.2.1 1 2\r\n", HeaderFault::Missing),
            ("PROXY\r\n", HeaderFault::Missing),
            ("PROXYTCP4", HeaderFault::Missing),
            ("\r\nPROXY UNKNOWN\r\n", HeaderFault::Missing),
            (" PROXY UNKNOWN\r\n", HeaderFault::Missing),
            ("PROXY \r\n", HeaderFault::Words),
            ("PROXY  TCP4 192.0.2.7 192.0.2.1 1 2\r\n", HeaderFault::Words),
            ("PROXY TCP4  192.0.2.7 192.0.2.1 1 2\r\n", HeaderFault::Words),
            ("PROXY TCP4 192.0.2.7 192.0.2.1 1 2 \r\n", HeaderFault::Words),
            ("PROXY TCP4 192.0.2.7 192.0.2.1 1 2 3\r\n", HeaderFault::Words),
            ("PROXY TCP4 192.0.2.7 192.0.2.1 1\r\n", HeaderFault::Words),
            ("PROXY tcp4 192.0.2.7 192.0.2.1 1 2\r\n", HeaderFault::Words),
            ("PROXY UDP4 192.0.2.7 192.0.2.1 1 2\r\n", HeaderFault::Words),
            ("PROXY unknown\r\n", HeaderFault::Words),
            ("PROXY TCP4 192.0.2 192.0.2.1 1 2\r\n", HeaderFault::Words),
            ("PROXY TCP4 192.0.2.07 192.0.2.1 1 2\r\n", HeaderFault::Words),
            ("PROXY TCP4 2001:db8::7 192.0.2.1 1 2\r\n", HeaderFault::Words),
            ("PROXY TCP6 192.0.2.7 192.0.2.1 1 2\r\n", HeaderFault::Words),
            ("PROXY TCP6 fe80::1%lo ::1 1 2\r\n", HeaderFault::Words),
            ("PROXY TCP4 192.0.2.7 name 1 2\r\n", HeaderFault::Words),
            ("PROXY TCP4 192.0.2.7 192.0.2.1 65536 2\r\n", HeaderFault::Words),
            ("PROXY TCP4 192.0.2.7 192.0.2.1 01 2\r\n", HeaderFault::Words),
            ("PROXY TCP4 192.0.2.7 192.0.2.1 +1 2\r\n", HeaderFault::Words),
            ("PROXY TCP4 192.0.2.7 192.0.2.1 1 -2\r\n", HeaderFault::Words),
            ("PROXY TCP4 192.0.2.7 192.0.2.1  2\r\n", HeaderFault::Words),
            ("PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n", HeaderFault::LineEnd),
            ("PROXY TCP4 192.0.2.7 192.0.2.1 1 2\rGET", HeaderFault::LineEnd),
            ("PROXY UNKNOWN\n\r\n", HeaderFault::LineEnd),
        ];
        for (text, fault) in table {
            assert_eq!(find(text.as_bytes()), Err(fault), "{text}");
        }
        assert_eq!(find(b"PROXY TCP4 192.0.2.7\xff 192.0.2.1 1 2\r\n"), Err(HeaderFault::Words));
    }

    #[test]
    fn a_line_ends_within_107_bytes() {
        let unknown = |filling: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(filling));
        let longest = unknown(MAX_LINE - 16);
        assert_eq!(longest.len(), MAX_LINE);
        assert_eq!(find(longest.as_bytes()), whole(MAX_LINE, None));
        let longer = unknown(MAX_LINE - 15);
        assert_eq!(find(longer.as_bytes()), Err(HeaderFault::LineEnd));
        assert_eq!(find(&longer.as_bytes()[..MAX_LINE]), Err(HeaderFault::LineEnd));
        assert_eq!(find(&longer.as_bytes()[..MAX_LINE - 1]), Ok(None));
    }

    #[test]
    fn binary_headers_are_read_and_their_additions_skipped() {
        let with_additions = [ipv4(), vec![4, 0, 2, 0, 0, 0xee, 0xff, 0xff]].concat();
        let table = [
            (binary_header(0x21, TCP4, &ipv4()), Some("192.0.2.7")),
            (binary_header(0x21, TCP6, &ipv6()), Some("2001:db8::7")),
            (binary_header(0x21, TCP4, &with_additions), Some("192.0.2.7")),
            (binary_header(0x21, TCP4, &[ipv4(), vec![0; MAX_HEADER - FIXED - 12]].concat()), Some("192.0.2.7")),
            (binary_header(0x21, 0x12, &ipv4()), None),
            (binary_header(0x21, 0x22, &ipv6()), None),
            (binary_header(0x21, 0x31, &[b'/'; 216]), None),
            (binary_header(0x21, 0, &[]), None),
            (binary_header(0x21, 0, &[1; 9]), None),
            (binary_header(0x20, 0, &[]), None),
            (binary_header(0x20, TCP4, &ipv4()), None),
            (binary_header(0x20, 0xff, &[1]), None),
        ];
        for (header, source) in table {
            assert_eq!(find(&header), whole(header.len(), source), "{}", header.escape_ascii());
            let longer = [header.as_slice(), b"\r\nGET"].concat();
            assert_eq!(find(&longer), whole(header.len(), source), "{}", header.escape_ascii());
        }
    }

    #[test]
    fn binary_headers_that_are_not_in_form_are_refused() {
        let announcing = |length: u16| [SIGNATURE.as_slice(), &[0x21, TCP4], &length.to_be_bytes()].concat();
        let table = [
            (binary_header(0x22, TCP4, &ipv4()), HeaderFault::Version),
            (binary_header(0x11, TCP4, &ipv4()), HeaderFault::Version),
            (binary_header(0x31, TCP4, &ipv4()), HeaderFault::Version),
            (binary_header(0x21, 0x13, &ipv4()), HeaderFault::Family),
            (binary_header(0x21, 0x41, &ipv4()), HeaderFault::Family),
            (binary_header(0x21, TCP4, &ipv4()[..11]), HeaderFault::Length),
            (binary_header(0x21, TCP6, &ipv6()[..35]), HeaderFault::Length),
            (binary_header(0x21, 0x31, &[b'/'; 215]), HeaderFault::Length),
            (announcing(u16::MAX), HeaderFault::Length),
            (announcing((MAX_HEADER - FIXED + 1) as u16), HeaderFault::Length),
            (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), HeaderFault::Missing),
            (b"\r\n\r\nPROXY UNKNOWN\r\n".to_vec(), HeaderFault::Missing),
        ];
        for (header, fault) in table {
            assert_eq!(find(&header), Err(fault), "{}", header.escape_ascii());
        }
    }

    /// Pieces of every length wait, and never come to another end than the whole.
    #[test]
    fn every_beginning_of_a_header_waits_for_the_rest() {
        let mut headers: Vec<Vec<u8>> = GOOD_LINES.iter().map(|(text, _)| text.as_bytes().to_vec()).collect();
        headers.extend([binary_header(0x21, TCP4, &ipv4()), binary_header(0x21, TCP6, &ipv6())]);
        headers.push(binary_header(0x20, 0, &[]));
        for header in headers {
            for length in 0..header.len() {
                assert_eq!(find(&header[..length]), Ok(None), "{} at {length}", header.escape_ascii());
            }
        }
    }

    /// Changes each byte to each value: what is found never lies behind the end, and more bytes never change a verdict.
    #[test]
    fn changed_bytes_are_judged_the_same_in_pieces() {
        let originals = [GOOD_LINES[0].0.as_bytes().to_vec(), binary_header(0x21, TCP4, &ipv4())];
        for original in originals {
            for at in 0..original.len() {
                for value in 0..=u8::MAX {
                    let mut bytes = original.clone();
                    bytes[at] = value;
                    bytes.extend_from_slice(&[b'x'; MAX_LINE]);
                    let verdict = find(&bytes);
                    if let Ok(Some(header)) = verdict {
                        assert!(header.length <= bytes.len(), "{}", bytes.escape_ascii());
                    }
                    let early = (0..bytes.len()).map(|length| find(&bytes[..length])).find(|found| *found != Ok(None));
                    assert!(early.is_none() || early == Some(verdict), "{}", bytes.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn every_fault_explains_itself_on_one_line() {
        let faults = [
            HeaderFault::Missing,
            HeaderFault::LineEnd,
            HeaderFault::Words,
            HeaderFault::Version,
            HeaderFault::Family,
            HeaderFault::Length,
        ];
        for fault in faults {
            let text = fault.to_string();
            assert!(!text.is_empty() && !text.ends_with('.') && !text.contains('\n'), "{text}");
        }
    }
}
