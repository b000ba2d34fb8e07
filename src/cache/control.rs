//! Cache-Control as a value (RFC 9111 section 5.2): the directives of a request or of a response that a shared cache obeys.
//! Knows no message and no time.
//!
//! What limits a cache is read leniently, what allows it to reuse something strictly: a lifetime that is no plain number is
//! none at all, so that the response counts as stale (section 4.2.1).

use crate::http::syntax::{decimal, elements, trim};

/// The greatest number of seconds that is told apart: a larger one is taken for this one (section 1.2.2).
pub const MOST_SECONDS: u32 = 1 << 31;

/// The directives of all Cache-Control fields of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `max-age`, in seconds; 0 where it is malformed.
    pub max_age: Option<u32>,
    /// `s-maxage`, likewise.
    pub shared_max_age: Option<u32>,
    /// `max-stale`, in seconds; [`MOST_SECONDS`] where it has no argument. Requests only.
    pub max_stale: Option<u32>,
    /// `min-fresh`, in seconds. Requests only.
    pub min_fresh: Option<u32>,
    /// `stale-while-revalidate`, in seconds (RFC 5861 section 3).
    pub while_revalidate: Option<u32>,
    /// `stale-if-error`, in seconds (RFC 5861 section 4).
    pub if_error: Option<u32>,
    /// `no-cache` for the whole message.
    pub no_cache: bool,
    /// `no-store`.
    pub no_store: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
    /// `private` for the whole message.
    pub private: bool,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// Names of fields that `private` and `no-cache` give, with commas between them: these are not kept.
    pub unkept: Vec<u8>,
}

impl Directives {
    /// Reads all fields of a message, in their order. Of a directive that comes more than once the first counts
    /// (section 4.2.1).
    pub fn of<'a>(values: impl Iterator<Item = &'a [u8]>) -> Directives {
        let mut found = Directives::default();
        for value in values {
            for element in split(value) {
                found.take(element);
            }
        }
        found
    }

    /// Whether any directive says how long the message is fresh.
    pub fn has_lifetime(&self) -> bool {
        self.max_age.is_some() || self.shared_max_age.is_some()
    }

    fn take(&mut self, element: &[u8]) {
        let at = element.iter().position(|byte| *byte == b'=');
        let (name, argument) = match at {
            Some(at) => (&element[..at], Some(&element[at + 1..])),
            None => (element, None),
        };
        let seconds = || argument.map_or(0, |argument| seconds(name, argument));
        let known = |text: &str| trim(name).eq_ignore_ascii_case(text.as_bytes());
        let field = match () {
            () if known("max-age") => &mut self.max_age,
            () if known("s-maxage") => &mut self.shared_max_age,
            () if known("min-fresh") => &mut self.min_fresh,
            () if known("stale-while-revalidate") => &mut self.while_revalidate,
            () if known("stale-if-error") => &mut self.if_error,
            () if known("max-stale") => {
                let most = argument.map_or(MOST_SECONDS, |_| seconds());
                self.max_stale.get_or_insert(most);
                return;
            }
            () => return self.take_word(name, argument),
        };
        field.get_or_insert(seconds());
    }

    fn take_word(&mut self, name: &[u8], argument: Option<&[u8]>) {
        let known = |text: &str| trim(name).eq_ignore_ascii_case(text.as_bytes());
        let names = argument.map(unquoted).filter(|names| elements(names).next().is_some());
        let flag = match (names, ()) {
            // With names of fields the directive is about these alone (sections 5.2.2.4 and 5.2.2.7).
            (Some(names), ()) if known("no-cache") || known("private") => {
                self.unkept.extend_from_slice(names);
                return self.unkept.push(b',');
            }
            (_, ()) if known("no-cache") => &mut self.no_cache,
            (_, ()) if known("private") => &mut self.private,
            (_, ()) if known("no-store") => &mut self.no_store,
            (_, ()) if known("only-if-cached") => &mut self.only_if_cached,
            (_, ()) if known("public") => &mut self.public,
            (_, ()) if known("must-revalidate") => &mut self.must_revalidate,
            (_, ()) if known("proxy-revalidate") => &mut self.proxy_revalidate,
            (_, ()) if known("must-understand") => &mut self.must_understand,
            // Section 5.2.3: what is not known is passed over.
            _ => return,
        };
        *flag = true;
    }
}

