//! Users: who gets through, who is asked for a password, what becomes of wrong ones, and what is never told of them.

mod checks;
mod files;
mod markers;
mod monitor;
mod told;

use std::fs;
use std::path::PathBuf;

use crate::support::{Client, Message, Origin, Proxy};

/// A hash of so many rounds that a check takes half a second or so without optimisation. Its password is `secret`.
pub const SLOW: &str =
    "$6$rounds=150000$slow$jhmp.P4gXeXHWr9s.6ziujyO02cZm4eoFKxJHDaelolBqFp6WCHZFYBKHQ5ISfLdsnNwQFjdNhR6a2WtVLiDZ.";

/// The same with rounds for more than a second.
pub const SLOWER: &str =
    "$6$rounds=400000$slow$w3lDlDcPQK2Dd1raxZMwRh68/XOrjunJ7yJQRy1g4LjlJMTys8kJR5dluvP6Sa7POpujAKp1sasBr74wGHe2x1";

/// A file of users that lives as long as a test.
pub struct Users(tempfile::TempDir);

impl Users {
    /// A file with this text.
    pub fn new(text: &str) -> Users {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("users"), text).expect("a file");
        Users(folder)
    }

    /// Its path.
    pub fn path(&self) -> String {
        self.0.path().join("users").display().to_string()
    }

    /// Puts another file in its place.
    pub fn replace(&self, text: &str) {
        let other = PathBuf::from(format!("{}.new", self.path()));
        fs::write(&other, text).expect("a file");
        fs::rename(&other, self.path()).expect("a file to replace");
    }

    /// A proxy that lets only these users through.
    pub fn proxy(&self, options: &[(&str, &str)]) -> Proxy {
        let path = self.path();
        let own = [("auth.enable", "true"), ("auth.users", &path[..])];
        Proxy::start(&[&own[..], options].concat())
    }
}

/// Base64, so that the tests do not rely on what they test.
pub fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |bytes: &[u8]| {
        let value = bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - bytes.len()));
        let six = move |place: usize| char::from(ALPHABET[(value >> (18 - 6 * place)) as usize & 63]);
        (0..4).map(|place| if place <= bytes.len() { six(place) } else { '=' }).collect::<String>()
    };
    text.as_bytes().chunks(3).map(group).collect()
}

/// The field with the credentials `user:password`, with its line end; nothing for none.
pub fn field(credentials: &str) -> String {
    match credentials {
        "" => String::new(),
        credentials => format!("Proxy-Authorization: Basic {}\r\n", base64(credentials)),
    }
}

/// Asks an origin for a path.
pub fn ask(client: &mut Client, origin: &Origin, path: &str, credentials: &str) -> Message {
    let url = origin.url(path);
    client.send(format!("GET {url} HTTP/1.1\r\nHost: h\r\n{}\r\n", field(credentials)));
    client.reply()
}

/// Asserts that this asks for a password.
pub fn assert_asks(reply: &Message) {
    assert_eq!(reply.status(), 407, "{reply:?}");
    let challenges = reply.values("Proxy-Authenticate");
    assert_eq!(challenges, ["Basic realm=\"exaproxy\", charset=\"UTF-8\""], "{reply:?}");
}

