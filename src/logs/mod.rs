//! Logs: lines go to a bounded queue, and a thread of their own writes them to a file, a stream or syslog, so that a full
//! disk or a stuck reader never holds the event loop. This folder knows no configuration and no HTTP.

pub mod access;
pub mod batch;
pub mod datagram;
pub mod destination;
pub mod line;
pub mod messages;
pub mod output;
pub mod recent;
pub mod rotate;
pub mod severity;
pub mod sink;
pub mod startup;
pub mod subsystem;
pub mod syslog;
pub mod usage;
pub mod writer;

pub use access::AccessLog;
pub use datagram::{SyslogForm, SyslogStyle};
pub use destination::Destination;
pub use line::Prefix;
pub use messages::{LogSettings, Messages};
pub use rotate::Rotation;
pub use severity::Severity;
pub use subsystem::Switches;
pub use usage::{Usage, UsageLog, Word};
pub use writer::{Handle, OpenError, Writer};

/// Logs a message of the highest severity, which the `log` crate has no level for: an error whose target carries the mark
/// `!`. The target is a literal: `critical!(target: "signal", "SIG {}", name)`.
#[macro_export]
macro_rules! critical {
    (target: $target:literal, $($argument:tt)+) => {
        ::log::error!(target: ::core::concat!($target, "!"), $($argument)+)
    };
}
