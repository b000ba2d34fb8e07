//! Connections that the kernel diverts with the rules of `conf/nftables` as they stand: REDIRECT and TPROXY, both families, with
//! nft and with iptables, between machines with networks of their own.

use crate::space::{between, program, sh, Lan, Space, CLIENT, INNER, OUTER, SERVER};
use crate::support::{eventually, Client, Message, Origin, Proxy};
use nix::sys::signal::Signal;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

/// Where connections end that clients open to the server.
const PORT: u16 = 80;

/// A server that remembers who connects to it.
struct Far {
    _origins: Vec<Origin>,
    peers: Arc<Mutex<Vec<IpAddr>>>,
    heads: Arc<Mutex<Vec<Message>>>,
}

impl Far {
    /// Answers each request with its path, on both families.
    fn start(server: &Space) -> Far {
        let (peers, heads) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::<Message>::new())));
        let origins = SERVER.map(|address| {
            let at = SocketAddr::new(address.parse().expect("an address"), PORT);
            let listener = server.run(move || TcpListener::bind(at).expect("port 80 of a network of its own"));
            let (peers, heads) = (Arc::clone(&peers), Arc::clone(&heads));
            Origin::over(listener, move |peer| {
                peers.lock().expect("no holder panics").push(peer.peer()?.ip().to_canonical());
                while let Some(request) = peer.request()? {
                    let path = request.start().split(' ').nth(1).unwrap_or_default().to_owned();
                    heads.lock().expect("no holder panics").push(request);
                    peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()))?;
                }
                Ok(())
            })
        });
        Far { _origins: origins.into(), peers, heads }
    }

    fn connections(&self) -> usize {
        self.peers.lock().expect("no holder panics").len()
    }

    fn last_peer(&self) -> IpAddr {
        *self.peers.lock().expect("no holder panics").last().expect("somebody has connected")
    }

    fn last_head(&self) -> Message {
        self.heads.lock().expect("no holder panics").last().expect("somebody has asked").clone()
    }
}

/// A connection of the client's machine.
pub(crate) fn connect(lan: &Lan, to: &str, port: u16) -> Client {
    let to = SocketAddr::new(to.parse().expect("an address"), port);
    lan.client.run(move || Client::connect(to))
}

