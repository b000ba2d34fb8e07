//! Lists of names and networks: what they refuse, what is asked of name servers before, what takes their place while running.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;

use crate::support::{client, eventually, Helpers, NameServer, Origin, Proxy};

/// A folder with files of these names and texts.
fn files(texts: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in texts {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

fn at(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

/// Writes a file in the place of another, as programs that load lists do.
fn replace(path: &str, text: &str) {
    let other = PathBuf::from(format!("{path}.new"));
    fs::write(&other, text).expect("a file");
    fs::rename(&other, Path::new(path)).expect("a file to replace");
}

fn status(proxy: &Proxy, url: &str) -> u16 {
    proxy.client().get(url).status()
}

fn connect(proxy: &Proxy, authority: &str) -> u16 {
    let mut client = proxy.client();
    client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    client.reply_to("CONNECT").status()
}

#[test]
fn a_blocked_name_gets_a_page_and_no_name_server_is_asked() {
    let Some(server) = NameServer::zone(&[("good.test", "127.0.0.1"), ("bad.test", "127.0.0.1")]) else { return };
    let folder = files(&[("block", "# ours\n.bad.test\nport.test:8443\n||ads.test^\n")]);
    let (log, block) = (at(&folder, "access"), at(&folder, "block"));
    let resolver = server.resolv_conf();
    let options = [
        ("dns.resolver", &resolver[..]),
        ("acl.blocklist", &block),
        ("access.enable", "true"),
        ("access.destination", &log),
        ("access.format", "%s %{decision}x %{failure}x %{list}x %U"),
    ];
    let origin = Origin::site();
    let proxy = Proxy::start(&options);
    let port = origin.address().port();
    let mut client = proxy.client();
    for name in ["bad.test", "A.BAD.test.", "x.ads.test"] {
        let reply = client.get(&format!("http://{name}:{port}/"));
        assert_eq!(reply.status(), 403, "{name}: {reply:?}");
        let told = reply.value("Proxy-Status").expect("the field");
        assert!(told.contains("error=http_request_denied; details=\"blocked: "), "{told}");
        assert!(!reply.text().contains(&block), "file and line are the operator's: {}", reply.text());
    }
    assert_eq!(connect(&proxy, "www.bad.test:443"), 403);
    assert_eq!(connect(&proxy, "port.test:8443"), 403);
    assert_eq!(server.queries().len(), 0, "a name server was asked");
    assert_eq!(client.get(&format!("http://good.test:{port}/yes")).text(), "/yes");
    assert_eq!((proxy.counter("lists.blocked"), proxy.counter("lists.allowed")), (5, 1));
    let text = eventually("six lines", || fs::read_to_string(&log).ok().filter(|text| text.lines().count() == 6));
    assert!(text.starts_with(&format!("403 DENY blocked {block}:2 http://bad.test:{port}/\n")), "{text}");
    assert!(text.contains(&format!("403 DENY blocked {block}:3 port.test:8443\n")), "{text}");
    assert!(text.contains(&format!("200 PERMIT - - http://good.test:{port}/yes\n")), "{text}");
}

#[test]
fn networks_are_judged_by_the_address_that_is_connected_to() {
    let zone = [("there.test", "127.0.0.2"), ("other.test", "127.0.0.1")];
    let Some(server) = NameServer::zone(&zone) else { return };
    let folder = files(&[("block", "127.0.0.2\n127.0.0.3/32\n"), ("allow", "127.0.0.3\nthere.test:81\n")]);
    let (block, allow) = (at(&folder, "block"), at(&folder, "allow"));
    let resolver = server.resolv_conf();
    let options = [
        ("dns.resolver", &resolver[..]),
        ("acl.blocklist", &block),
        ("acl.allowlist", &allow),
        ("acl.tell-list", "true"),
    ];
    let proxy = Proxy::start(&options);
    let origin = Origin::site();
    let port = origin.address().port();
    for host in ["there.test", "127.0.0.2", "[::ffff:127.0.0.2]"] {
        let reply = proxy.client().get(&format!("http://{host}:{port}/"));
        assert_eq!(reply.status(), 403, "{host}: {reply:?}");
        assert!(reply.text().contains(&format!("{block}:1")), "{}", reply.text());
    }
    assert_eq!(connect(&proxy, "there.test:443"), 403);
    // A blocked network wins over an allowed name, an allowed network over a blocked one.
    assert_eq!(status(&proxy, "http://there.test:81/"), 403);
    assert_ne!(status(&proxy, &format!("http://127.0.0.3:{port}/")), 403);
    assert_eq!(proxy.client().get(&format!("http://other.test:{port}/x")).text(), "/x");
}

#[test]
fn with_default_deny_only_what_is_allowed_passes() {
    let origin = Origin::site();
    let port = origin.address().port();
    let folder = files(&[("allow", &format!("localhost\n127.0.0.1:{port}\n*.ok.test:443\n"))]);
    let allow = at(&folder, "allow");
    let proxy = Proxy::start(&[("acl.allowlist", &allow), ("acl.default", "deny"), ("dns.fqdn", "false")]);
    assert_eq!(proxy.client().get(&origin.url("/yes")).text(), "/yes");
    for authority in ["127.0.0.1:443", "198.51.100.1:443"] {
        assert_eq!(connect(&proxy, authority), 403, "{authority}");
    }
    assert_eq!(status(&proxy, "http://127.0.0.2/"), 403);
    let start = Proxy::run(&[], &[("acl.default", "deny")]);
    assert_eq!(start.code, Some(1), "{}", start.stderr);
    assert!(start.stderr.contains("acl.default"), "{}", start.stderr);
}

#[test]
fn report_mode_refuses_nothing_and_counts() {
    let origin = Origin::site();
    let folder = files(&[("block", "127.0.0.1\n")]);
    let (block, log) = (at(&folder, "block"), at(&folder, "access"));
    let proxy = Proxy::start(&[
        ("acl.blocklist", &block),
        ("acl.mode", "report"),
        ("access.enable", "true"),
        ("access.destination", &log),
        ("access.format", "json"),
    ]);
    assert_eq!(proxy.client().get(&origin.url("/yes")).text(), "/yes");
    assert_eq!((proxy.counter("lists.reported"), proxy.counter("lists.blocked")), (1, 0));
    let text = eventually("a line", || fs::read_to_string(&log).ok().filter(|text| text.ends_with('\n')));
    let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&line["list"], &line["status"]), (&format!("{block}:1").into(), &200.into()));
}

#[test]
fn lists_that_change_are_read_again_and_those_that_are_wrong_are_not_taken() {
    let origin = Origin::site();
    let folder = files(&[("block", "127.0.0.1\n")]);
    let block = at(&folder, "block");
    let proxy = Proxy::start(&[("acl.blocklist", &block)]);
    assert_eq!(status(&proxy, &origin.url("/")), 403);
    replace(&block, "a.test\nb..test\n");
    proxy.wait_log(&format!("{block}:2: neither a name nor an address; the lists that were read before stay in force"));
    assert_eq!(status(&proxy, &origin.url("/")), 403);
    fs::remove_file(&block).expect("a file");
    proxy.wait_log("No such file or directory");
    assert_eq!(status(&proxy, &origin.url("/")), 403);
    replace(&block, "a.test\n");
    proxy.wait_counter("lists.loaded", 1);
    assert_eq!((status(&proxy, &origin.url("/")), proxy.counter("lists.names")), (200, 1));
    // A reload reads them too, and refuses what is wrong as a whole.
    replace(&block, "127.0.0.1\na..b\n");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("the configuration stays as it was: acl: ");
    assert_eq!(status(&proxy, &origin.url("/")), 200);
    replace(&block, "127.0.0.1\n");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    assert_eq!(status(&proxy, &origin.url("/")), 403);
}

#[test]
fn a_line_that_is_wrong_stops_the_start_and_the_check() {
    let folder = files(&[("block", "ok.test\n10.0.0.0/33\n")]);
    let block = at(&folder, "block");
    for arguments in [&[][..], &["--check"]] {
        let run = Proxy::run(arguments, &[("acl.blocklist", &block)]);
        assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(&format!("{block}:2: not a network")), "{}", run.stderr);
        let run = Proxy::run(arguments, &[("acl.blocklist", "/no/such/list")]);
        assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains("acl.blocklist"), "{}", run.stderr);
    }
}

