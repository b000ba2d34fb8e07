//! The icap listener on the real binary: transactions in pieces and in a row, lists and helpers in both languages, content back,
//! peers that are slow, large or no ICAP at all.

mod helpers;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use crate::support::{eventually, ports, wait_in_file, Client, Helpers, Proxy};

struct Service {
    proxy: Proxy,
    port: u16,
    folder: tempfile::TempDir,
}

impl Service {
    fn new(options: &[(&str, &str)]) -> Service {
        Service::with(options, Proxy::start)
    }

    /// The same with helpers.
    fn asking(helpers: &Helpers, options: &[(&str, &str)]) -> Service {
        Service::with(options, |all| helpers.proxy(all))
    }

    fn with(options: &[(&str, &str)], start: impl Fn(&[(&str, &str)]) -> Proxy) -> Service {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        fs::write(at("hosts"), "10.1.2.3 inside.test\n192.0.2.9 outside.test\n").expect("a file");
        fs::write(at("block"), "blocked.test\n").expect("a file");
        let (hosts, block, log, port) = (at("hosts"), at("block"), at("access"), ports::next());
        let number = port.to_string();
        let mut all = vec![
            ("dns.hosts", &hosts[..]),
            ("acl.blocklist", &block),
            ("icap.enable", "true"),
            ("icap.port", &number),
            ("access.enable", "true"),
            ("access.destination", &log),
            ("access.format", "%h %u %m %U %s %{decision}x %{failure}x"),
        ];
        all.extend_from_slice(options);
        let proxy = start(&all);
        Service { proxy, port, folder }
    }

    fn client(&self) -> Client {
        Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)))
    }

    fn wait_line(&self, line: &str) {
        wait_in_file(&self.folder.path().join("access"), line);
    }
}

const ALLOW: &str = "Allow: 204\r\n";

