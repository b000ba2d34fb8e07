//! Answers that the proxy gives itself: complete, in the right version, escaped, and with the right status.

use crate::support::{Message, NameServer, Origin, Proxy, Refusing};

/// What every local answer must have.
fn check(reply: &Message, status: u16) {
    assert_eq!(reply.status(), status, "{reply:?}");
    let date = reply.value("Date").unwrap_or_default();
    assert!(date.len() == 29 && date.ends_with(" GMT"), "Date: {date:?}");
    assert!(reply.value("Server").unwrap_or_default().to_ascii_lowercase().starts_with("exaproxy"), "{reply:?}");
    assert!(reply.has("Content-Length"), "{reply:?}");
    assert!(reply.start().len() > "HTTP/1.1 400 ".len(), "no reason phrase: {reply:?}");
}

#[test]
fn local_answers_are_complete() {
    let proxy = Proxy::start(&[("http.expect", "true"), ("security.connect", "443")]);
    let refusing = Refusing::new();
    let dead = refusing.address();
    let cases = [
        (format!("GET http://{dead}/ HTTP/1.1\r\nHost: h\r\n\r\n"), 502),
        ("GET http://some.invalid/ HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 502),
        ("GET http://h.test:99999/ HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("CONNECT h.test:80 HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 403),
        (format!("GET http://{dead}/ HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n"), 417),
        ("GET http://h.test/ HTTP/2.0\r\nHost: h\r\n\r\n".to_owned(), 505),
        ("OPTIONS http://h.test/ HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n".to_owned(), 200),
    ];
    for (request, status) in cases {
        let mut client = proxy.client();
        client.send(&request);
        check(&client.reply(), status);
    }
}

#[test]
fn lines_that_are_no_request_are_a_400() {
    let proxy = Proxy::start(&[]);
    let lines = [
        "GET",
        "GET http://h.test/",
        "GET  http://h.test/ HTTP/1.1",
        "GET http://h.test/ HTTP/1.1 more",
        "GET http://h.test/ http/1.1",
        "GET http://h.test/ HTTTP/1.1",
        "GET http://h.test/ 1.1",
        "G\x01T http://h.test/ HTTP/1.1",
        "GET http:/h.test/ HTTP/1.1",
        "GET http:///path HTTP/1.1",
        "GET http://h.test:x/ HTTP/1.1",
        "GET http://h.test:0/ HTTP/1.1",
        "GET h.test HTTP/1.1",
        "GET * HTTP/1.1",
        "GET http://user:pw@h.test/ HTTP/1.1",
        "GET https://h.test/ HTTP/1.1",
        "GET ftp://h.test/ HTTP/1.1",
        "GET file:///etc/passwd HTTP/1.1",
        "GET http://h.test/\x7f HTTP/1.1",
        "\x16\x03\x01\x02",
        "SSH-2.0-OpenSSH_9.2",
        "PRI * HTTP/2.0",
    ];
    for line in lines {
        let mut client = proxy.client();
        client.send(format!("{line}\r\nHost: h.test\r\n\r\n"));
        let reply = client.reply();
        assert!([400, 501, 505].contains(&reply.status()), "{line:?}: {reply:?}");
        client.expect_close();
    }
    proxy.assert_serves();
}

#[test]
fn fields_that_are_none_are_a_400() {
    let proxy = Proxy::start(&[]);
    let cases =
        ["no colon", ": no name", "na me: x", "n\u{e4}me: x", "name\x01: x", "name: x\x01y", "(name): x", "\tname: x"];
    for line in cases {
        let mut client = proxy.client();
        client.send(format!("GET http://h.test/ HTTP/1.1\r\nHost: h.test\r\n{line}\r\n\r\n"));
        let reply = client.reply();
        assert_eq!(reply.status(), 400, "{line:?}");
        client.expect_close();
    }
}

#[test]
fn bad_hosts_are_a_400() {
    let proxy = Proxy::start(&[]);
    for host in ["", "a b", "a/b", "a:b", "a:80:80", "a,b", "user@a", "[::1", "a\\b", "a:99999"] {
        let mut client = proxy.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.reply().status(), 400, "{host:?}");
    }
}

#[test]
fn answers_to_head_have_no_body() {
    let proxy = Proxy::start(&[]);
    let refusing = Refusing::new();
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send(format!("HEAD http://{}/ HTTP/1.1\r\nHost: h\r\n\r\n", refusing.address()));
        let reply = client.reply_to("HEAD");
        check(&reply, 502);
    }
}

