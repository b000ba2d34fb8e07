//! The example helpers as programs: questions go in as the proxy would write them, replies come out as tables say. Knows
//! nothing of the proxy; `tests/proxy/examples.rs` shows them behind it.

// Shared with the behaviour tests; this file uses little of it.
#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "proxy/support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use support::{eventually, show, skip, Origin, PATIENCE};

/// A helper that runs; killed when it is dropped.
struct Helper {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<Vec<u8>>,
    ready: Vec<u8>,
}

impl Helper {
    /// Starts a program of the folder `helpers` with arguments, or says aloud that its interpreter is missing.
    fn start(words: &str) -> Option<Helper> {
        let mut words = words.split(' ');
        let program = folder().join(words.next().unwrap_or_default());
        let interpreter = interpreter(&program);
        if !installed(&interpreter) {
            skip(&format!("not installed: {interpreter}"));
            return None;
        }
        let mut command = Command::new(program);
        command.args(words);
        Some(Helper::spawn(command))
    }

    fn spawn(mut command: Command) -> Helper {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = piped.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (input, mut pipe) = (child.stdin.take(), child.stdout.take().expect("a captured pipe"));
        let (pieces, output) = mpsc::channel();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count) = pipe.read(&mut piece) {
                if count == 0 || pieces.send(piece[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Helper { child, input, output, ready: Vec::new() }
    }

    fn say(&mut self, question: impl AsRef<[u8]>) {
        let input = self.input.as_mut().expect("its input is open");
        input.write_all(question.as_ref()).expect("the helper reads");
    }

    /// Waits for so many bytes of replies.
    fn take(&mut self, count: usize) -> Vec<u8> {
        while self.ready.len() < count {
            match self.output.recv_timeout(PATIENCE) {
                Ok(piece) => self.ready.extend_from_slice(&piece),
                Err(error) => panic!("{count} bytes wanted: {error}, there is {}", show(&self.ready)),
            }
        }
        self.ready.drain(..count).collect()
    }

    /// Waits for a line, which comes back without its end.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            line.extend(self.take(1));
        }
        String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned()
    }

    fn ask(&mut self, question: impl AsRef<[u8]>) -> String {
        self.say(question);
        self.line()
    }

