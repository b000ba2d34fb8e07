//! Real clients of ICAP: c-icap's, and Squid, which asks about every request of its own clients.

use crate::programs::{command, have, run, Ran};
use crate::servers::Server;
use crate::support::{client, ports, Helpers, Message, Origin, Proxy, Wire, PATIENCE};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Requests of the long run, and clients of Squid that send them.
const REQUESTS: usize = 10_000;
const CLIENTS: usize = 8;

/// Failures in a row after which Squid leaves a service alone.
const SUSPENDING: usize = 10;

struct Service {
    proxy: Proxy,
    port: u16,
    folder: tempfile::TempDir,
}

impl Service {
    fn new(options: &[(&str, &str)]) -> Service {
        Service::with(options, Proxy::start)
    }

    fn with(options: &[(&str, &str)], start: impl Fn(&[(&str, &str)]) -> Proxy) -> Service {
        let (folder, port) = (tempfile::tempdir().expect("a folder"), ports::next());
        // Squid gives up the superuser's rights and writes there.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).expect("it is ours");
        let block = folder.path().join("block");
        std::fs::write(&block, "blocked.test\n").expect("a file");
        let (block, number) = (block.display().to_string(), port.to_string());
        let mut all = vec![("icap.enable", "true"), ("icap.port", &number[..]), ("acl.blocklist", &block)];
        all.extend_from_slice(options);
        Service { proxy: start(&all), port, folder }
    }

    /// Runs c-icap's client for a request of this address.
    fn ask(&self, url: &str, arguments: &[&str]) -> Ran {
        let port = self.port.to_string();
        let base = ["-i", "127.0.0.1", "-p", &port, "-s", "reqmod", "-v", "-req", url];
        run("c-icap-client", &[&base[..], arguments].concat())
    }
}

#[test]
fn the_client_of_c_icap_is_told_of_every_verdict() {
    if !have(&["c-icap-client", "timeout"]) {
        return;
    }
    let service = Service::new(&[("icap.respmod", "allow")]);
    let options = run("c-icap-client", &["-i", "127.0.0.1", "-p", &service.port.to_string(), "-s", "reqmod"]).content();
    let said = options.text() + &options.err;
    assert!(said.contains("Preview:") && said.contains("Allow 204: Yes"), "{said}");
    let file = service.folder.path().join("content");
    std::fs::write(&file, "content ".repeat(20_000)).expect("a file");
    let file = file.to_str().expect("a path of text");
    let out = service.folder.path().join("out");
    let out_text = out.to_str().expect("a path of text");
    for (more, status) in [
        (&[][..], "204 No Content"),
        (&["-no204"], "204 No Content"),
        (&["-nopreview"], "204 No Content"),
        (&["-nopreview", "-no204"], "200 OK"),
    ] {
        let ask = |url: &str| {
            let _ = std::fs::remove_file(&out);
            let ran = service.ask(url, &[more, &["-f", file, "-o", out_text, "-method", "POST"]].concat()).content();
            ran.text() + &ran.err
        };
        let said = ask("http://a.test/");
        assert!(said.contains(&format!("ICAP/1.0 {status}")), "{more:?} {said}");
        if status == "200 OK" {
            assert_eq!(std::fs::read(&out).expect("it has come"), std::fs::read(file).expect("it was sent"));
        }
        // It shows nothing of a response that comes in place of its request.
        let said = ask("http://blocked.test/");
        assert!(!said.contains("ICAP/1.0 204") && !said.contains("req-hdr"), "{more:?} {said}");
    }
    assert_eq!((service.proxy.counter("lists.blocked"), service.proxy.counter("ended.request-fault")), (4, 0));
}

/// Squid with this service in front of its requests.
struct Squid {
    _server: Server,
    port: u16,
    log: std::path::PathBuf,
}

