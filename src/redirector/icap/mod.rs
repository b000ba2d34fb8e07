//! The dialect `icap://…`: ICAP messages (RFC 3507) over standard input and output, as the original spoke it. A request is
//! a REQMOD without content, line ends are LF, and `Encapsulated` comes last, which helpers rely on:
//!
//! ```text
//! REQMOD icap://srv.name/some/path ICAP/1.0
//! Host: srv.name
//! Pragma: transport=http
//! Pragma: proxy=test
//! Pragma: scheme=http
//! Pragma: accept=192.0.2.254
//! Pragma: accept-port=3128
//! Pragma: client=192.0.2.1
//! Pragma: host=www.a.example
//! Pragma: path=/p?q=1
//! Pragma: method=GET
//! Pragma: user=ann
//! X-Authenticated-User: ann
//! Encapsulated: req-hdr=0, null-body=79
//!
//! GET http://www.a.example/p?q=1 HTTP/1.1 …
//! ```
//!
//! The two lines with a user are there where users prove who they are; then Proxy-Authorization is left out of the head.
//! `message` finds the parts of a reply, `verdict` says what they mean.

mod message;
mod service;
mod verdict;

use super::question::{Extent, Question, ReplyFault};
use crate::http::request::OpaqueKind;
use crate::http::rules::Rules;
use crate::http::target::Host;
use crate::policy::decision::Verdict;

/// How the messages look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Icap {
    /// The text of `redirector.protocol`, which the first line of a request carries.
    pub uri: String,
}

impl Icap {
    /// Appends a REQMOD message with the client's head as it came.
    pub fn encode(&self, out: &mut Vec<u8>, question: &Question<'_>) {
        use std::io::Write;
        let service = self.uri.strip_prefix("icap://").unwrap_or_default();
        let server = service.split('/').next().unwrap_or_default();
        let (accept, port) = (question.local.ip().to_canonical(), question.local.port());
        let client = question.client;
        let scheme = String::from_utf8_lossy(question.request.scheme());
        let (transport, head) = match question.request.opaque_kind() {
            None => (&*scheme, question.request.raw()),
            Some(OpaqueKind::Tls) => ("tls", question.request.content()),
            Some(OpaqueKind::Tcp) => ("tcp", &b""[..]),
            Some(OpaqueKind::Options) => return service::push_question(out, &self.uri, question),
        };
        let tcp = question.request.opaque_kind() == Some(OpaqueKind::Tcp);
        // Writing into a Vec cannot fail.
        let _ = write!(out, "REQMOD {} ICAP/1.0\nHost: {server}\n", self.uri);
        let _ = writeln!(out, "Pragma: transport={transport}");
        if !tcp {
            let _ = write!(out, "Pragma: proxy=test\nPragma: scheme={scheme}\n");
        }
        let _ = write!(out, "Pragma: accept={accept}\nPragma: accept-port={port}\nPragma: client={client}\n");
        if !tcp {
            push_place(out, question);
        }
        out.extend_from_slice(b"Pragma: method=");
        out.extend_from_slice(question.request.method_name());
        out.push(b'\n');
        if question.request.user().is_none() {
            out.extend_from_slice(question.lines);
            let _ = write!(out, "Encapsulated: req-hdr=0, null-body={}\n\n", head.len());
            return out.extend_from_slice(head);
        }
        out.extend_from_slice(b"Pragma: user=");
        question.push_user(out);
        out.push(b'\n');
        // A client of ICAP may have said it in a form of its own.
        if !names_user(question.lines) {
            out.extend_from_slice(b"X-Authenticated-User: ");
            question.push_user(out);
            out.push(b'\n');
        }
        out.extend_from_slice(question.lines);
        // The password is between the user and this proxy.
        let mut head = Vec::with_capacity(head.len());
        question.request.write_without_credentials(&mut head);
        let _ = write!(out, "Encapsulated: req-hdr=0, null-body={}\n\n", head.len());
        out.extend_from_slice(&head);
    }

    /// What a helper says of the service when it is asked about OPTIONS, as lines of a head.
    ///
    /// # Errors
    /// When it says nothing usable.
    pub fn service(reply: &[u8]) -> Result<Vec<u8>, &'static str> {
        service::read(reply)
    }

    /// Where the first message ends. Blank lines in front belong to it: they are what some leave behind a chunked body.
    pub fn extent(bytes: &[u8]) -> Extent {
        message::extent(bytes)
    }

    /// What a message says.
    ///
    /// # Errors
    /// When it says nothing usable.
    pub fn decode(&self, reply: &[u8], question: &Question<'_>, rules: &Rules) -> Result<Verdict, ReplyFault> {
        let message = message::IcapMessage::parse(reply).map_err(ReplyFault::Unreadable)?;
        verdict::read(&message, question, rules).map_err(ReplyFault::Unreadable)
    }
}

