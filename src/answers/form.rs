//! In which form a client is told why its request is not served: a page for people, an object or a line for programs. Knows
//! what Accept says (RFC 9110 section 12.5.1), and no page.

use serde_json::json;

use crate::http::answer::{reason, AnswerBody};
use crate::http::cause::Cause;
use crate::http::media::{PLAIN, PROBLEM};
use crate::http::request::Request;
use crate::http::syntax::{elements, trim};
use crate::http::Method;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A page in HTML: no Accept, or one that names HTML.
    Page,
    /// An object of RFC 9457: JSON is named, and HTML is not or for less.
    Problem,
    /// A line of text: neither is named, as by `*/*` alone.
    Line,
}

/// Weight of a media range without `q`, in thousandths.
const FULL: u16 = 1000;

/// Longest reason phrase, in bytes.
const MAX_PHRASE: usize = 120;

impl Form {
    /// What this request wants; the page where there is none to ask.
    pub(super) fn of(request: Option<&Request>) -> Form {
        let fields = request.into_iter().flat_map(Request::fields);
        let mut accepts = fields.filter(|(name, _)| name.eq_ignore_ascii_case(b"accept")).peekable();
        if accepts.peek().is_none() {
            return Form::Page;
        }
        let (mut named, mut html, mut json) = (false, 0, 0);
        for range in accepts.flat_map(|(_, value)| elements(value)) {
            named = true;
            let (kind, weight) = weighted(range);
            let best = match kind.to_ascii_lowercase().as_slice() {
                b"text/html" | b"application/xhtml+xml" => &mut html,
                b"application/json" | b"application/problem+json" => &mut json,
                _ => continue,
            };
            *best = weight.max(*best);
        }
        match (html, json) {
            (0, 0) if named => Form::Line,
            _ if json > html => Form::Problem,
            _ => Form::Page,
        }
    }
}

/// A media range without its parameters, and its weight in thousandths: 0 means that it is not acceptable, and stands for
/// a weight that cannot be read.
fn weighted(range: &[u8]) -> (&[u8], u16) {
    let mut parts = range.split(|byte| *byte == b';').map(trim);
    let kind = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix(b"q=").or(part.strip_prefix(b"Q=")));
    (kind, weight.map_or(FULL, |text| thousandths(text).unwrap_or(0)))
}

/// A weight: 0 or 1, with at most three digits behind a point (RFC 9110 section 12.4.2).
fn thousandths(text: &[u8]) -> Option<u16> {
    let (whole, digits) = match text {
        [whole, b'.', digits @ ..] => (whole, digits),
        [whole] => (whole, &b""[..]),
        _ => return None,
    };
    if !matches!(whole, b'0' | b'1') || digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |place: usize| u16::from(digits.get(place).map_or(0, |digit| digit - b'0'));
    Some((u16::from(whole - b'0') * FULL + digit(0) * 100 + digit(1) * 10 + digit(2)).min(FULL))
}

/// The object of RFC 9457, its media type beside it. The type is that of a problem which its status tells all of; `cause`
/// has the word that logs and numbers have, and `list` the `FILE:LINE` that refuses, if the client may know.
pub(super) fn problem(cause: Cause, status: u16, text: &str, list: &str) -> (AnswerBody, &'static str) {
    let mut object = json!({
        "type": "about:blank",
        "title": reason(status),
        "status": status,
        "detail": text,
        "cause": cause.word(),
    });
    if !list.is_empty() {
        object["list"] = list.into();
    }
    (format!("{object}\n").into_bytes().into(), PROBLEM)
}

/// One line: the word of the cause, the reason, and the `FILE:LINE` that refuses if the client may know. Nothing in it moves
/// the cursor of a terminal.
pub(super) fn line(cause: Cause, text: &str, list: &str) -> (AnswerBody, &'static str) {
    let comma = if list.is_empty() { "" } else { ", " };
    let text: String = text
        .chars()
        .chain(comma.chars())
        .chain(list.chars())
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    (format!("{}: {text}\n", cause.word()).into_bytes().into(), PLAIN)
}

