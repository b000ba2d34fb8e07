//! The tls listener: connections go to the name in their first record, or where they were going before they were diverted,
//! and refusals are alerts. A PROXY header says here what a diversion would.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use crate::support::{
    alert, client_hello, eventually, in_small_records, ports, superuser, wait_in_file, Client, Helpers, Origin, Proxy,
};

struct Site {
    proxy: Proxy,
    port: u16,
    folder: tempfile::TempDir,
}

impl Site {
    fn new(options: &[(&str, &str)]) -> Site {
        Site::with(options, Proxy::start)
    }

    /// The same with helpers.
    fn asking(helpers: &Helpers, options: &[(&str, &str)]) -> Site {
        Site::with(options, |all| helpers.proxy(all))
    }

    fn with(options: &[(&str, &str)], start: impl Fn(&[(&str, &str)]) -> Proxy) -> Site {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        fs::write(at("hosts"), "127.0.0.1 a.test blocked.test\n127.0.0.9 nine.test\n").expect("a file");
        fs::write(at("block"), "blocked.test\n").expect("a file");
        let (hosts, block, log, port) = (at("hosts"), at("block"), at("access"), ports::next());
        let number = port.to_string();
        let mut all = vec![
            ("dns.hosts", &hosts[..]),
            ("acl.blocklist", &block),
            ("tls.enable", "true"),
            ("tls.port", &number),
            ("access.enable", "true"),
            ("access.destination", &log),
            ("access.format", "%m %U %s %{failure}x %{sni}x"),
        ];
        all.extend_from_slice(options);
        let proxy = start(&all);
        Site { proxy, port, folder }
    }

    fn client(&self) -> Client {
        Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)))
    }

    /// A client that a balancer announces, with this origin as its destination.
    fn announced(&self, origin: &Origin) -> Client {
        let mut client = self.client();
        let (to, port) = (origin.address().ip(), origin.port());
        client.send(format!("PROXY TCP4 203.0.113.7 {to} 56324 {port}\r\n"));
        client
    }

    fn refuses(&self, bytes: &[u8], got: &[u8]) {
        let mut client = self.client();
        client.try_send(bytes);
        assert_eq!(client.rest(), got, "{}", bytes.escape_ascii());
    }

    fn wait_line(&self, line: &str) {
        wait_in_file(&self.folder.path().join("access"), line);
    }
}

const PROXIED: (&str, &str) = ("tls.proxied", "true");

#[test]
fn a_connection_goes_to_the_name_in_its_hello_and_to_port_443() {
    if !superuser() {
        return;
    }
    let origin = Origin::at(SocketAddr::from(([127, 0, 0, 9], 443)), |peer| {
        let said = peer.exact(500)?;
        peer.send(said)
    });
    let site = Site::new(&[]);
    for hello in [client_hello(Some("nine.test"), true), in_small_records(&client_hello(Some("NINE.test."), false))] {
        let mut sent = hello.clone();
        sent.resize(500.max(hello.len()), b'x');
        let mut client = site.client();
        client.send_pieces(&sent, 90);
        assert_eq!(client.read(500), sent[..500]);
    }
    assert_eq!(origin.connections(), 2);
    site.wait_line("TLS nine.test:443 200 - nine.test\n");
}

#[test]
fn a_diverted_connection_goes_to_its_name_at_the_port_where_it_was_going() {
    let (origin, other) = (Origin::echo(), Origin::on([127, 0, 0, 9].into(), |peer| peer.send("other")));
    let site = Site::new(&[PROXIED]);
    let hello = client_hello(Some("a.test"), true);
    let mut client = site.client();
    // The header says another address than the name has.
    client.send(format!("PROXY TCP4 203.0.113.7 127.0.0.9 56324 {}\r\n", origin.port()));
    client.send(&hello);
    assert_eq!(client.read(hello.len()), hello);
    site.wait_line_after(client, &format!("TLS a.test:{} 200 - a.test\n", origin.port()));
    let site = Site::new(&[PROXIED, ("tls.destination", "original")]);
    let mut client = site.announced(&other);
    client.send(&hello);
    assert_eq!(client.read(5), b"other");
    site.wait_line_after(client, &format!("TLS a.test:{} 200 ", other.port()));
}

impl Site {
    /// Waits for the line of a connection that ends now.
    fn wait_line_after(&self, client: Client, line: &str) {
        drop(client);
        self.wait_line(line);
    }
}

