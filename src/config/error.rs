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

impl Error {
    /// Where it stands among others: what the command line says comes first, then the environment, then the file by its lines.
    fn order(&self) -> (u8, usize) {
        let of = |source: &ValueSource| match source {
            ValueSource::CommandLine(_) => (0, 0),
            ValueSource::Environment(_) => (1, 0),
            ValueSource::File(_, line) => (2, *line),
            ValueSource::Default => (3, 0),
        };
        match self {
            Error::Value { source, .. } | Error::Unbuilt { source, .. } => of(source),
            Error::Form { fault, .. } => (2, fault.line),
            Error::File { .. } => (2, 0),
            Error::Unknown { .. } => (4, 0),
        }
    }
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes {
    errors: Vec<Error>,
    /// The options that have their default because what was given is wrong.
    broken: Vec<(&'static str, &'static str)>,
    /// A file, or a part of it, could not be understood: options that are not known to have been given may have been.
    lost: bool,
}

impl Mistakes {
    /// One more.
    pub(super) fn add(&mut self, error: Error) {
        self.errors.push(error);
    }

    /// One more, for which options that a file gives may be missing.
    pub(super) fn add_lost(&mut self, error: Error) {
        self.lost = true;
        self.add(error);
    }

    /// One more, for which an option by section and name has its default.
    pub(super) fn add_broken(&mut self, option: (&'static str, &'static str), error: Error) {
        self.broken.push(option);
        self.add(error);
    }

    /// Is nothing known of what was given for this option, or for one of this section where no name is said?
    pub(super) fn touch(&self, section: &str, key: Option<&str>) -> bool {
        let same = |(own, name): &(&str, &str)| *own == section && key.is_none_or(|key| *name == key);
        self.lost || self.broken.iter().any(same)
    }

    /// Nothing, if nothing is wrong.
    pub fn none(self) -> Result<(), Mistakes> {
        match self.errors.is_empty() {
            true => Ok(()),
            false => Err(self),
        }
    }

    /// One line for each, in the order in which they stand.
    pub fn lines(&self) -> Vec<String> {
        let mut all: Vec<&Error> = self.errors.iter().collect();
        all.sort_by_key(|error| error.order());
        let mut lines: Vec<String> = all.into_iter().map(Error::to_string).collect();
        lines.dedup();
        lines
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.lines().join("\n"))
    }
}

impl std::error::Error for Mistakes {}

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
