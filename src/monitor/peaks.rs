//! The highest values since the start, of what an operator sizes a machine by. Knows no clock.

use reactor::Millis;

use super::Running;

/// What is watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeakOf {
    /// Clients of the proxy.
    Clients,
    /// Those of them in tunnels.
    Tunnels,
    /// Connections to servers.
    Servers,
    /// Requests in a second.
    Requests,
    /// Bytes to clients in a second.
    ToClients,
    /// Bytes to servers in a second.
    ToServers,
    /// Names looked up in a second.
    Names,
    /// Requests that wait for a helper.
    Queue,
    /// Buffers that are lent.
    Buffers,
    /// Bytes of the cache that are taken.
    Cache,
}

impl PeakOf {
    /// All of them, each at its own number.
    pub const ALL: [PeakOf; 10] = {
        use PeakOf as P;
        [
            P::Clients,
            P::Tunnels,
            P::Servers,
            P::Requests,
            P::ToClients,
            P::ToServers,
            P::Names,
            P::Queue,
            P::Buffers,
            P::Cache,
        ]
    };

    /// The number, and whether it is what is added to it in a second that counts.
    fn of(self, running: &Running) -> (u64, bool) {
        let counters = &running.counters;
        match self {
            PeakOf::Clients => (running.clients, false),
            PeakOf::Tunnels => (running.tunnels, false),
            PeakOf::Servers => (running.established, false),
            PeakOf::Requests => (counters.requests, true),
            PeakOf::ToClients => (counters.to_clients.iter().sum(), true),
            PeakOf::ToServers => (counters.to_origins.iter().sum(), true),
            PeakOf::Names => (running.dns.lookups, true),
            PeakOf::Queue => (running.helpers.as_ref().map_or(0, |helpers| helpers.queue), false),
            PeakOf::Buffers => (running.blocks, false),
            PeakOf::Cache => (running.cache.bytes, false),
        }
    }
}

/// A value, and when it was there.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Peak {
    /// The value.
    pub value: f64,
    /// When.
    pub at: Millis,
}

/// The highest values, and those of the last moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Peaks([(Peak, Peak); PeakOf::ALL.len()]);

impl Peaks {
    /// Looks at two moments, the second of which has come just now.
    pub(super) fn note(&mut self, (before, old): (Millis, &Running), (at, new): (Millis, &Running)) {
        for (place, of) in PeakOf::ALL.into_iter().enumerate() {
            let (number, is_rate) = of.of(new);
            let added = number.saturating_sub(of.of(old).0) as f64;
            let value = match is_rate {
                true => added * 1000.0 / at.saturating_sub(before).max(1) as f64,
                false => number as f64,
            };
            let (now, highest) = &mut self.0[place];
            *now = Peak { value, at };
            if value > highest.value {
                *highest = *now;
            }
        }
    }

    /// The value of the last moment, and the highest one.
    pub(super) fn get(&self, of: PeakOf) -> (Peak, Peak) {
        self.0[of as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_value_stays_with_its_time() {
        assert!(PeakOf::ALL.into_iter().enumerate().all(|(place, of)| of as usize == place));
        let at = |requests: u64, clients: u64| {
            let mut running = Running { clients, ..Running::default() };
            running.counters.requests = requests;
            running
        };
        let mut peaks = Peaks::default();
        let mut old = (0, at(0, 0));
        // The third moment comes late: what is added to a count then was added in two seconds.
        for (now, running) in [(1000, at(10, 5)), (2000, at(60, 9)), (4000, at(140, 3)), (5000, at(140, 2))] {
            peaks.note((old.0, &old.1), (now, &running));
            old = (now, running);
        }
        let peak = |value, at| Peak { value, at };
        assert_eq!(peaks.get(PeakOf::Requests), (peak(0.0, 5000), peak(50.0, 2000)));
        assert_eq!(peaks.get(PeakOf::Clients), (peak(2.0, 5000), peak(9.0, 2000)));
    }
}
