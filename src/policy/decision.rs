//! What policy or a helper has decided about a request, in the words in which the hub hands it on.

use crate::http::answer::Answer;
use crate::http::request::{Announce, Request};
use crate::http::target::Target;

/// What is to happen with a request.
#[derive(Debug)]
pub enum Decision {
    /// It goes to its origin; for CONNECT that is a tunnel.
    Forward,
    /// Another request goes out in its place; the content is still the client's.
    Rewrite(Box<Request>),
    /// It goes unchanged to another host than the one it names, perhaps with a PROXY protocol header in front, as a helper said.
    Intercept(Box<Target>, Option<Announce>),
    /// It is answered here.
    Answer(Box<Answer>),
}

/// Whether a page may be sent with this status: no redirect, and none that is nothing without a field of its own.
pub fn is_page_status(status: u16) -> bool {
    matches!(status, 200 | 400..=599) && !matches!(status, 401 | 407 | 426)
}

/// A local page that a helper has named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPage {
    /// Its name.
    pub name: String,
    /// What the helper has to say besides, perhaps nothing.
    pub comment: String,
    /// The status of the answer, 200 or 400 to 599; none where that is left to `pages.block-status`.
    pub status: Option<u16>,
}

/// What a helper said about a request. The hub still judges whether that can be done.
#[derive(Debug)]
pub enum Verdict {
    /// Let it pass.
    Permit,
    /// Send this request in its place. Where it is to go to another host than it names, it was diverted there already.
    Rewrite(Box<Request>),
    /// Send it unchanged to this host, with this PROXY protocol header; without a word of it, with that of the configuration.
    Intercept(Box<Target>, Option<Announce>),
    /// Let it pass, through the parent that is there.
    Parent(Box<Target>),
    /// Send the client elsewhere, with this answer of status 3xx.
    Redirect(Box<Answer>),
    /// Answer with a local page.
    File(LocalPage),
    /// Answer with this.
    Answer(Box<Answer>),
}
