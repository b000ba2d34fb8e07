//! Kinds of values that are lists of words: methods, ports, services on this machine, ranges of addresses.
//! Knows neither which options exist nor where their texts come from.

use super::paths::Place;
use super::value::{port, Kind};
use super::words::{token, unbracket};
use ipnet::IpNet;
use std::fmt::{self, Display};
use std::net::IpAddr;
use std::ops::RangeInclusive;

fn words<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    text.split_whitespace().map(parse).collect()
}

fn join<T>(values: &[T], print: impl Fn(&T) -> String) -> String {
    values.iter().map(print).collect::<Vec<_>>().join(" ")
}

/// Request methods in upper case.
pub struct Methods;

impl Kind for Methods {
    type Value = Vec<String>;
    const QUOTED: bool = true;

    fn form() -> String {
        "request methods with blanks between them".into()
    }

    fn parse(text: &str, _: &Place) -> Option<Vec<String>> {
        words(text, |word| token(word).then(|| word.to_ascii_uppercase()))
    }

    fn print(value: &Vec<String>, _: &Place) -> String {
        value.join(" ")
    }
}

/// Ports and ranges of ports, such as `443 7000-7010`.
pub struct Ports;

impl Kind for Ports {
    type Value = Vec<RangeInclusive<u16>>;
    const QUOTED: bool = true;

    fn form() -> String {
        "ports or ranges of ports with blanks between them, such as 443 7000-7010".into()
    }

    fn parse(text: &str, _: &Place) -> Option<Vec<RangeInclusive<u16>>> {
        words(text, |word| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let range = port(first)?..=port(last)?;
            (!range.is_empty()).then_some(range)
        })
    }

    fn print(value: &Vec<RangeInclusive<u16>>, _: &Place) -> String {
        join(value, |range| match range.start() == range.end() {
            true => range.start().to_string(),
            false => format!("{}-{}", range.start(), range.end()),
        })
    }
}

/// Which hosts an entry of `security.local` speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceHost {
    /// Written `*`.
    Any,
    /// A numeric address; an IPv6 address stands in brackets.
    Address(IpAddr),
    /// A name, in lower case.
    Name(String),
}

/// A service on this machine that may be reached through the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The address or name it is asked by.
    pub host: ServiceHost,
    /// The port, or nothing for any port (written `*`).
    pub port: Option<u16>,
}

impl Service {
    fn parse(word: &str) -> Option<Service> {
        let (host, last) = word.rsplit_once(':')?;
        let port = match last {
            "*" => None,
            digits => Some(port(digits)?),
        };
        Some(Service { host: ServiceHost::parse(host)?, port })
    }
}

impl ServiceHost {
    fn parse(text: &str) -> Option<ServiceHost> {
        if text == "*" {
            return Some(ServiceHost::Any);
        }
        if let Some(inside) = unbracket(text) {
            return inside.parse().ok().map(|address| ServiceHost::Address(IpAddr::V6(address)));
        }
        match text.parse() {
            Ok(address) => Some(ServiceHost::Address(IpAddr::V4(address))),
            // Only letters, digits, dots and the like are left: an IPv6 address without brackets is ambiguous.
            Err(_) => (token(text) && !text.contains('*')).then(|| ServiceHost::Name(text.to_ascii_lowercase())),
        }
    }
}

impl Display for Service {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match &self.host {
            ServiceHost::Any => out.write_str("*")?,
            ServiceHost::Address(IpAddr::V6(address)) => write!(out, "[{address}]")?,
            ServiceHost::Address(address) => write!(out, "{address}")?,
            ServiceHost::Name(name) => out.write_str(name)?,
        }
        match self.port {
            Some(port) => write!(out, ":{port}"),
            None => out.write_str(":*"),
        }
    }
}

/// Services as `host:port`, where either half may be `*` and an IPv6 address stands in brackets.
pub struct Services;

impl Kind for Services {
    type Value = Vec<Service>;
    const QUOTED: bool = true;

    fn form() -> String {
        "host:port entries with blanks between them, such as *:8080 127.0.0.1:* [::1]:80".into()
    }

    fn parse(text: &str, _: &Place) -> Option<Vec<Service>> {
        words(text, Service::parse)
    }

    fn print(value: &Vec<Service>, _: &Place) -> String {
        join(value, Service::to_string)
    }
}

/// Ranges of addresses as `network/bits`; bits of the host part are cleared.
pub struct Ranges;

impl Kind for Ranges {
    type Value = Vec<IpNet>;
    const QUOTED: bool = true;

    fn form() -> String {
        "network/bits entries with blanks between them, such as 10.0.0.0/8 fc00::/7".into()
    }

    fn parse(text: &str, _: &Place) -> Option<Vec<IpNet>> {
        words(text, |word| word.parse::<IpNet>().ok().map(|range| range.trunc()))
    }

    fn print(value: &Vec<IpNet>, _: &Place) -> String {
        join(value, IpNet::to_string)
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::reprint;
    use super::*;

    #[test]
    fn methods_are_tokens_in_upper_case() {
        assert_eq!(reprint::<Methods>(" purge\n LINK ").as_deref(), Some("PURGE LINK"));
        assert_eq!(reprint::<Methods>("").as_deref(), Some(""));
        assert_eq!(reprint::<Methods>("GET, POST"), None);
    }

    #[test]
    fn ports_and_ranges_of_ports() {
        assert_eq!(reprint::<Ports>("443 981  7000-7010").as_deref(), Some("443 981 7000-7010"));
        assert_eq!(reprint::<Ports>("").as_deref(), Some(""));
        for text in ["0", "443,981", "7-3", "1-65536", "-3", "a"] {
            assert_eq!(reprint::<Ports>(text), None, "{text}");
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
}
