//! The Cache-Status field (RFC 9211): what the cache did with a request. Knows the form of the field, not who gets it.

use std::fmt::Write;

use super::store::Unstorable;
use crate::http::proxy_status;

/// What became of a request, as logs, metrics and pages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheResult {
    /// Answered from what is stored.
    Hit,
    /// Nothing that is stored could be used.
    Miss,
    /// Answered from what is stored once its origin had said that it holds.
    Revalidated,
    /// Answered from what is stored though it was stale.
    Stale,
    /// Answered by the response to another client's request that was on its way.
    Collapsed,
    /// The request is none that the cache looks at.
    Bypass,
}

impl CacheResult {
    /// All of them, in the order of their counters.
    pub const ALL: [CacheResult; 6] = [
        CacheResult::Hit,
        CacheResult::Miss,
        CacheResult::Revalidated,
        CacheResult::Stale,
        CacheResult::Collapsed,
        CacheResult::Bypass,
    ];

    /// The word in logs.
    pub fn word(self) -> &'static str {
        match self {
            CacheResult::Hit => "HIT",
            CacheResult::Miss => "MISS",
            CacheResult::Revalidated => "REVALIDATED",
            CacheResult::Stale => "STALE",
            CacheResult::Collapsed => "COLLAPSED",
            CacheResult::Bypass => "BYPASS",
        }
    }

    /// The word that Squid has for it in its own log.
    pub fn squid(self) -> &'static str {
        match self {
            CacheResult::Hit => "TCP_MEM_HIT",
            CacheResult::Miss | CacheResult::Bypass => "TCP_MISS",
            CacheResult::Revalidated => "TCP_REFRESH_UNMODIFIED",
            CacheResult::Stale => "TCP_STALE_HIT",
            CacheResult::Collapsed => "TCP_CF_HIT",
        }
    }

    /// The place of its counter.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// Why a request went on to its origin (RFC 9211 section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// The cache does not look at such requests.
    Bypass,
    /// The method has to.
    Method,
    /// Nothing is stored for this URI.
    UriMiss,
    /// What is stored is for other requests of this URI.
    VaryMiss,
    /// The client wanted it so.
    Request,
    /// What is stored is stale.
    Stale,
}

impl Forwarded {
    fn word(self) -> &'static str {
        match self {
            Forwarded::Bypass => "bypass",
            Forwarded::Method => "method",
            Forwarded::UriMiss => "uri-miss",
            Forwarded::VaryMiss => "vary-miss",
            Forwarded::Request => "request",
            Forwarded::Stale => "stale",
        }
    }
}

/// What the field of one answer says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheReport {
    /// Why it went to its origin; None for a hit.
    pub forwarded: Option<Forwarded>,
    /// The status that the origin gave, where another goes to the client.
    pub origin_status: Option<u16>,
    /// The response is kept.
    pub stored: bool,
    /// It came by another client's request.
    pub collapsed: bool,
    /// Seconds for which what is stored stays fresh, negative once it is stale.
    pub ttl: Option<i64>,
    /// Why it is not kept.
    pub detail: Option<Unstorable>,
}

/// The value for the cache of the proxy with this name.
pub fn value(name: &str, report: &CacheReport) -> String {
    let name = proxy_status::name(name);
    // Room for all of them but the rarest, so that it is had once.
    let mut text = String::with_capacity(name.len() + 64);
    text.push_str(&name);
    match report.forwarded {
        None => text.push_str("; hit"),
        Some(why) => text.extend(["; fwd=", why.word()]),
    }
    // Writing into a String cannot fail.
    if let Some(status) = report.origin_status {
        let _ = write!(text, "; fwd-status={status}");
    }
    if let Some(ttl) = report.ttl {
        let _ = write!(text, "; ttl={ttl}");
    }
    if report.stored {
        text.push_str("; stored");
    }
    if report.collapsed {
        text.push_str("; collapsed");
    }
    if let Some(why) = report.detail {
        let _ = write!(text, "; detail={}", why.word());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_name_the_cache_and_what_it_did() {
        let hit = CacheReport { ttl: Some(30), ..CacheReport::default() };
        let miss = CacheReport { forwarded: Some(Forwarded::UriMiss), stored: true, ..CacheReport::default() };
        let stale = CacheReport { forwarded: Some(Forwarded::Stale), origin_status: Some(304), ttl: Some(-3), ..hit };
        let refused = CacheReport { stored: false, detail: Some(Unstorable::NoStore), collapsed: true, ..miss };
        let table = [
            ("a", hit, "a; hit; ttl=30"),
            ("a", miss, "a; fwd=uri-miss; stored"),
            ("a", stale, "a; fwd=stale; fwd-status=304; ttl=-3"),
            ("a b", refused, "\"a b\"; fwd=uri-miss; collapsed; detail=no-store"),
        ];
        for (name, report, want) in table {
            assert_eq!(value(name, &report), want);
        }
    }

    #[test]
    fn each_result_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = CacheResult::ALL.iter().map(|result| result.word()).collect();
        assert_eq!(words.len(), CacheResult::ALL.len());
        assert!(CacheResult::ALL.iter().enumerate().all(|(place, result)| result.index() == place));
    }
}
