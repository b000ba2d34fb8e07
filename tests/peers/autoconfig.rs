//! The script of proxy and monitor in a browser that has nothing else to go by, and what it says, asked of an engine.

use crate::chromium::QUIET;
use crate::programs::{command, have, run};
use crate::servers::nginx::Nginx;
use crate::support::{eventually, Proxy};
use std::process::{Child, Stdio};

/// Ends the browser with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn chromium_with_nothing_but_the_script() {
    if !have(&["chromium", "nginx", "openssl", "timeout"]) {
        return;
    }
    let nginx = Nginx::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 site.test\n").expect("a file");
    let hosts = hosts.display().to_string();
    // Only the proxy knows where site.test is, and only the browser where direct.test is.
    let proxy = Proxy::start(&[("dns.hosts", &hosts), ("pac.direct", "*.direct.test")]);
    std::fs::create_dir_all(nginx.file("page")).expect("a folder");
    let (port, tls) = (nginx.port, nginx.tls);
    let page = format!(
        "<!doctype html><title>pac</title><img src=\"http://a.direct.test:{port}/small?direct\">\
         <img src=\"https://site.test:{tls}/small?tunnel\"><img src=\"http://site.test:{port}/small?proxied\">"
    );
    std::fs::write(nginx.file("page/index.html"), page).expect("the page");
    for from in [proxy.address(), proxy.web()] {
        let before = nginx.log().len();
        let profile = tempfile::tempdir().expect("a temporary folder");
        let said = std::fs::File::create(profile.path().join("said")).expect("a file for its output");
        let browser = command("chromium")
            .args(QUIET)
            .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
            .arg(format!("--proxy-pac-url=http://{from}/proxy.pac"))
            .arg("--host-resolver-rules=MAP a.direct.test 127.0.0.1")
            .arg(format!("http://site.test:{port}/page/"))
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(said.try_clone().expect("a second handle"))
            .stderr(said)
            .spawn()
            .expect("chromium runs");
        let _browser = Ended(browser);
        let find = |what: &str| nginx.log().into_iter().skip(before).find(|line| line.ends_with(what));
        let line = |what: &str| eventually(&format!("{what} at the origin"), || find(what));
        assert!(line("/page/").contains(" 1.1 ExaProxy"), "{:#?}", nginx.log());
        assert!(line("/small?proxied").contains(" 1.1 ExaProxy"), "{:#?}", nginx.log());
        assert!(line("/small?direct").contains(" -|"), "{:#?}", nginx.log());
        line("/small?tunnel");
        assert!(proxy.counter("tunnels.allowed") > 0, "https went through a tunnel");
    }
}

/// Hosts, and whether they are reached without the proxy.
const HOSTS: &[(&str, bool)] = &[
    ("a.test", true),
    ("A.Test.", true),
    ("x.a.test", false),
    ("b.test", false),
    ("x.b.test", true),
    ("x.y.c.test", true),
    ("c.test", true),
    ("constructor", false),
    ("__proto__", false),
    ("10.1.2.3", true),
    ("11.0.0.1", false),
    ("192.0.2.1", true),
    ("192.0.2.2", false),
    ("2001:db8::1", true),
    ("[2001:DB8:7fff::1]", true),
    ("2001:db8:8000::1", false),
    ("::ffff:10.0.0.1", false),
    ("::", false),
    ("", false),
];

#[test]
fn what_the_script_says_of_hosts() {
    if !have(&["node", "curl", "timeout"]) {
        return;
    }
    let direct = "a.test *.b.test .c.test 10.0.0.0/8 192.0.2.1 2001:db8::/33";
    let proxy = Proxy::start(&[("pac.direct", direct)]);
    let url = format!("http://{}/proxy.pac", proxy.address());
    let script = run("curl", &["-sS", "-m", "30", &url]).content().text();
    let file = proxy.folder().join("script.js");
    let hosts: Vec<String> = HOSTS.iter().map(|(host, _)| format!("{host:?}")).collect();
    let ask = format!("for (const host of [{}]) console.log(FindProxyForURL('http://x/', host));", hosts.join(","));
    std::fs::write(&file, format!("\"use strict\";\n{script}\n{ask}\n")).expect("a file");
    let said = run("node", &[&file.display().to_string()]).content().text();
    let through = format!("PROXY {}", proxy.address());
    for (said, (host, direct)) in said.lines().zip(HOSTS) {
        assert_eq!(said, if *direct { "DIRECT" } else { &through }, "{host}");
    }
    assert_eq!(said.lines().count(), HOSTS.len());
}
