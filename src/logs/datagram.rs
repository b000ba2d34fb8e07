//! A line as a syslog daemon gets it: `<PRI>`, what stands before the line, the line. Three forms, of which that of the
//! original is the default. Pure.

use std::fmt;
use std::io::Write;
use std::str::FromStr;

use chrono::{DateTime, Local, Utc};

use super::{Prefix, Severity};

/// Most bytes of one datagram. RFC 3164 section 4.1 asks for 1,024; daemons of today take 8,192 and more.
pub(super) const DATAGRAM_BYTES_MAX: usize = 8_192;

/// Longest APP-NAME and HOSTNAME (RFC 5424 section 6).
const APP_NAME_MAX: usize = 48;
const HOSTNAME_MAX: usize = 255;

/// Longest TAG (RFC 3164 section 4.1.3).
const TAG_MAX: usize = 32;

/// How datagrams look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SyslogForm {
    /// As the original's: the line as a file would have it, and a NUL byte.
    ExaProxy,
    /// With the time and a tag, as syslog(3) writes them (RFC 3164); over a network with the name of the host as well.
    Rfc3164,
    /// With version, time, host, identifier and process id (RFC 5424).
    Rfc5424,
}

impl SyslogForm {
    const ALL: [SyslogForm; 3] = [SyslogForm::ExaProxy, SyslogForm::Rfc3164, SyslogForm::Rfc5424];

    /// The word for it in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            SyslogForm::ExaProxy => "exaproxy",
            SyslogForm::Rfc3164 => "rfc3164",
            SyslogForm::Rfc5424 => "rfc5424",
        }
    }

    /// Has it a place for the name of this machine? In RFC 3164 the socket of a daemon of the same machine has none.
    pub(super) fn names_host(self, local: bool) -> bool {
        match self {
            SyslogForm::ExaProxy => false,
            SyslogForm::Rfc3164 => !local,
            SyslogForm::Rfc5424 => true,
        }
    }
}

/// A text that names no form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSyslogForm;

impl fmt::Display for NoSyslogForm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("exaproxy, rfc3164 or rfc5424")
    }
}

impl std::error::Error for NoSyslogForm {}

impl FromStr for SyslogForm {
    type Err = NoSyslogForm;

    fn from_str(text: &str) -> Result<SyslogForm, NoSyslogForm> {
        SyslogForm::ALL.into_iter().find(|form| form.name() == text).ok_or(NoSyslogForm)
    }
}

/// What the datagrams of a log have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogStyle {
    /// How they look.
    pub form: SyslogForm,
    /// What lines begin with; a header of RFC 3164 or 5424 says the same, and takes its place.
    pub prefix: Prefix,
}

/// Writes one datagram over what `out` held. `host` is the name of this machine, where the other end needs it.
pub(super) fn encode(
    out: &mut Vec<u8>,
    style: &SyslogStyle,
    host: Option<&str>,
    at: DateTime<Utc>,
    severity: Severity,
    line: &[u8],
) {
    out.clear();
    let (priority, prefix) = (severity.syslog_priority(), &style.prefix);
    let identifier = |most| word(prefix.identifier(), most);
    // Writing to a Vec cannot fail.
    let _ = match style.form {
        SyslogForm::ExaProxy => write!(out, "<{priority}>"),
        SyslogForm::Rfc3164 => {
            let (time, tag) = (at.with_timezone(&Local).format("%b %e %H:%M:%S"), identifier(TAG_MAX));
            let host = host.map(|host| word(host, HOSTNAME_MAX) + " ").unwrap_or_default();
            write!(out, "<{priority}>{time} {host}{tag}[{}]: ", prefix.pid())
        }
        SyslogForm::Rfc5424 => {
            let (time, host) = (at.format("%Y-%m-%dT%H:%M:%S%.6fZ"), word(host.unwrap_or_default(), HOSTNAME_MAX));
            write!(out, "<{priority}>1 {time} {host} {} {} - - ", identifier(APP_NAME_MAX), prefix.pid())
        }
    };
    let ours = style.form == SyslogForm::ExaProxy;
    let line = if ours { line } else { prefix.strip(line) };
    let room = DATAGRAM_BYTES_MAX.saturating_sub(out.len() + usize::from(ours));
    out.extend_from_slice(line.get(..room).unwrap_or(line));
    if ours {
        out.push(0);
    }
}

