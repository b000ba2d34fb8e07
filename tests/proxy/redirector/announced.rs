//! Connections to hosts that a helper has named begin with a PROXY protocol header, where the helper or the configuration says so.

use super::connect;
use crate::support::{client, Client, Helpers, Origin, Peer, Proxy, ONE_LOOP};

/// An origin that takes a header of version 1 or 2 in front of each connection, and answers requests with the line of it, or
/// echoes what follows a header in a tunnel.
fn announced_origin() -> Origin {
    Origin::start(|peer| {
        let told = header(peer)?;
        while let Some(request) = peer.request()? {
            let path = request.start().split(' ').nth(1).unwrap_or_default().to_owned();
            let text = format!("{told}{path}");
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()))?;
        }
        Ok(())
    })
}

/// Reads the header: `SOURCE DESTINATION ` as text, for both versions.
fn header(peer: &mut Peer) -> std::io::Result<String> {
    let first = peer.exact(6)?;
    if first == b"PROXY " {
        let line = peer.until(b"\r\n")?;
        let text = String::from_utf8_lossy(&line).into_owned();
        let words: Vec<&str> = text.split_whitespace().collect();
        return Ok(format!("v1 {}:{} {}:{} ", words[1], words[3], words[2], words[4]));
    }
    assert_eq!(first, b"\r\n\r\n\0\r");
    let rest = peer.exact(22)?;
    assert_eq!(&rest[..10], b"\nQUIT\n\x21\x11\0\x0c");
    let ends = &rest[10..];
    let address = |at: usize| format!("{}.{}.{}.{}", ends[at], ends[at + 1], ends[at + 2], ends[at + 3]);
    let port = |at: usize| u16::from_be_bytes([ends[at], ends[at + 1]]);
    Ok(format!("v2 {}:{} {}:{} ", address(0), port(8), address(4), port(10)))
}

/// What the origin is to be told of a client of this proxy.
fn told(version: &str, client: &Client, proxy: &Proxy) -> String {
    format!("{version} {} {} ", client.local(), proxy.address())
}

#[test]
fn a_helper_or_the_configuration_has_clients_announced() {
    for (option, word, version) in [
        ("off", " proxy=v1", "v1"),
        ("off", " proxy=v2", "v2"),
        ("v1", "", "v1"),
        ("v2", "", "v2"),
        ("v2", " proxy=v1", "v1"),
    ] {
        let origin = announced_origin();
        let reply = format!("intercept://{}{word}", origin.address());
        let helpers = Helpers::answering(move |_| reply.clone());
        let proxy = helpers.proxy(&[("tcp4.proxy-protocol", option)]);
        for round in 1..=2 {
            // One connection for each client, announced once.
            let mut client = proxy.client();
            for path in ["/a", "/b"] {
                client.send(client::get(&format!("http://named.example{path}")));
                assert_eq!(
                    client.reply().text(),
                    format!("{}{path}", told(version, &client, &proxy)),
                    "{option}{word}"
                );
            }
            assert_eq!(origin.connections(), round);
        }
        // So does a tunnel, before a byte of the client.
        let mut tunnel = proxy.client();
        assert_eq!(connect(&mut tunnel, "named.example:443").status(), 200);
        tunnel.send("GET /through HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(tunnel.reply().text(), format!("{}/through", told(version, &tunnel, &proxy)), "{option}{word}");
    }
}

#[test]
fn without_a_word_of_it_nobody_is_announced() {
    for (option, word) in [("off", ""), ("v2", " proxy=off")] {
        let origin = Origin::site();
        let reply = format!("intercept://{}{word}", origin.address());
        let helpers = Helpers::answering(move |_| reply.clone());
        let proxy = helpers.proxy(&[ONE_LOOP, ("tcp4.proxy-protocol", option)]);
        for _ in 0..2 {
            let mut client = proxy.client();
            client.send(client::get("http://named.example/a"));
            assert_eq!(client.reply().text(), "/a", "{option}{word}");
        }
        assert_eq!(origin.connections(), 1, "the connection is shared as ever");
    }
    // What no helper has named is no intercept target.
    let origin = Origin::site();
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&[("tcp4.proxy-protocol", "v2")]);
    assert_eq!(proxy.client().get(&origin.url("/own")).text(), "/own");
}

#[test]
fn a_client_that_a_balancer_announces_is_announced_as_that() {
    let origin = announced_origin();
    let reply = format!("intercept://{} proxy=v1", origin.address());
    let helpers = Helpers::answering(move |_| reply.clone());
    let proxy = helpers.proxy(&[("http.proxied", "true")]);
    let mut client = proxy.client();
    client.send(format!("PROXY TCP4 203.0.113.7 192.0.2.1 56324 3128\r\n{}", client::get("http://named.example/x")));
    assert_eq!(client.reply().text(), format!("v1 203.0.113.7:56324 {} /x", proxy.address()));
}
