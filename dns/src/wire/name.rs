//! Names: from text to labels and back, compared without copying. Knows nothing of records or questions.
//!
//! In text a name is lower-case and has no dot at its end. On the wire its letters may be mixed: RFC 1035 section 2.3.3
//! lets servers ignore case and asks them to preserve it, so 64 random bits choose the case of each letter and a forger
//! has to guess them too.

use super::Malformed;

/// Longest label, in bytes (RFC 1035 section 2.3.4).
pub const MAX_LABEL: usize = 63;
/// Longest name as text without the last dot: 255 bytes on the wire are one length byte per label and the root's zero
/// more.
pub const MAX_TEXT: usize = 253;
/// Longest name on the wire (RFC 1035 section 2.3.4).
pub const MAX_WIRE: usize = 255;
/// Pointers that one name may follow. An honest encoder needs one or two; 127 labels could each be a pointer away at
/// worst.
const MAX_HOPS: usize = 127;

/// A name as its user wrote it, made comparable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normal {
    /// Lower-case, without the last dot.
    pub name: String,
    /// It ended in a dot: no search list applies (RFC 1035 section 5.1, resolv.conf(5)).
    pub absolute: bool,
}

/// Checks and lower-cases a host name. `None` if DNS cannot carry it, or if it looks like an address but is none.
///
/// Letters, digits, `-`, `_` and bytes above ASCII may form labels. A name whose last label is a number is refused: no
/// such top-level domain exists, and programs differ in which address they read from it.
pub fn normalise(text: &str) -> Option<Normal> {
    let (bare, absolute) = match text.strip_suffix('.') {
        Some(bare) => (bare, true),
        None => (text, false),
    };
    if !has_labels(bare) {
        return None;
    }
    Some(Normal { name: bare.to_ascii_lowercase(), absolute })
}

/// Whether the text is a usable name in the form that this crate keeps: checked, lower-case, no dot at the end.
pub fn is_normal(text: &str) -> bool {
    has_labels(text) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn has_labels(text: &str) -> bool {
    let is_label = |label: &[u8]| (1..=MAX_LABEL).contains(&label.len()) && label.iter().copied().all(is_label_byte);
    text.len() <= MAX_TEXT && text.as_bytes().split(|&byte| byte == b'.').all(is_label) && !is_number(last_label(text))
}

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || byte >= 0x80
}

fn last_label(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Whether a label would be read as a number by inet_aton(3): decimal, octal or hexadecimal.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// Appends a normal name in wire form; bit `i % 64` of `mask` makes the `i`-th byte of its labels upper-case if it is a
/// letter.
pub fn write(out: &mut Vec<u8>, name: &str, mask: u64) {
    let mut bits = mask;
    for label in name.as_bytes().split(|&byte| byte == b'.') {
        // A normal name has labels of at most 63 bytes, so the length fits.
        out.push(label.len() as u8);
        for &byte in label {
            out.push(mixed(byte, bits));
            bits = bits.rotate_right(1);
        }
    }
    out.push(0);
}

fn mixed(byte: u8, bits: u64) -> u8 {
    let flip = u8::from(byte.is_ascii_lowercase()) & (bits as u8);
    byte ^ (flip << 5)
}

/// How a name in a message compares with the one that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// The same bytes.
    Exact,
    /// The same name with other letter case.
    Folded,
    /// Another name.
    Different,
}

/// A name inside a message, possibly compressed.
#[derive(Clone, Copy, Debug)]
pub struct NameRef<'m> {
    message: &'m [u8],
    at: usize,
}

impl<'m> NameRef<'m> {
    /// The name that starts at byte `at` of `message`; nothing is checked yet.
    pub fn new(message: &'m [u8], at: usize) -> NameRef<'m> {
        NameRef { message, at }
    }

    /// The labels, with compression undone.
    pub fn labels(self) -> Labels<'m> {
        Labels { message: self.message, at: self.at, floor: self.at, hops: 0, length: 1, ended: false }
    }

    /// The offset of the first byte after this name where it stands.
    pub fn end(self) -> Result<usize, Malformed> {
        let mut at = self.at;
        loop {
            let length = *self.message.get(at).ok_or(Malformed::Short)?;
            match length >> 6 {
                0 if length == 0 => return Ok(at + 1),
                0 => at += 1 + usize::from(length),
                3 if at + 1 < self.message.len() => return Ok(at + 2),
                3 => return Err(Malformed::Short),
                _ => return Err(Malformed::Name),
            }
        }
    }