/// A text as one word of printable ASCII without what a tag ends with; a dash for none (RFC 5424, NILVALUE).
fn word(text: &str, most: usize) -> String {
    let plain =
        |character: char| if character.is_ascii_graphic() && !":[]".contains(character) { character } else { '-' };
    let word: String = text.chars().take(most).map(plain).collect();
    if word.is_empty() {
        "-".to_owned()
    } else {
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(form: SyslogForm, identifier: &str, host: Option<&str>, severity: Severity, line: &str) -> Vec<u8> {
        let style = SyslogStyle { form, prefix: Prefix::new(identifier, 12351) };
        let at = DateTime::from_timestamp(1_795_222_955, 510_042_000).expect("a time");
        let mut out = b"what was there".to_vec();
        encode(&mut out, &style, host, at, severity, line.as_bytes());
        out
    }

    #[test]
    fn datagrams_are_those_of_the_original() {
        let table: [(Severity, &str, &[u8]); 3] = [
            (
                Severity::Error,
                "ExaProxy 12351  supervisor    Starting exaproxy version 1.2.1",
                b"<11>ExaProxy 12351  supervisor    Starting exaproxy version 1.2.1\0",
            ),
            (Severity::Critical, "x", b"<10>x\0"),
            (Severity::Info, "", b"<14>\0"),
        ];
        for (severity, line, expected) in table {
            assert_eq!(encoded(SyslogForm::ExaProxy, "ExaProxy", Some("host"), severity, line), expected);
        }
        let long = encoded(SyslogForm::ExaProxy, "ExaProxy", None, Severity::Info, &"x".repeat(2 * DATAGRAM_BYTES_MAX));
        assert_eq!((long.len(), long.last()), (DATAGRAM_BYTES_MAX, Some(&0)));
    }

    #[test]
    fn headers_of_the_standards_take_the_place_of_the_prefix() {
        let line = "My Proxy 12351  supervisor    Starting";
        let new = encoded(SyslogForm::Rfc5424, "My Proxy", Some("gate.example"), Severity::Error, line);
        let expected = "<11>1 2026-11-21T01:02:35.510042Z gate.example My-Proxy 12351 - - supervisor    Starting";
        assert_eq!(String::from_utf8_lossy(&new), expected);
        let nameless = encoded(SyslogForm::Rfc5424, "", None, Severity::Info, "a line of the access log");
        let expected = "<14>1 2026-11-21T01:02:35.510042Z - - 12351 - - a line of the access log";
        assert_eq!(String::from_utf8_lossy(&nameless), expected);
        for (host, between) in [(Some("gate"), "gate "), (None, "")] {
            let old = encoded(SyslogForm::Rfc3164, "My Proxy", host, Severity::Error, line);
            let old = String::from_utf8_lossy(&old).into_owned();
            let (time, rest) = old.split_at("<11>Nov 21 01:02:35 ".len());
            assert!(time.starts_with("<11>Nov 2") && time.ends_with(":35 "), "{old}");
            assert_eq!(rest, format!("{between}My-Proxy[12351]: supervisor    Starting"));
        }
        let long = encoded(SyslogForm::Rfc5424, "x", None, Severity::Info, &"x".repeat(2 * DATAGRAM_BYTES_MAX));
        assert_eq!(long.len(), DATAGRAM_BYTES_MAX);
    }

    #[test]
    fn forms_are_known_by_their_words() {
        for form in SyslogForm::ALL {
            assert_eq!(form.name().parse(), Ok(form));
        }
        assert_eq!("rfc5425".parse::<SyslogForm>(), Err(NoSyslogForm));
    }
}
