//! What somebody decided about a request: the vocabulary between client, policy and, later, the helpers.

use crate::http::answer::Answer;

/// What is to happen with a request.
#[derive(Debug)]
pub enum Decision {
    /// It goes to its origin; for CONNECT that is a tunnel.
    Forward,
    /// It is answered here.
    Answer(Box<Answer>),
}
