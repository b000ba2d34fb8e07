//! A table of hosts with the beginnings of paths, as a file `urls` of squidGuard has them. Knows neither files nor what a
//! match means. Pure.
//!
//! What is compared is the path as squidGuard 1.6 compares it: in lower case, with escapes taken out once and slashes in a row
//! taken for one, any port, and a host without its `www`, `web` or `ftp` as well. `.` and `..` are taken out, too, which
//! squidGuard leaves to the origin. An entry matches every path that begins so, byte by byte: `/secret` means `/secretary`.

use std::net::IpAddr;

use super::entry::normal;
use super::names::ListKey;

/// Longest beginning of a path that is kept of an entry, in bytes; what stands behind is not compared.
const MAX_PATH: usize = 1024;

/// Most bytes of the paths of a list.
pub(super) const MAX_PATHS: usize = 256 << 20;

/// Words in front of a host that entries leave out.
const HOST_WORDS: [&str; 3] = ["www", "web", "ftp"];

/// An entry: where its path stands among those of all.
#[derive(Clone, Copy, Debug)]
struct UrlRow {
    /// The fingerprint of the host.
    host: u64,
    start: u32,
    length: u16,
    line: u32,
}

/// What is remembered of entries while the table is made.
#[derive(Debug, Default)]
pub(super) struct UrlPile {
    rows: Vec<UrlRow>,
    paths: Vec<u8>,
}

/// The entries, sorted by host and path.
#[derive(Debug, Default)]
pub(super) struct UrlTable {
    rows: Box<[UrlRow]>,
    paths: Box<[u8]>,
}

/// The host and the path of an entry; a scheme, a port and a user before them are passed over. None for what no request
/// can name.
pub(super) fn split<'a>(text: &'a str, scratch: &'a mut String) -> Option<(&'a str, &'a str)> {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let end = text.find(['/', '?']).unwrap_or(text.len());
    let (authority, path) = text.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    if let Some(address) = host_address(host) {
        *scratch = address.to_string();
        return Some((scratch, path));
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    Some((normal(name, scratch)?, path))
}

fn host_address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0.parse::<IpAddr>().ok(),
        None => host.split_once(':').map_or(host, |(host, _)| host).parse::<IpAddr>().ok(),
    }
}

impl UrlPile {
    /// Adds a host in lower case, and the beginning of a path.
    pub(super) fn push(&mut self, key: ListKey, host: &str, path: &str, line: u32) {
        let start = self.paths.len();
        write_path(path.as_bytes(), &mut self.paths);
        self.paths.truncate(start + MAX_PATH);
        // Both fit: a path has at most 1 KiB, and no list is read on that has more than MAX_PATHS bytes of them.
        let length = (self.paths.len() - start) as u16;
        self.rows.push(UrlRow { host: key.print(host), start: start as u32, length, line });
    }

    /// The number of entries, and the bytes of their paths.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.rows.len(), self.paths.len())
    }

    pub(super) fn finish(self) -> UrlTable {
        let UrlPile { mut rows, paths } = self;
        rows.sort_unstable_by(|a, b| (a.host, of(&paths, a), a.line).cmp(&(b.host, of(&paths, b), b.line)));
        rows.dedup_by(|later, first| later.host == first.host && of(&paths, later) == of(&paths, first));
        UrlTable { rows: rows.into(), paths: paths.into() }
    }
}

fn of<'a>(paths: &'a [u8], row: &UrlRow) -> &'a [u8] {
    &paths[row.start as usize..][..usize::from(row.length)]
}

impl UrlTable {
    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The line of the longest entry that this path of a host begins with.
    pub(super) fn find(&self, key: ListKey, host: &str, path: &[u8]) -> Option<u32> {
        if self.rows.is_empty() {
            return None;
        }
        let mut plain = Vec::new();
        let bare = without_word(host);
        std::iter::once(host).chain(bare).find_map(|host| self.find_at(key.print(host), path, &mut plain))
    }

    fn find_at(&self, host: u64, path: &[u8], plain: &mut Vec<u8>) -> Option<u32> {
        let start = self.rows.partition_point(|row| row.host < host);
        let rows = &self.rows[start..];
        let mut rows = &rows[..rows.partition_point(|row| row.host == host)];
        if rows.is_empty() {
            return None;
        }
        if plain.is_empty() {
            write_path(path, plain);
        }
        // What the path begins with stands before it; where the last one before it is none, it shows how much of the path
        // can be one at most.
        let mut wanted = &plain[..];
        loop {
            rows = &rows[..rows.partition_point(|row| of(&self.paths, row) <= wanted)];
            let row = rows.last()?;
            let own = of(&self.paths, row);
            if wanted.starts_with(own) {
                return Some(row.line);
            }
            let same = own.iter().zip(wanted).take_while(|(a, b)| a == b).count();
            wanted = &wanted[..same];
        }
    }
}

/// Whether a path is sent as it is compared, but for the case of its letters. An origin may read another one otherwise, so that
/// no allow list can vouch for it: `/a/x/..%2f..%2fpublic` is compared as `/public`.
pub(super) fn is_plain(path: &[u8]) -> bool {
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let segments = || path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/');
    let last = segments().count();
    !path.contains(&b'%')
        && segments()
            .zip(1..)
            .all(|(segment, at)| !matches!(segment, b"." | b"..") && (!segment.is_empty() || at == last))
}

