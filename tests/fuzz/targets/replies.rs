//! Replies of helpers: whatever a program writes, its replies end at the same places however the bytes come, and what is
//! understood can be sent on as one head. The first byte chooses the dialect's form and the request that was asked about.

use super::{outcome, rough};
use exaproxy::decision::Verdict;
use exaproxy::http::answer::Answer;
use exaproxy::http::head::HeadScan;
use exaproxy::http::request::Request;
use exaproxy::http::rewrite;
use exaproxy::http::rules::{Rules, ToClient};
use exaproxy::http::Method;
use exaproxy::redirector::dialect::{Dialect, Extent, Question, Trouble};
use exaproxy::redirector::icap::Icap;
use exaproxy::redirector::url::{Line, Url};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub(super) const LINES: &[&[u8]] = &[
    b"\x00\n",
    b"\x01OK rewrite-url=\"http://b.ok:81/x\\\"\\\\\" tag=x\r\n",
    b"\x03OK status=302 url=\"http://b.ok/\"\n",
    b"\x04302:http://b.ok/?a=b\n",
    b"\x05BH message=\"no\\r\\ndatabase\"\n",
    b"\x06http://a.ok:27900/other?x\n",
    b"\x00intercept://[2001:db8::1]:81\n",
    b"\x01file://deny.html\n",
    b"\x027 OK url=http%3A//b.ok/\n8 ERR\n",
    b"\x07OK rewrite-url=b.ok:444\n",
];

pub(super) const MESSAGES: &[&[u8]] = &[
    b"\x00ICAP/1.0 204 No Content\n\n",
    b"\x01ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, res-body=29\n\nHTTP/1.1 403 Forbidden\nX: y\n\n5\r\nhello\r\n0\r\n\r\n",
    b"\x02ICAP/1.0 200 OK\r\nEncapsulated: req-hdr=0, null-body=48\r\n\r\nPOST http://b.ok/x HTTP/1.1\nHost: b.ok\nCookie: 1\n\n",
    b"\x00ICAP/1.0 302 x\nEncapsulated: res-hdr=0, null-body=33\n\nGET file://deny.html HTTP/1.1\r\n\r\n",
    b"\x03ICAP/1.0 200 OK\nX-Intercept: active\nEncapsulated: req-hdr=0, null-body=27\n\nCONNECT b.ok:444 HTTP/1.1\n\n",
    b"\x00ICAP/1.0 200 OK\nPragma: comment: x\nEncapsulated: req-hdr=0, null-body=51\n\nCONNECT b.ok:81\n\nGET http://a.ok/ HTTP/1.1\nHost: a.ok\n\n",
];

const REQUESTS: [&[u8]; 4] = [
    b"GET http://a.ok:27900/p?q HTTP/1.1\r\nHost: a.ok\r\nCookie: c=1\r\n\r\n",
    b"POST http://a.ok/ HTTP/1.0\r\nContent-Length: 5\r\n\r\n",
    b"HEAD http://[2001:db8::1]/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT a.ok:443 HTTP/1.1\r\nHost: a.ok:443\r\n\r\n",
];

/// Longest input that is given in pieces too: each piece is a search from the start.
const MAX_PIECEWISE: usize = 1024;

pub(super) fn url_reply(bytes: &[u8]) -> u64 {
    let Some((choice, bytes)) = bytes.split_first() else { return outcome("empty") };
    let line = if choice & 4 == 0 { Line::Exaproxy } else { Line::Squid };
    let concurrency = if choice & 2 == 0 { 0 } else { 5 };
    // Both of the requests that a line is read differently for.
    let request = REQUESTS[if choice & 1 == 0 { 0 } else { 3 }];
    run(&Dialect::Url(Url { line, concurrency }), request, bytes)
}

pub(super) fn icap_reply(bytes: &[u8]) -> u64 {
    let Some((choice, bytes)) = bytes.split_first() else { return outcome("empty") };
    let icap = Icap { uri: "icap://srv.name/path".into() };
    run(&Dialect::Icap(icap), REQUESTS[usize::from(choice & 3)], bytes)
}

