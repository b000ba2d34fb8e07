//! Which stored response a request selects by its fields (RFC 9111 section 4.1): what Vary names, normalised, so that
//! requests that mean the same share one response. Knows no storage.

use crate::http::request::Request;
use crate::http::syntax::{elements, is_token, trim};

/// Most fields that a Vary may name; a response with more is not kept, since each costs a look at all fields of a request.
const MOST_NAMES: usize = 32;

/// The fields of a request that its response depends on: for each `name`, a mark, the values, a line end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selecting(Vec<u8>);

/// Marks a field that the request has, and one that it has not: these differ from one another (section 4.1).
const PRESENT: u8 = b'=';
const ABSENT: u8 = b'-';

impl Selecting {
    /// What a response with these Vary fields depends on, of the request that it answers. None where that is never the same:
    /// `*`, too many names, or one that no field has.
    pub fn of<'a>(vary: impl Iterator<Item = &'a [u8]>, request: &Request) -> Option<Selecting> {
        let mut vary = vary.peekable();
        if vary.peek().is_none() {
            return Some(Selecting::default());
        }
        let mut names: Vec<Vec<u8>> = vary.flat_map(elements).map(<[u8]>::to_ascii_lowercase).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() > MOST_NAMES || names.iter().any(|name| name == b"*" || !is_token(name)) {
            return None;
        }
        let mut text = Vec::new();
        for name in names {
            text.extend_from_slice(&name);
            push_value(&mut text, &name, request);
        }
        Some(Selecting(text))
    }

    /// What is kept of it, for [`selects`].
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Whether a request selects the response that was kept with these [`Selecting::bytes`].
pub fn selects(kept: &[u8], request: &Request) -> bool {
    let mut value = Vec::new();
    let mut rest = kept;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..=end];
        // Names are tokens, which hold neither mark nor line end; PRESENT and ABSENT are told by what comes first.
        let Some(at) = line.iter().position(|byte| matches!(*byte, PRESENT | 0)) else { return false };
        value.clear();
        push_value(&mut value, &line[..at], request);
        if value != line[at..] {
            return false;
        }
        rest = &rest[end + 1..];
    }
    true
}

/// Appends what a request says in fields of that name.
fn push_value(out: &mut Vec<u8>, name: &[u8], request: &Request) {
    let values = || request.fields().filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    if values().next().is_none() {
        out.extend_from_slice(&[0, ABSENT, b'\n']);
        return;
    }
    out.push(PRESENT);
    if values().any(|value| value.contains(&b'"')) {
        // Commas and blanks in quoted texts are no others.
        for value in values() {
            out.extend_from_slice(trim(value));
            out.push(b',');
        }
    } else {
        let mut members: Vec<&[u8]> = values().flat_map(elements).collect();
        let unordered = is_unordered(name);
        if unordered {
            members.sort_unstable_by_key(|member| member.to_ascii_lowercase());
        }
        for member in members {
            let from = out.len();
            out.extend_from_slice(member);
            if unordered {
                out[from..].make_ascii_lowercase();
            }
            out.push(b',');
        }
    }
    out.push(b'\n');
}

/// Fields whose members say by `q` what comes first, and whose case means nothing (RFC 9110 sections 12.5.2 to 12.5.4).
fn is_unordered(name: &[u8]) -> bool {
    [&b"accept-language"[..], b"accept-encoding", b"accept-charset"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::rules::Rules;

    fn request(lines: &[&str]) -> Request {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        *Request::parse(format!("GET http://a.b/ HTTP/1.1\r\n{lines}\r\n").as_bytes(), &Rules::default()).unwrap()
    }

    fn selects(vary: &str, stored: &[&str], presented: &[&str]) -> bool {
        let vary = [vary.as_bytes()];
        Selecting::of(vary.into_iter(), &request(stored))
            .is_some_and(|kept| super::selects(kept.bytes(), &request(presented)))
    }

    #[test]
    fn what_vary_names_has_to_be_the_same() {
        let table: &[(&str, &[&str], &[&str], bool)] = &[
            ("Foo", &["Foo: 1"], &["Foo: 1"], true),
            ("Foo", &["Foo: 1"], &["foo:  1 "], true),
            ("foo", &["Foo: 1"], &["Foo: 2"], false),
            ("Foo", &[], &["Foo: 1"], false),
            ("Foo", &["Foo: 1"], &[], false),
            ("Foo", &["Foo:"], &[], false),
            ("Foo", &[], &[], true),
            ("Foo", &["Foo: 1", "Other: 2"], &["Foo: 1", "Other: 3"], true),
            ("Foo, Bar", &["Foo: 1", "Bar: abc"], &["Bar: abc", "Foo: 1"], true),
            ("Foo, Bar", &["Foo: 1", "Bar: abc"], &["Foo: 1"], false),
            ("Foo, Bar, Baz", &["Foo: 1", "Baz: 789"], &["Foo: 1", "Baz: 789"], true),
            ("Foo, Bar, Baz", &["Foo: 1", "Bar: abc"], &["Foo: 1", "Bar: abcde"], false),
            ("Foo", &["Foo: 1, 2"], &["Foo: 1", "Foo: 2"], true),
            ("Foo", &["Foo: 1,2"], &["Foo:  1, 2 "], true),
            ("Foo", &["Foo: 1, 2"], &["Foo: 2, 1"], false),
            ("Foo", &["Foo: \"1, 2\""], &["Foo: \"1,2\""], false),
            ("Foo", &["Foo: a"], &["Foo: A"], false),
            ("Accept-Language", &["Accept-Language: en, de"], &["Accept-Language: De,eN"], true),
            ("Accept-Language", &["Accept-Language: en, de;q=0.5"], &["Accept-Language: en;q=0.5, de"], false),
            ("Accept-Encoding", &["Accept-Encoding: gzip, br"], &["Accept-Encoding: br, gzip"], true),
            ("Accept-Encoding", &["Accept-Encoding: gzip"], &["Accept-Encoding: br"], false),
            ("*", &[], &[], false),
            ("Foo, *", &[], &[], false),
            ("Foo, b=r", &["Foo: 1"], &["Foo: 1"], false),
            (", *", &[], &[], false),
            ("", &["Foo: 1"], &["Foo: 2"], true),
        ];
        for (vary, stored, presented, want) in table {
            assert_eq!(selects(vary, stored, presented), *want, "{vary}: {stored:?} {presented:?}");
        }
    }

    /// No name and no value can be read as another's.
    #[test]
    fn names_and_values_cannot_be_shifted() {
        assert!(!selects("a, b", &["a: 1", "b: 2"], &["a: 12"]));
        assert!(!selects("a", &["a: b=1"], &["a: b", "b: 1"]));
        assert!(!selects("a", &["a: -"], &[]));
        let many: String = (0..40).map(|number| format!("x{number},")).collect();
        assert!(!selects(&many, &[], &[]));
    }
}
