//! Kinds of values that are lists of addresses to listen on, each with a port of its own or without, and with the word
//! `proxied` behind those whose connections start with a PROXY protocol header. Knows neither which options exist nor where
//! their texts come from.

use super::place::PathContext;
use super::text::unbracket;
use super::value::{list_words, port, ValueType};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One address to listen on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListenHost {
    /// The address.
    pub address: IpAddr,
    /// Its port, None for that of the section.
    pub port: Option<u16>,
    /// Its connections start with a PROXY protocol header, also where those of the others do not.
    pub proxied: bool,
}

impl ListenHost {
    /// Where to listen, with the port of the section where it has none of its own.
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, self.port.unwrap_or(port))
    }
}

/// What follows an address whose connections start with a PROXY protocol header.
const PROXIED: &str = "proxied";

/// IPv4 addresses, such as `127.0.0.1 192.0.2.1:8080 proxied`.
pub struct Listen4;

/// IPv6 addresses, such as `::1 [2001:db8::1]:8080 proxied`.
pub struct Listen6;

impl ValueType for Listen4 {
    type Value = Vec<ListenHost>;
    const QUOTED: bool = true;

    fn form() -> String {
        "IPv4 addresses, each with :port or without, and with the word proxied behind it or without".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Vec<ListenHost>> {
        read(text, |word| {
            let (address, port) = with_port(word, word.split_once(':'))?;
            Some((IpAddr::V4(address.parse::<Ipv4Addr>().ok()?), port))
        })
    }

    fn print(value: &Vec<ListenHost>, _: &PathContext) -> String {
        written(value)
    }
}

impl ValueType for Listen6 {
    type Value = Vec<ListenHost>;
    const QUOTED: bool = true;

    fn form() -> String {
        "IPv6 addresses, those with a port as [address]:port, each with the word proxied behind it or without".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Vec<ListenHost>> {
        read(text, |word| {
            let bracketed = word.rsplit_once(':').filter(|(address, _)| address.ends_with(']'));
            let (address, port) = with_port(word, bracketed)?;
            let bare = match (unbracket(address), port) {
                (Some(bare), _) => bare,
                (None, None) => address,
                (None, Some(_)) => return None,
            };
            Some((IpAddr::V6(bare.parse::<Ipv6Addr>().ok()?), port))
        })
    }

    fn print(value: &Vec<ListenHost>, _: &PathContext) -> String {
        written(value)
    }
}

/// A word, taken apart where it has a port.
fn with_port<'a>(word: &'a str, split: Option<(&'a str, &'a str)>) -> Option<(&'a str, Option<u16>)> {
    match split {
        Some((address, digits)) => Some((address, Some(port(digits)?))),
        None => Some((word, None)),
    }
}

/// The list that a text says: at least one address, and none of them twice.
fn read(text: &str, one: impl Fn(&str) -> Option<(IpAddr, Option<u16>)>) -> Option<Vec<ListenHost>> {
    let mut hosts: Vec<ListenHost> = Vec::new();
    let mut follows = false;
    for word in list_words(text)? {
        if word == PROXIED {
            hosts.last_mut().filter(|_| follows)?.proxied = true;
            follows = false;
            continue;
        }
        let (address, port) = one(word)?;
        if hosts.iter().any(|host| (host.address, host.port) == (address, port)) {
            return None;
        }
        hosts.push(ListenHost { address, port, proxied: false });
        follows = true;
    }
    (!hosts.is_empty()).then_some(hosts)
}

fn written(hosts: &[ListenHost]) -> String {
    let word = |host: &ListenHost| {
        let address = host.port.map_or_else(|| host.address.to_string(), |port| host.at(port).to_string());
        if host.proxied {
            return format!("{address} {PROXIED}");
        }
        address
    };
    hosts.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::place::tests::{place, Shelf};
    use super::super::value::tests::reprint;
    use super::*;

    #[test]
    fn one_address_is_written_as_ever() {
        for text in ["127.0.0.1", "0.0.0.0"] {
            assert_eq!(reprint::<Listen4>(text).as_deref(), Some(text));
        }
        for (text, printed) in [("::1", "::1"), ("[::1]", "::1"), ("::", "::")] {
            assert_eq!(reprint::<Listen6>(text).as_deref(), Some(printed));
        }
    }

    #[test]
    fn several_addresses_have_ports_and_words_of_their_own() {
        let text = "127.0.0.1 192.0.2.1:8080 proxied 192.0.2.1:8081 10.0.0.1 proxied";
        assert_eq!(reprint::<Listen4>(text).as_deref(), Some(text));
        let commas = "127.0.0.1, 192.0.2.1:8080 proxied,192.0.2.1:8081, 10.0.0.1 proxied";
        assert_eq!(reprint::<Listen4>(commas).as_deref(), Some(text));
        let text = "::1 [2001:db8::1]:8080 proxied [2001:db8::1]:8081 fe00::1 proxied";
        assert_eq!(reprint::<Listen6>(text).as_deref(), Some(text));
        let shelf = Shelf::default();
        let hosts = Listen6::parse("[::1] proxied [::2]:80", &place(&shelf)).expect("two addresses");
        let told: Vec<_> = hosts.iter().map(|host| (host.at(3128).to_string(), host.proxied)).collect();
        assert_eq!(told, [("[::1]:3128".to_owned(), true), ("[::2]:80".to_owned(), false)]);
    }

    #[test]
    fn what_is_no_list_of_addresses_is_refused() {
        for text in [
            "",
            "proxied",
            "proxied 127.0.0.1",
            "127.0.0.1 proxied proxied",
            "127.0.0.1 Proxied",
            "127.0.0.1:0",
            "127.0.0.1:65536",
            "127.0.0.1:",
            "127.0.0.1;127.0.0.2",
            "127.0.0.1 127.0.0.1",
            "127.0.0.1:80 127.0.0.1:80 proxied",
            "localhost",
            "::1",
            "127.1",
        ] {
            assert_eq!(reprint::<Listen4>(text), None, "{text}");
        }
        for text in
            ["", "proxied", "[::1]:0", "[::1", "::1]", "::1]:80", "[::1]80", "::1 ::1", "127.0.0.1", "fe80::1%lo"]
        {
            assert_eq!(reprint::<Listen6>(text), None, "{text}");
        }
        // Without brackets a port would be a part of the address.
        assert_eq!(reprint::<Listen6>("::1:8080").as_deref(), Some("::1:8080"));
    }
}
