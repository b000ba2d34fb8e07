//! Bytes, to the last one: what peers got is what was counted, while a connection lives and when it has ended.

use std::net::{Ipv6Addr, SocketAddr};

use super::{Books, Client, Proxy};
use crate::support::{eventually, pattern, Origin};

pub const KEYS: &[&str] = &[
    "transfer.client",
    "transfer.client4",
    "transfer.client6",
    "transfer.client.unix",
    "transfer.content",
    "transfer.content4",
    "transfer.content6",
    "transfer.content.unix",
    "transfer.monitor",
];

/// Enough to be passed on unseen.
const MUCH: usize = 1 << 20;

/// Bytes that a client and its origin have got in a request with content, and in a tunnel.
struct Got {
    client: usize,
    origin: usize,
}

fn post(client: &mut Client, site: &Origin) -> Got {
    let content = pattern(MUCH, 1);
    client.send(format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: {MUCH}\r\n\r\n", site.url("/")));
    client.send(&content);
    let reply = client.reply();
    assert!(reply.body == content, "{} bytes came back", reply.body.len());
    Got { client: reply.head.len() + MUCH, origin: site.head(site.connections() - 1).head.len() + MUCH }
}

fn tunnel(client: &mut Client, echo: &Origin) -> Got {
    let authority = echo.address();
    client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    let head = client.reply_to("CONNECT").head.len();
    client.send("12345");
    assert_eq!(client.read(5), b"12345");
    Got { client: head + 5, origin: 5 }
}

#[test]
fn bytes_are_counted_by_what_the_client_comes_by() {
    let (site, echo) = (Origin::site(), Origin::echo());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("proxy");
    let unix = path.to_str().expect("a path in UTF-8");
    let proxy = Proxy::start(&[("tcp6.listen", "true"), ("http.pool", "0"), ("unix.path", unix)]);
    let books = Books::open(&proxy);
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, proxy.port()));
    let clients: [(&dyn Fn() -> Client, _); 3] = [
        (&|| proxy.client(), [0, 1, 4, 5]),
        (&|| Client::connect(six), [0, 2, 4, 6]),
        (&|| Client::connect_path(&path), [0, 3, 4, 7]),
    ];
    for (connect, at) in clients {
        let before = books.look();
        let mut client = connect();
        let refused = client.get("http://short/");
        let own = refused.head.len() + refused.body.len();
        let (first, second) = (post(&mut client, &site), tunnel(&mut client, &echo));
        let (down, up) = (own + first.client + second.client, first.origin + second.origin);
        let wanted = |key: &str| match KEYS.iter().position(|own| *own == key) {
            // What the monitor sends is in none of the others, and the books leave their own out.
            Some(place) if at.contains(&place) => (if place < 4 { down } else { up }) as f64,
            _ => 0.0,
        };
        let told = || {
            let now = books.look();
            KEYS.iter().all(|key| now[*key] - before[*key] == wanted(key)).then_some(())
        };
        eventually(&format!("{down} bytes down and {up} up in an open connection"), told);
        drop(client);
        eventually("the end of the connection", || (books.connected() == 1.0).then_some(()));
        eventually(&format!("{down} bytes down and {up} up in the end"), told);
    }
}

#[test]
fn bytes_to_the_monitor_are_counted_apart() {
    let proxy = Proxy::start(&[]);
    let books = Books::open(&proxy);
    let before = books.look();
    let mut client = Client::connect(proxy.web());
    client.send("GET /json/running HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let page = client.reply();
    drop(client);
    let size = (page.head.len() + page.body.len()) as f64;
    let wanted = |key: &str| if key == "transfer.monitor" { size } else { 0.0 };
    eventually("the page among the bytes of the monitor alone", || {
        let now = books.look();
        KEYS.iter().all(|key| now[*key] - before[*key] == wanted(key)).then_some(())
    });
}
