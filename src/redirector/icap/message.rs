//! The parts of an ICAP response: status, the fields that matter, what is encapsulated (RFC 3507 section 4.4). Knows
//! where a message ends, and not what it means. Lines may end with LF alone, as scripts write them.

use super::super::question::Extent;
use crate::http::head::{leading_blank, HeadScan};

/// Longest ICAP head, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// Longest reply, in bytes, with all that is encapsulated: heads and a page.
const MAX_REPLY: usize = 4 << 20;

/// Most chunks of one content: they are gone through again each time that more has come.
const MAX_CHUNKS: usize = 16 << 10;

const TOO_LONG: Extent = Extent::Hopeless("its reply is too long");

/// What may be encapsulated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    RequestHead,
    ResponseHead,
    RequestBody,
    ResponseBody,
    NullBody,
}

impl Part {
    fn of(name: &str) -> Option<Part> {
        match name {
            "req-hdr" => Some(Part::RequestHead),
            "res-hdr" => Some(Part::ResponseHead),
            "req-body" => Some(Part::RequestBody),
            "res-body" => Some(Part::ResponseBody),
            "null-body" => Some(Part::NullBody),
            _ => None,
        }
    }

    fn is_body(self) -> bool {
        matches!(self, Part::RequestBody | Part::ResponseBody | Part::NullBody)
    }
}

/// A complete reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct IcapMessage<'m> {
    pub(super) status: u16,
    /// Whether it says `X-Intercept: active`.
    pub(super) intercepts: bool,
    /// The text of `Pragma: comment: …`.
    pub(super) comment: &'m str,
    /// The part that a reply is about and its bytes, if it has any.
    pub(super) head: Option<(Part, &'m [u8])>,
    /// The content behind it without its chunks, if there is any.
    pub(super) body: Option<Vec<u8>>,
}

/// Where the first reply ends. That does not depend on whether its head can be understood, as long as `Encapsulated`
/// tells the length: what follows a reply that is in error must not be taken for the next one.
pub(super) fn extent(bytes: &[u8]) -> Extent {
    let blank = leading_blank(bytes);
    let message = &bytes[blank..];
    let Some(head) = HeadScan::default().find(&message[..message.len().min(MAX_HEAD)]) else {
        return match message.len() < MAX_HEAD && blank < MAX_HEAD {
            true => Extent::Partial,
            false => Extent::Hopeless("the head of its reply has no end"),
        };
    };
    // Where the field does not tell, the reply ends with its head, and `parse` says what is wrong. What follows is then
    // a reply without a question, for which the helper is killed.
    let Some((last, heads)) = following(&message[..head]) else { return Extent::Complete(blank + head) };
    let Some(start) = head.checked_add(heads).filter(|start| *start <= MAX_REPLY) else {
        return TOO_LONG;
    };
    if message.len() < start {
        return Extent::Partial;
    }
    match last {
        Part::RequestBody | Part::ResponseBody => match chunks(&message[start..message.len().min(MAX_REPLY)], |_| ()) {
            Chunks::Complete(length) => Extent::Complete(blank + start + length),
            Chunks::Partial if message.len() < MAX_REPLY => Extent::Partial,
            Chunks::Partial => TOO_LONG,
            Chunks::Wrong => Extent::Hopeless("the chunks of its reply are none"),
        },
        _ => Extent::Complete(blank + start),
    }
}

/// How many bytes follow an ICAP head, and what comes behind them: the last item of `Encapsulated`, nothing without that
/// field. None where the field does not tell.
fn following(head: &[u8]) -> Option<(Part, usize)> {
    let mut found = None;
    for line in head.split(|byte| *byte == b'\n') {
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        if line[..colon].trim_ascii().eq_ignore_ascii_case(b"encapsulated") {
            let value = std::str::from_utf8(line.get(colon + 1..)?).ok()?;
            let last = item(value.rsplit(',').next()?)?;
            if found.replace(last).is_some() || !last.0.is_body() {
                return None;
            }
        }
    }
    Some(found.unwrap_or((Part::NullBody, 0)))
}

