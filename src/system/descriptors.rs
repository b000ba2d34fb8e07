//! File descriptors: how many the proxy needs at its limits, how many it may have, what it makes of less, and which reach
//! the programs that it starts. Opens none.

use std::io;

use nix::sys::resource::{getrlimit, rlim_t, setrlimit, Resource};

/// For listeners, poller, log files, signals and what libraries open, as in the original.
const RESERVED: u128 = 40;

/// A client and its origin.
const PER_EXCHANGE: u128 = 2;

/// A pipe with its two ends.
const PER_PIPE: u128 = 2;

/// Pipes that are not lowered: without any, bulk is copied.
const LEAST_PIPES: u64 = 4;

/// A helper: our end and the thread's end of its bus, and the three pipes of the program.
const PER_HELPER: u128 = 5;

/// The most descriptors that Linux allows a process unless told otherwise (fs.nr_open), where it cannot be read.
const SYSTEM_MAX: rlim_t = 1 << 20;

/// What is counted to know how many descriptors are needed. Listeners that are not enabled count 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// `http.connections`: clients of the proxy, each with an origin.
    pub http: u64,
    /// `intercept.connections`, each with an origin.
    pub intercept: u64,
    /// `tls.connections`, each with an origin.
    pub tls: u64,
    /// `passthrough.connections`, each with an origin.
    pub passthrough: u64,
    /// `icap.connections`, each alone.
    pub icap: u64,
    /// Clients of the monitoring server, each alone.
    pub web: u64,
    /// Listeners beyond the usual, with what is accepted beyond the limits of their kinds.
    pub listeners: u64,
    /// Origin connections that are kept without an exchange.
    pub pool: u64,
    /// Attempts to connect beside the first of a race, which takes the place of the connection that it is for.
    pub attempts: u64,
    /// Pipes that hold bytes on their way from socket to socket.
    pub pipes: u64,
    /// `redirector.maximum`, 0 while there are no redirectors.
    pub helpers: u64,
    /// Sockets of the resolver at its busiest; the original counts ten times `dns.retries`.
    pub resolver: u64,
}

impl Budget {
    /// Descriptors needed when every limit is reached.
    pub fn need(&self) -> u64 {
        u64::try_from(self.scalable() + self.fixed()).unwrap_or(u64::MAX)
    }

    /// The same budget with connection limits lowered in proportion, so that it needs at most `got` descriptors. Each
    /// limit of connections that was not 0 stays at least 1, even where `got` cannot bear that.
    #[must_use]
    pub fn fitted(&self, got: u64) -> Self {
        if self.need() <= got {
            return *self;
        }
        let (room, wanted) = (u128::from(got).saturating_sub(self.fixed()), self.scalable().max(1));
        // At most `limit`, as room < wanted; two numbers of 64 bits multiply within 128.
        let share = |limit: u64| u64::try_from(u128::from(limit) * room / wanted).unwrap_or(limit);
        let scale = |limit: u64| share(limit).max(limit.min(1));
        Self {
            http: scale(self.http),
            intercept: scale(self.intercept),
            tls: scale(self.tls),
            passthrough: scale(self.passthrough),
            icap: scale(self.icap),
            pool: scale(self.pool),
            attempts: scale(self.attempts),
            pipes: self.pipes.min(LEAST_PIPES) + share(self.pipes.saturating_sub(LEAST_PIPES)),
            ..*self
        }
    }

    /// Sums of a few numbers of 64 bits, which cannot overflow here.
    fn scalable(&self) -> u128 {
        let diverted = u128::from(self.intercept) + u128::from(self.tls) + u128::from(self.passthrough);
        let pairs = u128::from(self.http) + diverted;
        let singles = u128::from(self.icap) + u128::from(self.pool) + u128::from(self.attempts);
        pairs * PER_EXCHANGE + u128::from(self.pipes.saturating_sub(LEAST_PIPES)) * PER_PIPE + singles
    }

