//! The dialect `url`: one line for each request and one for each reply, as Squid's redirectors speak it.
//!
//! What a helper reads, by `redirector.line`:
//!
//! ```text
//! www.a.example/path?query 192.0.2.1 user GET -
//! http://www.a.example:8080/path?query 192.0.2.1/- user GET myip=192.0.2.254 myport=3128
//! ```
//!
//! Where users prove nothing, a dash stands in the place of the user. What stands behind the URL of the second is that of `redirector.extras`, this by default. With `redirector.concurrency` a number and a blank stand in front of both. `reply` says what it may answer.

pub mod extras;
mod key_values;
mod reply;

use super::question::{Extent, Question, ReplyFault};
use crate::http::rules::Rules;
use crate::http::Method;
use crate::policy::decision::Verdict;
use extras::Extras;

/// Longest line of a reply, in bytes, its end included. The longest URLs in use have a few thousand.
const MAX_LINE: usize = 64 << 10;

/// Which fields a line has (`redirector.line`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineForm {
    /// `host/path client - METHOD -`, as the original had it: neither scheme nor port.
    Exaproxy,
    /// The URL and what [`Url::extras`] says, as Squid has it.
    Squid,
}

impl LineForm {
    /// All of them.
    pub const ALL: [LineForm; 2] = [LineForm::Exaproxy, LineForm::Squid];

    /// The word in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            LineForm::Exaproxy => "exaproxy",
            LineForm::Squid => "squid",
        }
    }
}

/// How the lines look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Url {
    /// The fields of a line.
    pub line: LineForm,
    /// What stands behind the URL in Squid's line.
    pub extras: Extras,
    /// Requests that a helper may have before it, each with a number in front; 0: one, without a number.
    pub concurrency: usize,
}

impl Url {
    /// Appends the line for a request.
    pub fn encode(&self, out: &mut Vec<u8>, question: &Question<'_>, channel: u64) {
        use std::io::Write;
        // Writing into a Vec cannot fail.
        if self.concurrency > 0 {
            let _ = write!(out, "{channel} ");
        }
        match self.line {
            LineForm::Exaproxy => {
                push_bare_url(out, question);
                let _ = write!(out, " {} ", question.client);
                if !question.push_user(out) {
                    out.push(b'-');
                }
                out.push(b' ');
                out.extend_from_slice(question.request.method_name());
                out.extend_from_slice(b" -\n");
            }
            LineForm::Squid => {
                push_full_url(out, question);
                out.push(b' ');
                self.extras.push(out, question);
                out.push(b'\n');
            }
        }
    }

    /// Where the first line ends.
    pub fn extent(bytes: &[u8]) -> Extent {
        match memchr::memchr(b'\n', &bytes[..bytes.len().min(MAX_LINE)]) {
            Some(end) => Extent::Complete(end + 1),
            None if bytes.len() < MAX_LINE => Extent::Partial,
            None => Extent::Hopeless("it floods its standard output"),
        }
    }

    /// The number in front of a reply.
    pub fn channel(&self, reply: &[u8]) -> Option<u64> {
        match self.concurrency {
            0 => Some(0),
            _ => split_channel(reply).0,
        }
    }

    /// What a line says.
    ///
    /// # Errors
    /// When it says nothing usable.
    pub fn decode(&self, reply: &[u8], question: &Question<'_>, rules: &Rules) -> Result<Verdict, ReplyFault> {
        let said = match self.concurrency {
            0 => reply.trim_ascii(),
            _ => match split_channel(reply) {
                (Some(_), said) => said,
                (None, _) => return Err(ReplyFault::Unreadable("it has no number in front")),
            },
        };
        reply::read(said, self.line, question, rules)
    }
}

/// Parts the number from the rest of a line.
fn split_channel(reply: &[u8]) -> (Option<u64>, &[u8]) {
    let line = reply.trim_ascii();
    let end = line.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(line.len());
    let (digits, rest) = line.split_at(end);
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    match rest.first() {
        None | Some(b' ' | b'\t') => (number, rest.trim_ascii()),
        Some(_) => (None, rest),
    }
}

/// `host/path`, without port.
fn push_bare_url(out: &mut Vec<u8>, question: &Question<'_>) {
    question.push_host(out);
    if question.request.opaque_kind().is_none() {
        question.push_path(out);
    }
}

