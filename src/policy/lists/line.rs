//! The lines of list files: our own, and those of formats that lists are published in. Knows a line, not where it stands nor
//! what becomes of it. Pure.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::entry::{normal, LineKind, ListEntry, Named};
use super::foreign;
use super::names::NameScope;
use super::urls;
use crate::policy::networks::canonical_range;

/// What the lines of a file are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListFormat {
    /// Ours, and all that are told apart line by line.
    Lines,
    /// `domains` of a squidGuard folder: a name means all below it too.
    Domains,
    /// `urls` of a squidGuard folder: a host and what its paths begin with.
    Urls,
    /// `expressions` of a squidGuard folder: patterns for whole URLs, none of which are read.
    Expressions,
}

/// What is wrong with a line of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineFault {
    /// Neither a name nor an address.
    Name,
    /// A network whose address or length is none.
    Range,
    /// No port between 1 and 65535.
    Port,
    /// A star that is not the first label alone.
    Star,
    /// A slash behind a name: paths cannot be judged.
    Path,
}

impl fmt::Display for LineFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            LineFault::Name => "neither a name nor an address",
            LineFault::Range => "not a network such as 10.0.0.0/8 or 2001:db8::/32",
            LineFault::Port => "not a port between 1 and 65535",
            LineFault::Star => "a star may only stand in front, as in *.example.com",
            LineFault::Path => "a name with a path, which lists do not judge",
        })
    }
}

/// Reads one line, and hands on its entries. `scratch` is a place to write a name in.
///
/// # Errors
/// What is wrong with a line that is ours: one word of letters, digits, bytes beyond ASCII and `.-_*:/[]!`.
pub fn read(
    line: &[u8],
    format: ListFormat,
    scratch: &mut String,
    take: &mut dyn FnMut(ListEntry<'_>),
) -> Result<LineKind, LineFault> {
    let Ok(text) = std::str::from_utf8(line) else { return Ok(LineKind::Other) };
    let text = text.trim_matches(|letter: char| letter.is_ascii_whitespace() || letter == '\u{feff}');
    let comment = text.starts_with(['#', ';']) || text == "!" || text.starts_with("! ") || text.starts_with("!\t");
    if comment || text.is_empty() {
        return Ok(LineKind::Blank);
    }
    match format {
        ListFormat::Urls => return Ok(url(text, scratch, take)),
        ListFormat::Expressions => return Ok(LineKind::Other),
        ListFormat::Lines | ListFormat::Domains => {}
    }
    let text = without_comment(text);
    if !is_ours(text) {
        return Ok(foreign::read(text, scratch, take));
    }
    match format {
        ListFormat::Lines => ours(text, scratch, take)?,
        ListFormat::Domains if text.contains(['*', '!', '[']) => return Ok(LineKind::Other),
        ListFormat::Domains | ListFormat::Urls | ListFormat::Expressions => domain(text, scratch, take)?,
    }
    Ok(LineKind::Entries)
}

/// The text up to a `#` or `;` that a blank stands before.
fn without_comment(text: &str) -> &str {
    let bytes = text.as_bytes();
    let starts = |at: &usize| matches!(bytes[*at], b'#' | b';') && bytes[*at - 1].is_ascii_whitespace();
    let end = (1..bytes.len()).find(starts).unwrap_or(bytes.len());
    text[..end].trim_end()
}

/// Whether a line is one word of the letters of our own format. A number alone is part of a zone file.
fn is_ours(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80 || b".-_*:/[]!".contains(&byte);
    text.bytes().all(fits) && !text.bytes().all(|byte| byte.is_ascii_digit())
}

fn ours(text: &str, scratch: &mut String, take: &mut dyn FnMut(ListEntry<'_>)) -> Result<(), LineFault> {
    let (exception, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
    if let Some((range, port)) = range(text)? {
        take(ListEntry { what: Named::Range(range), port, exception });
        return Ok(());
    }
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port_of(port)?)),
        None => (text, None),
    };
    let (scope, name) = match (name.strip_prefix("*."), name.strip_prefix('.')) {
        (Some(name), _) => (NameScope::Below, name),
        (_, Some(name)) => (NameScope::Both, name),
        _ => (NameScope::Exact, name),
    };
    if name.contains('*') {
        return Err(LineFault::Star);
    }
    if name.contains('/') {
        return Err(LineFault::Path);
    }
    let name = normal(name, scratch).ok_or(LineFault::Name)?;
    take(ListEntry { what: Named::Name(name, scope), port, exception });
    Ok(())
}

fn url(text: &str, scratch: &mut String, take: &mut dyn FnMut(ListEntry<'_>)) -> LineKind {
    let Some((host, path)) = urls::split(text, scratch) else { return LineKind::Other };
    take(ListEntry { what: Named::Url(host, path), port: None, exception: false });
    LineKind::Entries
}

fn domain(text: &str, scratch: &mut String, take: &mut dyn FnMut(ListEntry<'_>)) -> Result<(), LineFault> {
    let what = match range(text)? {
        Some((range, None)) => Named::Range(range),
        Some(_) => return Err(LineFault::Port),
        None => {
            let name = text.strip_prefix('.').unwrap_or(text);
            Named::Name(normal(name, scratch).ok_or(LineFault::Name)?, NameScope::Both)
        }
    };
    take(ListEntry { what, port: None, exception: false });
    Ok(())
}

/// An address or a network, with a port where IPv6 stands in brackets; None for what can only be a name.
fn range(text: &str) -> Result<Option<(IpNet, Option<u16>)>, LineFault> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, behind) = rest.split_once(']').ok_or(LineFault::Range)?;
        let port = match behind {
            "" => None,
            _ => Some(port_of(behind.strip_prefix(':').ok_or(LineFault::Port)?)?),
        };
        let range = network(inside).filter(|range| range.addr().is_ipv6()).ok_or(LineFault::Range)?;
        return Ok(Some((canonical_range(range), port)));
    }
    // More than one colon is an IPv6 address, whose port would need brackets.
    let (bare, port) = match text.bytes().filter(|byte| *byte == b':').count() {
        1 => text.split_once(':').map_or((text, None), |(bare, port)| (bare, Some(port))),
        _ => (text, None),
    };
    match network(bare) {
        Some(range) => Ok(Some((canonical_range(range), port.map(port_of).transpose()?))),
        None if bare.contains(':') => Err(LineFault::Range),
        // Digits and dots alone are meant as an address.
        None if bare.bytes().all(|byte| byte.is_ascii_digit() || b"./".contains(&byte)) => Err(LineFault::Range),
        None => Ok(None),
    }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse::<IpNet>()).ok()
}

fn port_of(text: &str) -> Result<u16, LineFault> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0).ok_or(LineFault::Port)
}
