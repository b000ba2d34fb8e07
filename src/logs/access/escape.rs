//! What clients and origins sent, written so that it cannot end a line, a quoted text or a field. Pure.

use std::fmt::Write;

/// Where a text stands in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Between quotes: blanks are text.
    Quoted,
    /// Between blanks.
    Bare,
}

/// Appends a text with quotes, backslashes, control bytes and whatever is not ASCII escaped as in Apache's logs; a dash
/// where there is none.
pub(super) fn push(out: &mut String, text: &[u8], place: Place) {
    let plain = |byte: u8| match byte {
        b'"' | b'\\' => false,
        b' ' => place == Place::Quoted,
        other => matches!(other, b'!'..=b'~'),
    };
    push_with(out, text, plain, |out, byte| match byte {
        b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
        other => push_hex(out, "\\x", other),
    });
}

/// Appends a text for a line of fields between blanks, with blanks, control bytes and whatever is not ASCII encoded as in a
/// URL (RFC 3986 section 2.1); a dash where there is none.
pub(super) fn push_url(out: &mut String, text: &[u8]) {
    push_with(out, text, |byte| matches!(byte, b'!'..=b'~'), |out, byte| push_hex(out, "%", byte));
}

/// Appends a JSON string (RFC 8259 section 7). What is not UTF-8 is replaced by U+FFFD.
pub(super) fn push_json(out: &mut String, text: &[u8]) {
    out.push('"');
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            // U+2028 and U+2029 end lines for some readers.
            '\u{2028}' | '\u{2029}' => push_unicode(out, character),
            control if control.is_control() => push_unicode(out, control),
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Appends stretches of plain ASCII as they stand and has every other byte written by `escape`; a dash for no bytes at all.
fn push_with(out: &mut String, text: &[u8], plain: impl Fn(u8) -> bool, escape: impl Fn(&mut String, u8)) {
    if text.is_empty() {
        out.push('-');
    }
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| !plain(*byte)) {
        push_ascii(out, &rest[..at]);
        escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    push_ascii(out, rest);
}

fn push_ascii(out: &mut String, plain: &[u8]) {
    // What is plain is ASCII, and so this always is text.
    out.push_str(std::str::from_utf8(plain).unwrap_or_default());
}

fn push_hex(out: &mut String, mark: &str, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{mark}{byte:02x}");
}

fn push_unicode(out: &mut String, character: char) {
    // All that come here are below U+10000. Writing to a String cannot fail.
    let _ = write!(out, "\\u{:04x}", u32::from(character));
}