#[test]
fn lists_stand_before_helpers_and_judge_what_helpers_put_in_place() {
    let origin = Origin::site();
    let helpers = Helpers::answering(|line| match () {
        () if line.contains("/rewrite") => "http://blocked.test/".into(),
        () => String::new(),
    });
    let folder = files(&[("block", "blocked.test\n"), ("allow", "127.0.0.1\n")]);
    let (block, allow) = (at(&folder, "block"), at(&folder, "allow"));
    let proxy = helpers.proxy(&[("acl.blocklist", &block), ("acl.allowlist", &allow), ("acl.helpers", "unlisted")]);
    assert_eq!(status(&proxy, "http://blocked.test/"), 403);
    assert_eq!(proxy.client().get(&origin.url("/allowed")).text(), "/allowed");
    assert_eq!(proxy.counter("helpers.asked"), 0);
    let all = helpers.proxy(&[("acl.blocklist", &block), ("acl.allowlist", &allow)]);
    assert_eq!(all.client().get(&origin.url("/allowed")).text(), "/allowed");
    assert_eq!(all.counter("helpers.asked"), 1);
    assert!([302, 403].contains(&status(&all, &origin.url("/rewrite"))));
}

#[test]
fn no_request_fails_while_lists_are_replaced_under_load() {
    let origin = Origin::site();
    let names = |salt: usize| {
        (0..50_000).map(|number| format!("n{number}.s{salt}.test\n")).collect::<String>() + "always.test\n"
    };
    let folder = files(&[("block", &names(0))]);
    let block = at(&folder, "block");
    let proxy = Proxy::start(&[("acl.blocklist", &block)]);
    let (over, url) = (AtomicBool::new(false), origin.url("/x"));
    std::thread::scope(|scope| {
        let load = |_| {
            scope.spawn(|| {
                let (mut client, mut served) = (proxy.client(), 0);
                while !over.load(Ordering::Relaxed) {
                    client.send(client::get(&url).repeat(8));
                    (0..8).for_each(|_| assert_eq!(client.reply().status(), 200));
                    // In every list there has ever been.
                    assert_eq!(client.get("http://always.test/").status(), 403);
                    served += 9;
                }
                served
            })
        };
        let clients: Vec<_> = (0..8).map(load).collect();
        for salt in 1..4 {
            replace(&block, &names(salt));
            eventually("new lists", || (proxy.counter("lists.loaded") == salt as i64).then_some(()));
            assert_eq!(proxy.client().get(&format!("http://n7.s{salt}.test/")).status(), 403);
        }
        over.store(true, Ordering::Relaxed);
        assert!(clients.into_iter().all(|client| client.join().expect("no request failed") > 0));
    });
}

