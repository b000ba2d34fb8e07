//! Refusals that programs can read: the form that Accept asks for, the phrase for CONNECT, and that nothing of what a
//! client proves itself with comes back or stays in a log.

use crate::support::{eventually, Client, Helpers, Message, NameServer, Origin, Proxy, Refusing};

const PAGE: &str = "text/html; charset=utf-8";
const PROBLEM: &str = "application/problem+json";
const LINE: &str = "text/plain; charset=utf-8";

/// The reply to a request line with these further fields.
fn ask(proxy: &Proxy, line: &str, fields: &str) -> Message {
    let mut client = proxy.client();
    client.send(format!("{line} HTTP/1.1\r\nHost: h.test\r\n{fields}\r\n"));
    client.reply_to(line.split(' ').next().unwrap_or_default())
}

fn kind(reply: &Message) -> String {
    reply.value("Content-Type").expect("a media type")
}

#[test]
fn accept_decides_the_form_of_every_answer() {
    let Some(names) = NameServer::zone(&[]) else { return };
    let (resolver, refusing, mute) = (names.resolv_conf(), Refusing::new(), Origin::once(""));
    let options = [("dns.resolver", &resolver[..]), ("security.deny", "192.0.2.0/24"), ("http.expect", "true")];
    let proxy = Proxy::start(&options);
    let dead = format!("GET http://{}/", refusing.address());
    let cases = [
        (&dead[..], "", 502, "Bad Gateway", "connection_refused"),
        ("GET http://no.test/", "", 502, "Bad Gateway", "dns_error"),
        (&format!("GET {}", mute.url("/")), "", 502, "Bad Gateway", "connection_terminated"),
        ("GET http://192.0.2.9/", "", 403, "Forbidden", "destination_ip_prohibited"),
        ("CONNECT 192.0.2.9:443", "", 403, "Forbidden", "destination_ip_prohibited"),
        ("GET http://h.test/", "Expect: 100-continue\r\n", 417, "Expectation Failed", "http_request_error"),
    ];
    for (line, more, status, title, word) in cases {
        let reply = |accept: &str| {
            let reply = ask(&proxy, line, &format!("{more}{accept}"));
            assert_eq!(reply.status(), status, "{line}: {reply:?}");
            assert!(reply.value("Proxy-Status").is_some_and(|value| value.contains(word)), "{line}: {reply:?}");
            reply
        };
        for accept in ["", "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n"] {
            let page = reply(accept);
            assert!(kind(&page) == PAGE && page.text().starts_with("<!doctype html>"), "{line}: {page:?}");
        }
        let told = reply("Accept: */*\r\n");
        let text = told.text();
        assert!(kind(&told) == LINE && text.starts_with(&format!("{word}: ")), "{line}: {text}");
        assert_eq!(text.find('\n'), Some(text.len() - 1), "{text:?}");
        let problem = reply("Accept: application/json, text/plain, */*\r\n");
        assert_eq!(kind(&problem), PROBLEM, "{line}");
        let object: serde_json::Value = serde_json::from_str(&problem.text()).expect("an object");
        let has = |name: &str, wanted: serde_json::Value| assert_eq!(object[name], wanted, "{line}: {object}");
        has("type", "about:blank".into());
        has("title", title.into());
        has("status", status.into());
        has("cause", word.into());
        has("detail", text.trim_end().strip_prefix(&format!("{word}: ")).expect("it was there").into());
    }
    let head = ask(&proxy, &dead.replace("GET", "HEAD"), "Accept: application/json\r\n");
    assert_eq!((kind(&head).as_str(), head.text().as_str()), (PROBLEM, ""));
}

#[test]
fn a_page_that_a_helper_names_stays_that_page() {
    let helpers = Helpers::answering(|line| match line.contains("/deny") {
        true => "file://deny.html".into(),
        false => "nonsense".into(),
    });
    let proxy = helpers.proxy(&[]);
    for accept in ["*/*", "application/json"] {
        let fields = format!("Accept: {accept}\r\n");
        let page = ask(&proxy, "GET http://h.test/deny", &fields);
        assert_eq!((page.status(), kind(&page).as_str()), (200, PAGE), "{accept}");
        let failure = ask(&proxy, "GET http://h.test/other", &fields);
        assert!(failure.status() == 503 && kind(&failure) != PAGE, "{accept}: {failure:?}");
    }
}

#[test]
fn compatible_answers_are_pages_with_the_phrases_of_their_status() {
    let refusing = Refusing::new();
    let proxy = Proxy::start(&[("http.compatible-status", "true"), ("security.connect", "443")]);
    for accept in ["*/*", "application/json"] {
        let fields = format!("Accept: {accept}\r\n");
        let page = ask(&proxy, &format!("GET http://{}/", refusing.address()), &fields);
        assert_eq!((page.status(), kind(&page).as_str()), (400, PAGE), "{accept}");
        let tunnel = ask(&proxy, "CONNECT h.test:25", &fields);
        assert_eq!(
            (tunnel.start().as_str(), tunnel.text().as_str()),
            ("HTTP/1.1 501 Not Implemented", "CONNECT NOT ALLOWED\n")
        );
    }
}

