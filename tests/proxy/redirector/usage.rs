//! The usage log: one line for each decision, of a helper or the proxy's own, in the form of the original.

use super::{connect, get};
use crate::support::{client, eventually, file_lines, Helpers, Origin, Proxy};

/// A proxy with a usage log in a file of its own.
struct Logged {
    proxy: Proxy,
    folder: tempfile::TempDir,
}

impl Logged {
    fn start(helpers: Option<&Helpers>, options: &[(&str, &str)]) -> Logged {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("usage").to_str().expect("a path of text").to_owned();
        let mut all = vec![("usage.enable", "true"), ("usage.destination", path.as_str())];
        all.extend(options);
        let proxy = match helpers {
            Some(helpers) => helpers.proxy(&all),
            None => Proxy::start(&all),
        };
        Logged { proxy, folder }
    }

    /// Waits for so many lines, and gives their fields from the client on.
    fn lines(&self, count: usize) -> Vec<String> {
        let lines = file_lines(&self.folder.path().join("usage"), count);
        lines.iter().map(|line| self.split(line)).collect()
    }

    /// Checks what stands in front of the client, and takes it away.
    fn split(&self, line: &str) -> String {
        let (head, rest) = line.split_at(29);
        assert_eq!(head, format!("ExaProxy {:<6} usage        ", self.proxy.pid()), "{line:?}");
        let fields: Vec<&str> = rest.trim_start().splitn(6, ' ').collect();
        assert_eq!((fields[0].len(), fields[1].len()), (10, 8), "{line:?}");
        let (seconds, hundredths) = fields[2].split_once('.').expect("a fraction");
        assert!(seconds.parse::<u64>().is_ok_and(|seconds| seconds > 1_600_000_000), "{line:?}");
        assert_eq!(hundredths.len(), 2, "{line:?}");
        assert!(fields[3].parse::<u32>().is_ok(), "{line:?}");
        let (port, rest) = (fields[4], fields[5]);
        assert_eq!(port, self.proxy.port().to_string(), "{line:?}");
        rest.to_owned()
    }
}

#[test]
fn every_word_of_a_url_helper() {
    let (origin, other) = (Origin::site(), Origin::site());
    let (port, second) = (origin.port(), other.port());
    let table = [
        ("permit", String::new(), "PERMIT/127.0.0.1"),
        ("rewrite", format!("http://127.0.0.1:{port}/new"), "REWRITE/127.0.0.1"),
        ("file", "file://deny.html".to_owned(), "FILE/127.0.0.1"),
        ("redirect", "redirect://http://elsewhere.test/".to_owned(), "REDIRECT/127.0.0.1"),
        ("intercept", format!("intercept://127.0.0.1:{second}"), "INTERCEPT/127.0.0.1"),
    ];
    let replies = table.clone();
    let helpers = Helpers::answering(move |line| {
        let reply = replies.iter().find(|(name, ..)| line.contains(&format!("/{name} ")));
        reply.map_or_else(|| "nonsense".to_owned(), |(_, reply, _)| reply.clone())
    });
    let logged = Logged::start(Some(&helpers), &[]);
    for (name, ..) in &table {
        get(&logged.proxy, &origin, &format!("/{name}"));
    }
    get(&logged.proxy, &origin, "/nonsense");
    let lines = logged.lines(6);
    assert_eq!(lines.len(), 6, "{lines:?}");
    for (line, (name, _, word)) in lines.iter().zip(&table) {
        assert_eq!(*line, format!("127.0.0.1 GET 127.0.0.1:{port}/{name} {word}"));
    }
    assert!(lines[5].contains("/nonsense ERROR/"), "{lines:?}");
}

