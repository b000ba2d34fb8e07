//! A file of users, read: names with passwords or their hashes. Knows no file system and no request.
//!
//! ```text
//! # comment
//! admin:secret123
//! ann:$2y$10$abcdefghijklmnopqrstuu8VGtUx.c4Re394wLRrz6IU0O9BZg
//! ```
//!
//! What stands behind the first colon is the password, blanks and further colons included.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use zeroize::Zeroizing;

use super::hash::{HashFault, HashKind, PasswordHash};
use super::MAX_NAME;

/// Why a line is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserLineFault {
    /// It is not UTF-8.
    NotText,
    /// It has no colon.
    NoColon,
    /// Its name is empty, too long, or has a control character.
    Name,
    /// The user stands in this line already.
    Double(u32),
    /// What stands behind the colon is no password.
    Hash(HashFault),
}

impl fmt::Display for UserLineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UserLineFault::NotText => f.write_str("not UTF-8"),
            UserLineFault::NoColon => f.write_str("no colon between a user and a password"),
            UserLineFault::Name => {
                write!(f, "no name of a user: 1 to {MAX_NAME} bytes without control characters, and not - alone, in front of the colon")
            }
            UserLineFault::Double(line) => write!(f, "the user stands in line {line} already"),
            UserLineFault::Hash(fault) => fault.fmt(f),
        }
    }
}

/// A wrong line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UsersFault {
    /// Its number, from one.
    pub line: u32,
    /// What is wrong with it.
    pub why: UserLineFault,
}

/// All users of a file. Everything stands in two blocks of memory, which are quick to drop.
#[derive(Default)]
pub struct UserTable {
    text: Zeroizing<Vec<u8>>,
    /// By name.
    entries: Vec<UserEntry>,
    /// How many there are of each kind and cost, with one of them.
    kinds: BTreeMap<(HashKind, u32), (usize, usize)>,
    /// The user whose password is checked in the place of one that does not exist.
    dummy: usize,
}

/// Where a user stands in the text, which has at most 4 GiB.
#[derive(Clone, Copy, Debug)]
struct UserEntry {
    name_at: u32,
    name_len: u16,
    value_len: u16,
    line: u32,
    kind: HashKind,
}

impl UserEntry {
    fn name(&self) -> Range<usize> {
        self.name_at as usize..self.name_at as usize + usize::from(self.name_len)
    }

    fn value(&self) -> Range<usize> {
        let start = self.name().end + 1;
        start..start + usize::from(self.value_len)
    }
}

impl fmt::Debug for UserTable {
    /// Shows nothing of what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserTable({} users)", self.len())
    }
}

impl PartialEq for UserTable {
    /// The same text says the same.
    fn eq(&self, other: &UserTable) -> bool {
        self.text == other.text
    }
}

impl UserTable {
    /// Reads a file of less than 4 GiB.
    ///
    /// # Errors
    /// The first wrong line.
    pub fn parse(text: Vec<u8>) -> Result<UserTable, UsersFault> {
        let text = Zeroizing::new(text);
        // A mark of the byte order belongs to no name.
        let start = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let mut entries: Vec<UserEntry> = Vec::new();
        let mut at = start;
        for (number, line) in text[start..].split(|byte| *byte == b'\n').enumerate() {
            let number = u32::try_from(number + 1).unwrap_or(u32::MAX);
            let entry = entry(line.strip_suffix(b"\r").unwrap_or(line), at, number);
            entries.extend(entry.map_err(|why| UsersFault { line: number, why })?);
            at += line.len() + 1;
        }
        // Stable, so that of two lines with one name the later is the second.
        entries.sort_by(|one, other| text[one.name()].cmp(&text[other.name()]));
        let doubles = entries.windows(2).filter(|pair| text[pair[0].name()] == text[pair[1].name()]);
        if let Some(pair) = doubles.min_by_key(|pair| pair[1].line) {
            return Err(UsersFault { line: pair[1].line, why: UserLineFault::Double(pair[0].line) });
        }
        let mut table = UserTable { text, entries, ..UserTable::default() };
        table.count();
        Ok(table)
    }

    fn count(&mut self) {
        let mut kinds = BTreeMap::new();
        for (place, entry) in self.entries.iter().enumerate() {
            let Some(hash) = self.hash(entry) else { continue };
            kinds.entry((hash.kind(), hash.cost())).or_insert((0, place)).0 += 1;
        }
        self.dummy = kinds.values().max_by_key(|(count, _)| *count).map_or(0, |(_, place)| *place);
        self.kinds = kinds;
    }

    /// Number of users.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True without users.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Is there this user?
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Does a check of this user's password take long? A user that does not exist takes as long as most others.
    pub fn is_slow(&self, name: &str) -> bool {
        self.entry(name).0.is_some_and(|entry| entry.kind != HashKind::Plain)
    }

    /// Whether the user exists and this is the password. A user that does not exist takes as long as most others.
    pub fn check(&self, name: &str, password: &[u8]) -> bool {
        let (entry, known) = self.entry(name);
        let matches = entry.and_then(|entry| self.hash(entry)).is_some_and(|hash| hash.matches(password));
        matches & known
    }

