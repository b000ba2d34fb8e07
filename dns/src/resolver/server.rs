//! What is known of one name server: its round trips, whether it is up, what it can do, and which ids are open there.
//! Knows no names.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::link::Link;
use super::table::Key;
use crate::hash::Spread;
use crate::Millis;

/// The first wait for a server that was never heard, in milliseconds: long enough for a far server, and a first server
/// that is dead costs a client less than half a second.
pub(crate) const FIRST_WAIT: Millis = 400;
/// The shortest first wait. A near server answers from its cache within a millisecond, but needs some hundred for what
/// it has to ask itself; a shorter wait would send most of those questions twice.
pub(crate) const SHORTEST_WAIT: Millis = 250;
/// Waits without any response in between that make a server count as down.
const STRIKES: u32 = 3;
/// First and longest time after which a server that is down is tried again, in milliseconds; it doubles.
const DOWN_FIRST: Millis = 1_000;
const DOWN_LAST: Millis = 32_000;
/// Responses with changed letters, and none with the right ones between, after which they are no longer mixed. More
/// than one, so that a single forged response cannot switch the mixing off.
const CASE_STRIKES: u8 = 3;
/// Questions with EDNS that were only answered when sent again without, after which it is left out: some servers and
/// firewalls drop such questions in silence.
const EDNS_STRIKES: u8 = 3;
/// Open ids that one server may have, of the 65536 there are: a random one is free at the second try on average.
const MAX_IDS: usize = 32_768;
/// Draws for a free id. With half of them taken the chance to fail is one in four billion.
const MAX_DRAWS: usize = 32;

/// What a server has shown of a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Not enough is known: use it, and be ready to do without.
    Unknown,
    /// It works.
    Works,
    /// It does not: leave it out.
    Broken,
}

/// One name server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) edns: Feature,
    pub(crate) case: Feature,
    pub(crate) link: Option<Link>,
    pub(crate) ids: HashMap<u16, Key, Spread>,
    round_trip: Option<RoundTrip>,
    heard: Millis,
    strikes: u32,
    down: Option<Down>,
    case_strikes: u8,
    edns_strikes: u8,
}

/// Smoothed round trip and its deviation (RFC 6298 section 2), in milliseconds times eight.
#[derive(Clone, Copy, Debug)]
struct RoundTrip {
    mean: u64,
    deviation: u64,
}

#[derive(Clone, Copy, Debug)]
struct Down {
    probe_at: Millis,
    pause: Millis,
}

impl Server {
    pub(crate) fn new(address: SocketAddr) -> Server {
        Server {
            address,
            edns: Feature::Unknown,
            case: Feature::Unknown,
            link: None,
            ids: HashMap::with_hasher(Spread),
            round_trip: None,
            heard: 0,
            strikes: 0,
            down: None,
            case_strikes: 0,
            edns_strikes: 0,
        }
    }

    /// Whether a datagram from `from` comes from this server (RFC 5452 section 9.1). Flow labels do not count, and a
    /// scope only if both have one.
    pub(crate) fn is_at(&self, from: SocketAddr) -> bool {
        match (self.address, from) {
            (SocketAddr::V6(own), SocketAddr::V6(other)) => {
                let same_scope = own.scope_id() == other.scope_id() || own.scope_id() == 0 || other.scope_id() == 0;
                own.ip() == other.ip() && own.port() == other.port() && same_scope
            }
            (own, other) => own == other,
        }
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down.is_some()
    }

    /// How long to wait for a first answer before the question is sent again, in milliseconds.
    pub(crate) fn wait(&self) -> Millis {
        let measured = |trip: RoundTrip| ((trip.mean + 4 * trip.deviation) / 8).max(SHORTEST_WAIT);
        self.round_trip.map_or(FIRST_WAIT, measured)
    }

    /// Takes a free id. `None` if too many are open.
    pub(crate) fn claim(&mut self, key: Key, mut draw: impl FnMut() -> u16) -> Option<u16> {
        if self.ids.len() >= MAX_IDS {
            return None;
        }
        let id = (0..MAX_DRAWS).map(|_| draw()).find(|id| !self.ids.contains_key(id))?;
        self.ids.insert(id, key);
        Some(id)
    }

    /// A response came; `round_trip` is its time if it cannot belong to an earlier send (Karn's rule, RFC 6298 section
    /// 3).
    pub(crate) fn note_answer(&mut self, round_trip: Option<Millis>, now: Millis) {
        self.heard = now;
        self.strikes = 0;
        self.down = None;
        if let Some(sample) = round_trip {
            self.round_trip = Some(RoundTrip::with(self.round_trip, sample * 8));
        }
    }

    /// A wait for a question sent at `sent` ended. It counts only if the server was silent all that time: a slow answer
    /// is the name's fault.
    pub(crate) fn note_timeout(&mut self, sent: Millis, now: Millis) {
        if self.heard > sent {
            return;
        }
        // Several in a row: one lost datagram must not take a server out of use.
        self.strikes += 1;
        if self.strikes >= STRIKES {
            self.mark_down(now);
        }
    }

