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
    if text.is_empty() {
        out.push('-');
    }
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(*byte)]),
            b' ' if place == Place::Quoted => out.push(' '),
            b'!'..=b'~' => out.push(char::from(*byte)),
            other => push_hex(out, "\\x", *other),
        }
    }
}

/// Appends a text for a line of fields between blanks, with blanks, control bytes and whatever is not ASCII encoded as in a
/// URL (RFC 3986 section 2.1); a dash where there is none.
pub(super) fn push_url(out: &mut String, text: &[u8]) {
    if text.is_empty() {
        out.push('-');
    }
    for byte in text {
        match byte {
            b'!'..=b'~' => out.push(char::from(*byte)),
            other => push_hex(out, "%", *other),
        }
    }
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

fn push_hex(out: &mut String, mark: &str, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{mark}{byte:02x}");
}

fn push_unicode(out: &mut String, character: char) {
    // All that come here are below U+10000. Writing to a String cannot fail.
    let _ = write!(out, "\\u{:04x}", u32::from(character));
}
