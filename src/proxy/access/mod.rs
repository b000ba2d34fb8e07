//! Who may have what: the limits of each client, users with their passwords, and lists of hosts.

pub(super) mod limiting;
mod list_files;
pub(super) mod lists;
pub(super) mod logins;