fn get(host: &str) -> String {
    format!("GET http://{host}/p HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

fn post(host: &str, length: usize) -> String {
    format!("POST http://{host}/p HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n")
}

/// A REQMOD without content.
fn reqmod(fields: &str, head: &str) -> String {
    let length = head.len();
    format!(
        "REQMOD icap://h/s ICAP/1.0\r\nHost: h\r\nEncapsulated: req-hdr=0, null-body={length}\r\n{fields}\r\n{head}"
    )
}

/// A REQMOD with content, whose chunks stand behind it.
fn with_content(fields: &str, head: &str, chunks: &str) -> String {
    let length = head.len();
    format!("REQMOD icap://h/s ICAP/1.0\r\nHost: h\r\nEncapsulated: req-hdr=0, req-body={length}\r\n{fields}\r\n{head}{chunks}")
}

const OPTIONS: &str = "OPTIONS icap://h/s ICAP/1.0\r\nHost: h\r\n\r\n";

/// A reply: the head of ICAP, what is encapsulated, and its content without chunks.
#[derive(Debug)]
struct Reply {
    icap: String,
    head: String,
    content: Option<String>,
}

impl Reply {
    fn status(&self) -> &str {
        &self.icap["ICAP/1.0 ".len()..][..3]
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.icap.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Reads a reply as a strict client does.
fn reply(client: &mut Client) -> Reply {
    let until = |client: &mut Client, end: &[u8]| {
        let bytes = client.wire().until(end).unwrap_or_else(|error| panic!("no whole reply: {error}"));
        String::from_utf8(bytes).expect("text")
    };
    let icap = until(client, b"\r\n\r\n");
    let mut reply = Reply { icap, head: String::new(), content: None };
    assert!(reply.icap.starts_with("ICAP/1.0 "), "{}", reply.icap);
    if reply.status() == "100" {
        return reply;
    }
    assert!(reply.field("ISTag").is_some_and(|tag| tag.starts_with('"') && tag.ends_with('"') && tag.len() <= 34));
    let parts = reply.field("Encapsulated").expect("Encapsulated is in every reply").to_owned();
    let (_, last) = parts.rsplit_once(' ').unwrap_or(("", &parts));
    let (kind, length) = last.split_once('=').expect("a place");
    reply.head = String::from_utf8(client.read(length.parse().expect("a number"))).expect("text");
    assert!(reply.head.is_empty() || reply.head.ends_with("\r\n\r\n"), "{reply:?}");
    if kind != "null-body" {
        let mut content = Vec::new();
        loop {
            let size = until(client, b"\r\n");
            let size = usize::from_str_radix(size.trim_end(), 16).expect("a size");
            content.extend(client.read(size));
            assert_eq!(client.read(2), b"\r\n");
            if size == 0 {
                break;
            }
        }
        reply.content = Some(String::from_utf8(content).expect("text"));
    }
    reply
}

fn ask(client: &mut Client, bytes: impl AsRef<[u8]>) -> Reply {
    client.send(bytes);
    reply(client)
}

#[test]
fn lists_decide_and_every_cut_is_the_same() {
    let service = Service::new(&[]);
    let mut client = service.client();
    let told = ask(&mut client, OPTIONS);
    assert_eq!((told.status(), told.field("Methods"), told.field("Preview")), ("200", Some("REQMOD"), Some("0")));
    assert_eq!((told.field("Allow"), told.field("Max-Connections").is_some()), (Some("204"), true));
    let fields = "Allow: 204\r\nX-Client-IP: 198.51.100.7\r\nX-Client-Username: ann\r\n";
    for (host, status) in [("a.test", "204"), ("blocked.test", "200")] {
        for bytes in [
            reqmod(fields, &get(host)),
            with_content(&format!("{fields}Preview: 4\r\n"), &post(host, 9), "4\r\nhell\r\n0\r\n\r\n"),
        ] {
            for cut in (1..bytes.len()).step_by(if bytes.len() > 300 { 7 } else { 1 }) {
                client.send(&bytes[..cut]);
                let answer = ask(&mut client, &bytes[cut..]);
                assert_eq!(answer.status(), status, "{cut} {answer:?}");
                assert_eq!(answer.head.starts_with("HTTP/1.1 403 Forbidden\r\n"), status == "200", "{answer:?}");
            }
        }
    }
    service.wait_line("198.51.100.7 ann GET http://a.test/p 204 PERMIT -\n");
    service.wait_line("198.51.100.7 ann POST http://blocked.test/p 403 DENY blocked\n");
}

#[test]
fn requests_in_one_segment_are_answered_in_their_order() {
    let service = Service::new(&[]);
    let mut client = service.client();
    let many = [
        reqmod(ALLOW, &get("a.test")),
        with_content("", &post("b.test", 5), "5\r\nhello\r\n0\r\n\r\n"),
        OPTIONS.to_owned(),
        reqmod(ALLOW, &get("blocked.test")),
        with_content("Preview: 0\r\n", &post("a.test", 5), "0; ieof\r\n\r\n"),
        reqmod("Connection: close\r\n", &get("a.test")),
    ];
    client.send(many.concat());
    let statuses: Vec<String> =
        (0..many.len()).map(|_| reply(&mut client)).map(|one| one.status().to_owned()).collect();
    assert_eq!(statuses, ["204", "200", "200", "200", "204", "200"]);
    client.expect_close();
    // A thousand more, for a client that reads only when all are out.
    let mut client = service.client();
    client.send(reqmod(ALLOW, &get("a.test")).repeat(1000));
    assert!((0..1000).all(|_| reply(&mut client).status() == "204"));
}

#[test]
fn content_goes_back_as_it_streams() {
    let service = Service::new(&[]);
    let mut client = service.client();
    let answer = ask(&mut client, with_content("", &post("a.test", 5), "2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n"));
    assert_eq!((answer.head, answer.content.as_deref()), (post("a.test", 5), Some("hello")));
    // More than any buffer between the two, and none of it held here.
    let length = 8 << 20;
    let head = post("a.test", length);
    let before = service.proxy.rss();
    let mut sender = client.wire().second().expect("another end of it");
    let sending = std::thread::spawn(move || {
        sender.send(with_content("", &head, &format!("{length:x}\r\n"))).expect("it is taken");
        sender.send("x".repeat(length)).expect("it is taken");
        sender.send("\r\n0\r\n\r\n").expect("it is taken");
    });
    let answer = reply(&mut client);
    sending.join().expect("all was sent");
    assert_eq!(answer.content.map(|content| content.len()), Some(length));
    assert!(service.proxy.rss() < before + (4 << 20), "{} and {before}", service.proxy.rss());
    assert_eq!(ask(&mut client, reqmod(ALLOW, &get("a.test"))).status(), "204");
}

#[test]
fn what_is_no_icap_gets_a_status_and_the_end() {
    let service = Service::new(&[("icap.header-size", "1000"), ("http.header-size", "2000")]);
    let long = "x".repeat(3000);
    let lie = reqmod(ALLOW, &get("a.test")).replace("null-body=", "null-body=1");
    for (bytes, status) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "400"),
        ("\u{16}\u{3}\u{1}\u{2}".to_owned(), "400"),
        ("REQMOD icap://h/s ICAP/2.0\r\n\r\n".to_owned(), "505"),
        ("LOGMOD icap://h/s ICAP/1.0\r\n\r\n".to_owned(), "501"),
        ("REQMOD icap://h/s ICAP/1.0\r\n\r\n".to_owned(), "400"),
        (format!("REQMOD icap://h/s ICAP/1.0\r\nA: {long}"), "400"),
        (reqmod("", &format!("GET http://a.test/{long} HTTP/1.1\r\n\r\n")), "400"),
        (format!("{lie}{long}"), "400"),
        (with_content(ALLOW, &post("a.test", 5), "no size\r\n"), "400"),
    ] {
        let mut client = service.client();
        client.try_send(&bytes);
        let answer = reply(&mut client);
        assert_eq!((answer.status(), answer.field("Connection")), (status, Some("close")), "{bytes}");
        assert_eq!(answer.head, "");
        client.shut();
        client.expect_end();
    }
    let mut client = service.client();
    assert_eq!(ask(&mut client, OPTIONS).status(), "200");
    assert_eq!(
        ask(
            &mut client,
            "RESPMOD icap://h/s ICAP/1.0\r\nEncapsulated: res-hdr=0, null-body=19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
        )
        .status(),
        "405"
    );
    assert_eq!(ask(&mut client, reqmod(ALLOW, "GET http://a.test:x/ HTTP/1.1\r\n\r\n")).head[..12], *"HTTP/1.1 400");
    assert_eq!(ask(&mut client, OPTIONS).status(), "200");
}

#[test]
fn the_slow_are_let_go() {
    let service =
        Service::new(&[("icap.idle-connect", "1"), ("http.head-timeout", "1"), ("http.inactive-timeout", "1")]);
    let mut silent = service.client();
    silent.expect_close();
    let mut late = service.client();
    late.send("REQMOD icap://h/s ICAP/1.0\r\nHost");
    assert_eq!(reply(&mut late).status(), "408");
    let mut stuck = service.client();
    stuck.send(with_content(ALLOW, &post("a.test", 5), "5\r\nhe"));
    stuck.expect_end();
}

#[test]
fn responses_pass_where_that_is_allowed() {
    let service = Service::new(&[("icap.respmod", "allow")]);
    let mut client = service.client();
    assert_eq!(ask(&mut client, OPTIONS).field("Methods"), Some("REQMOD, RESPMOD"));
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let respmod = |fields: &str| {
        let length = head.len();
        format!("RESPMOD icap://h/s ICAP/1.0\r\nEncapsulated: res-hdr=0, res-body={length}\r\n{fields}\r\n{head}5\r\nhello\r\n0\r\n\r\n")
    };
    assert_eq!(ask(&mut client, respmod(ALLOW)).status(), "204");
    let answer = ask(&mut client, respmod(""));
    assert_eq!((&answer.head[..], answer.content.as_deref()), (head, Some("hello")));
    assert_eq!(answer.field("Encapsulated"), Some(&*format!("res-hdr=0, res-body={}", head.len())));
}

#[test]
fn addresses_are_judged_as_far_as_they_are_known() {
    let service = Service::new(&[
        ("security.deny", "10.0.0.0/8 2001:db8::/32"),
        ("security.local", ""),
        ("security.connect", "443"),
    ]);
    let mut client = service.client();
    let mut status = |fields: &str, head: &str| {
        let answer = ask(&mut client, reqmod(&format!("{ALLOW}{fields}"), head));
        if answer.status() == "204" {
            "204".to_owned()
        } else {
            answer.head[9..12].to_owned()
        }
    };
    assert_eq!(status("", &get("10.9.9.9")), "403");
    assert_eq!(status("", &get("[2001:db8::7]")), "403");
    assert_eq!(status("", &get("127.0.0.1")), "403");
    assert_eq!(status("", &get("192.0.2.7")), "204");
    assert_eq!(status("", &get("inside.test")), "403");
    assert_eq!(status("", &get("outside.test")), "204");
    // A trusted client knows better where it will go.
    assert_eq!(status("X-Server-IP: 192.0.2.7\r\n", &get("inside.test")), "204");
    assert_eq!(status("X-Server-IP: 10.0.0.7\r\n", &get("outside.test")), "403");
    assert_eq!(status("", "CONNECT a.test:22 HTTP/1.1\r\nHost: a.test:22\r\n\r\n"), "403");
    assert_eq!(status("", "CONNECT outside.test:443 HTTP/1.1\r\nHost: outside.test:443\r\n\r\n"), "204");
    assert_eq!(status("", "GET https://outside.test/ HTTP/1.1\r\nHost: outside.test\r\n\r\n"), "204");
}

#[test]
fn only_the_trusted_say_who_asks() {
    let fields = "Allow: 204\r\nX-Client-IP: 198.51.100.7\r\nX-Client-Username: ann\r\n";
    let service = Service::new(&[("acl.clients", "198.51.100.0/24 127.0.0.0/8")]);
    let mut client = service.client();
    assert_eq!(ask(&mut client, reqmod(fields, &get("a.test"))).status(), "204");
    let other = fields.replace("198.51.100.7", "203.0.113.7");
    assert_eq!(ask(&mut client, reqmod(&other, &get("a.test"))).head[..12], *"HTTP/1.1 403");
    // What the service can do is told to those who reach it.
    assert_eq!(ask(&mut client, OPTIONS).status(), "200");
    let service = Service::new(&[("http.trusted", "203.0.113.0/24")]);
    let mut client = service.client();
    assert_eq!(ask(&mut client, reqmod(fields, &get("a.test"))).status(), "204");
    service.wait_line("127.0.0.1 - GET http://a.test/p 204 PERMIT -\n");
    service.proxy.wait_log("127.0.0.1 sends X-Client-IP of ICAP and is not believed");
}

#[test]
fn users_are_those_that_a_trusted_client_names() {
    let service = Service::new(&[]);
    let users = service.folder.path().join("users").display().to_string();
    fs::write(&users, "ann:secret\n").expect("a file");
    let service = Service::new(&[("auth.enable", "true"), ("auth.users", &users)]);
    let mut client = service.client();
    let asked = ask(&mut client, reqmod(ALLOW, &get("a.test")));
    assert!(
        asked.head.starts_with("HTTP/1.1 407 ") && asked.head.contains("\r\nProxy-Authenticate: Basic "),
        "{asked:?}"
    );
    // Squid passes on what its client answers to that.
    let shown = "Allow: 204\r\nProxy-Authorization: Basic YW5uOnNlY3JldA==\r\n";
    assert_eq!(ask(&mut client, reqmod(shown, &get("a.test"))).status(), "204");
    let named = "Allow: 204\r\nX-Authenticated-User: TG9jYWw6Ly9hbm4=\r\n";
    assert_eq!(ask(&mut client, reqmod(named, &get("a.test"))).status(), "204");
    service.wait_line("127.0.0.1 ann GET http://a.test/p 204 PERMIT -\n");
}

#[test]
fn clients_forget_when_lists_change() {
    let service = Service::new(&[]);
    let mut client = service.client();
    let tag = |client: &mut Client| ask(client, OPTIONS).field("ISTag").map(str::to_owned);
    let before = tag(&mut client);
    assert_eq!(tag(&mut client), before);
    fs::write(service.folder.path().join("block"), "other.test\n").expect("a file");
    eventually("another tag", || (tag(&mut client) != before).then_some(()));
    assert_eq!(ask(&mut client, reqmod(ALLOW, &get("blocked.test"))).status(), "204");
    service.proxy.signal(nix::sys::signal::Signal::SIGHUP);
    let reread = tag(&mut client);
    eventually("yet another tag", || (tag(&mut client) != reread).then_some(()));
}

/// What 1.2.1 writes with `-i`, where ICAP was switched on.
#[test]
fn the_file_of_the_original_starts() {
    let port = ports::next();
    let ini = format!(
        "\n[icap]\nconnections = 32768\nenable = true\nheader-size = 65536\nhost = '127.0.0.1'\nidle-connect = 300\n\
         ipv6 = '::'\nport = {port}\nproxied = false\n"
    );
    let proxy = Proxy::start_with(&[], &ini);
    let mut client = Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    assert_eq!(ask(&mut client, OPTIONS).field("Methods"), Some("REQMOD"));
    drop(proxy);
}

#[test]
fn places_are_counted_and_a_proxy_header_may_come_first() {
    let service = Service::new(&[("icap.connections", "3"), ("icap.proxied", "true"), ("http.connections", "10")]);
    let announce = "PROXY TCP4 198.51.100.7 127.0.0.1 56324 1344\r\n";
    let mut clients: Vec<Client> = (0..3).map(|_| service.client()).collect();
    for client in &mut clients {
        client.send(announce);
        let told = ask(client, OPTIONS);
        assert_eq!(told.field("Max-Connections"), Some("3"));
    }
    assert_eq!(ask(&mut clients[0], reqmod(ALLOW, &get("a.test"))).status(), "204");
    service.wait_line("198.51.100.7 - GET http://a.test/p 204 PERMIT -\n");
    drop(clients);
    let mut next = service.client();
    next.send(announce);
    assert_eq!(ask(&mut next, OPTIONS).status(), "200");
}

#[test]
fn a_unix_socket_serves_as_the_port_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("icap");
    let text = path.display().to_string();
    let uid = nix::unistd::geteuid();
    let service = Service::new(&[("icap.path", &text), ("acl.clients", "uid:* 198.51.100.0/24")]);
    let mut client = Client::connect_path(&path);
    assert_eq!(ask(&mut client, OPTIONS).field("Methods"), Some("REQMOD"));
    assert_eq!(ask(&mut client, reqmod(ALLOW, &get("a.test"))).status(), "204");
    let fields = "Allow: 204\r\nX-Client-IP: 198.51.100.7\r\n";
    assert!(ask(&mut client, reqmod(fields, &get("blocked.test"))).head.starts_with("HTTP/1.1 403 "));
    service.wait_line(&format!("uid:{uid} - GET http://a.test/p 204 PERMIT -\n"));
    service.wait_line("198.51.100.7 - GET http://blocked.test/p 403 DENY blocked\n");
    // By the port it would have to be one of those.
    assert!(ask(&mut service.client(), reqmod(ALLOW, &get("a.test"))).head.starts_with("HTTP/1.1 403 "));
}