/// The host without the word that entries leave out, and its number: `www2.example.com`.
fn without_word(host: &str) -> Option<&str> {
    let (word, rest) = host.split_once('.')?;
    let word = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
    (HOST_WORDS.contains(&word) && rest.contains('.')).then_some(rest)
}

/// Appends a path as it is compared.
fn write_path(path: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let (before, query) = path.split_at(path.iter().position(|byte| *byte == b'?').unwrap_or(path.len()));
    let mut bytes = unescaped(before).peekable();
    let mut segment = out.len();
    loop {
        let byte = bytes.next();
        if byte.is_none_or(|byte| byte == b'/') {
            match &out[segment..] {
                b"." => out.truncate(segment),
                b".." => {
                    // The segment before goes, with the slash behind it, but not the first slash.
                    out.truncate(segment.saturating_sub(1).max(start));
                    let before = out[start..].iter().rposition(|byte| *byte == b'/').map_or(start, |at| start + at);
                    out.truncate(before);
                    out.push(b'/');
                }
                _ => {}
            }
        }
        match byte {
            Some(b'/') => {
                if out.len() == start || out.last() != Some(&b'/') {
                    out.push(b'/');
                }
                segment = out.len();
            }
            Some(byte) => out.push(byte),
            None => break,
        }
    }
    out.extend(unescaped(query));
}

/// The bytes in lower case, each escape as the byte that it stands for.
fn unescaped(text: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *text.get(at)?;
        let hex = |place: usize| text.get(place).and_then(|digit| (*digit as char).to_digit(16));
        let byte = match (byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                at += 2;
                (high * 16 + low) as u8
            }
            _ => byte,
        };
        at += 1;
        Some(byte.to_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(path: &str) -> String {
        let mut out = b"kept".to_vec();
        write_path(path.as_bytes(), &mut out);
        String::from_utf8(out[4..].to_vec()).unwrap()
    }

    #[test]
    fn a_path_that_could_be_read_otherwise_is_not_plain() {
        for path in ["", "/", "/a/b/", "/a.b/..c/.d?x=%2f..//"] {
            assert!(is_plain(path.as_bytes()), "{path}");
        }
        for path in ["//", "/a//b", "/a/../b", "/./a", "/a/..", "/%41", "/admin/x/..%2f..%2fpublic"] {
            assert!(!is_plain(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn paths_are_compared_in_one_form() {
        for (path, wanted) in [
            ("", ""),
            ("/", "/"),
            ("//a///B//", "/a/b/"),
            ("/%41%2fb%zz%", "/a/b%zz%"),
            ("/%2541", "/%41"),
            ("/./a/./b", "/a/b"),
            ("/x/../secret", "/secret"),
            ("/x/%2e%2E/secret", "/secret"),
            ("/../../secret", "/secret"),
            ("/a/b/..", "/a/"),
            ("/..", "/"),
            ("/.", "/"),
            ("/a/..b/...", "/a/..b/..."),
            ("/s?A=//%62/../c", "/s?a=//b/../c"),
            ("/s%3fa/../b", "/b"),
            ("?a", "?a"),
            ("..", "/"),
        ] {
            assert_eq!(plain(path), wanted, "{path}");
        }
    }

    #[test]
    fn an_entry_is_a_host_and_a_path() {
        let read = |text: &str| split(text, &mut String::new()).map(|(host, path)| format!("{host} {path}"));
        for (text, wanted) in [
            ("Example.com./a/B", Some("example.com /a/B")),
            ("example.com", Some("example.com ")),
            ("http://user@example.com:8080/a", Some("example.com /a")),
            ("192.0.2.1/~x", Some("192.0.2.1 /~x")),
            ("192.0.2.1:81/~x", Some("192.0.2.1 /~x")),
            ("[2001:db8::1]:81/x", Some("2001:db8::1 /x")),
            ("example.com?q", Some("example.com ?q")),
            ("a..b/x", None),
            ("/x", None),
            ("", None),
        ] {
            assert_eq!(read(text).as_deref(), wanted, "{text}");
        }
    }

    /// The table against a walk over all entries.
    #[test]
    fn the_longest_entry_that_a_path_begins_with_is_found() {
        let key = ListKey(1, 2);
        let mut random = 7_u64;
        let mut below = |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % bound
        };
        let mut word = |most: u64| -> String {
            let length = below(most + 1);
            let text = "/".to_owned() + &(0..length).map(|_| ["a", "b", "/a"][below(3) as usize]).collect::<String>();
            text.replace("//", "/")
        };
        for _ in 0..300 {
            let entries: Vec<(&str, String)> =
                (0..40).map(|at| (["a.test", "b.test", "www.c.test"][at % 3], word(6))).collect();
            let mut pile = UrlPile::default();
            entries.iter().zip(0..).for_each(|((host, path), line)| pile.push(key, host, path, line));
            let table = pile.finish();
            for host in ["a.test", "www.b.test", "c.test", "www.c.test", "d.test"] {
                let path = word(9);
                let best = |host: &str| {
                    let hits = entries
                        .iter()
                        .zip(0_u32..)
                        .filter(|((own, start), _)| *own == host && path.starts_with(start.as_str()));
                    hits.max_by_key(|((_, start), line)| (start.len(), std::cmp::Reverse(*line))).map(|(_, line)| line)
                };
                let wanted = best(host).or_else(|| best(host.strip_prefix("www.")?));
                assert_eq!(table.find(key, host, path.as_bytes()), wanted, "{host}{path} in {entries:?}");
            }
        }
    }
}
