//! What an ICAP reply means for the request that it is about. A reply that is not understood is a fault of the helper,
//! never a permission.
//!
//! | status | what is encapsulated | meaning |
//! |---|---|---|
//! | 204, 304 | anything | let it pass |
//! | 200, 302, 403 | an HTTP response, perhaps with a body | answer with it |
//! | | an HTTP request | send that one instead; the content is still the client's |
//! | | `GET file://NAME HTTP/1.1` | answer with a local page |
//! | | `GET parent://HOST:PORT HTTP/1.1` | send the request through that parent |
//! | | `CONNECT HOST:PORT`, a blank line, a request | send that request to that host |
//! | | `CONNECT HOST:PORT` alone | open that tunnel; for other methods send the request there |
//! | | the same with `X-Intercept: active` | send the request unchanged there |
//!
//! Whether a part is called `req-hdr` or `res-hdr` does not matter: old helpers call everything `res-hdr`.

use std::borrow::Cow;

use super::super::question::Question;
use super::message::{IcapMessage, Part};
use crate::http::answer::Answer;
use crate::http::head::{leading_blank, HeadScan};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::rules::Rules;
use crate::http::syntax::{is_token, is_value};
use crate::http::target::Target;
use crate::http::Method;
use crate::policy::decision::{LocalPage, Verdict};

type Reading = Result<Verdict, &'static str>;

/// A head without its blank line may have been cut anywhere, a field's value included.
const ENDLESS: &str = "a head in it has no end";

/// Fields that belong to a connection or to a framing, and not to an answer (RFC 9110 section 7.6.1).
const OURS: [&str; 8] =
    ["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// Reads a complete message.
pub(super) fn read(message: &IcapMessage<'_>, question: &Question<'_>, rules: &Rules) -> Reading {
    match message.status {
        204 | 304 => return Ok(Verdict::Permit),
        200 | 302 | 403 => {}
        _ => return Err("its status is not understood"),
    }
    let (_, head) = message.head.ok_or("nothing is encapsulated in it")?;
    let head = &with_empty_line(&head[leading_blank(head)..])[..];
    if head.starts_with(b"HTTP/") {
        return answer(head, message.body.as_deref(), question);
    }
    if message.body.is_some() {
        return Err(match message.head {
            Some((Part::ResponseHead, _)) => "its content is no HTTP response",
            _ => "another content for a request is not understood",
        });
    }
    let mut words = head.split(|byte| byte.is_ascii_whitespace());
    match (words.next(), words.next()) {
        (Some(b"CONNECT"), Some(authority)) => connect(head, authority, message.intercepts, question, rules),
        (Some(_), Some(url)) if url.starts_with(b"file://") => file(&url[7..], message.comment),
        (Some(_), Some(url)) if url.starts_with(b"parent://") => parent(&url[b"parent://".len()..]),
        _ => {
            let (first, rest) = split(head).ok_or(ENDLESS)?;
            match rest.trim_ascii().is_empty() {
                true => Ok(Verdict::Rewrite(substitute(first, question, rules)?)),
                false => Err("something follows its request"),
            }
        }
    }
}

fn file(name: &[u8], comment: &str) -> Reading {
    let name = std::str::from_utf8(name).map_err(|_| "the name of its page is not UTF-8")?;
    Ok(Verdict::File(LocalPage { name: name.to_owned(), comment: comment.to_owned(), status: None }))
}

fn parent(place: &[u8]) -> Reading {
    let to = Target::from_authority(place, None).map_err(|_| "its parent is no host:port")?;
    Ok(Verdict::Parent(Box::new(to)))
}

/// A CONNECT, alone or in front of a request.
fn connect(head: &[u8], authority: &[u8], intercepts: bool, question: &Question<'_>, rules: &Rules) -> Reading {
    let client = question.request;
    let port = Some(client.target().port).filter(|port| *port != 0);
    let to = Target::from_authority(authority, port);
    let to = Box::new(to.map_err(|_| "its CONNECT names no host")?);
    // It may stand without its blank line, though not cut within its first.
    let (first, rest) = split(head).unwrap_or((head, b""));
    if !first.ends_with(b"\n") || !has_fields_only(first) {
        return Err("its CONNECT is no request");
    }
    let rest = &with_empty_line(&rest[leading_blank(rest)..])[..];
    // A connection without HTTP goes there as it is, also with a request behind.
    if intercepts || client.opaque_kind().is_some() {
        return Ok(Verdict::Intercept(to, None));
    }
    if rest.is_empty() {
        return match client.method() {
            Method::Connect => {
                let mut target = Vec::new();
                to.write_authority(&mut target);
                let other = client.with_target(&target, rules).map_err(|_| "its CONNECT names no host")?;
                Ok(Verdict::Rewrite(other))
            }
            _ => Ok(Verdict::Intercept(to, None)),
        };
    }
    let (second, after) = split(rest).ok_or(ENDLESS)?;
    if !after.trim_ascii().is_empty() {
        return Err("something follows its request");
    }
    let mut other = substitute(second, question, rules)?;
    other.intercept(*to, None);
    Ok(Verdict::Rewrite(other))
}

/// Are all lines behind the first one fields? Where the blank line behind a CONNECT is missing, a request follows there.
fn has_fields_only(head: &[u8]) -> bool {
    let lines = head.split(|byte| *byte == b'\n').skip(1).map(<[u8]>::trim_ascii_end);
    let is_field = |line: &[u8]| memchr::memchr(b':', line).is_some_and(|colon| is_token(&line[..colon]));
    lines.filter(|line| !line.is_empty()).all(is_field)
}

fn substitute(head: &[u8], question: &Question<'_>, rules: &Rules) -> Result<Box<Request>, &'static str> {
    let other =
        question.request.parse_like(head, rules).map_err(|_| "its request could not have come from a client")?;
    other.in_place_of(question.request).map_err(|_| "its request cannot stand for the client's")
}

/// The text with the line emptied that ends its first head, should that hold blanks: filters of the original write such
/// lines, and anywhere else a line of blanks would be a fold without a text.
fn with_empty_line(text: &[u8]) -> Cow<'_, [u8]> {
    let mut start = 0;
    while let Some(length) = memchr::memchr(b'\n', &text[start..]) {
        let line = &text[start..start + length];
        if line.iter().all(u8::is_ascii_whitespace) {
            return match line {
                [] | [b'\r'] => Cow::Borrowed(text),
                _ => Cow::Owned([&text[..start], &text[start + length..]].concat()),
            };
        }
        start += length + 1;
    }
    Cow::Borrowed(text)
}

/// The first head with its blank line, if there is one, and what follows it.
fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    HeadScan::default().find(text).map(|end| text.split_at(end))
}

