//! Numbers and addresses of IPv4 appended in decimal digits: without the formatter, which takes several times as long. Pure.

use std::net::Ipv4Addr;

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
pub(crate) fn push_first<const SIZE: usize>(out: &mut Vec<u8>, bytes: &[u8; SIZE], count: usize) {
    let end = out.len() + count;
    out.extend_from_slice(bytes);
    out.truncate(end);
}

/// Appends a number.
pub(crate) fn push_number(out: &mut Vec<u8>, number: u64) {
    match u8::try_from(number) {
        Ok(octet) => {
            let [digits @ .., length] = OCTETS[usize::from(octet)];
            push_first(out, &digits, length.into());
        }
        Err(_) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
    }
}

/// Appends the last three digits of a number, as of a status, which has no others.
pub(crate) fn push_three(out: &mut Vec<u8>, number: u16) {
    let digit = |unit: u16| b'0' + (number / unit % 10) as u8;
    out.extend_from_slice(&[digit(100), digit(10), digit(1)]);
}

/// Appends an address.
pub(crate) fn push_ipv4(out: &mut Vec<u8>, address: Ipv4Addr) {
    // Each octet is written with all its three places, and the next one over those that it does not have.
    let (mut text, mut length) = ([0; 16], 0);
    for octet in address.octets() {
        let [first, second, third, digits] = OCTETS[usize::from(octet)];
        text[length..][..3].copy_from_slice(&[first, second, third]);
        length += usize::from(digits);
        text[length] = b'.';
        length += 1;
    }
    push_first(out, &text, length - 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"x".to_vec();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers() {
        for number in (0..1000).chain([12_345, u64::MAX]) {
            assert_eq!(written(|out| push_number(out, number)), format!("x{number}"));
        }
        for status in 0..1000 {
            assert_eq!(written(|out| push_three(out, status)), format!("x{status:03}"));
        }
    }

    #[test]
    fn addresses() {
        for octet in 0..=255 {
            for address in [[octet, 0, 10, 255], [255, octet, octet, 7], [0, 99, 100, octet]].map(Ipv4Addr::from) {
                assert_eq!(written(|out| push_ipv4(out, address)), format!("x{address}"));
            }
        }
    }
}
