//! A response head as a cache keeps it (RFC 9111 section 3.1): the fields that are not for one hop alone, as lines that are
//! written again as they stand. Knows which fields those are; decides neither whether nor for how long it is kept.

use std::sync::Arc;

use super::fields::{FieldKind, Span};
use super::response::Response;
use super::rewrite::{push_elements, Run};
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

/// A head that is kept, shared by all answers that are written from it, with what its owner keeps behind it in the same memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredHead {
    status: u16,
    phrase: u16,
    /// Where the lines end.
    end: u32,
    /// The reason phrase, then lines of the form `Name: value CRLF`, then the annex.
    text: Arc<[u8]>,
}

impl StoredHead {
    /// The head of a response that has just come, with these texts for its annex.
    pub fn of(response: &Response<'_>, keeping: &Keeping<'_>, annex: &[&[u8]]) -> StoredHead {
        let room: usize = annex.iter().map(|part| part.len()).sum();
        let mut text = Vec::with_capacity(response.raw().len() + 128 + room);
        // A head has 1 MiB at most, and what is longer than this is no phrase.
        let phrase = &response.reason()[..response.reason().len().min(512)];
        text.extend_from_slice(phrase);
        write_fields(&mut text, response, keeping);
        if !response.section().has(FieldKind::Date) {
            push(&mut text, &[b"Date: ", keeping.date.as_bytes(), b"\r\n"]);
        }
        StoredHead::new(response.status(), phrase.len(), text, annex)
    }

    fn new(status: u16, phrase: usize, mut text: Vec<u8>, annex: &[&[u8]]) -> StoredHead {
        // Neither is longer than a few MiB, as heads have 1 MiB at most.
        let end = text.len() as u32;
        push(&mut text, annex);
        StoredHead { status, phrase: phrase as u16, end, text: text.into() }
    }

    /// The same head with what a 304, or a response to HEAD, says of it (RFC 9111 section 3.2): each field that comes replaces
    /// those of its name, but for Content-Length, which is the body's.
    pub fn updated(&self, response: &Response<'_>, keeping: &Keeping<'_>) -> StoredHead {
        let mut text = self.phrase().to_vec();
        let spans = response.section().spans();
        let alike = |name: &[u8], span: &Span| span.name(response.raw()).eq_ignore_ascii_case(name);
        let is_new = |name: &[u8]| spans.iter().any(|span| alike(name, span) && !is_unkept(response, keeping, span));
        for (name, value) in self.fields().filter(|(name, _)| !is_new(name)) {
            push(&mut text, &[name, b": ", value, b"\r\n"]);
        }
        write_fields(&mut text, response, &Keeping { via: keeping.via.filter(|_| is_new(b"via")), ..*keeping });
        StoredHead::new(self.status, usize::from(self.phrase), text, &[self.annex()])
    }

    /// The same head with another annex.
    pub fn with_annex(&self, annex: &[&[u8]]) -> StoredHead {
        StoredHead::new(self.status, usize::from(self.phrase), self.text[..self.end as usize].to_vec(), annex)
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
        &self.text[usize::from(self.phrase)..self.end as usize]
    }

    /// What its owner keeps with it.
    pub fn annex(&self) -> &[u8] {
        &self.text[self.end as usize..]
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

/// Whether a field is for one hop, is written anew with each answer, or holds credentials of this hop (RFC 9111 section 3.1), or was
/// named as one not to keep.
#[inline]
pub(crate) fn is_unkept(response: &Response<'_>, keeping: &Keeping<'_>, span: &Span) -> bool {
    let name = || span.name(response.raw());
    let told = match span.kind {
        FieldKind::Age
        | FieldKind::Connection
        | FieldKind::ContentLength
        | FieldKind::KeepAlive
        | FieldKind::ProxyAuthenticate
        | FieldKind::ProxyAuthorization
        | FieldKind::ProxyConnection
        | FieldKind::Te
        | FieldKind::Trailer
        | FieldKind::TransferEncoding
        | FieldKind::Upgrade => true,
        FieldKind::Other => name().eq_ignore_ascii_case(b"proxy-authentication-info"),
        _ => false,
    };
    told || response.connection().nominates() && response.section().is_nominated(response.raw(), name())
        || !keeping.unkept.is_empty() && elements(keeping.unkept).any(|unkept| unkept.eq_ignore_ascii_case(name()))
}

fn write_fields(text: &mut Vec<u8>, response: &Response<'_>, keeping: &Keeping<'_>) {
    let mut run = Run::new(response.raw());
    for span in response.section().spans() {
        let joined = keeping.via.is_some() && span.kind == FieldKind::Via;
        if !joined && !is_unkept(response, keeping, span) {
            run.add(text, span);
        }
    }
    run.flush(text);
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
        StoredHead::of(&Response::parse(text.as_bytes(), Method::Get).unwrap(), keeping, &[b"a", b"nnex"])
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
        assert_eq!((kept.status(), kept.phrase(), kept.annex()), (200, &b"OK"[..], &b"annex"[..]));
        assert_eq!((kept.with_annex(&[b"x"]).lines(), kept.with_annex(&[b"x"]).annex()), (kept.lines(), &b"x"[..]));
        assert_eq!(lines(&kept), "B: 3\r\nVia: 1.1 me\r\nDate: now\r\na: 4\r\nC: 5\r\n");
    }
}
