//! What can be seen of users: their files, their checks.

use std::sync::Arc;

use crate::counters::auth::AuthCounters;

/// The users of this moment.
#[derive(Clone, Debug, Default)]
pub struct Users {
    /// Passwords that wait to be checked.
    pub waiting: u64,
    /// Checks whose results are kept.
    pub kept: u64,
    /// The file of `auth.users`.
    pub proxy: UsersFile,
    /// The file of `web.users`.
    pub monitor: UsersFile,
}

/// A file of users; all 0 where there is none.
#[derive(Clone, Debug, Default)]
pub struct UsersFile {
    /// Users in it.
    pub count: u64,
    /// Rises with each other content.
    pub generation: u64,
    /// When it was read, in seconds since 1970.
    pub read: u64,
    /// Why it could not be read again.
    pub stale: Option<Arc<str>>,
}

impl Users {
    /// Why files could not be read again.
    pub fn troubles(&self) -> impl Iterator<Item = &str> {
        [&self.proxy, &self.monitor].into_iter().filter_map(|file| file.stale.as_deref())
    }

    /// The numbers with their keys.
    pub(super) fn rows(&self, counters: &AuthCounters, row: &mut impl FnMut(&str, u64)) {
        row("auth.busy", counters.busy);
        row("auth.checked", counters.checked);
        row("auth.failed", counters.failed);
        row("auth.kept", counters.kept);
        row("auth.missing", counters.missing);
        row("auth.remembered", self.kept);
        row("auth.slowed", counters.slowed);
        row("auth.waiting", self.waiting);
        for (name, file) in [("proxy", &self.proxy), ("monitor", &self.monitor)] {
            row(&format!("users.{name}.count"), file.count);
            row(&format!("users.{name}.generation"), file.generation);
            row(&format!("users.{name}.read"), file.read);
        }
    }
}
