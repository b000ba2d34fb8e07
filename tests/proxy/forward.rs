//! What goes out for what comes in: request lines, fields and targets of requests that are forwarded.

use crate::support::{client, Origin, Proxy};

/// Sends `request` (with `PORT` standing for the origin's port) and gives the head that the origin saw.
fn forwarded(options: &[(&str, &str)], request: &str) -> crate::support::Message {
    let proxy = Proxy::start(options);
    let origin = Origin::site();
    let mut client = proxy.client();
    client.send(request.replace("PORT", &origin.port().to_string()));
    let reply = client.reply();
    assert_eq!(reply.status(), 200, "{reply:?}");
    origin.head(0)
}

#[test]
fn a_get_in_absolute_form_arrives_in_origin_form() {
    let head = forwarded(
        &[],
        "GET http://127.0.0.1:PORT/a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n",
    );
    assert_eq!(head.start(), "GET /a/b?c=d HTTP/1.1");
    let names: Vec<String> = head.fields().into_iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    assert_eq!(names, ["host", "user-agent", "accept", "via", "x-forwarded-for"], "{head:?}");
    assert!(head.value("Via").unwrap().starts_with("1.1 "), "{head:?}");
    assert_eq!(head.value("X-Forwarded-For").unwrap(), "127.0.0.1");
}

#[test]
fn origin_form_goes_to_the_port_of_host() {
    let head = forwarded(&[], "GET /x HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n");
    assert_eq!(head.start(), "GET /x HTTP/1.1");
}

#[test]
fn every_method_is_forwarded() {
    let known = "GET PUT POST HEAD DELETE PATCH OPTIONS BCOPY BDELETE BMOVE BPROPFIND BPROPPATCH COPY LOCK MKCOL MOVE \
                 NOTIFY POLL PROPFIND PROPPATCH SEARCH SUBSCRIBE UNLOCK UNSUBSCRIBE X-MS-ENUMATTS REPORT";
    let proxy = Proxy::start(&[("http.extensions", "REPORT")]);
    let origin = Origin::site();
    for method in known.split_whitespace() {
        let mut client = proxy.client();
        let url = origin.url(&format!("/{method}"));
        client.send(format!("{method} {url} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"));
        let reply = client.reply_to(method);
        assert_eq!(reply.status(), 200, "{method}: {reply:?}");
        if method != "HEAD" {
            assert_eq!(reply.text(), format!("/{method}"));
        }
    }
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    client.send_pieces(client::get(&origin.url("/slowly")), 1);
    assert_eq!(client.reply().text(), "/slowly");
}

#[test]
fn heads_with_bare_line_feeds_are_accepted() {
    let head = forwarded(&[], "GET http://127.0.0.1:PORT/lf HTTP/1.1\nHost: 127.0.0.1:PORT\nX-A: b\n\n");
    assert_eq!(head.start(), "GET /lf HTTP/1.1");
    assert_eq!(head.value("X-A").unwrap(), "b");
    assert!(head.head.windows(2).all(|pair| pair[1] != b'\n' || pair[0] == b'\r'), "{head:?}");
}

#[test]
fn a_quote_in_a_field_does_not_hold_the_request_back() {
    let head = forwarded(&[], "GET http://127.0.0.1:PORT/q HTTP/1.1\r\nHost: h\r\nUser-Agent: a\"b\r\n\r\n");
    assert_eq!(head.value("User-Agent").unwrap(), "a\"b");
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    forwarded(&[], "\r\n\r\nGET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\n\r\n");
}

#[test]
fn targets_keep_their_bytes() {
    let cases = [
        ("/a%20b", "/a%20b"),
        ("/a/../b", "/a/../b"),
        ("//double", "//double"),
        ("", "/"),
        ("?q=1", "/?q=1"),
        ("/?u=http://other/x", "/?u=http://other/x"),
        ("/%00%ff;p=1,2!$&'()*+~", "/%00%ff;p=1,2!$&'()*+~"),
    ];
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    for (sent, expected) in cases {
        assert_eq!(client.get(&origin.url(sent)).text(), expected, "{sent}");
    }
}

