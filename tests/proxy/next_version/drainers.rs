//! Processes with clients of former versions, as the service shows them.

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use super::{drainers, upgrade, Installed};
use crate::support::{client, eventually, Client, Origin, Proxy};

/// A client that holds its process: it has begun a request.
fn begun(proxy: &Proxy) -> Client {
    let before = proxy.clients();
    let mut client = proxy.client();
    client.send("GET http://127.0.0.1:1/ HTTP/1.1\r\n");
    proxy.wait_clients(before + 1);
    client
}

/// The processes, each with so many clients, as `/json/drainers` has them.
fn rows(proxy: &Proxy) -> Vec<(i64, i64, i64)> {
    let rows: serde_json::Value = serde_json::from_str(&proxy.monitor_page("/json/drainers")).expect("JSON");
    let number = |row: &serde_json::Value, name: &str| row[name].as_i64().unwrap_or(-1);
    let row = |row| (number(row, "pid"), number(row, "clients"), number(row, "until") - number(row, "since"));
    rows.as_array().expect("a list").iter().map(row).collect()
}

#[test]
fn drainers_show_in_the_monitor_until_they_end() {
    let installed = Installed::new();
    let proxy =
        installed.start(&[("daemon.drain-timeout", "600"), ("http.head-timeout", "0"), ("http.idle-connect", "0")]);
    assert_eq!(rows(&proxy), []);
    let mut clients = vec![begun(&proxy)];
    upgrade(&proxy, 1);
    let first = i64::from(drainers(&proxy)[0]);
    eventually("a drainer that tells of itself", || match rows(&proxy)[..] {
        [(pid, 1, time)] if pid == first && (595..=605).contains(&time) => Some(()),
        _ => None,
    });
    proxy.wait_line(&format!("process {first} keeps 1 client of a former version, 0 in tunnels"));
    assert!(proxy.monitor_page("/information/drainers.html").contains(&first.to_string()));
    assert!(proxy.monitor_page("/metrics").contains("exaproxy_drainer_clients 1\n"));
    assert!(proxy.monitor_page("/").contains("1 client of former versions in 1 drainer"));
    // The next version hears of it, too, and of another one.
    clients.push(begun(&proxy));
    clients.push(begun(&proxy));
    upgrade(&proxy, 2);
    eventually("both drainers", || match rows(&proxy)[..] {
        [(pid, 1, _), (other, 2, _)] if pid == first && other != first => Some(()),
        _ => None,
    });
    clients.clear();
    eventually("the end of both", || rows(&proxy).is_empty().then_some(()));
    proxy.wait_log_times("after the upgrade: its last client has gone", 2);
    assert!(proxy.monitor_page("/metrics").contains("exaproxy_drainers 0\n"));
    proxy.assert_serves();
}

#[test]
fn what_the_end_of_a_drainer_has_cut_off_is_told() {
    let installed = Installed::new();
    let endless = [("http.head-timeout", "0"), ("http.idle-connect", "0")];
    let proxy = installed.start_with(&endless, "[daemon]\ndrain-timeout = 1\n");
    // The next version has time enough to be seen and killed when its turn comes.
    std::fs::write(proxy.file(), "[daemon]\ndrain-timeout = 600\n").expect("the ini file");
    let mut client = begun(&proxy);
    upgrade(&proxy, 1);
    client.expect_end();
    proxy.wait_line("after the upgrade: 1 client cut off");
    let mut client = begun(&proxy);
    upgrade(&proxy, 2);
    eventually("a drainer that tells of itself", || matches!(rows(&proxy)[..], [(_, 1, _)]).then_some(()));
    kill(Pid::from_raw(drainers(&proxy)[0]), Signal::SIGKILL).expect("a living process");
    client.expect_end();
    proxy.wait_line("without a word: it had 1 client of a former version");
    assert_eq!(rows(&proxy), []);
}

/// Else the graphs of a service would have a hole for as long as its former version sends.
#[test]
fn what_a_drainer_sends_is_counted_with_what_the_service_sends() {
    const REST: usize = 3_000_000;
    let installed = Installed::new();
    let proxy = installed.start(&[]);
    let origin = Origin::start(|peer| {
        peer.expect_request()?;
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\nbegin", REST + 5))?;
        peer.hold()?;
        peer.send(vec![b'x'; REST])
    });
    let mut downloading = proxy.client();
    downloading.send(client::get(&origin.url("/")));
    proxy.wait_counter_reaches("transfer.client", 1);
    upgrade(&proxy, 1);
    eventually("a drainer that tells of itself", || matches!(rows(&proxy)[..], [(_, 1, _)]).then_some(()));
    origin.release();
    assert_eq!(downloading.reply().text().len(), REST + 5);
    proxy.wait_counter_reaches("transfer.client4", REST as i64);
}

/// Each is a process with memory of its own.
#[test]
fn there_is_no_upgrade_while_too_many_drainers_are_left() {
    let installed = Installed::new();
    let proxy = installed.start(&[("http.head-timeout", "0"), ("http.idle-connect", "0")]);
    let mut clients = Vec::new();
    for time in 1..=16 {
        clients.push(begun(&proxy));
        upgrade(&proxy, time);
        eventually("a new version with its monitor", || (proxy.clients() == 0).then_some(()));
    }
    proxy.signal(Signal::SIGALRM);
    proxy.wait_log("no upgrade: 16 processes with clients of former versions are left");
    drop(clients.pop());
    eventually("the end of one", || (rows(&proxy).len() == 15).then_some(()));
    upgrade(&proxy, 17);
    proxy.assert_serves();
}
