//! What caches ask of a response's head (RFC 9111 sections 3 and 4.2), taken from one that has just come, without a copy of it, or
//! from one that is kept. Knows where the fields stand and decides nothing.

use super::control::Directives;
use crate::http::fields::FieldKind;
use crate::http::response::Response;
use crate::http::stored::{is_unkept, Keeping, StoredHead};

/// The fields of a head that say how long it lasts and for whom it is; those that would not be kept are not there.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadFacts<'h> {
    /// The status.
    pub status: u16,
    /// The first Date.
    pub date: Option<&'h [u8]>,
    /// The first Expires.
    pub expires: Option<&'h [u8]>,
    /// There are others, which say something else.
    pub expires_differ: bool,
    /// The first Last-Modified.
    pub last_modified: Option<&'h [u8]>,
    /// There is an ETag.
    pub tagged: bool,
    /// There is a Set-Cookie.
    pub cookie: bool,
}

impl<'h> HeadFacts<'h> {
    /// Those of a response with these directives.
    pub fn of(response: &Response<'h>, directives: &Directives) -> HeadFacts<'h> {
        let keeping = Keeping { unkept: &directives.unkept, via: None, date: "" };
        let mut facts = HeadFacts { status: response.status(), ..HeadFacts::default() };
        for span in response.section().spans() {
            let asked = matches!(
                span.kind,
                FieldKind::Date | FieldKind::ETag | FieldKind::Expires | FieldKind::LastModified | FieldKind::SetCookie
            );
            if asked && !is_unkept(response, &keeping, span) {
                facts.note(span.kind, span.value(response.raw()));
            }
        }
        facts
    }

    /// Those of a head that is kept.
    pub fn of_stored(head: &'h StoredHead) -> HeadFacts<'h> {
        let mut facts = HeadFacts { status: head.status(), ..HeadFacts::default() };
        head.fields().for_each(|(name, value)| facts.note(FieldKind::of(name), value));
        facts
    }

    fn note(&mut self, kind: FieldKind, value: &'h [u8]) {
        match kind {
            FieldKind::Date => self.date = self.date.or(Some(value)),
            FieldKind::ETag => self.tagged = true,
            FieldKind::Expires => {
                self.expires_differ |= self.expires.is_some_and(|first| first != value);
                self.expires = self.expires.or(Some(value));
            }
            FieldKind::LastModified => self.last_modified = self.last_modified.or(Some(value)),
            FieldKind::SetCookie => self.cookie = true,
            _ => {}
        }
    }
}
