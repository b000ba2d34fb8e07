//! May a response be kept (RFC 9111 section 3)? Knows no storage.

use std::fmt;

use super::control::Directives;
use super::facts::HeadFacts;
use super::fresh::{may_guess, Freshness};
use crate::http::fields::FieldKind;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::syntax::elements;
use crate::http::Method;

/// Why a response is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unstorable {
    /// The method is not GET (section 2).
    Method,
    /// The status is one whose meaning a cache would have to know, or a part (206), or an update (304).
    Status,
    /// Client or origin forbid it (sections 5.2.1.5 and 5.2.2.5).
    NoStore,
    /// It is for one user (section 5.2.2.7).
    Private,
    /// The request had credentials, and the response does not say that all may share it (section 3.5).
    Authorization,
    /// Its origin binds the connection to a user (RFC 4559 section 6).
    PrivateConnection,
    /// It depends on what a cache cannot know (section 4.1).
    Vary,
    /// It sets a cookie without saying that it may be shared for some time.
    Cookie,
    /// Nothing says that it may be reused, now or after a validation.
    Lifetime,
    /// Its body is longer than an object may be.
    TooLarge,
    /// There is no room for it.
    NoRoom,
    /// The origin failed (5xx), and said nothing of caching.
    Incomplete,
}

impl Unstorable {
    /// All reasons, in the order of their counters.
    pub const ALL: [Unstorable; 12] = {
        use Unstorable::*;
        [
            Method,
            Status,
            NoStore,
            Private,
            Authorization,
            PrivateConnection,
            Vary,
            Cookie,
            Lifetime,
            TooLarge,
            NoRoom,
            Incomplete,
        ]
    };

    /// The word in counters and in the detail of Cache-Status.
    pub fn word(self) -> &'static str {
        match self {
            Unstorable::Method => "method",
            Unstorable::Status => "status",
            Unstorable::NoStore => "no-store",
            Unstorable::Private => "private",
            Unstorable::Authorization => "authorization",
            Unstorable::PrivateConnection => "private-connection",
            Unstorable::Vary => "vary",
            Unstorable::Cookie => "cookie",
            Unstorable::Lifetime => "lifetime",
            Unstorable::TooLarge => "too-large",
            Unstorable::NoRoom => "no-room",
            Unstorable::Incomplete => "incomplete",
        }
    }

    /// The place of its counter.
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|one| *one == self).unwrap_or(0)
    }

    /// Whether the next answer to the same request is likely to be the same, so that it is not waited for.
    pub fn lasts(self) -> bool {
        !matches!(self, Unstorable::Method | Unstorable::NoRoom | Unstorable::Incomplete)
    }
}

impl fmt::Display for Unstorable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

/// What a request says that matters for keeping its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedFor {
    /// It is a GET.
    pub get: bool,
    /// It has credentials for its origin.
    pub authorization: bool,
    /// It says `no-store`.
    pub no_store: bool,
    /// The connection that it goes by is its client's own.
    pub private: bool,
}

impl AskedFor {
    /// The same of this request with these directives. Proxy-Authorization is for this proxy and neither forbids nor divides.
    pub fn of(request: &Request, directives: &Directives) -> AskedFor {
        AskedFor {
            get: request.method() == Method::Get,
            authorization: request.section().has(FieldKind::Authorization),
            no_store: directives.no_store,
            private: request.wants_private_connection(),
        }
    }
}

/// Judges a response with these directives by all but how long it lasts.
///
/// # Errors
/// Why it is not kept.
pub fn judge(asked: AskedFor, response: &Response<'_>, directives: &Directives) -> Result<(), Unstorable> {
    let status = response.status();
    // Section 5.2.2.3: with must-understand, no-store is for those that do not know the status.
    let understood = directives.must_understand && is_understood(status);
    let mut vary = response.section().values(response.raw(), FieldKind::Vary);
    let why = match () {
        () if !asked.get => Unstorable::Method,
        // Sections 3.3 and 4.3.3: a part and an update are no responses of their own. A 407 is for one hop.
        () if status < 200 || matches!(status, 206 | 304 | 407) => Unstorable::Status,
        () if directives.must_understand && !is_understood(status) => Unstorable::Status,
        () if asked.no_store || directives.no_store && !understood => Unstorable::NoStore,
        () if directives.private => Unstorable::Private,
        () if asked.private || response.wants_private_connection() => Unstorable::PrivateConnection,
        () if asked.authorization && !may_share_authorized(directives) => Unstorable::Authorization,
        // Section 4.1: `*` never matches.
        () if vary.any(|value| elements(value).any(|name| name == b"*")) => Unstorable::Vary,
        () => return Ok(()),
    };
    Err(why)
}

