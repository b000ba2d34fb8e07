//! promtool, the checker that comes with Prometheus, reads the numbers of a proxy that has seen work of every kind. It
//! finds what a scrape could not read, and by its lint what would be read but misleads.

use crate::programs::{have, run_on, Ran};
use crate::support::{Client, Helpers, Origin, Proxy, Refusing};
use std::path::Path;

/// What promtool says of a page of metrics.
fn check(page: &[u8], folder: &Path) -> Ran {
    let file = folder.join("metrics");
    std::fs::write(&file, page).expect("a file for the page");
    let input = std::fs::File::open(&file).expect("the file is there");
    run_on("promtool", &["check", "metrics"], input.into())
}

fn metrics(proxy: &Proxy) -> Vec<u8> {
    let mut client = Client::connect(proxy.web());
    client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let reply = client.reply();
    assert_eq!(reply.status(), 200, "{reply:?}");
    reply.body
}

/// Requests that are answered, refused and failed, tunnels, questions to helpers, names that are not there.
fn traffic(proxy: &Proxy) {
    let (site, echo, refusing) = (Origin::site(), Origin::echo(), Refusing::new());
    let mut client = proxy.client();
    for path in ["/a", "/b?c=%22d%22", "/refused"] {
        client.get(&site.url(path));
    }
    let mut tunnel = proxy.client();
    tunnel.tunnel(&echo.address().to_string());
    tunnel.send("12345");
    assert_eq!(tunnel.read(5), b"12345");
    assert_eq!(proxy.client().get(&format!("http://{}/", refusing.address())).status(), 502);
    assert_eq!(proxy.client().get("http://\"host\\.invalid/").status(), 400);
    assert_eq!(proxy.client().get("http://host.invalid/").status(), 502);
    proxy.client().send("nonsense\r\n\r\n");
}

#[test]
fn promtool_finds_no_fault() {
    if !have(&["promtool", "timeout"]) {
        return;
    }
    let helpers = Helpers::answering(|line| match line.contains("/refused") {
        true => "http://127.0.0.1/local".to_owned(),
        false => String::new(),
    });
    let proxy = helpers.proxy(&[("access.enable", "true"), ("access.destination", "/dev/null")]);
    traffic(&proxy);
    let page = metrics(&proxy);
    let text = String::from_utf8_lossy(&page);
    for moved in ["exaproxy_request_seconds_count", "exaproxy_helper_seconds_count", "exaproxy_origin_failures_total"] {
        let still = text.lines().any(|line| line == format!("{moved} 0"));
        assert!(text.contains(moved) && !still, "{moved} has not moved: {text}");
    }
    let ran = check(&page, proxy.folder()).content();
    assert_eq!((ran.text().as_str(), ran.err.as_str()), ("", ""), "{text}");
}

/// So that the test above says something: what is no metric, and what the lint objects to, is found.
#[test]
fn promtool_finds_faults_that_are_there() {
    if !have(&["promtool", "timeout"]) {
        return;
    }
    let proxy = Proxy::start(&[]);
    let page = metrics(&proxy);
    for fault in ["exaproxy_up one\n", "exaproxy_up{a=\"b} 1\n", "# TYPE exaproxy_things gauge\nexaproxy_things 1\n"] {
        let ran = check(&[&page, fault.as_bytes()].concat(), proxy.folder());
        assert!(![Some(0), None].contains(&ran.code), "promtool lets {fault:?} pass: {}", ran.err);
    }
}