/// The elements of a list in which a quoted text may hold commas; one that does not end goes to the end of the value.
fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let is_comma = move |byte: &u8| {
        let ends = *byte == b',' && !quoted;
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        ends
    };
    value.split(is_comma).map(trim).filter(|element| !element.is_empty())
}

fn unquoted(argument: &[u8]) -> &[u8] {
    let argument = trim(argument);
    argument.strip_prefix(b"\"").map_or(argument, |rest| rest.strip_suffix(b"\"").unwrap_or(rest))
}

/// Section 1.2.2: a number in digits, quoted or not (section 5.2). Anything else, with blanks beside the sign too, is 0.
fn seconds(name: &[u8], argument: &[u8]) -> u32 {
    let bare = trim(name).len() == name.len() && trim(argument).len() == argument.len();
    let digits = unquoted(argument);
    let all_digits = bare && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if !all_digits {
        return 0;
    }
    decimal(digits).and_then(|value| u32::try_from(value).ok()).unwrap_or(MOST_SECONDS).min(MOST_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Directives {
        Directives::of(values.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn numbers_are_plain_or_none() {
        let table = [
            ("max-age=3600", Some(3600)),
            ("MaX-aGe=3600", Some(3600)),
            ("max-age=003600", Some(3600)),
            ("max-age=\"3600\"", Some(3600)),
            ("foobar, max-age=3600", Some(3600)),
            ("max-age=2147483647", Some(2_147_483_647)),
            ("max-age=2147483648", Some(MOST_SECONDS)),
            ("max-age=99999999999999999999999", Some(MOST_SECONDS)),
            ("max-age=-3600", Some(0)),
            ("max-age='3600'", Some(0)),
            ("max-age=3600.0", Some(0)),
            ("max-age=a3600", Some(0)),
            ("max-age=3600a", Some(0)),
            ("max-age= 3600", Some(0)),
            ("max-age =3600", Some(0)),
            ("max-age=", Some(0)),
            ("max-age", Some(0)),
            ("max-age=1800, max-age=1", Some(1800)),
            ("extension=\"max-age=3600\", max-age=1", Some(1)),
            ("max-age=1, extension=\"max-age=3600\"", Some(1)),
            ("extension=\"a\\\", max-age=3600\", max-age=1", Some(1)),
            ("extension=\"max-age=3600", None),
            ("s-maxage=3600", None),
        ];
        for (value, want) in table {
            assert_eq!(of(&[value]).max_age, want, "{value}");
        }
        assert_eq!(of(&["max-age=1", "max-age=1800, s-maxage=7"]).max_age, Some(1));
        assert_eq!(of(&["max-age=1", "max-age=1800, s-maxage=7"]).shared_max_age, Some(7));
    }

    #[test]
    fn what_limits_is_read_leniently() {
        assert!(of(&["No-StOrE"]).no_store && of(&[" no-store =x"]).no_store && of(&["a,,no-store,"]).no_store);
        assert!(of(&["no-cache"]).no_cache && of(&["no-cache="]).no_cache && of(&["no-cache=\" \""]).no_cache);
        assert!(of(&["private, max-age=5"]).private && !of(&["x=\"private\""]).private);
        let all = of(&["public,must-revalidate,proxy-revalidate,must-understand,only-if-cached"]);
        assert!(all.public && all.must_revalidate && all.proxy_revalidate && all.must_understand);
        assert!(all.only_if_cached && !all.has_lifetime());
    }

    #[test]
    fn directives_with_names_are_about_these_fields() {
        let found = of(&["no-cache=\"a, b\", private=Set-Cookie", "max-age=3600"]);
        assert!(!found.no_cache && !found.private);
        assert_eq!(elements(&found.unkept).collect::<Vec<_>>(), [&b"a"[..], b"b", b"Set-Cookie"]);
    }

    #[test]
    fn requests_say_how_stale_and_how_fresh() {
        let found = of(&["max-stale, min-fresh=20, stale-if-error=7, stale-while-revalidate=x"]);
        assert_eq!((found.max_stale, found.min_fresh), (Some(MOST_SECONDS), Some(20)));
        assert_eq!((found.if_error, found.while_revalidate), (Some(7), Some(0)));
        assert_eq!(of(&["max-stale=60"]).max_stale, Some(60));
    }
}