impl Squid {
    fn start(service: &Service, more: &str) -> Squid {
        let port = ports::next();
        let at = |name: &str| service.folder.path().join(name).display().to_string();
        let (file, log) = (at("squid.conf"), at("cache.log"));
        let icap = format!("icap://127.0.0.1:{}/reqmod", service.port);
        let text = format!(
            "http_port 127.0.0.1:{port}\npid_filename none\ncache_log {log}\naccess_log none\ncache deny all\n\
             coredump_dir {}\nnetdb_filename none\npinger_enable off\nvisible_hostname squid.test\n\
             shutdown_lifetime 0 seconds\nhttp_access allow all\nhosts_file {}\nicap_enable on\n\
             icap_service exa reqmod_precache {icap} bypass=off\nadaptation_access exa allow all\n\
             adaptation_send_client_ip on\nmax_filedescriptors 1024\n{more}\n",
            service.folder.path().display(),
            at("hosts"),
        );
        std::fs::write(at("hosts"), "127.0.0.1 a.test blocked.test\n").expect("a file");
        std::fs::write(&file, text).expect("a configuration file");
        let mut squid = command("squid");
        squid.args(["-N", "-f", &file]);
        let listens = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let output = service.folder.path().join("output");
        Squid { _server: Server::start(squid, output, listens), port, log: log.into() }
    }

    fn connect(&self) -> Wire {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        Wire::new(TcpStream::connect_timeout(&to, PATIENCE).expect("Squid listens")).expect("socket options")
    }

