//! The first bytes of TLS: the end of a hello is the same in pieces, and its message says the same in other records.

use super::{outcome, rough};
use exaproxy::http::target::Host;
use exaproxy::tls::fault::HelloFault;
use exaproxy::tls::hello::ClientHello;
use exaproxy::tls::record::HelloScan;

/// Bytes that a hello may have here: more than an input has, and less than the same in records of one byte.
const LIMIT: usize = 65_536;

pub(super) const HELLOS: &[&[u8]] = &[
    b"\x16\x03\x01\x00\x40\x01\0\0\x3c\x03\x0300000000000000000000000000000000\0\0\x02\x13\x01\x01\0\0\x11\0\0\0\x0d\0\x0b\0\0\x08a.sample",
    b"\x16\x03\x01\x00\x05\x01\0\0\x2b\x03\x16\x03\x03\x00\x2a\x0300000000000000000000000000000000\0\0\x02\x13\x01\x01\0\0\0",
    b"\x16\x03\x03\x00\x46\x01\0\0\x42\x03\x0300000000000000000000000000000000\0\0\x02\x13\x01\x01\0\0\x17\0\x10\0\x0e\0\x0c\x02h2\x08http/1.1\xfe\x0d\0\x01\0",
    b"\x80\x2e\x01\x03\x01\0\x15\0\0\0\x10",
    b"\x15\x03\x01\x00\x02\x01\x5a\x16\x03\x01",
    b"GET / HTTP/1.1\r\n\r\n",
];

pub(super) fn hello(bytes: &[u8]) -> u64 {
    let whole = HelloScan::default().find(bytes, LIMIT);
    let mut scan = HelloScan::default();
    // What comes in pieces may be refused sooner, and by what stands behind a hello that is found first.
    let pieces = (0..=bytes.len()).find_map(|end| scan.find(&bytes[..end], LIMIT).transpose());
    match (whole, pieces) {
        (Ok(None), None) => return outcome("unfinished"),
        (Err(whole), Some(Err(pieces))) => {
            assert_eq!(whole.is_tls(), pieces.is_tls(), "{whole} or {pieces}");
            return outcome(whole.to_string());
        }
        (Ok(Some(whole)), Some(Ok(pieces))) => assert_eq!(whole, pieces),
        differing => panic!("{differing:?}"),
    }
    let Ok(Some(length)) = whole else { return 0 };
    let read = ClientHello::parse(&bytes[..length]);
    assert_eq!(again(&bytes[..length]), read, "another cut says something else");
    match read {
        Ok(ClientHello { name, ech, protocols }) => {
            if let Some(name) = &name {
                assert_eq!(Host::parse(name.to_string().as_bytes()).as_ref(), Ok(name));
            }
            outcome((name.is_some(), ech, rough(protocols.len())))
        }
        Err(fault) => outcome(fault.to_string()),
    }
}

/// The same hello in records of one byte.
fn again(records: &[u8]) -> Result<ClientHello, HelloFault> {
    let (mut cut, mut at) = (Vec::new(), 0);
    while at < records.len() {
        let length = usize::from(u16::from_be_bytes([records[at + 3], records[at + 4]]));
        let content = &records[at + 5..at + 5 + length];
        content.iter().for_each(|byte| cut.extend_from_slice(&[22, 3, 1, 0, 1, *byte]));
        at += 5 + length;
    }
    assert_eq!(HelloScan::default().find(&cut, 6 * LIMIT), Ok(Some(cut.len())));
    ClientHello::parse(&cut)
}