impl IcapMessage<'_> {
    /// Takes a complete reply apart, as [`extent`] has found it.
    pub(super) fn parse(reply: &[u8]) -> Result<IcapMessage<'_>, &'static str> {
        let message = &reply[leading_blank(reply)..];
        let length = HeadScan::default().find(message).ok_or("its ICAP head has no end")?;
        let (head, content) = message.split_at(length);
        let head = IcapHead::parse(head)?;
        let mut parsed = IcapMessage {
            status: head.status,
            intercepts: head.intercepts,
            comment: head.comment,
            head: None,
            body: None,
        };
        let Some(parts) = head.parts else { return Ok(parsed) };
        let Some(((last, heads), before)) = parts.split_last() else { return Err("its Encapsulated is empty") };
        if !last.is_body() || *heads > content.len() {
            return Err("its Encapsulated does not fit what follows");
        }
        match before {
            [] => {}
            [(part, 0)] => parsed.head = Some((*part, &content[..*heads])),
            _ => return Err("its Encapsulated names more than one head"),
        }
        let behind = &content[*heads..];
        if *last == Part::NullBody {
            return match behind.is_empty() {
                true => Ok(parsed),
                false => Err("its Encapsulated does not fit what follows"),
            };
        }
        let mut body = Vec::new();
        match chunks(behind, |data| body.extend_from_slice(data)) {
            Chunks::Complete(length) if length == behind.len() => parsed.body = Some(body),
            _ => return Err("the chunks of its content are none"),
        }
        Ok(parsed)
    }
}

/// What an ICAP head says.
struct IcapHead<'h> {
    status: u16,
    intercepts: bool,
    comment: &'h str,
    /// The parts with their offsets, rising from 0; None without the field.
    parts: Option<Vec<(Part, usize)>>,
}

impl IcapHead<'_> {
    fn parse(bytes: &[u8]) -> Result<IcapHead<'_>, &'static str> {
        let text = std::str::from_utf8(bytes).map_err(|_| "its ICAP head is not UTF-8")?;
        let mut lines = text.lines();
        let status = status(lines.next().unwrap_or_default())?;
        let mut head = IcapHead { status, intercepts: false, comment: "", parts: None };
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or("a line of its ICAP head has no colon")?;
            let value = value.trim();
            match name.trim() {
                name if name.eq_ignore_ascii_case("encapsulated") => match head.parts {
                    None => head.parts = Some(parts(value)?),
                    Some(_) => return Err("it has more than one Encapsulated"),
                },
                name if name.eq_ignore_ascii_case("x-intercept") => head.intercepts = value == "active",
                name if name.eq_ignore_ascii_case("pragma") => {
                    if let Some(comment) = value.strip_prefix("comment:") {
                        head.comment = comment.trim();
                    }
                }
                _ => {}
            }
        }
        Ok(head)
    }
}

fn status(line: &str) -> Result<u16, &'static str> {
    let mut words = line.split_ascii_whitespace();
    if words.next() != Some("ICAP/1.0") {
        return Err("its version is not ICAP/1.0");
    }
    let code = words.next().filter(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()));
    code.and_then(|code| code.parse().ok()).ok_or("its status is no number")
}

/// Offsets count from the first byte behind the ICAP head and rise.
fn parts(value: &str) -> Result<Vec<(Part, usize)>, &'static str> {
    const WRONG: &str = "its Encapsulated cannot be understood";
    let mut parts: Vec<(Part, usize)> = Vec::new();
    // More than four would fail below anyway, as what comes behind a body does.
    for item in value.split(',').take(5) {
        let (part, offset) = self::item(item).ok_or(WRONG)?;
        let rises = match parts.last() {
            None => offset == 0,
            Some((last, before)) => !last.is_body() && offset >= *before,
        };
        if !rises {
            return Err(WRONG);
        }
        parts.push((part, offset));
    }
    Ok(parts)
}

fn item(text: &str) -> Option<(Part, usize)> {
    let (name, offset) = text.split_once('=')?;
    let offset = offset.trim();
    let digits = !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_digit());
    Some((Part::of(name.trim())?, offset.parse().ok().filter(|_| digits)?))
}

#[derive(PartialEq, Eq, Debug)]
enum Chunks {
    /// They end after this many bytes, the line of the last chunk included. The blank line that should follow is no part
    /// of it: some leave it out.
    Complete(usize),
    Partial,
    Wrong,
}

