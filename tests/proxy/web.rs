//! The web port: numbers, configuration, health and pages.

use nix::sys::signal::Signal;

use crate::support::{client, eventually, ports, Client, Origin, Proxy};

fn ask(proxy: &Proxy, request: &str) -> crate::support::Message {
    let mut client = Client::connect(proxy.web());
    client.send(request);
    client.reply()
}

#[test]
fn json_says_that_it_is_json() {
    let proxy = Proxy::start(&[]);
    let reply = ask(&proxy, "GET /json/running HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(reply.value("Content-Type").unwrap().starts_with("application/json"), "{reply:?}");
}

#[test]
fn the_counters_can_be_asked_for_again_on_one_connection() {
    let proxy = Proxy::start(&[]);
    let mut client = Client::connect(proxy.web());
    for _ in 0..3 {
        client.send("GET /json/running?x HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(client.reply().status(), 200);
    }
}

#[test]
fn the_counters_need_no_host() {
    let proxy = Proxy::start(&[]);
    for head in ["HTTP/1.0\r\n", "HTTP/1.1\r\n", "HTTP/1.1\r\nHost:\r\n", "HTTP/1.1\r\nHost: a b\r\n"] {
        let status = ask(&proxy, &format!("GET /json/running {head}\r\n")).status();
        assert_eq!(status, if head.contains("a b") { 400 } else { 200 }, "{head:?}");
    }
}

#[test]
fn b15_the_configuration_has_the_names_and_types_of_the_original() {
    let proxy = Proxy::start(&[("security.local", "*:80 127.0.0.1:81")]);
    let text = ask(&proxy, "GET /json/configuration?x HTTP/1.1\r\n\r\n").text();
    for line in [
        "\"exaproxy.daemon.deamonize\": false,",
        "\"exaproxy.daemon.identifier\": \"ExaProxy\",",
        "\"exaproxy.daemon.reactor\": \"epoll\",",
        "\"exaproxy.daemon.sleep\": 2,",
        "\"exaproxy.dns.ttl\": 900,",
        "\"exaproxy.http.connect\": true,",
        "\"exaproxy.http.extensions\": \"\",",
        "\"exaproxy.log.level.client\": true,",
        "\"exaproxy.redirector.enable\": false,",
        "\"exaproxy.redirector.maximum\": 25,",
        "\"exaproxy.redirector.protocol\": \"url\",",
        "\"exaproxy.security.local\": \"('*', 80) ('127.0.0.1', 81)\",",
        "\"exaproxy.tcp4.listen\": true,",
        "\"exaproxy.usage.destination\": \"stdout\",",
        "\"exaproxy.web.host\": \"127.0.0.1\",",
    ] {
        assert!(text.lines().any(|own| own.trim() == line), "{line} is missing in {text}");
    }
    let page = ask(&proxy, "GET /information/configuration.html HTTP/1.1\r\n\r\n").text();
    assert!(page.contains(">*:80 127.0.0.1:81<"), "people see it as it is to be written");
    let names: Vec<&str> = text.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name.trim()).collect();
    assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
}

/// Every key that the original showed, by the type of its value.
const CONFIGURATION: [(&str, &str); 3] = [
    (
        "boolean",
        "daemon.deamonize debug.log debug.memory debug.pdb dns.fqdn http.connect http.transparent log.level.client \
         log.level.configuration log.level.daemon log.level.download log.level.http log.level.manager log.level.server \
         log.level.signal log.level.supervisor log.level.web log.level.worker profile.enable redirector.enable tcp4.listen \
         tcp4.out tcp6.listen tcp6.out usage.enable web.debug web.enable",
    ),
    (
        "number",
        "daemon.sleep dns.timeout dns.ttl http.connections redirector.maximum redirector.minimum tcp4.backlog tcp4.port \
         tcp4.timeout tcp6.backlog tcp6.port tcp6.timeout web.port",
    ),
    (
        "text",
        "daemon.identifier daemon.pidfile daemon.reactor daemon.user dns.resolver http.extensions http.forward \
         profile.destination proxy.version redirector.program redirector.protocol security.connect security.local \
         tcp4.bind tcp4.host tcp6.bind tcp6.host usage.destination web.host",
    ),
];

#[test]
fn b15_no_key_of_the_original_is_missing() {
    let proxy = Proxy::start(&[]);
    let json = |path: &str| -> serde_json::Value {
        serde_json::from_str(&ask(&proxy, &format!("GET {path} HTTP/1.1\r\n\r\n")).text()).expect("JSON")
    };
    let configuration = json("/json/configuration");
    for (kind, names) in CONFIGURATION {
        for name in names.split_whitespace() {
            let value = &configuration[format!("exaproxy.{name}")];
            let fits = match kind {
                "boolean" => value.is_boolean(),
                "number" => value.is_u64(),
                _ => value.is_string(),
            };
            assert!(fits, "exaproxy.{name} is {value} and no {kind}");
        }
    }
    let running = json("/json/running");
    for name in
        "clients.requests clients.silent clients.speaking load.events load.loops processes.forked processes.max \
        processes.min queue.size servers.established servers.opening transfer.client transfer.client4 transfer.client6 \
        transfer.content transfer.content4 transfer.content6"
            .split_whitespace()
    {
        assert!(running[name].is_u64(), "{name} is {}", running[name]);
    }
    assert!(running["pid.saved"].is_boolean());
}

#[test]
fn health_is_what_a_balancer_has_to_know() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::echo();
    let mut tunnel = proxy.client();
    tunnel.tunnel(&origin.address().to_string());
    let health = || ask(&proxy, "GET /health HTTP/1.0\r\n\r\n");
    assert_eq!((health().status(), health().text().as_str()), (200, "ok\n"));
    proxy.signal(Signal::SIGTTOU);
    eventually("health without listeners", || (health().status() == 503).then_some(()));
    proxy.signal(Signal::SIGTTIN);
    eventually("health with listeners", || (health().status() == 200).then_some(()));
    proxy.signal(Signal::SIGQUIT);
    eventually("health in a soft stop", || (health().text() == "draining\n").then_some(()));
    tunnel.send("still there");
    assert_eq!(tunnel.read(11), b"still there");
}