#[test]
fn the_command_line_says_what_lists_say_of_a_name() {
    let folder = files(&[("block", ".bad.test\n10.0.0.0/8\n"), ("allow", "ok.bad.test:443\n")]);
    let (block, allow) = (at(&folder, "block"), at(&folder, "allow"));
    let options = [("acl.blocklist", &block[..]), ("acl.allowlist", &allow[..])];
    for (name, said) in [
        ("www.Bad.test", format!("www.bad.test:443 is refused by {block}:1\n")),
        ("ok.bad.test", format!("ok.bad.test:443 is allowed by {allow}:1\n")),
        ("ok.bad.test:80", format!("ok.bad.test:80 is refused by {block}:1\n")),
        ("10.1.2.3", format!("10.1.2.3:443 is refused by {block}:2\n")),
        ("::ffff:10.1.2.3", format!("[::ffff:10.1.2.3]:443 is refused by {block}:2\n")),
        ("https://ok.bad.test/path?query", format!("ok.bad.test:443 is allowed by {allow}:1\n")),
        ("2001:db8::1", "[2001:db8::1]:443 is on no list and is allowed".to_owned()),
    ] {
        let run = Proxy::run(&["--check-name", name], &options);
        assert!(run.code == Some(0) && run.stdout.starts_with(&said), "{name}: {}{}", run.stdout, run.stderr);
    }
    std::fs::create_dir(folder.path().join("guard")).expect("a folder");
    std::fs::write(folder.path().join("guard/urls"), "other.test/\n").expect("a file");
    let guard = at(&folder, "guard");
    for name in ["http://other.test", "http://other.test/", "http://other.test?x"] {
        let run = Proxy::run(&["--check-name", name], &[("acl.blocklist", &guard)]);
        assert_eq!(run.stdout, format!("{name} is refused by {guard}/urls:1\n"), "{}", run.stderr);
    }
    assert_eq!(Proxy::run(&["--check-name", "a..b"], &options).code, Some(1));
    assert_eq!(Proxy::run(&["--check-name", "a.test"], &[]).code, Some(1));
}