/// Whether one of these lines names a user.
fn names_user(lines: &[u8]) -> bool {
    lines.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"X-Authenticated-User: "))
}

/// Host and path. Of TLS only a name is told, and no path.
fn push_place(out: &mut Vec<u8>, question: &Question<'_>) {
    let is_tls = question.request.opaque_kind().is_some();
    out.extend_from_slice(b"Pragma: host=");
    if !is_tls || matches!(question.request.target().host, Host::Name(_)) {
        question.push_host(out);
    }
    out.extend_from_slice(b"\nPragma: path=");
    if !is_tls {
        question.push_path(out);
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::Request;

    #[test]
    fn the_request_is_that_of_the_original_to_the_byte() {
        let icap = Icap { uri: "icap://srv.name/some/path".into() };
        let head = "GET http://a.ok:27900/p?q=1 HTTP/1.1\r\nHost: a.ok:27900\r\nProxy-Connection: k\r\n\r\n";
        let request = Request::parse(head.as_bytes(), &Rules::default()).unwrap();
        let (client, local) = ("127.0.0.1".parse().unwrap(), "127.0.0.1:27128".parse().unwrap());
        let mut out = Vec::new();
        icap.encode(&mut out, &Question { request: &request, client, local, lines: b"" });
        let wanted = "REQMOD icap://srv.name/some/path ICAP/1.0\nHost: srv.name\nPragma: transport=http\n\
            Pragma: proxy=test\nPragma: scheme=http\nPragma: accept=127.0.0.1\nPragma: accept-port=27128\n\
            Pragma: client=127.0.0.1\nPragma: host=a.ok\nPragma: path=/p?q=1\nPragma: method=GET\n\
            Encapsulated: req-hdr=0, null-body=79\n\n";
        assert_eq!(String::from_utf8(out).unwrap(), format!("{wanted}{head}"));
    }

    #[test]
    fn connect_has_a_path_and_an_ipv6_host_no_brackets() {
        let icap = Icap { uri: "icap://srv".into() };
        let head = "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: x\r\n\r\n";
        let request = Request::parse(head.as_bytes(), &Rules::default()).unwrap();
        let (client, local) = ("::ffff:192.0.2.1".parse().unwrap(), "[2001:db8::9]:3128".parse().unwrap());
        let mut out = Vec::new();
        icap.encode(&mut out, &Question { request: &request, client, local, lines: b"" });
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("REQMOD icap://srv ICAP/1.0\nHost: srv\n"), "{text}");
        assert!(text.contains("\nPragma: accept=2001:db8::9\nPragma: accept-port=3128\nPragma: client=192.0.2.1\n"));
        assert!(text.contains("\nPragma: host=2001:db8::1\nPragma: path=/\nPragma: method=CONNECT\n"), "{text}");
    }

    #[test]
    fn a_user_is_named_and_the_password_kept_back() {
        let icap = Icap { uri: "icap://srv".into() };
        let head = "GET http://a.ok/ HTTP/1.1\r\nHost: a.ok\r\nProxy-Authorization: Basic YQ==\r\nA: b\r\n\
            proxy_authorization:  Basic YQ== \r\nC: d\r\n\r\n";
        let mut request = Request::parse(head.as_bytes(), &Rules::default()).unwrap();
        request.set_user(Some("an n%\n".into()));
        let (client, local) = ("192.0.2.1".parse().unwrap(), "192.0.2.2:3128".parse().unwrap());
        let mut out = Vec::new();
        icap.encode(&mut out, &Question { request: &request, client, local, lines: b"" });
        let text = String::from_utf8(out).unwrap();
        let end = "\nPragma: method=GET\nPragma: user=an%20n%25%0A\nX-Authenticated-User: an%20n%25%0A\n\
            Encapsulated: req-hdr=0, null-body=53\n\n\
            GET http://a.ok/ HTTP/1.1\r\nHost: a.ok\r\nA: b\r\nC: d\r\n\r\n";
        assert!(text.ends_with(end), "{text}");
    }
}
