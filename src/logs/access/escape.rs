//! What clients and origins sent, written so that it cannot end a line, a quoted text or a field. Pure.

use std::io::Write;

use crate::logs::line::misleads;

/// Where a text stands in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escaping {
    /// Between quotes: blanks are text.
    Quoted,
    /// Between blanks.
    Bare,
}

/// Appends a text with quotes, backslashes, control bytes and all bytes beyond ASCII escaped as in Apache's logs; a dash
/// where there is none.
pub(super) fn push(out: &mut Vec<u8>, text: &[u8], place: Escaping) {
    let blanks = place == Escaping::Quoted;
    let plain = |byte: u8| is_visible(byte) & (byte != b'"') & (byte != b'\\') | (byte == b' ') & blanks;
    push_with(out, text, plain, |out, byte| match byte {
        b'"' | b'\\' => out.extend([b'\\', byte]),
        other => push_hex(out, "\\x", other),
    });
}

/// Appends a text for a line of fields between blanks, with blanks, control bytes and all bytes beyond ASCII encoded as
/// in a URL (RFC 3986 section 2.1); a dash where there is none.
pub(super) fn push_url(out: &mut Vec<u8>, text: &[u8]) {
    push_with(out, text, is_visible, |out, byte| push_hex(out, "%", byte));
}

/// Appends a JSON string (RFC 8259 section 7). What is not UTF-8 is replaced by U+FFFD.
pub(super) fn push_json(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    match all(text, |byte| (is_visible(byte) | (byte == b' ')) & (byte != b'"') & (byte != b'\\')) {
        true => out.extend_from_slice(text),
        false => push_json_characters(out, text),
    }
    out.push(b'"');
}

fn push_json_characters(out: &mut Vec<u8>, text: &[u8]) {
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            '"' | '\\' => out.extend([b'\\', character as u8]),
            misleading if misleads(misleading) => push_unicode(out, misleading),
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Appends a text that is plain as it stands, as nearly all are; else has each byte written by itself, by `escape`
/// where it is not plain. A dash for no bytes at all.
fn push_with(out: &mut Vec<u8>, text: &[u8], plain: impl Fn(u8) -> bool, escape: impl Fn(&mut Vec<u8>, u8)) {
    match text {
        [] => out.push(b'-'),
        _ if all(text, &plain) => out.extend_from_slice(text),
        _ => push_escaped(out, text, plain, escape),
    }
}

/// Apart from the rest, which has less to save and to restore without it.
#[cold]
#[inline(never)]
fn push_escaped(out: &mut Vec<u8>, text: &[u8], plain: impl Fn(u8) -> bool, escape: impl Fn(&mut Vec<u8>, u8)) {
    for byte in text {
        match plain(*byte) {
            true => out.push(*byte),
            false => escape(out, *byte),
        }
    }
}

/// Whether this holds for every byte. It looks at sixteen at a time and at none more than twice: the last ones once more where
/// their number is not a multiple, since looking at those one by one would take longer than at all others.
fn all(text: &[u8], holds: impl Fn(u8) -> bool) -> bool {
    const LANES: usize = 16;
    let Some(last) = text.last_chunk::<LANES>() else {
        return text.iter().fold(true, |so_far, byte| so_far & holds(*byte));
    };
    let mut odd = [0; LANES];
    for chunk in text.chunks_exact(LANES).chain([&last[..]]) {
        odd.iter_mut().zip(chunk).for_each(|(odd, byte)| *odd |= u8::from(!holds(*byte)));
    }
    odd == [0; LANES]
}

fn is_visible(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~')
}

fn push_hex(out: &mut Vec<u8>, mark: &str, byte: u8) {
    // Writing into a Vec cannot fail.
    let _ = write!(out, "{mark}{byte:02x}");
}

fn push_unicode(out: &mut Vec<u8>, character: char) {
    // All that come here are below U+10000. Writing into a Vec cannot fail.
    let _ = write!(out, "\\u{:04x}", u32::from(character));
}