fn ask(client: &mut Client, path: &str, host: &str) -> Message {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    client.reply()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A proxy for diverted connections, which becomes an account without rights so that it has nothing but what it keeps.
fn intercepting(options: &[(&str, &str)]) -> Proxy {
    let own = [
        ("intercept.enable", "true"),
        ("tcp6.listen", "true"),
        ("daemon.user", "nobody"),
        ("acl.clients", ""),
        ("log.level", "INFO"),
    ];
    let all: Vec<_> = own.iter().chain(options).copied().collect();
    Proxy::start(&all)
}

/// What holds of every way to divert connections.
fn every_way_of_asking(lan: &Lan, proxy: &Proxy, far: &Far, from: [&str; 2], hidden: bool) {
    for family in 0..2 {
        let server = SERVER[family];
        let bracketed = if server.contains(':') { format!("[{server}]") } else { server.to_owned() };
        let mut client = connect(lan, server, PORT);
        for path in ["/origin", "/form", "/again"] {
            assert_eq!(ask(&mut client, path, "www.example").text(), path, "{server}");
        }
        let head = far.last_head();
        assert_eq!(head.value("Host").as_deref(), Some("www.example"));
        assert_eq!(head.value("X-Forwarded-For").as_deref(), Some(CLIENT[family]), "{server}");
        assert!(head.value("Via").is_some());
        assert_eq!(far.last_peer(), ip(from[family]), "{server}");
        // Absolute form, and a client of HTTP/1.0 that names no host at all.
        assert_eq!(ask(&mut client, "http://www.example/absolute?x", "other.example").text(), "/absolute?x");
        let mut old = connect(lan, server, PORT);
        old.send("GET /old HTTP/1.0\r\n\r\n");
        assert_eq!(old.reply().text(), "/old");
        assert_eq!(far.last_head().value("Host"), Some(bracketed), "it says where it was going");
        // Who knows of no proxy asks for no tunnel.
        let mut tunnel = connect(lan, server, PORT);
        tunnel.send("CONNECT www.example:443 HTTP/1.1\r\nHost: www.example:443\r\n\r\n");
        let refused = tunnel.reply_to("CONNECT");
        assert_eq!((refused.status(), refused.value("Allow").is_some()), (405, true), "{refused:?}");
        // To the listener itself nothing was diverted, and it is no way to the monitor either.
        for host in ["www.example", &format!("127.0.0.1:{}", proxy.web().port())] {
            if hidden && family == 0 {
                break; // On 127.0.0.1 no client reaches it at all.
            }
            let mut direct = connect(lan, INNER[family], 3129);
            let refused = ask(&mut direct, "/direct", host);
            assert_eq!(refused.status(), 403, "{refused:?}");
        }
        // What is not HTTP is told so at once.
        let mut other = connect(lan, server, PORT);
        other.send(b"\x16\x03\x01\x00\x05hello");
        assert_eq!(other.reply().status(), 400);
    }
}

#[test]
fn redirect_with_nft() {
    between(&["nft"], |lan| redirect(&lan, "redirect.nft"));
}

#[test]
fn redirect_with_iptables() {
    between(&["iptables", "ip6tables"], |lan| redirect(&lan, "redirect-iptables.sh"));
}

fn redirect(lan: &Lan, rules: &str) {
    lan.load(rules);
    let far = Far::start(&lan.server);
    let proxy = intercepting(&[("intercept.host", "0.0.0.0")]);
    every_way_of_asking(lan, &proxy, &far, OUTER, false);
    // A request to the proxy's own port 80 is not diverted, and no server is there.
    let nobody = SocketAddr::new(ip(INNER[0]), PORT);
    assert!(lan.client.run(move || std::net::TcpStream::connect(nobody).is_err()));
    proxy.wait_line("http interception listening on 0.0.0.0:3129 redirect, for ");
}

#[test]
fn tproxy_with_nft() {
    between(&["nft"], |lan| tproxy(&lan, "tproxy.nft", false));
}

#[test]
fn tproxy_with_nft_and_addresses_of_clients() {
    between(&["nft"], |lan| tproxy(&lan, "tproxy.nft", true));
}

#[test]
fn tproxy_with_iptables() {
    between(&["iptables", "ip6tables"], |lan| tproxy(&lan, "tproxy-iptables.sh", false));
}

#[test]
fn tproxy_with_iptables_and_addresses_of_clients() {
    between(&["iptables", "ip6tables"], |lan| tproxy(&lan, "tproxy-iptables.sh", true));
}

fn tproxy(lan: &Lan, rules: &str, spoof: bool) {
    lan.load("tproxy-routes.sh");
    lan.load(rules);
    let far = Far::start(&lan.server);
    let spoofs = if spoof { "true" } else { "false" };
    let proxy = intercepting(&[("intercept.mode", "tproxy"), ("intercept.spoof", spoofs)]);
    every_way_of_asking(lan, &proxy, &far, if spoof { CLIENT } else { OUTER }, true);
    if spoof {
        never_shared(lan, &far);
    }
    keeps_its_capability(lan, &proxy, &far);
}

/// Has the proxy, whose account reads what all may read, take another configuration over.
fn reload_with(proxy: &Proxy, text: &str) {
    std::fs::write(proxy.file(), text).expect("an ini file in the temporary folder");
    sh(&format!("chmod 755 {} && chmod 644 {}", proxy.folder().display(), proxy.file().display()));
    proxy.signal(Signal::SIGHUP);
}

/// A connection that bears a client's address stays with the client's own.
fn never_shared(lan: &Lan, far: &Far) {
    let before = far.connections();
    for number in 0..3 {
        let mut client = connect(lan, SERVER[0], PORT);
        for path in ["/a", "/b"] {
            assert_eq!(ask(&mut client, path, "shared.example").text(), path);
        }
        assert_eq!(far.connections(), before + number + 1, "one for each client, for both of its requests");
    }
}

/// A process without rights opens a further transparent listener at a reload, and its programs could not.
fn keeps_its_capability(lan: &Lan, proxy: &Proxy, far: &Far) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).expect("a living process");
    for line in [
        "CapEff:\t0000000000002000",
        "CapPrm:\t0000000000002000",
        "CapInh:\t0000000000000000",
        "CapAmb:\t0000000000000000",
    ] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let reload = "[intercept]\nhost = 127.0.0.1 127.0.0.1:3130\n";
    reload_with(proxy, reload);
    proxy.wait_log("http interception listening on 127.0.0.1:3130 tproxy");
    let mut client = connect(lan, SERVER[0], PORT);
    assert_eq!(ask(&mut client, "/after", "www.example").text(), "/after");
    assert!(far.connections() > 0);
}

