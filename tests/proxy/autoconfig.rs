//! The script by which browsers configure themselves: who gets it, from the proxy and from the monitor, and which proxies it names.

use std::fs;

use nix::sys::signal::Signal;

use crate::support::{ports, Client, Message, Origin, Proxy};

/// Asks the proxy itself, or its monitor, for a path under this host.
fn ask(client: &mut Client, path: &str, host: &str) -> Message {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    client.reply()
}

/// What the script says of a host that is reached through the proxy.
fn proxies(reply: &Message) -> String {
    assert_eq!(reply.status(), 200, "{reply:?}");
    assert_eq!(reply.value("Content-Type").as_deref(), Some("application/x-ns-proxy-autoconfig"));
    let text = reply.text();
    assert!(text.contains("function FindProxyForURL(url, host)"), "{text}");
    let line = text.lines().find_map(|line| line.strip_prefix("var proxies = \"")).expect("the proxies");
    line.trim_end_matches("\";").to_owned()
}

#[test]
fn proxy_and_monitor_have_the_script() {
    let proxy = Proxy::start(&[]);
    let own = format!("PROXY {}", proxy.address());
    let at = proxy.address().to_string();
    for path in ["/proxy.pac", "/wpad.dat", "/proxy.pac?x=y"] {
        for host in [&at[..], "127.0.0.1", "wpad", "wpad.corp.test:80", "localhost"] {
            assert_eq!(proxies(&ask(&mut proxy.client(), path, host)), own, "{path} of {host}");
        }
        for host in [proxy.web().to_string().as_str(), "any.test"] {
            assert_eq!(proxies(&ask(&mut Client::connect(proxy.web()), path, host)), own, "{path} of {host}");
        }
    }
    let mut client = proxy.client();
    client.send(format!("HEAD /proxy.pac HTTP/1.1\r\nHost: {at}\r\n\r\n"));
    let head = client.reply_to("HEAD");
    assert_eq!((head.status(), head.body.len()), (200, 0));
    assert_eq!(ask(&mut client, "/proxy.pac", &at).status(), 200, "the connection stays");
}

#[test]
fn that_of_others_is_theirs() {
    let (proxy, origin) = (Proxy::start(&[]), Origin::site());
    assert_eq!(proxy.client().get(&origin.url("/proxy.pac")).text(), "/proxy.pac");
    // In origin form the host says whose it is; 127.0.0.1 is ours.
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = folder.path().join("hosts");
    fs::write(&hosts, "127.0.0.1 other.test wpad.there.test\n").expect("a file");
    let port = ports::next();
    let number = port.to_string();
    let options = [
        ("dns.hosts", hosts.to_str().expect("a path of text")),
        ("intercept.enable", "true"),
        ("intercept.port", &number),
        ("intercept.proxied", "true"),
    ];
    let proxy = Proxy::start(&options);
    let host = format!("other.test:{}", origin.port());
    assert_eq!(ask(&mut proxy.client(), "/proxy.pac", &host).text(), "/proxy.pac");
    let mut diverted = Client::connect(([127, 0, 0, 1], port).into());
    diverted.send(format!("PROXY TCP4 203.0.113.7 127.0.0.1 5000 {}\r\n", origin.port()));
    assert_eq!(ask(&mut diverted, "/wpad.dat", &format!("wpad.there.test:{}", origin.port())).text(), "/wpad.dat");
}

#[test]
fn nobody_is_asked_for_a_password_and_strangers_get_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let users = folder.path().join("users");
    fs::write(&users, "user:pass\n").expect("a file");
    let users = users.to_str().expect("a path of text");
    let options = [("auth.enable", "true"), ("auth.users", users), ("acl.clients", "127.0.0.1")];
    let proxy = Proxy::start(&options);
    assert_eq!(ask(&mut proxy.client(), "/proxy.pac", "wpad").status(), 200);
    assert_eq!(ask(&mut proxy.client(), "/other", "wpad.test").status(), 407);
    let mut stranger = Client::connect_from([127, 0, 0, 9], proxy.address());
    assert_eq!(ask(&mut stranger, "/proxy.pac", "wpad").status(), 403);
    let proxy = Proxy::start(&[("web.users", users)]);
    assert_eq!(ask(&mut Client::connect(proxy.web()), "/wpad.dat", "localhost").status(), 200);
    assert_eq!(ask(&mut Client::connect(proxy.web()), "/", "localhost").status(), 401);
}

#[test]
fn listeners_are_named_by_the_address_that_was_reached() {
    let (second, third) = (ports::next(), ports::next());
    let hosts = format!("0.0.0.0 127.0.0.1:{second} 127.0.0.2:{third} proxied");
    let proxy = Proxy::start(&[("tcp4.host", &hosts)]);
    let port = proxy.port();
    let at = |ip: [u8; 4]| proxies(&ask(&mut Client::connect((ip, port).into()), "/proxy.pac", "wpad"));
    assert_eq!(at([127, 0, 0, 5]), format!("PROXY 127.0.0.5:{port}; PROXY 127.0.0.1:{second}"));
    assert_eq!(at([127, 0, 0, 1]), format!("PROXY 127.0.0.1:{port}; PROXY 127.0.0.1:{second}"));
}

#[test]
fn hosts_may_be_reached_without_and_a_file_takes_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("own.pac");
    fs::write(&file, "function FindProxyForURL() { return \"DIRECT\"; }\n").expect("a file");
    let ini = "[pac]\ndirect = intra.test *.corp.test 10.0.0.0/8\n";
    let proxy = Proxy::start_with(&[], ini);
    let text = ask(&mut proxy.client(), "/proxy.pac", "wpad").text();
    assert!(
        text.contains("var exact = {\"intra.test\": 1};") && text.contains("var below = {\"corp.test\": 1};"),
        "{text}"
    );
    fs::write(proxy.file(), format!("[pac]\nfile = {}\n", file.display())).expect("our own file");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    let reply = ask(&mut proxy.client(), "/wpad.dat", "wpad");
    assert_eq!(reply.text(), "function FindProxyForURL() { return \"DIRECT\"; }\n");
    assert_eq!(reply.value("Content-Type").as_deref(), Some("application/x-ns-proxy-autoconfig"));
}
