//! Squid's line protocol: the exact lines that helpers read, and what every reply does to a request.

use std::sync::{Arc, Mutex};

use super::{assert_failed, assert_unreadable, carry_on, connect, other_site, post, CONTENT};
use crate::support::{Client, Helpers, Message, Origin, Proxy};

/// What has to come of a request for `/path`.
enum Outcome {
    /// The origin answers for this path.
    Origin(&'static str),
    /// The other origin answers for this path.
    Other(&'static str),
    /// This status and this Location.
    Redirect(u16, &'static str),
    /// The page of this status that contains this.
    Page(u16, &'static str),
    /// The page for replies that cannot be read.
    Unreadable,
    /// The page for failed helpers.
    Failed,
}

use Outcome::{Failed, Origin as At, Other, Page, Redirect, Unreadable};

/// Replies, in which HOST, PORT and OTHER stand for the origin's address, its port and the other origin's port.
const REPLIES: &[(&str, Outcome)] = &[
    ("", At("/path")),
    ("  \t ", At("/path")),
    ("\r", At("/path")),
    ("http://HOST/path", At("/path")),
    ("http://HOST:PORT/path", At("/path")),
    ("http://HOST:PORT/new?a=b", At("/new?a=b")),
    (" http://HOST:PORT/new \r", At("/new")),
    // Without a port it is another server than the one that was asked for.
    ("http://HOST/new", Redirect(302, "http://HOST/new")),
    ("http://elsewhere.test/a?b=c", Redirect(302, "http://elsewhere.test/a?b=c")),
    ("https://elsewhere.test/", Redirect(302, "https://elsewhere.test/")),
    ("https://HOST/path", Redirect(302, "https://HOST/path")),
    ("file://success.html", Page(200, "<html")),
    ("intercept://HOST:OTHER", Other("/path")),
    ("intercept://[::ffff:127.0.0.1]:OTHER", Other("/path")),
    ("redirect://http://elsewhere.test/x", Redirect(302, "http://elsewhere.test/x")),
    ("301:http://elsewhere.test/1", Redirect(301, "http://elsewhere.test/1")),
    ("302:http://elsewhere.test/2", Redirect(302, "http://elsewhere.test/2")),
    ("303:http://elsewhere.test/3", Redirect(303, "http://elsewhere.test/3")),
    ("307:http://elsewhere.test/7", Redirect(307, "http://elsewhere.test/7")),
    ("308:http://elsewhere.test/8", Redirect(308, "http://elsewhere.test/8")),
    ("OK", At("/path")),
    ("OK user=joe tag=x", At("/path")),
    ("ERR", At("/path")),
    ("ERR message=no", At("/path")),
    ("OK rewrite-url=\"http://HOST:PORT/quoted\"", At("/quoted")),
    ("OK rewrite-url=http://HOST:PORT/bare", At("/bare")),
    ("OK rewrite-url=\"http://HOST:OTHER/moved\"", Other("/moved")),
    ("OK status=307 url=\"http://elsewhere.test/q\"", Redirect(307, "http://elsewhere.test/q")),
    ("OK url=\"http://elsewhere.test/u\"", Redirect(302, "http://elsewhere.test/u")),
    ("BH", Failed),
    ("BH message=\"the database is gone\"", Failed),
    ("nonsense", Unreadable),
    ("DENIED", Unreadable),
    ("ok", Unreadable),
    ("304:http://elsewhere.test/", Unreadable),
    ("intercept://", Unreadable),
    ("intercept://HOST:0", Unreadable),
    ("intercept://HOST:99999", Unreadable),
    ("intercept://HOST:OTHER/", Unreadable),
    ("redirect://", Unreadable),
    ("redirect://http://elsewhere.test/\u{1}", Unreadable),
    ("OK rewrite-url=\"http://HOST:PORT/open", Unreadable),
    ("OK rewrite-url=\"http://HOST:PORT/a\\r\\nX-A: b\"", Unreadable),
    ("OK status=307 url=\"http://elsewhere.test/\\r\\nX-A: b\"", Unreadable),
    ("OK status=200 url=\"http://elsewhere.test/\"", Unreadable),
    ("http://", Unreadable),
    ("http://HOST:PORT/a b", Unreadable),
];

/// A proxy whose helper answers what the test wants next, and two origins that the replies speak of.
struct Site {
    origin: Origin,
    other: Origin,
    reply: Arc<Mutex<String>>,
    proxy: Proxy,
    helpers: Helpers,
}

impl Site {
    fn start(options: &[(&str, &str)]) -> Site {
        let reply = Arc::new(Mutex::new(String::new()));
        let said = Arc::clone(&reply);
        let helpers = Helpers::answering(move |line| match line.contains("/path ") {
            true => said.lock().expect("no holder panics").clone(),
            false => String::new(),
        });
        let proxy = helpers.proxy(options);
        Site { origin: Origin::site(), other: other_site(), reply, proxy, helpers }
    }

    fn fill(&self, text: &str) -> String {
        let (port, other) = (self.origin.port().to_string(), self.other.port().to_string());
        text.replace("HOST", "127.0.0.1").replace("PORT", &port).replace("OTHER", &other)
    }

    /// Runs the table with `ask` for each request; the connection must serve a further request after each.
    fn walk(&self, content: &str, ask: impl Fn(&mut Client, &str) -> Message) {
        let mut client = self.proxy.client();
        for (reply, outcome) in REPLIES {
            *self.reply.lock().expect("no holder panics") = self.fill(reply);
            let answer = ask(&mut client, &self.origin.url("/path"));
            eprintln!("{reply:?} gave {answer:?}");
            self.judge(&answer, outcome, content);
            client = carry_on(&self.proxy, client, &answer);
            let next = client.get(&self.origin.url("/next"));
            assert_eq!(next.text(), "/next", "after {reply:?}: {next:?}");
        }
    }

    fn judge(&self, answer: &Message, outcome: &Outcome, content: &str) {
        match outcome {
            // The origin answers with the content of a request, or else its path.
            At(path) if content.is_empty() => assert_eq!(answer.text(), *path),
            At(_) => assert_eq!(answer.text(), content),
            Other(path) => assert_eq!(answer.text(), format!("other {path} {content}")),
            Redirect(status, to) => {
                assert_eq!(answer.status(), *status);
                assert_eq!(answer.value("Location"), Some(self.fill(to)));
                assert!(answer.has("Content-Length"), "its end is not said");
            }
            Page(status, part) => {
                assert_eq!(answer.status(), *status);
                assert!(answer.text().contains(part), "{part:?} is not in it");
            }
            Unreadable => assert_unreadable(answer),
            Failed => assert_failed(answer),
        }
        assert!(!answer.has("X-A"), "a reply has written a field");
    }
}

#[test]
fn every_reply_to_a_get() {
    Site::start(&[]).walk("", |client, url| client.get(url));
}

#[test]
fn every_reply_to_a_post() {
    Site::start(&[]).walk(CONTENT, post);
}

#[test]
fn every_reply_to_a_post_in_chunks() {
    Site::start(&[]).walk(CONTENT, |client, url| {
        let size = CONTENT.len();
        let head = format!("POST {url} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(format!("{head}{size:x}\r\n{CONTENT}\r\n0\r\n\r\n"));
        client.reply()
    });
}

#[test]
fn lines_have_the_form_of_the_original() {
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    let six = Origin::on(std::net::Ipv6Addr::LOCALHOST.into(), crate::support::origin::serve_site);
    let mut client = proxy.client();
    assert_eq!(client.get(&origin.url("/p/q?r=1")).text(), "/p/q?r=1");
    assert_eq!(client.get(&six.url("/six")).text(), "/six");
    assert_eq!(client.get(&origin.url("")).text(), "/");
    assert_eq!(client.get(&origin.url("?a")).text(), "/?a");
    assert_eq!(post(&mut client, &origin.url("/post")).text(), CONTENT);
    let expected = [
        "127.0.0.1/p/q?r=1 127.0.0.1 - GET -",
        "::1/six 127.0.0.1 - GET -",
        "127.0.0.1/ 127.0.0.1 - GET -",
        "127.0.0.1/?a 127.0.0.1 - GET -",
        "127.0.0.1/post 127.0.0.1 - POST -",
    ];
    assert_eq!(helpers.asked(), expected);
}

/// The host of a Host field counts where the target names none.
#[test]
fn requests_in_origin_form_are_asked_about_with_their_host() {
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    client.send(format!("GET /there HTTP/1.1\r\nHost: {}\r\n\r\n", origin.address()));
    assert_eq!(client.reply().text(), "/there");
    assert_eq!(helpers.asked(), ["127.0.0.1/there 127.0.0.1 - GET -"]);
}

/// One request must stay one line, with any bytes in its target.
#[test]
fn no_target_breaks_the_line() {
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    for bytes in [&b"\x0b"[..], b"\xc3\xa9", b"\xff", b"\x7f", b"\t", b"\0", b"%0a", b"\"", b"\\"] {
        let before = helpers.asked().len();
        let mut client = proxy.client();
        let target = [origin.url("/a").as_bytes(), bytes, b"b"].concat();
        client.send([b"GET ", target.as_slice(), b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat());
        let status = client.reply().status();
        let asked = helpers.asked();
        match status {
            200 => assert_eq!(asked.len(), before + 1, "{bytes:?}: {asked:?}"),
            _ => assert_eq!((status, asked.len()), (400, before), "{bytes:?}: {asked:?}"),
        }
        for line in &asked[before..] {
            assert!(line.starts_with("127.0.0.1/a") && line.ends_with("b 127.0.0.1 - GET -"), "{line:?}");
            assert_eq!(line.split_whitespace().count(), 5, "{line:?}");
        }
    }
}

#[test]
fn a_rewritten_request_keeps_the_rest() {
    let site = Site::start(&[]);
    *site.reply.lock().expect("no holder panics") = site.fill("http://HOST:PORT/new");
    let mut client = site.proxy.client();
    let url = site.origin.url("/path");
    client.send(format!("DELETE {url} HTTP/1.1\r\nHost: {}\r\nX-Kept: yes\r\n\r\n", site.origin.address()));
    assert_eq!(client.reply().text(), "/new");
    let head = site.origin.head(0);
    assert_eq!(head.start(), "DELETE /new HTTP/1.1");
    assert_eq!(head.value("Host"), Some(site.origin.address().to_string()));
    assert_eq!(head.value("X-Kept").as_deref(), Some("yes"));
}

#[test]
fn an_intercepted_request_goes_out_unchanged() {
    let site = Site::start(&[]);
    *site.reply.lock().expect("no holder panics") = site.fill("intercept://HOST:OTHER");
    let mut client = site.proxy.client();
    assert_eq!(client.get(&site.origin.url("/path")).text(), "other /path ");
    let head = site.other.head(0);
    assert_eq!(head.start(), "GET /path HTTP/1.1");
    assert_eq!(head.value("Host"), Some(site.origin.address().to_string()));
    assert_eq!(site.origin.connections(), 0);
}

/// A connection that was made for another host must not serve the next request.
#[test]
fn an_interception_holds_for_one_request() {
    let site = Site::start(&[]);
    let mut client = site.proxy.client();
    for _ in 0..3 {
        *site.reply.lock().expect("no holder panics") = site.fill("intercept://HOST:OTHER");
        assert_eq!(client.get(&site.origin.url("/path")).text(), "other /path ");
        *site.reply.lock().expect("no holder panics") = String::new();
        assert_eq!(client.get(&site.origin.url("/path")).text(), "/path");
    }
}

#[test]
fn a_redirect_to_head_has_no_body() {
    let site = Site::start(&[]);
    let mut client = site.proxy.client();
    for reply in ["redirect://http://elsewhere.test/", "file://success.html", "nonsense"] {
        *site.reply.lock().expect("no holder panics") = reply.to_owned();
        client.send(format!("HEAD {} HTTP/1.1\r\nHost: h\r\n\r\n", site.origin.url("/path")));
        client.reply_to("HEAD");
        assert_eq!(client.get(&site.origin.url("/next")).text(), "/next", "after {reply:?}");
    }
}

#[test]
fn an_unreadable_reply_is_shown_in_the_log() {
    let site = Site::start(&[]);
    *site.reply.lock().expect("no holder panics") = "what a \u{1b}[1mstrange\u{7} reply".to_owned();
    assert_unreadable(&site.proxy.client().get(&site.origin.url("/path")));
    site.proxy.wait_log("strange");
    assert!(!site.proxy.log().contains(['\u{1b}', '\u{7}']), "{}", site.proxy.log());
}

/// What a helper wants to have done is held to the same rules as what a client wants.
#[test]
fn a_helper_cannot_reach_what_is_denied() {
    let site = Site::start(&[("security.deny", "127.0.0.77/32")]);
    for reply in ["intercept://127.0.0.77:OTHER", "OK rewrite-url=\"http://127.0.0.77:OTHER/\""] {
        *site.reply.lock().expect("no holder panics") = site.fill(reply);
        let answer = site.proxy.client().get(&site.origin.url("/path"));
        assert_eq!(answer.status(), 403, "{reply}: {answer:?}");
    }
}

#[test]
fn local_pages_cannot_be_left() {
    let site = Site::start(&[]);
    let names = ["missing.html", "../Cargo.toml", "/etc/passwd", "images/../../../etc/passwd", "", "."];
    for name in names {
        *site.reply.lock().expect("no holder panics") = format!("file://{name}");
        let answer = site.proxy.client().get(&site.origin.url("/path"));
        assert!([500, 501].contains(&answer.status()), "{name:?}: {answer:?}");
        assert!(!answer.text().contains("root:"), "{name:?}: {answer:?}");
    }
}

#[test]
fn what_a_client_says_is_inert_in_a_local_page() {
    let site = Site::start(&[]);
    *site.reply.lock().expect("no holder panics") = "file://classify.html".to_owned();
    let mut client = site.proxy.client();
    let url = site.origin.url("/path");
    client.send(format!("GET {url}?<script>alert(1)</script>\"'/path HTTP/1.1\r\nHost: h\r\n\r\n"));
    let answer = client.reply();
    assert!(!answer.text().contains("<script>alert"), "{answer:?}");
}

#[test]
fn the_line_of_squid() {
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&[("redirector.line", "squid")]);
    let origin = Origin::site();
    let mut client = proxy.client();
    assert_eq!(client.get(&origin.url("/p?q=1")).text(), "/p?q=1");
    connect(&mut client, &origin.address().to_string());
    let (port, own) = (origin.port(), proxy.port());
    let expected = [
        format!("http://127.0.0.1:{port}/p?q=1 127.0.0.1/- - GET myip=127.0.0.1 myport={own}"),
        format!("127.0.0.1:{port} 127.0.0.1/- - CONNECT myip=127.0.0.1 myport={own}"),
    ];
    assert_eq!(helpers.asked(), expected);
}

/// Where the line is Squid's, a URL alone is the one to fetch instead.
#[test]
fn the_replies_of_squid() {
    let site = Site::start(&[("redirector.line", "squid")]);
    let mut client = site.proxy.client();
    for (reply, body) in [
        ("http://HOST:PORT/path", "/path"),
        ("http://HOST:PORT/new", "/new"),
        ("http://HOST:OTHER/moved", "other /moved "),
        ("", "/path"),
        ("ERR", "/path"),
        ("OK rewrite-url=\"http://HOST:OTHER/moved\"", "other /moved "),
    ] {
        *site.reply.lock().expect("no holder panics") = site.fill(reply);
        assert_eq!(client.get(&site.origin.url("/path")).text(), body, "{reply}");
    }
    *site.reply.lock().expect("no holder panics") = "302:http://elsewhere.test/".to_owned();
    assert_eq!(client.get(&site.origin.url("/path")).status(), 302);
    assert_eq!(site.helpers.pids().len(), 1);
}
