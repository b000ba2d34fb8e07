//! Nothing of a password is ever repeated: not in an answer, a page, a log, or what a helper or an origin gets.

use std::fs;

use super::{base64, Users};
use crate::support::{Helpers, Origin, Proxy};

/// Stands in passwords, in names that do not exist, in cookies.
const MARKER: &str = "M4rk3rM4rk3r";

/// All that comes back for requests with these fields, each in many ways.
fn answers(proxy: &Proxy, url: &str, fields: &[String]) -> String {
    let mut answers = String::new();
    for field in fields {
        for (method, more) in [
            ("GET", "Accept: text/html\r\n"),
            ("GET", "Accept: application/json\r\n"),
            ("GET", "Accept: */*\r\n"),
            ("TRACE", "Max-Forwards: 0\r\n"),
            ("TRACE", "Max-Forwards: 0\r\nExpect: x\r\n"),
            ("GET", "Cookie: M4rk3rM4rk3r\r\nHost: twice\r\n"),
        ] {
            let mut client = proxy.client();
            client.send(format!("{method} {url} HTTP/1.1\r\nHost: h\r\n{more}{field}\r\n"));
            answers += &format!("{:?}", client.reply_to(method));
        }
        let mut client = proxy.client();
        client.send(format!("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n{field}\r\n"));
        answers += &format!("{:?}", client.reply_to("CONNECT"));
    }
    answers
}

#[test]
fn nothing_of_credentials_is_repeated_anywhere() {
    let origin = Origin::site();
    let users = Users::new(&format!("ann:{MARKER}\n"));
    let path = users.path();
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (access, usage) = (at("access"), at("usage"));
    let helpers = Helpers::answering_icap(|_| b"ICAP/1.0 204 No Content\n\n".to_vec());
    let proxy = helpers.proxy(&[
        ("redirector.protocol", "icap://helper/"),
        ("auth.enable", "true"),
        ("auth.users", &path),
        ("access.enable", "true"),
        ("access.destination", &access),
        ("access.format", "json"),
        ("usage.enable", "true"),
        ("usage.destination", &usage),
        ("log.level", "DEBUG"),
    ]);
    let encoded: Vec<String> =
        [format!("ann:{MARKER}"), format!("{MARKER}:x"), format!("ann:{MARKER}x"), format!("{MARKER} no colon")]
            .iter()
            .map(|text| base64(text))
            .collect();
    let fields: Vec<String> = encoded.iter().map(|text| format!("Proxy-Authorization: Basic {text}\r\n")).collect();
    let mut answers = answers(&proxy, &origin.url("/"), &fields);
    for page in
        ["/", "/information/sessions.html", "/information/logs.html", "/json/errors", "/json/configuration", "/metrics"]
    {
        answers += &proxy.monitor_page(page);
    }
    proxy.wait_log("authentication failed for client 127.0.0.1: wrong password for user ann");
    assert!(!helpers.asked().is_empty());
    let texts = [
        ("an answer or a page", answers),
        ("the log", proxy.log()),
        ("the access log", fs::read_to_string(&access).expect("a log")),
        ("the usage log", fs::read_to_string(&usage).expect("a log")),
        ("a helper's question", helpers.asked().concat()),
        (
            "what an origin got",
            (0..origin.connections())
                .map(|number| String::from_utf8_lossy(&origin.received(number)).into_owned())
                .collect(),
        ),
    ];
    for (what, text) in texts {
        assert!(!text.is_empty(), "{what}");
        assert!(!text.contains(MARKER), "the marker is in {what}: {text}");
        for credentials in &encoded {
            assert!(!text.contains(credentials), "credentials are in {what}: {text}");
        }
    }
}
