//! Control from the monitor: what it changes, and which requests may not change anything.

use nix::sys::signal::Signal;

use crate::support::{eventually, Client, Helpers, Message, Origin, Proxy};

fn ask(proxy: &Proxy, request: &str) -> Message {
    let mut client = Client::connect(proxy.web());
    client.send(request);
    client.reply()
}

fn token(proxy: &Proxy) -> String {
    let reply = ask(proxy, &format!("GET /control/token HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.web()));
    assert_eq!(reply.status(), 200, "{reply:?}");
    reply.text().trim().to_owned()
}

fn post(proxy: &Proxy, path: &str, fields: &str, content: &str) -> Message {
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: {}\r\n{fields}Content-Length: {}\r\n\r\n", proxy.web(), content.len());
    ask(proxy, &format!("{head}{content}"))
}

/// Does what a form does.
fn change(proxy: &Proxy, path: &str, content: &str) -> Message {
    post(proxy, path, "", &format!("token={}&{content}", token(proxy)))
}

fn succeed(proxy: &Proxy, path: &str, content: &str) {
    let reply = change(proxy, path, content);
    assert!(reply.status() == 200 && reply.text().contains("changed successfully"), "{reply:?}");
}

#[test]
fn the_bounds_of_helpers_can_be_moved() {
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&[("web.debug", "true"), ("redirector.minimum", "1"), ("redirector.maximum", "3")]);
    helpers.wait_started(1);
    let workers = "/control/workers/commit";
    succeed(&proxy, workers, "exaproxy.redirector.minimum=3");
    eventually("three helpers", || (proxy.counter("processes.forked") == 3).then_some(()));
    assert_eq!((proxy.counter("processes.min"), proxy.counter("processes.max")), (3, 3));
    let refused = change(&proxy, workers, "exaproxy.redirector.maximum=2");
    assert!(refused.status() == 403 && refused.text().contains("value is lower than exaproxy.redirector.minimum"));
    succeed(&proxy, workers, "exaproxy.redirector.minimum=1");
    succeed(&proxy, workers, "exaproxy.redirector.maximum=1");
    eventually("one helper", || (proxy.counter("processes.forked") == 1).then_some(()));
    assert_eq!(proxy.client().get(&Origin::site().url("/x")).text(), "/x");
}

#[test]
fn without_helpers_there_is_nothing_to_move() {
    let proxy = Proxy::start(&[("web.debug", "true")]);
    let reply = change(&proxy, "/control/workers/commit", "exaproxy.redirector.minimum=3");
    assert!(reply.status() == 403 && reply.text().contains("redirector.enable is false"), "{reply:?}");
}

#[test]
fn debug_messages_can_be_switched() {
    let proxy = Proxy::start(&[("web.debug", "true"), ("log.enable", "true")]);
    succeed(&proxy, "/control/debug/commit", "debug=on");
    succeed(&proxy, "/control/debug/commit", "debug=on");
    drop(proxy.client());
    proxy.wait_log("connection closed: the client closed its connection between requests");
    succeed(&proxy, "/control/debug/commit", "debug=off");
    assert!(ask(&proxy, "GET /control/debug.html HTTP/1.0\r\n\r\n").text().contains("are not written"));
    proxy.wait_log("127.0.0.1 asked for debug messages: done");
}

#[test]
fn listening_can_be_stopped_and_taken_up_again() {
    let proxy = Proxy::start(&[("web.debug", "true")]);
    let origin = Origin::site();
    let mut early = proxy.client();
    assert_eq!(early.get(&origin.url("/a")).text(), "/a");
    succeed(&proxy, "/control/listen/commit", "listen=off");
    assert!(std::net::TcpStream::connect(proxy.address()).is_err());
    assert_eq!(early.get(&origin.url("/b")).text(), "/b");
    assert!(ask(&proxy, "GET / HTTP/1.0\r\n\r\n").text().contains("Not listening"));
    succeed(&proxy, "/control/listen/commit", "listen=on");
    assert_eq!(proxy.client().get(&origin.url("/c")).text(), "/c");
}

#[test]
fn a_soft_stop_serves_whoever_is_there_and_the_monitor() {
    let mut proxy = Proxy::start(&[("web.debug", "true")]);
    let origin = Origin::echo();
    let mut tunnel = proxy.client();
    tunnel.tunnel(&origin.address().to_string());
    let mut watching = Client::connect(proxy.web());
    succeed(&proxy, "/control/stop/commit", "");
    assert!(std::net::TcpStream::connect(proxy.address()).is_err());
    watching.send("GET / HTTP/1.1\r\n\r\n");
    assert!(watching.reply().text().contains("Draining"));
    let again = change(&proxy, "/control/stop/commit", "");
    assert!(again.status() == 503 && again.text().contains("a soft stop is under way"), "{again:?}");
    assert_eq!(change(&proxy, "/control/listen/commit", "listen=on").status(), 503);
    tunnel.send("still there");
    assert_eq!(tunnel.read(11), b"still there");
    drop(tunnel);
    proxy.wait_exit();
}

#[test]
fn a_soft_stop_of_a_proxy_without_clients_is_answered_before_the_end() {
    let mut proxy = Proxy::start(&[("web.debug", "true")]);
    succeed(&proxy, "/control/stop/commit", "");
    proxy.wait_exit();
}

#[test]
fn row_68_nobody_changes_anything_who_may_not() {
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&[
        ("web.debug", "true"),
        ("security.monitor", "true"),
        ("redirector.minimum", "1"),
        ("redirector.maximum", "3"),
    ]);
    let workers = "/control/workers/commit";
    let content = format!("token={}&exaproxy.redirector.minimum=2", token(&proxy));
    let own = proxy.web();
    for (head, why) in [
        (format!("GET {workers}?exaproxy.redirector.minimum=2 HTTP/1.1\r\nHost: {own}\r\n\r\n"), "by POST"),
        (format!("GET {workers}?{content} HTTP/1.1\r\nHost: {own}\r\n\r\n"), "by POST"),
        (format!("GET /control/debug/eval?python=1 HTTP/1.1\r\nHost: {own}\r\n\r\n"), "runs no code"),
    ] {
        let reply = ask(&proxy, &head);
        assert!(reply.status() == 403 && reply.text().contains(why), "{head}: {reply:?}");
    }
    for (fields, content, why) in [
        ("Origin: http://evil.example\r\n", content.as_str(), "of another site"),
        ("Sec-Fetch-Site: cross-site\r\n", &content, "of another site"),
        ("", "exaproxy.redirector.minimum=2", "token"),
        ("", &content.replace("token=", "token=x"), "token"),
        ("", "", "token"),
    ] {
        let reply = post(&proxy, workers, fields, content);
        assert!(reply.status() == 403 && reply.text().contains(why), "{fields}{content}: {reply:?}");
    }
    let length = content.len();
    let renamed = format!("POST {workers} HTTP/1.1\r\nHost: evil.example\r\nContent-Length: {length}\r\n\r\n{content}");
    assert_eq!(ask(&proxy, &renamed).status(), 421);
    assert_eq!(proxy.counter("processes.min"), 1);
    let mut client = proxy.client();
    client.send(format!("GET http://{own}/control/token HTTP/1.1\r\nHost: {own}\r\n\r\n"));
    let reply = client.reply();
    assert!(reply.status() == 403 && reply.text().contains("through a proxy"), "{reply:?}");
    assert_eq!(post(&proxy, workers, "", &content).status(), 200);
    assert_eq!(proxy.counter("processes.min"), 2);
}

