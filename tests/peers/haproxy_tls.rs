//! The example `conf/haproxy/tls.cfg`: clients speak TLS with HAProxy, and HTTP/2 where they can, and HAProxy passes on to
//! the proxy what HTTP/1.1 says to one. curl and Chromium ask by it as by a proxy of kind HTTPS.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::browser::Browser;
use crate::programs::{command, have, run, Ran};
use crate::servers::nginx::Nginx;
use crate::servers::Server;
use crate::support::{eventually, ports, Origin, Proxy};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/haproxy/tls.cfg");

const NEEDED: &[&str] = &["haproxy", "curl", "openssl", "nginx", "timeout"];

/// What HAProxy says of each request: method, target, version on the client's side, status.
const LINE: &str = "    log stdout format raw local0\n    log-format \"seen %HM %HU %[fc_http_major] %ST\"\n";

/// HAProxy with the example, in front of a proxy.
struct Front {
    _server: Server,
    folder: tempfile::TempDir,
    port: u16,
    /// HTTP/2 without TLS: curl of Debian 12 speaks HTTP/2 with servers alone, and of them asks for `http` in the clear.
    clear: u16,
}

impl Front {
    fn start(proxy: &Proxy) -> Front {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (port, clear) = (ports::next(), ports::next());
        let certificate = certify(&folder);
        let mut text = std::fs::read_to_string(EXAMPLE).expect("the example");
        let mut replace = |from: &str, to: String| {
            assert!(text.contains(from), "the example has no {from:?}");
            text = text.replace(from, &to);
        };
        replace("/etc/haproxy/proxy.pem", certificate.display().to_string());
        replace("bind :3129", format!("{LINE}    bind 127.0.0.1:{clear} proto h2\n    bind 127.0.0.1:{port}"));
        replace("127.0.0.1:3128 check port 8080", format!("{} check port {}", proxy.address(), proxy.web().port()));
        replace("inter 2s", "inter 50ms".to_owned());
        replace("defaults\n", "defaults\n    timeout check 10s\n".to_owned());
        // Each takes two descriptors, of which a machine for tests may have few.
        replace("maxconn 16384", "maxconn 1000".to_owned());
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, text).expect("a configuration file");
        let mut haproxy = command("haproxy");
        haproxy.arg("-db").arg("-f").arg(&file);
        let listens = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let server = Server::start(haproxy, folder.path().join("output"), listens);
        Front { _server: server, folder, port, clear }
    }

    /// curl with this as its proxy, whose certificate it checks.
    fn curl(&self, words: &[&str]) -> Ran {
        let (proxy, trusted) = (format!("https://127.0.0.1:{}", self.port), self.certificate());
        let mut all = vec!["-sS", "-m", "50", "--proxy-cacert", &trusted, "-k", "--proxy", &proxy];
        all.extend(words);
        run("curl", &all)
    }

    fn certificate(&self) -> String {
        self.folder.path().join("certificate").display().to_string()
    }

    /// The lines about requests so far.
    fn seen(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("output")).unwrap_or_default();
        text.lines().filter_map(|line| line.strip_prefix("seen ")).map(str::to_owned).collect()
    }

    fn wait_seen(&self, line: &str) {
        eventually(line, || self.seen().iter().any(|seen| seen == line).then_some(()));
    }
}

/// A certificate of its own with its key, as HAProxy reads both.
fn certify(folder: &tempfile::TempDir) -> PathBuf {
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (key, certificate) = (at("key"), at("certificate"));
    let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 \
                   -addext subjectAltName=IP:127.0.0.1";
    let mut words: Vec<&str> = request.split_whitespace().collect();
    words.extend(["-keyout", &key, "-out", &certificate]);
    run("openssl", &words).content();
    let read = |path: &str| std::fs::read_to_string(path).expect("openssl wrote it");
    let both = folder.path().join("proxy.pem");
    std::fs::write(&both, read(&certificate) + &read(&key)).expect("both in one file");
    both
}

