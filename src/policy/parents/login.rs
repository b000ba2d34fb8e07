//! What parents are told of us (`parent.auth-file`): a user and a password for all of them, or for one. Knows no file. Pure.

use std::fmt;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;

use crate::http::target::Target;

/// Users with their passwords, in the form of Proxy-Authorization.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ParentLogins {
    /// For the parents of `parent.proxy` that none is given for.
    all: Option<Box<str>>,
    each: Vec<(Target, Box<str>)>,
}

/// Without the passwords.
impl fmt::Debug for ParentLogins {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "ParentLogins({} of {} parents)",
            self.each.len(),
            if self.all.is_some() { "all and" } else { "some" }
        )
    }
}

impl ParentLogins {
    /// Reads lines of `user:password` and `HOST:PORT user:password`.
    ///
    /// # Errors
    /// The number of a line, from 1, and what is wrong with it.
    pub fn parse(text: &[u8]) -> Result<ParentLogins, (usize, &'static str)> {
        let mut logins = ParentLogins::default();
        for (place, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.trim_ascii().is_empty() && !line.trim_ascii_start().starts_with(b"#") {
                logins.take(line).map_err(|why| (place + 1, why))?;
            }
        }
        Ok(logins)
    }

    fn take(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let blank = line.iter().position(|byte| matches!(byte, b' ' | b'\t'));
        let place = blank.and_then(|end| Some((end, Target::from_authority(&line[..end], None).ok()?)));
        let (to, login) = match place {
            Some((end, to)) => (Some(to), line[end..].trim_ascii_start()),
            None => (None, line),
        };
        if !login.contains(&b':') || login.starts_with(b":") {
            return Err("it is no user:password");
        }
        if login.iter().any(u8::is_ascii_control) {
            return Err("it has control characters");
        }
        let value: Box<str> = format!("Basic {}", STANDARD.encode(login)).into();
        match to {
            Some(to) if self.each.iter().any(|(own, _)| same(own, &to)) => Err("its parent has a line already"),
            Some(to) => {
                self.each.push((to, value));
                Ok(())
            }
            None if self.all.is_some() => Err("there is a line for all parents already"),
            None => {
                self.all = Some(value);
                Ok(())
            }
        }
    }

    /// What the parent there is told; `ours` says that it is one of `parent.proxy`.
    pub fn of(&self, to: &Target, ours: bool) -> Option<Box<str>> {
        let own = self.each.iter().find(|(own, _)| same(own, to)).map(|(_, value)| value);
        own.or(self.all.as_ref().filter(|_| ours)).cloned()
    }
}

fn same(one: &Target, other: &Target) -> bool {
    (&one.host, one.port) == (&other.host, other.port)
}
