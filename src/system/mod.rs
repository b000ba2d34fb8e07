//! What the process does to itself and asks of its machine: descriptors, privileges, pidfile, background, signals,
//! orphans, the supervisor that has started it, the name of this machine and the addresses of its interfaces, files that are safe to read. Knows no
//! configuration and logs nothing: each part returns what there is to say.

pub mod background;
pub mod capabilities;
pub mod descriptors;
pub mod files;
pub mod handover;
pub mod hostname;
pub mod interfaces;
#[cfg(target_os = "linux")]
pub mod netlink;
#[cfg(not(target_os = "linux"))]
#[path = "netlink_elsewhere.rs"]
pub mod netlink;
pub mod orphans;
pub mod owner;
pub mod pidfile;
pub mod privileges;
pub mod programs;
pub mod service;
pub mod signals;
pub mod terminal;

pub use background::{daemonize, Daemonized, Notice};
pub use descriptors::{raise_descriptors, Budget};
pub use pidfile::{Claim, Pidfile};
pub use privileges::{drop_privileges, Privileges, PrivilegesError};
