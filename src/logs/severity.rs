//! How grave a message is: five levels by name, as in `log.level`, and their numbers in syslog. Knows no destination.

use std::fmt;
use std::str::FromStr;

/// The facility of every syslog line: `user`, number 1 (RFC 3164 section 4.1.1), in its place left of the severity.
const FACILITY_USER: u8 = 1 << 3;

/// The mark at the end of a target that makes an error critical; see [`crate::critical`].
pub const CRITICAL_MARK: char = '!';

/// How grave a message is; the gravest is the smallest, so that "at most `log.level`" is `<=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Severity {
    /// The service stops, or changes how it serves: signals, listeners and accounts that cannot be had.
    Critical,
    /// Something failed that an operator should look at.
    Error,
    /// Something is not as it should be, and the proxy went on.
    Warning,
    /// Life of the process: helpers, interfaces, listeners.
    Info,
    /// Life of single exchanges.
    Debug,
}

impl Severity {
    /// All levels, the gravest first.
    pub const ALL: [Self; 5] = [Self::Critical, Self::Error, Self::Warning, Self::Info, Self::Debug];

    /// The name as it is written in `log.level`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "CRITICAL",
            Self::Error => "ERROR",
            Self::Warning => "WARNING",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
        }
    }

    /// The number between `<` and `>` of a syslog datagram: facility times eight and severity (RFC 3164 section 4.1.1).
    pub fn syslog_priority(self) -> u8 {
        FACILITY_USER | self.syslog_severity()
    }

    /// The severity alone (RFC 3164 section 4.1.1), as the journal of systemd takes it in front of a line (sd-daemon(3)).
    pub fn syslog_severity(self) -> u8 {
        match self {
            Self::Critical => 2,
            Self::Error => 3,
            Self::Warning => 4,
            Self::Info => 6,
            Self::Debug => 7,
        }
    }

    /// The severity of a record of the `log` crate, and its target without the mark. Trace records count as debug.
    pub fn of_record(level: log::Level, target: &str) -> (Self, &str) {
        let (bare, marked) = match target.strip_suffix(CRITICAL_MARK) {
            Some(bare) => (bare, true),
            None => (target, false),
        };
        let severity = match level {
            log::Level::Error if marked => Self::Critical,
            log::Level::Error => Self::Error,
            log::Level::Warn => Self::Warning,
            log::Level::Info => Self::Info,
            log::Level::Debug | log::Level::Trace => Self::Debug,
        };
        (severity, bare)
    }

    /// The coarsest filter of the `log` crate that lets this severity through.
    pub fn level_filter(self) -> log::LevelFilter {
        match self {
            Self::Critical | Self::Error => log::LevelFilter::Error,
            Self::Warning => log::LevelFilter::Warn,
            Self::Info => log::LevelFilter::Info,
            Self::Debug => log::LevelFilter::Debug,
        }
    }

    /// The severity with this number, the finest for numbers out of range.
    pub(crate) fn from_number(number: u8) -> Self {
        Self::ALL.into_iter().nth(usize::from(number)).unwrap_or(Self::Debug)
    }
}

/// The text is not one of the five names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownSeverity;

impl fmt::Display for UnknownSeverity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected CRITICAL, ERROR, WARNING, INFO or DEBUG")
    }
}

impl std::error::Error for UnknownSeverity {}

impl FromStr for Severity {
    type Err = UnknownSeverity;

    fn from_str(text: &str) -> Result<Self, UnknownSeverity> {
        Self::ALL.into_iter().find(|severity| severity.name() == text).ok_or(UnknownSeverity)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_priorities_agree_with_syslog() {
        let table = [
            (Severity::Critical, "CRITICAL", 10),
            (Severity::Error, "ERROR", 11),
            (Severity::Warning, "WARNING", 12),
            (Severity::Info, "INFO", 14),
            (Severity::Debug, "DEBUG", 15),
        ];
        for (severity, name, priority) in table {
            assert_eq!(name.parse(), Ok(severity));
            assert_eq!(severity.to_string(), name);
            assert_eq!(severity.syslog_priority(), priority);
            assert_eq!(Severity::from_number(severity as u8), severity);
        }
        assert_eq!("info".parse::<Severity>(), Err(UnknownSeverity));
        assert!(Severity::Critical < Severity::Debug);
    }

    #[test]
    fn the_mark_makes_an_error_critical_and_is_taken_off() {
        let table = [
            (log::Level::Error, "signal!", Severity::Critical, "signal"),
            (log::Level::Error, "signal", Severity::Error, "signal"),
            (log::Level::Warn, "signal!", Severity::Warning, "signal"),
            (log::Level::Trace, "exchange", Severity::Debug, "exchange"),
        ];
        for (level, target, severity, bare) in table {
            assert_eq!(Severity::of_record(level, target), (severity, bare));
        }
    }
}
