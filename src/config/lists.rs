//! Kinds of values that are lists of words: methods, ports, services on this machine, ranges of addresses.
//! Knows neither which options exist nor where their texts come from.

use super::place::PathContext;
use super::text::{token, unbracket};
use super::value::{list_words, port, ValueType};
use crate::policy::networks::ClientRange;
use crate::policy::ports::PortSet;
use crate::policy::tunnels::SniMode;
use crate::policy::{LocalHost, LocalService};
use ipnet::IpNet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Request methods in upper case.
pub struct Methods;

impl ValueType for Methods {
    type Value = Vec<String>;
    const QUOTED: bool = true;

    fn form() -> String {
        "request methods with blanks or commas between them".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Vec<String>> {
        words(text, |word| token(word).then(|| word.to_ascii_uppercase()))
    }

    fn print(value: &Vec<String>, _: &PathContext) -> String {
        value.join(" ")
    }
}

/// Names of fields.
pub struct FieldNames;

impl ValueType for FieldNames {
    type Value = Vec<Box<str>>;
    const QUOTED: bool = true;

    fn form() -> String {
        "names of fields with blanks or commas between them".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Vec<Box<str>>> {
        words(text, |word| token(word).then(|| word.into()))
    }

    fn print(value: &Vec<Box<str>>, _: &PathContext) -> String {
        value.join(" ")
    }
}

/// Names of hosts in lower case, or `*` for all of them.
pub struct HostNames;

impl ValueType for HostNames {
    type Value = Vec<String>;
    const QUOTED: bool = true;

    fn form() -> String {
        "names of hosts with blanks or commas between them, or *".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Vec<String>> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        words(text, |word| {
            let name = word.strip_suffix('.').unwrap_or(word);
            let is_name = !name.is_empty() && name.bytes().all(fits);
            (is_name || name == "*").then(|| name.to_ascii_lowercase())
        })
    }

    fn print(value: &Vec<String>, _: &PathContext) -> String {
        value.join(" ")
    }
}

/// Ports and ranges of ports, such as `443 7000-7010`.
pub struct Ports;

impl ValueType for Ports {
    type Value = Vec<RangeInclusive<u16>>;
    const QUOTED: bool = true;

    fn form() -> String {
        "ports or ranges of ports with blanks or commas between them, such as 443 7000-7010".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Vec<RangeInclusive<u16>>> {
        words(text, port_range)
    }

    fn print(value: &Vec<RangeInclusive<u16>>, _: &PathContext) -> String {
        join(value, print_range)
    }
}

/// The same with `safe`, for all that are not known for services of another kind, and `*`, for all.
pub struct PlainPorts;

impl ValueType for PlainPorts {
    type Value = Vec<PortSet>;
    const QUOTED: bool = true;

    fn form() -> String {
        "safe, *, ports or ranges of ports with blanks or commas between them, such as safe 6000-6010".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Vec<PortSet>> {
        words(text, |word| match word.to_ascii_lowercase().as_str() {
            "safe" => Some(PortSet::Safe),
            "*" => Some(PortSet::All),
            _ => port_range(word).map(PortSet::Range),
        })
    }

    fn print(value: &Vec<PortSet>, _: &PathContext) -> String {
        join(value, |set| match set {
            PortSet::Safe => "safe".to_owned(),
            PortSet::All => "*".to_owned(),
            PortSet::Range(range) => print_range(range),
        })
    }
}

/// Services as `host:port`, where either half may be `*` and an IPv6 address stands in brackets.
pub struct Services;

impl ValueType for Services {
    type Value = Vec<LocalService>;
    const QUOTED: bool = true;

    fn form() -> String {
        "host:port entries with blanks or commas between them, such as *:8080 127.0.0.1:* [::1]:80".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Vec<LocalService>> {
        words(text, service)
    }

    fn print(value: &Vec<LocalService>, _: &PathContext) -> String {
        join(value, print_service)
    }
}

/// Ranges of addresses as `network/bits`; bits of the host part are cleared.
pub struct Ranges;

impl ValueType for Ranges {
    type Value = Vec<IpNet>;
    const QUOTED: bool = true;

