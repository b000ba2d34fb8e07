//! Cache-Control as a value (RFC 9111 section 5.2): the directives of a request or of a response that a shared cache obeys.
//! Knows no message and no time.
//!
//! What limits a cache is read leniently, what allows it to reuse something strictly: a lifetime that is no plain number is
//! none at all, so that the response counts as stale (section 4.2.1).

use memchr::memchr;

use crate::http::syntax::{decimal, elements, is_word, trim};

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
            match memchr(b'"', value) {
                None => elements(value).for_each(|element| found.take(element)),
                Some(_) => split(value).for_each(|element| found.take(element)),
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
        let word = trim(name);
        // Section 5.2.3: what is not known is passed over.
        let Some(directive) = Directive::of(word) else { return };
        let seconds = || argument.filter(|_| word.len() == name.len()).map_or(0, seconds);
        match directive {
            Directive::MaxAge => first(&mut self.max_age, seconds),
            Directive::SharedMaxAge => first(&mut self.shared_max_age, seconds),
            Directive::MinFresh => first(&mut self.min_fresh, seconds),
            Directive::WhileRevalidate => first(&mut self.while_revalidate, seconds),
            Directive::IfError => first(&mut self.if_error, seconds),
            Directive::MaxStale => first(&mut self.max_stale, || argument.map_or(MOST_SECONDS, |_| seconds())),
            Directive::NoCache | Directive::Private => self.take_divided(directive, argument),
            Directive::NoStore => self.no_store = true,
            Directive::OnlyIfCached => self.only_if_cached = true,
            Directive::Public => self.public = true,
            Directive::MustRevalidate => self.must_revalidate = true,
            Directive::ProxyRevalidate => self.proxy_revalidate = true,
            Directive::MustUnderstand => self.must_understand = true,
        }
    }

    /// With names of fields these are about those alone (sections 5.2.2.4 and 5.2.2.7).
    fn take_divided(&mut self, directive: Directive, argument: Option<&[u8]>) {
        let names = argument.map(unquoted).filter(|names| elements(names).next().is_some());
        if let Some(names) = names {
            self.unkept.extend_from_slice(names);
            self.unkept.push(b',');
        } else if directive == Directive::NoCache {
            self.no_cache = true;
        } else {
            self.private = true;
        }
    }
}

/// What is known of the names of section 5.2 and of RFC 5861.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Directive {
    MaxAge,
    SharedMaxAge,
    MinFresh,
    WhileRevalidate,
    IfError,
    MaxStale,
    NoCache,
    Private,
    NoStore,
    OnlyIfCached,
    Public,
    MustRevalidate,
    ProxyRevalidate,
    MustUnderstand,
}

impl Directive {
    /// The one of this name, in any letter case.
    fn of(name: &[u8]) -> Option<Directive> {
        // Length and one letter leave one candidate each.
        let letter = |at: usize| name.get(at).map_or(0, |byte| byte | 0x20);
        let (candidate, directive): (&[u8], Directive) = match (name.len(), letter(0)) {
            (6, b'p') => (b"public", Directive::Public),
            (7, b'm') => (b"max-age", Directive::MaxAge),
            (7, b'p') => (b"private", Directive::Private),
            (8, b's') => (b"s-maxage", Directive::SharedMaxAge),
            (8, b'n') if letter(3) == b'c' => (b"no-cache", Directive::NoCache),
            (8, b'n') => (b"no-store", Directive::NoStore),
            (9, b'm') if letter(1) == b'a' => (b"max-stale", Directive::MaxStale),
            (9, b'm') => (b"min-fresh", Directive::MinFresh),
            (14, b'o') => (b"only-if-cached", Directive::OnlyIfCached),
            (14, b's') => (b"stale-if-error", Directive::IfError),
            (15, b'm') if letter(5) == b'r' => (b"must-revalidate", Directive::MustRevalidate),
            (15, b'm') => (b"must-understand", Directive::MustUnderstand),
            (16, b'p') => (b"proxy-revalidate", Directive::ProxyRevalidate),
            (22, b's') => (b"stale-while-revalidate", Directive::WhileRevalidate),
            _ => return None,
        };
        is_word(name, candidate).then_some(directive)
    }
}

/// Of a directive that comes more than once the first counts.
fn first(field: &mut Option<u32>, seconds: impl FnOnce() -> u32) {
    field.get_or_insert_with(seconds);
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
fn seconds(argument: &[u8]) -> u32 {
    let digits = unquoted(argument);
    match decimal(digits) {
        _ if trim(argument).len() != argument.len() => 0,
        Some(seconds) => u32::try_from(seconds).unwrap_or(MOST_SECONDS).min(MOST_SECONDS),
        None if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => MOST_SECONDS,
        None => 0,
    }
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
