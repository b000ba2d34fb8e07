//! What is counted of users and their passwords.

use super::histogram::Histogram;

/// Since the start, of proxy and monitor together.
#[derive(Clone, Debug, Default)]
pub struct AuthCounters {
    /// Requests without credentials where some are needed.
    pub missing: u64,
    /// Requests with wrong credentials.
    pub failed: u64,
    /// Requests whose credentials were found right by an earlier check.
    pub kept: u64,
    /// Checks of passwords.
    pub checked: u64,
    /// Requests whose credentials were not looked at, since their address had failed too often.
    pub slowed: u64,
    /// Requests for which the queue of checks was full, or a check did not come in time.
    pub busy: u64,
    /// How long checks of hashes took.
    pub time: Histogram,
}

impl AuthCounters {
    /// Adds what another loop has counted.
    pub fn add(&mut self, other: &AuthCounters) {
        let AuthCounters { missing, failed, kept, checked, slowed, busy, time } = other;
        self.missing += missing;
        self.failed += failed;
        self.kept += kept;
        self.checked += checked;
        self.slowed += slowed;
        self.busy += busy;
        self.time.add(time);
    }
}