#[test]
fn health_fails_with_helpers_that_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("helper");
    std::fs::write(&script, "exit 1\n").expect("a script");
    let program = format!("/bin/sh {}", script.display());
    let common = [("redirector.enable", "true"), ("redirector.program", program.as_str())];
    for (value, failing) in [("error", true), ("permit", false)] {
        let proxy = Proxy::start(&[&common[..], &[("redirector.on-failure", value)]].concat());
        eventually("helpers that were given up", || (proxy.counter("helpers.lost") > 6).then_some(()));
        let health = || ask(&proxy, "GET /health HTTP/1.0\r\n\r\n").status();
        match failing {
            true => eventually("a failing proxy", || (health() == 503).then_some(())),
            false => assert_eq!(health(), 200),
        }
    }
}

#[test]
fn metrics_move() {
    let helpers = crate::support::Helpers::permitting();
    let proxy = helpers.proxy(&[]);
    let origin = Origin::site();
    let metric = |name: &str| -> f64 {
        let reply = ask(&proxy, "GET /metrics HTTP/1.1\r\n\r\n");
        assert!(reply.value("Content-Type").unwrap().starts_with("text/plain; version=0.0.4"), "{reply:?}");
        let text = reply.text();
        let line = text.lines().find(|line| line.split(' ').next() == Some(name)).map(str::to_owned);
        line.unwrap_or_else(|| panic!("no {name} in {text}")).rsplit(' ').next().unwrap().parse().expect("a number")
    };
    let names = [
        "exaproxy_requests_total",
        "exaproxy_helper_seconds_count",
        "exaproxy_connect_seconds_count",
        "exaproxy_sent_to_clients_bytes_total{family=\"ipv4\"}",
        "exaproxy_helper_questions_total",
    ];
    let before = names.map(metric);
    assert_eq!(proxy.client().get(&origin.url("/x")).text(), "/x");
    for (name, before) in names.iter().zip(before) {
        assert!(metric(name) > before, "{name} did not move");
    }
    assert_eq!(metric("exaproxy_up"), 1.0);
}

