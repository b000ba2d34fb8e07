//! HTTP/1.x messages as values: heads found, parsed, judged and written anew; bodies observed as they pass.
//!
//! Nothing here knows of sockets, files, threads or the clock. A request is parsed into a [`request::Request`] that owns
//! its bytes, because it waits for decisions and names; a response is parsed into a [`response::Response`] that borrows,
//! because it is written out at once. What goes out is always built from the parsed form, never from the received text.

pub mod answer;
pub mod cache_status;
pub mod caching;
pub mod cause;
pub mod chunked;
pub mod date;
mod diagnose;
mod extensions;
pub mod fault;
mod field_kind;
pub mod fields;
pub mod first_bytes;
pub mod framing;
pub mod head;
pub mod media;
pub mod protocol;
pub mod proxy_status;
pub mod request;
mod reread;
pub mod response;
pub mod rewrite;
pub mod rules;
pub mod stored;
mod substitute;
pub mod syntax;
pub mod target;
pub(crate) mod trace;
pub(crate) mod write;

/// The protocol versions that are spoken; any other is refused (505 towards a client, 502 for an origin), but for 1.2 to 1.9,
/// which are read as 1.1 (RFC 9110 section 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

impl Version {
    /// The number as the Via field wants it (RFC 9110 section 7.6.3).
    pub fn number(self) -> &'static str {
        match self {
            Version::Http10 => "1.0",
            Version::Http11 => "1.1",
        }
    }

    pub(crate) fn from_minor(minor: u8) -> Version {
        if minor == 0 {
            Version::Http10
        } else {
            Version::Http11
        }
    }
}

/// A request method. Methods are case-sensitive (RFC 9110 section 9.1): `get` is an extension, not GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH (RFC 5789)
    Patch,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// TRACE
    Trace,
    /// CONNECT
    Connect,
    /// Any other token, WebDAV's included; its text is [`request::Request::method_name`].
    Extension,
}

impl Method {
    /// The method that a token names.
    pub fn of(token: &[u8]) -> Method {
        match token {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"PATCH" => Method::Patch,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"CONNECT" => Method::Connect,
            _ => Method::Extension,
        }
    }

    /// Whether the request only reads (RFC 9110 section 9.2.1). Nothing is assumed of extensions.
    pub fn is_safe(self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Options | Method::Trace)
    }

    /// Whether the request may be sent once more when a connection died unanswered (RFC 9110 section 9.2.2).
    pub fn is_idempotent(self) -> bool {
        self.is_safe() || matches!(self, Method::Put | Method::Delete)
    }
}

#[cfg(test)]
mod tests {
    mod found;
    mod probes;

    use super::*;

    #[test]
    fn methods_are_case_sensitive() {
        assert_eq!(Method::of(b"GET"), Method::Get);
        assert_eq!(Method::of(b"get"), Method::Extension);
        assert_eq!(Method::of(b"PROPFIND"), Method::Extension);
    }

    #[test]
    fn only_harmless_methods_are_repeated() {
        assert!(Method::Put.is_idempotent() && !Method::Put.is_safe());
        assert!(Method::Get.is_idempotent() && Method::Get.is_safe());
        assert!(
            !Method::Post.is_idempotent() && !Method::Extension.is_idempotent() && !Method::Connect.is_idempotent()
        );
    }
}