    /// Closes its input and expects it to end well, with nothing more to say.
    fn finish(mut self) {
        drop(self.input.take());
        let rest: Vec<u8> = self.output.iter().flatten().collect();
        assert_eq!(show(&[self.ready.as_slice(), &rest].concat()), "", "more replies than questions");
        let status = eventually("the end of a helper", || self.child.try_wait().expect("a child to ask about"));
        assert!(status.success(), "{status}");
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("helpers")
}

/// The last word of the first line: `sh` of `#!/bin/sh`, `python3` of `#!/usr/bin/env python3`.
fn interpreter(program: &Path) -> String {
    let text = std::fs::read_to_string(program).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let first = text.lines().next().unwrap_or_default();
    assert!(first.starts_with("#!"), "{}: {first}", program.display());
    first.rsplit(['/', ' ']).next().unwrap_or_default().to_owned()
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    found
}

/// A helper of the dialect `url`, and what it says to each line.
type Lines = (&'static str, &'static [(&'static str, &'static str)]);

const DENIED: &str = "file://deny.html";

const URL: &[Lines] = &[
    ("url-allow", &[("a.ok/p/q?r=1 127.0.0.1 - GET -", ""), ("a.ok/ 127.0.0.1 - CONNECT -", "")]),
    ("url-deny", &[("a.ok/p/q?r=1 127.0.0.1 - GET -", DENIED), ("a.ok/ 127.0.0.1 - CONNECT -", DENIED)]),
    ("url-serve-file", &[("a.ok/ 127.0.0.1 - GET -", "file://success.html")]),
    ("url-serve-file classify.html", &[("a.ok/ 127.0.0.1 - GET -", "file://classify.html")]),
    (
        "url-parrot",
        &[
            ("a.ok/p\\q?r=%20* 127.0.0.1 - GET -", "http://a.ok/p\\q?r=%20*"),
            ("2001:db8::1/ ::1 - PUT -", "http://2001:db8::1/"),
            ("a.ok/ 127.0.0.1 - CONNECT -", "http://a.ok/"),
        ],
    ),
    (
        "url-allow-net",
        &[
            ("www.a.net/p 127.0.0.1 - GET -", ""),
            ("www.a.net/ 127.0.0.1 - CONNECT -", ""),
            ("www.a.org/x.net 127.0.0.1 - GET -", "http://www.example.net/"),
            ("www.a.net.org/ 127.0.0.1 - CONNECT -", DENIED),
            ("net/ 127.0.0.1 - CONNECT -", DENIED),
        ],
    ),
    (
        "url-google-no-ssl",
        &[
            ("www.google.com/ 127.0.0.1 - CONNECT -", "intercept://nosslsearch.google.com"),
            ("google.co.uk/ 127.0.0.1 - CONNECT -", "intercept://nosslsearch.google.com"),
            ("www.google.com/ 127.0.0.1 - GET -", ""),
            ("www.google.com.a.ok/ 127.0.0.1 - CONNECT -", ""),
            ("maps.google.com/ 127.0.0.1 - CONNECT -", ""),
        ],
    ),
    (
        "url-google-no-ssl filter.example:8443",
        &[("www.google.com/ 127.0.0.1 - CONNECT -", "intercept://filter.example:8443")],
    ),
    (
        "url-google-to-others",
        &[
            ("www.google.com/ 127.0.0.1 - GET -", "redirect://https://duckduckgo.com/"),
            ("www.google.de/search?hl=de&q=a+b&x 127.0.0.1 - GET -", "redirect://https://duckduckgo.com/?q=a+b"),
            ("www.google.com/ 127.0.0.1 - CONNECT -", "redirect://https://duckduckgo.com/"),
            ("a.ok/?u=www.google.com/ 127.0.0.1 - GET -", ""),
        ],
    ),
    (
        "url-safe-search",
        &[
            ("www.google.com/search?q=a 1.2.3.4 - GET -", "http://www.google.com/search?q=a&safe=active"),
            (
                "www.google.com/search?s%61fe=off&q=a&safe=off 1.2.3.4 - GET -",
                "http://www.google.com/search?q=a&safe=active",
            ),
            ("www.bing.com/ 1.2.3.4 - HEAD -", "http://www.bing.com/?adlt=strict"),
            ("www.google.com/ 1.2.3.4 - CONNECT -", "intercept://forcesafesearch.google.com"),
            ("m.youtube.com/ 1.2.3.4 - CONNECT -", "intercept://restrict.youtube.com"),
            ("www.youtube.com/ 1.2.3.4 - GET -", ""),
            ("www.google.com/ 1.2.3.4 - POST -", ""),
            ("a.ok/ 1.2.3.4 - CONNECT -", ""),
        ],
    ),
    (
        "url-clients 127.0.0.0/8 2001:db8::/32",
        &[
            ("a.ok/ 127.1.2.3 - GET -", ""),
            ("a.ok/ ::ffff:127.0.0.1 - GET -", ""),
            ("http://a.ok/ 2001:db8::7/- - GET myip=::1 myport=3128", ""),
            ("a.ok/ 10.0.0.1 - GET -", DENIED),
            ("a.ok/ ::1 - CONNECT -", DENIED),
            ("a.ok/ nobody - CONNECT -", DENIED),
        ],
    ),
];

/// What a proxy never writes, and a helper must survive all the same: one reply each.
const ODD: [&[u8]; 5] = [b"", b" ", b"word", b"\xff\xfe/\x80 \xc3 - GET -", b"a b c d e f g h"];

#[test]
fn each_line_has_its_reply() {
    for (words, lines) in URL {
        let Some(mut helper) = Helper::start(words) else { continue };
        for (question, reply) in *lines {
            assert_eq!(helper.ask(format!("{question}\n")), *reply, "{words}: {question}");
        }
        helper.finish();
    }
}

#[test]
fn odd_lines_get_a_reply_each() {
    for (words, lines) in URL {
        let Some(mut helper) = Helper::start(words) else { continue };
        let long = [b"a.ok/".as_slice(), &[b'x'; 100_000], b" 1.2.3.4 - GET -"].concat();
        for question in ODD.into_iter().chain([long.as_slice()]) {
            helper.ask([question, b"\n"].concat());
        }
        let (question, reply) = lines[0];
        assert_eq!(helper.ask(format!("{question}\n")), reply, "{words} after odd lines");
        helper.finish();
    }
}

/// The message of the original for a request, as its record has it.
fn message(method: &str, host: &str, head: &str) -> String {
    format!(
        "REQMOD icap://srv.name/some/path ICAP/1.0\nHost: srv.name\nPragma: transport=http\nPragma: proxy=test\n\
         Pragma: scheme=http\nPragma: accept=127.0.0.1\nPragma: accept-port=27128\nPragma: client=127.0.0.1\n\
         Pragma: host={host}\nPragma: path=/p?<q>=1\nPragma: method={method}\n\
         Encapsulated: req-hdr=0, null-body={}\n\n{head}",
        head.len()
    )
}

fn get(host: &str) -> String {
    message("GET", host, &format!("GET http://{host}/p?<q>=1 HTTP/1.1\r\nHost: {host}\r\n\r\n"))
}

fn connect(host: &str) -> String {
    message("CONNECT", host, &format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n"))
}

/// A reply whose content is the head of a request.
fn request(head: &str) -> String {
    format!("ICAP/1.0 200 OK\nEncapsulated: req-hdr=0, null-body={}\n\n{head}", head.len())
}

/// A reply whose content is a response with a body of one chunk.
fn response(head: &str, body: &str) -> String {
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    format!("ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, res-body={}\n\n{head}{chunk}", head.len())
}

const PERMITTED: &str = "ICAP/1.0 204 No Content\n\n";

fn icap() -> Vec<(&'static str, String, String)> {
    let tunnel = |host: &str| request(&format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let page = |name: &str| request(&format!("GET file://{name} HTTP/1.1\r\n\r\n"));
    let explained = response(
        "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\r\n",
        "{\"title\": \"Denied by the proxy\", \"description\": \"The rules of this network do not allow this host.\", \
         \"host\": \"a.ok\", \"client\": \"127.0.0.1\"}",
    );
    let google = "GET http://www.google.com/p?<q>=1 HTTP/1.1\r\nHost: www.google.com\r\n\r\n";
    let video = "GET http://m.youtube.com/ HTTP/1.1\r\ncookie: a=1; PREF=f1=5;b=2\r\nHost: m.youtube.com\r\n\r\n";
    let safe = "GET http://m.youtube.com/ HTTP/1.1\r\nHost: m.youtube.com\r\nCookie: a=1; b=2; PREF=f2=8000000\r\n\r\n";
    let plain = "GET http://youtube.com/ HTTP/1.1\r\nHost: youtube.com\r\n\r\n";
    let preset = "GET http://youtube.com/ HTTP/1.1\r\nHost: youtube.com\r\nCookie: PREF=f2=8000000\r\n\r\n";
    vec![
        ("icap-allow-204", get("a.ok"), PERMITTED.to_owned()),
        ("icap-allow-204", connect("a.ok"), PERMITTED.to_owned()),
        ("icap-allow-304", get("a.ok"), "ICAP/1.0 304 Not Modified\n\n".to_owned()),
        ("icap-deny", get("a.ok"), page("deny.html")),
        ("icap-deny", connect("a.ok"), page("deny.html")),
        ("icap-serve-file", get("a.ok"), page("success.html")),
        ("icap-serve-file classify.html", get("a.ok"), page("classify.html")),
        ("icap-deny-proxy-explanation", get("a.ok"), explained.clone()),
        ("icap-deny-proxy-explanation", connect("a.ok"), explained),
        ("icap-google-no-ssl", get("www.google.com"), PERMITTED.to_owned()),
        ("icap-google-no-ssl", connect("a.ok"), PERMITTED.to_owned()),
        ("icap-google-no-ssl", connect("www.google.com"), tunnel("nosslsearch.google.com:443")),
        ("icap-google-no-ssl filter.example:8443", connect("google.fr"), tunnel("filter.example:8443")),
        ("icap-google-to-others", get("a.ok"), PERMITTED.to_owned()),
        (
            "icap-google-to-others",
            get("www.google.com"),
            request(&format!("CONNECT duckduckgo.com:80 HTTP/1.1\r\n\r\n{google}")),
        ),
        ("icap-google-to-others a.ok:81 b.ok:444", connect("www.google.com"), tunnel("b.ok:444")),
        ("icap-safe-youtube", get("a.ok"), PERMITTED.to_owned()),
        ("icap-safe-youtube", message("GET", "m.youtube.com", video), request(safe)),
        ("icap-safe-youtube", message("GET", "youtube.com", plain), request(preset)),
        ("icap-safe-youtube", connect("www.youtube.com"), tunnel("restrict.youtube.com:443")),
    ]
}

#[test]
fn each_message_has_its_reply() {
    for (words, question, reply) in icap() {
        let Some(mut helper) = Helper::start(words) else { continue };
        // Twice, since what is left over from the first reply would show in the second.
        for _ in 0..2 {
            helper.say(&question);
            assert_eq!(show(&helper.take(reply.len())), show(reply.as_bytes()), "{words}: {question}");
        }
        helper.finish();
    }
}

#[test]
fn a_generated_page_is_whole_and_escaped() {
    let Some(mut helper) = Helper::start("icap-serve") else { return };
    helper.say(get("a.ok"));
    assert_eq!(helper.line(), "ICAP/1.0 200 OK");
    let place = helper.line();
    let offset = place.strip_prefix("Encapsulated: res-hdr=0, res-body=").expect("where the body begins");
    assert_eq!(helper.line(), "");
    let head = helper.take(offset.parse().expect("an offset"));
    assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n") && head.ends_with(b"\r\n\r\n"), "{}", show(&head));
    let size = usize::from_str_radix(helper.line().trim(), 16).expect("the size of a chunk");
    let page = String::from_utf8(helper.take(size)).expect("a page in UTF-8");
    assert!(page.contains("127.0.0.1 asked for /p?&lt;q&gt;=1 on a.ok."), "{page}");
    assert_eq!(helper.take(7), b"\r\n0\r\n\r\n", "the end of the body");
    helper.finish();
}

#[test]
fn a_blocklist_is_read_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("list");
    std::fs::write(&file, "# bad places\nBad.example  # the worst\n\nad.a.ok.\n").expect("a list");
    let Some(mut helper) = Helper::start(&format!("url-blocklist {}", file.display())) else { return };
    let cases = [
        ("bad.example/", DENIED),
        ("www.sub.bad.example/x?y", DENIED),
        ("notbad.example/bad.example", ""),
        ("example/", ""),
        ("a.ok/", ""),
        ("AD.a.ok/", DENIED),
    ];
    for (url, reply) in cases {
        assert_eq!(helper.ask(format!("{url} 127.0.0.1 - GET -\n")), reply, "{url}");
    }
    std::fs::write(&file, "a.ok\n").expect("another list");
    eventually("the new list", || (helper.ask("a.ok/ 127.0.0.1 - GET -\n") == DENIED).then_some(()));
    assert_eq!(helper.ask("bad.example/ 127.0.0.1 - CONNECT -\n"), "", "no longer listed");
    for question in ODD {
        helper.ask([question, b"\n"].concat());
    }
    helper.finish();
}

#[test]
fn a_blocklist_that_is_missing_ends_the_helper() {
    let Some(mut helper) = Helper::start("url-blocklist /nonexistent/list") else { return };
    let status = eventually("its end", || helper.child.try_wait().expect("a child to ask about"));
    assert_eq!(status.code(), Some(1), "without a list nothing may pass");
}

/// A service that permits what has `good` in its URL, denies what has `bad`, and fails otherwise.
fn service() -> Origin {
    Origin::start(|peer| {
        while let Some(request) = peer.request()? {
            let start = request.start();
            let status = if start.contains("url=good") {
                200
            } else if start.contains("url=bad") {
                403
            } else {
                500
            };
            peer.send(format!("HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n\r\n"))?;
        }
        Ok(())
    })
}

#[test]
fn a_service_decides_and_a_fallback_where_it_fails() {
    let service = service();
    let cases = [
        (service.url("/may"), "", "", DENIED),
        (service.url("/may"), " permit", "", ""),
        ("http://127.0.0.1:1/may".to_owned(), " permit", "permit alone", ""),
        ("http://127.0.0.1:1/may".to_owned(), " deny", "deny alone", DENIED),
    ];
    for (url, fallback, unreachable, failed) in cases {
        let Some(mut helper) = Helper::start(&format!("url-ask-service {url}{fallback}")) else { return };
        if unreachable.is_empty() {
            assert_eq!(helper.ask("good.example/a?b=c&d 127.0.0.1 - GET -\n"), "");
            assert_eq!(helper.ask("bad.example/ 127.0.0.1 - GET -\n"), DENIED);
        }
        assert_eq!(helper.ask("odd.example/ 127.0.0.1 - GET -\n"), failed, "{url}{fallback}");
        assert_eq!(helper.ask("\n"), failed, "an empty line");
        helper.finish();
    }
    let head = service.head(0).start();
    assert_eq!(head, "GET /may?url=good.example%2Fa%3Fb%3Dc%26d&client=127.0.0.1&method=GET HTTP/1.1");
}

#[test]
fn replies_overtake_one_another_on_channels() {
    // The first question is answered by the service only when its connection is released, which is after the second.
    let service = Origin::start(|peer| {
        let request = peer.expect_request()?;
        if request.start().contains("url=slow") {
            peer.hold()?;
        }
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let words = format!("url-concurrent {} 4", service.url("/may"));
    let Some(mut helper) = Helper::start(&words) else { return };
    helper.say("7 slow.example/ 127.0.0.1 - GET -\n");
    service.wait_connections(1);
    assert_eq!(helper.ask("8 fast.example/ 127.0.0.1 - GET -\n"), "8 OK", "behind one that waits");
    assert_eq!(helper.ask("12345678901 fast.example/ 127.0.0.1 - CONNECT -\n"), "12345678901 OK");
    drop(service);
    // On a machine that is very busy its patience may have ended before.
    let late = helper.line();
    assert!(late == "7 OK" || late == format!("7 {DENIED}"), "{late}");
    helper.finish();
}

#[test]
fn a_helper_in_rust_is_one_file() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let program = place.path().join("url-clean");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(compiler);
    command.args(["-D", "warnings", "-o"]).arg(&program).arg(folder().join("url-clean.rs"));
    let status = command.status().expect("the compiler that built this test");
    assert!(status.success(), "{status}");
    let mut helper = Helper::spawn(Command::new(program));
    let cases = [
        ("a.ok/p?utm_source=x&q=1&fbclid=2 127.0.0.1 - GET -", "http://a.ok/p?q=1"),
        ("http://a.ok:81/p?gclid=1 127.0.0.1/- - HEAD myip=127.0.0.1 myport=3128", "http://a.ok:81/p"),
        ("a.ok/p?q=utm_1 127.0.0.1 - GET -", ""),
        ("a.ok/p?utm_source=x 127.0.0.1 - POST -", ""),
        ("a.ok:443 127.0.0.1/- - CONNECT myip=127.0.0.1 myport=3128", ""),
    ];
    for (question, reply) in cases {
        assert_eq!(helper.ask(format!("{question}\n")), reply, "{question}");
    }
    for question in ODD {
        helper.ask([question, b"\n"].concat());
    }
    helper.finish();
}

/// The first helper of the guide, as a reader would save it.
#[test]
fn the_guide_begins_with_a_helper_that_works() {
    let guide = include_str!("../docs/redirectors.md");
    let (_, rest) = guide.split_once("```sh\n").expect("a block of shell");
    let (script, _) = rest.split_once("```").expect("its end");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("no-example");
    std::fs::write(&file, script).expect("a script");
    let mut command = Command::new("sh");
    command.arg(&file);
    let mut helper = Helper::spawn(command);
    let cases = [
        ("www.example.com/ 1.2.3.4 - GET -", DENIED),
        ("example.com/ 1.2.3.4 - CONNECT -", DENIED),
        ("example.org/ 1.2.3.4 - GET -", ""),
        ("example.org/?u=www.example.com/ 1.2.3.4 - GET -", ""),
    ];
    for (question, reply) in cases {
        assert_eq!(helper.ask(format!("{question}\n")), reply, "{question}");
    }
    helper.finish();
}

#[test]
fn each_example_is_executable_and_says_how_it_is_started() {
    use std::os::unix::fs::PermissionsExt;
    let guide = include_str!("../docs/redirectors.md");
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).expect("the folder of examples").flatten() {
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        let text = std::fs::read_to_string(&path).expect("text");
        let is_script = !name.ends_with(".rs");
        assert_eq!(entry.metadata().expect("an entry").permissions().mode() & 0o111 != 0, is_script, "{name}");
        let first: Vec<&str> = text.lines().take(16).collect();
        let shown = first.iter().any(|line| line.contains("exaproxy_redirector_enable=true"));
        assert!(shown, "{name}: its first lines show no command");
        assert!(guide.contains(&format!("(../helpers/{name})")), "{name} is not in the guide");
        count += 1;
    }
    assert!(count >= 20, "{count} examples");
}