/// An HTTP response, with the content behind its head, or in chunks of its own.
fn answer(text: &[u8], body: Option<&[u8]>, question: &Question<'_>) -> Reading {
    const WRONG: &str = "its HTTP response cannot be understood";
    let (head, behind) = split(text).ok_or(ENDLESS)?;
    let method = question.request.method();
    let response = Response::parse(head, Method::Get).map_err(|_| WRONG)?;
    if !behind.is_empty() && response.field(b"transfer-encoding").is_some() {
        return Err("its HTTP response has a coding of its own");
    }
    let mut content = behind.to_vec();
    content.extend_from_slice(body.unwrap_or_default());
    let mut answer = match response.status() {
        // To the client of a CONNECT it would be an open tunnel.
        200..=299 if method == Method::Connect => Answer::new(403, content),
        status @ 200..=599 => Answer::new(status, content),
        _ => return Err(WRONG),
    };
    let phrase = std::str::from_utf8(response.reason()).map_err(|_| WRONG)?;
    let same = answer.status == response.status();
    answer.foreign = Some(if same { phrase } else { "Forbidden" }.to_owned());
    let nominated = |name: &str| response.section().is_nominated(response.raw(), name.as_bytes());
    for (name, value) in response.fields() {
        let name = std::str::from_utf8(name).map_err(|_| WRONG)?;
        let value = std::str::from_utf8(value).map_err(|_| WRONG)?;
        // A folded value has its line ends within.
        if !is_token(name.as_bytes()) || !is_value(value.as_bytes()) {
            return Err(WRONG);
        }
        let ours = OURS.iter().any(|own| name.eq_ignore_ascii_case(own));
        if !ours && !nominated(name) {
            answer = answer.with(name.to_owned(), value.to_owned());
        }
    }
    Ok(Verdict::Answer(Box::new(answer)))
}

#[cfg(test)]
mod tests;