#[test]
fn words_of_the_policy() {
    let origin = Origin::site();
    let logged = Logged::start(None, &[("security.connect", "443")]);
    let port = origin.port();
    let url = origin.url("/x");
    get(&logged.proxy, &origin, "/x?q=1");
    connect(&mut logged.proxy.client(), &origin.address().to_string());
    for forwards in ["0", "x"] {
        let mut client = logged.proxy.client();
        client.send(format!("OPTIONS {url} HTTP/1.1\r\nHost: h\r\nMax-Forwards: {forwards}\r\n\r\n"));
        client.reply();
    }
    let expected = [
        format!("127.0.0.1 GET 127.0.0.1:{port}/x?q=1 PERMIT/127.0.0.1"),
        format!("127.0.0.1 CONNECT 127.0.0.1:{port}/ DENY/CONNECT NOT ALLOWED"),
        format!("127.0.0.1 OPTIONS 127.0.0.1:{port}/x PERMIT/OPTIONS"),
        format!("127.0.0.1 OPTIONS 127.0.0.1:{port}/x ERROR/INVALID MAX FORWARDS"),
    ];
    let lines: Vec<String> = logged.lines(4).iter().map(|line| line.replace("MAX-FORWARDS", "MAX FORWARDS")).collect();
    assert_eq!(lines, expected);
}

#[test]
fn a_tunnel_and_a_client_behind_a_balancer() {
    let helpers = Helpers::permitting();
    let logged = Logged::start(Some(&helpers), &[("http.forward", "x-forwarded-for")]);
    let origin = Origin::echo();
    let mut client = logged.proxy.client();
    let authority = origin.address();
    client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n"));
    assert_eq!(client.reply_to("CONNECT").status(), 200);
    assert_eq!(logged.lines(1), [format!("192.0.2.9 CONNECT {authority}/ PERMIT/127.0.0.1")]);
}

#[test]
fn answers_that_an_icap_helper_wrote_are_local() {
    let helpers = Helpers::answering_icap(|_| {
        let answer = "HTTP/1.1 403 No\n\n";
        format!("ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, null-body={}\n\n{answer}", answer.len()).into_bytes()
    });
    let logged = Logged::start(Some(&helpers), &[("redirector.protocol", "icap://filter/x")]);
    let origin = Origin::site();
    assert_eq!(get(&logged.proxy, &origin, "/x").status(), 403);
    assert_eq!(logged.lines(1), [format!("127.0.0.1 GET {}/x LOCAL/127.0.0.1", origin.address())]);
}

#[test]
fn requests_that_nobody_decided_about_have_a_line() {
    for (policy, word) in [("error", "ERROR/"), ("deny", "DENY/"), ("permit", "PERMIT/")] {
        let helpers = Helpers::start(|desk| {
            desk.line()?;
            desk.exit(1)
        });
        let logged = Logged::start(Some(&helpers), &[("redirector.on-failure", policy)]);
        let origin = Origin::site();
        get(&logged.proxy, &origin, "/x");
        let line = &logged.lines(1)[0];
        assert!(line.contains(&format!("/x {word}")), "{policy}: {line}");
    }
}

/// A line has its fields for every request a client sends, and stays one line.
#[test]
fn a_client_cannot_forge_a_line() {
    let logged = Logged::start(None, &[]);
    let origin = Origin::site();
    let url = origin.url("/a%0aExaProxy");
    let mut client = logged.proxy.client();
    client.send(client::get(&url));
    client.reply();
    for bytes in ["\"", "\u{e9}", "%20x", "<script>"] {
        let mut client = logged.proxy.client();
        client.send(format!("GET {}/{bytes} HTTP/1.1\r\nHost: h\r\n\r\n", origin.url("")));
        client.reply();
    }
    get(&logged.proxy, &origin, "/last");
    let lines = eventually("the last line", || Some(logged.lines(1)).filter(|lines| lines.concat().contains("/last ")));
    assert!(lines.len() <= 6, "{lines:?}");
    assert!(lines.iter().all(|line| line.split(' ').count() == 4), "{lines:?}");
}

#[test]
fn the_log_can_be_switched_off_and_is_no_part_of_the_messages() {
    let origin = Origin::site();
    let proxy = Proxy::start(&[]);
    get(&proxy, &origin, "/x");
    get(&proxy, &origin, "/y");
    assert!(!proxy.log().contains("PERMIT/"), "{}", proxy.log());
    let proxy = Proxy::start(&[("usage.enable", "true"), ("log.enable", "false")]);
    get(&proxy, &origin, "/x");
    proxy.wait_log("PERMIT/127.0.0.1");
}