#[test]
fn the_connection_goes_on_after_an_answer_that_leaves_no_doubt() {
    let proxy = Proxy::start(&[]);
    let refusing = Refusing::new();
    let origin = Origin::site();
    let mut client = proxy.client();
    let reply = client.get(&format!("http://{}/", refusing.address()));
    check(&reply, 502);
    if reply.lists("Connection", "close") {
        client.expect_close();
    } else {
        assert_eq!(client.get(&origin.url("/next")).text(), "/next");
    }
}

#[test]
fn an_http_1_0_client_is_told_that_the_connection_closes() {
    let proxy = Proxy::start(&[]);
    let refusing = Refusing::new();
    let mut client = proxy.client();
    client.send(format!("GET http://{}/ HTTP/1.0\r\n\r\n", refusing.address()));
    let reply = client.reply();
    check(&reply, 502);
    assert!(reply.lists("Connection", "close"), "{reply:?}");
    client.expect_close();
}

#[test]
fn what_comes_from_outside_is_escaped_on_pages() {
    let proxy = Proxy::start(&[("http.forward", "X-Client")]);
    let mut client = proxy.client();
    client.send("GET http://nodot/<script>?\"x\" HTTP/1.1\r\nHost: nodot\r\nX-Client: <b>1</b>\r\n\r\n");
    let reply = client.reply();
    assert!(reply.status() >= 400);
    assert!(!reply.text().contains("<script>") && !reply.text().contains("<b>1"), "{}", reply.text());
    let mut client = proxy.client();
    client.send("GET <script>alert(1)</script> HTTP/1.1\r\nHost: <i>\r\n\r\n");
    let reply = client.reply();
    assert_eq!(reply.status(), 400);
    assert!(!reply.text().contains("<script>"), "{}", reply.text());
}

#[test]
fn pages_of_a_folder_replace_the_embedded_ones() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let page = "<html>own page for %(host)s, 100%% and 50% %(unknown)s</html>";
    std::fs::write(folder.path().join("dns.html"), page).expect("a page");
    let path = folder.path().to_str().expect("a path of text");
    let proxy = Proxy::start(&[("web.html", path)]);
    let reply = proxy.client().get("http://some.invalid/");
    assert_eq!(reply.status(), 502);
    assert!(reply.text().contains("own page for some.invalid, 100% and 50% "), "{}", reply.text());
    assert!(reply.value("Content-Type").unwrap().starts_with("text/html"));
    // A page that the folder lacks is the embedded one.
    let refusing = Refusing::new();
    let reply = proxy.client().get(&format!("http://{}/", refusing.address()));
    assert!(reply.status() == 502 && !reply.text().is_empty(), "{reply:?}");
}

#[test]
fn the_statuses_of_the_original_can_be_had() {
    let Some(names) = NameServer::zone(&[]) else { return };
    let resolver = names.resolv_conf();
    let proxy = Proxy::start(&[
        ("http.compatible-status", "true"),
        ("dns.resolver", &resolver),
        ("security.connect", "443"),
        ("security.local", "*:*"),
        ("security.deny", "127.0.0.9/32"),
    ]);
    let refusing = Refusing::new();
    let cases = [
        (format!("GET http://{}/ HTTP/1.1\r\nHost: h\r\n\r\n", refusing.address()), 400),
        ("GET http://unknown.test/ HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 503),
        ("GET http://nodot/ HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 200),
        ("GET http://127.0.0.9/ HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("CONNECT h.test:80 HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 501),
    ];
    for (request, status) in cases {
        let mut client = proxy.client();
        client.send(&request);
        // Not as the answer to CONNECT: a 200 would have no body there.
        let reply = client.reply();
        assert_eq!(reply.status(), status, "{request:?}: {reply:?}");
    }
}

#[test]
fn a_compatible_200_never_answers_connect() {
    let proxy = Proxy::start(&[("http.compatible-status", "true")]);
    let mut client = proxy.client();
    client.send("CONNECT nodot:443 HTTP/1.1\r\nHost: nodot:443\r\n\r\n");
    let reply = client.reply_to("CONNECT");
    assert!(reply.status() >= 400, "a page looks like an open tunnel: {reply:?}");
}

#[test]
fn local_answers_are_not_to_be_kept_by_caches() {
    let proxy = Proxy::start(&[]);
    let reply = proxy.client().get("http://some.invalid/");
    assert!(reply.lists("Cache-Control", "no-store"), "{reply:?}");
}