fn run(dialect: &Dialect, head: &[u8], bytes: &[u8]) -> u64 {
    let rules = Rules::default();
    let request = Request::parse(head, &rules).expect("these requests are good");
    let client = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    let question = Question { request: &request, client, local: SocketAddr::new(client, 3128) };
    let whole = dialect.extent(bytes);
    let end = match whole {
        Extent::Complete(end) => end,
        Extent::Partial => return outcome("partial"),
        Extent::Hopeless(why) => return outcome(why),
    };
    assert!(end > 0 && end <= bytes.len(), "a reply of {end} bytes in {}", bytes.len());
    for length in 0..end.min(MAX_PIECEWISE) {
        assert_eq!(dialect.extent(&bytes[..length]), Extent::Partial, "{length} of {end} bytes");
    }
    assert_eq!(dialect.extent(&bytes[..end]), whole, "the same end without what follows");
    let reply = &bytes[..end];
    let channel = dialect.channel(reply);
    match dialect.decode(reply, &question, &rules) {
        Ok(verdict) => outcome((channel.map(|number| number.min(9)), examine(&verdict, &request, reply))),
        Err(Trouble::Broken(message)) => outcome(("broken", rough(message.len()))),
        Err(Trouble::Unreadable(why)) => outcome((why, channel.is_some())),
    }
}

/// What a verdict brings about, as a number, once it is seen that it can be sent.
fn examine(verdict: &Verdict, client: &Request, reply: &[u8]) -> u64 {
    match verdict {
        Verdict::Permit => {
            assert!(permits(reply), "a permission: {}", reply.escape_ascii());
            outcome("permit")
        }
        Verdict::Rewrite(other) => {
            stands_in(other, client);
            outcome(("rewrite", other.method() as u8, other.destination().port == other.target().port))
        }
        Verdict::Intercept(to) => outcome(("intercept", to.port == client.target().port)),
        Verdict::Redirect(answer) => {
            assert!(matches!(answer.status, 301 | 302 | 303 | 307 | 308), "{answer:?}");
            outcome(("redirect", answers(answer, client)))
        }
        Verdict::File { name, comment } => outcome(("file", rough(name.len()), rough(comment.len()))),
        Verdict::Answer(answer) => outcome(("answer", answers(answer, client))),
    }
}

/// Is it one of the few things that may be understood as a permission?
fn permits(reply: &[u8]) -> bool {
    let mut words = reply.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).peekable();
    if words.peek().is_some_and(|word| word.iter().all(u8::is_ascii_digit)) {
        words.next();
    }
    match (words.next(), words.next()) {
        (None | Some(b"OK" | b"ERR"), _) => true,
        (Some(b"ICAP/1.0"), Some(code)) => matches!(code, b"204" | b"304"),
        (Some(url), _) => {
            [&b"http://a.ok/p?q"[..], b"http://a.ok:27900/p?q", b"http://a.ok/", b"a.ok:443"].contains(&url)
        }
    }
}

/// A stand-in goes out as one head, which is read as the same, and leaves the content and the version to the client.
fn stands_in(other: &Request, client: &Request) {
    assert_eq!((other.framing(), other.version()), (client.framing(), client.version()));
    assert_eq!(other.method() == Method::Head, client.method() == Method::Head);
    assert_eq!(other.method() == Method::Connect, client.method() == Method::Connect);
    let mut out = Vec::new();
    rewrite::request(&mut out, other, &Rules::default(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    super::heads::assert_one_head(&out);
    let unlimited = Rules { head_limit: 0, ..Rules::default() };
    let again = Request::parse(&out, &unlimited).expect("what we send would be accepted by us");
    assert_eq!((again.method_name(), &again.target().host), (other.method_name(), &other.target().host));
    assert_eq!(again.framing(), client.framing(), "framed anew: {}", out.escape_ascii());
}

/// An answer goes out as one head that tells how long the body is, and is no open tunnel.
fn answers(answer: &Answer, client: &Request) -> (u16, u32) {
    assert!((200..600).contains(&answer.status), "{answer:?}");
    assert!(client.method() != Method::Connect || answer.status >= 300, "an open tunnel: {answer:?}");
    let rules = Rules::default();
    let date = "Thu, 01 Jan 2026 00:00:00 GMT";
    let (version, method) = (client.version(), client.method());
    let mut out = Vec::new();
    answer.write(&mut out, &ToClient { version, method, keep_alive: true, upgrade: false, date, rules: &rules });
    let end = HeadScan::default().find(&out).expect("an answer has a head");
    let bare = matches!(answer.status, 204 | 304) || method == Method::Head;
    assert_eq!(out.len() - end, if bare { 0 } else { answer.body.len() }, "{}", out.escape_ascii());
    super::heads::assert_one_head(&out[..end]);
    let text = String::from_utf8_lossy(&out[..end]).to_ascii_lowercase();
    let lengths = text.lines().filter(|line| line.starts_with("content-length:")).count();
    assert_eq!(lengths, usize::from(!matches!(answer.status, 204 | 304)), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("transfer-encoding:")), "{text}");
    (answer.status / 100, rough(answer.fields.len()))
}
