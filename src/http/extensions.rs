//! Chunk extensions (RFC 9112 section 7.1.1). They are dropped, but what another reader could take for the start of the data
//! is refused. Knows nothing of the chunk.

use super::syntax::{is_value, token};

/// Whether the text is `*( BWS ";" BWS name [ BWS "=" BWS value ] )`, as everything behind a chunk's size should be.
pub(super) fn are_formed(mut text: &[u8]) -> bool {
    while !text.is_empty() {
        match behind_extension(text) {
            Some(rest) => text = rest,
            None => return false,
        }
    }
    true
}

/// Whether no quote is open at the end of the text: it may have been meant to go on behind it.
pub(super) fn are_closed(text: &[u8]) -> bool {
    let mut quoted = false;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => drop(bytes.next()),
            _ => {}
        }
    }
    !quoted && is_value(text)
}

/// What follows the extension at the front; None where there is none.
fn behind_extension(text: &[u8]) -> Option<&[u8]> {
    let text = behind_blanks(text).strip_prefix(b";")?;
    let (_, rest) = token(behind_blanks(text))?;
    let Some(value) = behind_blanks(rest).strip_prefix(b"=") else { return Some(rest) };
    match behind_blanks(value) {
        [b'"', quoted @ ..] => behind_quoted(quoted),
        value => token(value).map(|(_, rest)| rest),
    }
}

fn behind_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &text[blanks..]
}

/// What follows a quoted text whose opening quote is left out.
fn behind_quoted(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        text = match text {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', byte, rest @ ..] | [byte, rest @ ..] if is_value(&[*byte]) => rest,
            _ => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c1_extensions_have_their_form_and_blanks_where_these_may_be() {
        let table: &[(&[u8], bool, bool)] = &[
            (b"", true, true),
            (b";a", true, true),
            (b" ;a", true, true),
            (b"\t ; \ta", true, true),
            (b";a=b", true, true),
            (b" ; a\t= b ;c", true, true),
            (b";a=\"\"", true, true),
            (b";a=\" ;\t\\\"\\\\[\xe9\"", true, true),
            (b";!#=*", true, true),
            (b";", false, true),
            (b";a;", false, true),
            (b";a=", false, true),
            (b";=b", false, true),
            (b";bad[=x", false, true),
            (b";a=b c", false, true),
            (b";a=\"b\"c", false, true),
            (b";a ", false, true),
            (b" ", false, true),
            (b";\xe9=b", false, true),
            (b";a=\"b\x01\"", false, false),
            (b";a=\"b\\\"", false, false),
            (b";a=\"", false, false),
            (b";a\0b", false, false),
        ];
        for (text, formed, closed) in table {
            assert_eq!((are_formed(text), are_closed(text)), (*formed, *closed), "{}", text.escape_ascii());
        }
    }
}