    fn form() -> String {
        "network/bits entries with blanks or commas between them, such as 10.0.0.0/8 fc00::/7".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Vec<IpNet>> {
        words(text, |word| word.parse::<IpNet>().ok().map(|range| range.trunc()))
    }

    fn print(value: &Vec<IpNet>, _: &PathContext) -> String {
        join(value, IpNet::to_string)
    }
}

/// Networks of both families, as `network/bits` or as single addresses, and users on Unix sockets, as `uid:1000`; bits of the
/// host part are cleared.
pub struct ClientRanges;

impl ValueType for ClientRanges {
    type Value = Vec<ClientRange>;
    const QUOTED: bool = true;

    fn form() -> String {
        "networks, addresses or users with blanks or commas between them, such as 10.0.0.0/8 192.0.2.1 fc00::/7 uid:1000".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Vec<ClientRange>> {
        words(text, ClientRange::parse)
    }

    fn print(value: &Vec<ClientRange>, _: &PathContext) -> String {
        join(value, ClientRange::to_string)
    }
}

/// Makes a kind of value that is one of two words; true is the second.
macro_rules! either {
    ($(#[doc = $about:literal] $name:ident $first:literal $second:literal;)*) => {
        $(
            #[doc = $about]
            pub struct $name;

            impl ValueType for $name {
                type Value = bool;
                const QUOTED: bool = true;

                fn form() -> String {
                    concat!($first, " or ", $second).into()
                }

                fn parse(text: &str, _: &PathContext) -> Option<bool> {
                    match text.to_ascii_lowercase().as_str() {
                        $first => Some(false),
                        $second => Some(true),
                        _ => None,
                    }
                }

                fn print(value: &bool, _: &PathContext) -> String {
                    if *value { $second } else { $first }.to_owned()
                }
            }
        )*
    };
}

either! {
    /// Whether what is on no list is refused.
    ListDefault "allow" "deny";
    /// Whether lists only tell what they would refuse.
    ListMode "enforce" "report";
    /// Whether a differing name in a hello is refused where another hello may be hidden in it.
    Ech "follow" "refuse";
    /// Whether a diverted connection of TLS goes to its original destination.
    TlsDestination "name" "original";
    /// Whether nothing but TLS may come in a tunnel.
    Tunnels "any" "tls";
    /// Whether helpers are spared what a list allows.
    ListHelpers "all" "unlisted";
    /// What of a cache goes first.
    EvictionWord "lru" "sieve";
}

/// What becomes of a name in a hello that is not that of CONNECT.
pub struct Sni;

impl ValueType for Sni {
    type Value = SniMode;
    const QUOTED: bool = true;

    fn form() -> String {
        "one of off log enforce".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<SniMode> {
        SniMode::ALL.into_iter().find(|mode| mode.name() == text)
    }

    fn print(value: &SniMode, _: &PathContext) -> String {
        value.name().to_owned()
    }
}

fn words<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    list_words(text)?.into_iter().map(parse).collect()
}

fn join<T>(values: &[T], print: impl Fn(&T) -> String) -> String {
    values.iter().map(print).collect::<Vec<_>>().join(" ")
}

fn port_range(word: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let range = port(first)?..=port(last)?;
    (!range.is_empty()).then_some(range)
}

fn print_range(range: &RangeInclusive<u16>) -> String {
    match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}-{}", range.start(), range.end()),
    }
}

fn service(word: &str) -> Option<LocalService> {
    let (host, last) = word.rsplit_once(':')?;
    let port = match last {
        "*" => None,
        digits => Some(port(digits)?),
    };
    Some(LocalService { host: service_host(host)?, port })
}

fn service_host(text: &str) -> Option<LocalHost> {
    if text == "*" {
        return Some(LocalHost::Any);
    }
    if let Some(inside) = unbracket(text) {
        return inside.parse().ok().map(|address| LocalHost::Address(IpAddr::V6(address)));
    }
    match text.parse() {
        Ok(address) => Some(LocalHost::Address(IpAddr::V4(address))),
        // Only letters, digits, dots and the like are left: an IPv6 address without brackets is ambiguous.
        Err(_) => (token(text) && !text.contains('*')).then(|| LocalHost::Name(text.to_ascii_lowercase())),
    }
}

fn print_service(service: &LocalService) -> String {
    let host = match &service.host {
        LocalHost::Any => "*".to_owned(),
        LocalHost::Address(IpAddr::V6(address)) => format!("[{address}]"),
        LocalHost::Address(address) => address.to_string(),
        LocalHost::Name(name) => name.clone(),
    };
    let port = service.port.map_or_else(|| "*".to_owned(), |port| port.to_string());
    format!("{host}:{port}")
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::reprint;
    use super::*;

    #[test]
    fn methods_are_tokens_in_upper_case() {
        assert_eq!(reprint::<Methods>(" purge\n LINK ").as_deref(), Some("PURGE LINK"));
        assert_eq!(reprint::<Methods>("").as_deref(), Some(""));
        assert_eq!(reprint::<Methods>("GET, POST").as_deref(), Some("GET POST"));
    }

    #[test]
    fn names_of_hosts_are_in_lower_case_and_without_ports() {
        assert_eq!(reprint::<HostNames>(" Gate.Example.  gate\n").as_deref(), Some("gate.example gate"));
        assert_eq!(reprint::<HostNames>("*").as_deref(), Some("*"));
        assert_eq!(reprint::<HostNames>("").as_deref(), Some(""));
        for text in ["gate:8080", "*.example", ".", "http://gate", ","] {
            assert_eq!(reprint::<HostNames>(text), None, "{text}");
        }
    }

    #[test]
    fn ports_and_ranges_of_ports() {
        assert_eq!(reprint::<Ports>("443, 981,  7000-7010").as_deref(), Some("443 981 7000-7010"));
        assert_eq!(reprint::<Ports>("").as_deref(), Some(""));
        for text in ["0", "443;981", "7-3", "1-65536", "-3", "a"] {
            assert_eq!(reprint::<Ports>(text), None, "{text}");
        }
    }

    #[test]
    fn ports_of_plain_requests_may_be_words() {
        assert_eq!(reprint::<PlainPorts>("SAFE 25  6000-6010").as_deref(), Some("safe 25 6000-6010"));
        assert_eq!(reprint::<PlainPorts>("*").as_deref(), Some("*"));
        for text in ["all", "0", "safe25", "7-3"] {
            assert_eq!(reprint::<PlainPorts>(text), None, "{text}");
        }
    }

    #[test]
    fn services_accept_what_the_original_documented() {
        let text = "127.0.0.1:80 *:8080 127.0.0.1:* *:* [::1]:443 Intra.Example:80";
        let expected = "127.0.0.1:80 *:8080 127.0.0.1:* *:* [::1]:443 intra.example:80";
        assert_eq!(reprint::<Services>(text).as_deref(), Some(expected));
        for text in ["127.0.0.1", "::1:80", "[::1]", "[10.0.0.1]:80", "host:0", "host:x", ":80", "*.x:80"] {
            assert_eq!(reprint::<Services>(text), None, "{text}");
        }
    }

    #[test]
    fn ranges_are_masked_and_printed_whole() {
        assert_eq!(reprint::<Ranges>("10.0.0.5/8 ::ffff:0:0/96").as_deref(), Some("10.0.0.0/8 ::ffff:0.0.0.0/96"));
        for text in ["10.0.0.0", "10.0.0.0/33", "::/129", "x/8", "10.0.0.0/"] {
            assert_eq!(reprint::<Ranges>(text), None, "{text}");
        }
    }

    #[test]
    fn networks_of_clients_may_be_single_addresses() {
        let text = reprint::<ClientRanges>("10.0.0.5/8 192.0.2.1  ::1 uid:1000 fc00::1/7 uid:*");
        assert_eq!(text.as_deref(), Some("10.0.0.0/8 192.0.2.1/32 ::1/128 uid:1000 fc00::/7 uid:*"));
        for text in ["10.0.0.0/33", "10.0.0", "all", "10.0.0.0/8;::1", "[::1]", "uid:ann"] {
            assert_eq!(reprint::<ClientRanges>(text), None, "{text}");
        }
    }
}
