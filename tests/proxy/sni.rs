//! `security.sni`, `security.ech`, `security.tunnels`: the name in the first TLS record of a tunnel against the one in CONNECT.

use std::fs;

use crate::support::{alert, client_hello, in_small_records, pattern, wait_in_file, Client, Origin, Proxy};

/// Names of this machine, and their file.
const HOSTS: &str = "127.0.0.1 a.test b.test\n";

struct Site {
    origin: Origin,
    proxy: Proxy,
    folder: tempfile::TempDir,
}

impl Site {
    /// A proxy that logs requests, with these options besides, before an origin.
    fn before(origin: Origin, options: &[(&str, &str)]) -> Site {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        fs::write(at("hosts"), HOSTS).expect("a file");
        fs::write(at("block"), "blocked.test\n").expect("a file");
        let (hosts, log, block) = (at("hosts"), at("access"), at("block"));
        let mut all = vec![
            ("dns.hosts", &hosts[..]),
            ("access.enable", "true"),
            ("access.destination", &log),
            ("access.format", "%s %{failure}x %{sni}x %{alpn}x %U"),
            ("acl.blocklist", &block),
        ];
        all.extend_from_slice(options);
        Site { origin, proxy: Proxy::start(&all), folder }
    }

    fn new(options: &[(&str, &str)]) -> Site {
        Site::before(Origin::echo(), options)
    }

    /// A tunnel to the origin by this host.
    fn tunnel(&self, host: &str) -> Client {
        let mut client = self.proxy.client();
        client.tunnel(&format!("{host}:{}", self.origin.port()));
        client
    }

    /// A tunnel in which these bytes pass.
    fn passes(&self, host: &str, bytes: &[u8]) {
        let mut client = self.tunnel(host);
        client.send(bytes);
        assert_eq!(client.read(bytes.len()), bytes, "{host}");
    }

    /// A tunnel that is refused with this alert, and of which the origin gets nothing.
    fn refuses(&self, host: &str, bytes: &[u8], number: u8) {
        let connections = self.origin.connections();
        let mut client = self.tunnel(host);
        client.send(bytes);
        assert_eq!(client.rest(), alert(number), "{host}");
        drop(client);
        self.origin.wait_ended(connections + 1);
        assert_eq!(self.origin.received(connections), b"", "{host}");
    }

    fn wait_line(&self, line: &str) {
        wait_in_file(&self.folder.path().join("access"), line);
    }
}

#[test]
fn row_65_a_tunnel_carries_the_name_that_it_was_opened_for_or_none_at_all() {
    let site = Site::new(&[("security.sni", "enforce"), ("log.level", "INFO")]);
    let port = site.origin.port();
    site.passes("a.test", &client_hello(Some("a.test"), false));
    site.passes("A.Test.", &client_hello(Some("a.TEST"), true));
    site.passes("a.test", &in_small_records(&client_hello(Some("a.test"), false)));
    site.refuses("a.test", &client_hello(Some("b.test"), false), 112);
    site.refuses("a.test", &in_small_records(&client_hello(Some("b.test"), false)), 112);
    site.refuses("a.test", &client_hello(None, false), 112);
    site.wait_line(&format!("200 sni_mismatch b.test h2 a.test:{port}\n"));
    site.wait_line(&format!("200 sni_missing - h2 a.test:{port}\n"));
    site.wait_line(&format!("200 - a.test h2 a.test:{port}\n"));
    let line = site.proxy.wait_line("its hello names another host");
    assert!(
        line.contains(&format!("tunnel of 127.0.0.1 to a.test:{port}: its hello names another host, b.test")),
        "{line}"
    );
    assert_eq!((site.proxy.counter("sni.matched"), site.proxy.counter("sni.mismatch")), (3, 2));
}

#[test]
fn what_the_hello_is_followed_by_goes_through_whole() {
    let site = Site::new(&[("security.sni", "enforce")]);
    let hello = client_hello(Some("a.test"), true);
    let body = pattern(3 << 20, 7);
    let mut client = site.tunnel("a.test");
    let mut sender = client.wire().second().expect("another end");
    let sent = [&hello[..], &body].concat();
    let expected = sent.clone();
    let writer =
        std::thread::spawn(move || sender.send_pieces(&sent[..700], 1).and_then(|()| sender.send(&sent[700..])));
    assert!(client.read(expected.len()) == expected, "other bytes came back");
    writer.join().expect("a writer").expect("all is sent");
}

#[test]
fn in_the_mode_log_nothing_is_refused() {
    let site = Site::new(&[("security.sni", "log"), ("security.ech", "refuse")]);
    for bytes in [client_hello(Some("b.test"), false), client_hello(Some("b.test"), true), client_hello(None, false)] {
        site.passes("a.test", &bytes);
    }
    site.passes("a.test", b"SSH-2.0-x\r\n");
    site.passes("a.test", b"\x15\x03\x01\x00\x02\x01\x5a");
    let counted =
        ["mismatch", "ech", "missing", "other", "unread"].map(|name| site.proxy.counter(&format!("sni.{name}")));
    assert_eq!(counted, [1; 5]);
    site.wait_line(&format!("200 - b.test h2 a.test:{}\n", site.origin.port()));
}