    /// Whether both are the same name, in any letter case.
    pub fn same(self, other: NameRef<'_>) -> Result<bool, Malformed> {
        if self.at == other.at {
            return Ok(true);
        }
        let (mut left, mut right) = (self.labels(), other.labels());
        loop {
            match (left.next().transpose()?, right.next().transpose()?) {
                (None, None) => return Ok(true),
                (Some(a), Some(b)) if a.eq_ignore_ascii_case(b) => {}
                _ => return Ok(false),
            }
            if left.at == right.at && !left.ended && !right.ended {
                return Ok(true);
            }
        }
    }

    /// Compares with a normal name written with `mask`.
    pub fn compare(self, name: &str, mask: u64) -> Result<Match, Malformed> {
        let mut bits = mask;
        let mut exact = true;
        let mut expected = name.as_bytes().split(|&byte| byte == b'.');
        for label in self.labels() {
            let label = label?;
            let Some(text) = expected.next().filter(|text| text.len() == label.len()) else {
                return Ok(Match::Different);
            };
            for (&byte, &wanted) in label.iter().zip(text) {
                if byte != mixed(wanted, bits) {
                    exact = false;
                    if byte.to_ascii_lowercase() != wanted {
                        return Ok(Match::Different);
                    }
                }
                bits = bits.rotate_right(1);
            }
        }
        Ok(match expected.next() {
            Some(_) => Match::Different,
            None if exact => Match::Exact,
            None => Match::Folded,
        })
    }

    /// The name as normal text; `Ok(None)` if its labels hold bytes that no host name has.
    pub fn text(self) -> Result<Option<String>, Malformed> {
        let mut text = Vec::with_capacity(MAX_TEXT);
        for label in self.labels() {
            let label = label?;
            if !label.iter().all(|&byte| is_label_byte(byte)) {
                return Ok(None);
            }
            if !text.is_empty() {
                text.push(b'.');
            }
            text.extend(label.iter().map(u8::to_ascii_lowercase));
        }
        Ok(String::from_utf8(text).ok().filter(|text| is_normal(text)))
    }
}

/// The labels of one name. It ends after the root, or after one error.
#[derive(Clone, Debug)]
pub struct Labels<'m> {
    message: &'m [u8],
    at: usize,
    /// Pointers must lead below this: the start of the run of labels that is being read.
    floor: usize,
    hops: usize,
    length: usize,
    ended: bool,
}

impl<'m> Labels<'m> {
    fn read(&mut self) -> Result<Option<&'m [u8]>, Malformed> {
        loop {
            let length = *self.message.get(self.at).ok_or(Malformed::Short)?;
            match length >> 6 {
                0 if length == 0 => return Ok(None),
                0 => return self.label(usize::from(length)).map(Some),
                3 => self.follow(length)?,
                _ => return Err(Malformed::Name),
            }
        }
    }

    fn label(&mut self, length: usize) -> Result<&'m [u8], Malformed> {
        let start = self.at + 1;
        let label = self.message.get(start..start + length).ok_or(Malformed::Short)?;
        self.at = start + length;
        self.length += 1 + length;
        if self.length > MAX_WIRE {
            return Err(Malformed::Name);
        }
        Ok(label)
    }

    fn follow(&mut self, high: u8) -> Result<(), Malformed> {
        let low = *self.message.get(self.at + 1).ok_or(Malformed::Short)?;
        let target = usize::from(u16::from_be_bytes([high & 0x3f, low]));
        self.hops += 1;
        if target >= self.floor || self.hops > MAX_HOPS {
            return Err(Malformed::Pointer);
        }
        self.floor = target;
        self.at = target;
        Ok(())
    }
}

