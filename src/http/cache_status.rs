//! The Cache-Status field (RFC 9211): what a cache did with a request. Knows the form of the field, not who gets it.

use super::proxy_status::ProxyName;
use super::write::push;
use crate::decimal::push_number;

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
    /// Why it is not kept: a token.
    pub detail: Option<&'static str>,
}

impl CacheReport {
    /// What is said of a request that the cache does not look at.
    pub const BYPASS: CacheReport = CacheReport {
        forwarded: Some(Forwarded::Bypass),
        origin_status: None,
        stored: false,
        collapsed: false,
        ttl: None,
        detail: None,
    };
}

/// Appends the line of the field for the cache of the proxy with this name.
pub fn push_line(out: &mut Vec<u8>, name: &ProxyName, report: &CacheReport) {
    push(out, &[b"Cache-Status: ", name.member().as_bytes()]);
    match report.forwarded {
        None => out.extend_from_slice(b"; hit"),
        Some(why) => push(out, &[b"; fwd=", why.word().as_bytes()]),
    }
    if let Some(status) = report.origin_status {
        out.extend_from_slice(b"; fwd-status=");
        push_number(out, status.into());
    }
    if let Some(ttl) = report.ttl {
        out.extend_from_slice(if ttl < 0 { b"; ttl=-" } else { b"; ttl=" });
        push_number(out, ttl.unsigned_abs());
    }
    if report.stored {
        out.extend_from_slice(b"; stored");
    }
    if report.collapsed {
        out.extend_from_slice(b"; collapsed");
    }
    if let Some(why) = report.detail {
        push(out, &[b"; detail=", why.as_bytes()]);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_the_cache_and_what_it_did() {
        let hit = CacheReport { ttl: Some(30), ..CacheReport::default() };
        let miss = CacheReport { forwarded: Some(Forwarded::UriMiss), stored: true, ..CacheReport::default() };
        let stale = CacheReport { forwarded: Some(Forwarded::Stale), origin_status: Some(304), ttl: Some(-3), ..hit };
        let refused = CacheReport { stored: false, detail: Some("no-store"), collapsed: true, ..miss };
        let table = [
            ("a", hit, "a; hit; ttl=30"),
            ("a", miss, "a; fwd=uri-miss; stored"),
            ("a", stale, "a; fwd=stale; fwd-status=304; ttl=-3"),
            ("a b", refused, "\"a b\"; fwd=uri-miss; collapsed; detail=no-store"),
            ("a", CacheReport::BYPASS, "a; fwd=bypass"),
        ];
        for (name, report, want) in table {
            let mut out = Vec::new();
            push_line(&mut out, &name.into(), &report);
            assert_eq!(String::from_utf8(out).unwrap(), format!("Cache-Status: {want}\r\n"));
        }
    }
}
