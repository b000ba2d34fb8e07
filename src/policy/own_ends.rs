//! Our ends of connections that lead on without a word of us, by which one is known that comes back to us: those without HTTP, and all
//! where `http.transparent` leaves out Via. Knows no socket. Pure.

use std::collections::HashMap;
use std::net::SocketAddr;

use smallvec::SmallVec;

/// Where the connections lead that have the same end here. The system gives an end to a second one that leads elsewhere.
type FarEnds = SmallVec<[SocketAddr; 1]>;

/// Both ends of such connections, while they are there. Bounded by the sessions, each of which has one at most.
#[derive(Debug, Default)]
pub struct OwnEnds {
    sessions: HashMap<u64, (SocketAddr, SocketAddr)>,
    far: HashMap<SocketAddr, FarEnds>,
}

impl OwnEnds {
    /// A session has a connection with these ends, ours first, in place of the one that it had.
    pub fn enter(&mut self, session: u64, ours: SocketAddr, far: SocketAddr) {
        self.leave(session);
        let (ours, far) = (canonical(ours), canonical(far));
        self.sessions.insert(session, (ours, far));
        self.far.entry(ours).or_default().push(far);
    }

    /// A session has none any more.
    pub fn leave(&mut self, session: u64) {
        if self.is_empty() {
            return;
        }
        let Some((ours, far)) = self.sessions.remove(&session) else { return };
        let Some(all) = self.far.get_mut(&ours) else { return };
        if let Some(at) = all.iter().position(|one| *one == far) {
            all.swap_remove(at);
        }
        if all.is_empty() {
            self.far.remove(&ours);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Whether a connection from there is one of them; where it is known where it was going, one that leads there.
    pub fn have(&self, from: SocketAddr, going: Option<SocketAddr>) -> bool {
        let leads = |far: &FarEnds| going.is_none_or(|to| far.contains(&canonical(to)));
        self.far.get(&canonical(from)).is_some_and(leads)
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_end_is_known_as_long_as_a_connection_has_it() {
        let (own, a, b) = (at("192.0.2.1:40000"), at("198.51.100.1:443"), at("198.51.100.2:443"));
        let mut ends = OwnEnds::default();
        assert!(ends.is_empty() && !ends.have(own, None));
        ends.enter(1, own, a);
        ends.enter(2, at("[::ffff:192.0.2.1]:40000"), b);
        assert!(ends.have(own, None) && ends.have(own, Some(a)) && ends.have(at("[::ffff:192.0.2.1]:40000"), Some(b)));
        assert!(!ends.have(own, Some(at("198.51.100.1:80"))) && !ends.have(at("192.0.2.1:40001"), None));
        ends.leave(1);
        assert!(!ends.have(own, Some(a)) && ends.have(own, Some(b)) && ends.have(own, None));
        // Another connection of the same session.
        ends.enter(2, own, a);
        assert!(ends.have(own, Some(a)) && !ends.have(own, Some(b)));
        ends.leave(2);
        ends.leave(2);
        assert!(ends.is_empty() && ends.far.is_empty());
    }
}