/// Judges what passed [`judge`] by how long it lasts.
///
/// # Errors
/// Why it is not kept.
pub fn judge_lifetime(head: &HeadFacts<'_>, directives: &Directives, freshness: &Freshness) -> Result<(), Unstorable> {
    if head.cookie && !may_share_cookie(head, directives, freshness) {
        return Err(Unstorable::Cookie);
    }
    match is_allowed(head.status, head, directives) && is_useful(head, freshness) {
        true => Ok(()),
        false => Err(Unstorable::Lifetime),
    }
}

/// Judges an update of a stored response of this status, with the directives that it has then.
///
/// # Errors
/// Why the update is not kept.
pub fn judge_update(
    asked: AskedFor,
    update: &Response<'_>,
    status: u16,
    directives: &Directives,
) -> Result<(), Unstorable> {
    let understood = directives.must_understand && is_understood(status);
    let refusals = [
        (asked.no_store, Unstorable::NoStore),
        (asked.private || update.wants_private_connection(), Unstorable::PrivateConnection),
        (asked.authorization && !may_share_authorized(directives), Unstorable::Authorization),
        (directives.must_understand && !is_understood(status), Unstorable::Status),
        (directives.no_store && !understood, Unstorable::NoStore),
        (directives.private, Unstorable::Private),
    ];
    refusals.into_iter().find(|(refused, _)| *refused).map_or(Ok(()), |(_, why)| Err(why))
}

/// Whether the cookies of a response with this head are for all who ask: only where it says for how long it may be reused, and that
/// this needs no word of its origin about each client.
pub fn may_share_cookie(head: &HeadFacts<'_>, directives: &Directives, freshness: &Freshness) -> bool {
    is_explicit(head, directives) && freshness.lifetime > 0 && !freshness.no_cache
}

/// Section 3.5.
fn may_share_authorized(directives: &Directives) -> bool {
    directives.must_revalidate || directives.public || directives.shared_max_age.is_some()
}

fn is_explicit(head: &HeadFacts<'_>, directives: &Directives) -> bool {
    directives.has_lifetime() || head.expires.is_some()
}

/// Section 3, the last item of the list.
fn is_allowed(status: u16, head: &HeadFacts<'_>, directives: &Directives) -> bool {
    directives.public || is_explicit(head, directives) || may_guess(status)
}

/// A response that is stale at once and can neither be validated nor be used stale would only take room.
fn is_useful(head: &HeadFacts<'_>, freshness: &Freshness) -> bool {
    let validator = head.tagged || head.last_modified.is_some();
    let lived = freshness.lifetime > freshness.initial_age && !freshness.no_cache;
    lived || validator || freshness.while_revalidate > 0 || freshness.if_error.is_some_and(|seconds| seconds > 0)
}

/// Statuses whose meaning for caches is known: those of RFC 9110 section 15 that are final and whole, and RFC 6585's.
fn is_understood(status: u16) -> bool {
    matches!(status,
        200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 428 | 429 | 431 | 451 | 500..=505 | 511)
}

#[cfg(test)]
mod tests {
    use super::super::fresh::{age_value, Exchanged};
    use super::*;
    use crate::http::rules::Rules;

