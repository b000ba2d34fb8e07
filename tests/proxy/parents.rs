//! Parents: what is sent through them and how, which of them is tried, what is judged before, and what a client gets where none of
//! them can be had.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use nix::sys::signal::Signal;

use crate::support::{
    alert, client, client_hello, eventually, ports, Blackhole, Client, Helpers, NameServer, Origin, Peer, Proxy,
    Refusing, A, ONE_LOOP,
};

/// What a parent does: it answers with the first line of the request, and opens tunnels in which it sends back what it gets.
fn serve(peer: &mut Peer) -> io::Result<()> {
    while let Some(request) = peer.request()? {
        let start = request.start();
        if start.starts_with("CONNECT ") {
            peer.send("HTTP/1.1 200 OK\r\nX-Parent: yes\r\n\r\n")?;
            return peer.echo();
        }
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{start}", start.len()))?;
    }
    Ok(())
}

fn parent() -> Origin {
    Origin::start(serve)
}

/// A proxy that sends everything through these parents.
fn through(parents: &[SocketAddr], options: &[(&str, &str)]) -> Proxy {
    let parents: Vec<String> = parents.iter().map(ToString::to_string).collect();
    let parents = parents.join(" ");
    let mut all = vec![("parent.proxy", &parents[..])];
    all.extend_from_slice(options);
    Proxy::start(&all)
}

#[test]
fn requests_go_to_the_parent_whole_and_on_one_connection() {
    let parent = parent();
    let proxy = through(&[parent.address()], &[ONE_LOOP]);
    let mut client = proxy.client();
    for (url, line) in [
        ("http://a.test/x?y", "GET http://a.test/x?y HTTP/1.1"),
        ("http://b.test:8080", "GET http://b.test:8080/ HTTP/1.1"),
        ("http://192.0.2.1/", "GET http://192.0.2.1/ HTTP/1.1"),
    ] {
        assert_eq!(client.get(url).text(), line);
    }
    assert_eq!(proxy.client().get("http://c.test/").text(), "GET http://c.test/ HTTP/1.1", "another client");
    assert_eq!(parent.connections(), 1, "they are kept under the parent");
    let head = parent.head(0);
    assert!(head.value("Via").is_some() && !head.has("Proxy-Authorization"), "{head:?}");
    proxy.wait_counter("parents.requests", 4);
}

#[test]
fn tunnels_go_through_the_parent() {
    let parent = parent();
    let proxy = through(&[parent.address()], &[]);
    let mut client = proxy.client();
    client.send("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\nearly");
    let reply = client.reply_to("CONNECT");
    assert_eq!((reply.status(), reply.has("X-Parent")), (200, false), "the greeting is ours");
    assert_eq!(client.read(5), b"early");
    client.send("late");
    assert_eq!(client.read(4), b"late");
    assert_eq!(parent.head(0).start(), "CONNECT a.test:443 HTTP/1.1");
    client.shut();
    client.expect_close();
    parent.wait_ended(1);
}

#[test]
fn what_a_parent_refuses_its_client_hears() {
    let parent = Origin::fixed("HTTP/1.1 403 Forbidden by parent\r\nContent-Length: 2\r\n\r\nno");
    let proxy = through(&[parent.address()], &[]);
    let mut client = proxy.client();
    client.send("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n");
    let reply = client.reply();
    assert_eq!((reply.start().as_str(), reply.text().as_str()), ("HTTP/1.1 403 Forbidden by parent", "no"));
    assert!(reply.lists("Connection", "close"));
    assert_eq!(proxy.client().get("http://a.test/").status(), 403);
}

#[test]
fn credentials_are_ours_and_their_refusal_too() {
    let parent = Origin::start(|peer| {
        while let Some(request) = peer.request()? {
            let known = request.value("Proxy-Authorization").as_deref() == Some("Basic dXNlcjpwYXNzOndvcmQ=");
            peer.send(if known {
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            } else {
                "HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"parent\"\r\nContent-Length: 0\r\n\r\n"
            })?;
        }
        Ok(())
    });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("auth");
    fs::write(&file, "user:pass:word\n").expect("a file");
    let proxy = through(&[parent.address()], &[("parent.auth-file", file.to_str().expect("a path of text"))]);
    let own = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nProxy-Authorization: Basic b3RoZXI6eA==\r\n\r\n";
    let mut client = proxy.client();
    client.send(own);
    assert_eq!(client.reply().text(), "ok");
    fs::write(&file, "user:wrong\n").expect("a file");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    for request in [client::get("http://a.test/"), "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n".to_owned()]
    {
        let mut client = proxy.client();
        client.send(request);
        let reply = client.reply();
        assert_eq!((reply.status(), reply.has("Proxy-Authenticate")), (502, false), "{reply:?}");
        assert!(reply.value("Proxy-Status").is_some_and(|status| status.contains("proxy_configuration_error")));
    }
    proxy.wait_log("does not take our credentials (parent.auth-file)");
    assert!(!proxy.log().contains("wrong"), "a password in the log");
    assert!(parent.connections() >= 2, "a connection of one user is not used for another");
}

