//! Validation (RFC 9111 section 4.3): what is asked of an origin about stored responses, which of them its 304 is about, and
//! what a client's own conditions mean for a stored response. Knows no storage.

use super::dates;
use super::fresh::Freshness;
use crate::http::fields::FieldKind;
use crate::http::request::Request;
use crate::http::stored::StoredHead;
use crate::http::syntax::trim;

/// Fields of a request that make it depend on what its client holds (RFC 9110 section 13.1), and that ask for parts.
const CONDITIONS: [FieldKind; 6] = [
    FieldKind::IfNoneMatch,
    FieldKind::IfModifiedSince,
    FieldKind::IfMatch,
    FieldKind::IfUnmodifiedSince,
    FieldKind::IfRange,
    FieldKind::Range,
];

/// Most entity tags that one validation names: more variants than that are validated by those used last.
const MOST_TAGS: usize = 16;

/// Whether the client's own words forbid that a cache answers for the origin: section 4.3.2 forwards If-Match and
/// If-Unmodified-Since.
pub fn is_for_origin(request: &Request) -> bool {
    request.section().has(FieldKind::IfMatch) || request.section().has(FieldKind::IfUnmodifiedSince)
}

/// Whether a request asks for less than a whole response.
pub fn is_conditional(request: &Request) -> bool {
    CONDITIONS.iter().any(|kind| request.section().has(*kind))
}