/// Goes through chunks (RFC 9112 section 7.1) and shows the data of each. The line end behind the data may be missing.
fn chunks(bytes: &[u8], mut show: impl FnMut(&[u8])) -> Chunks {
    /// Digits of a size, leading zeros included; any number of so many fits.
    const MAX_DIGITS: usize = 8;
    let mut at = 0;
    for _ in 0..MAX_CHUNKS {
        let rest = &bytes[at..];
        let Some(end) = memchr::memchr(b'\n', &rest[..rest.len().min(256)]) else {
            return if rest.len() < 256 { Chunks::Partial } else { Chunks::Wrong };
        };
        let line = rest[..end].split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let valid = !line.is_empty() && line.len() <= MAX_DIGITS && line.iter().all(u8::is_ascii_hexdigit);
        let size =
            std::str::from_utf8(line).ok().filter(|_| valid).and_then(|line| usize::from_str_radix(line, 16).ok());
        let Some(size) = size else { return Chunks::Wrong };
        at += end + 1;
        if size == 0 {
            return Chunks::Complete(at);
        }
        if size > MAX_REPLY {
            return Chunks::Wrong;
        }
        let Some(data) = bytes.get(at..at + size) else { return Chunks::Partial };
        show(data);
        at += size;
        at += match &bytes[at..] {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => 0,
        };
    }
    Chunks::Wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = (u16, Option<(Part, String)>);

    fn heads(reply: &str) -> Result<Found, &'static str> {
        let message = IcapMessage::parse(reply.as_bytes())?;
        Ok((message.status, message.head.map(|(part, bytes)| (part, String::from_utf8_lossy(bytes).into_owned()))))
    }

    #[test]
    fn parts_are_found_whatever_the_line_ends() {
        assert_eq!(heads("ICAP/1.0 204 No Content\n\n"), Ok((204, None)));
        assert_eq!(heads("\r\n\nICAP/1.0 204\r\nX: y\r\n\r\n"), Ok((204, None)));
        let head = (Part::ResponseHead, "HTTP/1.1 403 No\n\n".to_owned());
        assert_eq!(
            heads("ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, null-body=17\n\nHTTP/1.1 403 No\n\n"),
            Ok((200, Some(head)))
        );
        assert_eq!(heads("ICAP/1.0 200 OK\r\nEncapsulated: null-body=0\r\n\r\n"), Ok((200, None)));
    }

    #[test]
    fn fields_that_matter_are_found() {
        let text = "ICAP/1.0 200 OK\nX-Intercept: active\nPragma: other: x\npragma: comment: a word\n\n";
        let message = IcapMessage::parse(text.as_bytes()).unwrap();
        assert_eq!((message.intercepts, message.comment), (true, "a word"));
        assert!(!IcapMessage::parse(b"ICAP/1.0 200 OK\nX-Intercept: ACTIVE\n\n").unwrap().intercepts);
    }

    #[test]
    fn row_15_what_does_not_fit_is_refused() {
        for text in [
            "ICAP/1.1 204 x\n\n",
            "HTTP/1.1 204 x\n\n",
            "ICAP/1.0\n\n",
            "ICAP/1.0 2x4\n\n",
            "ICAP/1.0 +24\n\n",
            "ICAP/1.0 204 x\nno colon\n\n",
            "ICAP/1.0 200 x\nEncapsulated: res-hdr=0\n\nabc",
            "ICAP/1.0 200 x\nEncapsulated: res-hdr=0, null-body=4\n\nabc",
            "ICAP/1.0 200 x\nEncapsulated: res-hdr=0, null-body=2\n\nabc",
            "ICAP/1.0 200 x\nEncapsulated: res-hdr=1, null-body=3\n\nabc",
            "ICAP/1.0 200 x\nEncapsulated: res-hdr=0, null-body=-1\n\nabc",
            "ICAP/1.0 200 x\nEncapsulated: other=0, null-body=3\n\nabc",
            "ICAP/1.0 200 x\nEncapsulated: null-body=0, res-hdr=0\n\n",
            "ICAP/1.0 200 x\nEncapsulated: req-hdr=0, res-hdr=1, null-body=3\n\nabc",
            "ICAP/1.0 200 x\nEncapsulated: res-hdr=0, res-body=3\n\nabc",
            "ICAP/1.0 200 x\nEncapsulated: res-hdr=0, res-body=3\n\nabcz\r\n",
            "ICAP/1.0 200 x\nEncapsulated: res-hdr=0, null-body=3\nEncapsulated: res-hdr=0, null-body=2\n\nabc",
            "ICAP/1.0 200 x\nEncapsulated: \n\n",
            "",
        ] {
            assert!(heads(text).is_err(), "{text}");
        }
    }

    #[test]
    fn chunks_in_all_their_forms() {
        for text in
            ["5\r\nhello\r\n0\r\n", "5\nhello\n0\n", "5;x=y\r\nhello0\r\n", "2\r\nhe\r\n00000003\r\nllo\r\n0\r\n"]
        {
            let mut data = Vec::new();
            assert_eq!(chunks(text.as_bytes(), |part| data.extend_from_slice(part)), Chunks::Complete(text.len()));
            assert_eq!(data, b"hello", "{text}");
            for cut in 0..text.len() {
                assert_eq!(chunks(&text.as_bytes()[..cut], |_| ()), Chunks::Partial, "{}", &text[..cut]);
            }
        }
        for text in
            ["x\r\n", "\r\n", "-1\r\n", "1234567\r\n", "000000001\r\n", "ffffffff\r\n", "ffffffffffffffffffff\r\n"]
        {
            assert_eq!(chunks(text.as_bytes(), |_| ()), Chunks::Wrong, "{text}");
        }
    }

    #[test]
    fn what_follows_a_head_in_error_is_not_the_next_reply() {
        let next = "ICAP/1.0 204 No Content\n\n";
        for head in [
            "ICAP/1.0 2x4 OK\nEncapsulated: res-hdr=0, null-body=25\n\n",
            "ICAP/1.0 200 OK\nno colon\nEncapsulated: res-hdr=0, null-body=25\n\n",
            "ICAP/1.0 200 OK\nEncapsulated: res-hdr=1, null-body=25\n\n",
            "ICAP/1.0 200 OK\nEncapsulated: other=0, null-body=25\n\n",
        ] {
            assert_eq!(extent(format!("{head}{next}").as_bytes()), Extent::Complete(head.len() + next.len()), "{head}");
            assert!(heads(&format!("{head}{next}")).is_err(), "{head}");
        }
        let latin: &[u8] = b"ICAP/1.0 200 OK\nX: \xe9\nEncapsulated: res-hdr=0, null-body=3\n\nabc";
        assert_eq!(extent(latin), Extent::Complete(latin.len()));
        for value in
            ["", "res-hdr=0", "res-hdr=0, null-body=", "null-body=-1", "null-body=x", "other=3", "null-body=3,"]
        {
            let head = format!("ICAP/1.0 200 OK\nEncapsulated: {value}\n\n");
            assert_eq!(extent(format!("{head}{next}").as_bytes()), Extent::Complete(head.len()), "{value}");
            assert!(IcapMessage::parse(head.as_bytes()).is_err(), "{value}");
        }
        let twice = b"ICAP/1.0 204 OK\nEncapsulated: null-body=0\nEncapsulated: null-body=3\n\nabc";
        assert_eq!(extent(twice), Extent::Complete(twice.len() - 3));
        assert!(IcapMessage::parse(twice).is_err());
    }

    #[test]
    fn a_reply_ends_where_its_last_part_does() {
        for reply in [
            "ICAP/1.0 204 No Content\n\n",
            "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, null-body=3\r\n\r\nabc",
            "ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, res-body=3\n\nabc5\r\nhello\r\n0\r\n",
            "\r\n\nICAP/1.0 204 No Content\r\n\r\n",
        ] {
            for cut in 0..reply.len() {
                assert_eq!(extent(&reply.as_bytes()[..cut]), Extent::Partial, "{}", &reply[..cut]);
            }
            assert_eq!(extent(reply.as_bytes()), Extent::Complete(reply.len()), "{reply}");
            let next = format!("{reply}\r\nICAP/1.0 204 x\n\n");
            assert_eq!(extent(next.as_bytes()), Extent::Complete(reply.len()), "{reply}");
        }
        assert!(matches!(extent(&[b'x'; MAX_HEAD]), Extent::Hopeless(_)));
        assert!(matches!(chunks("1\nx\n".repeat(MAX_CHUNKS).as_bytes(), |_| ()), Chunks::Wrong));
        assert!(matches!(extent(&[b'\n'; MAX_HEAD]), Extent::Hopeless(_)));
        let long = format!("ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, null-body={MAX_REPLY}\n\n");
        assert!(matches!(extent(long.as_bytes()), Extent::Hopeless(_)));
    }
}
