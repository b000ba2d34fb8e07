//! Replies of helpers. For every reply, a verdict holds to what the client's exchange rests on, and nothing that goes
//! to a client or an origin can break a line. Where a reply ends does not depend on what comes behind it.

use super::{outcome, rough};
use exaproxy::http::answer::Answer;
use exaproxy::http::request::Request;
use exaproxy::http::rules::{Rules, ToClient};
use exaproxy::http::{rewrite, Method, Version};
use exaproxy::policy::decision::Verdict;
use exaproxy::redirector::dialect::Dialect;
use exaproxy::redirector::icap::Icap;
use exaproxy::redirector::question::{Extent, Question, ReplyFault};
use exaproxy::redirector::url::extras::Extras;
use exaproxy::redirector::url::{LineForm, Url};
use std::mem::discriminant;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub(super) const LINES: &[&[u8]] = &[
    b"\n",
    b"http://a.example:81/other\n",
    b"http://b.example/\n",
    b"file://deny.html\n",
    b"intercept://[2001:db8::1]:81\n",
    b"redirect://https://b.example/x\n",
    b"308:http://b.example/\n",
    b"OK status=302 url=\"http://b.example/\\\"\" note_=x\n",
    b"OK rewrite-url=http%3A//b.example/\n",
    b"7 BH message=\"no\"\n",
    b"OK rewrite-url=\"http://b.example/ HTTP/1.1\\r\\nX: y\"\n",
    b"OK rewrite-url=b.example:444 url_=x\n",
    b"OK url=http://b.example/a%2520b%20c%%d%0d%0a%00\n",
];

/// A text of `redirector.extras`, a line feed, and the head of a request.
pub(super) const QUESTIONS: &[&[u8]] = &[
    b"%>a/%>A %un %>rm myip=%la myport=%lp\nGET http://a.example:81/p?q HTTP/1.1\r\nHost: a.example:81\r\n\r\n",
    b"ua=\"%{User-Agent}>h\" [%>ru] %'{X}>h %#>rp %%\nPOST http://a/\"\xe9 HTTP/1.1\r\nUser-Agent: a \"b\" \\\r\nX: a\tb\r\n\r\n",
    b"%DST%PORT%note{x}%ssl::>sni%>h{Host}\nCONNECT [2001:db8::1]:444 HTTP/1.0\r\nHost: a\r\n\r\n",
];

pub(super) const MESSAGES: &[&[u8]] = &[
    b"ICAP/1.0 204 No Content\n\n",
    b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, null-body=26\r\n\r\nHTTP/1.1 403 No\r\nX: y\r\n\r\n",
    b"ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, res-body=17\n\nHTTP/1.1 200 OK\n\n5\nhello\n0\n\n",
    b"ICAP/1.0 200 OK\nEncapsulated: req-hdr=0, null-body=48\n\nGET http://b.example/ HTTP/1.1\nHost: b.example\n\n\n",
    b"ICAP/1.0 200 OK\nX-Intercept: active\nEncapsulated: req-hdr=0, null-body=23\n\nCONNECT b:81 HTTP/1.1\n\n",
    b"ICAP/1.0 200 OK\nEncapsulated: req-hdr=0, null-body=56\n\nCONNECT b:81\n\nGET http://a.example/ HTTP/1.1\nHost: a.ok\n\n",
    b"ICAP/1.0 2x4 OK\nEncapsulated: res-hdr=1, null-body=25\n\nICAP/1.0 204 No Content\n\n",
    b"ICAP/1.0 302 OK\nEncapsulated: res-hdr=0, null-body=28\n\nHTTP/1.1 403 No\nX: y\n \n{\n}\n\n",
    b"ICAP/1.0 302 OK\nPragma: comment: x\nEncapsulated: res-hdr=0, null-body=35\n\nGET file://deny.html HTTP/1.1\r\n\r\n\r\n\r\n",
];

const CLIENTS: [&str; 4] = [
    "GET http://a.example:81/p?q HTTP/1.1\r\nHost: a.example:81\r\n\r\n",
    "POST http://a.example:81/ HTTP/1.0\r\nContent-Length: 5\r\n\r\n",
    "HEAD http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
];

/// Bytes at the end of a reply that come one by one: each is a search from the start.
const PIECES: usize = 512;

pub(super) fn url(bytes: &[u8]) -> u64 {
    let mut seen = 0;
    for line in LineForm::ALL {
        for concurrency in [0, 2] {
            seen ^= reply(&Dialect::Url(Url { line, extras: "".parse().expect("a text"), concurrency }), bytes);
        }
    }
    seen
}

/// A question is one line for every request, and a text that is taken is printed as it was.
pub(super) fn question(bytes: &[u8]) -> u64 {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return outcome("no head") };
    let Ok(text) = std::str::from_utf8(&bytes[..end]) else { return outcome("no text") };
    let extras: Extras = match text.parse() {
        Ok(extras) => extras,
        Err(error) => return outcome(discriminant(&error)),
    };
    assert_eq!(extras.to_string(), text);
    let Ok(request) = Request::parse(&bytes[end + 1..], &Rules::default()) else { return outcome("no request") };
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let question =
        Question { request: &request, client: address.into(), local: SocketAddr::new(address, 3128), lines: b"" };
    let mut out = Vec::new();
    Url { line: LineForm::Squid, extras, concurrency: 0 }.encode(&mut out, &question, 0);
    let ends = out.iter().filter(|byte| matches!(byte, b'\n' | b'\r' | 0)).count();
    let given = text.bytes().filter(|byte| matches!(byte, b'\n' | b'\r' | 0)).count();
    assert!(out.ends_with(b"\n") && ends <= given + 1, "more than a line: {}", out.escape_ascii());
    outcome(rough(out.len()))
}