/// The URL as Squid writes it; for CONNECT `host:port`.
fn push_full_url(out: &mut Vec<u8>, question: &Question<'_>) {
    let target = question.request.target();
    if question.request.method() == Method::Connect {
        return target.write_authority(out);
    }
    question.request.push_origin(out);
    question.push_path(out);
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::http::request::Request;

    fn line(url: &Url, method: &str, target: &str, client: &str) -> String {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: a.ok:27900\r\n\r\n");
        let request = Request::parse(head.as_bytes(), &Rules::default()).unwrap();
        let local: SocketAddr = "192.0.2.254:3128".parse().unwrap();
        let mut out = Vec::new();
        let question = Question { request: &request, client: client.parse().unwrap(), local, lines: b"" };
        url.encode(&mut out, &question, 7);
        String::from_utf8(out).unwrap()
    }

    fn dialect(line: LineForm, concurrency: usize) -> Url {
        Url { line, extras: extras::DEFAULT.parse().unwrap(), concurrency }
    }

    #[test]
    fn the_line_of_the_original() {
        for (method, target, wanted) in [
            ("GET", "http://a.ok:27900/p/q?r=1", "a.ok/p/q?r=1 127.0.0.1 - GET -\n"),
            ("GET", "http://A.ok", "a.ok/ 127.0.0.1 - GET -\n"),
            ("CONNECT", "a.ok:443", "a.ok/ 127.0.0.1 - CONNECT -\n"),
            ("POST", "/x", "a.ok/x 127.0.0.1 - POST -\n"),
            ("OPTIONS", "*", "a.ok/* 127.0.0.1 - OPTIONS -\n"),
            ("PROPFIND", "http://[2001:db8::1]:81/", "2001:db8::1/ 127.0.0.1 - PROPFIND -\n"),
            ("GET", "http://a.ok/%20%0a", "a.ok/%20%0a 127.0.0.1 - GET -\n"),
            ("GET", "http://a.ok?x", "a.ok/?x 127.0.0.1 - GET -\n"),
        ] {
            assert_eq!(line(&dialect(LineForm::Exaproxy, 0), method, target, "127.0.0.1"), wanted);
        }
        assert_eq!(
            line(&dialect(LineForm::Exaproxy, 0), "GET", "http://a.ok/", "::ffff:192.0.2.1"),
            "a.ok/ 192.0.2.1 - GET -\n"
        );
        assert_eq!(
            line(&dialect(LineForm::Exaproxy, 0), "GET", "http://a.ok/", "2001:db8::9"),
            "a.ok/ 2001:db8::9 - GET -\n"
        );
    }

    #[test]
    fn the_line_of_squid() {
        let end = "192.0.2.1/- - GET myip=192.0.2.254 myport=3128\n";
        for (target, url) in [
            ("http://a.ok:81/p?q", "http://a.ok:81/p?q"),
            ("http://a.ok:80", "http://a.ok/"),
            ("http://[2001:db8::1]/", "http://[2001:db8::1]/"),
        ] {
            assert_eq!(line(&dialect(LineForm::Squid, 0), "GET", target, "192.0.2.1"), format!("{url} {end}"));
        }
        let wanted = "a.ok:443 192.0.2.1/- - CONNECT myip=192.0.2.254 myport=3128\n";
        assert_eq!(line(&dialect(LineForm::Squid, 0), "CONNECT", "a.ok:443", "192.0.2.1"), wanted);
    }

    #[test]
    fn numbers_stand_in_front_and_come_back() {
        let numbered = dialect(LineForm::Exaproxy, 5);
        assert_eq!(line(&numbered, "GET", "http://a.ok/", "192.0.2.1"), "7 a.ok/ 192.0.2.1 - GET -\n");
        for (reply, channel, rest) in [
            ("7\n", Some(7), ""),
            ("7 OK\r\n", Some(7), "OK"),
            ("  12\tERR\n", Some(12), "ERR"),
            ("OK\n", None, "OK"),
            ("\n", None, ""),
            ("7x\n", None, "x"),
            ("302:http://a/\n", None, ":http://a/"),
            ("99999999999999999999 OK\n", None, "OK"),
        ] {
            assert_eq!(split_channel(reply.as_bytes()), (channel, rest.as_bytes()), "{reply}");
        }
    }

    #[test]
    fn a_reply_without_its_number_says_nothing() {
        let request = Request::parse(b"GET http://a.ok/ HTTP/1.1\r\nHost: a.ok\r\n\r\n", &Rules::default()).unwrap();
        let local: SocketAddr = "192.0.2.254:3128".parse().unwrap();
        let question = Question { request: &request, client: local.ip().into(), local, lines: b"" };
        for (reply, permits) in [("7 OK\n", true), ("7\n", true), ("OK\n", false), ("7OK\n", false), ("\n", false)] {
            let said = dialect(LineForm::Exaproxy, 5).decode(reply.as_bytes(), &question, &Rules::default());
            assert_eq!(matches!(said, Ok(Verdict::Permit)), permits, "{reply}");
        }
    }

    #[test]
    fn a_reply_ends_with_its_line() {
        assert_eq!(Url::extent(b""), Extent::Partial);
        assert_eq!(Url::extent(b"OK"), Extent::Partial);
        assert_eq!(Url::extent(b"\n\n"), Extent::Complete(1));
        assert_eq!(Url::extent(b"OK\r\nERR\r\n"), Extent::Complete(4));
        assert_eq!(Url::extent(&vec![b'x'; MAX_LINE - 1]), Extent::Partial);
        assert!(matches!(Url::extent(&vec![b'x'; MAX_LINE]), Extent::Hopeless(_)));
    }
}