#[test]
fn fields_keep_their_order_and_bytes() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    let mut client = proxy.client();
    let mut request = format!("GET {} HTTP/1.1\r\nHost: h\r\n", origin.url("/")).into_bytes();
    request.extend_from_slice(b"X-B: 1\r\nX-a: caf\xe9\r\nX-Empty:\r\nX-B: 2, 3\r\nCookie: a=\"b\"; c\r\n\r\n");
    client.send(&request);
    client.reply();
    let head = origin.head(0).head;
    let seen: Vec<&[u8]> = head.split(|&byte| byte == b'\n').filter(|line| !line.starts_with(b"X-F")).collect();
    let expected: [&[u8]; 5] = [b"X-B: 1\r", b"X-a: caf\xe9\r", b"X-Empty:", b"X-B: 2, 3\r", b"Cookie: a=\"b\"; c\r"];
    let mut at = 0;
    for line in expected {
        let found = seen[at..].iter().position(|candidate| candidate.starts_with(line));
        at += found.unwrap_or_else(|| panic!("{} is missing or out of place", line.escape_ascii())) + 1;
    }
}

#[test]
fn hop_by_hop_fields_stay_on_their_hop() {
    let head = forwarded(
        &[],
        "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-Secret\r\nX-Secret: 1\r\n\
         Proxy-Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nUpgrade: nonsense\r\n\
         Proxy-Authorization: Basic eDp5\r\nX-Kept: 1\r\n\r\n",
    );
    for name in ["X-Secret", "Proxy-Connection", "Keep-Alive", "TE", "Upgrade", "Proxy-Authorization"] {
        assert!(!head.has(name), "{name} went on: {head:?}");
    }
    assert!(head.has("X-Kept"), "{head:?}");
}

#[test]
fn hop_by_hop_fields_of_an_answer_stay_on_their_hop() {
    let origin = Origin::fixed(
        "HTTP/1.1 200 OK\r\nConnection: X-Secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok",
    );
    let proxy = Proxy::start(&[]);
    let reply = proxy.client().get(&origin.url("/"));
    for name in ["X-Secret", "Keep-Alive", "Proxy-Connection"] {
        assert!(!reply.has(name), "{name} went on: {reply:?}");
    }
    assert!(reply.has("X-Kept") && !reply.lists("Connection", "X-Secret"), "{reply:?}");
    assert_eq!(reply.text(), "ok");
}

#[test]
fn the_clients_address_is_appended_to_x_forwarded_for() {
    let head = forwarded(
        &[],
        "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1, 192.0.2.2\r\n\r\n",
    );
    let all = head.values("X-Forwarded-For").join(", ");
    assert_eq!(all, "192.0.2.1, 192.0.2.2, 127.0.0.1", "{head:?}");
}

#[test]
fn via_is_added_behind_what_is_there() {
    let head = forwarded(&[], "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nVia: 1.0 before\r\n\r\n");
    let via = head.values("Via").join(", ");
    assert!(via.starts_with("1.0 before, 1.1 "), "{via}");
}

