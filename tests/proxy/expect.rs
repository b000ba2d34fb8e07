//! Expect, and interim answers on their way to clients.

use crate::support::{pattern, Origin, Proxy};

#[test]
fn a_100_is_passed_on_and_the_body_follows() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        let head = peer.until(b"\r\n\r\n")?;
        peer.send("HTTP/1.1 100 Continue\r\n\r\n")?;
        let body = peer.exact(200_000)?;
        let right = body == pattern(200_000, 4) && String::from_utf8_lossy(&head).contains("100-continue");
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{right:5}"))
    });
    let mut client = proxy.client();
    let url = origin.url("/");
    client.send(format!("PUT {url} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 200000\r\n\r\n"));
    assert_eq!(client.reply().status(), 100);
    client.send(pattern(200_000, 4));
    let reply = client.reply();
    assert_eq!((reply.status(), reply.text().trim()), (200, "true"));
}

#[test]
fn row_38_a_refusal_instead_of_100_reaches_the_client() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(|peer| {
        peer.until(b"\r\n\r\n")?;
        peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
    });
    let mut client = proxy.client();
    let url = origin.url("/");
    client.send(format!("PUT {url} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n"));
    let reply = client.reply();
    assert_eq!((reply.status(), reply.text().as_str()), (413, "big"));
    // The client may now send its body or not, so the proxy can only close.
    assert!(reply.lists("Connection", "close"), "{reply:?}");
}

#[test]
fn a_client_that_does_not_wait_for_100_is_served() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    let url = origin.url("/");
    client.send(format!("PUT {url} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody"));
    let mut reply = client.reply();
    if reply.status() == 100 {
        reply = client.reply();
    }
    assert_eq!(reply.text(), "body");
}

#[test]
fn expect_can_be_refused() {
    let origin = Origin::site();
    let proxy = Proxy::start(&[("http.expect", "true")]);
    let mut client = proxy.client();
    client.send(format!(
        "PUT {} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
        origin.url("/")
    ));
    assert_eq!(client.reply().status(), 417);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn interim_answers_reach_http_1_1_clients_in_order() {
    let origin = Origin::once(
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let proxy = Proxy::start(&[]);
    let mut client = proxy.client();
    assert_eq!(client.get(&origin.url("/")).status(), 102);
    let hints = client.reply();
    assert_eq!((hints.status(), hints.value("Link").unwrap().as_str()), (103, "</a>"));
    assert_eq!(client.reply().text(), "ok");
}

#[test]
fn interim_answers_do_not_reach_http_1_0_clients() {
    let origin = Origin::once(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let proxy = Proxy::start(&[]);
    let mut client = proxy.client();
    client.send(format!("GET {} HTTP/1.0\r\n\r\n", origin.url("/")));
    assert_eq!(client.reply().text(), "ok");
}

#[test]
fn an_expectation_in_http_1_0_is_ignored() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    let url = origin.url("/");
    client.send(format!("PUT {url} HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody"));
    assert_eq!(client.reply().text(), "body");
}