    fn word(request: &str, status: u16, fields: &str) -> &'static str {
        let text = format!("GET http://a.b/ HTTP/1.1\r\n{request}\r\n");
        let text = request.strip_prefix('!').map_or(text, |whole| format!("{whole}\r\n\r\n"));
        let request = *Request::parse(text.as_bytes(), &Rules::default()).unwrap();
        let values = |request: &Request| {
            let fields = request.fields().filter(|(name, _)| name.eq_ignore_ascii_case(b"cache-control"));
            Directives::of(fields.map(|(_, value)| value))
        };
        let asked = AskedFor::of(&request, &values(&request));
        let text = format!("HTTP/1.1 {status} X\r\n{fields}\r\n");
        let response = Response::parse(text.as_bytes(), Method::Get).unwrap();
        let named = |name: &'static str| {
            response.fields().filter(move |(own, _)| own.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
        };
        let directives = Directives::of(named("cache-control"));
        let head = HeadFacts::of(&response, &directives);
        let times = Exchanged { asked: 1_000_000, received: 1_000_000 };
        let freshness = Freshness::of(&head, &directives, age_value(named("age")), times);
        let judged = judge(asked, &response, &directives);
        judged.and_then(|()| judge_lifetime(&head, &directives, &freshness)).map_or_else(Unstorable::word, |()| "kept")
    }

    #[test]
    fn responses_say_whether_they_may_be_kept() {
        let fresh = "Cache-Control: max-age=60\r\n";
        let with = |more: &str| format!("{fresh}{more}\r\n");
        let table = [
            (200, fresh.to_string(), "kept"),
            (200, String::new(), "lifetime"),
            (200, "Cache-Control: max-age=0\r\n".into(), "lifetime"),
            (200, "Cache-Control: max-age=0\r\nETag: \"a\"\r\n".into(), "kept"),
            (200, "Cache-Control: no-cache\r\n".into(), "lifetime"),
            (200, "Cache-Control: no-cache\r\nETag: \"a\"\r\n".into(), "kept"),
            (200, "Cache-Control: max-age=60, no-store\r\n".into(), "no-store"),
            (200, "Cache-Control: max-age=60, no-store, must-understand\r\n".into(), "kept"),
            (599, "Cache-Control: max-age=60, no-store, must-understand\r\n".into(), "status"),
            (599, "Cache-Control: max-age=60, must-understand\r\n".into(), "status"),
            (599, fresh.to_string(), "kept"),
            (599, "ETag: \"a\"\r\n".into(), "lifetime"),
            (200, "ETag: \"a\"\r\n".into(), "kept"),
            (206, fresh.to_string(), "status"),
            (304, fresh.to_string(), "status"),
            (407, fresh.to_string(), "status"),
            (200, "Cache-Control: private, max-age=60\r\n".into(), "private"),
            (200, "Cache-Control: private=\"x\", max-age=60\r\n".into(), "kept"),
            (200, with("Vary: *"), "vary"),
            (200, with("Vary: a\r\nVary: b, *"), "vary"),
            (200, with("Vary: a"), "kept"),
            (200, with("Set-Cookie: a=b"), "kept"),
            (200, "ETag: \"a\"\r\nSet-Cookie: a=b\r\n".into(), "cookie"),
            (200, "ETag: \"a\"\r\nSet-Cookie: a=b\r\nCache-Control: max-age=0\r\n".into(), "cookie"),
            (200, "ETag: \"a\"\r\nSet-Cookie: a=b\r\nCache-Control: no-cache, max-age=60\r\n".into(), "cookie"),
            (200, "ETag: \"a\"\r\nSet-Cookie: a=b\r\nExpires: 0\r\n".into(), "cookie"),
            (200, "ETag: \"a\"\r\nSet-Cookie: a=b\r\nCache-Control: private=set-cookie\r\n".into(), "kept"),
            (200, with("WWW-Authenticate: NTLM"), "private-connection"),
            (200, with("Age: 60"), "lifetime"),
            (200, "Cache-Control: max-age=0, stale-while-revalidate=5\r\n".into(), "kept"),
        ];
        for (status, fields, want) in table {
            assert_eq!(word("", status, &fields), want, "{status} {fields}");
        }
    }

    #[test]
    fn requests_say_whether_their_responses_may_be_kept() {
        let fresh = "Cache-Control: max-age=60\r\n";
        assert_eq!(word("Cache-Control: no-store\r\n", 200, fresh), "no-store");
        assert_eq!(word("Authorization: x\r\n", 200, fresh), "authorization");
        assert_eq!(word("Proxy-Authorization: x\r\n", 200, fresh), "kept");
        for shared in ["public", "must-revalidate", "s-maxage=60"] {
            assert_eq!(word("Authorization: x\r\n", 200, &format!("Cache-Control: max-age=60, {shared}\r\n")), "kept");
        }
        assert_eq!(word("!POST http://a.b/ HTTP/1.1\r\nContent-Length: 0", 200, fresh), "method");
        assert_eq!(word("!QUERY http://a.b/ HTTP/1.1", 200, fresh), "method");
    }

    #[test]
    fn each_reason_has_a_counter() {
        for (place, why) in Unstorable::ALL.into_iter().enumerate() {
            assert_eq!(why.index(), place, "{why}");
        }
    }
}
