//! May a stored response be used for this request (RFC 9111 section 4)? Knows no storage and no validator.

use super::control::Directives;
use super::fresh::Freshness;
use crate::http::fields::FieldKind;
use crate::http::request::Request;

/// Longest time in seconds that a stored response is used stale where its origin cannot be reached and nothing says for how
/// long (section 4.2.4).
const DISCONNECTED_MOST: u64 = 86_400;

/// How a stored response may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// As it is.
    Fresh,
    /// As it is, though it is stale: the client wants it so (section 5.2.1.2).
    Stale,
    /// As it is, while a new one is fetched (RFC 5861 section 3).
    WhileRevalidate,
    /// Only once its origin has said that it still holds (section 4.3).
    Validate,
}

/// The Cache-Control of a request; without one, Pragma counts (section 5.4).
pub fn request_directives(request: &Request) -> Directives {
    let values = |kind| request.section().values(request.raw(), kind);
    if request.section().has(FieldKind::CacheControl) {
        return Directives::of(values(FieldKind::CacheControl));
    }
    let pragma = Directives::of(values(FieldKind::Pragma));
    Directives { no_cache: pragma.no_cache, ..Directives::default() }
}

/// Judges a stored response that the request has selected.
pub fn judge(kept: &Freshness, request: &Directives, now: u64) -> Reuse {
    let (age, fresh) = (kept.age(now), kept.is_fresh(now));
    // Sections 5.2.1.4, 5.2.2.4 and 5.2.1.1. What is 0 seconds old would pass for max-age=0, by which clients mean no-cache.
    let too_old = request.max_age.is_some_and(|most| most == 0 || age > u64::from(most));
    if request.no_cache || kept.no_cache || too_old {
        return Reuse::Validate;
    }
    // Section 5.2.1.3.
    if request.min_fresh.is_some_and(|least| kept.left(now) < i64::from(least)) {
        return Reuse::Validate;
    }
    let staleness = kept.staleness(now);
    match fresh {
        true => Reuse::Fresh,
        // Section 4.2.4: not where it is forbidden, not even for those who ask for it.
        false if kept.no_stale => Reuse::Validate,
        false if request.max_stale.is_some_and(|most| staleness <= u64::from(most)) => Reuse::Stale,
        false if kept.while_revalidate > 0 && staleness <= u64::from(kept.while_revalidate) => Reuse::WhileRevalidate,
        false => Reuse::Validate,
    }
}

/// Whether a response answers more requests than its own without a word of its origin about each. Only such a one is shared while
/// it is on its way: section 4 allows that where it may be reused, and what is validated each time may be another for each user.
pub fn is_shared(response: &Freshness, now: u64) -> bool {
    judge(response, &Directives::default(), now) != Reuse::Validate
}

/// What went wrong while a stored response was to be validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The origin could not be reached, or ended without a response.
    Disconnected,
    /// It answered with a 500, 502, 503 or 504.
    Status,
}

/// Whether a stored response may stand in for its origin that fails (section 4.2.4, RFC 5861 section 4).
pub fn stands_in(kept: &Freshness, request: &Directives, failure: Failure, now: u64) -> bool {
    // A client that asks for a new one gets no old one.
    if kept.no_stale || kept.no_cache || request.no_cache || request.max_age == Some(0) {
        return false;
    }
    let allowed = kept.if_error.into_iter().chain(request.if_error).max().map(u64::from);
    let most = match failure {
        Failure::Disconnected => allowed.unwrap_or(0).max(DISCONNECTED_MOST),
        Failure::Status => allowed.unwrap_or(0),
    };
    kept.staleness(now) <= most && (most > 0 || kept.is_fresh(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: Freshness = Freshness {
        received: 1_000_000,
        initial_age: 0,
        lifetime: 60,
        while_revalidate: 0,
        if_error: None,
        no_cache: false,
        no_stale: false,
    };

    /// At a time in seconds.
    fn at(kept: Freshness, request: &str, now: u64) -> Reuse {
        judge(&kept, &Directives::of([request.as_bytes()].into_iter()), now * 1000)
    }

    #[test]
    fn requests_say_what_they_take() {
        let table = [
            ("", 1059, Reuse::Fresh),
            ("", 1060, Reuse::Validate),
            ("no-cache", 1000, Reuse::Validate),
            ("max-age=0", 1000, Reuse::Validate),
            ("max-age=10", 1010, Reuse::Fresh),
            ("max-age=10", 1011, Reuse::Validate),
            ("min-fresh=20", 1040, Reuse::Fresh),
            ("min-fresh=20", 1041, Reuse::Validate),
            ("max-stale", 90_000, Reuse::Stale),
            ("max-stale=10", 1070, Reuse::Stale),
            ("max-stale=10", 1071, Reuse::Validate),
            ("max-stale=10, max-age=5", 1065, Reuse::Validate),
            ("nothing-to-see-here", 1000, Reuse::Fresh),
            ("only-if-cached", 1000, Reuse::Fresh),
        ];
        for (request, now, want) in table {
            assert_eq!(at(KEPT, request, now), want, "{request} at {now}");
        }
    }

    #[test]
    fn responses_say_how_they_may_be_used() {
        assert_eq!(at(Freshness { no_cache: true, ..KEPT }, "", 1000), Reuse::Validate);
        let revalidated = Freshness { while_revalidate: 5, ..KEPT };
        let table = [(1059, Reuse::Fresh), (1060, Reuse::WhileRevalidate), (1065, Reuse::WhileRevalidate)];
        for (now, want) in table {
            assert_eq!(at(revalidated, "", now), want, "{now}");
        }
        assert_eq!(at(revalidated, "", 1066), Reuse::Validate);
        let strict = Freshness { no_stale: true, ..revalidated };
        assert_eq!((at(strict, "max-stale", 1060), at(strict, "max-stale", 1059)), (Reuse::Validate, Reuse::Fresh));
    }

    #[test]
    fn a_stale_response_stands_in_where_it_may() {
        let ask = |kept: Freshness, request: &str, failure, now| {
            stands_in(&kept, &Directives::of([request.as_bytes()].into_iter()), failure, now * 1000)
        };
        let told = Freshness { if_error: Some(10), ..KEPT };
        assert!(ask(KEPT, "", Failure::Disconnected, 1100) && !ask(KEPT, "", Failure::Status, 1100));
        assert!(!ask(KEPT, "", Failure::Disconnected, 1061 + DISCONNECTED_MOST));
        assert!(ask(told, "", Failure::Status, 1070) && !ask(told, "", Failure::Status, 1071));
        assert!(ask(KEPT, "stale-if-error=40", Failure::Status, 1100));
        for kept in [Freshness { no_stale: true, ..told }, Freshness { no_cache: true, ..told }] {
            assert!(!ask(kept, "", Failure::Disconnected, 1065) && !ask(kept, "", Failure::Status, 1065));
        }
        assert!(!ask(told, "no-cache", Failure::Disconnected, 1065) && !ask(told, "max-age=0", Failure::Status, 1065));
    }
}