/// The reason phrase for a client that asked for a tunnel, since most of them show no content of an answer to CONNECT. It
/// holds words of the proxy alone, in ASCII.
pub(super) fn phrase(cause: Cause, status: u16, request: Option<&Request>) -> Option<String> {
    if request.is_none_or(|request| request.method() != Method::Connect) {
        return None;
    }
    let text = format!("{} ({}: {cause})", reason(status), cause.word());
    Some(text.chars().filter(|letter| matches!(letter, ' '..='~')).take(MAX_PHRASE).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fault::Fault;
    use crate::http::rules::Rules;

    fn form(fields: &str) -> Form {
        let head = format!("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n");
        Form::of(Some(&Request::parse(head.as_bytes(), &Rules::default()).unwrap()))
    }

    #[test]
    fn accept_decides_the_form() {
        assert_eq!((Form::of(None), form("")), (Form::Page, Form::Page));
        let table = [
            ("", Form::Page),
            (",", Form::Page),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", Form::Page),
            ("TEXT/HTML", Form::Page),
            ("application/xhtml+xml", Form::Page),
            ("text/html;level=1;q=0.4, application/json;q=0.3", Form::Page),
            ("application/json, text/html", Form::Page),
            ("application/vnd.pypi.simple.v1+json, text/html;q=0.01", Form::Page),
            ("application/json", Form::Problem),
            ("Application/Problem+JSON; charset=utf-8", Form::Problem),
            ("application/json, text/plain, */*", Form::Problem),
            ("application/json, text/html;q=0.9", Form::Problem),
            ("application/json, text/html; Q=0", Form::Problem),
            ("text/html;q=0.499, application/json;q=0.5", Form::Problem),
            ("application/json;q=0, application/problem+json;q=0.1", Form::Problem),
            ("*/*", Form::Line),
            ("image/avif,image/webp,*/*;q=0.8", Form::Line),
            ("text/plain", Form::Line),
            ("text/html;q=0, */*", Form::Line),
            ("text/html;q=0.0000", Form::Line),
            ("application/json;q=", Form::Line),
            ("application/json;q=2", Form::Line),
            ("application/vnd.oci.image.index.v1+json", Form::Line),
        ];
        for (accept, wanted) in table {
            assert_eq!(form(&format!("Accept: {accept}\r\n")), wanted, "{accept}");
        }
        assert_eq!(form("ACCEPT: */*\r\nAccept: application/json\r\n"), Form::Problem);
    }

    #[test]
    fn weights_are_read_as_they_are_written() {
        let table: [(&str, Option<u16>); 10] = [
            ("0", Some(0)),
            ("1", Some(1000)),
            ("1.000", Some(1000)),
            ("1.5", Some(1000)),
            ("0.5", Some(500)),
            ("0.123", Some(123)),
            ("0.", Some(0)),
            ("0.1234", None),
            ("0,5", None),
            ("", None),
        ];
        for (text, wanted) in table {
            assert_eq!(thousandths(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn a_line_stays_one() {
        let (line, kind) = line(Cause::Blocked, "a\r\nb\x1b[2J\u{85}", "/f\n:7");
        assert_eq!((std::str::from_utf8(&line).unwrap(), kind), ("blocked: a  b [2J , /f :7\n", PLAIN));
    }

    #[test]
    fn an_object_holds_any_text() {
        let (body, kind) = problem(Cause::NameTimeout, 504, "a \"b\"\n", "");
        let object: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let wanted = json!({
            "type": "about:blank",
            "title": "Gateway Timeout",
            "status": 504,
            "detail": "a \"b\"\n",
            "cause": "dns_timeout",
        });
        assert_eq!((object, kind), (wanted, PROBLEM));
    }

    #[test]
    fn the_phrase_of_a_refused_connect_is_short() {
        let head = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n";
        let connect = Request::parse(head.as_bytes(), &Rules::default()).unwrap();
        let told = phrase(Cause::Blocked, 403, Some(&connect));
        assert_eq!(told.as_deref(), Some("Forbidden (blocked: the rules of this proxy do not allow it)"));
        assert_eq!(phrase(Cause::Blocked, 403, None), None);
        // The longest texts there are.
        for cause in [Cause::Client(Fault::BadField), Cause::Client(Fault::BadScheme), Cause::NameTimeout] {
            let told = phrase(cause, 503, Some(&connect)).unwrap();
            assert!(told.is_ascii() && told.len() <= MAX_PHRASE && told.ends_with(')'), "{told}");
        }
    }
}
