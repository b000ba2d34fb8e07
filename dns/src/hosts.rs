//! The text of hosts(5): names that are known without asking. Does not know where the file lies.

use std::collections::hash_map::Entry;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;

use crate::wire::name;
use crate::{Addresses, Millis};

/// Names that are kept. Lists against advertising are the largest such files, with a few hundred thousand names; one
/// costs about 100 bytes.
pub const MAX_NAMES: usize = 500_000;
/// Addresses of one name.
const MAX_ADDRESSES: usize = 16;

/// The names of a hosts file. The file is the operator's, so its names need no secret in their hash.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    names: HashMap<Box<str>, Addresses, BuildHasherDefault<DefaultHasher>>,
}

/// Reads the text of a hosts file. Lines that mean nothing are passed over; a name on several lines has all their
/// addresses.
pub fn parse(text: &str) -> Hosts {
    let mut hosts = Hosts::default();
    // Most lines of a long file name the same address: they share one list.
    let mut shared = Addresses::default();
    for line in text.lines() {
        let mut words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        if shared.iter().next() != Some(address) {
            shared = Addresses::from_list(&[address], Millis::MAX);
        }
        for name in words.map(|word| word.split('#').next().unwrap_or(word)).filter_map(name::normalise) {
            hosts.add(&name.name, address, &shared);
        }
    }
    hosts
}

impl Hosts {
    /// The addresses of a name in normal form.
    pub fn get(&self, name: &str) -> Option<&Addresses> {
        self.names.get(name)
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether no name is known.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn add(&mut self, name: &str, address: IpAddr, alone: &Addresses) {
        let full = self.names.len() >= MAX_NAMES;
        match self.names.entry(name.into()) {
            Entry::Vacant(entry) if !full => {
                entry.insert(alone.clone());
            }
            Entry::Vacant(_) => {}
            Entry::Occupied(mut entry) => {
                let mut list: Vec<IpAddr> = entry.get().iter().collect();
                if list.len() < MAX_ADDRESSES && !list.contains(&address) {
                    list.push(address);
                    entry.insert(Addresses::from_list(&list, Millis::MAX));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(hosts: &Hosts, name: &str) -> Vec<String> {
        hosts.get(name).into_iter().flat_map(Addresses::iter).map(|address| address.to_string()).collect()
    }

    #[test]
    fn lines_are_read() {
        let hosts = parse(
            "127.0.0.1\tlocalhost\n::1 localhost ip6-localhost # both\n# 10.0.0.1 hidden\n10.0.0.2 Web.Example.COM. web#x\n\
             nonsense name\n10.0.0.3\n10.0.0.4 bad..name good\nfe80::1%eth0 scoped\n",
        );
        for (name, expected) in [
            ("localhost", vec!["::1", "127.0.0.1"]),
            ("ip6-localhost", vec!["::1"]),
            ("web.example.com", vec!["10.0.0.2"]),
            ("web", vec!["10.0.0.2"]),
            ("good", vec!["10.0.0.4"]),
            ("hidden", vec![]),
            ("name", vec![]),
            ("scoped", vec![]),
        ] {
            assert_eq!(addresses(&hosts, name), expected, "{name}");
        }
        assert_eq!(hosts.len(), 5);
    }

    #[test]
    fn addresses_of_one_name_are_bounded() {
        let text: String = (0..100).map(|i| format!("10.0.0.{i} many\n10.0.0.{i} many\n")).collect();
        assert_eq!(addresses(&parse(&text), "many").len(), MAX_ADDRESSES);
    }
}
