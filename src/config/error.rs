//! What is wrong with a configuration, in one line that names source, section, key, value and what was expected.

use super::ini::IniFault;
use std::fmt;
use std::path::PathBuf;

/// Most characters of a value that a message repeats, so that one line stays one line on a screen.
const MOST_SHOWN: usize = 160;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueSource {
    /// This switch of the command line.
    CommandLine(&'static str),
    /// The environment variable of this name.
    Environment(String),
    /// This line of this file.
    File(PathBuf, usize),
    /// The option was not set.
    Default,
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A value that its option does not accept.
    Value {
        /// Where the value stands.
        source: ValueSource,
        /// The section of the option.
        section: &'static str,
        /// The name of the option.
        key: &'static str,
        /// The value as it was written.
        value: String,
        /// What would be accepted.
        expected: String,
    },
    /// A file that does not have the form of an ini file.
    Form {
        /// The file.
        path: PathBuf,
        /// The line and what is wrong with it.
        fault: IniFault,
    },
    /// A file that cannot be read.
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A name that is no option and that rules would rely on.
    Unknown {
        /// The name, its place and why it is refused.
        text: String,
    },
    /// A switch whose part of the program does not exist yet.
    Unbuilt {
        /// Where the switch was set.
        source: ValueSource,
        /// The section of the switch.
        section: &'static str,
        /// The name of the switch.
        key: &'static str,
    },
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("configuration issue, ")?;
        match self {
            Error::Value { source, section, key, value, expected } => {
                let value = shown(value);
                write!(out, "invalid value for {section}.{key} : {value} ({source}: expected {expected})")
            }
            Error::Form { path, fault: IniFault { line: 0, kind } } => {
                write!(out, "{} : {}", path_shown(path), shown(&kind.to_string()))
            }
            Error::Form { path, fault } => {
                write!(out, "{}:{} : {}", path_shown(path), fault.line, shown(&fault.kind.to_string()))
            }
            Error::File { path, reason } => write!(out, "{} cannot be read : {}", path_shown(path), shown(reason)),
            Error::Unknown { text } => out.write_str(text),
            Error::Unbuilt { source, section, key } => {
                write!(out, "{section}.{key} is true : this part of the program is not built yet ({source})")
            }
        }
    }
}

impl fmt::Display for ValueSource {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            ValueSource::CommandLine(switch) => write!(out, "command line {switch}"),
            ValueSource::Environment(name) => write!(out, "environment {}", shown(name)),
            ValueSource::File(path, line) => write!(out, "{}:{line}", path_shown(path)),
            ValueSource::Default => out.write_str("default"),
        }
    }
}

/// A text from outside as part of a message: control characters are escaped, and what is long is cut.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        match character {
            _ if count == MOST_SHOWN => {
                shown.push('…');
                break;
            }
            control if control.is_control() => shown.extend(control.escape_default()),
            plain => shown.push(plain),
        }
    }
    shown
}

fn path_shown(path: &std::path::Path) -> String {
    shown(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ini::FaultKind;

    #[test]
    fn every_error_is_one_line() {
        let value = |source, value: &str| Error::Value {
            source,
            section: "tcp4",
            key: "port",
            value: value.into(),
            expected: "a port between 1 and 65535".into(),
        };
        let form = |line| Error::Form { path: "/x.conf".into(), fault: IniFault { line, kind: FaultKind::NotText } };
        for (error, text) in [
            (
                value(ValueSource::Environment("exaproxy_tcp4_port".into()), "0"),
                "invalid value for tcp4.port : 0 (environment exaproxy_tcp4_port: expected a port between 1 and 65535)",
            ),
            (
                value(ValueSource::File("/x.conf".into(), 7), "1\n2"),
                "invalid value for tcp4.port : 1\\n2 (/x.conf:7: expected a port between 1 and 65535)",
            ),
            (form(3), "/x.conf:3 : expected text in UTF-8"),
            (form(0), "/x.conf : expected text in UTF-8"),
            (
                Error::File { path: "/x\n.conf".into(), reason: "No such file".into() },
                "/x\\n.conf cannot be read : No such file",
            ),
            (
                Error::Unbuilt { source: ValueSource::Default, section: "tls", key: "enable" },
                "tls.enable is true : this part of the program is not built yet (default)",
            ),
        ] {
            assert_eq!(error.to_string(), format!("configuration issue, {text}"));
        }
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), MOST_SHOWN + 1);
    }
}