#[test]
fn behind_an_address_the_name_is_judged_by_lists() {
    for mode in ["log", "enforce"] {
        let site = Site::new(&[("security.sni", mode)]);
        site.passes("127.0.0.1", &client_hello(None, false));
        site.passes("127.0.0.1", &client_hello(Some("any.test"), false));
        site.refuses("127.0.0.1", &client_hello(Some("BLOCKED.test"), false), 49);
        assert_eq!(site.proxy.counter("lists.blocked"), 1);
        site.wait_line(&format!("200 blocked blocked.test h2 127.0.0.1:{}\n", site.origin.port()));
    }
    let site = Site::new(&[]);
    site.passes("127.0.0.1", &client_hello(Some("blocked.test"), false));
}

#[test]
fn an_encrypted_hello_is_judged_by_its_outer_name_or_refused() {
    let site = Site::new(&[("security.sni", "enforce")]);
    site.passes("a.test", &client_hello(Some("a.test"), true));
    site.passes("a.test", &client_hello(Some("public.test"), true));
    site.refuses("a.test", &client_hello(Some("blocked.test"), true), 49);
    let site = Site::new(&[("security.sni", "enforce"), ("security.ech", "refuse")]);
    site.passes("a.test", &client_hello(Some("a.test"), true));
    site.refuses("a.test", &client_hello(Some("public.test"), true), 49);
    site.wait_line("200 sni_ech public.test");
}

#[test]
fn lists_that_only_report_refuse_no_name_in_a_hello() {
    let site = Site::new(&[("security.sni", "enforce"), ("acl.mode", "report")]);
    site.passes("127.0.0.1", &client_hello(Some("blocked.test"), false));
    assert_eq!(site.proxy.counter("lists.reported"), 1);
}

#[test]
fn servers_that_speak_first_and_other_protocols_are_not_held_up() {
    let first = || {
        Origin::start(|peer| {
            peer.send("220 ready\r\n")?;
            let said = peer.until(b"\r\n")?;
            peer.send(said)
        })
    };
    let site = Site::before(first(), &[("security.sni", "enforce")]);
    let mut client = site.tunnel("a.test");
    assert_eq!(client.read(11), b"220 ready\r\n");
    client.send("HELO x\r\n");
    assert_eq!(client.read(8), b"HELO x\r\n");
    let site = Site::before(first(), &[("security.tunnels", "tls")]);
    let mut client = site.tunnel("a.test");
    assert_eq!(client.read(11), b"220 ready\r\n");
    client.send("HELO x\r\n");
    assert_eq!(client.rest(), b"");
    site.proxy.wait_counter("ended.refused", 1);
    site.wait_line("200 not_tls - - a.test:");
}

#[test]
fn a_hello_that_is_cut_across_the_timer_is_no_way_round() {
    let site = Site::new(&[("security.sni", "enforce"), ("http.head-timeout", "1")]);
    let hello = client_hello(Some("b.test"), false);
    site.refuses("a.test", &hello[..40], 50);
    // A client that is silent for longer is judged when it speaks.
    let mut client = site.tunnel("a.test");
    site.proxy.wait_counter("sni.other", 1);
    client.send(&hello);
    assert_eq!(client.rest(), alert(112));
}

#[test]
fn a_hello_with_its_connect_is_judged_too() {
    let site = Site::new(&[("security.sni", "enforce")]);
    for (name, passes) in [("a.test", true), ("b.test", false)] {
        let (mut client, hello) = (site.proxy.client(), client_hello(Some(name), false));
        let target = format!("a.test:{}", site.origin.port());
        client.send([format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes(), &hello].concat());
        assert_eq!(client.reply_to("CONNECT").status(), 200);
        match passes {
            true => assert_eq!(client.read(hello.len()), hello),
            false => assert_eq!(client.rest(), alert(112)),
        }
    }
}

#[test]
fn a_large_hello_is_collected_up_to_its_limit() {
    let large = |size: usize| {
        let mut hello = client_hello(Some("a.test"), false);
        // One more extension, in the last place, in a message of several records.
        let mut message = hello.split_off(5);
        let extension = [&[0x7a, 0x7a][..], &(size as u16).to_be_bytes(), &vec![0; size]].concat();
        let at = 4 + 2 + 32 + 1 + 4 + 2;
        let length = (message.len() - at - 2 + extension.len()) as u16;
        message[at..at + 2].copy_from_slice(&length.to_be_bytes());
        message.extend_from_slice(&extension);
        let length = (message.len() - 4) as u32;
        message[1..4].copy_from_slice(&length.to_be_bytes()[1..]);
        let record = |part: &[u8]| [&[22, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat();
        message.chunks(1000).flat_map(record).collect::<Vec<u8>>()
    };
    let site = Site::new(&[("security.sni", "enforce"), ("http.header-size", "2000")]);
    site.passes("a.test", &large(60_000));
    site.refuses("a.test", &large(65_400), 22);
    site.proxy.wait_counter("memory.heads", 0);
    let site = Site::new(&[("security.sni", "enforce"), ("tls.header-size", "1000")]);
    site.refuses("a.test", &large(2_000), 22);
}