#[test]
fn without_a_name_it_goes_where_it_was_going_or_nowhere() {
    let origin = Origin::echo();
    let site = Site::new(&[PROXIED]);
    let hello = client_hello(None, false);
    let mut client = site.announced(&origin);
    client.send(&hello);
    assert_eq!(client.read(hello.len()), hello);
    site.wait_line_after(client, &format!("TLS 127.0.0.1:{} 200 - -\n", origin.port()));
    let site = Site::new(&[]);
    site.refuses(&hello, &alert(112));
    site.refuses(&client_hello(Some("127.0.0.1"), false), &alert(112));
    site.refuses(&client_hello(Some("missing.invalid"), false), &alert(112));
    site.wait_line("502 no_destination -\n");
    site.proxy.wait_counter("ended.refused", 3);
}

#[test]
fn ways_8_what_a_balancer_says_of_a_connection_of_tls_stands_in_the_access_log() {
    let origin = Origin::echo();
    let site = Site::new(&[PROXIED, ("access.format", "json")]);
    let hello = client_hello(None, false);
    let mut client = site.client();
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x1d\xcb\0\x71\x07\x7f\0\0\x01\x13\x88".to_vec();
    header.extend(origin.port().to_be_bytes());
    header.extend(b"\x05\0\x04id-7\x02\0\x07a.named");
    client.send([&header[..], &hello].concat());
    assert_eq!(client.read(hello.len()), hello);
    drop(client);
    site.wait_line("\"unique_id\":\"id-7\"");
    site.wait_line("\"authority\":\"a.named\"");
}

#[test]
fn lists_and_policy_hold_for_names_in_hellos() {
    let site = Site::new(&[PROXIED, ("security.deny", "127.0.0.9/32"), ("acl.clients", "203.0.113.0/24")]);
    let origin = Origin::echo();
    let refused = |name: &str, from: &str| {
        let mut client = site.client();
        client.send(format!("PROXY TCP4 {from} 127.0.0.1 56324 {}\r\n", origin.port()));
        client.send(client_hello(Some(name), false));
        assert_eq!(client.rest(), alert(49), "{name} {from}");
    };
    refused("blocked.test", "203.0.113.7");
    refused("nine.test", "203.0.113.7");
    refused("a.test", "198.51.100.7");
    assert_eq!((origin.connections(), site.proxy.counter("lists.blocked")), (0, 1));
    site.wait_line(&format!("TLS blocked.test:{} 403 blocked blocked.test\n", origin.port()));
    site.wait_line("403 client_denied a.test\n");
    // Lists hold for the original destination, too.
    let deny = Site::new(&[PROXIED, ("tls.destination", "original"), ("acl.blocklist", &networks(&site))]);
    let mut client = deny.announced(&origin);
    client.send(client_hello(Some("a.test"), false));
    assert_eq!(client.rest(), alert(49));
    assert_eq!(origin.connections(), 0);
}

/// A list that has the network of the origins.
fn networks(site: &Site) -> String {
    let path = site.folder.path().join("networks");
    fs::write(&path, "127.0.0.0/8\n").expect("a file");
    path.display().to_string()
}

#[test]
fn row_60_a_name_that_leads_back_here_is_refused() {
    let site = Site::new(&[PROXIED]);
    let mut client = site.client();
    client.send(format!("PROXY TCP4 203.0.113.7 127.0.0.1 56324 {}\r\n", site.port));
    client.send(client_hello(Some("a.test"), false));
    assert_eq!(client.rest(), alert(49));
    let mut client = site.client();
    client.send(format!("PROXY TCP4 203.0.113.7 127.0.0.1 56324 {}\r\n", site.port));
    client.send(client_hello(None, false));
    assert_eq!(client.rest(), alert(49));
    assert_eq!(site.proxy.counter("clients.requests"), 2);
}

#[test]
fn what_is_no_hello_ends_at_once() {
    let site = Site::new(&[("tls.header-size", "1000")]);
    site.refuses(b"\x80\x2e\x01\x03\x01", &alert(70));
    site.refuses(b"\x15\x03\x01\x00\x02\x01\x5a", &alert(10));
    site.refuses(b"\x16\x03\x01\x00\x04\x02\0\0\0", &alert(10));
    site.refuses(b"\x16\x03\x01\x00\x04\x01\0\xff\xff", &alert(22));
    site.refuses(b"SSH-2.0-x\r\n", b"");
    site.refuses(b"\x05\x01\x00", b"");
    let mut client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let reply = client.reply();
    assert_eq!(reply.status(), 400);
    assert!(reply.text().contains("TLS"), "{reply:?}");
    site.wait_line("400 bad_hello -\n");
    site.wait_line("400 not_tls -\n");
    site.proxy.wait_counter("ended.refused", 7);
}

#[test]
fn silence_and_half_a_hello_end_in_time() {
    let site = Site::new(&[("tls.idle-connect", "1"), ("http.head-timeout", "1")]);
    site.refuses(b"", b"");
    site.refuses(&client_hello(Some("a.test"), false)[..20], b"");
    let ended = |name: &str| site.proxy.counter(&format!("ended.timeout-{name}"));
    eventually("two timers", || (ended("first") + ended("head") == 2).then_some(()));
}

