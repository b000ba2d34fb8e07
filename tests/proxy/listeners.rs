//! Several listeners of a kind: each with a port and a PROXY header of its own, opened and closed one by one by a reload.

use std::net::{Ipv4Addr, SocketAddr};

use nix::sys::signal::Signal;

use crate::support::{client, eventually, ports, Client, Origin, Proxy};

const LINE: &str = "PROXY TCP4 203.0.113.7 192.0.2.1 56324 3128\r\n";

fn here(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn ask(to: SocketAddr, origin: &Origin, path: &str) -> u16 {
    let mut client = Client::connect(to);
    client.get(&origin.url(path)).status()
}

/// The rows of `/json/listeners` as kind, port, PROXY header, clients.
fn rows(proxy: &Proxy) -> Vec<(String, u16, bool, u64)> {
    let mut web = Client::connect(proxy.web());
    web.send("GET /json/listeners HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let json: serde_json::Value = serde_json::from_str(&web.reply().text()).expect("JSON");
    let row = |row: &serde_json::Value| {
        let address: SocketAddr = row["address"].as_str().expect("a text").parse().expect("an address");
        let kind = row["kind"].as_str().expect("a text").to_owned();
        (kind, address.port(), row["proxied"].as_bool().expect("a flag"), row["clients"].as_u64().expect("a number"))
    };
    json.as_array().expect("an array").iter().map(row).collect()
}

#[test]
fn several_listeners_have_ports_and_proxy_headers_of_their_own() {
    let second = ports::next();
    let host = format!("127.0.0.1 127.0.0.1:{second} proxied");
    let proxy = Proxy::start(&[("tcp4.host", &host), ("log.level", "INFO"), ("http.pool", "0")]);
    let origin = Origin::site();
    assert_eq!(ask(proxy.address(), &origin, "/plain"), 200);
    let mut announced = Client::connect(here(second));
    announced.send(format!("{LINE}{}", client::get(&origin.url("/announced"))));
    assert_eq!(announced.reply().text(), "/announced");
    let last = origin.head(origin.connections() - 1);
    assert_eq!(last.value("X-Forwarded-For").as_deref(), Some("203.0.113.7"));
    // The word holds for the one address alone.
    let mut other = proxy.client();
    other.send(format!("{LINE}\r\n"));
    assert_eq!(other.reply().status(), 400);
    let mut unannounced = Client::connect(here(second));
    unannounced.try_send(client::get(&origin.url("/never")).as_bytes());
    unannounced.expect_end();
    let own = |row: &(String, u16, bool, u64)| (row.1, row.2);
    let told: Vec<_> = rows(&proxy).iter().filter(|row| row.0 == "http proxy").map(own).collect();
    assert_eq!(told, [(proxy.port(), false), (second, true)]);
    let counted = |row: &(String, u16, bool, u64)| (row.1, row.3) == (second, 1);
    eventually("the announced client to be counted", || rows(&proxy).iter().any(counted).then_some(()));
    proxy.wait_log(&format!("http proxy listening on 127.0.0.1:{second} proxied, for "));
}

#[test]
fn a_reload_opens_and_closes_listeners_one_by_one() {
    let (second, third) = (ports::next(), ports::next());
    let ini = |host: &str| format!("[tcp4]\nhost = {host}\n[log]\nlevel = INFO\n");
    let proxy = Proxy::start_with(&[], &ini(&format!("127.0.0.1 127.0.0.1:{second}")));
    let origin = Origin::site();
    let mut staying = Client::connect(here(second));
    assert_eq!(staying.get(&origin.url("/1")).status(), 200);
    let mut reloads = 0;
    let mut reload = |host: &str, outcome: &str| {
        std::fs::write(proxy.file(), ini(host)).expect("an ini file in the temporary folder");
        proxy.signal(Signal::SIGHUP);
        reloads += 1;
        if outcome.contains("stays") {
            return proxy.wait_log(outcome);
        }
        proxy.wait_log_times(outcome, reloads);
    };
    reload(&format!("127.0.0.1 127.0.0.1:{third}"), "configuration reloaded");
    proxy.wait_log(&format!("http proxy stops listening on 127.0.0.1:{second}"));
    assert_eq!((ask(proxy.address(), &origin, "/2"), ask(here(third), &origin, "/3")), (200, 200));
    assert!(std::net::TcpStream::connect(here(second)).is_err());
    assert_eq!(staying.get(&origin.url("/4")).status(), 200, "who is in stays");
    // The word of a listener that stays changes without a new socket.
    reload(&format!("127.0.0.1 127.0.0.1:{third} proxied"), "configuration reloaded");
    let mut announced = Client::connect(here(third));
    announced.send(format!("{LINE}{}", client::get(&origin.url("/5"))));
    assert_eq!(announced.reply().text(), "/5");
    // Either all of it or nothing: this machine does not have the last one.
    reload(&format!("127.0.0.1 127.0.0.1:{second} 198.51.100.1"), "stays as it was");
    assert!(std::net::TcpStream::connect(here(second)).is_err());
    assert_eq!(ask(proxy.address(), &origin, "/6"), 200);
    assert_eq!(proxy.log().matches("another program listens").count(), 0, "{}", proxy.log());
}

#[test]
fn an_address_above_all_others_and_one_of_them_may_share_a_port() {
    let ini = |host: &str| format!("[tcp4]\nhost = {host}\n");
    let proxy = Proxy::start_with(&[], &ini("127.0.0.1"));
    let origin = Origin::site();
    std::fs::write(proxy.file(), ini("0.0.0.0 127.0.0.1 proxied")).expect("an ini file in the temporary folder");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    assert_eq!(ask(SocketAddr::from(([127, 0, 0, 2], proxy.port())), &origin, "/any"), 200);
    let mut announced = proxy.client();
    announced.send(format!("{LINE}{}", client::get(&origin.url("/closer"))));
    assert_eq!(announced.reply().text(), "/closer");
    assert_eq!(proxy.log().matches("another program listens").count(), 0, "{}", proxy.log());
}

#[test]
fn two_listeners_at_one_address_are_refused_in_one_line() {
    let port = ports::next().to_string();
    let run = Proxy::run(&["--check"], &[("tcp4.port", &port), ("tcp4.host", &format!("127.0.0.1 127.0.0.1:{port}"))]);
    assert_eq!(run.code, Some(1));
    let line = run.stderr.lines().next().unwrap_or_default();
    let place = format!("expected another address than 127.0.0.1:{port}, on which tcp4.host listens already");
    assert!(line.contains("tcp4.host") && line.contains(&place) && run.stderr.lines().count() == 1, "{}", run.stderr);
}
