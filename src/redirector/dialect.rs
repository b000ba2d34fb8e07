//! The languages of helpers, and what both have in common. Pure: bytes in and out.

use super::icap::Icap;
use super::question::{Extent, Question, ReplyFault};
use super::url::{LineForm, Url};
use crate::http::rules::Rules;
use crate::policy::decision::Verdict;

/// The language of the helpers (`redirector.protocol` and what belongs to it).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// Squid's lines.
    Url(Url),
    /// ICAP messages over standard input and output.
    Icap(Icap),
}

impl Dialect {
    /// Questions that one helper may have before it at a time.
    pub fn concurrency(&self) -> usize {
        match self {
            Dialect::Url(url) => url.concurrency.max(1),
            Dialect::Icap(_) => 1,
        }
    }

    /// Do replies carry the number of their question ([`Dialect::channel`])?
    pub fn is_numbered(&self) -> bool {
        matches!(self, Dialect::Url(url) if url.concurrency > 0)
    }

    /// Does a question tell which of our addresses the client has reached ([`Question::local`])?
    pub fn tells_local(&self) -> bool {
        !matches!(self, Dialect::Url(Url { line: LineForm::Exaproxy, .. }))
    }

    /// Appends the question as the helper reads it. `channel` is its number with a helper that has several before it.
    pub fn encode(&self, out: &mut Vec<u8>, question: &Question<'_>, channel: u64) {
        match self {
            Dialect::Url(url) => url.encode(out, question, channel),
            Dialect::Icap(icap) => icap.encode(out, question),
        }
    }

    /// Looks for the end of the first reply in `bytes`. Called again with more of the same bytes while it is partial.
    pub fn extent(&self, bytes: &[u8]) -> Extent {
        match self {
            Dialect::Url(_) => Url::extent(bytes),
            Dialect::Icap(_) => Icap::extent(bytes),
        }
    }

    /// The channel that a complete reply is for; None when it names none though it must. Without channels it is 0.
    pub fn channel(&self, reply: &[u8]) -> Option<u64> {
        match self {
            Dialect::Url(url) => url.channel(reply),
            Dialect::Icap(_) => Some(0),
        }
    }

    /// What it says of that, as lines of a head.
    ///
    /// # Errors
    /// When it says nothing usable.
    pub fn service(&self, reply: &[u8]) -> Result<Vec<u8>, &'static str> {
        match self {
            Dialect::Url(_) => Err("its language has no word for it"),
            Dialect::Icap(_) => Icap::service(reply),
        }
    }

    /// What a complete reply says about the question that it belongs to.
    ///
    /// # Errors
    /// When it says nothing usable.
    pub fn decode(&self, reply: &[u8], question: &Question<'_>, rules: &Rules) -> Result<Verdict, ReplyFault> {
        match self {
            Dialect::Url(url) => url.decode(reply, question, rules),
            Dialect::Icap(icap) => icap.decode(reply, question, rules),
        }
    }
}
