//! Text, numbers and addresses appended to what goes out. Knows no message.

use std::net::{IpAddr, Ipv4Addr};

/// Appends an address as X-Forwarded-For has it: one of IPv4 in its own form, even where it came mapped into IPv6.
pub(crate) fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    use std::io::Write;
    match address.to_canonical() {
        IpAddr::V4(address) => push_ipv4(out, address),
        // Writing into a Vec cannot fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

/// Appends an address in dotted decimal digits.
pub(crate) fn push_ipv4(out: &mut Vec<u8>, address: Ipv4Addr) {
    let mut text = [0; 16];
    let mut length = 0;
    for octet in address.octets() {
        for (unit, digit) in [(100, octet / 100), (10, octet / 10 % 10), (1, octet % 10)] {
            if octet >= unit || unit == 1 {
                text[length] = b'0' + digit;
                length += 1;
            }
        }
        text[length] = b'.';
        length += 1;
    }
    out.extend_from_slice(&text[..length - 1]);
}

/// Appends a number in decimal digits.
pub(crate) fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends one text after another.
pub(crate) fn push(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_peers() {
        let table = [
            ("192.0.2.7", "192.0.2.7"),
            ("0.10.100.255", "0.10.100.255"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
        ];
        for (peer, want) in table {
            let mut out = Vec::new();
            push_address(&mut out, peer.parse().unwrap());
            assert_eq!(out, want.as_bytes());
        }
    }

    #[test]
    fn numbers() {
        for number in [0, 9, 10, 12_345, u64::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
