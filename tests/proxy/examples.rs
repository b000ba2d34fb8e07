//! The example helpers behind the real binary: a GET and a CONNECT to a plain host, and to one that the helper treats in
//! a way of its own. What each says to the proxy is in `tests/helpers.rs`; here it is what clients and origins see of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::proxy::variable;
use super::support::{ports, show, Origin, Peer, Proxy};

/// Where names lead that a client may ask for; all others lead to [`ELSEWHERE`].
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Where helpers take requests instead.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The names, and where they lead.
const NAMES: &[(Ipv4Addr, &[&str])] = &[
    (HERE, &["plain.example", "plain.net", "www.google.com", "www.bing.com", "www.youtube.com"]),
    (ELSEWHERE, &["filter.example", "forcesafesearch.google.com", "restrict.youtube.com"]),
];

/// Two sites on one port: `here` and `elsewhere` tell in each answer their name and what head came.
struct Sites {
    _here: Origin,
    _elsewhere: Origin,
    port: u16,
    folder: tempfile::TempDir,
}

impl Sites {
    fn start() -> Sites {
        let port = ports::next();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let line = |(address, names): &(Ipv4Addr, &[&str])| format!("{address} {}\n", names.join(" "));
        let hosts: String = NAMES.iter().map(line).collect();
        std::fs::write(folder.path().join("hosts"), hosts).expect("a hosts file");
        let site = |address: Ipv4Addr, name: &'static str| {
            Origin::at(SocketAddr::new(IpAddr::V4(address), port), move |peer| tell(peer, name))
        };
        Sites { _here: site(HERE, "here"), _elsewhere: site(ELSEWHERE, "elsewhere"), port, folder }
    }

    fn proxy(&self, program: &str, options: &[(&str, &str)]) -> Proxy {
        let hosts = self.folder.path().join("hosts");
        let mut all = vec![
            ("redirector.enable", "true"),
            ("redirector.program", program),
            ("redirector.minimum", "1"),
            ("dns.hosts", hosts.to_str().expect("a path of text")),
        ];
        all.extend(options);
        Proxy::start(&all)
    }

    /// Starts the example behind a proxy, and compares what a client gets: the status, and what the answer holds. For a
    /// tunnel that was opened it is the answer to a GET that goes through it.
    fn show(&self, program: &str, options: &[(&str, &str)], cases: &[Case]) {
        let proxy = self.proxy(&program.replace("PORT", &self.port.to_string()), options);
        for Case(request, status, expected) in cases {
            let request = request.replace("PORT", &self.port.to_string());
            let (found, text) = ask(&proxy, &request);
            let expected = expected.replace("PORT", &self.port.to_string());
            assert_eq!(found, *status, "{program}: {request}: {text}");
            assert!(text.contains(&expected), "{program}: {request}: no {expected:?} in {text}");
        }
    }
}

/// A request (`METHOD target`), the status of its answer, and what the answer holds.
struct Case(&'static str, u16, &'static str);

/// Answers each request with the site's name and the head that came.
fn tell(peer: &mut Peer, name: &str) -> std::io::Result<()> {
    while let Some(request) = peer.request()? {
        let body = format!("{name} got {}", request.lines().join("|"));
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))?;
    }
    Ok(())
}

fn ask(proxy: &Proxy, request: &str) -> (u16, String) {
    let (method, target) = request.split_once(' ').expect("a method and a target");
    let authority = target.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let mut client = proxy.client();
    client.send(format!("{method} {target} HTTP/1.1\r\nHost: {authority}\r\nCookie: PREF=f1=5; a=b\r\n\r\n"));
    let mut answer = client.reply_to(method);
    let status = answer.status();
    if method == "CONNECT" && status == 200 {
        client.send("GET /inside HTTP/1.1\r\nHost: inside\r\n\r\n");
        answer = client.reply();
    }
    (status, show(&[answer.head.as_slice(), &answer.body].concat()))
}

fn example(words: &str) -> String {
    format!("{}/helpers/{words}", env!("CARGO_MANIFEST_DIR"))
}

