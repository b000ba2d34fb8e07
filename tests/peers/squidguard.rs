//! squidGuard, a redirector that many Squids have, behind the proxy: a small database of domains and URLs, lines in
//! Squid's form and in our own.

use crate::programs::{find, have, run};
use crate::support::{ports, Client, Message, Origin, Proxy};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// What is blocked: one domain is answered with a redirection, one part of a site with another page in its place.
const RULES: &str = "
dbhome FOLDER
logdir FOLDER
dest sent {
    domainlist sent/domains
    redirect 302:http://block.example/page?client=%a&url=%u
}
dest replaced {
    urllist replaced/urls
    redirect http://plain.example:PORT/instead
}
acl {
    default {
        pass !sent !replaced all
        redirect http://block.example/
    }
}
";

/// A database as an administrator makes one: lists, compiled with `squidGuard -C`.
fn database(folder: &Path, port: u16) -> PathBuf {
    let rules = RULES.replace("FOLDER", &folder.display().to_string()).replace("PORT", &port.to_string());
    let file = folder.join("squidGuard.conf");
    for (name, content) in [
        ("squidGuard.conf", rules.as_str()),
        ("sent/domains", "bad.example\n"),
        ("replaced/urls", "plain.example/secret\n"),
    ] {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, content).expect("a file of the database");
    }
    run("squidGuard", &["-c", &file.display().to_string(), "-C", "all"]).content();
    assert!(folder.join("sent/domains.db").is_file(), "squidGuard made no database");
    file
}

/// Runs `check` with a proxy that asks squidGuard in this form of line, and with the port of the origin of all names.
fn with_squidguard(line: &str, check: impl Fn(&Proxy, u16)) {
    if !have(&["squidGuard", "timeout"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let port = ports::next();
    let _site = Origin::at(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), crate::support::origin::serve_site);
    let rules = database(folder.path(), port);
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 plain.example bad.example www.bad.example notbad.example\n").expect("hosts");
    let squidguard = find("squidGuard").expect("it was there a moment ago");
    let program = format!("{} -c {}", squidguard.display(), rules.display());
    let proxy = Proxy::start(&[
        ("redirector.enable", "true"),
        ("redirector.program", &program),
        ("redirector.line", line),
        ("redirector.minimum", "2"),
        ("dns.hosts", &hosts.display().to_string()),
    ]);
    check(&proxy, port);
}

fn connect(proxy: &Proxy, authority: &str) -> (Client, Message) {
    let mut client = proxy.client();
    client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    let reply = client.reply_to("CONNECT");
    (client, reply)
}

/// What does not depend on the form of the line.
fn blocks_and_passes(proxy: &Proxy, port: u16) {
    for path in ["/", "/hello?x=y", "/public/secret"] {
        let reply = proxy.client().get(&format!("http://plain.example:{port}{path}"));
        assert_eq!((reply.status(), reply.text().as_str()), (200, path), "{reply:?}");
    }
    let reply = proxy.client().get(&format!("http://notbad.example:{port}/bad.example"));
    assert_eq!(reply.status(), 200, "another domain: {reply:?}");
    for path in ["/secret", "/secret/deeper?x=y"] {
        let reply = proxy.client().get(&format!("http://plain.example:{port}{path}"));
        assert_eq!((reply.status(), reply.text().as_str()), (200, "/instead"), "{path}: {reply:?}");
    }
    for host in ["bad.example", "www.bad.example"] {
        let reply = proxy.client().get(&format!("http://{host}:{port}/x"));
        assert_eq!(reply.status(), 302, "{host}: {reply:?}");
        let location = reply.value("Location").unwrap_or_default();
        assert!(location.starts_with("http://block.example/page?client=127.0.0.1&url="), "{host}: {location}");
        assert!(location.contains(host), "{host}: {location}");
        let (_, reply) = connect(proxy, &format!("{host}:{port}"));
        assert_eq!(reply.status(), 302, "a tunnel to {host}: {reply:?}");
    }
    let (mut client, reply) = connect(proxy, &format!("plain.example:{port}"));
    assert_eq!(reply.status(), 200, "a tunnel: {reply:?}");
    client.send("GET /inside HTTP/1.1\r\nHost: plain.example\r\n\r\n");
    assert_eq!(client.reply().text(), "/inside");
}

#[test]
fn squidguard_with_squids_line() {
    with_squidguard("squid", |proxy, port| {
        blocks_and_passes(proxy, port);
        let reply = proxy.client().get(&format!("http://bad.example:{port}/x"));
        let location = format!("http://block.example/page?client=127.0.0.1&url=http://bad.example:{port}/x");
        assert_eq!(reply.value("Location").unwrap_or_default(), location);
    });
}

#[test]
fn squidguard_with_our_own_line() {
    with_squidguard("exaproxy", blocks_and_passes);
}