    /// Its host answered that nothing listens on the port (ICMP port unreachable).
    pub(crate) fn mark_down(&mut self, now: Millis) {
        if self.down.is_none() {
            self.down = Some(Down { probe_at: now + DOWN_FIRST, pause: DOWN_FIRST });
        }
    }

    /// Whether it is down and should be tried now; the next try is then put off.
    pub(crate) fn take_probe(&mut self, now: Millis) -> bool {
        let Some(down) = self.down.as_mut().filter(|down| down.probe_at <= now) else { return false };
        down.pause = (down.pause * 2).min(DOWN_LAST);
        down.probe_at = now + down.pause;
        true
    }

    /// A response repeated the letters as they were sent, or did not.
    pub(crate) fn note_case(&mut self, kept: bool) {
        note(&mut self.case, &mut self.case_strikes, kept, CASE_STRIKES);
    }

    /// A question with EDNS was answered, or only the one without it.
    pub(crate) fn note_edns(&mut self, works: bool) {
        note(&mut self.edns, &mut self.edns_strikes, works, EDNS_STRIKES);
    }
}

fn note(feature: &mut Feature, strikes: &mut u8, works: bool, limit: u8) {
    if works {
        *strikes = 0;
        *feature = Feature::Works;
    } else {
        *strikes = strikes.saturating_add(1);
        if *strikes >= limit {
            *feature = Feature::Broken;
        }
    }
}

impl RoundTrip {
    fn with(before: Option<RoundTrip>, sample: u64) -> RoundTrip {
        match before {
            // The weights of RFC 6298 section 2: 1/8 for the mean, 1/4 for the deviation.
            None => RoundTrip { mean: sample, deviation: sample / 2 },
            Some(RoundTrip { mean, deviation }) => {
                RoundTrip { mean: (7 * mean + sample) / 8, deviation: (3 * deviation + mean.abs_diff(sample)) / 4 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        Server::new("192.0.2.1:53".parse().unwrap())
    }

    fn key() -> Key {
        Key::from_bits(0)
    }

    #[test]
    fn the_wait_follows_the_round_trip() {
        let mut server = server();
        assert_eq!(server.wait(), FIRST_WAIT);
        server.note_answer(Some(1), 10);
        assert_eq!(server.wait(), SHORTEST_WAIT);
        for _ in 0..100 {
            server.note_answer(Some(600), 20);
        }
        assert!((600..700).contains(&server.wait()), "{}", server.wait());
    }

    #[test]
    fn silence_makes_it_down_and_an_answer_brings_it_back() {
        let mut server = server();
        server.note_timeout(0, 400);
        server.note_timeout(0, 400);
        assert!(!server.is_down());
        server.note_timeout(0, 400);
        assert!(server.is_down() && !server.take_probe(1_399));
        assert!(server.take_probe(1_400) && !server.take_probe(3_399) && server.take_probe(3_400));
        server.note_answer(None, 3_500);
        assert!(!server.is_down());
        server.note_timeout(3_400, 3_900);
        assert!(!server.is_down(), "it was heard after that question was sent");
    }

    #[test]
    fn probes_become_rare_but_do_not_end() {
        let mut server = server();
        server.mark_down(0);
        let times: Vec<Millis> = (0..200_000).filter(|&now| server.take_probe(now)).collect();
        assert_eq!(times[..6], [1_000, 3_000, 7_000, 15_000, 31_000, 63_000]);
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= DOWN_LAST));
    }

    #[test]
    fn ids_are_unique_and_bounded() {
        let mut server = server();
        let mut next = 0u16;
        assert_eq!(server.claim(key(), || 7), Some(7));
        let mut draws = [7, 7, 9].into_iter();
        assert_eq!(server.claim(key(), || draws.next().unwrap()), Some(9));
        while server.ids.len() < MAX_IDS {
            server.claim(key(), || {
                next = next.wrapping_add(1);
                next
            });
        }
        assert_eq!(server.claim(key(), || 60_000), None);
    }

    #[test]
    fn features_are_given_up_after_some_strikes_only() {
        let mut server = server();
        server.note_case(false);
        server.note_case(false);
        server.note_case(true);
        server.note_case(false);
        assert_eq!(server.case, Feature::Works);
        server.note_case(false);
        server.note_case(false);
        assert_eq!(server.case, Feature::Broken);
        for _ in 0..EDNS_STRIKES {
            server.note_edns(false);
        }
        assert_eq!(server.edns, Feature::Broken);
    }

    #[test]
    fn sources_are_compared_by_address_port_and_scope() {
        let at = |own: &str, from: &str| Server::new(own.parse().unwrap()).is_at(from.parse().unwrap());
        assert!(at("192.0.2.1:53", "192.0.2.1:53") && !at("192.0.2.1:53", "192.0.2.1:54"));
        assert!(!at("192.0.2.1:53", "192.0.2.2:53") && !at("192.0.2.1:53", "[::ffff:192.0.2.1]:53"));
        assert!(at("[fe80::1%3]:53", "[fe80::1%3]:53") && !at("[fe80::1%3]:53", "[fe80::1%4]:53"));
        assert!(at("[fe80::1%3]:53", "[fe80::1]:53"));
    }
}
