//! Headers that are in form and that are not, whole and in pieces.

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
        (binary_header(0x21, TCP4, &[192, 0, 2, 7, 192, 0, 2, 1, 0, 1, 255, 255]), "192.0.2.7:1", "192.0.2.1:65535"),
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

#[test]
fn what_is_written_reads_back() {
    let table = [
        ("192.0.2.7:1", "192.0.2.1:65535", "PROXY TCP4 192.0.2.7 192.0.2.1 1 65535\r\n"),
        ("[2001:db8::7]:0", "[::1]:2", "PROXY TCP6 2001:db8::7 ::1 0 2\r\n"),
        ("192.0.2.7:1", "[::1]:2", "PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n"),
    ];
    for (source, destination, line) in table {
        let ends = Announced { source: source.parse().unwrap(), destination: destination.parse().unwrap() };
        for version in Announce::ALL {
            let mut out = Vec::new();
            write(&mut out, version, &ends);
            let found = super::find(&out).ok().flatten();
            if version == Announce::Off {
                assert!(out.is_empty());
                continue;
            }
            let found = found.expect("a whole header");
            let same = |one: SocketAddr, other: SocketAddr| {
                (one.ip().to_canonical(), one.port()) == (other.ip(), other.port())
            };
            let read = found.addresses.expect("it tells them");
            assert!(same(read.source, ends.source) && same(read.destination, ends.destination), "{read:?}");
            assert_eq!(found.length, out.len());
            assert!(version != Announce::V1 || out == line.as_bytes(), "{}", out.escape_ascii());
        }
    }
}

#[test]
fn a_client_without_an_address_is_unknown() {
    for version in Announce::ALL {
        let mut out = Vec::new();
        write_unknown(&mut out, version);
        let found = super::find(&out).ok().flatten();
        match version {
            Announce::Off => assert!(out.is_empty()),
            _ => assert!(found.is_some_and(|header| header.length == out.len() && header.addresses.is_none())),
        }
    }
}

/// Additions, and the id and the authority that are found in them.
type Additions = (&'static [u8], Option<&'static [u8]>, Option<&'static [u8]>);

#[test]
fn additions_are_found_up_to_a_broken_one() {
    let table: [Additions; 8] = [
        (&[], None, None),
        (&[5, 0, 2, b'i', b'd'], Some(b"id"), None),
        (&[4, 0, 1, 0, 2, 0, 3, b'a', b'.', b'b', 5, 0, 1, b'x'], Some(b"x"), Some(b"a.b")),
        (&[5, 0, 0, 5, 0, 1, b'x'], Some(b""), None),
        (&[5, 0], None, None),
        (&[5, 0, 2, b'x'], None, None),
        (&[0xee, 0xff, 0xff, 5, 0, 1, b'x'], None, None),
        (&[2, 0, 1, b'h', 5, 1, 0], None, Some(b"h")),
    ];
    for (additions, id, authority) in table {
        for (family, block) in [(TCP4, ipv4()), (TCP6, ipv6())] {
            let bytes = binary_header(0x21, family, &[&block, additions].concat());
            let bytes = [&bytes[..], b"GET \x05\0\x01!"].concat();
            let header = super::find(&bytes).unwrap().unwrap();
            assert_eq!(header.addition(&bytes, UNIQUE_ID), id, "{additions:?}");
            assert_eq!(header.addition(&bytes, AUTHORITY), authority, "{additions:?}");
        }
        // The balancer's own words are no client's.
        let bytes = binary_header(0x20, 0, additions);
        assert_eq!(super::find(&bytes).unwrap().unwrap().addition(&bytes, UNIQUE_ID), None);
    }
}