const GET: &str = "GET http://plain.example:PORT/p?q=1";
const CONNECT: &str = "CONNECT plain.example:PORT";
const GET_GOOGLE: &str = "GET http://www.google.com:PORT/search?q=a+b";
const CONNECT_GOOGLE: &str = "CONNECT www.google.com:PORT";

/// What says that the request came through to the site as it was.
const PASSED: [Case; 2] = [Case(GET, 200, "here got GET /p?q=1 HTTP/1.1"), Case(CONNECT, 200, "here got GET /inside")];

/// The title of deny.html, and that of success.html.
const DENIED: &str = "<title>This site is blocked</title>";
const SERVED: &str = "<title>This page comes from the proxy</title>";

#[test]
fn those_of_the_url_dialect_that_treat_all_alike() {
    let sites = Sites::start();
    let cases: [(&str, [Case; 2]); 4] = [
        ("url-allow", PASSED),
        ("url-parrot", PASSED),
        ("url-deny", [Case(GET, 200, DENIED), Case(CONNECT, 403, DENIED)]),
        ("url-serve-file", [Case(GET, 200, SERVED), Case(CONNECT, 403, SERVED)]),
    ];
    for (words, cases) in cases {
        sites.show(&example(words), &[], &cases);
    }
}

#[test]
fn those_of_the_url_dialect_that_choose() {
    let sites = Sites::start();
    sites.show(
        &example("url-allow-net"),
        &[],
        &[
            Case("GET http://plain.net:PORT/p", 200, "here got GET /p"),
            Case("CONNECT plain.net:PORT", 200, "here got GET /inside"),
            Case(GET, 302, "Location: http://www.example.net/"),
            Case(CONNECT, 403, DENIED),
        ],
    );
    sites.show(&example("url-google-no-ssl filter.example:PORT"), &[], &PASSED);
    sites.show(
        &example("url-google-no-ssl filter.example"),
        &[],
        &[Case(GET_GOOGLE, 200, "here got GET /search"), Case(CONNECT_GOOGLE, 200, "elsewhere got GET /inside")],
    );
    sites.show(&example("url-google-to-others"), &[], &PASSED);
    sites.show(
        &example("url-google-to-others"),
        &[],
        &[
            Case(GET_GOOGLE, 302, "Location: https://duckduckgo.com/?q=a+b"),
            Case(CONNECT_GOOGLE, 302, "Location: https://duckduckgo.com/"),
        ],
    );
    sites.show(&example("url-safe-search"), &[], &PASSED);
    sites.show(&example("url-safe-search"), &[], &[Case(CONNECT_GOOGLE, 200, "elsewhere got GET /inside")]);
    sites.show(&example("url-clients 127.0.0.0/8"), &[], &PASSED);
    sites.show(&example("url-clients 10.0.0.0/8"), &[], &[Case(GET, 200, DENIED), Case(CONNECT, 403, DENIED)]);
}

#[test]
fn those_of_the_icap_dialect_that_treat_all_alike() {
    let sites = Sites::start();
    let icap = [("redirector.protocol", "icap://filter/check")];
    let (explained, made) = ("Denied by the proxy", "127.0.0.1 asked for /p?q=1 on plain.example.");
    let cases: [(&str, [Case; 2]); 6] = [
        ("icap-allow-204", PASSED),
        ("icap-allow-304", PASSED),
        ("icap-deny", [Case(GET, 200, DENIED), Case(CONNECT, 403, DENIED)]),
        ("icap-serve-file", [Case(GET, 200, SERVED), Case(CONNECT, 403, SERVED)]),
        ("icap-serve", [Case(GET, 200, made), Case(CONNECT, 403, "127.0.0.1 asked for / on plain.example.")]),
        ("icap-deny-proxy-explanation", [Case(GET, 403, explained), Case(CONNECT, 403, explained)]),
    ];
    for (words, cases) in cases {
        sites.show(&example(words), &icap, &cases);
    }
}

