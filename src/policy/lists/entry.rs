//! What a line of a list can say, in whichever format, and names in the one form in which they are compared. Pure.

use ipnet::IpNet;

use super::names::NameScope;
use super::puny;

/// Longest name, in bytes, and longest label (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// What a line says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListEntry<'a> {
    /// What it names.
    pub what: Named<'a>,
    /// The only port that it means.
    pub port: Option<u16>,
    /// It takes out of its list what it names.
    pub exception: bool,
}

/// What an entry names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named<'a> {
    /// A name in lower case, without a dot at its end.
    Name(&'a str, NameScope),
    /// A network without bits behind its prefix.
    Range(IpNet),
    /// A host in lower case, and what paths begin with.
    Url(&'a str, &'a str),
}

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineKind {
    /// Empty, or a comment.
    Blank,
    /// One or more entries.
    Entries,
    /// Something that no list of names and networks can mean, in a format of others.
    Other,
}

/// A name as requests have it: in lower case, in ASCII, without a dot at its end. None for what no request can name.
pub(super) fn normal<'a>(name: &str, scratch: &'a mut String) -> Option<&'a str> {
    scratch.clear();
    let name = name.strip_suffix('.').unwrap_or(name);
    for (place, label) in name.split('.').enumerate() {
        if place > 0 {
            scratch.push('.');
        }
        let start = scratch.len();
        match label.is_ascii() {
            true => scratch.extend(label.chars().map(|letter| letter.to_ascii_lowercase())),
            false => puny::push(scratch, label)?,
        }
        let label = &scratch[start..];
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if label.is_empty() || label.len() > MAX_LABEL || !label.bytes().all(fits) {
            return None;
        }
    }
    let last = scratch.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    // Requests with such names are refused: many readers take them for addresses.
    let number = hex || last.bytes().all(|byte| byte.is_ascii_digit());
    (scratch.len() <= MAX_NAME && !number).then_some(scratch.as_str())
}
