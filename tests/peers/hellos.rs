//! Hellos of TLS as openssl, curl and Chromium send them: recorded and read in every cut, and through tunnels whose names are
//! enforced.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use exaproxy::tls::hello::ClientHello;
use exaproxy::tls::record::HelloScan;

use crate::chromium::QUIET;
use crate::programs::{command, have, run};
use crate::servers::nginx::Nginx;
use crate::servers::Server;
use crate::support::{eventually, ports, Proxy};

/// Most bytes of a hello that is recorded.
const LIMIT: usize = 65_536;

/// Starts a client that opens a TLS connection to this port, and records its first hello.
fn recorded(client: impl FnOnce(u16) -> Command) -> Vec<u8> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    let mut child =
        client(port).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    // A browser opens connections that it does not use.
    let hello = loop {
        let (mut stream, _) = listener.accept().expect("a connection");
        let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
        let mut scan = HelloScan::default();
        while scan.find(&bytes, LIMIT).expect("the start of a hello").is_none() {
            match stream.read(&mut piece) {
                Ok(count) if count > 0 => bytes.extend_from_slice(&piece[..count]),
                _ => break,
            }
        }
        if let Ok(Some(length)) = HelloScan::default().find(&bytes, LIMIT) {
            bytes.truncate(length);
            break bytes;
        }
    };
    let _ = child.kill();
    let _ = child.wait();
    hello
}

/// What a hello says, read in every cut.
fn read(bytes: &[u8]) -> ClientHello {
    for cut in 0..bytes.len() {
        let mut scan = HelloScan::default();
        assert_eq!(scan.find(&bytes[..cut], LIMIT), Ok(None), "{cut} of {}", bytes.len());
        assert_eq!(scan.find(bytes, LIMIT), Ok(Some(bytes.len())));
    }
    let split: Vec<u8> = bytes[5..].iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect();
    let hello = ClientHello::parse(bytes).expect("a sound hello");
    assert_eq!(ClientHello::parse(&split), Ok(hello.clone()));
    hello
}

fn name(hello: &ClientHello) -> Option<String> {
    hello.name.as_ref().map(ToString::to_string)
}

#[test]
fn hellos_of_openssl_are_read() {
    if !have(&["openssl"]) {
        return;
    }
    for (arguments, wanted) in [
        (&["-servername", "a.example", "-alpn", "h2,http/1.1"][..], Some("a.example")),
        (&["-noservername", "-tls1_2"], None),
        (&["-servername", "A.EXAMPLE", "-max_send_frag", "512"], Some("a.example")),
    ] {
        let hello = read(&recorded(|port| {
            let mut client = command("openssl");
            client.args(["s_client", "-connect", &format!("127.0.0.1:{port}")]).args(arguments);
            client
        }));
        assert_eq!((name(&hello).as_deref(), hello.ech), (wanted, false), "{arguments:?}");
        let protocols: &[u8] = if arguments.contains(&"-alpn") { b"h2,http/1.1" } else { b"" };
        assert_eq!(hello.protocols.as_slice(), protocols);
    }
}

#[test]
fn hellos_of_curl_are_read() {
    if !have(&["curl"]) {
        return;
    }
    let hello = read(&recorded(|port| {
        let mut client = command("curl");
        client.args([
            "--resolve",
            &format!("www.a.example:{port}:127.0.0.1"),
            &format!("https://www.a.example:{port}/"),
        ]);
        client
    }));
    assert_eq!(name(&hello).as_deref(), Some("www.a.example"));
    assert!(hello.protocols.ends_with(b"http/1.1"), "{:?}", hello.protocols);
}