#[test]
fn without_the_capability_the_start_says_what_is_missing() {
    between(&["setpriv"], |_| {
        let mut bare =
            program("setpriv", &["--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set", "-all"]);
        bare.args(["--inh-caps", "-all", env!("CARGO_BIN_EXE_exaproxy")]);
        bare.envs([("exaproxy_intercept_enable", "true"), ("exaproxy_intercept_mode", "tproxy")]);
        bare.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let run = Proxy::finish(bare);
        let line = run.stderr.lines().last().unwrap_or_default();
        assert!(
            run.code == Some(1) && line.contains("CAP_NET_RAW") && line.contains("intercept.mode"),
            "{}",
            run.stderr
        );
    });
}

/// What a name server of the proxy's machine says.
fn names() -> String {
    format!("{} right.example\n{} wrong.example\n{} right6.example\n", SERVER[0], OUTER[0], SERVER[1])
}

#[test]
fn hosts_that_are_not_where_a_connection_was_going_are_told_or_refused() {
    between(&["nft"], |lan| {
        lan.load("redirect.nft");
        let far = Far::start(&lan.server);
        let hosts = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(hosts.path(), names()).expect("a hosts file");
        sh(&format!("chmod 644 {}", hosts.path().display()));
        let hosts = hosts.path().to_str().expect("a path");
        let wanted = |check: &str, destination: &str, host: &str| -> u16 {
            match (check, host) {
                (_, "right.example" | "10.77.2.2") => 200,
                ("refuse", _) => 403,
                // Sent to its own name, a host gets what is there.
                (_, "nowhere.invalid") if destination == "name" => 502,
                (_, "wrong.example") if destination == "name" => 403,
                _ => 200,
            }
        };
        for check in ["log", "refuse", "ignore"] {
            for destination in ["original", "name"] {
                let proxy = intercepting(&[
                    ("intercept.host", "0.0.0.0"),
                    ("intercept.host-check", check),
                    ("intercept.destination", destination),
                    ("dns.hosts", hosts),
                    ("security.local", ""),
                ]);
                let mut mismatches = 0;
                for host in
                    ["right.example", "10.77.2.2", "wrong.example", "nowhere.invalid", "10.77.2.9", "right.example:81"]
                {
                    if destination == "name" && matches!(host, "10.77.2.9" | "right.example:81") {
                        continue;
                    }
                    let mut client = connect(&lan, SERVER[0], PORT);
                    let reply = ask(&mut client, "/x", host);
                    assert_eq!(
                        reply.status(),
                        wanted(check, destination, host),
                        "{check} {destination} {host}: {reply:?}"
                    );
                    // A name that has no address is not known to differ, and is asked for by a check that refuses alone.
                    let known = host != "nowhere.invalid" || check == "refuse";
                    let differs = !matches!(host, "right.example" | "10.77.2.2");
                    mismatches += i64::from(differs && known && check != "ignore");
                }
                proxy.wait_counter("host_mismatch", mismatches);
                let told = "which is no address of it";
                match check {
                    "ignore" => assert!(!proxy.log().contains(told), "{destination}: {}", proxy.log()),
                    _ => proxy.wait_log(told),
                }
            }
        }
        assert!(far.connections() > 0);
    });
}