fn proxied() -> Proxy {
    Proxy::start(&[("http.proxied", "true")])
}

#[test]
fn haproxy_is_content_with_the_example_of_tls() {
    if !have(NEEDED) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let certificate = certify(&folder);
    let text = std::fs::read_to_string(EXAMPLE).expect("the example");
    let file = folder.path().join("tls.cfg");
    let text = text.replace("/etc/haproxy/proxy.pem", &certificate.display().to_string());
    std::fs::write(&file, text).expect("a configuration file");
    run("haproxy", &["-c", "-f", &file.display().to_string()]).content();
}

#[test]
fn curl_speaks_tls_with_its_proxy() {
    if !have(NEEDED) {
        return;
    }
    let (proxy, nginx) = (proxied(), Nginx::start());
    let front = Front::start(&proxy);
    let (plain, secret) = (nginx.url("/small"), nginx.tls_url("/small"));
    assert_eq!(front.curl(&[&plain]).content().text(), "a small file\n");
    front.wait_seen(&format!("GET {plain} 1 200"));
    // What goes through the tunnel is between client and server.
    assert_eq!(front.curl(&["--http2", &secret]).content().text(), "a small file\n");
    let big = front.curl(&[&nginx.tls_url("/big")]).content();
    assert!(big.out == nginx.content("big"), "{} bytes, or other ones", big.out.len());
    eventually("both tunnels", || (proxy.counter("tunnels.allowed") == 2).then_some(()));
}

#[test]
fn curl_asks_by_http2() {
    if !have(NEEDED) {
        return;
    }
    let (proxy, site) = (proxied(), Origin::site());
    let front = Front::start(&proxy);
    let authority = format!("Host: {}", site.address());
    let ask = |words: &[&str]| {
        let ours = ["-sS", "-m", "50", "-H", &authority, "-w", "|%{http_version}|%{http_code}"];
        run("curl", &[&ours, words].concat()).content().text()
    };
    let clear = format!("http://127.0.0.1:{}/one", front.clear);
    assert_eq!(ask(&["--http2-prior-knowledge", &clear]), "/one|2|200");
    let content = "x".repeat(100_000);
    let sent = ask(&["--http2-prior-knowledge", "--data", &content, &clear]);
    assert!(sent.ends_with("|2|200"), "{sent}");
    // By TLS curl asks for an https URL, which is what tunnels are for: nothing is asked for in the clear in its place.
    let (trusted, secret) = (front.certificate(), format!("https://127.0.0.1:{}/two", front.port));
    let refused = ask(&["--http2", "--cacert", &trusted, &secret]);
    assert!(refused.contains("use CONNECT for others") && refused.ends_with("|2|501"), "{refused}");
    front.wait_seen(&format!("GET https://{}/two 2 501", site.address()));
    let told = site.head(0).value("X-Forwarded-For");
    assert_eq!(told.as_deref(), Some("127.0.0.1"), "the client's address, by the PROXY header");
}

#[test]
fn chromium_speaks_http2_with_its_proxy() {
    if !have(NEEDED) || !have(&["chromium"]) {
        return;
    }
    let (proxy, nginx) = (proxied(), Nginx::start());
    let front = Front::start(&proxy);
    let mut browser = Browser::behind(&format!("https://127.0.0.1:{}", front.port), 800, 600);
    for url in [nginx.url("/tree/deep/3.html"), nginx.tls_url("/tree/deep/3.html")] {
        browser.open(&url);
        assert_eq!(browser.evaluate("document.body.innerText.slice(0, 6)"), "page 3", "{url}");
    }
    front.wait_seen(&format!("GET {} 2 200", nginx.url("/tree/deep/3.html")));
    drop(browser);
    // The line of a tunnel comes with its end.
    front.wait_seen(&format!("CONNECT 127.0.0.1:{} 2 200", nginx.tls));
}
