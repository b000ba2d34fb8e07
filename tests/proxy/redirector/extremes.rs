//! Sizes, speeds and moments at the edge: what is large, slow or in pieces, and what happens while a helper thinks.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{get, send_get, CONTENT};
use crate::support::helpers::{gone, wait_gone};
use crate::support::{client, eventually, patiently, pattern, show, Gate, Helpers, Origin, Proxy, Wire};

/// A page that an ICAP helper makes up.
const PAGE: &[u8] =
    b"ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, res-body=19\n\nHTTP/1.1 200 Fine\n\n5\r\nhello\r\n0\r\n\r\n";

#[test]
fn long_targets_and_long_heads_are_asked_about() {
    let long = "p".repeat(60_000);
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    let url = origin.url(&format!("/{long}"));
    assert_eq!(proxy.client().get(&url).body.len(), 60_001);
    assert_eq!(helpers.asked(), [format!("127.0.0.1/{long} 127.0.0.1 - GET -")]);

    let icap = Helpers::answering_icap(|_| b"ICAP/1.0 204 No Content\n\n".to_vec());
    let proxy = icap.proxy(&[("redirector.protocol", "icap://filter/x"), ("http.header-size", "1048576")]);
    let mut client = proxy.client();
    for _ in 0..3 {
        let field = "f".repeat(900_000);
        client.send(format!("GET {} HTTP/1.1\r\nHost: h\r\nX-A: {field}\r\n\r\n", origin.url("/long")));
        assert_eq!(client.reply().text(), "/long");
    }
    assert_eq!(icap.pids().len(), 1);
    assert!(icap.asked().iter().all(|asked| asked.len() > 900_000));
}

#[test]
fn replies_may_come_byte_by_byte() {
    let helpers = Helpers::start(|desk| {
        while desk.line()?.is_some() {
            for byte in b"redirect://http://elsewhere.test/\r\n" {
                desk.say([*byte])?;
            }
        }
        Ok(())
    });
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    for _ in 0..5 {
        assert_eq!(get(&proxy, &origin, "/x").value("Location").as_deref(), Some("http://elsewhere.test/"));
    }
    let icap = Helpers::start(|desk| {
        while desk.icap()?.is_some() {
            for byte in PAGE {
                desk.say([*byte])?;
            }
        }
        Ok(())
    });
    let proxy = icap.proxy(&[("redirector.protocol", "icap://filter/x")]);
    for _ in 0..5 {
        assert_eq!(get(&proxy, &origin, "/x").text(), "hello");
    }
    assert_eq!((helpers.pids().len(), icap.pids().len()), (1, 1));
}

#[test]
fn an_upload_is_held_back_while_a_helper_thinks() {
    let gate = Gate::default();
    let helpers = Helpers::gated(&gate);
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    let body = pattern(8 << 20, 9);
    let before = proxy.rss();
    let (url, length) = (origin.url("/upload"), body.len());
    let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
    stream.set_write_timeout(Some(Duration::from_millis(300))).expect("a timeout above zero");
    let head = format!("POST {url} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the head fits");
    helpers.wait_asked(1);
    let mut sent = 0;
    while let Ok(count @ 1..) = stream.write(&body[sent..length.min(sent + 65_536)]) {
        sent += count;
    }
    assert!(proxy.rss() < before + (4 << 20), "{} bytes more", proxy.rss() - before);
    gate.open();
    let mut wire = Wire::new(stream).expect("socket options");
    let mut writer = wire.second().expect("a second handle");
    let rest = body[sent..].to_vec();
    let sender = std::thread::spawn(move || writer.send(rest));
    let reply = wire.response("POST").expect("a response");
    sender.join().expect("no panic").expect("the rest is taken");
    assert!(reply.body == body, "{} of {length} bytes: {}", reply.body.len(), show(&reply.head));
}

