//! A response head as a cache keeps it (RFC 9111 section 3.1): the fields that are not for one hop alone, as lines that are
//! written again as they stand. Knows which fields those are; decides neither whether nor for how long it is kept.

use std::sync::Arc;

use super::fields::FieldKind;
use super::response::Response;
use super::rewrite::{push_elements, push_unfolded};
use super::syntax::elements;
use super::write::push;

/// What is told of a head when it is kept.
#[derive(Clone, Copy, Debug)]
pub struct Keeping<'a> {
    /// Names of fields that are left out, with commas between them: `private` and `no-cache` may name some.
    pub unkept: &'a [u8],
    /// Our name for Via, if there is to be one (RFC 9110 section 7.6.3).
    pub via: Option<&'a str>,
    /// The time of receipt as a Date field value, for a response that has none (RFC 9110 section 6.6.1).
    pub date: &'a str,
}

/// A head that is kept, shared by all answers that are written from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredHead {
    status: u16,
    phrase: u16,
    /// The reason phrase, then lines of the form `Name: value CRLF`.
    text: Arc<[u8]>,
}

impl StoredHead {
    /// The head of a response that has just come.
    pub fn of(response: &Response<'_>, keeping: &Keeping<'_>) -> StoredHead {
        let mut text = Vec::with_capacity(response.raw().len() + 64);
        // A head has 1 MiB at most, and what is longer than this is no phrase.
        let phrase = &response.reason()[..response.reason().len().min(512)];
        text.extend_from_slice(phrase);
        write_fields(&mut text, response, keeping);
        if response.field(b"date").is_none() {
            push(&mut text, &[b"Date: ", keeping.date.as_bytes(), b"\r\n"]);
        }
        StoredHead { status: response.status(), phrase: phrase.len() as u16, text: text.into() }
    }

