//! Requests that a helper wants to have sent in place of a client's: read and judged like a client's, and held to what
//! the exchange with the client rests on.

use super::fault::Fault;
use super::framing::Framing;
use super::request::Request;
use super::rules::Rules;
use super::Method;

impl Request {
    /// The same request with another target: `http://host/path`, or for CONNECT `host:port`.
    ///
    /// # Errors
    /// When a client could not have sent it.
    pub fn with_target(&self, target: &[u8], rules: &Rules) -> Result<Box<Request>, Fault> {
        // A blank or a line end would end the target, and what follows it would be read as version and fields.
        if target.iter().any(|byte| matches!(byte, 0..=b' ' | 0x7f)) {
            return Err(Fault::BadTarget);
        }
        let head = self.raw();
        let line_end = head.iter().position(|byte| *byte == b'\n').map_or(head.len(), |end| end + 1);
        let version = self.version().number().as_bytes();
        let mut other = Vec::with_capacity(head.len() + target.len());
        for part in [self.method_name(), b" ", target, b" HTTP/", version, b"\r\n", &head[line_end..]] {
            other.extend_from_slice(part);
        }
        self.parse_like(&other, rules)?.in_place_of(self)
    }

    /// Makes it a stand-in for a client's request: the content that follows is still the client's, and so is the version
    /// in which it wants its response.
    ///
    /// # Errors
    /// When the response to one would not be understood as a response to the other: a HEAD for a GET, a CONNECT for
    /// anything else, and the other way round; content for a TRACE.
    pub fn in_place_of(mut self: Box<Self>, client: &Request) -> Result<Box<Request>, Fault> {
        let agree = |method: Method| (self.method() == method) == (client.method() == method);
        if !agree(Method::Head) || !agree(Method::Connect) {
            return Err(Fault::BadLine);
        }
        let framing = client.framing();
        if self.method() == Method::Trace && !matches!(framing, Framing::Empty) {
            return Err(Fault::BodyForbidden);
        }
        self.substitute(client, framing);
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::super::rewrite;
    use super::*;

    fn parse(text: &str) -> Box<Request> {
        Request::parse(text.as_bytes(), &Rules::default()).unwrap()
    }

    fn sent(request: &Request) -> String {
        let mut out = Vec::new();
        let rules = Rules { transparent: true, ..Rules::default() };
        rewrite::request(&mut out, request, &rules, IpAddr::V4(Ipv4Addr::LOCALHOST).into());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn another_target_brings_its_own_host_and_keeps_everything_else() {
        let post = parse("POST http://a.b/x HTTP/1.1\r\nHost: a.b\r\nA: 1\r\nContent-Length: 5\r\n\r\n");
        let other = post.with_target(b"http://c.d:81/y?z", &Rules::default()).unwrap();
        assert_eq!(sent(&other), "POST /y?z HTTP/1.1\r\nHost: c.d:81\r\nA: 1\r\nContent-Length: 5\r\n\r\n");
        let connect = parse("CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n\r\n");
        let other = connect.with_target(b"c.d:444", &Rules::default()).unwrap();
        assert_eq!((other.target().host.to_string(), other.target().port), ("c.d".into(), 444));
    }

    #[test]
    fn a_target_that_no_client_could_send_is_none() {
        let get = parse("GET http://a.b/x HTTP/1.1\r\nHost: a.b\r\n\r\n");
        for target in
            ["http://a.b/x y", "http://u@a.b/", "http:///", "c.d:443", "http://a.b/\r\nX: y", "", "http://a.b/\0"]
        {
            assert!(get.with_target(target.as_bytes(), &Rules::default()).is_err(), "{target}");
        }
    }

    #[test]
    fn a_target_cannot_bring_fields_along() {
        let get = parse("GET http://a.b/x HTTP/1.1\r\nHost: a.b\r\n\r\n");
        for end in ["\r\n", "\n", "\r"] {
            let target = format!("http://a.b/ HTTP/1.1{end}X-Admin: yes{end}Y:");
            assert_eq!(
                get.with_target(target.as_bytes(), &Rules::default()).err(),
                Some(Fault::BadTarget),
                "{target:?}"
            );
        }
    }

    #[test]
    fn the_content_stays_the_clients_whatever_the_other_head_says() {
        let post = parse("POST http://a.b/ HTTP/1.0\r\nContent-Length: 5\r\n\r\n");
        let other = parse("PUT http://c.d/ HTTP/1.1\r\nHost: c.d\r\nTransfer-Encoding: chunked\r\n\r\n");
        let other = other.in_place_of(&post).unwrap();
        assert_eq!(other.framing(), Framing::Sized(5));
        assert_eq!(other.version(), post.version());
        assert!(sent(&other).starts_with("PUT / HTTP/1.1\r\nHost: c.d\r\nContent-Length: 5\r\n"));
    }

    #[test]
    fn methods_with_responses_of_their_own_stay_among_themselves() {
        let of = |method: &str| {
            let target = if method == "CONNECT" { "a.b:443" } else { "http://a.b/" };
            parse(&format!("{method} {target} HTTP/1.1\r\nHost: a.b\r\n\r\n"))
        };
        for (substitute, client, fits) in [
            ("GET", "POST", true),
            ("HEAD", "HEAD", true),
            ("CONNECT", "CONNECT", true),
            ("HEAD", "GET", false),
            ("GET", "HEAD", false),
            ("CONNECT", "GET", false),
            ("GET", "CONNECT", false),
        ] {
            assert_eq!(of(substitute).in_place_of(&of(client)).is_ok(), fits, "{substitute} for {client}");
        }
    }
}
