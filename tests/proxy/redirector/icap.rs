//! ICAP messages over standard input and output: the exact question, and what every reply does to a request.

use std::sync::{Arc, Mutex};

use super::{assert_failed, carry_on, connect, other_site, post, CONTENT};
use crate::support::{eventually, Client, Helpers, Message, Origin, Proxy};

/// What has to come of a request for `/path`.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// The origin answers for this path.
    Origin(&'static str),
    /// The other origin answers for this path.
    Other(&'static str),
    /// An answer of this status with this body.
    Answer(u16, &'static str),
    /// A page of this status.
    Page(u16),
    /// The page for failed helpers.
    Failed,
}

use Outcome::{Answer, Failed, Origin as At, Other, Page};

/// Replies to a GET, in which HOST stands for the origin's address and port, OTHER for the other origin's, and LEN for
/// the number of bytes between the first blank line and the end or the bar `|`, which is left out.
const REPLIES: &[(&str, Outcome)] = &[
    ("ICAP/1.0 204 No Content\n\n", At("/path")),
    ("ICAP/1.0 204 No Content\r\n\r\n", At("/path")),
    ("ICAP/1.0 304 Not Modified\n\n", At("/path")),
    ("ICAP/1.0 204 Fine\nPragma: comment: all is well\nX-Other: y\n\n", At("/path")),
    ("ICAP/1.0 200 OK\nEncapsulated: req-hdr=0, null-body=LEN\n\nGET http://HOST/new HTTP/1.1\r\nHost: HOST\r\n\r\n", At("/new")),
    ("ICAP/1.0 200 OK\nEncapsulated: req-hdr=0, null-body=LEN\n\nGET http://HOST/new HTTP/1.1\nHost: HOST\n\n", At("/new")),
    ("ICAP/1.0 200 OK\nEncapsulated: req-hdr=0, null-body=LEN\n\nGET http://OTHER/new HTTP/1.1\nHost: OTHER\n\n", Other("/new")),
    ("ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, null-body=LEN\n\nGET http://OTHER/new HTTP/1.1\nHost: OTHER\n\n", Other("/new")),
    (
        "ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, null-body=LEN\n\nHTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        Answer(403, ""),
    ),
    (
        "ICAP/1.0 302 Moved\nEncapsulated: res-hdr=0, null-body=LEN\n\nHTTP/1.1 302 Moved\nLocation: http://e/\n\n",
        Answer(302, ""),
    ),
    (
        "ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, res-body=LEN\n\nHTTP/1.1 200 OK\nContent-Type: text/plain\n\n|\
         5\r\nhello\r\n7\r\n, there\r\n0\r\n\r\n",
        Answer(200, "hello, there"),
    ),
    (
        "ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, res-body=LEN\n\nHTTP/1.1 200 OK\nContent-Length: 999\n\n|5\nhello\n0\n",
        Answer(200, "hello"),
    ),
    (
        "ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, null-body=LEN\n\nCONNECT OTHER HTTP/1.1\n\n\
         GET http://HOST/second HTTP/1.1\nHost: HOST\n\n",
        Other("/second"),
    ),
    ("ICAP/1.0 200 OK\nEncapsulated: req-hdr=0, null-body=LEN\n\nCONNECT OTHER HTTP/1.1\nHost: OTHER\n\n", Other("/path")),
    (
        "ICAP/1.0 200 OK\nX-Intercept: active\nEncapsulated: req-hdr=0, null-body=LEN\n\nCONNECT OTHER HTTP/1.1\n\n",
        Other("/path"),
    ),
    ("ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, null-body=LEN\n\nGET file://success.html HTTP/1.1\n\n", Page(200)),
    // As the shipped icap-deny of the original says it, which then permitted everything.
    ("ICAP/1.0 302 Deny\nEncapsulated: res-hdr=0, null-body=LEN\n\nGET file://deny.html HTTP/1.1\n\n", Page(200)),
    ("ICAP/1.0 404 Not Found\n\n", Failed),
    ("ICAP/1.0 500 Trouble\n\n", Failed),
    ("ICAP/1.0 403 Forbidden\n\n", Failed),
    ("ICAP/1.0 100 Continue\n\n", Failed),
    ("ICAP/1.0 200 OK\n\n", Failed),
    ("ICAP/2.0 204 No Content\n\n", Failed),
    ("HTTP/1.1 204 No Content\n\n", Failed),
    ("nonsense\n\n", Failed),
    ("ICAP/1.0 204 x\nno colon here\n\n", Failed),
    ("ICAP/1.0 200 OK\nEncapsulated: req-hdr=0, null-body=LEN\n\nno request at all\n\n", Failed),
    ("ICAP/1.0 200 OK\nEncapsulated: req-hdr=0, null-body=LEN\n\nGET / HTTP/1.1\nX : y\n\n", Failed),
    ("ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, null-body=LEN\n\nHTTP/1.1 100 Continue\n\n", Failed),
    ("ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, null-body=LEN\n\nHTTP/1.1 999 Odd\n\n", Failed),
];

/// A proxy whose helper says about `/path` what the test wants next, and two origins.
struct Site {
    origin: Origin,
    other: Origin,
    reply: Arc<Mutex<Vec<u8>>>,
    proxy: Proxy,
    helpers: Helpers,
}

impl Site {
    fn start(options: &[(&str, &str)]) -> Site {
        let reply = Arc::new(Mutex::new(Vec::new()));
        let said = Arc::clone(&reply);
        let helpers = Helpers::answering_icap(move |question| {
            match question.contains("/path\n") || question.contains("method=CONNECT") {
                true => said.lock().expect("no holder panics").clone(),
                false => b"ICAP/1.0 204 No Content\n\n".to_vec(),
            }
        });
        let options = [&[("redirector.protocol", "icap://filter/x")], options].concat();
        let proxy = helpers.proxy(&options);
        Site { origin: Origin::site(), other: other_site(), reply, proxy, helpers }
    }

    fn say(&self, text: &str) {
        let (host, other) = (self.origin.address().to_string(), self.other.address().to_string());
        *self.reply.lock().expect("no holder panics") = measured(&text.replace("HOST", &host).replace("OTHER", &other));
    }

    fn walk(&self, content: &str, ask: impl Fn(&mut Client, &str) -> Message) {
        let mut client = self.proxy.client();
        for (reply, outcome) in REPLIES {
            self.say(reply);
            let answer = ask(&mut client, &self.origin.url("/path"));
            eprintln!("{reply:?} gave {answer:?}");
            judge(&answer, *outcome, content);
            client = carry_on(&self.proxy, client, &answer);
            let next = client.get(&self.origin.url("/next"));
            assert_eq!(next.text(), "/next", "after {reply:?}: {next:?}");
        }
    }
}

fn judge(answer: &Message, outcome: Outcome, content: &str) {
    match outcome {
        At(path) if content.is_empty() => assert_eq!(answer.text(), path),
        At(_) => assert_eq!(answer.text(), content),
        Other(path) => assert_eq!(answer.text(), format!("other {path} {content}")),
        Answer(status, body) => {
            assert_eq!((answer.status(), answer.text().as_str()), (status, body));
            assert_eq!(answer.value("Content-Length"), Some(body.len().to_string()));
        }
        Page(status) => {
            assert_eq!(answer.status(), status);
            assert!(answer.text().contains("<html"));
        }
        Failed => assert_failed(answer),
    }
}

/// Puts the length of what is encapsulated in place of LEN.
fn measured(text: &str) -> Vec<u8> {
    let content = text.split_once("\n\n").or_else(|| text.split_once("\r\n\r\n")).map_or("", |(_, content)| content);
    let length = content.split('|').next().unwrap_or_default().len();
    text.replace("LEN", &length.to_string()).replace('|', "").into_bytes()
}

#[test]
fn every_reply_to_a_get() {
    Site::start(&[]).walk("", |client, url| client.get(url));
}

/// A helper sees no content, and what it says about the head does not change it.
#[test]
fn every_reply_to_a_post() {
    let site = Site::start(&[]);
    site.walk(CONTENT, post);
    assert!(site.helpers.asked().iter().all(|asked| !asked.contains(CONTENT)));
}

#[test]
fn the_question_has_the_form_of_the_original() {
    let helpers = Helpers::answering_icap(|_| b"ICAP/1.0 204 No Content\n\n".to_vec());
    let proxy = helpers.proxy(&[("redirector.protocol", "icap://srv.name/some/path")]);
    let origin = Origin::site();
    let mut client = proxy.client();
    let authority = origin.address();
    let head = format!("GET http://{authority}/p?q=1 HTTP/1.1\r\nHost: {authority}\r\nProxy-Connection: k\r\n\r\n");
    client.send(&head);
    assert_eq!(client.reply().text(), "/p?q=1");
    let length = head.len();
    let own = proxy.port();
    let expected = format!(
        "REQMOD icap://srv.name/some/path ICAP/1.0\nHost: srv.name\nPragma: transport=http\nPragma: proxy=test\n\
         Pragma: scheme=http\nPragma: accept=127.0.0.1\nPragma: accept-port={own}\nPragma: client=127.0.0.1\n\
         Pragma: host=127.0.0.1\nPragma: path=/p?q=1\nPragma: method=GET\n\
         Encapsulated: req-hdr=0, null-body={length}\n\n{head}"
    );
    assert_eq!(helpers.asked(), [expected]);
    // What the origin gets has gone through the proxy's own rules all the same.
    let received = origin.head(0);
    assert_eq!(received.start(), "GET /p?q=1 HTTP/1.1");
    assert!(received.has("Via") && !received.has("Proxy-Connection"), "{received:?}");
}

#[test]
fn the_question_about_connect_has_the_same_form() {
    let helpers = Helpers::answering_icap(|_| b"ICAP/1.0 204 No Content\n\n".to_vec());
    let proxy = helpers.proxy(&[("redirector.protocol", "icap://filter/x")]);
    let origin = Origin::echo();
    proxy.client().tunnel(&origin.address().to_string());
    let asked = helpers.asked().concat();
    let authority = origin.address();
    assert!(asked.contains("Pragma: host=127.0.0.1\nPragma: path=/\nPragma: method=CONNECT\n"), "{asked}");
    assert!(asked.ends_with(&format!("\n\nCONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n")), "{asked}");
}

#[test]
fn connect_and_its_replies() {
    let site = Site::start(&[]);
    let echo = Origin::start(|peer| {
        peer.send("echo")?;
        peer.hold()
    });
    let request = "Encapsulated: req-hdr=0, null-body=LEN\n\n";
    let answer = "Encapsulated: res-hdr=0, null-body=LEN\n\n";
    let to = echo.address();
    for (reply, status) in [
        (format!("ICAP/1.0 200 OK\n{request}CONNECT {to} HTTP/1.1\nHost: {to}\n\n"), 200),
        (format!("ICAP/1.0 200 OK\n{answer}CONNECT {to} HTTP/1.1\n\n"), 200),
        (format!("ICAP/1.0 200 OK\nX-Intercept: active\n{request}CONNECT {to} HTTP/1.1\n\n"), 200),
        (format!("ICAP/1.0 200 OK\n{request}CONNECT {to} HTTP/1.1\n\nCONNECT HOST HTTP/1.1\nHost: HOST\n\n"), 200),
        (format!("ICAP/1.0 200 OK\n{answer}HTTP/1.1 302 Moved\nLocation: http://e/\n\n"), 302),
        (format!("ICAP/1.0 302 Moved\n{answer}HTTP/1.1 302 Moved\nLocation: http://e/\n\n"), 302),
        (format!("ICAP/1.0 200 OK\n{answer}HTTP/1.1 403 No\n\n"), 403),
        // A page that looks like an open tunnel does not go out as one.
        (format!("ICAP/1.0 200 OK\n{answer}HTTP/1.1 200 OK\n\n"), 403),
        (format!("ICAP/1.0 200 OK\n{answer}GET file://success.html HTTP/1.1\n\n"), 403),
        ("ICAP/1.0 404 What\n\n".to_owned(), 503),
        (format!("ICAP/1.0 200 OK\n{request}GET http://HOST/ HTTP/1.1\nHost: HOST\n\n"), 503),
    ] {
        site.say(&reply);
        let mut client = site.proxy.client();
        let answer = connect(&mut client, &site.origin.address().to_string());
        assert_eq!(answer.status(), status, "{reply:?}: {answer:?}");
        if status == 200 {
            assert_eq!(client.read(4), b"echo", "{reply:?}");
        }
    }
}

#[test]
fn what_a_helper_changes_in_the_head_reaches_the_origin() {
    let site = Site::start(&[]);
    site.say(
        "ICAP/1.0 200 OK\nEncapsulated: req-hdr=0, null-body=LEN\n\nPUT http://HOST/put HTTP/1.1\nHost: HOST\n\
         Cookie: PREF=f2=8000000\nX-New: yes\nContent-Length: 4000\n\n",
    );
    let mut client = site.proxy.client();
    assert_eq!(post(&mut client, &site.origin.url("/path")).text(), CONTENT);
    let head = site.origin.head(0);
    assert_eq!(head.start(), "PUT /put HTTP/1.1");
    assert_eq!(head.value("Cookie").as_deref(), Some("PREF=f2=8000000"));
    assert_eq!(head.value("X-New").as_deref(), Some("yes"));
    // The content is the client's, and so is its length.
    assert_eq!(head.value("Content-Length"), Some(CONTENT.len().to_string()));
    assert!(head.has("Via") && head.has("X-Forwarded-For"), "{head:?}");
}

/// What comes from a helper cannot smuggle a second request to the origin, nor a second answer to the client.
#[test]
fn row_15_lengths_that_do_not_fit_fail_that_one_request() {
    let site = Site::start(&[("redirector.timeout", "1")]);
    let request = "GET http://HOST/new HTTP/1.1\r\nHost: HOST\r\n\r\n";
    let full = request.replace("HOST", &site.origin.address().to_string()).len();
    for (element, length) in [
        ("req-hdr=0, null-body", full - 1),
        ("req-hdr=0, null-body", full - 20),
        ("req-hdr=0, null-body", full + 10),
        ("req-hdr=0, null-body", 0),
        ("req-hdr=7, null-body", full),
        ("req-hdr=0, req-hdr=9, null-body", full),
        ("null-body=0, req-hdr", full),
        ("res-hdr=0, res-body", full),
    ] {
        site.say(&format!("ICAP/1.0 200 OK\nEncapsulated: {element}={length}\n\n{request}"));
        let answer = site.proxy.client().get(&site.origin.url("/path"));
        eprintln!("{element}={length} of {full} gave {answer:?}");
        assert_failed(&answer);
    }
    for bad in ["x", "-1", "99999999999999999999", ""] {
        site.say(&format!("ICAP/1.0 200 OK\nEncapsulated: req-hdr=0, null-body={bad}\n\n{request}"));
        assert_failed(&site.proxy.client().get(&site.origin.url("/path")));
    }
    assert_eq!(site.origin.connections(), 0);
    // The helper in the place of the last one that failed may take longer to start than one may think.
    let after = || (site.proxy.client().get(&site.origin.url("/after")).text() == "/after").then_some(());
    eventually("service as before", after);
}

#[test]
fn a_generated_page_may_be_large() {
    let site = Site::start(&[]);
    let body = "0123456789abcdef".repeat(40_000);
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let head =
        "ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, res-body=LEN\n\nHTTP/1.1 200 OK\nContent-Type: text/plain\n\n|";
    site.say(&format!("{head}{chunk}"));
    let mut client = site.proxy.client();
    for _ in 0..3 {
        let answer = client.get(&site.origin.url("/path"));
        assert_eq!(answer.value("Content-Type").as_deref(), Some("text/plain"));
        assert!(answer.text() == body, "{} of {} bytes", answer.body.len(), body.len());
    }
    assert_eq!(site.helpers.pids().len(), 1);
}

/// Helpers write the blank line after the last chunk or they do not; it is never taken for a reply of its own.
#[test]
fn blank_lines_after_a_body_belong_to_it() {
    let site = Site::start(&[]);
    for end in ["0\r\n\r\n", "0\r\n", "0\n\n", "0\n"] {
        let head = "ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, res-body=LEN\n\nHTTP/1.1 200 OK\n\n|";
        site.say(&format!("{head}5\r\nhello\r\n{end}"));
        let mut client = site.proxy.client();
        for _ in 0..4 {
            assert_eq!(client.get(&site.origin.url("/path")).text(), "hello", "{end:?}");
            assert_eq!(client.get(&site.origin.url("/next")).text(), "/next", "{end:?}");
        }
    }
    assert_eq!(site.helpers.pids().len(), 1, "a helper was replaced");
}

#[test]
fn an_answer_to_head_has_no_body() {
    let site = Site::start(&[]);
    let head = "ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, res-body=LEN\n\nHTTP/1.1 200 OK\n\n|";
    site.say(&format!("{head}5\r\nhello\r\n0\r\n\r\n"));
    let mut client = site.proxy.client();
    client.send(format!("HEAD {} HTTP/1.1\r\nHost: h\r\n\r\n", site.origin.url("/path")));
    assert_eq!(client.reply_to("HEAD").value("Content-Length").as_deref(), Some("5"));
    assert_eq!(client.get(&site.origin.url("/next")).text(), "/next");
}
