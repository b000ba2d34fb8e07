//! The usage log: a line for each decision, in the form of the original, to a destination of its own. A line is written
//! when the decision has been made, so that a permission says nothing of success.
//!
//! ```text
//! ExaProxy 14806  usage         2026-11-21 01:02:35 1795222955.51 2 3128 192.0.2.1 GET a.example:81/p?q=1
//! PERMIT/a.example
//! ```
//!
//! The fields: local date and time; seconds since 1970; number of the client's connection; our port, 0 for a Unix
//! socket; the client's address, or `uid:` and the number of its user there; method; `host[:port]path`, without the port where it is 80; what was decided and for which host, or why; and
//! `user=name` where users prove who they are.

use std::fmt;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Local};

use super::{Handle, Prefix, Severity};
use crate::peer::ClientId;

/// What was decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    /// It may pass.
    Permit,
    /// Another request goes out in its place.
    Rewrite,
    /// It is answered with a local page.
    File,
    /// The client is sent elsewhere.
    Redirect,
    /// It goes to another host than it names.
    Intercept,
    /// It is answered with what a helper wrote.
    Local,
    /// It may not pass.
    Deny,
    /// It could not be decided about.
    Error,
}

impl Word {
    /// The word in the line.
    pub fn name(self) -> &'static str {
        match self {
            Word::Permit => "PERMIT",
            Word::Rewrite => "REWRITE",
            Word::File => "FILE",
            Word::Redirect => "REDIRECT",
            Word::Intercept => "INTERCEPT",
            Word::Local => "LOCAL",
            Word::Deny => "DENY",
            Word::Error => "ERROR",
        }
    }
}

/// A decision about a request.
#[derive(Clone, Copy, Debug)]
pub struct Usage<'a> {
    /// Number of the client's connection.
    pub connection: u32,
    /// Our port of the client's connection.
    pub port: u16,
    /// The client that the request comes from.
    pub client: ClientId,
    /// The name that the client has proved to have.
    pub user: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// `host[:port]path`
    pub url: &'a str,
    /// What was decided.
    pub word: Word,
    /// For which host, or why.
    pub detail: &'a str,
}

/// The log.
#[derive(Debug)]
pub struct UsageLog {
    handle: Handle,
    prefix: Prefix,
    line: String,
    /// The last second that was written, and its local date and time.
    second: u64,
    stamp: String,
}

impl UsageLog {
    /// A log that writes through this handle.
    pub fn new(handle: Handle, prefix: Prefix) -> UsageLog {
        UsageLog { handle, prefix, line: String::new(), second: 0, stamp: String::new() }
    }

    /// Another one that writes to the same place.
    #[must_use]
    pub fn another(&self) -> UsageLog {
        UsageLog::new(self.handle.clone(), self.prefix.clone())
    }

    /// Lines of its writer that were lost since the start.
    pub fn lost(&self) -> u64 {
        self.handle.lost()
    }

    /// Writes a line.
    pub fn write(&mut self, usage: &Usage<'_>) {
        let now = SystemTime::now();
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if self.second != since.as_secs() {
            self.second = since.as_secs();
            self.stamp = DateTime::<Local>::from(now).format("%Y-%m-%d %H:%M:%S").to_string();
        }
        self.line.clear();
        append(&mut self.line, &self.prefix, (&self.stamp, since), usage);
        self.handle.write(Severity::Info, &self.line);
    }
}

/// Appends the line of a decision with its end. `now` is the local date and time, and how long ago 1970 was.
pub fn append(out: &mut String, prefix: &Prefix, (stamp, since): (&str, Duration), usage: &Usage<'_>) {
    let text = UsageText { stamp, since, usage };
    prefix.append(out, "usage", format_args!("{text}"));
}

struct UsageText<'a> {
    stamp: &'a str,
    since: Duration,
    usage: &'a Usage<'a>,
}

impl fmt::Display for UsageText<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Usage { connection, port, client, user, method, url, word, detail } = self.usage;
        let (seconds, hundredths) = (self.since.as_secs(), self.since.subsec_millis() / 10);
        write!(out, "{} {seconds}.{hundredths:02} {connection} {port} {client} {method} ", self.stamp)?;
        push_word(out, url)?;
        write!(out, " {}/{detail}", word.name())?;
        match user {
            Some(user) => out.write_str(" user=").and_then(|()| push_word(out, user)),
            None => Ok(()),
        }
    }
}

/// A blank would make two fields of one. The prefix escapes control characters when it appends the line.
fn push_word(out: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for part in text.split_inclusive(' ') {
        match part.strip_suffix(' ') {
            Some(part) => write!(out, "{part}%20")?,
            None => out.write_str(part)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_that_of_the_original() {
        let usage = Usage {
            connection: 2,
            port: 27128,
            client: "127.0.0.1".parse().unwrap(),
            user: None,
            method: "GET",
            url: "a.ok:27900/p/q?r=1",
            word: Word::Permit,
            detail: "a.ok",
        };
        let since = Duration::from_millis(1_795_222_955_519);
        let text = |usage: &Usage<'_>| {
            let mut line = String::new();
            append(&mut line, &Prefix::new("ExaProxy", 14806), ("2026-11-21 01:02:35", since), usage);
            line
        };
        let wanted = "ExaProxy 14806  usage         2026-11-21 01:02:35 1795222955.51 2 27128 127.0.0.1 GET \
            a.ok:27900/p/q?r=1 PERMIT/a.ok\n";
        assert_eq!(text(&usage), wanted);
        let known = Usage { user: Some("an n"), ..usage };
        assert_eq!(text(&known), wanted.replace('\n', " user=an%20n\n"));
        let odd = Usage { url: "a b\nc", word: Word::Deny, detail: "CONNECT NOT ALLOWED", ..usage };
        assert!(text(&odd).ends_with(" GET a%20b\\nc DENY/CONNECT NOT ALLOWED\n"), "{}", text(&odd));
    }
}