impl<'m> Iterator for Labels<'m> {
    type Item = Result<&'m [u8], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.read().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(name: &str, mask: u64) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, name, mask);
        out
    }

    #[test]
    fn text_is_checked_and_lowered() {
        let label63 = "a".repeat(63);
        let label64 = "a".repeat(64);
        let longest = format!("{label63}.{label63}.{label63}.{}", "b".repeat(61));
        let too_long = format!("{label63}.{label63}.{label63}.{}", "b".repeat(62));
        for (text, expected) in [
            ("www.example.com", Some(("www.example.com", false))),
            ("WWW.Example.COM.", Some(("www.example.com", true))),
            ("_dmarc.a-b.test", Some(("_dmarc.a-b.test", false))),
            ("b\u{fc}cher.test", Some(("b\u{fc}cher.test", false))),
            ("intranet", Some(("intranet", false))),
            (label63.as_str(), Some((label63.as_str(), false))),
            (longest.as_str(), Some((longest.as_str(), false))),
            (too_long.as_str(), None),
            (label64.as_str(), None),
            ("", None),
            (".", None),
            ("a..b", None),
            (".a", None),
            ("a b", None),
            ("a/b", None),
            ("a\0b", None),
            ("127.1", None),
            ("0x7f000001", None),
            ("1.2.3.4", None),
            ("a.0x", None),
            ("a.0xg", Some(("a.0xg", false))),
            ("4.example", Some(("4.example", false))),
        ] {
            let normal = normalise(text);
            assert_eq!(normal.as_ref().map(|n| (n.name.as_str(), n.absolute)), expected, "{text:?}");
        }
    }

    #[test]
    fn written_names_compare() {
        for mask in [0, u64::MAX, 0x5a5a_1234_9876_fedc] {
            let bytes = wire("www.example.com", mask);
            let name = NameRef::new(&bytes, 0);
            assert_eq!(name.compare("www.example.com", mask), Ok(Match::Exact));
            assert_eq!(name.compare("www.example.com", !mask), Ok(Match::Folded));
            assert_eq!(name.compare("www.example.co", mask), Ok(Match::Different));
            assert_eq!(name.compare("www.example.com.x", mask), Ok(Match::Different));
            assert_eq!(name.compare("example.com", mask), Ok(Match::Different));
            assert_eq!(name.text(), Ok(Some("www.example.com".to_owned())));
            assert_eq!(name.end(), Ok(bytes.len()));
        }
    }

    #[test]
    fn the_mask_touches_letters_only() {
        assert_eq!(wire("a-1.b", u64::MAX), b"\x03A-1\x01B\0");
        assert_eq!(wire("a-1.b", 0b10000), b"\x03a-1\x01b\0");
        assert_eq!(wire("a-1.b", 0b01000), b"\x03a-1\x01B\0");
    }

    #[test]
    fn pointers_lead_backwards_only() {
        for (bytes, at, expected) in [
            (&b"\x01a\x00\x01b\xc0\x00"[..], 3, Ok(Some("b.a"))),
            (b"\xc0\x00", 0, Err(Malformed::Pointer)),
            (b"\x01a\xc0\x00", 0, Err(Malformed::Pointer)),
            (b"\xc0\x02\x01a\x00", 0, Err(Malformed::Pointer)),
            (b"\x01a\x00\xc0", 3, Err(Malformed::Short)),
            (b"\x41a\x00", 0, Err(Malformed::Name)),
            (b"\x05ab", 0, Err(Malformed::Short)),
            (b"\x03a.b\x00", 0, Ok(None)),
        ] {
            let text = NameRef::new(bytes, at).text();
            assert_eq!(text, expected.map(|text| text.map(str::to_owned)), "{bytes:?}");
        }
    }

    #[test]
    fn a_name_over_255_bytes_is_refused() {
        let mut bytes = Vec::new();
        for _ in 0..4 {
            bytes.push(63);
            bytes.extend([b'a'; 63]);
        }
        bytes.push(0);
        assert_eq!(NameRef::new(&bytes, 0).text(), Err(Malformed::Name));
    }

    #[test]
    fn compressed_names_compare() {
        let bytes = b"\x01a\x02ok\x00\xc0\x00\x01A\xc0\x02\x01b\xc0\x02";
        let name = |at| NameRef::new(bytes, at);
        assert_eq!(name(0).same(name(6)), Ok(true));
        assert_eq!(name(6).same(name(8)), Ok(true));
        assert_eq!(name(8).same(name(12)), Ok(false));
        assert_eq!(name(0).same(name(2)), Ok(false));
    }
}