#[test]
fn the_phrase_of_a_refused_connect_says_why() {
    let refusing = Refusing::new();
    let proxy = Proxy::start(&[("security.connect", "443 1024-65535"), ("security.deny", "192.0.2.0/24")]);
    let dead = format!("CONNECT {}", refusing.address());
    let table = [
        ("CONNECT h.test:25", "403 Forbidden (http_request_denied: CONNECT NOT ALLOWED)"),
        ("CONNECT 192.0.2.9:443", "403 Forbidden (destination_ip_prohibited: the address may not be connected to)"),
        ("CONNECT nodot:443", "502 Bad Gateway (dns_error: the name has no domain)"),
        (&dead, "502 Bad Gateway (connection_refused: the server could not be connected to)"),
    ];
    for (line, wanted) in table {
        assert_eq!(ask(&proxy, line, "").start(), format!("HTTP/1.1 {wanted}"), "{line}");
    }
    assert_eq!(ask(&proxy, "GET http://192.0.2.9/", "").start(), "HTTP/1.1 403 Forbidden");
}

/// Heads that hold the marker wherever a client proves itself, right ones and faulty ones.
fn heads(origin: &str, dead: &str, mark: &str) -> Vec<String> {
    let fields = format!(
        "Authorization: Basic {mark}\r\nProxy-Authorization: Bearer {mark}\r\nCookie: id={mark}\r\nCookie2: {mark}\r\n"
    );
    let head = |line: &str, more: &str| format!("{line} HTTP/1.1\r\nHost: h.test\r\n{fields}{more}\r\n");
    let long = format!("X: {}\r\n", "x".repeat(70_000));
    let mut heads: Vec<String> = [
        (origin, ""),
        (dead, ""),
        ("GET http://no.test/", ""),
        ("GET http://192.0.2.9/", ""),
        ("GET http://h.test/deny", ""),
        ("GET http://h.test/broken", ""),
        ("TRACE http://h.test/", "Max-Forwards: 0\r\n"),
        ("OPTIONS http://h.test/", "Max-Forwards: 0\r\n"),
        ("CONNECT h.test:25", ""),
        ("CONNECT 192.0.2.9:443", ""),
        ("GET http://h.test/", "Expect: 100-continue\r\n"),
        ("GET http://h.test/", "Max-Forwards : 1\r\n"),
        ("GET http://h.test/", "Content-Length: x\r\n"),
        ("GET http://h.test/", &long),
    ]
    .iter()
    .map(|(line, more)| head(line, more))
    .collect();
    heads.extend([
        head(&format!("GET http://user:{mark}@h.test/"), ""),
        head(&format!("GET http://{mark}@h.test/"), ""),
        head(&format!("CONNECT user:{mark}@h.test:443"), ""),
        format!("GET / HTTP/1.1\r\nHost: user:{mark}@h.test\r\n\r\n"),
        format!("GET http://h.test/ HTTP/1.1\r\nHost: h.test\r\nAuthorization : Basic {mark}\r\n\r\n"),
        format!("GET http://h.test/ HTTP/1.1\r\nHost: h.test\r\nCookie: a=b;\r\n id={mark}\r\n\r\n"),
        format!("GET http://h.test/ HTTP/1.1\r\nHost: h.test\r\nCookie: \x01{mark}\r\n\r\n"),
        format!("GET http://h.test/ HTTP/1.1\r\nHost: h.test\r\nCookie {mark}\r\n\r\n"),
    ]);
    heads
}

#[test]
fn what_clients_prove_themselves_with_is_repeated_nowhere() {
    const MARK: &str = "bWFya2VyOnNlY3JldA";
    let Some(names) = NameServer::zone(&[]) else { return };
    let (resolver, origin, refusing) = (names.resolv_conf(), Origin::site(), Refusing::new());
    let at = format!("GET {}", origin.url("/"));
    let helpers = Helpers::answering(|line| match line {
        _ if line.contains("/deny") => "file://deny.html".into(),
        _ if line.contains("/broken") => "nonsense".into(),
        _ => String::new(),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let access = folder.path().join("access");
    let proxy = helpers.proxy(&[
        ("dns.resolver", &resolver),
        ("security.connect", "443"),
        ("security.deny", "192.0.2.0/24"),
        ("http.expect", "true"),
        ("log.level", "DEBUG"),
        ("usage.enable", "true"),
        ("access.enable", "true"),
        ("access.destination", access.to_str().expect("a path of text")),
        ("access.format", "json"),
    ]);
    let heads = heads(&at, &format!("GET http://{}/", refusing.address()), MARK);
    let mut sent = 0;
    for accept in ["", "Accept: */*\r\n", "Accept: application/json\r\n"] {
        for head in &heads {
            let mut client = proxy.client();
            client.send(head.replacen("\r\n", &format!("\r\n{accept}"), 1));
            let reply = client.reply_to(head.split(' ').next().unwrap_or_default());
            let told = format!("{reply:?}{}", reply.text());
            assert!(!told.contains(MARK), "{head}: {told}");
            sent += 1;
        }
    }
    let logged = eventually("a line for each request", || {
        std::fs::read_to_string(&access).ok().filter(|text| text.lines().count() >= sent)
    });
    assert!(!logged.contains(MARK), "{logged}");
    for path in [
        "",
        "information/sessions.html",
        "information/errors.html",
        "information/logs.html",
        "json/sessions",
        "metrics",
    ] {
        let mut web = Client::connect(proxy.web());
        web.send(format!("GET /{path} HTTP/1.1\r\nHost: localhost\r\nCookie: {MARK}\r\nAuthorization: {MARK}\r\n\r\n"));
        let reply = web.reply();
        assert!(reply.status() == 200 && !reply.text().contains(MARK), "{path}");
    }
    proxy.wait_log("] 127.0.0.1 request refused: ");
    assert!(!proxy.log().contains(MARK), "{}", proxy.log());
}