    fn fixed(&self) -> u128 {
        let pipes = u128::from(self.pipes.min(LEAST_PIPES)) * PER_PIPE;
        let reserved = RESERVED + u128::from(self.listeners);
        reserved + pipes + u128::from(self.web) + u128::from(self.helpers) * PER_HELPER + u128::from(self.resolver)
    }
}

/// Raises the limit of open descriptors (RLIMIT_NOFILE) to `need`, or as far as the system allows, the hard limit
/// included where we may. Never lowers it. Returns the limit reached, which may be below `need`.
pub fn raise_descriptors(need: u64) -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    if soft >= need {
        return soft;
    }
    // Most wanted first. Beyond the hard limit only root gets through, and never beyond that of the system.
    let candidates = [need, need.min(system_max()), need.min(hard)];
    for wanted in candidates {
        if wanted > soft && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).is_ok() {
            return wanted;
        }
    }
    soft
}

/// Keeps every descriptor that is open now, but for the three standard ones, from programs that are started later. The
/// process that started this one may have left some open, and helpers would get them. Our own are opened with FD_CLOEXEC.
///
/// # Errors
/// When the open descriptors cannot be listed.
pub fn keep_to_ourselves() -> io::Result<()> {
    // A container without devices has the first, systems without /proc have the second.
    for entry in std::fs::read_dir("/proc/self/fd").or_else(|_| std::fs::read_dir("/dev/fd"))? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(number) = number.filter(|number| *number > 2) {
            // The folder's own descriptor is among them, and one that has gone by now needs nothing.
            let _ = reactor::sys::close_on_exec(number);
        }
    }
    Ok(())
}

fn system_max() -> rlim_t {
    let text = std::fs::read_to_string("/proc/sys/fs/nr_open").unwrap_or_default();
    text.trim().parse().unwrap_or(SYSTEM_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: Budget = Budget {
        http: 32_768,
        intercept: 0,
        listeners: 0,
        tls: 0,
        passthrough: 0,
        icap: 0,
        web: 100,
        pool: 0,
        attempts: 0,
        pipes: 0,
        helpers: 0,
        resolver: 100,
    };

    #[test]
    fn the_need_is_that_of_the_original_and_counts_every_listener() {
        assert_eq!(SHIPPED.need(), 40 + 65_536 + 100 + 100);
        let more =
            Budget { tls: 10, passthrough: 20, icap: 30, pool: 512, attempts: 7, pipes: 8, helpers: 25, ..SHIPPED };
        let more = Budget { intercept: 5, listeners: 9, ..more };
        assert_eq!(more.need(), SHIPPED.need() + 10 + 9 + 20 + 40 + 30 + 512 + 7 + 16 + 125);
        assert_eq!(Budget { http: u64::MAX, ..more }.need(), u64::MAX);
    }

    #[test]
    fn a_lowered_budget_fits_and_keeps_proportions() {
        let full = Budget { tls: 16_384, pool: 512, attempts: 8_192, pipes: 48, ..SHIPPED };
        for got in [300, 1_024, 4_096, 20_000, 65_535, full.need() - 1] {
            let lowered = full.fitted(got);
            assert!(lowered.need() <= got, "{got}");
            assert!(lowered.need() + 8 > got, "{got}");
            assert!(lowered.http >= 2 * lowered.tls, "{got}");
            assert_eq!((lowered.web, lowered.resolver, lowered.icap), (100, 100, 0));
            assert!(lowered.pipes >= 4, "{got}");
        }
        assert_eq!(full.fitted(full.need()), full);
        assert_eq!(full.fitted(0).http, 1);
        assert_eq!(Budget { http: u64::MAX, ..SHIPPED }.fitted(1_240).http, 500);
        assert_eq!(Budget::default().fitted(0), Budget::default());
    }

    #[test]
    fn asking_for_little_changes_nothing() {
        let before = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(raise_descriptors(1), before.0);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), before);
    }
}
