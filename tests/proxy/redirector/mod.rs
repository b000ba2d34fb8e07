//! Helper programs that decide about requests, beside a real proxy: what they are asked, what becomes of their replies,
//! and what becomes of requests when helpers fail.

mod announced;
mod connect;
mod extremes;
mod failures;
mod icap;
mod identity;
mod numbers;
mod place;
mod processes;
mod programs;
mod queue;
mod reload;
mod sequence;
mod url;
mod usage;

use crate::support::{client, Client, Message, Origin, Proxy};

/// A request whose content the origin sends back.
pub const CONTENT: &str = "some content";

/// An origin that answers with a text of its own, so that a test cannot take it for `Origin::site`.
pub fn other_site() -> Origin {
    Origin::start(|peer| {
        while let Some(request) = peer.request()? {
            let target = request.start().split(' ').nth(1).unwrap_or_default().to_owned();
            let body = format!("other {target} {}", String::from_utf8_lossy(&request.body));
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))?;
        }
        Ok(())
    })
}

/// Sends a request with [`CONTENT`] and reads the response.
pub fn post(client: &mut Client, url: &str) -> Message {
    let length = CONTENT.len();
    client.send(format!("POST {url} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{CONTENT}"));
    client.reply()
}

/// Sends CONNECT and reads the response.
pub fn connect(client: &mut Client, authority: &str) -> Message {
    client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    client.reply_to("CONNECT")
}

/// Asks for a path on a new connection.
pub fn get(proxy: &Proxy, origin: &Origin, path: &str) -> Message {
    proxy.client().get(&origin.url(path))
}

/// Asks for a path on a new connection, and leaves the response for later.
pub fn send_get(proxy: &Proxy, origin: &Origin, path: &str) -> Client {
    let mut client = proxy.client();
    client.send(client::get(&origin.url(path)));
    client
}

/// The connection for the next request: the same, or a new one where the answer has announced the end of it.
pub fn carry_on(proxy: &Proxy, mut client: Client, answer: &Message) -> Client {
    if !answer.lists("Connection", "close") {
        return client;
    }
    client.expect_close();
    proxy.client()
}

/// Fails the test unless this is the page for requests that no helper decided.
pub fn assert_failed(reply: &Message) {
    assert_eq!(reply.status(), 503, "{reply:?}");
    assert!(is_page(reply), "{reply:?}");
}

/// Fails the test unless this is the page for replies that cannot be read.
pub fn assert_unreadable(reply: &Message) {
    assert!([500, 503].contains(&reply.status()), "{reply:?}");
    assert!(is_page(reply), "{reply:?}");
}

/// Whether the body is a page for people.
pub fn is_page(reply: &Message) -> bool {
    let text = reply.text();
    text.starts_with("<!doctype html>") || text.starts_with("<html")
}
