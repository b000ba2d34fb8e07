//! The grammar of heads: lists, words, tokens and numbers (RFC 9110 section 5.6). Knows no field and no message.

/// The elements of a comma-separated list, trimmed, empty ones left out (RFC 9110 section 5.6.1.2).
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|element| !element.is_empty())
}

/// The words of a text, at whose blanks it is cut.
pub(crate) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty())
}

/// Without blanks at either end. CR and LF count, as a folded value of an origin may hold them between blanks.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = text {
        text = rest;
    }
    text
}

/// Whether a text is this word, which is in lower case, in any letter case. Without an early end it takes fewer instructions for each
/// byte.
#[inline]
pub(crate) fn is_word(text: &[u8], lower: &[u8]) -> bool {
    let differ = |found, (byte, wanted): (&u8, &u8)| found | (byte.to_ascii_lowercase() ^ wanted);
    text.len() == lower.len() && text.iter().zip(lower).fold(0, differ) == 0
}

/// A number written with decimal digits alone: no sign, no blank, not empty, and within 64 bits.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// Whether the text is a token, as names and methods are (RFC 9110 section 5.6.2).
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().copied().all(is_token_byte)
}

/// Whether the byte may be a part of a token.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The token at the front, if there is one, and what follows it.
pub(crate) fn token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().take_while(|byte| is_token_byte(**byte)).count();
    (end > 0).then(|| text.split_at(end))
}

/// Whether the text holds only bytes that a value may be relayed with: RFC 9110 section 5.5 forbids these three alone.
pub(crate) fn is_relayable(text: &[u8]) -> bool {
    text.iter().all(|byte| !matches!(byte, 0 | b'\r' | b'\n'))
}

/// Whether the text holds only bytes that a value should hold (RFC 9110 section 5.5).
pub(crate) fn is_value(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..))
}

/// Where `part`, a slice of `whole`, starts in it. Empty values may point anywhere, so the result is held within bounds.
pub(crate) fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    let offset = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    debug_assert!(part.is_empty() || offset + part.len() <= whole.len());
    offset.min(whole.len() - part.len().min(whole.len()))
}
