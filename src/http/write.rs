//! Text and addresses appended to what goes out. Knows no message.

use std::net::IpAddr;

use crate::decimal::push_ipv4;

/// Appends an address as X-Forwarded-For has it: one of IPv4 in its own form, even where it came mapped into IPv6.
pub(crate) fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    use std::io::Write;
    match address.to_canonical() {
        IpAddr::V4(address) => push_ipv4(out, address),
        // Writing into a Vec cannot fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
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
}
