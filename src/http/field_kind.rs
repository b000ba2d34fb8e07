//! Which field a name means, for those that a proxy or its cache treats in a way of its own. Knows names alone.

use super::syntax::is_word;

/// The fields that a proxy treats in a way of its own; all others are `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FieldKind {
    Other,
    /// A name that is one of those below once `_` is read as `-`. CGI and its heirs read it so (RFC 3875 section 4.1.18).
    Lookalike,
    Authorization,
    Connection,
    ContentLength,
    Date,
    Expect,
    Host,
    Http2Settings,
    KeepAlive,
    MaxForwards,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyConnection,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    Via,
    WwwAuthenticate,
    XForwardedFor,
    XProxyVersion,
    // What matters to a cache and to no one else, see `concerns_caches`.
    Age,
    CacheControl,
    ETag,
    Expires,
    IfMatch,
    IfModifiedSince,
    IfNoneMatch,
    IfRange,
    IfUnmodifiedSince,
    LastModified,
    Pragma,
    Range,
    SetCookie,
    Vary,
}

impl FieldKind {
    /// The kind of a field by its name, in any letter case.
    pub(crate) fn of(name: &[u8]) -> FieldKind {
        // Length and first letter leave one candidate each, so that most names cost no comparison at all.
        let (candidate, kind): (&[u8], FieldKind) = match (name.len(), name.first().map(|byte| byte | 0x20)) {
            (2, Some(b't')) => (b"te", FieldKind::Te),
            (3, Some(b'a')) => (b"age", FieldKind::Age),
            (3, Some(b'v')) => (b"via", FieldKind::Via),
            (4, Some(b'd')) => (b"date", FieldKind::Date),
            (4, Some(b'e')) => (b"etag", FieldKind::ETag),
            (4, Some(b'h')) => (b"host", FieldKind::Host),
            (4, Some(b'v')) => (b"vary", FieldKind::Vary),
            (5, Some(b'r')) => (b"range", FieldKind::Range),
            (6, Some(b'e')) => (b"expect", FieldKind::Expect),
            (6, Some(b'p')) => (b"pragma", FieldKind::Pragma),
            (7, Some(b'e')) => (b"expires", FieldKind::Expires),
            (7, Some(b't')) => (b"trailer", FieldKind::Trailer),
            (7, Some(b'u')) => (b"upgrade", FieldKind::Upgrade),
            (8, Some(b'i')) if name[3] | 0x20 == b'm' => (b"if-match", FieldKind::IfMatch),
            (8, Some(b'i')) => (b"if-range", FieldKind::IfRange),
            (10, Some(b'c')) => (b"connection", FieldKind::Connection),
            (10, Some(b'k')) => (b"keep-alive", FieldKind::KeepAlive),
            (10, Some(b's')) => (b"set-cookie", FieldKind::SetCookie),
            (12, Some(b'm')) => (b"max-forwards", FieldKind::MaxForwards),
            (13, Some(b'a')) => (b"authorization", FieldKind::Authorization),
            (13, Some(b'c')) => (b"cache-control", FieldKind::CacheControl),
            (13, Some(b'i')) => (b"if-none-match", FieldKind::IfNoneMatch),
            (13, Some(b'l')) => (b"last-modified", FieldKind::LastModified),
            (14, Some(b'c')) => (b"content-length", FieldKind::ContentLength),
            (14, Some(b'h')) => (b"http2-settings", FieldKind::Http2Settings),
            (15, Some(b'x')) if name[2] | 0x20 == b'f' => (b"x-forwarded-for", FieldKind::XForwardedFor),
            (15, Some(b'x')) => (b"x-proxy-version", FieldKind::XProxyVersion),
            (16, Some(b'p')) => (b"proxy-connection", FieldKind::ProxyConnection),
            (16, Some(b'w')) => (b"www-authenticate", FieldKind::WwwAuthenticate),
            (17, Some(b'i')) => (b"if-modified-since", FieldKind::IfModifiedSince),
            (17, Some(b't')) => (b"transfer-encoding", FieldKind::TransferEncoding),
            (18, Some(b'p')) => (b"proxy-authenticate", FieldKind::ProxyAuthenticate),
            (19, Some(b'i')) => (b"if-unmodified-since", FieldKind::IfUnmodifiedSince),
            (19, Some(b'p')) => (b"proxy-authorization", FieldKind::ProxyAuthorization),
            _ => return FieldKind::Other,
        };
        if is_word(name, candidate) {
            return kind;
        }
        let same = |(byte, wanted): (&u8, &u8)| byte.to_ascii_lowercase() == *wanted;
        let alike = |(byte, wanted): (&u8, &u8)| same((byte, wanted)) || (*byte, *wanted) == (b'_', b'-');
        match !kind.concerns_caches() && name.iter().zip(candidate).all(alike) {
            true => FieldKind::Lookalike,
            false => FieldKind::Other,
        }
    }

    /// Whether a proxy that keeps nothing passes such a field on as it is.
    pub(crate) fn concerns_caches(self) -> bool {
        self as u8 >= FieldKind::Age as u8
    }

    /// Its place in a set of them.
    pub(super) fn bit(self) -> u64 {
        1 << self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_names_in_any_letter_case() {
        assert_eq!(FieldKind::of(b"CONTENT-length"), FieldKind::ContentLength);
        assert_eq!(FieldKind::of(b"X-FORWARDED-FOR"), FieldKind::XForwardedFor);
        assert_eq!(FieldKind::of(b"Keep-Alive"), FieldKind::KeepAlive);
        assert_eq!(FieldKind::of(b"X-Proxy-Version"), FieldKind::XProxyVersion);
        assert_eq!(FieldKind::of(b"Content-Lengths"), FieldKind::Other);
        assert_eq!(FieldKind::of(b""), FieldKind::Other);
        assert_eq!(FieldKind::of(b"content_LENGTH"), FieldKind::Lookalike);
        assert_eq!(FieldKind::of(b"X-Forwarded_For"), FieldKind::Lookalike);
        assert_eq!(FieldKind::of(b"X_Forwarded_Four"), FieldKind::Other);
        assert_eq!(FieldKind::of(b"X_Forwarded-Fox"), FieldKind::Other);
        assert_eq!(FieldKind::of(b"if-Match"), FieldKind::IfMatch);
        assert_eq!(FieldKind::of(b"If-Range"), FieldKind::IfRange);
        assert_eq!(FieldKind::of(b"If_Range"), FieldKind::Other, "only fields that frame or name a hop are imitated");
        assert!(FieldKind::Vary.concerns_caches() && !FieldKind::XProxyVersion.concerns_caches());
    }
}
