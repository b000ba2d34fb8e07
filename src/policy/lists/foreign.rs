//! Lines of formats that block lists are published in: hosts files, dnsmasq, AdGuard, response policy zones. What means
//! something else than to block or to allow a name is passed over. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::entry::{normal, LineKind, ListEntry, Named};
use super::names::NameScope;

/// Names that hosts files give to this machine itself: blocking them is not meant.
const OWN_NAMES: [&str; 11] = [
    "localhost",
    "localhost.localdomain",
    "local",
    "broadcasthost",
    "ip6-localhost",
    "ip6-loopback",
    "ip6-localnet",
    "ip6-mcastprefix",
    "ip6-allhosts",
    "ip6-allnodes",
    "ip6-allrouters",
];

/// Reads a line that is not ours.
pub(super) fn read(text: &str, scratch: &mut String, take: &mut dyn FnMut(ListEntry<'_>)) -> LineKind {
    let found = dnsmasq(text, scratch, take)
        .or_else(|| adguard(text, scratch, take))
        .or_else(|| hosts(text, scratch, take))
        .or_else(|| zone(text, scratch, take));
    match found {
        Some(true) => LineKind::Entries,
        _ if names_this_machine(text) => LineKind::Blank,
        _ => LineKind::Other,
    }
}

/// Whether all names of a line of a hosts file are those that this machine has.
fn names_this_machine(text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    let address = words.next().is_some_and(|word| word.split('%').next().unwrap_or(word).parse::<IpAddr>().is_ok());
    address && words.all(is_own)
}

fn is_own(name: &str) -> bool {
    OWN_NAMES.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Hands a name on; false where no request can name it.
fn give(
    name: &str,
    scope: NameScope,
    exception: bool,
    scratch: &mut String,
    take: &mut dyn FnMut(ListEntry<'_>),
) -> bool {
    let Some(name) = normal(name, scratch) else { return false };
    take(ListEntry { what: Named::Name(name, scope), port: None, exception });
    true
}

/// Whether an answer of this address means that there is none.
fn blocks(address: IpAddr) -> bool {
    address.is_unspecified() || address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST
}

/// `0.0.0.0 name name`
fn hosts(text: &str, scratch: &mut String, take: &mut dyn FnMut(ListEntry<'_>)) -> Option<bool> {
    let mut words = text.split_ascii_whitespace();
    let address: IpAddr = words.next()?.parse().ok()?;
    let mut given = false;
    for name in words.filter(|_| blocks(address)) {
        if !is_own(name) {
            given |= give(name, NameScope::Exact, false, scratch, take);
        }
    }
    Some(given)
}

/// `address=/name/` and `server=/name/`, where several names may stand between the slashes.
fn dnsmasq(text: &str, scratch: &mut String, take: &mut dyn FnMut(ListEntry<'_>)) -> Option<bool> {
    let (word, rest) = text.split_once('=')?;
    let (names, answer) = rest.strip_prefix('/')?.rsplit_once('/')?;
    let blocked = match word.trim_end() {
        "address" => matches!(answer, "" | "#" | "0.0.0.0" | "::"),
        "server" | "local" => answer.is_empty(),
        _ => return None,
    };
    let mut given = false;
    for name in names.split('/').filter(|_| blocked) {
        given |= give(name, NameScope::Both, false, scratch, take);
    }
    Some(given)
}

/// `||name^` and `@@||name^`
fn adguard(text: &str, scratch: &mut String, take: &mut dyn FnMut(ListEntry<'_>)) -> Option<bool> {
    let (exception, rest) = text.strip_prefix("@@").map_or((false, text), |rest| (true, rest));
    let name = rest.strip_prefix("||")?;
    Some(name.strip_suffix('^').is_some_and(|name| give(name, NameScope::Both, exception, scratch, take)))
}

/// `name CNAME .` of a response policy zone, with a time and a class before CNAME, or without.
fn zone(text: &str, scratch: &mut String, take: &mut dyn FnMut(ListEntry<'_>)) -> Option<bool> {
    let mut words = text.split_ascii_whitespace();
    let name = words.next()?;
    let mut kind = words.next()?;
    for _ in 0..2 {
        let skipped = kind.eq_ignore_ascii_case("IN") || kind.as_bytes()[0].is_ascii_digit();
        kind = if skipped { words.next()? } else { kind };
    }
    if !kind.eq_ignore_ascii_case("CNAME") {
        return None;
    }
    let (target, more) = (words.next()?, words.next());
    let exception = match target {
        "." | "*." => false,
        _ if target.eq_ignore_ascii_case("rpz-passthru.") => true,
        _ => return Some(false),
    };
    // A name with a dot at its end says its zone too, which is not known; rpz-ip and its like are no names.
    let trigger = name.rsplit('.').next().is_some_and(|last| last.to_ascii_lowercase().starts_with("rpz-"));
    if more.is_some() || name.ends_with('.') || trigger {
        return Some(false);
    }
    let (scope, name) = name.strip_prefix("*.").map_or((NameScope::Exact, name), |rest| (NameScope::Below, rest));
    Some(give(name, scope, exception, scratch, take))
}
