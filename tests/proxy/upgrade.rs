//! Upgrade: offered anew on the next hop, and a tunnel only after a 101 that was asked for.

use crate::support::{Client, Message, Origin, Peer, Proxy};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// Asks for an upgrade and gives the answer.
fn ask(client: &mut Client, origin: &Origin, fields: &str) -> Message {
    client.send(format!("GET {} HTTP/1.1\r\nHost: h\r\n{fields}{KEY}\r\n", origin.url("/chat")));
    client.reply()
}

/// Answers an upgrade and then echoes.
fn switch(peer: &mut Peer) -> std::io::Result<()> {
    let request = peer.expect_request()?;
    let protocol = request.value("Upgrade").unwrap_or_else(|| "none".to_owned());
    peer.send(format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\nhi"))?;
    peer.echo()
}

#[test]
fn row_49_a_websocket_goes_through() {
    let proxy = Proxy::start(&[]);
    for connection in ["Upgrade", "keep-alive, Upgrade", "upgrade", "keep-alive,UPGRADE"] {
        let origin = Origin::start(switch);
        let mut client = proxy.client();
        let reply = ask(&mut client, &origin, &format!("Connection: {connection}\r\nUpgrade: websocket\r\n"));
        assert_eq!(reply.status(), 101, "{connection}: {reply:?}");
        assert!(reply.lists("Connection", "upgrade") && reply.lists("Upgrade", "websocket"), "{reply:?}");
        assert!(!reply.has("Content-Length") && !reply.has("Transfer-Encoding"), "{reply:?}");
        assert_eq!(client.read(2), b"hi");
        client.send(b"\x81\x85\x01\x02\x03\x04hello");
        assert_eq!(client.read(11), b"\x81\x85\x01\x02\x03\x04hello");
        let head = origin.head(0);
        assert!(head.lists("Connection", "upgrade") && head.has("Sec-WebSocket-Key"), "{head:?}");
        assert!(!head.lists("Connection", "keep-alive"), "{head:?}");
    }
}

#[test]
fn row_50_websocket_needs_no_switch_and_other_protocols_work_too() {
    let proxy = Proxy::start(&[]);
    for protocol in ["websocket", "WebSocket", "tls/1.2", "chat/2"] {
        let origin = Origin::start(switch);
        let mut client = proxy.client();
        let reply = ask(&mut client, &origin, &format!("Connection: Upgrade\r\nUpgrade: {protocol}\r\n"));
        assert_eq!(reply.status(), 101, "{protocol}: {reply:?}");
        client.read(2);
        client.send("echo");
        assert_eq!(client.read(4), b"echo");
    }
}

#[test]
fn bytes_sent_with_the_upgrade_request_arrive_after_the_switch() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(switch);
    let mut client = proxy.client();
    client.send(format!(
        "GET {} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{KEY}\r\nearly",
        origin.url("/")
    ));
    assert_eq!(client.reply().status(), 101);
    assert_eq!(client.read(7), b"hiearly");
}

#[test]
fn a_refused_upgrade_stays_http() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    let reply = ask(&mut client, &origin, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    assert_eq!((reply.status(), reply.text().as_str()), (200, "/chat"));
    assert_eq!(client.get(&origin.url("/next")).text(), "/next");
}

#[test]
fn a_switch_that_nobody_asked_for_is_refused() {
    let proxy = Proxy::start(&[]);
    let cases = ["", "Upgrade: websocket\r\n", "Connection: Upgrade\r\n"];
    for fields in cases {
        let origin = Origin::once(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nsmuggled",
        );
        let mut client = proxy.client();
        let reply = ask(&mut client, &origin, fields);
        assert_eq!(reply.status(), 502, "{fields:?}: {reply:?}");
    }
}

#[test]
fn a_switch_to_another_protocol_than_offered_is_refused() {
    let proxy = Proxy::start(&[]);
    for field in ["Upgrade: other\r\n", ""] {
        let origin = Origin::once(format!("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\n{field}\r\nsmuggled"));
        let mut client = proxy.client();
        let reply = ask(&mut client, &origin, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
        assert_eq!(reply.status(), 502, "{field:?}: {reply:?}");
    }
}

#[test]
fn an_upgrade_in_http_1_0_is_ignored() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    client.send(format!(
        "GET {} HTTP/1.0\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{KEY}\r\n",
        origin.url("/")
    ));
    assert_eq!(client.reply().status(), 200);
    assert!(!origin.head(0).has("Upgrade"));
}

#[test]
fn a_switched_connection_ends_with_either_side() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::start(switch);
    let mut client = proxy.client();
    assert_eq!(ask(&mut client, &origin, "Connection: Upgrade\r\nUpgrade: websocket\r\n").status(), 101);
    drop(client);
    origin.wait_ended(1);
    proxy.wait_counter("servers.established", 0);
}
