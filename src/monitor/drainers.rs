//! Drainers: processes that keep the clients of former versions, and what each tells of itself once a second. The words may be those of
//! another version: what is not known is passed over, and what is not told is 0.

use std::fmt::Write;

use reactor::Millis;
use serde_json::{json, Value};

/// What a drainer tells of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainerNumbers {
    /// When it became one, in seconds since 1970.
    pub since: u64,
    /// When its time ends, the same; 0 where it has as long as it needs.
    pub until: u64,
    /// Its clients.
    pub clients: u64,
    /// Those of them in a tunnel.
    pub tunnels: u64,
    /// Bytes that it has sent to clients since it became one.
    pub to_clients: u64,
    /// The same to origins.
    pub to_origins: u64,
    /// Tunnels that have gone on in a later version.
    pub moved: u64,
    /// 1 with its last word: clients that are still there are cut off.
    pub last: u64,
}

impl DrainerNumbers {
    fn words(&mut self) -> [(&'static str, &mut u64); 8] {
        [
            ("since", &mut self.since),
            ("until", &mut self.until),
            ("clients", &mut self.clients),
            ("tunnels", &mut self.tunnels),
            ("to-clients", &mut self.to_clients),
            ("to-origins", &mut self.to_origins),
            ("moved", &mut self.moved),
            ("last", &mut self.last),
        ]
    }

    /// As words.
    pub fn text(mut self) -> String {
        let mut text = String::new();
        for (name, value) in self.words() {
            // Writing to a String cannot fail.
            let _ = write!(text, " {name}={value}");
        }
        text
    }

    /// Understands them.
    pub fn read(text: &str) -> DrainerNumbers {
        let mut read = DrainerNumbers::default();
        let mut places = read.words();
        for word in text.split(' ') {
            let Some((name, value)) = word.split_once('=') else { continue };
            let place = places.iter_mut().find(|(known, _)| *known == name);
            if let (Some((_, place)), Ok(value)) = (place, value.parse()) {
                **place = value;
            }
        }
        read
    }
}

/// So many of something, in words.
pub fn in_words(count: u64, of: &str) -> String {
    format!("{count} {of}{}", if count == 1 { "" } else { "s" })
}

/// A drainer as its service knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrainerRow {
    /// Its process.
    pub pid: u32,
    /// What it has told; nothing where it is of a version that does not.
    pub told: Option<DrainerNumbers>,
    /// Bytes a second to clients, and to origins.
    pub rates: [u64; 2],
    /// When it told that, by the clock of the loop.
    heard: Millis,
}

impl DrainerRow {
    /// This process, of which nothing is known yet.
    pub fn new(pid: u32) -> DrainerRow {
        DrainerRow { pid, ..DrainerRow::default() }
    }

    /// It tells of itself.
    pub fn note(&mut self, told: DrainerNumbers, now: Millis) {
        if let Some(before) = self.told {
            let span = now.saturating_sub(self.heard).max(1);
            let rate = |old: u64, new: u64| new.saturating_sub(old).saturating_mul(1000) / span;
            self.rates = [rate(before.to_clients, told.to_clients), rate(before.to_origins, told.to_origins)];
        }
        (self.told, self.heard) = (Some(told), now);
    }

    /// The row as a JSON object.
    pub fn to_json(&self) -> Value {
        let told = self.told.as_ref();
        json!({
            "pid": self.pid,
            "since": told.map(|told| told.since),
            "until": told.map(|told| told.until).filter(|until| *until > 0),
            "clients": told.map(|told| told.clients),
            "tunnels": told.map(|told| told.tunnels),
            "to_clients": told.map(|told| told.to_clients),
            "to_origins": told.map(|told| told.to_origins),
            "moved": told.map(|told| told.moved),
            "to_clients_rate": told.map(|_| self.rates[0]),
            "to_origins_rate": told.map(|_| self.rates[1]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_drainer_tells_is_understood_by_other_versions() {
        let told = DrainerNumbers {
            since: 1,
            until: 2,
            clients: 3,
            tunnels: 4,
            to_clients: 5,
            to_origins: 6,
            moved: 7,
            last: 1,
        };
        assert_eq!(told.text(), " since=1 until=2 clients=3 tunnels=4 to-clients=5 to-origins=6 moved=7 last=1");
        assert_eq!(DrainerNumbers::read(&told.text()), told);
        let read = DrainerNumbers::read("clients=-1 tunnels=7 kitchen=sink since clients=x until=99999999999999999999");
        assert_eq!(read, DrainerNumbers { tunnels: 7, ..DrainerNumbers::default() });
    }

    #[test]
    fn rates_are_those_between_two_words() {
        let mut row = DrainerRow::new(7);
        let told = |to_clients| DrainerNumbers { to_clients, ..DrainerNumbers::default() };
        row.note(told(5000), 1000);
        assert_eq!(row.rates, [0, 0]);
        row.note(told(9000), 3000);
        assert_eq!((row.rates, row.to_json()["to_clients_rate"].as_u64()), ([2000, 0], Some(2000)));
        row.note(told(0), 3000);
        assert_eq!(row.rates, [0, 0]);
        assert_eq!(DrainerRow::new(7).to_json()["clients"], Value::Null);
    }
}