#[test]
fn the_next_parent_is_tried_and_a_failed_one_left_alone() {
    let (refusing, second) = (Refusing::new(), parent());
    let proxy = through(&[refusing.address(), second.address()], &[]);
    assert_eq!(proxy.client().get("http://a.test/").text(), "GET http://a.test/ HTTP/1.1");
    proxy.client().tunnel("a.test:443");
    proxy.wait_counter("parents.down", 1);
    assert_eq!(proxy.counter("parents.failed"), 1, "it is left alone");
    proxy.wait_log("cannot be reached: connection refused; it is left alone for 10 seconds");
    eventually("the front page to tell", || {
        proxy.monitor_page("/").contains("1 parent cannot be reached").then_some(())
    });
}

/// One loop finds out, and one tells.
#[test]
fn a_parent_that_has_failed_is_left_alone_by_all_loops() {
    let (refusing, second) = (Refusing::new(), parent());
    let proxy = through(&[refusing.address(), second.address()], &[("daemon.threads", "3")]);
    let mut there: Vec<Client> = (0..6).map(|_| proxy.client()).collect();
    there.iter_mut().for_each(|client| assert_eq!(client.get("http://a.test/").status(), 200));
    let counters = proxy.counters();
    assert_eq!(["parents.requests", "parents.failed", "parents.down"].map(|name| counters[name]), [6, 1, 1]);
    const LINE: &str = "it is left alone for";
    proxy.wait_log(LINE);
    assert_eq!(proxy.log().matches(LINE).count(), 1, "{}", proxy.log());
}

#[test]
fn one_that_does_not_answer_gives_way_to_the_next() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::next()));
    let (_hole, second) = (Blackhole::at(address), parent());
    let proxy = through(&[address, second.address()], &[]);
    assert_eq!(proxy.client().get("http://a.test/").text(), "GET http://a.test/ HTTP/1.1");
    assert_eq!(proxy.counter("parents.failed"), 1);
}

#[test]
fn without_a_parent_there_is_an_answer_or_the_origin() {
    let (refusing, origin) = (Refusing::new(), Origin::site());
    let proxy = through(&[refusing.address()], &[]);
    for _ in 0..2 {
        let reply = proxy.client().get(&origin.url("/x"));
        assert_eq!(reply.status(), 502, "also while it is left alone");
        assert!(reply.value("Proxy-Status").is_some_and(|status| status.contains("destination_unavailable")));
    }
    assert_eq!(origin.connections(), 0);
    let parents = format!("{} direct", refusing.address());
    let proxy = Proxy::start(&[("parent.proxy", &parents)]);
    assert_eq!(proxy.client().get(&origin.url("/x")).text(), "/x");
    let echo = Origin::echo();
    let mut client = proxy.client();
    client.tunnel(&echo.address().to_string());
    client.send("x");
    assert_eq!(client.read(1), b"x");
}

#[test]
fn a_parent_that_comes_back_is_used_again() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::next()));
    let refusing = Refusing::at(address);
    let proxy = through(&[address], &[]);
    assert_eq!(proxy.client().get("http://a.test/").status(), 502);
    drop(refusing);
    let _parent = Origin::at(address, serve);
    assert_eq!(proxy.client().get("http://a.test/").status(), 200, "none is left, so that it is tried all the same");
    proxy.wait_log("is reached again");
    proxy.wait_counter("parents.down", 0);
}

