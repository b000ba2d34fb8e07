//! The dialect `icap://…`: ICAP messages (RFC 3507) over standard input and output.

use super::dialect::{Extent, Question, Trouble};
use crate::decision::Verdict;
use crate::http::rules::Rules;

/// How the messages look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Icap {
    /// The text of `redirector.protocol`, which the first line of a request carries.
    pub uri: String,
}

impl Icap {
    /// Appends a REQMOD message.
    pub fn encode(&self, _out: &mut Vec<u8>, _question: &Question<'_>) {}

    /// Where the first message ends.
    pub fn extent(_bytes: &[u8]) -> Extent {
        Extent::Partial
    }

    /// What a message says.
    ///
    /// # Errors
    /// When it says nothing usable.
    pub fn decode(&self, _: &[u8], _: &Question<'_>, _: &Rules) -> Result<Verdict, Trouble> {
        Err(Trouble::Unreadable("not there yet"))
    }
}
