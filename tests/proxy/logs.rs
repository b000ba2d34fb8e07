//! Where messages go, in which form, and that a log that cannot be written holds no client up.

use std::net::UdpSocket;

use nix::sys::signal::Signal;

use crate::support::{eventually, Origin, Proxy, Refusing, PATIENCE};

/// Waits until this file contains that text, and gives all of it.
fn wait_file(path: &std::path::Path, part: &str) -> String {
    eventually(&format!("{part:?} in {}", path.display()), || {
        std::fs::read_to_string(path).ok().filter(|text| text.contains(part))
    })
}

#[test]
fn lines_have_the_form_of_the_original() {
    let proxy = Proxy::start(&[("daemon.identifier", "My Proxy")]);
    let line = proxy.wait_line("Starting exaproxy version");
    let version = env!("EXAPROXY_VERSION");
    let expected = format!("My Proxy {:<6} supervisor    Starting exaproxy version {version}", proxy.pid());
    assert_eq!(line, expected);
}

#[test]
fn who_looks_for_the_reason_of_a_400_finds_it_with_its_client() {
    let proxy = Proxy::start(&[("log.level", "DEBUG")]);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost : h\r\n\r\n");
    assert_eq!(client.reply().status(), 400);
    proxy.wait_log("] 127.0.0.1 request refused: ");
}

#[test]
fn debug_lines_name_session_and_client_and_rust_log_chooses_them() {
    let proxy = Proxy::start(&[("log.level", "DEBUG"), ("usage.enable", "true")]);
    let origin = Refusing::new();
    let mut client = proxy.client();
    assert_eq!(client.get(&format!("http://{}/", origin.address())).status(), 502);
    // The number is that of the line of usage.
    let failed = proxy.wait_line("connecting to ");
    let number = failed.split(['[', ']']).nth(1).unwrap_or_default().to_owned();
    assert!(number.parse::<u32>().is_ok() && failed.contains("] 127.0.0.1 connecting to "), "{failed}");
    drop(client);
    proxy.wait_log(&format!("[{number}] 127.0.0.1 connection closed: "));
    assert!(proxy.wait_line(" GET ").contains(&format!(" {number} ")), "{}", proxy.log());
    let chosen = Proxy::launch(&[("log.level", "ERROR")], "", |mut command| {
        command.env("RUST_LOG", "client=debug");
        command
    });
    drop(chosen.client());
    chosen.wait_log("] 127.0.0.1 connection closed: ");
}

#[test]
fn listeners_opened_before_the_log_are_in_it_first() {
    let proxy = Proxy::start(&[]);
    proxy.wait_log("Starting exaproxy");
    let log = proxy.log();
    let (listening, starting) = (log.find("http proxy listening on 127.0.0.1:"), log.find("Starting exaproxy"));
    assert!(listening.is_some() && listening < starting, "{log}");
    let usual = Proxy::start(&[("log.level", "ERROR")]);
    usual.wait_log("Starting exaproxy");
    for kind in ["http proxy", "web server"] {
        assert!(usual.log().contains(&format!("{kind} listening on 127.0.0.1:")), "{}", usual.log());
    }
    let quiet = Proxy::start(&[("log.level", "CRITICAL")]);
    quiet.signal(Signal::SIGTRAP);
    quiet.wait_log("log level is now");
    assert!(!quiet.log().contains("listening on"), "{}", quiet.log());
}

#[test]
fn messages_may_go_to_a_file_that_is_opened_again_on_hup() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, old) = (folder.path().join("messages"), folder.path().join("messages.old"));
    let proxy = Proxy::start(&[("log.destination", path.to_str().expect("a path of text"))]);
    wait_file(&path, "Starting exaproxy");
    std::fs::rename(&path, &old).expect("the file can be moved away");
    // The message about the first signal may still go to the old file.
    eventually("messages in a new file", || {
        proxy.signal(Signal::SIGHUP);
        path.exists().then_some(())
    });
    proxy.signal(Signal::SIGHUP);
    let new = wait_file(&path, "HUP");
    assert!(!new.contains("Starting exaproxy"), "{new}");
    assert!(proxy.log().is_empty() || !proxy.log().contains("Starting"), "{}", proxy.log());
}

#[test]
fn messages_may_go_to_a_syslog_server() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    server.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
    let port = server.local_addr().expect("a bound socket has an address").port();
    let proxy = Proxy::start(&[("log.destination", &format!("host:127.0.0.1:{port}"))]);
    let mut datagram = [0; 2048];
    let mut message = || {
        let count = server.recv(&mut datagram).expect("a message");
        String::from_utf8_lossy(&datagram[..count]).into_owned()
    };
    let text = std::iter::repeat_with(&mut message).find(|text| text.contains("Starting")).expect("it never ends");
    // Facility user (1), severity error (3), as the original writes its first line.
    assert!(text.starts_with(&format!("<11>ExaProxy {:<6} ", proxy.pid())), "{text:?}");
    assert!(text.ends_with('\0'), "{text:?}");
}

#[test]
fn a_log_that_cannot_be_written_stops_the_start() {
    let run = Proxy::run(&[], &[("log.destination", "/nonexistent/folder/log"), ("daemon.user", "root")]);
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("/nonexistent/folder/log"), "{}", run.stderr);
}

#[test]
fn messages_can_be_switched_off() {
    let quiet = Proxy::start(&[("log.enable", "false"), ("log.level", "DEBUG")]);
    quiet.assert_serves();
    assert!(!quiet.log().contains("ExaProxy "), "{}", quiet.log());
    let part = Proxy::start(&[("log.supervisor", "false")]);
    part.signal(Signal::SIGTTOU);
    part.wait_log("TTOU");
    assert!(!part.log().contains(" supervisor "), "{}", part.log());
}

#[test]
fn what_clients_send_cannot_forge_a_line() {
    let proxy = Proxy::start(&[("log.level", "DEBUG")]);
    let refusing = crate::support::Refusing::new();
    for _ in 0..3 {
        let mut client = proxy.client();
        client.send("GET http://x\rExaProxy 1 supervisor forged\x1b[31m/ HTTP/1.1\r\nHost: \nExaProxy forged\r\n\r\n");
        assert_eq!(client.reply().status(), 400);
        client.expect_close();
    }
    assert_eq!(proxy.client().get(&format!("http://{}/%0aExaProxy", refusing.address())).status(), 502);
    proxy.assert_serves();
    for line in proxy.log().lines() {
        assert!(!line.contains('\u{1b}') && !line.starts_with("ExaProxy forged"), "{line:?}");
    }
}

#[test]
fn a_full_proxy_says_so() {
    let proxy = Proxy::start(&[("http.connections", "2"), ("log.level", "ERROR")]);
    let origin = Origin::site();
    let mut clients: Vec<_> = (0..2).map(|_| proxy.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get(&origin.url("/")).status(), 200);
    }
    let _waiting = proxy.client();
    proxy.wait_log("http proxy");
    assert!(proxy.log().contains("2 clients"), "{}", proxy.log());
}
