//! Limits of time, size and number, and the answer that each gives.

use std::time::Duration;

use crate::support::{client, eventually, skip, Origin, Proxy};

#[test]
fn row_34_a_slow_head_is_cut_off_by_its_total_time() {
    let proxy = Proxy::start(&[("http.head-timeout", "1")]);
    let mut client = proxy.client();
    let mut writer = client.wire().second().expect("a second handle");
    let dribble = std::thread::spawn(move || {
        // Never silent for as long as the timer, and far from complete at its end.
        while writer.send("G").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let reply = client.reply();
    assert_eq!(reply.status(), 408, "{reply:?}");
    assert!(reply.lists("Connection", "close"), "{reply:?}");
    drop(client);
    dribble.join().expect("no panic");
}

#[test]
fn row_34_a_slow_second_head_is_cut_off_too() {
    let proxy = Proxy::start(&[("http.head-timeout", "1")]);
    let origin = Origin::site();
    let mut client = proxy.client();
    assert_eq!(client.get(&origin.url("/")).status(), 200);
    client.send("GET http://127.0.0.1/ HT");
    assert_eq!(client.reply().status(), 408);
}

#[test]
fn row_34_a_silent_client_is_closed_without_a_byte() {
    let proxy = Proxy::start(&[("http.idle-connect", "1")]);
    proxy.client().expect_close();
}

#[test]
fn row_34_a_kept_client_is_closed_without_a_byte() {
    let proxy = Proxy::start(&[("http.idle-timeout", "1")]);
    let origin = Origin::site();
    let mut client = proxy.client();
    assert_eq!(client.get(&origin.url("/")).status(), 200);
    client.expect_close();
}

#[test]
fn row_34_empty_lines_do_not_keep_a_connection_open() {
    let proxy = Proxy::start(&[("http.idle-timeout", "1"), ("http.idle-connect", "1"), ("http.head-timeout", "1")]);
    let origin = Origin::site();
    for first in [false, true] {
        let mut client = proxy.client();
        if first {
            assert_eq!(client.get(&origin.url("/")).status(), 200);
        }
        let mut writer = client.wire().second().expect("a second handle");
        let dribble = std::thread::spawn(move || {
            while writer.send("\r\n").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        if let Some(reply) = client.reply_unless_cut("GET") {
            assert_eq!(reply.status(), 408);
        }
        drop(client);
        dribble.join().expect("no panic");
    }
}

#[test]
fn row_34_a_client_that_stops_in_its_body_is_ended() {
    let proxy = Proxy::start(&[("http.inactive-timeout", "1")]);
    let origin = Origin::site();
    let mut client = proxy.client();
    client.send(format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf", origin.url("/")));
    if let Some(reply) = client.reply_unless_cut("POST") {
        assert!([408, 504].contains(&reply.status()), "{reply:?}");
    }
    origin.wait_ended(1);
}

#[test]
fn row_34_an_origin_that_never_answers_is_a_504() {
    let proxy = Proxy::start(&[("http.inactive-timeout", "1")]);
    let origin = Origin::start(|peer| {
        peer.expect_request()?;
        peer.hold()
    });
    let reply = proxy.client().get(&origin.url("/"));
    assert_eq!(reply.status(), 504, "{reply:?}");
}

#[test]
fn row_34_an_origin_that_stops_in_its_answer_is_cut_off() {
    let proxy = Proxy::start(&[("http.inactive-timeout", "1")]);
    let origin = Origin::start(|peer| {
        peer.expect_request()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")?;
        peer.hold()
    });
    let mut client = proxy.client();
    client.send(client::get(&origin.url("/")));
    assert!(client.reply_unless_cut("GET").is_none(), "a cut answer looks complete");
}

#[test]
fn a_transfer_that_moves_is_not_cut_off() {
    let proxy = Proxy::start(&[("http.inactive-timeout", "1"), ("http.head-timeout", "1"), ("http.idle-timeout", "1")]);
    let origin = Origin::start(|peer| {
        peer.expect_request()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n")?;
        for _ in 0..12 {
            std::thread::sleep(Duration::from_millis(200));
            peer.send(".")?;
        }
        Ok(())
    });
    assert_eq!(proxy.client().get(&origin.url("/")).text(), "............");
}

#[test]
fn targets_and_fields_have_the_limit_of_the_head() {
    let proxy = Proxy::start(&[("http.header-size", "2048")]);
    let origin = Origin::site();
    let target = |length: usize| client::get(&origin.url(&format!("/{}", "t".repeat(length))));
    let field =
        |length: usize| format!("GET {} HTTP/1.1\r\nHost: h\r\nX-A: {}\r\n\r\n", origin.url("/"), "f".repeat(length));
    let cases = [(target(1500), 200), (target(4000), 414), (field(1500), 200), (field(4000), 431)];
    for (request, status) in cases {
        for size in [64, usize::MAX] {
            let mut client = proxy.client();
            for piece in request.as_bytes().chunks(size.min(request.len())) {
                client.try_send(piece);
            }
            let reply = client.reply();
            assert_eq!(reply.status(), status, "{} bytes in pieces of {size}: {reply:?}", request.len());
        }
    }
}

#[test]
fn a_head_without_an_end_is_cut_off() {
    let proxy = Proxy::start(&[]);
    for (piece, status) in [("GET http://127.0.0.1/", 414), ("GET http://127.0.0.1/ HTTP/1.1\r\nHost: h\r\n", 431)] {
        let mut client = proxy.client();
        client.send(piece);
        let mut writer = client.wire().second().expect("a second handle");
        let endless =
            std::thread::spawn(move || while writer.send("x: y\r\n".replace(['\r', '\n'], "z").repeat(100)).is_ok() {});
        assert_eq!(client.reply().status(), status, "{piece:?}");
        drop(client);
        endless.join().expect("no panic");
    }
}

#[test]
fn too_many_fields_are_refused() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    client.try_send(format!("GET {} HTTP/1.1\r\nHost: h\r\n{}\r\n", origin.url("/"), "a:b\r\n".repeat(10_000)));
    assert_eq!(client.reply().status(), 431);
}

#[test]
fn bodies_above_the_limit_are_refused() {
    let proxy = Proxy::start(&[("http.body-size", "1000")]);
    let origin = Origin::site();
    let sized = |length: usize| format!("Content-Length: {length}\r\n\r\n{}", "b".repeat(length));
    let chunked =
        |length: usize| format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{}\r\n0\r\n\r\n", "b".repeat(length));
    for (body, status) in [(sized(1000), 200), (sized(1001), 413), (chunked(1000), 200), (chunked(1001), 413)] {
        let mut client = proxy.client();
        client.try_send(format!("POST {} HTTP/1.1\r\nHost: h\r\n{body}", origin.url("/")));
        let reply = client.reply();
        assert_eq!(reply.status(), status, "{:.40}: {reply:?}", body);
    }
}

#[test]
fn a_chunked_body_that_never_ends_stops_at_the_limit() {
    let proxy = Proxy::start(&[("http.body-size", "100000")]);
    let origin = Origin::site();
    let mut client = proxy.client();
    client.send(format!("POST {} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", origin.url("/")));
    let mut writer = client.wire().second().expect("a second handle");
    let endless = std::thread::spawn(move || while writer.send(format!("400\r\n{}\r\n", "b".repeat(1024))).is_ok() {});
    assert_eq!(client.reply().status(), 413);
    drop(client);
    endless.join().expect("no panic");
    assert!(origin.received(0).len() < 200_000);
}

#[test]
fn trailers_and_chunk_extensions_have_limits() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let head = format!("POST {} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", origin.url("/"));
    for body in
        [format!("1;{}\r\nb\r\n0\r\n\r\n", "e".repeat(100_000)), format!("0\r\n{}\r\n", "X-T: t\r\n".repeat(20_000))]
    {
        let mut client = proxy.client();
        client.try_send(&head);
        client.try_send(&body);
        let reply = client.reply();
        assert!([400, 413, 431].contains(&reply.status()), "{:.40}: {reply:?}", body);
    }
}

#[test]
fn clients_above_the_maximum_wait_their_turn() {
    let proxy = Proxy::start(&[("http.connections", "3")]);
    let origin = Origin::site();
    let echo = Origin::echo();
    let mut served: Vec<_> = (0..3).map(|_| proxy.client()).collect();
    for client in &mut served {
        client.tunnel(&echo.address().to_string());
    }
    let mut waiting = proxy.client();
    waiting.send(client::get(&origin.url("/waited")));
    // Those inside are served as ever, and the one outside is not counted.
    for client in &mut served {
        client.send("through");
        assert_eq!(client.read(7), b"through");
    }
    assert_eq!((proxy.clients(), origin.connections()), (3, 0));
    // b5: the first that leaves makes room, not only the first tenth.
    served.pop();
    assert_eq!(waiting.reply().text(), "/waited");
}

#[test]
fn the_maximum_counts_right_after_all_kinds_of_ends() {
    let proxy = Proxy::start(&[("http.connections", "4")]);
    let origin = Origin::site();
    for round in 0..40 {
        let mut client = proxy.client();
        match round % 5 {
            0 => client.reset(),
            1 => assert_eq!(client.get(&origin.url("/")).status(), 200),
            2 => {
                client.send("BAD\r\n\r\n");
                assert_eq!(client.reply().status(), 400);
            }
            3 => client.tunnel(&origin.address().to_string()),
            _ => {
                client.send(client::get(&origin.url("/")));
                client.shut();
            }
        }
    }
    proxy.wait_clients(0);
    let mut clients: Vec<_> = (0..4).map(|_| proxy.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get(&origin.url("/")).status(), 200);
    }
}

#[test]
fn running_out_of_descriptors_pauses_accepting_and_nothing_else() {
    let mut proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut inside = proxy.client();
    assert_eq!(inside.get(&origin.url("/")).status(), 200);
    let few = proxy.descriptors() + 12;
    if !set_limit(&proxy, few) {
        return skip("lowering a limit of another process needs prlimit");
    }
    let crowd: Vec<_> = (0..60).map(|_| proxy.client()).collect();
    eventually("a crowd inside", || (proxy.descriptors() + 2 >= few).then_some(()));
    assert_eq!(inside.get(&origin.url("/in-a-crowd")).text(), "/in-a-crowd");
    let share = proxy.share(Duration::from_secs(1));
    assert!(share < 40.0, "{share} % of a core for nothing, perhaps a busy loop of accept()");
    drop(crowd);
    assert!(proxy.alive());
    proxy.assert_serves();
}

/// Gives a running proxy another limit of descriptors; false where that cannot be done.
fn set_limit(proxy: &Proxy, descriptors: usize) -> bool {
    let mut command = std::process::Command::new("prlimit");
    command.args(["--pid", &proxy.pid().to_string(), &format!("--nofile={descriptors}:")]);
    command.status().is_ok_and(|status| status.success())
}

#[test]
fn with_the_least_of_descriptors_clients_are_served_one_after_the_other() {
    let proxy = Proxy::launch(&[], "", |command| limited(&command, 64));
    for _ in 0..20 {
        proxy.assert_serves();
    }
}

/// The same command under a limit of so many descriptors, soft and hard.
pub fn limited(command: &std::process::Command, descriptors: u32) -> std::process::Command {
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg(format!("ulimit -n {descriptors} && exec \"$0\" \"$@\""));
    shell.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    shell
}