    fn get(&self, url: &str) -> Message {
        let mut wire = self.connect();
        wire.send(client::get(url)).expect("it is taken");
        wire.response("GET").unwrap_or_else(|error| panic!("{url}: {error}\n{}", self.said()))
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Squid is content with the service.
    fn assert_content(&self) {
        let said = self.said();
        for word in ["suspend", "essential ICAP service is down", "ICAP_FAILURE", "exception"] {
            assert!(!said.contains(word), "{word}: {said}");
        }
    }
}

fn possible() -> bool {
    have(&["squid", "timeout"])
}

fn post(url: &str, content: &str) -> String {
    let length = content.len();
    format!("POST {url} HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n{content}")
}

#[test]
fn squid_asks_with_and_without_a_preview() {
    if !possible() {
        return;
    }
    let origin = Origin::site();
    for more in ["", "icap_preview_enable off"] {
        let service = Service::new(&[]);
        let squid = Squid::start(&service, more);
        let url = |host: &str| format!("http://{host}:{}/x", origin.port());
        assert_eq!(squid.get(&url("a.test")).status(), 200);
        let refused = squid.get(&url("blocked.test"));
        assert_eq!((refused.status(), refused.value("Proxy-Status").is_some()), (403, true), "{refused:?}");
        assert!(refused.text().contains("blocked.test"), "{refused:?}");
        // Content of many lengths, on one connection.
        let mut wire = squid.connect();
        for length in [1, 100, 4096, 70_000, 300_000] {
            let content = "x".repeat(length);
            wire.send(post(&url("a.test"), &content)).expect("it is taken");
            let reply = wire.response("POST").unwrap_or_else(|error| panic!("{length}: {error}\n{}", squid.said()));
            assert_eq!((reply.status(), reply.text().len()), (200, length), "{more} {length}");
        }
        wire.send(post(&url("blocked.test"), &"x".repeat(5000))).expect("it is taken");
        assert_eq!(wire.response("POST").expect("a page").status(), 403);
        // A tunnel that is refused is refused in HTTP.
        let mut wire = squid.connect();
        wire.send("CONNECT blocked.test:443 HTTP/1.1\r\nHost: blocked.test:443\r\n\r\n").expect("it is taken");
        assert_eq!(wire.response("CONNECT").expect("a page").status(), 403);
        squid.assert_content();
    }
}

#[test]
fn squid_sends_on_what_a_helper_has_put_in_place() {
    if !possible() {
        return;
    }
    let origin = Origin::site();
    let elsewhere = origin.address().to_string();
    let helpers = Helpers::answering(move |line| match line.split(' ').next() {
        Some("a.test/old") => format!("http://a.test:{}/new", elsewhere.rsplit(':').next().unwrap_or_default()),
        Some("a.test/page") => "file://deny.html".to_owned(),
        Some("a.test/moved") => "redirect://http://other.test/".to_owned(),
        Some("b.test/x") => format!("intercept://{elsewhere}"),
        _ => String::new(),
    });
    let service = Service::with(&[], |all| helpers.proxy(all));
    let squid = Squid::start(&service, "");
    let url = |path: &str| format!("http://a.test:{}{path}", origin.port());
    assert_eq!(squid.get(&url("/old")).text(), "/new");
    assert_eq!(squid.get(&url("/moved")).status(), 302);
    assert!(squid.get(&url("/page")).text().contains("a.test"));
    // Squid has to be told where a name is that does not exist.
    assert_eq!(squid.get("http://b.test/x").status(), 200);
    let mut wire = squid.connect();
    let content = "y".repeat(50_000);
    wire.send(post(&url("/old"), &content)).expect("it is taken");
    assert_eq!(wire.response("POST").expect("a response").text(), content);
    squid.assert_content();
}

#[test]
fn squid_keeps_a_service_whose_helpers_are_down() {
    if !possible() {
        return;
    }
    let origin = Origin::site();
    let down = Helpers::start(|desk| desk.exit(1));
    for (protocol, failing, status) in
        [("url", "error", 503), ("icap://srv/x", "error", 503), ("icap://srv/x", "permit", 200)]
    {
        let options =
            [("redirector.protocol", protocol), ("redirector.on-failure", failing), ("http.decision-timeout", "2")];
        let service = Service::with(&options, |all| down.proxy(all));
        let squid = Squid::start(&service, "");
        for _ in 0..2 * SUSPENDING {
            let reply = squid.get(&format!("http://a.test:{}/x", origin.port()));
            assert_eq!(reply.status(), status, "{protocol} {reply:?}");
            // Ours, and not that of a Squid without its service.
            assert_eq!(reply.value("Proxy-Status").is_some(), status == 503, "{reply:?}");
        }
        squid.assert_content();
    }
}

#[test]
fn ten_thousand_transactions_suspend_no_service() {
    if !possible() {
        return;
    }
    let origin = Origin::site();
    let service = Service::new(&[]);
    let squid = Squid::start(&service, "");
    let (allowed, refused) = (format!("http://a.test:{}/x", origin.port()), "http://blocked.test/x".to_owned());
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut wire = squid.connect();
                // It ends connections behind a response that came by ICAP.
                for request in 0..REQUESTS / CLIENTS {
                    let (bytes, status) = match request % 10 {
                        0 => (client::get(&refused), 403),
                        1 => (post(&allowed, "some content"), 200),
                        _ => (client::get(&allowed), 200),
                    };
                    wire.send(bytes).expect("it is taken");
                    let reply =
                        wire.response("GET").unwrap_or_else(|error| panic!("{request}: {error}\n{}", squid.said()));
                    assert_eq!(reply.status(), status, "{reply:?}");
                    if status == 403 {
                        wire = squid.connect();
                    }
                }
            });
        }
    });
    let asked = service.proxy.counter("clients.requests");
    assert!(asked >= REQUESTS as i64, "{asked}");
    squid.assert_content();
    // It has kept its connections.
    assert!(service.proxy.counter("clients.accepted") < 1000, "{}", service.proxy.counter("clients.accepted"));
}

/// The example in the documents is one that Squid takes.
#[test]
fn squid_takes_the_lines_of_the_documents() {
    if !possible() {
        return;
    }
    let text = include_str!("../../docs/network.md");
    let lines = text.split("# squid.conf\n").nth(1).expect("an example").split("```").next().expect("its end");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).expect("it is ours");
    let file = folder.path().join("squid.conf");
    std::fs::write(&file, format!("http_port 127.0.0.1:3128\nicap_enable on\n{lines}")).expect("a file");
    assert_parses(&file);
}

fn assert_parses(file: &Path) {
    let ran = run("squid", &["-k", "parse", "-f", file.to_str().expect("a path of text")]);
    assert!(ran.code == Some(0) && !ran.err.contains("ERROR") && !ran.err.contains("FATAL"), "{}", ran.err);
}