/// The head of the request that asks whether stored responses still hold, in place of `request` (section 4.3.1): with the
/// entity tags of all of them, since any may be what the origin would send, and the date of the one that is selected.
///
/// None where there is nothing to ask by.
pub fn conditional(request: &Request, selected: Option<&StoredHead>, all: &[&StoredHead]) -> Option<Vec<u8>> {
    let mut tags: Vec<&[u8]> = Vec::new();
    for head in selected.into_iter().chain(all.iter().copied()) {
        let tag = head.field("etag").map(trim).filter(|tag| !tag.is_empty());
        tags.extend(tag.filter(|tag| !tags.contains(tag) && tags.len() < MOST_TAGS));
    }
    let changed = selected.and_then(|head| head.field("last-modified"));
    if tags.is_empty() && changed.is_none() {
        return None;
    }
    let mut head = unconditional(request);
    if !tags.is_empty() {
        head.extend_from_slice(b"If-None-Match: ");
        head.extend_from_slice(&tags.join(&b", "[..]));
        head.extend_from_slice(b"\r\n");
    }
    if let Some(changed) = changed {
        for part in [&b"If-Modified-Since: "[..], changed, b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    Some(head)
}

/// The same request for the whole of a response, also where the client holds one.
pub fn whole(request: &Request) -> Vec<u8> {
    let mut head = unconditional(request);
    head.extend_from_slice(b"\r\n");
    head
}

/// The head without its conditions and without the line that ends it.
fn unconditional(request: &Request) -> Vec<u8> {
    let raw = request.raw();
    let line_end = raw.iter().position(|byte| *byte == b'\n').map_or(raw.len(), |end| end + 1);
    let mut head = Vec::with_capacity(raw.len() + 128);
    head.extend_from_slice(&raw[..line_end]);
    for span in request.section().spans() {
        if !CONDITIONS.contains(&span.kind) {
            for part in [span.name(raw), b": ", span.value(raw), b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
    }
    head
}

/// An entity tag (RFC 9110 section 8.8.3): whether it is weak, and what is compared. What is not quoted is taken as it is.
fn tag(text: &[u8]) -> (bool, &[u8]) {
    let text = trim(text);
    match text.strip_prefix(b"W/") {
        Some(opaque) if opaque.starts_with(b"\"") => (true, opaque),
        _ => (false, text),
    }
}

/// Whether two tags are the same by the weak comparison (RFC 9110 section 8.8.3.2).
fn weakly_equal(one: &[u8], other: &[u8]) -> bool {
    tag(one).1 == tag(other).1
}

/// Whether two tags are the same by the strong comparison.
pub fn strongly_equal(one: &[u8], other: &[u8]) -> bool {
    let ((weak, one), (other_weak, other)) = (tag(one), tag(other));
    !weak && !other_weak && one == other
}

/// The tags of a list: a quoted one may hold commas.
fn tags(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let parts = value.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    });
    parts.map(trim).filter(|part| !part.is_empty())
}

/// What a client holds, as its request says: kept while a validation of our own is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    none_match: Option<Box<[u8]>>,
    modified_since: Option<Box<[u8]>>,
    /// The part that it wants.
    pub range: Option<Box<[u8]>>,
    if_range: Option<Box<[u8]>>,
}

impl Conditions {
    /// Those of a request.
    pub fn of(request: &Request) -> Conditions {
        if !is_conditional(request) {
            return Conditions::default();
        }
        let joined = |kind: FieldKind| {
            let fields = request.section();
            let values = || fields.values(request.raw(), kind).collect::<Vec<_>>();
            fields.has(kind).then(|| values().join(&b", "[..]).into_boxed_slice())
        };
        Conditions {
            none_match: joined(FieldKind::IfNoneMatch),
            modified_since: joined(FieldKind::IfModifiedSince),
            range: joined(FieldKind::Range),
            if_range: joined(FieldKind::IfRange),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Conditions::default()
    }

    /// Whether the client holds what is stored, so that a 304 says all (section 4.3.2). If-None-Match goes before
    /// If-Modified-Since (RFC 9110 section 13.2.2), which is for a 200 alone.
    pub fn hold(&self, head: &StoredHead, kept: &Freshness, now: u64) -> bool {
        if !(200..300).contains(&head.status()) {
            return false;
        }
        if let Some(list) = &self.none_match {
            let own = head.field("etag");
            return tags(list).any(|one| one == b"*" || own.is_some_and(|own| weakly_equal(one, own)));
        }
        let Some(since) = self.modified_since.as_deref().and_then(|text| dates::parse(text, now)) else { return false };
        // Section 4.3.2: without a Last-Modified its Date, or when it came, says from when on it is known.
        let changed = ["last-modified", "date"].into_iter().find_map(|name| dates::parse(head.field(name)?, now));
        changed.unwrap_or(kept.received / 1000) <= since
    }

    /// Whether the part that the client wants is one of what is stored (RFC 9110 section 13.1.5): it has to be the same to
    /// the byte.
    pub fn allow_range(&self, head: &StoredHead) -> bool {
        let Some(condition) = self.if_range.as_deref() else { return true };
        let same_tag = head.field("etag").is_some_and(|own| strongly_equal(own, condition));
        // A date is strong only if the origin was sure at that time (RFC 9110 section 8.8.2.2).
        let (changed, date) = (head.field("last-modified"), head.field("date"));
        let sure = || match (dates::parse(changed?, u64::MAX / 2), dates::parse(date?, u64::MAX / 2)) {
            (Some(changed), Some(date)) => Some(changed + 60 <= date),
            _ => None,
        };
        same_tag || changed == Some(trim(condition)) && sure() == Some(true)
    }
}

/// Which of the stored responses a 304 to our own validation is about (section 4.3.4); `selected` is the place of the one that
/// the request had selected.
///
/// None where it is about none of them, so that nothing may be updated by it.
pub fn validated(tag_of_304: Option<&[u8]>, heads: &[&StoredHead], selected: Option<usize>) -> Option<usize> {
    let Some(told) = tag_of_304 else {
        // Without a validator it is about the one that we have of this client's kind, or the only one.
        return selected.or((heads.len() == 1).then_some(0));
    };
    let same = |place: &usize| {
        let own = heads[*place].field("etag");
        // A weak tag names no more than a version that means the same.
        own.is_some_and(|own| if tag(told).0 { weakly_equal(own, told) } else { strongly_equal(own, told) })
    };
    let untagged = |place: &usize| heads[*place].field("etag").is_none();
    selected.filter(same).or_else(|| (0..heads.len()).find(same)).or_else(|| selected.filter(untagged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::date::stamp;
    use crate::http::response::Response;
    use crate::http::rules::Rules;
    use crate::http::stored::Keeping;
    use crate::http::Method;

    const NOW: u64 = 1_800_000_000;
    const KEPT: Freshness = Freshness {
        received: NOW * 1000,
        initial_age: 0,
        lifetime: 60,
        while_revalidate: 0,
        if_error: None,
        no_cache: false,
        no_stale: false,
    };

    fn request(lines: &str) -> Request {
        let text = format!("GET http://a.b/x HTTP/1.1\r\nHost: a.b\r\n{lines}\r\n");
        *Request::parse(text.as_bytes(), &Rules::default()).unwrap()
    }

    fn head(lines: &str) -> StoredHead {
        let text = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
        let response = Response::parse(text.as_bytes(), Method::Get).unwrap();
        StoredHead::of(&response, &Keeping { unkept: b"", via: None, date: &stamp(NOW) }, &[])
    }

    #[test]
    fn a_validation_names_all_that_is_stored_and_nothing_of_the_clients() {
        let client =
            request("A: 1\r\nIf-None-Match: \"c\"\r\nIf-Modified-Since: x\r\nRange: bytes=0-1\r\nIf-Range: x\r\n");
        let (one, two) =
            (head("ETag: \"1\"\r\nLast-Modified: then\r\n"), head("ETag: W/\"2\"\r\nLast-Modified: now\r\n"));
        let asked = conditional(&client, Some(&one), &[&one, &two]).unwrap();
        let want = "GET http://a.b/x HTTP/1.1\r\nHost: a.b\r\nA: 1\r\nIf-None-Match: \"1\", W/\"2\"\r\n\
                    If-Modified-Since: then\r\n\r\n";
        assert_eq!(String::from_utf8(asked).unwrap(), want);
        let asked = conditional(&client, None, &[&two]).unwrap();
        assert!(String::from_utf8(asked).unwrap().ends_with("A: 1\r\nIf-None-Match: W/\"2\"\r\n\r\n"));
        assert_eq!(conditional(&client, Some(&head("A: 1\r\n")), &[]), None);
        assert_eq!(whole(&client), b"GET http://a.b/x HTTP/1.1\r\nHost: a.b\r\nA: 1\r\n\r\n");
        assert!(is_conditional(&client) && !is_conditional(&request("")) && !is_for_origin(&client));
        assert!(is_for_origin(&request("If-Match: *\r\n")) && is_for_origin(&request("If-Unmodified-Since: x\r\n")));
    }

    #[test]
    fn what_a_client_holds_is_told_by_tags_and_dates() {
        let at = |delta: i64| stamp(NOW.saturating_add_signed(delta));
        let tagged = "ETag: \"abcdef\"\r\n";
        let dated = format!("Last-Modified: {}\r\nDate: {}\r\n", at(-3000), at(0));
        let table = [
            (tagged.to_string(), "If-None-Match: \"abcdef\"".to_string(), true),
            (tagged.into(), "If-None-Match: \"1234\", \"abcdef\", \"5678\"".into(), true),
            (tagged.into(), "If-None-Match: \"1234\"\r\nIf-None-Match: \"abcdef\"".into(), true),
            (tagged.into(), "If-None-Match: W/\"abcdef\"".into(), true),
            (tagged.into(), "If-None-Match: *".into(), true),
            (tagged.into(), "If-None-Match: \"abc, abcdef\"".into(), false),
            (tagged.into(), "If-None-Match: abcdef".into(), false),
            ("ETag: W/\"abcdef\"\r\n".into(), "If-None-Match: W/\"abcdef\"".into(), true),
            (
                format!("{tagged}{dated}"),
                format!("If-None-Match: \"abcdef\"\r\nIf-Modified-Since: {}", at(-9000)),
                true,
            ),
            (format!("{tagged}{dated}"), format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {}", at(0)), false),
            (dated.clone(), format!("If-Modified-Since: {}", at(-3000)), true),
            (dated.clone(), format!("If-Modified-Since: {}", at(-2000)), true),
            (dated.clone(), format!("If-Modified-Since: {}", at(-3001)), false),
            (dated.clone(), "If-Modified-Since: yesterday".into(), false),
            (String::new(), format!("If-Modified-Since: {}", at(0)), true),
            (String::new(), format!("If-Modified-Since: {}", at(-1)), false),
        ];
        for (stored, lines, want) in table {
            let conditions = Conditions::of(&request(&format!("{lines}\r\n")));
            assert_eq!(conditions.hold(&head(&stored), &KEPT, NOW), want, "{stored} {lines}");
        }
        assert!(Conditions::of(&request("")).is_empty());
    }

    #[test]
    fn a_part_is_of_the_same_whole() {
        let stored = |lines: &str| head(&format!("{lines}Date: {}\r\n", stamp(NOW)));
        let allows = |stored: &StoredHead, condition: &str| {
            Conditions::of(&request(&format!("Range: bytes=0-1\r\nIf-Range: {condition}\r\n"))).allow_range(stored)
        };
        let (tagged, weak) = (stored("ETag: \"a\"\r\n"), stored("ETag: W/\"a\"\r\n"));
        assert!(allows(&tagged, "\"a\"") && !allows(&tagged, "\"b\"") && !allows(&weak, "W/\"a\""));
        let (long_ago, just_now) = (stamp(NOW - 60), stamp(NOW - 59));
        assert!(allows(&stored(&format!("Last-Modified: {long_ago}\r\n")), &long_ago));
        assert!(!allows(&stored(&format!("Last-Modified: {just_now}\r\n")), &just_now));
        assert!(!allows(&stored(&format!("Last-Modified: {long_ago}\r\n")), &just_now));
        assert!(Conditions::of(&request("Range: bytes=0-1\r\n")).allow_range(&tagged));
    }

    #[test]
    fn a_304_is_about_what_it_names() {
        let (one, two, none) = (head("ETag: \"1\"\r\n"), head("ETag: W/\"2\"\r\n"), head("A: 1\r\n"));
        let all = [&one, &two, &none];
        assert_eq!(validated(Some(b"\"1\""), &all, Some(0)), Some(0));
        assert_eq!(validated(Some(b"\"1\""), &all, Some(2)), Some(0));
        assert_eq!(validated(Some(b"W/\"2\""), &all, None), Some(1));
        assert_eq!(validated(Some(b"\"2\""), &all, Some(1)), None, "a strong tag is of no weak one");
        assert_eq!(validated(Some(b"\"3\""), &all, Some(0)), None);
        assert_eq!(validated(Some(b"\"3\""), &all, Some(2)), Some(2));
        assert_eq!((validated(None, &all, Some(1)), validated(None, &all, None)), (Some(1), None));
        assert_eq!((validated(None, &[&one], None), validated(None, &[], None)), (Some(0), None));
    }
}