#[test]
fn lists_hold_for_the_name_that_is_said_and_allow_only_what_is_there() {
    between(&["nft"], |lan| {
        lan.load("redirect.nft");
        let _far = Far::start(&lan.server);
        let folder = tempfile::tempdir().expect("a temporary folder");
        sh(&format!("chmod 755 {}", folder.path().display()));
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path.to_str().expect("a path").to_owned()
        };
        let hosts = file("hosts", &format!("{}{} blocked.example\n", names(), SERVER[0]));
        let block = file("block", "blocked.example\n");
        let allow = file("allow", "right.example\nwrong.example\nnowhere.invalid\n");
        let start = |default: &str, check: &str| {
            intercepting(&[
                ("intercept.host", "0.0.0.0"),
                ("intercept.host-check", check),
                ("dns.hosts", &hosts),
                ("acl.blocklist", &block),
                ("acl.allowlist", &allow),
                ("acl.default", default),
            ])
        };
        for (default, check, host, status) in [
            ("allow", "log", "blocked.example", 403),
            ("allow", "ignore", "blocked.example", 403),
            ("allow", "log", "other.example", 200),
            ("allow", "log", "right.example", 200),
            ("allow", "log", "wrong.example", 200),
            ("deny", "log", "other.example", 403),
            ("deny", "log", "right.example", 200),
            // Allowed are its own addresses, and the connection goes elsewhere.
            ("deny", "log", "wrong.example", 403),
            ("deny", "log", "nowhere.invalid", 403),
            ("deny", "refuse", "wrong.example", 403),
            ("deny", "refuse", "right.example", 200),
        ] {
            let proxy = start(default, check);
            let mut client = connect(&lan, SERVER[0], PORT);
            let reply = ask(&mut client, "/x", host);
            assert_eq!(reply.status(), status, "{default} {check} {host}: {reply:?}");
            drop(proxy);
        }
    });
}

#[test]
fn row_60_a_loop_ends_at_the_first_turn() {
    between(&["nft"], |lan| {
        lan.load("redirect.nft");
        // What the proxy itself sends is diverted too, as by a rule without an exception for its user.
        sh("nft add chain inet exaproxy_redirect output '{ type nat hook output priority -100; }' && \
            nft add rule inet exaproxy_redirect output tcp dport 80 redirect to :3129");
        let proxy = intercepting(&[("intercept.host", "0.0.0.0")]);
        let mut client = connect(&lan, SERVER[0], PORT);
        let reply = ask(&mut client, "/x", "www.example");
        assert!(matches!(reply.status(), 502 | 403), "{reply:?}");
        assert!(proxy.counter("clients.accepted") < 100, "{}", proxy.log());
    });
}

/// A web server for programs, in this folder, on port 80 of the server's machine.
fn files(lan: &Lan, folder: &std::path::Path) -> Background {
    let (folder, at) = (folder.to_owned(), SERVER[0]);
    let child = lan.server.run(move || {
        let mut server = program("python3", &["-m", "http.server", "80", "--bind", at]);
        server.current_dir(folder).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        server.spawn().expect("a web server")
    });
    let at = SocketAddr::new(ip(SERVER[0]), PORT);
    eventually("the web server", || std::net::TcpStream::connect(at).ok());
    Background(child)
}

