//! The Proxy-Status field: on what the proxy says itself, with the word that the access log has, and on nothing else.

use super::support::{eventually, Helpers, Message, Origin, Proxy};

/// The error type in the Proxy-Status field of a response.
fn error(reply: &Message) -> Option<String> {
    let value = reply.value("Proxy-Status")?;
    let (_, rest) = value.split_once("; error=").unwrap_or_else(|| panic!("{value}"));
    Some(rest.split(';').next().unwrap_or_default().to_owned())
}

/// A port of this machine on which no process listens.
fn nobody() -> String {
    format!("127.0.0.1:{}", super::support::ports::next())
}

#[test]
fn the_answer_and_the_access_log_have_the_same_word() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access");
    let mute = Origin::once("");
    let garbled = Origin::once("SSH-2.0-x\r\n\r\n");
    let proxy = Proxy::start(&[
        ("access.enable", "true"),
        ("access.format", "%{failure}x"),
        ("access.destination", path.to_str().expect("a path in UTF-8")),
        ("security.connect", "443"),
        ("security.deny", "192.0.2.0/24"),
    ]);
    let get = |url: &str| format!("GET {url} HTTP/1.1\r\nHost: h\r\n\r\n");
    let table = [
        (get(&format!("http://{}/", nobody())), "connection_refused"),
        (get("http://nodot/"), "dns_error"),
        (get(&mute.url("/")), "connection_terminated"),
        (get(&garbled.url("/")), "http_protocol_error"),
        (get("http://192.0.2.9/"), "destination_ip_prohibited"),
        ("CONNECT h.example:25 HTTP/1.1\r\nHost: h\r\n\r\n".into(), "http_request_denied"),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n".into(), "http_request_error"),
    ];
    for (number, (request, wanted)) in table.iter().enumerate() {
        let mut client = proxy.client();
        client.send(request);
        let reply = client.reply();
        assert_eq!(error(&reply).as_deref(), Some(*wanted), "{request}");
        let name = format!("ExaProxy-{}-id-{}-", env!("CARGO_PKG_VERSION"), proxy.pid());
        let value = reply.value("Proxy-Status").expect("it was there");
        assert!(value.starts_with(&name) && value.contains("; error=") && value.contains("; details=\""), "{value}");
        eventually("its line in the access log", || {
            let text = std::fs::read_to_string(&path).ok()?;
            (text.lines().nth(number) == Some(*wanted)).then_some(())
        });
    }
}

#[test]
fn responses_of_origins_keep_theirs_and_get_none() {
    let origin = Origin::once("HTTP/1.1 502 No\r\nProxy-Status: inner; error=dns_timeout\r\nContent-Length: 0\r\n\r\n");
    let site = Origin::site();
    let proxy = Proxy::start(&[]);
    let reply = proxy.client().get(&origin.url("/"));
    assert_eq!(reply.values("Proxy-Status"), ["inner; error=dns_timeout"]);
    assert!(!proxy.client().get(&site.url("/")).has("Proxy-Status"));
}

#[test]
fn what_helpers_want_answered_says_whose_it_is() {
    let helpers = Helpers::answering(|line| match line.contains("/file") {
        true => "file://deny.html".into(),
        false => "redirect://http://elsewhere.test/".into(),
    });
    let proxy = helpers.proxy(&[("http.via", "edge.example")]);
    for path in ["/file", "/redirect"] {
        let reply = proxy.client().get(&format!("http://a.example{path}"));
        assert_eq!(reply.value("Proxy-Status").as_deref(), Some("edge.example; error=proxy_internal_response"));
    }
}

#[test]
fn a_transparent_proxy_and_the_monitor_do_without() {
    let proxy = Proxy::start(&[("http.transparent", "true")]);
    let reply = proxy.client().get(&format!("http://{}/", nobody()));
    assert!(reply.status() == 502 && !reply.has("Proxy-Status"));
    let mut web = super::support::Client::connect(proxy.web());
    web.send("GET /json/running HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(!web.reply().has("Proxy-Status"));
    let open = Proxy::start(&[]);
    let mut web = super::support::Client::connect(open.web());
    web.send("nonsense\r\n\r\n");
    assert!(!web.reply().has("Proxy-Status"));
}
