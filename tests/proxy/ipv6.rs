//! IPv6 on both sides of the proxy.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::support::origin::serve_site;
use crate::support::{client, Client, Origin, Proxy};

const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn listener(proxy: &Proxy) -> SocketAddr {
    SocketAddr::new(V6, proxy.port())
}

#[test]
fn row_21_every_form_of_request_works_with_ipv6_literals() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::on(V6, serve_site);
    let port = origin.port();
    let requests = [
        format!("GET http://[::1]:{port}/a HTTP/1.1\r\nHost: [::1]:{port}\r\n\r\n"),
        format!("GET http://[::1]:{port}/a/b/c HTTP/1.1\r\nHost: [::1]:{port}\r\n\r\n"),
        format!("GET http://[::1]:{port} HTTP/1.1\r\nHost: [::1]:{port}\r\n\r\n"),
        format!("GET http://[::1]:{port}?q HTTP/1.1\r\nHost: [::1]:{port}\r\n\r\n"),
        format!("GET /a HTTP/1.1\r\nHost: [::1]:{port}\r\n\r\n"),
        format!("GET http://[0000:0:0::1]:{port}/a HTTP/1.0\r\n\r\n"),
    ];
    for request in requests {
        let mut client = proxy.client();
        client.send(&request);
        assert_eq!(client.reply().status(), 200, "{request:?}");
    }
    let mut client = proxy.client();
    client.tunnel(&format!("[::1]:{port}"));
    client.send("GET /inside HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.reply().text(), "/inside");
}

#[test]
fn row_21_the_host_of_a_literal_keeps_its_brackets() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::on(V6, serve_site);
    proxy.client().get(&origin.url("/"));
    assert_eq!(origin.head(0).value("Host").unwrap(), format!("[::1]:{}", origin.port()));
}

#[test]
fn row_21_bad_literals_are_refused() {
    let proxy = Proxy::start(&[]);
    for host in
        ["[::1", "::1]", "[]", "[::1]]", "[::g]", "[::1]x", "[1:2:3:4:5:6:7:8:9]", "[::1%]", "[v1.x]", "[127.0.0.1]"]
    {
        let mut client = proxy.client();
        client.send(format!("GET http://{host}:81/ HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(client.reply().status(), 400, "{host}");
    }
}

#[test]
fn row_21_literals_with_a_zone_do_no_harm() {
    let proxy = Proxy::start(&[]);
    for host in ["[fe80::1%lo]", "[fe80::1%25lo]", "[fe80::1%nosuchinterface]"] {
        let mut client = proxy.client();
        client.send(format!("GET http://{host}:81/ HTTP/1.1\r\nHost: h\r\n\r\n"));
        let status = client.reply().status();
        assert!([400, 403, 502, 504].contains(&status), "{host}: {status}");
    }
    proxy.assert_serves();
}

#[test]
fn clients_may_come_over_ipv6() {
    let proxy = Proxy::start(&[("tcp6.listen", "true")]);
    let origin = Origin::site();
    let mut client = Client::connect(listener(&proxy));
    assert_eq!(client.get(&origin.url("/here")).text(), "/here");
    assert_eq!(origin.head(0).value("X-Forwarded-For").unwrap(), "::1");
}

#[test]
fn clients_may_come_over_ipv6_alone() {
    let proxy = Proxy::start(&[("tcp6.listen", "true"), ("tcp4.listen", "false")]);
    let origin = Origin::on(V6, serve_site);
    let mut client = Client::connect(listener(&proxy));
    assert_eq!(client.get(&origin.url("/here")).text(), "/here");
    assert!(std::net::TcpStream::connect(proxy.address()).is_err(), "it listens on IPv4");
}

#[test]
fn one_wildcard_listener_for_ipv6_leaves_ipv4_to_the_other() {
    let options = [("tcp6.listen", "true"), ("tcp6.host", "::"), ("tcp4.host", "0.0.0.0"), ("tcp4.listen", "true")];
    let proxy = Proxy::start(&options);
    let origin = Origin::site();
    for address in [proxy.address(), listener(&proxy)] {
        let mut client = Client::connect(address);
        client.send(client::get(&origin.url("/here")));
        assert_eq!(client.reply().text(), "/here", "{address}");
    }
    let last = String::from_utf8_lossy(&origin.received(0)).into_owned();
    assert!(!last.contains("::ffff:"), "a mapped address went out: {last}");
}

#[test]
fn row_21_outgoing_ipv6_connections_may_be_bound() {
    let proxy = Proxy::start(&[("tcp6.bind", "::1")]);
    let origin = Origin::on(V6, serve_site);
    assert_eq!(proxy.client().get(&origin.url("/here")).text(), "/here");
}
