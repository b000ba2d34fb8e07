//! What clients and origins sent, written so that it cannot end a line, a quoted text or a field. Pure.

use std::io::Write;

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
            // U+2028 and U+2029 end lines for some readers; the others turn the text around that is shown behind them
            // (UAX #9).
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}' => {
                push_unicode(out, character);
            }
            control if control.is_control() => push_unicode(out, control),
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Appends a text that is plain as it stands, as nearly all are; else has each byte written by itself, by `escape`
/// where it is not plain. A dash for no bytes at all.
fn push_with(out: &mut Vec<u8>, text: &[u8], plain: impl Fn(u8) -> bool, escape: impl Fn(&mut Vec<u8>, u8)) {
    if text.is_empty() {
        return out.push(b'-');
    }
    if all(text, &plain) {
        return out.extend_from_slice(text);
    }
    for byte in text {
        match plain(*byte) {
            true => out.push(*byte),
            false => escape(out, *byte),
        }
    }
}

/// Whether this holds for every byte. It looks at all of them, so that the compiler can take many at a time.
fn all(text: &[u8], holds: impl Fn(u8) -> bool) -> bool {
    text.iter().fold(true, |so_far, byte| so_far & holds(*byte))
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
