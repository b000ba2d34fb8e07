//! What the supervisor of the process is told, and when. Where none wants to know, this is a look at an empty option a turn.

use std::io;
use std::time::{Duration, Instant};

use crate::proxy::Proxy;
use crate::system::service::Notifier;

/// Between two looks at how the service is, and the shortest time between signs of life that the loop can keep to: it turns
/// once a second at least.
const LOOK: Duration = Duration::from_secs(5);
const SHORTEST_WATCHDOG: Duration = Duration::from_secs(3);

/// Tells the supervisor.
pub(super) struct ServiceReport {
    notifier: Notifier,
    status: String,
    look_at: Instant,
    failed: bool,
}

impl ServiceReport {
    pub(super) fn new(notifier: Notifier) -> ServiceReport {
        ServiceReport { notifier, status: String::new(), look_at: Instant::now(), failed: false }
    }

    /// The service is there, or has read its configuration, be it in vain.
    pub(super) fn ready(&mut self, proxy: &Proxy) {
        if !self.notifier.is_there() {
            return;
        }
        self.status = proxy.status();
        let told = self.notifier.ready(&self.status);
        self.note(told);
    }

    /// What an operator should know of the watchdog, at the start.
    pub(super) fn warning(&self) -> Option<String> {
        let short = self.notifier.watchdog().filter(|time| *time < SHORTEST_WATCHDOG)?;
        Some(format!(
            "WatchdogSec={} is too short: it takes {} or more",
            short.as_secs_f64(),
            SHORTEST_WATCHDOG.as_secs()
        ))
    }

    /// The variables by which the next version finds the same supervisor.
    pub(super) fn variables(&self) -> Vec<(&'static str, std::ffi::OsString)> {
        self.notifier.variables()
    }

    pub(super) fn reloading(&mut self) {
        let told = self.notifier.reloading();
        self.note(told);
    }

    pub(super) fn stopping(&mut self) {
        let told = self.notifier.stopping();
        self.note(told);
    }

    /// The first loop has turned. The process lives as long as all of them do.
    pub(super) fn turned(&mut self, proxy: &Proxy) {
        if !self.notifier.is_there() {
            return;
        }
        if self.notifier.watchdog().is_some_and(|time| proxy.turns(time)) {
            let told = self.notifier.alive();
            self.note(told);
        }
        let now = Instant::now();
        if now < self.look_at {
            return;
        }
        self.look_at = now + LOOK;
        let status = proxy.status();
        if status != self.status {
            let told = self.notifier.status(&status);
            self.note(told);
            self.status = status;
        }
    }

    /// Says once that the supervisor cannot be told.
    fn note(&mut self, told: io::Result<()>) {
        match told {
            Ok(()) => self.failed = false,
            Err(error) if !self.failed => {
                self.failed = true;
                log::error!(target: "supervisor", "cannot tell the supervisor how the service is (NOTIFY_SOCKET): {error}");
            }
            Err(_) => {}
        }
    }
}
