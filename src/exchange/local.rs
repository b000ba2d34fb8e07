//! Content that is kept with its request: that of requests to this program itself, which are complete only with it, since no
//! origin will take that, and that of a short QUERY, which may be asked twice. Knows nothing of what the content says.

use crate::http::fault::Fault;
use crate::http::fields::Expectation;
use crate::http::framing::Framing;
use crate::http::request::Request;

/// Most bytes of content that a request to this program may have: its forms have some hundred, and head and content
/// together must fit into what a session may collect.
pub(super) const MAX_CONTENT: u64 = 8 * 1024;

/// How many bytes the request has to be followed by, as its head says.
///
/// # Errors
/// When these are too many, or the head does not say how many.
fn announced(request: &Request) -> Result<usize, Fault> {
    match request.framing() {
        Framing::Empty => Ok(0),
        Framing::Sized(length @ ..=MAX_CONTENT) => Ok(length as usize),
        Framing::Sized(_) => Err(Fault::BodyTooLarge),
        Framing::Chunked(_) | Framing::UntilClose => Err(Fault::LengthMissing),
    }
}

/// How many bytes are to be waited for behind the head of a request, if more than the `here` that have come.
pub(super) fn awaited(request: &Request, here: usize) -> Option<usize> {
    let waits = request.expectation() == Expectation::None;
    announced(request).ok().filter(|length| *length > here && waits)
}

/// Gives the request its content, which is at the front of `bytes`.
///
/// # Errors
/// When it is none to wait for.
pub(super) fn hold(request: &mut Request, bytes: &[u8]) -> Result<(), Fault> {
    let length = announced(request)?;
    // Told that its expectation is not met, a client asks again without one (RFC 9110 section 10.1.1).
    let content = bytes.get(..length).ok_or(Fault::Expectation)?;
    request.hold_content(content);
    Ok(())
}
