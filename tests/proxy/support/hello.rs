//! A ClientHello as the tests of names within TLS send it: sound, small, in one record.

/// A vector with its length in two bytes.
fn vector(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u16).to_be_bytes()[..], content].concat()
}

/// A hello that names this server, or none, with or without the extension of an encrypted hello.
pub fn client_hello(name: Option<&str>, ech: bool) -> Vec<u8> {
    let mut extensions = vec![0x0a, 0x0a, 0, 0];
    if let Some(name) = name {
        let entry = [&[0][..], &vector(name.as_bytes())].concat();
        extensions.extend_from_slice(&[0, 0]);
        extensions.extend_from_slice(&vector(&vector(&entry)));
    }
    if ech {
        extensions.extend_from_slice(&[0xfe, 0x0d]);
        extensions.extend_from_slice(&vector(&[7; 60]));
    }
    extensions.extend_from_slice(&[0, 16, 0, 5, 0, 3, 2, b'h', b'2']);
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &vector(&extensions)].concat();
    let message = [&[1, 0][..], &vector(&body)].concat();
    [&[22, 3, 1][..], &vector(&message)].concat()
}

/// The same in records of one byte each, which is legal (RFC 8446 section 5.1).
pub fn in_small_records(hello: &[u8]) -> Vec<u8> {
    hello[5..].iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect()
}

/// A fatal alert.
pub fn alert(number: u8) -> Vec<u8> {
    vec![21, 3, 1, 0, 2, 2, number]
}