#[test]
fn a_client_that_pours_requests_is_held_back() {
    let gate = Gate::default();
    let helpers = Helpers::gated(&gate);
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    let before = proxy.rss();
    let mut client = proxy.client();
    let request = client::get(&origin.url("/poured")).repeat(100);
    client.send(&request);
    helpers.wait_asked(1);
    let sent = client.wire().send_until_stuck(request.as_bytes(), 64 << 20, Duration::from_millis(200));
    assert!(sent.expect("an open connection") < 32 << 20, "nothing held it back");
    assert!(proxy.rss() < before + (4 << 20), "{} bytes more", proxy.rss() - before);
    gate.open_for(100);
    for _ in 0..100 {
        assert_eq!(client.reply().text(), "/poured");
    }
    assert_eq!(helpers.wait_asked(101).len(), 101, "each is asked about once");
    drop(client);
    // Its end stands behind what it has sent, and shows when the proxy gets there or writes to it.
    gate.open_for(1 << 20);
    proxy.wait_clients(0);
}

#[test]
fn expectations_wait_for_the_decision() {
    let helpers = Helpers::answering(|line| match line.contains("/no") {
        true => "redirect://http://elsewhere.test/".to_owned(),
        false => String::new(),
    });
    let proxy = helpers.proxy(&[]);
    let origin = Origin::start(|peer| {
        let head = peer.until(b"\r\n\r\n")?;
        assert!(String::from_utf8_lossy(&head).contains("100-continue"));
        peer.send("HTTP/1.1 100 Continue\r\n\r\n")?;
        let body = peer.exact(CONTENT.len())?;
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()))?;
        peer.send(body)
    });
    let length = CONTENT.len();
    let fields = format!("Host: h\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n");
    let mut client = proxy.client();
    client.send(format!("POST {} HTTP/1.1\r\n{fields}", origin.url("/yes")));
    assert_eq!(client.reply().status(), 100);
    client.send(CONTENT);
    assert_eq!(client.reply().text(), CONTENT);
    let mut client = proxy.client();
    client.send(format!("POST {} HTTP/1.1\r\n{fields}", origin.url("/no")));
    // The content was not asked for, so it is not sent, and must not be waited for.
    assert_eq!(client.reply().status(), 302);
}

#[test]
fn an_upgrade_passes_when_it_is_permitted() {
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&[]);
    let origin = Origin::start(|peer| {
        peer.until(b"\r\n\r\n")?;
        peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")?;
        let bytes = peer.exact(4)?;
        peer.send(bytes)?;
        peer.hold()
    });
    let mut client = proxy.client();
    let url = origin.url("/chat");
    client.send(format!("GET {url} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"));
    assert_eq!(client.reply().status(), 101);
    client.send("ping");
    assert_eq!(client.read(4), b"ping");
}

#[test]
fn old_clients_are_answered_in_their_version() {
    let helpers = Helpers::answering(|line| match line.contains("/no") {
        true => "redirect://http://elsewhere.test/".to_owned(),
        false => String::new(),
    });
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    client.send(format!("GET {} HTTP/1.0\r\n\r\n", origin.url("/yes")));
    assert_eq!(client.reply().text(), "/yes");
    client.expect_close();
    let mut client = proxy.client();
    client.send(format!("GET {} HTTP/1.0\r\n\r\n", origin.url("/no")));
    assert_eq!(client.reply().status(), 302);
    client.expect_close();
}

/// A program that ends while what it has started holds its pipes open has ended all the same.
#[test]
fn a_helper_that_ends_before_its_children_has_ended() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (script, file) = (folder.path().join("script"), folder.path().join("pid"));
    let text = format!("read line\nsleep 1000 &\necho $! >> {}\nexit 3\n", file.display());
    std::fs::write(&script, text).expect("a script");
    let program = format!("/bin/sh {}", script.display());
    let options = [("redirector.enable", "true"), ("redirector.program", program.as_str())];
    let more = [("redirector.minimum", "1"), ("redirector.maximum", "1"), ("redirector.timeout", "100")];
    let proxy = Proxy::start(&[&options[..], &more].concat());
    let origin = Origin::site();
    let reply = get(&proxy, &origin, "/x");
    let children: Vec<u32> = std::fs::read_to_string(&file).expect("pids").lines().flat_map(str::parse).collect();
    assert_eq!(reply.status(), 503, "{reply:?}");
    proxy.wait_log("exited with code 3");
    let left = || children.iter().copied().filter(|pid| !gone(*pid)).collect::<Vec<_>>();
    // A signal has been sent by now, and its process takes the time to die that the machine gives it.
    let ended = patiently(|| left().is_empty().then_some(()));
    left().iter().for_each(|pid| crate::support::helpers::signal(*pid, Signal::SIGKILL));
    assert!(ended.is_some(), "some of {children:?} were left behind");
}

