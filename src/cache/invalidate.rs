//! What a response to an unsafe request makes untrue (RFC 9111 section 4.4). Knows no storage.

use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::rules::Rules;
use crate::http::target::Host;
use crate::http::Method;

/// Whether a request with that method, or with one whose safety is not known, may change what is stored.
pub fn is_unsafe(request: &Request) -> bool {
    // QUERY is safe and idempotent (RFC 10008); CONNECT asks for no resource.
    let is_safe = request.method().is_safe() || request.is_query() || request.method() == Method::Connect;
    !is_safe
}

/// The key of what a request is about: its URI, as it was normalised.
pub fn key(request: &Request) -> Vec<u8> {
    let mut key = Vec::with_capacity(request.path().len() + 48);
    write_key(&mut key, request);
    key
}

/// Puts the key in the place of what is there.
pub fn write_key(key: &mut Vec<u8>, request: &Request) {
    key.clear();
    request.target().host.write(key);
    // The same link-local address is another machine on another network (RFC 4007 section 4).
    if let Host::V6(_, Some(zone)) = &request.target().host {
        key.push(b'%');
        key.extend_from_slice(zone.as_bytes());
    }
    key.push(b':');
    key.extend_from_slice(itoa::Buffer::new().format(request.target().port).as_bytes());
    key.extend_from_slice(request.path());
}

/// The part of a key that names host and port, with what follows it: no host holds a slash.
pub fn site(key: &[u8]) -> &[u8] {
    &key[..key.iter().position(|byte| *byte == b'/').unwrap_or(key.len())]
}

/// The keys that a response to an unsafe request invalidates: its own, and those of Location and Content-Location where they
/// are of the same origin, or anyone could invalidate what is another's. None where the origin failed.
pub fn targets(request: &Request, response: &Response<'_>, rules: &Rules) -> Vec<Vec<u8>> {
    if !is_unsafe(request) || !(200..400).contains(&response.status()) {
        return Vec::new();
    }
    let own = key(request);
    let mut found = Vec::new();
    for name in [&b"location"[..], b"content-location"] {
        let value = response.field(name);
        found.extend(value.and_then(|value| resolved(request, value, rules)).filter(|key| site(key) == site(&own)));
    }
    found.push(own);
    found
}

/// The key of a reference that a response to `request` holds (RFC 3986 section 5).
fn resolved(request: &Request, reference: &[u8], rules: &Rules) -> Option<Vec<u8>> {
    let reference = &reference[..reference.iter().position(|byte| *byte == b'#').unwrap_or(reference.len())];
    let mut target = Vec::new();
    if reference.starts_with(b"http://") || reference.starts_with(b"HTTP://") {
        target.extend_from_slice(reference);
    } else if reference.iter().take_while(|byte| !matches!(byte, b'/' | b'?')).any(|byte| *byte == b':') {
        return None;
    } else {
        target.extend_from_slice(b"http://");
        if let Some(rest) = reference.strip_prefix(b"//") {
            target.extend_from_slice(rest);
        } else {
            request.target().write_authority(&mut target);
            push_path(&mut target, request.path(), reference);
        }
    }
    let other = request.with_target(&target, rules).ok()?;
    Some(key(&other))
}

