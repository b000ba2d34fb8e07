//! The access log: a line for each request, written when it is over and all bytes of it are counted. Knows what is in a
//! [`Record`] and how lines look; not when a request is over, nor where lines go.

mod ecs;
mod escape;
mod format;
mod json;
mod line;
mod stamps;
#[cfg(test)]
mod tests;
mod values;

use std::net::SocketAddr;

pub use format::{Format, FormatError, NamedParts};
use stamps::Stamps;

use super::{Handle, Severity};
use crate::peer::ClientId;

/// A request that is over.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The client that it comes from.
    pub client: ClientId,
    /// Who opened the connection: the client, or a proxy in front of this one.
    pub peer: ClientId,
    /// The process that has connected to our Unix socket.
    pub pid: Option<u32>,
    /// The name that the client has proved to have.
    pub user: Option<&'a str>,
    /// The method; empty when the request could not be read.
    pub method: &'a [u8],
    /// The target in full, `host:port` for CONNECT; empty when the request could not be read.
    pub target: &'a [u8],
    /// The client's version of HTTP, such as `1.1`.
    pub version: Option<&'static str>,
    /// The status that the client got, if it got one.
    pub status: Option<u16>,
    /// The media type of the response; empty when there was none.
    pub media: &'a [u8],
    /// Bytes that were sent to the client, heads included.
    pub to_client: u64,
    /// Bytes that were sent to the origin, heads included.
    pub to_origin: u64,
    /// When its last byte was sent, in milliseconds since 1970.
    pub ended: u64,
    /// Microseconds from its first byte to then.
    pub duration: u64,
    /// Milliseconds until it was decided about.
    pub decide: Option<u64>,
    /// Milliseconds from there until its addresses were known.
    pub resolve: Option<u64>,
    /// Milliseconds from there until there was a connection.
    pub connect: Option<u64>,
    /// Where it went.
    pub origin: Option<SocketAddr>,
    /// That is a parent.
    pub parent: bool,
    /// What was decided about it, in the words of the usage log.
    pub decision: Option<&'static str>,
    /// Why it did not end well, in a word.
    pub failure: Option<&'static str>,
    /// File and line of the list that refused it, or would have; empty where none did.
    pub list: &'a [u8],
    /// What a balancer calls its connection; perhaps empty.
    pub unique_id: &'a [u8],
    /// The host that its client asked the balancer for; perhaps empty.
    pub authority: &'a [u8],
    /// The name in the hello of TLS with which the client or its tunnel began; empty where none was read.
    pub sni: &'a [u8],
    /// The protocols that the hello offers, with commas between; perhaps empty.
    pub alpn: &'a [u8],
    /// The hello may hide another one (ECH).
    pub ech: bool,
    /// What the cache did with it, in our word and in Squid's; None without a cache.
    pub cache: Option<(&'static str, &'static str)>,
    /// The client did not get all of the response.
    pub cut: bool,
    /// The User-Agent field, perhaps empty.
    pub user_agent: &'a [u8],
    /// The Referer field, perhaps empty.
    pub referer: &'a [u8],
    /// The id of the trace that the client says it belongs to, perhaps empty.
    pub trace: &'a [u8],
}

impl Record<'_> {
    /// When it began, in milliseconds since 1970.
    fn began(&self) -> u64 {
        self.ended.saturating_sub(self.duration / 1000)
    }
}

/// Lines of one form.
#[derive(Debug)]
pub struct AccessLines {
    format: Format,
    stamps: Stamps,
}

impl AccessLines {
    /// Lines of this form.
    pub fn new(format: Format) -> AccessLines {
        AccessLines { format, stamps: Stamps::default() }
    }

    /// Appends the line of a request, without an end.
    pub fn append(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        line::append(out, &self.format, record, &mut self.stamps);
    }
}

/// The log.
#[derive(Debug)]
pub struct AccessLog {
    handle: Handle,
    lines: AccessLines,
}

impl AccessLog {
    /// A log that writes lines of this form through this handle.
    pub fn new(handle: Handle, format: Format) -> AccessLog {
        AccessLog { handle, lines: AccessLines::new(format) }
    }

    /// Another one that writes to the same place.
    #[must_use]
    pub fn another(&self) -> AccessLog {
        AccessLog::new(self.handle.clone(), self.lines.format.clone())
    }

    /// Lines of its writer that were lost since the start.
    pub fn lost(&self) -> u64 {
        self.handle.lost()
    }

    /// Writes the line of a request.
    pub fn write(&mut self, record: &Record<'_>) {
        self.handle.compose(Severity::Info, |out| self.lines.append(out, record));
    }
}