#[test]
fn control_is_read_only_unless_it_is_allowed() {
    let proxy = Proxy::start(&[]);
    let reply = ask(&proxy, &format!("GET /control.html HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.web()));
    assert!(reply.status() == 200 && reply.text().contains("read-only") && !reply.text().contains("name=\"token\""));
    assert_eq!(post(&proxy, "/control/stop/commit", "", "token=").status(), 403);
    assert_eq!(ask(&proxy, &format!("GET /control/token HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.web())).status(), 403);
    // A reload changes that, and the token is the same as before.
    std::fs::write(proxy.file(), std::fs::read_to_string(proxy.file()).unwrap_or_default() + "\n[web]\ndebug = true\n")
        .unwrap();
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    assert_eq!(token(&proxy).len(), 32);
}

#[test]
fn forms_that_are_too_long_or_hang_hold_nobody_up() {
    let proxy = Proxy::start(&[("web.debug", "true")]);
    let mut slow = Client::connect(proxy.web());
    slow.send(format!(
        "POST /control/stop/commit HTTP/1.1\r\nHost: {}\r\nContent-Length: 50\r\n\r\ntoken=",
        proxy.web()
    ));
    let long = "x".repeat(100_000);
    assert_eq!(post(&proxy, "/control/stop/commit", "", &long).status(), 413);
    assert_eq!(ask(&proxy, "GET /health HTTP/1.0\r\n\r\n").status(), 200);
}
