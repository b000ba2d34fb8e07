//! goaccess, an analyser of logs that many run, reads what the proxy writes: every line of it, in both forms that it knows.

use crate::programs::{have, run};
use crate::support::{eventually, Client, Origin, Proxy};
use std::net::SocketAddr;

/// Squid's native form, as goaccess has it with what syslog puts in front of it.
const SQUID: &[&str] =
    &["--log-format=%x.%^ %~%L %h %^/%s %b %m %U %^", "--datetime-format=%s", "--date-format=%s", "--time-format=%s"];
const COMBINED: &[&str] = &["--log-format=COMBINED"];

/// What of a report can be told without knowing more of JSON than that a number stands behind its key.
fn number(report: &str, key: &str) -> u64 {
    let (_, rest) = report.split_once(&format!("\"{key}\":")).unwrap_or_else(|| panic!("no {key} in {report}"));
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("{key} is no number"))
}

/// Sends requests of many kinds, each with an answer, and tells how many.
fn traffic(proxy: &Proxy, at: SocketAddr) -> usize {
    let mut client: Client = proxy.client();
    let agent =
        "User-Agent: Mozilla/5.0 (X11; Linux \"x\\y\" \t) Gecko/20100101\r\nReferer: http://r.example/?a=\"b\"\r\n";
    for (method, path) in [("GET", "/plain"), ("GET", "/q?a=%22b%22&c=\"d\""), ("HEAD", "/head"), ("DELETE", "/gone")] {
        client.send(format!("{method} http://{at}{path} HTTP/1.1\r\nHost: {at}\r\n{agent}\r\n"));
        client.reply_to(method);
    }
    client.send(format!("POST http://{at}/form HTTP/1.1\r\nHost: {at}\r\nContent-Length: 3\r\n\r\nabc"));
    client.reply();
    client.get("http://unknown.invalid/");
    let mut tunnel: Client = proxy.client();
    tunnel.tunnel(&at.to_string());
    drop(tunnel);
    let mut refused: Client = proxy.client();
    refused.send("CONNECT a.example:25 HTTP/1.1\r\nHost: a.example\r\n\r\n");
    refused.reply();
    8
}

/// Has the proxy write such a log and goaccess read it.
fn is_read(format: &str, arguments: &[&str]) {
    if !have(&["goaccess", "timeout"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (log, out) = (folder.path().join("access.log"), folder.path().join("report.json"));
    let origin = Origin::site();
    let at = origin.address();
    let port = at.port().to_string();
    let proxy = Proxy::start(&[
        ("access.enable", "true"),
        ("access.format", format),
        ("access.destination", log.to_str().expect("a path in UTF-8")),
        ("security.connect", &port),
    ]);
    let count = traffic(&proxy, at);
    eventually("a line for each request", || {
        let text = std::fs::read_to_string(&log).ok()?;
        (text.lines().count() == count).then_some(())
    });
    let (log, out) = (log.display().to_string(), out.display().to_string());
    let mut all = vec![log.as_str(), "-o", &out, "--no-global-config", "--no-progress"];
    all.extend(arguments);
    run("goaccess", &all).content();
    let report = std::fs::read_to_string(&out).expect("a report");
    let text = std::fs::read_to_string(&log).expect("the log");
    assert_eq!(number(&report, "failed_requests"), 0, "{text}");
    assert_eq!(number(&report, "valid_requests"), count as u64, "{text}");
    for part in ["/plain", "/form", &format!("{at}"), "unknown.invalid"] {
        assert!(report.contains(part), "{part} is missing in {report}");
    }
}

#[test]
fn goaccess_reads_the_combined_form() {
    is_read("combined", COMBINED);
}

#[test]
fn goaccess_reads_squids_form() {
    is_read("squid", SQUID);
}