    /// Every kind with each of its costs: how many there are, and one of them.
    pub fn kinds(&self) -> impl Iterator<Item = (HashKind, u32, usize, PasswordHash<'_>)> {
        let one = |((kind, cost), (count, place)): (&(HashKind, u32), &(usize, usize))| {
            Some((*kind, *cost, *count, self.hash(self.entries.get(*place)?)?))
        };
        self.kinds.iter().filter_map(one)
    }

    /// The entry to check, and whether it is that of the user.
    fn entry(&self, name: &str) -> (Option<&UserEntry>, bool) {
        match self.find(name) {
            Some(entry) => (Some(entry), true),
            None => (self.entries.get(self.dummy), false),
        }
    }

    fn find(&self, name: &str) -> Option<&UserEntry> {
        let place = self.entries.binary_search_by(|entry| self.text[entry.name()].cmp(name.as_bytes())).ok()?;
        self.entries.get(place)
    }

    fn hash(&self, entry: &UserEntry) -> Option<PasswordHash<'_>> {
        PasswordHash::parse(std::str::from_utf8(&self.text[entry.value()]).ok()?).ok()
    }
}

/// What some editors put in front of a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Stands for no user in logs and in lines for helpers, so that it is no name of a user.
const NOBODY: &str = "-";

/// The user of a line without its end, which begins at this place of the text. None where it says nothing.
fn entry(line: &[u8], at: usize, number: u32) -> Result<Option<UserEntry>, UserLineFault> {
    if line.trim_ascii().is_empty() || line.trim_ascii_start().starts_with(b"#") {
        return Ok(None);
    }
    let line = std::str::from_utf8(line).map_err(|_| UserLineFault::NotText)?;
    let (name, value) = line.split_once(':').ok_or(UserLineFault::NoColon)?;
    if name.is_empty() || name == NOBODY || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(UserLineFault::Name);
    }
    let kind = PasswordHash::parse(value).map_err(UserLineFault::Hash)?.kind();
    let (name_len, value_len) = (u16::try_from(name.len()), u16::try_from(value.len()));
    let (Ok(name_at), Ok(name_len), Ok(value_len)) = (u32::try_from(at), name_len, value_len) else {
        return Err(UserLineFault::Hash(HashFault::Password));
    };
    Ok(Some(UserEntry { name_at, name_len, value_len, line: number, kind }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuu8VGtUx.c4Re394wLRrz6IU0O9BZg/ta";

    fn table(text: &str) -> UserTable {
        UserTable::parse(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn the_file_of_the_second_proxy() {
        let users = table("# users\nadmin:secret123\r\n\n  # more\nann: a:b c \nb ü:x");
        for (name, password) in [("admin", "secret123"), ("ann", " a:b c "), ("b ü", "x")] {
            assert!(users.check(name, password.as_bytes()) && users.has(name) && !users.is_slow(name), "{name}");
            assert!(!users.check(name, b"") && !users.check(name, b"secret124"));
        }
        for name in ["", "Admin", "admi", "admin ", "# users", "b"] {
            assert!(!users.has(name) && !users.check(name, b"secret123"), "{name}");
        }
        assert_eq!((users.len(), format!("{users:?}")), (3, "UserTable(3 users)".to_owned()));
        let none = table("");
        assert!(none.is_empty() && !none.check("a", b"") && !none.is_slow("a"));
    }

    #[test]
    fn a_mark_of_the_byte_order_belongs_to_no_name() {
        let users = table("\u{feff}ann:secret\nbob:x\n");
        assert!(users.has("ann") && users.check("ann", b"secret") && users.check("bob", b"x"));
        assert_eq!(UserTable::parse("\u{feff}ann".into()).unwrap_err().line, 1);
    }

    #[test]
    fn one_who_does_not_exist_costs_what_most_cost() {
        let one = table(&format!("a:x\nb:{BCRYPT}\n"));
        assert!(one.is_slow("b") && !one.is_slow("a"));
        let more = table(&format!("a:x\nb:{BCRYPT}\nc:{BCRYPT}\n"));
        assert!(more.is_slow("nobody") && !more.check("nobody", "p:w ü".as_bytes()));
        assert!(more.check("c", "p:w ü".as_bytes()));
        let kinds: Vec<_> = more.kinds().map(|(kind, cost, count, _)| (kind, cost, count)).collect();
        assert_eq!(kinds, [(HashKind::Plain, 0, 1), (HashKind::Bcrypt, 4, 2)]);
    }

    #[test]
    fn wrong_lines_are_named() {
        let long = format!("{}:x", "n".repeat(MAX_NAME + 1));
        for (text, line, why) in [
            ("a:b\n\nnothing\n", 3, UserLineFault::NoColon),
            (":b", 1, UserLineFault::Name),
            ("-:b", 1, UserLineFault::Name),
            (&long, 1, UserLineFault::Name),
            ("a\tb:c", 1, UserLineFault::Name),
            ("a:", 1, UserLineFault::Hash(HashFault::Empty)),
            ("# x\na:$1$x$y", 2, UserLineFault::Hash(HashFault::Unknown)),
            ("b:1\na:1\nb:2\na:3", 3, UserLineFault::Double(1)),
        ] {
            assert_eq!(UserTable::parse(text.as_bytes().to_vec()), Err(UsersFault { line, why }), "{text}");
            assert!(!why.to_string().is_empty());
        }
        let fault = UserTable::parse(b"a:b\n\xff:c".to_vec());
        assert_eq!(fault, Err(UsersFault { line: 2, why: UserLineFault::NotText }));
    }
}