#[test]
fn url_helpers_are_asked_about_names() {
    let (origin, other) = (Origin::echo(), Origin::start(|peer| peer.send("other")));
    let place = other.address().to_string();
    let helpers = Helpers::answering(move |line| match line.split(['.', ' ']).next() {
        Some("a") => String::new(),
        Some("nine") => format!("intercept://{place}"),
        Some("blocked") => "file://deny.html".into(),
        Some("x") => "redirect://http://a.test/".into(),
        _ => "http://a.test/page".into(),
    });
    let site = Site::asking(&helpers, &[PROXIED, ("acl.blocklist", ""), ("usage.enable", "true")]);
    let hello = |name: &str| client_hello(Some(name), false);
    let mut client = site.announced(&origin);
    client.send(hello("a.test"));
    assert_eq!(client.read(hello("a.test").len()), hello("a.test"));
    let mut client = site.announced(&origin);
    client.send(hello("nine.test"));
    assert_eq!(client.read(5), b"other");
    for name in ["blocked.test", "x.test", "y.test"] {
        let mut client = site.announced(&origin);
        client.send(hello(name));
        assert_eq!(client.rest(), alert(49), "{name}");
    }
    let asked: Vec<String> =
        ["a", "nine", "blocked", "x", "y"].iter().map(|name| format!("{name}.test 203.0.113.7 - TLS -")).collect();
    assert_eq!(helpers.wait_asked(5), asked);
    site.proxy.wait_line(&format!(" 203.0.113.7 TLS a.test:{} PERMIT/a.test", origin.port()));
    // Without a name the address is asked about; without either nothing is.
    let mut client = site.announced(&origin);
    client.send(client_hello(None, false));
    assert_eq!(client.rest(), alert(49));
    assert_eq!(helpers.wait_asked(6)[5], "127.0.0.1 203.0.113.7 - TLS -");
}

#[test]
fn icap_helpers_get_the_hello_and_say_where_it_goes() {
    let (origin, other) = (Origin::echo(), Origin::start(|peer| peer.send("other")));
    let place = other.address().to_string();
    let helpers = Helpers::answering_icap(move |question| {
        if question.contains("Pragma: host=a.test\n") {
            return b"ICAP/1.0 204 No Content\n\n".to_vec();
        }
        if question.contains("Pragma: host=blocked.test\n") {
            let page = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno";
            return format!("ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, null-body={}\n\n{page}", page.len())
                .into_bytes();
        }
        let head = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n");
        format!("ICAP/1.0 200 OK\nX-Intercept: active\nEncapsulated: req-hdr=0, null-body={}\n\n{head}", head.len())
            .into_bytes()
    });
    let options = [PROXIED, ("acl.blocklist", ""), ("redirector.protocol", "icap://srv/x")];
    let site = Site::asking(&helpers, &options);
    let hello = |name: Option<&str>| client_hello(name, false);
    let mut client = site.announced(&origin);
    client.send(hello(Some("a.test")));
    assert_eq!(client.read(hello(Some("a.test")).len()), hello(Some("a.test")));
    let mut client = site.announced(&origin);
    client.send(hello(Some("blocked.test")));
    assert_eq!(client.rest(), alert(49));
    for name in [Some("nine.test"), None] {
        let mut client = site.announced(&origin);
        client.send(hello(name));
        assert_eq!(client.read(5), b"other");
    }
    let asked = helpers.wait_asked(4);
    let (first, last) = (&asked[0], &asked[3]);
    let length = hello(Some("a.test")).len();
    let wanted = format!(
        "REQMOD icap://srv/x ICAP/1.0\nHost: srv\nPragma: transport=tls\nPragma: proxy=test\nPragma: scheme=http\n\
         Pragma: accept=127.0.0.1\nPragma: accept-port={}\nPragma: client=203.0.113.7\nPragma: host=a.test\n\
         Pragma: path=\nPragma: method=TLS\nEncapsulated: req-hdr=0, null-body={length}\n\n",
        origin.port()
    );
    assert!(first.starts_with(&wanted), "{first}");
    assert!(last.contains("\nPragma: host=\nPragma: path=\n"), "{last}");
}

#[test]
fn a_start_is_refused_that_lets_any_name_lead_anywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let allow = folder.path().join("allow");
    fs::write(&allow, "a.test\n").expect("a file");
    let options = [
        ("tls.enable", "true"),
        ("tls.destination", "original"),
        ("acl.default", "deny"),
        ("acl.allowlist", allow.to_str().expect("a path of text")),
    ];
    let ended = Proxy::run(&["--check"], &options);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("tls.destination"), "{}", ended.stderr);
}
