//! How long a stored response is fresh, and how old it is (RFC 9111 section 4.2). Reads no clock: all moments are milliseconds
//! since 1970, given by the caller, so that a second is none that ends with the clock's. Ages and lifetimes are in seconds.

use super::control::{Directives, MOST_SECONDS};
use super::dates;
use super::facts::HeadFacts;
use crate::http::syntax::decimal;

/// Section 4.2.2: a tenth of the time since the last change is a usual heuristic, and a day its bound here, so that what an
/// origin forgot to date is not served for months.
const HEURISTIC_PART: u64 = 10;
const HEURISTIC_MOST: u64 = 86_400;

/// When a response was asked for and when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// `request_time` of section 4.2.3.
    pub asked: u64,
    /// `response_time`.
    pub received: u64,
}

/// All that the age and the use of a stored response depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// When it came.
    pub received: u64,
    /// `corrected_initial_age` of section 4.2.3, in seconds.
    pub initial_age: u32,
    /// `freshness_lifetime` of section 4.2.1, in seconds.
    pub lifetime: u32,
    /// Seconds for which it may be used stale while it is validated (RFC 5861 section 3).
    pub while_revalidate: u32,
    /// Seconds for which it may be used stale where its origin fails, if it says so (RFC 5861 section 4).
    pub if_error: Option<u32>,
    /// It must be validated before each use (section 5.2.2.4).
    pub no_cache: bool,
    /// It must not be used stale (sections 5.2.2.2, 5.2.2.8 and 5.2.2.10).
    pub no_stale: bool,
}

impl Freshness {
    /// Judges a response with these directives. `age` is the value of its Age field, if it has a sound one.
    pub fn of(head: &HeadFacts<'_>, directives: &Directives, age: Option<u32>, times: Exchanged) -> Freshness {
        let received = times.received / 1000;
        let date = head.date.and_then(|text| dates::parse(text, received));
        // Section 4.2.3. Without a Date that can be read the time of receipt stands for it.
        let apparent = received.saturating_sub(date.unwrap_or(received));
        let corrected = u64::from(age.unwrap_or(0)).saturating_add(times.received.saturating_sub(times.asked) / 1000);
        let lifetime = lifetime(head, directives, date.unwrap_or(received), received);
        Freshness {
            received: times.received,
            initial_age: bounded(apparent.max(corrected)),
            lifetime: bounded(lifetime),
            while_revalidate: directives.while_revalidate.unwrap_or(0),
            if_error: directives.if_error,
            no_cache: directives.no_cache,
            no_stale: directives.must_revalidate
                || directives.proxy_revalidate
                || directives.shared_max_age.is_some()
                || directives.no_cache,
        }
    }

    /// `current_age` of section 4.2.3, in seconds.
    pub fn age(&self, now: u64) -> u64 {
        u64::from(self.initial_age) + now.saturating_sub(self.received) / 1000
    }

    /// When its origin made it, in seconds since 1970, as far as its Date and its Age tell.
    pub fn made(&self) -> u64 {
        (self.received / 1000).saturating_sub(self.initial_age.into())
    }

    /// Section 4.2: it is fresh while its lifetime is greater than its age.
    pub fn is_fresh(&self, now: u64) -> bool {
        u64::from(self.lifetime) > self.age(now)
    }

    /// Seconds for which it has been stale; 0 while it is fresh.
    pub fn staleness(&self, now: u64) -> u64 {
        self.age(now).saturating_sub(u64::from(self.lifetime))
    }

    /// Seconds for which it stays fresh, negative once it is stale.
    pub fn left(&self, now: u64) -> i64 {
        i64::from(self.lifetime) - i64::try_from(self.age(now)).unwrap_or(i64::MAX)
    }
}

/// Section 4.2.1: what a shared cache obeys first comes first.
fn lifetime(head: &HeadFacts<'_>, directives: &Directives, date: u64, received: u64) -> u64 {
    if let Some(seconds) = directives.shared_max_age.or(directives.max_age) {
        return seconds.into();
    }
    if let Some(text) = head.expires {
        // Section 5.3: what is no date has passed; of several that differ none can be relied on.
        let at = dates::parse(text, received).filter(|_| !head.expires_differ);
        return at.map_or(0, |at| at.saturating_sub(date));
    }
    let changed = head.last_modified.and_then(|text| dates::parse(text, received));
    match changed {
        Some(changed) if may_guess(head.status) || directives.public => {
            (date.saturating_sub(changed) / HEURISTIC_PART).min(HEURISTIC_MOST)
        }
        _ => 0,
    }
}

/// Statuses that may be kept by a guess (RFC 9110 section 15.1). 206 is not kept at all.
pub fn may_guess(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// The value of the Age fields (section 5.1): the first member counts, and what is no number is passed over.
pub fn age_value<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Option<u32> {
    let first = values.next()?.split(|byte| *byte == b',').next()?;
    let digits = crate::http::syntax::trim(first);
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| decimal(digits).map_or(MOST_SECONDS, bounded))
}