pub(super) fn icap(bytes: &[u8]) -> u64 {
    reply(&Dialect::Icap(Icap { uri: "icap://server/path".into() }), bytes)
}

fn reply(dialect: &Dialect, bytes: &[u8]) -> u64 {
    let first = match dialect.extent(bytes) {
        Extent::Complete(length) => {
            assert!(length > 0 && length <= bytes.len());
            let alone = &bytes[..length];
            assert_eq!(dialect.extent(alone), Extent::Complete(length), "what follows decides where a reply ends");
            for before in length.saturating_sub(PIECES)..length {
                assert_eq!(dialect.extent(&bytes[..before]), Extent::Partial, "a reply ends before its last byte");
            }
            alone
        }
        // The parser must bear what its scanner would not have let through, too.
        Extent::Partial | Extent::Hopeless(_) => bytes,
    };
    let _ = dialect.channel(first);
    let mut seen = Vec::new();
    for client in CLIENTS {
        let rules = Rules::default();
        let request = Request::parse(client.as_bytes(), &rules).expect("a request without fault");
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let question =
            Question { request: &request, client: address.into(), local: SocketAddr::new(address, 3128), lines: b"" };
        seen.push(match dialect.decode(first, &question, &rules) {
            Ok(Verdict::Permit) => {
                assert!(permits(first, &request), "a permission: {}", first.escape_ascii());
                2
            }
            Ok(Verdict::Rewrite(other)) => {
                let lines = matches!(dialect, Dialect::Url(_));
                assert!(
                    !lines || other.fields().eq(request.fields()),
                    "a URL brought fields: {}",
                    first.escape_ascii()
                );
                stands_in(&other, &request, &rules)
            }
            Ok(verdict) => check(verdict, &request, &rules),
            Err(ReplyFault::Unreadable(why)) => outcome(why),
            Err(ReplyFault::Broken(_)) => 1,
        });
    }
    outcome(seen)
}

/// Is it one of the few things that may be understood as a permission?
fn permits(reply: &[u8], client: &Request) -> bool {
    let mut words = reply.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).peekable();
    words.next_if(|word| word.iter().all(u8::is_ascii_digit));
    let place = client.target().to_string();
    let path = if client.method() == Method::Connect { b"/" } else { client.path() };
    let path = String::from_utf8_lossy(path);
    let own = [format!("http://a.example{path}"), format!("http://{place}{path}"), place.clone()];
    match (words.next(), words.next()) {
        (None | Some(b"OK" | b"ERR"), _) => true,
        (Some(b"ICAP/1.0"), Some(code)) => matches!(code, b"204" | b"304"),
        (Some(url), _) => own.iter().any(|own| own.as_bytes() == url),
    }
}

/// A stand-in goes out as one head, and leaves the content and the version to the client.
fn stands_in(other: &Request, client: &Request, rules: &Rules) -> u64 {
    for method in [Method::Head, Method::Connect] {
        assert_eq!(other.method() == method, client.method() == method);
    }
    assert_eq!((other.framing(), other.version()), (client.framing(), client.version()));
    let mut head = Vec::new();
    rewrite::request(&mut head, other, rules, IpAddr::V4(Ipv4Addr::LOCALHOST).into());
    super::heads::assert_one_head(&head);
    // The limit of heads is for those that come in.
    let any_length = Rules { head_limit: 0, ..Rules::default() };
    let again = Request::parse(&head, &any_length).expect("what goes to an origin can be read");
    assert_eq!(again.framing(), client.framing(), "framed anew: {}", head.escape_ascii());
    outcome((3, rough(head.len()), other.destination().port == other.target().port))
}

fn check(verdict: Verdict, client: &Request, rules: &Rules) -> u64 {
    match verdict {
        Verdict::Permit | Verdict::Rewrite(_) => 2,
        Verdict::Intercept(to, header) => {
            outcome((4, to.port == client.target().port, header.map(|header| header.name())))
        }
        Verdict::Parent(to) => outcome((7, to.port == client.target().port)),
        Verdict::File(page) => outcome((5, rough(page.name.len()), page.status.is_some())),
        Verdict::Redirect(answer) => {
            assert!((301..=308).contains(&answer.status));
            written(&answer, client, rules)
        }
        Verdict::Answer(answer) => {
            let tunnel = client.method() == Method::Connect && answer.status < 300;
            assert!(!tunnel, "an answer that looks like an open tunnel");
            written(&answer, client, rules)
        }
    }
}

/// An answer has one head, which ends where its content begins.
fn written(answer: &Answer, client: &Request, rules: &Rules) -> u64 {
    let to = ToClient {
        version: Version::Http11,
        method: client.method(),
        keep_alive: true,
        upgrade: false,
        date: "NOW",
        rules,
    };
    let mut out = Vec::new();
    answer.write(&mut out, &to, usize::MAX);
    let bare = matches!(answer.status, 204 | 304) || client.method() == Method::Head;
    let content = if bare { 0 } else { answer.body.len() };
    let head = &out[..out.len() - content];
    let text = String::from_utf8_lossy(head);
    assert!(text.ends_with("\r\n\r\n") && text.matches("\r\n\r\n").count() == 1, "{text}");
    assert!(text.split("\r\n").all(|line| !line.contains(['\r', '\n', '\0'])), "{text}");
    let lengths = text.lines().filter(|line| line.to_ascii_lowercase().starts_with("content-length:")).count();
    assert_eq!(lengths, usize::from(!matches!(answer.status, 204 | 304)), "{text}");
    outcome((6, answer.status, rough(answer.fields.len())))
}