/// A program that ends with the test.
struct Background(std::process::Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a line of sh on the client's machine to its end.
fn on_client(lan: &Lan, line: String) -> String {
    let (ok, text) = lan.client.run(move || crate::space::try_sh(&format!("timeout 60 sh -c '{line}'")));
    assert!(ok, "{text}");
    text
}

#[test]
fn curl_git_and_apt_need_no_configuration() {
    between(&["nft", "curl", "git", "python3", "apt-get"], |lan| {
        lan.load("redirect.nft");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = folder.path().display();
        sh(&format!(
            "set -e; umask 022; cd {at}; mkdir site; echo hello > site/page.txt; \
             git init -q work; cd work; git -c user.name=a -c user.email=a@b.example commit -q --allow-empty -m first; cd ..; \
             git clone -q --bare work site/work.git; git -C site/work.git update-server-info; \
             mkdir site/apt; printf 'Package: nothing\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@b.example>\\nFilename: ./n.deb\\nSize: 1\\nDescription: x\\n' > site/apt/Packages"
        ));
        let _files = files(&lan, &folder.path().join("site"));
        let proxy =
            intercepting(&[("intercept.host", "0.0.0.0"), ("access.enable", "true"), ("access.format", "json")]);
        let server = SERVER[0];
        assert_eq!(on_client(&lan, format!("curl -sS http://{server}/page.txt")), "hello\n");
        let resolved = format!("curl -sS --resolve www.example:80:{server} http://www.example/page.txt");
        assert_eq!(on_client(&lan, resolved), "hello\n");
        on_client(
            &lan,
            format!("git clone -q http://{server}/work.git {at}/cloned && git -C {at}/cloned log -1 --format=%s"),
        );
        let apt = format!(
            "mkdir -p {at}/apt/lists/partial {at}/apt/cache/archives/partial; \
             echo \"deb [trusted=yes] http://{server}/apt ./\" > {at}/apt/sources; \
             apt-get update -q -o Dir::Etc::SourceList={at}/apt/sources -o Dir::Etc::SourceParts=/none -o Dir::State::Lists={at}/apt/lists \
             -o Dir::Cache={at}/apt/cache -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::GzipIndexes=false || exit 1; \
             grep -h Package: {at}/apt/lists/*Packages"
        );
        let listed = on_client(&lan, apt);
        assert!(listed.contains("Package: nothing"), "{listed}");
        for path in ["/page.txt", "http://www.example/page.txt", "/work.git/info/refs", "/apt/./Packages"] {
            proxy.wait_line(path);
        }
    });
}

/// A balancer on the proxy's machine gets the diverted connections, and tells where they were going.
#[test]
fn row_66_haproxy_hands_diverted_connections_over_with_both_versions() {
    between(&["nft", "haproxy"], |lan| {
        lan.load("tproxy-routes.sh");
        lan.load("tproxy.nft");
        let far = Far::start(&lan.server);
        for (version, own) in [("send-proxy", 3131), ("send-proxy-v2 proxy-v2-options unique-id", 3132)] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let file = folder.path().join("haproxy.cfg");
            let id = if version.contains("v2") { "    unique-id-format conn-%ci-%cp\n" } else { "" };
            let text = format!(
                "defaults\n    mode tcp\n    timeout connect 10s\n    timeout client 60s\n    timeout server 60s\n\
                 frontend in\n    bind 127.0.0.1:3129 transparent\n    bind [::]:3129 transparent v6only\n{id}    default_backend out\n\
                 backend out\n    server exaproxy 127.0.0.1:{own} {version}\n"
            );
            std::fs::write(&file, text).expect("a configuration file");
            let mut command = program("haproxy", &["-db", "-f"]);
            command.arg(&file).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            let proxy = intercepting(&[
                ("intercept.host", &format!("127.0.0.1:{own} proxied")),
                ("tcp6.listen", "false"),
                ("access.enable", "true"),
                ("access.format", "json"),
                ("http.trusted", "127.0.0.0/8"),
            ]);
            let _balancer = Background(command.spawn().expect("haproxy runs"));
            eventually("the balancer", || std::net::TcpStream::connect(("127.0.0.1", 3129)).ok());
            for family in 0..2 {
                let mut client = connect(&lan, SERVER[family], PORT);
                assert_eq!(ask(&mut client, "/x", "www.example").text(), "/x", "{version}: {}", proxy.log());
                let head = far.last_head();
                assert_eq!(head.value("X-Forwarded-For").as_deref(), Some(CLIENT[family]), "{version}");
                assert_eq!(far.last_peer(), ip(OUTER[family]));
                let line = proxy.wait_line(&format!("\"client\":\"{}\"", CLIENT[family]));
                assert_eq!(line.contains("\"unique_id\":\"conn-"), version.contains("v2"), "{line}");
            }
        }
    });
}