#[test]
fn names_and_networks_say_what_goes_through_a_parent() {
    let (parent, origin) = (parent(), Origin::site());
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(at("hosts"), "127.0.0.1 direct.test a.direct.test b.test\n").expect("a file");
    fs::write(at("sites"), "# these\n*.direct.test\n").expect("a file");
    let (hosts, file) = (at("hosts"), format!("direct.test 127.0.0.0/8 file:{}", at("sites")));
    let proxy = through(&[parent.address()], &[("dns.hosts", &hosts), ("parent.except", &file)]);
    let text = |proxy: &Proxy, host: &str| proxy.client().get(&format!("http://{host}:{}/", origin.port())).text();
    for (host, direct) in [("direct.test", true), ("a.direct.test", true), ("127.0.0.1", true), ("b.test", false)] {
        assert_eq!(text(&proxy, host) == "/", direct, "{host}");
    }
    // With names resolved here, networks count for them too.
    let options = [("dns.hosts", &hosts[..]), ("parent.except", &file), ("parent.resolve", "true")];
    let proxy = through(&[parent.address()], &options);
    assert_eq!(text(&proxy, "b.test"), "/");
    let options = [("dns.hosts", &hosts[..]), ("parent.for", "b.test")];
    let proxy = through(&[parent.address()], &options);
    assert_eq!((text(&proxy, "direct.test") == "/", text(&proxy, "b.test") == "/"), (true, false));
}

#[test]
fn files_about_parents_are_read_again_when_they_change() {
    let (parent, site) = (parent(), Origin::site());
    let folder = tempfile::tempdir().expect("a folder");
    let sites = folder.path().join("sites");
    fs::write(&sites, "other.test\n").expect("a file");
    let except = format!("file:{}", sites.display());
    let proxy = through(&[parent.address()], &[("parent.except", &except)]);
    assert_eq!(proxy.client().get(&site.url("/")).status(), 200);
    assert_eq!((parent.connections(), site.connections()), (1, 0));
    fs::write(&sites, "a..b\n").expect("a file");
    proxy.wait_log("what was read before stays in force");
    fs::write(&sites, "127.0.0.1\n").expect("a file");
    proxy.wait_log("files about parents have changed and were taken over");
    assert_eq!(proxy.client().get(&site.url("/")).status(), 200);
    assert_eq!((parent.connections(), site.connections()), (1, 1));
}

#[test]
fn no_query_leaves_for_what_a_parent_resolves() {
    let (parent, origin) = (parent(), Origin::site());
    let Some(names) = NameServer::zone(&[("direct.test", "127.0.0.1")]) else { return };
    let resolver = names.resolv_conf();
    let options = [("dns.resolver", &resolver[..]), ("parent.except", "direct.test")];
    let proxy = through(&[parent.address()], &options);
    assert_eq!(proxy.client().get("http://a.test/").status(), 200);
    proxy.client().tunnel("b.test:443");
    assert_eq!(proxy.client().get(&format!("http://direct.test:{}/", origin.port())).text(), "/");
    let asked: Vec<String> = names.queries().iter().map(|query| query.plain()).collect();
    assert!(!asked.is_empty() && asked.iter().all(|name| name == "direct.test"), "{asked:?}");
}

#[test]
fn names_are_judged_here_first_where_that_is_wanted() {
    let parent = parent();
    let zone =
        [("good.test", "192.0.2.1"), ("bad.test", "10.0.0.1"), ("mixed.test", "192.0.2.1"), ("mixed.test", "10.0.0.1")];
    let Some(names) = NameServer::zone(&zone) else { return };
    let resolver = names.resolv_conf();
    let options = [("dns.resolver", &resolver[..]), ("security.deny", "10.0.0.0/8"), ("parent.resolve", "true")];
    let proxy = through(&[parent.address()], &options);
    assert_eq!(proxy.client().get("http://good.test/").text(), "GET http://good.test/ HTTP/1.1");
    assert_eq!((names.asked("good.test", A), proxy.client().get("http://10.0.0.9/").status()), (1, 403));
    for host in ["bad.test", "mixed.test"] {
        assert_eq!(proxy.client().get(&format!("http://{host}/")).status(), 403, "{host}");
        let mut client = proxy.client();
        client.send(format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n"));
        assert_eq!(client.reply().status(), 403, "{host}");
    }
    assert_eq!(proxy.client().get("http://missing.test/").status(), 502);
    assert_eq!(parent.connections(), 1);
    // Said outright, addresses are the parent's to judge, but for those that a client names.
    let options = [("dns.resolver", &resolver[..]), ("security.deny", "10.0.0.0/8"), ("parent.resolve", "false")];
    let (proxy, asked) = (through(&[parent.address()], &options), names.queries().len());
    assert_eq!(proxy.client().get("http://bad.test/").status(), 200);
    assert_eq!(proxy.client().get("http://10.0.0.9/").status(), 403);
    assert_eq!(names.queries().len(), asked, "no query for what the parent judges");
}

#[test]
fn what_names_hide_has_to_be_spoken_of_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("list");
    fs::write(&list, "10.0.0.0/8\n").expect("a file");
    let list = list.to_str().expect("a path of text");
    let parents = ("parent.proxy", "192.0.2.1:3128");
    for (option, said) in
        [(("security.deny", "10.0.0.0/8"), "security.deny"), (("acl.blocklist", list), "acl.blocklist")]
    {
        let run = Proxy::run(&[], &[parents, option, ("web.enable", "false")]);
        let text = format!("{}{}", run.stdout, run.stderr);
        assert!(run.code != Some(0) && text.contains("parent") && text.contains(said), "{text}");
        assert!(text.contains("true") && text.contains("false"), "it says what to do: {text}");
    }
}