/// Appends the path that a relative reference means (RFC 3986 section 5.2).
fn push_path(out: &mut Vec<u8>, base: &[u8], reference: &[u8]) {
    let query = |text: &[u8]| text.iter().position(|byte| *byte == b'?').unwrap_or(text.len());
    let base_path = &base[..query(base)];
    let (path, rest) = reference.split_at(query(reference));
    let merged = match path {
        [] if rest.is_empty() => return out.extend_from_slice(base),
        [] => base_path.to_vec(),
        [b'/', ..] => path.to_vec(),
        _ => {
            let folder = base_path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
            [&base_path[..folder], path].concat()
        }
    };
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut segments = merged.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"." | b".." => {
                if segment == b".." {
                    kept.pop();
                }
                if last {
                    kept.push(b"");
                }
            }
            segment => kept.push(segment),
        }
    }
    out.push(b'/');
    out.extend_from_slice(&kept.join(&b'/'));
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Request {
        *Request::parse(format!("{line} HTTP/1.1\r\nHost: a.b\r\n\r\n").as_bytes(), &Rules::default()).unwrap()
    }

    fn invalidated(line: &str, status: u16, fields: &str) -> Vec<String> {
        let request = request(line);
        let text = format!("HTTP/1.1 {status} X\r\n{fields}\r\n");
        let response = Response::parse(text.as_bytes(), request.method()).unwrap();
        let keys = targets(&request, &response, &Rules::default());
        keys.into_iter().map(|key| String::from_utf8(key).unwrap()).collect()
    }

    #[test]
    fn hosts_that_differ_have_keys_that_differ() {
        let lines = [
            "GET http://[fe80::1%25eth0]/",
            "GET http://[fe80::1%25eth1]/",
            "GET http://[fe80::1]/",
            "GET http://a.b/",
            "GET http://a.b:81/",
            "GET http://a.b/1",
        ];
        let keys: std::collections::BTreeSet<Vec<u8>> = lines.iter().map(|line| key(&request(line))).collect();
        assert_eq!(keys.len(), lines.len());
        assert_eq!(key(&request("GET http://A.b.:080?x")), b"a.b:80/?x");
    }

    #[test]
    fn unsafe_and_unknown_methods_invalidate_where_they_succeed() {
        for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"] {
            assert_eq!(invalidated(&format!("{method} http://A.b/x?y"), 200, ""), ["a.b:80/x?y"], "{method}");
            assert!(invalidated(&format!("{method} http://a.b/x"), 500, "").is_empty(), "{method}");
            assert!(invalidated(&format!("{method} http://a.b/x"), 404, "").is_empty(), "{method}");
        }
        for method in ["GET", "HEAD", "OPTIONS", "QUERY"] {
            assert!(invalidated(&format!("{method} http://a.b/x"), 200, "Location: /y\r\n").is_empty(), "{method}");
        }
        assert_eq!(invalidated("POST http://a.b:81/x", 303, ""), ["a.b:81/x"]);
    }

    #[test]
    fn what_a_response_points_at_goes_too_if_it_is_of_the_same_origin() {
        let table = [
            ("http://a.b/y", Some("a.b:80/y")),
            ("http://a.b:80/y#z", Some("a.b:80/y")),
            ("//a.b/y", Some("a.b:80/y")),
            ("/y", Some("a.b:80/y")),
            ("y", Some("a.b:80/p/y")),
            ("./y?z", Some("a.b:80/p/y?z")),
            ("../y", Some("a.b:80/y")),
            ("../../../y/", Some("a.b:80/y/")),
            ("..", Some("a.b:80/")),
            (".", Some("a.b:80/p/")),
            ("?z", Some("a.b:80/p/x?z")),
            ("", Some("a.b:80/p/x?q")),
            ("http://a.b:81/y", None),
            ("http://c.d/y", None),
            ("https://a.b/y", None),
            ("mailto:x", None),
            ("//c.d/y", None),
        ];
        for (reference, want) in table {
            for name in ["Location", "Content-Location"] {
                let found = invalidated("POST http://a.b/p/x?q", 201, &format!("{name}: {reference}\r\n"));
                let mut wanted: Vec<&str> = want.into_iter().collect();
                wanted.push("a.b:80/p/x?q");
                assert_eq!(found, wanted, "{name}: {reference}");
            }
        }
    }

    #[test]
    fn a_key_begins_with_its_site() {
        assert_eq!(site(&key(&request("GET http://a.b:8080/x/y"))), b"a.b:8080");
        assert_eq!(site(b"[::1]:80/x"), b"[::1]:80");
    }
}