#[test]
fn other_pages_are_not_there() {
    let proxy = Proxy::start(&[]);
    for target in ["/json", "/json/running/x"] {
        let reply = ask(&proxy, &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert!(reply.text().contains("\"errror\": \"invalid url\""), "{target}: {reply:?}");
    }
    for target in ["/../etc/passwd", "//json/running", "/healthy", "/x.html"] {
        let reply = ask(&proxy, &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(reply.status(), 404, "{target}");
    }
}

#[test]
fn the_web_port_is_no_proxy() {
    let proxy = Proxy::start(&[]);
    let origin = Origin::site();
    for request in [
        client::get(&origin.url("/through-the-back-door")),
        format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", origin.address()),
        format!("GET /through-the-back-door HTTP/1.1\r\nHost: {}\r\n\r\n", origin.address()),
    ] {
        let reply = ask(&proxy, &request);
        assert!((400..500).contains(&reply.status()), "{request:?}: {reply:?}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn bad_requests_to_the_web_port_do_no_harm() {
    let proxy = Proxy::start(&[]);
    for request in
        ["\x16\x03\x01\r\n\r\n", "GET /json/running\r\n\r\n", "GET /json/running HTTP/9.9\r\nHost: w\r\n\r\n"]
    {
        let status = ask(&proxy, request).status();
        assert!([400, 505].contains(&status), "{request:?}: {status}");
    }
    proxy.assert_serves();
}

#[test]
fn a_form_is_read_with_its_content_and_the_connection_goes_on() {
    let proxy = Proxy::start(&[]);
    let mut client = Client::connect(proxy.web());
    let content = "x".repeat(8 * 1024);
    let form =
        format!("POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{content}", content.len());
    let next = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.send_pieces(format!("{form}{next}{form}"), 3000);
    assert_eq!(client.reply().value("Connection"), None);
    assert_eq!(client.reply().text(), "ok\n");
    client.reply();
    client.send(next);
    assert_eq!(client.reply().text(), "ok\n");
}

#[test]
fn content_that_the_web_port_cannot_want_is_refused() {
    let proxy = Proxy::start(&[]);
    for (lines, status) in [("Content-Length: 8193", 413), ("Transfer-Encoding: chunked", 411)] {
        let reply = ask(&proxy, &format!("POST / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n"));
        assert_eq!((reply.status(), reply.value("Connection").as_deref()), (status, Some("close")), "{lines}");
    }
}

#[test]
fn the_web_port_can_be_left_shut() {
    let proxy = Proxy::start(&[("web.enable", "false")]);
    proxy.assert_serves();
}

#[test]
fn clients_of_the_web_port_have_a_maximum_of_their_own() {
    let proxy = Proxy::start(&[("web.connections", "2")]);
    let mut inside: Vec<_> = (0..2).map(|_| Client::connect(proxy.web())).collect();
    for client in &mut inside {
        client.send("GET /json/running HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(client.reply().status(), 200);
    }
    let mut waiting = Client::connect(proxy.web());
    waiting.send("GET /json/running HTTP/1.1\r\nHost: localhost\r\n\r\n");
    proxy.assert_serves();
    drop(inside);
    assert_eq!(waiting.reply().status(), 200);
}

#[test]
fn the_proxy_itself_can_be_left_shut() {
    let port = ports::next().to_string();
    let proxy = Proxy::start(&[("http.enable", "false"), ("tcp4.port", &port)]);
    assert_eq!(proxy.clients(), 0);
    assert!(std::net::TcpStream::connect(proxy.address()).is_err(), "it listens all the same");
}
