//! What was found of heads and bodies: what peers send and read, and what the proxy made of it.

use crate::support::{client, eventually, show, Client, Helpers, Origin, Proxy};

/// Timers that no test waits for: what comes in time did not wait for one.
const PATIENT: [(&str, &str); 4] = [
    ("http.head-timeout", "600"),
    ("http.idle-connect", "600"),
    ("http.inactive-timeout", "600"),
    ("log.level", "DEBUG"),
];

/// Reads up to the end of a head.
fn head(client: &mut Client) -> Vec<u8> {
    client.wire().until(b"\r\n\r\n").expect("a whole head")
}

#[test]
fn b8_controls_in_response_fields_are_relayed() {
    let proxy = Proxy::start(&[]);
    for control in [b'\x01', b'\x0b', b'\x0c', b'\x1b', b'\x7f'] {
        let mut answer = b"HTTP/1.1 200 O?\r\nX: a?b\r\nSet-Cookie: c?=?\r\nContent-Length: 2\r\n\r\nok".to_vec();
        answer.iter_mut().filter(|byte| **byte == b'?').for_each(|byte| *byte = control);
        let origin = Origin::once(answer);
        let mut client = proxy.client();
        client.send(client::get(&origin.url("/")));
        let text = head(&mut client);
        let shown = show(&[control]);
        for part in
            [format!(" 200 O{shown}\\r\\n"), format!("X: a{shown}b\\r\\n"), format!("cookie: c{shown}={shown}\\r\\n")]
        {
            assert!(show(&text).to_lowercase().contains(&part.to_lowercase()), "{part}: {}", show(&text));
        }
        assert_eq!(client.read(2), b"ok");
    }
    for forbidden in ["X: a\0b", "X: a\rb", "X: a\x0b\r"] {
        let origin = Origin::once(format!("HTTP/1.1 200 OK\r\n{forbidden}\r\nContent-Length: 2\r\n\r\nok"));
        assert_eq!(proxy.client().get(&origin.url("/")).status(), 502, "{forbidden:?}");
    }
}

#[test]
fn b8_controls_in_trailers_of_an_origin_are_relayed() {
    let origin = Origin::once(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: \x01\x0b\x7f\r\n\r\n",
    );
    let reply = Proxy::start(&[]).client().get(&origin.url("/"));
    assert_eq!((reply.text().as_str(), reply.trailers.as_slice()), ("ok", &["X-Sum: \x01\x0b\x7f".to_owned()][..]));
}

#[test]
fn b9_any_byte_beyond_ascii_in_a_target_passes() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access");
    let destination = log.to_str().expect("a path in UTF-8");
    let helpers = Helpers::permitting();
    let options = [("access.enable", "true"), ("access.destination", destination), ("access.format", "%r")];
    let proxy = helpers.proxy(&options);
    let origin = Origin::site();
    let mut client = proxy.client();
    let targets: [&[u8]; 4] = [b"/\xe9", b"/\xc3\xa9", b"/\xff?\x80=\xfe", b"/a%E9\xe9"];
    for target in targets {
        let at = origin.address().to_string();
        client.send([b"GET http://", at.as_bytes(), target, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat());
        assert_eq!(client.reply().status(), 200, "{}", show(target));
        let line = [b"GET ", target, b" HTTP/1.1\r\n"].concat();
        let seen = origin.received(0);
        assert!(seen.windows(line.len()).any(|part| part == line), "{}", show(&seen));
    }
    for (question, path) in helpers.wait_asked(4).iter().zip(["/%E9", "/%C3%A9", "/%FF?%80=%FE", "/a%E9%E9"]) {
        assert!(question.starts_with(&format!("127.0.0.1{path} ")), "{question}");
    }
    let text = eventually("four lines in the access log", || {
        let text = std::fs::read_to_string(&log).ok()?;
        (text.lines().count() == 4).then_some(text)
    });
    assert!(
        text.is_ascii() && text.contains("/\\xe9 HTTP/1.1") && text.contains("/\\xff?\\x80=\\xfe HTTP/1.1"),
        "{text}"
    );
}