#[test]
fn hellos_of_chromium_are_read_and_are_decorated() {
    if !have(&["chromium"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let hello = read(&recorded(|port| {
        let mut client = command("chromium");
        client.args(QUIET).arg("--no-proxy-server").arg("--host-resolver-rules=MAP a.example 127.0.0.1");
        client.arg(format!("--user-data-dir={}", folder.path().display())).env("HOME", folder.path());
        client.arg(format!("https://a.example:{port}/"));
        client
    }));
    assert_eq!((name(&hello).as_deref(), hello.ech), (Some("a.example"), true));
    assert_eq!(hello.protocols.as_slice(), b"h2,http/1.1");
}

/// A proxy that enforces names, which knows these two.
fn enforcing(folder: &tempfile::TempDir) -> Proxy {
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("hosts"), "127.0.0.1 a.example b.example\n").expect("a file");
    Proxy::start(&[
        ("dns.hosts", &at("hosts")),
        ("security.sni", "enforce"),
        ("access.enable", "true"),
        ("access.format", "json"),
        ("access.destination", &at("access")),
    ])
}

#[test]
fn row_65_openssl_and_curl_are_told_that_their_tunnel_has_another_name() {
    if !have(&["openssl", "curl", "nginx"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (proxy, nginx) = (enforcing(&folder), Nginx::start());
    let (front, port) = (proxy.address().to_string(), nginx.tls);
    let curl = |connect: &str| {
        let (url, to) = (format!("https://a.example:{port}/small"), format!("a.example:{port}:{connect}:{port}"));
        run("curl", &["-sSk", "-x", &format!("http://{front}"), "--connect-to", &to, &url])
    };
    assert_eq!(curl("a.example").content().text(), "a small file\n");
    let other = curl("b.example");
    assert!(other.code == Some(35) && other.err.contains("unrecognized name"), "{:?} {}", other.code, other.err);
    let openssl = |server: &str| {
        let at = format!("a.example:{port}");
        run("openssl", &["s_client", "-proxy", &front, "-connect", &at, "-servername", server])
    };
    assert!(openssl("a.example").text().contains("\nSSL handshake has read"));
    let other = openssl("b.example");
    assert!(other.code != Some(0) && other.err.contains("unrecognized name"), "{:?} {}", other.code, other.err);
    assert_eq!((proxy.counter("sni.matched"), proxy.counter("sni.mismatch")), (2, 2));
}

#[test]
fn a_decorated_hello_of_chromium_passes_where_names_are_enforced() {
    if !have(&["chromium", "nginx"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (proxy, nginx) = (enforcing(&folder), Nginx::start());
    let profile = folder.path().join("profile");
    let mut client = command("chromium")
        .args(QUIET)
        .arg(format!("--proxy-server=http://{}", proxy.address()))
        .arg("--proxy-bypass-list=<-loopback>")
        .arg(format!("--user-data-dir={}", profile.display()))
        .env("HOME", folder.path())
        .arg(format!("https://a.example:{}/small", nginx.tls))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromium runs");
    eventually("the page at nginx", || nginx.log().iter().any(|line| line.ends_with("GET /small")).then_some(()));
    let _ = client.kill();
    let _ = client.wait();
    let path = folder.path().join("access");
    let decorated = || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.lines().any(|line| line.contains("\"sni\":\"a.example\"") && line.contains("\"ech\":true")).then_some(())
    };
    eventually("a tunnel with the extension in the access log", decorated);
    assert_eq!((proxy.counter("sni.mismatch"), proxy.counter("sni.ech")), (0, 0));
}

/// What HAProxy is told that routes by name to the proxy, in front of an origin on this port.
const ROUTES: &str = "
global
    maxconn 100
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend tls
    bind 127.0.0.1:FRONT
    tcp-request inspect-delay 10s
    tcp-request content set-dst-port int(ORIGIN)
    tcp-request content accept if { req.ssl_hello_type 1 }
    tcp-request content reject
    use_backend exaproxy if { req.ssl_sni -m found }
backend exaproxy
    server one 127.0.0.1:BACK send-proxy-v2
";

#[test]
fn haproxy_routes_by_name_to_the_tls_listener() {
    if !have(&["haproxy", "curl", "openssl", "nginx"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("hosts"), "127.0.0.1 a.example\n").expect("a file");
    std::fs::write(at("block"), "blocked.example\n").expect("a file");
    let (nginx, front, back) = (Nginx::start(), ports::next(), ports::next());
    let text = |path: PathBuf| path.display().to_string();
    let proxy = Proxy::start(&[
        ("dns.hosts", &text(at("hosts"))),
        ("acl.blocklist", &text(at("block"))),
        ("tls.enable", "true"),
        ("tls.host", &format!("127.0.0.1:{back} proxied")),
        ("access.enable", "true"),
        ("access.format", "%h %m %U %{failure}x"),
        ("access.destination", &text(at("access"))),
    ]);
    let routes = ROUTES.replace("FRONT", &front.to_string()).replace("BACK", &back.to_string());
    std::fs::write(at("haproxy.cfg"), routes.replace("ORIGIN", &nginx.tls.to_string())).expect("a file");
    let mut haproxy = command("haproxy");
    haproxy.arg("-db").arg("-f").arg(at("haproxy.cfg"));
    let _server = Server::start(haproxy, at("output"), (Ipv4Addr::LOCALHOST, front).into());
    let curl = |name: &str| {
        let (url, to) = (format!("https://{name}:{front}/small"), format!("{name}:{front}:127.0.0.1"));
        run("curl", &["-sSk", "--resolve", &to, &url])
    };
    assert_eq!(curl("a.example").content().text(), "a small file\n");
    let refused = curl("blocked.example");
    assert!(refused.code == Some(35) && refused.err.contains("access denied"), "{:?} {}", refused.code, refused.err);
    let openssl = |server: &[&str]| {
        let to = format!("127.0.0.1:{front}");
        run("openssl", &[&["s_client", "-connect", &to, "-alpn", "http/1.1"], server].concat())
    };
    assert!(openssl(&["-servername", "a.example"]).text().contains("\nSSL handshake has read"));
    let missing = openssl(&["-servername", "missing.invalid"]);
    assert!(missing.err.contains("unrecognized name"), "{}", missing.err);
    let path = at("access");
    let written = || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let wanted =
            [format!("127.0.0.1 TLS a.example:{} -", nginx.tls), format!("TLS blocked.example:{} blocked", nginx.tls)];
        wanted.iter().all(|line| text.contains(line)).then_some(())
    };
    eventually("lines of the connections in the access log", written);
    drop(proxy);
}