fn bounded(seconds: u64) -> u32 {
    u32::try_from(seconds).unwrap_or(MOST_SECONDS).min(MOST_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::date::stamp;
    use crate::http::response::Response;
    use crate::http::Method;

    const NOW: u64 = 1_800_000_000;

    /// What is judged of a response that came now, with dates relative to that in `{}`.
    fn judged(fields: &[(&str, &str)]) -> Freshness {
        status(200, fields)
    }

    fn status(status: u16, fields: &[(&str, &str)]) -> Freshness {
        let mut text = format!("HTTP/1.1 {status} X\r\n");
        for (name, value) in fields {
            let moved = value.strip_prefix('@').map(|delta| delta.parse::<i64>().unwrap());
            let value = moved.map_or_else(|| value.to_string(), |delta| stamp(NOW.saturating_add_signed(delta)));
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let response = Response::parse(text.as_bytes(), Method::Get).unwrap();
        let values = |name: &'static str| {
            response.fields().filter(move |(own, _)| own.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
        };
        let times = Exchanged { asked: NOW * 1000 + 900, received: NOW * 1000 + 900 };
        let directives = Directives::of(values("cache-control"));
        Freshness::of(&HeadFacts::of(&response, &directives), &directives, age_value(values("age")), times)
    }

    #[test]
    fn lifetimes() {
        type Row<'a> = (&'a [(&'a str, &'a str)], u32);
        let table: &[Row<'_>] = &[
            (&[], 0),
            (&[("Cache-Control", "max-age=3600")], 3600),
            (&[("Cache-Control", "max-age=3600"), ("Expires", "@-7200"), ("Date", "@0")], 3600),
            (&[("Cache-Control", "max-age=3600"), ("Expires", "0")], 3600),
            (&[("Cache-Control", "max-age=0"), ("Expires", "@3600"), ("Date", "@0")], 0),
            (&[("Cache-Control", "max-age=3600, s-maxage=1")], 1),
            (&[("Expires", "@-10"), ("Cache-Control", "max-age=0, s-maxage=3600")], 3600),
            (&[("Expires", "@2592000"), ("Date", "@0")], 2_592_000),
            (&[("Expires", "@-2592000"), ("Date", "@0")], 0),
            (&[("Expires", "@300"), ("Date", "@400")], 0),
            (&[("Expires", "0"), ("Date", "@0")], 0),
            (&[("Expires", "@10"), ("Date", "foo")], 10),
            (&[("Expires", "@10"), ("Expires", "@20")], 0),
            (&[("Expires", "@10"), ("Expires", "@10")], 10),
            (&[("Last-Modified", "@-86400"), ("Date", "@0")], 8640),
            (&[("Last-Modified", "@-86400000"), ("Date", "@0")], 86_400),
            (&[("Last-Modified", "@100"), ("Date", "@0")], 0),
            (&[("Last-Modified", "@-86400"), ("Expires", "@-5000")], 0),
        ];
        for (fields, want) in table {
            assert_eq!(judged(fields).lifetime, *want, "{fields:?}");
        }
    }

    #[test]
    fn only_some_statuses_are_kept_by_a_guess() {
        let changed = ("Last-Modified", "@-86400");
        for code in [200, 203, 204, 404, 405, 410, 414, 501] {
            assert_eq!(status(code, &[changed]).lifetime, 8640, "{code}");
        }
        for code in [201, 202, 302, 403, 500, 502, 503, 504, 599] {
            assert_eq!(status(code, &[changed]).lifetime, 0, "{code}");
            assert_eq!(status(code, &[changed, ("Cache-Control", "public")]).lifetime, 8640, "{code}");
        }
    }

    #[test]
    fn ages() {
        let lived = ("Cache-Control", "max-age=3600");
        let table: &[(&str, u32)] = &[
            ("7200", 7200),
            ("abc", 0),
            ("-7200", 0),
            ("7200.0", 0),
            ("2147483647", 2_147_483_647),
            ("2147483648", MOST_SECONDS),
            ("99999999999999999999999999", MOST_SECONDS),
            ("7200, 0", 7200),
            ("0, 7200", 0),
            ("7200;foo=bar", 0),
            ("", 0),
        ];
        for (value, want) in table {
            assert_eq!(judged(&[lived, ("Age", value)]).initial_age, *want, "{value}");
        }
        assert_eq!(judged(&[lived, ("Age", "7200"), ("Age", "0")]).initial_age, 7200);
        assert_eq!(judged(&[lived, ("Date", "@-7200")]).initial_age, 7200);
        assert_eq!(judged(&[lived, ("Date", "@10"), ("Age", "15")]).initial_age, 15);
    }

    #[test]
    fn what_stays_grows_old() {
        let kept = judged(&[("Cache-Control", "max-age=10"), ("Age", "3")]);
        let after = |seconds: u64| kept.received + seconds * 1000;
        assert_eq!((kept.age(after(6)), kept.is_fresh(after(6)), kept.left(after(6))), (9, true, 1));
        assert_eq!((kept.is_fresh(after(7)), kept.staleness(after(7)), kept.left(after(7))), (false, 0, 0));
        assert_eq!((kept.staleness(after(8)), kept.left(after(8))), (1, -1));
        assert_eq!(kept.age(NOW), 3, "a clock that goes back makes nothing younger than it came");
    }

    /// What comes late in a second of the clock's is fresh for no less time.
    #[test]
    fn a_second_is_a_whole_one() {
        let kept = judged(&[("Cache-Control", "max-age=1")]);
        assert_eq!([0, 99, 100, 999].map(|millis| kept.is_fresh(kept.received + millis)), [true; 4]);
        assert_eq!([1000, 1099, 2000].map(|millis| kept.is_fresh(kept.received + millis)), [false; 3]);
    }
}
