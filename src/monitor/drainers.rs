//! Drainers: processes that keep the clients of former versions, and what each tells of itself once a second. The words may be those of
//! another version: what is not known is passed over, and what is not told is 0.

use std::fmt::Write;

use reactor::Millis;
use serde_json::{json, Value};

use super::Counters;
use crate::peer::Family;

/// Bytes by what clients come by ([`Family::ALL`]), to them and to origins.
pub type SentBytes = [[u64; Family::ALL.len()]; 2];

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
    /// Bytes that it has sent since it became one.
    pub sent: SentBytes,
    /// Tunnels that have gone on in a later version.
    pub moved: u64,
    /// 1 with its last word: clients that are still there are cut off.
    pub last: u64,
}

impl DrainerNumbers {
    /// Bytes that it has sent to clients since it became one, and to origins.
    pub fn sums(&self) -> [u64; 2] {
        self.sent.map(sum)
    }

    fn words(&mut self) -> [(&'static str, &mut u64); 12] {
        let [[clients4, clients6, clients_unix], [origins4, origins6, origins_unix]] = &mut self.sent;
        [
            ("since", &mut self.since),
            ("until", &mut self.until),
            ("clients", &mut self.clients),
            ("tunnels", &mut self.tunnels),
            ("to-clients4", clients4),
            ("to-clients6", clients6),
            ("to-clients-unix", clients_unix),
            ("to-origins4", origins4),
            ("to-origins6", origins6),
            ("to-origins-unix", origins_unix),
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

/// What was sent between two counts.
pub fn sent_between(before: &SentBytes, after: &SentBytes) -> SentBytes {
    [0, 1].map(|way| std::array::from_fn(|family| after[way][family].saturating_sub(before[way][family])))
}

fn sum(bytes: [u64; Family::ALL.len()]) -> u64 {
    bytes.into_iter().fold(0, u64::saturating_add)
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

    /// It tells of itself. Gives the bytes that it has sent since it did so before.
    pub fn note(&mut self, told: DrainerNumbers, now: Millis) -> SentBytes {
        let sent = sent_between(&self.told.unwrap_or(told).sent, &told.sent);
        let span = now.saturating_sub(self.heard).max(1);
        self.rates = sent.map(|bytes| sum(bytes).saturating_mul(1000) / span);
        (self.told, self.heard) = (Some(told), now);
        sent
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
            "to_clients": told.map(|told| told.sums()[0]),
            "to_origins": told.map(|told| told.sums()[1]),
            "moved": told.map(|told| told.moved),
            "to_clients_rate": told.map(|_| self.rates[0]),
            "to_origins_rate": told.map(|_| self.rates[1]),
        })
    }
}

impl Counters {
    /// Adds bytes that another process has sent.
    pub fn add_sent(&mut self, [to_clients, to_origins]: SentBytes) {
        let add = |(total, more): (&mut u64, u64)| *total = total.saturating_add(more);
        self.to_clients.iter_mut().zip(to_clients).for_each(add);
        self.to_origins.iter_mut().zip(to_origins).for_each(add);
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
            sent: [[5, 0, 8], [6, 9, 0]],
            moved: 7,
            last: 1,
        };
        let sent = "to-clients4=5 to-clients6=0 to-clients-unix=8 to-origins4=6 to-origins6=9 to-origins-unix=0";
        assert_eq!(told.text(), format!(" since=1 until=2 clients=3 tunnels=4 {sent} moved=7 last=1"));
        assert_eq!(DrainerNumbers::read(&told.text()), told);
        let read = DrainerNumbers::read("clients=-1 tunnels=7 kitchen=sink since clients=x until=99999999999999999999");
        assert_eq!(read, DrainerNumbers { tunnels: 7, ..DrainerNumbers::default() });
    }

    #[test]
    fn rates_are_those_between_two_words() {
        let mut row = DrainerRow::new(7);
        let told = |bytes| DrainerNumbers { sent: [[0, bytes, 0], [0; 3]], ..DrainerNumbers::default() };
        assert_eq!(row.note(told(5000), 1000), [[0; 3]; 2], "what an earlier version may have counted");
        assert_eq!(row.rates, [0, 0]);
        assert_eq!(row.note(told(9000), 3000), [[0, 4000, 0], [0; 3]]);
        assert_eq!((row.rates, row.to_json()["to_clients_rate"].as_u64()), ([2000, 0], Some(2000)));
        assert_eq!(row.note(told(0), 3000), [[0; 3]; 2]);
        assert_eq!(row.rates, [0, 0]);
        assert_eq!(DrainerRow::new(7).to_json()["clients"], Value::Null);
    }
}