#[test]
fn many_reloads_at_once_end_with_the_right_number() {
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&[("redirector.minimum", "4"), ("redirector.maximum", "4")]);
    let origin = Origin::site();
    let old = helpers.wait_started(4);
    for round in 1..=30 {
        proxy.signal(Signal::SIGHUP);
        assert_eq!(get(&proxy, &origin, "/x").text(), "/x", "round {round}");
    }
    old.into_iter().for_each(wait_gone);
    let living = || helpers.pids().into_iter().filter(|pid| !gone(*pid)).count();
    eventually("four helpers", || (living() == 4 && proxy.counter("processes.forked") == 4).then_some(()));
    assert_eq!((proxy.counter("helpers.lost"), proxy.counter("helpers.failed")), (0, 0));
}

/// A request that waits for a helper when helpers are switched off passes, as no helper will decide about it.
#[test]
fn requests_that_wait_when_helpers_are_switched_off_pass() {
    let gate = Gate::default();
    let helpers = Helpers::gated(&gate);
    let program = helpers.program();
    let ini = format!("[redirector]\nenable = true\nprogram = {program}\nminimum = 1\nmaximum = 1\n");
    let proxy = Proxy::start_with(&[], &ini);
    let origin = Origin::site();
    let mut asked = send_get(&proxy, &origin, "/asked");
    helpers.wait_asked(1);
    let mut queued = send_get(&proxy, &origin, "/queued");
    proxy.wait_counter("queue.size", 1);
    std::fs::write(proxy.file(), "").expect("an ini file");
    proxy.signal(Signal::SIGHUP);
    assert_eq!(asked.reply().text(), "/asked");
    assert_eq!(queued.reply().text(), "/queued");
    helpers.pids().into_iter().for_each(wait_gone);
}

/// A shorter timeout holds for questions that were asked before.
#[test]
fn a_reload_shortens_the_time_of_questions_that_wait() {
    let helpers = Helpers::start(|desk| {
        desk.line()?;
        desk.hang()
    });
    let ini = |timeout: u32| {
        let program = helpers.program();
        format!("[redirector]\nenable = true\nprogram = {program}\nminimum = 1\nmaximum = 1\ntimeout = {timeout}\n")
    };
    let proxy = Proxy::start_with(&[], &ini(1000));
    let origin = Origin::site();
    let mut client = send_get(&proxy, &origin, "/x");
    helpers.wait_asked(1);
    std::fs::write(proxy.file(), ini(1)).expect("an ini file");
    proxy.signal(Signal::SIGHUP);
    assert_eq!(client.reply().status(), 503);
}

/// The waits behind one hung helper after another must not add up: each request has a time of its own.
#[test]
fn row_2_a_request_in_the_queue_does_not_wait_for_ever() {
    let helpers = Helpers::start(|desk| {
        desk.line()?;
        desk.hang()
    });
    let proxy = helpers.proxy(&[("redirector.timeout", "1"), ("http.decision-timeout", "3")]);
    let origin = Origin::site();
    let clients: Vec<_> = (0..30).map(|number| send_get(&proxy, &origin, &format!("/{number}"))).collect();
    for mut client in clients {
        // Two seconds for each of them in turn would be a minute.
        assert_eq!(client.reply().status(), 503);
    }
    proxy.wait_counter("queue.size", 0);
}
