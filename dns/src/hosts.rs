//! The text of hosts(5): names that are known without asking. Does not know where the file lies.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;

use crate::wire::name;
use crate::{Addresses, Millis};

/// Names that are kept. Lists against advertising are the largest such files, with a few hundred thousand names; one costs
/// its text and about 20 bytes.
pub const MAX_NAMES: usize = 500_000;
/// Addresses of one name.
const MAX_ADDRESSES: usize = 16;
/// Places of the smallest table.
const MIN_PLACES: usize = 16;

/// The names of a hosts file, in four blocks of memory, however many they are. A block for each name would take long to make
/// and to free, and the allocator's lock with it, for which the loop would wait (137 ms for 500,000 names).
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// All names, one behind the other.
    text: String,
    entries: Vec<HostName>,
    /// Where the entry of a name is found: its number plus one, at the place that the name's hash says or behind it. Zero is
    /// a free place. A power of two, at most half full.
    places: Vec<u32>,
    addresses: Vec<IpAddr>,
}

/// A name, and its addresses. Neighbours with the same single address share it.
#[derive(Clone, Copy, Debug)]
struct HostName {
    start: u32,
    length: u8,
    count: u8,
    first: u32,
}

/// Reads the text of a hosts file, of less than 4 GiB. Lines that mean nothing are passed over; a name on several lines has
/// all their addresses.
pub fn parse(text: &str) -> Hosts {
    let mut reading = Reading::default();
    reading.read(text);
    reading.finish()
}

/// A hosts file that is read piece by piece, so that the reader can give way to others in between.
#[derive(Debug, Default)]
pub struct Reading {
    hosts: Hosts,
    /// What later lines say of names that were there already: the number of the entry, the address.
    further: Vec<(usize, IpAddr)>,
}

impl Reading {
    /// Begins with room for so many names, so that it need not be made while reading.
    pub fn with_room(names: usize) -> Reading {
        let mut reading = Reading::default();
        reading.hosts.make_places((names.min(MAX_NAMES) * 2).next_power_of_two());
        reading
    }

    /// Reads the next lines, all of them whole.
    pub fn read(&mut self, lines: &str) {
        for line in lines.lines() {
            let mut words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for name in words.map(|word| word.split('#').next().unwrap_or(word)).filter_map(name::normalise) {
                match self.hosts.find(&name.name) {
                    Ok(entry) => self.further.push((entry, address)),
                    Err(_) if self.hosts.len() < MAX_NAMES => self.hosts.add(&name.name, address),
                    Err(_) => {}
                }
            }
        }
    }

    /// What the lines say together.
    pub fn finish(mut self) -> Hosts {
        self.hosts.add_further(self.further);
        self.hosts
    }
}

impl Hosts {
    /// The addresses of a name in normal form.
    pub fn get(&self, name: &str) -> Option<Addresses> {
        let entry = self.find(name).ok()?;
        Some(Addresses::from_list(self.addresses_of(self.entries[entry]), Millis::MAX))
    }

    /// Whether a name in normal form is known.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no name is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn name_of(&self, entry: HostName) -> &str {
        &self.text[entry.start as usize..][..usize::from(entry.length)]
    }

    fn addresses_of(&self, entry: HostName) -> &[IpAddr] {
        &self.addresses[entry.first as usize..][..usize::from(entry.count)]
    }

    /// The number of a name's entry, or the free place where it is to be noted.
    fn find(&self, name: &str) -> Result<usize, usize> {
        let mask = self.places.len().wrapping_sub(1);
        let mut place = place_of(name) & mask;
        while let Some(number @ 1..) = self.places.get(place) {
            let number = *number as usize - 1;
            if self.name_of(self.entries[number]) == name {
                return Ok(number);
            }
            place = (place + 1) & mask;
        }
        Err(place)
    }

    /// Adds a name that is not there yet.
    fn add(&mut self, name: &str, address: IpAddr) {
        if self.addresses.last() != Some(&address) {
            self.addresses.push(address);
        }
        let (start, first) = (self.text.len() as u32, self.addresses.len() as u32 - 1);
        // A name in normal form has at most 253 bytes.
        let entry = HostName { start, length: name.len() as u8, count: 1, first };
        self.text.push_str(name);
        self.entries.push(entry);
        if self.entries.len() * 2 > self.places.len() {
            self.make_places(self.places.len() * 2);
        } else {
            self.note(entry, self.entries.len());
        }
    }

    /// Makes a table of so many places and notes all entries in it.
    fn make_places(&mut self, places: usize) {
        // The old table goes first: both together are not needed.
        self.places = Vec::new();
        self.places.resize(places.max(MIN_PLACES), 0);
        for number in 0..self.entries.len() {
            self.note(self.entries[number], number + 1);
        }
    }

    fn note(&mut self, entry: HostName, number: usize) {
        if let Err(place) = self.find(self.name_of(entry)) {
            self.places[place] = number as u32;
        }
    }

    /// Adds what further lines say of names that were there already.
    fn add_further(&mut self, mut further: Vec<(usize, IpAddr)>) {
        further.sort_by_key(|(number, _)| *number);
        for lines in further.chunk_by(|one, other| one.0 == other.0) {
            let entry = self.entries[lines[0].0];
            let mut list = self.addresses_of(entry).to_vec();
            for (_, address) in lines {
                if list.len() < MAX_ADDRESSES && !list.contains(address) {
                    list.push(*address);
                }
            }
            if list.len() > 1 {
                let (first, count) = (self.addresses.len() as u32, list.len() as u8);
                self.addresses.extend(list);
                self.entries[lines[0].0] = HostName { first, count, ..entry };
            }
        }
    }
}

/// The file is the operator's, so that its names need no secret in their hash.
fn place_of(name: &str) -> usize {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(name) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(hosts: &Hosts, name: &str) -> Vec<String> {
        hosts.get(name).iter().flat_map(Addresses::iter).map(|address| address.to_string()).collect()
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

    #[test]
    fn every_name_of_a_long_file_is_found_and_no_other() {
        let text: String = (0..5000).map(|i| format!("10.0.{}.{} n{i}.test\n", i / 250, i % 250)).collect();
        let hosts = parse(&(text.clone() + &text));
        assert_eq!(hosts.len(), 5000);
        for number in 0..5000 {
            let expected = format!("10.0.{}.{}", number / 250, number % 250);
            assert_eq!(addresses(&hosts, &format!("n{number}.test")), [expected]);
            assert!(!hosts.has(&format!("m{number}.test")));
        }
        assert!(!Hosts::default().has("n1.test"));
    }

    #[test]
    fn names_have_a_bound() {
        let text: String = (0..=MAX_NAMES).map(|i| format!("::1 n{i} n{i}\n")).collect();
        let hosts = parse(&text);
        assert_eq!((hosts.len(), hosts.has("n499999"), hosts.has("n500000")), (MAX_NAMES, true, false));
        assert_eq!(hosts.addresses.len(), 1, "neighbours share an address");
    }
}