    /// The same head with what a 304, or a response to HEAD, says of it (RFC 9111 section 3.2): each field that comes replaces
    /// those of its name, but for Content-Length, which is the body's.
    pub fn updated(&self, response: &Response<'_>, keeping: &Keeping<'_>) -> StoredHead {
        let mut text = self.phrase().to_vec();
        let is_new = |name: &[u8]| !is_unkept(response, keeping, name) && response.field(name).is_some();
        for (name, value) in self.fields().filter(|(name, _)| !is_new(name)) {
            push(&mut text, &[name, b": ", value, b"\r\n"]);
        }
        write_fields(&mut text, response, &Keeping { via: keeping.via.filter(|_| is_new(b"via")), ..*keeping });
        StoredHead { text: text.into(), ..*self }
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase, perhaps empty.
    pub fn phrase(&self) -> &[u8] {
        &self.text[..usize::from(self.phrase)]
    }

    /// The lines of its fields.
    pub fn lines(&self) -> &[u8] {
        &self.text[usize::from(self.phrase)..]
    }

    /// All fields in order.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        // Each line was written with these ends, and no value holds one.
        let lines = self.lines().split(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\r"));
        lines.filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            Some((&line[..colon], line.get(colon + 2..)?))
        })
    }

    /// The values of all fields of that name, in any letter case.
    pub fn values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.fields().filter(move |(own, _)| own.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// The value of the first field of that name.
    pub fn field(&self, name: &'static str) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// Bytes of memory beside the value itself.
    pub fn size(&self) -> usize {
        // Two counters stand in front of the text.
        self.text.len() + 16
    }
}

/// The fields that are for one hop, or that are written anew with each answer, or that credentials of this hop stand in
/// (RFC 9111 section 3.1).
fn is_unkept(response: &Response<'_>, keeping: &Keeping<'_>, name: &[u8]) -> bool {
    let kind = FieldKind::of(name);
    let hop = matches!(
        kind,
        FieldKind::Connection
            | FieldKind::ContentLength
            | FieldKind::KeepAlive
            | FieldKind::ProxyAuthenticate
            | FieldKind::ProxyAuthorization
            | FieldKind::ProxyConnection
            | FieldKind::Te
            | FieldKind::Trailer
            | FieldKind::TransferEncoding
            | FieldKind::Upgrade
    );
    let told = [&b"age"[..], b"proxy-authentication-info"].iter().any(|own| name.eq_ignore_ascii_case(own));
    let nominated = || {
        response.connection().nominates() && response.section().is_nominated(response.raw(), name)
            || elements(keeping.unkept).any(|unkept| unkept.eq_ignore_ascii_case(name))
    };
    hop || told || nominated()
}

fn write_fields(text: &mut Vec<u8>, response: &Response<'_>, keeping: &Keeping<'_>) {
    for (name, value) in response.fields() {
        let joined = keeping.via.is_some() && FieldKind::of(name) == FieldKind::Via;
        if !joined && !is_unkept(response, keeping, name) {
            push(text, &[name, b": "]);
            push_unfolded(text, value);
            text.extend_from_slice(b"\r\n");
        }
    }
    if let Some(own) = keeping.via {
        text.extend_from_slice(b"Via: ");
        push_elements(text, response.section().values(response.raw(), FieldKind::Via));
        push(text, &[response.version().number().as_bytes(), b" ", own.as_bytes(), b"\r\n"]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Method;
    use super::*;

    const KEEPING: Keeping<'static> = Keeping { unkept: b"", via: Some("me"), date: "NOW" };

    fn stored(text: &str, keeping: &Keeping<'_>) -> StoredHead {
        StoredHead::of(&Response::parse(text.as_bytes(), Method::Get).unwrap(), keeping)
    }

    fn lines(head: &StoredHead) -> &str {
        std::str::from_utf8(head.lines()).unwrap()
    }

    #[test]
    fn fields_of_one_hop_and_those_that_are_named_are_left_out() {
        let head = "HTTP/1.0 404 Not here\r\nConnection: a, b\r\nA: 1\r\nb: 2\r\nC:3\r\nKeep-Alive: x\r\nTE: x\r\n\
                    Proxy-Authenticate: x\r\nProxy-Authentication-Info: x\r\nProxy-Connection: x\r\nUpgrade: x\r\n\
                    Proxy-Authorization: x\r\nContent-Length: 3\r\nAge: 7\r\nTrailer: x\r\nD: \r\nVia: 1.1 o\r\n\r\n";
        let kept = stored(head, &KEEPING);
        assert_eq!((kept.status(), kept.phrase()), (404, &b"Not here"[..]));
        assert_eq!(lines(&kept), "C: 3\r\nD: \r\nVia: 1.1 o, 1.0 me\r\nDate: NOW\r\n");
        let head = "HTTP/1.1 200 OK\r\nDate: then\r\nSet-Cookie: a\r\nX: 1,\r\n 2\r\n\r\n";
        let kept = stored(head, &Keeping { unkept: b"y, set-cookie,", via: None, ..KEEPING });
        assert_eq!(lines(&kept), "Date: then\r\nX: 1, 2\r\n");
        assert_eq!(kept.fields().collect::<Vec<_>>(), [(&b"Date"[..], &b"then"[..]), (b"X", b"1, 2")]);
        assert_eq!((kept.field("x"), kept.field("d")), (Some(&b"1, 2"[..]), None));
    }

    #[test]
    fn an_update_replaces_what_it_names_and_keeps_the_rest() {
        let head = "HTTP/1.1 200 OK\r\nDate: then\r\nA: 1\r\nA: 2\r\nB: 3\r\nContent-Length: 36\r\n\r\n";
        let update = "HTTP/1.1 304 Not Modified\r\nDate: now\r\na: 4\r\nC: 5\r\nContent-Length: 10\r\n\
                      Connection: b\r\nB: 6\r\n\r\n";
        let response = Response::parse(update.as_bytes(), Method::Get).unwrap();
        let kept = stored(head, &KEEPING).updated(&response, &KEEPING);
        assert_eq!((kept.status(), kept.phrase()), (200, &b"OK"[..]));
        assert_eq!(lines(&kept), "B: 3\r\nVia: 1.1 me\r\nDate: now\r\na: 4\r\nC: 5\r\n");
    }
}
