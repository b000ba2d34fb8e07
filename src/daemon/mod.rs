//! What a process does to itself: descriptors, accounts, pidfile, background. Knows no configuration and logs nothing: each
//! part returns what there is to say.

pub mod account;
pub mod background;
pub mod descriptors;
pub mod pidfile;

pub use account::{drop_privileges, Privileges, PrivilegesError};
pub use background::{daemonize, Daemonized, Notice};
pub use descriptors::{raise_descriptors, Budget};
pub use pidfile::{Claim, Pidfile};