#[test]
fn a_parent_that_the_operator_has_named_may_be_in_a_denied_range_and_no_other() {
    let (parent, other) = (parent(), parent());
    let to = other.address().to_string();
    let helpers = Helpers::answering(move |line| match line.starts_with("helped.test") {
        true => format!("parent://{to}"),
        false => String::new(),
    });
    let named = format!("localhost:{} direct", parent.port());
    for named in [parent.address().to_string(), named] {
        let before = parent.connections();
        let options =
            [("parent.proxy", &named[..]), ("security.deny", "127.0.0.0/8 ::1/128"), ("parent.resolve", "false")];
        let proxy = helpers.proxy(&options);
        let status = |url: &str| proxy.client().get(url).status();
        assert_eq!(status("http://a.test/"), 200, "{named}");
        // Clients do not get there themselves, be it through the parent, and neither does what a helper names.
        assert_eq!([&*parent.url("/"), "http://127.0.0.1/", "http://helped.test/"].map(status)[..2], [403, 403]);
        assert_ne!(status("http://helped.test/"), 200);
        assert_eq!((parent.connections() - before, other.connections()), (1, 0), "{named}");
    }
}

#[test]
fn lists_hold_for_what_goes_through_a_parent() {
    let parent = parent();
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let (block, allow) = (at("block", "bad.test\n"), at("allow", "good.test\n192.0.2.0/24\n"));
    let options = [
        ("acl.blocklist", &block[..]),
        ("acl.allowlist", &allow),
        ("acl.default", "deny"),
        ("parent.resolve", "false"),
    ];
    let proxy = through(&[parent.address()], &options);
    let status = |host: &str| proxy.client().get(&format!("http://{host}/")).status();
    assert_eq!(
        ["good.test", "192.0.2.7", "bad.test", "other.test", "198.51.100.1"].map(status),
        [200, 200, 403, 403, 403]
    );
}

#[test]
fn a_parent_on_this_machine_needs_its_place_in_security_local() {
    let parent = parent();
    let other = format!("127.0.0.1:{}", ports::next());
    let proxy = through(&[parent.address()], &[("security.local", &other)]);
    assert_eq!(proxy.client().get("http://a.test/").status(), 502);
    proxy.wait_log("is on this machine and not listed (security.local)");
    assert_eq!(parent.connections(), 0);
    let listed = parent.address().to_string();
    let proxy = through(&[parent.address()], &[("security.local", &listed)]);
    assert_eq!(proxy.client().get("http://a.test/").status(), 200);
    assert_eq!(proxy.client().get("http://127.0.0.1/").status(), 403, "that is no service of the parent's");
}

#[test]
fn a_parent_that_is_this_proxy_is_none() {
    let port = ports::next();
    let own = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let number = port.to_string();
    let proxy = through(&[own], &[("tcp4.port", &number)]);
    assert_eq!(proxy.client().get("http://a.test/").status(), 502);
    proxy.wait_log("is the proxy itself");
}

#[test]
fn a_parent_may_be_told_of_clients() {
    let parent = Origin::start(|peer| {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(peer.exact(1)?);
        }
        let text = String::from_utf8_lossy(&line).into_owned();
        let kind = text.split(' ').take(3).collect::<Vec<_>>().join(" ");
        while let Some(request) = peer.request()? {
            let said = format!("{kind} {}", request.start());
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{said}", said.len()))?;
        }
        Ok(())
    });
    let proxy = through(&[parent.address()], &[("parent.proxy-protocol", "v1")]);
    for from in [[127, 0, 0, 7], [127, 0, 0, 8]] {
        let mut client = Client::connect_from(from, proxy.address());
        let [a, b, c, d] = from;
        for _ in 0..2 {
            let wanted = format!("PROXY TCP4 {a}.{b}.{c}.{d} GET http://a.test/ HTTP/1.1");
            assert_eq!(client.get("http://a.test/").text(), wanted);
        }
    }
    assert_eq!(parent.connections(), 2, "one for each client");
}