#[test]
fn nobody_gets_through_without_a_password_with_any_method() {
    let origin = Origin::site();
    let proxy = Users::new("ann:secret\n").proxy(&[]);
    let url = origin.url("/no");
    let mut client = proxy.client();
    for method in ["GET", "HEAD", "POST", "OPTIONS", "TRACE", "PROPFIND", "DELETE"] {
        client.send(format!("{method} {url} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_asks(&client.reply_to(method));
    }
    let tunnel = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n", origin.address());
    client.send(format!("{tunnel}\r\n"));
    let reply = client.reply_to("CONNECT");
    assert_asks(&reply);
    assert!(reply.start().contains("(authentication_required: "), "{reply:?}");
    assert_eq!((origin.connections(), proxy.counter("auth.missing"), proxy.counter("auth.failed")), (0, 8, 0));
    // The connection of all of them can still be used.
    client.send(format!("{tunnel}{}\r\n", field("ann:secret")));
    assert_eq!(client.reply_to("CONNECT").status(), 200);
    client.send("GET /through HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.reply().text(), "/through");
}

#[test]
fn wrong_then_right_then_wrong_by_different_users_on_one_connection() {
    let origin = Origin::site();
    let proxy = Users::new("ann:secret\nbob ü:p:w\n").proxy(&[]);
    let mut client = proxy.client();
    for (credentials, status) in [
        ("ann:wrong", 407),
        ("ann:secret", 200),
        ("bob ü:secret", 407),
        ("bob ü:p:w", 200),
        ("", 407),
        ("ann:secret", 200),
        ("ann:p:w", 407),
        ("carl:secret", 407),
        ("Ann:secret", 407),
        ("bob ü:p:w", 200),
    ] {
        let reply = ask(&mut client, &origin, "/path", credentials);
        assert_eq!(reply.status(), status, "{credentials}: {reply:?}");
        if status == 407 {
            assert_asks(&reply);
        }
    }
    assert_eq!(origin.connections(), 1);
    let counts = ["missing", "failed", "kept", "checked"].map(|name| proxy.counter(&format!("auth.{name}")));
    assert_eq!(counts, [1, 5, 2, 7]);
}

#[test]
fn what_comes_before_users_asks_for_no_password() {
    let origin = Origin::site();
    let proxy = Users::new("ann:secret\n").proxy(&[("acl.clients", "127.0.0.1"), ("security.connect", "443")]);
    let mut other = Client::connect_from([127, 0, 0, 3], proxy.address());
    assert_eq!(ask(&mut other, &origin, "/", "ann:secret").status(), 403, "clients are judged first");
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert_eq!(client.reply().status(), 400, "a faulty head is no request");
    // What is behind is not told of before.
    let mut client = proxy.client();
    client.send("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n");
    assert_asks(&client.reply_to("CONNECT"));
    client.send(format!("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n{}\r\n", field("ann:secret")));
    assert_eq!(client.reply_to("CONNECT").status(), 403);
}

#[test]
fn the_connection_stays_where_the_content_is_small_or_complete() {
    let origin = Origin::site();
    // An answer that waits for more than the content comes too late.
    let proxy = Users::new("ann:secret\n").proxy(&[("http.drain-timeout", "3600")]);
    let mut client = proxy.client();
    let post = |length: usize, more: &str| {
        format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n{more}\r\n", origin.url("/post"))
    };
    // Complete.
    client.send(format!("{}content", post(7, "")));
    assert_asks(&client.reply());
    // Small, and on its way.
    client.send(post(7, ""));
    client.send("con");
    client.send("tent");
    assert_asks(&client.reply());
    client.send(format!(
        "POST {} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        origin.url("/post")
    ));
    assert_asks(&client.reply());
    client.send(format!("{}content", post(7, &field("ann:secret"))));
    assert_eq!(client.reply().text(), "content");
    // Large: it ends, and the answer is read all the same.
    client.send(post(1 << 30, ""));
    let reply = client.reply();
    assert_asks(&reply);
    assert!(reply.lists("Connection", "close"), "{reply:?}");
    // With an expectation the content does not come at all.
    let mut client = proxy.client();
    client.send(post(7, "Expect: 100-continue\r\n"));
    assert_asks(&client.reply());
    assert_eq!(origin.connections(), 1);
}

#[test]
fn credentials_never_go_on_to_an_origin() {
    let origin = Origin::site();
    let proxy = Users::new("ann:secret\n").proxy(&[]);
    assert_eq!(ask(&mut proxy.client(), &origin, "/", "ann:secret").status(), 200);
    let head = origin.head(0);
    assert!(!head.has("Proxy-Authorization") && !format!("{head:?}").contains(&base64("ann:secret")), "{head:?}");
}

#[test]
fn other_schemes_and_unreadable_credentials_are_refused() {
    let origin = Origin::site();
    let proxy = Users::new("ann:secret\n").proxy(&[("auth.realm", "our \"realm\" \\")]);
    let right = format!("Proxy-Authorization: Basic {}\r\n", base64("ann:secret"));
    for (fields, status) in [
        ("Proxy-Authorization: Bearer x\r\n", 407),
        ("Proxy-Authorization: Basic\r\n", 407),
        ("Proxy-Authorization: Basic !!!\r\n", 407),
        ("Proxy-Authorization: Basic bm9jb2xvbg==\r\n", 407),
        (&right.replace("Proxy-", ""), 407),
        (&right.repeat(2), 407),
        (&right.replace("Basic ", "bAsIc   "), 200),
        (&right.replace("=", ""), 200),
    ] {
        let mut client = proxy.client();
        client.send(format!("GET {} HTTP/1.1\r\nHost: h\r\n{fields}\r\n", origin.url("/")));
        let reply = client.reply();
        assert_eq!(reply.status(), status, "{fields}: {reply:?}");
        if status == 407 {
            let challenge = reply.value("Proxy-Authenticate");
            assert_eq!(challenge.as_deref(), Some("Basic realm=\"our \\\"realm\\\" \\\\\", charset=\"UTF-8\""));
        }
    }
}
