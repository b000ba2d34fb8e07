//! The field Encapsulated (RFC 3507 section 4.4.1): which heads follow that of ICAP, and whether content does.

use std::ops::Range;

use crate::http::syntax::{decimal, elements, trim};

/// Heads and a body, at most.
const MAX_PARTS: usize = 3;

/// What is encapsulated, with places counted from the end of the ICAP head.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Encapsulated {
    /// The head of an HTTP request.
    pub request: Option<Range<usize>>,
    /// The head of an HTTP response.
    pub response: Option<Range<usize>>,
    /// Content follows, in chunks.
    pub body: bool,
    /// Bytes of the heads together: where content begins.
    pub length: usize,
}

/// What a word of the field stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PartKind {
    RequestHead,
    ResponseHead,
    Body,
    NullBody,
}

impl PartKind {
    fn of(name: &[u8]) -> Option<PartKind> {
        let all = [
            ("req-hdr", PartKind::RequestHead),
            ("res-hdr", PartKind::ResponseHead),
            ("req-body", PartKind::Body),
            ("res-body", PartKind::Body),
            ("opt-body", PartKind::Body),
            ("null-body", PartKind::NullBody),
        ];
        all.into_iter().find(|(text, _)| name.eq_ignore_ascii_case(text.as_bytes())).map(|(_, word)| word)
    }
}

impl Encapsulated {
    /// Reads the value. None where it says nothing that can be: heads in their order, each once, then one body, at places that
    /// rise from 0.
    pub fn parse(value: &[u8]) -> Option<Encapsulated> {
        let mut parts = Encapsulated::default();
        let (mut open, mut ended): (Option<(PartKind, usize)>, bool) = (None, false);
        for (count, element) in elements(value).enumerate() {
            let equals = memchr::memchr(b'=', element)?;
            let word = PartKind::of(trim(&element[..equals]))?;
            let at = usize::try_from(decimal(trim(&element[equals + 1..]))?).ok()?;
            if ended || count >= MAX_PARTS || at < parts.length || count == 0 && at != 0 {
                return None;
            }
            parts.close(open.take(), at)?;
            match word {
                PartKind::RequestHead | PartKind::ResponseHead => open = Some((word, at)),
                PartKind::Body | PartKind::NullBody => (parts.body, ended) = (word == PartKind::Body, true),
            }
            parts.length = at;
        }
        ended.then_some(parts)
    }

    /// A head has begun and ends here. One without a byte is none: some clients write `req-hdr=0, null-body=0`.
    fn close(&mut self, head: Option<(PartKind, usize)>, end: usize) -> Option<()> {
        let Some((word, start)) = head else { return Some(()) };
        let (place, fits) = match word {
            PartKind::RequestHead => (&mut self.request, self.response.is_none()),
            _ => (&mut self.response, true),
        };
        if place.is_some() || !fits {
            return None;
        }
        *place = (start < end).then_some(start..end);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(
        request: Option<Range<usize>>,
        response: Option<Range<usize>>,
        body: bool,
        length: usize,
    ) -> Option<Encapsulated> {
        Some(Encapsulated { request, response, body, length })
    }

    #[test]
    fn heads_and_a_body_in_their_order() {
        for (text, wanted) in [
            ("null-body=0", parts(None, None, false, 0)),
            ("opt-body=0", parts(None, None, true, 0)),
            ("req-hdr=0, null-body=170", parts(Some(0..170), None, false, 170)),
            ("REQ-HDR = 0 ,req-body= 147", parts(Some(0..147), None, true, 147)),
            ("req-hdr=0, res-hdr=137, res-body=296", parts(Some(0..137), Some(137..296), true, 296)),
            ("res-hdr=0, null-body=5", parts(None, Some(0..5), false, 5)),
            ("req-body=0", parts(None, None, true, 0)),
            ("req-hdr=0, null-body=0", parts(None, None, false, 0)),
        ] {
            assert_eq!(Encapsulated::parse(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn what_lies_is_refused() {
        for text in [
            "",
            "req-hdr=0",
            "null-body",
            "null-body=x",
            "null-body=-1",
            "null-body=99999999999999999999",
            "req-hdr=1, null-body=5",
            "null-body=3",
            "req-hdr=0, res-hdr=9, null-body=5",
            "res-hdr=0, req-hdr=5, null-body=9",
            "req-hdr=0, req-hdr=5, null-body=9",
            "req-hdr=0, null-body=5, null-body=5",
            "req-hdr=0, req-body=5, res-hdr=9",
            "req-hdr=0, res-hdr=1, req-body=5, null-body=5",
            "other=0, null-body=5",
            "req-hdr=0; null-body=5",
        ] {
            assert_eq!(Encapsulated::parse(text.as_bytes()), None, "{text}");
        }
    }
}