#[test]
fn a_helper_names_a_parent() {
    let (first, second) = (parent(), parent());
    let to = second.address().to_string();
    let helpers = Helpers::answering(move |line| match line.starts_with("there.test") {
        true => format!("parent://{to}"),
        false => String::new(),
    });
    let parents = first.address().to_string();
    let proxy = helpers.proxy(&[("parent.proxy", &parents)]);
    assert_eq!(proxy.client().get("http://there.test/").status(), 200);
    proxy.client().tunnel("there.test:443");
    assert_eq!(proxy.client().get("http://here.test/").status(), 200);
    assert_eq!((first.connections(), second.connections()), (1, 2));
    // Also where no parent is configured, and with ICAP.
    let to = second.address().to_string();
    let head = format!("GET parent://{to} HTTP/1.1\r\n\r\n");
    let reply = format!("ICAP/1.0 200 OK\nEncapsulated: req-hdr=0, null-body={}\n\n{head}", head.len());
    let helpers = Helpers::answering_icap(move |_| reply.clone().into_bytes());
    let proxy = helpers.proxy(&[("redirector.protocol", "icap://127.0.0.1/x")]);
    assert_eq!(proxy.client().get("http://there.test/").status(), 200);
    let refusing = Refusing::new();
    let to = refusing.address().to_string();
    let helpers = Helpers::answering(move |_| format!("parent://{to}"));
    let proxy = helpers.proxy(&[("parent.proxy", &format!("{} direct", first.address()))]);
    assert_eq!(proxy.client().get("http://there.test/").status(), 502, "that one or none");
}

#[test]
fn connections_without_http_go_through_a_parent() {
    let parent = parent();
    let (tls, passthrough) = (ports::next(), ports::next());
    let (tls_port, passthrough_port) = (tls.to_string(), passthrough.to_string());
    let options = [
        ("tls.enable", "true"),
        ("tls.port", &tls_port[..]),
        ("passthrough.enable", "true"),
        ("passthrough.port", &passthrough_port),
        ("passthrough.proxied", "true"),
    ];
    let proxy = through(&[parent.address()], &options);
    let hello = client_hello(Some("a.test"), true);
    let mut client = Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, tls)));
    client.send(&hello);
    assert_eq!(client.read(hello.len()), hello);
    assert_eq!(parent.head(0).start(), "CONNECT a.test:443 HTTP/1.1");
    let mut client = Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, passthrough)));
    client.send("PROXY TCP4 203.0.113.7 192.0.2.9 56324 2222\r\nhello");
    assert_eq!(client.read(5), b"hello");
    assert_eq!(parent.head(1).start(), "CONNECT 192.0.2.9:2222 HTTP/1.1");
    assert_eq!(proxy.counter("parents.requests"), 2);
    drop(proxy);
    let refusing = Origin::fixed("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    let proxy = through(&[refusing.address()], &options);
    let mut client = Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, tls)));
    client.send(&hello);
    assert_eq!(client.rest(), alert(80));
    proxy.wait_counter("ended.refused", 1);
}

#[test]
fn a_cache_goes_by_the_origin_and_not_by_the_parent() {
    let answer = |said: &str| {
        format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {}\r\n\r\n{said}", said.len())
    };
    let (first, second) = (Origin::fixed(answer("first")), Origin::fixed(answer("second")));
    let parents = first.address().to_string();
    let proxy = Proxy::start(&[("parent.proxy", &parents), ("cache.enable", "true")]);
    assert_eq!(proxy.client().get("http://a.test/").text(), "first");
    assert_eq!(proxy.client().get("http://b.test/").text(), "first");
    eventually("a stored response", || (proxy.counter("cache.stored") == 2).then_some(()));
    drop(first);
    assert_eq!(proxy.client().get("http://a.test/").text(), "first");
    drop(second);
}

#[test]
fn a_kept_connection_to_a_parent_that_dies_is_replaced() {
    let parent = Origin::start(|peer| {
        let start = peer.expect_request()?.start();
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{start}", start.len()))
    });
    let proxy = through(&[parent.address()], &[]);
    for round in 0..5 {
        assert_eq!(proxy.client().get("http://a.test/").status(), 200, "{round}");
    }
}