#[test]
fn those_of_the_icap_dialect_that_choose() {
    let sites = Sites::start();
    let icap = [("redirector.protocol", "icap://filter/check")];
    let cases = [
        (
            "icap-google-no-ssl filter.example:PORT",
            [Case(GET_GOOGLE, 200, "here got GET /search"), Case(CONNECT_GOOGLE, 200, "elsewhere got GET /inside")],
        ),
        (
            "icap-google-to-others filter.example:PORT filter.example:PORT",
            [
                Case(GET_GOOGLE, 200, "elsewhere got GET /search?q=a+b HTTP/1.1|Host: www.google.com:PORT|"),
                Case(CONNECT_GOOGLE, 200, "elsewhere got GET /inside"),
            ],
        ),
        (
            "icap-safe-youtube",
            [
                Case("GET http://www.youtube.com:PORT/watch", 200, "|Cookie: a=b; PREF=f2=8000000"),
                Case(
                    "GET http://www.youtube.com:PORT/watch",
                    200,
                    "here got GET /watch HTTP/1.1|Host: www.youtube.com",
                ),
            ],
        ),
    ];
    for (words, cases) in cases {
        sites.show(&example(words), &icap, &PASSED);
        sites.show(&example(words), &icap, &cases);
    }
}

#[test]
fn those_that_ask_a_list_or_a_service() {
    let sites = Sites::start();
    let list = sites.folder.path().join("list");
    std::fs::write(&list, "google.com\n").expect("a list");
    let denied = [Case(GET_GOOGLE, 200, DENIED), Case(CONNECT_GOOGLE, 403, DENIED)];
    let program = example(&format!("url-blocklist {}", list.display()));
    sites.show(&program, &[], &PASSED);
    sites.show(&program, &[], &denied);

    let service = Origin::start(|peer| {
        while let Some(request) = peer.request()? {
            let status = if request.start().contains("google") { "403 No" } else { "200 Yes" };
            peer.send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"))?;
        }
        Ok(())
    });
    for (words, options) in [
        (format!("url-ask-service {}", service.url("/may")), [].as_slice()),
        (format!("url-concurrent {} 8", service.url("/may")), [("redirector.concurrency", "8")].as_slice()),
    ] {
        sites.show(&example(&words), options, &PASSED);
        sites.show(&example(&words), options, &denied);
    }
}

#[test]
fn the_one_that_is_compiled() {
    let sites = Sites::start();
    let program = sites.folder.path().join("url-clean");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = Command::new(compiler).arg("-o").arg(&program).arg(example("url-clean.rs")).status();
    assert!(built.expect("the compiler that built this test").success());
    let marked = Case("GET http://plain.example:PORT/p?utm_source=x&q=1", 200, "here got GET /p?q=1 HTTP/1.1");
    let program = program.to_str().expect("a path of text");
    sites.show(program, &[("redirector.line", "squid")], &PASSED);
    sites.show(program, &[("redirector.line", "squid")], &[marked]);
}

/// Copies the binary and one example to where `make install` puts them.
fn installed(tree: &Path) -> PathBuf {
    let helper = tree.join("etc/exaproxy/redirector/url-allow");
    let program = tree.join("sbin/exaproxy");
    for (from, to) in [(env!("CARGO_BIN_EXE_exaproxy"), &program), (&example("url-allow"), &helper)] {
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("folders");
        std::fs::copy(from, to).expect("a copy");
        std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    }
    program
}

#[test]
fn the_default_program_is_there() {
    let sites = Sites::start();
    let hosts = sites.folder.path().join("hosts");
    let names = ("dns.hosts", hosts.to_str().expect("a path of text"));
    // Tests run in the root of the repository, where a new user tries the examples too.
    let proxy = Proxy::start(&[("redirector.enable", "true"), ("redirector.minimum", "1"), names]);
    assert_eq!(ask(&proxy, &GET.replace("PORT", &sites.port.to_string())).0, 200);

    let tree = tempfile::tempdir().expect("a temporary folder");
    let program = installed(tree.path());
    let check = |program: &Path| {
        let mut command = Command::new(program);
        command.arg("--check").current_dir("/").env(variable("redirector.enable"), "true");
        command.output().expect("the binary runs").status.code()
    };
    assert_eq!(check(&program), Some(0), "installed");
    std::fs::remove_dir_all(tree.path().join("etc")).expect("a folder to remove");
    assert_ne!(check(&program), Some(0), "without the helper");
}