#[test]
fn answers_get_a_via_with_the_version_of_the_origin() {
    let origin = Origin::fixed("HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::start(&[]);
    let reply = proxy.client().get(&origin.url("/"));
    assert!(reply.start().starts_with("HTTP/1.1 200"), "{reply:?}");
    assert!(reply.value("Via").unwrap_or_default().starts_with("1.0 "), "{reply:?}");
}

#[test]
fn answers_without_a_date_get_one() {
    let proxy = Proxy::start(&[]);
    let plain = Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert!(proxy.client().get(&plain.url("/")).value("Date").unwrap().ends_with(" GMT"));
    let dated = Origin::fixed("HTTP/1.1 200 OK\r\nDate: yesterday\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(proxy.client().get(&dated.url("/")).value("Date").unwrap(), "yesterday");
}

#[test]
fn a_transparent_proxy_adds_nothing() {
    let request =
        "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nVia: 1.0 before\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
    let head = forwarded(&[("http.transparent", "true")], request);
    assert_eq!(head.values("Via"), ["1.0 before"]);
    assert_eq!(head.values("X-Forwarded-For"), ["192.0.2.1"]);
}

#[test]
fn the_field_named_by_forward_is_masked_only_when_asked() {
    let request = "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nX-Client: 192.0.2.1\r\n\r\n";
    let kept = forwarded(&[("http.forward", "X-Client")], request);
    assert_eq!(kept.values("X-Client"), ["192.0.2.1"]);
    let masked = forwarded(&[("http.forward", "X-Client"), ("http.mask", "true")], request);
    assert!(!masked.has("X-Client"), "{masked:?}");
}

#[test]
fn x_proxy_version_is_filled_in_only_for_those_who_ask() {
    let asked = forwarded(&[], "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nX-Proxy-Version: ?\r\n\r\n");
    let value = asked.value("X-Proxy-Version").unwrap();
    assert!(value.starts_with("ExaProxy version "), "{value}");
    let silent = forwarded(&[], "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(!silent.has("X-Proxy-Version"));
}

#[test]
fn trace_and_options_count_their_hops() {
    let cases = [
        ("OPTIONS", "Max-Forwards: 3\r\n", 200, Some("2")),
        ("TRACE", "Max-Forwards: 1\r\n", 200, Some("0")),
        ("OPTIONS", "Max-Forwards: 0\r\n", 200, None),
        ("TRACE", "Max-Forwards: 0\r\n", 200, None),
        ("OPTIONS", "Max-Forwards: x\r\n", 400, None),
        ("TRACE", "Max-Forwards: -1\r\n", 400, None),
    ];
    let proxy = Proxy::start(&[]);
    for (method, field, status, passed) in cases {
        let origin = Origin::site();
        let mut client = proxy.client();
        client.send(format!("{method} {} HTTP/1.1\r\nHost: h\r\n{field}\r\n", origin.url("/")));
        let reply = client.reply();
        assert_eq!(reply.status(), status, "{method} {field:?}: {reply:?}");
        assert_eq!(origin.connections(), usize::from(passed.is_some()), "{method} {field:?}");
        if let Some(left) = passed {
            assert_eq!(origin.head(0).value("Max-Forwards").unwrap(), left, "{method}");
        }
    }
}

#[test]
fn a_trace_answered_here_shows_no_secrets() {
    let proxy = Proxy::start(&[]);
    let mut client = proxy.client();
    client.send(
        "TRACE http://127.0.0.1/ HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\nX-Seen: yes\r\nCookie: secret\r\n\
         Authorization: secret\r\nProxy-Authorization: secret\r\n\r\n",
    );
    let reply = client.reply();
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.value("Content-Type").unwrap(), "message/http");
    assert!(reply.text().contains("X-Seen: yes") && !reply.text().contains("secret"), "{reply:?}");
}

#[test]
fn other_methods_pass_max_forwards_on() {
    let head = forwarded(&[], "GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n");
    assert_eq!(head.value("Max-Forwards").unwrap(), "0");
}

#[test]
fn an_http_1_0_request_without_host_is_forwarded_with_one() {
    let head = forwarded(&[], "GET http://127.0.0.1:PORT/old HTTP/1.0\r\n\r\n");
    assert_eq!(head.start(), "GET /old HTTP/1.1");
    assert!(head.value("Host").unwrap().starts_with("127.0.0.1:"));
    assert!(head.value("Via").unwrap().starts_with("1.0 "), "{head:?}");
}

#[test]
fn one_client_connection_reaches_several_hosts() {
    let proxy = Proxy::start(&[]);
    let origins: Vec<Origin> = (0..3).map(|_| Origin::site()).collect();
    let mut client = proxy.client();
    for round in 0..3 {
        for origin in &origins {
            let path = format!("/{}/{round}", origin.port());
            assert_eq!(client.get(&origin.url(&path)).text(), path);
        }
    }
}

#[test]
fn a_head_of_60_kib_passes() {
    let value = "v".repeat(60 * 1024);
    let head = forwarded(&[], &format!("GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: h\r\nX-Long: {value}\r\n\r\n"));
    assert_eq!(head.value("X-Long").unwrap(), value);
}

#[test]
fn an_answer_head_of_60_kib_passes() {
    let value = "v".repeat(60 * 1024);
    let origin = Origin::fixed(format!("HTTP/1.1 200 OK\r\nX-Long: {value}\r\nContent-Length: 2\r\n\r\nok"));
    let reply = Proxy::start(&[]).client().get(&origin.url("/"));
    assert_eq!(reply.value("X-Long").unwrap(), value);
}

/// Without Via the proxy would not see the request come round again, so it must not go out at all.
#[test]
fn a_transparent_proxy_does_not_go_round_in_circles() {
    let proxy = Proxy::start(&[("http.transparent", "true")]);
    let own = proxy.address();
    let mut client = proxy.client();
    client.send(format!("GET http://{own}/ HTTP/1.1\r\nHost: {own}\r\n\r\n"));
    assert_eq!(client.reply().status(), 403);
    assert!(proxy.counter("clients.requests") < 10, "this one, and those that ask");
}