#[test]
fn b10_empty_lines_before_a_status_line_are_passed_over() {
    let proxy = Proxy::start(&[]);
    let table = [
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "\n\r\n\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 100 Continue\r\n\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "\r\nHTTP/1.1 100 Continue\r\n\r\n\n\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ];
    for (pieces, answer) in table.iter().flat_map(|answer| [(false, *answer), (true, *answer)]) {
        let origin = Origin::start(move |peer| {
            peer.expect_request()?;
            peer.send_pieces(answer, if pieces { 1 } else { answer.len() })
        });
        let mut client = proxy.client();
        client.send(client::get(&origin.url("/")));
        let mut reply = client.reply();
        if answer.contains(" 100 ") {
            assert_eq!(reply.status(), 100, "{answer:?}");
            reply = client.reply();
        }
        assert_eq!((reply.status(), reply.text().as_str()), (200, "ok"), "{answer:?} in pieces: {pieces}");
    }
}

#[test]
fn b10_there_is_an_end_of_empty_lines() {
    let origin = Origin::start(|peer| {
        peer.expect_request()?;
        loop {
            peer.send("\r\n".repeat(500))?;
        }
    });
    let proxy = Proxy::start(&[]);
    assert_eq!(proxy.client().get(&origin.url("/")).status(), 502);
    let bare = Origin::once("\r\rHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(proxy.client().get(&bare.url("/")).status(), 502);
}

#[test]
fn b11_trailers_that_connection_names_stay_behind_both_ways() {
    let origin = Origin::once(
        "HTTP/1.1 200 OK\r\nConnection: close, x-hop\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Hop: secret\r\n\
         X-Sum: 1\r\n\r\n",
    );
    let proxy = Proxy::start(&[]);
    let mut client = proxy.client();
    client.send(format!(
        "POST {} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: X-Hop\r\nConnection: x-two\r\n\r\n\
         2\r\nhi\r\n0\r\nx-hop: secret\r\nX-Two: secret\r\nX-Sum: 2\r\n\r\n",
        origin.url("/")
    ));
    let reply = client.reply();
    assert_eq!((reply.text().as_str(), reply.trailers.as_slice()), ("ok", &["X-Sum: 1".to_owned()][..]));
    let seen = String::from_utf8_lossy(&origin.received(0)).into_owned();
    assert!(seen.ends_with("\r\n2\r\nhi\r\n0\r\nX-Sum: 2\r\n\r\n") && !seen.contains("secret"), "{seen}");
}

#[test]
fn b12_icy_is_relayed_until_the_close() {
    let origin = Origin::once("ICY 200 OK\r\nicy-name: radio\r\nContent-Type: audio/mpeg\r\n\r\nsound without end");
    let proxy = Proxy::start(&[]);
    let mut client = proxy.client();
    let reply = client.get(&origin.url("/"));
    assert_eq!((reply.status(), reply.text().as_str()), (200, "sound without end"));
    assert_eq!(
        (reply.value("icy-name").as_deref(), reply.value("Connection").as_deref()),
        (Some("radio"), Some("close"))
    );
    let short = Origin::start(|peer| {
        peer.expect_request()?;
        peer.send_pieces("ICY 404 Resource Not Found\r\n\r\n", 1)
    });
    assert_eq!(proxy.client().get(&short.url("/")).status(), 404);
}

#[test]
fn b13_each_start_has_a_via_name_of_its_own_and_keeps_it() {
    let origin = Origin::site();
    let name_of = |proxy: &Proxy| {
        let via = proxy.client().get(&origin.url("/")).value("Via").expect("a Via field");
        via.strip_prefix("1.1 ").expect("the version received").to_owned()
    };
    let (one, other) = (Proxy::start(&[]), Proxy::start(&[]));
    let names = [&one, &other].map(|proxy| {
        let name = name_of(proxy);
        let start = format!("ExaProxy-{}-id-{}-", env!("CARGO_PKG_VERSION"), proxy.pid());
        let random = name.strip_prefix(&start).unwrap_or_else(|| panic!("{name} starts with {start}"));
        assert!(random.len() == 8 && random.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
        (name.clone(), random.to_owned())
    });
    assert_ne!(names[0].1, names[1].1, "containers have the same process numbers");
    one.signal(nix::sys::signal::Signal::SIGHUP);
    one.wait_log("SIGHUP received");
    assert_eq!(name_of(&one), names[0].0, "a reload is no start");
    let mut client = one.client();
    client.send(format!("GET {} HTTP/1.1\r\nHost: h\r\nVia: 1.1 {}\r\n\r\n", origin.url("/"), names[0].0));
    let reply = client.reply();
    assert!(reply.status() == 502 && reply.text().contains("came back"), "{reply:?}");
    client.send(format!("GET {} HTTP/1.1\r\nHost: h\r\nVia: 1.1 {}\r\n\r\n", origin.url("/"), names[1].0));
    assert_eq!(client.reply().status(), 200, "another's name is no loop");
}

#[test]
fn c1_versions_1_2_to_1_9_are_read_as_1_1() {
    let origin = Origin::fixed("HTTP/1.7 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::start(&[]);
    let mut client = proxy.client();
    for minor in [2, 9] {
        client.send(format!("GET {} HTTP/1.{minor}\r\nHost: h\r\n\r\n", origin.url("/")));
        let reply = client.reply();
        assert_eq!((reply.start().as_str(), reply.text().as_str()), ("HTTP/1.1 200 OK", "ok"));
    }
    assert_eq!(origin.connections(), 1, "both connections are kept");
    assert!(origin.head(0).start().ends_with(" HTTP/1.1"));
    client.send(format!("GET {} HTTP/2.1\r\nHost: h\r\n\r\n", origin.url("/")));
    assert_eq!(client.reply().status(), 505);
}

#[test]
fn c1_requests_that_some_read_otherwise_are_refused_with_the_right_status() {
    let proxy = Proxy::start(&[]);
    let post = "POST http://127.0.0.1:9/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:";
    let long = "A".repeat(100_000);
    for (request, status) in [
        (format!("{post} gzip\r\n\r\n"), 400),
        (format!("{post} identity\r\n\r\n"), 400),
        (format!("{post} gzip, chunked\r\n\r\n"), 501),
        ("\rGET http://127.0.0.1:9/ HTTP/1.1\r\nHost: h\r\n\r\n".into(), 400),
        ("\r\r\nGET http://127.0.0.1:9/ HTTP/1.1\r\nHost: h\r\n\r\n".into(), 400),
        ("\r\n\rGET http://127.0.0.1:9/ HTTP/1.1\r\nHost: h\r\n\r\n".into(), 400),
        (format!("{long} http://127.0.0.1:9/ HTTP/1.1\r\nHost: h\r\n\r\n"), 501),
        (long, 501),
    ] {
        let mut client = proxy.client();
        client.try_send(&request);
        assert_eq!(client.reply().status(), status, "{}", show(request.as_bytes()));
    }
}

#[test]
fn c1_an_empty_line_before_a_request_may_come_in_pieces() {
    let origin = Origin::site();
    let proxy = Proxy::start(&PATIENT);
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send_pieces(format!("\r\n\r\n\n{}", client::get(&origin.url("/x"))), 1);
        assert_eq!(client.reply().text(), "/x");
    }
    // A lone CR is no request yet, and a client that has gone is not waited for.
    client.send("\r");
    proxy.wait_clients(1);
    client.shut();
    client.expect_close();
}

#[test]
fn c1_chunk_extensions_of_clients_have_their_form() {
    let proxy = Proxy::start(&[]);
    for (line, status) in
        [("5;", 400), ("5;bad[=x", 400), ("5;a=", 400), ("5 ", 400), ("5 ; a = \"b\"", 200), ("5\t;a", 200)]
    {
        let origin = Origin::site();
        let mut client = proxy.client();
        let head = format!("POST {} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", origin.url("/"));
        client.try_send(format!("{head}{line}\r\nhello\r\n0\r\n\r\n"));
        assert_eq!(client.reply().status(), status, "{line:?}");
        assert!(status == 200 || !origin.received(0).ends_with(b"0\r\n\r\n"), "{line:?} went on");
    }
}

#[test]
fn c1_a_chunk_fault_beside_the_response_head_is_a_502() {
    let proxy = Proxy::start(&[]);
    for chunks in ["x\r\n", "2\r\nok\r\nzz\r\n", "2\r\nokay\r\n0\r\n\r\n", "0\r\nno colon\r\n\r\n"] {
        for version in ["1.1", "1.0"] {
            let origin = Origin::once(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
            let mut client = proxy.client();
            client.send(format!("GET {} HTTP/{version}\r\nHost: h\r\n\r\n", origin.url("/")));
            let reply = client.reply();
            assert_eq!(reply.status(), 502, "{chunks:?}: {reply:?}");
            assert!(
                reply.value("Proxy-Status").is_some_and(|value| value.contains("http_protocol_error")),
                "{reply:?}"
            );
        }
    }
    proxy.assert_serves();
}

#[test]
fn c1_the_cause_says_that_an_origin_does_not_speak_http() {
    let proxy = Proxy::start(&PATIENT);
    for bytes in ["hello", "<html>no head</html>", "\0\0\0", "HTTX/1.1 200 OK\r\n\r\n"] {
        let origin = Origin::once(bytes);
        let reply = proxy.client().get(&origin.url("/"));
        let cause = reply.value("Proxy-Status").expect("a reason");
        assert!(reply.status() == 502 && cause.contains("the server did not answer in HTTP"), "{bytes:?}: {reply:?}");
    }
    let origin = Origin::once("");
    let cause = proxy.client().get(&origin.url("/")).value("Proxy-Status").expect("a reason");
    assert!(cause.contains("without an answer"), "{cause}");
}

#[test]
fn c2_other_protocols_are_answered_at_once_and_named() {
    let proxy = Proxy::start(&PATIENT);
    let hello = b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03";
    let table: [(&[u8], &str); 7] = [
        (hello, "TLS"),
        (b"\x05\x01\x00", "SOCKS 5"),
        (b"\x05", "SOCKS 5"),
        (b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", "SOCKS 4"),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "SSH"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "HTTP/2"),
        (b"PRI * HTTP/2.0\r\n", "HTTP/2"),
    ];
    for (bytes, name) in table {
        let mut client = proxy.client();
        client.send(bytes);
        let reply = client.reply();
        assert!(reply.status() == 400 && reply.text().contains(name), "{name}: {reply:?}");
        proxy.wait_log(&format!("this looks like {name}, where"));
    }
    for bytes in ["HELO mail.example\r\n", "QUIT\r\n", "GET /\r\n", "\x01", " GET"] {
        let mut client = proxy.client();
        client.send(bytes);
        assert_eq!(client.reply().status(), 400, "{bytes:?}");
    }
}

#[test]
fn c2_banners_of_origins_are_a_502_at_once() {
    let proxy = Proxy::start(&PATIENT);
    for banner in ["220 mail.example ESMTP\r\n", "SSH-2.0-x\r\n", "+OK ready\r\n", "5"] {
        let origin = Origin::start(move |peer| {
            peer.send(banner)?;
            peer.hold()
        });
        let reply = proxy.client().get(&origin.url("/"));
        let cause = reply.value("Proxy-Status").expect("a reason");
        assert!(reply.status() == 502 && cause.contains("did not answer in HTTP"), "{banner:?}: {reply:?}");
    }
}

#[test]
fn c3_options_of_the_monitor_are_answered() {
    let proxy = Proxy::start(&[]);
    for (target, allowed) in
        [("*", "GET, HEAD, OPTIONS"), ("/x", "GET, HEAD, OPTIONS"), ("/control.html", "GET, HEAD, POST, OPTIONS")]
    {
        let mut client = Client::connect(proxy.web());
        client.send(format!("OPTIONS {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let reply = client.reply();
        assert_eq!((reply.status(), reply.value("Allow").as_deref()), (200, Some(allowed)), "{target}");
    }
}

#[test]
fn c3_the_access_log_shows_the_line_of_a_refused_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access");
    let destination = log.to_str().expect("a path in UTF-8");
    let proxy =
        Proxy::start(&[("access.enable", "true"), ("access.destination", destination), ("access.format", "%r %>s")]);
    let long = "x".repeat(100_000);
    let table = [
        ("GET http://a.test/x HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), "GET http://a.test/x HTTP/1.1 400"),
        ("GET http://u:p@a.test/x HTTP/1.1\r\n\r\n".to_owned(), "GET http://a.test/x HTTP/1.1 400"),
        ("GET https://a.test/x HTTP/1.0\r\n\r\n".to_owned(), "GET https://a.test/x HTTP/1.0 501"),
        ("GET http://a.test/x HTTP/3.0\r\n\r\n".to_owned(), "GET http://a.test/x - 505"),
        (format!("GET http://a.test/x HTTP/1.1\r\nA: {long}\r\n\r\n"), "GET http://a.test/x HTTP/1.1 431"),
        ("CONNECT a.test HTTP/1.1\r\n\r\n".to_owned(), "CONNECT a.test HTTP/1.1 400"),
        ("nonsense\r\n\r\n".to_owned(), "- 400"),
    ];
    for (number, (request, wanted)) in table.iter().enumerate() {
        let mut client = proxy.client();
        client.try_send(request);
        client.reply();
        let line = eventually("its line in the access log", || {
            std::fs::read_to_string(&log).ok()?.lines().nth(number).map(str::to_owned)
        });
        assert_eq!(line, *wanted);
    }
}

#[test]
fn c4_bare_values_of_a_helper_are_decoded_once() {
    let helpers = Helpers::answering(|line| match line.contains("quoted") {
        true => "OK url=\"http://b.test/a%2520b\"".into(),
        false => "OK url=http://b.test/a%2520b%20c%0d%0aX:".into(),
    });
    let proxy = helpers.proxy(&[]);
    for (path, wanted) in [("quoted", "http://b.test/a%2520b"), ("bare", "http://b.test/a%20b%20c%0d%0aX:")] {
        let reply = proxy.client().get(&format!("http://a.test/{path}"));
        assert_eq!((reply.status(), reply.value("Location").as_deref()), (302, Some(wanted)), "{path}");
    }
}

#[test]
fn c4_extras_stand_behind_the_url_of_squids_line() {
    let extras = "%>a %>rm port=%lp ua=\"%{User-Agent}>h\" x=%{X-None}>h u=%un";
    for (line, wanted) in [
        ("squid", "http://a.test:81/p 127.0.0.1 GET port=PORT ua=\"a \\\"b\\\"\" x=- u=-"),
        ("exaproxy", "a.test/p 127.0.0.1 - GET -"),
    ] {
        let helpers = Helpers::answering(|_| "302:http://b.test/".into());
        let proxy = helpers.proxy(&[("redirector.extras", extras), ("redirector.line", line)]);
        let mut client = proxy.client();
        client.send("GET http://a.test:81/p HTTP/1.1\r\nHost: h\r\nUser-Agent: a \"b\"\r\n\r\n");
        assert_eq!(client.reply().status(), 302);
        assert_eq!(helpers.wait_asked(1), [wanted.replace("PORT", &proxy.port().to_string())]);
    }
    let wrong = Proxy::run(&["--check"], &[("redirector.extras", "%>a %zz")]);
    assert!(wrong.code == Some(1) && wrong.stderr.contains("%zz at character 5"), "{}{}", wrong.stdout, wrong.stderr);
}

#[test]
fn c4_the_explanation_of_the_originals_filter_reaches_the_client() {
    let helpers = Helpers::answering_icap(|_| {
        let head = "HTTP/1.1 403 Forbidden\nContent-Type: application/proxy-explanation+json\n\
            Cache-Control: no-cache\nConnection: close\n \n{\n\t\"title\": \"Policy Violation\"\n}\n\n";
        format!("ICAP/1.0 302 OK\nEncapsulated: res-hdr=0, null-body={}\n\n{head}", head.len()).into_bytes()
    });
    let proxy = helpers.proxy(&[("redirector.protocol", "icap://filter/")]);
    let mut client = proxy.client();
    let reply = client.get("http://a.test/");
    assert_eq!((reply.status(), reply.text().as_str()), (403, "{\n\t\"title\": \"Policy Violation\"\n}\n\n"));
    assert_eq!(reply.value("Content-Type").as_deref(), Some("application/proxy-explanation+json"));
    let mut client = proxy.client();
    client.send("CONNECT a.test:443 HTTP/1.1\r\nHost: h\r\n\r\n");
    let reply = client.reply_to("CONNECT");
    assert!(reply.status() == 403 && reply.text().contains("Policy Violation"), "{reply:?}");
}
