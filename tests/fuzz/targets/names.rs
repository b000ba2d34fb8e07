//! What name servers and the files of the resolver say.
pub(super) const MESSAGES: &[&[u8]] = &[b""];
