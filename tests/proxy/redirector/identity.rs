//! The client that helpers are told of, and that no method slips past them.

use super::CONTENT;
use crate::support::{Helpers, Message, NameServer, Origin, Proxy};

fn allowing(options: &[(&str, &str)]) -> (Helpers, Proxy) {
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(options);
    (helpers, proxy)
}

/// The client in the last line that a helper was asked.
fn client_of(helpers: &Helpers) -> String {
    let asked = helpers.asked();
    asked.last().and_then(|line| line.split(' ').nth(1)).expect("a line with a client").to_owned()
}

#[test]
fn the_peer_is_the_client() {
    let (helpers, proxy) = allowing(&[("http.forward", "")]);
    let origin = Origin::site();
    let mut client = proxy.client();
    client.send(format!("GET {} HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n", origin.url("/")));
    client.reply();
    assert_eq!(client_of(&helpers), "127.0.0.1");
}

#[test]
fn row_39_the_field_of_each_request_names_its_client() {
    let (helpers, proxy) = allowing(&[("http.forward", "x-forwarded-for")]);
    let origin = Origin::site();
    let mut client = proxy.client();
    for (field, expected) in [
        ("X-Forwarded-For: 192.0.2.9\r\n", "192.0.2.9"),
        ("X-Forwarded-For: 192.0.2.9, 9.9.9.9\r\n", "9.9.9.9"),
        ("x-forwarded-for: 2001:db8::7\r\n", "2001:db8::7"),
        ("", "127.0.0.1"),
        ("X-Forwarded-For: unknown\r\n", "127.0.0.1"),
    ] {
        client.send(format!("GET {} HTTP/1.1\r\nHost: h\r\n{field}\r\n", origin.url("/")));
        assert_eq!(client.reply().status(), 200);
        assert_eq!(client_of(&helpers), expected, "{field:?}");
    }
}

#[test]
fn row_66_the_proxy_line_names_the_client() {
    let (helpers, proxy) = allowing(&[("http.proxied", "true"), ("web.enable", "true")]);
    let origin = Origin::site();
    for (line, expected) in [
        ("PROXY TCP4 203.0.113.7 192.0.2.1 56324 3128\r\n", "203.0.113.7"),
        ("PROXY TCP6 2001:db8::7 2001:db8::1 56324 3128\r\n", "2001:db8::7"),
        ("PROXY UNKNOWN\r\n", "127.0.0.1"),
    ] {
        let mut client = proxy.client();
        client.send(line);
        assert_eq!(client.get(&origin.url("/")).status(), 200);
        assert_eq!(client_of(&helpers), expected, "{line:?}");
        client.send(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", origin.address()));
        assert_eq!(client.reply_to("CONNECT").status(), 200);
        assert_eq!(client_of(&helpers), expected, "{line:?}");
    }
}

#[test]
fn the_pragma_of_icap_names_the_same_client() {
    let helpers = Helpers::answering_icap(|_| b"ICAP/1.0 204 No Content\n\n".to_vec());
    let options = [("redirector.protocol", "icap://filter/x"), ("http.forward", "x-forwarded-for")];
    let proxy = helpers.proxy(&options);
    let origin = Origin::site();
    let mut client = proxy.client();
    client.send(format!("GET {} HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n", origin.url("/")));
    assert_eq!(client.reply().text(), "/");
    let asked = helpers.asked();
    assert!(asked[0].contains("\nPragma: client=192.0.2.9\n"), "{asked:?}");
}

/// The original showed OPTIONS, TRACE and WebDAV to no helper.
#[test]
fn every_method_is_asked_about() {
    let methods = [
        "GET",
        "HEAD",
        "PUT",
        "POST",
        "DELETE",
        "PATCH",
        "OPTIONS",
        "TRACE",
        "PROPFIND",
        "PROPPATCH",
        "MKCOL",
        "COPY",
        "MOVE",
        "LOCK",
        "UNLOCK",
        "SEARCH",
        "REPORT",
        "BCOPY",
        "X-MS-ENUMATTS",
        "LINK",
        "FOOBAR",
    ];
    let (helpers, proxy) = allowing(&[("http.extensions", "REPORT LINK FOOBAR")]);
    let origin = Origin::site();
    for method in methods {
        let mut client = proxy.client();
        let url = origin.url("/m");
        let content = if matches!(method, "PUT" | "POST" | "PATCH") { CONTENT } else { "" };
        let length = content.len();
        client.send(format!("{method} {url} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{content}"));
        assert_eq!(client.reply_to(method).status(), 200, "{method}");
        let asked = helpers.asked();
        assert_eq!(asked.last(), Some(&format!("127.0.0.1/m 127.0.0.1 - {method} -")));
    }
    assert_eq!(helpers.asked().len(), methods.len());
}

#[test]
fn every_method_can_be_refused() {
    let helpers = Helpers::answering(|_| "redirect://http://elsewhere.test/".to_owned());
    let proxy = helpers.proxy(&[("http.extensions", "REPORT")]);
    let origin = Origin::site();
    for method in ["OPTIONS", "TRACE", "PROPFIND", "REPORT", "HEAD", "PUT"] {
        let mut client = proxy.client();
        client.send(format!("{method} {} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", origin.url("/")));
        let reply = client.reply_to(method);
        assert_eq!(reply.status(), 302, "{method}: {reply:?}");
    }
    assert_eq!(origin.connections(), 0);
}

/// A request to the server as a whole has no path, and still a host to be judged by.
#[test]
fn options_for_the_whole_server_is_asked_about() {
    let (helpers, proxy) = allowing(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    client.send(format!("OPTIONS * HTTP/1.1\r\nHost: {}\r\n\r\n", origin.address()));
    assert_eq!(client.reply().status(), 200);
    let asked = helpers.asked();
    assert!(asked[0].starts_with("127.0.0.1") && asked[0].ends_with(" 127.0.0.1 - OPTIONS -"), "{asked:?}");
}

/// The pages of the monitor need no helper: an operator wants them most when helpers are slow.
#[test]
fn the_monitor_is_not_asked_about() {
    let helpers = Helpers::start(|desk| desk.hang());
    let proxy = helpers.proxy(&[]);
    assert_eq!(proxy.counter("queue.size"), 0);
    assert!(helpers.asked().is_empty());
}

#[test]
fn names_are_asked_about_before_they_are_looked_up() {
    let Some(names) = NameServer::zone(&[("known.test", "127.0.0.1")]) else { return };
    let helpers = Helpers::answering(|line| match line.starts_with("known.test/") {
        true => String::new(),
        false => "redirect://http://elsewhere.test/".to_owned(),
    });
    let resolver = names.resolv_conf();
    let proxy = helpers.proxy(&[("dns.resolver", &resolver)]);
    let origin = Origin::site();
    let reply = |url: &str| -> Message { proxy.client().get(url) };
    assert_eq!(reply(&format!("http://known.test:{}/x", origin.port())).text(), "/x");
    assert_eq!(reply("http://no-such-name.test/").status(), 302);
    // The letter case of a name means nothing, so a list of names must not be escaped by it.
    assert_eq!(reply(&format!("http://KNOWN.test:{}/y", origin.port())).text(), "/y");
}
